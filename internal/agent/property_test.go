package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/agentapi/inproc"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
)

// cloud is a server as the real one behaves: it asks for the present step of each
// machine when it changes and after each list of all domains, takes the first
// result of it, heeds no event while it waits for one, and believes what it hears.
type cloud struct {
	mu       sync.Mutex
	epoch    uint64
	down     agentapi.Downlink
	wanted   map[int]agentapi.Step // the step each machine waits for
	believed map[int]agentapi.DomainState
	answers  map[agentapi.StepID]agentapi.Result
	keep     bool // results are acknowledged no more
	faults   []string
}

func (c *cloud) Accept(_ context.Context, _ agentapi.Hello, _ int, down agentapi.Downlink) (agentapi.Uplink, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
	return &cloudLink{c, down}, nil
}

type cloudLink struct {
	c    *cloud
	down agentapi.Downlink
}

func (l *cloudLink) Facts(context.Context, agentapi.Facts) error { return nil }
func (l *cloudLink) Samples(context.Context, agentapi.HostSample, []agentapi.VMSample) error {
	return nil
}

func (l *cloudLink) Event(_ context.Context, e agentapi.Event) error {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.c.hear(e.VM, e.State)
	return nil
}

// hear is what the server learns of a domain. The caller holds mu.
func (c *cloud) hear(vm int, s agentapi.DomainState) {
	if _, waits := c.wanted[vm]; !waits {
		c.believed[vm] = s
	}
}

