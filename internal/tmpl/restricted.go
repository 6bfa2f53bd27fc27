package tmpl

import (
	"fmt"
	"slices"
	"strings"
)

// Restricted is a list of attributes that only administrators may set. Unlike
// in the original an entry NAME covers vectors of that name too (RAW=[…]).
// A nil *Restricted restricts nothing. Source: XML-RPC reference §9.6.
type Restricted struct {
	entries []entry
}

// NewRestricted returns the restriction of a list of NAME and VECTOR/SUB.
func NewRestricted(list []string) (*Restricted, error) {
	entries, err := parseEntries(list)
	if err != nil {
		return nil, fmt.Errorf("restricted %w", err)
	}
	return &Restricted{entries: entries}, nil
}

func (r *Restricted) all() []entry {
	if r == nil {
		return nil
	}
	return r.entries
}

// CheckCreate looks for restricted attributes in what someone wants to create.
// It returns the first one, NAME or SUB, as the error message is to name it.
func (r *Restricted) CheckCreate(t *Template) (attr string, bad bool) {
	for _, e := range r.all() {
		if e.whole && t.Has(e.name) {
			return e.name, true
		}
		vectors := t.Vectors(e.name)
		for _, sub := range e.subs {
			if slices.ContainsFunc(vectors, func(v Vector) bool { return v.Has(sub) }) {
				return sub, true
			}
		}
	}
	return "", false
}

// CheckUpdate compares what someone wants to write with the object's present
// template. replace tells that next is to take its place, otherwise next is to
// be merged into it. It returns the first restricted attribute that would
// change, NAME or VECTOR. When there is none, kept is next together with the
// restricted attributes of old that next left out in replace mode.
func (r *Restricted) CheckUpdate(old, next *Template, replace bool) (attr string, bad bool, kept *Template) {
	kept = next
	for _, e := range r.all() {
		if e.whole {
			was, is := old.Named(e.name), next.Named(e.name)
			switch {
			case len(is) > 0 && !slices.EqualFunc(is, was, Attr.Equal):
				return e.name, true, nil
			case len(is) == 0 && len(was) > 0 && replace:
				kept = kept.Replace(e.name, was...)
			}
			// What is kept whole has kept its sub-attributes.
			continue
		}
		was, is := old.Vectors(e.name), next.Vectors(e.name)
		// A single attribute of the name takes the place of the vectors too.
		if !next.Has(e.name) && !replace {
			continue
		}
		if !slices.Equal(subValues(was, e.subs), subValues(is, e.subs)) {
			return e.name, true, nil
		}
	}
	return "", false, kept
}

// subValues returns the sub-attributes called subs of all vectors, sorted.
func subValues(vs []Vector, subs []string) []Pair {
	var out []Pair
	for _, v := range vs {
		for _, sub := range subs {
			if value, ok := v.Lookup(sub); ok {
				out = append(out, Pair{sub, value})
			}
		}
	}
	slices.SortFunc(out, func(a, b Pair) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	return out
}
