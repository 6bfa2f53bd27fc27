package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Every operation is played in a process that kills itself at its first point,
// then at its second, and so on until it lives to the end. After each death the
// operation is run again, twice, and must have led to the same end as if nothing
// had happened.

const (
	scenarioVariable = "DISK_TEST_SCENARIO"
	baseVariable     = "DISK_TEST_BASE"
	pointVariable    = "DISK_TEST_POINT"
)

// scenario is an operation: what must be there before it, and after.
type scenario struct {
	before func(t *testing.T, h *Host)
	do     func(ctx context.Context, h *Host) error
	after  func(t *testing.T, h *Host)
	tools  []string
}

func crashHost(base string) (*Host, error) {
	return New(Config{Base: filepath.Join(base, "host"), FrontEnd: filepath.Join(base, "front")})
}

const persistentContent = "persistent"

func crashVM(h *Host) *agentapi.Machine {
	ds := filepath.Join(h.cfg.Base, "1")
	m := vm(
		dsk("DISK_ID", "0", "CLONE", "YES", "SOURCE", filepath.Join(ds, "raw"), "SIZE", "2"),
		dsk("DISK_ID", "1", "CLONE", "NO", "SAVE", "YES", "TM_MAD", "ssh", "SOURCE", filepath.Join(ds, "persistent")),
		dsk("DISK_ID", "2", "CLONE", "NO", "SAVE", "YES", "TM_MAD", "shared", "SOURCE", filepath.Join(ds, "linked")),
		dsk("DISK_ID", "3", "TYPE", "swap", "SIZE", "1"),
		tmpl.Vec("OS", "KERNEL_DS", `$FILE[IMAGE_ID="1"]`),
	)
	m.Kernel = filepath.Join(ds, "raw")
	m.Context = &agentapi.Context{DiskID: 4, Vars: tmpl.Vec("CONTEXT", "VMID", "7").Vector, Token: "t", Time: 1}
	return m
}

func images(t *testing.T, h *Host) {
	ds := filepath.Join(h.cfg.Base, "1")
	write(t, filepath.Join(ds, "raw"), strings.Repeat("r", mb))
	write(t, filepath.Join(ds, "persistent"), persistentContent)
	write(t, filepath.Join(ds, "linked"), persistentContent)
}

func prepared(t *testing.T, h *Host) {
	images(t, h)
	if err := h.Prepare(t.Context(), crashVM(h)); err != nil {
		t.Fatal(err)
	}
	write(t, h.DiskPath(crashVM(h), 1), "changed")
}

func wholeVM(t *testing.T, dir string) {
	t.Helper()
	for name, want := range map[string]int64{"disk.0": 2 * mb, "disk.2": int64(len(persistentContent)), "disk.3": mb, "kernel": mb} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Size() != want {
			t.Errorf("%s: %v, want %d bytes (%v)", name, info, want, err)
		}
	}
}

func gone(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if there, err := exists(path); there || err != nil {
			t.Errorf("%s is still there (%v)", path, err)
		}
	}
}

func importSpec(h *Host) *agentapi.ImageSpec {
	dir := filepath.Join(filepath.Dir(h.cfg.Base), "upload")
	return &agentapi.ImageSpec{ID: 1, DatastoreID: 1, Path: filepath.Join(dir, "raw"), Format: "qcow2", SafeDirs: []string{dir}}
}

