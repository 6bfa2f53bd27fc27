package spec

import (
	"maps"
	"slices"
	"strings"

	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
)

// CheckInputs wants a value for every user input of the service and its roles.
// Source: OneFlow reference §2.5.
func CheckInputs(tree jsontree.Value) error {
	inputs, values := tree.Get("user_inputs"), tree.Get("user_inputs_values")
	switch {
	case !inputs.Present():
	case !values.Present() && len(inputs.Fields) > 0:
		return refuse("The Service template specifies User Inputs but no values have been found").
			at(tree, "a member user_inputs_values with %s", inputNames(inputs, values))
	case inputs.Kind != jsontree.Object:
		return in(tree, refuse("Wrong User Inputs or User Inputs Values format").at(inputs, "an object"), "user_inputs")
	case values.Present() && values.Kind != jsontree.Object:
		return in(tree, refuse("Wrong User Inputs or User Inputs Values format").at(values, "an object"), "user_inputs_values")
	case inputNames(inputs, values) != "":
		return in(tree, uncovered(inputs, values), "user_inputs_values")
	}
	roles := tree.Get("roles")
	for i, r := range roles.Items {
		if err := checkRoleInputs(r); err != nil {
			return in(tree, in(roles, err, i), "roles")
		}
	}
	return nil
}

func checkRoleInputs(r jsontree.Value) error {
	name := r.Get("name").Text
	if c := r.Get("template_contents"); c.Present() && c.Kind != jsontree.Object {
		err := refuse("Error validating template_contents object for therole %s. The object must be a valid hash.", name)
		return in(r, err.at(c, "an object"), "template_contents")
	}
	inputs, values := r.Get("user_inputs"), r.Get("user_inputs_values")
	format := func(at jsontree.Value, where string) error {
		return in(r, refuse("The role user inputs are empty or do not have a valid format").at(at, "an object"), where)
	}
	switch {
	case !inputs.Present():
	case inputs.Kind != jsontree.Object:
		return format(inputs, "user_inputs")
	case len(inputs.Fields) == 0:
	case !values.Present():
		return refuse("The Service template specifies user inputs for the role %s but no values have been found", name).
			at(r, "a member user_inputs_values with %s", inputNames(inputs, values))
	case values.Kind != jsontree.Object:
		return format(values, "user_inputs_values")
	case inputNames(inputs, values) != "":
		return in(r, uncovered(inputs, values), "user_inputs_values")
	}
	return nil
}

func uncovered(inputs, values jsontree.Value) error {
	return refuse("Verify that every User Input have its corresponding value defined").at(values, "also %s", inputNames(inputs, values))
}

// inputNames lists the inputs that have no value, "" when they all have one.
func inputNames(inputs, values jsontree.Value) string {
	have := map[string]bool{}
	for _, f := range values.Fields {
		have[f.Name] = true
	}
	var missing []string
	for _, f := range inputs.Fields {
		if !have[f.Name] {
			missing = append(missing, strings.TrimPrefix(step(f.Name), "."))
		}
	}
	return strings.Join(missing, ", ")
}

// Networks fills in the values of networks: what the template says as default
// where none is given, without the sequence \" that the web page puts into texts,
// and without ids of networks that are to be created. Source: OneFlow reference
// §2.5.
func Networks(tree jsontree.Value) (jsontree.Value, error) {
	nets, values := tree.Get("networks"), tree.Get("networks_values")
	if nets.Present() && nets.Kind != jsontree.Object {
		return tree, in(tree, refuse("Wrong networks format").at(nets, "an object"), "networks")
	}
	if values.Present() && values.Kind != jsontree.Array {
		return tree, in(tree, refuse("Wrong networks_values format").at(values, "an array of objects"), "networks_values")
	}
	if len(nets.Fields) > 0 && len(values.Items) == 0 {
		var defaults []jsontree.Value
		for _, f := range nets.Fields {
			d, ok := defaultNetwork(f.Value.Text)
			if !ok {
				err := refuse("Missing networks_values").at(f.Value, "a default as in \"M|network|Public||id:5\", or networks_values")
				return tree, in(tree, in(nets, err, f.Name), "networks")
			}
			defaults = append(defaults, jsontree.Obj(jsontree.F(f.Name, d)).PlacedAs(f.Value))
		}
		values = jsontree.List(defaults...)
		tree = tree.With("networks_values", values)
	}
	if err := checkNetworks(nets, values); err != nil {
		return tree, in(tree, err, "networks_values")
	}
	if values.Present() {
		values = values.Map(func(s string) string { return strings.ReplaceAll(s, `\"`, "") })
		values = withoutCreated(values)
		tree = tree.With("networks_values", values)
	}
	s, err := Read(tree)
	if err != nil {
		return tree, err
	}
	for _, n := range s.Networks {
		if n.Mode == NetReserve && strings.TrimSpace(n.Extra) == "" {
			return tree, refuse("networks_values: reserving from a network for '%s' needs 'extra' with at least SIZE", n.Name).
				at(values, "a member extra")
		}
	}
	return tree, nil
}

