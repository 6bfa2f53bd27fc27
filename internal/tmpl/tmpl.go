// Package tmpl holds the OpenNebula template language: its values, how they
// are parsed from text and XML, merged, and rendered as text, XML and JSON.
//
// It imports the standard library only. Source: the XML-RPC reference, §3 and §9.
package tmpl

import (
	"sort"
	"strings"
)

// Template is an immutable, ordered set of attributes: ascending by name,
// attributes of one name in the order they were given. Every method that
// changes something returns a new Template and leaves the receiver alone, so a
// *Template may be shared freely between goroutines and state versions.
// A nil *Template is an empty one.
type Template struct {
	attrs []Attr
}

// Attr is one attribute: a single value, or a vector of sub-attributes.
type Attr struct {
	Name   string
	Value  string // of a single attribute
	Vector Vector // of a vector attribute; non-nil exactly when it is one
}

// IsVector tells whether the attribute is a vector (perhaps an empty one).
func (a Attr) IsVector() bool { return a.Vector != nil }

// Vector is the value of a vector attribute, ascending by name, each name once.
// Like Template it is immutable: With and Without return copies.
type Vector []Pair

// Pair is one sub-attribute of a vector.
type Pair struct{ Name, Value string }

// New returns a template of the given attributes, in their order within a name.
func New(attrs ...Attr) *Template {
	if len(attrs) == 0 {
		return nil
	}
	sorted := make([]Attr, len(attrs))
	copy(sorted, attrs)
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].Name < sorted[j].Name })
	return &Template{attrs: sorted}
}

// Single returns a single attribute.
func Single(name, value string) Attr { return Attr{Name: name, Value: value} }

// Vec returns a vector attribute from name, value, name, value, … A repeated
// name keeps its last value. It panics on an odd number of arguments, which is
// a programming error.
func Vec(name string, pairs ...string) Attr {
	if len(pairs)%2 != 0 {
		panic("tmpl.Vec: odd number of arguments")
	}
	v := make(Vector, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		v = v.With(pairs[i], pairs[i+1])
	}
	return Attr{Name: name, Vector: v}
}

// Len returns the number of attributes.
func (t *Template) Len() int {
	if t == nil {
		return 0
	}
	return len(t.attrs)
}

// All returns the attributes in order. The caller must not change the slice.
func (t *Template) All() []Attr {
	if t == nil {
		return nil
	}
	return t.attrs
}

// bounds returns the half-open range of the attributes called name.
func (t *Template) bounds(name string) (lo, hi int) {
	if t == nil {
		return 0, 0
	}
	lo = sort.Search(len(t.attrs), func(i int) bool { return t.attrs[i].Name >= name })
	hi = lo
	for hi < len(t.attrs) && t.attrs[hi].Name == name {
		hi++
	}
	return lo, hi
}

// Has tells whether an attribute of that name, single or vector, is present.
func (t *Template) Has(name string) bool {
	lo, hi := t.bounds(name)
	return hi > lo
}

// Get returns the value of the first single attribute of that name, or "".
func (t *Template) Get(name string) string {
	v, _ := t.Lookup(name)
	return v
}

// Lookup returns the value of the first single attribute of that name.
func (t *Template) Lookup(name string) (string, bool) {
	lo, hi := t.bounds(name)
	for _, a := range attrs(t, lo, hi) {
		if !a.IsVector() {
			return a.Value, true
		}
	}
	return "", false
}

// Bool reads a single attribute: YES in any case is true, all else false.
func (t *Template) Bool(name string) bool { return IsYes(t.Get(name)) }

// Vector returns the first vector attribute of that name, nil if there is none.
func (t *Template) Vector(name string) Vector {
	lo, hi := t.bounds(name)
	for _, a := range attrs(t, lo, hi) {
		if a.IsVector() {
			return a.Vector
		}
	}
	return nil
}

// Vectors returns every vector attribute of that name, in order.
func (t *Template) Vectors(name string) []Vector {
	lo, hi := t.bounds(name)
	var out []Vector
	for _, a := range attrs(t, lo, hi) {
		if a.IsVector() {
			out = append(out, a.Vector)
		}
	}
	return out
}

// Named returns every attribute of that name, in order.
func (t *Template) Named(name string) []Attr {
	lo, hi := t.bounds(name)
	return attrs(t, lo, hi)
}

func attrs(t *Template, lo, hi int) []Attr {
	if lo >= hi {
		return nil
	}
	return t.attrs[lo:hi:hi]
}

