package machine

import (
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// diskChanges say for each change of a disk of a VM that runs, and of one that is
// off, the state in which it is made and what the host does there.
// Source: VM lifecycle reference §3.5.
var diskChanges = map[one.Action]struct {
	running, off     one.LCMState
	runningOp, offOp agentapi.Op
}{
	one.ActionDiskAttach: {one.LCMHotplug, one.LCMHotplugPrologPoweroff, agentapi.OpAttachDisk, agentapi.OpPlaceDisk},
	one.ActionDiskDetach: {one.LCMHotplug, one.LCMHotplugEpilogPoweroff, agentapi.OpDetachDisk, agentapi.OpDropDisk},
	one.ActionDiskResize: {one.LCMDiskResize, one.LCMDiskResizePoweroff, agentapi.OpResizeDisk, agentapi.OpGrowDisk},
}

// resizing is set in disks that grow, sizeBefore is their size until then.
const (
	resizing   = "RESIZE"
	sizeBefore = "SIZE_PREV"
)

// ChangeDisk begins a change of a disk: t is the VM's template with a disk that is
// to come, with one that is to go still there, and with one that is to grow in its
// new size. Whether the VM's state allows it
// is the caller's to check: it runs or is powered off.
// Source: VM lifecycle reference §3.5.
func ChangeDisk(v *one.VM, t *tmpl.Template, h one.Hotplug, who Who, now time.Time) Change {
	n := *v
	n.Resched = false
	disk, _ := one.Disk(t, h.Disk)
	if h.Action == one.ActionDiskResize {
		before, _ := one.Disk(v.Template, h.Disk)
		disk = disk.With(resizing, "YES").With(sizeBefore, before.Get("SIZE"))
	} else {
		disk = disk.With(marker, "YES")
	}
	n.Template = one.WithDisk(t, disk)
	n.Hotplug = h
	to := diskChanges[h.Action].off
	if v.Running() {
		to = diskChanges[h.Action].running
	}
	return Change{VM: hotRecord(&n, h.Action, who, now).WithState(one.VMActive, to, now.UnixMilli())}
}

// PluggedDisk is Plugged for a VM of which a disk is changed.
func PluggedDisk(v *one.VM) (t *tmpl.Template, disk tmpl.Vector) {
	t = withoutHotplug(v).Template
	disk, _ = one.Disk(t, v.Hotplug.Disk)
	if v.Hotplug.Detaches() {
		t = one.WithoutDisk(t, v.Hotplug.Disk)
	}
	return t, disk
}

// diskOp returns what a host does for the change of a disk that a VM is in the
// middle of.
func diskOp(v *one.VM) agentapi.Op {
	c := diskChanges[v.Hotplug.Action]
	if v.LCM == c.running {
		return c.runningOp
	}
	return c.offOp
}

// diskChanged is what becomes of a VM once a change of a disk was made, or was not:
// then it is undone.
func diskChanged(old, v *one.VM, ok bool) Change {
	h, c := old.Hotplug, Change{VM: v}
	if h.Action == one.ActionDiskResize {
		was, _ := one.Disk(old.Template, h.Disk)
		disk, there := one.Disk(v.Template, h.Disk)
		if !ok && there {
			n := *v
			n.Template = one.WithDisk(v.Template, disk.With("SIZE", was.Get(sizeBefore)))
			c.VM = &n
		}
		return c
	}
	if ok != h.Detaches() {
		return c
	}
	n := *v
	if disk, there := one.Disk(v.Template, h.Disk); there {
		c.Lost = []tmpl.Vector{disk}
	}
	n.Template = one.WithoutDisk(v.Template, h.Disk)
	c.VM = &n
	return c
}
