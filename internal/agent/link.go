package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// keepLinked connects until ctx is done, waiting longer after each failure. It
// says once why there is no link, until that changes.
func (a *Agent) keepLinked(ctx context.Context) {
	failures, said := 0, ""
	for ctx.Err() == nil {
		inStep, err := a.linkOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if inStep {
			failures, said = 0, ""
		}
		wait := backoff(a.cfg.ReconnectMin, a.cfg.ReconnectMax, failures)
		failures++
		level := slog.LevelDebug // the same again
		if why := fmt.Sprint(err); why != said {
			level, said = slog.LevelWarn, why
		}
		a.log.Log(ctx, level, "no link to the server", "error", err, "retry_in", wait)
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
	if err := a.open(ctx, l); err != nil {
		end(err)
	} else {
		inStep = true
		a.log.Info("linked to the server")
		a.sampleSoon()
	}
	<-done
	a.out.close()
	a.mu.Lock()
	l.dead = true
	a.mu.Unlock()
	end(agentapi.ErrLinkClosed)
	return inStep, context.Cause(ctx)
}

// errStopped ends the steps of an agent that stops: they have no result.
var errStopped = errors.New("the agent stops")
