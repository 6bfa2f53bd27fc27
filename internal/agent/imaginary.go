package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/disk"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Imaginary is the Disks and Networks of hosts whose machines are imaginary too:
// it touches nothing, and names images as if it had stored them.
type Imaginary struct {
	// Datastores is the directory the names are under, /var/lib/one/datastores
	// when empty.
	Datastores string
}

var (
	_ Disks    = Imaginary{}
	_ Networks = Imaginary{}
)

func (i Imaginary) base() string { return cmp.Or(i.Datastores, "/var/lib/one/datastores") }

// Dir implements Disks.
func (i Imaginary) Dir(m *agentapi.Machine) string {
	return i.base() + "/" + strconv.Itoa(m.SystemDS) + "/" + strconv.Itoa(m.ID)
}

// Prepare implements Disks.
func (Imaginary) Prepare(context.Context, *agentapi.Machine) error { return nil }

// Context implements Disks.
func (Imaginary) Context(context.Context, *agentapi.Machine) error { return nil }

// Store implements Disks.
func (Imaginary) Store(context.Context, *agentapi.Machine) error { return nil }

// Fetch implements Disks.
func (Imaginary) Fetch(context.Context, *agentapi.Machine) error { return nil }

// Finish implements Disks.
func (Imaginary) Finish(context.Context, *agentapi.Machine) error { return nil }

// Remove implements Disks.
func (Imaginary) Remove(context.Context, *agentapi.Machine) error { return nil }

// PlaceDisk implements Disks.
func (Imaginary) PlaceDisk(context.Context, *agentapi.Machine, tmpl.Vector) error { return nil }

// DropDisk implements Disks.
func (Imaginary) DropDisk(context.Context, *agentapi.Machine, tmpl.Vector) error { return nil }

// GrowDisk implements Disks.
func (Imaginary) GrowDisk(context.Context, *agentapi.Machine, tmpl.Vector) error { return nil }

// RemoveDisk implements Disks.
func (Imaginary) RemoveDisk(context.Context, *agentapi.Machine, tmpl.Vector) error { return nil }

// SnapshotDisk implements Disks.
func (Imaginary) SnapshotDisk(context.Context, *agentapi.Machine, agentapi.Snapshot) error {
	return nil
}

// RevertDisk implements Disks.
func (Imaginary) RevertDisk(context.Context, *agentapi.Machine, agentapi.Snapshot) error {
	return nil
}

// ForgetDisk implements Disks.
func (Imaginary) ForgetDisk(context.Context, *agentapi.Machine, agentapi.Snapshot) error {
	return nil
}

// ForgetSnapshot implements Disks.
func (Imaginary) ForgetSnapshot(context.Context, *agentapi.Machine, agentapi.Snapshot) error {
	return nil
}

// Space implements Disks; there is none to measure.
func (Imaginary) Space(context.Context) ([]agentapi.DatastoreSpace, error) { return nil, nil }

// Pre implements Networks.
func (Imaginary) Pre(context.Context, *agentapi.Machine) error { return nil }

// Post implements Networks.
func (Imaginary) Post(context.Context, *agentapi.Machine) error { return nil }

// Clean implements Networks.
func (Imaginary) Clean(context.Context, *agentapi.Machine) error { return nil }

// Leave implements Networks.
func (Imaginary) Leave(context.Context, *agentapi.Machine, tmpl.Vector) error { return nil }

// ImportVerified implements Disks. The size is that of the file when PATH names one
// that may be read, else what was asked for, else 1 MB.
func (i Imaginary) ImportVerified(_ context.Context, s *agentapi.ImageSpec, _ disk.Sums) (disk.Stored, error) {
	size := s.SizeMB
	if filepath.IsAbs(s.Path) && maySee(s, s.Path) {
		if fi, err := os.Stat(s.Path); err == nil && fi.Mode().IsRegular() {
			size = (fi.Size() + 1<<20 - 1) >> 20
		}
	}
	return i.image(s, size)
}

// CreateImage implements Disks.
func (i Imaginary) CreateImage(_ context.Context, s *agentapi.ImageSpec) (disk.Stored, error) {
	return i.image(s, s.SizeMB)
}

// CloneImage implements Disks. The size is not known where nothing was stored; 0
// leaves that of the other image.
func (i Imaginary) CloneImage(_ context.Context, s *agentapi.ImageSpec) (disk.Stored, error) {
	img, err := i.image(s, s.SizeMB)
	img.SizeMB = s.SizeMB
	return img, err
}

// DeleteImage implements Disks.
func (Imaginary) DeleteImage(context.Context, *agentapi.ImageSpec) error { return nil }

// image names an image by its id, so that the same step gives the same name.
func (i Imaginary) image(s *agentapi.ImageSpec, sizeMB int64) (disk.Stored, error) {
	sizeMB = max(sizeMB, 1)
	if s.LimitMB > 0 && sizeMB > s.LimitMB {
		return disk.Stored{}, errors.New("Not enough space in datastore") // the literal text of the reference
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "image/%d", s.ID))
	return disk.Stored{
		Source: filepath.Join(i.base(), strconv.Itoa(s.DatastoreID), hex.EncodeToString(sum[:16])),
		Format: cmp.Or(s.Format, "raw"),
		SizeMB: sizeMB,
	}, nil
}

// maySee tells whether a local path is under a safe directory, or not under a
// restricted one. Source: resources reference §4.
func maySee(s *agentapi.ImageSpec, path string) bool {
	safe, restricted := s.SafeDirs, s.RestrictedDirs
	if len(safe) == 0 && len(restricted) == 0 {
		safe, restricted = []string{"/var/tmp"}, []string{"/"}
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	under := func(dir string) bool {
		rel, err := filepath.Rel(dir, target)
		return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
	}
	return slices.ContainsFunc(safe, under) || !slices.ContainsFunc(restricted, under)
}
