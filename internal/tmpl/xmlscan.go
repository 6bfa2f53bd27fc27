package tmpl

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// errXML is any fault in XML: the original has one text for all of them.
var errXML = errors.New("malformed XML")

// xmlScanner cuts an XML document into pieces. Its methods begin at pos, leave
// pos behind the piece, and fail with errXML.
type xmlScanner struct {
	text string
	pos  int
}

// startTag reads <name …> or <name …/>.
func (s *xmlScanner) startTag() (name string, empty bool, err error) {
	s.pos++
	if name, err = s.name(); err != nil {
		return "", false, err
	}
	for {
		spaced := s.space()
		rest := s.text[s.pos:]
		switch {
		case strings.HasPrefix(rest, ">"):
			s.pos++
			return name, false, nil
		case strings.HasPrefix(rest, "/>"):
			s.pos += 2
			return name, true, nil
		case !spaced:
			return "", false, errXML
		}
		if err := s.xmlAttribute(); err != nil {
			return "", false, err
		}
	}
}

// xmlAttribute reads name="value", which no template has a use for.
func (s *xmlScanner) xmlAttribute() error {
	if _, err := s.name(); err != nil {
		return err
	}
	s.space()
	if s.pos == len(s.text) || s.text[s.pos] != '=' {
		return errXML
	}
	s.pos++
	s.space()
	if s.pos == len(s.text) || s.text[s.pos] != '"' && s.text[s.pos] != '\'' {
		return errXML
	}
	end := strings.IndexByte(s.text[s.pos+1:], s.text[s.pos])
	if end < 0 {
		return errXML
	}
	value := s.text[s.pos+1 : s.pos+1+end]
	s.pos += end + 2
	if strings.IndexByte(value, '<') >= 0 {
		return errXML
	}
	_, err := decodeText(value)
	return err
}

// endTag reads </name>.
func (s *xmlScanner) endTag() (string, error) {
	s.pos += len("</")
	name, err := s.name()
	if err != nil {
		return "", err
	}
	s.space()
	if s.pos == len(s.text) || s.text[s.pos] != '>' {
		return "", errXML
	}
	s.pos++
	return name, nil
}

// comment reads a comment; "--" may only be in it as a part of its end.
func (s *xmlScanner) comment() error {
	body := s.pos + len("<!--")
	n := strings.Index(s.text[body:], "--")
	if n < 0 || !strings.HasPrefix(s.text[body+n:], "-->") {
		return errXML
	}
	s.pos = body + n + len("-->")
	return nil
}

// instruction reads <?name …?>, the XML declaration among them. The encoding
// that one may declare is ignored: it told of a file, the text is decoded.
func (s *xmlScanner) instruction() error {
	start := s.pos
	s.pos += len("<?")
	name, err := s.name()
	if err != nil {
		return err
	}
	if strings.EqualFold(name, "xml") && start > 0 {
		return errXML
	}
	spaced := s.space()
	n := strings.Index(s.text[s.pos:], "?>")
	if n < 0 || n > 0 && !spaced {
		return errXML
	}
	s.pos += n + len("?>")
	return nil
}

// cdata reads a CDATA section.
func (s *xmlScanner) cdata() (string, error) {
	body := s.pos + len("<![CDATA[")
	n := strings.Index(s.text[body:], "]]>")
	if n < 0 {
		return "", errXML
	}
	s.pos = body + n + len("]]>")
	return lineEnds(s.text[body : body+n]), nil
}

// charData reads text up to the next markup.
func (s *xmlScanner) charData() (string, error) {
	run := s.text[s.pos:]
	if n := strings.IndexByte(run, '<'); n >= 0 {
		run = run[:n]
	}
	s.pos += len(run)
	if strings.Contains(run, "]]>") {
		return "", &ParseError{}
	}
	return decodeText(run)
}

// space skips white space and tells whether there was any.
func (s *xmlScanner) space() bool {
	start := s.pos
	for s.pos < len(s.text) && strings.IndexByte(blanks+"\n", s.text[s.pos]) >= 0 {
		s.pos++
	}
	return s.pos > start
}

// name reads an ASCII name with at most one prefix.
func (s *xmlScanner) name() (string, error) {
	start, colons := s.pos, 0
	for ; s.pos < len(s.text); s.pos++ {
		c := s.text[s.pos]
		if c == ':' {
			colons++
		}
		first := s.pos == start || s.text[s.pos-1] == ':'
		if !isLetter(c) && c != '_' && (first || !isDigit(c) && c != '-' && c != '.' && c != ':') {
			break
		}
	}
	name := s.text[start:s.pos]
	if name == "" || colons > 1 || name[len(name)-1] == ':' {
		return "", errXML
	}
	return name, nil
}

// lineEnds turns every line end into a line feed, as XML has it.
func lineEnds(s string) string {
	if strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// decodeText resolves the references in a run of text.
func decodeText(s string) (string, error) {
	s = lineEnds(s)
	amp := strings.IndexByte(s, '&')
	if amp < 0 {
		return s, nil
	}
	var b strings.Builder
	b.Grow(len(s))
	for ; amp >= 0; amp = strings.IndexByte(s, '&') {
		b.WriteString(s[:amp])
		s = s[amp+1:]
		// The longest reference worth reading is #x10FFFF, with some zeros.
		semicolon := strings.IndexByte(s[:min(len(s), 32)], ';')
		if semicolon < 0 {
			return "", errXML
		}
		r, ok := reference(s[:semicolon])
		if !ok {
			return "", errXML
		}
		b.WriteRune(r)
		s = s[semicolon+1:]
	}
	b.WriteString(s)
	return b.String(), nil
}

// reference returns the character that &ref; stands for.
func reference(ref string) (rune, bool) {
	switch ref {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	digits, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return 0, false
	}
	base := 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 21)
	if err != nil || !utf8.ValidRune(rune(n)) {
		return 0, false
	}
	at, _ := badChar(string(rune(n)))
	return rune(n), at < 0
}
