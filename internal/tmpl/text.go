package tmpl

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// blanks are the characters free between the parts of an attribute. The
// carriage return is among them so that a file with CRLF line ends means what
// it shows; the original takes it for a part of an unquoted value.
const blanks = " \t\r"

// ParseText reads the text form of a template. Every error is a *ParseError.
// Source: XML-RPC reference §9.1.
func ParseText(text string) (*Template, error) {
	if err := checkSize(text); err != nil {
		return nil, err
	}
	text = trimBOM(text)
	if strings.Contains(text, "]]>") {
		return nil, &ParseError{}
	}
	if err := checkChars(text); err != nil {
		return nil, err
	}
	p := textParser{lexer: newLexer(text)}
	for {
		p.advance()
		if p.tok == tokEnd {
			break
		}
		if err := p.attribute(); err != nil {
			return nil, err
		}
	}
	// The original skips characters it does not know, and so loses what they
	// stood for. Here they fail, but only after the errors both have in common.
	if p.strayLen > 0 {
		return nil, errAt(text, p.stray, p.stray+p.strayLen,
			fmt.Sprintf("syntax error, unexpected character %q", text[p.stray:p.stray+p.strayLen]))
	}
	return p.build(), nil
}

// textParser follows the grammar with one token of look-ahead.
type textParser struct {
	lexer
	builder
	tok token
}

func (p *textParser) advance() { p.tok = p.next() }

// expect moves to the next token, which must be one of those.
func (p *textParser) expect(oneOf ...token) error {
	p.advance()
	for _, t := range oneOf {
		if p.tok == t {
			return nil
		}
	}
	return p.unexpected(oneOf...)
}

// unexpected is the error in the words of the original's parser generator.
func (p *textParser) unexpected(want ...token) error {
	names := make([]string, len(want))
	for i, t := range want {
		names[i] = tokenNames[t]
	}
	return errAt(p.text, p.first, p.last,
		"syntax error, unexpected "+tokenNames[p.tok]+", expecting "+strings.Join(names, " or "))
}

// attribute reads one attribute, whose first token is the current one.
func (p *textParser) attribute() error {
	if p.tok != tokVariable {
		// After a whole attribute the original expects the end only.
		return p.unexpected(tokEnd)
	}
	if err := p.take(); err != nil {
		return err
	}
	name := attrName(p.val)
	if err := p.expect(tokEqual, tokEqualEmpty); err != nil {
		return err
	}
	if p.tok == tokEqualEmpty {
		p.single(name, "")
		return nil
	}
	// tokCData never comes, ParseText refuses "]]>" before; it is here because
	// the original names it.
	if err := p.expect(tokOBracket, tokCData, tokString); err != nil {
		return err
	}
	if p.tok == tokString {
		p.single(name, p.val)
		return nil
	}
	return p.vector(name)
}

// vector reads the rest of a vector behind its bracket.
func (p *textParser) vector(name string) error {
	p.beginVector(name)
	err := p.expect(tokCBracket, tokVariable)
	for err == nil && p.tok == tokVariable {
		if err = p.take(); err != nil {
			break
		}
		sub := subName(p.val)
		if err = p.expect(tokEqual); err != nil {
			break
		}
		if err = p.expect(tokString); err != nil {
			break
		}
		p.pair(sub, p.val)
		if err = p.expect(tokComma, tokCBracket); err != nil || p.tok == tokCBracket {
			break
		}
		err = p.expect(tokVariable)
	}
	if err != nil {
		return err
	}
	p.endVector(false)
	return nil
}

// subName is the name of a sub-attribute typed as name. Unlike the original it
// gets ONE_ before a digit, as an attribute does: an element cannot begin with
// one, and the original then prints documents nobody can read.
func subName(name string) string {
	if isDigit(name[0]) {
		return "ONE_" + upper(name)
	}
	return upper(name)
}

type token uint8

const (
	tokEnd token = iota
	tokEqual
	tokComma
	tokOBracket
	tokCBracket
	tokEqualEmpty
	tokCData
	tokString
	tokVariable
	tokInvalid
)

var tokenNames = [...]string{
	tokEnd: "$end", tokEqual: "EQUAL", tokComma: "COMMA", tokOBracket: "OBRACKET", tokCBracket: "CBRACKET",
	tokEqualEmpty: "EQUAL_EMPTY", tokCData: "CCDATA", tokString: "STRING", tokVariable: "VARIABLE",
	tokInvalid: "invalid token",
}

