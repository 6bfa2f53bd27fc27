package spec

import (
	"slices"

	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
)

// Merge lays the merge_template of an instantiation over a template: roles are
// matched by name and unknown ones ignored, networks_values are matched by name
// and unknown ones added, everything else is merged in depth.
// Source: OneFlow reference §2.5.
func Merge(tree, over jsontree.Value) jsontree.Value {
	out := tree.Overlay(renameInputs(over).Fields, func(name string, old *jsontree.Value, now jsontree.Value) jsontree.Value {
		switch {
		case old == nil:
			return now
		case name == "roles":
			return mergeRoles(*old, now)
		case name == "networks_values":
			return mergeNetworks(*old, now)
		}
		return deepMerge(*old, now)
	})
	return out.PlacedAs(over)
}

func mergeRoles(old, over jsontree.Value) jsontree.Value {
	if over.Kind != jsontree.Array || old.Kind != jsontree.Array {
		return over // which validation then refuses
	}
	at := map[string]int{}
	out := slices.Clone(old.Items)
	for i, r := range out {
		at[r.Get("name").Text] = i
	}
	for _, o := range over.Items {
		if i, known := at[o.Get("name").Text]; known && o.Has("name") {
			out[i] = deepMerge(out[i], convertRole(o))
		}
	}
	return jsontree.List(out...).PlacedAs(over)
}

func mergeNetworks(old, over jsontree.Value) jsontree.Value {
	if over.Kind != jsontree.Array || old.Kind != jsontree.Array {
		return over
	}
	at := map[string]int{}
	out := slices.Clone(old.Items)
	for i, entry := range out {
		for _, f := range entry.Fields {
			at[f.Name] = i
		}
	}
	for _, o := range over.Items {
		if o.Kind == jsontree.Object && len(o.Fields) > 0 {
			if i, known := at[o.Fields[0].Name]; known {
				out[i] = o
				continue
			}
		}
		out = append(out, o)
	}
	return jsontree.List(out...).PlacedAs(over)
}

// deepMerge merges objects member by member and puts arrays behind each other,
// of objects without repetition; else the second value counts.
func deepMerge(a, b jsontree.Value) jsontree.Value {
	switch {
	case a.Kind == jsontree.Object && b.Kind == jsontree.Object:
		return a.Overlay(b.Fields, func(_ string, old *jsontree.Value, now jsontree.Value) jsontree.Value {
			if old == nil {
				return now
			}
			return deepMerge(*old, now)
		}).PlacedAs(b)
	case a.Kind == jsontree.Array && b.Kind == jsontree.Array:
		return jsontree.List(concat(a.Items, b.Items)...).PlacedAs(b)
	}
	return b
}

func concat(a, b []jsontree.Value) []jsontree.Value {
	all := slices.Concat(a, b)
	if slices.ContainsFunc(all, func(v jsontree.Value) bool { return v.Kind != jsontree.Object }) {
		return all
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(v jsontree.Value) bool {
		text := v.Compact()
		again := seen[text]
		seen[text] = true
		return again
	})
}
