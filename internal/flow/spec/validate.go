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
	ofRole := func(i int, err error) error { return in(tree, in(tree.Get("roles"), err, i), "roles") }
	for i, r := range roles {
		if out[i], err = roleSchema(r); err != nil {
			return tree, ofRole(i, err)
		}
	}
	tree = WithRoles(tree, out)
	names := map[string]bool{}
	for i, r := range out {
		name := r.Get("name")
		if names[name.Text] {
			err := refuse("Role name '%s' is repeated", name.Text).at(name, "another name than those of the roles before")
			return tree, ofRole(i, in(r, err, "name"))
		}
		names[name.Text] = true
		if err := checkRole(r); err != nil {
			return tree, ofRole(i, err)
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
		return r, refuse("KEY: 'roles' must be an Object;").at(r, "an object")
	}
	rules := vmRules
	switch t := r.Get("type"); {
	case t.Kind == jsontree.String && t.Text == TypeVR:
		rules = vrRules
	case t.Kind == jsontree.String && t.Text != TypeVM:
		return r, in(r, refuse("Unsupported role type %q", t.Text).at(t, "one of vm, vr"), "type")
	}
	return check(r, "roles", rules)
}

// checkRole checks what holds between the values of a role.
func checkRole(t jsontree.Value) error {
	r := readRole(t, &Spec{})
	if err := checkContents(r.Name, r.Contents); err != nil {
		return in(t, err, "template_contents")
	}
	if r.Type == TypeVR {
		return checkRouter(t, &r)
	}
	if r.Min >= 0 && r.Cardinality < r.Min {
		err := refuse("Role '%s' 'cardinality' must be greater than or equal to 'min_vms'", r.Name)
		return in(t, err.at(t.Get("cardinality"), "at least %d, the min_vms", r.Min), "cardinality")
	}
	if r.Max >= 0 && r.Cardinality > r.Max {
		err := refuse("Role '%s' 'cardinality' must be lower than or equal to 'max_vms'", r.Name)
		return in(t, err.at(t.Get("cardinality"), "at most %d, the max_vms", r.Max), "cardinality")
	}
	if len(r.Policies)+len(r.Scheduled) > 0 && (r.Min < 0 || r.Max < 0) {
		return refuse("Role '%s' with  'elasticity_policies' or 'scheduled_policies'must define both 'min_vms' and 'max_vms'", r.Name).
			at(t, "members min_vms and max_vms")
	}
	for i, p := range r.Policies {
		if err := checkElastic(r.Name, i, p, t.Get("elasticity_policies").Items[i]); err != nil {
			return in(t, in(t, err, i), "elasticity_policies")
		}
	}
	for i, p := range r.Scheduled {
		if err := checkScheduled(r.Name, i, p, t.Get("scheduled_policies").Items[i]); err != nil {
			return in(t, in(t, err, i), "scheduled_policies")
		}
	}
	return nil
}

func checkElastic(role string, i int, p Policy, t jsontree.Value) error {
	var err *Error
	if strings.TrimSpace(p.Expression) == "" {
		err = refuse("Role '%s', elasticity policy #%d 'expression' cannot be empty", role, i)
	} else if _, wrong := expr.ParseElasticity(p.Expression); wrong != nil {
		err = refuse("Role '%s', elasticity policy #%d 'expression' parse error: %v", role, i, wrong)
	}
	if err == nil {
		return nil
	}
	return in(t, err.at(t.Get("expression"), "a condition such as LOAD > 80"), "expression")
}

func checkScheduled(role string, i int, p Policy, t jsontree.Value) error {
	start, cron := t.Get("start_time"), t.Get("recurrence")
	fault := func(format string) *Error { return refuse("Role '%s', scheduled policy #%d "+format, role, i) }
	switch {
	case start.Present() && cron.Present():
		return fault("must define 'start_time' or 'recurrence', but not both").at(t, "just one of start_time and recurrence")
	case !start.Present() && !cron.Present():
		return fault("needs to define either 'start_time' or 'recurrence'").at(t, "a member start_time or recurrence")
	case start.Present() && !schedule.ValidTime(p.StartTime):
		err := fault("'start_time' is not a valid Time. Try with YYYY-MM-DD hh:mm:ss or 0YYY-MM-DDThh:mm:ssZ")
		return in(t, err.at(start, "a time such as 2026-01-31 09:00:00"), "start_time")
	case cron.Present() && !schedule.ValidCron(p.Recurrence):
		err := fault("'recurrence' is not a valid cron expression")
		return in(t, err.at(cron, "minute, hour, day, month and weekday, such as 0 9 * * mon-fri"), "recurrence")
	}
	return nil
}

// checkRouter wants a floating address of a router of several VMs.
func checkRouter(t jsontree.Value, r *Role) error {
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
	err := refuse("Role '%s' with 'cardinality' greather than one must define a floating IP", r.Name)
	return in(t, in(r.Contents, err.at(nics, "a member FLOATING_IP in one of them"), "NIC"), "template_contents")
}

// checkContents wants every name in template_contents to be one that an
// attribute can have.
func checkContents(role string, contents jsontree.Value) error {
	names := func(of jsontree.Value) error {
		for _, f := range of.Fields {
			if !isAttribute(f.Name) {
				err := refuse("Role '%s': template_contents: %q is not the name of an attribute", role, f.Name)
				return in(of, err.at(f.Value, "a name of letters, digits and underscores that does not begin with a digit"), f.Name)
			}
		}
		return nil
	}
	if err := names(contents); err != nil {
		return err
	}
	for _, f := range contents.Fields {
		if err := names(f.Value); err != nil {
			return in(contents, err, f.Name)
		}
		for i, item := range f.Value.Items {
			if err := names(item); err != nil {
				return in(contents, in(f.Value, err, i), f.Name)
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
	roles := tree.Get("roles")
	ofParents := func(i int, err error) error {
		return in(tree, in(roles, in(roles.Items[i], err, "parents"), i), "roles")
	}
	for i, r := range s.Roles {
		for j, p := range r.Parents {
			if _, ok := s.Role(p); !ok {
				parents := r.Tree.Get("parents")
				err := refuse("Role '%s': its parent '%s' is not a role of the service", r.Name, p).at(parents.Items[j], "the name of another role")
				return ofParents(i, in(parents, err, j))
			}
		}
	}
	done := map[string]bool{}
	for i, r := range s.Roles {
		if path := circle(s, r.Name, nil, done); path != nil {
			err := refuse("The parents of the roles go round in a circle: %s", strings.Join(path, " -> "))
			return ofParents(i, err.at(r.Tree.Get("parents"), "parents that do not depend on the role itself"))
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
