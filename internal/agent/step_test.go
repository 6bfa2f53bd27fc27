package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/durable"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
)

// count returns a hook that counts the calls of one operation.
func count(op sim.Op, n *int) sim.Hook {
	return func(_ context.Context, o sim.Op, _ string) error {
		if o == op {
			*n++
		}
		return nil
	}
}

func TestShutdownRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s, d := &server{ack: true}, newSim(t, sim.Behaviour{ShutdownTime: -1, After: count(sim.OpShutdown, &asked)})
		_, stop := start(t, s, Config{Driver: d, ShutdownRepeat: 5 * time.Second})
		defer stop()
		s.one(t, vm(1, agentapi.OpStart, 0))
		s.run(t, vm(1, agentapi.OpShutdown, 0))
		pass(22 * time.Second)
		if rs := take[agentapi.Result](s); len(rs) > 0 || asked != 5 {
			t.Fatalf("after 22 s: asked %d times, results %v; want 5 and none", asked, rs)
		}
		// The guest listens now, and needs two seconds: the result comes with the
		// event, not with the next request.
		d.SetBehaviour(sim.Behaviour{ShutdownTime: 2 * time.Second, After: count(sim.OpShutdown, &asked)})
		pass(5 * time.Second)
		if rs := take[agentapi.Result](s); len(rs) != 1 || !rs[0].OK() || asked != 6 {
			t.Fatalf("after 27 s: asked %d times, results %+v; want 6 and a success", asked, rs)
		}
	})
}

func TestShutdownDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := &server{ack: true}, newSim(t, sim.Behaviour{ShutdownTime: -1})
		_, stop := start(t, s, Config{Driver: d})
		defer stop()
		s.one(t, vm(1, agentapi.OpStart, 0))
		st := vm(1, agentapi.OpShutdown, 0)
		st.Timeout = 60_000
		s.run(t, st)
		pass(59 * time.Second)
		if rs := take[agentapi.Result](s); len(rs) > 0 {
			t.Fatalf("results before the deadline: %+v", rs)
		}
		pass(2 * time.Second)
		rs := take[agentapi.Result](s)
		if len(rs) != 1 || rs[0].Error != "the guest did not power off: timed out after 1m0s" {
			t.Fatalf("results: %+v", rs)
		}
		if got := state(t, d, 1); got != agentapi.DomainRunning {
			t.Errorf("the domain is %s, want it to go on", got)
		}
	})
}

func TestNewerStepGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := &server{ack: true}, newSim(t, sim.Behaviour{ShutdownTime: -1})
		_, stop := start(t, s, Config{Driver: d})
		defer stop()
		s.one(t, vm(1, agentapi.OpStart, 0))
		shutdown, destroy := vm(1, agentapi.OpShutdown, 0), vm(1, agentapi.OpDestroy, 0)
		s.run(t, shutdown, destroy)
		rs := take[agentapi.Result](s)
		if len(rs) != 2 || rs[0].StepID != shutdown.StepID || rs[1].StepID != destroy.StepID {
			t.Fatalf("results: %+v, want shutdown's and destroy's", rs)
		}
		if rs[0].OK() || !strings.Contains(rs[0].Error, "given up in favour of destroy") || !rs[1].OK() {
			t.Errorf("results: %+v", rs)
		}
	})
}

// A step that gives way only slowly lets the newest step wait; what lies between
// is answered without having been tried.
func TestOnlyTheNewestStepWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &server{ack: true}
		d := newSim(t, sim.Behaviour{Before: func(_ context.Context, op sim.Op, _ string) error {
			if op == sim.OpReboot {
				<-release // does not listen to its context
			}
			return nil
		}})
		_, stop := start(t, s, Config{Driver: d})
		defer stop()
		s.one(t, vm(1, agentapi.OpStart, 0))
		slow, skipped, last := vm(1, agentapi.OpReboot, 0), vm(1, agentapi.OpShutdown, 0), vm(1, agentapi.OpDestroy, 0)
		s.run(t, slow, skipped, last, last)
		rs := take[agentapi.Result](s)
		if len(rs) != 1 || rs[0].StepID != skipped.StepID || rs[0].OK() {
			t.Fatalf("results while the first is busy: %+v", rs)
		}
		close(release)
		rs = take[agentapi.Result](s)
		if len(rs) != 2 || rs[0].StepID != slow.StepID || rs[1].StepID != last.StepID || !rs[1].OK() {
			t.Fatalf("results: %+v", rs)
		}
	})
}

