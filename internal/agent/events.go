package agent

import (
	"context"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
)

// watch forwards the events of the hypervisor until ctx is done. events and err
// are what the first subscription gave.
func (a *Agent) watch(ctx context.Context, events <-chan hypervisor.Event, err error) {
	for failures := 0; ; failures++ {
		if err == nil {
			for e := range events {
				failures = 0
				if e.Resync {
					a.resync(ctx)
				} else {
					a.observe(ctx, e.Event)
				}
			}
		}
		if ctx.Err() != nil {
			return
		}
		wait := backoff(a.cfg.ReconnectMin, a.cfg.ReconnectMax, failures)
		a.log.Warn("no events from the hypervisor", "error", err, "retry_in", wait)
		sleep(ctx, wait)
		if events, err = a.cfg.Driver.Events(ctx); err == nil {
			a.resync(ctx) // for what was missed meanwhile
		}
	}
}

// observe takes an event of the hypervisor. While a step works on the VM the
// event is kept for the step's end, because most are the step's own doing.
func (a *Agent) observe(ctx context.Context, e agentapi.Event) {
	a.mu.Lock()
	t := a.tasks[subject{agentapi.SubjectVM, e.VM}]
	if t != nil {
		t.hold(e)
	}
	a.mu.Unlock()
	if t == nil {
		a.tell(ctx, e)
	}
}
