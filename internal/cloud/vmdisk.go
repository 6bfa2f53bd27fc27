package cloud

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// maxDisks bounds the disks of a VM. Source: VM lifecycle reference §2.4.
const maxDisks = 20

// inheritFromImage and inheritFromDatastore name the attributes that disks take
// over. Source: XML-RPC reference §9.8.
var (
	inheritFromImage     = []string{"ISCSI_USER", "ISCSI_USAGE", "ISCSI_HOST", "ISCSI_IQN", "LUKS_SECRET", "DISK_TYPE"}
	inheritFromDatastore = []string{
		"CEPH_HOST", "CEPH_SECRET", "CEPH_USER", "CEPH_CONF", "POOL_NAME", "ISCSI_USER", "ISCSI_USAGE", "ISCSI_HOST",
		"GLUSTER_HOST", "GLUSTER_VOLUME", "DISK_TYPE", "ALLOW_ORPHANS", "QCOW2_STANDALONE",
	}
)

// diskCoreAttrs are the keys of disks that only the core fills in. What a template
// has under them is dropped: it comes of another VM, or of somebody who wants to
// name files of the host or to be charged less.
var diskCoreAttrs = []string{
	"ALLOW_ORPHANS", "CLONE", "CLONE_TARGET", "CLONING", "CLUSTER_ID", "DATASTORE", "DATASTORE_ID", "DISK_SNAPSHOT_TOTAL_SIZE",
	"DISK_TYPE", "IMAGE_STATE", "LN_TARGET", "ORIGINAL_SIZE", "PERSISTENT", "SAVE", "SIZE_PREV", "SOURCE", "TM_MAD",
}

// osMark marks the disks of OS images until devices are named; templates cannot
// hold it because its name has a blank.
const osMark = "OS IMAGE"

// attachDisks resolves every DISK of a draft, takes its image, and names its
// device. Source: resources reference §1.2.
func (d *draft) attachDisks() error {
	disks := d.in.Vectors("DISK")
	if len(disks) > maxDisks {
		return fmt.Errorf("Exceeded the maximum number of disks (%d)", maxDisks)
	}
	out := make([]tmpl.Vector, len(disks))
	for i, v := range disks {
		full, copying, err := d.c.resolveDisk(d.tx, d.who, v, i)
		if err != nil {
			return err
		}
		d.copying = d.copying || copying
		out[i] = full
	}
	t := newTargets()
	if err := t.reserve(out, d.context); err != nil {
		return err
	}
	t.assign(out)
	if d.context != nil {
		// The context CD takes its letter after the OS disk and the other CDs.
		d.context = d.context.With("DISK_ID", itoa(len(out))).With("TARGET", t.contextTarget(d.context, d.c.cfg.CDROMPrefix))
	}
	t.assignRest(out)
	for i := range out {
		out[i] = out[i].Without(osMark)
	}
	if len(out) > 0 {
		d.out = d.out.WithVectors("DISK", out)
	}
	return nil
}

// resolveDisk fills a DISK vector in: a volatile disk as it is asked for, an
// image disk with what image and datastore say. The image is taken for one more
// VM; copying tells that its content is still being made.
func (c *Cloud) resolveDisk(tx *store.Tx, who auth.Caller, v tmpl.Vector, id int) (full tmpl.Vector, copying bool, err error) {
	v = v.Without(diskCoreAttrs...).With("DISK_ID", itoa(id))
	if !v.Has("IMAGE_ID") && !v.Has("IMAGE") {
		full, err = c.volatileDisk(v)
		return full, false, err
	}
	i, err := c.imageOf(&tx.State, who, v)
	if err != nil {
		return nil, false, err
	}
	// A lock does not keep an image from being cloned for a disk.
	allow := c.allowRead
	if i.Persistent {
		allow = c.allow
	}
	if err := allow(&tx.State, who, target(i), one.Use); err != nil {
		return nil, false, err
	}
	if i.Type != one.ImageOS && i.Type != one.ImageCDROM && i.Type != one.ImageDatablock {
		return nil, false, fmt.Errorf("Image %d of type %s cannot be used as DISK.", i.ID, i.Type)
	}
	taken, err := takeImage(tx, i)
	if err != nil {
		return nil, false, err
	}
	ds, ok := tx.Datastores.Get(i.DatastoreID)
	if !ok {
		return nil, false, fmt.Errorf("Associated datastore %d for the image does not exist", i.DatastoreID)
	}
	v, err = diskOfImage(v, taken, ds, c.cfg)
	return v, taken.State.Copying(), err
}

