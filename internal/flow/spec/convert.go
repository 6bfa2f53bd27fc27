package spec

import (
	"strings"

	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Convert rewrites a template of releases up to 6.10, in which every role has
// vm_template or vm_template_contents, to the present form; others come back as
// they are. Source: OneFlow reference §2.4.
func Convert(tree jsontree.Value) jsontree.Value {
	roles := tree.Get("roles").Items
	if len(roles) == 0 {
		return tree
	}
	out := make([]jsontree.Value, len(roles))
	for i, r := range roles {
		if !oldRole(r) {
			return tree
		}
		out[i] = convertRole(r)
		if !out[i].Has("type") {
			out[i] = out[i].With("type", jsontree.Str(TypeVM))
		}
		if !out[i].Has("cardinality") { // the default of those releases
			out[i] = out[i].With("cardinality", jsontree.Int(1))
		}
	}
	return renameInputs(WithRoles(tree, out))
}

func oldRole(r jsontree.Value) bool { return r.Has("vm_template") || r.Has("vm_template_contents") }

// convertRole renames the old members of a role, each in its place.
func convertRole(r jsontree.Value) jsontree.Value {
	out := jsontree.Value{Kind: r.Kind}.PlacedAs(r)
	for _, f := range r.Fields {
		switch f.Name {
		case "vm_template":
			f.Name = "template_id"
			if n, ok := integer(f.Value); ok {
				f.Value = jsontree.Int(n).PlacedAs(f.Value)
			}
		case "vm_template_contents":
			f.Name = "template_contents"
			if f.Value.Kind == jsontree.String {
				if o, ok := contentsOf(f.Value.Text); ok {
					f.Value = o.PlacedAs(f.Value)
				}
			}
		}
		out.Fields = append(out.Fields, f)
	}
	return renameInputs(out)
}

// renameInputs gives custom_attrs and their values their present names.
func renameInputs(v jsontree.Value) jsontree.Value {
	names := map[string]string{"custom_attrs": "user_inputs", "custom_attrs_values": "user_inputs_values"}
	out := jsontree.Value{Kind: v.Kind}.PlacedAs(v)
	for _, f := range v.Fields {
		if now, old := names[f.Name]; old {
			if v.Has(now) {
				continue
			}
			f.Name = now
		}
		out.Fields = append(out.Fields, f)
	}
	return out
}

// contentsOf reads the text of vm_template_contents: vectors become arrays of
// objects, what is repeated becomes an array. False when it cannot be read.
func contentsOf(text string) (jsontree.Value, bool) {
	t, err := tmpl.ParseText(strings.TrimSpace(text))
	if err != nil {
		return jsontree.Value{}, false
	}
	fields := make([]jsontree.Field, 0, t.Len())
	for _, a := range t.All() {
		v := jsontree.Str(a.Value)
		if a.IsVector() {
			pairs := make([]jsontree.Field, len(a.Vector))
			for i, p := range a.Vector {
				pairs[i] = jsontree.F(p.Name, jsontree.Str(p.Value))
			}
			v = jsontree.List(jsontree.Obj(pairs...))
		}
		fields = append(fields, jsontree.F(a.Name, v))
	}
	return jsontree.Obj().Overlay(fields, func(_ string, old *jsontree.Value, now jsontree.Value) jsontree.Value {
		switch {
		case old == nil:
			return now
		case old.Kind != jsontree.Array:
			*old = jsontree.List(*old)
		}
		if now.Kind == jsontree.Array {
			return jsontree.List(append(old.Items, now.Items...)...)
		}
		return jsontree.List(append(old.Items, now)...)
	}), true
}
