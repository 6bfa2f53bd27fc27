package tmpl

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The form in which templates are stored: one flat JSON array of names, each
// followed by its value, a string or an object of strings:
//
//	["CPU","1","DISK",{"IMAGE":"alpine"},"DISK",{"SIZE":"1024"}]
//
// It keeps order and repetition, and tells a single "" from an empty vector.

// MarshalJSON returns the stored form. It is lossless for all text that is
// UTF-8, as everything the parsers return is.
func (t *Template) MarshalJSON() ([]byte, error) {
	size := 2
	for _, a := range t.All() {
		size += len(a.Name) + len(a.Value) + len(`"","",`)
		for _, p := range a.Vector {
			size += len(p.Name) + len(p.Value) + len(`"":"",`)
		}
	}
	return t.AppendStored(make([]byte, 0, size)), nil
}

// AppendStored appends the stored form of the template.
func (t *Template) AppendStored(dst []byte) []byte {
	dst = append(dst, '[')
	for i, a := range t.All() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendJSONString(dst, a.Name), ',')
		dst = a.AppendJSON(dst)
	}
	return append(dst, ']')
}

// UnmarshalJSON reads the stored form. Like every UnmarshalJSON it changes its
// receiver, which nobody else may have seen yet. null leaves it as it is.
func (t *Template) UnmarshalJSON(data []byte) error {
	// The strings of the template are pieces of this one copy.
	d := decoder{text: string(data)}
	if !utf8.ValidString(d.text) {
		d.text = strings.ToValidUTF8(d.text, "\uFFFD")
	}
	if strings.Trim(d.text, " \t\r\n") == "null" {
		return nil
	}
	if err := d.template(); err != nil {
		return fmt.Errorf("decode stored template: %w", err)
	}
	t.attrs = d.ordered()
	return nil
}

// decoder reads the stored form.
type decoder struct {
	builder
	text string
	pos  int
}

func (d *decoder) template() error {
	if err := d.expect('['); err != nil {
		return err
	}
	err := d.list(']', func() error {
		name, err := d.str()
		if err != nil {
			return err
		}
		if err := d.expect(','); err != nil {
			return err
		}
		if d.accept('{') {
			return d.vector(name)
		}
		value, err := d.str()
		d.single(name, value)
		return err
	})
	if err != nil {
		return err
	}
	if d.space(); d.pos < len(d.text) {
		return d.fail("the end")
	}
	return nil
}

// vector reads a vector behind its brace.
func (d *decoder) vector(name string) error {
	d.beginVector(name)
	defer d.endVector(true)
	return d.list('}', func() error {
		name, err := d.str()
		if err != nil {
			return err
		}
		if err := d.expect(':'); err != nil {
			return err
		}
		value, err := d.str()
		d.pair(name, value)
		return err
	})
}

// list reads items between commas up to the character end.
func (d *decoder) list(end byte, item func() error) error {
	for first := true; !d.accept(end); first = false {
		if !first {
			if err := d.expect(','); err != nil {
				return err
			}
		}
		if err := item(); err != nil {
			return err
		}
	}
	return nil
}

// str reads a string. Without escapes it is a piece of the text.
func (d *decoder) str() (string, error) {
	if !d.accept('"') {
		return "", d.fail("a string")
	}
	start := d.pos
	for escaped := false; d.pos < len(d.text); d.pos++ {
		switch c := d.text[d.pos]; {
		case c == '"':
			d.pos++
			if !escaped {
				return d.text[start : d.pos-1], nil
			}
			var s string
			if err := json.Unmarshal([]byte(d.text[start-1:d.pos]), &s); err != nil {
				return "", fmt.Errorf("string at offset %d: %w", start, err)
			}
			return s, nil
		case c == '\\':
			escaped = true
			d.pos++
		case c < ' ':
			return "", d.fail("no control character in a string")
		}
	}
	return "", d.fail("the end of a string")
}

func (d *decoder) space() {
	for d.pos < len(d.text) && strings.IndexByte(" \t\r\n", d.text[d.pos]) >= 0 {
		d.pos++
	}
}

// accept takes the next character if it is c.
func (d *decoder) accept(c byte) bool {
	d.space()
	if d.pos < len(d.text) && d.text[d.pos] == c {
		d.pos++
		return true
	}
	return false
}

func (d *decoder) expect(c byte) error {
	if !d.accept(c) {
		return d.fail(fmt.Sprintf("%q", c))
	}
	return nil
}

func (d *decoder) fail(want string) error {
	return fmt.Errorf("offset %d: expected %s", d.pos, want)
}
