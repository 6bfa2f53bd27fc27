package cloud

import (
	"context"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// AllocateImage registers an image; its content is made by an agent that has the
// datastore, after which it is READY. noCheck skips the test of free space, for
// administrators. Source: resources reference §3.2.
func (c *Cloud) AllocateImage(ctx context.Context, who auth.Caller, t *tmpl.Template, ds int, noCheck bool) (int, error) {
	id := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		d, ok := tx.Datastores.Get(ds)
		if !ok {
			return errs.NotFound(one.KindDatastore, ds)
		}
		if err := c.allowAll(&tx.State, who, ask{auth.Creation(one.KindImage, who), one.Create}, ask{target(d), one.Use}); err != nil {
			return err
		}
		if attr, bad := imageRestricted.CheckCreate(t); bad && !who.Admin {
			return errs.Denied(who.UID, "Template includes a restricted attribute "+attr)
		}
		i, err := c.newImage(tx, who, t, d, noCheck && who.Admin)
		if err != nil {
			return err
		}
		if !i.Unchecked {
			if err := c.checkSpace(d, i.Size); err != nil {
				return err
			}
		}
		id = i.ID
		return c.checkQuota(&tx.State, who.UID, i.UID, i.GID, imageUsage(i))
	})
	return id, err
}

func imageUsage(i *one.Image) one.Usage {
	return one.Usage{Datastores: map[int]one.DatastoreQuota{i.DatastoreID: {Images: 1, Size: float64(i.StoredMB())}}}
}

// imageHeaderAttrs are the attributes of an image template that become fields.
var imageHeaderAttrs = []string{"NAME", "TYPE", "PERSISTENT", "PATH", "SOURCE", "FORMAT", "FS", "SIZE", "DISK_TYPE"}

// newImage stores a new image as its template asks.
func (c *Cloud) newImage(tx *store.Tx, who auth.Caller, t *tmpl.Template, d *one.Datastore, unchecked bool) (*one.Image, error) {
	if d.Type != one.DSImage && d.Type != one.DSFile {
		return nil, errs.New(errs.Action, "New images can only be allocated in a files or image datastore.")
	}
	name, err := newImageName(&tx.State, who, t.Get("NAME"))
	if err != nil {
		return nil, err
	}
	typ := c.cfg.DefaultImageType
	if s := t.Get("TYPE"); s != "" {
		var ok bool
		if typ, ok = one.ParseImageType(s); !ok {
			return nil, errs.AllocateFailed(one.KindImage, "Unknown type "+s+" in template: expected OS, CDROM, DATABLOCK, KERNEL, RAMDISK or CONTEXT")
		}
	}
	if err := imageFitsDatastore(typ, d); err != nil {
		return nil, err
	}
	body, err := c.encrypt(one.KindImage, t.Without(imageHeaderAttrs...).KeepLast())
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err)
	}
	if !body.Has("DEV_PREFIX") && !typ.IsFile() {
		prefix := c.cfg.DevicePrefix
		if typ == one.ImageCDROM {
			prefix = c.cfg.CDROMPrefix
		}
		body = body.With("DEV_PREFIX", prefix)
	}
	id := tx.NextID("image", 0)
	i := &one.Image{
		Meta: c.newMeta(who, id, name), Type: typ, DiskType: d.DiskType, Persistent: c.persistentByDefault(tx, who, t),
		RegTime: c.now().Unix(), Path: t.Get("PATH"), Source: t.Get("SOURCE"), Format: t.Get("FORMAT"), FS: t.Get("FS"),
		State: one.ImageLocked, CloningID: -1, TargetSnapshot: -1, DatastoreID: d.ID, Datastore: d.Name, Template: body,
		Since: c.now().UnixMilli(), Unchecked: unchecked,
	}
	if typ == one.ImageCDROM {
		i.DiskType = one.DiskCDROM
		i.Template = i.Template.With("READONLY", "YES")
	}
	if typ.IsFile() {
		i.Persistent = false
	}
	if err := imageOrigin(i, t, d); err != nil {
		return nil, err
	}
	tx.PutImage(i)
	return i, nil
}

// newImageName returns the name of a new image of the caller, if it obeys the
// rules and is free. Source: XML-RPC reference §5.2.
func newImageName(st *store.State, who auth.Caller, name string) (string, error) {
	name = one.TrimName(name)
	if err := one.CheckName(name); err != nil {
		return "", errs.AllocateFailed(one.KindImage, err.Error())
	}
	if other, taken := st.ImageNames.FindOf(who.UID, name); taken {
		return "", errs.AllocateFailed(one.KindImage, "NAME is already taken by IMAGE "+itoa(other)+".")
	}
	return name, nil
}

