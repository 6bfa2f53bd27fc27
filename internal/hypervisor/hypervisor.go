// Package hypervisor is the small interface behind which virtual machines run:
// libvirt, sim and others implement it, and one conformance suite holds for all.
// It knows domains, not the cloud: it imports agentapi's messages and below.
package hypervisor

import (
	"context"
	"errors"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// ErrNoDomain is returned (wrapped) for a domain the hypervisor does not have.
var ErrNoDomain = errors.New("no such domain")

// Driver runs domains. Every method is idempotent and safe to call from several
// goroutines; calls for one domain are serialised by the caller. A method
// returns only when what it did has happened, or ctx is done.
type Driver interface {
	// Info tells what the driver is and can do; it does no I/O.
	Info() Info
	// Facts measures the host: capacity, architecture, versions.
	Facts(ctx context.Context) (agentapi.Facts, error)
	// Start defines and starts the domain, or finds it running already, and
	// returns the deploy id (the domain's UUID or name).
	Start(ctx context.Context, m *agentapi.Machine, dir string) (deployID string, err error)
	// Shutdown asks the guest to power off and returns at once; ErrNoDomain when
	// it is gone. The caller repeats it and watches the events.
	Shutdown(ctx context.Context, domain string) error
	// Destroy stops the domain at once; a domain that is gone is a success.
	Destroy(ctx context.Context, domain string) error
	Reboot(ctx context.Context, domain string) error
	Reset(ctx context.Context, domain string) error
	// Save writes the guest's memory to path and stops the domain; when the
	// domain is gone and path is complete it is a success.
	Save(ctx context.Context, domain, path string) error
	// Restore starts the domain from what Save wrote.
	Restore(ctx context.Context, m *agentapi.Machine, dir, path string) (deployID string, err error)
	// State tells the state of one domain; ErrNoDomain when there is none.
	State(ctx context.Context, domain string) (agentapi.DomainState, error)
	// List tells the state of every domain on the host.
	List(ctx context.Context) ([]agentapi.Event, error)
	// Events yields changes of domains until ctx is done; a Resync event means
	// that some may be lost and List should be read again.
	Events(ctx context.Context) (<-chan Event, error)
	// Stats measures every running domain of ours, and the host.
	Stats(ctx context.Context) (agentapi.HostSample, []agentapi.VMSample, error)
	// Close lets go of the hypervisor; domains keep running.
	Close() error
}

// NICChanger is a driver that changes the NICs of running domains. A NIC is known
// by its MAC; nic is its vector in the VM's template, m the VM as it is to be
// afterwards. Each method fails with ErrNoDomain when the domain does not run.
type NICChanger interface {
	// AttachNIC gives the domain a NIC, or finds it there already.
	AttachNIC(ctx context.Context, m *agentapi.Machine, nic tmpl.Vector) error
	// DetachNIC takes a NIC from the domain, and returns when the guest has let go
	// of it; one that is not there is a success.
	DetachNIC(ctx context.Context, m *agentapi.Machine, nic tmpl.Vector) error
	// UpdateNIC gives the limits of a NIC that the domain has the values of nic.
	UpdateNIC(ctx context.Context, m *agentapi.Machine, nic tmpl.Vector) error
}

// Migrator is a driver that lets running domains go on at another host.
type Migrator interface {
	// Migrate moves the domain to the host of that name; when it is there already it is
	// a success.
	Migrate(ctx context.Context, m *agentapi.Machine, peer string) error
}

// DiskChanger is a driver that changes the disks of running domains. A disk is known
// by its TARGET; disk is its DISK in the VM's template, m the VM as it is to be
// afterwards. Each method fails with ErrNoDomain when the domain does not run.
type DiskChanger interface {
	// AttachDisk gives the domain a disk that is in dir, or finds it there already.
	AttachDisk(ctx context.Context, m *agentapi.Machine, dir string, disk tmpl.Vector) error
	// DetachDisk takes a disk from the domain, and returns when the guest has let go
	// of it; one that is not there is a success.
	DetachDisk(ctx context.Context, m *agentapi.Machine, disk tmpl.Vector) error
	// ResizeDisk makes a disk that the domain has as large as its SIZE, in MB.
	ResizeDisk(ctx context.Context, m *agentapi.Machine, disk tmpl.Vector) error
}

// Snapshotter is a driver that takes snapshots of running domains. dir is the
// directory with the VM's disks, in which it may keep what it must know of them
// after the domain has gone. Each method fails with ErrNoDomain when the domain
// does not run.
type Snapshotter interface {
	// CreateSnapshot keeps memory and disks of the domain, which goes on then. A
	// snapshot of that name that began at the same time is this one; an older one is
	// replaced.
	CreateSnapshot(ctx context.Context, m *agentapi.Machine, dir string, s agentapi.Snapshot) error
	// RevertSnapshot lets the domain go on from a snapshot.
	RevertSnapshot(ctx context.Context, m *agentapi.Machine, dir string, s agentapi.Snapshot) error
	// DeleteSnapshot deletes a snapshot; one that is not there is a success.
	DeleteSnapshot(ctx context.Context, m *agentapi.Machine, dir string, s agentapi.Snapshot) error
	// CreateDiskSnapshot keeps what is on a disk, unless a snapshot of that name is
	// there: names of disks' snapshots are not used again. DeleteDiskSnapshot deletes it.
	CreateDiskSnapshot(ctx context.Context, m *agentapi.Machine, dir string, s agentapi.Snapshot) error
	DeleteDiskSnapshot(ctx context.Context, m *agentapi.Machine, dir string, s agentapi.Snapshot) error
}

// Info is what a driver is and can do.
type Info struct {
	Name       string // "kvm", "qemu", "dummy": VM_MAD of its hosts
	NeedsDisks bool   // false: disks are imaginary and need not be prepared
	SaveMemory bool
}

// Event is a change of one domain, or the word that some were missed.
type Event struct {
	agentapi.Event
	Resync bool
}
