// Package jsontree holds JSON values as small immutable trees that keep the
// order of object members, as the documents of OneFlow do: what a client gave
// comes back in the order and with the types it had.
//
// It imports the standard library and tmpl only.
package jsontree

import (
	"slices"
	"strconv"
)

// Kind tells what a value is.
type Kind uint8

// The kinds. The zero Value is null.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// Value is one JSON value. It is immutable: With and Without return copies, and
// what a Value holds is not to be changed by whoever reads it.
type Value struct {
	Kind   Kind
	True   bool    // of a Bool
	at     int32   // where ParsePlaced found it, plus one; 0 for nowhere
	Text   string  // of a String its content, of a Number its digits
	Items  []Value // of an Array
	Fields []Field // of an Object; names are unique
}

// Field is one member of an object.
type Field struct {
	Name  string
	Value Value
}

// Str, Int, Boolean, List and Obj make values.
func Str(s string) Value { return Value{Kind: String, Text: s} }

// Int returns a whole number.
func Int[T ~int | ~int64](n T) Value {
	return Value{Kind: Number, Text: strconv.FormatInt(int64(n), 10)}
}

// Boolean returns true or false.
func Boolean(b bool) Value { return Value{Kind: Bool, True: b} }

// List returns an array.
func List(items ...Value) Value { return Value{Kind: Array, Items: items} }

// Obj returns an object; the names must differ.
func Obj(fields ...Field) Value { return Value{Kind: Object, Fields: fields} }

// F returns a field.
func F(name string, v Value) Field { return Field{name, v} }

// Present tells whether a value counts as given: the original takes null and
// false for absent. Source: OneFlow reference §2.3.
func (v Value) Present() bool { return v.Kind != Null && (v.Kind != Bool || v.True) }

// Lookup returns the member of an object.
func (v Value) Lookup(name string) (Value, bool) {
	if i := v.index(name); i >= 0 {
		return v.Fields[i].Value, true
	}
	return Value{}, false
}

// Get returns the member of an object, null if there is none.
func (v Value) Get(name string) Value {
	m, _ := v.Lookup(name)
	return m
}

// Has tells whether an object has a member, be it null.
func (v Value) Has(name string) bool { return v.index(name) >= 0 }

func (v Value) index(name string) int {
	if v.Kind != Object {
		return -1
	}
	return slices.IndexFunc(v.Fields, func(f Field) bool { return f.Name == name })
}

// Number returns a whole number, false if the value is none that fits an int.
func (v Value) Number() (int, bool) {
	if v.Kind != Number {
		return 0, false
	}
	n, err := strconv.Atoi(v.Text)
	return n, err == nil
}

// With returns a copy of an object with a member set: in its old place, or at the end.
func (v Value) With(name string, m Value) Value {
	fields := slices.Clone(v.Fields)
	if i := v.index(name); i >= 0 {
		fields[i].Value = m
	} else {
		fields = append(fields, Field{name, m})
	}
	return Value{Kind: Object, Fields: fields, at: v.at}
}

// Without returns a copy of an object that lacks the members.
func (v Value) Without(names ...string) Value {
	out := Value{Kind: Object, at: v.at}
	for _, f := range v.Fields {
		if !slices.Contains(names, f.Name) {
			out.Fields = append(out.Fields, f)
		}
	}
	return out
}

// Overlay returns a copy of an object with fields laid over it, in time linear
// in both: f makes the value of a member out of the old one, if there was one,
// and the new one.
func (v Value) Overlay(fields []Field, f func(name string, old *Value, now Value) Value) Value {
	out := make([]Field, len(v.Fields), len(v.Fields)+len(fields))
	copy(out, v.Fields)
	at := make(map[string]int, len(out)+len(fields))
	for i, m := range out {
		at[m.Name] = i
	}
	for _, m := range fields {
		if i, had := at[m.Name]; had {
			old := out[i].Value
			out[i].Value = f(m.Name, &old, m.Value)
			continue
		}
		at[m.Name] = len(out)
		out = append(out, Field{m.Name, f(m.Name, nil, m.Value)})
	}
	return Value{Kind: Object, Fields: out, at: v.at}
}

// Equal tells whether two values are the same; neither the order of members nor
// where they stand matters.
func (v Value) Equal(o Value) bool {
	if v.Kind != o.Kind {
		return false
	}
	switch v.Kind {
	case Bool:
		return v.True == o.True
	case Number, String:
		return v.Text == o.Text
	case Array:
		return slices.EqualFunc(v.Items, o.Items, Value.Equal)
	case Object:
		return v.equalFields(o)
	}
	return true
}

func (v Value) equalFields(o Value) bool {
	if len(v.Fields) != len(o.Fields) {
		return false
	}
	at := make(map[string]int, len(o.Fields))
	for i, f := range o.Fields {
		at[f.Name] = i
	}
	for _, f := range v.Fields {
		if i, ok := at[f.Name]; !ok || !f.Value.Equal(o.Fields[i].Value) {
			return false
		}
	}
	return true
}

// Map returns the value with every string in it replaced by f, names apart.
func (v Value) Map(f func(string) string) Value {
	switch v.Kind {
	case String:
		v.Text = f(v.Text)
	case Array:
		items := make([]Value, len(v.Items))
		for i, m := range v.Items {
			items[i] = m.Map(f)
		}
		v.Items = items
	case Object:
		fields := make([]Field, len(v.Fields))
		for i, m := range v.Fields {
			fields[i] = Field{m.Name, m.Value.Map(f)}
		}
		v.Fields = fields
	}
	return v
}
