package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
)

// outbox is the way up: it keeps results, events and the state of all domains in
// an order in which the last word on a domain is true.
//
// While the state of all domains is read, results and events wait, because what
// they tell may be newer than what was read. mu is taken before Agent.mu, and is
// held only for calls that queue.
type outbox struct {
	syncing chan struct{} // holds the token of whoever reads the state of all domains

	mu      sync.Mutex
	link    *link // nil: none is open
	holding bool  // messages go to waiting
	waiting []any // report, agentapi.Event or unsure
	// known is what the server knows of the VMs that have a domain.
	known map[int]agentapi.DomainState
}

// report is the end of a step: its result, and the state the server takes the
// domain of the VM to be in after it, "" when that is as before.
type report struct {
	agentapi.Result
	vm    int
	state agentapi.DomainState
}

// unsure is an event that waits and may be no news when its turn comes.
type unsure agentapi.Event

func newOutbox() outbox {
	return outbox{syncing: make(chan struct{}, 1), known: make(map[int]agentapi.DomainState)}
}

// stateKnown returns the state the server knows of a VM. The caller holds mu.
func (o *outbox) stateKnown(vm int) agentapi.DomainState {
	if s, ok := o.known[vm]; ok {
		return s
	}
	return agentapi.DomainPoweroff
}

// setKnown notes the state the server knows of a VM. The caller holds mu.
func (o *outbox) setKnown(vm int, s agentapi.DomainState) {
	switch {
	case vm < 0 || s == "":
	case s == agentapi.DomainPoweroff:
		delete(o.known, vm)
	default:
		o.known[vm] = s
	}
}

// post sends a message, or lets it wait. Without a link it is dropped: the next
// one begins with the results that were kept and the state of all domains. The
// caller holds mu.
func (o *outbox) post(ctx context.Context, m any) {
	switch {
	case o.link == nil:
	case o.holding:
		o.waiting = append(o.waiting, m)
	default:
		o.deliver(ctx, m)
	}
}

// deliver sends a message. The caller holds mu, and link is open.
func (o *outbox) deliver(ctx context.Context, m any) {
	switch m := m.(type) {
	case report:
		o.setKnown(m.vm, m.state)
		o.link.sent(o.link.up.Result(ctx, m.Result))
	case agentapi.Event:
		o.setKnown(m.VM, m.State)
		o.link.sent(o.link.up.Event(ctx, m))
	}
}

// open brings the server in step: what the host is, how the steps of before
// ended, and then what is true now.
func (a *Agent) open(ctx context.Context, l *link) error {
	o := &a.out
	select {
	case o.syncing <- struct{}{}:
		defer func() { <-o.syncing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := l.up.Facts(ctx, l.facts); err != nil {
		return fmt.Errorf("send facts: %w", err)
	}
	if err := a.repeatResults(ctx, l); err != nil {
		return err
	}
	return a.syncAll(ctx, l)
}

// repeatResults makes l the link of the outbox and sends every result that was
// kept; what ends from then on waits.
func (a *Agent) repeatResults(ctx context.Context, l *link) error {
	o := &a.out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.link, o.holding, o.waiting = l, true, nil
	a.mu.Lock()
	kept := a.results.all()
	a.mu.Unlock()
	for _, r := range kept {
		if err := l.up.Result(ctx, r); err != nil {
			return fmt.Errorf("send result again: %w", err)
		}
	}
	return nil
}

// close ends the use of a link.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.link, o.waiting = nil, nil
}

// resync tells the state of every domain once more, if a link is open.
func (a *Agent) resync(ctx context.Context) {
	o := &a.out
	select {
	case o.syncing <- struct{}{}:
		defer func() { <-o.syncing }()
	case <-ctx.Done():
		return
	}
	o.mu.Lock()
	l := o.link
	o.holding = l != nil
	o.mu.Unlock()
	if l != nil {
		l.sent(a.syncAll(ctx, l))
	}
}

// syncAll reads and sends the state of every domain, and then what has waited.
// The caller holds the token, and has made messages wait.
func (a *Agent) syncAll(ctx context.Context, l *link) error {
	all, err := a.cfg.Driver.List(ctx)
	if err != nil {
		return fmt.Errorf("list domains: %w", err)
	}
	if err := l.up.Sync(ctx, all); err != nil {
		return fmt.Errorf("send all domains: %w", err)
	}
	known := make(map[int]agentapi.DomainState, len(all))
	for _, e := range all {
		if e.VM >= 0 && e.State != agentapi.DomainPoweroff {
			known[e.VM] = e.State
		}
	}
	a.mu.Lock()
	for _, t := range a.tasks {
		t.look = true
	}
	a.mu.Unlock()
	o := &a.out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known = known
	for len(o.waiting) > 0 {
		m := o.waiting[0]
		o.waiting = o.waiting[1:]
		if w, ok := m.(unsure); ok {
			if !a.isNews(ctx, agentapi.Event(w)) {
				continue
			}
			m = agentapi.Event(w)
		}
		if o.link != nil {
			o.deliver(ctx, m)
		}
	}
	o.holding, o.waiting = false, nil
	return nil
}

// tell sends an event if it is news.
func (a *Agent) tell(ctx context.Context, e agentapi.Event) {
	o := &a.out
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.link == nil:
	case o.holding:
		o.waiting = append(o.waiting, unsure(e))
	case a.isNews(ctx, e):
		o.post(ctx, e)
	}
}

// tellState sends the state of a machine's domain unless it is the expected one,
// and returns it. held is the last event of it, nil for none.
func (a *Agent) tellState(m *agentapi.Machine, held *agentapi.Event, expected agentapi.DomainState) agentapi.DomainState {
	state, err := a.cfg.Driver.State(a.base, m.Domain)
	switch {
	case errors.Is(err, hypervisor.ErrNoDomain):
		state = agentapi.DomainPoweroff
	case err != nil && held == nil:
		a.log.Warn("state of a domain is not known after a step", "vm", m.ID, "error", err)
		return expected
	case err != nil:
		state = held.State
	}
	e := agentapi.Event{VM: m.ID, Domain: m.Domain, DeployID: m.DeployID, State: state}
	if held != nil && isUp(held.State) == isUp(state) {
		e = *held // which may know why
	}
	if e.State != expected {
		a.out.mu.Lock()
		defer a.out.mu.Unlock()
		a.out.post(a.base, e)
	}
	return e.State
}

// isNews tells whether the server does not know the state yet, and the domain
// has not changed again since; for that another event is on its way. The caller
// holds out.mu, which is let go while the hypervisor is asked.
func (a *Agent) isNews(ctx context.Context, e agentapi.Event) bool {
	if e.VM >= 0 && a.out.stateKnown(e.VM) == e.State {
		return false
	}
	a.out.mu.Unlock()
	defer a.out.mu.Lock()
	state, err := a.cfg.Driver.State(ctx, e.Domain)
	switch {
	case errors.Is(err, hypervisor.ErrNoDomain):
		return !isUp(e.State)
	case err != nil:
		return true // better told twice than never
	}
	return isUp(state) == isUp(e.State)
}

func isUp(s agentapi.DomainState) bool {
	return s != agentapi.DomainPoweroff && s != agentapi.DomainFailure
}
