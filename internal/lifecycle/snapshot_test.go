package lifecycle_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
)

// changeSnapshot takes a snapshot of a VM or of its disk 1, goes back to one, or
// deletes one.
func changeSnapshot(r *rig.Rig, vm int, how string, snap int) error {
	const disk = 1
	var err error
	switch how {
	case "snapshot-create":
		_, err = r.Cloud.CreateSnapshot(r.Context(), r.Admin, vm, "")
	case "snapshot-revert":
		err = r.Cloud.RevertSnapshot(r.Context(), r.Admin, vm, snap)
	case "snapshot-delete":
		err = r.Cloud.DeleteSnapshot(r.Context(), r.Admin, vm, snap)
	case "disk-snapshot-create":
		_, err = r.Cloud.CreateDiskSnapshot(r.Context(), r.Admin, vm, disk, "")
	case "disk-snapshot-revert":
		err = r.Cloud.RevertDiskSnapshot(r.Context(), r.Admin, vm, disk, snap)
	case "disk-snapshot-delete":
		err = r.Cloud.DeleteDiskSnapshot(r.Context(), r.Admin, vm, disk, snap)
	default:
		err = fmt.Errorf("%s is not known", how)
	}
	return err
}

// snapshotChanges are what changeSnapshot knows.
var snapshotChanges = []string{
	"snapshot-create", "snapshot-revert", "snapshot-delete", "disk-snapshot-create", "disk-snapshot-revert", "disk-snapshot-delete",
}

// checkSnapshots looks at the snapshots of a VM that is at rest: the host is at none,
// those that are there were made, and what disks have their images keep.
func checkSnapshots(t *testing.T, st *store.State, v *one.VM) {
	t.Helper()
	if v.SnapshotWork != (one.SnapshotWork{}) {
		t.Errorf("%s: the host of VM %d is at %+v", v.StateName(), v.ID, v.SnapshotWork)
	}
	for _, s := range v.Template.Vectors("SNAPSHOT") {
		if s.Has("ACTION") || s.Get("HYPERVISOR_ID") != "snap-"+s.Get("SNAPSHOT_ID") {
			t.Errorf("%s: VM %d has the snapshot %v", v.StateName(), v.ID, s)
		}
	}
	for _, disk := range v.Template.Vectors("DISK") {
		var id, image int
		if n, _ := fmt.Sscan(disk.Get("DISK_ID")+" "+disk.Get("IMAGE_ID"), &id, &image); n != 2 || v.State == one.VMDone {
			continue
		}
		mine, _ := one.ReadDiskSnapshots(v.Snapshots, id)
		kept, _ := one.ReadImageSnapshots(st.Images.At(image).Snapshots)
		if !mine.Template().Equal(kept.Template()) && len(mine.All)+len(kept.All) > 0 {
			t.Errorf("%s: disk %d of VM %d has %s, its image %s", v.StateName(), id, v.ID, mine.Template().Text(), kept.Template().Text())
		}
		if size := fmt.Sprint(mine.TotalMB()); len(mine.All) > 0 && disk.Get("DISK_SNAPSHOT_TOTAL_SIZE") != size {
			t.Errorf("%s: the snapshots of disk %d of VM %d have %s MB, it says %s", v.StateName(), id, v.ID, size, disk.Get("DISK_SNAPSHOT_TOTAL_SIZE"))
		}
	}
}

// wantDomainSnapshots compares the snapshots of a VM that runs with its domain's.
func wantDomainSnapshots(t *testing.T, r *rig.Rig, host int, v *one.VM) {
	t.Helper()
	if !v.Running() {
		return
	}
	var want []string
	for _, s := range v.Template.Vectors("SNAPSHOT") {
		want = append(want, s.Get("HYPERVISOR_ID"))
	}
	d, _ := one.ReadDiskSnapshots(v.Snapshots, 1)
	for _, s := range d.All {
		want = append(want, one.DiskSnapshotName(s.ID))
	}
	got, err := r.Sim(host).Snapshots(fmt.Sprintf("one-%d", v.ID))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("the domain of VM %d has the snapshots %q (%v), the VM %q", v.ID, got, err, want)
	}
}