// With returns a template in which name has just this one single value.
func (t *Template) With(name, value string) *Template {
	return t.Replace(name, Single(name, value))
}

// WithVector returns a template in which name is just this one vector.
func (t *Template) WithVector(name string, v Vector) *Template {
	if v == nil {
		v = Vector{}
	}
	return t.Replace(name, Attr{Name: name, Vector: v})
}

// WithVectors returns a template in which name is exactly this list of vectors.
func (t *Template) WithVectors(name string, vs []Vector) *Template {
	as := make([]Attr, len(vs))
	for i, v := range vs {
		if v == nil {
			v = Vector{}
		}
		as[i] = Attr{Name: name, Vector: v}
	}
	return t.Replace(name, as...)
}

// Without returns a template that has no attribute of any of these names.
func (t *Template) Without(names ...string) *Template {
	out := t
	for _, n := range names {
		if out.Has(n) {
			out = out.Replace(n)
		}
	}
	return out
}

// Add returns a template with the attributes appended behind those of the same
// names.
func (t *Template) Add(more ...Attr) *Template {
	if len(more) == 0 {
		return t
	}
	all := make([]Attr, 0, t.Len()+len(more))
	all = append(all, t.All()...)
	return New(append(all, more...)...)
}

// Replace returns a template in which the attributes called name are exactly
// those given (none: the name is gone). Each must bear that name.
func (t *Template) Replace(name string, as ...Attr) *Template {
	lo, hi := t.bounds(name)
	old := t.All()
	out := make([]Attr, 0, len(old)-(hi-lo)+len(as))
	out = append(out, old[:lo]...)
	out = append(out, as...)
	out = append(out, old[hi:]...)
	return &Template{attrs: out}
}

// Merge returns t overlaid with over: for each name in over every attribute of
// that name in t is dropped and over's are taken. An empty vector in over only
// removes. Source: XML-RPC reference §9.5.
func (t *Template) Merge(over *Template) *Template {
	out := t
	all := over.All()
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].Name == all[i].Name {
			j++
		}
		var keep []Attr
		for _, a := range all[i:j] {
			if !a.IsVector() || len(a.Vector) > 0 {
				keep = append(keep, a)
			}
		}
		out = out.Replace(all[i].Name, keep...)
		i = j
	}
	return out
}

// Equal tells whether two templates hold the same attributes in the same order.
func (t *Template) Equal(o *Template) bool {
	if t == o {
		return true
	}
	a, b := t.All(), o.All()
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name || a[i].Value != b[i].Value || a[i].IsVector() != b[i].IsVector() || !a[i].Vector.Equal(b[i].Vector) {
			return false
		}
	}
	return true
}

// Get returns the value of a sub-attribute, or "".
func (v Vector) Get(name string) string {
	s, _ := v.Lookup(name)
	return s
}

// Lookup returns the value of a sub-attribute.
func (v Vector) Lookup(name string) (string, bool) {
	i := sort.Search(len(v), func(i int) bool { return v[i].Name >= name })
	if i < len(v) && v[i].Name == name {
		return v[i].Value, true
	}
	return "", false
}

// Has tells whether the sub-attribute is present.
func (v Vector) Has(name string) bool {
	_, ok := v.Lookup(name)
	return ok
}

// Bool reads a sub-attribute: YES in any case is true, all else false.
func (v Vector) Bool(name string) bool { return IsYes(v.Get(name)) }

// With returns a copy with the sub-attribute set.
func (v Vector) With(name, value string) Vector {
	i := sort.Search(len(v), func(i int) bool { return v[i].Name >= name })
	if i < len(v) && v[i].Name == name {
		out := make(Vector, len(v))
		copy(out, v)
		out[i].Value = value
		return out
	}
	out := make(Vector, 0, len(v)+1)
	out = append(out, v[:i]...)
	out = append(out, Pair{name, value})
	return append(out, v[i:]...)
}

// Without returns a copy without the sub-attributes.
func (v Vector) Without(names ...string) Vector {
	out := make(Vector, 0, len(v))
next:
	for _, p := range v {
		for _, n := range names {
			if p.Name == n {
				continue next
			}
		}
		out = append(out, p)
	}
	return out
}

// Equal tells whether two vectors hold the same sub-attributes.
func (v Vector) Equal(o Vector) bool {
	if len(v) != len(o) {
		return false
	}
	for i := range v {
		if v[i] != o[i] {
			return false
		}
	}
	return true
}

// IsYes is how the language reads a boolean: YES in any case.
func IsYes(s string) bool { return strings.EqualFold(s, "YES") }
