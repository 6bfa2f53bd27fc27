package expr

import (
	"fmt"
	"strings"
)

// The reference defines elasticity rules by a parsing expression grammar and
// shows its users that parser's reason. It names every terminal tried at the
// farthest place reached, in the order of trial, and then the input from the
// end of the longest whole expression up to that place.

// pegRefusal words the refusal of the token at hand; want are the terminals of
// the grammar that could have begun it.
func pegRefusal(p *parser[comparison], want []string) error {
	at := p.tok.pos
	all := make([]string, 0, len(want)+4)
	// A name or number that ends just here could also have gone on.
	if p.prev.end == at {
		switch p.prev.kind {
		case tokName:
			all = append(all, "[0-9a-zA-Z_]")
		case tokInt:
			all = append(all, "[0-9]", "'.'")
		case tokFloat:
			all = append(all, "[0-9]")
		}
	}
	all = append(all, "' '")
	return pegError(p, at, append(all, want...))
}

// pegError says that none of the terminals is found at the offset.
func pegError(p *parser[comparison], at int, want []string) error {
	var b strings.Builder
	b.WriteString("Expected ")
	if len(want) > 1 {
		b.WriteString("one of ")
	}
	seen := map[string]bool{}
	for _, w := range want {
		if seen[w] {
			continue
		}
		if len(seen) > 0 {
			b.WriteString(", ")
		}
		b.WriteString(w)
		seen[w] = true
	}
	// No expression goes beyond its first line, and no byte before the place is
	// more than one column.
	fmt.Fprintf(&b, " at line 1, column %d (byte %d)", at+1, at+1)
	if at > 0 {
		fmt.Fprintf(&b, " after %s", p.lex.src[p.whole:at])
	}
	return &SyntaxError{Message: b.String(), Offset: at}
}
