package agent

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
)

func TestSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := &server{ack: true}, newHost(t)
		_, stop := start(t, s, Config{Driver: h, Disks: h, Networks: h})
		defer stop()
		// The first samples come with the link.
		first := take[samples](s)
		if len(first) != 1 || first[0].host.Time == 0 || len(first[0].host.Datastores) != 1 {
			t.Fatalf("samples with the link: %+v, want one with the host and its datastores", first)
		}
		s.one(t, vm(4, agentapi.OpStart, 0))
		take[any](s)
		pass(10 * time.Minute)
		hosts, vms := 0, 0
		for _, m := range take[samples](s) {
			if m.host.Time != 0 {
				hosts++
			}
			for _, v := range m.vms {
				if v.VM != 4 || v.Data.Get("MEMORY") == "" {
					t.Errorf("sample of a VM: %+v", v)
				}
				vms++
			}
		}
		// The first tick is at a random time.
		if hosts < 4 || hosts > 6 || vms != 20 {
			t.Errorf("in 10 minutes %d samples of the host and %d of the VM, want about 5 and 20", hosts, vms)
		}
		// Without a link nothing is measured.
		s.refuseWith(errors.New("not now"))
		s.drop(errors.New("cut"))
		pass(5 * time.Minute)
		if m := take[samples](s); len(m) != 0 {
			t.Errorf("samples without a link: %+v", m)
		}
	})
}

// changing is a driver whose facts and failures a test sets.
type changing struct {
	*sim.Sim

	mu    sync.Mutex
	model string
	fail  error
}

func (c *changing) set(model string, fail error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.model, c.fail = model, fail
}

func (c *changing) Facts(ctx context.Context) (agentapi.Facts, error) {
	f, err := c.Sim.Facts(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	f.Template = f.Template.With("MODELNAME", c.model)
	return f, errors.Join(err, c.fail)
}

func TestFactsAreSentWhenTheyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{ack: true}
		d := &changing{Sim: newSim(t, sim.Behaviour{}), model: "one", fail: errors.New("libvirtd is not there")}
		_, stop := start(t, s, Config{Driver: d})
		defer stop()
		if s.linkCount() != 0 {
			t.Error("linked without facts")
		}
		d.set("one", nil)
		pass(time.Minute)
		models := func() (out []string) {
			for _, f := range take[agentapi.Facts](s) {
				out = append(out, f.Template.Get("MODELNAME"))
			}
			return out
		}
		if m := models(); len(m) != 1 || m[0] != "one" {
			t.Fatalf("facts with the link: %v", m)
		}
		pass(10 * time.Minute)
		if m := models(); len(m) != 0 {
			t.Fatalf("facts that did not change: %v", m)
		}
		d.set("two", nil)
		pass(10 * time.Minute)
		if m := models(); len(m) != 1 || m[0] != "two" {
			t.Errorf("facts after a change: %v", m)
		}
	})
}

func TestBackoff(t *testing.T) {
	const shortest, longest = 100 * time.Millisecond, 10 * time.Second
	for failures, most := range []time.Duration{
		100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
		1600 * time.Millisecond, 3200 * time.Millisecond, 6400 * time.Millisecond, longest, longest,
	} {
		for range 100 {
			if d := backoff(shortest, longest, failures); d < most/2 || d > most {
				t.Fatalf("after %d failures: %s, want between %s and %s", failures, d, most/2, most)
			}
		}
	}
	if d := backoff(shortest, longest, 1000); d > longest {
		t.Errorf("after 1000 failures: %s", d)
	}
}
