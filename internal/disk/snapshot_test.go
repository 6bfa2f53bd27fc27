package disk

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// snapshotVM is a VM with an overlay on an image, a persistent image that is linked,
// one that is copied, and a raw disk.
func snapshotVM(h *Host) *agentapi.Machine {
	ds := filepath.Join(h.cfg.Base, "1")
	return vm(
		dsk("DISK_ID", "0", "CLONE", "YES", "SOURCE", filepath.Join(ds, "base"), "FORMAT", "qcow2", "TM_MAD", "qcow2", "SIZE", "2"),
		dsk("DISK_ID", "1", "CLONE", "NO", "SAVE", "YES", "SOURCE", filepath.Join(ds, "linked"), "FORMAT", "qcow2", "TM_MAD", "qcow2"),
		dsk("DISK_ID", "2", "CLONE", "NO", "SAVE", "YES", "SOURCE", filepath.Join(ds, "copied"), "FORMAT", "qcow2", "TM_MAD", "ssh"),
		dsk("DISK_ID", "3", "TYPE", "fs", "FORMAT", "raw", "SIZE", "1"),
	)
}

func snapshotImages(t *testing.T, h *Host) {
	t.Helper()
	for _, name := range []string{"base", "linked", "copied"} {
		qcow2(t, filepath.Join(h.cfg.Base, "1", name), 2)
	}
	if err := h.Prepare(t.Context(), snapshotVM(h)); err != nil {
		t.Fatal(err)
	}
}

// fill writes a letter over the first 64 kB of a disk, holds tells whether it is there.
func fill(t *testing.T, path, letter string) {
	t.Helper()
	qemuIO(t, path, "write -P "+letter+" 0 64k")
}

func holds(t *testing.T, path, letter string) {
	t.Helper()
	qemuIO(t, path, "read -P "+letter+" 0 64k")
}

func qemuIO(t *testing.T, path, command string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "qemu-io", "-f", "qcow2", "-c", command, path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "fail") {
		t.Fatalf("%s of %s: %v, %s", command, path, err, out)
	}
}

func wantSnapshots(t *testing.T, h *Host, path string, want ...string) {
	t.Helper()
	_, all, err := h.inspect(t.Context(), path)
	var got []string
	for _, s := range all {
		got = append(got, s.Name)
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s has the snapshots %q (%v), want %q", path, got, err, want)
	}
}

// sound fails the test unless qemu-img finds a disk in order.
func sound(t *testing.T, path string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "qemu-img", "check", path).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", path, err, out)
	}
}

func TestDiskSnapshots(t *testing.T) {
	needs(t, "qemu-img", "qemu-io")
	for disk := range 3 {
		t.Run(fmt.Sprint(disk), func(t *testing.T) {
			h := newHost(t, Config{})
			snapshotImages(t, h)
			m, path := snapshotVM(h), h.DiskPath(snapshotVM(h), disk)
			first, second := agentapi.Snapshot{Name: "disk-snap-0", Disk: disk}, agentapi.Snapshot{Name: "disk-snap-1", Disk: disk}
			must := func(what string, err error) {
				t.Helper()
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
			fill(t, path, "1")
			must("snapshot", h.SnapshotDisk(t.Context(), m, first))
			fill(t, path, "2")
			must("snapshot again", h.SnapshotDisk(t.Context(), m, first)) // which it is: the disk has gone on
			must("second snapshot", h.SnapshotDisk(t.Context(), m, second))
			wantSnapshots(t, h, path, "disk-snap-0", "disk-snap-1")
			fill(t, path, "3")
			m.Template = larger(m.Template, disk, "4")
			if out, err := exec.CommandContext(t.Context(), "qemu-img", "resize", "-q", "-f", "qcow2", path, "4M").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for range 2 {
				must("revert", h.RevertDisk(t.Context(), m, first))
				holds(t, path, "1")
			}
			must("revert to the second", h.RevertDisk(t.Context(), m, second))
			holds(t, path, "2")
			if size, _, err := h.inspect(t.Context(), path); err != nil || size != 4*mb {
				t.Errorf("a disk that had grown has %d bytes (%v)", size, err)
			}
			for range 2 {
				must("delete", h.ForgetDisk(t.Context(), m, first))
			}
			wantSnapshots(t, h, path, "disk-snap-1")
			if err := h.RevertDisk(t.Context(), m, first); err == nil || !strings.Contains(err.Error(), "there is no snapshot disk-snap-0") {
				t.Errorf("revert to what is gone: %v", err)
			}
			sound(t, path)
		})
	}
}

// larger gives a disk another size.
func larger(t *tmpl.Template, disk int, size string) *tmpl.Template {
	disks := slices.Clone(t.Vectors("DISK"))
	disks[disk] = disks[disk].With("SIZE", size)
	return t.WithVectors("DISK", disks)
}

func TestSnapshotsRefused(t *testing.T) {
	needs(t, "qemu-img")
	h := newHost(t, Config{})
	snapshotImages(t, h)
	m := snapshotVM(h)
	for disk, want := range map[int]string{3: "snapshots are for disks in format qcow2, this is raw", 9: "the VM has no disk 9"} {
		for name, f := range map[string]func(context.Context, *agentapi.Machine, agentapi.Snapshot) error{
			"create": h.SnapshotDisk, "revert": h.RevertDisk, "delete": h.ForgetDisk,
		} {
			if err := f(t.Context(), m, agentapi.Snapshot{Name: "x", Disk: disk}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s of disk %d: %v, want %q", name, disk, err, want)
			}
		}
	}
}

// TestSnapshotsEndWithTheVM: those of disks go back with the image, those of the whole
// VM do not.
func TestSnapshotsEndWithTheVM(t *testing.T) {
	needs(t, "qemu-img")
	h := newHost(t, Config{})
	snapshotImages(t, h)
	m := snapshotVM(h)
	m.Template = m.Template.Add(tmpl.Vec("SNAPSHOT", "SNAPSHOT_ID", "0", "HYPERVISOR_ID", "snap-0"), tmpl.Vec("SNAPSHOT", "SNAPSHOT_ID", "1", "HYPERVISOR_ID", ""))
	for disk := range 3 {
		for _, name := range []string{"snap-0", "disk-snap-0"} { // as the hypervisor makes the first
			if err := h.SnapshotDisk(t.Context(), m, agentapi.Snapshot{Name: name, Disk: disk}); err != nil {
				t.Fatal(err)
			}
		}
	}
	// One goes before the VM does.
	linked := m.Template.Vectors("DISK")[1]
	if err := h.DropDisk(t.Context(), m, linked); err != nil {
		t.Fatal(err)
	}
	wantSnapshots(t, h, filepath.Join(h.cfg.Base, "1", "linked"), "disk-snap-0")
	if err := h.Finish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"linked", "copied"} {
		wantSnapshots(t, h, filepath.Join(h.cfg.Base, "1", name), "disk-snap-0")
	}
	if err := h.Finish(t.Context(), m); err != nil {
		t.Errorf("finish again: %v", err)
	}
}

