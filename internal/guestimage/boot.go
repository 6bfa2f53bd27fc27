// Package guestimage makes what a small real guest boots from: kernel, initial RAM disk and root disk, of Debian's cloud
// kernel and BusyBox. The guest reads its context CD, configures its network by it, powers off when asked to, and says on
// its serial console how far it is. It boots under plain software emulation in seconds and needs 128 MB.
//
// It serves the tests with real guests and the demonstration; the programs it needs are put there by `make deps`.
package guestimage

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// What a guest says on its serial console, a line each, when it gets there.
const (
	MarkerBooted      = "trifid-guest: booted"       // context read, network up, power button heard
	MarkerPoweringOff = "trifid-guest: powering off" // the power button was pressed
	MarkerFailed      = "trifid-guest: failed: "     // followed by what
)

// rootLabel is the label of the file system that the initial RAM disk boots into, whatever the disk is called.
const rootLabel = "trifid-root"

//go:embed guest/init.sh
var initScript []byte

// Boot is what a domain boots directly.
type Boot struct {
	Kernel  string // path
	Initrd  string // path
	Cmdline string // the kernel's command line
}

// CacheDir returns the directory `make deps` fills: $TRIFID_CACHE, else .cache in the module's root above the working
// directory.
func CacheDir() (string, error) {
	if dir := os.Getenv("TRIFID_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".cache"), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no cache directory: set TRIFID_CACHE, or work inside the repository")
		}
		dir = parent
	}
}

// NewBoot returns the boot files of the kernel unpacked in the cache directory. The initial RAM disk is built into the
// cache if one of the same content is not there yet; its name has a digest, so an old one is never taken for a new one.
func NewBoot(cache string) (Boot, error) {
	k, err := findKernel(filepath.Join(cache, "kernel"), modules)
	if err != nil {
		return Boot{}, err
	}
	cpio, err := k.initrd()
	if err != nil {
		return Boot{}, fmt.Errorf("build the initial RAM disk: %w", err)
	}
	digest := sha256.Sum256(cpio)
	path := filepath.Join(cache, "initrd-"+hex.EncodeToString(digest[:6])+".gz")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		err = writeCompressed(path, cpio)
		if err != nil {
			return Boot{}, fmt.Errorf("build the initial RAM disk: %w", err)
		}
	} else if err != nil {
		return Boot{}, err
	}
	return Boot{Kernel: k.image, Initrd: path, Cmdline: "console=ttyS0 quiet"}, nil
}

// initrd returns the uncompressed archive: BusyBox, the modules, their order, and /init.
func (k kernel) initrd() ([]byte, error) {
	busybox, err := staticBusybox()
	if err != nil {
		return nil, err
	}
	var a archive
	for _, dir := range []string{"bin", "dev", "modules", "proc", "root", "sys"} {
		a.dir(dir)
	}
	a.charDevice("dev/console", 5, 1) // what the kernel gives /init to write to
	a.file("bin/busybox", 0o755, busybox)
	for _, applet := range []string{"cat", "findfs", "insmod", "mount", "poweroff", "sh", "sleep", "switch_root"} {
		a.symlink("bin/"+applet, "busybox")
	}
	var order bytes.Buffer
	for _, m := range k.modules {
		content, err := os.ReadFile(m.path)
		if err != nil {
			return nil, err
		}
		a.file("modules/"+m.name, 0o644, content)
		fmt.Fprintln(&order, m.name)
	}
	a.file("modules/order", 0o644, order.Bytes())
	a.file("init", 0o755, initScript)
	return a.bytes(), nil
}

// writeCompressed writes gzipped data in one step: whoever reads path reads all of it.
func writeCompressed(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".initrd-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone already when all went well
	defer file.Close()
	z := gzip.NewWriter(file)
	if _, err := z.Write(data); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := file.Chmod(0o644); err != nil { // QEMU may run as another user
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
