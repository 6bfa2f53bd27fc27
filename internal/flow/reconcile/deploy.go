package reconcile

import (
	"slices"
	"strings"

	"github.com/trifid-cloud/trifid/internal/one"
)

// awaitNets waits for the networks and begins to deploy.
func (p *planner) awaitNets() {
	switch p.in.Nets {
	case NetsBroken:
		p.fault(one.EventFailed, "", noVM, "A network of the service is in ERROR, or does not exist")
		p.enter(one.ServiceFailedDeployingNets)
	case NetsReady:
		if p.in.Spec.Hold && len(p.s.Roles) > 0 {
			p.enter(one.ServiceHold)
		} else {
			p.enter(one.ServiceDeploying)
		}
	}
}

// deploy brings up the roles whose turn it is. Source: OneFlow reference §3.3.
func (p *planner) deploy() {
	all := true
	for i := range p.roles {
		r := &p.roles[i]
		if r.State == one.RolePending && p.deployable(r) {
			p.enterRole(r, one.RoleDeploying)
			if p.held(r) {
				p.enterRole(r, one.RoleHold)
			}
		}
		switch r.State {
		case one.RoleHold:
			p.holdRole(r)
		case one.RoleDeploying:
			p.deployRole(r)
		}
		if p.s.State != one.ServiceDeploying && p.s.State != one.ServiceHold {
			return
		}
		all = all && r.State == one.RoleRunning
	}
	if all {
		p.enter(one.ServiceRunning)
		return
	}
	p.failHopeless()
}

// failHopeless ends a deployment in which every role that is left waits for
// another: a circle of parents, which validation refuses.
func (p *planner) failHopeless() {
	waiting := -1
	for i, r := range p.roles {
		switch r.State {
		case one.RoleDeploying, one.RoleHold:
			return
		case one.RolePending:
			waiting = i
		}
	}
	if waiting >= 0 && !p.moved {
		r := &p.roles[waiting]
		p.fault(one.EventFailed, r.Name, noVM, "Role %s : its parents are never RUNNING", r.Name)
		p.failRole(r, one.RoleFailedDeploying)
	}
}

// held tells whether a role is created on hold.
func (p *planner) held(r *role) bool { return r.spec.Hold && !r.Released }

// deployable tells whether it is a role's turn: in straight deployment when its
// parents are up, or on hold like itself.
func (p *planner) deployable(r *role) bool {
	if !p.in.Spec.Straight {
		return true
	}
	return !slices.ContainsFunc(r.spec.Parents, func(name string) bool {
		parent := p.role(name)
		return parent != nil && parent.State != one.RoleRunning && !(p.held(r) && parent.State == one.RoleHold)
	})
}

// holdRole creates what is missing of a role on hold, and begins to deploy it
// when it is released and its parents are up. In the original one call of
// release reaches one level of a straight deployment; here it reaches all.
func (p *planner) holdRole(r *role) {
	if !p.held(r) {
		if p.s.State == one.ServiceHold {
			p.enter(one.ServiceDeploying)
		}
		if p.deployable(r) {
			p.enterRole(r, one.RoleDeploying)
		}
		return
	}
	p.fill(r)
}

// deployRole creates what is missing of a role and waits for its machines.
func (p *planner) deployRole(r *role) {
	if !p.fill(r) {
		return
	}
	p.mend(r)
	up := p.missing(r) == 0
	for _, m := range r.live {
		if has(r.Retry, m.ID) {
			up = false
			continue
		}
		if r.Released && m.State == one.VMHold {
			up = false
			d := Do{VM: m.ID, Op: OpRelease}
			if text, ok := p.refused(d); ok {
				p.fault(one.EventRefused, r.Name, m.ID, "Role %s : Release failed for VM %d; %s", r.Name, m.ID, text)
				p.failRole(r, one.RoleFailedDeploying)
				return
			}
			p.move(r, m, d)
			continue
		}
		if m.failed() {
			p.badVM(r, m, one.RoleFailedDeploying)
			return
		}
		up = up && m.up(p.in.Spec.Gate)
	}
	switch {
	case up && r.fresh == 0:
		p.enterRole(r, one.RoleRunning)
	case p.late(r):
		p.failRole(r, one.RoleFailedDeploying)
	}
}