// lexer cuts a text template into tokens. It has two states: names, where the
// next token is anything but a value, and value, right behind an equals sign.
type lexer struct {
	text    string
	pos     int
	inValue bool

	first, last int    // bounds of the last thing read, blanks and comments included
	val         string // of tokString (unescaped) and tokVariable

	lastNewline     int // where the last line end of text is: a comment must have one behind it
	stray, strayLen int // the first character skipped because nothing begins with it
}

func newLexer(text string) lexer {
	return lexer{text: text, lastNewline: strings.LastIndexByte(text, '\n')}
}

// next returns the next token. At the end first and last stay where they are,
// which is where the original reports an unexpected end.
func (l *lexer) next() token {
	if l.inValue {
		return l.value()
	}
	for l.pos < len(l.text) {
		l.first = l.pos
		tok := l.name()
		l.last = l.pos
		if tok != tokEnd {
			return tok
		}
	}
	return tokEnd
}

// name reads one thing of the names state: a token, or tokEnd for blanks, a
// comment or a stray character.
func (l *lexer) name() token {
	blank := l.skip(l.pos, false)
	if blank < len(l.text) {
		switch l.text[blank] {
		case '=':
			end := l.skip(blank+1, false)
			if end < len(l.text) && l.text[end] == '\n' {
				l.pos = end + 1
				return tokEqualEmpty
			}
			l.pos, l.inValue = end, true
			return tokEqual
		case '#':
			if blank < l.lastNewline {
				l.pos = blank + 1 + strings.IndexByte(l.text[blank:], '\n')
				return tokEnd
			}
		}
	}
	space := l.skip(blank, true)
	if space < len(l.text) {
		switch l.text[space] {
		case ',':
			l.pos = l.skip(space+1, true)
			return tokComma
		case ']':
			l.pos = l.skip(space+1, true)
			return tokCBracket
		}
	}
	if space > l.pos {
		l.pos = space
		return tokEnd
	}
	end := l.pos
	for end < len(l.text) && isNameByte(l.text[end]) {
		end++
	}
	if end > l.pos {
		l.val, l.pos = l.text[l.pos:end], end
		return tokVariable
	}
	_, n := utf8.DecodeRuneInString(l.text[l.pos:])
	if l.strayLen == 0 {
		l.stray, l.strayLen = l.pos, n
	}
	l.pos += n
	return tokEnd
}

// value reads the value behind an equals sign and the blanks after it.
func (l *lexer) value() token {
	if l.pos == len(l.text) {
		return tokEnd
	}
	l.inValue = false
	l.first, l.last = l.pos, l.pos+1
	switch l.text[l.pos] {
	case '[':
		l.pos = l.skip(l.pos+1, true)
		l.last = l.pos
		return tokOBracket
	case '"':
		end := closingQuote(l.text, l.pos+1)
		if end < 0 {
			return tokEnd
		}
		l.val = unescape(l.text[l.pos+1 : end])
		l.pos = end + 1
		l.last = l.pos
		return tokString
	case ',':
		return tokComma
	case ']':
		return tokCBracket
	case '=':
		return tokEqual
	}
	end := l.pos
	for end < len(l.text) && !endsBare[l.text[end]] {
		end++
	}
	run := l.text[l.pos:end]
	switch {
	case run == "": // a comment where a value is due
		return tokInvalid
	case (strings.Count(run, `"`)-strings.Count(run, `\"`))%2 != 0: // a quote never closed, or never opened
		return tokEnd
	}
	l.val = unescape(run)
	l.pos, l.last = end, end
	return tokString
}

// skip returns the first position from i that is no blank, or, with lines, no
// blank and no line end.
func (l *lexer) skip(i int, lines bool) int {
	for ; i < len(l.text); i++ {
		switch l.text[i] {
		case ' ', '\t', '\r':
		case '\n':
			if !lines {
				return i
			}
		default:
			return i
		}
	}
	return i
}

func isNameByte(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' }

// endsBare marks the bytes that end an unquoted value.
var endsBare = [256]bool{' ': true, '\t': true, '\r': true, '\n': true, '=': true, '#': true, ',': true, '[': true, ']': true}

// closingQuote returns where the first quote from i is that has no backslash
// before it, or -1. The backslash itself cannot be escaped.
func closingQuote(text string, i int) int {
	for {
		n := strings.IndexByte(text[i:], '"')
		if n < 0 {
			return -1
		}
		if i += n; text[i-1] != '\\' {
			return i
		}
		i++
	}
}

// unescape turns \" into ", the only escape there is.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	return strings.ReplaceAll(s, `\"`, `"`)
}
