package gate

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Bounds of one change: its attributes with their sub-attributes, and the bytes of
// a name.
const (
	maxAttributes = 4096
	maxName       = 256
)

// errTooMuch refuses a change beyond the bounds.
type errTooMuch string

func (e errTooMuch) Error() string { return string(e) }

const (
	errTooMany  = errTooMuch("too many attributes: expected at most 4096 in one update")
	errLongName = errTooMuch("name of an attribute too long: expected at most 256 bytes")
)

// parseChange reads what a guest sends to change its user template: the text form
// of a template as people type it, or XML. Every error but errTooMuch is a
// *tmpl.ParseError. Source: OneGate reference §1.11.
//
// Guests seldom quote. The original puts quotes around values one character at a
// time and so breaks values with commas, quotes, brackets or backslashes, and
// keeps blanks around the equals sign. Here a line is NAME = value, and
//   - a value in quotes, and a vector in brackets, are read by the core's rules;
//     in a vector the quotes may be missing;
//   - anything else is the value up to the end of the line, whatever is in it,
//     without the blanks around it; JSON goes on to its end;
//   - backslash and n, which is how shells pass a line end, is one where another
//     attribute or nothing follows, and a part of the value elsewhere.
//
// The quoted text is written into scratch, which is used again; nothing of it is kept.
func parseChange(text []byte, scratch *[]byte) (*tmpl.Template, error) {
	if starts(bytes.TrimLeft(text, " \t\r\n"), '<') {
		return checked(tmpl.Parse(string(text)))
	}
	q := quoter{text: text, out: (*scratch)[:0]}
	err, tooMuch := q.run(), errTooMuch("")
	if cap(q.out) <= maxScratch {
		*scratch = q.out
	}
	switch {
	case errors.As(err, &tooMuch):
		return nil, err
	case err != nil:
		// What the core would say of it is better than anything we could.
		return checked(tmpl.Parse(string(text)))
	}
	return checked(tmpl.ParseText(string(q.out)))
}

// checked holds what was parsed to the bounds.
func checked(t *tmpl.Template, err error) (*tmpl.Template, error) {
	if err != nil {
		return nil, err
	}
	n := t.Len()
	for _, a := range t.All() {
		n += len(a.Vector)
		long := len(a.Name) > maxName
		for _, p := range a.Vector {
			long = long || len(p.Name) > maxName
		}
		if long {
			return nil, errLongName
		}
	}
	if n > maxAttributes {
		return nil, errTooMany
	}
	return t, nil
}

// errText says that the text is nothing the quoter understands.
var errText = errors.New("not a list of attributes")

// maxScratch bounds what is kept to quote the next text in, in bytes.
const maxScratch = 256 << 10

// quoter writes a text with every value quoted, in time linear in its length. It
// keeps nothing of the text, whose memory is used again.
type quoter struct {
	text  []byte
	pos   int
	count int
	out   []byte
}

func (q *quoter) run() error {
	for {
		q.skipBetween()
		if q.pos == len(q.text) {
			return nil
		}
		if err := q.attribute(); err != nil {
			return err
		}
		q.out = append(q.out, '\n')
	}
}

// attribute reads one attribute.
func (q *quoter) attribute() error {
	if err := q.nameAndEqual(); err != nil {
		return err
	}
	switch rest := q.text[q.pos:]; {
	case starts(rest, '"'):
		if err := q.quoted(); err != nil {
			return err
		}
	case starts(rest, '['):
		if err := q.vector(); err != nil {
			return err
		}
	case starts(rest, '{') && q.json():
	default:
		end := q.lineEnd()
		q.value(q.text[q.pos:end])
		q.pos = end
		return nil
	}
	if !q.ends(q.pos) {
		return errText
	}
	return nil
}

// nameAndEqual reads "NAME =" and the blanks around it.
func (q *quoter) nameAndEqual() error {
	if q.count++; q.count > maxAttributes {
		return errTooMany
	}
	end := q.nameEnd(q.pos)
	eq := q.skipBlanks(end)
	if end == q.pos || eq == len(q.text) || q.text[eq] != '=' {
		return errText
	}
	if end-q.pos > maxName {
		return errLongName
	}
	q.out = append(q.out, q.text[q.pos:end]...)
	q.out = append(q.out, '=')
	q.pos = q.skipBlanks(eq + 1)
	return nil
}

// quoted copies a value that is in quotes.
func (q *quoter) quoted() error {
	for i := q.pos + 1; i < len(q.text); i++ {
		if q.text[i] == '"' && q.text[i-1] != '\\' {
			q.out = append(q.out, q.text[q.pos:i+1]...)
			q.pos = i + 1
			return nil
		}
	}
	return errText
}

// json reads a JSON object as the value, if it is one and nothing follows it.
func (q *quoter) json() bool {
	dec := json.NewDecoder(bytes.NewReader(q.text[q.pos:]))
	var object json.RawMessage
	if dec.Decode(&object) != nil {
		return false
	}
	end := q.pos + int(dec.InputOffset())
	if next := q.skipBlanks(end); next < len(q.text) && q.text[next] != '\n' && !q.breaks(next) {
		return false
	}
	q.value(object)
	q.pos = end
	return true
}

