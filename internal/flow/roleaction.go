package flow

import (
	"context"
	"slices"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// RoleActions are the actions that a whole service can be asked for.
// Source: OneFlow reference §5.
var RoleActions = []string{
	"terminate", "terminate-hard", "undeploy", "undeploy-hard", "hold", "release", "stop", "suspend", "resume", "reboot", "reboot-hard",
	"poweroff", "poweroff-hard", "snapshot-create", "snapshot-revert", "snapshot-delete", "disk-snapshot-create", "disk-snapshot-revert",
	"disk-snapshot-delete",
}

// RoleAction is an action on the VMs of a role, or of all roles.
type RoleAction struct {
	Role   string // "" for all
	Action string
	Args   string
	// Period and Number spread the action: on Number VMs every Period seconds. If
	// just one of them is above zero the configuration gives the other; if neither
	// is, all VMs are dealt with at once.
	Period, Number int
}

// Bounds of the actions of a service that are not done yet.
const (
	maxActions = 100
	maxArgs    = 1024 // bytes, as of scheduled actions of VMs
)

// ActOnRole asks for an action. What is not done at once is kept with the
// service, so that it outlives a crash; what is refused goes to its log.
func (f *Flow) ActOnRole(ctx context.Context, who auth.Caller, id int, a RoleAction) error {
	period, number := a.Period, a.Number
	if period > 0 != (number > 0) {
		period, number = max(period, 0), max(number, 0)
		if period == 0 {
			period = int(f.cfg.ActionPeriod.Std().Seconds())
		} else {
			number = f.cfg.ActionNumber
		}
	}
	if period <= 0 || number <= 0 {
		period, number = 0, 0
	}
	return f.command(ctx, who, id, func(_ *store.Tx, x *facts, in reconcile.Input) (reconcile.Plan, error) {
		if err := actable(x, a.Role); err != nil {
			return reconcile.Plan{}, err
		}
		if len(a.Args) > maxArgs {
			return reconcile.Plan{}, errs.New(errs.Action, "ARGS of %d bytes, expected at most %d", len(a.Args), maxArgs)
		}
		if len(x.svc.Actions) >= maxActions {
			return reconcile.Plan{}, errs.New(errs.Action, "Service %d has %d actions that are not done yet, no more can be added", id, len(x.svc.Actions))
		}
		s := *x.svc
		act := one.ServiceAction{
			ID: s.ActionSeq, Role: a.Role, Action: a.Action, Args: a.Args, UID: who.UID, GID: who.GID, Period: int64(period), Number: number,
			Next: in.Now.UnixMilli(),
		}
		for _, m := range in.Machines {
			if m.Role == a.Role || a.Role == "" && actable(x, m.Role) == nil {
				act.VMs = append(act.VMs, m.ID)
			}
		}
		if len(act.VMs) == 0 {
			return reconcile.Plan{}, nil
		}
		s.ActionSeq++
		s.Actions = append(slices.Clone(s.Actions), act)
		return reconcile.Plan{Service: &s}, nil
	})
}

// actable refuses a role that nothing can be asked of.
func actable(x *facts, name string) error {
	if name == "" {
		return nil
	}
	i := slices.IndexFunc(x.svc.Roles, func(r one.Role) bool { return r.Name == name })
	if i < 0 {
		return errs.New(errs.Action, "Role '%s' not found", name)
	}
	if s, ok := x.spec.spec.Role(name); ok && s.Type == spec.TypeVR {
		return errs.New(errs.Action, "Virtual Router role %s does not support schedule actions", name)
	}
	if x.svc.Roles[i].State == one.RoleDone {
		return errs.New(errs.Action, "Role %s is in DONE state", name)
	}
	return nil
}

// DeleteAction takes back what is not done yet of an action; role "" looks in all
// of them. One that does not exist is no error.
func (f *Flow) DeleteAction(ctx context.Context, who auth.Caller, id int, role string, action int) error {
	return f.command(ctx, who, id, func(_ *store.Tx, x *facts, _ reconcile.Input) (reconcile.Plan, error) {
		if err := actable(x, role); err != nil {
			return reconcile.Plan{}, err
		}
		s := *x.svc
		s.Actions = slices.DeleteFunc(slices.Clone(s.Actions), func(a one.ServiceAction) bool {
			return a.ID == action && (role == "" || a.Role == role)
		})
		if len(s.Actions) == len(x.svc.Actions) {
			return reconcile.Plan{}, nil
		}
		return reconcile.Plan{Service: &s}, nil
	})
}
