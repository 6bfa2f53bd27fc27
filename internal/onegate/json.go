package onegate

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON is read here and not by encoding/json, which would make up a tenth of the
// program, and which cannot keep the order of an object's members.

// maxDepth is how deep a document may nest, as in the reference's client.
const maxDepth = 100

type jsonKind int

const (
	null    jsonKind = iota
	literal          // true, false or a number, as written
	text
	array
	object
)

// value is a JSON value. A nil value is null, and so is what is not there.
type value struct {
	kind  jsonKind
	text  string   // of a literal or text
	names []string // of an object
	items []*value // of an array or object
}

// get returns a member of an object; the last one if there are several.
func (v *value) get(name string) *value {
	if v == nil || v.kind != object {
		return &value{}
	}
	for i, n := range slices.Backward(v.names) {
		if n == name {
			return v.items[i]
		}
	}
	return &value{}
}

// list returns the items of an array; a single value is a list of one, null is
// an empty one. Servers put a lone element without its array.
func (v *value) list() []*value {
	switch v.kind {
	case array:
		return v.items
	case null:
		return nil
	}
	return []*value{v}
}

// String returns the text of a scalar, "" for all else.
func (v *value) String() string { return v.text }

// pretty writes the value as the reference does: two blanks of indent, a blank
// behind colons, empty arrays and objects without lines.
func (v *value) pretty(b *bytes.Buffer, indent string) {
	if v.kind < array || len(v.items) == 0 {
		v.compact(b)
		return
	}
	open, shut := "[", "]"
	if v.kind == object {
		open, shut = "{", "}"
	}
	b.WriteString(open)
	for i, item := range v.items {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n" + indent + "  ")
		if v.kind == object {
			b.WriteString(quote(v.names[i]) + ": ")
		}
		item.pretty(b, indent+"  ")
	}
	b.WriteString("\n" + indent + shut)
}

// compact writes the value on one line, without blanks.
func (v *value) compact(b *bytes.Buffer) {
	switch v.kind {
	case null:
		b.WriteString("null")
	case literal:
		b.WriteString(v.text)
	case text:
		b.WriteString(quote(v.text))
	case array:
		b.WriteByte('[')
		for i, item := range v.items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.compact(b)
		}
		b.WriteByte(']')
	case object:
		b.WriteByte('{')
		for i, item := range v.items {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(quote(v.names[i]) + ":")
			item.compact(b)
		}
		b.WriteByte('}')
	}
}

// quote writes a JSON string: quotes, backslashes and control characters are
// escaped, nothing else.
func quote(s string) string {
	b := append(make([]byte, 0, len(s)+2), '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"', c == '\\':
			b = append(b, '\\', c)
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\f':
			b = append(b, `\f`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < ' ':
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

// parseJSON reads one document. Its error says at which byte reading failed.
func parseJSON(b []byte) (*value, error) {
	p := &parser{b: b}
	v, err := p.value(0)
	if err == nil {
		if p.blanks(); p.i < len(p.b) {
			err = errors.New("more behind its end")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("not JSON at byte %d: %w", p.i, err)
	}
	return v, nil
}

type parser struct {
	b []byte
	i int
}

func (p *parser) blanks() {
	for p.i < len(p.b) && (p.b[p.i] == ' ' || p.b[p.i] == '\t' || p.b[p.i] == '\n' || p.b[p.i] == '\r') {
		p.i++
	}
}

// eat skips blanks and then c, if it comes next.
func (p *parser) eat(c byte) bool {
	if p.blanks(); p.i < len(p.b) && p.b[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *parser) value(depth int) (*value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	switch {
	case p.eat('{'):
		return p.object(depth)
	case p.eat('['):
		return p.array(depth)
	case p.eat('"'):
		s, err := p.string()
		return &value{kind: text, text: s}, err
	}
	from := p.i
	for p.i < len(p.b) && bytes.IndexByte([]byte("+-.0123456789abcdefghijklmnopqrstuvwxyzE"), p.b[p.i]) >= 0 {
		p.i++
	}
	switch word := string(p.b[from:p.i]); {
	case word == "null":
		return &value{}, nil
	case word == "true", word == "false", isNumber(word):
		return &value{kind: literal, text: word}, nil
	}
	p.i = from
	return nil, errors.New("expected a value")
}

// isNumber checks a number against JSON's grammar.
func isNumber(s string) bool {
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	if s != "" && s[0] == '-' {
		s = s[1:]
	}
	if len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9' || !digits() {
		return false
	}
	if s != "" && s[0] == '.' {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return s == ""
}

func (p *parser) array(depth int) (*value, error) {
	v := &value{kind: array}
	if p.eat(']') {
		return v, nil
	}
	for {
		item, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		v.items = append(v.items, item)
		switch {
		case p.eat(','):
		case p.eat(']'):
			return v, nil
		default:
			return nil, errors.New("expected ',' or ']'")
		}
	}
}

func (p *parser) object(depth int) (*value, error) {
	v := &value{kind: object}
	if p.eat('}') {
		return v, nil
	}
	for {
		if !p.eat('"') {
			return nil, errors.New("expected a name in quotes")
		}
		name, err := p.string()
		if err != nil {
			return nil, err
		}
		if !p.eat(':') {
			return nil, errors.New("expected ':'")
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		v.names = append(v.names, name)
		v.items = append(v.items, item)
		switch {
		case p.eat(','):
		case p.eat('}'):
			return v, nil
		default:
			return nil, errors.New("expected ',' or '}'")
		}
	}
}

// string reads what follows an opening quote.
func (p *parser) string() (string, error) {
	var out []byte
	for p.i < len(p.b) {
		c := p.b[p.i]
		switch {
		case c == '"':
			p.i++
			return string(out), nil
		case c < ' ':
			return "", errors.New("a control character in a string")
		case c != '\\':
			out = append(out, c)
			p.i++
			continue
		}
		r, n := p.escape(p.b[p.i+1:])
		if n == 0 {
			return "", errors.New("an unknown escape in a string")
		}
		out = utf8.AppendRune(out, r)
		p.i += 1 + n
	}
	return "", errors.New("a string does not end")
}

// escape reads what follows a backslash: the character, and the bytes it took.
func (p *parser) escape(b []byte) (rune, int) {
	if len(b) == 0 {
		return 0, 0
	}
	switch b[0] {
	case '"', '\\', '/':
		return rune(b[0]), 1
	case 'b':
		return '\b', 1
	case 'f':
		return '\f', 1
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'u':
		r, ok := hex4(b[1:])
		if !ok {
			return 0, 0
		}
		// A pair of surrogates is one character; a lone one is none.
		if utf16.IsSurrogate(r) {
			if len(b) > 6 && b[5] == '\\' && b[6] == 'u' {
				if low, ok := hex4(b[7:]); ok {
					if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
						return both, 11
					}
				}
			}
			r = utf8.RuneError
		}
		return r, 5
	}
	return 0, 0
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[:4]), 16, 16)
	return rune(n), err == nil
}
