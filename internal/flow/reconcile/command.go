package reconcile

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
)

// The commands change what should be, or refuse; Next then does the rest. Their
// refusals are the original's. Source: OneFlow reference §3.2 and §3.6.

func itoa(n int) string { return strconv.Itoa(n) }

func refuse(format string, args ...any) error { return errs.New(errs.Action, format, args...) }

// command runs one command over the facts.
func command(in Input, f func(p *planner) error) (Plan, error) {
	p := newPlanner(in)
	p.account()
	if err := f(p); err != nil {
		return Plan{}, err
	}
	return p.finish(), nil
}

// Scale sets the cardinality of a role; force disregards the role's limits. It
// is allowed while the service warns too, and for the role that is being scaled,
// so that what does not fit can be taken back; the original refuses both.
func Scale(in Input, role string, cardinality int, force bool) (Plan, error) {
	return command(in, func(p *planner) error {
		switch p.s.State {
		case one.ServiceRunning, one.ServiceWarning:
		case one.ServiceScaling, one.ServiceFailedScaling:
			if p.s.ScalingRole != role {
				return refuse("Service cannot be scaled in state: %s", p.s.State)
			}
		default:
			return refuse("Service cannot be scaled in state: %s", p.s.State)
		}
		r := p.role(role)
		if r == nil {
			return refuse("Role %s not found", role)
		}
		s := r.spec
		if s.Type == spec.TypeVR {
			return refuse("Can't scale service %d: Virtual Router role %s does not support cardinality update", p.s.ID, role)
		}
		if r.Cardinality == cardinality {
			return refuse("Cardinality of %s is already at %d", role, cardinality)
		}
		limits := *s
		if force {
			limits.Min, limits.Max = -1, -1
		}
		if why := outside(cardinality, &limits); why != "" {
			return refuse("Can't scale service %d: %s", p.s.ID, why)
		}
		p.startScaling(r, cardinality, p.cooldown(s, nil).Milliseconds(), one.ServiceEvent{Cause: one.CauseUser})
		return nil
	})
}

// Undeploy begins to shut the service down. Asking again does no harm.
func Undeploy(in Input) (Plan, error) {
	return command(in, func(p *planner) error {
		switch p.s.State {
		case one.ServicePending, one.ServiceRunning, one.ServiceWarning, one.ServiceHold:
			p.startUndeploy()
		case one.ServiceUndeploying:
			if slices.ContainsFunc(p.s.Roles, func(r one.Role) bool { return r.Removing }) {
				p.startUndeploy()
			}
		default:
			return refuse("Service cannot be undeployed in state: %s", p.s.State)
		}
		return nil
	})
}

// Release lets the roles that are on hold go on, in the order of deployment.
func Release(in Input) (Plan, error) {
	return command(in, func(p *planner) error {
		if !slices.ContainsFunc(p.s.Roles, func(r one.Role) bool { return r.State == one.RoleHold }) {
			return refuse("Service has no roles in HOLD")
		}
		for i := range p.roles {
			if r := &p.roles[i]; r.spec.Hold {
				r.Released = true
			}
		}
		if p.s.State == one.ServiceHold {
			p.enter(one.ServiceDeploying)
		}
		return nil
	})
}

// Recover sets a service going again whose operation failed or hangs; with
// remove it is shut down, whatever its state.
func Recover(in Input, remove bool) (Plan, error) {
	return command(in, func(p *planner) error {
		if remove {
			p.startUndeploy()
			return nil
		}
		switch p.s.State {
		case one.ServicePending, one.ServiceDeploying, one.ServiceFailedDeploying:
			p.recoverDeploy()
		case one.ServiceUndeploying, one.ServiceFailedUndeploying, one.ServiceFailedUndeployingNets:
			p.recoverUndeploy()
		case one.ServiceScaling, one.ServiceFailedScaling:
			p.recoverScale()
		case one.ServiceDeployingNets, one.ServiceFailedDeployingNets:
			p.enter(one.ServiceDeployingNets)
		case one.ServiceUndeployingNets:
		case one.ServiceCooldown:
			p.endCooldown()
		case one.ServiceWarning:
			for i := range p.roles {
				p.mark(&p.roles[i], Machine.bad)
			}
		default:
			return refuse("Service cannot be recovered in state: %s", p.s.State)
		}
		return nil
	})
}

// mark notes the machines of a role that are to be set going again.
func (p *planner) mark(r *role, which func(Machine) bool) {
	r.Retry = nil
	for _, m := range r.live {
		if which(m) && !has(r.Leaving, m.ID) {
			r.Retry = append(r.Retry, m.ID)
		}
	}
}

// broken tells which machines a recovery sets going again.
func broken(m Machine) bool { return m.failed() || m.resting() || m.unknown() }

func (p *planner) recoverDeploy() {
	if p.s.State == one.ServicePending {
		return
	}
	for i := range p.roles {
		r := &p.roles[i]
		if r.State != one.RoleFailedDeploying && r.State != one.RoleDeploying {
			continue
		}
		r.Since = p.now
		p.mark(r, broken)
		switch {
		case !p.deployable(r): // its parents have to come up first
			p.enterRole(r, one.RolePending)
		case p.held(r):
			p.enterRole(r, one.RoleHold)
		default:
			p.enterRole(r, one.RoleDeploying)
		}
	}
	released := slices.ContainsFunc(p.s.Roles, func(r one.Role) bool { return r.Released })
	switch {
	case p.in.Nets != NetsReady:
		p.enter(one.ServiceDeployingNets)
	case p.in.Spec.Hold && !released:
		p.enter(one.ServiceHold)
	default:
		p.enter(one.ServiceDeploying)
	}
}

func (p *planner) recoverUndeploy() {
	for i := range p.roles {
		r := &p.roles[i]
		if r.State == one.RoleFailedUndeploying || r.State == one.RoleUndeploying {
			p.enterRole(r, one.RoleUndeploying)
			r.Since = p.now
			p.onlyEnding(r)
		}
	}
	p.enter(one.ServiceUndeploying)
}

func (p *planner) recoverScale() {
	if r := p.role(p.s.ScalingRole); r != nil {
		p.enterRole(r, one.RoleScaling)
		r.Since = p.now
		p.onlyEnding(r)
		p.mark(r, broken)
	}
	p.enter(one.ServiceScaling)
}

// AddRole adds a role that spec.ValidateRole has passed.
func AddRole(in Input, role jsontree.Value) (Plan, error) {
	return command(in, func(p *planner) error {
		if p.s.State != one.ServiceRunning {
			return refuse("Cannot modify roles in state: %s", p.s.State)
		}
		name := role.Get("name").Text
		if p.role(name) != nil {
			return refuse("Role %s already exists", name)
		}
		cardinality, _ := role.Get("cardinality").Number()
		roles := append(slices.Clone(in.Spec.Tree.Get("roles").Items), role)
		p.s.Spec = json.RawMessage(spec.WithRoles(in.Spec.Tree, roles).Append(nil))
		p.s.Roles = append(p.s.Roles, one.Role{Name: name, Cardinality: cardinality, Since: p.now})
		p.link()
		p.enter(one.ServiceDeploying)
		return nil
	})
}

// RemoveRole begins to shut a role down; it is gone when its machines are.
func RemoveRole(in Input, name string) (Plan, error) {
	return command(in, func(p *planner) error {
		if p.s.State != one.ServiceRunning {
			return refuse("Cannot modify roles in state: %s", p.s.State)
		}
		r := p.role(name)
		if r == nil {
			return refuse("Role %s does not exist", name)
		}
		r.Removing = true
		p.enter(one.ServiceUndeploying)
		return nil
	})
}