func (c *Cloud) volatileDisk(v tmpl.Vector) (tmpl.Vector, error) {
	typ := strings.ToLower(v.Get("TYPE"))
	if typ != "fs" && typ != "swap" {
		return nil, fmt.Errorf("Unknown disk type %q: a DISK needs IMAGE_ID, IMAGE, or TYPE fs or swap", v.Get("TYPE"))
	}
	if _, ok := sizeMB(v.Get("SIZE")); !ok {
		return nil, fmt.Errorf("Size attribute in template is mandatory: DISK %s needs SIZE in MB, a positive number", v.Get("DISK_ID"))
	}
	format := firstOf(v.Get("FORMAT"), v.Get("DRIVER"), "raw")
	if typ == "swap" {
		format = "raw"
	}
	return v.With("TYPE", strings.ToUpper(typ)).With("FORMAT", format).With("DRIVER", firstOf(v.Get("DRIVER"), format)).
		With("DEV_PREFIX", firstOf(v.Get("DEV_PREFIX"), c.cfg.DevicePrefix)).With("SAVE", "NO"), nil
}

// imageOf finds the image a disk names: by id, or by name among the caller's
// images or those of the user it names.
func (c *Cloud) imageOf(st *store.State, who auth.Caller, v tmpl.Vector) (*one.Image, error) {
	if s, ok := v.Lookup("IMAGE_ID"); ok {
		id, isInt := atoi(s)
		i, found := st.Images.Get(id)
		if !isInt || !found {
			return nil, fmt.Errorf("Image with ID: %s does not exist", s)
		}
		return i, nil
	}
	uid, err := ownerNamed(st, who, v, "IMAGE")
	if err != nil {
		return nil, err
	}
	id, ok := st.ImageNames.FindOf(uid, v.Get("IMAGE"))
	if !ok {
		return nil, fmt.Errorf("User %d does not own an image with name: %s . Set IMAGE_UNAME or IMAGE_UID of owner in DISK.", uid, v.Get("IMAGE"))
	}
	i, _ := st.Images.Get(id)
	return i, nil
}

// takeImage moves an image to the state it has with one more VM.
// Source: resources reference §3.3.
func takeImage(tx *store.Tx, i *one.Image) (*one.Image, error) {
	shareable := strings.EqualFold(i.Template.Get("PERSISTENT_TYPE"), "SHAREABLE") || strings.EqualFold(i.Template.Get("PERSISTENT_TYPE"), "IMMUTABLE")
	next := i.State
	switch i.State {
	case one.ImageReady:
		next = one.ImageUsed
		if i.Persistent {
			next = one.ImageUsedPers
		}
	case one.ImageUsed:
	case one.ImageClone:
		if i.Persistent { // a VM must not write to what is being copied
			return nil, fmt.Errorf("Cannot acquire image %d, it is persistent and already in use", i.ID)
		}
	case one.ImageLocked:
		next = one.ImageLockedUsed
		if i.Persistent {
			next = one.ImageLockedUsedPers
		}
	case one.ImageLockedUsed:
	case one.ImageUsedPers, one.ImageLockedUsedPers:
		if !shareable {
			return nil, fmt.Errorf("Cannot acquire image %d, it is persistent and already in use", i.ID)
		}
	default:
		return nil, fmt.Errorf("Cannot acquire image %d, wrong state %s.", i.ID, i.State)
	}
	if next == i.State {
		return i, nil
	}
	n := *i
	n.PrevState, n.State = i.State, next
	tx.PutImage(&n)
	return &n, nil
}

// releaseImages gives a VM's images back. A persistent image whose content may
// be half written is left in ERROR. It is called after the VM was put in the
// version that has no disks any more, or is DONE. Source: resources reference §3.3.
func releaseImages(tx *store.Tx, v *one.VM, stale bool) {
	for _, d := range v.Template.Vectors("DISK") {
		if id, ok := atoi(d.Get("IMAGE_ID")); ok {
			releaseImage(tx, id, stale)
		}
	}
}