// TestSnapshotsOfVMsThatAreOff: the host works on files, also when the server dies
// meanwhile, and the VM is what it was.
func TestSnapshotsOfVMsThatAreOff(t *testing.T) {
	type step struct {
		change string
		during one.LCMState
	}
	for _, c := range []struct {
		off   string
		state one.VMState
		steps []step
	}{
		{"poweroff-hard", one.VMPoweroff, []step{
			{"snapshot-delete", one.LCMHotplugSnapshot}, {"disk-snapshot-create", one.LCMDiskSnapshotPoweroff},
			{"disk-snapshot-revert", one.LCMDiskSnapshotRevertPoweroff}, {"disk-snapshot-create", one.LCMDiskSnapshotPoweroff},
			{"disk-snapshot-delete", one.LCMDiskSnapshotDeletePoweroff},
		}},
		{"suspend", one.VMSuspended, []step{
			{"disk-snapshot-create", one.LCMDiskSnapshotSuspended}, {"disk-snapshot-create", one.LCMDiskSnapshotSuspended},
			{"disk-snapshot-delete", one.LCMDiskSnapshotDeleteSuspended},
		}},
	} {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprint(c.off, " crash ", crash), func(t *testing.T) {
				mem := storetest.New(t)
				r := rig.Start(t, mem.Store)
				r.AddHost("sim0", sim.Config{})
				network(t, r)
				persistent(t, r)
				vm := r.Instantiate(r.Template(withNIC), "a")
				for _, change := range []string{"disk-attach", "snapshot-create", c.off} {
					r.Wait("rest before "+change, settled)
					act(t, r, vm, change)
				}
				r.WaitVM(vm, c.state, 0)
				for _, s := range c.steps {
					snap := map[string]int{"disk-snapshot-delete": 1}[s.change]
					if err := changeSnapshot(r, vm, s.change, snap); err != nil {
						t.Fatalf("%s: %v", s.change, err)
					}
					if crash {
						r.Stop()
						mem.Crash()
						r.Resume(mem.Store)
					}
					v := r.WaitVM(vm, c.state, 0)
					if v.PrevLCM != s.during {
						t.Errorf("%s passed through %s, want %s", s.change, v.PrevLCM, s.during)
					}
					checkSnapshots(t, r.Store.View(), v)
				}
				v, _ := r.Store.View().VM(vm)
				d, _ := one.ReadDiskSnapshots(v.Snapshots, 1)
				if len(d.All) != 1 || d.Base != 0 || v.Template.Has("SNAPSHOT") != (c.off == "suspend") {
					t.Errorf("in the end there are %+v, and %s", d, v.Template.Text())
				}
				finish(t, r, vm)
				if kept, _ := one.ReadImageSnapshots(r.Store.View().Images.At(0).Snapshots); len(kept.All) != 1 {
					t.Errorf("the image keeps %+v", kept)
				}
			})
		}
	}
}

// A VM that is made anew has no snapshots but those of persistent images.
func TestRecreatedVMHasNoSnapshots(t *testing.T) {
	r := rig.Start(t, storetest.New(t).Store)
	host := r.AddHost("sim0", sim.Config{})
	network(t, r)
	persistent(t, r)
	vm := r.Instantiate(r.Template(withNIC), "a")
	for _, change := range []string{"disk-attach", "snapshot-create", "disk-snapshot-create"} {
		r.Wait("rest before "+change, settled)
		act(t, r, vm, change)
	}
	r.Wait("rest", settled)
	if err := r.Cloud.RecoverVM(r.Context(), r.Admin, vm, 4); err != nil {
		t.Fatal(err)
	}
	r.Wait("rest", settled)
	v := r.WaitVM(vm, one.VMActive, one.LCMRunning)
	if d, _ := one.ReadDiskSnapshots(v.Snapshots, 1); v.Template.Has("SNAPSHOT") || len(d.All) != 1 {
		t.Errorf("made anew it has %s and %+v", v.Template.Text(), d)
	}
	if got, err := r.Sim(host).Snapshots("one-0"); err != nil || len(got) != 0 {
		t.Errorf("its domain has %q (%v)", got, err)
	}
}
