package agent

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
)

func event(id int, s agentapi.DomainState) agentapi.Event {
	return agentapi.Event{VM: id, Domain: domain(id), DeployID: domain(id), State: s}
}

func wantEvents(t *testing.T, s *server, want ...agentapi.Event) {
	t.Helper()
	if got := take[agentapi.Event](s); !slices.Equal(got, want) {
		t.Errorf("events %+v, want %+v", got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDomainsThatChangeByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := &server{ack: true}, newSim(t, sim.Behaviour{})
		_, stop := start(t, s, Config{Driver: d})
		defer stop()
		for id := range 3 {
			s.one(t, vm(id, agentapi.OpStart, 0))
		}
		must(t, d.SetState(domain(0), agentapi.DomainSuspended))
		wantEvents(t, s, event(0, agentapi.DomainSuspended))
		must(t, d.SetState(domain(0), agentapi.DomainRunning))
		wantEvents(t, s, event(0, agentapi.DomainRunning))
		must(t, d.Kill(domain(1)))
		wantEvents(t, s, event(1, agentapi.DomainPoweroff))
		must(t, d.AddWild("stranger"))
		wantEvents(t, s, agentapi.Event{VM: -1, Domain: "stranger", DeployID: "stranger", State: agentapi.DomainRunning})
		// What was started again after it died is news again when it dies.
		s.one(t, vm(1, agentapi.OpStart, 1))
		must(t, d.Kill(domain(1)))
		wantEvents(t, s, event(1, agentapi.DomainPoweroff))
	})
}

// A domain that dies between the end of its start and the result must not be
// taken to run for ever.
func TestDeathDuringStepIsToldAfterResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{ack: true}
		var d *sim.Sim
		d = newSim(t, sim.Behaviour{After: func(_ context.Context, op sim.Op, dom string) error {
			if op == sim.OpStart {
				return d.Kill(dom)
			}
			return nil
		}})
		_, stop := start(t, s, Config{Driver: d})
		defer stop()
		s.run(t, vm(1, agentapi.OpStart, 0))
		told := take[any](s)
		if len(told) < 2 {
			t.Fatalf("told %+v", told)
		}
		last := told[len(told)-2:]
		if r, ok := last[0].(agentapi.Result); !ok || !r.OK() {
			t.Errorf("told %+v, want the result first", last)
		}
		if last[1] != any(event(1, agentapi.DomainPoweroff)) {
			t.Errorf("told %+v, want the death second", last)
		}
	})
}

func TestResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := &server{ack: true}, newSim(t, sim.Behaviour{})
		_, stop := start(t, s, Config{Driver: d})
		defer stop()
		s.one(t, vm(1, agentapi.OpStart, 0))
		take[any](s)
		d.Resync()
		all := take[syncAll](s)
		if len(all) != 1 || !slices.Equal(all[0], syncAll{event(1, agentapi.DomainRunning)}) {
			t.Errorf("all domains: %+v", all)
		}
	})
}

// While the list is read, a step ends: its result must come after the list,
// which does not know of it yet.
func TestStepEndsWhileListIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{ack: true}
		listing, release := make(chan struct{}, 1), make(chan struct{})
		d := newSim(t, sim.Behaviour{})
		_, stop := start(t, s, Config{Driver: d})
		defer stop()
		take[any](s)
		d.SetBehaviour(sim.Behaviour{After: func(_ context.Context, op sim.Op, _ string) error {
			if op == sim.OpList {
				listing <- struct{}{}
				<-release
			}
			return nil
		}})
		d.Resync()
		<-listing
		s.run(t, vm(1, agentapi.OpStart, 0))
		synctest.Wait()
		if got := state(t, d, 1); got != agentapi.DomainRunning {
			t.Fatalf("the domain is %s", got)
		}
		close(release)
		told := take[any](s)
		if len(told) != 2 {
			t.Fatalf("told %+v, want the list and the result", told)
		}
		if all, ok := told[0].(syncAll); !ok || len(all) != 0 {
			t.Errorf("told %+v first, want the list of before", told[0])
		}
		if r, ok := told[1].(agentapi.Result); !ok || !r.OK() {
			t.Errorf("told %+v second, want the result", told[1])
		}
	})
}