// maxSizeMB bounds the size of an image or disk: an exabyte, far from where
// numbers of bytes overflow.
const maxSizeMB = 1 << 40

// sizeMB reads a size; it reports false for what is none.
func sizeMB(s string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return n, err == nil && n > 0 && n <= maxSizeMB
}

// imageOrigin checks where the content comes from: PATH, SOURCE or SIZE.
func imageOrigin(i *one.Image, t *tmpl.Template, d *one.Datastore) error {
	size := int64(0)
	if s := t.Get("SIZE"); s != "" {
		var ok bool
		if size, ok = sizeMB(s); !ok {
			return errs.New(errs.Internal, "Cannot parse image SIZE: %s", s)
		}
	}
	i.Size = size
	switch {
	case i.Path != "" && i.Source != "":
		return errs.AllocateFailed(one.KindImage, "PATH and SOURCE cannot be both set.")
	case i.Source != "" && i.Format == "":
		return errs.AllocateFailed(one.KindImage, "SOURCE needs FORMAT to be set.")
	case i.Source != "":
		if size == 0 {
			return errs.New(errs.Internal, "Cannot parse image SIZE: SOURCE needs SIZE in MB")
		}
		i.State = one.ImageReady
	case i.Path == "" && (i.Type == one.ImageOS || i.Type == one.ImageDatablock):
		if size == 0 {
			return errs.New(errs.Internal, "Cannot parse image SIZE: an image without PATH needs SIZE in MB")
		}
		i.Format = firstOf(d.Template.Get("DRIVER"), i.Format, "raw")
	case i.Path == "":
		return errs.AllocateFailed(one.KindImage, "No PATH nor SOURCE in template.")
	}
	return nil
}

func imageFitsDatastore(typ one.ImageType, d *one.Datastore) error {
	want := one.DSImage
	switch {
	case typ == one.ImageBackup:
		want = one.DSBackup
	case typ.IsFile():
		want = one.DSFile
	}
	if d.Type != want {
		return errs.AllocateFailed(one.KindImage, typ.String()+" images can only be allocated in a "+want.String()+" datastore.")
	}
	return nil
}

// persistentByDefault reads PERSISTENT, else the user's, else the group's default.
func (c *Cloud) persistentByDefault(tx *store.Tx, who auth.Caller, t *tmpl.Template) bool {
	if s, ok := t.Lookup("PERSISTENT"); ok {
		return tmpl.IsYes(s)
	}
	if u, ok := tx.Users.Get(who.UID); ok {
		if s, ok := u.Template.Vector("OPENNEBULA").Lookup("DEFAULT_IMAGE_PERSISTENT_NEW"); ok {
			return tmpl.IsYes(s)
		}
	}
	if g, ok := tx.Groups.Get(who.GID); ok {
		return g.Template.Vector("OPENNEBULA").Bool("DEFAULT_IMAGE_PERSISTENT_NEW")
	}
	return false
}

// checkSpace refuses what does not fit into a datastore, as far as its space is
// known; what has no size yet takes some space at least.
// Source: resources reference §4.
func (c *Cloud) checkSpace(d *one.Datastore, sizeMB int64) error {
	if room, known := c.room(d); known && max(sizeMB, 1) > room {
		return errs.New(errs.Action, "Not enough space in datastore")
	}
	return nil
}

// room returns what may still be stored in a datastore, MB, false when that is not
// known or not to be looked at.
func (c *Cloud) room(d *one.Datastore) (int64, bool) {
	if s, ok := d.Template.Lookup("DATASTORE_CAPACITY_CHECK"); ok && !tmpl.IsYes(s) || c.mon == nil {
		return 0, false
	}
	_, used, room, known := c.mon.Datastore(d.ID)
	limit, err := strconv.ParseInt(d.Template.Get("LIMIT_MB"), 10, 64)
	switch {
	case err != nil:
		return room, known
	case !known: // then nothing is known to be used either
		return limit, true
	}
	return min(room, limit-used), true
}

