package reconcile

import (
	"fmt"
	"slices"

	"github.com/trifid-cloud/trifid/internal/one"
)

// noVM stands for a fault that is not one machine's.
const noVM = -1

// log adds an event that the original's log has too.
func (p *planner) log(e one.ServiceEvent, format string, args ...any) {
	p.plan.Log = append(p.plan.Log, Line{"I", fmt.Sprintf(format, args...), e})
}

// fault says what went wrong: was refused, or failed.
func (p *planner) fault(kind, role string, vm int, format string, args ...any) {
	e := one.ServiceEvent{Type: kind, Role: role}
	if vm != noVM {
		e.VMs = []int{vm}
	}
	p.plan.Log = append(p.plan.Log, Line{"E", fmt.Sprintf(format, args...), e})
}

// note returns the event of a type that what happens now can be added to: one
// since the service's last change of state that same accepts, else a new one.
func (p *planner) note(kind string, same func(*one.ServiceEvent) bool) *one.ServiceEvent {
	for i := len(p.plan.Log) - 1; i >= 0; i-- {
		e := &p.plan.Log[i].Event
		if e.Type == kind && same(e) {
			return e
		}
		if e.Type == one.EventState {
			break
		}
	}
	p.plan.Log = append(p.plan.Log, Line{Severity: "I", Event: one.ServiceEvent{Type: kind}})
	return &p.plan.Log[len(p.plan.Log)-1].Event
}

// noteRole says that a role entered a state; of many roles one event says so.
func (p *planner) noteRole(r *role) {
	state := r.State.String()
	e := p.note(one.EventRoles, func(e *one.ServiceEvent) bool { return e.State == state })
	e.State, e.Roles = state, append(e.Roles, r.Name)
}

// noteVM says that something was done about a machine of a role, or about one
// that has no id yet.
func (p *planner) noteVM(kind string, r *role, vm int) {
	e := p.note(kind, func(e *one.ServiceEvent) bool { return e.Role == r.Name })
	e.Role = r.Name
	e.Count++
	if vm != noVM {
		e.VMs = append(e.VMs, vm)
	}
}

// noteGone says that machines of a role are gone. Only those that were told to
// go are known by id.
func (p *planner) noteGone(r *role, count int, alive func(id int) bool) {
	e := p.note(one.EventVMsGone, func(e *one.ServiceEvent) bool { return e.Role == r.Name })
	e.Role, e.Count = r.Name, count
	e.VMs = slices.DeleteFunc(slices.Clone(r.Leaving), alive)
}
