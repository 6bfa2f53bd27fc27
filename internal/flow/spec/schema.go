package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
)

// rule says what one member of an object must be.
type rule struct {
	name     string
	kind     kind
	required bool
	enum     []string
	min      int // of integers; noMin for none
	max      int // of integers and of the length of arrays; 0 for none
	word     bool
	fallback *jsontree.Value
	items    kind   // of arrays
	fields   []rule // of objects in arrays
}

type kind uint8

const (
	text kind = iota
	integral
	boolean
	object
	array
)

const noMin = -1 << 31

// kindWords are the original's words.
var kindWords = map[kind]string{text: "string", integral: "integer", boolean: "boolean", object: "object", array: "array"}

func fallback(v jsontree.Value) *jsontree.Value { return &v }

var shutdownActions = []string{"terminate", "terminate-hard", "shutdown", "shutdown-hard"}

// serviceRules are the members of a service template; its roles are looked at
// one by one afterwards. Source: OneFlow reference §2.1.
var serviceRules = []rule{
	{name: "name", kind: text, required: true},
	{name: "deployment", kind: text, enum: []string{"none", "straight"}, fallback: fallback(jsontree.Str("none"))},
	{name: "description", kind: text, fallback: fallback(jsontree.Str(""))},
	{name: "shutdown_action", kind: text, enum: shutdownActions},
	{name: "roles", kind: array, items: object, required: true, max: MaxRoles},
	{name: "user_inputs", kind: object},
	{name: "user_inputs_values", kind: object},
	{name: "ready_status_gate", kind: boolean},
	{name: "networks", kind: object},
	{name: "networks_values", kind: array, items: object},
	{name: "automatic_deletion", kind: boolean},
	{name: "on_hold", kind: boolean},
	{name: "registration_time", kind: integral, min: noMin},
}

// Rules of roles by type. Source: OneFlow reference §2.2.
var (
	vmRules = []rule{
		{name: "name", kind: text, required: true, word: true},
		{name: "type", kind: text, required: true},
		{name: "cardinality", kind: integral, max: MaxCardinality, fallback: fallback(jsontree.Int(0))},
		{name: "template_id", kind: integral, min: noMin, required: true},
		{name: "template_contents", kind: object},
		{name: "parents", kind: array, items: text},
		{name: "shutdown_action", kind: text, enum: shutdownActions},
		{name: "user_inputs", kind: object},
		{name: "user_inputs_values", kind: object},
		{name: "min_vms", kind: integral},
		{name: "max_vms", kind: integral},
		{name: "cooldown", kind: integral},
		{name: "on_hold", kind: boolean},
		{name: "elasticity_policies", kind: array, items: object, fields: elasticityRules, max: MaxPolicies},
		{name: "scheduled_policies", kind: array, items: object, fields: scheduledRules, max: MaxPolicies},
	}
	vrRules = []rule{
		{name: "name", kind: text, required: true, word: true},
		{name: "type", kind: text, required: true},
		{name: "template_id", kind: integral, min: noMin, required: true},
		{name: "cardinality", kind: integral, max: MaxCardinality, fallback: fallback(jsontree.Int(0))},
		{name: "template_contents", kind: object},
		{name: "user_inputs", kind: object},
		{name: "user_inputs_values", kind: object},
		{name: "on_hold", kind: boolean},
		{name: "parents", kind: array, items: text},
	}
	policyTypes = []string{Change, Cardinality, PercentageChange}

	elasticityRules = []rule{
		{name: "type", kind: text, required: true, enum: policyTypes},
		{name: "adjust", kind: integral, min: noMin, required: true},
		{name: "min_adjust_step", kind: integral, min: 1},
		{name: "period_number", kind: integral},
		{name: "period", kind: integral},
		{name: "expression", kind: text, required: true},
		{name: "cooldown", kind: integral},
	}
	scheduledRules = []rule{
		{name: "type", kind: text, required: true, enum: policyTypes},
		{name: "adjust", kind: integral, min: noMin, required: true},
		{name: "min_adjust_step", kind: integral, min: 1},
		{name: "start_time", kind: text},
		{name: "recurrence", kind: text},
		{name: "cooldown", kind: integral},
	}
)

