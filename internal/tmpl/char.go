package tmpl

import (
	"fmt"
	"unicode/utf8"
)

// Every template is printed as XML sooner or later, and one character that XML
// cannot hold makes a whole pool document unreadable for every client. So such
// characters are refused on input and replaced on output.

// badChar returns the position and length of the first character of s that an
// XML document cannot hold: a control character other than tab, line feed and
// carriage return, U+FFFE, U+FFFF, or bytes that are not UTF-8. at is -1 when
// there is none.
func badChar(s string) (at, size int) {
	for i := 0; i < len(s); {
		if i = plainPrefix(s, i); i == len(s) {
			break
		}
		if c := s[i]; c < utf8.RuneSelf {
			if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
				return i, 1
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || r == 0xFFFE || r == 0xFFFF {
			return i, n
		}
		i += n
	}
	return -1, 0
}

// plainPrefix returns how far s, from position i, is surely ASCII without
// control characters. It looks at eight bytes at a time, which matters where
// pools of thousands of templates are printed.
func plainPrefix(s string, i int) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for ; i+8 <= len(s); i += 8 {
		b := s[i : i+8]
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		// A byte below 0x20 borrows into its high bit; a byte above 0x7f has it.
		if (w-ones*0x20|w)&highs != 0 {
			break
		}
	}
	for i < len(s) && s[i] >= ' ' && s[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// checkChars refuses text that XML cannot hold.
func checkChars(text string) error {
	at, size := badChar(text)
	if at < 0 {
		return nil
	}
	what := fmt.Sprintf("invalid character %U", []rune(text[at : at+size])[0])
	if size == 1 && text[at] >= utf8.RuneSelf {
		what = fmt.Sprintf("invalid UTF-8 byte 0x%02x", text[at])
	}
	return errAt(text, at, at+size, what)
}
