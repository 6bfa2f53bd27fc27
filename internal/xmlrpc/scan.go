package xmlrpc

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// malformed says why a message cannot be read; it becomes a Fault for a caller
// and an ordinary error for a client.
type malformed struct {
	code    int
	message string
}

func (m *malformed) Error() string { return m.message }

// scanner reads XML from a buffer, as far as XML-RPC needs it: elements, text,
// CDATA, references to characters. Attributes, comments and processing
// instructions are passed over; document types are refused, and with them every
// entity but the five of XML.
type scanner struct {
	subject string // what is read, as an error message begins
	b       []byte
	pos     int
	returns bool   // there are carriage returns, which text is normalised for
	scratch []byte // text that is not in b as it is
}

// tag is <name>, </name> or <name/>.
type tag struct {
	name  []byte
	close bool
	empty bool
}

// start checks the characters of the buffer and passes its XML declaration.
func (s *scanner) start(b []byte) error {
	b = bytes.TrimPrefix(b, []byte("\uFEFF"))
	s.b = b
	if !utf8.Valid(b) {
		return &malformed{FaultUTF8, fmt.Sprintf("%s is not valid UTF-8.  Invalid byte sequence at byte %d", s.subject, invalidAt(b))}
	}
	for i, c := range b {
		if c < ' ' && c != '\n' && c != '\t' {
			if c != '\r' {
				return s.badAt(i, "control character %#02x is not allowed", c)
			}
			s.returns = true
		}
	}
	s.blanks()
	if !bytes.HasPrefix(b[s.pos:], []byte("<?xml")) {
		return nil
	}
	declaration := s.pos
	if err := s.passTo("?>", "XML declaration"); err != nil {
		return err
	}
	return s.checkEncoding(string(b[declaration:s.pos]))
}

// checkEncoding refuses a message that says it is not UTF-8 and could differ.
func (s *scanner) checkEncoding(declaration string) error {
	_, rest, found := strings.Cut(declaration, "encoding")
	if !found {
		return nil
	}
	rest = strings.TrimLeft(rest, " \t\r\n=")
	if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
		return s.bad("encoding of the XML declaration is not quoted")
	}
	name, _, found := strings.Cut(rest[1:], rest[:1])
	if !found {
		return s.bad("encoding of the XML declaration is not quoted")
	}
	if strings.EqualFold(name, "UTF-8") || strings.EqualFold(name, "UTF8") {
		return nil
	}
	for _, c := range s.b {
		if c >= utf8.RuneSelf {
			return s.bad("encoding %.40q is not supported, expected UTF-8", name)
		}
	}
	return nil // all of it is ASCII, which every encoding in use agrees on
}

