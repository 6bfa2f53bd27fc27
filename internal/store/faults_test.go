package store

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

var (
	faultRounds = flag.Int("faults.rounds", 10_000, "rounds of TestFaults")
	faultSeed   = flag.Uint64("faults.seed", 0, "seed of TestFaults; random if 0")
)

const roundsPerLog = 250

// TestFaults has three members write at random while commits are lost, torn and
// delayed, leaders are deposed and members killed, and proves after each stretch:
// what was acknowledged is there, what was refused is not, transactions are all
// or nothing and happened one after another, no view ever showed what was not
// durable, and what the feeds said adds up to the state.
func TestFaults(t *testing.T) {
	rounds := *faultRounds
	if testing.Short() {
		rounds = min(rounds, 1000)
	}
	seed := *faultSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-faults.rounds=%d -faults.seed=%d", rounds, seed)
	var total outcomes
	for i := 0; i*roundsPerLog < rounds; i++ {
		w := newFaultWorld(t, rand.New(rand.NewPCG(seed, uint64(i))))
		for range roundsPerLog / 10 {
			for range 10 {
				w.round()
			}
			w.settle()
		}
		w.close()
		total.add(w.outcomes)
	}
	t.Logf("%+v", total)
	if total.acked == 0 || total.unknown == 0 || total.refused == 0 || total.torn == 0 || total.terms < 3 {
		t.Errorf("the faults did not reach everything: %+v", total)
	}
}

// outcomes counts what happened to writes.
type outcomes struct{ acked, unknown, refused, declined, torn, terms int }

func (o *outcomes) add(p outcomes) {
	o.acked += p.acked
	o.unknown += p.unknown
	o.refused += p.refused
	o.declined += p.declined
	o.torn += p.torn
	o.terms += p.terms
}

type faultWorld struct {
	outcomes
	t       *testing.T
	log     *Memory
	members map[string]*member
	writes  int
	fates   map[string]error // by write: nil acknowledged

	mu  sync.Mutex // the generator is used by the fault hook, too
	rng *rand.Rand
}

// member is a store under test with what its feed says.
type member struct {
	*Store
	feed  *Feed
	model map[string]string // settings as the feed's changes make them
	seen  int64             // revision of the last commit of the feed
}

var errDeclined = errors.New("declined by the function")

func newFaultWorld(t *testing.T, rng *rand.Rand) *faultWorld {
	w := &faultWorld{t: t, log: NewMemory(), members: map[string]*member{}, fates: map[string]error{}, rng: rng}
	for _, name := range []string{"a", "b", "c"} {
		w.members[name] = w.start(name)
	}
	return w
}

