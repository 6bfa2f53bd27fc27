package jsontree

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Bounds of a text. They are far above what a service of a thousand roles needs.
const (
	MaxBytes  = 4 << 20
	MaxDepth  = 64
	MaxValues = 100_000
)

// Parse reads one JSON text. Of members of one name the last value counts, in
// the place of the first, as in the original. Numbers come out in the form in
// which the original writes them. What is no JSON is a *SyntaxError.
func Parse(text []byte) (Value, error) { return parse(text, false) }

// ParsePlaced is Parse for a text that somebody is to be shown a place in: every
// value knows where it stands (Offset).
func ParsePlaced(text []byte) (Value, error) { return parse(text, true) }

func parse(text []byte, placed bool) (Value, error) {
	if len(text) > MaxBytes {
		return Value{}, fmt.Errorf("JSON of %d bytes, at most %d are allowed", len(text), MaxBytes)
	}
	p := parser{dec: json.NewDecoder(bytes.NewReader(text)), text: text, placed: placed}
	p.dec.UseNumber()
	v, err := p.value(0)
	if err == nil {
		after := p.wrong("unexpected text after the value")
		if _, end := p.dec.Token(); !errors.Is(end, io.EOF) {
			err = after
		}
	}
	if err != nil {
		return Value{}, err
	}
	return v, nil
}

type parser struct {
	dec    *json.Decoder
	text   []byte
	placed bool
	count  int
}

func (p *parser) wrong(format string, args ...any) error {
	return &SyntaxError{Offset: p.next(), Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) token() (json.Token, error) {
	t, err := p.dec.Token()
	switch {
	case err == nil:
		return t, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, p.wrong("unexpected end")
	}
	return nil, p.wrong("%s", strings.TrimPrefix(err.Error(), "json: "))
}

func (p *parser) value(depth int) (Value, error) {
	if depth > MaxDepth {
		return Value{}, p.wrong("nested more than %d levels deep", MaxDepth)
	}
	if p.count++; p.count > MaxValues {
		return Value{}, p.wrong("more than %d values", MaxValues)
	}
	at := 0
	if p.placed {
		at = p.next() + 1
	}
	v, err := p.bare(depth)
	v.at = int32(at)
	return v, err
}

// next returns the offset of what comes next.
func (p *parser) next() int {
	at := int(p.dec.InputOffset())
	for at < len(p.text) && strings.IndexByte(" \t\r\n,:", p.text[at]) >= 0 {
		at++
	}
	return at
}

func (p *parser) bare(depth int) (Value, error) {
	t, err := p.token()
	if err != nil {
		return Value{}, err
	}
	switch t := t.(type) {
	case nil:
		return Value{}, nil
	case bool:
		return Boolean(t), nil
	case string:
		return Str(t), nil
	case json.Number:
		s, ok := number(string(t))
		if !ok {
			return Value{}, p.wrong("number %.40s is out of range", t)
		}
		return Value{Kind: Number, Text: s}, nil
	case json.Delim:
		if t == '[' {
			return p.array(depth)
		}
		return p.object(depth)
	}
	return Value{}, p.wrong("unexpected token %v", t)
}

func (p *parser) array(depth int) (Value, error) {
	v := Value{Kind: Array}
	for p.dec.More() {
		m, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.Items = append(v.Items, m)
	}
	_, err := p.token()
	return v, err
}

func (p *parser) object(depth int) (Value, error) {
	v := Value{Kind: Object}
	at := map[string]int{}
	for p.dec.More() {
		t, err := p.token()
		if err != nil {
			return v, err
		}
		name, ok := t.(string)
		if !ok {
			return v, p.wrong("expected a member's name")
		}
		m, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		if i, again := at[name]; again {
			v.Fields[i].Value = m
			continue
		}
		at[name] = len(v.Fields)
		v.Fields = append(v.Fields, Field{name, m})
	}
	_, err := p.token()
	return v, err
}

// maxDigits bounds a number: longer ones are no numbers anybody means.
const maxDigits = 400

// number returns the digits of a number as the original writes it: whole ones as
// they are, others the shortest way that reads back the same.
func number(s string) (string, bool) {
	if len(s) > maxDigits {
		return "", false
	}
	if !strings.ContainsAny(s, ".eE") {
		if s == "-0" {
			s = "0"
		}
		return s, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return "", false
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		return mantissa + "e" + exponent, true
	}
	out := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(out, ".") {
		out += ".0"
	}
	return out, true
}
