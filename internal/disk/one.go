package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// PlaceDisk is Prepare for one disk of a VM: v is its DISK.
func (h *Host) PlaceDisk(ctx context.Context, m *agentapi.Machine, v tmpl.Vector) error {
	d, err := readDisk(v)
	if err != nil {
		return err
	}
	if err := makeDir(h.Dir(m)); err != nil {
		return full(err, h.cfg.Base)
	}
	return h.place(ctx, m, d)
}

// DropDisk ends the life of one disk of a VM: what was changed on the copy of a
// persistent image goes back into it, and the disk is removed. An image that was
// only linked is up to date as it is.
// Source: resources reference §5.2, epilog.
func (h *Host) DropDisk(ctx context.Context, m *agentapi.Machine, v tmpl.Vector) error {
	d, err := readDisk(v)
	if err != nil {
		return err
	}
	if err := h.forgetSnapshots(ctx, m, d); err != nil {
		return err
	}
	if err := h.saveDisk(ctx, m, d); err != nil {
		return err
	}
	return h.removeDisk(m, d.id)
}

// RemoveDisk removes a disk of a VM and saves nothing.
func (h *Host) RemoveDisk(_ context.Context, m *agentapi.Machine, v tmpl.Vector) error {
	d, err := readDisk(v)
	if err != nil {
		return err
	}
	return h.removeDisk(m, d.id)
}

// GrowDisk makes a disk of a VM that is off as large as its SIZE, unless it is as
// large already. Of a linked image it is the image that grows.
func (h *Host) GrowDisk(ctx context.Context, m *agentapi.Machine, v tmpl.Vector) error {
	d, err := readDisk(v)
	if err != nil {
		return fmt.Errorf("grow %w", err)
	}
	if d.sizeMB <= 0 || d.sizeMB > maxImage/mb {
		err = fmt.Errorf("SIZE %d: expected a number of MB from 1 to %d", d.sizeMB, int64(maxImage/mb))
	}
	if err == nil {
		err = h.growDisk(ctx, d, h.DiskPath(m, d.id))
	}
	if err != nil {
		return fmt.Errorf("grow DISK %s: %w", v.Get("DISK_ID"), err)
	}
	return nil
}

func (h *Host) growDisk(ctx context.Context, d vmDisk, path string) error {
	if d.format != Raw {
		return run(ctx, h.cfg.QemuImg, "resize", "-q", "-f", d.format, path, strconv.FormatInt(d.sizeMB, 10)+"M")
	}
	now, err := os.Stat(path)
	if err != nil || now.Size() >= d.sizeMB*mb {
		return err
	}
	if err := os.Truncate(path, d.sizeMB*mb); err != nil {
		return err
	}
	return syncFile(path)
}

func (h *Host) removeDisk(m *agentapi.Machine, id int) error {
	path := h.DiskPath(m, id)
	err := errors.Join(os.RemoveAll(path), h.at("removed "+path), os.RemoveAll(path+part))
	if err != nil {
		return fmt.Errorf("remove DISK %d: %w", id, err)
	}
	return nil
}
