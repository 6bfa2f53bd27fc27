package flow

import (
	"strconv"
	"testing"

	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
)

// The log keeps its bounds: of the original's messages always the last 50, and
// else the last 100 entries, whatever comes in between.
func TestLogBounds(t *testing.T) {
	st := storetest.New(t).Store
	s := &one.Service{ID: 7, Spec: []byte("{}")}
	message := 0
	add := func(lines ...reconcile.Line) {
		err := st.Update(t.Context(), func(tx *store.Tx) error {
			next := *s
			addLog(tx, &next, 1, lines...)
			tx.PutService(&next)
			s = &next
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	event := reconcile.Line{Severity: "I", Event: one.ServiceEvent{Type: one.EventVMsMade, Role: "a", Count: 1}}
	line := func() reconcile.Line {
		message++
		return reconcile.Line{Severity: "I", Message: strconv.Itoa(message), Event: one.ServiceEvent{Type: one.EventState}}
	}
	check := func(kept int) {
		t.Helper()
		n, last := 0, -1
		for e := range st.View().ServiceLog(7) {
			if e.Seq <= last {
				t.Fatalf("entry %d after %d", e.Seq, last)
			}
			last = e.Seq
			n++
		}
		if n != kept || last != s.LogSeq-1 {
			t.Errorf("%d entries are kept, the last is %d of %d; want %d", n, last, s.LogSeq, kept)
		}
		shown := messages(st.View(), 7)
		if want := min(message, maxLog); len(shown) != want {
			t.Fatalf("%d messages are shown, want %d", len(shown), want)
		}
		for i, e := range shown {
			if want := strconv.Itoa(message - len(shown) + 1 + i); e.Message != want {
				t.Errorf("message %s is shown, want %s", e.Message, want)
			}
		}
	}
	for range 60 {
		add(line(), event)
	}
	check(100)
	for range 100 {
		add(event)
	}
	check(150) // the messages stay behind the events
	for range 30 {
		add(line())
	}
	check(120)
	many := []reconcile.Line{line()}
	for range 500 {
		many = append(many, event)
	}
	before := s.LogSeq
	add(append(many, line())...)
	if s.LogSeq-before != maxEvents {
		t.Errorf("%d of %d entries were written that are dropped at once", s.LogSeq-before-maxEvents, len(many)+1)
	}
}