// vector reads "[K = v, …]", or else a JSON array as the value.
func (q *quoter) vector() error {
	start, written := q.pos, len(q.out)
	err := q.pairs()
	if !errors.Is(err, errText) {
		return err
	}
	q.pos, q.out = start, q.out[:written]
	if !q.json() {
		return errText
	}
	return nil
}

func (q *quoter) pairs() error {
	q.pos++
	q.out = append(q.out, '[')
	for first := true; ; first = false {
		q.pos = q.skipLines(q.pos)
		if first && starts(q.text[q.pos:], ']') {
			break
		}
		if err := q.nameAndEqual(); err != nil {
			return err
		}
		if starts(q.text[q.pos:], '"') {
			if err := q.quoted(); err != nil {
				return err
			}
		} else if err := q.bare(); err != nil {
			return err
		}
		q.pos = q.skipLines(q.pos)
		if !starts(q.text[q.pos:], ',') {
			break
		}
		q.out = append(q.out, ',')
		q.pos++
	}
	if !starts(q.text[q.pos:], ']') {
		return errText
	}
	q.out = append(q.out, ']')
	q.pos++
	return nil
}

// bare reads a value of a vector that is not in quotes: up to the bracket or the
// line's end, or to a comma behind which another name begins.
func (q *quoter) bare() error {
	for i := q.pos; i < len(q.text); i++ {
		switch q.text[i] {
		case '"', '[':
			return errText
		case '\n':
			if next := q.skipLines(i); next == len(q.text) || q.text[next] != ']' && q.text[next] != ',' {
				return errText
			}
		case ',':
			if !q.names(q.skipLines(i + 1)) {
				continue
			}
		case ']':
		default:
			continue
		}
		q.value(q.text[q.pos:i])
		q.pos = i
		return nil
	}
	return errText
}

// value writes a value as the core reads it.
func (q *quoter) value(s []byte) {
	s = bytes.Trim(s, " \t\r")
	if bytes.HasSuffix(s, []byte(`\`)) && !bytes.ContainsAny(s, " \t\r\n=#,[]\"") {
		q.out = append(q.out, s...) // in quotes it would hide the closing one
		return
	}
	q.out = append(q.out, '"')
	for {
		i := bytes.IndexByte(s, '"')
		if i < 0 {
			break
		}
		q.out = append(append(q.out, s[:i]...), `\"`...)
		s = s[i+1:]
	}
	q.out = append(q.out, s...)
	q.out = append(q.out, '"')
}

// lineEnd returns where the line from q.pos on ends.
func (q *quoter) lineEnd() int {
	for i := q.pos; i < len(q.text); i++ {
		if q.text[i] == '\n' || q.breaks(i) {
			return i
		}
	}
	return len(q.text)
}

// breaks tells whether a backslash and an n at i stand for a line end.
func (q *quoter) breaks(i int) bool {
	if !startsEscape(q.text[i:]) {
		return false
	}
	return q.ends(i+2) || q.names(q.skipBlanks(i+2))
}

// ends tells whether an attribute may end at i: what follows on the line is
// nothing, a comment, a line end in either form, or the name of another one.
func (q *quoter) ends(i int) bool {
	i = q.skipBlanks(i)
	rest := q.text[i:]
	return len(rest) == 0 || rest[0] == '\n' || rest[0] == '#' || startsEscape(rest) || q.names(i)
}

// names tells whether "NAME =" is at i.
func (q *quoter) names(i int) bool {
	end := q.nameEnd(i)
	eq := q.skipBlanks(end)
	return end > i && eq < len(q.text) && q.text[eq] == '='
}

func (q *quoter) nameEnd(i int) int {
	for i < len(q.text) && isNameByte(q.text[i]) {
		i++
	}
	return i
}

func starts(s []byte, c byte) bool { return len(s) > 0 && s[0] == c }

// startsEscape tells whether s begins with a backslash and an n.
func startsEscape(s []byte) bool { return len(s) > 1 && s[0] == '\\' && s[1] == 'n' }

func isNameByte(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '_'
}

func (q *quoter) skipBlanks(i int) int {
	for i < len(q.text) && (q.text[i] == ' ' || q.text[i] == '\t' || q.text[i] == '\r') {
		i++
	}
	return i
}

func (q *quoter) skipLines(i int) int {
	for i < len(q.text) && (q.text[i] == ' ' || q.text[i] == '\t' || q.text[i] == '\r' || q.text[i] == '\n') {
		i++
	}
	return i
}

// skipBetween skips what may stand between attributes.
func (q *quoter) skipBetween() {
	for {
		q.pos = q.skipLines(q.pos)
		switch rest := q.text[q.pos:]; {
		case startsEscape(rest):
			q.pos += 2
		case starts(rest, '#'):
			end := bytes.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			q.pos += end
		default:
			return
		}
	}
}
