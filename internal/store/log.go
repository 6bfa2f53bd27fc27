package store

import (
	"context"
	"errors"
)

// commitLog is the durable half seen from the store: an ordered log of batches
// over keys, with one key that says who may write. etcd is one, embedded or not;
// Memory is another, for tests.
type commitLog interface {
	// alone tells whether no other member can lead.
	alone() bool
	// campaign waits until this member may claim, and returns a context that ends
	// when it may no longer lead. It does not by itself keep others from writing.
	campaign(ctx context.Context) (context.Context, error)
	// claim begins a term: it overwrites the epoch key, so that every commit of
	// earlier claims fails from now on. The operations go with it.
	claim(ctx context.Context, holder epochRecord, with []op) (claim, error)
	// commit makes a batch durable, all or nothing, unless the claim has been
	// overtaken. Errors that are not errOvertaken or errNotWritten leave the
	// outcome unknown.
	commit(ctx context.Context, c claim, ops []op) (rev int64, err error)
	// verify fails with errOvertaken if the claim has been overtaken.
	verify(ctx context.Context, c claim) error
	// load hands out everything as of one revision, which it returns, in pages; page is
	// called by one goroutine at a time. The revision is at least that of every commit so far.
	load(ctx context.Context, page func([]op) error) (int64, error)
	// watch hands out what is committed from revision from on, in order, until ctx
	// ends; it fails with errCompacted if that history is gone.
	watch(ctx context.Context, from int64, each func(update) error) error
	// compact forgets the history before a revision.
	compact(ctx context.Context, rev int64) error
	// close ends the log; it is called once.
	close() error
}

var (
	errOvertaken  = errors.New("another member has claimed the leadership")
	errNotWritten = errors.New("nothing was written")
	errCompacted  = errors.New("the history was compacted")
)

// claim is a term's right to write.
type claim struct {
	epoch uint64
	rev   int64 // revision of the epoch key that every commit compares
}

// update is one revision of the log: all keys that a batch changed.
type update struct {
	rev int64
	ops []op
}

// epochRecord is the value of the epoch key.
type epochRecord struct {
	Epoch uint64 `json:"epoch"`
	Name  string `json:"name"`           // the member that claimed
	Addr  string `json:"addr,omitempty"` // where it takes forwarded writes
}
