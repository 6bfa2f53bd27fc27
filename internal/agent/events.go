package agent

import (
	"context"
	"errors"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
)

// watch forwards the events of the hypervisor until ctx is done.
func (a *Agent) watch(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; failures++ {
		events, err := a.cfg.Driver.Events(ctx)
		if err != nil {
			wait := backoff(a.cfg.ReconnectMin, a.cfg.ReconnectMax, failures)
			a.log.Warn("no events from the hypervisor", "error", err, "retry_in", wait)
			sleep(ctx, wait)
			continue
		}
		// A link that was opened before has missed what happened meanwhile.
		a.resync(ctx)
		for e := range events {
			failures = -1
			if e.Resync {
				a.resync(ctx)
			} else {
				a.observe(ctx, e.Event)
			}
		}
	}
}

// observe takes an event of the hypervisor. While a step works on the VM the
// event is kept for the step's end, because most are the step's own doing.
func (a *Agent) observe(ctx context.Context, e agentapi.Event) {
	a.mu.Lock()
	if t := a.tasks[subject{agentapi.SubjectVM, e.VM}]; t != nil {
		t.hold(e)
		a.mu.Unlock()
		return
	}
	a.mu.Unlock()
	a.tell(ctx, e)
}

// tell sends an event, unless the server knows the state already or the domain
// has changed again since; for that another event is on its way.
func (a *Agent) tell(ctx context.Context, e agentapi.Event) {
	a.order.RLock()
	defer a.order.RUnlock()
	a.mu.Lock()
	l := a.link
	news := e.VM < 0 || a.stateKnown(e.VM) != e.State
	a.mu.Unlock()
	// Without a link nothing is lost: the next one begins with the state of all.
	if l == nil || !news || a.outdated(ctx, e) {
		return
	}
	a.mu.Lock()
	a.setKnown(e.VM, e.State)
	a.mu.Unlock()
	l.sent(l.up.Event(ctx, e))
}

// outdated tells whether the domain is up although the event says it is not, or
// the other way round.
func (a *Agent) outdated(ctx context.Context, e agentapi.Event) bool {
	state, err := a.cfg.Driver.State(ctx, e.Domain)
	switch {
	case errors.Is(err, hypervisor.ErrNoDomain):
		return isUp(e.State)
	case err != nil:
		return false // better told twice than never
	}
	return isUp(state) != isUp(e.State)
}

func isUp(s agentapi.DomainState) bool {
	return s != agentapi.DomainPoweroff && s != agentapi.DomainFailure
}

// stateKnown returns the state the server knows of a VM. The caller holds mu.
func (a *Agent) stateKnown(vm int) agentapi.DomainState {
	if s, ok := a.known[vm]; ok {
		return s
	}
	return agentapi.DomainPoweroff
}

// setKnown notes the state the server knows of a VM. The caller holds mu.
func (a *Agent) setKnown(vm int, s agentapi.DomainState) {
	switch {
	case vm < 0:
	case s == agentapi.DomainPoweroff:
		delete(a.known, vm)
	default:
		a.known[vm] = s
	}
}
