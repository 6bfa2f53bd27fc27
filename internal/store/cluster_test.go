package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// freeURL returns a URL on a port of loopback that was free a moment ago.
func freeURL(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// testCluster is an etcd cluster in this process, one store each.
type testCluster struct {
	t       testing.TB
	configs map[string]Config
	stores  map[string]*Store
}

func newCluster(t testing.TB, names ...string) *testCluster {
	c := &testCluster{t: t, configs: map[string]Config{}, stores: map[string]*Store{}}
	peers := map[string]string{}
	for _, name := range names {
		peers[name] = freeURL(t)
	}
	for _, name := range names {
		c.configs[name] = Config{
			Name: name, Dir: t.TempDir(), Tick: 20 * time.Millisecond, Advertise: "at " + name,
			Cluster: &Cluster{ListenPeer: peers[name], Members: peers},
		}
	}
	c.start(names...)
	t.Cleanup(func() {
		for name := range c.stores {
			c.stop(name)
		}
	})
	return c
}

func (c *testCluster) start(names ...string) {
	c.t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, name := range names {
		wg.Go(func() {
			s, err := Open(testContext(c.t), c.configs[name])
			if err != nil {
				c.t.Errorf("member %s: %v", name, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			c.stores[name] = s
		})
	}
	wg.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
}

func (c *testCluster) stop(name string) {
	if err := c.stores[name].Close(); err != nil {
		c.t.Errorf("member %s: %v", name, err)
	}
	delete(c.stores, name)
}

// kill ends a member's etcd as a crash would: without handing over.
func (c *testCluster) kill(name string) {
	s := c.stores[name]
	s.log.(*embedded).etcd.Server.HardStop()
	c.stop(name)
}

// leader waits until a member leads.
func (c *testCluster) leader() string {
	c.t.Helper()
	var found string
	eventually(c.t, "a member leads", func() bool {
		for name, s := range c.stores {
			if s.Leader() {
				found = name
				return true
			}
		}
		return false
	})
	return found
}

// A leader that is killed under load takes no acknowledged write with it; the
// next one leads with a higher epoch; all views agree in the end.
func TestFailover(t *testing.T) {
	ctx := testContext(t)
	c := newCluster(t, "a", "b", "c")
	first := c.leader()
	before, _ := c.stores[first].Term()

	stop := make(chan struct{})
	var mu sync.Mutex
	acked, maybe := map[string]bool{}, map[string]bool{}
	var writers sync.WaitGroup
	// Each writer is on a member of its own; the leader's die with it.
	for name, s := range c.stores {
		for w := range 4 {
			writers.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					key := fmt.Sprintf("%s/%d/%d", name, w, i)
					wait, cancel := context.WithTimeout(ctx, 5*time.Second)
					err := s.Update(wait, func(tx *Tx) error {
						tx.PutSetting(key, []byte(key))
						return nil
					})
					cancel()
					var not *NotLeaderError
					var unknown *OutcomeError
					mu.Lock()
					switch {
					case err == nil:
						acked[key] = true
					case errors.As(err, &unknown):
						maybe[key] = true
					case errors.Is(err, ErrClosed):
						mu.Unlock()
						return
					case errors.As(err, &not):
						if not.Leader != "" && not.Addr != "at "+not.Leader {
							t.Errorf("the leader %q takes writes at %q", not.Leader, not.Addr)
						}
						mu.Unlock()
						select { // until somebody else may lead
						case <-s.standing.Load().changed:
						case <-stop:
						case <-s.Done():
						}
						continue
					default:
						t.Errorf("write: %v", err)
					}
					mu.Unlock()
				}
			})
		}
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acked)
	}
	eventually(t, "there is load", func() bool { return count() > 300 })
	c.kill(first)
	second := c.leader()
	after, _ := c.stores[second].Term()
	if after.Epoch <= before.Epoch {
		t.Errorf("epoch %d follows %d", after.Epoch, before.Epoch)
	}
	had := count()
	eventually(t, "the next leader takes load", func() bool { return count() > had+300 })
	close(stop)
	writers.Wait()
	c.start(first)

	if err := c.stores[c.leader()].Update(ctx, func(tx *Tx) error { tx.PutSetting("end", nil); return nil }); err != nil {
		t.Fatal(err)
	}
	want := c.stores[c.leader()].View()
	for name, s := range c.stores {
		st, err := s.WaitRevision(ctx, want.Revision)
		if err != nil {
			t.Fatal(err)
		}
		sameState(t, name, st, want)
	}
	for key := range acked {
		if _, ok := want.Settings.Get(key); !ok {
			t.Errorf("%s was acknowledged and is lost", key)
		}
	}
	for key := range want.Settings.All() {
		if !acked[key] && !maybe[key] && key != "end" {
			t.Errorf("%s was refused and is there", key)
		}
	}
	t.Logf("%d acknowledged, %d unknown, epoch %d then %d", len(acked), len(maybe), before.Epoch, after.Epoch)
}

