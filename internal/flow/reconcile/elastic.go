package reconcile

import (
	"math"
	"slices"
	"time"

	"github.com/trifid-cloud/trifid/internal/expr"
	"github.com/trifid-cloud/trifid/internal/flow/schedule"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
)

// Key names an elasticity policy of a service.
type Key struct {
	Role  string
	Index int
}

// Eval is what is remembered of the evaluations of a policy, in memory only.
type Eval struct {
	At   time.Time // of the last one
	True bool      // its result
	Text string    // the expression with the values it had
	Held bool      // it was true often enough, but the role is at its limit
	// Changes counts changes of the attributes that the policy names, Seen how
	// many of them the last evaluation had seen.
	Changes, Seen uint64
}

// Evals holds the evaluations by policy. One that is missing is not known: after
// a restart, or before the first.
type Evals map[Key]Eval

// Change counts a change of what a policy looks at, and returns what is known of it.
func (e Evals) Change(k Key) Eval {
	ev := e[k]
	ev.Changes++
	e[k] = ev
	return ev
}

// Remember keeps what a plan evaluated. Changes that were counted meanwhile stay.
func (e Evals) Remember(plan Evals) {
	for k, ev := range plan {
		ev.Changes = e[k].Changes
		e[k] = ev
	}
}

// adjust looks whether a role of a running service should have another
// cardinality: scheduled policies first, then elasticity policies, then the
// lower limit. The first difference counts, and ends the round.
// Source: OneFlow reference §4.4.
func (p *planner) adjust() {
	for i := range p.roles {
		r := &p.roles[i]
		s := r.spec
		if s.Type == spec.TypeVR {
			continue
		}
		if p.scheduled(r, s) || p.elastic(r, s) {
			return
		}
		if r.Cardinality < s.Min {
			p.startScaling(r, s.Min, 0, one.ServiceEvent{Cause: one.CauseMinimum})
			return
		}
	}
}

// try starts scaling to what a policy wants, if that is another cardinality
// within the limits; why tells which policy and why.
func (p *planner) try(r *role, s *spec.Role, pol *spec.Policy, why one.ServiceEvent) bool {
	n := Target(r.Cardinality, s, pol)
	if n == r.Cardinality || outside(n, s) != "" {
		return false
	}
	p.startScaling(r, n, p.cooldown(s, pol).Milliseconds(), why)
	return true
}

// cooldown returns the length of the cooldown after a scaling; without a policy
// it was asked for by hand. The role keeps its own, which the original overwrites.
func (p *planner) cooldown(s *spec.Role, pol *spec.Policy) time.Duration {
	switch {
	case pol != nil && pol.Cooldown >= 0:
		return time.Duration(pol.Cooldown) * time.Second
	case s.Cooldown >= 0:
		return time.Duration(s.Cooldown) * time.Second
	}
	return p.in.Settings.DefaultCooldown
}

// scheduled applies the scheduled policies of a role whose time has come since
// they were last looked at. Source: OneFlow reference §4.5.
func (p *planner) scheduled(r *role, s *spec.Role) bool {
	if len(r.Sched) != len(s.Scheduled) {
		r.Sched = make([]int64, len(s.Scheduled))
		for i := range r.Sched {
			r.Sched[i] = p.in.Now.Unix() // nothing in the past is executed
		}
		if len(r.Sched) == 0 {
			r.Sched = nil
		}
	}
	for i := range s.Scheduled {
		pol := &s.Scheduled[i]
		due, ok := dueAfter(pol, time.Unix(r.Sched[i], 0).In(p.in.Now.Location()), p.in.Now)
		if !ok {
			continue
		}
		if due.After(p.in.Now) {
			p.wake(due)
			continue
		}
		r.Sched[i] = p.in.Now.Unix()
		if next, ok := dueAfter(pol, p.in.Now, p.in.Now); ok {
			p.wake(next)
		}
		if p.try(r, s, pol, one.ServiceEvent{Cause: one.CauseSchedule, Policy: i, Rule: pol.StartTime + pol.Recurrence}) {
			return true
		}
	}
	return false
}

// dueAfter returns when a scheduled policy that was last looked at at last is due
// next, perhaps already. A time without a date is read anew each day.
func dueAfter(pol *spec.Policy, last, now time.Time) (time.Time, bool) {
	if pol.Recurrence != "" {
		return schedule.NextCron(pol.Recurrence, last)
	}
	t, daily, ok := schedule.At(pol.StartTime, now)
	if ok && daily && !t.After(last) {
		t = t.AddDate(0, 0, 1)
	}
	return t, ok && t.After(last)
}

