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

// command gives a command to a service that the caller may manage. It changes
// what should be; the controller sees that and does the rest.
func (f *Flow) command(ctx context.Context, who auth.Caller, id int, give func(tx *store.Tx, x *facts, in reconcile.Input) (reconcile.Plan, error)) error {
	return f.store.Update(ctx, func(tx *store.Tx) error {
		x, err := f.managed(tx, who, id)
		if err != nil {
			return err
		}
		now := f.now()
		plan, err := give(tx, &x, f.input(x, nil, now))
		if err != nil {
			return err
		}
		for i := range plan.Log {
			asked(&plan.Log[i].Event, who.Name)
		}
		put(tx, x.svc, &plan, now.Unix())
		return nil
	})
}

// asked notes who gave the command that an event follows from.
func asked(e *one.ServiceEvent, user string) {
	switch e.Type {
	case one.EventState, one.EventRoles:
		e.By = user
	case one.EventScaling:
		if e.Cause == one.CauseUser {
			e.By = user
		}
	}
}

// managed returns a service that the caller may manage.
func (f *Flow) managed(tx *store.Tx, who auth.Caller, id int) (facts, error) {
	if _, err := f.visible(&tx.State, who, id, one.Manage); err != nil {
		return facts{}, err
	}
	x, ok, err := f.factsOf(&tx.State, id)
	if err == nil && !ok {
		err = errs.Wrap(errs.Action, errNoService)
	}
	return x, err
}

// put stores what a plan makes of a service, and its log lines.
func put(tx *store.Tx, old *one.Service, plan *reconcile.Plan, now int64) {
	s := *old
	if plan.Service != nil {
		s = *plan.Service
	}
	addLog(tx, &s, now, plan.Log...)
	if plan.Service != nil || len(plan.Log) > 0 {
		tx.PutService(&s)
	}
}

// plain makes a command of one that needs nothing but the facts.
func plain(give func(reconcile.Input) (reconcile.Plan, error)) func(*store.Tx, *facts, reconcile.Input) (reconcile.Plan, error) {
	return func(_ *store.Tx, _ *facts, in reconcile.Input) (reconcile.Plan, error) { return give(in) }
}

// Scale sets the cardinality of a role within its limits.
func (f *Flow) Scale(ctx context.Context, who auth.Caller, id int, role string, cardinality int) error {
	return f.scale(ctx, who, id, role, cardinality, false)
}

// ForceScale sets the cardinality of a role whatever its limits.
func (f *Flow) ForceScale(ctx context.Context, who auth.Caller, id int, role string, cardinality int) error {
	return f.scale(ctx, who, id, role, cardinality, true)
}

func (f *Flow) scale(ctx context.Context, who auth.Caller, id int, role string, cardinality int, force bool) error {
	return f.command(ctx, who, id, plain(func(in reconcile.Input) (reconcile.Plan, error) {
		return reconcile.Scale(in, role, cardinality, force)
	}))
}

// Undeploy shuts a service down; it is gone when its VMs are.
func (f *Flow) Undeploy(ctx context.Context, who auth.Caller, id int) error {
	return f.command(ctx, who, id, plain(reconcile.Undeploy))
}

// Release lets the roles on hold go on.
func (f *Flow) Release(ctx context.Context, who auth.Caller, id int) error {
	return f.command(ctx, who, id, plain(reconcile.Release))
}

// Recover sets a failed service going again; with remove it is shut down,
// whatever its state. What is made for it belongs to its owner, whoever asks.
func (f *Flow) Recover(ctx context.Context, who auth.Caller, id int, remove bool) error {
	return f.command(ctx, who, id, func(tx *store.Tx, x *facts, in reconcile.Input) (reconcile.Plan, error) {
		missing := slices.ContainsFunc(in.Spec.Networks, func(n spec.Network) bool { return n.ID < 0 })
		if missing && !remove && in.Service.State == one.ServiceFailedDeploying {
			svc, err := f.retryNetworks(tx, x)
			if err != nil {
				return reconcile.Plan{}, err
			}
			c, err := f.specs.of(&tx.State, svc)
			if err != nil {
				return reconcile.Plan{}, err
			}
			in.Service, in.Spec, in.Nets = svc, c.spec, nets(&tx.State, c.spec)
			plan, err := reconcile.Recover(in, false)
			if plan.Service == nil {
				plan.Service = svc
			}
			return plan, err
		}
		return reconcile.Recover(in, remove)
	})
}

// retryNetworks makes the networks that could not be made before: the VMs would
// lack them. It returns the service with their ids filled in.
func (f *Flow) retryNetworks(tx *store.Tx, x *facts) (*one.Service, error) {
	owner, err := f.cloud.OwnerOf(&tx.State, x.doc.Meta)
	if err != nil {
		return nil, err
	}
	tree, own, err := f.makeNetworks(tx, owner, x.svc.ID, x.spec.tree)
	if err != nil {
		return nil, err
	}
	svc := *x.svc
	svc.Spec, svc.Networks = json.RawMessage(spec.Fill(tree).Append(nil)), slices.Concat(svc.Networks, own)
	return &svc, nil
}

// AddRole adds a role to a running service. Source: OneFlow reference §1.5.
func (f *Flow) AddRole(ctx context.Context, who auth.Caller, id int, role jsontree.Value) error {
	role, err := spec.ValidateRole(role)
	if err != nil {
		return err
	}
	if err := spec.CheckInputs(jsontree.Obj(jsontree.F("roles", jsontree.List(role)))); err != nil {
		return err
	}
	return f.command(ctx, who, id, func(_ *store.Tx, x *facts, in reconcile.Input) (reconcile.Plan, error) {
		// Only the new role is filled in: the others are already.
		filled := spec.Fill(spec.WithRoles(x.spec.tree, []jsontree.Value{role})).Get("roles").Items[0]
		plan, err := reconcile.AddRole(in, filled)
		if err != nil {
			return plan, err
		}
		roles := x.spec.tree.Get("roles").Items
		tree, err := spec.Validate(spec.WithRoles(x.spec.tree, append(roles[:len(roles):len(roles)], filled)))
		if err != nil {
			return plan, err
		}
		_, err = spec.Read(tree)
		return plan, err
	})
}

// RemoveRole removes a role of a running service with its VMs.
func (f *Flow) RemoveRole(ctx context.Context, who auth.Caller, id int, name string) error {
	return f.command(ctx, who, id, plain(func(in reconcile.Input) (reconcile.Plan, error) { return reconcile.RemoveRole(in, name) }))
}

// PurgeDone removes the documents of services in DONE that the caller may manage.
// Services end by being removed, so that there are none of our own making.
func (f *Flow) PurgeDone(ctx context.Context, who auth.Caller) error {
	for id, s := range f.store.View().Services.All() {
		if s.State != one.ServiceDone {
			continue
		}
		err := f.store.Update(ctx, func(tx *store.Tx) error {
			x, err := f.managed(tx, who, id)
			if err != nil || x.svc.State != one.ServiceDone {
				return nil // not his, or not any more
			}
			return f.cloud.DropService(tx, id)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