// TestSnapshotsEndWithRemovedVM: linked images lose those of a VM whose end saves
// nothing, also one that was given up while it was made and that nobody knows of.
func TestSnapshotsEndWithRemovedVM(t *testing.T) {
	needs(t, "qemu-img")
	h := newHost(t, Config{})
	snapshotImages(t, h)
	m := snapshotVM(h)
	for _, name := range []string{"snap-0", "disk-snap-0"} {
		if err := h.SnapshotDisk(t.Context(), m, agentapi.Snapshot{Name: name, Disk: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := h.Remove(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		wantSnapshots(t, h, filepath.Join(h.cfg.Base, "1", "linked"), "disk-snap-0")
	}
}

// TestSnapshotInPlaceOfOlder: what is left of a snapshot that was given up is not taken
// for a new one of its name.
func TestSnapshotInPlaceOfOlder(t *testing.T) {
	needs(t, "qemu-img", "qemu-io")
	h := newHost(t, Config{})
	snapshotImages(t, h)
	m, path := snapshotVM(h), h.DiskPath(snapshotVM(h), 1)
	fill(t, path, "1")
	if err := h.SnapshotDisk(t.Context(), m, agentapi.Snapshot{Name: "disk-snap-0", Disk: 1}); err != nil {
		t.Fatal(err)
	}
	fill(t, path, "2")
	_, all, err := h.inspect(t.Context(), path)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v (%v)", all, err)
	}
	snap := agentapi.Snapshot{Name: "disk-snap-0", Disk: 1, Begun: all[0].taken() + 1}
	if err := h.SnapshotDisk(t.Context(), m, snap); err != nil {
		t.Fatal(err)
	}
	fill(t, path, "3")
	if err := h.RevertDisk(t.Context(), m, snap); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "2")
	wantSnapshots(t, h, path, "disk-snap-0")
}

// TestSnapshotsCutAnywhere lets each operation fail at each of its points, and does it
// again: the file is in order, and as if nothing had happened.
func TestSnapshotsCutAnywhere(t *testing.T) {
	needs(t, "qemu-img", "qemu-io")
	snap := agentapi.Snapshot{Name: "snap-0", Disk: 0}
	var h *Host
	for name, op := range map[string]struct {
		do   func(context.Context, *agentapi.Machine, agentapi.Snapshot) error
		made bool // before
		left []string
	}{
		"create": {func(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error {
			return h.SnapshotDisk(ctx, m, s)
		}, false, []string{"snap-0"}},
		"revert": {func(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error {
			return h.RevertDisk(ctx, m, s)
		}, true, []string{"snap-0"}},
		"delete": {func(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error {
			return h.ForgetDisk(ctx, m, s)
		}, true, nil},
		"forget": {func(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error {
			return h.ForgetSnapshot(ctx, m, s)
		}, true, nil},
	} {
		points := map[string]bool{}
		for n := 0; ; n++ {
			h = newHost(t, Config{})
			snapshotImages(t, h)
			m, path := snapshotVM(h), h.DiskPath(snapshotVM(h), 0)
			write(t, filepath.Join(h.Dir(m), "snap-0.xml"), "kept by the driver")
			fill(t, path, "1")
			if op.made {
				if err := h.SnapshotDisk(t.Context(), m, snap); err != nil {
					t.Fatal(err)
				}
			}
			at := 0
			h.fault = func(point string) error {
				points[point] = true
				if at++; at == n+1 {
					return fmt.Errorf("cut at %s", point)
				}
				return nil
			}
			cut := op.do(t.Context(), m, snap)
			h.fault = nil
			if err := op.do(t.Context(), m, snap); err != nil {
				t.Fatalf("%s after %v: %v", name, cut, err)
			}
			wantSnapshots(t, h, path, op.left...)
			holds(t, path, "1")
			sound(t, path)
			if _, err := os.Stat(filepath.Join(h.Dir(m), "snap-0.xml")); (err == nil) != (name != "forget") {
				t.Errorf("%s after %v: what the driver keeps: %v", name, cut, err)
			}
			if cut == nil {
				break
			}
		}
		if len(points) == 0 {
			t.Errorf("%s was never cut", name)
		}
	}
}
