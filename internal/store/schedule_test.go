package store

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/trifid-cloud/trifid/internal/one"
)

// Whatever is put and removed, the index names just what a walk over all schedules
// finds, in order of time.
func TestDueIsWhatASearchFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tx := newTx(&State{})
		for range rapid.IntRange(1, 40).Draw(t, "changes") {
			s := &one.Schedule{VM: rapid.IntRange(0, 5).Draw(t, "vm")}
			for range rapid.IntRange(0, 3).Draw(t, "actions") {
				s.Actions = append(s.Actions, one.SchedAction{
					Time: rapid.Int64Range(0, 20).Draw(t, "time"), Done: rapid.Int64Range(-1, 20).Draw(t, "done"), Repeat: one.RepeatNone,
					EndType: one.EndDate, EndValue: rapid.Int64Range(0, 20).Draw(t, "end"),
				})
			}
			tx.PutSchedule(s)
			from := rapid.Int64Range(0, 20).Draw(t, "from")
			var want, got []string
			for at := from; at <= 20; at++ {
				for vm, s := range tx.Schedules.All() {
					if due, ok := s.Due(); ok && due == at {
						want = append(want, fmt.Sprint(at, vm))
					}
				}
			}
			for at, vm := range tx.DueFrom(from) {
				got = append(got, fmt.Sprint(at, vm))
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("due from %d: %v, want %v", from, got, want)
			}
		}
	})
}
