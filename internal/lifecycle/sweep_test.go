package lifecycle_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
)

// VMs in DONE are kept for as long as the settings say, and not much longer; what
// has a long history, and many at once, go too. Nothing else does.
func TestDoneIsKeptAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keep = 2 * time.Hour
		mem := storetest.New(t)
		r := rig.StartWith(t, mem.Store, func(c *cloud.Config) { c.DoneRetention = keep })
		r.AddHost("sim0", sim.Config{})
		tm := r.Template("NAME=t\nCPU=1\nMEMORY=128")
		living := r.Instantiate(tm, "living")
		var first []int
		for range 3 {
			first = append(first, r.Instantiate(tm, ""))
		}
		for _, vm := range first {
			r.WaitVM(vm, one.VMActive, one.LCMRunning)
			act(t, r, vm, "terminate-hard")
			r.WaitVM(vm, one.VMDone, 0)
		}
		// Histories of other length than tests have the patience to make: more
		// records than one transaction may touch, and many VMs with some.
		v, _ := r.Store.View().VM(first[0])
		for n := range 1300 {
			long := *v
			long.History = append(slices.Clone(v.History), &one.History{OID: v.ID, Seq: n + 1})
			v = &long
		}
		for n := 400; n <= len(v.History); n += 300 {
			part := *v
			part.History = v.History[:n]
			r.Do(func(tx *store.Tx) { tx.PutVM(&part) })
		}
		time.Sleep(keep / 2)
		last := r.Instantiate(tm, "last")
		r.WaitVM(last, one.VMActive, one.LCMRunning)
		act(t, r, last, "terminate-hard")
		r.WaitVM(last, one.VMDone, 0)

		time.Sleep(keep/2 - time.Minute)
		if got, want := done(r.Store.View()), append(slices.Clone(first), last); !slices.Equal(got, want) {
			t.Errorf("before their time there are %v, want %v", got, want)
		}
		time.Sleep(keep/4 + 2*time.Minute)
		if got := done(r.Store.View()); !slices.Equal(got, []int{last}) {
			t.Errorf("after the time of the first there are %v, want %d", got, last)
		}
		// What was removed is gone from disk as well.
		r.Stop()
		mem.Crash()
		if got := done(mem.View()); !slices.Equal(got, []int{last}) {
			t.Errorf("after a restart there are %v, want %d", got, last)
		}
		time.Sleep(keep)
		r.Resume(mem.Store) // it looks as soon as it leads
		r.Wait("the last to be removed", func(st *store.State) bool { return st.DoneVMs.Len() == 0 })
		if v, ok := r.Store.View().VM(living); !ok || v.State == one.VMDone {
			t.Error("a living VM was removed")
		}
	})
}

// done returns the VMs in DONE, ascending.
func done(st *store.State) (ids []int) {
	for id := range st.DoneVMs.All() {
		ids = append(ids, id)
	}
	return ids
}

// With no retention VMs in DONE stay.
func TestDoneIsKeptForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig.StartWith(t, storetest.New(t).Store, func(c *cloud.Config) { c.DoneRetention = 0 })
		r.AddHost("sim0", sim.Config{})
		vm := r.Instantiate(r.Template("NAME=t\nCPU=1\nMEMORY=128"), "a")
		r.WaitVM(vm, one.VMActive, one.LCMRunning)
		act(t, r, vm, "terminate-hard")
		r.WaitVM(vm, one.VMDone, 0)
		time.Sleep(24 * time.Hour)
		if _, ok := r.Store.View().VM(vm); !ok {
			t.Error("it was removed")
		}
	})
}
