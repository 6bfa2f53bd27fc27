package expr

import (
	"fmt"
	"strings"
)

// The scheduler's languages are defined by LALR grammars in the reference, and
// its users read the generated parser's messages (in SCHED_MESSAGE). We give
// the same sentences: the token met, the tokens possible when they are at most
// four, and the place as byte columns from 1.

const (
	wordEnd    = "end of file"
	wordString = "STRING"
	wordInt    = "INTEGER"
	wordFloat  = "FLOAT"
)

// bisonRefusal words the refusal of the token at hand.
func bisonRefusal[L any](p *parser[L], want []string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "syntax error, unexpected %s", bisonWord(p.tok))
	if len(want) <= 4 {
		for i, w := range want {
			b.WriteString([2]string{", expecting ", " or "}[min(i, 1)])
			b.WriteString(w)
		}
	}
	return bisonError(p, b.String())
}

// bisonError is a message about the token at hand.
func bisonError[L any](p *parser[L], message string) error {
	first, last := p.tok.pos, p.tok.end
	if p.tok.kind == tokEnd {
		first, last = p.lex.lastPos, p.lex.lastEnd
	}
	return &SyntaxError{
		Message: fmt.Sprintf("%s at line %d, columns %d:%d", message, p.tok.line, first+1, last+1),
		Offset:  p.tok.pos,
	}
}

func bisonWord(t token) string {
	switch t.kind {
	case tokEnd:
		return wordEnd
	case tokName, tokQuoted:
		return wordString
	case tokInt:
		return wordInt
	case tokFloat:
		return wordFloat
	case tokOperator:
		return "'" + t.text + "'"
	}
	// The reference skips such bytes silently and then trips over what follows,
	// or does not; we say what is wrong.
	return fmt.Sprintf("character %q", t.text)
}
