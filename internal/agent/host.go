package agent

import (
	"context"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/disk"
	"github.com/trifid-cloud/trifid/internal/hostnet"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Disks is what an agent asks of the datastores of its host. Every method is
// idempotent: done again after it was cut at any point, it leads to the same end.
type Disks interface {
	// Dir is the directory of a VM, <datastores>/<system datastore>/<VM>.
	Dir(m *agentapi.Machine) string
	// Prepare puts the disks, kernel and initrd into the directory.
	Prepare(ctx context.Context, m *agentapi.Machine) error
	// Context builds the context disk; a VM without one is a success.
	Context(ctx context.Context, m *agentapi.Machine) error
	// Store moves the directory to the front end, Fetch brings it back.
	Store(ctx context.Context, m *agentapi.Machine) error
	Fetch(ctx context.Context, m *agentapi.Machine) error
	// Finish brings persistent disks back to their images and removes the
	// directory; Remove only removes it.
	Finish(ctx context.Context, m *agentapi.Machine) error
	Remove(ctx context.Context, m *agentapi.Machine) error
	// PlaceDisk is Prepare for one disk, DropDisk is Finish for it. RemoveDisk
	// removes it and saves nothing. GrowDisk makes it as large as its SIZE.
	PlaceDisk(ctx context.Context, m *agentapi.Machine, disk tmpl.Vector) error
	DropDisk(ctx context.Context, m *agentapi.Machine, disk tmpl.Vector) error
	RemoveDisk(ctx context.Context, m *agentapi.Machine, disk tmpl.Vector) error
	GrowDisk(ctx context.Context, m *agentapi.Machine, disk tmpl.Vector) error
	// The others are on the disks of a VM that does not run: they make, bring back and
	// delete a snapshot of one disk, and delete one of the whole VM.
	SnapshotDisk(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error
	RevertDisk(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error
	ForgetDisk(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error
	ForgetSnapshot(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error

	// ImportVerified refuses a file that does not have the digests.
	ImportVerified(ctx context.Context, s *agentapi.ImageSpec, sums disk.Sums) (disk.Stored, error)
	CreateImage(ctx context.Context, s *agentapi.ImageSpec) (disk.Stored, error)
	CloneImage(ctx context.Context, s *agentapi.ImageSpec) (disk.Stored, error)
	DeleteImage(ctx context.Context, s *agentapi.ImageSpec) error

	// Space measures the datastores.
	Space(ctx context.Context) ([]agentapi.DatastoreSpace, error)
}

// Networks is what an agent asks of the virtual networks of its host. Every
// method is idempotent.
type Networks interface {
	// Pre makes what the NICs of a VM are attached to, before it starts.
	Pre(ctx context.Context, m *agentapi.Machine) error
	// Post sets up the ports of a VM that runs: rules, VLANs.
	Post(ctx context.Context, m *agentapi.Machine) error
	// Clean removes what Pre and Post made, as far as no other VM needs it.
	Clean(ctx context.Context, m *agentapi.Machine) error
	// Leave is Clean for one NIC, which a VM that runs has lost: m is without it.
	Leave(ctx context.Context, m *agentapi.Machine, nic tmpl.Vector) error
}

// ContextChanger is a driver whose running domains keep the context disk they
// have until they are given the one that was built since.
type ContextChanger interface {
	ChangeContext(ctx context.Context, m *agentapi.Machine, dir string) error
}

var (
	_ Disks    = (*disk.Host)(nil)
	_ Networks = (*hostnet.Host)(nil)
)
