package xmlrpc

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// text is what can be written: bytes or a string.
type text interface{ string | []byte }

// maxEscape is the most bytes that one byte of text becomes.
const maxEscape = 5

// escapes holds for each byte what it becomes: up to seven bytes, first in the
// lowest place, and their number in the highest.
var escapes = func() (table [256]uint64) {
	for c := range table {
		table[c] = uint64(c) | 1<<56
		// No XML can hold a control character. One that reached an attribute
		// must not make a whole pool document unreadable for everyone.
		if isControl(byte(c)) {
			table[c] = packEscape("\uFFFD")
		}
	}
	table['\r'] = packEscape("&#13;") // bare, the reader would turn it into a line feed
	table['<'] = packEscape("&lt;")
	table['>'] = packEscape("&gt;")
	table['&'] = packEscape("&amp;")
	return table
}()

func packEscape(s string) uint64 {
	var b [8]byte
	copy(b[:7], s)
	b[7] = byte(len(s))
	return binary.LittleEndian.Uint64(b[:])
}

// AppendEscaped appends text so that it reads back the same as the content of
// an element. What XML cannot hold (control characters, U+FFFE, U+FFFF, bytes
// that are not UTF-8) becomes U+FFFD.
//
// Pools are documents of ten megabytes in which every few bytes are a bracket.
// So eight bytes are looked at and written at a time, and where one of them is
// to be replaced the write goes back to it and over it, without a branch on
// which one it is.
func AppendEscaped[T text](dst []byte, s T) []byte {
	const block = 4096
	s = mendRunes(s)
	dst = slices.Grow(dst, len(s))
	for len(s) > 0 {
		n := min(len(s), block)
		dst = slices.Grow(dst, n*maxEscape+8)
		dst = dst[:len(dst)+escapeBlock(dst[len(dst):cap(dst)], s[:n])]
		s = s[n:]
	}
	return dst
}

// escapeBlock writes s to out, which has room for the longest result and eight
// bytes more, and returns the length of the result.
func escapeBlock[T text](out []byte, s T) (length int) {
	i := 0
	for i+8 <= len(s) {
		b := s[i : i+8]
		word := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		binary.LittleEndian.PutUint64(out[length:], word)
		clean := cleanPrefix(word)
		i += clean
		length += clean
		if clean < 8 {
			length += putEscape(out[length:], s[i])
			i++
		}
	}
	for ; i < len(s); i++ {
		length += putEscape(out[length:], s[i])
	}
	return length
}

// putEscape writes what the byte becomes, scribbles behind it, and returns its
// length.
func putEscape(out []byte, c byte) int {
	e := escapes[c]
	binary.LittleEndian.PutUint64(out, e)
	return int(e >> 56)
}

// cleanPrefix returns how many of the eight bytes, from the lowest, come before
// the first that is &, < or > or below a blank.
func cleanPrefix(word uint64) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	// A subtraction borrows into the high bit of a byte that is smaller than
	// what is taken away. It may set that of a later byte too, but never of an
	// earlier one, and the earliest is what is asked for.
	below := func(x, limit uint64) uint64 { return (x - ones*limit) &^ x & highs }
	found := below(word, ' ') |
		below(word^ones*'&', 1) |
		below((word|ones*('<'^'>'))^ones*'>', 1) // the brackets differ in one bit
	return bits.TrailingZeros64(found) / 8 // 64 zeros if nothing is found
}

// mendRunes replaces in s, by U+FFFD, what is not UTF-8 and the two characters
// beyond ASCII that XML excludes. It returns s itself in the usual case.
func mendRunes[T text](s T) T {
	switch v := any(s).(type) {
	case string:
		if !utf8.ValidString(v) || strings.Contains(v, nonCharacterPrefix) {
			return T(mendString(v))
		}
	case []byte:
		if !utf8.Valid(v) || bytes.Contains(v, []byte(nonCharacterPrefix)) {
			return T(mendString(string(v)))
		}
	}
	return s
}

// nonCharacterPrefix begins U+FFFE and U+FFFF, and other characters too.
const nonCharacterPrefix = "\xEF\xBF"

func mendString(s string) string {
	return strings.Map(func(r rune) rune {
		if r == 0xFFFE || r == 0xFFFF {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