// elastic evaluates the elasticity policies of a role that are due: because an
// attribute changed, the service began to run, or the last result was true; and
// never sooner than their interval after the last time. Source: OneFlow
// reference §4.4.
func (p *planner) elastic(r *role, s *spec.Role) bool {
	for i := range s.Policies {
		pol := &s.Policies[i]
		key := Key{r.Name, i}
		interval := max(time.Duration(pol.Period)*time.Second, p.in.Settings.MinInterval)
		count := one.PolicyState{}
		if i < len(r.Policies) {
			count = r.Policies[i]
		}
		ev, known := p.eval(key)
		if !known && count.LastEval > 0 {
			ev.At = millis(count.LastEval)
		}
		if known && !ev.True && ev.Changes == ev.Seen && !ev.At.Before(millis(p.s.Since)) {
			continue
		}
		if due := ev.At.Add(interval); !ev.At.IsZero() && due.After(p.in.Now) {
			p.wake(due)
			continue
		}
		ev.At, ev.Seen, ev.Held = p.in.Now, ev.Changes, false
		ev.True, ev.Text = expr.EvalElasticity(pol.Expression, func(name string) (float64, bool) {
			return p.in.Average(r.Name, name)
		})
		p.evaluated(key, ev)
		if ev.True {
			p.wake(p.in.Now.Add(interval))
		}
		why := one.ServiceEvent{
			Cause: one.CausePolicy, Policy: i, Rule: pol.Expression, Evaluated: ev.Text, Evals: max(1, pol.PeriodNumber), Period: interval.Seconds(),
		}
		if !p.count(r, s, i, ev.True) {
			continue
		}
		if p.try(r, s, pol, why) {
			return true
		}
		ev.Held = true
		p.evaluated(key, ev)
	}
	return false
}

// evaluated notes an evaluation in the plan.
func (p *planner) evaluated(k Key, ev Eval) {
	if p.plan.Evals == nil {
		p.plan.Evals = Evals{}
	}
	p.plan.Evals[k] = ev
}

// eval returns what is known of a policy's evaluations.
func (p *planner) eval(k Key) (Eval, bool) {
	if ev, ok := p.plan.Evals[k]; ok {
		return ev, true
	}
	ev, ok := p.in.Evals[k]
	return ev, ok && !ev.At.IsZero()
}

// count counts true evaluations in a row and tells whether they are enough. The
// count is stored only where it decides anything and has changed.
func (p *planner) count(r *role, s *spec.Role, i int, isTrue bool) bool {
	number := s.Policies[i].PeriodNumber
	if number <= 1 {
		return isTrue
	}
	old, now := 0, 0
	if i < len(r.Policies) {
		old = r.Policies[i].TrueEvals
	}
	if isTrue {
		now = min(old+1, number)
	}
	if now != old {
		for len(r.Policies) < len(s.Policies) {
			r.Policies = append(r.Policies, one.PolicyState{})
		}
		r.Policies[i] = one.PolicyState{TrueEvals: now, LastEval: p.now}
		if !slices.ContainsFunc(r.Policies, func(s one.PolicyState) bool { return s.TrueEvals > 0 }) {
			r.Policies = nil
		}
	}
	return now >= number
}

// maxAdjust bounds what a policy adds: sums stay far from overflowing, and are
// far outside any limit.
const maxAdjust = 1 << 40

// Target returns the cardinality a policy leads to from the present one, before
// the limits are enforced: growth ends at the upper limit and shrinking at the
// lower one. Its corners are the original's. Source: OneFlow reference §4.4.
func Target(now int, s *spec.Role, pol *spec.Policy) int {
	adjust := max(-maxAdjust, min(pol.Adjust, maxAdjust))
	n := now
	switch pol.Type {
	case spec.Change:
		n += adjust
	case spec.Cardinality:
		n = adjust
	case spec.PercentageChange:
		d := float64(now) * float64(adjust) / 100
		size := max(1, int(math.Floor(math.Abs(d))), min(pol.MinStep, maxAdjust))
		if d > 0 {
			n += size
		} else {
			n -= size
		}
	}
	switch {
	case adjust > 0:
		return min(n, max(now, s.Max, 0))
	case adjust < 0:
		return max(n, max(s.Min, 0))
	}
	return n
}

// outside tells which limit of a role a cardinality is outside of, "" for none.
func outside(n int, s *spec.Role) string {
	switch {
	case s.Min >= 0 && n < s.Min:
		return "Minimum cardinality is " + itoa(s.Min)
	case n < 0:
		return "Minimum cardinality is 0"
	case s.Max >= 0 && n > s.Max:
		return "Maximum cardinality is " + itoa(s.Max)
	case n > spec.MaxCardinality:
		return "Maximum cardinality is " + itoa(spec.MaxCardinality)
	}
	return ""
}
