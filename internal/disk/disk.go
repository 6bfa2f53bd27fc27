// Package disk is the datastores and the disks of VMs as a host has them: files.
//
//	<base>/<datastore>/<name>             an image
//	<base>/<system datastore>/<vm>/       a VM's directory: disk.0 … disk.N, kernel,
//	                                      initrd, checkpoint, console.log
//
// Every function may be run again after it was done, and after it was cut at any
// point, and leads to the same end: a file is made beside its place, synced and
// renamed into it, so that what has its name is whole. Calls for one VM or one
// image must come one after another; different ones may run at once.
//
// Permissions: directories are 0711, so that QEMU may pass through them but
// nobody may list them; disks and images are 0660, context disks 0600. When QEMU
// does not run as root, Config.Owner must be its user, or it cannot read them.
//
// Source: resources reference §4.2 (layout) and §5 (transfers).
package disk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// Config is where a host keeps its disks. Base must be set.
type Config struct {
	Base string // the datastores' directory
	// FrontEnd is the datastores' directory of the front end, to which the
	// directories of stopped and undeployed VMs move. "" or Base: they stay.
	FrontEnd string
	// KernelDirs is where kernels and initial RAM disks may be that a VM names by
	// their paths; /var/tmp when nil. Those of files datastores are in Base.
	KernelDirs []string
	Owner      *Owner // who QEMU runs as; nil: root
	// HTTP fetches images, and files of a CONTEXT, from http:// and https:// paths.
	// nil: such are refused.
	HTTP    *http.Client
	QemuImg string // program; "qemu-img" when empty
}

// Owner is the user and group files are given to.
type Owner struct{ UID, GID int }

// Host does the work on one host.
type Host struct {
	cfg   Config
	fault func(point string) error // in tests: called wherever a crash would hurt
}

// Modes of what a host keeps.
const (
	dirMode    fs.FileMode = 0o711
	diskMode   fs.FileMode = 0o660
	secretMode fs.FileMode = 0o600
)

// mb is the unit of every size the cloud knows.
const mb = 1 << 20

// New returns the host whose datastores are at cfg.Base; the directory is made
// if need be.
func New(cfg Config) (*Host, error) {
	for _, dir := range []*string{&cfg.Base, &cfg.FrontEnd} {
		if *dir == "" {
			continue
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return nil, fmt.Errorf("datastores: %w", err)
		}
		*dir = abs
	}
	if cfg.Base == "" {
		return nil, errors.New("datastores: Base is missing")
	}
	cfg.FrontEnd = cmp.Or(cfg.FrontEnd, cfg.Base)
	if cfg.KernelDirs == nil {
		cfg.KernelDirs = defaultSafe
	}
	cfg.QemuImg = cmp.Or(cfg.QemuImg, "qemu-img")
	if err := makeDir(cfg.Base); err != nil {
		return nil, fmt.Errorf("datastores: %w", err)
	}
	return &Host{cfg: cfg}, nil
}

// Dir is the directory of a VM.
func (h *Host) Dir(m *agentapi.Machine) string { return vmDir(h.cfg.Base, m) }

func vmDir(base string, m *agentapi.Machine) string {
	return filepath.Join(base, strconv.Itoa(m.SystemDS), strconv.Itoa(m.ID))
}

// DiskPath is the path of a VM's disk.
func (h *Host) DiskPath(m *agentapi.Machine, disk int) string {
	return filepath.Join(h.Dir(m), "disk."+strconv.Itoa(disk))
}

// at is a point where a test may let the process die.
func (h *Host) at(point string) error {
	if h.fault == nil {
		return nil
	}
	return h.fault(point)
}

// makeDir makes a directory and those above it. Whatever the umask is, QEMU may
// pass through those that are made here.
func makeDir(dir string) error {
	if err := os.Mkdir(dir, dirMode); errors.Is(err, fs.ErrNotExist) {
		if err := makeDir(filepath.Dir(dir)); err != nil {
			return err
		}
		return makeDir(dir)
	} else if errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	return os.Chmod(dir, dirMode)
}

// part is the name of a file while it is made. Only one maker of a file works at
// a time, so that a crash leaves one such file and the next try removes it.
const part = ".part"

// produce puts a file in its place whole or not at all. fill makes the file it
// is given, by any means; a file that is there already is replaced.
func (h *Host) produce(dest string, mode fs.FileMode, fill func(path string) error) (err error) {
	tmp := dest + part
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(full(err, filepath.Dir(dest)), os.RemoveAll(tmp))
		}
	}()
	if err := h.at("begin " + filepath.Base(dest)); err != nil {
		return err
	}
	if err := fill(tmp); err != nil {
		return err
	}
	if err := h.at("filled " + filepath.Base(dest)); err != nil {
		return err
	}
	if err := h.seal(tmp, mode); err != nil {
		return err
	}
	if err := os.Rename(tmp, dest); err != nil {
		return err
	}
	if err := h.at("renamed " + filepath.Base(dest)); err != nil {
		return err
	}
	return syncFile(filepath.Dir(dest))
}

// seal gives a file its mode and owner and puts it on the medium.
func (h *Host) seal(path string, mode fs.FileMode) error {
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	if o := h.cfg.Owner; o != nil {
		if err := os.Chown(path, o.UID, o.GID); err != nil {
			return err
		}
	}
	return syncFile(path)
}

// syncFile waits until a file or directory is on the medium.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// full says in plain words that a disk has no room.
func full(err error, dir string) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("no space left in %s: %w", dir, err)
	}
	return err
}

// exists tells whether there is a file of that name; a link counts, wherever it
// leads.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// within tells whether a clean absolute path is below dir.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != "." && filepath.IsLocal(rel)
}

// checkAbs refuses paths that tools might take for options or for something
// other than a file.
func checkAbs(what, path string) error {
	switch {
	case path == "":
		return fmt.Errorf("%s is missing", what)
	case !filepath.IsAbs(path):
		return fmt.Errorf("%s %q: expected an absolute path", what, path)
	case strings.ContainsRune(path, 0):
		return fmt.Errorf("%s: a path cannot hold a zero byte", what)
	}
	return nil
}

// ended is the error of a context that is done, nil before.
func ended(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
