package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// chunk is how much is copied between two looks at the context.
const chunk = 16 << 20

// copyFile copies the file src to the new file dst: by sharing its blocks where
// the file system can, else hole by hole, so that a sparse image stays sparse.
func copyFile(ctx context.Context, src, dst string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	return copyOpen(ctx, in, dst)
}

// copyOpen is copyFile for a file that is open already.
func copyOpen(ctx context.Context, in *os.File, dst string) (err error) {
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", in.Name())
	}
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, secretMode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil {
		return nil
	}
	if err := out.Truncate(info.Size()); err != nil {
		return err
	}
	return copyData(ctx, out, in, info.Size())
}

// copyData copies what of the first size bytes of in is no hole to the same
// place in out.
func copyData(ctx context.Context, out, in *os.File, size int64) error {
	for pos := int64(0); pos < size; {
		data, err := in.Seek(pos, unix.SEEK_DATA)
		switch {
		case errors.Is(err, syscall.ENXIO): // only a hole is left
			return nil
		case err != nil:
			return fmt.Errorf("seek data in %s: %w", in.Name(), err)
		}
		hole, err := in.Seek(data, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("seek hole in %s: %w", in.Name(), err)
		}
		pos = min(hole, size)
		if err := copyRange(ctx, out, in, data, pos); err != nil {
			return err
		}
	}
	return nil
}

// copyRange copies the bytes from begin to end.
func copyRange(ctx context.Context, out, in *os.File, begin, end int64) error {
	if _, err := in.Seek(begin, io.SeekStart); err != nil {
		return err
	}
	if _, err := out.Seek(begin, io.SeekStart); err != nil {
		return err
	}
	for begin < end {
		if err := ended(ctx); err != nil {
			return err
		}
		n, err := io.CopyN(out, in, min(chunk, end-begin)) // in the kernel where it can
		if err != nil {
			return fmt.Errorf("copy %s: %w", in.Name(), err)
		}
		begin += n
	}
	return nil
}

// move brings a file or directory to another place, whole or not at all: by
// renaming, and between file systems by a copy beside dst that is then renamed.
// A move that was cut, or done, is moved to its end. What is at dst is whole, so
// that src beside it is only what a cut move has not removed yet.
func (h *Host) move(ctx context.Context, src, dst string) error {
	there, err := exists(dst)
	if err != nil {
		return err
	}
	if !there {
		if err := h.moveTo(ctx, src, dst); err != nil {
			return err
		}
		if err := syncFile(filepath.Dir(dst)); err != nil {
			return err
		}
	}
	if err := h.at("moved " + filepath.Base(dst)); err != nil {
		return err
	}
	return os.RemoveAll(src)
}

func (h *Host) moveTo(ctx context.Context, src, dst string) (err error) {
	if err := makeDir(filepath.Dir(dst)); err != nil {
		return err
	}
	err = os.Rename(src, dst)
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	tmp := dst + part
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(full(err, filepath.Dir(dst)), os.RemoveAll(tmp))
		}
	}()
	if err := h.copyTree(ctx, src, tmp); err != nil {
		return err
	}
	if err := h.at("copied " + filepath.Base(src)); err != nil {
		return err
	}
	return os.Rename(tmp, dst)
}

// copyTree copies files, links and directories, with modes and owners.
func (h *Host) copyTree(ctx context.Context, src, dst string) error {
	info, err := os.Lstat(src)
	if err != nil {
		return err
	}
	if err := h.at("copy " + filepath.Base(src)); err != nil {
		return err
	}
	switch {
	case info.Mode().Type() == os.ModeSymlink:
		target, err := os.Readlink(src)
		if err != nil {
			return err
		}
		return os.Symlink(target, dst)
	case info.Mode().IsRegular():
		if err := copyFile(ctx, src, dst); err != nil {
			return err
		}
		return keepOwner(info, dst)
	case !info.IsDir():
		return fmt.Errorf("%s: expected a file, a directory or a link", src)
	}
	if err := os.Mkdir(dst, dirMode); err != nil {
		return err
	}
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := h.copyTree(ctx, filepath.Join(src, e.Name()), filepath.Join(dst, e.Name())); err != nil {
			return err
		}
	}
	return keepOwner(info, dst)
}

// keepOwner gives a copy the mode and owner of what it is a copy of, and puts it
// on the medium.
func keepOwner(info os.FileInfo, dst string) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("no owner known of %s", info.Name())
	}
	if err := os.Chown(dst, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := os.Chmod(dst, info.Mode().Perm()); err != nil {
		return err
	}
	return syncFile(dst)
}
