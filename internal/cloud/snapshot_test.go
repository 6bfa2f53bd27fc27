package cloud

import (
	"math"
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// TestRefusedSnapshots: of VMs and of disks, in the words of the reference.
// Source: VM lifecycle reference §3.5.
func TestRefusedSnapshots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	long := string(make([]byte, maxSnapshotName+1))
	create := func(vm int, name string) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return second(w.CreateSnapshot(w.ctx, who, vm, name)) }
	}
	revert := func(vm, snap int) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.RevertSnapshot(w.ctx, who, vm, snap) }
	}
	remove := func(vm, snap int) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.DeleteSnapshot(w.ctx, who, vm, snap) }
	}
	w.refuse(
		refusal{"a VM that is off", owner, create(2, ""), errs.Action, "Could not create a new snapshot for VM 2, wrong state POWEROFF."},
		refusal{"a VM that boots", owner, create(7, ""), errs.Action, "Could not create a new snapshot for VM 7, wrong state BOOT."},
		refusal{"a long name", owner, create(1, long), errs.Action, "NAME of 129 bytes, expected at most 128"},
		refusal{"a name of two lines", owner, create(1, "a\nb"), errs.Action, `NAME "a\nb", expected text of one line`},
		refusal{"a name with NUL", owner, create(1, "a\x00"), errs.Action, `NAME "a\x00", expected text of one line`},
		refusal{"a name of bytes", owner, create(1, "a\xff"), errs.Action, `NAME "a\xff", expected text of one line`},
		refusal{"a name that XML cannot hold", owner, create(1, "a\uFFFE"), errs.Action, `NAME "a\ufffe", expected text of one line`},
		refusal{"revert to less than nothing", owner, revert(1, -1), errs.Action, "Could not revert VM 1 to snapshot -1, it does not exist."},
		refusal{"delete of more than there may be", owner, remove(1, math.MaxInt), errs.Action, "Could not delete snapshot 9223372036854775807 for VM 1, it does not exist."},
		refusal{"revert of a VM that is off", owner, revert(2, 0), errs.Action, "Could not revert VM 2 to snapshot 0, wrong state POWEROFF."},
		refusal{"revert to nothing", owner, revert(1, 5), errs.Action, "Could not revert VM 1 to snapshot 5, it does not exist."},
		refusal{"delete of a VM on hold", owner, remove(3, 0), errs.Action, "Could not delete snapshot 0 for VM 3, wrong state HOLD."},
		refusal{"delete of nothing", owner, remove(1, 5), errs.Action, "Could not delete snapshot 5 for VM 1, it does not exist."},
		refusal{"delete of nothing of a VM that is off", owner, remove(2, 5), errs.Action, "Could not delete snapshot 5 for VM 2, it does not exist."},
	)
}

