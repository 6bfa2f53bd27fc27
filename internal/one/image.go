package one

import (
	"strings"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Image is a disk image or a file. VMs that use it are an index.
// Source: XML-RPC reference §8.4, resources reference §3.
type Image struct {
	Meta
	Type       ImageType
	DiskType   DiskType
	Persistent bool
	RegTime    int64 // epoch seconds
	Source     string
	Path       string
	Format     string // raw, qcow2
	FS         string
	Size       int64 // MB
	State      ImageState
	PrevState  ImageState
	// CloningOps counts the copies being made from it; CloningID is the image it
	// is being copied from, -1 for none.
	CloningOps, CloningID int
	TargetSnapshot        int
	DatastoreID           int
	Datastore             string
	Template              *tmpl.Template
	Snapshots             *tmpl.Template
	// Attempt and Since name and date the step of a passing state, as in VMCore.
	Attempt int
	Since   int64
	// Forget drops the record whatever the datastore answers (a forced delete).
	Forget bool
	// Unchecked tells that an administrator wants it made whatever room there is.
	Unchecked bool `json:",omitzero"`
}

// ImageType is TYPE of an image.
type ImageType int

// Image types. Source: XML-RPC reference §10.
const (
	ImageOS ImageType = iota
	ImageCDROM
	ImageDatablock
	ImageKernel
	ImageRamdisk
	ImageContext
	ImageBackup
)

var imageTypeNames = [...]string{"OS", "CDROM", "DATABLOCK", "KERNEL", "RAMDISK", "CONTEXT", "BACKUP"}

// String returns the word of templates.
func (t ImageType) String() string {
	if t < 0 || int(t) >= len(imageTypeNames) {
		return ""
	}
	return imageTypeNames[t]
}

// ParseImageType reads the word of templates; the case does not matter.
func ParseImageType(s string) (ImageType, bool) {
	for i, n := range imageTypeNames {
		if strings.EqualFold(n, s) {
			return ImageType(i), true
		}
	}
	return 0, false
}

// IsFile tells whether images of the type live in a file datastore.
func (t ImageType) IsFile() bool { return t == ImageKernel || t == ImageRamdisk || t == ImageContext }

// ImageState is STATE of an image.
type ImageState int

// Image states. Source: resources reference §3.1.
const (
	ImageInit ImageState = iota
	ImageReady
	ImageUsed
	ImageDisabled
	ImageLocked
	ImageError
	ImageClone
	ImageDelete
	ImageUsedPers
	ImageLockedUsed
	ImageLockedUsedPers
)

var imageStateNames = [...][2]string{
	{"INIT", "init"}, {"READY", "rdy"}, {"USED", "used"}, {"DISABLED", "disa"}, {"LOCKED", "lock"}, {"ERROR", "err"},
	{"CLONE", "clon"}, {"DELETE", "dele"}, {"USED_PERS", "used"}, {"LOCKED_USED", "lock"}, {"LOCKED_USED_PERS", "lock"},
}

// String returns the name of the state.
func (s ImageState) String() string {
	if s < 0 || int(s) >= len(imageStateNames) {
		return ""
	}
	return imageStateNames[s][0]
}

// Copying tells whether the image's content is still being made.
func (s ImageState) Copying() bool {
	return s == ImageLocked || s == ImageLockedUsed || s == ImageLockedUsedPers
}

// DiskType is how a disk or image is stored.
type DiskType int

// Disk types. Source: XML-RPC reference §10.
const (
	DiskFile DiskType = iota
	DiskCDROM
	DiskBlock
	DiskRBD
	DiskRBDCDROM
	DiskGluster
	DiskGlusterCDROM
	DiskSheepdog
	DiskSheepdogCDROM
	DiskISCSI
)

var diskTypeNames = [...]string{"FILE", "CDROM", "BLOCK", "RBD", "RBD_CDROM", "GLUSTER", "GLUSTER_CDROM", "SHEEPDOG", "SHEEPDOG_CDROM", "ISCSI"}

// String returns the word of templates.
func (t DiskType) String() string {
	if t < 0 || int(t) >= len(diskTypeNames) {
		return ""
	}
	return diskTypeNames[t]
}

// Datastore is a place for images or running disks; its images are an index and
// its free space is monitored, not stored. Source: resources reference §4.
type Datastore struct {
	Meta
	DSMad, TMMad string
	BasePath     string
	Type         DatastoreType
	DiskType     DiskType
	Disabled     bool
	ClusterIDs   []int // ascending
	Template     *tmpl.Template
}

// DatastoreType is TYPE of a datastore.
type DatastoreType int

// Datastore types. Source: resources reference §4.
const (
	DSImage DatastoreType = iota
	DSSystem
	DSFile
	DSBackup
)

var dsTypeNames = [...]string{"IMAGE_DS", "SYSTEM_DS", "FILE_DS", "BACKUP_DS"}

// String returns the word of templates.
func (t DatastoreType) String() string {
	if t < 0 || int(t) >= len(dsTypeNames) {
		return ""
	}
	return dsTypeNames[t]
}

// ParseDatastoreType reads the word of templates.
func ParseDatastoreType(s string) (DatastoreType, bool) {
	for i, n := range dsTypeNames {
		if strings.EqualFold(n, s) {
			return DatastoreType(i), true
		}
	}
	return 0, false
}

// ParseDiskType reads the word of templates.
func ParseDiskType(s string) (DiskType, bool) {
	for i, n := range diskTypeNames {
		if strings.EqualFold(n, s) {
			return DiskType(i), true
		}
	}
	return 0, false
}
