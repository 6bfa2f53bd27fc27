package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// wonTerm is a right to lead together with the claim made under it.
type wonTerm struct {
	claim claim
	right context.Context // ends when the right is lost
}

// run alternates between following and leading until the store closes.
func (s *Store) run(loaded chan<- struct{}) {
	err := s.load()
	if err == nil {
		close(loaded)
	}
	for err == nil {
		var won *wonTerm
		if won, err = s.follow(); won != nil {
			s.lead(won)
		}
		if err != nil && !fatal(err) && s.ctx.Err() == nil {
			s.logger.Warn("following the leader failed, trying again", "error", err)
			err = wait(s.ctx, s.cfg.retry)
		}
	}
	if s.ctx.Err() != nil {
		err = ErrClosed
	} else {
		s.logger.Error("the store cannot go on", "error", err)
	}
	s.fatal = err
	close(s.closed)
	s.cancel()
}

// fatal tells errors that trying again does not mend.
func fatal(err error) bool {
	var bad *badDataError
	return errors.Is(err, ErrNewerData) || errors.As(err, &bad)
}

// badDataError tells that stored data cannot be read.
type badDataError struct{ cause error }

func (e *badDataError) Error() string { return fmt.Sprintf("stored data cannot be used: %v", e.cause) }
func (e *badDataError) Unwrap() error { return e.cause }

// load reads the whole state, trying again until it can be read, and begins the
// feed anew.
func (s *Store) load() error {
	for {
		st, format, epoch, err := s.readAll()
		if err == nil {
			s.format = format
			s.setStanding(func(n *standing) { n.leader = epoch })
			n := newNode(st, nil, 0)
			s.view.Store(st)
			s.hist.reset(n)
			return nil
		}
		if fatal(err) || s.ctx.Err() != nil {
			return err
		}
		s.logger.Warn("loading the state failed, trying again", "error", err)
		if err := wait(s.ctx, s.cfg.retry); err != nil {
			return err
		}
	}
}

// readAll reads the state from the log, decoding pages in parallel.
func (s *Store) readAll() (st *State, f format, epoch epochRecord, err error) {
	var (
		mu     sync.Mutex
		values [][]decoded
		bad    error
		wg     sync.WaitGroup
	)
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	rev, err := s.log.load(s.ctx, func(page []op) error {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			some, fm, ep, err := s.decodeAll(page)
			mu.Lock()
			defer mu.Unlock()
			values = append(values, some)
			bad = errors.Join(bad, err)
			if fm != nil {
				f = *fm
			}
			if ep != nil {
				epoch = *ep
			}
		})
		return nil
	})
	wg.Wait()
	if err != nil {
		return nil, f, epoch, fmt.Errorf("read the state: %w", err)
	}
	if err := errors.Join(f.check(s.codecs), bad); err != nil {
		return nil, f, epoch, &badDataError{err}
	}
	var all []decoded
	for _, some := range values {
		all = append(all, some...)
	}
	tx := newTx(&State{})
	if err := s.codecs.apply(tx, all); err != nil {
		return nil, f, epoch, &badDataError{err}
	}
	st = &tx.State
	st.Revision = rev
	return st, f, epoch, nil
}

// decodeAll reads the values of a page or an update, and what the store keeps
// about itself if it is among them.
func (s *Store) decodeAll(ops []op) (values []decoded, f *format, epoch *epochRecord, err error) {
	values = make([]decoded, 0, len(ops))
	for _, o := range ops {
		switch {
		case o.key == keyEpoch:
			epoch = &epochRecord{}
			err = decodeMeta(o, epoch)
		case o.key == keyFormat:
			f = &format{}
			err = decodeMeta(o, f)
		case !isState(o.key):
		default:
			var d decoded
			d, err = s.codecs.decode(o.key, []byte(o.val))
			values = append(values, d)
		}
		if err != nil {
			return nil, nil, nil, err
		}
	}
	return values, f, epoch, nil
}

