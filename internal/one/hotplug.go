package one

import "github.com/trifid-cloud/trifid/internal/tmpl"

// Hotplug is the change of a device that a VM's host is at while the VM is in one
// of the states for that, such as HOTPLUG_NIC. The zero value is none.
type Hotplug struct {
	Action Action // attach or detach of a NIC, an alias or a disk, update of a NIC, resize of a disk
	NIC    int    // its NIC_ID
	Disk   int    `json:",omitzero"` // its DISK_ID
	// Before holds, of an update or a resize, the device as it was.
	Before *tmpl.Template
}

// Detaches tells whether the device is to go.
func (h Hotplug) Detaches() bool {
	return h.Action == ActionNICDetach || h.Action == ActionAliasDetach || h.Action == ActionDiskDetach
}

// Attaches tells whether the device is new.
func (h Hotplug) Attaches() bool {
	return h.Action == ActionNICAttach || h.Action == ActionAliasAttach || h.Action == ActionDiskAttach
}

// OfDisk tells whether the device is a disk.
func (h Hotplug) OfDisk() bool {
	return h.Action == ActionDiskAttach || h.Action == ActionDiskDetach || h.Action == ActionDiskResize
}
