// Package reconcile decides what becomes of a service: a pure function from what
// should be (the service), what is (its machines) and the time to transitions,
// machine operations and the next time to look. It does nothing itself; the
// controller applies a plan in one transaction of bounded size and asks again.
//
// Everything is decided from the present facts, never from having seen an event:
// a plan that was lost in a crash is simply made again.
//
//	PENDING ─► DEPLOYING_NETS ─► DEPLOYING ─► RUNNING ◄─► WARNING
//	                    (or HOLD ─►)            │ ▲
//	                                   SCALING ◄┘ └─ COOLDOWN ◄─ SCALING
//	any of them ─► UNDEPLOYING ─► UNDEPLOYING_NETS ─► gone
//	every passing state may end in its FAILED_ one, which only recovery leaves
//
// Source: OneFlow reference §3 and §4.
package reconcile

import (
	"slices"
	"time"

	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
)

// Machine is what is looked at of a VM of the service.
type Machine struct {
	ID    int
	Role  string
	State one.VMState
	LCM   one.LCMState
	Ready bool // READY=YES in its user template
	// Stranger tells that its owner or group is not the service's.
	Stranger bool
}

// Nets is the state of a service's networks taken together.
type Nets int

// States of networks.
const (
	NetsReady Nets = iota
	NetsWaiting
	NetsBroken
)

// Settings are the settings of the server.
type Settings struct {
	DefaultCooldown time.Duration
	// MinInterval is the shortest time between two evaluations of a policy.
	MinInterval time.Duration
	// Deadline is how long the VMs of a role may take to come up or to go; 0 for
	// no limit, as in the original.
	Deadline time.Duration
	// ShutdownAction is that of roles which name none.
	ShutdownAction string
	// PerStep bounds the VMs a plan creates, and those it does something to.
	PerStep int
}

// Input is everything that a decision depends on.
type Input struct {
	Spec     *spec.Spec
	Service  *one.Service
	Machines []Machine // those of the service that are not DONE, ascending by id
	Nets     Nets
	Evals    Evals
	// Average returns the mean of an attribute over the running machines of a role.
	Average func(role, attribute string) (float64, bool)
	// Reason returns why a machine failed, "" if nothing is known; it may be nil.
	Reason   func(vm int) string
	Refused  Refused
	Settings Settings
	Now      time.Time
}

// Refused is what was refused when an earlier version of the plan was applied.
type Refused struct {
	// Create is why the VM after the first CreateAfter could not be created, ""
	// if they all could.
	Create      string
	CreateAfter int
	Do          map[Do]string
	Drop        string
}

// Op is something done to a machine.
type Op int

// The operations.
const (
	OpStop     Op = iota // terminate it
	OpStopHard           // terminate it without asking the guest
	OpRelease            // let it leave HOLD
	OpRetry              // try the step again that failed
	OpResume             // set it going again
	OpChown              // give it to the service's owner
	OpSchedule           // schedule Action on behalf of UID; when it is refused say so in the log
)

// Do is one operation on a machine.
type Do struct {
	VM int
	Op Op
	// Of OpSchedule, which is the only operation whose refusal changes nothing but the log.
	Role, Action, Args string
	UID                int
	Time               int64 // when it is to be done, epoch seconds
}

// Create is a VM to be created: the Number-th of a role.
type Create struct {
	Role   string
	Number int
	Hold   bool
}

// Line is a line of the service's log: an event and, if the original's log has
// it, its message. Of VMs that were created the event has no ids yet.
type Line struct {
	Severity, Message string
	Event             one.ServiceEvent
}

// Plan is what to do, all in one transaction.
type Plan struct {
	Service *one.Service // as it is to be; nil when it stays as it is
	Log     []Line
	Create  []Create
	Do      []Do
	// Drop tells to delete the service with the networks it created.
	Drop bool
	// Wake is when to look again though nothing happens; zero for never.
	Wake time.Time
	// Evals are the policies that were evaluated. They are kept in memory only.
	Evals Evals
}

// Durable tells whether the plan changes anything that is stored.
func (p *Plan) Durable() bool {
	return p.Service != nil || len(p.Log)+len(p.Create)+len(p.Do) > 0 || p.Drop
}