// withoutCreated takes out the ids of networks that a service is to create. They
// are there when the template was once a service; and a service removes the
// networks it created, so that no one may name somebody else's.
func withoutCreated(values jsontree.Value) jsontree.Value {
	items := slices.Clone(values.Items)
	for i, entry := range items {
		for _, f := range entry.Fields {
			if f.Value.Has(NetTemplate) || f.Value.Has(NetReserve) {
				items[i] = items[i].With(f.Name, f.Value.Without("id"))
			}
		}
	}
	return jsontree.List(items...).PlacedAs(values)
}

// checkNetworks wants the values of networks to be objects, one for each network.
func checkNetworks(nets, values jsontree.Value) error {
	have := map[string]bool{}
	for i, entry := range values.Items {
		if entry.Kind != jsontree.Object {
			return in(values, refuse("Wrong networks_values format").at(entry, "an object"), i)
		}
		for _, f := range entry.Fields {
			if f.Value.Kind != jsontree.Object {
				return in(values, in(entry, refuse("Wrong networks_values format").at(f.Value, "an object"), f.Name), i)
			}
			have[f.Name] = true
		}
	}
	for _, f := range nets.Fields {
		if !have[f.Name] {
			return refuse("Every network key must have its value defined at networks_value").at(values, "an element for %q", f.Name)
		}
	}
	return nil
}

// defaultNetwork reads the type and id in the fifth part of a network's text:
// "M|network|Public| |id:5".
func defaultNetwork(text string) (jsontree.Value, bool) {
	parts := strings.Split(text, "|")
	if len(parts) < 5 {
		return jsontree.Value{}, false
	}
	mode, rest, _ := strings.Cut(parts[4], ":")
	id, _, _ := strings.Cut(rest, ":")
	if mode != NetExisting && mode != NetTemplate && mode != NetReserve || strings.TrimSpace(id) == "" {
		return jsontree.Value{}, false
	}
	return jsontree.Obj(jsontree.F(mode, jsontree.Str(strings.TrimSpace(id)))), true
}

// WithNetworkIDs writes the ids of created networks, by name, into networks_values.
func WithNetworkIDs(tree jsontree.Value, ids map[string]int) jsontree.Value {
	entries := slices.Clone(tree.Get("networks_values").Items)
	for i, entry := range entries {
		for _, f := range entry.Fields {
			if id, ok := ids[f.Name]; ok {
				entries[i] = entries[i].With(f.Name, f.Value.With("id", jsontree.Int(id)))
			}
		}
	}
	if len(entries) == 0 {
		return tree
	}
	return tree.With("networks_values", jsontree.List(entries...))
}