// failures gives for each failed state of a role that of its service.
var failures = map[one.RoleState]one.ServiceState{
	one.RoleFailedDeploying: one.ServiceFailedDeploying, one.RoleFailedUndeploying: one.ServiceFailedUndeploying,
	one.RoleFailedScaling: one.ServiceFailedScaling,
}

// failRole puts a role and its service into a failed state.
func (p *planner) failRole(r *role, state one.RoleState) {
	p.enterRole(r, state)
	p.enter(failures[state])
}

// badVM fails a role because one of its machines did.
func (p *planner) badVM(r *role, m Machine, state one.RoleState) {
	p.fault(one.EventFailed, r.Name, m.ID, "Role %s : VM %d is in state %s%s", r.Name, m.ID, one.StateString(m.State, m.LCM), p.reason(m))
	p.failRole(r, state)
}

// maxReason bounds what a log line says of why, in bytes: guests may write it.
const maxReason = 500

// reason says why a machine failed, as the end of a sentence.
func (p *planner) reason(m Machine) string {
	if p.in.Reason == nil {
		return ""
	}
	why, _, _ := strings.Cut(p.in.Reason(m.ID), "\n")
	switch {
	case why == "":
		return ""
	case len(why) > maxReason:
		why = strings.ToValidUTF8(why[:maxReason], "") + "…"
	}
	return "; " + why
}

// missing returns how many VMs a role lacks.
func (p *planner) missing(r *role) int {
	return max(0, r.Cardinality-(len(r.live)+r.fresh-len(r.Leaving)))
}

// fill creates VMs that a role lacks, as many as there is room for in the plan;
// false when one was refused, which fails the role.
func (p *planner) fill(r *role) bool {
	state := one.RoleFailedDeploying
	if p.s.State == one.ServiceScaling {
		state = one.RoleFailedScaling
	}
	for p.missing(r) > 0 && len(p.plan.Create) < p.in.Settings.PerStep {
		if p.in.Refused.Create != "" && len(p.plan.Create) == p.in.Refused.CreateAfter {
			p.fault(one.EventRefused, r.Name, noVM, "Error deploying role %s: Error instantiating VM Template %d in Role %s: %s", r.Name, r.spec.TemplateID, r.Name, p.in.Refused.Create)
			p.failRole(r, state)
			return false
		}
		p.plan.Create = append(p.plan.Create, Create{Role: r.Name, Number: r.LastVM, Hold: p.held(r)})
		p.noteVM(one.EventVMsMade, r, noVM)
		r.LastVM++
		r.Made++
		r.fresh++
		p.s.Emptied = false
	}
	return true
}

// mend sets going again what recovery has marked; machines that do not need it
// any more are crossed off.
func (p *planner) mend(r *role) {
	r.Retry = keep(r.Retry, func(id int) bool {
		at := find(r.live, id)
		if at < 0 {
			return false
		}
		d := Do{VM: id, Op: OpResume}
		m := r.live[at]
		switch {
		case m.failed():
			d.Op = OpRetry
		case !m.resting() && !m.unknown():
			return false
		}
		if text, ok := p.refused(d); ok {
			p.fault(one.EventRefused, r.Name, id, "Role %s : Retry failed for VM %d; %s", r.Name, id, text)
			return false
		}
		return !p.move(r, m, d)
	})
}

// move plans an operation that sets a machine going, which for the rest of the
// plan is then on its way; false when there is no room for it.
func (p *planner) move(r *role, m Machine, d Do) bool {
	if !p.do(d) {
		return false
	}
	live := slices.Clone(r.live)
	at := &live[find(live, m.ID)]
	at.State, at.LCM, at.Ready = one.VMPending, one.LCMInit, false
	r.live = live
	return true
}
