package flow

import (
	"context"
	"slices"
	"time"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/cloud"
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
	// Period and Number spread the action: on Number VMs every Period seconds; if one
	// of them is 0 all VMs are dealt with at once. What is below is the configuration's.
	Period, Number int
}

// maxActions bounds the actions of a service that are not scheduled on all its VMs yet.
const maxActions = 100

// ActOnRole asks for an action, which becomes a scheduled action of every VM. It is
// kept with the service until it has, so that a crash leaves none of them out; what
// is refused goes to the service's log.
func (f *Flow) ActOnRole(ctx context.Context, who auth.Caller, id int, a RoleAction) error {
	period, number := int64(a.Period), a.Number
	if period < 0 {
		period = int64(f.cfg.ActionPeriod.Std().Seconds())
	}
	if number < 0 {
		number = f.cfg.ActionNumber
	}
	err := f.command(ctx, who, id, func(_ *store.Tx, x *facts, in reconcile.Input) (reconcile.Plan, error) {
		if err := actable(x, a.Role); err != nil {
			return reconcile.Plan{}, err
		}
		if len(a.Args) > cloud.MaxSchedArgs {
			return reconcile.Plan{}, errs.New(errs.Action, "ARGS of %d bytes, expected at most %d", len(a.Args), cloud.MaxSchedArgs)
		}
		if len(x.svc.Actions) >= maxActions {
			return reconcile.Plan{}, errs.New(errs.Action, "Service %d has %d actions that are not scheduled yet, no more can be added", id, len(x.svc.Actions))
		}
		s := *x.svc
		s.Actions = slices.Clone(s.Actions)
		for i := range s.Roles { // each begins at once
			act := one.ServiceAction{Action: a.Action, Args: a.Args, UID: who.UID, Period: period, Number: number, Time: in.Now.Unix()}
			role := s.Roles[i].Name
			if a.Role != "" && a.Role != role || actable(x, role) != nil {
				continue
			}
			for _, m := range in.Machines {
				if m.Role == role {
					act.VMs = append(act.VMs, m.ID)
				}
			}
			if len(act.VMs) > 0 {
				s.Actions = append(s.Actions, act)
			}
		}
		return reconcile.Plan{Service: &s}, nil
	})
	if err == nil {
		f.untilScheduled(ctx, id)
	}
	return err
}

// courtesy is how long who asks for an action waits until it is scheduled.
const courtesy = 2 * time.Second

// untilScheduled waits until the actions of a service are on its VMs, so that who
// asked for one finds it there; with very many VMs that may be later.
func (f *Flow) untilScheduled(ctx context.Context, id int) {
	ctx, stop := context.WithTimeout(ctx, courtesy)
	defer stop()
	feed := f.store.Subscribe(f.store.View())
	for {
		if s, ok := f.store.View().Services.Get(id); !ok || len(s.Actions) == 0 {
			return
		}
		if _, err := feed.Next(ctx); err != nil {
			return
		}
	}
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

// DeleteAction takes a scheduled action of one of the VMs back; role "" looks in all
// of them. One that does not exist is no error. Source: OneFlow reference §5.
func (f *Flow) DeleteAction(ctx context.Context, who auth.Caller, id int, role string, action int) error {
	return f.command(ctx, who, id, func(tx *store.Tx, x *facts, in reconcile.Input) (reconcile.Plan, error) {
		if err := actable(x, role); err != nil {
			return reconcile.Plan{}, err
		}
		for _, m := range in.Machines {
			if s, ok := tx.Schedules.Get(m.ID); ok && s.Find(action) >= 0 && (role == "" || m.Role == role) {
				return reconcile.Plan{}, f.cloud.UnscheduleServiceVM(tx, who, m.ID, action)
			}
		}
		return reconcile.Plan{}, nil
	})
}
