package reconcile

import (
	"slices"

	"github.com/trifid-cloud/trifid/internal/one"
)

// watch keeps the states of a running service and its roles as their machines
// are. A role warns as long as one of its machines is bad; it is well again when
// none is and none is on its way somewhere. Source: OneFlow reference §3.4.
func (p *planner) watch() {
	warn := false
	for i := range p.roles {
		r := &p.roles[i]
		p.mend(r)
		p.shrink(r, len(r.live)) // what went away while the service had failed
		bad, passing := false, false
		for _, m := range r.live {
			bad = bad || m.bad()
			passing = passing || !m.settled()
		}
		switch {
		case bad:
			p.enterRole(r, one.RoleWarning)
		case r.State != one.RoleWarning || !passing:
			p.enterRole(r, one.RoleRunning)
		}
		warn = warn || r.State == one.RoleWarning
	}
	if p.in.Spec.AutoDelete && p.s.Emptied && len(p.in.Machines)+len(p.plan.Create) == 0 {
		p.startUndeploy()
		return
	}
	if warn {
		p.enter(one.ServiceWarning)
	} else {
		p.enter(one.ServiceRunning)
	}
}

// startScaling sets a role's cardinality and begins to bring its machines there;
// why tells the cause. cooldown is in milliseconds. Source: OneFlow reference §3.5.
func (p *planner) startScaling(r *role, cardinality int, cooldown int64, why one.ServiceEvent) {
	way, word := 0, "up"
	if cardinality < r.Cardinality {
		word = "down"
	}
	if cardinality < len(r.live)-len(r.Leaving) {
		way = 1
	}
	why.Type, why.Role, why.From, why.To = one.EventScaling, r.Name, r.Cardinality, cardinality
	p.log(why, "Role %s scaling %s from %d to %d nodes", r.Name, word, r.Cardinality, cardinality)
	r.Cardinality, r.ScaleWay, r.Policies = cardinality, way, nil
	if p.s.State == one.ServiceScaling || p.s.State == one.ServiceFailedScaling { // to another cardinality than before
		r.Retry, r.Since = nil, p.now
		p.onlyEnding(r)
	} else {
		r.NewAfter = -1
		for _, m := range r.live {
			r.NewAfter = max(r.NewAfter, m.ID)
		}
	}
	p.s.ScalingRole, p.s.Cooldown, p.s.Emptied = r.Name, cooldown, false
	p.enterRole(r, one.RoleScaling)
	p.enter(one.ServiceScaling)
}

// scale brings a role to its cardinality: new machines are awaited, the oldest
// ones go, but before them those that this scaling made and that never came up,
// the last one first.
// Source: OneFlow reference §3.5.
func (p *planner) scale() {
	r := p.role(p.s.ScalingRole)
	if r == nil {
		p.s.ScalingRole = ""
		p.enter(one.ServiceRunning)
		return
	}
	p.enterRole(r, one.RoleScaling)
	if !p.fill(r) {
		return
	}
	p.mend(r)
	staying := slices.DeleteFunc(slices.Clone(r.live), func(m Machine) bool { return has(r.Leaving, m.ID) })
	pending := func(m Machine) bool { return m.ID > r.NewAfter && !m.up(p.in.Spec.Gate) }
	slices.SortFunc(staying, func(a, b Machine) int {
		switch x, y := pending(a), pending(b); {
		case x && !y:
			return -1
		case y && !x:
			return 1
		case x:
			return b.ID - a.ID
		}
		return a.ID - b.ID
	})
	surplus := len(staying) + r.fresh - r.Cardinality
	for _, m := range staying[:max(0, min(surplus, len(staying)))] {
		if !p.stop(r, m, one.RoleFailedScaling) {
			break
		}
	}
	if p.s.State != one.ServiceScaling || p.stuck(r, one.RoleFailedScaling) {
		return
	}
	done := p.missing(r) == 0 && surplus <= 0 && len(r.Leaving) == 0 && r.fresh == 0
	for _, m := range staying {
		if m.ID <= r.NewAfter || has(r.Leaving, m.ID) {
			continue
		}
		if m.failed() && !has(r.Retry, m.ID) {
			p.badVM(r, m, one.RoleFailedScaling)
			return
		}
		done = done && m.up(p.in.Spec.Gate)
	}
	switch {
	case done:
		r.NewAfter = 0
		p.s.CooldownEnds = p.now + p.s.Cooldown
		p.enterRole(r, one.RoleCooldown)
		p.enter(one.ServiceCooldown)
	case p.late(r):
		p.failRole(r, one.RoleFailedScaling)
	}
}

// coolDown waits until the cooldown is over.
func (p *planner) coolDown() {
	if p.now < p.s.CooldownEnds {
		p.wake(millis(p.s.CooldownEnds))
		return
	}
	p.endCooldown()
}

func (p *planner) endCooldown() {
	p.s.CooldownEnds, p.s.Cooldown, p.s.ScalingRole = 0, 0, ""
	for i := range p.roles {
		p.roles[i].ScaleWay = 0
		p.enterRole(&p.roles[i], one.RoleRunning)
	}
	p.enter(one.ServiceRunning)
}
