package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
)

func putSetting(name, value string) func(*Tx) error {
	return func(tx *Tx) error {
		tx.PutSetting(name, []byte(value))
		return nil
	}
}

// A transaction that is refused, for whatever reason, leaves no trace.
func TestRefusals(t *testing.T) {
	ctx := testContext(t)
	s := memoryStore(t, NewMemory(), "a")
	if err := s.Update(ctx, putSetting("kept", "1")); err != nil {
		t.Fatal(err)
	}
	before := s.View()
	declined := errors.New("no")
	var kept *Tx
	for what, c := range map[string]struct {
		fn    func(*Tx) error
		check func(error) bool
	}{
		"declined": {func(tx *Tx) error {
			kept = tx
			tx.PutSetting("kept", []byte("2"))
			tx.NextID("vm", 0)
			return declined
		}, func(err error) bool { return errors.Is(err, declined) }},
		"panic": {func(tx *Tx) error {
			tx.PutSetting("kept", []byte("3"))
			panic("oh")
		}, func(err error) bool {
			var p *PanicError
			return errors.As(err, &p) && p.Value == "oh" && bytes.Contains(p.Stack, []byte("update_test.go"))
		}},
		"too many bytes": {func(tx *Tx) error {
			tx.PutSetting("kept", make([]byte, maxTxBytes))
			return nil
		}, func(err error) bool {
			var l *TooLargeError
			return errors.As(err, &l) && l.Keys == 1 && l.Bytes > maxTxBytes
		}},
		"too many keys": {func(tx *Tx) error {
			for i := range maxTxKeys + 1 {
				tx.PutSetting(fmt.Sprint("k", i), nil)
			}
			return nil
		}, func(err error) bool {
			var l *TooLargeError
			return errors.As(err, &l) && l.Keys == maxTxKeys+1
		}},
		"not a name": {putSetting("\xff", ""), func(err error) bool {
			return err != nil && strings.Contains(err.Error(), "is not UTF-8")
		}},
		"too long a name": {putSetting(strings.Repeat("x", maxNameLen+1), ""), func(err error) bool {
			return err != nil && strings.Contains(err.Error(), "513 bytes, expected at most 512")
		}},
	} {
		if err := s.Update(ctx, c.fn); !c.check(err) {
			t.Errorf("%s: got %v", what, err)
		}
		if err := s.Update(ctx, func(tx *Tx) error {
			if v, _ := tx.Settings.Get("kept"); string(v) != "1" || tx.Settings.Len() != 1 {
				t.Errorf("%s: the next transaction sees it", what)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	kept.PutSetting("kept", []byte("4")) // a bug, that must do no harm
	sameState(t, "after all refusals", s.View(), before)
	if s.View() != before {
		t.Error("transactions that wrote nothing made a version")
	}
	if err := s.Update(ctx, func(tx *Tx) error {
		for i := range maxTxKeys {
			tx.PutSetting(fmt.Sprint("k", i), nil)
		}
		return nil
	}); err != nil {
		t.Errorf("a transaction of just so many keys: %v", err)
	}
}

// held makes commits wait for their turn.
type held struct{ commits, release chan struct{} }

func hold(m *Memory) held {
	h := held{make(chan struct{}, 100), make(chan struct{})}
	m.SetFaults(func(ctx context.Context) Fault {
		h.commits <- struct{}{}
		select {
		case <-h.release:
		case <-ctx.Done():
		}
		return FaultNone
	})
	return h
}

// While a batch is under way nothing of it is seen outside, the next transaction
// sees it, and whatever that answers waits, too.
func TestNothingUndurableLeaves(t *testing.T) {
	ctx := testContext(t)
	m := NewMemory()
	s := memoryStore(t, m, "a")
	h := hold(m)
	feed := s.Subscribe(s.View())
	type answer struct {
		what string
		err  error
	}
	answers := make(chan answer, 4)
	run := func(what string, fn func(*Tx) error) {
		ran := make(chan struct{})
		go func() {
			err := s.Update(ctx, func(tx *Tx) error {
				defer close(ran)
				return fn(tx)
			})
			answers <- answer{what, err}
		}()
		<-ran
	}
	exists := errors.New("exists")
	run("write", putSetting("x", "1"))
	<-h.commits
	sees := func(tx *Tx) {
		if _, ok := tx.Settings.Get("x"); !ok {
			t.Error("a transaction does not see the one before it")
		}
	}
	run("refusal", func(tx *Tx) error { sees(tx); return exists })
	run("read", func(tx *Tx) error { sees(tx); return nil })
	run("second write", putSetting("y", "1"))
	select {
	case a := <-answers:
		t.Fatalf("%s was answered before anything was durable: %v", a.what, a.err)
	default:
	}
	if s.View().Settings.Len() != 0 {
		t.Error("the view shows what is not durable")
	}
	h.release <- struct{}{}
	if a := <-answers; a.what != "write" || a.err != nil {
		t.Errorf("first answer: %+v", a)
	}
	if c, err := feed.Next(ctx); err != nil || c.State.Settings.Len() != 1 || s.View() != c.State {
		t.Errorf("feed: %+v, %v", c, err)
	}
	<-h.commits
	h.release <- struct{}{}
	got := map[string]error{}
	for range 3 {
		a := <-answers
		got[a.what] = a.err
	}
	if got["refusal"] != exists || got["read"] != nil || got["second write"] != nil {
		t.Errorf("answers: %v", got)
	}
}

// When a batch fails, what was built on it is refused, not retried.
func TestOutcomeUnknown(t *testing.T) {
	ctx := testContext(t)
	for _, fault := range []Fault{FaultLose, FaultTear} {
		m := NewMemory()
		s := memoryStore(t, m, "a")
		term, _ := s.Term()
		sent, gate := make(chan struct{}), make(chan struct{})
		m.SetFaults(func(context.Context) Fault {
			m.SetFaults(nil)
			close(sent)
			<-gate
			return fault
		})
		first, second := make(chan error), make(chan error)
		go func() { first <- s.Update(ctx, putSetting("x", "1")) }()
		<-sent
		ran := make(chan struct{})
		go func() {
			second <- s.Update(ctx, func(tx *Tx) error { close(ran); return putSetting("y", "1")(tx) })
		}()
		<-ran
		close(gate)
		var unknown *OutcomeError
		if err := <-first; !errors.As(err, &unknown) || errs.KindOf(err) != errs.Unavailable {
			t.Errorf("%v: first: got %v, expected an OutcomeError", fault, err)
		}
		var not *NotLeaderError
		if err := <-second; !errors.As(err, &not) || errs.KindOf(err) != errs.Unavailable {
			t.Errorf("%v: second: got %v, expected a NotLeaderError", fault, err)
		}
		if err := s.Update(ctx, putSetting("z", "1")); err != nil {
			t.Errorf("%v: in the next term: %v", fault, err)
		}
		if next, ok := s.Term(); !ok || next.Epoch <= term.Epoch {
			t.Errorf("%v: epoch %d follows %d", fault, next.Epoch, term.Epoch)
		}
		_, there := s.View().Settings.Get("x")
		if there != (fault == FaultTear) {
			t.Errorf("%v: the first write is there: %v", fault, there)
		}
		if _, ok := s.View().Settings.Get("y"); ok {
			t.Errorf("%v: the second write is there", fault)
		}
	}
}

// Batches are cut between transactions, and no larger than etcd takes.
func TestBatches(t *testing.T) {
	ctx := testContext(t)
	m := NewMemory()
	s := memoryStore(t, m, "a")
	h := hold(m)
	const writers, size = 40, 100 << 10
	var wg sync.WaitGroup
	started := make(chan struct{}, writers)
	for i := range writers {
		wg.Go(func() {
			err := s.Update(ctx, func(tx *Tx) error {
				defer func() { started <- struct{}{} }()
				tx.PutSetting(fmt.Sprint("a", i), make([]byte, size))
				tx.PutSetting(fmt.Sprint("b", i), make([]byte, 10))
				tx.NextID("hot", 0)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range writers {
		<-started
	}
	close(h.release)
	wg.Wait()
	if n, _ := s.View().Counters.Get("hot"); n != writers {
		t.Errorf("%d of %d writes are there", n, writers)
	}
	batches := 0
	for _, u := range m.history[1:] {
		bytes, keys := 0, map[string]bool{}
		for _, o := range u.ops {
			bytes += len(o.key) + len(o.val)
			if keys[o.key] {
				t.Errorf("revision %d writes %s twice", u.rev, o.key)
			}
			keys[o.key] = true
		}
		for i := range writers {
			if keys[fmt.Sprint("zone/setting/a", i)] != keys[fmt.Sprint("zone/setting/b", i)] {
				t.Errorf("revision %d cuts transaction %d in two", u.rev, i)
			}
		}
		if bytes > maxBatchBytes {
			t.Errorf("revision %d has %d bytes", u.rev, bytes)
		}
		batches++
	}
	if least := writers * size / maxBatchBytes; batches < least || batches > least+3 {
		t.Errorf("%d batches, expected about %d", batches, least)
	}
}

func TestUpdateOnce(t *testing.T) {
	ctx := testContext(t)
	now := time.Unix(1_000_000, 0)
	var mu sync.Mutex
	m := NewMemory()
	s, err := Open(ctx, Config{Memory: m, RequestRetention: 100 * time.Second, Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	runs := 0
	do := func(id string) string {
		t.Helper()
		out, err := s.UpdateOnce(ctx, id, func(tx *Tx) ([]byte, error) {
			runs++
			return fmt.Append(nil, tx.NextID("vm", 7)), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if a, b, c := do("r1"), do("r2"), do("r1"); a != "7" || b != "8" || c != "7" || runs != 2 {
		t.Errorf("got %s, %s, %s in %d runs; expected 7, 8, 7 in 2", a, b, c, runs)
	}
	if a, b := do(""), do(""); a != "9" || b != "10" {
		t.Errorf("without an id: got %s, %s; expected 9, 10", a, b)
	}
	no := errors.New("no")
	if _, err := s.UpdateOnce(ctx, "r3", func(*Tx) ([]byte, error) { return nil, no }); err != no {
		t.Errorf("a refusal: got %v", err)
	}
	if got := do("r3"); got != "11" {
		t.Errorf("after a refusal: got %s, expected 11", got)
	}
	if _, err := s.UpdateOnce(ctx, strings.Repeat("x", maxRequestID+1), nil); errs.KindOf(err) != errs.API {
		t.Errorf("too long an id: got %v", err)
	}

	if _, err := s.UpdateOnce(ctx, "\xff", nil); errs.KindOf(err) != errs.API {
		t.Errorf("an id that is not UTF-8: got %v", err)
	}

	// Old ones are forgotten; the sweep that a new term begins with is enough.
	mu.Lock()
	now = now.Add(50 * time.Second)
	mu.Unlock()
	do("young")
	mu.Lock()
	now = now.Add(51 * time.Second)
	mu.Unlock()
	newTerm(t, m, s)
	eventually(t, "old requests are swept", func() bool { return s.View().Requests.Len() == 1 })
	if _, ok := s.View().Requests.Get("young"); !ok {
		t.Error("a young request was swept")
	}
}

// newTerm ends a store's term, and waits for its next.
func newTerm(t *testing.T, m *Memory, s *Store) {
	t.Helper()
	old, _ := s.Term()
	m.Elect("nobody")
	eventually(t, "the term ends", func() bool { return !s.Leader() })
	m.Elect("")
	eventually(t, "the next term begins", func() bool { n, ok := s.Term(); return ok && n.Epoch > old.Epoch })
}

func TestFeedLag(t *testing.T) {
	ctx := testContext(t)
	s, err := Open(ctx, Config{Memory: NewMemory(), FeedCommits: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	slow, keeping, old := s.Subscribe(s.View()), s.Subscribe(s.View()), s.View()
	for i := range 30 {
		if err := s.Update(ctx, putSetting("x", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		c, err := keeping.Next(ctx)
		if err != nil || string(c.Changes[0].New.([]byte)) != fmt.Sprint(i) {
			t.Fatalf("a reader that keeps up: %+v, %v", c, err)
		}
	}
	for what, f := range map[string]*Feed{"slow": slow, "late": s.Subscribe(old), "from nothing": s.Subscribe(nil)} {
		_, err := f.Next(ctx)
		var missed *ResyncError
		if !errors.As(err, &missed) || missed.State != s.View() {
			t.Fatalf("%s reader: got %v, expected a ResyncError with the view", what, err)
		}
	}
	if err := s.Update(ctx, putSetting("x", "end")); err != nil {
		t.Fatal(err)
	}
	if c, err := slow.Next(ctx); err != nil || string(c.Changes[0].Old.([]byte)) != "29" {
		t.Errorf("after starting over: %+v, %v", c, err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := slow.Next(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("when its context ended: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Next(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("when the store is closed: %v", err)
	}
	if err := s.Update(ctx, putSetting("x", "")); !errors.Is(err, ErrClosed) {
		t.Errorf("update of a closed store: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

// A member whose history is gone loads anew and tells its feeds.
func TestCompactedAway(t *testing.T) {
	ctx := testContext(t)
	m := NewMemory()
	a, b := memoryStore(t, m, "a"), memoryStore(t, m, "b")
	feed := a.Subscribe(a.View())
	sent, release := make(chan struct{}), make(chan struct{})
	m.SetFaults(func(context.Context) Fault {
		m.SetFaults(nil)
		close(sent)
		<-release
		return FaultNone
	})
	stuck := make(chan error)
	go func() { stuck <- a.Update(ctx, putSetting("stuck", "")) }()
	<-sent // a now waits for its commit and watches nothing
	m.Elect("b")
	eventually(t, "b leads", b.Leader)
	for i := range 5 {
		if err := b.Update(ctx, putSetting("y", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.log.compact(ctx, b.View().Revision); err != nil {
		t.Fatal(err)
	}
	close(release)
	var not *NotLeaderError
	if err := <-stuck; !errors.As(err, &not) {
		t.Errorf("a commit after the next claim: got %v, expected a NotLeaderError", err)
	}
	_, err := feed.Next(ctx)
	var missed *ResyncError
	if !errors.As(err, &missed) {
		t.Fatalf("feed: got %v, expected a ResyncError", err)
	}
	sameState(t, "loaded anew", missed.State, b.View())
	if err := b.Update(ctx, putSetting("y", "end")); err != nil {
		t.Fatal(err)
	}
	if c, err := feed.Next(ctx); err != nil || string(c.Changes[0].Old.([]byte)) != "4" {
		t.Errorf("after loading anew: %+v, %v", c, err)
	}
}

func TestConsume(t *testing.T) {
	ctx, cancel := context.WithCancel(testContext(t))
	m := NewMemory()
	s, err := Open(ctx, Config{Memory: m, retry: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	emit := func(topic string, n int) {
		t.Helper()
		err := s.Update(ctx, func(tx *Tx) error {
			for i := range n {
				tx.Emit(topic, i, 0, topic)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	emit("log", 600)
	emit("audit", 2)
	var mu sync.Mutex
	var got []uint64
	fail := 2
	ended := make(chan error)
	go func() {
		ended <- s.Consume(ctx, "log", time.Millisecond, func(records []*OutboxRecord) error {
			mu.Lock()
			defer mu.Unlock()
			if len(got) > 200 && fail > 0 {
				fail--
				return errors.New("not now")
			}
			for _, r := range records {
				if r.Topic != "log" {
					t.Errorf("got a record of topic %q", r.Topic)
				}
				got = append(got, r.Seq)
			}
			return nil
		})
	}()
	left := func(topic string) int { return len(s.View().OutboxAfter(topic, 0, 1<<20)) }
	eventually(t, "the records are consumed", func() bool { return left("log") == 0 })
	newTerm(t, m, s)
	emit("log", 3)
	eventually(t, "the records of the next term are consumed", func() bool { return left("log") == 0 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("consume ended with %v", err)
	}
	if len(got) != 603 || !slices.IsSorted(got) || fail != 0 {
		t.Errorf("consumed %d records, in order %v, failures left %d; expected 603 in order", len(got), slices.IsSorted(got), fail)
	}
	if left("audit") != 2 {
		t.Errorf("%d records of another topic are left, expected 2", left("audit"))
	}
	if next := s.View().OutboxAfter("audit", 601, 1); len(next) != 1 || next[0].Seq != 602 {
		t.Errorf("after 601: %+v", next)
	}
}

func TestLead(t *testing.T) {
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	m := NewMemory()
	s := memoryStore(t, m, "a")
	terms := make(chan Term)
	ended := make(chan error)
	go func() {
		ended <- s.Lead(ctx, func(ctx context.Context, term Term) error {
			terms <- term
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	first := <-terms
	if st := s.View(); st.Revision < first.Revision {
		t.Errorf("the term began at %d, the view is at %d", first.Revision, st.Revision)
	}
	newTerm(t, m, s)
	if second := <-terms; second.Epoch <= first.Epoch {
		t.Errorf("epoch %d follows %d", second.Epoch, first.Epoch)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("lead ended with %v", err)
	}
	broken := errors.New("broken")
	if err := s.Lead(testContext(t), func(context.Context, Term) error { return broken }); err != broken {
		t.Errorf("an error within the term: got %v", err)
	}
}

// A leader that has been overtaken without knowing acknowledges nothing, not
// even that there is nothing to do.
func TestOvertaken(t *testing.T) {
	ctx := testContext(t)
	for what, fn := range map[string]func(*Tx) error{
		"write": putSetting("x", "1"), "read": func(*Tx) error { return nil },
		"refusal": func(*Tx) error { return errors.New("no") },
	} {
		m := NewMemory()
		s := memoryStore(t, m, "a")
		other := openMemory(m, "b")
		if _, err := other.claim(ctx, epochRecord{Name: "b"}, nil); err != nil {
			t.Fatal(err)
		}
		var not *NotLeaderError
		if err := s.Update(ctx, fn); !errors.As(err, &not) {
			t.Errorf("%s: got %v, expected a NotLeaderError", what, err)
		}
		if slices.Contains(storedKeys(m), "zone/setting/x") {
			t.Errorf("%s: an overtaken leader wrote", what)
		}
	}
}

// Tables that are seldom written do not keep old versions of the others alive.
func TestVersionsAreFreed(t *testing.T) {
	freed := make(chan struct{})
	st := &State{}
	for i := range 4 {
		tx := newTx(st)
		if i%2 == 0 {
			h := &one.Host{Name: strings.Repeat("x", i+1)}
			if i == 0 {
				runtime.AddCleanup(h, func(struct{}) { close(freed) }, struct{}{})
			}
			tx.PutHost(h)
		} else {
			tx.PutCluster(&one.Cluster{})
		}
		tx.changes = nil
		st = &tx.State
	}
	eventually(t, "the first version is freed", func() bool {
		runtime.GC()
		select {
		case <-freed:
			return true
		default:
			return false
		}
	})
	runtime.KeepAlive(st)
}
