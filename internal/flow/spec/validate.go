package spec

import (
	"strings"

	"github.com/trifid-cloud/trifid/internal/expr"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/schedule"
)

// Validate checks a service template and its graph of parents: see Check and
// CheckGraph.
func Validate(tree jsontree.Value) (jsontree.Value, error) {
	tree, err := Check(tree)
	if err != nil {
		return tree, err
	}
	return tree, CheckGraph(tree)
}

// Check checks a service template in the original's order: conversion of the old
// form, the schema, each role, then what holds between them. It returns the
// template with values coerced and defaults filled in. Errors are *Error.
// Source: OneFlow reference §2.3.
func Check(tree jsontree.Value) (jsontree.Value, error) {
	tree = Convert(tree)
	tree, err := check(tree, "", serviceRules)
	if err != nil {
		return tree, err
	}
	roles := tree.Get("roles").Items
	out := make([]jsontree.Value, len(roles))
	for i, r := range roles {
		if out[i], err = roleSchema(r); err != nil {
			return tree, err
		}
	}
	tree = WithRoles(tree, out)
	names := map[string]bool{}
	for _, r := range out {
		name := r.Get("name").Text
		if names[name] {
			return tree, refuse("Role name '%s' is repeated", name)
		}
		names[name] = true
		if err := checkRole(r); err != nil {
			return tree, err
		}
	}
	if size := len(tree.Append(nil)); size > MaxBytes {
		return tree, refuse("the service template has %d bytes, at most %d are allowed", size, MaxBytes)
	}
	return tree, nil
}

// ValidateRole checks a role that is added to a service.
func ValidateRole(tree jsontree.Value) (jsontree.Value, error) {
	tree, err := roleSchema(tree)
	if err != nil {
		return tree, err
	}
	return tree, checkRole(tree)
}

// roleSchema applies the schema of a role's type.
func roleSchema(r jsontree.Value) (jsontree.Value, error) {
	if r.Kind != jsontree.Object {
		return r, refuse("KEY: 'roles' must be an Object;")
	}
	rules := vmRules
	switch t := r.Get("type"); {
	case t.Kind == jsontree.String && t.Text == TypeVR:
		rules = vrRules
	case t.Kind == jsontree.String && t.Text != TypeVM:
		return r, refuse("Unsupported role type %q", t.Text)
	}
	return check(r, "roles", rules)
}

// checkRole checks what holds between the values of a role.
func checkRole(t jsontree.Value) error {
	r := readRole(t, &Spec{})
	if err := checkContents(r.Name, r.Contents); err != nil {
		return err
	}
	if r.Type == TypeVR {
		return checkRouter(&r)
	}
	if r.Min >= 0 && r.Cardinality < r.Min {
		return refuse("Role '%s' 'cardinality' must be greater than or equal to 'min_vms'", r.Name)
	}
	if r.Max >= 0 && r.Cardinality > r.Max {
		return refuse("Role '%s' 'cardinality' must be lower than or equal to 'max_vms'", r.Name)
	}
	if len(r.Policies)+len(r.Scheduled) > 0 && (r.Min < 0 || r.Max < 0) {
		return refuse("Role '%s' with  'elasticity_policies' or 'scheduled_policies'must define both 'min_vms' and 'max_vms'", r.Name)
	}
	for i, p := range r.Policies {
		if strings.TrimSpace(p.Expression) == "" {
			return refuse("Role '%s', elasticity policy #%d 'expression' cannot be empty", r.Name, i)
		}
		if _, err := expr.ParseElasticity(p.Expression); err != nil {
			return refuse("Role '%s', elasticity policy #%d 'expression' parse error: %v", r.Name, i, err)
		}
	}
	for i, p := range r.Scheduled {
		if err := checkScheduled(r.Name, i, p, t.Get("scheduled_policies").Items[i]); err != nil {
			return err
		}
	}
	return nil
}

func checkScheduled(role string, i int, p Policy, t jsontree.Value) error {
	start, cron := t.Get("start_time").Present(), t.Get("recurrence").Present()
	switch {
	case start && cron:
		return refuse("Role '%s', scheduled policy #%d must define 'start_time' or 'recurrence', but not both", role, i)
	case !start && !cron:
		return refuse("Role '%s', scheduled policy #%d needs to define either 'start_time' or 'recurrence'", role, i)
	case start && !schedule.ValidTime(p.StartTime):
		return refuse("Role '%s', scheduled policy #%d 'start_time' is not a valid Time. Try with YYYY-MM-DD hh:mm:ss or 0YYY-MM-DDThh:mm:ssZ", role, i)
	case cron && !schedule.ValidCron(p.Recurrence):
		return refuse("Role '%s', scheduled policy #%d 'recurrence' is not a valid cron expression", role, i)
	}
	return nil
}

// checkRouter wants a floating address of a router of several VMs.
func checkRouter(r *Role) error {
	nics := r.Contents.Get("NIC")
	if nics.Kind != jsontree.Array || r.Cardinality <= 1 {
		return nil
	}
	for _, nic := range nics.Items {
		for _, f := range nic.Fields {
			if strings.HasPrefix(f.Name, "FLOATING") {
				return nil
			}
		}
	}
	return refuse("Role '%s' with 'cardinality' greather than one must define a floating IP", r.Name)
}

// checkContents wants every name in template_contents to be one that an
// attribute can have.
func checkContents(role string, contents jsontree.Value) error {
	for _, f := range contents.Fields {
		names := []jsontree.Field{f}
		names = append(names, f.Value.Fields...)
		for _, item := range f.Value.Items {
			names = append(names, item.Fields...)
		}
		for _, n := range names {
			if !isAttribute(n.Name) {
				return refuse("Role '%s': template_contents: %q is not the name of an attribute", role, n.Name)
			}
		}
	}
	return nil
}

func isAttribute(s string) bool {
	return isWord(s) && (s[0] < '0' || s[0] > '9')
}

// CheckGraph refuses parents that do not exist and circles of parents in a
// service whose roles are deployed one after another: the original accepts them,
// and such a service then hangs for ever. Source: OneFlow reference §2.3, §10.2.
func CheckGraph(tree jsontree.Value) error {
	s, err := Read(tree)
	if err != nil || !s.Straight {
		return err
	}
	for _, r := range s.Roles {
		for _, p := range r.Parents {
			if _, ok := s.Role(p); !ok {
				return refuse("Role '%s': its parent '%s' is not a role of the service", r.Name, p)
			}
		}
	}
	done := map[string]bool{}
	for _, r := range s.Roles {
		if path := circle(s, r.Name, nil, done); path != nil {
			return refuse("The parents of the roles go round in a circle: %s", strings.Join(path, " -> "))
		}
	}
	return nil
}

// circle follows the parents of a role and returns the circle it finds, nil if
// there is none; roles that are done have none.
func circle(s *Spec, name string, path []string, done map[string]bool) []string {
	for i, p := range path {
		if p == name {
			return append(path[i:], name)
		}
	}
	if done[name] {
		return nil
	}
	r, _ := s.Role(name)
	for _, p := range r.Parents {
		if found := circle(s, p, append(path, name), done); found != nil {
			return found
		}
	}
	done[name] = true
	return nil
}