// maxPasses bounds the work of one plan, which is made inside a transaction: what
// is left, in a long chain of roles, is in the next one.
const maxPasses = 32

// Next decides what to do next.
func Next(in Input) Plan {
	p := newPlanner(in)
	p.account()
	p.runActions()
	p.chown()
	for range maxPasses {
		p.moved = false
		p.pass()
		if !p.moved {
			break
		}
	}
	return p.finish()
}

// planner is a plan in the making.
type planner struct {
	in    Input
	plan  Plan
	s     one.Service // the working copy
	roles []role      // of s
	moved bool
	now   int64 // epoch milliseconds
}

// role is all there is to know of a role: what is stored, in the working copy,
// what the template says, and its machines.
type role struct {
	*one.Role
	spec  *spec.Role
	live  []Machine // ascending by id
	fresh int       // VMs that this plan creates
}

func newPlanner(in Input) *planner {
	p := &planner{in: in, s: *in.Service, now: in.Now.UnixMilli()}
	p.s.Roles = slices.Clone(in.Service.Roles)
	for i := range p.s.Roles {
		r := &p.s.Roles[i]
		r.Leaving, r.Retry = slices.Clone(r.Leaving), slices.Clone(r.Retry)
		r.Policies, r.Sched = slices.Clone(r.Policies), slices.Clone(r.Sched)
	}
	p.s.Actions = slices.Clone(in.Service.Actions)
	p.link()
	return p
}

// link puts together what is known of each role of the working copy.
func (p *planner) link() {
	p.roles = make([]role, len(p.s.Roles))
	for i := range p.s.Roles {
		r := role{Role: &p.s.Roles[i], spec: &noSpec}
		if s, ok := p.in.Spec.Role(r.Name); ok {
			r.spec = s
		}
		p.roles[i] = r
	}
	for _, m := range p.in.Machines {
		if r := p.role(m.Role); r != nil {
			r.live = append(r.live, m)
		}
	}
}

func (p *planner) finish() Plan {
	if !same(&p.s, p.in.Service) {
		s := p.s
		p.plan.Service = &s
	}
	return p.plan
}

// wake asks to look again at a time.
func (p *planner) wake(at time.Time) {
	if p.plan.Wake.IsZero() || at.Before(p.plan.Wake) {
		p.plan.Wake = at
	}
}

// enter puts the service into a state and says so in its log.
func (p *planner) enter(state one.ServiceState) {
	if p.s.State == state {
		return
	}
	e := one.ServiceEvent{Type: one.EventState, Was: p.s.State.String(), State: state.String()}
	if state == one.ServiceCooldown {
		e.Role, e.Cooldown = p.s.ScalingRole, float64(p.s.Cooldown)/1000
	}
	p.s.State, p.s.Since, p.moved = state, p.now, true
	p.log(e, "New state: %s", state)
}

// enterRole puts a role into a state.
func (p *planner) enterRole(r *role, state one.RoleState) {
	if r.State == state {
		return
	}
	r.State, r.Since, p.moved = state, p.now, true
	p.noteRole(r)
}

// noSpec is what the template says of a role it does not have.
var noSpec spec.Role

// role returns a role by name, nil if there is none. Its place is that in the
// template, but for roles that this plan adds or takes away.
func (p *planner) role(name string) *role {
	i := p.in.Spec.Index(name)
	if i < 0 || i >= len(p.roles) || p.roles[i].Name != name {
		i = slices.IndexFunc(p.roles, func(r role) bool { return r.Name == name })
	}
	if i < 0 {
		return nil
	}
	return &p.roles[i]
}

// refused tells whether an operation was refused when it was tried.
func (p *planner) refused(d Do) (string, bool) {
	text, ok := p.in.Refused.Do[d]
	return text, ok
}

// do plans an operation if there is room for one more.
func (p *planner) do(d Do) bool {
	if len(p.plan.Do) >= p.in.Settings.PerStep {
		return false
	}
	p.plan.Do = append(p.plan.Do, d)
	return true
}