// A request to reboot that comes late must not end the shutdown that came first.
func TestRequestsDoNotEndSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := &server{ack: true}, newSim(t, sim.Behaviour{ShutdownTime: -1})
		_, stop := start(t, s, Config{Driver: d})
		defer stop()
		s.one(t, vm(1, agentapi.OpStart, 0))
		s.run(t, vm(1, agentapi.OpShutdown, 0))
		for _, op := range []agentapi.Op{agentapi.OpReboot, agentapi.OpReset} {
			if r := s.one(t, vm(1, op, 0)); r.Error != "the machine is busy: shutdown" {
				t.Errorf("%s during a shutdown: %q", op, r.Error)
			}
		}
		// But one may come in the place of another.
		d.SetBehaviour(sim.Behaviour{Before: func(ctx context.Context, op sim.Op, dom string) error {
			if op == sim.OpReboot {
				return sim.Hang(ctx, op, dom)
			}
			return nil
		}})
		s.run(t, vm(1, agentapi.OpDestroy, 0))
		synctest.Wait()
		s.one(t, vm(1, agentapi.OpStart, 1))
		s.run(t, vm(1, agentapi.OpReboot, 1), vm(1, agentapi.OpReset, 1))
		rs := take[agentapi.Result](s)
		if len(rs) != 2 || rs[0].OK() || !rs[1].OK() {
			t.Errorf("reset after a reboot that hangs: %+v", rs)
		}
	})
}

func TestDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		starts := 0
		s, d := &server{}, newSim(t, sim.Behaviour{BootTime: time.Minute, Before: count(sim.OpStart, &starts)})
		a, stop := start(t, s, Config{Driver: d})
		defer stop()
		st := vm(1, agentapi.OpStart, 0)
		s.run(t, st, st, st)
		pass(2 * time.Minute)
		if rs := take[agentapi.Result](s); len(rs) != 1 || !rs[0].OK() || starts != 1 {
			t.Fatalf("%d starts, results %+v; want one of each", starts, rs)
		}
		// Not acknowledged: the result is repeated, the step is not.
		if r := s.one(t, st); !r.OK() || starts != 1 {
			t.Fatalf("%d starts, result %+v", starts, r)
		}
		if err := s.down.Ack(t.Context(), st.StepID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := len(a.results.all()); n != 0 {
			t.Errorf("%d results are kept after the acknowledgement", n)
		}
		// Forgotten: it is done again, to the same end.
		if r := s.one(t, st); !r.OK() || starts != 2 {
			t.Fatalf("%d starts, result %+v", starts, r)
		}
	})
}

func TestNewServerAdoptsStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		starts := 0
		s, d := &server{ack: true}, newSim(t, sim.Behaviour{BootTime: time.Minute, Before: count(sim.OpStart, &starts)})
		_, stop := start(t, s, Config{Driver: d})
		defer stop()
		old := vm(1, agentapi.OpStart, 0)
		old.Timeout = 70_000
		s.run(t, old)
		pass(30 * time.Second)
		again := vm(1, agentapi.OpStart, 0)
		again.Epoch, again.Timeout = 2, 40_000
		s.run(t, again)
		pass(31 * time.Second)
		rs := take[agentapi.Result](s)
		if len(rs) != 1 || rs[0].StepID != again.StepID || !rs[0].OK() || starts != 1 {
			t.Fatalf("%d starts, results %+v; want one, under the new epoch", starts, rs)
		}
		// Other work under the same name is not adopted.
		other := vm(1, agentapi.OpShutdown, 0)
		s.run(t, other)
		rs = take[agentapi.Result](s)
		if len(rs) != 0 {
			t.Fatalf("results: %+v: a stale epoch was served", rs)
		}
	})
}

func TestStaleEpochIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, d := &server{ack: true}, newSim(t, sim.Behaviour{})
		_, stop := start(t, s, Config{Driver: d, StateDir: dir})
		st := vm(1, agentapi.OpStart, 0)
		st.Epoch = 7
		if r := s.one(t, st); !r.OK() {
			t.Fatal(r.Error)
		}
		stop()

		_, stop = start(t, s, Config{Driver: d, StateDir: dir})
		defer stop()
		link := s.ctx
		take[any](s)
		stale := vm(1, agentapi.OpDestroy, 0)
		stale.Epoch = 6
		s.run(t, stale)
		synctest.Wait()
		var refusal *agentapi.StaleEpochError
		if err := context.Cause(link); !errors.As(err, &refusal) || *refusal != (agentapi.StaleEpochError{Seen: 7, Got: 6}) {
			t.Errorf("the link ended with %v, want the refusal", err)
		}
		if got := state(t, d, 1); got != agentapi.DomainRunning {
			t.Errorf("the domain is %s: the stale step was done", got)
		}
		pass(time.Minute)
		if s.linkCount() < 3 {
			t.Errorf("%d links, want another after the refusal", s.linkCount())
		}
		stale.Epoch = 7
		if r := s.one(t, stale); !r.OK() {
			t.Errorf("a step of the highest epoch: %s", r.Error)
		}
	})
}

