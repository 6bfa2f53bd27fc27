package flowapi

import (
	"slices"
	"strings"

	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/one"
)

func listServices(q *request) (answer, error) { return shown(q.flow.Services(q.who)) }

func showService(q *request, id int) (answer, error) {
	return shown(q.flow.Service(q.who, id))
}

func undeploy(q *request, id int) (answer, error) {
	return done, q.flow.Undeploy(q.Context(), q.who, id)
}

func purgeDone(q *request) (answer, error) { return done, q.flow.PurgeDone(q.Context(), q.who) }

// updateService changes a running service. Source: OneFlow reference §1.5.
func updateService(q *request, id int) (answer, error) {
	body, err := q.template()
	if err != nil {
		return answer{}, err
	}
	if !body.Get("append").Present() {
		return done, q.flow.UpdateService(q.Context(), q.who, id, body, false)
	}
	change, err := q.within(body.Get("template"), "Missing template to append")
	if err != nil {
		return answer{}, err
	}
	return done, q.flow.UpdateService(q.Context(), q.who, id, change, true)
}

// serviceAction does what a whole service is asked for; names of older versions
// are understood. Source: OneFlow reference §1.4.
func serviceAction(q *request, id int, a action) (answer, error) {
	ctx := q.Context()
	switch a.name {
	case "recover", "deploy":
		return done, q.flow.Recover(ctx, q.who, id, a.params.Get("delete").Present())
	case "shutdown":
		return done, q.flow.Undeploy(ctx, q.who, id)
	case "release":
		return done, q.flow.Release(ctx, q.who, id)
	case "chown", "chgrp", "chmod", "rename":
		return done, q.describe(id, one.DocService, a, q.flow.Chown)
	case "update":
		if raw := a.params.Get("template_raw"); raw.Kind == jsontree.String {
			return done, q.flow.UpdateText(ctx, q.who, id, one.DocService, raw.Text, true)
		}
		change, err := q.within(a.params.Get("template_json"), "Missing template to append")
		if err != nil {
			return answer{}, err
		}
		return done, q.flow.UpdateService(ctx, q.who, id, change, true)
	}
	if a.name = present(a.name); !slices.Contains(flow.RoleActions, a.name) {
		return answer{}, a.unsupported()
	}
	return q.onRole(id, "", a)
}

// olderActions are the names that actions on VMs had up to 4.14.
// Source: OneFlow reference §5.
var olderActions = map[string]string{
	"shutdown": "terminate", "shutdown-hard": "terminate-hard", "delete": "terminate-hard", "boot": "resume",
}

// present is the name that an action has now.
func present(name string) string {
	if now, older := olderActions[name]; older {
		return now
	}
	return name
}

func roleAction(q *request, id int, a action) (answer, error) {
	if a.name = present(a.name); !slices.Contains(flow.RoleActions, a.name) {
		return answer{}, errs.New(errs.Action, "Action '%s' is not supported. Supported actions: %s", a.name, strings.Join(flow.RoleActions, ", "))
	}
	return q.onRole(id, q.PathValue("role"), a)
}

// onRole asks for an action on the VMs of a role, "" for all.
func (q *request) onRole(id int, role string, a action) (answer, error) {
	if a.params.Kind != jsontree.Object {
		return answer{}, broken("action.params is missing")
	}
	period, err := a.optional("period", -1)
	if err != nil {
		return answer{}, err
	}
	number, err := a.optional("number", -1)
	if err != nil {
		return answer{}, err
	}
	return done, q.flow.ActOnRole(q.Context(), q.who, id, flow.RoleAction{
		Role: role, Action: a.name, Args: a.params.Get("args").Text, Period: period, Number: number,
	})
}

func deleteAction(q *request, id int) (answer, error) {
	n, ok := whole(jsontree.Str(q.PathValue("action")))
	if !ok || n < 0 {
		return answer{}, invalid("Sched action ID must be an integer number")
	}
	return done, q.flow.DeleteAction(q.Context(), q.who, id, q.PathValue("role"), n)
}

// scale sets the cardinality of a role. Source: OneFlow reference §1.5.
func scale(q *request, id int) (answer, error) {
	body, err := q.object()
	if err != nil {
		return answer{}, err
	}
	if !body.Has("force") {
		return answer{}, broken("force is missing: expected true or false")
	}
	return q.scaleTo(id, body.Get("role_name").Text, body)
}

// scaleRole is the route of versions before 5.12.
func scaleRole(q *request, id int) (answer, error) {
	body, err := q.object()
	if err != nil {
		return answer{}, err
	}
	return q.scaleTo(id, q.PathValue("role"), body)
}

// scaleTo reads the cardinality, which is 0 if it is missing.
func (q *request) scaleTo(id int, role string, body jsontree.Value) (answer, error) {
	n := 0
	if v := body.Get("cardinality"); v.Kind != jsontree.Null {
		var ok bool
		if n, ok = whole(v); !ok || n < 0 {
			return answer{}, errs.New(errs.Action, "Cardinality must be an integer number")
		}
	}
	if body.Get("force").Present() {
		return done, q.flow.ForceScale(q.Context(), q.who, id, role, n)
	}
	return done, q.flow.Scale(q.Context(), q.who, id, role, n)
}

// changeRoles adds a role to a running service or removes one.
func changeRoles(q *request, id int, a action) (answer, error) {
	role := a.params.Get("role")
	switch a.name {
	case "add_role":
		role, err := q.within(role, "action.params.role is missing: expected a role")
		if err != nil {
			return answer{}, err
		}
		return done, q.flow.AddRole(q.Context(), q.who, id, role)
	case "remove_role":
		return done, q.flow.RemoveRole(q.Context(), q.who, id, role.Text)
	}
	return answer{}, a.unsupported()
}
