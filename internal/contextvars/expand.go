package contextvars

import (
	"errors"
	"strings"

	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// MaxText bounds, in bytes, a text with references and what it expands to. A
// reference of two letters may stand for a large value, many times.
const MaxText = 1 << 20

// separator stands between the attributes of a CONTEXT when it is read as one
// text. It shows in error positions only.
const separator = "@^_^@"

// Substitute expands the references in all values of a CONTEXT. FILES_DS is not
// a text of this kind: it is left out of the result (see ParseFiles). A syntax
// error names the variable in which it lies, and not, as the reference does, the
// CONTEXT in full. Source: OneGate reference §5.4.
func Substitute(context tmpl.Vector, vm *VM) (tmpl.Vector, error) {
	context = context.Without("FILES_DS")
	var text strings.Builder
	values := make([]span, len(context))
	for i, p := range context {
		if i > 0 {
			text.WriteString(separator)
		}
		text.WriteString(p.Name)
		text.WriteByte('=')
		from := text.Len()
		text.WriteString(p.Value)
		values[i] = span{from, text.Len()}
	}
	expanded, err := expand(text.String(), values, vm)
	var syntax *syntaxError
	switch {
	case errors.As(err, &syntax):
		// What follows a value counts as its end: "A=$" fails behind the '$'.
		i := 0
		for i+1 < len(values) && values[i+1].from <= syntax.at {
			i++
		}
		return nil, errs.New(errs.Internal, "Error parsing: CONTEXT/%s. %v", context[i].Name, syntax)
	case err != nil:
		return nil, errs.New(errs.Internal, "Error parsing: CONTEXT. %v", err)
	}
	out := make(tmpl.Vector, len(context))
	for i, p := range context {
		out[i] = tmpl.Pair{Name: p.Name, Value: expanded[i]}
	}
	return out, nil
}

// Expand expands the references in one text that holds no secrets, such as
// SCHED_REQUIREMENTS; its errors show the text. Source: OneGate reference §5.4.
func Expand(text string, vm *VM) (string, error) {
	out, err := expand(text, []span{{0, len(text)}}, vm)
	if err != nil {
		return "", errs.New(errs.Internal, "Error parsing: %s. %v", clip(text), err)
	}
	return out[0], nil
}

var (
	errTooLong  = errors.New("with its variables replaced it is longer than 1048576 bytes")
	errUnclosed = errors.New("a variable's quote or bracket is not closed within its value")
)

// expand expands a text and returns what its spans have become; the text between
// them only counts for positions. A reference belongs to the span it begins in,
// so no value can reach into another.
func expand(text string, spans []span, vm *VM) ([]string, error) {
	if len(text) > MaxText {
		return nil, errTooLong
	}
	l := &lexer{text: text}
	out := &output{text: text, spans: spans, parts: make([]strings.Builder, len(spans))}
	expected := []kind{variable, raw}
	for {
		t := l.next()
		if t.kind == end {
			return out.strings(), nil
		}
		if err := l.check(t, expected...); err != nil {
			return nil, err
		}
		expected = []kind{end, variable, raw} // the empty text is the only one without either
		if t.kind == raw {
			out.copy(t.from, t.to)
			continue
		}
		r, err := l.valueReference(t)
		if err != nil {
			return nil, err
		}
		if err := out.put(r, vm.value(r)); err != nil {
			return nil, err
		}
	}
}

// span is text[from:to].
type span struct{ from, to int }

// output gathers what the spans of a text become. Positions come in ascending.
type output struct {
	text  string
	spans []span
	parts []strings.Builder
	now   int // the span in work
	size  int
}

// copy takes text[from:to] over, as far as spans cover it.
func (o *output) copy(from, to int) {
	for ; o.now < len(o.spans); o.now++ {
		s := o.spans[o.now]
		if a, b := max(from, s.from), min(to, s.to); a < b {
			o.parts[o.now].WriteString(o.text[a:b])
			o.size += b - a
		}
		if to < s.to {
			return
		}
	}
}

// put writes a reference's value in its place, and the character behind it.
func (o *output) put(r reference, value string) error {
	for o.now < len(o.spans) && o.spans[o.now].to <= r.from {
		o.now++
	}
	if o.now == len(o.spans) || r.from < o.spans[o.now].from || r.to > o.spans[o.now].to {
		return errUnclosed
	}
	if o.size += len(value); o.size > MaxText {
		return errTooLong
	}
	o.parts[o.now].WriteString(value)
	o.copy(r.after.from, r.after.from+len(r.after.text))
	return nil
}

func (o *output) strings() []string {
	s := make([]string, len(o.parts))
	for i := range o.parts {
		s[i] = o.parts[i].String()
	}
	return s
}

// clip keeps error texts short.
func clip(s string) string {
	const most = 1000
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
