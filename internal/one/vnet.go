package one

import "github.com/trifid-cloud/trifid/internal/tmpl"

// VNet is a virtual network. Its leases are keys of their own.
// Source: XML-RPC reference §8.5, resources reference §6.
type VNet struct {
	Meta
	ClusterIDs     []int // ascending
	Bridge         string
	BridgeType     string
	State          VNetState
	ParentID       int // network this one is a reservation of, -1 for none
	VNMad          string
	PhyDev         string
	VLANID         string
	OuterVLANID    string
	VLANAutomatic  bool
	OuterAutomatic bool
	Template       *tmpl.Template
	ARs            []AR // ascending by ID; never changed in place
	NextAR         int
	Attempt        int
	Since          int64
}

// VNetState is STATE of a network.
type VNetState int

// Network states. Source: resources reference §6.1.
const (
	VNetInit VNetState = iota
	VNetReady
	VNetLockCreate
	VNetLockDelete
	VNetDone
	VNetError
	VNetUpdateFailure
)

var vnetStateNames = [...]string{"INIT", "READY", "LOCK_CREATE", "LOCK_DELETE", "DONE", "ERROR", "UPDATE_FAILURE"}

// String returns the name of the state.
func (s VNetState) String() string {
	if s < 0 || int(s) >= len(vnetStateNames) {
		return ""
	}
	return vnetStateNames[s]
}

// AR returns the address range of that id.
func (n *VNet) AR(id int) (AR, bool) {
	for _, a := range n.ARs {
		if a.ID == id {
			return a, true
		}
	}
	return AR{}, false
}

// WithAR returns a copy in which the range of a.ID is a, added if it is new.
func (n *VNet) WithAR(a AR) *VNet {
	c := *n
	c.ARs = make([]AR, 0, len(n.ARs)+1)
	done := false
	for _, old := range n.ARs {
		if old.ID == a.ID {
			old, done = a, true
		}
		c.ARs = append(c.ARs, old)
	}
	if !done {
		c.ARs = append(c.ARs, a)
	}
	return &c
}

// WithoutAR returns a copy without that range.
func (n *VNet) WithoutAR(id int) *VNet {
	c := *n
	c.ARs = nil
	for _, a := range n.ARs {
		if a.ID != id {
			c.ARs = append(c.ARs, a)
		}
	}
	return &c
}

// LeaseOwner is the kind of object that holds a lease.
type LeaseOwner uint8

// Lease owners.
const (
	LeaseHeld    LeaseOwner = iota // held by hand: VM -1
	LeaseVM                        // a NIC or alias of a VM
	LeaseVNet                      // a reservation
	LeaseVRouter                   // a floating address
)

// Lease is one taken address: the Index-th of range AR of a network.
type Lease struct {
	Net, AR int
	Index   uint32
	Owner   LeaseOwner
	OwnerID int // -1 when held
}

// Key packs network, range and index, in this order of significance.
func (l Lease) Key() LeaseKey { return MakeLeaseKey(l.Net, l.AR, l.Index) }

// LeaseKey orders leases by network, range, index: 20, 12 and 32 bits.
type LeaseKey uint64

// Bounds of the parts of a LeaseKey.
const (
	MaxNets = 1 << 20
	MaxARs  = 1 << 12
)

// MakeLeaseKey packs the parts of a key.
func MakeLeaseKey(net, ar int, index uint32) LeaseKey {
	return LeaseKey(uint64(net)<<44 | uint64(ar)<<32 | uint64(index))
}

// Parts unpacks a key.
func (k LeaseKey) Parts() (net, ar int, index uint32) {
	return int(k >> 44), int(k>>32) & (MaxARs - 1), uint32(k)
}
