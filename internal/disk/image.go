package disk

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// Stored is an image in its datastore.
type Stored struct {
	Source string // its path
	Format string
	SizeMB int64 // as the guest sees it
}

// imagePath is where an image is kept. The name follows from what the image is
// to become, so that a step that is run again finds what it has made.
func (h *Host) imagePath(s *agentapi.ImageSpec) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s\x00%s\x00%s\x00%s\x00%d", s.ID, s.Path, s.Source, s.Format, s.FS, s.SizeMB))
	return filepath.Join(h.datastore(s), hex.EncodeToString(sum[:16]))
}

func (h *Host) datastore(s *agentapi.ImageSpec) string {
	return filepath.Join(h.cfg.Base, strconv.Itoa(s.DatastoreID))
}

// store makes an image unless it was made before, and says what it is.
func (h *Host) store(s *agentapi.ImageSpec, fill func(path string) error) (Stored, error) {
	if err := makeDir(h.datastore(s)); err != nil {
		return Stored{}, full(err, h.cfg.Base)
	}
	dest := h.imagePath(s)
	if err := h.once(dest, fill); err != nil {
		return Stored{}, err
	}
	i, err := ProbePath(dest)
	if err != nil {
		return Stored{}, err
	}
	return Stored{Source: dest, Format: i.Format, SizeMB: i.SizeMB()}, nil
}

// errNoRoom is the reference's text for an image larger than what is left.
var errNoRoom = errors.New("Not enough space in datastore")

// checkRoom refuses what does not fit the datastore's limit.
func checkRoom(s *agentapi.ImageSpec, sizeMB int64) error {
	if s.LimitMB > 0 && sizeMB > s.LimitMB {
		return fmt.Errorf("%w: the image has %d MB, %d MB are left", errNoRoom, sizeMB, s.LimitMB)
	}
	return nil
}

// ImportVerified copies the file at s.Path, a path of this host or a URL, into the
// datastore. Its format is read from its header; if s.Format is another it is
// converted. A file may be copied when it is in SafeDirs, or not in
// RestrictedDirs, wherever links lead. Digests in sums are checked first.
// Source: resources reference §4.3, CP.
func (h *Host) ImportVerified(ctx context.Context, s *agentapi.ImageSpec, sums Sums) (Stored, error) {
	got, err := h.store(s, func(path string) error { return h.fetch(ctx, s, sums, path) })
	if err != nil {
		return Stored{}, fmt.Errorf("import %s: %w", s.Path, err)
	}
	return got, nil
}

func (h *Host) fetch(ctx context.Context, s *agentapi.ImageSpec, sums Sums, path string) error {
	want := strings.ToLower(s.Format)
	if want != "" {
		if err := checkFormat(want); err != nil {
			return err
		}
	}
	if err := h.copySource(ctx, s, sums, path); err != nil {
		return err
	}
	now, err := ProbePath(path)
	if err != nil {
		return err
	}
	if err := checkRoom(s, now.SizeMB()); err != nil {
		return err
	}
	if s.CDROM {
		want = Raw // what a drive of that kind can hold
	}
	if want = cmp.Or(want, now.Format); want == now.Format {
		return nil
	}
	copied := path + ".converted"
	defer os.Remove(copied)
	if err := h.convert(ctx, path, now.Format, copied, want); err != nil {
		return err
	}
	return os.Rename(copied, path)
}

// copySource copies the bytes of an import as they are.
func (h *Host) copySource(ctx context.Context, s *agentapi.ImageSpec, sums Sums, path string) error {
	scheme, _, isURL := strings.Cut(s.Path, "://")
	switch {
	case isWeb(s.Path):
		if err := h.downloadImage(ctx, s, path); err != nil {
			return err
		}
	case isURL:
		return fmt.Errorf("images from %s:// addresses are not supported yet", scheme)
	default:
		in, err := openSource(s.Path, newBounds(s.SafeDirs, s.RestrictedDirs))
		if err != nil {
			return err
		}
		defer in.Close()
		// Before the copy, which might fill the datastore.
		now, err := Probe(in)
		if err != nil {
			return err
		}
		if err := checkRoom(s, now.SizeMB()); err != nil {
			return err
		}
		if err := copyOpen(ctx, in, path); err != nil {
			return err
		}
	}
	return sums.check(ctx, path)
}

// CreateImage makes an empty image of s.SizeMB, raw unless s.Format says otherwise,
// with a file system if s.FS is set.
// Source: resources reference §4.3, MKFS.
func (h *Host) CreateImage(ctx context.Context, s *agentapi.ImageSpec) (Stored, error) {
	got, err := h.store(s, func(path string) error {
		if err := checkRoom(s, s.SizeMB); err != nil {
			return err
		}
		return h.makeEmpty(ctx, path, cmp.Or(strings.ToLower(s.Format), Raw), s.FS, s.SizeMB)
	})
	if err != nil {
		return Stored{}, fmt.Errorf("create image %d: %w", s.ID, err)
	}
	return got, nil
}

// CloneImage copies the image at s.Source.
// Source: resources reference §4.3, CLONE.
func (h *Host) CloneImage(ctx context.Context, s *agentapi.ImageSpec) (Stored, error) {
	got, err := h.store(s, func(path string) error {
		if err := checkAbs("SOURCE", s.Source); err != nil {
			return err
		}
		now, err := ProbePath(s.Source)
		if err != nil {
			return err
		}
		if err := checkRoom(s, now.SizeMB()); err != nil {
			return err
		}
		return copyFile(ctx, s.Source, path)
	})
	if err != nil {
		return Stored{}, fmt.Errorf("clone %s: %w", s.Source, err)
	}
	return got, nil
}

// DeleteImage removes the image at s.Source and its snapshots, and what an unfinished
// import, creation or clone of it has left. A file outside the datastore was
// registered where it was and is not ours to remove.
// Source: resources reference §4.3, RM.
func (h *Host) DeleteImage(_ context.Context, s *agentapi.ImageSpec) error {
	if s.Source == "" {
		return nil // it never came to be
	}
	if err := checkAbs("SOURCE", s.Source); err != nil {
		return err
	}
	source := filepath.Clean(s.Source)
	if filepath.Dir(source) != h.datastore(s) {
		return nil
	}
	var errs []error
	for _, path := range []string{source, source + ".snap", source + part} {
		errs = append(errs, os.RemoveAll(path), h.at("removed "+path))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("delete image %d: %w", s.ID, err)
	}
	return nil
}
