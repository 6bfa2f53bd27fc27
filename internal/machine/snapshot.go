package machine

import (
	"strconv"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// snapshotOps are the operations by which a host works on a snapshot.
var snapshotOps = map[one.Action]agentapi.Op{
	one.ActionSnapshotCreate:     agentapi.OpSnapshotCreate,
	one.ActionSnapshotRevert:     agentapi.OpSnapshotRevert,
	one.ActionSnapshotDelete:     agentapi.OpSnapshotDelete,
	one.ActionDiskSnapshotCreate: agentapi.OpDiskSnapshotCreate,
	one.ActionDiskSnapshotRevert: agentapi.OpDiskSnapshotRevert,
	one.ActionDiskSnapshotDelete: agentapi.OpDiskSnapshotDelete,
}

// snapshotWords are what ACTION of a snapshot says while its host is at it.
var snapshotWords = map[one.Action]string{
	one.ActionSnapshotCreate: "CREATE", one.ActionSnapshotRevert: "REVERT", one.ActionSnapshotDelete: "DELETE",
}

// snapshotStep is the row of a state in which a host works on a snapshot, see For:
// however that ends, the VM goes back to where it was.
func snapshotStep(back outcome) Step {
	return Step{Op: agentapi.OpSnapshotCreate, Timeout: saveTime, Success: back, Failure: back}
}

// TakeSnapshot begins a snapshot of a VM that runs, memory included, and returns its
// id. Whether the VM's state allows it is the caller's to check, here and below.
// Source: VM lifecycle reference §3.5.
func TakeSnapshot(v *one.VM, name string, now time.Time) (Change, int) {
	id := one.NextSnapshot(v.Template)
	if name == "" {
		name = "snapshot-" + strconv.Itoa(id)
	}
	n := *v
	n.Template = v.Template.Add(tmpl.Vec("SNAPSHOT",
		"HYPERVISOR_ID", "", "NAME", name, "SNAPSHOT_ID", strconv.Itoa(id),
		"SYSTEM_DISK_SIZE", v.Template.Get("MEMORY"), "TIME", strconv.FormatInt(now.Unix(), 10)))
	return workOnSnapshot(&n, one.ActionSnapshotCreate, id, now), id
}

// RevertSnapshot begins to bring a VM that runs back to a snapshot of it.
func RevertSnapshot(v *one.VM, id int, now time.Time) Change {
	return workOnSnapshot(v, one.ActionSnapshotRevert, id, now)
}

// DeleteSnapshot begins to delete a snapshot of a VM that runs or is powered off.
func DeleteSnapshot(v *one.VM, id int, now time.Time) Change {
	return workOnSnapshot(v, one.ActionSnapshotDelete, id, now)
}

func workOnSnapshot(v *one.VM, what one.Action, id int, now time.Time) Change {
	n := *v
	n.Resched = false
	n.Template = one.EditSnapshot(n.Template, id, func(s tmpl.Vector) tmpl.Vector { return s.With("ACTION", snapshotWords[what]) })
	n.SnapshotWork = one.SnapshotWork{Action: what, ID: id, Begun: now.UnixMilli(), Off: v.State != one.VMActive}
	return Change{VM: n.WithState(one.VMActive, one.LCMHotplugSnapshot, now.UnixMilli())}
}

// SnapshotOf returns what the host of a VM is told of the snapshot it is to work on,
// nil when there is none.
func SnapshotOf(v *one.VM) *agentapi.Snapshot {
	w := v.SnapshotWork
	if w == (one.SnapshotWork{}) {
		return nil
	}
	return &agentapi.Snapshot{Name: w.HypervisorID(), Disk: w.Disk, Begun: w.Begun, Live: !w.Off}
}

// snapshotEnded is what becomes of a VM once the work on its snapshot was done, or
// was not: one that was to be made does not stay.
func snapshotEnded(v *one.VM, ok bool) *one.VM {
	n, w := *v, v.SnapshotWork
	n.SnapshotWork = one.SnapshotWork{}
	if w.OfDisk() {
		return diskSnapshotEnded(&n, w, ok)
	}
	n.Template = one.EditSnapshot(n.Template, w.ID, func(s tmpl.Vector) tmpl.Vector {
		switch s = s.Without("ACTION"); {
		case w.Creates() && ok:
			return s.With("HYPERVISOR_ID", w.HypervisorID())
		case w.Creates() || ok && w.Action == one.ActionSnapshotDelete:
			return nil
		}
		return s
	})
	if ok && w.Action != one.ActionSnapshotDelete {
		n.Template = one.ActivateSnapshot(n.Template, w.ID)
	}
	return &n
}
