package store

import (
	"cmp"

	"github.com/trifid-cloud/trifid/internal/one"
)

// Tx is a transaction: a private version of the state that a function changes.
// It reads like a State. It is used by one goroutine, and not after the function
// has returned.
type Tx struct {
	State
	owner   *owner // nil once the function has returned: tables are then copied before any change
	changes []Change
	rewrite []slot // values to be stored again in their present form, though nothing changed
}

// Change is what a transaction did to one stored value. Old and New are the
// table's values (nil: absent), for instance *one.VM.
type Change struct {
	Kind Kind
	ID   uint64 // the key, of tables keyed by number
	Name string // the key, of tables keyed by string
	Old  any
	New  any
}

func newTx(base *State) *Tx { return &Tx{State: *base, owner: new(owner)} }

// put stores v under k and notes the change.
func put[K cmp.Ordered, V any](tx *Tx, t *Table[K, V], kind Kind, k K, v V) (old V, had bool) {
	old, had = t.set(tx, k, v)
	c := change(kind, k)
	if had {
		c.Old = old
	}
	c.New = v
	tx.changes = append(tx.changes, c)
	return old, had
}

// del removes k and notes the change.
func del[K cmp.Ordered, V any](tx *Tx, t *Table[K, V], kind Kind, k K) (old V, had bool) {
	old, had = t.del(tx, k)
	if had {
		c := change(kind, k)
		c.Old = old
		tx.changes = append(tx.changes, c)
	}
	return old, had
}

func change[K cmp.Ordered](kind Kind, k K) Change {
	switch k := any(k).(type) {
	case int:
		return Change{Kind: kind, ID: uint64(k)}
	case uint64:
		return Change{Kind: kind, ID: k}
	case one.LeaseKey:
		return Change{Kind: kind, ID: uint64(k)}
	case string:
		return Change{Kind: kind, Name: k}
	}
	panic("store: a table's key is int, uint64, LeaseKey or string")
}

// NextID returns a new id of a kind of object. Ids grow, and are never given
// twice; a transaction that fails gives its ids back.
func (tx *Tx) NextID(counter string, first int) int {
	next, ok := tx.Counters.Get(counter)
	if !ok {
		next = first
	}
	put(tx, &tx.State.Counters, KindCounter, counter, next+1)
	return next
}

// Emit adds a record to the outbox and returns its sequence number.
func (tx *Tx) Emit(topic string, id int, timeMillis int64, text string) uint64 {
	seq := uint64(tx.NextID("outbox", 1))
	tx.putOutbox(&OutboxRecord{Seq: seq, Topic: topic, ID: id, Time: timeMillis, Text: text})
	return seq
}
