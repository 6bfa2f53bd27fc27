// Package inproc links an agent with a server in the same process: direct calls,
// decoupled by an ordered queue in each direction.
package inproc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// Connector connects agents to a handler. It implements agentapi.Connector.
type Connector struct {
	handler agentapi.Handler
	log     *slog.Logger
}

var _ agentapi.Connector = (*Connector)(nil)

// New returns a connector to a server in this process.
func New(h agentapi.Handler, log *slog.Logger) *Connector {
	return &Connector{handler: h, log: log}
}

// Connect implements agentapi.Connector.
func (c *Connector) Connect(ctx context.Context, hello agentapi.Hello, down agentapi.Downlink) (agentapi.Uplink, <-chan struct{}, error) {
	ctx, end := context.WithCancelCause(ctx)
	l := &link{ctx: ctx, end: end, done: make(chan struct{})}
	l.up = agentapi.NewQueue[any](c.watch(hello.Host, "up"))
	l.down = agentapi.NewQueue[any](c.watch(hello.Host, "down"))
	server, err := c.handler.Accept(ctx, hello, hello.HostID, downEnd{l})
	if err != nil {
		l.close(err)
		return nil, nil, fmt.Errorf("link of host %s refused: %w", hello.Host, err)
	}
	go l.run(server, down)
	return upEnd{l}, l.done, nil
}

func (c *Connector) watch(host, direction string) func(int) {
	return func(length int) {
		c.log.Warn("link queue grows", "host", host, "direction", direction, "length", length)
	}
}

// link is one connection. Its context ends when it does.
type link struct {
	ctx      context.Context
	end      context.CancelCauseFunc
	up, down *agentapi.Queue[any]
	done     chan struct{}
}

// The messages that are no type of agentapi by themselves.
type (
	syncMsg    []agentapi.Event
	ackMsg     agentapi.StepID
	samplesMsg struct {
		host agentapi.HostSample
		vms  []agentapi.VMSample
	}
)

// run carries messages both ways until the link ends.
func (l *link) run(server agentapi.Uplink, agent agentapi.Downlink) {
	defer close(l.done)
	var downwards sync.WaitGroup
	downwards.Go(func() {
		l.close(l.down.Each(l.ctx, func(m any) error { return toAgent(l.ctx, agent, m) }))
	})
	l.close(l.up.Each(l.ctx, func(m any) error { return toServer(l.ctx, server, m) }))
	downwards.Wait()
}

func (l *link) close(cause error) {
	if cause == nil {
		cause = agentapi.ErrLinkClosed
	}
	l.end(cause)
	l.up.Close()
	l.down.Close()
}

func toAgent(ctx context.Context, a agentapi.Downlink, m any) error {
	switch m := m.(type) {
	case agentapi.Step:
		return a.Run(ctx, m)
	case ackMsg:
		return a.Ack(ctx, agentapi.StepID(m))
	}
	panic(fmt.Sprintf("inproc: message %T on the way down", m))
}

func toServer(ctx context.Context, s agentapi.Uplink, m any) error {
	switch m := m.(type) {
	case agentapi.Result:
		return s.Result(ctx, m)
	case agentapi.Event:
		return s.Event(ctx, m)
	case agentapi.Facts:
		return s.Facts(ctx, m)
	case syncMsg:
		return s.Sync(ctx, m)
	case samplesMsg:
		return s.Samples(ctx, m.host, m.vms)
	}
	panic(fmt.Sprintf("inproc: message %T on the way up", m))
}

// put queues a message, or says why that is not possible.
func (l *link) put(q *agentapi.Queue[any], m any) error {
	if q.Put(m) {
		return nil
	}
	cause := context.Cause(l.ctx)
	if errors.Is(cause, agentapi.ErrLinkClosed) {
		return cause
	}
	return fmt.Errorf("%w: %w", agentapi.ErrLinkClosed, cause)
}

// downEnd is what the server holds of a link.
type downEnd struct{ l *link }

var _ interface {
	agentapi.Downlink
	agentapi.Closer
} = downEnd{}

func (d downEnd) Run(_ context.Context, s agentapi.Step) error { return d.l.put(d.l.down, s) }
func (d downEnd) Ack(_ context.Context, id agentapi.StepID) error {
	return d.l.put(d.l.down, ackMsg(id))
}
func (d downEnd) Close(cause error) { d.l.close(cause) }

// upEnd is what the agent holds of it.
type upEnd struct{ l *link }

func (u upEnd) Facts(_ context.Context, f agentapi.Facts) error { return u.l.put(u.l.up, f) }
func (u upEnd) Sync(_ context.Context, all []agentapi.Event) error {
	return u.l.put(u.l.up, syncMsg(all))
}
func (u upEnd) Event(_ context.Context, e agentapi.Event) error   { return u.l.put(u.l.up, e) }
func (u upEnd) Result(_ context.Context, r agentapi.Result) error { return u.l.put(u.l.up, r) }

func (u upEnd) Samples(_ context.Context, h agentapi.HostSample, vms []agentapi.VMSample) error {
	return u.l.put(u.l.up, samplesMsg{h, vms})
}