// A leader that closes hands over, and a follower never writes.
func TestHandOver(t *testing.T) {
	ctx := testContext(t)
	c := newCluster(t, "a", "b", "c")
	first := c.leader()
	for name, s := range c.stores {
		if name == first {
			continue
		}
		var not *NotLeaderError
		eventually(t, "a follower knows the leader", func() bool { n, _ := s.LeaderName(); return n == first })
		err := s.Update(ctx, func(*Tx) error { t.Error("a follower ran a transaction"); return nil })
		if !errors.As(err, &not) || not.Leader != first {
			t.Errorf("update on a follower: got %v, expected a NotLeaderError naming %s", err, first)
		}
	}
	c.stop(first)
	next := c.leader()
	if err := c.stores[next].Update(ctx, func(tx *Tx) error { tx.PutSetting("x", nil); return nil }); err != nil {
		t.Error(err)
	}
}

// externalEtcd runs an etcd as somebody else would.
func externalEtcd(t testing.TB, maxOps uint) string {
	ec, err := embedConfig(Config{Name: "etcd", Dir: t.TempDir(), Tick: 10 * time.Millisecond, Quota: 1 << 30, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	ec.MaxTxnOps = maxOps
	client := freeURL(t)
	if err := clientAt(ec, client); err != nil {
		t.Fatal(err)
	}
	e, err := embed.StartEtcd(ec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	<-e.Server.ReadyNotify()
	return client
}

func TestExternal(t *testing.T) {
	ctx := testContext(t)
	cfg := Config{Name: "a", External: &External{Endpoints: []string{externalEtcd(t, maxTxnOps)}, Prefix: "cloud1/", TTL: time.Second}}
	open := func(cfg Config) *Store {
		s, err := Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	a := open(cfg)
	if err := a.Update(ctx, putEverything); err != nil {
		t.Fatal(err)
	}
	cfg.Name = "b"
	b := open(cfg)
	sameState(t, "second member", b.View(), a.View())

	// Another cloud in the same etcd sees nothing of it.
	other := cfg
	x := *cfg.External
	x.Prefix, other.External = "cloud2/", &x
	if n := open(other).View().Hosts.Len(); n != 0 {
		t.Errorf("another cloud has %d hosts", n)
	}

	term, _ := a.Term()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second member leads", b.Leader)
	if next, _ := b.Term(); next.Epoch <= term.Epoch {
		t.Errorf("epoch %d follows %d", next.Epoch, term.Epoch)
	}
	if err := b.Update(ctx, func(tx *Tx) error { tx.PutSetting("x", nil); return nil }); err != nil {
		t.Fatal(err)
	}
	// A process that died without a word does not make its successor wait.
	b.cancel()
	b.wg.Wait()
	b.log.(*external).session.Orphan()
	b2 := open(cfg)
	if err := b2.Update(ctx, func(tx *Tx) error { tx.PutSetting("y", nil); return nil }); err != nil {
		t.Fatal(err)
	}
	if st := b2.View(); st.Settings.Len() != 3 {
		t.Errorf("%d settings, expected 3", st.Settings.Len())
	}
}

func TestExternalTooSmall(t *testing.T) {
	_, err := Open(testContext(t), Config{External: &External{Endpoints: []string{externalEtcd(t, 128)}}})
	if err == nil {
		t.Fatal("a store opened on an etcd that refuses its batches")
	}
	t.Log(err)
}
