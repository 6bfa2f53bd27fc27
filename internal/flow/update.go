package flow

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// What cannot be changed of a running service and its roles. Source: OneFlow
// reference §1.5.
var (
	fixedOfService = []string{
		"user_inputs", "user_inputs_values", "custom_attrs", "custom_attrs_values", "deployment", "log", "name", "networks", "networks_values",
		"ready_status_gate", "state", "start_time",
	}
	fixedOfRole = []string{"cardinality", "last_vmname", "nodes", "parents", "state", "template_id", "vm_template"}

	// What the server writes into bodies and keeps elsewhere.
	runtimeOfService = []string{"log", "state", "start_time", schedActions}
	runtimeOfRole    = []string{"last_vmname", "nodes", "state", "scale_way", "vrouter_id", "vrouter_ips"}
	runtimeOfPolicy  = []string{"last_eval", "true_evals", "expression_evaluated"}
)

// UpdateService changes the template of a running service: change is its whole
// body with edits, or, appended, top-level members to lay over it. Only what is
// sent is compared with what must not change; in the original a body without a
// member that must not change is refused, and so is one whose log has grown since.
func (f *Flow) UpdateService(ctx context.Context, who auth.Caller, id int, change jsontree.Value, appended bool) error {
	if change.Kind != jsontree.Object {
		return spec.Refuse("KEY: '' must be an Object;", change, "an object")
	}
	return f.command(ctx, who, id, func(_ *store.Tx, x *facts, _ reconcile.Input) (reconcile.Plan, error) {
		switch x.svc.State {
		case one.ServicePending, one.ServiceRunning, one.ServiceWarning, one.ServiceHold, one.ServiceDone:
		default:
			return reconcile.Plan{}, errs.New(errs.Action, "Service cannot be updated in state: %s", x.svc.State)
		}
		shown := f.renderer(id).body(*x)
		next, err := f.merged(x, shown, change, appended)
		if err != nil {
			return reconcile.Plan{}, err
		}
		if next, err = spec.Validate(next); err != nil {
			return reconcile.Plan{}, err
		}
		if _, err = spec.Read(next); err != nil {
			return reconcile.Plan{}, err
		}
		return reconcile.Plan{Service: withTemplate(x, next)}, nil
	})
}

// merged checks a change against what is shown of a service and returns the new
// template.
func (f *Flow) merged(x *facts, shown, change jsontree.Value, appended bool) (jsontree.Value, error) {
	for _, name := range fixedOfService {
		sent, given := change.Lookup(name)
		old, had := shown.Lookup(name)
		if given && (appended || !had || !sameFixed(name, old, sent)) {
			return change, immutable("service/"+name, sent, name)
		}
	}
	next := change.Without(runtimeOfService...)
	stored := x.spec.tree.With("name", jsontree.Str(x.doc.Name))
	if appended {
		next = stored.Overlay(next.Fields, func(_ string, _ *jsontree.Value, now jsontree.Value) jsontree.Value { return now })
	} else {
		for _, name := range append([]string{registrationTime}, fixedOfService...) {
			if v, had := stored.Lookup(name); had && !next.Has(name) {
				next = next.With(name, v)
			}
		}
	}
	if !change.Has("roles") {
		return next.With("roles", stored.Get("roles")), nil
	}
	roles, err := mergedRoles(stored.Get("roles"), shown.Get("roles"), change.Get("roles"))
	return next.With("roles", roles), err
}

// mergedRoles checks the roles of a change and returns those of the new template.
func mergedRoles(stored, shown, sent jsontree.Value) (jsontree.Value, error) {
	if sent.Kind != jsontree.Array {
		return sent, spec.Refuse("KEY: 'roles' must be an Array;", sent, "an array of objects", "roles")
	}
	if len(sent.Items) != len(shown.Items) {
		return sent, immutable("service/roles size", sent, "roles")
	}
	seen := map[int]bool{}
	out := make([]jsontree.Value, len(sent.Items))
	for i, r := range sent.Items {
		at := slices.IndexFunc(shown.Items, func(o jsontree.Value) bool { return r.Kind == jsontree.Object && o.Get("name").Equal(r.Get("name")) })
		if at < 0 || seen[at] {
			return sent, errs.New(errs.Action, "To change `service/name` use rename operation")
		}
		seen[at] = true
		for _, name := range fixedOfRole {
			v, given := r.Lookup(name)
			old, had := shown.Items[at].Lookup(name)
			if given && (!had || !sameFixed(name, old, v)) {
				return sent, immutable("role/"+name, v, "roles", i, name)
			}
		}
		out[i] = r.Without(runtimeOfRole...)
		for _, name := range append([]string{"type"}, fixedOfRole...) {
			if v, had := stored.Items[at].Lookup(name); had && !out[i].Has(name) {
				out[i] = out[i].With(name, v)
			}
		}
		out[i] = out[i].With("cardinality", shown.Items[at].Get("cardinality"))
		for _, list := range []string{"elasticity_policies", "scheduled_policies"} {
			if items := out[i].Get(list).Items; len(items) > 0 {
				out[i] = out[i].With(list, withoutRuntime(items))
			}
		}
	}
	return jsontree.List(out...), nil
}

func withoutRuntime(items []jsontree.Value) jsontree.Value {
	out := make([]jsontree.Value, len(items))
	for i, p := range items {
		out[i] = p
		if p.Kind == jsontree.Object {
			out[i] = p.Without(runtimeOfPolicy...)
		}
	}
	return jsontree.List(out...)
}

// sameFixed tells whether what must not change has not. Of a log that is sent
// back every entry must be there still, or have been dropped with age; of nodes
// only the machines count, their names and owners are shown as they are now.
func sameFixed(name string, old, sent jsontree.Value) bool {
	switch name {
	case "log":
		kept := old.Items
		for _, e := range sent.Items {
			at := slices.IndexFunc(kept, e.Equal)
			if at >= 0 {
				kept = kept[at+1:]
			} else if len(old.Items) < maxLog {
				return false
			}
		}
		return sent.Kind == jsontree.Array
	case "nodes":
		return sent.Kind == jsontree.Array && slices.EqualFunc(old.Items, sent.Items, func(a, b jsontree.Value) bool {
			return a.Get("deploy_id").Equal(b.Get("deploy_id"))
		})
	}
	return old.Equal(sent)
}

// withTemplate returns a service with another template, whose roles may stand in
// another order. Counters of policies that changed begin anew.
func withTemplate(x *facts, next jsontree.Value) *one.Service {
	s := *x.svc
	s.Spec = json.RawMessage(next.Append(nil))
	s.Roles = nil
	for _, t := range next.Get("roles").Items {
		at := slices.IndexFunc(x.svc.Roles, func(r one.Role) bool { return r.Name == t.Get("name").Text })
		r := x.svc.Roles[at]
		old := x.spec.tree.Get("roles").Items[at]
		if !old.Get("elasticity_policies").Equal(t.Get("elasticity_policies")) {
			r.Policies = nil
		}
		if !old.Get("scheduled_policies").Equal(t.Get("scheduled_policies")) {
			r.Sched = nil
		}
		s.Roles = append(s.Roles, r)
	}
	return &s
}
