package tmpl

import (
	"strings"
	"unicode/utf8"
)

// AppendXML appends the attributes as XML elements, without an element around
// them: every value in a CDATA section, a vector as an element of elements.
// Characters XML cannot hold come out as U+FFFD, so that no value can spoil the
// document. Source: XML-RPC reference §3.
func (t *Template) AppendXML(dst []byte) []byte {
	for _, a := range t.All() {
		dst = a.AppendXML(dst)
	}
	return dst
}

// AppendXML appends the attribute as one XML element.
func (a Attr) AppendXML(dst []byte) []byte {
	if a.IsVector() {
		return a.Vector.AppendXML(dst, a.Name)
	}
	return appendElement(dst, a.Name, a.Value)
}

// AppendXML appends the vector as the XML element called name.
func (v Vector) AppendXML(dst []byte, name string) []byte {
	dst = append(dst, '<')
	dst = append(dst, name...)
	dst = append(dst, '>')
	for _, p := range v {
		if p.Name != "" { // as the original: such a pair has no element to be
			dst = appendElement(dst, p.Name, p.Value)
		}
	}
	dst = append(dst, "</"...)
	dst = append(dst, name...)
	return append(dst, '>')
}

func appendElement(dst []byte, name, value string) []byte {
	dst = append(dst, '<')
	dst = append(dst, name...)
	dst = append(dst, "><![CDATA["...)
	if at, _ := badChar(value); at >= 0 || strings.Contains(value, "]]>") {
		dst = appendMended(dst, value)
	} else {
		dst = append(dst, value...)
	}
	dst = append(dst, "]]></"...)
	dst = append(dst, name...)
	return append(dst, '>')
}

// appendMended appends a value that cannot stand in a CDATA section as it is.
// The parsers refuse such values, but a template may be made in other ways.
func appendMended(dst []byte, value string) []byte {
	value = strings.ReplaceAll(value, "]]>", "]]]]><![CDATA[>")
	for at, n := badChar(value); at >= 0; at, n = badChar(value) {
		dst = append(dst, value[:at]...)
		dst = utf8.AppendRune(dst, utf8.RuneError)
		value = value[at+n:]
	}
	return append(dst, value...)
}

// Text returns the template in the text form, one attribute a line and one
// sub-attribute a line. ParseText reads it back to the same template, but for
// what that form cannot say: names outside it, "]]>", and a quoted value that
// ends in a backslash, which gets a blank behind it so that what follows
// survives. Source: XML-RPC reference §9.3.
func (t *Template) Text() string { return string(t.AppendText(nil)) }

// AppendText appends the text form of the template.
func (t *Template) AppendText(dst []byte) []byte {
	for _, a := range t.All() {
		dst = append(dst, a.Name...)
		dst = append(dst, '=')
		if !a.IsVector() {
			dst = append(appendTextValue(dst, a.Value), '\n')
			continue
		}
		dst = append(dst, '[')
		for i, p := range a.Vector {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, "\n  "...)
			dst = append(dst, p.Name...)
			dst = append(dst, '=')
			dst = appendTextValue(dst, p.Value)
		}
		dst = append(dst, " ]\n"...)
	}
	return dst
}

func appendTextValue(dst []byte, value string) []byte {
	if strings.HasSuffix(value, `\`) {
		// A quote behind it would be an escaped one, so the value must stand bare.
		if isBare(value) {
			return appendEscaped(dst, value)
		}
		value += " "
	}
	dst = append(dst, '"')
	dst = appendEscaped(dst, value)
	return append(dst, '"')
}

// isBare tells whether a value can be written without quotes.
func isBare(value string) bool {
	for i := 0; i < len(value); i++ {
		if endsBare[value[i]] {
			return false
		}
	}
	return value != ""
}

func appendEscaped(dst []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:i]...)
		dst = append(dst, `\"`...)
		s = s[i+1:]
	}
}

// AppendJSON appends the template as a JSON object: a single attribute is a
// string, a vector an object of strings, several of one name an array.
// Source: OneGate reference §1.5.
func (t *Template) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	all := t.All()
	for i := 0; i < len(all); {
		same := i + 1
		for same < len(all) && all[same].Name == all[i].Name {
			same++
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendJSONString(dst, all[i].Name), ':')
		if same-i == 1 {
			dst = all[i].AppendJSON(dst)
		} else {
			for j, a := range all[i:same] {
				dst = append(dst, "[,"[min(j, 1)])
				dst = a.AppendJSON(dst)
			}
			dst = append(dst, ']')
		}
		i = same
	}
	return append(dst, '}')
}

// AppendJSON appends the value of the attribute: a string or an object.
func (a Attr) AppendJSON(dst []byte) []byte {
	if a.IsVector() {
		return a.Vector.AppendJSON(dst)
	}
	return appendJSONString(dst, a.Value)
}

// AppendJSON appends the vector as a JSON object of strings.
func (v Vector) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i, p := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendJSONString(dst, p.Name), ':')
		dst = appendJSONString(dst, p.Value)
	}
	return append(dst, '}')
}

// appendJSONString appends s as a JSON string. Bytes that are not UTF-8 come
// out as U+FFFD.
func appendJSONString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, s[from:i]...)
				dst = utf8.AppendRune(dst, r)
				from = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hex[c>>4], hex[c&15])
		}
		i++
		from = i
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}
