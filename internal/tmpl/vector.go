package tmpl

import (
	"slices"
	"sort"
	"strings"
)

// Vector is the value of a vector attribute, ascending by name, each name once.
// Like Template it is immutable: With and Without return copies.
type Vector []Pair

// Pair is one sub-attribute of a vector.
type Pair struct{ Name, Value string }

// Vec returns a vector attribute from name, value, name, value, … A repeated
// name keeps its last value. It panics on an odd number of arguments, which is
// a programming error.
func Vec(name string, pairs ...string) Attr {
	if len(pairs)%2 != 0 {
		panic("tmpl.Vec: odd number of arguments")
	}
	v := make(Vector, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		v = append(v, Pair{pairs[i], pairs[i+1]})
	}
	return Attr{Name: name, Vector: v[:orderPairs(v, true)]}
}

// orderPairs brings pairs into the order of a Vector, in place, and returns how
// many are left: of a repeated name the first one is, or the last.
func orderPairs(v []Pair, keepLast bool) int {
	byName := func(a, b Pair) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(v, byName) {
		slices.SortStableFunc(v, byName)
	}
	n := 0
	for _, p := range v {
		switch repeated := n > 0 && v[n-1].Name == p.Name; {
		case !repeated:
			v[n] = p
			n++
		case keepLast:
			v[n-1] = p
		}
	}
	return n
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
func (v Vector) Equal(o Vector) bool { return slices.Equal(v, o) }
