package one

import (
	"strconv"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// SnapshotWork is the work on a snapshot that a VM's host is at while the VM is in
// HOTPLUG_SNAPSHOT or in one of the DISK_SNAPSHOT states. The zero value is none.
type SnapshotWork struct {
	Action Action // create, revert or delete, of the VM or of a disk
	ID     int    // SNAPSHOT_ID, or ID among the disk's
	Disk   int    // DISK_ID, when it is a disk's
	Begun  int64  // when it was asked for, epoch milliseconds
	Off    bool   // the VM did not run when it was asked for
}

// Creates tells whether the snapshot is new.
func (w SnapshotWork) Creates() bool {
	return w.Action == ActionSnapshotCreate || w.Action == ActionDiskSnapshotCreate
}

// OfDisk tells whether the snapshot is one of a disk.
func (w SnapshotWork) OfDisk() bool {
	switch w.Action {
	case ActionDiskSnapshotCreate, ActionDiskSnapshotRevert, ActionDiskSnapshotDelete:
		return true
	}
	return false
}

// HypervisorID is what the hypervisor knows the snapshot by. Those of disks have
// names of their own, because both kinds may be in the same file.
func (w SnapshotWork) HypervisorID() string {
	if w.OfDisk() {
		return DiskSnapshotName(w.ID)
	}
	return "snap-" + strconv.Itoa(w.ID)
}

// DiskSnapshotName is what a snapshot of a disk is called in the disk's file.
func DiskSnapshotName(id int) string { return "disk-snap-" + strconv.Itoa(id) }

// Snapshot returns the snapshot of a VM, memory included, that has an id.
func Snapshot(t *tmpl.Template, id int) (tmpl.Vector, bool) {
	for _, s := range t.Vectors("SNAPSHOT") {
		if s.Get("SNAPSHOT_ID") == strconv.Itoa(id) {
			return s, true
		}
	}
	return nil, false
}

// NextSnapshot returns the id of a VM's next snapshot.
func NextSnapshot(t *tmpl.Template) int {
	next := 0
	for _, s := range t.Vectors("SNAPSHOT") {
		if id, err := strconv.Atoi(s.Get("SNAPSHOT_ID")); err == nil {
			next = max(next, id+1)
		}
	}
	return next
}

// EditSnapshot returns the template with the snapshot of an id as f returns it; nil
// removes it.
func EditSnapshot(t *tmpl.Template, id int, f func(tmpl.Vector) tmpl.Vector) *tmpl.Template {
	key := strconv.Itoa(id)
	return editVectors(t, "SNAPSHOT", func(s tmpl.Vector) tmpl.Vector {
		if s.Get("SNAPSHOT_ID") == key {
			return f(s)
		}
		return s
	})
}

// ActivateSnapshot returns the template with the snapshot of an id marked as the one
// the VM comes from.
func ActivateSnapshot(t *tmpl.Template, id int) *tmpl.Template {
	key := strconv.Itoa(id)
	return editVectors(t, "SNAPSHOT", func(s tmpl.Vector) tmpl.Vector {
		if s.Get("SNAPSHOT_ID") == key {
			return s.With("ACTIVE", "YES")
		}
		return s.Without("ACTIVE")
	})
}