func TestEpochFile(t *testing.T) {
	dir := t.TempDir()
	e, err := readEpoch(dir)
	if err != nil || e.seen != 0 {
		t.Fatalf("of an empty directory: %+v, %v", e, err)
	}
	for _, to := range []uint64{1, 1, 5} {
		if err := e.raise(to); err != nil {
			t.Fatal(err)
		}
	}
	if e, err = readEpoch(dir); err != nil || e.seen != 5 {
		t.Fatalf("read again: %+v, %v, want 5", e, err)
	}
	if err := durable.WriteFile(e.path, []byte("five")); err != nil {
		t.Fatal(err)
	}
	if _, err = readEpoch(dir); err == nil || !strings.Contains(err.Error(), e.path) {
		t.Errorf("of a damaged file: %v, want an error that names it", err)
	}
}

func TestResultIsRepeatedUntilAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := &server{}, newSim(t, sim.Behaviour{BootTime: time.Second})
		_, stop := start(t, s, Config{Driver: d})
		defer stop()
		done, offline := vm(1, agentapi.OpPrepare, 0), vm(2, agentapi.OpStart, 0)
		s.run(t, done, offline)
		synctest.Wait()
		s.refuseWith(errors.New("not now"))
		s.drop(errors.New("cut"))
		pass(time.Minute) // the second step ends without a link
		take[any](s)
		for round := range 3 {
			s.refuseWith(nil)
			if round > 0 {
				s.drop(errors.New("cut again"))
			}
			pass(time.Minute)
			told := take[any](s)
			var ids []agentapi.StepID
			syncAt, lastResult := 0, 0
			for i, m := range told {
				switch m := m.(type) {
				case agentapi.Result:
					ids, lastResult = append(ids, m.StepID), i
				case syncAll:
					syncAt = i
					if len(m) != 1 || m[0].VM != 2 || m[0].State != agentapi.DomainRunning {
						t.Errorf("round %d: all domains: %+v, want VM 2 running", round, m)
					}
				}
			}
			if want := []agentapi.StepID{done.StepID, offline.StepID}; !slices.Equal(ids, want) {
				t.Fatalf("round %d: results %v, want %v", round, ids, want)
			}
			if syncAt < lastResult {
				t.Errorf("round %d: the state of all domains came before a result", round)
			}
		}
		for _, id := range []agentapi.StepID{done.StepID, offline.StepID} {
			if err := s.down.Ack(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		s.drop(errors.New("cut after the acknowledgements"))
		pass(time.Minute)
		if rs := take[agentapi.Result](s); len(rs) != 0 {
			t.Errorf("results after their acknowledgement: %+v", rs)
		}
	})
}

func TestBadSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := &server{ack: true}, newSim(t, sim.Behaviour{})
		_, stop := start(t, s, Config{Driver: d})
		defer stop()
		noMachine := vm(1, agentapi.OpStart, 0)
		noMachine.Machine = nil
		noDomain := vm(2, agentapi.OpStart, 0)
		noDomain.Machine = &agentapi.Machine{ID: 2}
		unknownOp := vm(3, "dance", 0)
		unknownSubject := vm(4, agentapi.OpStart, 0)
		unknownSubject.Subject = "moon"
		noImage := agentapi.Step{StepID: agentapi.StepID{Epoch: 1, Subject: agentapi.SubjectImage}, Op: agentapi.OpImageCreate}
		imageOp := noImage
		imageOp.Image, imageOp.Op = &agentapi.ImageSpec{}, agentapi.OpStart
		for _, c := range []struct {
			step agentapi.Step
			want string
		}{
			{noMachine, "Machine with its Domain is expected"},
			{noDomain, "Machine with its Domain is expected"},
			{unknownOp, `operation "dance" on a VM is not known`},
			{unknownSubject, `subject "moon" is not known`},
			{noImage, "Image is expected"},
			{imageOp, `operation "start" on an image is not known`},
		} {
			if r := s.one(t, c.step); !strings.Contains(r.Error, c.want) {
				t.Errorf("%s: %q, want %q", c.step.StepID, r.Error, c.want)
			}
		}
	})
}