// CloneImage copies an image under another name, into the same datastore (-1) or
// another of the same driver. Source: XML-RPC reference §6.8.
func (c *Cloud) CloneImage(ctx context.Context, who auth.Caller, id int, name string, ds int) (int, error) {
	clone := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		i, ok := tx.Images.Get(id)
		if !ok {
			return errs.NotFound(one.KindImage, id)
		}
		var err error
		clone, err = c.cloneImage(tx, who, i, name, ds, false)
		return err
	})
	return clone, err
}

func (c *Cloud) cloneImage(tx *store.Tx, who auth.Caller, i *one.Image, name string, ds int, persistent bool) (int, error) {
	if ds < 0 {
		ds = i.DatastoreID
	}
	d, ok := tx.Datastores.Get(ds)
	if !ok {
		return -1, errs.NotFound(one.KindDatastore, ds)
	}
	asks := []ask{{target(i), one.Use}, {auth.Creation(one.KindImage, who), one.Create}, {target(d), one.Use}}
	from, ok := tx.Datastores.Get(i.DatastoreID)
	if ok && from.ID != d.ID {
		asks = append(asks, ask{target(from), one.Use})
	}
	if err := c.allowAll(&tx.State, who, asks...); err != nil {
		return -1, err
	}
	refuse := func(format string, args ...any) (int, error) {
		return -1, errs.New(errs.Action, format, args...).About(i.ID)
	}
	switch {
	case i.Type != one.ImageOS && i.Type != one.ImageCDROM && i.Type != one.ImageDatablock:
		return refuse("KERNEL, RAMDISK, BACKUP and CONTEXT cannot be cloned.")
	case i.Snapshots.Has("SNAPSHOT"):
		return refuse("Cannot clone images with snapshots")
	case d.Type != one.DSImage:
		return refuse("Clone only supported for IMAGE_DS Datastores")
	case from != nil && from.DSMad != d.DSMad:
		return refuse("Clone only supported to same DS_MAD Datastores")
	case i.State != one.ImageReady && i.State != one.ImageUsed && i.State != one.ImageClone:
		return refuse("Cannot clone image in state: %s", i.State)
	}
	name, err := newImageName(&tx.State, who, name)
	if err != nil {
		return -1, err
	}
	if err := c.checkSpace(d, i.Size); err != nil {
		return -1, err
	}
	n := *i
	id := tx.NextID("image", 0)
	n.Meta = c.newMeta(who, id, name)
	n.State, n.PrevState, n.CloningID, n.CloningOps, n.Source = one.ImageLocked, one.ImageInit, i.ID, 0, ""
	n.RegTime, n.Since, n.Attempt, n.Persistent = c.now().Unix(), c.now().UnixMilli(), 0, persistent
	n.DatastoreID, n.Datastore, n.Path, n.Unchecked = d.ID, d.Name, "", false
	if n.Type != one.ImageCDROM {
		n.DiskType = d.DiskType
	}
	tx.PutImage(&n)
	src := *i
	src.CloningOps++
	if src.State == one.ImageReady {
		src.PrevState, src.State = src.State, one.ImageClone
	}
	tx.PutImage(&src)
	return id, c.checkQuota(&tx.State, who.UID, n.UID, n.GID, imageUsage(&n))
}

// DeleteImage removes an image that no VM uses; force also one whose content is
// still being made. The file goes later, the record with it.
// Source: resources reference §3.3.
func (c *Cloud) DeleteImage(ctx context.Context, who auth.Caller, id int, force bool) error {
	return c.update(ctx, func(tx *store.Tx) error {
		i, ok := tx.Images.Get(id)
		if !ok {
			return errs.NotFound(one.KindImage, id)
		}
		return c.deleteImage(tx, who, i, force)
	})
}

func (c *Cloud) deleteImage(tx *store.Tx, who auth.Caller, i *one.Image, force bool) error {
	right := one.Manage
	if force && i.State == one.ImageLocked {
		right = one.Admin
	}
	if err := c.allow(&tx.State, who, target(i), right); err != nil {
		return err
	}
	refuse := func(reason string) error {
		return errs.New(errs.Action, "Cannot delete image. %s", reason).About(i.ID)
	}
	vms := len(tx.ImageVMs.List(i.ID))
	switch {
	case vms > 0:
		return refuse("There are " + itoa(vms) + " VMs using it.")
	case i.CloningOps > 0:
		return refuse("There are " + itoa(i.CloningOps) + " active clone operations.")
	case i.State == one.ImageLocked && !force:
		return refuse("Image locked, use --force flag to remove the image. The image is being copied; deleting it now leaves the copy unfinished.")
	}
	n := *i
	n.PrevState, n.State, n.Forget = i.State, one.ImageDelete, force
	n.Attempt, n.Since = i.Attempt+1, c.now().UnixMilli()
	tx.PutImage(&n)
	return nil
}