func invalidAt(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

func (s *scanner) bad(format string, args ...any) error { return s.badAt(s.pos, format, args...) }

func (s *scanner) badAt(pos int, format string, args ...any) error {
	return &malformed{FaultParse, fmt.Sprintf("%s is not valid XML.  %s at byte %d", s.subject, fmt.Sprintf(format, args...), pos)}
}

func (s *scanner) blanks() {
	for s.pos < len(s.b) && isBlank(s.b[s.pos]) {
		s.pos++
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// passTo goes behind the next end mark.
func (s *scanner) passTo(end, what string) error {
	n := bytes.Index(s.b[s.pos:], []byte(end))
	if n < 0 {
		return s.bad("%s is not closed", what)
	}
	s.pos += n + len(end)
	return nil
}

// pass goes behind the comment or instruction at s.pos, if there is one.
func (s *scanner) pass() (passed bool, err error) {
	rest := s.b[s.pos:]
	switch {
	case bytes.HasPrefix(rest, []byte("<!--")):
		s.pos += 4
		return true, s.passTo("-->", "comment")
	case bytes.HasPrefix(rest, []byte("<?")):
		return true, s.passTo("?>", "processing instruction")
	}
	return false, nil
}

// next returns the next tag; only blanks, comments and instructions may stand
// before it.
func (s *scanner) next() (tag, error) {
	if err := s.misc(); err != nil {
		return tag{}, err
	}
	if s.pos == len(s.b) {
		return tag{}, s.bad("unexpected end of the message")
	}
	return s.tag()
}

// misc passes blanks, comments and instructions.
func (s *scanner) misc() error {
	for {
		s.blanks()
		if passed, err := s.pass(); !passed || err != nil {
			return err
		}
	}
}

// tag reads the tag at s.pos.
func (s *scanner) tag() (t tag, err error) {
	if s.b[s.pos] != '<' {
		return t, s.bad("unexpected text")
	}
	if bytes.HasPrefix(s.b[s.pos:], []byte("<!")) {
		return t, s.bad("document type declarations and marked sections are not allowed here")
	}
	start := s.pos
	i := s.pos + 1
	if i < len(s.b) && s.b[i] == '/' {
		t.close = true
		i++
	}
	from := i
	for i < len(s.b) && isNameByte(s.b[i]) {
		i++
	}
	t.name = s.b[from:i]
	if len(t.name) == 0 {
		return t, s.badAt(start, "tag without a name")
	}
	// Attributes mean nothing here, but a > in their values does not end the tag.
	for quote := byte(0); i < len(s.b); i++ {
		switch c := s.b[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case t.close && !isBlank(c) && c != '>', c == '<':
			return t, s.badAt(i, "unexpected %q in a tag", c)
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			t.empty = !t.close && s.b[i-1] == '/'
			s.pos = i + 1
			return t, nil
		}
	}
	return t, s.badAt(start, "tag is not closed")
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '.' || c == '-' || c == '_' || c == ':' || c >= utf8.RuneSelf
}

// text reads up to the next tag and leaves s.pos there. The bytes are good until
// the next call of text.
func (s *scanner) text() ([]byte, error) {
	piece, err := s.piece()
	if err != nil {
		return nil, err
	}
	if s.atTag() && !s.returns && bytes.IndexByte(piece, '&') < 0 {
		return piece, nil
	}
	buf := slices.Grow(s.scratch[:0], len(piece))
	for {
		if buf, err = s.appendText(buf, piece); err != nil {
			return nil, err
		}
		if s.atTag() {
			s.scratch = buf
			return buf, nil
		}
		switch passed, err := s.pass(); {
		case err != nil:
			return nil, err
		case !passed:
			section, err := s.cdata()
			if err != nil {
				return nil, err
			}
			buf = s.appendLines(buf, section)
		}
		if piece, err = s.piece(); err != nil {
			return nil, err
		}
	}
}

// piece reads up to the next <.
func (s *scanner) piece() ([]byte, error) {
	n := bytes.IndexByte(s.b[s.pos:], '<')
	if n < 0 {
		return nil, s.bad("unexpected end of the message")
	}
	piece := s.b[s.pos : s.pos+n]
	s.pos += n
	return piece, nil
}

// atTag tells whether the < at s.pos begins a tag.
func (s *scanner) atTag() bool {
	return s.pos+1 == len(s.b) || s.b[s.pos+1] != '!' && s.b[s.pos+1] != '?'
}

func (s *scanner) cdata() ([]byte, error) {
	const open = "<![CDATA["
	if !bytes.HasPrefix(s.b[s.pos:], []byte(open)) {
		return nil, s.bad("document type declarations and marked sections are not allowed here")
	}
	start := s.pos + len(open)
	if err := s.passTo("]]>", "CDATA section"); err != nil {
		return nil, err
	}
	// "<![CDATA[]]>": the end mark is never found inside the beginning.
	return s.b[start : s.pos-3], nil
}

// appendText appends a piece with its references replaced.
func (s *scanner) appendText(dst, piece []byte) ([]byte, error) {
	for {
		n := bytes.IndexByte(piece, '&')
		if n < 0 {
			return s.appendLines(dst, piece), nil
		}
		dst = s.appendLines(dst, piece[:n])
		piece = piece[n+1:]
		end := bytes.IndexByte(piece[:min(len(piece), maxReference)], ';')
		if end < 0 {
			return dst, s.bad("reference is not closed in the text before")
		}
		r, ok := reference(string(piece[:end]))
		if !ok {
			return dst, s.bad("unknown reference %q in the text before", "&"+string(piece[:end])+";")
		}
		dst = utf8.AppendRune(dst, r)
		piece = piece[end+1:]
	}
}

// maxReference is the longest reference read, in bytes behind the &.
const maxReference = 16

// reference returns the character that &name; or &#number; stands for.
func reference(name string) (rune, bool) {
	switch name {
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "amp":
		return '&', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	digits, found := strings.CutPrefix(name, "#")
	if !found {
		return 0, false
	}
	base := 10
	if hex, found := strings.CutPrefix(digits, "x"); found {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	r := rune(n)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(r) || r < utf8.RuneSelf && isControl(byte(r)) || r == 0xFFFE || r == 0xFFFF {
		return 0, false
	}
	return r, true
}

// appendLines appends bytes with their line ends normalised to line feeds.
func (s *scanner) appendLines(dst, b []byte) []byte {
	if !s.returns {
		return append(dst, b...)
	}
	for {
		n := bytes.IndexByte(b, '\r')
		if n < 0 {
			return append(dst, b...)
		}
		dst = append(append(dst, b[:n]...), '\n')
		b = bytes.TrimPrefix(b[n+1:], []byte("\n"))
	}
}
