package spec

import (
	"regexp"
	"strings"

	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Attributes returns template_contents as attributes that are laid over a VM
// template: objects are vectors, arrays repeat their name, everything else is a
// single value. A vector that stands alone on both sides is merged key by key, so
// that the CONTEXT of the VM template survives; other names are replaced, unless
// APPEND names them, which puts them behind those of the VM template.
// Source: OneFlow reference §2.6.
func Attributes(contents jsontree.Value, base *tmpl.Template) *tmpl.Template {
	keep := map[string]bool{}
	for _, name := range strings.Split(contents.Get("APPEND").Text, ",") {
		keep[strings.ToUpper(strings.TrimSpace(name))] = true
	}
	out := (*tmpl.Template)(nil)
	for _, f := range contents.Fields {
		name := strings.ToUpper(f.Name)
		if name == "APPEND" {
			continue
		}
		own := attributes(name, f.Value)
		old := base.Named(name)
		switch {
		case keep[name]:
			own = append(append([]tmpl.Attr{}, old...), own...)
		case len(own) == 1 && own[0].IsVector() && len(old) == 1 && old[0].IsVector() && (f.Value.Kind == jsontree.Object || name == "CONTEXT"):
			merged := old[0].Vector
			for _, p := range own[0].Vector {
				merged = merged.With(p.Name, p.Value)
			}
			own = []tmpl.Attr{{Name: name, Vector: merged}}
		}
		out = out.Replace(name, own...)
	}
	return out
}

func attributes(name string, v jsontree.Value) []tmpl.Attr {
	switch v.Kind {
	case jsontree.Array:
		var out []tmpl.Attr
		for _, m := range v.Items {
			if m.Kind == jsontree.Array {
				m = jsontree.Str(m.Compact())
			}
			out = append(out, attributes(name, m)...)
		}
		return out
	case jsontree.Object:
		pairs := make([]string, 0, 2*len(v.Fields))
		for _, f := range v.Fields {
			pairs = append(pairs, strings.ToUpper(f.Name), plain(f.Value))
		}
		return []tmpl.Attr{tmpl.Vec(name, pairs...)}
	}
	return []tmpl.Attr{tmpl.Single(name, plain(v))}
}

// parentRef is ${ROLE.attribute} or ${ROLE.vector.attribute}.
var parentRef = regexp.MustCompile(`\$\{(\w+)\.([\w.]+)\}`)

// Parents replaces references to attributes of parents, ${PARENT.a.b}, in every
// string of template_contents by what lookup finds, and by nothing where it finds
// nothing or the role is no parent. Source: OneFlow reference §2.6.
func Parents(contents jsontree.Value, lookup func(role string, path []string) (string, bool)) jsontree.Value {
	return contents.Map(func(s string) string {
		if !strings.Contains(s, "${") {
			return s
		}
		return parentRef.ReplaceAllStringFunc(s, func(ref string) string {
			m := parentRef.FindStringSubmatch(ref)
			value, _ := lookup(m[1], strings.Split(strings.ToUpper(m[2]), "."))
			return value
		})
	})
}
