package reconcile

import (
	"slices"
	"time"

	"github.com/trifid-cloud/trifid/internal/one"
)

// runActions does what is due of the actions that are spread over time: Number
// machines every Period. Source: OneFlow reference §5.
func (p *planner) runActions() {
	switch p.s.State {
	case one.ServiceUndeploying, one.ServiceUndeployingNets, one.ServiceDone:
		p.s.Actions = nil
	}
	for i := range p.s.Actions {
		a := &p.s.Actions[i]
		for a.Next <= p.now && len(a.VMs) > 0 && len(p.plan.Do) < p.in.Settings.PerStep {
			p.act(a, a.VMs[0])
			a.VMs = a.VMs[1:]
			if a.Done++; a.Done >= a.Number {
				a.Done = 0
				a.Next += a.Period * 1000
			}
		}
		if len(a.VMs) > 0 {
			p.wake(millis(a.Next))
		}
	}
	p.s.Actions = slices.DeleteFunc(p.s.Actions, func(a one.ServiceAction) bool { return len(a.VMs) == 0 })
	if len(p.s.Actions) == 0 {
		p.s.Actions = nil
	}
}

func (p *planner) act(a *one.ServiceAction, id int) {
	if at := find(p.in.Machines, id); at >= 0 {
		p.do(Do{VM: id, Role: p.in.Machines[at].Role, Op: OpAct, Action: a.Action, Args: a.Args, UID: a.UID, GID: a.GID})
	}
}

func millis(n int64) time.Time { return time.UnixMilli(n) }
