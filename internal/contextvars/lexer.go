package contextvars

import "strings"

// kind is a kind of token, in the order in which error messages list them.
type kind int

const (
	end kind = iota
	equal
	comma
	openBracket
	closeBracket
	endOfAttr // the character behind a reference
	quoted    // a selector's value
	variable
	raw // text without references
)

// String gives the names that error messages use.
func (k kind) String() string {
	return [...]string{"$end", "EQUAL", "COMMA", "OBRACKET", "CBRACKET", "EOA", "STRING", "VARIABLE", "RSTRING"}[k]
}

// token is a piece of text[from:to]; text is its content, which for quoted is
// what stands between the quotes and for endOfAttr may be empty.
type token struct {
	kind     kind
	text     string
	from, to int
}

// lexer cuts a text with references into tokens. It has three states, like the
// reference's: plain text; inside a reference; behind the '=' of a selector.
// Source: OneGate reference §5.4.
type lexer struct {
	text  string
	pos   int
	state state
	at    token // the last stretch of text read, for error positions
}

type state int

const (
	plain state = iota
	inReference
	inValue
)

// next returns the next token; at the end it returns end, again and again.
func (l *lexer) next() token {
	for {
		if l.pos == len(l.text) {
			// Positions at the end are those of what was read last.
			if l.state == inReference {
				l.state = plain
				return token{kind: endOfAttr, from: l.pos, to: l.pos}
			}
			return token{kind: end, from: l.pos, to: l.pos}
		}
		switch l.state {
		case plain:
			if l.text[l.pos] != '$' {
				return l.take(raw, l.rawEnd())
			}
			l.take(raw, l.pos+1)
			l.state = inReference
		case inReference:
			return l.reference()
		case inValue:
			if t, ok := l.value(); ok {
				return t
			}
		}
	}
}

// take makes text[pos:to] a token and moves on.
func (l *lexer) take(k kind, to int) token {
	l.at = token{kind: k, text: l.text[l.pos:to], from: l.pos, to: to}
	l.pos = to
	return l.at
}

// rawEnd is where plain text ends: at the next '$' that has no backslash before
// it. A backslash always takes the character behind it along, so \\$ refers.
func (l *lexer) rawEnd() int {
	i := l.pos
	for i < len(l.text) && l.text[i] != '$' {
		if l.text[i] == '\\' && i+1 < len(l.text) {
			i++
		}
		i++
	}
	return i
}

func (l *lexer) reference() token {
	i := skipBlanks(l.text, l.pos)
	if i < len(l.text) {
		switch l.text[i] {
		case '=':
			l.state = inValue
			return l.take(equal, skipBlanks(l.text, i+1))
		case ',':
			return l.take(comma, skipBlanks(l.text, i+1))
		case ']':
			return l.take(closeBracket, i+1)
		}
	}
	switch c := l.text[l.pos]; {
	case c == '[':
		return l.take(openBracket, skipBlanks(l.text, l.pos+1))
	case isWord(c):
		i := l.pos
		for i < len(l.text) && isWord(l.text[i]) {
			i++
		}
		return l.take(variable, i)
	case c == '$': // the next reference follows at once
		t := l.take(endOfAttr, l.pos+1)
		t.text = ""
		return t
	}
	l.state = plain
	return l.take(endOfAttr, l.pos+1)
}

// value reads a selector's value; what cannot begin one is skipped, character
// by character, as the reference does.
func (l *lexer) value() (token, bool) {
	if l.text[l.pos] == '"' {
		if n := strings.IndexByte(l.text[l.pos+1:], '"'); n >= 0 {
			l.state = inReference
			t := l.take(quoted, l.pos+n+2)
			t.text = t.text[1 : len(t.text)-1]
			return t, true
		}
	}
	i := l.pos
	for i < len(l.text) && isWord(l.text[i]) && l.text[i] != '_' {
		i++
	}
	if i > l.pos {
		l.state = inReference
		return l.take(quoted, i), true
	}
	l.take(raw, l.pos+1)
	return token{}, false
}

func skipBlanks(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
		i++
	}
	return i
}

func isWord(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_'
}
