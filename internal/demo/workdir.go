package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// workDir is a directory for one demonstration. It is locked as long as its
// process lives, so that what a killed one left behind can be told and removed.
type workDir struct {
	path string
	lock *os.File
}

const (
	workPrefix = "trifid-demo-"
	keptPrefix = "trifid-kept-demo-"
)

// makeWorkDir makes a directory, and removes those of demonstrations that were killed.
func makeWorkDir(keep bool) (_ *workDir, err error) {
	prefix := workPrefix
	if keep {
		prefix = keptPrefix
	}
	path, err := os.MkdirTemp("", prefix+"*")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}()
	// QEMU runs as root here, but datastores are meant to be passed through.
	if err := os.Chmod(path, 0o711); err != nil {
		return nil, err
	}
	w := &workDir{path: path}
	if w.lock, err = lockDir(path); err != nil {
		return nil, err
	}
	return w, sweep()
}

// lockDir takes the lock of a directory; it fails if a process has it.
func lockDir(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

// sweep removes directories that no process has locked. One that was made in this
// moment and is not locked yet cannot be told from those; starting two
// demonstrations within the same millisecond fails one of them.
func sweep() error {
	old, err := filepath.Glob(filepath.Join(os.TempDir(), workPrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range old {
		lock, err := lockDir(path)
		if err != nil {
			continue // in use, or just gone
		}
		if err := errors.Join(os.RemoveAll(path), lock.Close()); err != nil {
			return err
		}
	}
	return nil
}

// close removes the directory, unless it is to be kept.
func (w *workDir) close(keep bool) error {
	err := w.lock.Close()
	if !keep {
		err = errors.Join(err, os.RemoveAll(w.path))
	}
	if err != nil {
		return fmt.Errorf("remove the working directory: %w", err)
	}
	return nil
}
