package store

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"
)

// Limits of a batch and of one transaction, in keys and in bytes of keys and
// values. etcd takes 1.5 MiB in one request, so that a batch leaves room for
// its framing.
const (
	maxBatchBytes = 1 << 20
	maxBatchKeys  = 4096
	maxTxBytes    = 512 << 10
	maxTxKeys     = 1000
	opOverhead    = 16
)

// batch is a run of transactions that become durable together.
type batch struct {
	ops     []op
	size    int
	changes []Change
	txs     int
	end     *State // the version after the last of them, nil if none wrote
	began   time.Time
	done    chan struct{} // closed once err is set
	err     error
}

// writer runs the transactions of one term. Callers run theirs one after
// another on the newest version, durable or not, and wait for the batch it fell
// into; one goroutine commits the batches in order, one at a time.
type writer struct {
	store *Store
	claim claim
	over  context.CancelCauseFunc // ends the term's context
	kick  chan struct{}           // there is a batch

	mu    sync.Mutex
	enc   *encoder
	tip   *State   // the newest version
	queue []*batch // not yet sent; all but the last are full
	ended error    // the term is over
}

func newWriter(s *Store, c claim, over context.CancelCauseFunc) *writer {
	return &writer{store: s, claim: c, over: over, kick: make(chan struct{}, 1), enc: newEncoder(s.codecs), tip: s.View()}
}

// do runs a transaction and returns the batch to wait for. Its error is the
// function's, or why it cannot be stored; the transaction then leaves no trace,
// but the answer still has to wait, because of what the function may have seen.
func (w *writer) do(fn func(*Tx) error) (*batch, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended != nil {
		return nil, w.ended
	}
	tx := newTx(w.tip)
	tx.State.Revision = w.store.View().Revision
	ops, size, err := w.perform(tx, fn)
	tx.owner = nil // whoever keeps the Tx cannot change what others read
	b := w.room(size, len(ops))
	b.txs++
	if err != nil || len(ops) == 0 {
		return b, err
	}
	b.ops = append(b.ops, ops...)
	b.size += size
	b.changes = append(b.changes, tx.changes...)
	tx.changes, tx.rewrite = nil, nil
	b.end, w.tip = &tx.State, &tx.State
	return b, nil
}

// perform runs the function and encodes what it wrote.
func (w *writer) perform(tx *Tx, fn func(*Tx) error) (ops []op, size int, err error) {
	defer func() {
		if p := recover(); p != nil {
			ops, size, err = nil, 0, &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	if err := fn(tx); err != nil {
		return nil, 0, err
	}
	if ops, err = w.enc.encodeTx(tx); err != nil {
		return nil, 0, err
	}
	for i := range ops {
		size += len(ops[i].key) + len(ops[i].val) + opOverhead
	}
	if size > maxTxBytes || len(ops) > maxTxKeys {
		return nil, 0, &TooLargeError{Bytes: size, Keys: len(ops)}
	}
	return ops, size, nil
}

// room returns the batch that takes so much more.
func (w *writer) room(size, keys int) *batch {
	if n := len(w.queue); n > 0 {
		if b := w.queue[n-1]; b.size+size <= maxBatchBytes && len(b.ops)+keys <= maxBatchKeys {
			return b
		}
	}
	b := &batch{done: make(chan struct{}), began: time.Now()}
	w.queue = append(w.queue, b)
	select {
	case w.kick <- struct{}{}:
	default:
	}
	return b
}

// next takes the oldest batch, nil if there is none.
func (w *writer) next() *batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return nil
	}
	b := w.queue[0]
	w.queue = w.queue[1:]
	return b
}

// run commits batches until the term ends, and returns why it did. On a nil
// error the store is closing and every batch was committed.
func (w *writer) run(term context.Context) error {
	for {
		b := w.next()
		if b == nil {
			select {
			case <-w.kick:
				continue
			case <-term.Done():
				if w.store.ctx.Err() == nil {
					return context.Cause(term)
				}
				if w.end(&NotLeaderError{}) == 0 {
					return nil
				}
				continue
			}
		}
		if err := w.commit(term, b); err != nil {
			return err
		}
	}
}

// commit makes one batch durable and lets out what waited for it.
func (w *writer) commit(term context.Context, b *batch) error {
	s := w.store
	ctx, cancel := context.WithTimeout(context.WithoutCancel(term), s.cfg.CommitTimeout)
	defer cancel()
	// Who may no longer lead gets no answer from etcd: do not wait for it long.
	defer context.AfterFunc(term, func() {
		time.AfterFunc(s.cfg.CommitTimeout/5, cancel)
	})()
	if len(b.ops) == 0 {
		err := s.log.verify(ctx, w.claim)
		if err != nil {
			b.err = s.notLeading()
		}
		return w.settle(b, err)
	}
	b.ops, b.changes = coalesceOps(b.ops), coalesce(b.changes)
	sent := time.Now()
	rev, err := s.log.commit(ctx, w.claim, b.ops)
	s.stats.committed(b, sent, err)
	switch {
	case err == nil:
		st := *b.end
		st.Revision = rev
		s.publish(&st, b.changes, b.size)
		s.noteGrowth(rev, b.size)
	case errors.Is(err, errOvertaken), errors.Is(err, errNotWritten):
		b.err = s.notLeading()
	default:
		b.err = &OutcomeError{Cause: err}
	}
	return w.settle(b, err)
}

// settle answers those who wait for a batch. The term's context has ended before
// anybody learns of a failure, so that a controller can tell why it failed.
func (w *writer) settle(b *batch, err error) error {
	if err != nil {
		w.over(err)
	}
	close(b.done)
	return err
}

// end refuses further transactions and returns how many batches are left.
func (w *writer) end(why error) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended == nil {
		w.ended = why
	}
	return len(w.queue)
}

// abandon refuses what has not been sent: nothing of it was written.
func (w *writer) abandon(why error) {
	w.end(why)
	for b := w.next(); b != nil; b = w.next() {
		b.err = why
		close(b.done)
	}
}