func TestRestartWithGuests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := &server{ack: true}, newSim(t, sim.Behaviour{})
		cfg := Config{Driver: d, StateDir: t.TempDir()}
		_, stop := start(t, s, cfg)
		for id := range 3 {
			s.one(t, vm(id, agentapi.OpStart, 0))
		}
		stop()
		must(t, d.Kill(domain(1)))
		take[any](s)

		_, stop = start(t, s, cfg)
		defer stop()
		all := take[syncAll](s)
		if len(all) != 1 || len(all[0]) != 2 || all[0][0].VM == 1 || all[0][1].VM == 1 {
			t.Fatalf("all domains after the restart: %+v, want VMs 0 and 2", all)
		}
		// Guests of before are watched and may be worked on.
		must(t, d.Kill(domain(0)))
		wantEvents(t, s, event(0, agentapi.DomainPoweroff))
		if r := s.one(t, vm(2, agentapi.OpShutdown, 0)); !r.OK() {
			t.Error(r.Error)
		}
	})
}

// late is a driver whose events are those a test sends.
type late struct {
	*sim.Sim
	events chan hypervisor.Event
	fail   error // of the first Events
}

func (l *late) Events(ctx context.Context) (<-chan hypervisor.Event, error) {
	if err := l.fail; err != nil {
		l.fail = nil
		return nil, err
	}
	out := make(chan hypervisor.Event)
	go func() {
		defer close(out)
		for {
			select {
			case e, ok := <-l.events:
				if !ok {
					return
				}
				out <- e
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

func TestEventsThatComeLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{ack: true}
		d := &late{Sim: newSim(t, sim.Behaviour{}), events: make(chan hypervisor.Event)}
		_, stop := start(t, s, Config{Driver: d})
		defer stop()
		send := func(e agentapi.Event) { d.events <- hypervisor.Event{Event: e} }

		s.one(t, vm(1, agentapi.OpStart, 0))
		send(event(1, agentapi.DomainRunning))
		wantEvents(t, s) // the result has told it
		s.one(t, vm(1, agentapi.OpDestroy, 0))
		s.one(t, vm(1, agentapi.OpStart, 1))
		send(event(1, agentapi.DomainPoweroff))
		wantEvents(t, s) // it is up again since
		must(t, d.Kill(domain(1)))
		send(event(1, agentapi.DomainPoweroff))
		wantEvents(t, s, event(1, agentapi.DomainPoweroff))
		send(event(1, agentapi.DomainRunning))
		wantEvents(t, s) // it is gone since
		send(event(1, agentapi.DomainFailure))
		wantEvents(t, s, event(1, agentapi.DomainFailure))
	})
}

func TestEventsAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{ack: true}
		d := &late{Sim: newSim(t, sim.Behaviour{}), events: make(chan hypervisor.Event), fail: errors.New("no events yet")}
		_, stop := start(t, s, Config{Driver: d})
		defer stop()
		pass(time.Minute)
		take[any](s)
		must(t, d.AddWild("one-5"))
		old := d.events
		d.events = make(chan hypervisor.Event)
		close(old) // the driver lost its connection
		pass(time.Minute)
		all := take[syncAll](s)
		if len(all) != 1 || len(all[0]) != 1 || all[0][0].VM != 5 {
			t.Errorf("all domains after events were lost: %+v, want VM 5", all)
		}
	})
}

func TestListFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{ack: true}
		fails := 3
		d := newSim(t, sim.Behaviour{Before: func(_ context.Context, op sim.Op, _ string) error {
			if op == sim.OpList && fails > 0 {
				fails--
				return errors.New("libvirtd is not there")
			}
			return nil
		}})
		_, stop := start(t, s, Config{Driver: d})
		defer stop()
		pass(time.Minute)
		if all := take[syncAll](s); len(all) != 1 || s.linkCount() != 4 {
			t.Errorf("%d links, told of all domains %d times; want 4 and once", s.linkCount(), len(all))
		}
	})
}
