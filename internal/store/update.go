package store

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/trifid-cloud/trifid/internal/errs"
)

// Update runs fn as one transaction and returns when what it wrote is durable.
// Transactions run one after another, each on the version the one before it
// left; fn must be quick, must not block, and must not call Update. If fn
// returns an error nothing is written and Update returns that error, once what
// fn may have seen is durable.
//
// Other errors: *NotLeaderError, nothing was written; *OutcomeError, perhaps it
// was, also when ctx ends while waiting; *TooLargeError; *PanicError; ErrClosed.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) error {
	w, err := s.writing(ctx)
	if err != nil {
		return err
	}
	b, refusal := w.do(fn)
	if b == nil {
		return refusal
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		if refusal != nil {
			return ctx.Err()
		}
		return &OutcomeError{Cause: ctx.Err()}
	}
	switch {
	case b.err == nil || isBug(refusal):
		return refusal
	case refusal != nil: // for reasons that were lost: it wrote nothing in any case
		return s.notLeading()
	}
	return b.err
}

// isBug tells refusals that do not depend on the state.
func isBug(refusal error) bool {
	var panicked *PanicError
	var large *TooLargeError
	return errors.As(refusal, &panicked) || errors.As(refusal, &large)
}

// maxRequestID is the longest request id, in bytes.
const maxRequestID = 256

// UpdateOnce is Update for a write that a client may repeat because it did not
// get the answer: the result is stored with what fn writes, under the request's
// id, and a repetition within the retention gets it instead of running fn. The
// id must tell apart clients and operations. Without an id fn just runs.
func (s *Store) UpdateOnce(ctx context.Context, requestID string, fn func(tx *Tx) ([]byte, error)) ([]byte, error) {
	if len(requestID) > maxRequestID {
		return nil, errs.New(errs.API, "request id: %d bytes, expected at most %d", len(requestID), maxRequestID)
	}
	if !utf8.ValidString(requestID) {
		return nil, errs.New(errs.API, "request id: expected UTF-8")
	}
	var result []byte
	err := s.Update(ctx, func(tx *Tx) error {
		if requestID != "" {
			if done, ok := tx.Requests.Get(requestID); ok {
				result = done.Result
				return nil
			}
		}
		var err error
		if result, err = fn(tx); err != nil || requestID == "" {
			return err
		}
		tx.PutRequest(&Request{ID: requestID, Result: result, Time: s.cfg.Now().Unix()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// writing returns the writer of the present term. Between terms it waits for a
// while, unless it is known that another member leads.
func (s *Store) writing(ctx context.Context) (*writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("nothing was written: %w", err)
	}
	now := s.standing.Load()
	if now.writer != nil {
		return now.writer, nil
	}
	enough := time.NewTimer(s.cfg.CommitTimeout)
	defer enough.Stop()
	for ; ; now = s.standing.Load() {
		if now.writer != nil {
			return now.writer, nil
		}
		if now.leader.Name != "" && now.leader.Name != s.cfg.Name {
			return nil, s.notLeading()
		}
		select {
		case <-now.changed:
		case <-s.closed:
			return nil, s.closedErr()
		case <-enough.C:
			return nil, s.notLeading()
		case <-ctx.Done():
			return nil, errors.Join(s.notLeading(), ctx.Err())
		}
	}
}

// notLeading returns the refusal of a member that does not lead.
func (s *Store) notLeading() error {
	e := &NotLeaderError{}
	if l := s.standing.Load().leader; l.Name != s.cfg.Name {
		e.Leader, e.Addr = l.Name, l.Addr
	}
	return e
}

// sweepRequests forgets the results of requests that are older than the
// retention; it runs while this member leads.
func (s *Store) sweepRequests(ctx context.Context, _ Term) error {
	const perTx = 500
	for {
		oldest := s.cfg.Now().Add(-s.cfg.RequestRetention).Unix()
		left := false
		err := s.Update(ctx, func(tx *Tx) error {
			var ids []string
			for _, id := range tx.requestAges.All() {
				r, _ := tx.Requests.Get(id)
				if r.Time >= oldest {
					break
				}
				if left = len(ids) == perTx; left {
					break
				}
				ids = append(ids, id)
			}
			for _, id := range ids {
				tx.DeleteRequest(id)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if left {
			continue
		}
		if err := wait(ctx, s.cfg.RequestRetention/4); err != nil {
			return err
		}
	}
}
