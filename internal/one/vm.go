package one

import "github.com/trifid-cloud/trifid/internal/tmpl"

// VM is a virtual machine. It is one immutable value above the store; below it
// the core, the user template and each history record are keys of their own,
// because guests write the user template often and the lifecycle rarely does.
type VM struct {
	VMCore
	// UserTemplate holds what the core does not use: guests and clients write here.
	UserTemplate *tmpl.Template
	// History holds the records in order of Seq; each is shared between versions
	// of the VM and never changed in place (use WithLastRecord, WithNewRecord).
	History []*History
}

// VMCore is all of a VM but its user template and history. It is comparable, so
// that the store can tell cheaply whether a new version must be written: keep
// slices and maps out of it.
type VMCore struct {
	Meta
	State        VMState
	LCM          LCMState
	PrevState    VMState
	PrevLCM      LCMState
	Resched      bool
	STime, ETime int64 // epoch seconds: created, done (0: not yet)
	DeployID     string
	Template     *tmpl.Template
	ServiceID    int            // the OneFlow service it belongs to, -1 for none
	Role         string         // the service's role
	VRouterID    int            // the virtual router it belongs to, -1 for none
	Snapshots    *tmpl.Template // SNAPSHOTS vectors of disks, as template attributes
	// Attempt counts the states entered and tries made: a step is named by
	// (VM, history sequence, state, attempt), and results of other names are stale.
	Attempt int
	// Since is when the current state was entered, epoch milliseconds; deadlines
	// of steps count from it, so that they survive a restart.
	Since int64
	// Hard tells the shutdown states to cancel instead of asking the guest.
	Hard bool
	// Origin is the state a PENDING VM was resumed from, STOPPED or UNDEPLOYED,
	// and INIT for one that is new: it tells how the next deploy begins.
	Origin VMState
	// Hotplug is what the host is at in HOTPLUG, HOTPLUG_NIC and their like.
	Hotplug Hotplug `json:",omitzero"`
	// Migration is how the VM goes to another host, if it does.
	Migration Migration `json:",omitzero"`
	// SnapshotWork is what the host is at in HOTPLUG_SNAPSHOT and DISK_SNAPSHOT*.
	SnapshotWork SnapshotWork `json:",omitzero"`
}

// Active tells whether the VM is in STATE active with this LCM state.
func (v *VM) Active(l LCMState) bool { return v.State == VMActive && v.LCM == l }

// Running tells whether the VM is ACTIVE/RUNNING.
func (v *VM) Running() bool { return v.Active(LCMRunning) }

// StateName is how messages name the VM's state.
func (v *VM) StateName() string { return StateString(v.State, v.LCM) }

// LastRecord returns the newest history record, nil before the first deploy.
func (v *VM) LastRecord() *History {
	if len(v.History) == 0 {
		return nil
	}
	return v.History[len(v.History)-1]
}

// HostID returns the host of the newest history record, -1 without one.
func (v *VM) HostID() int {
	if h := v.LastRecord(); h != nil {
		return h.HID
	}
	return -1
}

// Seq returns the sequence number of the newest history record, -1 without one.
func (v *VM) Seq() int { return len(v.History) - 1 }

// HoldsCapacity tells whether the VM is charged to the host of its newest
// record. Source: VM lifecycle reference §1.1.
func (v *VM) HoldsCapacity() bool {
	switch v.State {
	case VMActive, VMSuspended, VMPoweroff:
		return len(v.History) > 0
	}
	return false
}

// CountsAsRunning tells whether the RUNNING_* quotas count the VM.
func (v *VM) CountsAsRunning() bool {
	switch v.State {
	case VMActive, VMPending, VMHold, VMCloning, VMCloningFailure:
		return true
	}
	return false
}

// WithUserTemplate returns a copy whose user template is t.
func (v *VM) WithUserTemplate(t *tmpl.Template) *VM {
	c := *v
	c.UserTemplate = t
	return &c
}

// WithState returns a copy in the given state, the present one remembered as
// the previous, at the given epoch milliseconds.
func (v *VM) WithState(s VMState, l LCMState, nowMillis int64) *VM {
	c := *v
	if s != v.State || l != v.LCM {
		c.PrevState, c.PrevLCM = v.State, v.LCM
	}
	c.State, c.LCM, c.Attempt, c.Since = s, l, v.Attempt+1, nowMillis
	return &c
}

// WithLastRecord returns a copy whose newest record is changed by f; f gets a
// copy of that record. Without a record the VM is returned as it is.
func (v *VM) WithLastRecord(f func(*History)) *VM {
	if len(v.History) == 0 {
		return v
	}
	c := *v
	last := *v.LastRecord()
	f(&last)
	c.History = make([]*History, len(v.History))
	copy(c.History, v.History)
	c.History[len(c.History)-1] = &last
	return &c
}

// WithNewRecord returns a copy with one more record; its OID and Seq are set here.
func (v *VM) WithNewRecord(h History) *VM {
	c := *v
	h.OID, h.Seq = v.ID, len(v.History)
	c.History = make([]*History, len(v.History), len(v.History)+1)
	copy(c.History, v.History)
	c.History = append(c.History, &h)
	return &c
}

// Capacity is what a VM takes from a host.
type Capacity struct {
	CPU    int64 // hundredths of a core
	Memory int64 // KB
	VMs    int64
}

// Add returns the sum of two capacities, Sub their difference.
func (c Capacity) Add(o Capacity) Capacity {
	return Capacity{c.CPU + o.CPU, c.Memory + o.Memory, c.VMs + o.VMs}
}

// Sub returns c less o.
func (c Capacity) Sub(o Capacity) Capacity {
	return Capacity{c.CPU - o.CPU, c.Memory - o.Memory, c.VMs - o.VMs}
}

// History is one stay of a VM on a host. Source: VM lifecycle reference §4.
// Times are epoch seconds, 0 while not yet.
type History struct {
	OID, Seq       int
	Hostname       string
	HID, CID       int
	STime, ETime   int64
	VMMad, TMMad   string
	DSID           int
	PSTime, PETime int64
	RSTime, RETime int64
	ESTime, EETime int64
	Action         Action
	UID, GID       int // who asked for Action, -1 for nobody
	RequestID      int
}
