package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// link is one connection to the server, and what the server may call on it.
type link struct {
	a   *Agent
	up  agentapi.Uplink
	end context.CancelCauseFunc
	// facts are those the server was told; after open only sample touches them.
	facts agentapi.Facts
	dead  bool // guarded by Agent.mu: what still trickles in is refused
}

var _ agentapi.Downlink = (*link)(nil)

// Run implements agentapi.Downlink.
func (l *link) Run(ctx context.Context, s agentapi.Step) error {
	return l.a.accept(ctx, l, s)
}

// Ack implements agentapi.Downlink.
func (l *link) Ack(_ context.Context, id agentapi.StepID) error {
	l.a.mu.Lock()
	defer l.a.mu.Unlock()
	l.a.results.forget(id)
	return nil
}

// sent ends the link when a message could not be sent: the next one repeats all
// that matters.
func (l *link) sent(err error) {
	if err != nil {
		l.end(err)
	}
}

// keepLinked connects until ctx is done, waiting longer after each failure.
func (a *Agent) keepLinked(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		inStep, err := a.linkOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if inStep {
			failures = 0
		}
		wait := backoff(a.cfg.ReconnectMin, a.cfg.ReconnectMax, failures)
		failures++
		a.log.Warn("no link to the server", "error", err, "retry_in", wait)
		sleep(ctx, wait)
	}
}

// backoff returns a wait that doubles with each failure, spread over its upper
// half so that the agents of a server that comes back do not arrive together.
func backoff(shortest, longest time.Duration, failures int) time.Duration {
	d := longest
	if failures < 20 {
		d = min(longest, shortest<<failures)
	}
	return d/2 + rand.N(d/2+1)
}

// sleep waits for d, or less when ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// linkOnce connects, and returns when the link has ended, with the cause. inStep
// tells whether the server was told everything before.
func (a *Agent) linkOnce(ctx context.Context) (inStep bool, err error) {
	facts, err := a.facts(ctx)
	if err != nil {
		return false, err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	l := &link{a: a, end: end}
	info := a.cfg.Driver.Info()
	hello := agentapi.Hello{
		Host: a.cfg.HostName, HostID: a.cfg.HostID, Version: a.cfg.Version, IMMad: info.Name, VMMad: info.Name,
	}
	up, done, err := a.cfg.Connector.Connect(ctx, hello, l)
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	l.up, l.facts = up, facts
	if err := a.open(ctx, l, facts); err != nil {
		end(err)
	} else {
		inStep = true
		a.log.Info("linked to the server")
		a.sampleSoon()
	}
	<-done
	a.mu.Lock()
	l.dead, a.link = true, nil
	a.mu.Unlock()
	end(agentapi.ErrLinkClosed)
	return inStep, context.Cause(ctx)
}

// open brings the server in step: what the host is, how the steps of before
// ended, and then what is true now, so that the last word is the present state.
func (a *Agent) open(ctx context.Context, l *link, facts agentapi.Facts) error {
	a.order.Lock()
	defer a.order.Unlock()
	if err := l.up.Facts(ctx, facts); err != nil {
		return fmt.Errorf("send facts: %w", err)
	}
	a.mu.Lock()
	unacknowledged := a.results.all()
	a.mu.Unlock()
	for _, r := range unacknowledged {
		if err := l.up.Result(ctx, r); err != nil {
			return fmt.Errorf("send result again: %w", err)
		}
	}
	if err := a.syncLocked(ctx, l); err != nil {
		return err
	}
	a.mu.Lock()
	a.link = l
	a.mu.Unlock()
	return nil
}

// resync tells the state of every domain on a link that is open.
func (a *Agent) resync(ctx context.Context) {
	a.order.Lock()
	defer a.order.Unlock()
	a.mu.Lock()
	l := a.link
	a.mu.Unlock()
	if l != nil {
		l.sent(a.syncLocked(ctx, l))
	}
}

// syncLocked reads and sends the state of every domain. The caller holds order.
func (a *Agent) syncLocked(ctx context.Context, l *link) error {
	all, err := a.cfg.Driver.List(ctx)
	if err != nil {
		return fmt.Errorf("list domains: %w", err)
	}
	known := make(map[int]agentapi.DomainState, len(all))
	for _, e := range all {
		if e.VM >= 0 && e.State != agentapi.DomainPoweroff {
			known[e.VM] = e.State
		}
	}
	a.mu.Lock()
	a.known = known
	a.mu.Unlock()
	if err := l.up.Sync(ctx, all); err != nil {
		return fmt.Errorf("send all domains: %w", err)
	}
	return nil
}

// errStopped ends the steps of an agent that stops: they have no result.
var errStopped = errors.New("the agent stops")