var scenarios = map[string]scenario{
	"prepare": {
		before: images,
		do:     func(ctx context.Context, h *Host) error { return h.Prepare(ctx, crashVM(h)) },
		after:  func(t *testing.T, h *Host) { wholeVM(t, h.Dir(crashVM(h))) },
		tools:  []string{"mkswap"},
	},
	"context": {
		before: func(*testing.T, *Host) {},
		do:     func(ctx context.Context, h *Host) error { return h.Context(ctx, crashVM(h)) },
		after: func(t *testing.T, h *Host) {
			path := h.DiskPath(crashVM(h), 4)
			// BusyBox reads the first 68 KiB of a disk before it knows what it is.
			if iso := read(t, path); len(iso) < 68<<10 || len(iso)%2048 != 0 || iso[32769:32774] != "CD001" {
				t.Error("the context disk is no ISO image")
			}
			wantMode(t, path, secretMode)
		},
	},
	"finish": {
		before: prepared,
		do:     func(ctx context.Context, h *Host) error { return h.Finish(ctx, crashVM(h)) },
		after: func(t *testing.T, h *Host) {
			ds := filepath.Join(h.cfg.Base, "1")
			if read(t, filepath.Join(ds, "persistent")) != "changed" || read(t, filepath.Join(ds, "linked")) != persistentContent {
				t.Error("the persistent images are not as the VM left them")
			}
			gone(t, h.Dir(crashVM(h)))
		},
		tools: []string{"mkswap"},
	},
	"place": {
		before: images,
		do: func(ctx context.Context, h *Host) error {
			for _, v := range crashVM(h).Template.Vectors("DISK") {
				if err := h.PlaceDisk(ctx, crashVM(h), v); err != nil {
					return err
				}
			}
			return nil
		},
		after: func(t *testing.T, h *Host) {
			for name, want := range map[string]int64{"disk.0": 2 * mb, "disk.1": int64(len(persistentContent)), "disk.2": int64(len(persistentContent)), "disk.3": mb} {
				if info, err := os.Stat(filepath.Join(h.Dir(crashVM(h)), name)); err != nil || info.Size() != want {
					t.Errorf("%s: %v, want %d bytes (%v)", name, info, want, err)
				}
			}
		},
		tools: []string{"mkswap"},
	},
	"drop": {
		before: prepared,
		do: func(ctx context.Context, h *Host) error {
			for _, v := range crashVM(h).Template.Vectors("DISK") {
				if err := h.DropDisk(ctx, crashVM(h), v); err != nil {
					return err
				}
			}
			return nil
		},
		after: func(t *testing.T, h *Host) {
			ds, dir := filepath.Join(h.cfg.Base, "1"), h.Dir(crashVM(h))
			if read(t, filepath.Join(ds, "persistent")) != "changed" || read(t, filepath.Join(ds, "linked")) != persistentContent {
				t.Error("the persistent images are not as the VM left them")
			}
			gone(t, filepath.Join(dir, "disk.0"), filepath.Join(dir, "disk.1"), filepath.Join(dir, "disk.2"), filepath.Join(dir, "disk.3"))
			if there, err := exists(filepath.Join(dir, "kernel")); !there || err != nil {
				t.Errorf("the kernel went with the disks (%v)", err)
			}
		},
		tools: []string{"mkswap"},
	},
	"grow disk": {
		before: prepared,
		do: func(ctx context.Context, h *Host) error {
			for _, v := range crashVM(h).Template.Vectors("DISK")[:3] {
				if err := h.GrowDisk(ctx, crashVM(h), v.With("SIZE", "5")); err != nil {
					return err
				}
			}
			return nil
		},
		after: func(t *testing.T, h *Host) {
			for _, path := range []string{h.DiskPath(crashVM(h), 0), h.DiskPath(crashVM(h), 1), filepath.Join(h.cfg.Base, "1", "linked")} {
				if info, err := os.Stat(path); err != nil || info.Size() != 5*mb {
					t.Errorf("%s: %v (%v), want 5 MB", path, info, err)
				}
			}
			if !strings.HasPrefix(read(t, h.DiskPath(crashVM(h), 1)), "changed") {
				t.Error("what was on the disk is gone")
			}
		},
		tools: []string{"mkswap"},
	},
	"remove disk": {
		before: prepared,
		do: func(ctx context.Context, h *Host) error {
			return h.RemoveDisk(ctx, crashVM(h), crashVM(h).Template.Vectors("DISK")[1])
		},
		after: func(t *testing.T, h *Host) {
			gone(t, h.DiskPath(crashVM(h), 1))
			if read(t, filepath.Join(h.cfg.Base, "1", "persistent")) != persistentContent {
				t.Error("a disk that was only to be removed was saved")
			}
		},
		tools: []string{"mkswap"},
	},
	"store": {
		before: prepared,
		do:     func(ctx context.Context, h *Host) error { return h.Store(ctx, crashVM(h)) },
		after: func(t *testing.T, h *Host) {
			wholeVM(t, vmDir(h.cfg.FrontEnd, crashVM(h)))
			gone(t, h.Dir(crashVM(h)))
		},
		tools: []string{"mkswap"},
	},
	"fetch": {
		before: func(t *testing.T, h *Host) {
			prepared(t, h)
			if err := h.Store(t.Context(), crashVM(h)); err != nil {
				t.Fatal(err)
			}
		},
		do: func(ctx context.Context, h *Host) error { return h.Fetch(ctx, crashVM(h)) },
		after: func(t *testing.T, h *Host) {
			wholeVM(t, h.Dir(crashVM(h)))
			gone(t, vmDir(h.cfg.FrontEnd, crashVM(h)))
		},
		tools: []string{"mkswap"},
	},
	"import": {
		before: func(t *testing.T, h *Host) { write(t, importSpec(h).Path, strings.Repeat("i", mb)) },
		do: func(ctx context.Context, h *Host) error {
			_, err := h.ImportVerified(ctx, importSpec(h), Sums{})
			return err
		},
		after: func(t *testing.T, h *Host) {
			got, err := ProbePath(h.imagePath(importSpec(h)))
			if want := (Image{Qcow2, mb}); err != nil || got != want {
				t.Errorf("imported %+v, %v", got, err)
			}
		},
		tools: []string{"qemu-img"},
	},
	"delete": {
		before: images,
		do: func(ctx context.Context, h *Host) error {
			return h.DeleteImage(ctx, &agentapi.ImageSpec{DatastoreID: 1, Source: filepath.Join(h.cfg.Base, "1", "raw")})
		},
		after: func(t *testing.T, h *Host) { gone(t, filepath.Join(h.cfg.Base, "1", "raw")) },
	},
}

