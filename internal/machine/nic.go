package machine

import (
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// nicOps are the operations by which a host changes a NIC. Aliases are addresses
// and no devices, but the host's rules and the context know them.
var nicOps = map[one.Action]agentapi.Op{
	one.ActionNICAttach: agentapi.OpAttachNIC, one.ActionAliasAttach: agentapi.OpAttachNIC,
	one.ActionNICDetach: agentapi.OpDetachNIC, one.ActionAliasDetach: agentapi.OpDetachNIC,
	one.ActionNICUpdate: agentapi.OpUpdateNIC,
}

// hotplugTime is how long a change of a device may take: a guest must let go of
// what it is to lose.
const hotplugTime = 2 * time.Minute

// marker is set in NICs and disks that are on their way in or out.
const marker = "ATTACH"

// ChangeNIC begins a change of a NIC: t is the VM's template with a new or an
// updated NIC in it, and with the one that is to go still there. A VM that runs
// enters HOTPLUG_NIC, of another the change is made at once. Whether the VM's
// state allows it is the caller's to check. Source: VM lifecycle reference §3.5.
func ChangeNIC(v *one.VM, t *tmpl.Template, h one.Hotplug, who Who, now time.Time) Change {
	n := *v
	n.Template = t
	if h.Action != one.ActionNICUpdate {
		n.Resched = false
	}
	if !v.Running() {
		if h.Action == one.ActionNICUpdate {
			return Change{VM: &n}
		}
		return hotplugged(hotRecord(&n, h.Action, who, now), h, true)
	}
	for _, nic := range affected(t, h.NIC) {
		n.Template = one.WithNIC(n.Template, nic.With(marker, "YES"))
	}
	n.Hotplug = h
	return Change{VM: hotRecord(&n, h.Action, who, now).WithState(one.VMActive, one.LCMHotplugNIC, now.UnixMilli())}
}

// Plugged returns what the host of a VM in HOTPLUG_NIC is told: the VM's template
// as it is to be afterwards, and the NIC that is changed.
func Plugged(v *one.VM) (t *tmpl.Template, nic tmpl.Vector) {
	t = withoutHotplug(v).Template
	nic, _, _ = one.NIC(t, v.Hotplug.NIC)
	if v.Hotplug.Detaches() {
		t, _ = one.WithoutNIC(t, v.Hotplug.NIC)
	}
	return t, nic
}

// affected returns a NIC and its aliases.
func affected(t *tmpl.Template, id int) []tmpl.Vector {
	_, gone := one.WithoutNIC(t, id)
	return gone
}

// hotRecord closes the newest record with an action and opens a copy of it.
func hotRecord(v *one.VM, code one.Action, who Who, now time.Time) *one.VM {
	running := v.State == one.VMActive
	n := noteAction(v, code, who).WithLastRecord(func(h *one.History) {
		if running {
			h.RETime = now.Unix()
		}
	})
	return newRecord(n, now).WithLastRecord(func(h *one.History) {
		h.RSTime = now.Unix()
		if !running {
			h.RETime = now.Unix()
		}
	})
}

// hotplugged is what becomes of a VM once a change of a NIC was made, or was not:
// then it is undone.
func hotplugged(v *one.VM, h one.Hotplug, ok bool) Change {
	n := *v
	c := Change{VM: &n}
	switch {
	case ok == h.Detaches() && (h.Detaches() || h.Attaches()):
		n.Template, c.Freed = one.WithoutNIC(n.Template, h.NIC)
		c.NICs = true
	case h.Detaches():
		c.NICs = true // it stays after all, and the context is to know it again
	case h.Action == one.ActionNICUpdate && !ok:
		if before := h.Before.Vector("NIC"); before != nil {
			n.Template = one.WithNIC(n.Template, before)
		}
	}
	return c
}

// withoutHotplug returns a VM that is in the middle of no change of a device.
func withoutHotplug(v *one.VM) *one.VM {
	n := *v
	n.Hotplug = one.Hotplug{}
	unmark := func(device tmpl.Vector) tmpl.Vector {
		if device.Has(marker) || device.Has(resizing) {
			return device.Without(marker, resizing, sizeBefore)
		}
		return device
	}
	n.Template = one.EditDisks(one.EditNICs(n.Template, unmark), unmark)
	return &n
}
