// Package store keeps the cloud's state: typed tables in memory, made durable in
// an embedded (or external) etcd. One member leads and is the only writer: a
// transaction is a Go function over the state, run one after another in memory
// and made durable in batches. See DESIGN.md for the promises and how they hold.
//
// Imported by cloud and the controllers; never by a face.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
)

// Store is a member's copy of the state, and, while it leads, the way to change it.
type Store struct {
	cfg    Config
	codecs *codecs
	log    commitLog
	logger *slog.Logger
	stats  *stats

	view     atomic.Pointer[State]
	hist     history // only the run goroutine appends
	standing atomic.Pointer[standing]
	format   format     // as stored; only the run goroutine
	outdated chan int64 // the revision before which history may go
	stretch  stretch    // of history that is being written

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	close  sync.Once
	closed chan struct{} // closed once fatal is set
	fatal  error
	ended  error // of closing the log
}

// standing is what the member knows about who leads.
type standing struct {
	writer  *writer // nil unless this member leads
	term    Term
	ctx     context.Context // of the term
	leader  epochRecord     // who claimed last
	changed chan struct{}   // closed when there is a newer standing
}

// Term is a time during which this member leads.
type Term struct {
	// Epoch is greater than that of every earlier term of any member. It goes with
	// everything the leader has others do, so that they can refuse an old leader.
	Epoch uint64
	// Revision is the one the term began at.
	Revision int64
}

// Open starts the store and returns when its state is loaded and, where no
// other member could lead, writable. ctx bounds only the start.
func Open(ctx context.Context, cfg Config) (*Store, error) { return open(ctx, cfg, newCodecs()) }

func open(ctx context.Context, cfg Config, cs *codecs) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, codecs: cs, logger: cfg.Logger.With("component", "store"), stats: newStats(), closed: make(chan struct{}), outdated: make(chan int64, 1)}
	s.hist.maxCount, s.hist.maxBytes = cfg.FeedCommits, cfg.FeedBytes
	s.standing.Store(&standing{changed: make(chan struct{})})
	if s.log, err = openLog(ctx, cfg); err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	loaded := make(chan struct{})
	s.wg.Go(func() { s.run(loaded) })
	s.wg.Go(func() { s.keepHouse() })
	if err := s.awaitStart(ctx, loaded); err != nil {
		return nil, errors.Join(fmt.Errorf("open the store: %w", err), s.Close())
	}
	return s, nil
}

// openLog opens the log that the configuration names.
func openLog(ctx context.Context, cfg Config) (commitLog, error) {
	switch {
	case cfg.Memory != nil:
		return openMemory(cfg.Memory, cfg.Name), nil
	case cfg.External != nil:
		return openExternal(ctx, cfg)
	}
	return openEmbedded(ctx, cfg)
}

// awaitStart waits until the state is loaded and, if no other member can lead,
// this one does.
func (s *Store) awaitStart(ctx context.Context, loaded <-chan struct{}) error {
	select {
	case <-loaded:
	case <-s.closed:
		return s.closedErr()
	case <-ctx.Done():
		return ctx.Err()
	}
	if !s.log.alone() {
		return nil
	}
	for now := s.standing.Load(); now.writer == nil; now = s.standing.Load() {
		select {
		case <-now.changed:
		case <-s.closed:
			return s.closedErr()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Close makes what was accepted durable, gives up the leadership and stops the
// store. Calling it again does nothing.
func (s *Store) Close() error {
	s.close.Do(func() {
		s.cancel()
		s.wg.Wait()
		s.ended = s.log.close()
	})
	return s.ended
}

// Done is closed when the store has ended, by Close or because it cannot go on;
// Err then tells why.
func (s *Store) Done() <-chan struct{} { return s.closed }

// Err returns why the store ended: ErrClosed, or what made it unable to go on;
// nil while it runs.
func (s *Store) Err() error {
	select {
	case <-s.closed:
		return s.fatal
	default:
		return nil
	}
}

// closedErr is for callers that found closed closed.
func (s *Store) closedErr() error { return s.fatal }

// View returns the newest durable version of the state. It never blocks.
func (s *Store) View() *State { return s.view.Load() }

// WaitRevision waits until the view has reached a revision, and returns it. A
// member that forwarded a write waits for the revision the leader answered with,
// so that its clients read their own writes.
func (s *Store) WaitRevision(ctx context.Context, rev int64) (*State, error) {
	for {
		st := s.View()
		if st.Revision >= rev {
			return st, nil
		}
		select {
		case <-st.node.more:
		case <-s.closed:
			return nil, s.closedErr()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Leader tells whether this member leads.
func (s *Store) Leader() bool { return s.standing.Load().writer != nil }

// Term returns the present term, and whether this member leads.
func (s *Store) Term() (Term, bool) {
	now := s.standing.Load()
	return now.term, now.writer != nil
}

// LeaderName returns the name of the member that leads as far as this one
// knows, "" if it does not, and where it takes forwarded writes.
func (s *Store) LeaderName() (name, addr string) {
	now := s.standing.Load()
	return now.leader.Name, now.leader.Addr
}

// Lead runs f each time this member leads, with a context that ends with the
// term, and waits for it to return before it runs it again. It returns when ctx
// ends, or the store, or with the error of an f whose term is not over.
func (s *Store) Lead(ctx context.Context, f func(ctx context.Context, t Term) error) error {
	for {
		now := s.standing.Load()
		if now.writer != nil {
			if err := s.leadTerm(ctx, now, f); err != nil {
				return err
			}
		}
		select {
		case <-now.changed:
		case <-s.closed:
			return s.closedErr()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Store) leadTerm(ctx context.Context, now *standing, f func(context.Context, Term) error) error {
	term, cancel := context.WithCancel(now.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if err := f(term, now.term); err != nil && term.Err() == nil {
		return err
	}
	return ctx.Err()
}
