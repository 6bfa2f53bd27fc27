package cloud

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// AttachDisk gives a VM that runs or is powered off a disk, DISK=[…]: of an image,
// or a volatile one. Source: XML-RPC reference §7.2, VM lifecycle reference §3.5.
func (c *Cloud) AttachDisk(ctx context.Context, who auth.Caller, id int, t *tmpl.Template) error {
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.deviceVM(&tx.State, who, id, "disk-attach")
		if err != nil {
			return err
		}
		if attr, bad := vmRestricted.CheckCreate(t); bad && !who.Admin {
			return errs.Denied(who.UID, "DISK includes a restricted attribute "+attr).About(id)
		}
		if !v.Running() && v.State != one.VMPoweroff {
			return errs.New(errs.Action, "Could not attach a new disk to VM %d, wrong state %s.", id, v.StateName()).About(id)
		}
		if len(t.Vectors("DISK")) != 1 {
			return errs.New(errs.Action, "Internal error parsing DISK attribute").About(id)
		}
		with, disk, err := c.withDisk(tx, who, v, t.Vector("DISK"))
		if err != nil {
			return refused(err, id)
		}
		ch := machine.ChangeDisk(v, with, one.Hotplug{Action: one.ActionDiskAttach, Disk: disk}, whoIs(who), c.now())
		if err := c.Apply(tx, who, v, ch); err != nil {
			return err
		}
		return c.checkQuota(&tx.State, who.UID, v.UID, v.GID, grownDisks(v.Usage(), ch.VM.Usage()))
	})
}

// DetachDisk takes a disk from a VM that runs or is powered off.
// Source: XML-RPC reference §7.2, VM lifecycle reference §3.5.
func (c *Cloud) DetachDisk(ctx context.Context, who auth.Caller, id, disk int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.deviceVM(&tx.State, who, id, "disk-attach")
		if err != nil {
			return err
		}
		if !v.Running() && v.State != one.VMPoweroff {
			return errs.New(errs.Action, "Could not detach disk from VM %d, wrong state %s.", id, v.StateName()).About(id)
		}
		if _, there := one.Disk(v.Template, disk); !there {
			return errs.New(errs.Action, "Could not detach disk with DISK_ID %d, it does not exist.", disk).About(id)
		}
		h := one.Hotplug{Action: one.ActionDiskDetach, Disk: disk}
		return c.Apply(tx, who, v, machine.ChangeDisk(v, v.Template, h, whoIs(who), c.now()))
	})
}

// ResizeDisk grows a disk of a VM that runs or is powered off to a size in MB. The
// image of a persistent disk grows with it, at the cost of the image's owner.
// Source: XML-RPC reference §7.2, VM lifecycle reference §3.5.
func (c *Cloud) ResizeDisk(ctx context.Context, who auth.Caller, id, disk int, size string) error {
	fail := func(format string, args ...any) error { return errs.New(errs.Action, format, args...).About(id) }
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.vmFor(&tx.State, who, id, "disk-resize")
		if err != nil {
			return err
		}
		if !v.Running() && v.State != one.VMPoweroff {
			return fail("Could not resize disk for VM %d, wrong state %s.", id, v.StateName())
		}
		d, there := one.Disk(v.Template, disk)
		if !there {
			return fail("VM disk does not exist")
		}
		mb, ok := sizeMB(size)
		if !ok {
			return fail("Disk SIZE is not a valid integer")
		}
		before, _ := sizeMB(d.Get("SIZE"))
		if mb <= before {
			return fail("New disk size has to be greater than current one")
		}
		if d.Get("TYPE") == "CDROM" || d.Bool("READONLY") {
			return fail("Disk %d is read only and cannot be resized", disk)
		}
		t := one.WithDisk(v.Template, d.With("SIZE", strconv.FormatInt(mb, 10)))
		ch := machine.ChangeDisk(v, t, one.Hotplug{Action: one.ActionDiskResize, Disk: disk}, whoIs(who), c.now())
		if err := c.Apply(tx, who, v, ch); err != nil {
			return err
		}
		if i := imageFollows(tx, ch.VM, disk); i != nil {
			grown := one.Usage{Datastores: map[int]one.DatastoreQuota{i.DatastoreID: {Size: float64(mb - before)}}}
			if err := c.checkQuota(&tx.State, who.UID, i.UID, i.GID, grown); err != nil {
				return err
			}
		}
		return c.checkQuota(&tx.State, who.UID, v.UID, v.GID, grownDisks(v.Usage(), ch.VM.Usage()))
	})
}

// imageFollows gives the image of a persistent disk the size that the disk has, and
// returns it; nil when the disk has none.
func imageFollows(tx *store.Tx, v *one.VM, disk int) *one.Image {
	d, _ := one.Disk(v.Template, disk)
	id, ok := atoi(d.Get("IMAGE_ID"))
	if !ok || !d.Bool("SAVE") {
		return nil
	}
	i, ok := tx.Images.Get(id)
	size, good := sizeMB(d.Get("SIZE"))
	if !ok || !good {
		return nil
	}
	n := *i
	n.Size = size
	tx.PutImage(&n)
	return &n
}

// withDisk returns a VM's template with one more disk, whose image is taken and
// whose device is named, and the disk's id.
func (c *Cloud) withDisk(tx *store.Tx, who auth.Caller, v *one.VM, sent tmpl.Vector) (*tmpl.Template, int, error) {
	t, id := v.Template, one.NextDisk(v.Template)
	disks := t.Vectors("DISK")
	if len(disks) >= maxDisks {
		return nil, 0, fmt.Errorf("Exceeded the maximum number of disks (%d)", maxDisks)
	}
	disk, copying, err := c.resolveDisk(tx, who, sent, id)
	if err != nil {
		return nil, 0, err
	}
	if copying {
		return nil, 0, fmt.Errorf("Cannot acquire image %s, it is locked", disk.Get("IMAGE_ID"))
	}
	names := newTargets()
	if err := names.reserve(disks, t.Vector("CONTEXT")); err != nil {
		return nil, 0, err
	}
	if target := disk.Get("TARGET"); names.used[target] {
		return nil, 0, fmt.Errorf("Target %s is already in use.", target)
	}
	fresh := []tmpl.Vector{disk}
	names.assignRest(fresh)
	disk = fresh[0].Without(osMark)
	if clusters, bound := disk.Lookup("CLUSTER_ID"); bound && !slices.Contains(splitInts(clusters), v.LastRecord().CID) {
		return nil, 0, fmt.Errorf("Image [%s] is not part of cluster [%d]", disk.Get("IMAGE_ID"), v.LastRecord().CID)
	}
	t = t.WithVectors("DISK", append(disks, disk))
	reqs, err := autoRequirements(t, v.UserTemplate)
	if err != nil {
		return nil, 0, err
	}
	return t.Merge(reqs), id, nil
}

// grownDisks returns what of images and datastores a VM uses more after a change
// of its disks than before.
func grownDisks(before, after one.Usage) one.Usage {
	grown := grownBy(before, after)
	grown.Images = map[int]one.ImageQuota{}
	for id, q := range after.Images {
		if more := q.RVMs - before.Images[id].RVMs; more > 0 {
			grown.Images[id] = one.ImageQuota{RVMs: more}
		}
	}
	return grown
}
