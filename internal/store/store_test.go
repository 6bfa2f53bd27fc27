package store

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/one"
)

// deadline is how long a test waits for what must happen before it gives up.
const deadline = 30 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.After(deadline); !holds(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// faultsAfter loses every commit after the first n.
func faultsAfter(n int64) func(context.Context) Fault {
	var done atomic.Int64
	return func(context.Context) Fault {
		if done.Add(1) > n {
			return FaultLose
		}
		return FaultNone
	}
}

func TestReopen(t *testing.T) {
	ctx := testContext(t)
	cfg := Config{Dir: t.TempDir()}
	start := time.Now()
	s, err := Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("opened in", time.Since(start))
	first := s.View()
	feed := s.Subscribe(first)
	start = time.Now()
	for range 100 {
		err = s.Update(ctx, func(tx *Tx) error {
			tx.PutHost(&one.Host{ID: tx.NextID("host", 0), Name: "alpha"})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Log("100 updates in", time.Since(start))
	if h, ok := s.View().Hosts.Get(99); !ok || h.Name != "alpha" {
		t.Fatal(h, ok)
	}
	c, err := feed.Next(ctx)
	if err != nil || len(c.Changes) != 2 {
		t.Fatal(c, err)
	}
	if first.Hosts.Len() != 0 {
		t.Fatal("an old version changed")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	s, err = Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("opened in", time.Since(start))
	if h, ok := s.View().Hosts.Get(99); !ok || h.Name != "alpha" {
		t.Fatal(h, ok)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