// pass does what the present state of the service asks for.
func (p *planner) pass() {
	switch p.s.State {
	case one.ServicePending:
		p.enter(one.ServiceDeployingNets)
	case one.ServiceDeployingNets:
		p.awaitNets()
	case one.ServiceDeploying, one.ServiceHold:
		p.deploy()
	case one.ServiceRunning, one.ServiceWarning:
		p.watch()
		if p.s.State == one.ServiceRunning && !p.moved {
			p.adjust()
		}
	case one.ServiceScaling:
		p.scale()
	case one.ServiceCooldown:
		p.coolDown()
	case one.ServiceUndeploying:
		p.undeploy()
	case one.ServiceUndeployingNets:
		p.drop()
	}
}

// account compares the machines with what the service knows of them. Machines
// that went away without being told to make the role smaller, whatever the
// limits, wherever the service is not to be mended by recovery anyway.
// Source: OneFlow reference §3.4 and §3.8.
func (p *planner) account() {
	vanished := false
	for i := range p.roles {
		r := &p.roles[i]
		live := r.live
		gone := r.Made - len(live)
		asked := len(r.Leaving)
		alive := func(id int) bool { return find(live, id) >= 0 }
		if gone > 0 {
			p.noteGone(r, gone, alive)
		}
		r.Leaving = keep(r.Leaving, alive)
		r.Retry = keep(r.Retry, alive)
		r.Made = len(live)
		byItself := gone - (asked - len(r.Leaving))
		if byItself <= 0 {
			continue
		}
		vanished = true
		if p.follows() && r.State != one.RoleUndeploying {
			p.shrink(r, r.Cardinality-byItself)
		}
	}
	if vanished && len(p.in.Machines) == 0 {
		p.s.Emptied = true
	}
}

// shrink lowers the cardinality of a role to what is there.
func (p *planner) shrink(r *role, to int) {
	if to = max(0, to); to < r.Cardinality {
		e := one.ServiceEvent{Type: one.EventScaling, Role: r.Name, From: r.Cardinality, To: to, Cause: one.CauseGone}
		p.log(e, "Role %s scaling down from %d to %d nodes", r.Name, r.Cardinality, to)
		r.Cardinality = to
	}
}

// follows tells whether the cardinality follows machines that vanish.
func (p *planner) follows() bool {
	switch p.s.State {
	case one.ServiceDeploying, one.ServiceHold, one.ServiceRunning, one.ServiceWarning, one.ServiceScaling, one.ServiceCooldown:
		return true
	}
	return false
}

// has tells whether an id is among ids, which ascend.
func has(ids []int, id int) bool {
	_, ok := slices.BinarySearch(ids, id)
	return ok
}

// find returns where a machine is among machines, which ascend, -1 for nowhere.
func find(ms []Machine, id int) int {
	i, ok := slices.BinarySearchFunc(ms, id, func(m Machine, id int) int { return m.ID - id })
	if !ok {
		return -1
	}
	return i
}

// keep returns the ids that are still wanted, nil when none is.
func keep(ids []int, wanted func(int) bool) []int {
	ids = slices.DeleteFunc(ids, func(id int) bool { return !wanted(id) })
	if len(ids) == 0 {
		return nil
	}
	return ids
}

// chown gives machines to the owner of the service after that has changed.
func (p *planner) chown() {
	if !p.s.Chowning {
		return
	}
	for _, m := range p.in.Machines {
		if !m.Stranger {
			continue
		}
		d := Do{VM: m.ID, Op: OpChown}
		if text, ok := p.refused(d); ok {
			p.fault(one.EventRefused, m.Role, m.ID, "Chown operation failed for VM %d; %s", m.ID, text)
			continue
		}
		if !p.do(d) {
			return
		}
	}
	p.s.Chowning = false
}

// late tells whether a role has been in its state for too long, and else asks to
// look again when it will have been.
func (p *planner) late(r *role) bool {
	if p.in.Settings.Deadline <= 0 {
		return false
	}
	end := time.UnixMilli(r.Since).Add(p.in.Settings.Deadline)
	if !p.in.Now.Before(end) {
		p.fault(one.EventFailed, r.Name, noVM, "Role %s is still %s after %s", r.Name, r.State, p.in.Settings.Deadline)
		return true
	}
	p.wake(end)
	return false
}
