package store

import (
	"cmp"
	"iter"

	"github.com/tidwall/btree"
)

// Table is a map ordered by key that belongs to one version of the state. It is
// read-only outside a transaction: a transaction that writes takes a copy first,
// which costs O(1) because the trees share what did not change.
type Table[K cmp.Ordered, V any] struct {
	m     *btree.Map[K, V]
	owner *owner // the transaction that may change m in place
}

// owner identifies a transaction. It is not the Tx itself, because tables that
// nobody changes any more would then keep old versions of all others alive.
type owner struct{ _ byte }

// Get returns the value of a key.
func (t *Table[K, V]) Get(k K) (V, bool) {
	if t.m == nil {
		var zero V
		return zero, false
	}
	return t.m.Get(k)
}

// At returns the value of a key, the zero value if there is none.
func (t *Table[K, V]) At(k K) V {
	v, _ := t.Get(k)
	return v
}

// Len returns the number of entries.
func (t *Table[K, V]) Len() int {
	if t.m == nil {
		return 0
	}
	return t.m.Len()
}

// All yields every entry in ascending order of keys.
func (t *Table[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if t.m != nil {
			t.m.Scan(yield)
		}
	}
}

// Descending yields every entry in descending order of keys.
func (t *Table[K, V]) Descending() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if t.m != nil {
			t.m.Reverse(yield)
		}
	}
}

// From yields the entries with keys of at least k, ascending.
func (t *Table[K, V]) From(k K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if t.m != nil {
			t.m.Ascend(k, yield)
		}
	}
}

// Max returns the entry with the greatest key.
func (t *Table[K, V]) Max() (K, V, bool) {
	if t.m == nil {
		var k K
		var v V
		return k, v, false
	}
	return t.m.Max()
}

// own makes the table the transaction's own before it is changed.
func (t *Table[K, V]) own(tx *Tx) {
	if t.owner == tx.owner && tx.owner != nil {
		return
	}
	if t.m == nil {
		t.m = btree.NewMap[K, V](0)
	} else {
		t.m = t.m.Copy()
	}
	t.owner = tx.owner
}

func (t *Table[K, V]) set(tx *Tx, k K, v V) (old V, had bool) {
	t.own(tx)
	return t.m.Set(k, v)
}

func (t *Table[K, V]) del(tx *Tx, k K) (old V, had bool) {
	if _, ok := t.Get(k); !ok {
		return old, false
	}
	t.own(tx)
	return t.m.Delete(k)
}

// Index is a set of pairs of ids, ordered: which b belong to which a.
type Index struct{ t Table[uint64, struct{}] }

func pair(a, b int) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }

// Of yields the ids that belong to a, ascending.
func (x *Index) Of(a int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for k := range x.t.From(pair(a, 0)) {
			if int(k>>32) != a || !yield(int(uint32(k))) {
				return
			}
		}
	}
}

// List returns the ids that belong to a, ascending.
func (x *Index) List(a int) []int {
	var out []int
	for b := range x.Of(a) {
		out = append(out, b)
	}
	return out
}

// Any tells whether any id belongs to a.
func (x *Index) Any(a int) bool {
	for range x.Of(a) {
		return true
	}
	return false
}

// Has tells whether b belongs to a.
func (x *Index) Has(a, b int) bool {
	_, ok := x.t.Get(pair(a, b))
	return ok
}

func (x *Index) add(tx *Tx, a, b int)    { x.t.set(tx, pair(a, b), struct{}{}) }
func (x *Index) remove(tx *Tx, a, b int) { x.t.del(tx, pair(a, b)) }

// Names finds the id of a name; where names are unique per owner, of (owner, name).
type Names struct{ t Table[string, int] }

func nameKey(owner int, name string) string {
	return string([]byte{byte(owner >> 24), byte(owner >> 16), byte(owner >> 8), byte(owner)}) + name
}

// Find returns the id of a name that is unique in the whole pool.
func (n *Names) Find(name string) (int, bool) { return n.t.Get(nameKey(0, name)) }

// FindOf returns the id of a name that is unique among one owner's objects.
func (n *Names) FindOf(owner int, name string) (int, bool) { return n.t.Get(nameKey(owner, name)) }

func (n *Names) add(tx *Tx, owner int, name string, id int) { n.t.set(tx, nameKey(owner, name), id) }

// remove forgets a name if it still means the id.
func (n *Names) remove(tx *Tx, owner int, name string, id int) {
	if had, ok := n.t.Get(nameKey(owner, name)); ok && had == id {
		n.t.del(tx, nameKey(owner, name))
	}
}
