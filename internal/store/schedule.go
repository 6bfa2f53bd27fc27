package store

import (
	"encoding/binary"
	"iter"

	"github.com/trifid-cloud/trifid/internal/one"
)

// PutSchedule stores what is scheduled for a VM; without actions it is removed.
func (tx *Tx) PutSchedule(s *one.Schedule) {
	if len(s.Actions) == 0 {
		tx.DeleteSchedule(s.VM)
		return
	}
	if old, had := put(tx, &tx.State.Schedules, KindSchedule, s.VM, s); had {
		tx.unindexSchedule(old)
	}
	if at, ok := s.Due(); ok {
		tx.State.due.set(tx, dueKey(at, s.VM), s.VM)
	}
}

// DeleteSchedule removes what is scheduled for a VM.
func (tx *Tx) DeleteSchedule(vm int) {
	if old, had := del(tx, &tx.State.Schedules, KindSchedule, vm); had {
		tx.unindexSchedule(old)
	}
}

func (tx *Tx) unindexSchedule(s *one.Schedule) {
	if at, ok := s.Due(); ok {
		tx.State.due.del(tx, dueKey(at, s.VM))
	}
}

// DueFrom yields when the first action of each VM is due, epoch seconds, and the
// VM: those from a time on, the earliest first.
func (s *State) DueFrom(from int64) iter.Seq2[int64, int] {
	return func(yield func(int64, int) bool) {
		for k, vm := range s.due.From(dueKey(from, 0)) {
			if !yield(int64(binary.BigEndian.Uint64([]byte(k[:8]))), vm) {
				return
			}
		}
	}
}

// dueKey orders VMs by a time, which is not negative.
func dueKey(at int64, vm int) string {
	return string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, uint64(at)), uint32(vm)))
}
