package reconcile

import (
	"encoding/json"
	"slices"

	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
)

// startUndeploy begins to shut the whole service down.
func (p *planner) startUndeploy() {
	p.s.ScalingRole, p.s.CooldownEnds, p.s.Cooldown, p.s.Actions = "", 0, 0, nil
	for i := range p.roles {
		r := &p.roles[i]
		r.Removing, r.Retry = false, nil
		p.onlyEnding(r)
	}
	p.enter(one.ServiceUndeploying)
}

// onlyEnding forgets that machines were told to end which are not about to: they
// will be told again.
func (p *planner) onlyEnding(r *role) {
	r.Leaving = keep(r.Leaving, func(id int) bool {
		at := find(r.live, id)
		return at >= 0 && r.live[at].ending()
	})
}

// undeploy shuts down the roles whose turn it is: all of them, in straight
// deployment children before parents; or just those that are being removed.
// It ends only when no machine is left. Source: OneFlow reference §3.3.
func (p *planner) undeploy() {
	removing := slices.ContainsFunc(p.s.Roles, func(r one.Role) bool { return r.Removing })
	needed, done := p.needed(), true
	for i := range p.roles {
		r := &p.roles[i]
		if removing && !r.Removing {
			continue
		}
		over := r.State == one.RoleDone && len(r.live) == 0
		if r.State != one.RoleUndeploying && !over && (removing || !needed[r.Name]) {
			p.enterRole(r, one.RoleUndeploying)
		}
		if r.State == one.RoleUndeploying {
			p.undeployRole(r)
		}
		if p.s.State != one.ServiceUndeploying {
			return
		}
		done = done && r.State == one.RoleDone
	}
	if !done {
		p.breakCircle()
		return
	}
	if removing {
		p.removeRoles()
		return
	}
	p.stopStrays()
	if len(p.in.Machines) == 0 {
		p.enter(one.ServiceUndeployingNets)
	}
}

// breakCircle shuts down roles that wait for each other: a circle of parents,
// which validation refuses, must not keep a service for ever.
func (p *planner) breakCircle() {
	waiting := -1
	for i, r := range p.roles {
		switch r.State {
		case one.RoleUndeploying:
			return
		case one.RoleDone:
		default:
			waiting = i
		}
	}
	if waiting >= 0 && !p.moved {
		p.enterRole(&p.roles[waiting], one.RoleUndeploying)
	}
}

// needed returns the names of the roles that children are left of, which in
// straight deployment go first.
func (p *planner) needed() map[string]bool {
	if !p.in.Spec.Straight {
		return nil
	}
	out := map[string]bool{}
	for i := range p.roles {
		if r := &p.roles[i]; r.State != one.RoleDone {
			for _, name := range r.spec.Parents {
				out[name] = true
			}
		}
	}
	return out
}

func (p *planner) undeployRole(r *role) {
	for _, m := range r.live {
		if has(r.Leaving, m.ID) {
			continue
		}
		if !p.stop(r, m, one.RoleFailedUndeploying) {
			break
		}
	}
	switch {
	case p.s.State != one.ServiceUndeploying || p.stuck(r, one.RoleFailedUndeploying):
	case len(r.live) == 0:
		r.Leaving, r.Retry = nil, nil
		p.enterRole(r, one.RoleDone)
	case p.late(r):
		p.failRole(r, one.RoleFailedUndeploying)
	}
}

// stop tells a machine to end and notes that it was told; false when there is no
// room for more in the plan, or it was refused, which fails the role.
func (p *planner) stop(r *role, m Machine, failure one.RoleState) bool {
	if !m.ending() {
		d := Do{VM: m.ID, Op: OpStop}
		if p.hard(r) {
			d.Op = OpStopHard
		}
		if text, ok := p.refused(d); ok {
			p.fault(one.EventRefused, r.Name, m.ID, "Role %s : Terminate failed for VM %d; %s", r.Name, m.ID, text)
			p.fault(one.EventFailed, r.Name, noVM, "Error undeploying role %s: Error undeploying nodes for role `%s`", r.Name, r.Name)
			p.failRole(r, failure)
			return false
		}
		if !p.do(d) {
			return false
		}
	}
	p.noteVM(one.EventVMsEnding, r, m.ID)
	at, _ := slices.BinarySearch(r.Leaving, m.ID)
	r.Leaving = slices.Insert(r.Leaving, at, m.ID)
	return true
}

// hard tells whether guests are not asked before they end.
func (p *planner) hard(r *role) bool {
	action := r.spec.ShutdownAction
	if action == "" {
		action = p.in.Settings.ShutdownAction
	}
	return action == "terminate-hard"
}

// stuck tells whether a machine that was told to end does not, and fails the
// role then: its step failed, or the guest did not obey in time.
func (p *planner) stuck(r *role, failure one.RoleState) bool {
	for _, m := range r.live {
		asked := has(r.Leaving, m.ID) && !m.ending() && !slices.ContainsFunc(p.plan.Do, func(d Do) bool { return d.VM == m.ID })
		if asked {
			p.fault(one.EventFailed, r.Name, m.ID, "Role %s : VM %d did not terminate, it is in state %s%s", r.Name, m.ID, one.StateString(m.State, m.LCM), p.reason(m))
			p.failRole(r, failure)
			return true
		}
	}
	return false
}

// stopStrays ends machines of roles that the service does not know. There are
// none unless something went wrong, and they must not outlive the service.
func (p *planner) stopStrays() {
	for _, m := range p.in.Machines {
		if p.role(m.Role) == nil && !m.ending() {
			d := Do{VM: m.ID, Op: OpStopHard}
			if text, ok := p.refused(d); ok {
				p.fault(one.EventRefused, m.Role, m.ID, "VM %d of no role did not terminate; %s", m.ID, text)
				p.enter(one.ServiceFailedUndeploying)
				return
			}
			p.do(d)
		}
	}
}

// removeRoles takes the roles away that were to be removed and are gone; with the
// last one the service goes too.
func (p *planner) removeRoles() {
	var left []jsontree.Value
	for _, t := range p.in.Spec.Tree.Get("roles").Items {
		if r := p.role(t.Get("name").Text); r == nil || !r.Removing {
			left = append(left, t)
		}
	}
	p.s.Spec = json.RawMessage(spec.WithRoles(p.in.Spec.Tree, left).Append(nil))
	p.s.Roles = slices.DeleteFunc(p.s.Roles, func(r one.Role) bool { return r.Removing })
	p.link()
	if len(p.s.Roles) == 0 && len(p.in.Machines) == 0 {
		p.enter(one.ServiceUndeployingNets)
		return
	}
	p.enter(one.ServiceRunning)
}

// drop ends the service: no machine is left, and its networks go with it.
func (p *planner) drop() {
	switch {
	case len(p.in.Machines) > 0: // never drop the record while a machine exists
		p.startUndeploy()
	case p.in.Refused.Drop != "":
		p.fault(one.EventRefused, "", noVM, "Error deleting the networks of the service: %s", p.in.Refused.Drop)
		p.enter(one.ServiceFailedUndeployingNets)
	default:
		p.plan.Drop = true
	}
}
