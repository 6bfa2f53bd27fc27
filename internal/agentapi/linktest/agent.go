package linktest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/agent"
	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// cloud is a server that wants machines to run, then to be gone, and asks for
// what is missing whenever a link opens.
type cloud struct {
	mu     sync.Mutex
	wanted map[int]agentapi.Step
	link   agentapi.Downlink
	faults []string
	done   chan struct{} // closed when nothing is wanted any more
}

func (c *cloud) Accept(_ context.Context, _ agentapi.Hello, _ int, down agentapi.Downlink) (agentapi.Uplink, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = down
	return &cloudLink{c, down}, nil
}

type cloudLink struct {
	c    *cloud
	down agentapi.Downlink
}

func (l *cloudLink) Facts(context.Context, agentapi.Facts) error { return nil }
func (l *cloudLink) Event(context.Context, agentapi.Event) error { return nil }
func (l *cloudLink) Samples(context.Context, agentapi.HostSample, []agentapi.VMSample) error {
	return nil
}

func (l *cloudLink) Sync(ctx context.Context, _ []agentapi.Event) error {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	for _, s := range l.c.wanted {
		if err := l.down.Run(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (l *cloudLink) Result(ctx context.Context, r agentapi.Result) error {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if s, ok := l.c.wanted[r.ID]; ok && s.StepID == r.StepID {
		if !r.OK() {
			l.c.faults = append(l.c.faults, fmt.Sprintf("%s: %s", r.StepID, r.Error))
		}
		delete(l.c.wanted, r.ID)
		if len(l.c.wanted) == 0 {
			close(l.c.done)
		}
	}
	return l.down.Ack(ctx, r.StepID)
}

// want asks for an operation on all machines and returns a channel that is closed
// when all were done.
func (c *cloud) want(op agentapi.Op, state int) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = make(chan struct{})
	for id := range machines {
		s := agentapi.Step{
			StepID: agentapi.StepID{Epoch: 1, Subject: agentapi.SubjectVM, ID: id, State: state},
			Op:     op, Timeout: time.Hour.Milliseconds(),
			Machine: &agentapi.Machine{ID: id, Domain: fmt.Sprintf("one-%d", id), VMMad: "dummy", Template: tmpl.New(tmpl.Single("MEMORY", "64"))},
		}
		c.wanted[id] = s
		if c.link != nil {
			_ = c.link.Run(context.Background(), s) // a link that has ended: the next one asks
		}
	}
	return c.done
}

func (c *cloud) cut() {
	c.mu.Lock()
	link := c.link
	c.mu.Unlock()
	if link != nil {
		link.(agentapi.Closer).Close(agentapi.ErrLinkClosed)
	}
}

const machines = 300

// testAgent lets an agent with a simulated host work over a link that is cut all
// the time.
func testAgent(t *testing.T, factory Factory) {
	d, err := sim.New(sim.Config{Behaviour: sim.Behaviour{BootTime: 20 * time.Millisecond, ShutdownTime: 20 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{wanted: make(map[int]agentapi.Step)}
	a, err := agent.New(agent.Config{
		HostName: Hello.Host, HostID: Hello.HostID, Driver: d, StateDir: t.TempDir(), Connector: factory(t, c),
		ReconnectMin: time.Millisecond, ReconnectMax: 10 * time.Millisecond, ShutdownRepeat: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	defer func() {
		cancel()
		if err := receive(t, ended); err != nil {
			t.Error(err)
		}
	}()
	for i, op := range []agentapi.Op{agentapi.OpPrepare, agentapi.OpStart, agentapi.OpShutdown, agentapi.OpStart, agentapi.OpCleanup} {
		done := c.want(op, i+1)
		deadline := time.After(patience)
		cuts := time.NewTicker(5 * time.Millisecond)
		for cutting, n := true, 0; cutting; n++ {
			select {
			case <-done:
				cutting = false
			case <-cuts.C:
				if n < 20 { // an agent must get through in the end
					c.cut()
				}
			case <-deadline:
				c.mu.Lock()
				defer c.mu.Unlock()
				t.Fatalf("%s: %d machines still wait", op, len(c.wanted))
			}
		}
		cuts.Stop()
		want := 0
		if op == agentapi.OpStart {
			want = machines
		}
		if n := d.Len(); n != want {
			t.Errorf("after %s there are %d domains, want %d", op, n, want)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.faults {
		t.Error(f)
	}
}
