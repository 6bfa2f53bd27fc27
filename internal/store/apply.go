package store

import (
	"fmt"
	"slices"
	"sort"
	"unicode/utf8"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// op is one key of a batch: a new value, or its deletion.
type op struct {
	key string
	val string // "" deletes
}

// maxNameLen bounds the names that are keys, such as request ids.
const maxNameLen = 512

// encodeTx turns what a transaction changed into operations, and drops from its
// changes those that write nothing. Each key occurs once.
func (e *encoder) encodeTx(tx *Tx) ([]op, error) {
	tx.changes = coalesce(tx.changes)
	ops := make([]op, 0, len(tx.changes)+2)
	kept := tx.changes[:0]
	for i := range tx.changes {
		c := &tx.changes[i]
		before := len(ops)
		var err error
		if c.Kind == KindVM {
			ops, err = e.encodeVM(tx, ops, c)
		} else {
			ops, err = e.encodeChange(tx, ops, slotOf(c), c.New)
		}
		if err != nil {
			return nil, err
		}
		if len(ops) > before {
			kept = append(kept, *c)
		}
	}
	clear(tx.changes[len(kept):])
	tx.changes = kept
	for _, s := range tx.rewrite {
		v := e.codecs.stored(&tx.State, s)
		if v == nil || slices.ContainsFunc(ops, func(o op) bool { return o.key == s.key() }) {
			continue
		}
		var err error
		if ops, err = e.encodeChange(tx, ops, s, v); err != nil {
			return nil, err
		}
	}
	return ops, nil
}

// encodeChange appends the operation that stores v, or deletes it if v is nil.
func (e *encoder) encodeChange(tx *Tx, ops []op, s slot, v any) ([]op, error) {
	if len(s.name) > maxNameLen {
		return nil, fmt.Errorf("%s: a name of %d bytes, expected at most %d", s.kind, len(s.name), maxNameLen)
	}
	if !utf8.ValidString(s.name) { // the JSON of the value could not repeat it
		return nil, fmt.Errorf("%s: name %q is not UTF-8", s.kind, s.name)
	}
	o := op{key: s.key()}
	tx.State.stale.del(tx, o.key)
	if v == nil {
		tx.State.unknown.del(tx, o.key)
		return append(ops, o), nil
	}
	more, _ := tx.State.unknown.Get(o.key)
	var err error
	if o.val, err = e.value(s.kind, v, more); err != nil {
		return nil, err
	}
	return append(ops, o), nil
}

// encodeVM appends the operations for those parts of a VM that changed.
func (e *encoder) encodeVM(tx *Tx, ops []op, c *Change) ([]op, error) {
	var old, now one.VM
	had, has := c.Old != nil, c.New != nil
	if had {
		old = *c.Old.(*one.VM)
	}
	if has {
		now = *c.New.(*one.VM)
	}
	id := c.ID
	var err error
	add := func(s slot, v any) {
		if err == nil {
			ops, err = e.encodeChange(tx, ops, s, v)
		}
	}
	switch {
	case !has:
		add(slot{kind: KindVM, id: id}, nil)
	case !had || !sameCore(old.VMCore, now.VMCore):
		add(slot{kind: KindVM, id: id}, &now.VMCore)
	}
	switch {
	case now.UserTemplate == nil && old.UserTemplate != nil:
		add(slot{kind: kindVMUser, id: id}, nil)
	case now.UserTemplate != nil && (old.UserTemplate == nil || !now.UserTemplate.Equal(old.UserTemplate)):
		add(slot{kind: kindVMUser, id: id}, now.UserTemplate)
	}
	for i, h := range now.History {
		if i >= len(old.History) || h != old.History[i] && *h != *old.History[i] {
			add(historySlot(int(id), i), h)
		}
	}
	for i := len(now.History); i < len(old.History); i++ {
		add(historySlot(int(id), i), nil)
	}
	return ops, err
}

// sameCore tells whether two cores would be stored the same.
func sameCore(a, b one.VMCore) bool {
	if a.Template != b.Template && a.Template.Equal(b.Template) && (a.Template == nil) == (b.Template == nil) {
		b.Template = a.Template
	}
	if a.Snapshots != b.Snapshots && a.Snapshots.Equal(b.Snapshots) && (a.Snapshots == nil) == (b.Snapshots == nil) {
		b.Snapshots = a.Snapshots
	}
	return a == b
}

// coalesce keeps one change for each stored object: from what was before the
// first to what is after the last. The order is that of the first changes.
func coalesce(changes []Change) []Change {
	const few = 16
	if len(changes) < 2 {
		return changes
	}
	var seen map[slot]int
	if len(changes) > few {
		seen = make(map[slot]int, len(changes))
	}
	out := changes[:0]
	for _, c := range changes {
		at := -1
		if seen != nil {
			if i, ok := seen[slotOf(&c)]; ok {
				at = i
			} else {
				seen[slotOf(&c)] = len(out)
			}
		} else {
			at = slices.IndexFunc(out, func(o Change) bool { return slotOf(&o) == slotOf(&c) })
		}
		if at < 0 {
			out = append(out, c)
		} else {
			out[at].New = c.New
		}
	}
	clear(changes[len(out):])
	out = slices.DeleteFunc(out, func(c Change) bool { return c.Old == nil && c.New == nil })
	return out
}

// coalesceOps keeps the last operation of each key.
func coalesceOps(ops []op) []op {
	last := make(map[string]int, len(ops))
	out := ops[:0]
	for _, o := range ops {
		if i, ok := last[o.key]; ok {
			out[i] = o
			continue
		}
		last[o.key] = len(out)
		out = append(out, o)
	}
	clear(ops[len(out):])
	return out
}

// apply puts values that were read from the log into a transaction. Each key
// occurs once, as in one revision of the log.
func (cs *codecs) apply(tx *Tx, values []decoded) error {
	vms := map[int][]decoded{}
	for _, d := range values {
		key := d.slot.key()
		if d.unknown != nil {
			tx.State.unknown.set(tx, key, d.unknown)
		} else {
			tx.State.unknown.del(tx, key)
		}
		if d.stale {
			tx.State.stale.set(tx, key, struct{}{})
		} else {
			tx.State.stale.del(tx, key)
		}
		switch d.slot.kind {
		case KindVM, kindVMUser:
			vms[int(d.slot.id)] = append(vms[int(d.slot.id)], d)
		case kindVMHistory:
			vm := int(d.slot.id >> 32)
			vms[vm] = append(vms[vm], d)
		default:
			if d.value == nil {
				cs[d.slot.kind].del(tx, d.slot)
			} else {
				cs[d.slot.kind].put(tx, d.value)
			}
		}
	}
	ids := make([]int, 0, len(vms))
	for id := range vms {
		ids = append(ids, id)
	}
	sort.Ints(ids)
	for _, id := range ids {
		if err := applyVM(tx, id, vms[id]); err != nil {
			return err
		}
	}
	return nil
}

// applyVM puts new parts of one VM together with the parts it had.
func applyVM(tx *Tx, id int, parts []decoded) error {
	var vm one.VM
	old, had := tx.State.VM(id)
	if had {
		vm = *old
		vm.History = slices.Clone(vm.History)
	}
	exists := had
	// Records in order: deletions only ever shorten a history.
	sort.Slice(parts, func(i, j int) bool { return parts[i].slot.id < parts[j].slot.id })
	length := len(vm.History)
	for _, d := range parts {
		switch {
		case d.slot.kind == KindVM && d.value == nil:
			exists = false
		case d.slot.kind == KindVM:
			exists = true
			vm.VMCore = *d.value.(*one.VMCore)
			if vm.ID != id {
				return fmt.Errorf("key %q holds VM %d", d.slot.key(), vm.ID)
			}
		case d.slot.kind == kindVMUser && d.value == nil:
			vm.UserTemplate = nil
		case d.slot.kind == kindVMUser:
			vm.UserTemplate = d.value.(*tmpl.Template)
		case d.value == nil:
			length = min(length, int(uint32(d.slot.id)))
		default:
			seq := int(uint32(d.slot.id))
			if seq > len(vm.History) {
				return fmt.Errorf("history of VM %d has record %d but not %d", id, seq, len(vm.History))
			}
			if seq == len(vm.History) {
				vm.History = append(vm.History, nil)
			}
			vm.History[seq] = d.value.(*one.History)
			length = max(length, seq+1)
		}
	}
	if !exists {
		if !had {
			for _, d := range parts {
				if d.value != nil {
					return fmt.Errorf("key %q is part of a VM that does not exist", d.slot.key())
				}
			}
		}
		tx.DeleteVM(id)
		return nil
	}
	vm.History = vm.History[:length]
	tx.PutVM(&vm)
	return nil
}

// stored returns what a slot holds, nil if nothing.
func (cs *codecs) stored(st *State, s slot) any {
	vmOf := int(s.id)
	if s.kind == kindVMHistory {
		vmOf = int(s.id >> 32)
	}
	switch s.kind {
	case KindVM, kindVMUser, kindVMHistory:
		vm, ok := st.VM(vmOf)
		switch seq := int(uint32(s.id)); {
		case !ok:
			return nil
		case s.kind == KindVM:
			return &vm.VMCore
		case s.kind == kindVMHistory && seq < len(vm.History):
			return vm.History[seq]
		case s.kind == kindVMUser && vm.UserTemplate != nil:
			return vm.UserTemplate
		}
		return nil
	}
	return cs[s.kind].get(st, s)
}
