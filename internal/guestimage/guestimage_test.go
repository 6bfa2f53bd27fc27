package guestimage

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// need skips the test unless the tools are installed.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s is not installed: run `make deps`", tool)
		}
	}
}

// run runs a command and returns what it wrote.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestArchiveBytes(t *testing.T) {
	var a archive
	a.file("a", 0o644, []byte("hello"))
	want := "070701" + "00000001" + "000081A4" + "00000000" + "00000000" + "00000001" + "00000000" + "00000005" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000002" + "00000000" + "a\x00" + "hello\x00\x00\x00" +
		"070701" + "00000000" + "00000000" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000000" + "00000000" + "0000000B" + "00000000" + "TRAILER!!!\x00" + "\x00\x00\x00"
	if got := string(a.bytes()); got != want {
		t.Errorf("archive\n%q\nwant\n%q", got, want)
	}
}

// Another program than ours reads the archive.
func TestArchiveRead(t *testing.T) {
	need(t, "busybox")
	var a archive
	a.dir("bin")
	a.file("bin/tool", 0o755, []byte("xyz"))
	a.symlink("bin/alias", "tool")
	a.charDevice("console", 5, 1)
	path := filepath.Join(t.TempDir(), "cpio")
	if err := os.WriteFile(path, a.bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	listing := run(t, "busybox", "cpio", "-tv", "-F", path)
	for _, want := range []string{"drwxr-xr-x", "-rwxr-xr-x", "bin/tool", "bin/alias -> tool", "crw-------", "console"} {
		if !strings.Contains(listing, want) {
			t.Errorf("the listing lacks %q:\n%s", want, listing)
		}
	}
}

func TestRootDisk(t *testing.T) {
	need(t, "mkfs.ext4", "e2fsck", "debugfs", "dumpe2fs", "busybox")
	dir := t.TempDir()
	client := filepath.Join(dir, "client")
	if err := os.WriteFile(client, []byte("the client"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "root.img")
	for range 2 { // the second replaces the first
		if err := (RootDisk{Onegate: client, Main: []byte("the main program")}).Write(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "e2fsck", "-f", "-n", path)
	if header := run(t, "dumpe2fs", "-h", path); !strings.Contains(header, "Filesystem volume name:   "+rootLabel+"\n") {
		t.Errorf("the file system is not labelled %s:\n%s", rootLabel, header)
	}
	for name, want := range map[string]string{
		"/usr/bin/onegate":           "the client",
		"/etc/trifid/main":           "the main program",
		"/etc/trifid/boot":           string(bootScript),
		"/etc/acpi/PWRF/00000080":    string(powerButtonScript),
		"/etc/inittab":               string(inittab),
		"/etc/trifid/does-not-exist": "File not found by ext2_lookup",
	} {
		if got := run(t, "debugfs", "-R", "cat "+name, path); !strings.Contains(got, want) {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"/usr/bin/onegate": "Mode:  0755", "/etc/trifid/main": "Mode:  0755", "/sbin/init": "Type: symlink", "/": "Mode:  0755",
	} {
		if got := run(t, "debugfs", "-R", "stat "+name, path); !strings.Contains(got, want) {
			t.Errorf("%s is not %q:\n%s", name, want, got)
		}
	}
}

func TestRootDiskErrors(t *testing.T) {
	need(t, "mkfs.ext4", "busybox")
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing", "file")
	if err := (RootDisk{Onegate: missing}).Write(t.Context(), filepath.Join(dir, "a")); err == nil {
		t.Error("no error for a client that does not exist")
	}
	if err := (RootDisk{}).Write(t.Context(), missing); err == nil || !strings.Contains(err.Error(), "mkfs.ext4") {
		t.Errorf("a disk in a directory that does not exist: %v", err)
	}
}

func TestScriptsParse(t *testing.T) {
	need(t, "busybox")
	scripts, err := filepath.Glob("guest/*.sh")
	if err != nil || len(scripts) != 4 {
		t.Fatalf("scripts %v, %v", scripts, err)
	}
	for _, script := range scripts {
		run(t, "busybox", "sh", "-n", script)
	}
}

func cachedKernel(t *testing.T) string {
	t.Helper()
	cache, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(cache, "kernel")
	if _, err := os.Stat(root); err != nil {
		t.Skip("SKIPPED: no guest kernel: run `make deps`")
	}
	return root
}

func TestModuleOrder(t *testing.T) {
	root := cachedKernel(t)
	if _, err := findKernel(root, modules); err != nil {
		t.Error(err)
	}
	backwards := slices.Clone(modules)
	slices.Reverse(backwards)
	if _, err := findKernel(root, backwards); err == nil || !strings.Contains(err.Error(), "not loaded before it") {
		t.Errorf("modules in the wrong order: %v", err)
	}
	if _, err := findKernel(root, []string{"no_such_module"}); err == nil {
		t.Error("no error for a module that does not exist")
	}
}

func TestNewBoot(t *testing.T) {
	need(t, "busybox")
	// A cache of its own, with the real kernel in it.
	cache := t.TempDir()
	if err := os.Symlink(cachedKernel(t), filepath.Join(cache, "kernel")); err != nil {
		t.Fatal(err)
	}
	first, err := NewBoot(cache)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(first.Initrd)
	if err != nil {
		t.Fatal(err)
	}
	second, err := NewBoot(cache)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(second.Initrd)
	if err != nil {
		t.Fatal(err)
	}
	if first != second || !os.SameFile(before, after) {
		t.Errorf("the same content was built twice: %+v, %+v", first, second)
	}
	listing := run(t, "sh", "-c", "gunzip <"+first.Initrd+" | busybox cpio -t")
	for _, want := range []string{"init\n", "bin/busybox\n", "modules/order\n", "modules/virtio_rng\n"} {
		if !strings.Contains(listing, want) {
			t.Errorf("the initial RAM disk lacks %q:\n%s", want, listing)
		}
	}
	if leftovers, _ := filepath.Glob(filepath.Join(cache, ".initrd-*")); len(leftovers) > 0 {
		t.Errorf("left over: %v", leftovers)
	}
}

func TestNewBootWithoutKernel(t *testing.T) {
	if _, err := NewBoot(t.TempDir()); err == nil || !strings.Contains(err.Error(), "make deps") {
		t.Errorf("an empty cache: %v, want the advice to run make deps", err)
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv("TRIFID_CACHE", "/somewhere/else")
	if dir, err := CacheDir(); err != nil || dir != "/somewhere/else" {
		t.Errorf("named: %s, %v", dir, err)
	}
	t.Setenv("TRIFID_CACHE", "")
	dir, err := CacheDir()
	if _, stat := os.Stat(filepath.Join(filepath.Dir(dir), "go.mod")); err != nil || stat != nil {
		t.Errorf("not named: %s, %v: not beside go.mod", dir, err)
	}
	t.Chdir(t.TempDir())
	if dir, err := CacheDir(); err == nil {
		t.Errorf("outside the repository: %s", dir)
	}
}

func TestAwaitConsole(t *testing.T) {
	for name, c := range map[string]struct{ text, fault string }{
		"there":       {"early\r\ntrifid-guest: booted\r\n", ""},
		"failed":      {MarkerFailed + "no disk\r\n", "no disk"},
		"panic":       {"Kernel panic - not syncing\r\n", "not syncing"},
		"both":        {MarkerBooted + "\n" + MarkerFailed + "later\n", ""},
		"not said":    {"something else\r\n", "deadline exceeded; it holds:\nsomething else"},
		"only partly": {"trifid-guest: boo", "deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "console")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			written := make(chan error, 1)
			go func() { written <- os.WriteFile(path, []byte(c.text), 0o600) }() // it appears while it is awaited
			defer func() {
				if err := <-written; err != nil {
					t.Error(err)
				}
			}()
			if strings.Contains(c.fault, "deadline") {
				err := <-written
				written <- err
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), 0)
			}
			defer cancel()
			console, err := AwaitConsole(ctx, path, MarkerBooted)
			if c.fault == "" && (err != nil || !strings.Contains(console, MarkerBooted)) {
				t.Errorf("%q, %v", console, err)
			}
			if c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
				t.Errorf("error %v, want %q in it", err, c.fault)
			}
		})
	}
}
