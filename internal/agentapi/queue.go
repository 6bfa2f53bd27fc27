package agentapi

import (
	"context"
	"sync"
)

// queueWatch is the length from which on a Queue reports its growth.
const queueWatch = 4096

// Queue is one direction of a link: ordered, without a bound, read in batches by
// one reader. A writer never waits, so that neither end of a link can hold up
// the other; what a slow reader costs is seen by watching the length.
type Queue[T any] struct {
	watch func(length int)
	wake  chan struct{} // holds a token while items may be there

	mu     sync.Mutex
	items  []T
	spare  []T // the reader's last batch, emptied, to be filled next
	closed bool
	warnAt int
}

// NewQueue returns an empty queue. watch, which may be nil, is told the length
// whenever it has doubled beyond 4096.
func NewQueue[T any](watch func(length int)) *Queue[T] {
	return &Queue[T]{watch: watch, wake: make(chan struct{}, 1), warnAt: queueWatch}
}

// Put appends an item and tells whether the queue was still open.
func (q *Queue[T]) Put(item T) bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	q.items = append(q.items, item)
	length, warn := len(q.items), len(q.items) > q.warnAt
	if warn {
		q.warnAt *= 2
	}
	q.mu.Unlock()
	if length == 1 {
		q.signal()
	}
	if warn && q.watch != nil {
		q.watch(length)
	}
	return true
}

func (q *Queue[T]) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Close makes Put refuse; what is queued is lost.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.items, q.spare = true, nil, nil
}

// Each calls f for every item, in order, until ctx is done or f fails, whose
// error it returns. There may be one Each at a time.
func (q *Queue[T]) Each(ctx context.Context, f func(T) error) error {
	for {
		batch := q.take()
		for _, item := range batch {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := f(item); err != nil {
				return err
			}
		}
		if batch != nil {
			q.giveBack(batch)
			continue
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take returns all items, nil for none.
func (q *Queue[T]) take() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return nil
	}
	batch := q.items
	q.items, q.spare = q.spare, nil
	q.warnAt = queueWatch
	return batch
}

// giveBack keeps the memory of a batch for the next one, unless a burst made it
// much larger than what is usual.
func (q *Queue[T]) giveBack(batch []T) {
	clear(batch)
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed && cap(batch) <= queueWatch {
		q.spare = batch[:0]
	}
}

// Batches calls f with up to limit items at a time, in order, until ctx is done or
// f fails, whose error it returns. f must not keep the slice. There may be one
// Each or Batches at a time.
func (q *Queue[T]) Batches(ctx context.Context, limit int, f func([]T) error) error {
	for {
		batch := q.take()
		for rest := batch; len(rest) > 0; {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			n := min(limit, len(rest))
			if err := f(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		if batch != nil {
			q.giveBack(batch)
			continue
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
