package iso9660

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Lengths of identifiers. Level 2 of ISO 9660 allows 31 characters, of which
// the dot of a file name is one; Joliet allows 64 UCS-2 units.
const (
	maxPlainName  = 30
	maxPlainExt   = 8
	maxJolietName = 64
	maxJolietExt  = 8
)

// plainNames gives every child of a directory its ISO 9660 identifier: upper
// case, one dot, version 1, unique in the directory.
func plainNames(dir *node) map[*node][]byte {
	out := make(map[*node][]byte, len(dir.children))
	taken := unique{}
	for _, c := range dir.children {
		stem, ext := c.name, ""
		if i := strings.LastIndexByte(c.name, '.'); i > 0 && !c.Mode.IsDir() {
			stem, ext = c.name[:i], c.name[i+1:]
		}
		ext = plain(ext)
		ext = ext[:min(len(ext), maxPlainExt)]
		dot, version := ".", ";1"
		if c.Mode.IsDir() {
			dot, version = "", ""
		}
		stem = plain(stem)
		name := taken.pick(stem, maxPlainName-len(ext), "_", func(stem string) string { return stem + dot + ext })
		out[c] = []byte(name + version)
	}
	return out
}

// plain maps a name to the characters of ISO 9660, byte by byte.
func plain(s string) string {
	b := []byte(s)
	for i, c := range b {
		switch {
		case c >= 'a' && c <= 'z':
			b[i] = c - 'a' + 'A'
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
		default:
			b[i] = '_'
		}
	}
	return string(b)
}

// jolietNames gives every child that a Joliet tree can hold its identifier in
// UCS-2, unique in the directory. Symbolic links are left out: Joliet has none.
func jolietNames(dir *node) map[*node][]byte {
	out := make(map[*node][]byte, len(dir.children))
	taken := unique{}
	for _, c := range dir.children {
		if c.Target != "" {
			continue
		}
		clean := joliet(c.name)
		stem, ext := clean, ""
		if i := strings.LastIndexByte(clean, '.'); i > 0 && utf8.RuneCountInString(clean[i:]) <= maxJolietExt && !c.Mode.IsDir() {
			stem, ext = clean[:i], clean[i:]
		}
		name := taken.pick(stem, maxJolietName-utf8.RuneCountInString(ext), "~", func(stem string) string { return stem + ext })
		if !c.Mode.IsDir() {
			name += ";1"
		}
		out[c] = ucs2(name)
	}
	return out
}

// joliet maps a name to the characters of Joliet; each rune of the result is
// one UCS-2 unit.
func joliet(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0xffff || r == utf8.RuneError || strings.ContainsRune(`*/:;?\`, r) {
			return '_'
		}
		return r
	}, s)
}

// ucs2 encodes runes below 0x10000, big end first.
func ucs2(s string) []byte {
	out := make([]byte, 0, 2*len(s))
	for _, r := range s {
		out = binary.BigEndian.AppendUint16(out, uint16(r))
	}
	return out
}

// unique hands out names that differ. It maps what was handed out to the next
// number to try for it, so that thousands of equal names stay cheap.
type unique map[string]int

// pick cuts stem to limit runes and builds a name from it; if that is taken,
// the end of the stem gives way to mark and a number.
func (u unique) pick(stem string, limit int, mark string, build func(stem string) string) string {
	runes := []rune(stem)
	runes = runes[:min(len(runes), limit)]
	base := build(string(runes))
	name := base
	for n, clash := u[base]; clash; {
		tail := []rune(fmt.Sprintf("%s%d", mark, n))
		name = build(string(runes[:min(len(runes), limit-len(tail))]) + string(tail))
		n++
		u[base] = n
		_, clash = u[name]
	}
	u[name] = 1
	return name
}
