package cloud

import (
	"context"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// CreateDiskSnapshot takes a snapshot of a disk of a VM that runs, is powered off or
// suspended, and returns its id.
// Source: XML-RPC reference §7.2, VM lifecycle reference §3.5.
func (c *Cloud) CreateDiskSnapshot(ctx context.Context, who auth.Caller, id, disk int, name string) (int, error) {
	snap := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		v, err := c.vmFor(&tx.State, who, id, "disk-snapshot")
		if err != nil {
			return err
		}
		snap, err = c.createDiskSnapshot(tx, who, v, disk, name)
		return err
	})
	return snap, err
}

// RevertDiskSnapshot brings a disk of a VM that is powered off back to a snapshot of
// it. Source: XML-RPC reference §7.2, VM lifecycle reference §3.5.
func (c *Cloud) RevertDiskSnapshot(ctx context.Context, who auth.Caller, id, disk, snap int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.vmFor(&tx.State, who, id, "disk-snapshot")
		if err != nil {
			return err
		}
		return c.revertDiskSnapshot(tx, who, v, disk, snap)
	})
}

// DeleteDiskSnapshot deletes a snapshot of a disk of a VM that runs, is powered off
// or suspended. Source: XML-RPC reference §7.2, VM lifecycle reference §3.5.
func (c *Cloud) DeleteDiskSnapshot(ctx context.Context, who auth.Caller, id, disk, snap int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.vmFor(&tx.State, who, id, "disk-snapshot")
		if err != nil {
			return err
		}
		return c.deleteDiskSnapshot(tx, who, v, disk, snap)
	})
}

// RenameDiskSnapshot gives a snapshot of a disk another name.
// Source: XML-RPC reference §7.2.
func (c *Cloud) RenameDiskSnapshot(ctx context.Context, who auth.Caller, id, disk, snap int, name string) error {
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.vmFor(&tx.State, who, id, "disk-snapshot")
		if err != nil {
			return err
		}
		if _, _, err := diskWithSnapshot(v, disk, snap); err != nil {
			return err
		}
		if name == "" {
			return errs.New(errs.Action, "New snapshot name cannot be empty").About(id)
		}
		if err := checkSnapshotName(name); err != nil {
			return errs.Wrap(errs.Action, err).About(id)
		}
		return c.Apply(tx, who, v, machine.RenameDiskSnapshot(v, disk, snap, name))
	})
}

// diskWithSnapshot returns a disk that has a certain snapshot, and all it has.
func diskWithSnapshot(v *one.VM, disk, snap int) (tmpl.Vector, one.DiskSnapshots, error) {
	fail := func(why string) (tmpl.Vector, one.DiskSnapshots, error) {
		return nil, one.DiskSnapshots{}, errs.New(errs.Action, "%s", why).About(v.ID)
	}
	d, there := one.Disk(v.Template, disk)
	if !there {
		return fail("VM disk does not exist")
	}
	all, ok := one.ReadDiskSnapshots(v.Snapshots, disk)
	if !ok {
		return fail("VM disk does not have snapshots")
	}
	if _, ok := all.Find(snap); !ok {
		return fail("Snapshot does not exist")
	}
	return d, all, nil
}

func (c *Cloud) createDiskSnapshot(tx *store.Tx, who auth.Caller, v *one.VM, disk int, name string) (int, error) {
	fail := func(format string, args ...any) (int, error) {
		return -1, errs.New(errs.Action, format, args...).About(v.ID)
	}
	d, there := one.Disk(v.Template, disk)
	if !there {
		return fail("VM disk does not exist")
	}
	all, ok := one.ReadDiskSnapshots(v.Snapshots, disk)
	if !ok {
		all = one.NewDiskSnapshots(d.Get("ALLOW_ORPHANS"))
	}
	format := strings.ToLower(firstOf(d.Get("FORMAT"), d.Get("DRIVER"), "raw"))
	size, _ := sizeMB(d.Get("SIZE"))
	img, persistent := persistentImage(tx, d)
	if persistent && !ok {
		kept, _ := one.ReadImageSnapshots(img.Snapshots)
		all.Next = kept.Next // ids of snapshots that are gone are not used again
	}
	wrong := checkSnapshotName(name)
	switch {
	case !d.Has("IMAGE_ID"):
		return fail("Cannot make snapshots on volatile disks")
	case d.Bool("READONLY"):
		return fail("Cannot make snapshots on readonly disks")
	case persistent && strings.EqualFold(img.Template.Get("PERSISTENT_TYPE"), "SHAREABLE"):
		return fail("Cannot make snapshots on shareable disks")
	case format != "qcow2":
		return fail("Cannot make snapshots on disks in format %s, expected qcow2", format)
	case !machine.CanWorkOnDiskSnapshot(v, one.ActionDiskSnapshotCreate):
		return fail("Could not create a new snapshot for VM %d, wrong state %s.", v.ID, v.StateName())
	case wrong != nil:
		return fail("%s", wrong)
	case len(all.All) >= maxSnapshots:
		return fail("disk %d of VM %d has %d snapshots, no more can be taken", disk, v.ID, len(all.All))
	}
	ch, snap := machine.TakeDiskSnapshot(v, disk, all, name, size, whoIs(who), c.now())
	if err := c.Apply(tx, who, v, ch); err != nil {
		return -1, err
	}
	if persistent { // which the snapshot is part of
		more := one.Usage{Datastores: map[int]one.DatastoreQuota{img.DatastoreID: {Size: float64(size)}}}
		return snap, c.checkQuota(&tx.State, who.UID, img.UID, img.GID, more)
	}
	return snap, c.checkQuota(&tx.State, who.UID, v.UID, v.GID, grownBy(v.Usage(), ch.VM.Usage()))
}

