package machine

import (
	"strconv"
	"time"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// diskSnapshotStates are the states in which a host works on a snapshot of a disk: by
// what is done, of a VM that runs, is powered off, or is suspended.
var diskSnapshotStates = map[one.Action]map[one.VMState]one.LCMState{
	one.ActionDiskSnapshotCreate: {
		one.VMActive: one.LCMDiskSnapshot, one.VMPoweroff: one.LCMDiskSnapshotPoweroff, one.VMSuspended: one.LCMDiskSnapshotSuspended,
	},
	one.ActionDiskSnapshotRevert: {one.VMPoweroff: one.LCMDiskSnapshotRevertPoweroff},
	one.ActionDiskSnapshotDelete: {
		one.VMActive: one.LCMDiskSnapshotDelete, one.VMPoweroff: one.LCMDiskSnapshotDeletePoweroff, one.VMSuspended: one.LCMDiskSnapshotDeleteSuspended,
	},
}

// CanWorkOnDiskSnapshot tells whether something may be done about a snapshot of a
// disk in a VM's state. Source: VM lifecycle reference §3.5.
func CanWorkOnDiskSnapshot(v *one.VM, what one.Action) bool {
	_, ok := diskSnapshotStates[what][v.State]
	return ok && (v.State != one.VMActive || v.Running())
}

// TakeDiskSnapshot begins a snapshot of a disk, and returns its id; d are those the
// disk has. Whether the VM's state allows it is the caller's to check, here and below.
func TakeDiskSnapshot(v *one.VM, disk int, d one.DiskSnapshots, name string, sizeMB int64, who Who, now time.Time) (Change, int) {
	d, id := d.Taken(name, sizeMB, now.Unix())
	return workOnDiskSnapshot(WithDiskSnapshots(v, disk, d), one.ActionDiskSnapshotCreate, disk, id, who, now), id
}

// RevertDiskSnapshot begins to bring a disk of a VM back to a snapshot of it.
func RevertDiskSnapshot(v *one.VM, disk, id int, who Who, now time.Time) Change {
	return workOnDiskSnapshot(v, one.ActionDiskSnapshotRevert, disk, id, who, now)
}

// DeleteDiskSnapshot begins to delete a snapshot of a disk.
func DeleteDiskSnapshot(v *one.VM, disk, id int, who Who, now time.Time) Change {
	return workOnDiskSnapshot(v, one.ActionDiskSnapshotDelete, disk, id, who, now)
}

// RenameDiskSnapshot gives a snapshot of a disk another name: its host has nothing to
// do.
func RenameDiskSnapshot(v *one.VM, disk, id int, name string) Change {
	d, _ := one.ReadDiskSnapshots(v.Snapshots, disk)
	return Change{VM: WithDiskSnapshots(v, disk, d.Renamed(id, name))}
}

func workOnDiskSnapshot(v *one.VM, what one.Action, disk, id int, who Who, now time.Time) Change {
	n := *v
	n.Resched = false
	n.SnapshotWork = one.SnapshotWork{Action: what, Disk: disk, ID: id, Begun: now.UnixMilli(), Off: v.State != one.VMActive}
	lcm := diskSnapshotStates[what][v.State]
	return Change{VM: hotRecord(&n, what, who, now).WithState(one.VMActive, lcm, now.UnixMilli())}
}

// WithDiskSnapshots returns a VM with other snapshots of a disk, and what they count
// for.
func WithDiskSnapshots(v *one.VM, disk int, d one.DiskSnapshots) *one.VM {
	n := *v
	n.Snapshots = one.WithDiskSnapshots(v.Snapshots, disk, d)
	n.Template = withSnapshotSize(v.Template, disk, d.TotalMB())
	return &n
}

func withSnapshotSize(t *tmpl.Template, disk int, mb int64) *tmpl.Template {
	disks := append([]tmpl.Vector(nil), t.Vectors("DISK")...)
	for i, v := range disks {
		if v.Get("DISK_ID") == strconv.Itoa(disk) {
			disks[i] = v.With("DISK_SNAPSHOT_TOTAL_SIZE", strconv.FormatInt(mb, 10))
		}
	}
	return t.WithVectors("DISK", disks)
}

// diskSnapshotEnded is snapshotEnded for a snapshot of a disk.
func diskSnapshotEnded(v *one.VM, w one.SnapshotWork, ok bool) *one.VM {
	d, _ := one.ReadDiskSnapshots(v.Snapshots, w.Disk)
	switch deletes := w.Action == one.ActionDiskSnapshotDelete; {
	case deletes && ok, w.Creates() && !ok:
		d = d.Without(w.ID)
	case !deletes && ok:
		d = d.Active(w.ID)
	default:
		return v
	}
	return WithDiskSnapshots(v, w.Disk, d)
}

// afresh returns a VM whose disks are made anew: of its snapshots only those are left
// that persistent images hold. Source: VM lifecycle reference §3.4.
func afresh(v *one.VM) *one.VM {
	n := *v
	n.Template = v.Template.Without("SNAPSHOT")
	disks := append([]tmpl.Vector(nil), v.Template.Vectors("DISK")...)
	for i, d := range disks {
		if id, err := strconv.Atoi(d.Get("DISK_ID")); err == nil && !d.Bool("PERSISTENT") {
			n.Snapshots = one.WithoutDiskSnapshots(n.Snapshots, id)
			disks[i] = d.Without("DISK_SNAPSHOT_TOTAL_SIZE")
		}
	}
	if len(disks) > 0 {
		n.Template = n.Template.WithVectors("DISK", disks)
	}
	return &n
}
