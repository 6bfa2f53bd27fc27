package agent

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/agentapi/inproc"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
)

// counter is a server that acknowledges results and counts them.
type counter struct {
	down  agentapi.Downlink
	ready chan struct{}
	once  sync.Once
	done  sync.WaitGroup
	bad   string
}

func (c *counter) Accept(_ context.Context, _ agentapi.Hello, _ int, down agentapi.Downlink) (agentapi.Uplink, error) {
	c.down = down
	return c, nil
}

func (c *counter) Facts(context.Context, agentapi.Facts) error { return nil }
func (c *counter) Event(context.Context, agentapi.Event) error { return nil }
func (c *counter) Sync(context.Context, []agentapi.Event) error {
	c.once.Do(func() { close(c.ready) })
	return nil
}

func (c *counter) Samples(context.Context, agentapi.HostSample, []agentapi.VMSample) error {
	return nil
}

func (c *counter) Result(ctx context.Context, r agentapi.Result) error {
	if !r.OK() {
		c.bad = r.Error
	}
	defer c.done.Done()
	return c.down.Ack(ctx, r.StepID)
}

// BenchmarkSteps measures steps through link, agent and sim: each of 10,000 VMs
// is prepared, started, shut down and cleaned up, again and again.
func BenchmarkSteps(b *testing.B) {
	d, err := sim.New(sim.Config{})
	if err != nil {
		b.Fatal(err)
	}
	c := &counter{ready: make(chan struct{})}
	a, err := New(Config{HostName: "h", Driver: d, Connector: inproc.New(c, discard)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	<-c.ready

	const vms = 10_000
	cycle := []agentapi.Op{agentapi.OpPrepare, agentapi.OpStart, agentapi.OpShutdown, agentapi.OpFinish}
	steps := make([][vms]agentapi.Step, len(cycle))
	for i, op := range cycle {
		for id := range vms {
			steps[i][id] = vm(id, op, 0)
			steps[i][id].Timeout = 60_000
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime(b)
	for sent := 0; sent < b.N; {
		for i := range cycle {
			n := min(vms, b.N-sent)
			c.done.Add(n)
			for id := range n {
				if err := c.down.Run(ctx, steps[i][id]); err != nil {
					b.Fatal(err)
				}
			}
			sent += n
			c.done.Wait()
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
	b.ReportMetric(float64(b.N)/(cpuTime(b)-cpu).Seconds(), "steps/cpu-s")
	b.StopTimer()
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	if c.bad != "" {
		b.Error(c.bad)
	}
}

// cpuTime is what this process has used, which tells more than the clock of a
// machine that others use too.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
