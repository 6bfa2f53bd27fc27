package flow

import (
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/one"
)

// However often guests push, their service is planned once in a policy's period:
// when it is over, by a timer, or by the first push after it.
func TestPushesAwaitTheirTime(t *testing.T) {
	f := restingServices(t, 1)
	now := time.Now()
	f.now = func() time.Time { return now }
	st := f.store.View()
	var svc *one.Service
	for _, svc = range st.Services.All() {
	}
	push := changes(st, "LOAD", "50")[0]
	tm := newTerm(f)
	defer tm.end()
	note := func(queued int, wake time.Time) {
		t.Helper()
		tm.note(st, push)
		tm.mu.Lock()
		defer tm.mu.Unlock()
		l := tm.all[svc.ID]
		if len(tm.queue) != queued {
			t.Fatalf("%d services are to be planned, want %d", len(tm.queue), queued)
		}
		if got := l.timer != nil; got == wake.IsZero() || got && !l.wake.Equal(wake) {
			t.Fatalf("timer %v at %v, want %v", got, l.wake, wake)
		}
	}
	tm.know(st, svc)
	note(1, time.Time{}) // never looked at
	planNext(t, tm)
	first := now
	for range 20 { // two seconds of pushes
		now = now.Add(100 * time.Millisecond)
		note(0, first.Add(10*time.Second))
	}
	now = first.Add(10 * time.Second)
	note(1, first.Add(10*time.Second))
	planNext(t, tm)
	if ev := tm.evals(svc.ID)[reconcile.Key{Role: "worker", Index: 0}]; !ev.At.Equal(now) || ev.Seen != 22 {
		t.Fatalf("after its period: looked at %v, having seen %d changes", ev.At, ev.Seen)
	}

	// What somebody plans at this moment may not know of the push.
	tm.mark(svc.ID)
	if _, ok := tm.take(); !ok {
		t.Fatal("nothing to take")
	}
	note(0, first.Add(10*time.Second))
	if l := tm.all[svc.ID]; !l.again {
		t.Error("a push during a plan is forgotten")
	}
	tm.done(svc.ID, time.Time{})
	planNext(t, tm)

	// A service that does not run looks at its policies when it does.
	warning := *svc
	warning.State = one.ServiceWarning
	tm.know(st, &warning)
	now = now.Add(time.Minute)
	note(0, time.Time{})
	tm.know(st, svc)
	note(1, time.Time{})
}

// Only services that wait for their networks are looked at when a network changes.
func TestNetworksWakeThoseThatWait(t *testing.T) {
	f := restingServices(t, 2)
	st := f.store.View()
	tm := newTerm(f)
	defer tm.end()
	waits := -1
	for _, s := range st.Services.All() {
		c := *s
		if waits < 0 {
			waits, c.State = s.ID, one.ServiceDeployingNets
		}
		tm.know(st, &c)
	}
	tm.noteNetwork()
	if len(tm.queue) != 1 || tm.queue[0] != waits {
		t.Fatalf("services %v are to be planned, want %d", tm.queue, waits)
	}
	planNext(t, tm)
	running, _ := st.Services.Get(waits)
	tm.know(st, running)
	if tm.noteNetwork(); len(tm.queue) != 0 {
		t.Errorf("services %v are to be planned, though none waits", tm.queue)
	}
}