func (w *faultWorld) roll(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

func (w *faultWorld) start(name string) *member {
	s, err := Open(w.t.Context(), Config{Memory: w.log, Name: name, CommitTimeout: time.Second, retry: time.Millisecond})
	if err != nil {
		w.t.Fatal(err)
	}
	m := &member{Store: s, feed: s.Subscribe(nil)}
	var first *ResyncError
	if _, err := m.feed.Next(w.t.Context()); !errors.As(err, &first) {
		w.t.Fatalf("a feed from nothing: got %v, expected a ResyncError", err)
	}
	m.model, m.seen = settings(first.State), first.State.Revision
	return m
}

func (w *faultWorld) faults(context.Context) Fault {
	switch p := w.roll(100); {
	case p < 4:
		return FaultLose
	case p < 8:
		return FaultTear
	case p < 12:
		return FaultDelay
	}
	return FaultNone
}

// round is a handful of concurrent writes and perhaps a misfortune.
func (w *faultWorld) round() {
	w.log.SetFaults(w.faults)
	names := []string{"a", "b", "c"}
	var wg sync.WaitGroup
	for range 1 + w.roll(4) {
		w.writes++
		id := fmt.Sprintf("w%d", w.writes)
		m, seed := w.members[names[w.roll(3)]], w.roll(1<<30)
		wg.Go(func() { w.write(m, id, seed) })
	}
	switch p := w.roll(100); {
	case p < 6:
		w.log.Elect(names[w.roll(3)])
	case p < 12:
		w.log.Deliver()
	case p < 14:
		w.kill(names[w.roll(3)], &wg)
	}
	wg.Wait()
}

// write makes two settings that belong together and counts itself.
func (w *faultWorld) write(m *member, id string, seed int) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 50*time.Millisecond)
	defer cancel()
	err := m.Update(ctx, func(tx *Tx) error {
		tx.PutSetting("first/"+id, fmt.Append(nil, tx.NextID("writes", 0)))
		if seed%11 == 0 {
			return errDeclined
		}
		tx.PutSetting("second/"+id, []byte(id))
		shuffle(tx, rand.New(rand.NewPCG(uint64(seed), 0)))
		if seed%13 == 0 {
			tx.PutSetting("first/w0", nil)
		}
		return nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fates[id] = err
}

// shuffle changes some objects of the kinds with the most to keep in step.
func shuffle(tx *Tx, rng *rand.Rand) {
	id := rng.IntN(6)
	switch rng.IntN(6) {
	case 0:
		tx.DeleteVM(id)
	case 1:
		tx.PutHost(&one.Host{ID: id, Name: fmt.Sprintf("h%d-%d", id, rng.IntN(3)), ClusterID: rng.IntN(2)})
	case 2:
		tx.PutLease(&one.Lease{Net: 1, AR: 0, Index: uint32(rng.IntN(9)), Owner: one.LeaseVM, OwnerID: id})
	case 3:
		tx.DeleteLease(one.MakeLeaseKey(1, 0, uint32(rng.IntN(9))))
	default:
		vm, ok := tx.VM(id)
		if !ok {
			vm = &one.VM{VMCore: one.VMCore{Meta: one.Meta{ID: id, UID: rng.IntN(2)}, State: one.VMPending, ServiceID: rng.IntN(3) - 1, VRouterID: -1,
				Template: tmpl.New(tmpl.Single("CPU", "0.1"), tmpl.Single("MEMORY", "64"), tmpl.Vec("DISK", "IMAGE_ID", fmt.Sprint(id)))}}
		}
		switch rng.IntN(4) {
		case 0:
			vm = vm.WithNewRecord(one.History{HID: rng.IntN(6)})
		case 1:
			vm = vm.WithUserTemplate(tmpl.New(tmpl.Single("LOAD", fmt.Sprint(rng.IntN(9)))))
		case 2:
			vm = vm.WithState(one.VMActive, one.LCMState(rng.IntN(4)), 1)
		case 3:
			vm = vm.WithState([]one.VMState{one.VMDone, one.VMPoweroff, one.VMStopped}[rng.IntN(3)], 0, 2)
		}
		tx.PutVM(vm)
	}
}

// kill ends a member without letting it finish, and starts it again.
func (w *faultWorld) kill(name string, writes *sync.WaitGroup) {
	m := w.members[name]
	m.log.(*memoryLog).cutOff()
	if err := m.Close(); err != nil {
		w.t.Error(err)
	}
	writes.Wait()
	w.terms += int(m.Stats().Terms)
	w.members[name] = w.start(name)
}

// settle lets everything come to rest and checks it.
func (w *faultWorld) settle() {
	w.log.SetFaults(nil)
	w.log.Deliver()
	w.log.Elect("")
	w.log.mu.Lock()
	rev := w.log.rev
	data := maps.Clone(w.log.data)
	w.log.mu.Unlock()
	ctx := testContext(w.t)
	for _, m := range w.members {
		if _, err := m.WaitRevision(ctx, rev); err != nil {
			w.t.Fatalf("a member does not catch up: %v", err)
		}
		w.checkFeed(m)
	}
	truth, err := truthOf(data)
	if err != nil {
		w.t.Fatal(err)
	}
	for name, m := range w.members {
		st := m.View()
		if st.Revision != rev { // a claim came after; it writes nothing
			w.log.mu.Lock()
			for _, u := range w.log.history[rev-1:] {
				if len(u.ops) != 1 || u.ops[0].key != keyEpoch {
					w.t.Errorf("revision %d came from nowhere: %v", u.rev, u.ops)
				}
			}
			w.log.mu.Unlock()
		}
		sameState(w.t, "member "+name, st, truth)
	}
	w.checkFates(truth)
}

// truthOf loads the state from what is durable, as a fresh process would.
func truthOf(data map[string]string) (*State, error) {
	cs := newCodecs()
	var all []decoded
	for k, v := range data {
		if isState(k) {
			d, err := cs.decode(k, []byte(v))
			if err != nil {
				return nil, err
			}
			all = append(all, d)
		}
	}
	tx := newTx(&State{})
	err := cs.apply(tx, all)
	return &tx.State, err
}

// checkFates compares what the writers were told with what is durable.
func (w *faultWorld) checkFates(truth *State) {
	counted := map[string]string{}
	for id, err := range w.fates {
		first, one := truth.Settings.Get("first/" + id)
		_, two := truth.Settings.Get("second/" + id)
		var unknown *OutcomeError
		var refused *NotLeaderError
		switch {
		case one != two:
			w.t.Errorf("%s: half of it is there", id)
		case err == nil && !one:
			w.t.Errorf("%s was acknowledged and is not there", id)
		case errors.As(err, &unknown) && one:
			w.torn++
		case errors.As(err, &unknown):
			w.unknown++
		case errors.Is(err, errDeclined) && !one:
			w.declined++
		case errors.As(err, &refused) && !one, errors.Is(err, context.DeadlineExceeded) && !one, errors.Is(err, ErrClosed) && !one:
			w.refused++
		case err != nil:
			w.t.Errorf("%s failed with %v; it is there: %v", id, err, one)
		default:
			w.acked++
		}
		if one {
			if other, ok := counted[string(first)]; ok {
				w.t.Errorf("%s and %s counted the same: they did not happen one after the other", id, other)
			}
			counted[string(first)] = id
		}
	}
	if n, _ := truth.Counters.Get("writes"); n != len(counted) {
		w.t.Errorf("%d writes are there, they counted %d", len(counted), n)
	}
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// checkFeed reads what a member's feed has: every commit must be a durable
// revision and change exactly what that changed.
func (w *faultWorld) checkFeed(m *member) {
	only, cancel := context.WithCancel(w.t.Context())
	cancel() // Next does not wait for more
	for {
		c, err := m.feed.Next(only)
		if errors.Is(err, context.Canceled) {
			return
		}
		if err != nil {
			w.t.Fatalf("feed: %v", err)
		}
		w.log.mu.Lock()
		u := w.log.history[c.State.Revision-w.log.gone-1]
		w.log.mu.Unlock()
		if u.rev != c.State.Revision || u.rev <= m.seen {
			w.t.Fatalf("feed: revision %d after %d, the log has %d", c.State.Revision, m.seen, u.rev)
		}
		m.seen = u.rev
		for _, ch := range c.Changes {
			if ch.Kind != KindSetting {
				continue
			}
			old, had := m.model[ch.Name]
			if had != (ch.Old != nil) || had && old != string(ch.Old.([]byte)) {
				w.t.Fatalf("feed: change of %q from %q, it was %q", ch.Name, ch.Old, old)
			}
			m.model[ch.Name] = string(ch.New.([]byte))
		}
		if want := settings(c.State); !maps.Equal(m.model, want) {
			w.t.Fatalf("feed: changes up to revision %d do not add up to the state", m.seen)
		}
		w.checkKeys(u, c)
	}
}

// checkKeys compares a commit's changes with the keys of its revision.
func (w *faultWorld) checkKeys(u update, c Commit) {
	keys := map[slot]bool{}
	for _, o := range u.ops {
		if !isState(o.key) {
			continue
		}
		s, err := parseKey(o.key)
		if err != nil {
			w.t.Fatal(err)
		}
		switch s.kind {
		case kindVMUser:
			s.kind = KindVM
		case kindVMHistory:
			s = slot{kind: KindVM, id: s.id >> 32}
		}
		keys[s] = true
	}
	for i := range c.Changes {
		ch := &c.Changes[i]
		if !keys[slotOf(ch)] {
			w.t.Fatalf("feed: revision %d did not write %s", u.rev, slotOf(ch).key())
		}
		delete(keys, slotOf(ch))
		if now := newCodecs().stored(c.State, slotOf(ch)); (now == nil) != (ch.New == nil) {
			w.t.Fatalf("feed: %s: the change says %v, the state %v", slotOf(ch).key(), ch.New, now)
		}
	}
	for s := range keys {
		if newCodecs().stored(c.State, s) != nil {
			w.t.Fatalf("feed: revision %d wrote %s and the commit does not say so", u.rev, s.key())
		}
	}
}

func settings(st *State) map[string]string {
	out := map[string]string{}
	for k, v := range st.Settings.All() {
		out[k] = string(v)
	}
	return out
}

func (w *faultWorld) close() {
	for _, m := range w.members {
		if err := m.Close(); err != nil {
			w.t.Error(err)
		}
		w.terms += int(m.Stats().Terms)
	}
}
