package store

import (
	"context"
	"errors"
	"sync"
	"time"
)

// housePeriod is how often the store looks after its log where no event tells
// it to.
const housePeriod = time.Minute

// keepHouse runs what the store does of its own accord, until it closes.
func (s *Store) keepHouse() {
	var wg sync.WaitGroup
	chores := []func(context.Context, Term) error{s.migrate, s.sweepRequests, s.compactHistory}
	if m, ok := s.log.(*embedded); ok && !m.single {
		chores = append(chores, s.promoteLearners)
	}
	for _, chore := range chores {
		wg.Go(func() { s.keep(chore) })
	}
	if db, ok := s.log.(database); ok {
		wg.Go(func() { s.keepDatabase(db) })
	}
	wg.Wait()
}

// keep runs a chore in each term, again when it failed.
func (s *Store) keep(chore func(context.Context, Term) error) {
	for s.ctx.Err() == nil {
		err := s.Lead(s.ctx, chore)
		if s.ctx.Err() != nil {
			return
		}
		s.logger.Error("housekeeping failed, trying again", "error", err)
		if wait(s.ctx, housePeriod) != nil {
			return
		}
	}
}

// migrate rewrites values that are in the form of an older version. Each says
// its version, so that it can stop and go on anywhere.
func (s *Store) migrate(ctx context.Context, _ Term) error {
	for perTx := 500; ; {
		left := s.View().stale.Len()
		if left == 0 {
			return nil
		}
		s.logger.Info("rewriting values of older versions", "left", left)
		err := s.Update(ctx, func(tx *Tx) error {
			for key := range tx.stale.All() {
				at, err := parseKey(key)
				if err != nil {
					return err
				}
				if tx.rewrite = append(tx.rewrite, at); len(tx.rewrite) >= perTx {
					break
				}
			}
			return nil
		})
		var large *TooLargeError
		switch {
		case errors.As(err, &large) && perTx > 1:
			perTx /= 2
		case err != nil:
			return err
		}
	}
}

// compactHistory forgets old revisions as new ones come.
func (s *Store) compactHistory(ctx context.Context, _ Term) error {
	for {
		select {
		case rev := <-s.outdated:
			if err := s.log.compact(ctx, rev); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// keepBytes bounds the stretch of history that KeepRevisions may be.
const keepBytes = 32 << 20

// stretch is the piece of history that is being written: a number of revisions or
// of bytes, whichever is full first. Only the run goroutine uses it.
type stretch struct {
	began int64 // its first revision, 0 before anything was written
	bytes int
}

// noteGrowth tells compactHistory when a stretch is full: the one before it is
// kept, what is older goes. Each time etcd goes through all keys there are, so
// that stretches are long.
func (s *Store) noteGrowth(rev int64, bytes int) {
	now := &s.stretch
	if now.began == 0 {
		now.began = rev
	}
	now.bytes += bytes
	if rev-now.began < s.cfg.KeepRevisions && now.bytes < keepBytes {
		return
	}
	select {
	case s.outdated <- now.began:
	default: // it is still at the last one; the next goes further
	}
	*now = stretch{began: rev}
}
