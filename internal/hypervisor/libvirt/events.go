package libvirt

import (
	"context"
	"fmt"
	"time"

	rpc "github.com/digitalocean/go-libvirt"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
)

const (
	// The domains are listed and compared with what the events have said, soon
	// after a connection was made and then more and more rarely. A daemon that hangs
	// sends nothing, as one does where nothing happens; and one that was restarted
	// tells no one of a guest that dies while it takes its guests up again.
	pulseMin = time.Second
	pulseMax = 30 * time.Second
	// The wait before a connection is tried anew, growing.
	redialMin = 50 * time.Millisecond
	redialMax = 5 * time.Second
)

// watch hands on libvirt's events until ctx is done. After every connection that
// was made it says that some may be lost.
func (d *Driver) watch(ctx context.Context, at endpoint) {
	wait, silent := redialMin, false
	for ctx.Err() == nil {
		connected, err := d.watchOnce(ctx, at)
		if ctx.Err() != nil {
			return
		}
		if connected {
			wait, silent = redialMin, false
		}
		if !silent { // once per outage
			d.log.Warn("no events of domains", "error", err)
			silent = true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		wait = min(2*wait, redialMax)
	}
}

// watchOnce hands on the events of one connection until it ends.
func (d *Driver) watchOnce(ctx context.Context, at endpoint) (connected bool, err error) {
	c, err := at.dial(ctx)
	if err != nil {
		return false, err
	}
	// Only the end of the connection ends the library's stream without a race, so
	// the stream gets no context of ours, and is read to its end.
	defer c.kill()
	defer context.AfterFunc(ctx, c.kill)()

	w := &watcher{Driver: d, conn: c}
	var events <-chan rpc.DomainEventLifecycleMsg
	err = w.within(func() (err error) {
		events, err = c.rpc.LifecycleEvents(context.Background())
		return err
	})
	if err != nil {
		return false, fmt.Errorf("register for events: %w", err)
	}
	defer func() {
		c.kill()
		for range events { // until the library has closed it
		}
	}()
	if err := w.compare(); err != nil {
		return false, err
	}
	// What happened before, and what the library dropped while it was registering,
	// is in the list that will be read now.
	d.feed.Publish(hypervisor.Event{Resync: true})

	wait := pulseMin
	pulse := time.NewTimer(wait)
	defer pulse.Stop()
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return true, errLost
			}
			w.lifecycle(ctx, e)
		case <-pulse.C:
			if err := w.compare(); err != nil {
				return true, err
			}
			wait = min(2*wait, pulseMax)
			pulse.Reset(wait)
		case <-ctx.Done():
			return true, context.Cause(ctx)
		}
	}
}

// watcher is one connection for events.
type watcher struct {
	*Driver
	conn  *conn
	known map[string]agentapi.Event // what was said of the domains there are; nil before the first comparison
}

// within runs a call and ends the connection when it takes too long.
func (w *watcher) within(call func() error) error {
	slow := time.AfterFunc(w.cfg.CallTime, w.conn.kill)
	err := call()
	if !slow.Stop() && err != nil {
		return fmt.Errorf("%w within %v", errSlow, w.cfg.CallTime)
	}
	return err
}

// compare lists the domains and tells of what no event has told.
func (w *watcher) compare() error {
	var all []agentapi.Event
	err := w.within(func() (err error) {
		all, err = list(w.conn.rpc)
		return err
	})
	if err != nil {
		return fmt.Errorf("list domains: %w", err)
	}
	now := make(map[string]agentapi.Event, len(all))
	for _, e := range all {
		now[e.Domain] = e
	}
	if w.known != nil {
		for name, e := range w.known {
			if _, there := now[name]; !there {
				e.State = agentapi.DomainPoweroff
				w.feed.Publish(hypervisor.Event{Event: e})
			}
		}
		for name, e := range now {
			if w.known[name] != e {
				w.feed.Publish(hypervisor.Event{Event: e})
			}
		}
	}
	w.known = now
	return nil
}

// lifecycle hands on one event of libvirt's.
func (w *watcher) lifecycle(ctx context.Context, e rpc.DomainEventLifecycleMsg) {
	switch rpc.DomainEventType(e.Event) {
	case rpc.DomainEventStarted, rpc.DomainEventResumed:
		w.tell(e.Dom, agentapi.DomainRunning)
	case rpc.DomainEventStopped:
		w.tell(e.Dom, agentapi.DomainPoweroff)
	case rpc.DomainEventCrashed:
		w.tell(e.Dom, agentapi.DomainFailure)
	case rpc.DomainEventPmsuspended:
		w.tell(e.Dom, agentapi.DomainSuspended)
	case rpc.DomainEventSuspended:
		// The event does not tell a user's pause from that of a save.
		state, err := w.stateNow(ctx, e.Dom)
		if err != nil {
			w.log.Warn("state of a paused domain is not known", "domain", e.Dom.Name, "error", err)
			w.feed.Publish(hypervisor.Event{Resync: true})
		} else if state != "" {
			w.tell(e.Dom, state)
		}
	}
}

// stateNow is the state of a domain, "" if it is gone: its end is the next event.
func (w *watcher) stateNow(ctx context.Context, dom rpc.Domain) (state agentapi.DomainState, err error) {
	err = w.calls.call(ctx, "look up "+dom.Name, w.cfg.CallTime, func(l *rpc.Libvirt) error {
		now, reason, err := l.DomainGetState(dom, 0)
		if hasCode(err, rpc.ErrNoDomain) {
			return nil
		}
		if err == nil {
			state, _ = stateOf(now, reason)
		}
		return err
	})
	return state, err
}

// tell hands on the state of a domain.
func (w *watcher) tell(dom rpc.Domain, state agentapi.DomainState) {
	e := eventOf(dom, state)
	if state == agentapi.DomainPoweroff {
		delete(w.known, dom.Name)
	} else {
		w.known[dom.Name] = e
	}
	w.feed.Publish(hypervisor.Event{Event: e})
}
