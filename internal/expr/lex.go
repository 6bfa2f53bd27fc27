package expr

import "strings"

// kind tells the classes of tokens apart.
type kind uint8

const (
	tokEnd kind = iota
	tokName
	tokQuoted // a name or string in quotes
	tokInt
	tokFloat
	tokOperator
	tokBad // what no token of the language begins or continues like
)

// token is one word of the source. Offsets are in bytes, end is exclusive.
type token struct {
	kind     kind
	text     string // as written; without the quotes for tokQuoted of a free dialect
	pos, end int
	line     int // 1-based, of the last byte

	// Of a tokBad which broke off inside: where, and what could have gone on there.
	badAt int
	want  []string
}

// is tells whether the token is the operator.
func (t token) is(op string) bool { return t.kind == tokOperator && t.text == op }

// dialect is what the lexers of the three languages differ in.
type dialect struct {
	blanks    string   // bytes which separate tokens
	operators []string // longest first
	signed    bool     // a minus before a digit belongs to the number
	exact     bool     // "name" and 'name' hold a name and keep their quotes; a broken token says what it lacks
}

// lexer cuts a source into tokens.
type lexer struct {
	dialect *dialect
	src     string
	pos     int
	line    int

	// The piece last read, be it a token or blanks: the reference reports the
	// end of the source at the place of its last piece.
	lastPos, lastEnd int
}

func (l *lexer) next() token {
	l.skipBlanks()
	if l.pos == len(l.src) {
		return token{kind: tokEnd, pos: l.pos, end: l.pos, line: l.line}
	}
	t := l.scan()
	t.line = l.line
	l.lastPos, l.lastEnd = t.pos, t.end
	l.pos = t.end
	return t
}

func (l *lexer) skipBlanks() {
	start := l.pos
	for l.pos < len(l.src) && strings.IndexByte(l.dialect.blanks, l.src[l.pos]) >= 0 {
		if l.src[l.pos] == '\n' {
			l.line++
		}
		l.pos++
	}
	if l.pos > start {
		l.lastPos, l.lastEnd = start, l.pos
	}
}

// scan reads the token at l.pos, which is not a blank and not the end.
func (l *lexer) scan() token {
	c := l.src[l.pos]
	switch {
	case isLetter(c):
		return l.cut(tokName, l.pos+run(l.src[l.pos:], isNameByte))
	case isDigit(c):
		return l.number(l.pos)
	case c == '-' && l.dialect.signed:
		if l.pos+1 < len(l.src) && isDigit(l.src[l.pos+1]) {
			return l.number(l.pos + 1)
		}
		if l.dialect.exact {
			// The reference tries a fraction and then an integer, hence twice.
			return l.broken(l.pos+1, "[0-9]", "[0-9]")
		}
	case c == '"' && !l.dialect.exact:
		return l.quoted()
	case (c == '"' || c == '\'') && l.dialect.exact:
		return l.quotedName(c)
	}
	for _, op := range l.dialect.operators {
		if strings.HasPrefix(l.src[l.pos:], op) {
			return l.cut(tokOperator, l.pos+len(op))
		}
	}
	return l.broken(l.pos)
}

func (l *lexer) cut(k kind, end int) token {
	return token{kind: k, text: l.src[l.pos:end], pos: l.pos, end: end}
}

// broken is a token that cannot be read on at the offset.
func (l *lexer) broken(at int, want ...string) token {
	t := l.cut(tokBad, max(at, l.pos+1))
	t.badAt, t.want = at, want
	return t
}

// number reads digits ["." digits]; the digits begin at the offset given.
func (l *lexer) number(digits int) token {
	end := digits + run(l.src[digits:], isDigit)
	if end == len(l.src) || l.src[end] != '.' {
		return l.cut(tokInt, end)
	}
	fraction := run(l.src[end+1:], isDigit)
	if fraction > 0 {
		return l.cut(tokFloat, end+1+fraction)
	}
	if l.dialect.exact {
		return l.broken(end+1, "[0-9]")
	}
	return l.cut(tokInt, end)
}

// quoted reads "anything but quotes".
func (l *lexer) quoted() token {
	n := strings.IndexByte(l.src[l.pos+1:], '"')
	if n < 0 {
		return l.broken(l.pos)
	}
	t := l.cut(tokQuoted, l.pos+n+2)
	t.text = t.text[1 : n+1]
	l.line += strings.Count(t.text, "\n")
	return t
}

// quotedName reads a name between two of the quotes.
func (l *lexer) quotedName(quote byte) token {
	start := l.pos + 1
	if start == len(l.src) || !isLetter(l.src[start]) {
		return l.broken(start, "[a-zA-Z]")
	}
	end := start + run(l.src[start:], isNameByte)
	if end == len(l.src) || l.src[end] != quote {
		closing := `'"'`
		if quote == '\'' {
			closing = `'\''`
		}
		return l.broken(end, "[0-9a-zA-Z_]", closing)
	}
	return l.cut(tokQuoted, end+1)
}

// run counts the leading bytes of s that satisfy is.
func run(s string, is func(byte) bool) int {
	n := 0
	for n < len(s) && is(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool    { return '0' <= c && c <= '9' }
func isLetter(c byte) bool   { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isNameByte(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' }
