package store

import (
	"context"
	"sync/atomic"
)

// Commit is one durable batch: the version it made, and what it changed, one
// change for each stored object.
type Commit struct {
	State   *State
	Changes []Change
}

// node is one commit in the linked list that feeds read. The writer only ever
// appends, so a slow reader holds nobody up; what a reader has not read stays
// alive until the history lets go of it.
type node struct {
	commit Commit
	bytes  int
	more   chan struct{} // closed once next is set
	next   atomic.Pointer[node]
}

// What a commit keeps in memory besides what it wrote, about: the copies of the
// tables it changed, and the value that each change replaced.
const (
	commitBytes = 4 << 10
	changeBytes = 1 << 10
)

func newNode(st *State, changes []Change, written int) *node {
	bytes := written + commitBytes + changeBytes*len(changes)
	n := &node{commit: Commit{st, changes}, bytes: bytes, more: make(chan struct{})}
	st.node = n
	return n
}

// history is the list of commits, bounded in number and size: an older node is
// cut off, so that whoever still reads from it starts over.
type history struct {
	oldest, newest *node
	count, bytes   int
	maxCount       int
	maxBytes       int
	cut            node // what the next of a cut node points to
}

// reset begins a new list at a version that does not continue the present one.
func (h *history) reset(n *node) {
	for o := h.oldest; o != nil; {
		next := o.next.Swap(&h.cut)
		if next == nil {
			close(o.more)
		}
		o = next
	}
	h.oldest, h.newest, h.count, h.bytes = n, n, 1, 0
}

// append adds a commit and wakes those who wait for it.
func (h *history) append(n *node) {
	last := h.newest
	h.newest = n
	h.count++
	h.bytes += n.bytes
	last.next.Store(n)
	close(last.more)
	for h.count > h.maxCount || h.bytes > h.maxBytes && h.count > 1 {
		o := h.oldest
		h.oldest = o.next.Swap(&h.cut)
		h.count--
		h.bytes -= o.bytes
	}
}

// Feed reads the commits of a store in order. It is used by one goroutine.
type Feed struct {
	store *Store
	at    *node
}

// Subscribe returns a feed of what is committed after the version from, which
// the caller got from View; nil stands for no version at all, so that the first
// answer is a ResyncError.
func (s *Store) Subscribe(from *State) *Feed {
	if from == nil || from.node == nil {
		return &Feed{store: s, at: &s.hist.cut}
	}
	return &Feed{store: s, at: from.node}
}

// Next waits for the next commit. A *ResyncError means that commits were missed
// and carries the version to start over from; the feed goes on from there. Other
// errors are the context's, or ErrClosed.
func (f *Feed) Next(ctx context.Context) (Commit, error) {
	for {
		if f.at == &f.store.hist.cut {
			return Commit{}, f.resync()
		}
		select {
		case <-f.at.more:
		default:
			select {
			case <-f.at.more:
			case <-ctx.Done():
				return Commit{}, ctx.Err()
			case <-f.store.closed:
				return Commit{}, f.store.closedErr()
			}
		}
		f.at = f.at.next.Load()
		if f.at == &f.store.hist.cut {
			return Commit{}, f.resync()
		}
		if len(f.at.commit.Changes) > 0 {
			return f.at.commit, nil
		}
	}
}

func (f *Feed) resync() error {
	st := f.store.View()
	f.at = st.node
	return &ResyncError{State: st}
}