// TestRefusedDiskSnapshots: likewise. Sources: VM lifecycle reference §3.5, resources
// reference §3.5.
func TestRefusedDiskSnapshots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(func(tx *store.Tx) {
		v := *tx.VMs.At(2)
		v.Template = v.Template.Merge(parsed(`DISK=[DISK_ID=0,TYPE=SWAP,SIZE=1] DISK=[DISK_ID=1,IMAGE_ID=999,FORMAT=qcow2,SIZE=10]
			DISK=[DISK_ID=2,IMAGE_ID=999,FORMAT=raw,SIZE=10] DISK=[DISK_ID=3,IMAGE_ID=999,FORMAT=raw,READONLY=YES,SIZE=10] DISK=[DISK_ID=4,IMAGE_ID=999,FORMAT=qcow2,SIZE=10]`))
		d, _ := one.NewDiskSnapshots("NO").Taken("a", 10, 1)
		d, _ = d.Active(0).Taken("b", 10, 2)
		v.Snapshots = one.WithDiskSnapshots(nil, 1, d)
		tx.PutVM(&v)
		on := *tx.VMs.At(1)
		on.Template, on.Snapshots = on.Template.Merge(parsed("DISK=[DISK_ID=1,IMAGE_ID=999,FORMAT=qcow2,SIZE=10]")), v.Snapshots
		tx.PutVM(&on)
		booting := *tx.VMs.At(7)
		booting.Template, booting.Snapshots = on.Template, v.Snapshots
		tx.PutVM(&booting)
	})
	create := func(vm, disk int) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return second(w.CreateDiskSnapshot(w.ctx, who, vm, disk, "x")) }
	}
	revert := func(vm, disk, snap int) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.RevertDiskSnapshot(w.ctx, who, vm, disk, snap) }
	}
	remove := func(vm, disk, snap int) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.DeleteDiskSnapshot(w.ctx, who, vm, disk, snap) }
	}
	rename := func(disk, snap int, name string) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.RenameDiskSnapshot(w.ctx, who, 2, disk, snap, name) }
	}
	w.refuse(
		refusal{"no disk", owner, create(2, 9), errs.Action, "VM disk does not exist"},
		refusal{"a volatile disk", owner, create(2, 0), errs.Action, "Cannot make snapshots on volatile disks"},
		refusal{"a raw disk", owner, create(2, 2), errs.Action, "Cannot make snapshots on disks in format raw, expected qcow2"},
		refusal{"a CD", owner, create(2, 3), errs.Action, "Cannot make snapshots on readonly disks"},
		refusal{"a VM that boots", owner, create(7, 1), errs.Action, "Could not create a new snapshot for VM 7, wrong state BOOT."},
		refusal{"revert of a VM that runs", owner, revert(1, 1, 0), errs.Action, "Could not revert to disk snapshot for VM 1, wrong state RUNNING."},
		refusal{"revert of no disk", owner, revert(2, 9, 0), errs.Action, "VM disk does not exist"},
		refusal{"revert of a disk without any", owner, revert(2, 4, 0), errs.Action, "VM disk does not have snapshots"},
		refusal{"revert to nothing", owner, revert(2, 1, 7), errs.Action, "Snapshot does not exist"},
		refusal{"delete of a VM that boots", owner, remove(7, 1, 0), errs.Action, "Could not delete disk snapshot from VM 7, wrong state BOOT."},
		refusal{"delete of nothing", owner, remove(1, 1, 7), errs.Action, "Snapshot does not exist"},
		refusal{"delete of what others come from", owner, remove(1, 1, 0), errs.Action, "Cannot delete the active snapshot with children"},
		refusal{"a name of nothing", owner, rename(1, 0, ""), errs.Action, "New snapshot name cannot be empty"},
		refusal{"a long name", owner, rename(1, 0, string(make([]byte, maxSnapshotName+1))), errs.Action, "NAME of 129 bytes, expected at most 128"},
		refusal{"a name of two lines", owner, rename(1, 0, "a\r\nb"), errs.Action, `NAME "a\r\nb", expected text of one line`},
		refusal{"a disk of no number", owner, create(2, -1), errs.Action, "VM disk does not exist"},
		refusal{"rename of nothing", owner, rename(1, 7, "x"), errs.Action, "Snapshot does not exist"},
	)
}

// TestSnapshotsCount: memory counts for the snapshot of a VM, the size of the disk for
// one of it, and of a persistent image for the image's owner.
func TestSnapshotsCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	limit := func(text string) {
		t.Helper()
		if err := w.SetUserQuota(w.ctx, w.as(0), owner, parsed(text)); err != nil {
			t.Fatal(err)
		}
	}
	limit("VM=[SYSTEM_DISK_SIZE=60, VMS=-2, CPU=-2, MEMORY=-2]")
	create := func(w *world, who auth.Caller) error { return second(w.CreateSnapshot(w.ctx, who, 1, "")) }
	w.refuse(refusal{"beyond the quota", owner, create, errs.Authorization, user60})
	if used := w.store.View().UserUsage(owner).VM.SystemDiskSize; used != 1 {
		t.Errorf("used before: %v", used)
	}
	limit("VM=[SYSTEM_DISK_SIZE=65, VMS=-2, CPU=-2, MEMORY=-2]")
	if err := create(w, w.as(owner)); err != nil {
		t.Fatal(err)
	}
	if used := w.store.View().UserUsage(owner).VM.SystemDiskSize; used != 65 {
		t.Errorf("used with a snapshot: %v, want 1 of a disk and 64 of memory", used)
	}
}

// user60 refuses more than 60 MB.
const user60 = "User [2] : user [2] limit of 60 reached for SYSTEM_DISK_SIZE quota in VM."