func (c *Cloud) revertDiskSnapshot(tx *store.Tx, who auth.Caller, v *one.VM, disk, snap int) error {
	if !machine.CanWorkOnDiskSnapshot(v, one.ActionDiskSnapshotRevert) {
		return errs.New(errs.Action, "Could not revert to disk snapshot for VM %d, wrong state %s.", v.ID, v.StateName()).About(v.ID)
	}
	if _, _, err := diskWithSnapshot(v, disk, snap); err != nil {
		return err
	}
	return c.Apply(tx, who, v, machine.RevertDiskSnapshot(v, disk, snap, whoIs(who), c.now()))
}

func (c *Cloud) deleteDiskSnapshot(tx *store.Tx, who auth.Caller, v *one.VM, disk, snap int) error {
	if !machine.CanWorkOnDiskSnapshot(v, one.ActionDiskSnapshotDelete) {
		return errs.New(errs.Action, "Could not delete disk snapshot from VM %d, wrong state %s.", v.ID, v.StateName()).About(v.ID)
	}
	d, all, err := diskWithSnapshot(v, disk, snap)
	if err != nil {
		return err
	}
	if err := all.CheckDelete(snap, d.Bool("PERSISTENT")); err != nil {
		return errs.Wrap(errs.Action, err).About(v.ID)
	}
	return c.Apply(tx, who, v, machine.DeleteDiskSnapshot(v, disk, snap, whoIs(who), c.now()))
}

// persistentImage returns the image that a disk is, false when it is none or a copy.
func persistentImage(tx *store.Tx, disk tmpl.Vector) (*one.Image, bool) {
	id, ok := atoi(disk.Get("IMAGE_ID"))
	if !ok || !disk.Bool("PERSISTENT") {
		return nil, false
	}
	return tx.Images.Get(id)
}

// followDisks lets the snapshots of disks follow them: a persistent image brings its
// own and keeps what becomes of them, a disk that goes takes them along. old is the
// VM before, nil for a new one.
func followDisks(tx *store.Tx, old, v *one.VM) *one.VM {
	if old != nil && old.Template == v.Template && old.Snapshots == v.Snapshots {
		return v
	}
	var before *tmpl.Template
	if old != nil {
		before = old.Template
	}
	n := *v
	for _, d := range before.Vectors("DISK") {
		id, ok := atoi(d.Get("DISK_ID"))
		if _, there := one.Disk(v.Template, id); ok && !there {
			n.Snapshots = one.WithoutDiskSnapshots(n.Snapshots, id)
		}
	}
	for _, d := range v.Template.Vectors("DISK") {
		id, ok := atoi(d.Get("DISK_ID"))
		i, persistent := persistentImage(tx, d)
		if !ok || !persistent {
			continue
		}
		all, has := one.ReadDiskSnapshots(n.Snapshots, id)
		if _, there := one.Disk(before, id); !there && !has {
			if all, has = one.ReadImageSnapshots(i.Snapshots); has {
				n = *machine.WithDiskSnapshots(&n, id, all)
			}
		}
		if now := all.Template(); has && !now.Equal(i.Snapshots) {
			img := *i
			img.Snapshots = now
			tx.PutImage(&img)
		}
	}
	return &n
}
