package doc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxDepth bounds the nesting of a document; the deepest of the API has nine.
const MaxDepth = 64

// Parse reads a document: one root element, perhaps behind an XML declaration.
// It knows what the API writes — elements, character data, CDATA, the five
// entities and numeric references, comments — and skips attributes. Elements
// nested deeper than MaxDepth are refused; bytes that are not UTF-8 become U+FFFD.
func Parse(s string) (*Node, error) {
	p := parser{s: strings.ToValidUTF8(s, string(utf8.RuneError))}
	root, err := p.document()
	if err != nil {
		return nil, fmt.Errorf("parse XML document: %w at byte %d", err, p.i)
	}
	return root, nil
}

type parser struct {
	s string
	i int
}

var errEnd = errors.New("unexpected end")

func (p *parser) document() (*Node, error) {
	if err := p.misc(); err != nil {
		return nil, err
	}
	root, err := p.element(1)
	if err != nil {
		return nil, err
	}
	if err := p.misc(); err != nil {
		return nil, err
	}
	if p.i < len(p.s) {
		return nil, errors.New("text behind the root element")
	}
	return root, nil
}

// misc skips blanks, declarations and comments outside the root element.
func (p *parser) misc() error {
	for {
		p.blanks()
		switch {
		case p.at("<?"):
			if !p.skipPast("?>") {
				return errEnd
			}
		case p.at("<!--"):
			if !p.skipPast("-->") {
				return errEnd
			}
		default:
			return nil
		}
	}
}

func (p *parser) blanks() {
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.i]) >= 0 {
		p.i++
	}
}

func (p *parser) at(prefix string) bool { return strings.HasPrefix(p.s[p.i:], prefix) }

func (p *parser) skipPast(end string) bool {
	j := strings.Index(p.s[p.i:], end)
	if j < 0 {
		return false
	}
	p.i += j + len(end)
	return true
}

// element reads one element from its '<' to behind its end tag.
func (p *parser) element(depth int) (*Node, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("more than %d elements deep", MaxDepth)
	}
	if !p.at("<") {
		return nil, errors.New("expected an element")
	}
	p.i++
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	n := &Node{Name: name}
	empty, err := p.tagEnd()
	if err != nil || empty {
		return n, err
	}
	var text strings.Builder
	for {
		j := strings.IndexByte(p.s[p.i:], '<')
		if j < 0 {
			p.i = len(p.s)
			return nil, errEnd
		}
		if j > 0 {
			if err := unescape(&text, p.s[p.i:p.i+j]); err != nil {
				return nil, err
			}
			n.HasText = true
			p.i += j
		}
		switch {
		case p.at("</"):
			p.i += 2
			end, err := p.name()
			if err != nil {
				return nil, err
			}
			if end != name {
				return nil, fmt.Errorf("</%s> closes <%s>", end, name)
			}
			p.blanks()
			if !p.at(">") {
				return nil, errors.New("malformed end tag")
			}
			p.i++
			n.close(text.String())
			return n, nil
		case p.at("<![CDATA["):
			from := p.i + len("<![CDATA[")
			if !p.skipPast("]]>") {
				return nil, errEnd
			}
			text.WriteString(p.s[from : p.i-len("]]>")])
			n.HasText, n.CDATA = true, true
		case p.at("<!--"):
			if !p.skipPast("-->") {
				return nil, errEnd
			}
		default:
			kid, err := p.element(depth + 1)
			if err != nil {
				return nil, err
			}
			n.Kids = append(n.Kids, kid)
		}
	}
}

// close gives a read element its text; blanks between children are none.
func (n *Node) close(text string) {
	if len(n.Kids) == 0 {
		n.Text = text
		return
	}
	n.HasText, n.CDATA = false, false
}

func (p *parser) name() (string, error) {
	from := p.i
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n/><=&\"'", p.s[p.i]) < 0 {
		p.i++
	}
	if p.i == from {
		return "", errors.New("expected a name")
	}
	return p.s[from:p.i], nil
}

// tagEnd skips the attributes of a start tag and tells whether it ended in "/>".
func (p *parser) tagEnd() (empty bool, err error) {
	for p.i < len(p.s) {
		switch c := p.s[p.i]; c {
		case '>':
			p.i++
			return false, nil
		case '/':
			if !p.at("/>") {
				return false, errors.New("malformed tag")
			}
			p.i += 2
			return true, nil
		case '"', '\'':
			p.i++
			if !p.skipPast(string(c)) {
				return false, errEnd
			}
		case '<':
			return false, errors.New("malformed tag")
		default:
			p.i++
		}
	}
	return false, errEnd
}

// entities are the predefined ones; documents declare no others.
var entities = map[string]string{"lt": "<", "gt": ">", "amp": "&", "quot": `"`, "apos": "'"}

// unescape appends character data with its references resolved.
func unescape(b *strings.Builder, s string) error {
	for {
		j := strings.IndexByte(s, '&')
		if j < 0 {
			b.WriteString(s)
			return nil
		}
		b.WriteString(s[:j])
		s = s[j+1:]
		name, rest, ok := strings.Cut(s, ";")
		if !ok || len(name) > 16 {
			return errors.New("malformed reference")
		}
		s = rest
		if v, ok := entities[name]; ok {
			b.WriteString(v)
			continue
		}
		r, ok := charRef(name)
		if !ok {
			return fmt.Errorf("unknown reference &%s;", name)
		}
		b.WriteRune(r)
	}
}

// charRef reads "#65" and "#x41".
func charRef(name string) (rune, bool) {
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		return 0, false
	}
	base := 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	v, err := strconv.ParseUint(digits, base, 21)
	if err != nil || !utf8.ValidRune(rune(v)) {
		return 0, false
	}
	return rune(v), true
}