func releaseImage(tx *store.Tx, id int, stale bool) {
	i, ok := tx.Images.Get(id)
	if !ok || tx.ImageVMs.Any(id) {
		return
	}
	next := i.State
	switch i.State {
	case one.ImageUsed:
		next = one.ImageReady
		if i.CloningOps > 0 {
			next = one.ImageClone
		}
	case one.ImageUsedPers:
		next = one.ImageReady
		if stale {
			next = one.ImageError
		}
	case one.ImageLockedUsed, one.ImageLockedUsedPers:
		next = one.ImageLocked
	}
	if next == i.State {
		return
	}
	n := *i
	n.PrevState, n.State = i.State, next
	tx.PutImage(&n)
}

// diskOfImage fills a DISK vector in from its image and datastore.
func diskOfImage(v tmpl.Vector, i *one.Image, ds *one.Datastore, cfg Config) (tmpl.Vector, error) {
	v = v.Without("FORMAT")
	set := func(k, val string) {
		if val != "" {
			v = v.With(k, val)
		}
	}
	if err := diskSize(&v, i); err != nil {
		return nil, err
	}
	for _, k := range inheritFromImage {
		if !v.Has(k) {
			set(k, i.Template.Get(k))
		}
	}
	for _, k := range inheritFromDatastore {
		if !v.Has(k) {
			set(k, ds.Template.Get(k))
		}
	}
	set("IMAGE", i.Name)
	set("IMAGE_ID", itoa(i.ID))
	set("IMAGE_STATE", itoa(int(i.State)))
	set("SOURCE", i.Source)
	set("FORMAT", i.Format)
	if v.Get("DRIVER") == "" {
		set("DRIVER", firstOf(i.Template.Get("DRIVER"), ds.Template.Get("DRIVER"), i.Format))
	}
	set("DATASTORE", ds.Name)
	set("DATASTORE_ID", itoa(ds.ID))
	set("TM_MAD", ds.TMMad)
	set("DISK_TYPE", firstOf(v.Get("DISK_TYPE"), i.DiskType.String()))
	if len(ds.ClusterIDs) > 0 {
		set("CLUSTER_ID", joinInts(ds.ClusterIDs))
	}
	set("CLONE_TARGET", ds.Template.Get("CLONE_TARGET"))
	set("LN_TARGET", ds.Template.Get("LN_TARGET"))
	switch i.Type {
	case one.ImageCDROM:
		v = v.With("TYPE", "CDROM").With("READONLY", "YES")
	default:
		v = v.With("TYPE", i.DiskType.String())
		if !v.Has("READONLY") {
			set("READONLY", firstOf(i.Template.Get("READONLY"), "NO"))
		}
	}
	if i.Type == one.ImageOS {
		v = v.With(osMark, "YES")
	}
	immutable := strings.EqualFold(i.Template.Get("PERSISTENT_TYPE"), "IMMUTABLE")
	switch {
	case immutable:
		v = v.With("CLONE", "NO").With("SAVE", "NO").With("READONLY", "YES").With("PERSISTENT", "YES")
	case i.Persistent:
		v = v.With("CLONE", "NO").With("SAVE", "YES").With("PERSISTENT", "YES")
	default:
		v = v.With("CLONE", "YES").With("SAVE", "NO")
	}
	prefix := firstOf(v.Get("DEV_PREFIX"), i.Template.Get("DEV_PREFIX"))
	if prefix == "" {
		prefix = cfg.DevicePrefix
		if i.Type == one.ImageCDROM {
			prefix = cfg.CDROMPrefix
		}
	}
	v = v.With("DEV_PREFIX", prefix)
	if v.Get("TARGET") == "" {
		set("TARGET", i.Template.Get("TARGET"))
	}
	return v, nil
}

// diskSize checks a size that is asked for against the image's and notes both.
func diskSize(v *tmpl.Vector, i *one.Image) error {
	size := i.Size
	if s := v.Get("SIZE"); s != "" && !i.Persistent && i.Type != one.ImageCDROM {
		n, ok := sizeMB(s)
		if !ok {
			return fmt.Errorf("Disk SIZE is not a valid integer")
		}
		// A smaller disk than its image cannot be made: the image's size stands.
		size = max(n, i.Size)
	}
	*v = v.With("ORIGINAL_SIZE", strconv.FormatInt(i.Size, 10)).With("SIZE", strconv.FormatInt(size, 10))
	return nil
}