func (l *cloudLink) Sync(ctx context.Context, all []agentapi.Event) error {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	now := make(map[int]agentapi.DomainState)
	for _, e := range all {
		now[e.VM] = e.State
	}
	for vm := range l.c.believed {
		if s, ok := now[vm]; ok {
			l.c.hear(vm, s)
		} else {
			l.c.hear(vm, agentapi.DomainPoweroff)
		}
	}
	for _, s := range l.c.wanted {
		s.Epoch = l.c.epoch
		if err := l.down.Run(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// sameTry tells whether two ids differ in nothing but who asked.
func sameTry(a, b agentapi.StepID) bool {
	a.Epoch, b.Epoch = 0, 0
	return a == b
}

func (l *cloudLink) Result(ctx context.Context, r agentapi.Result) error {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if was, ok := l.c.answers[r.StepID]; ok && was != r {
		l.c.faults = append(l.c.faults, fmt.Sprintf("two results of %s: %+v, %+v", r.StepID, was, r))
	}
	l.c.answers[r.StepID] = r
	if s, ok := l.c.wanted[r.ID]; ok && sameTry(s.StepID, r.StepID) {
		delete(l.c.wanted, r.ID)
		if r.OK() {
			l.c.believed[r.ID] = stateAfter(&s)
		}
	}
	if l.c.keep {
		return nil
	}
	return l.down.Ack(ctx, r.StepID)
}

// want makes a step the present one of its machine and asks for it.
func (c *cloud) want(s agentapi.Step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Epoch = c.epoch
	if !isRequest(s.Op) { // which is asked for once, beside the step
		c.wanted[s.ID] = s
	}
	if _, ok := c.believed[s.ID]; !ok {
		c.believed[s.ID] = agentapi.DomainPoweroff
	}
	if c.down != nil {
		_ = c.down.Run(context.Background(), s) // without a link it is asked for later
	}
}

// inBubble runs a check in a synctest bubble. What ends a check early is a panic,
// which must reach rapid on the goroutine it knows.
func inBubble(t *testing.T, rt *rapid.T, check func(*rapid.T)) {
	var ended any
	synctest.Test(t, func(*testing.T) {
		defer func() { ended = recover() }()
		check(rt)
	})
	if ended != nil {
		panic(ended)
	}
}

// TestAnyOrderOfEvents lets steps, deaths of guests, cuts of the link, new
// servers and restarts of the agent come in any order: then every step has one
// result, and the server believes what is true.
func TestAnyOrderOfEvents(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		inBubble(t, rt, func(t *rapid.T) {
			c := &cloud{
				epoch: 1, wanted: make(map[int]agentapi.Step), believed: make(map[int]agentapi.DomainState),
				answers: make(map[agentapi.StepID]agentapi.Result),
			}
			d, err := sim.New(sim.Config{})
			if err != nil {
				t.Fatal(err)
			}
			delay := rapid.SampledFrom([]time.Duration{0, 0, 10 * time.Millisecond, 300 * time.Millisecond})
			fails := rapid.SampledFrom([]bool{false, false, false, true})
			// Draws are made by the test's goroutine only; the hook reads this.
			var mu sync.Mutex
			var before, after time.Duration
			var fail bool
			d.SetBehaviour(sim.Behaviour{
				ShutdownTime: 50 * time.Millisecond,
				Before: func(ctx context.Context, op sim.Op, _ string) error {
					mu.Lock()
					wait, broken := before, fail
					mu.Unlock()
					sleep(ctx, wait)
					switch op {
					case sim.OpFacts, sim.OpShutdown, sim.OpState, sim.OpStats:
						return nil // State must tell the truth; a request that fails is repeated
					}
					if broken {
						return errors.New("broken")
					}
					return nil
				},
				After: func(ctx context.Context, _ sim.Op, _ string) error {
					mu.Lock()
					wait := after
					mu.Unlock()
					sleep(ctx, wait)
					return nil
				},
			})
			var stop func()
			run := func() {
				a, err := New(Config{HostName: "h", Driver: d, Connector: inproc.New(c, discard), ShutdownRepeat: time.Second})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan error)
				go func() { done <- a.Run(ctx) }()
				stop = func() { cancel(); <-done }
			}
			run()
			defer func() { stop() }()

			vmID := rapid.IntRange(0, 2)
			op := rapid.SampledFrom([]agentapi.Op{
				agentapi.OpPrepare, agentapi.OpStart, agentapi.OpStart, agentapi.OpShutdown, agentapi.OpDestroy,
				agentapi.OpReboot, agentapi.OpSave, agentapi.OpRestore, agentapi.OpCleanup, agentapi.OpContext,
			})
			attempt := 0
			t.Repeat(map[string]func(*rapid.T){
				"step": func(t *rapid.T) {
					id, o := vmID.Draw(t, "vm"), op.Draw(t, "op")
					if o == agentapi.OpPrepare {
						// A server prepares no machine that may have a domain.
						c.mu.Lock()
						_, waits := c.wanted[id]
						if was, ok := c.believed[id]; waits || ok && was != agentapi.DomainPoweroff {
							o = agentapi.OpDestroy
						}
						c.mu.Unlock()
					}
					attempt++
					c.want(vm(id, o, attempt))
				},
				"death": func(t *rapid.T) { _ = d.Kill(domain(vmID.Draw(t, "vm"))) },
				"suspend": func(t *rapid.T) {
					_ = d.SetState(domain(vmID.Draw(t, "vm")), rapid.SampledFrom([]agentapi.DomainState{
						agentapi.DomainSuspended, agentapi.DomainRunning}).Draw(t, "state"))
				},
				"cut": func(*rapid.T) {
					c.mu.Lock()
					down := c.down
					c.mu.Unlock()
					if down != nil {
						down.(agentapi.Closer).Close(errors.New("cut"))
					}
				},
				"resync":  func(*rapid.T) { d.Resync() },
				"restart": func(*rapid.T) { stop(); run() },
				"new server": func(*rapid.T) {
					c.mu.Lock()
					c.epoch++
					down := c.down
					c.mu.Unlock()
					if down != nil {
						down.(agentapi.Closer).Close(errors.New("the server is another one"))
					}
				},
				"time": func(t *rapid.T) { pass(delay.Draw(t, "pass")) },
				"weather": func(t *rapid.T) {
					mu.Lock()
					defer mu.Unlock()
					before, after, fail = delay.Draw(t, "before"), delay.Draw(t, "after"), fails.Draw(t, "fail")
				},
			})
			mu.Lock()
			before, after, fail = 0, 0, false
			mu.Unlock()
			pass(time.Minute)

			c.mu.Lock()
			defer c.mu.Unlock()
			for _, f := range c.faults {
				t.Error(f)
			}
			for id, s := range c.wanted {
				t.Errorf("VM %d still waits for %s", id, s.StepID)
			}
			for id, s := range c.believed {
				is, err := d.State(context.Background(), domain(id))
				if errors.Is(err, hypervisor.ErrNoDomain) {
					is = agentapi.DomainPoweroff
				}
				if is != s {
					t.Errorf("VM %d is believed %s and is %s", id, s, is)
				}
			}
		})
	})
}
