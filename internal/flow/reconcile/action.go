package reconcile

import (
	"slices"
	"time"

	"github.com/trifid-cloud/trifid/internal/one"
)

// runActions schedules actions on machines, so many in a step. From then on they
// are the machines' own. Source: OneFlow reference §5.
func (p *planner) runActions() {
	switch p.s.State {
	case one.ServiceUndeploying, one.ServiceUndeployingNets, one.ServiceDone:
		p.s.Actions = nil
	}
	for i := range p.s.Actions {
		a := &p.s.Actions[i]
		for len(a.VMs) > 0 && len(p.plan.Do) < p.in.Settings.PerStep {
			p.schedule(a, a.VMs[0])
			a.VMs = a.VMs[1:]
			a.Done++
		}
		if len(a.VMs) > 0 {
			p.wake(millis(p.now))
		}
	}
	p.s.Actions = slices.DeleteFunc(p.s.Actions, func(a one.ServiceAction) bool { return len(a.VMs) == 0 })
	if len(p.s.Actions) == 0 {
		p.s.Actions = nil
	}
}

func (p *planner) schedule(a *one.ServiceAction, id int) {
	if at := find(p.in.Machines, id); at >= 0 {
		p.do(Do{VM: id, Role: p.in.Machines[at].Role, Op: OpSchedule, Action: a.Action, Args: a.Args, UID: a.UID, Time: a.Next()})
	}
}

func millis(n int64) time.Time { return time.UnixMilli(n) }
