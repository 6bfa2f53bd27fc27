// Package storetest gives tests of other packages a store in memory: the same
// semantics as with etcd, in microseconds, and crashes at will.
package storetest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/store"
)

// Deadline bounds what the helpers wait for.
const Deadline = 30 * time.Second

// Store is a store in memory that leads. Its embedded *store.Store is replaced
// by Crash.
type Store struct {
	*store.Store
	// Log is where it keeps what is durable; see its SetFaults.
	Log *store.Memory
	cfg store.Config
	t   testing.TB
}

// New opens an empty store and closes it when the test ends.
func New(t testing.TB) *Store {
	t.Helper()
	return Open(t, store.Config{Memory: store.NewMemory()})
}

// Open is New with a configuration; its Memory is made if it has none.
func Open(t testing.TB, cfg store.Config) *Store {
	t.Helper()
	if cfg.Memory == nil {
		cfg.Memory = store.NewMemory()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	s := &Store{Log: cfg.Memory, cfg: cfg, t: t}
	s.open()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return s
}

func (s *Store) open() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Deadline)
	defer cancel()
	var err error
	if s.Store, err = store.Open(ctx, s.cfg); err != nil {
		s.t.Fatalf("open the store: %v", err)
	}
}

// Crash loses everything that is not durable and opens the store again, as if
// the process had been killed. Commits that a fault holds back are lost.
func (s *Store) Crash() {
	s.t.Helper()
	s.Log.Cut()
	if err := s.Close(); err != nil {
		s.t.Fatalf("close the store: %v", err)
	}
	s.Log.SetFaults(nil)
	s.open()
}

// Do runs a transaction that must succeed.
func (s *Store) Do(fn func(tx *store.Tx)) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Deadline)
	defer cancel()
	err := s.Update(ctx, func(tx *store.Tx) error {
		fn(tx)
		return nil
	})
	if err != nil {
		s.t.Fatalf("update: %v", err)
	}
}