// Fill writes the ids of networks and the values of user inputs into the
// template_contents of every role: $NAME anywhere in it is the value of that
// name, and every input becomes an attribute and a variable of the context.
// Source: OneFlow reference §2.6.
func Fill(tree jsontree.Value) jsontree.Value {
	nets := map[string]jsontree.Value{}
	for _, entry := range tree.Get("networks_values").Items {
		for _, f := range entry.Fields {
			nets[f.Name] = f.Value.Get("id")
		}
	}
	roles := slices.Clone(tree.Get("roles").Items)
	for i, r := range roles {
		inputs := map[string]jsontree.Value{}
		var order []string
		for _, values := range []jsontree.Value{tree.Get("user_inputs_values"), r.Get("user_inputs_values")} {
			for _, f := range values.Fields {
				if _, again := inputs[f.Name]; !again {
					order = append(order, f.Name)
				}
				inputs[f.Name] = jsontree.Str(plain(f.Value))
			}
		}
		if len(nets)+len(inputs) == 0 {
			continue
		}
		known := maps.Clone(nets)
		maps.Copy(known, inputs)
		contents := r.Get("template_contents")
		if contents.Kind != jsontree.Object {
			if len(inputs) == 0 {
				continue
			}
			contents = jsontree.Obj()
		}
		contents = expand(contents, newNames(known))
		roles[i] = r.With("template_contents", addInputs(contents, order, inputs))
	}
	return WithRoles(tree, roles)
}

// addInputs makes every input an attribute, and CONTEXT refer to it.
func addInputs(contents jsontree.Value, order []string, inputs map[string]jsontree.Value) jsontree.Value {
	if len(order) == 0 {
		return contents
	}
	attrs, vars := make([]jsontree.Field, len(order)), make([]jsontree.Field, len(order))
	for i, name := range order {
		attrs[i], vars[i] = jsontree.F(name, inputs[name]), jsontree.F(name, jsontree.Str("$"+name))
	}
	replace := func(_ string, _ *jsontree.Value, now jsontree.Value) jsontree.Value { return now }
	contents = contents.Overlay(attrs, replace)
	context := contents.Get("CONTEXT")
	if context.Kind == jsontree.Array && len(context.Items) > 0 {
		items := slices.Clone(context.Items)
		items[0] = items[0].Overlay(vars, replace)
		return contents.With("CONTEXT", jsontree.List(items...))
	}
	return contents.With("CONTEXT", context.Overlay(vars, replace))
}

// plain is how a scalar stands in a template.
func plain(v jsontree.Value) string {
	switch v.Kind {
	case jsontree.String, jsontree.Number:
		return v.Text
	case jsontree.Null:
		return ""
	}
	return v.Compact()
}

// names are the values that $NAME may stand for.
type names struct {
	values  map[string]jsontree.Value
	longest int
}

// maxName bounds the names that are looked for, in bytes.
const maxName = 128

func newNames(values map[string]jsontree.Value) names {
	n := names{values: values}
	for name := range values {
		if len(name) <= maxName {
			n.longest = max(n.longest, len(name))
		}
	}
	return n
}

// at returns the longest name that begins a text and is not part of a longer word.
func (n names) at(text string) (string, bool) {
	for size := min(n.longest, len(text)); size > 0; size-- {
		if _, known := n.values[text[:size]]; known && (size == len(text) || !isWord(text[size:size+1])) {
			return text[:size], true
		}
	}
	return "", false
}

// expand replaces $NAME in every string of a tree. A string that is nothing but
// one reference becomes the value with its type, so that ids stay numbers.
func expand(v jsontree.Value, n names) jsontree.Value {
	switch v.Kind {
	case jsontree.String:
		return n.expand(v.Text)
	case jsontree.Array:
		items := make([]jsontree.Value, len(v.Items))
		for i, m := range v.Items {
			items[i] = expand(m, n)
		}
		return jsontree.List(items...)
	case jsontree.Object:
		fields := make([]jsontree.Field, len(v.Fields))
		for i, f := range v.Fields {
			fields[i] = jsontree.F(f.Name, expand(f.Value, n))
		}
		return jsontree.Obj(fields...)
	}
	return v
}

func (n names) expand(text string) jsontree.Value {
	rest, isRef := strings.CutPrefix(text, "$")
	if name, ok := n.at(rest); isRef && ok && len(name) == len(rest) {
		return n.values[name]
	}
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return jsontree.Str(out.String())
		}
		if name, ok := n.at(after); ok {
			out.WriteString(plain(n.values[name]))
			after = after[len(name):]
		} else {
			out.WriteByte('$')
		}
		text = after
	}
}
