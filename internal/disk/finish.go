package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// Finish ends the life of a VM's directory: what was changed on copies of
// persistent images goes back into these images, and the directory is removed.
// Images that were only linked are up to date as they are.
// Source: resources reference §5.2, epilog.
func (h *Host) Finish(ctx context.Context, m *agentapi.Machine) error {
	disks, err := disksOf(m)
	if err != nil {
		return err
	}
	if err := h.forgetSnapshots(ctx, m, disks...); err != nil {
		return err
	}
	for _, d := range disks {
		if err := h.saveDisk(ctx, m, d); err != nil {
			return err
		}
	}
	return h.removeDirs(m)
}

// saveDisk brings a disk back to its image, if it is a copy of it that is to be
// saved.
func (h *Host) saveDisk(ctx context.Context, m *agentapi.Machine, d vmDisk) error {
	if d.kind != linkCopy || !d.save {
		return nil
	}
	if err := h.bringBack(ctx, h.DiskPath(m, d.id), d.source); err != nil {
		return fmt.Errorf("DISK %d: bring back to %s: %w", d.id, d.source, err)
	}
	return h.at(fmt.Sprintf("brought back disk.%d", d.id))
}

// bringBack replaces an image by the disk that is a changed copy of it. Without
// the disk it was brought back already.
func (h *Host) bringBack(ctx context.Context, disk, image string) error {
	info, err := os.Lstat(disk)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: expected a file", disk)
	}
	// A link that was cut before the disk's own name was removed: renaming one name
	// of a file to another of its names does nothing.
	if now, err := os.Stat(image); err == nil && os.SameFile(now, info) {
		return os.Remove(disk)
	}
	err = h.produce(image, diskMode, func(path string) error {
		// A second name for the file, where that can be, costs nothing.
		if err := os.Link(disk, path); err == nil {
			return nil
		}
		return copyFile(ctx, disk, path)
	})
	if err != nil {
		return err
	}
	return os.Remove(disk)
}

// Remove removes all a VM has on this host and on the front end, and saves
// nothing. It goes on after a failure, and tells of all.
func (h *Host) Remove(ctx context.Context, m *agentapi.Machine) error {
	disks, err := disksOf(m)
	if err == nil {
		err = h.forgetSnapshots(ctx, m, disks...)
	}
	return errors.Join(err, h.removeDirs(m))
}

func (h *Host) removeDirs(m *agentapi.Machine) error {
	var errs []error
	for _, base := range []string{h.cfg.Base, h.cfg.FrontEnd} {
		dir := vmDir(base, m)
		errs = append(errs, os.RemoveAll(dir), h.at("removed "+dir), os.RemoveAll(dir+part))
	}
	return errors.Join(errs...)
}

// Store moves a VM's directory from this host to the front end.
func (h *Host) Store(ctx context.Context, m *agentapi.Machine) error {
	return h.transfer(ctx, m, h.cfg.Base, h.cfg.FrontEnd)
}

// Fetch moves a VM's directory from the front end to this host.
func (h *Host) Fetch(ctx context.Context, m *agentapi.Machine) error {
	return h.transfer(ctx, m, h.cfg.FrontEnd, h.cfg.Base)
}

func (h *Host) transfer(ctx context.Context, m *agentapi.Machine, from, to string) error {
	if from == to { // shared, or the same machine
		if _, err := os.Stat(h.Dir(m)); err != nil {
			return fmt.Errorf("directory of VM %d: %w", m.ID, err)
		}
		return nil
	}
	if err := h.move(ctx, vmDir(from, m), vmDir(to, m)); err != nil {
		return fmt.Errorf("move directory of VM %d: %w", m.ID, err)
	}
	return nil
}
