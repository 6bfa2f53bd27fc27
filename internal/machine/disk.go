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
}

// ChangeDisk begins a change of a disk: t is the VM's template with a disk that is
// to come, and with one that is to go still there. Whether the VM's state allows it
// is the caller's to check: it runs or is powered off.
// Source: VM lifecycle reference §3.5.
func ChangeDisk(v *one.VM, t *tmpl.Template, h one.Hotplug, who Who, now time.Time) Change {
	n := *v
	n.Resched = false
	disk, _ := one.Disk(t, h.Disk)
	n.Template = one.WithDisk(t, disk.With(marker, "YES"))
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
func diskChanged(v *one.VM, h one.Hotplug, ok bool) Change {
	c := Change{VM: v}
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
