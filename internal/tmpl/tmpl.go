// Package tmpl holds the OpenNebula template language: its values, how they
// are parsed from text and XML, merged, and rendered as text, XML and JSON.
//
// It imports the standard library only. Source: the XML-RPC reference, §3 and §9.
//
// It takes what the original takes and refuses with the same words, except that
//   - characters that are no part of the text form fail, where the original
//     skips them; so do unclosed quotes, and delimiters right behind an equals sign;
//   - text that XML cannot hold fails (control characters, bytes that are not UTF-8),
//     and so does "]]>" wherever it stands, in comments and XML input too;
//   - a carriage return is a blank outside of quotes;
//   - a sub-attribute typed with a leading digit gets the prefix ONE_;
//   - XML input may have no document type and no element names beyond ASCII;
//   - restricted attributes without a slash cover vectors too.
package tmpl

import (
	"slices"
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

// Equal tells whether two attributes are the same, name and value.
func (a Attr) Equal(b Attr) bool {
	return a.Name == b.Name && a.Value == b.Value && a.IsVector() == b.IsVector() && a.Vector.Equal(b.Vector)
}

// New returns a template of the given attributes, in their order within a name.
func New(attrs ...Attr) *Template {
	if len(attrs) == 0 {
		return nil
	}
	sorted := slices.Clone(attrs)
	sortAttrs(sorted)
	return &Template{attrs: sorted}
}

// sortAttrs brings attributes into the order of a Template.
func sortAttrs(as []Attr) {
	byName := func(a, b Attr) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(as, byName) {
		slices.SortStableFunc(as, byName)
	}
}

// Single returns a single attribute.
func Single(name, value string) Attr { return Attr{Name: name, Value: value} }

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
	if !slices.ContainsFunc(names, t.Has) {
		return t
	}
	out := make([]Attr, 0, t.Len()-1)
	for _, a := range t.All() {
		if !slices.Contains(names, a.Name) {
			out = append(out, a)
		}
	}
	return &Template{attrs: out}
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
	old, add := t.All(), over.All()
	if len(add) == 0 {
		return t
	}
	out := make([]Attr, 0, len(old)+len(add))
	for len(add) > 0 {
		name := add[0].Name
		for len(old) > 0 && old[0].Name < name {
			out, old = append(out, old[0]), old[1:]
		}
		for len(old) > 0 && old[0].Name == name {
			old = old[1:]
		}
		for len(add) > 0 && add[0].Name == name {
			if !add[0].IsVector() || len(add[0].Vector) > 0 {
				out = append(out, add[0])
			}
			add = add[1:]
		}
	}
	return &Template{attrs: append(out, old...)}
}

// KeepLast returns a template in which of several attributes of one name only
// the last is left, which is how the templates of images and users read a
// repeated name. Source: XML-RPC reference §9.3.
func (t *Template) KeepLast() *Template {
	all := t.All()
	var out []Attr // stays nil while nothing is repeated
	for i := range all {
		last := i+1 == len(all) || all[i+1].Name != all[i].Name
		if !last && out == nil {
			out = append(make([]Attr, 0, len(all)-1), all[:i]...)
		}
		if last && out != nil {
			out = append(out, all[i])
		}
	}
	if out == nil {
		return t
	}
	return &Template{attrs: out}
}

// Equal tells whether two templates hold the same attributes in the same order.
func (t *Template) Equal(o *Template) bool {
	if t == o {
		return true
	}
	return slices.EqualFunc(t.All(), o.All(), Attr.Equal)
}
