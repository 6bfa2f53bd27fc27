// Package agentapi is what a server and the agent of a host say to each other:
// steps go down; results, domain events, facts and metrics come up. The messages
// are here; the transports (in process, and gRPC over mutual TLS) are beside them.
package agentapi

import (
	"fmt"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Subject is what a step works on.
type Subject string

// The subjects of steps.
const (
	SubjectVM    Subject = "vm"
	SubjectImage Subject = "image"
	SubjectVNet  Subject = "vnet"
)

// StepID names one try of one step. An agent that sees the same id again answers
// with the result it already has; a server drops results whose id is not that of
// the subject's present state.
type StepID struct {
	Epoch   uint64 // term of the server that asks; an agent refuses lower ones than it has seen
	Subject Subject
	ID      int
	Seq     int // history sequence of a VM, 0 otherwise
	State   int // numeric state the step leaves: LCM state, image state, network state
	Attempt int
}

// String renders the id for logs: "vm/7 seq 0 state 1 attempt 0".
func (s StepID) String() string {
	return fmt.Sprintf("%s/%d seq %d state %d attempt %d", s.Subject, s.ID, s.Seq, s.State, s.Attempt)
}

// Op is what an agent is asked to do. Every operation is idempotent: doing it
// again after it was done, or after it was cut at any point, leads to the same end.
type Op string

// Operations on VMs.
const (
	OpPrepare  Op = "prepare"  // put the disks, kernel and initrd in the VM's directory
	OpStart    Op = "start"    // build the context disk, wire the networks, start the domain
	OpShutdown Op = "shutdown" // ask the guest to stop until it does; done when the domain is gone
	OpDestroy  Op = "destroy"  // stop the domain at once; done when it is gone
	OpReboot   Op = "reboot"   // ask the guest to restart
	OpReset    Op = "reset"    // restart at once
	OpSave     Op = "save"     // save memory to the checkpoint and stop the domain
	OpRestore  Op = "restore"  // context disk, networks, start the domain from the checkpoint
	OpStore    Op = "store"    // move the directory to the front end's datastore (stop, undeploy)
	OpFetch    Op = "fetch"    // bring the directory back from there
	OpFinish   Op = "finish"   // persistent disks back to their images, then remove the directory
	OpCleanup  Op = "cleanup"  // destroy the domain and remove all of it; nothing of it fails
	OpContext  Op = "context"  // rebuild the context disk of a running VM
	OpMigrate  Op = "migrate"  // let the domain go on at another host, Step.Peer, without a stop

	// Changes of a NIC of a running VM, which is Step.NIC; the template is as it is
	// to be afterwards. What fails is undone. They rebuild the context disk as well.
	OpAttachNIC Op = "attach-nic"
	OpDetachNIC Op = "detach-nic" // done when the guest has let go of it
	OpUpdateNIC Op = "update-nic" // set its limits; the context disk stays
	OpPorts     Op = "ports"      // bring the rules of a running VM's ports up to date

	// Changes of a disk, which is Step.Disk; the template is as it is to be afterwards.
	// What fails is undone. Attach and detach are of a VM that runs, place and drop of
	// one that is off.
	OpAttachDisk Op = "attach-disk" // put it in the VM's directory and give it to the domain
	OpDetachDisk Op = "detach-disk" // done when the guest has let go of it, and it is dropped
	OpPlaceDisk  Op = "place-disk"  // put it in the VM's directory
	OpResizeDisk Op = "resize-disk" // grow it to its SIZE, of a VM that runs
	OpGrowDisk   Op = "grow-disk"   // the same of a VM that is off
	OpDropDisk   Op = "drop-disk"   // bring it back to its image if it is to be saved, and remove it
)

// Operations on snapshots, of which Step.Snapshot says more. One that fails to be
// made is undone.
const (
	OpSnapshotCreate Op = "snapshot-create" // keep memory and disks of a running VM
	OpSnapshotRevert Op = "snapshot-revert" // bring them back
	OpSnapshotDelete Op = "snapshot-delete"

	OpDiskSnapshotCreate Op = "disk-snapshot-create" // keep what is on a disk
	OpDiskSnapshotRevert Op = "disk-snapshot-revert" // bring it back, of a VM that is off
	OpDiskSnapshotDelete Op = "disk-snapshot-delete"
)

// Operations on images, done by an agent that has the datastore.
const (
	OpImageImport Op = "image-import" // copy PATH into the datastore
	OpImageCreate Op = "image-create" // make an empty image
	OpImageClone  Op = "image-clone"  // copy another image
	OpImageDelete Op = "image-delete" // remove it
)

// Step is one thing to do. Exactly one of Machine and Image is set, by subject.
type Step struct {
	StepID
	Op      Op
	Timeout int64 // milliseconds from receipt, 0 for none; the agent gives up then
	Machine *Machine
	Image   *ImageSpec
	NIC     tmpl.Vector // of operations on a NIC: the NIC or alias
	Disk    tmpl.Vector // of operations on a disk: its DISK
	Peer    string      // of a migration: the name of the host to go to
	// Snapshot is set for operations on snapshots.
	Snapshot *Snapshot
}

// Snapshot is a snapshot of a VM or of one of its disks.
type Snapshot struct {
	Name string // the hypervisor's: "snap-0"
	Disk int    // of a disk's: its DISK_ID
	// Begun is when it was asked for, epoch milliseconds: an operation that is done
	// again finds its own snapshot by it, and not an older one of the same name.
	Begun int64
	Live  bool // the VM runs; else nothing uses its disks
}

// Machine is all an agent must know of a VM.
type Machine struct {
	ID       int
	Domain   string // the hypervisor's name: "one-7"
	Title    string // the VM's name
	DeployID string // what Start returned, "" before
	UName    string
	GName    string
	UID, GID int
	STime    int64 // epoch seconds
	SystemDS int   // system datastore; the directory is <datastores>/<SystemDS>/<ID>
	// Template is the VM's TEMPLATE, secrets in clear; DISK vectors carry SOURCE,
	// CLONE, SAVE, SIZE, FORMAT, TARGET and so on as the core filled them in.
	Template *tmpl.Template
	// Kernel and Initrd are paths in a files datastore or on the host, "" for none.
	Kernel, Initrd string
	Context        *Context // nil: no context disk
	// VMMad is the driver of the host: "kvm", "qemu", "dummy", …
	VMMad string
}

// Context is the content of a VM's context disk.
type Context struct {
	DiskID int
	Target string      // device, "" when the VM has none
	Vars   tmpl.Vector // the variables of context.sh, secrets in clear
	Token  string      // content of token.txt, "" for no such file
	Files  []ContextFile
	Time   int64 // epoch seconds, the timestamps of the file system
}

// ContextFile is one more file on a context disk.
type ContextFile struct {
	Name string // its name there
	Path string // where it is on the host or in a datastore
}

// ImageSpec is what an agent must know of an image.
type ImageSpec struct {
	ID          int
	DatastoreID int
	Path        string // of an import
	Source      string // of a delete; of a clone, the image to copy
	Format      string // wanted; "" means the source's own
	FS          string
	SizeMB      int64 // of a create
	// SafeDirs and RestrictedDirs bound what a local path may name.
	SafeDirs, RestrictedDirs []string
	CDROM                    bool
	LimitMB                  int64 // what may still be stored, 0 for no limit
	// MD5 and SHA1 are the digests an imported file must have, hexadecimal; "" is
	// not checked.
	MD5, SHA1 string
}

// Result is how a step ended.
type Result struct {
	StepID
	Error    string // "" for success; a sentence a user may read
	DeployID string // of Start and Restore
	Source   string // of an image: its path in the datastore
	Format   string
	SizeMB   int64
}

// OK tells whether the step succeeded.
func (r Result) OK() bool { return r.Error == "" }

// DomainState is what an agent says of a domain.
type DomainState string

// Domain states. Source: resources reference §9.3.
const (
	DomainRunning   DomainState = "RUNNING"
	DomainPoweroff  DomainState = "POWEROFF"
	DomainSuspended DomainState = "SUSPENDED"
	DomainFailure   DomainState = "FAILURE"
	DomainUnknown   DomainState = "UNKNOWN"
)

// Event is a change of a domain that no step asked for, or the state of every
// domain when an agent connects (Full).
type Event struct {
	VM       int // -1 for a domain that is not ours
	Domain   string
	DeployID string
	State    DomainState
}

// Facts is what a host is, sent when its agent connects and when it changes.
type Facts struct {
	Hostname   string
	Hypervisor string         // "kvm", "qemu", "dummy"
	CPU        int64          // hundredths of a core
	MemoryKB   int64          //
	Template   *tmpl.Template // ARCH, MODELNAME, CPUSPEED, VERSION, …
	Datastores []DatastoreSpace
}

// DatastoreSpace is the space of one datastore as seen on a host, MB.
type DatastoreSpace struct {
	ID                      int
	TotalMB, UsedMB, FreeMB int64
}

// HostSample is one measurement of a host. CPU in hundredths of a core, memory in KB.
type HostSample struct {
	Time                   int64 // epoch seconds
	UsedCPU, FreeCPU       int64
	UsedMemory, FreeMemory int64
	NetRX, NetTX           int64
	Datastores             []DatastoreSpace
}

// VMSample is one measurement of a VM: the attributes of its MONITORING
// document (CPU percent of a core, MEMORY KB, NETRX, NETTX, DISKRDBYTES, …).
type VMSample struct {
	VM   int
	Time int64 // epoch seconds
	Data *tmpl.Template
}
