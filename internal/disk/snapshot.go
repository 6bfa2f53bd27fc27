package disk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// Snapshots are internal ones of qcow2 files: they are independent of each other,
// and move, grow and end with the file. Each change of a file is made by qemu-img,
// which orders its writes so that a cut leaves the snapshot there or not there, and
// at worst some clusters that nobody uses.

// snapshotFile returns the file of a disk that may have snapshots.
func (h *Host) snapshotFile(m *agentapi.Machine, id int) (vmDisk, string, error) {
	disks, err := disksOf(m)
	if err != nil {
		return vmDisk{}, "", err
	}
	i := slices.IndexFunc(disks, func(d vmDisk) bool { return d.id == id })
	switch {
	case i < 0:
		return vmDisk{}, "", fmt.Errorf("the VM has no disk %d", id)
	case disks[i].format != Qcow2:
		return vmDisk{}, "", fmt.Errorf("DISK %d: snapshots are for disks in format %s, this is %s", id, Qcow2, disks[i].format)
	}
	return disks[i], h.DiskPath(m, id), nil
}

// SnapshotDisk keeps what is on a disk of a VM that does not run. One of that
// name that is there is this one, made before, unless it is older than what was asked
// for: then it is left of one that was given up.
func (h *Host) SnapshotDisk(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error {
	_, path, err := h.snapshotFile(m, s.Disk)
	if err != nil {
		return err
	}
	_, all, err := h.inspect(ctx, path)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(all, named(s.Name)); i >= 0 {
		if all[i].taken() >= s.Begun {
			return nil
		}
		if err := h.deleteSnapshot(ctx, path, s.Name); err != nil {
			return err
		}
	}
	if err := h.at("snapshot " + s.Name); err != nil {
		return err
	}
	return h.snapshot(ctx, path, "-c", s.Name)
}

// RevertDisk brings back what was on a disk of a VM that does not run. A disk
// that has grown since stays as large as it is.
func (h *Host) RevertDisk(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error {
	d, path, err := h.snapshotFile(m, s.Disk)
	if err != nil {
		return err
	}
	there, err := h.hasSnapshot(ctx, path, s.Name)
	if err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("DISK %d: there is no snapshot %s", s.Disk, s.Name)
	}
	if err := h.snapshot(ctx, path, "-a", s.Name); err != nil {
		return err
	}
	if err := h.at("reverted " + s.Name); err != nil {
		return err
	}
	size, _, err := h.inspect(ctx, path)
	if err != nil {
		return err
	}
	return h.grow(ctx, path, Image{Format: Qcow2, Size: size}, d.sizeMB)
}

// ForgetDisk deletes a snapshot of a disk of a VM that does not run; one that
// is not there is a success.
func (h *Host) ForgetDisk(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error {
	_, path, err := h.snapshotFile(m, s.Disk)
	if err != nil {
		return err
	}
	return h.deleteSnapshot(ctx, path, s.Name)
}

// ForgetSnapshot deletes a snapshot of a whole VM that does not run: its part on each
// disk, and what the driver keeps of it in the directory.
func (h *Host) ForgetSnapshot(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error {
	disks, err := disksOf(m)
	if err != nil {
		return err
	}
	if err := h.forget(ctx, m, s.Name, disks); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(h.Dir(m), s.Name+".xml")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ofVM is what the snapshots of whole VMs are called. Source: VM lifecycle reference
// §3.5.
var ofVM = regexp.MustCompile(`^snap-[0-9]+$`)

// forgetSnapshots takes the snapshots of a whole VM from those of some disks that live
// on as images, also those that were given up while they were made.
func (h *Host) forgetSnapshots(ctx context.Context, m *agentapi.Machine, disks ...vmDisk) error {
	for _, d := range disks {
		if d.format != Qcow2 || d.kind != link && (d.kind != linkCopy || !d.save) {
			continue
		}
		path := h.DiskPath(m, d.id)
		_, all, err := h.inspect(ctx, path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("DISK %d: %w", d.id, err)
		}
		for _, s := range all {
			if !ofVM.MatchString(s.Name) {
				continue
			}
			if err := h.deleteSnapshot(ctx, path, s.Name); err != nil {
				return fmt.Errorf("DISK %d: snapshot %s: %w", d.id, s.Name, err)
			}
		}
	}
	return nil
}

// forget deletes a snapshot on some disks; those that are not there have none.
func (h *Host) forget(ctx context.Context, m *agentapi.Machine, name string, disks []vmDisk) error {
	for _, d := range disks {
		if d.format != Qcow2 {
			continue
		}
		err := h.deleteSnapshot(ctx, h.DiskPath(m, d.id), name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("DISK %d: %w", d.id, err)
		}
	}
	return nil
}

// deleteSnapshot deletes a snapshot in a file; one that is not there is a success.
func (h *Host) deleteSnapshot(ctx context.Context, path, name string) error {
	there, err := h.hasSnapshot(ctx, path, name)
	if err != nil || !there {
		return err
	}
	if err := h.at("delete " + name); err != nil {
		return err
	}
	return h.snapshot(ctx, path, "-d", name)
}

// snapshot has qemu-img do something about a snapshot of a file that inspect has
// found to be in format qcow2: it looks for the format itself.
func (h *Host) snapshot(ctx context.Context, path, how, name string) error {
	return run(ctx, h.cfg.QemuImg, "snapshot", "-q", how, name, path)
}

func (h *Host) hasSnapshot(ctx context.Context, path, name string) (bool, error) {
	_, all, err := h.inspect(ctx, path)
	return slices.ContainsFunc(all, named(name)), err
}

// snapshotInfo is what qemu-img tells of a snapshot.
type snapshotInfo struct {
	Name  string `json:"name"`
	Sec   int64  `json:"date-sec"`
	Nanos int64  `json:"date-nsec"`
}

// taken is when it was taken, epoch milliseconds.
func (s snapshotInfo) taken() int64 { return s.Sec*1e3 + s.Nanos/1e6 }

func named(name string) func(snapshotInfo) bool {
	return func(s snapshotInfo) bool { return s.Name == name }
}

// inspect returns the size of a qcow2 file, bytes that the guest sees, and its
// snapshots.
func (h *Host) inspect(ctx context.Context, path string) (size int64, snapshots []snapshotInfo, err error) {
	if _, err := os.Stat(path); err != nil {
		return 0, nil, err
	}
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, h.cfg.QemuImg, "info", "--output=json", "-f", Qcow2, path)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return 0, nil, fmt.Errorf("%s info %s: %w: %s", h.cfg.QemuImg, path, err, bytes.TrimSpace(complaint.Bytes()))
	}
	var info struct {
		Size      int64          `json:"virtual-size"`
		Snapshots []snapshotInfo `json:"snapshots"`
	}
	if err := json.Unmarshal(out.Bytes(), &info); err != nil {
		return 0, nil, fmt.Errorf("%s info %s: %w", h.cfg.QemuImg, path, err)
	}
	return info.Size, info.Snapshots, nil
}
