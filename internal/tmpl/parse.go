package tmpl

import (
	"fmt"
	"slices"
	"strings"
)

// Limits of the input. They are far above what a real template needs, and low
// enough that parsing hostile input stays cheap.
const (
	MaxBytes      = 64 << 20 // of the whole input
	MaxAttributes = 100_000  // attributes and sub-attributes together; in XML, elements of any level
	MaxDepth      = 256      // of nested XML elements, as the reference's XML library has it
)

// ParseError is a refusal of a template. Its texts are those of the XML-RPC
// reference, §9.4, and go to the client as they are.
type ParseError struct {
	// Reason is what follows "Parse error: ", without the position; empty
	// when the whole message is "Parse error.".
	Reason string
	// Where the offending token stands in a text template: Line is the number
	// of line ends up to its end, First and Last are its bounds in bytes from
	// the start of the text, counted from 1. (The original never resets its
	// columns at a line end.) All zero when there is no position.
	Line, First, Last int
}

func (e *ParseError) Error() string {
	switch {
	case e.Reason == "":
		return "Parse error."
	case e.First == 0:
		return "Parse error: " + e.Reason
	}
	return fmt.Sprintf("Parse error: %s at line %d, columns %d:%d", e.Reason, e.Line, e.First, e.Last)
}

// errAt is a ParseError about text[from:to].
func errAt(text string, from, to int, reason string) *ParseError {
	return &ParseError{Reason: reason, Line: strings.Count(text[:to], "\n"), First: from + 1, Last: to + 1}
}

// Parse reads a template: XML when the first character that is not blank is
// "<", else the text form. Every error is a *ParseError.
// Source: XML-RPC reference, §9.
func Parse(text string) (*Template, error) {
	if err := checkSize(text); err != nil {
		return nil, err
	}
	if strings.HasPrefix(strings.TrimLeft(trimBOM(text), blanks+"\n"), "<") {
		return ParseXML(text)
	}
	return ParseText(text)
}

// trimBOM drops the mark some editors put before the first character.
func trimBOM(text string) string { return strings.TrimPrefix(text, "\uFEFF") }

// checkSize refuses input above MaxBytes before anything looks at it.
func checkSize(text string) error {
	if len(text) > MaxBytes {
		return &ParseError{Reason: fmt.Sprintf("the template has %d bytes, the limit is %d", len(text), MaxBytes)}
	}
	return nil
}

// builder gathers what a parser finds. All sub-attributes go into one slice, so
// that a template costs a few allocations however many vectors it has.
type builder struct {
	attrs []Attr
	pairs []Pair
	vecs  []vecRange
	count int
}

// vecRange says that attribute attr is the vector pairs[lo:hi].
type vecRange struct{ attr, lo, hi int }

// take counts one more attribute against MaxAttributes.
func (b *builder) take() error {
	if b.count++; b.count > MaxAttributes {
		return &ParseError{Reason: fmt.Sprintf("the template has more than %d attributes", MaxAttributes)}
	}
	return nil
}

func (b *builder) single(name, value string) { b.attrs = append(b.attrs, Single(name, value)) }

// beginVector starts a vector whose sub-attributes are the pairs added until
// endVector.
func (b *builder) beginVector(name string) {
	b.vecs = append(b.vecs, vecRange{attr: len(b.attrs), lo: len(b.pairs)})
	b.attrs = append(b.attrs, Attr{Name: name})
}

func (b *builder) pair(name, value string) { b.pairs = append(b.pairs, Pair{name, value}) }

// endVector ends the vector; of a repeated name it keeps the first, or the last.
func (b *builder) endVector(keepLast bool) {
	r := &b.vecs[len(b.vecs)-1]
	r.hi = r.lo + orderPairs(b.pairs[r.lo:], keepLast)
	b.pairs = b.pairs[:r.hi]
}

// own copies all names and values to a place of their own, because those that
// are pieces of the input would keep all of it alive with the template.
func (b *builder) own() {
	size := 0
	for _, a := range b.attrs {
		size += len(a.Name) + len(a.Value)
	}
	for _, p := range b.pairs {
		size += len(p.Name) + len(p.Value)
	}
	var arena strings.Builder
	arena.Grow(size)
	copied := func(s string) string {
		arena.WriteString(s)
		return arena.String()[arena.Len()-len(s):]
	}
	for i, a := range b.attrs {
		b.attrs[i] = Single(copied(a.Name), copied(a.Value))
	}
	for i, p := range b.pairs {
		b.pairs[i] = Pair{copied(p.Name), copied(p.Value)}
	}
}

// ordered returns the attributes in the order of a Template, in slices without
// room to spare: templates live long and are many.
func (b *builder) ordered() []Attr {
	attrs, pairs := slices.Clone(b.attrs), slices.Clone(b.pairs)
	for _, r := range b.vecs {
		if r.lo == r.hi {
			attrs[r.attr].Vector = Vector{}
		} else {
			attrs[r.attr].Vector = pairs[r.lo:r.hi:r.hi]
		}
	}
	sortAttrs(attrs)
	return attrs
}

// build returns the template, which shares nothing with the input.
func (b *builder) build() *Template {
	b.own()
	return &Template{attrs: b.ordered()}
}

// attrName is the name an attribute gets that was typed as name: upper case,
// with ONE_ before what could not begin an XML element.
// Source: XML-RPC reference §9.3.
func attrName(name string) string {
	if name != "" && !isLetter(name[0]) && name[0] != '_' || strings.HasPrefix(name, "XML") {
		return "ONE_" + upper(name)
	}
	return upper(name)
}

// upper turns the letters a to z into capitals and leaves all else.
func upper(s string) string {
	for i := 0; i < len(s); i++ {
		if 'a' <= s[i] && s[i] <= 'z' {
			up := []byte(s)
			for ; i < len(up); i++ {
				if 'a' <= up[i] && up[i] <= 'z' {
					up[i] -= 'a' - 'A'
				}
			}
			return string(up)
		}
	}
	return s
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