// TestImagesKeepSnapshots: what becomes of a persistent disk's snapshots is kept with
// its image, and the next VM has them.
func TestImagesKeepSnapshots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var vm int
	w.do(func(tx *store.Tx) {
		i := *tx.Images.At(0)
		i.Persistent, i.Format, i.Size = true, "qcow2", 10
		tx.PutImage(&i)
	})
	newVM := func() *one.VM {
		t.Helper()
		id, err := w.AllocateVM(w.ctx, w.as(owner), parsed("CPU=1 MEMORY=64 DISK=[IMAGE_ID=0]"), true)
		if err != nil {
			t.Fatal(err)
		}
		vm = id
		return w.store.View().VMs.At(id)
	}
	finish := func(ok bool) {
		w.do(func(tx *store.Tx) {
			v := tx.VMs.At(vm)
			ch, _ := machine.Finish(v, ok, "", worldTime)
			if err := w.Apply(tx, keeper, v, ch); err != nil {
				t.Fatal(err)
			}
		})
	}
	stored := func() float64 {
		return w.store.View().UserUsage(owner).Datastores[w.store.View().Images.At(0).DatastoreID].Size
	}
	first := newVM()
	w.do(func(tx *store.Tx) {
		tx.PutVM(tx.VMs.At(vm).WithState(one.VMPoweroff, 0, 1).WithNewRecord(one.History{HID: 0, DSID: 0, VMMad: "dummy", TMMad: "dummy"}))
	})
	before := stored()
	if _, err := w.CreateDiskSnapshot(w.ctx, w.as(owner), vm, 0, "clean"); err != nil {
		t.Fatal(err)
	}
	if more := stored() - before; more != 10 || !w.store.View().VMs.At(vm).Active(one.LCMDiskSnapshotPoweroff) {
		t.Errorf("a snapshot that is made counts for %v MB", more)
	}
	finish(false)
	if more := stored() - before; more != 0 || w.store.View().Images.At(0).Snapshots.Has("SNAPSHOT") {
		t.Errorf("one that failed counts for %v MB", more)
	}
	if _, err := w.CreateDiskSnapshot(w.ctx, w.as(owner), vm, 0, "clean"); err != nil {
		t.Fatal(err)
	}
	finish(true)
	const kept = `ALLOW_ORPHANS="NO" CURRENT_BASE="1" NEXT_SNAPSHOT="2" SNAPSHOT=[ACTIVE="YES",DATE="1700000000",ID="1",NAME="clean",PARENT="-1",SIZE="10"]`
	want := parsed(kept)
	if got := w.store.View().Images.At(0).Snapshots; !got.Equal(want) {
		t.Errorf("the image keeps %s, want %s", got.Text(), want.Text())
	}
	if err := w.VMAction(w.ctx, w.as(owner), vm, "terminate"); err != nil {
		t.Fatal(err)
	}
	finish(true)
	second := newVM()
	if second.ID == first.ID || second.Template.Vector("DISK").Get("DISK_SNAPSHOT_TOTAL_SIZE") != "10" {
		t.Errorf("the disk of the next VM is %v", second.Template.Vector("DISK"))
	}
	if d, ok := one.ReadDiskSnapshots(second.Snapshots, 0); !ok || d.Base != 1 || len(d.All) != 1 {
		t.Errorf("the next VM has the snapshots %+v", d)
	}
	if more := stored() - before; more != 10 {
		t.Errorf("after all they count for %v MB", more)
	}
	// All of them go, and their ids are not used again by the next VM.
	w.do(func(tx *store.Tx) {
		tx.PutVM(tx.VMs.At(vm).WithState(one.VMPoweroff, 0, 1).WithNewRecord(one.History{HID: 0, DSID: 0, VMMad: "dummy", TMMad: "dummy"}))
	})
	if err := w.DeleteDiskSnapshot(w.ctx, w.as(owner), vm, 0, 1); err != nil {
		t.Fatal(err)
	}
	finish(true)
	if err := w.VMAction(w.ctx, w.as(owner), vm, "terminate"); err != nil {
		t.Fatal(err)
	}
	finish(true)
	newVM()
	w.do(func(tx *store.Tx) {
		tx.PutVM(tx.VMs.At(vm).WithState(one.VMPoweroff, 0, 1).WithNewRecord(one.History{HID: 0, DSID: 0, VMMad: "dummy", TMMad: "dummy"}))
	})
	if id, err := w.CreateDiskSnapshot(w.ctx, w.as(owner), vm, 0, ""); err != nil || id != 2 {
		t.Errorf("the first snapshot of the third VM is %d (%v), want 2", id, err)
	}
}
