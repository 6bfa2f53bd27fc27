package tmpl

import (
	"errors"
	"strings"
)

// ParseXML reads the XML form of a template: a root element of any name, whose
// children are the attributes. Every error is a *ParseError. Document types
// are refused, and with them every entity but the five of XML itself; element
// names are ASCII, a namespace prefix is dropped, XML attributes are ignored.
// Source: XML-RPC reference §9.2.
func ParseXML(text string) (*Template, error) {
	if err := checkSize(text); err != nil {
		return nil, err
	}
	malformed := &ParseError{Reason: "XML Template malformed."}
	if badAt, _ := badChar(text); badAt >= 0 {
		return nil, malformed
	}
	p := xmlParser{xmlScanner: xmlScanner{text: strings.TrimLeft(trimBOM(text), blanks+"\n")}}
	if err := p.document(); errors.Is(err, errXML) {
		return nil, malformed
	} else if err != nil {
		return nil, err
	}
	return p.build(), nil
}

// The levels of a template document, as the number of open elements.
const (
	levelRoot = 1 // inside the root: attributes
	levelAttr = 2 // inside an attribute: its value or its sub-attributes
	levelSub  = 3 // inside a sub-attribute: its value
)

// xmlParser builds a template from the pieces the scanner finds. It keeps its
// own stack, so that depth costs nothing but the names.
type xmlParser struct {
	xmlScanner
	builder
	open     []string // names of the open elements
	rooted   bool     // the root was seen
	vector   bool     // the open attribute is a vector
	children bool     // the open sub-attribute has elements inside
	attr     xmlText  // text of the open attribute
	sub      xmlText  // text of the open sub-attribute, before its first element
}

func (p *xmlParser) document() error {
	for p.pos < len(p.text) {
		if err := p.piece(); err != nil {
			return err
		}
	}
	if !p.rooted || len(p.open) > 0 {
		return errXML
	}
	return nil
}

// piece reads one piece of markup or one run of text.
func (p *xmlParser) piece() error {
	rest := p.text[p.pos:]
	switch {
	case rest[0] != '<':
		text, err := p.charData()
		if err != nil {
			return err
		}
		return p.gotText(text)
	case strings.HasPrefix(rest, "</"):
		name, err := p.endTag()
		if err != nil {
			return err
		}
		return p.gotEnd(name)
	case strings.HasPrefix(rest, "<!--"):
		return p.comment()
	case strings.HasPrefix(rest, "<![CDATA["):
		text, err := p.cdata()
		if err != nil || len(p.open) == 0 {
			return errXML
		}
		return p.gotText(text)
	case strings.HasPrefix(rest, "<?"):
		return p.instruction()
	}
	name, empty, err := p.startTag()
	if err != nil {
		return err
	}
	if err := p.gotStart(name); err != nil || !empty {
		return err
	}
	return p.gotEnd(name)
}

func (p *xmlParser) gotStart(name string) error {
	if len(p.open) == 0 && p.rooted || len(p.open) == MaxDepth {
		return errXML
	}
	if err := p.take(); err != nil {
		return err
	}
	p.rooted = true
	p.open = append(p.open, name)
	switch len(p.open) {
	case levelAttr:
		p.vector, p.attr = false, xmlText{}
	case levelSub:
		if !p.vector {
			p.vector = true
			p.beginVector(attrName(localName(p.open[levelAttr-1])))
		}
		p.children, p.sub = false, xmlText{}
	case levelSub + 1:
		p.children = true
	}
	return nil
}

func (p *xmlParser) gotEnd(name string) error {
	if len(p.open) == 0 || p.open[len(p.open)-1] != name {
		return errXML
	}
	level := len(p.open)
	p.open = p.open[:level-1]
	switch {
	case level == levelAttr && p.vector:
		p.endVector(true)
	case level == levelAttr && p.attr.seen:
		value, err := p.attr.value()
		if err != nil {
			return err
		}
		p.single(attrName(localName(name)), value)
	case level == levelSub && p.sub.seen:
		value, err := p.sub.value()
		if err != nil {
			return err
		}
		if p.children && strings.Trim(value, blanks+"\n") == "" {
			return nil // the layout before a deeper level, not a value
		}
		p.pair(localName(name), value)
	}
	return nil
}

func (p *xmlParser) gotText(text string) error {
	switch level := len(p.open); {
	case level == 0 && strings.Trim(text, blanks+"\n") != "":
		return errXML
	case level == levelAttr && !p.vector:
		p.attr.add(text)
	case level == levelSub && !p.children:
		p.sub.add(text)
	}
	return nil
}

// localName drops a namespace prefix.
func localName(name string) string { return name[strings.LastIndexByte(name, ':')+1:] }

// xmlText is the text of an element, put together from its runs.
type xmlText struct {
	seen bool
	one  string // the first run
	more []byte // all of it, once there are two
}

func (t *xmlText) add(s string) {
	switch {
	case !t.seen:
		t.seen, t.one = true, s
	case t.more == nil:
		t.more = append(append(make([]byte, 0, len(t.one)+len(s)), t.one...), s...)
	default:
		t.more = append(t.more, s...)
	}
}

// value returns the text, refused when it has what no CDATA section can hold.
func (t *xmlText) value() (string, error) {
	s := t.one
	if t.more != nil {
		s = string(t.more)
	}
	if strings.Contains(s, "]]>") {
		return "", &ParseError{}
	}
	return s, nil
}