// follow keeps the state up with the log until this member has claimed the
// leadership and has seen everything up to its claim.
//
// It returns nil when it had to load the state anew.
func (s *Store) follow() (*wonTerm, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()

	updates := make(chan update, 64)
	broken := make(chan error, 1)
	from := s.View().Revision + 1
	wg.Go(func() {
		broken <- s.log.watch(ctx, from, func(u update) error {
			select {
			case updates <- u:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	campaign := make(chan *wonTerm, 1)
	stored := s.format
	wg.Go(func() { s.campaign(ctx, stored, campaign) })

	var won *wonTerm
	for won == nil || s.View().Revision < won.claim.rev {
		select {
		case won = <-campaign:
		case u := <-updates:
			if err := s.applyUpdate(u); err != nil {
				return nil, err
			}
		case err := <-broken:
			if errors.Is(err, errCompacted) {
				return nil, s.load()
			}
			return nil, err
		}
	}
	return won, nil
}

// campaign waits for the right to lead and claims it.
func (s *Store) campaign(ctx context.Context, stored format, out chan<- *wonTerm) {
	for delay := s.cfg.retry; ctx.Err() == nil; delay = min(2*delay, 2*time.Second) {
		right, err := s.log.campaign(ctx)
		if err == nil {
			var c claim
			limited, cancel := context.WithTimeout(ctx, s.cfg.CommitTimeout)
			c, err = s.log.claim(limited, epochRecord{Name: s.cfg.Name, Addr: s.cfg.Advertise}, stored.renew(s.codecs))
			cancel()
			if err == nil {
				out <- &wonTerm{c, right}
				return
			}
		}
		if ctx.Err() == nil {
			s.logger.Warn("claiming the leadership failed, trying again", "error", err)
		}
		if wait(ctx, delay) != nil {
			return
		}
	}
}

// applyUpdate makes the next version out of what another member committed.
func (s *Store) applyUpdate(u update) error {
	values, f, epoch, err := s.decodeAll(u.ops)
	if err != nil {
		return &badDataError{err}
	}
	if f != nil {
		if err := f.check(s.codecs); err != nil {
			return &badDataError{err}
		}
		s.format = *f
	}
	tx := newTx(s.View())
	if err := s.codecs.apply(tx, values); err != nil {
		return &badDataError{err}
	}
	st := &tx.State
	st.Revision = u.rev
	size := 0
	for i := range u.ops {
		size += len(u.ops[i].key) + len(u.ops[i].val)
	}
	s.publish(st, coalesce(tx.changes), size)
	if epoch != nil {
		s.setStanding(func(n *standing) { n.leader = *epoch })
	}
	return nil
}

// lead is a term: it accepts transactions until the right to lead is lost, a
// commit fails, or the store closes.
func (s *Store) lead(won *wonTerm) {
	ctx, cancel := context.WithCancelCause(won.right)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(ErrClosed) })()
	w := newWriter(s, won.claim, cancel)
	s.setStanding(func(n *standing) {
		n.writer, n.ctx = w, ctx
		n.term = Term{Epoch: won.claim.epoch, Revision: won.claim.rev}
	})
	s.stats.termBegan(won.claim.epoch)
	s.logger.Info("leading", "epoch", won.claim.epoch)
	err := w.run(ctx)
	cancel(err) // on whatever path the term ended
	s.setStanding(func(n *standing) { n.writer, n.ctx, n.term = nil, nil, Term{} })
	s.stats.termEnded()
	w.abandon(s.notLeading())
	if err != nil {
		s.logger.Warn("no longer leading", "epoch", won.claim.epoch, "reason", err)
	}
}

// publish makes a version the newest durable one and tells the feeds.
func (s *Store) publish(st *State, changes []Change, size int) {
	n := newNode(st, changes, size)
	s.view.Store(st)
	s.hist.append(n)
}

// setStanding replaces the standing; only the run goroutine calls it.
func (s *Store) setStanding(change func(*standing)) {
	old := s.standing.Load()
	now := *old
	now.changed = make(chan struct{})
	change(&now)
	s.standing.Store(&now)
	close(old.changed)
}