// check applies rules to an object and returns it with values coerced and
// missing ones filled in; what no rule names stays as it is.
// Source: OneFlow reference §2.3.
func check(body jsontree.Value, key string, rules []rule) (jsontree.Value, error) {
	if body.Kind != jsontree.Object {
		return body, refuse("KEY: '%s' must be an Object;", key).at(body, "an object")
	}
	for i := range rules {
		r := &rules[i]
		v := body.Get(r.name)
		switch {
		case v.Present():
			good, err := r.value(v)
			if err != nil {
				return body, in(body, err, r.name)
			}
			body = body.With(r.name, good.PlacedAs(v))
		case r.required:
			return body, refuse("Mandatory document key '%s (%s)' is missing from %s", r.name, kindWords[r.kind], body.Compact()).
				at(body, "a member %s, %s", r.name, r.want())
		case r.fallback != nil:
			body = body.With(r.name, *r.fallback)
		case v.Kind == jsontree.Null && body.Has(r.name):
			body = body.Without(r.name) // so that nobody meets a null where a value is expected
		}
	}
	return body, nil
}

// want says what a value must be.
func (r *rule) want() string {
	switch {
	case r.kind == integral && r.max > 0:
		return fmt.Sprintf("an integer of %d to %d", r.min, r.max)
	case r.kind == integral && r.min != noMin:
		return fmt.Sprintf("an integer of at least %d", r.min)
	case r.kind == integral:
		return "an integer"
	case r.kind == boolean:
		return "true or false"
	case r.kind == object:
		return "an object"
	case r.kind == array && r.max > 0:
		return fmt.Sprintf("an array of at most %d %ss", r.max, kindWords[r.items])
	case r.kind == array:
		return "an array of " + kindWords[r.items] + "s"
	case r.enum != nil:
		return "one of " + strings.Join(r.enum, ", ")
	case r.word:
		return "a string of letters, digits and underscores"
	}
	return "a string"
}

// value checks and coerces one value.
func (r *rule) value(v jsontree.Value) (jsontree.Value, error) {
	switch r.kind {
	case integral:
		return r.integer(v)
	case boolean:
		if v.Kind != jsontree.Bool {
			return r.refuse(v, "is not allowed in {:type=>:boolean, :required=>false}")
		}
		return v, nil
	case array:
		return r.array(v)
	case object:
		if v.Kind != jsontree.Object {
			return r.refuse(v, "must be an Object")
		}
		return v, nil
	}
	if v.Kind != jsontree.String {
		return r.refuse(v, "must be a String")
	}
	if r.enum != nil && !slices.Contains(r.enum, v.Text) {
		return r.refuse(v, "must be one of "+strings.Join(r.enum, ", "))
	}
	if r.word && !isWord(v.Text) {
		return r.refuse(v, `must match regexp /^\w+$/`)
	}
	return v, nil
}

// refuse refuses a value; why continues "KEY: 'name' ".
func (r *rule) refuse(v jsontree.Value, why string) (jsontree.Value, error) {
	return v, refuse("KEY: '%s' %s;", r.name, why).at(v, "%s", r.want())
}

func (r *rule) integer(v jsontree.Value) (jsontree.Value, error) {
	n, ok := integer(v)
	if !ok {
		return r.refuse(v, "must be an Integer")
	}
	if n < r.min {
		return r.refuse(v, fmt.Sprintf("must be greater than or equal to %d", r.min))
	}
	if r.max > 0 && n > r.max {
		return r.refuse(v, fmt.Sprintf("must be lower than or equal to %d", r.max))
	}
	return jsontree.Int(n), nil
}

func (r *rule) array(v jsontree.Value) (jsontree.Value, error) {
	if v.Kind != jsontree.Array {
		return r.refuse(v, "must be an Array")
	}
	if r.max > 0 && len(v.Items) > r.max {
		return r.refuse(v, fmt.Sprintf("must have at most %d elements", r.max))
	}
	item := rule{name: r.name, kind: r.items}
	out := make([]jsontree.Value, len(v.Items))
	for i, m := range v.Items {
		var err error
		if out[i], err = item.value(m); err != nil {
			return v, in(v, err, i)
		}
		if r.fields == nil {
			continue
		}
		if out[i], err = check(m, r.name, r.fields); err != nil {
			return v, in(v, err, i)
		}
	}
	return jsontree.List(out...), nil
}

// integer reads what the original's Integer() takes: a number, whose fraction is
// cut off, or the text of one, with its prefixes for other bases.
func integer(v jsontree.Value) (int, bool) {
	switch v.Kind {
	case jsontree.Number:
		if n, ok := v.Number(); ok {
			return n, true
		}
		f, err := strconv.ParseFloat(v.Text, 64)
		if err != nil || f < -1<<53 || f > 1<<53 {
			return 0, false
		}
		return int(f), true
	case jsontree.String:
		n, err := strconv.ParseInt(strings.TrimSpace(v.Text), 0, 64)
		return int(n), err == nil
	}
	return 0, false
}

func isWord(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != ""
}
