package xmlrpc

import (
	"strconv"
	"strings"
)

// The documents of the interface have no declaration and no blanks between
// elements; fixed fields are bare and free text is in CDATA sections (XML-RPC
// reference §3). The functions below append their pieces. Names are written as
// they are and must be names of XML elements.

// AppendOpen appends <name>.
func AppendOpen(dst []byte, name string) []byte {
	dst = append(dst, '<')
	dst = append(dst, name...)
	return append(dst, '>')
}

// AppendClose appends </name>.
func AppendClose(dst []byte, name string) []byte {
	dst = append(dst, "</"...)
	dst = append(dst, name...)
	return append(dst, '>')
}

// AppendEmpty appends <name/>.
func AppendEmpty(dst []byte, name string) []byte {
	dst = append(dst, '<')
	dst = append(dst, name...)
	return append(dst, "/>"...)
}

// AppendElem appends an element with the text, escaped.
func AppendElem(dst []byte, name, text string) []byte {
	dst = AppendOpen(dst, name)
	dst = AppendEscaped(dst, text)
	return AppendClose(dst, name)
}

// AppendInt appends an element with a number.
func AppendInt[N ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32](dst []byte, name string, n N) []byte {
	dst = AppendOpen(dst, name)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return AppendClose(dst, name)
}

// AppendBool appends an element with 1 for true and 0 for false.
func AppendBool(dst []byte, name string, b bool) []byte {
	digit := byte('0')
	if b {
		digit = '1'
	}
	dst = AppendOpen(dst, name)
	dst = append(dst, digit)
	return AppendClose(dst, name)
}

// AppendCDATA appends an element with the text in a CDATA section. "]]>" is
// split over two sections, which read back as the same text. What XML cannot
// hold becomes U+FFFD, as in AppendEscaped.
func AppendCDATA(dst []byte, name, text string) []byte {
	dst = AppendOpen(dst, name)
	dst = append(dst, "<![CDATA["...)
	dst = append(dst, mendCDATA(text)...)
	dst = append(dst, "]]>"...)
	return AppendClose(dst, name)
}

// mendCDATA returns s as it can stand in a CDATA section.
func mendCDATA(s string) string {
	s = mendRunes(s)
	for i := 0; i < len(s); i++ {
		if isControl(s[i]) {
			s = strings.Map(func(r rune) rune {
				if r < ' ' && isControl(byte(r)) {
					return '\uFFFD'
				}
				return r
			}, s)
			break
		}
	}
	if strings.Contains(s, "]]>") {
		s = strings.ReplaceAll(s, "]]>", "]]]]><![CDATA[>")
	}
	return s
}

// isControl tells whether the byte is a control character XML cannot hold.
func isControl(c byte) bool { return c < ' ' && c != '\t' && c != '\n' && c != '\r' }
