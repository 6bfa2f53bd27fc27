package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
	"github.com/trifid-cloud/trifid/test/ns"
)

func TestMain(m *testing.M) {
	if os.Getenv(scenarioVariable) != "" {
		os.Exit(playScenario())
	}
	os.Exit(ns.Run(m))
}

func newHost(t *testing.T, cfg Config) *Host {
	t.Helper()
	if cfg.Base == "" {
		cfg.Base = filepath.Join(t.TempDir(), "datastores")
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func needs(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s is not installed: run `make deps` as root", tool)
		}
	}
}

// write writes a file, its directory included, and returns its path.
func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// qcow2 makes a qcow2 image of size MB and returns its path.
func qcow2(t *testing.T, path string, mbs int) string {
	t.Helper()
	needs(t, "qemu-img")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", path, strconv.Itoa(mbs)+"M"); err != nil {
		t.Fatal(err)
	}
	return path
}

func vm(disks ...tmpl.Attr) *agentapi.Machine {
	return &agentapi.Machine{ID: 7, Domain: "one-7", Template: tmpl.New(disks...)}
}

func dsk(pairs ...string) tmpl.Attr { return tmpl.Vec("DISK", pairs...) }

// noParts fails the test if anything below dir was left half made.
func noParts(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(filepath.Base(path), part) {
			t.Errorf("%s is left over", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPrepare(t *testing.T) {
	needs(t, "qemu-img", "mkswap", "mkfs.ext4")
	boot := t.TempDir()
	h := newHost(t, Config{KernelDirs: []string{boot}})
	ds := filepath.Join(h.cfg.Base, "1")
	raw := write(t, filepath.Join(ds, "raw"), strings.Repeat("r", 3*mb))
	qc := qcow2(t, filepath.Join(ds, "qc"), 4)
	m := vm(
		dsk("DISK_ID", "0", "TYPE", "FILE", "SOURCE", raw, "CLONE", "YES", "SAVE", "NO", "FORMAT", "raw", "TM_MAD", "ssh", "SIZE", "5"),
		dsk("DISK_ID", "1", "TYPE", "FILE", "SOURCE", qc, "CLONE", "YES", "FORMAT", "qcow2", "TM_MAD", "qcow2", "SIZE", "9"),
		dsk("DISK_ID", "2", "TYPE", "FILE", "SOURCE", qc, "CLONE", "YES", "FORMAT", "qcow2", "TM_MAD", "ssh", "SIZE", "4"),
		dsk("DISK_ID", "3", "TYPE", "FILE", "SOURCE", raw, "CLONE", "NO", "SAVE", "YES", "TM_MAD", "shared"),
		dsk("DISK_ID", "4", "TYPE", "FILE", "SOURCE", raw, "CLONE", "NO", "SAVE", "YES", "TM_MAD", "ssh"),
		dsk("DISK_ID", "5", "TYPE", "swap", "SIZE", "2"),
		dsk("DISK_ID", "6", "TYPE", "fs", "SIZE", "8", "FORMAT", "qcow2", "FS", "ext4"),
		dsk("DISK_ID", "7", "TYPE", "fs", "SIZE", "8"),
		dsk("DISK_ID", "8", "TYPE", "CDROM", "SOURCE", raw, "CLONE", "YES", "FORMAT", "raw", "SIZE", "3"),
	)
	m.Kernel, m.Initrd = write(t, filepath.Join(boot, "k"), "kernel"), write(t, filepath.Join(boot, "i"), "initrd")
	if err := h.Prepare(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[int]Image{
		0: {Raw, 5 * mb}, 1: {Qcow2, 9 * mb}, 2: {Qcow2, 4 * mb}, 3: {Raw, 3 * mb}, 4: {Raw, 3 * mb},
		5: {Raw, 2 * mb}, 6: {Qcow2, 8 * mb}, 7: {Raw, 8 * mb}, 8: {Raw, 3 * mb},
	} {
		got, err := ProbePath(h.DiskPath(m, id))
		if id == 1 {
			if err == nil || !strings.Contains(err.Error(), "backing file") {
				t.Errorf("disk 1 is no overlay: %+v, %v", got, err)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("disk %d is %+v (%v), want %+v", id, got, err, want)
		}
	}
	out, err := exec.Command("qemu-img", "info", "--output=json", h.DiskPath(m, 1)).Output()
	if err != nil || !bytes.Contains(out, []byte(`"virtual-size": 9437184`)) || !bytes.Contains(out, []byte(`"backing-filename": "`+qc)) {
		t.Errorf("the overlay is %s (%v)", out, err)
	}
	if target, err := os.Readlink(h.DiskPath(m, 3)); err != nil || target != raw {
		t.Errorf("disk 3 leads to %q (%v), want %q", target, err, raw)
	}
	if !strings.HasPrefix(read(t, h.DiskPath(m, 0)), strings.Repeat("r", 3*mb)) {
		t.Error("disk 0 has not what its image has")
	}
	if swap := read(t, h.DiskPath(m, 5)); !strings.Contains(swap[:8192], "SWAPSPACE2") {
		t.Error("disk 5 is no swap volume")
	}
	if read(t, filepath.Join(h.Dir(m), "kernel")) != "kernel" || read(t, filepath.Join(h.Dir(m), "initrd")) != "initrd" {
		t.Error("kernel or initrd are not there")
	}
	noParts(t, h.cfg.Base)
	wantMode(t, h.Dir(m), dirMode)
	wantMode(t, h.DiskPath(m, 0), diskMode)

	// What a guest has written stays when the step is repeated.
	write(t, h.DiskPath(m, 0), "written")
	if err := h.Prepare(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if read(t, h.DiskPath(m, 0)) != "written" {
		t.Error("a repeated step has overwritten a disk")
	}

	write(t, h.DiskPath(m, 4), "saved")
	if err := h.Finish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if got := read(t, raw); got != "saved" {
		t.Errorf("the persistent image holds %d bytes, want what the VM saved", len(got))
	}
	if there, err := exists(h.Dir(m)); there || err != nil {
		t.Errorf("the directory is there after the end: %v", err)
	}
	if err := h.Finish(t.Context(), m); err != nil {
		t.Errorf("finish again: %v", err)
	}
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("mode of %s is %#o, want %#o", path, got, want)
	}
}

func TestPrepareRefuses(t *testing.T) {
	h := newHost(t, Config{})
	raw := write(t, filepath.Join(h.cfg.Base, "1", "raw"), "raw")
	for name, test := range map[string]struct {
		disk tmpl.Attr
		want string
	}{
		"no id":       {dsk("TYPE", "swap", "SIZE", "1"), "DISK_ID"},
		"no source":   {dsk("DISK_ID", "0", "CLONE", "YES"), "DISK 0: SOURCE is missing"},
		"relative":    {dsk("DISK_ID", "0", "CLONE", "YES", "SOURCE", "nbd:host"), "absolute path"},
		"size":        {dsk("DISK_ID", "0", "TYPE", "fs", "SIZE", "big"), "SIZE"},
		"no size":     {dsk("DISK_ID", "0", "TYPE", "fs"), "SIZE 0"},
		"format":      {dsk("DISK_ID", "0", "TYPE", "fs", "SIZE", "1", "FORMAT", "vmdk"), `FORMAT "vmdk" is not supported`},
		"fs":          {dsk("DISK_ID", "0", "TYPE", "fs", "SIZE", "1", "FS", "../x"), "FS"},
		"fs tool":     {dsk("DISK_ID", "0", "TYPE", "fs", "SIZE", "1", "FS", "nosuchfs"), "mkfs.nosuchfs is not installed"},
		"type":        {dsk("DISK_ID", "0", "TYPE", "RBD", "SOURCE", "one/x"), "TYPE RBD is not supported yet"},
		"not there":   {dsk("DISK_ID", "0", "CLONE", "YES", "SOURCE", raw+"x"), "no such file"},
		"link absent": {dsk("DISK_ID", "0", "CLONE", "NO", "SOURCE", raw+"x"), "no such file"},
		"other":       {dsk("DISK_ID", "0", "CLONE", "YES", "SOURCE", raw, "FORMAT", "qcow2"), "format raw, expected qcow2"},
	} {
		t.Run(name, func(t *testing.T) {
			err := h.Prepare(t.Context(), vm(test.disk))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
			noParts(t, h.cfg.Base)
			if there, err := exists(h.DiskPath(vm(), 0)); there || err != nil {
				t.Errorf("a refused disk is there (%v)", err)
			}
		})
	}
}

// TestKernelBounds: what a guest boots it can read, so that it must not be any
// file of the host.
func TestKernelBounds(t *testing.T) {
	boot, secret := t.TempDir(), t.TempDir()
	h := newHost(t, Config{KernelDirs: []string{boot}})
	inDatastore := write(t, filepath.Join(h.cfg.Base, "2", "k"), "k")
	hidden := write(t, filepath.Join(secret, "hidden"), "secret")
	link := filepath.Join(boot, "link")
	if err := os.Symlink(hidden, link); err != nil {
		t.Fatal(err)
	}
	const resolved = `$FILE[IMAGE_ID="1"]`
	for name, test := range map[string]struct {
		path string
		os   []string
		ok   bool
	}{
		"given":            {write(t, filepath.Join(boot, "k"), "k"), nil, true},
		"resolved":         {inDatastore, []string{"INITRD_DS", resolved}, true},
		"outside":          {hidden, nil, false},
		"link":             {link, nil, false},
		"in datastore":     {inDatastore, nil, false}, // perhaps of someone else
		"pretends":         {hidden, []string{"INITRD_DS_SOURCE", hidden}, false},
		"resolved outside": {hidden, []string{"INITRD_DS", resolved}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := vm(tmpl.Vec("OS", test.os...))
			m.Initrd = test.path
			err := h.Prepare(t.Context(), m)
			there, look := exists(filepath.Join(h.Dir(m), "initrd"))
			if look != nil || test.ok != there || test.ok != (err == nil) || !test.ok && !errors.Is(err, errOutside) {
				t.Errorf("taken: %v, error %v (%v)", there, err, look)
			}
			if err := h.Remove(t.Context(), m); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCopyStaysSparse copies a large image of which little is there.
func TestCopyStaysSparse(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	f, err := os.Create(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{0, 40 * mb, 100*mb - 4} {
		if _, err := f.WriteAt([]byte("data"), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(200 * mb); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(t.Context(), src, dst); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal([]byte(read(t, src)), []byte(read(t, dst))) {
		t.Error("the copy differs")
	}
	info, err := os.Stat(dst)
	if err != nil {
		t.Fatal(err)
	}
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > mb {
		t.Errorf("the copy takes %d bytes of the medium", used)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if err := copyFile(ctx, src, dst+"2"); !errors.Is(err, gone) && !reflinks(t, dir) {
		t.Errorf("a copy whose caller had gone ended with %v", err)
	}
}

// reflinks tells whether the file system shares blocks, where a copy takes no time.
func reflinks(t *testing.T, dir string) bool {
	a, b := write(t, filepath.Join(dir, "a"), "a"), write(t, filepath.Join(dir, "b"), "b")
	return exec.Command("cp", "--reflink=always", a, b).Run() == nil
}

func TestOwner(t *testing.T) {
	ns.Enter(t)
	h := newHost(t, Config{Owner: &Owner{UID: 12, GID: 34}})
	m := vm(dsk("DISK_ID", "0", "TYPE", "fs", "SIZE", "1"))
	if err := h.Prepare(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(h.DiskPath(m, 0))
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 12 || st.Gid != 34 {
		t.Errorf("the disk belongs to %d:%d", st.Uid, st.Gid)
	}
}

// small mounts a file system of size MB.
func small(t *testing.T, mbs int) string {
	t.Helper()
	ns.Enter(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mbs)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestDiskFull(t *testing.T) {
	h := newHost(t, Config{Base: small(t, 2)})
	big := write(t, filepath.Join(t.TempDir(), "big"), strings.Repeat("x", 4*mb))

	_, err := h.ImportVerified(t.Context(), &agentapi.ImageSpec{ID: 1, DatastoreID: 1, Path: big, SafeDirs: []string{filepath.Dir(big)}}, Sums{})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left in "+filepath.Join(h.cfg.Base, "1")) {
		t.Errorf("import into a full datastore: %v", err)
	}
	m := vm(dsk("DISK_ID", "0", "CLONE", "YES", "SOURCE", big))
	if err := h.Prepare(t.Context(), m); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("prepare on a full datastore: %v", err)
	}
	noParts(t, h.cfg.Base)
	space, err := h.Space(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, ds := range space {
		if ds.TotalMB != 2 || ds.FreeMB < 1 {
			t.Errorf("space %+v: what failed still takes room", ds)
		}
	}
	if len(space) != 2 || space[0].ID != 0 || space[1].ID != 1 {
		t.Errorf("space %+v, want that of datastores 0 and 1", space)
	}
}

func TestStoreAndFetch(t *testing.T) {
	test := func(t *testing.T, frontEnd string) {
		h := newHost(t, Config{FrontEnd: frontEnd})
		persistent := write(t, filepath.Join(h.cfg.Base, "1", "p"), "persistent")
		m := vm(dsk("DISK_ID", "0", "TYPE", "fs", "SIZE", "1"), dsk("DISK_ID", "1", "CLONE", "NO", "SOURCE", persistent, "TM_MAD", "shared"))
		if err := h.Prepare(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(h.Dir(m), "checkpoint"), "memory")
		for range 2 {
			if err := h.Store(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		if frontEnd != "" {
			if there, err := exists(h.Dir(m)); there || err != nil {
				t.Fatalf("the directory is still on the host (%v)", err)
			}
		}
		for range 2 {
			if err := h.Fetch(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		if read(t, filepath.Join(h.Dir(m), "checkpoint")) != "memory" || read(t, h.DiskPath(m, 1)) != "persistent" {
			t.Error("the directory came back another")
		}
		wantMode(t, h.Dir(m), dirMode)
		wantMode(t, h.DiskPath(m, 0), diskMode)
		if err := h.Remove(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if err := h.Fetch(t.Context(), m); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("fetched what is nowhere: %v", err)
		}
		if read(t, persistent) != "persistent" {
			t.Error("removing a VM removed its persistent image")
		}
	}
	t.Run("Shared", func(t *testing.T) { test(t, "") })
	t.Run("SameFileSystem", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), "front")) })
	t.Run("OtherFileSystem", func(t *testing.T) { test(t, filepath.Join(small(t, 8), "front")) })
}

func TestDiskSizes(t *testing.T) {
	h := newHost(t, Config{})
	m := vm(dsk("DISK_ID", "0", "TYPE", "fs", "SIZE", "64"))
	if got, err := h.DiskSizes(m); err != nil || got != nil {
		t.Errorf("sizes before there are disks: %v, %v", got, err)
	}
	if err := h.Prepare(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	write(t, h.DiskPath(m, 1), strings.Repeat("x", 2*mb))
	got, err := h.DiskSizes(m)
	want := tmpl.New(tmpl.Vec("DISK_SIZE", "ID", "0", "SIZE", "0"), tmpl.Vec("DISK_SIZE", "ID", "1", "SIZE", "2"))
	if err != nil || !tmpl.New(got...).Equal(want) {
		t.Errorf("sizes %v (%v), want %v", got, err, want.All())
	}
}
