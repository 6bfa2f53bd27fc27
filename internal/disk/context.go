package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/contextdisk"
)

// padding is what is behind the content of a context disk, as much as other
// makers of CDs leave. BusyBox looks for file systems up to 68 KiB from the start
// of a disk, and takes a shorter one for broken: its guests would find no context.
const padding = 150 * 2048

// Context writes the context disk of a VM anew, in one step: a guest that has
// the old one keeps it whole. It holds secrets, so that only QEMU may read it.
// Source: resources reference §1.7 and §5.2.
func (h *Host) Context(_ context.Context, m *agentapi.Machine) error {
	c := m.Context
	if c == nil {
		return nil
	}
	spec := contextdisk.Spec{Vars: c.Vars, Token: c.Token, Time: time.Unix(c.Time, 0)}
	for _, f := range c.Files {
		if err := checkAbs("FILES", f.Path); err != nil {
			return fmt.Errorf("context disk: %w", err)
		}
		if f.Name == "" && restrictedFile(f.Path) { // named by a user, and no image
			return fmt.Errorf("CONTEXT/FILES cannot use %s, it's in restricted directories", f.Path)
		}
		files, err := contextdisk.LocalFiles(f.Path, f.Name)
		if err != nil {
			return err
		}
		spec.Files = append(spec.Files, files...)
	}
	if err := makeDir(h.Dir(m)); err != nil {
		return full(err, h.cfg.Base)
	}
	return h.produce(h.DiskPath(m, c.DiskID), secretMode, func(path string) (err error) {
		out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, secretMode)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, out.Close()) }()
		buf := bufio.NewWriterSize(out, 1<<20)
		size, err := contextdisk.Build(buf, spec)
		if err != nil {
			return err
		}
		if err := buf.Flush(); err != nil {
			return err
		}
		return out.Truncate(size + padding)
	})
}

// restrictedDirs are of which no file may go to a guest, whoever names it.
// Source: OneGate reference §5.2.
var restrictedDirs = []string{"/etc"}

// restrictedFile tells whether a path is in a restricted directory, by whatever
// links, or has one in it.
func restrictedFile(path string) bool {
	path = filepath.Clean(path)
	if real, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(real, filepath.Base(path))
	}
	return slices.ContainsFunc(restrictedDirs, func(dir string) bool { return path == dir || within(path, dir) || within(dir, path) })
}