// EnableImage makes an image usable or not. Source: resources reference §3.3.
func (c *Cloud) EnableImage(ctx context.Context, who auth.Caller, id int, enable bool) error {
	return c.changeImage(ctx, who, id, func(tx *store.Tx, n *one.Image) error {
		if n.Type == one.ImageBackup {
			return errs.New(errs.Internal, "Backup images cannot be enabled or disabled.").About(id)
		}
		word, to, from := "disable", one.ImageDisabled, []one.ImageState{one.ImageReady, one.ImageError}
		if enable {
			word, to, from = "enable", one.ImageReady, []one.ImageState{one.ImageDisabled, one.ImageError}
		}
		if n.State == to {
			return nil
		}
		for _, s := range from {
			if n.State == s {
				n.PrevState, n.State = n.State, to
				return nil
			}
		}
		return errs.New(errs.Internal, "Could not %s image: Image cannot be in state %s.", word, n.State).About(id)
	})
}

// PersistImage makes an image persistent or not. Source: resources reference §3.3.
func (c *Cloud) PersistImage(ctx context.Context, who auth.Caller, id int, persistent bool) error {
	return c.changeImage(ctx, who, id, func(_ *store.Tx, n *one.Image) error {
		word := "non-persistent"
		if persistent {
			word = "persistent"
		}
		switch {
		case n.Type.IsFile() && persistent:
			return errs.New(errs.Action, "KERNEL, RAMDISK and CONTEXT must be non-persistent").About(id)
		case n.Snapshots.Has("SNAPSHOT"):
			return errs.New(errs.Internal, "Could not make image %s: Image has snapshots.", word).About(id)
		case n.State != one.ImageReady && n.State != one.ImageDisabled && n.State != one.ImageError && n.State != one.ImageInit:
			return errs.New(errs.Internal, "Could not make image %s: Image cannot be in state %s.", word, n.State).About(id)
		}
		n.Persistent = persistent
		return nil
	})
}

// RetypeImage changes an image's type within its family. Source: resources
// reference §3.3.
func (c *Cloud) RetypeImage(ctx context.Context, who auth.Caller, id int, typ string) error {
	return c.changeImage(ctx, who, id, func(tx *store.Tx, n *one.Image) error {
		to, ok := one.ParseImageType(typ)
		if !ok {
			return errs.New(errs.Internal, "Unknown type %s: expected OS, CDROM, DATABLOCK, KERNEL, RAMDISK or CONTEXT", typ).About(id)
		}
		if to == one.ImageBackup || n.Type == one.ImageBackup || to.IsFile() != n.Type.IsFile() {
			return errs.New(errs.Internal, "Cannot change image type to an incompatible type for the current datastore.").About(id)
		}
		switch cdrom := to == one.ImageCDROM; {
		case cdrom == (n.Type == one.ImageCDROM):
		case cdrom: // CDs are never written
			n.DiskType, n.Template = one.DiskCDROM, n.Template.With("READONLY", "YES")
		default:
			n.DiskType, n.Template = one.DiskFile, n.Template.Without("READONLY")
			if d, ok := tx.Datastores.Get(n.DatastoreID); ok {
				n.DiskType = d.DiskType
			}
		}
		n.Type = to
		return nil
	})
}

// changeImage changes a copy of an image that the caller manages.
func (c *Cloud) changeImage(ctx context.Context, who auth.Caller, id int, f func(*store.Tx, *one.Image) error) error {
	return c.update(ctx, func(tx *store.Tx) error {
		i, ok := tx.Images.Get(id)
		if !ok {
			return errs.NotFound(one.KindImage, id)
		}
		if err := c.allow(&tx.State, who, target(i), one.Manage); err != nil {
			return err
		}
		n := *i
		if err := f(tx, &n); err != nil {
			return err
		}
		tx.PutImage(&n)
		return nil
	})
}

// UpdateImage replaces (0) or merges (1) an image's template; attributes that are
// fields are not changed this way.
func (c *Cloud) UpdateImage(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	return c.updateOwned(ctx, who, one.KindImage, id, change.Without(imageHeaderAttrs...).KeepLast(), appendMode, imageRestricted)
}

// dirs reads a blank-separated list of directories.
func dirs(s string) []string { return strings.Fields(s) }