// playScenario is the process that dies.
func playScenario() int {
	h, err := crashHost(os.Getenv(baseVariable))
	if err == nil {
		var last int
		if last, err = strconv.Atoi(os.Getenv(pointVariable)); err == nil {
			n := 0
			h.fault = func(string) error {
				if n == last {
					return errors.Join(syscall.Kill(os.Getpid(), syscall.SIGKILL), errors.New("outlived SIGKILL"))
				}
				n++
				return nil
			}
			err = scenarios[os.Getenv(scenarioVariable)].do(context.Background(), h)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestCrashes(t *testing.T) {
	for name, s := range scenarios {
		t.Run(name, func(t *testing.T) {
			needs(t, s.tools...)
			t.Run("SameFileSystem", func(t *testing.T) { crash(t, name, s, func(t *testing.T) string { return t.TempDir() }) })
			if name == "store" || name == "fetch" {
				t.Run("OtherFileSystem", func(t *testing.T) { crash(t, name, s, twoFileSystems) })
			}
		})
	}
}

// twoFileSystems is a directory whose front end is on another file system.
func twoFileSystems(t *testing.T) string {
	base := t.TempDir()
	if err := os.Symlink(small(t, 8), filepath.Join(base, "front")); err != nil {
		t.Fatal(err)
	}
	return base
}

func crash(t *testing.T, name string, s scenario, newBase func(t *testing.T) string) {
	for point := 0; ; point++ {
		base := newBase(t)
		h, err := crashHost(base)
		if err != nil {
			t.Fatal(err)
		}
		s.before(t, h)

		cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
		cmd.Env = append(os.Environ(), scenarioVariable+"="+name, baseVariable+"="+base, pointVariable+"="+strconv.Itoa(point), "GORACE=atexit_sleep_ms=0")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		survived := err == nil
		if !survived && !(errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL) {
			t.Fatalf("point %d: %v: %s", point, err, out)
		}
		for range 2 {
			if err := s.do(t.Context(), h); err != nil {
				t.Fatalf("run again after a death at point %d: %v", point, err)
			}
		}
		s.after(t, h)
		noParts(t, base)
		if t.Failed() {
			t.Fatalf("after a death at point %d", point)
		}
		if survived {
			t.Logf("killed at %d points", point)
			return
		}
	}
}
