package expr

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// glob is a shell pattern: * any text, ? any character, [a-z] and [!a-z] one of
// or none of, \ takes the next character as it is. As in the reference (C's
// fnmatch without flags) a slash and a leading dot are ordinary characters.
type glob struct {
	literal string     // of a pattern without special characters
	parts   []globPart // of any other, not nil
}

// globPart covers one character, or with partStar any number of them.
type globPart struct {
	kind    partKind
	char    string      // partChar
	ranges  []runeRange // partSet, with the next two
	classes []func(rune) bool
	negated bool
}

type partKind uint8

const (
	partChar partKind = iota
	partAny
	partStar
	partSet
	partNothing // matches no character
)

type runeRange struct{ low, high rune }

// newGlob reads a pattern; there is no pattern it refuses.
func newGlob(pattern string) glob {
	if !isPattern(pattern) {
		return glob{literal: pattern}
	}
	var g []globPart
	for i := 0; i < len(pattern); {
		switch pattern[i] {
		case '*':
			if len(g) == 0 || g[len(g)-1].kind != partStar {
				g = append(g, globPart{kind: partStar})
			}
			i++
			continue
		case '?':
			g = append(g, globPart{kind: partAny})
			i++
			continue
		case '[':
			if part, end, closed := newSet(pattern, i+1); closed {
				g = append(g, part)
				i = end
				continue
			}
		case '\\':
			if i++; i == len(pattern) {
				g = append(g, globPart{kind: partNothing})
				continue
			}
		}
		_, width := utf8.DecodeRuneInString(pattern[i:])
		g = append(g, globPart{char: pattern[i : i+width]})
		i += width
	}
	return glob{parts: g}
}

func isPattern(s string) bool { return strings.ContainsAny(s, `*?[\`) }

// newSet reads the bracket whose inside begins at i. closed is false when there
// is no closing bracket, which makes the opening one an ordinary character.
func newSet(pattern string, i int) (part globPart, end int, closed bool) {
	part.kind = partSet
	if i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^') {
		part.negated = true
		i++
	}
	for first := true; i < len(pattern); first = false {
		rest := pattern[i:]
		if rest[0] == ']' && !first {
			return part, i + 1, true
		}
		if strings.HasPrefix(rest, "[:") {
			if end := strings.Index(rest, ":]"); end > 0 {
				part.classes = append(part.classes, namedClass(rest[2:end]))
				i += end + 2
				continue
			}
		}
		low, width := setRune(rest)
		i += width
		high := low
		if rest = pattern[i:]; len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
			high, width = setRune(rest[1:])
			i += 1 + width
		}
		part.ranges = append(part.ranges, runeRange{low, high})
	}
	return part, i, false
}

// setRune reads one character inside brackets; a backslash takes the next.
func setRune(s string) (r rune, width int) {
	if len(s) > 1 && s[0] == '\\' {
		r, width = utf8.DecodeRuneInString(s[1:])
		return r, width + 1
	}
	return utf8.DecodeRuneInString(s)
}

// match tells whether the pattern covers the whole of s.
func (g glob) match(s string) bool {
	if g.parts == nil {
		return g.literal == s
	}
	return covers(g.parts, s)
}

// covers goes back to the last star only, which is enough, so the time is at
// most the product of the two lengths.
func covers(g []globPart, s string) bool {
	p, i := 0, 0
	star, resume := -1, 0
	for i < len(s) {
		if p < len(g) && g[p].kind == partStar {
			star, resume = p, i
			p++
			continue
		}
		r, width := utf8.DecodeRuneInString(s[i:])
		if p < len(g) && g[p].covers(r, s[i:i+width]) {
			p, i = p+1, i+width
			continue
		}
		if star < 0 {
			return false
		}
		_, width = utf8.DecodeRuneInString(s[resume:])
		resume += width
		p, i = star+1, resume
	}
	for p < len(g) && g[p].kind == partStar {
		p++
	}
	return p == len(g)
}

// covers matches one character, given both decoded and as written.
func (p *globPart) covers(r rune, char string) bool {
	switch p.kind {
	case partChar:
		return p.char == char
	case partAny:
		return true
	case partSet:
		return p.contains(r) != p.negated
	}
	return false
}

func (p *globPart) contains(r rune) bool {
	for _, x := range p.ranges {
		if x.low <= r && r <= x.high {
			return true
		}
	}
	for _, in := range p.classes {
		if in(r) {
			return true
		}
	}
	return false
}

// namedClass returns the class of [:name:]; an unknown one is empty.
func namedClass(name string) func(rune) bool {
	switch name {
	case "alpha":
		return unicode.IsLetter
	case "digit":
		return func(r rune) bool { return '0' <= r && r <= '9' }
	case "alnum":
		return func(r rune) bool { return unicode.IsLetter(r) || '0' <= r && r <= '9' }
	case "upper":
		return unicode.IsUpper
	case "lower":
		return unicode.IsLower
	case "space":
		return unicode.IsSpace
	case "blank":
		return func(r rune) bool { return r == ' ' || r == '\t' }
	case "punct":
		return func(r rune) bool { return unicode.IsPunct(r) || unicode.IsSymbol(r) }
	case "xdigit":
		return func(r rune) bool { return strings.ContainsRune("0123456789abcdefABCDEF", r) }
	case "cntrl":
		return unicode.IsControl
	case "graph":
		return func(r rune) bool { return unicode.IsPrint(r) && r != ' ' }
	case "print":
		return unicode.IsPrint
	}
	return func(rune) bool { return false }
}
