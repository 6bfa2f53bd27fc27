package daemon

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/trifid-cloud/trifid/internal/store"
)

// A backup is a tar file of mode 0600: the files of auth/, then "store", a
// snapshot of the store. Both are needed: the keys of auth/ open what the store
// has encrypted.

const (
	backupStore = "store"
	maxSecret   = 64 << 10
	maxSecrets  = 64
)

var secretName = regexp.MustCompile(`^auth/[A-Za-z0-9_]{1,64}$`)

// Backup says what a backup holds.
type Backup struct {
	store.SnapshotInfo
	Size int64 // of the file, bytes
}

// Snapshot has the server that runs on a data directory write its state, and puts
// it into a file with the credentials. The file appears, in place of one that is
// there, when it is complete, checked and on disk.
func Snapshot(ctx context.Context, data, file string) (b Backup, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("snapshot: %w", err)
		}
	}()
	part, err := os.CreateTemp(filepath.Dir(file), ".snapshot-*")
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, part.Close(), removeIfThere(part.Name())) }()
	if err := askControl(ctx, data, "/snapshot", func(r io.Reader) error { _, err := io.Copy(part, r); return err }); err != nil {
		return b, err
	}
	if b.SnapshotInfo, err = store.InspectSnapshot(part.Name()); err != nil {
		return b, err
	}
	if _, err := part.Seek(0, io.SeekStart); err != nil {
		return b, err
	}
	b.Size, err = writeBackup(file, data, part)
	return b, err
}

// writeBackup writes the file whole or not at all, and returns its size.
func writeBackup(file, data string, snapshot *os.File) (size int64, err error) {
	out, err := os.CreateTemp(filepath.Dir(file), ".snapshot-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, removeIfThere(out.Name())) }()
	w := tar.NewWriter(out)
	err = addSecrets(w, filepath.Join(data, "auth"))
	if err == nil {
		err = addFile(w, backupStore, snapshot)
	}
	if err = errors.Join(err, w.Close(), out.Sync()); err == nil {
		size, err = out.Seek(0, io.SeekEnd)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(out.Name(), file); err != nil {
		return 0, err
	}
	return size, syncDir(filepath.Dir(file))
}

func addSecrets(w *tar.Writer, dir string) error {
	all, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range all {
		name := "auth/" + e.Name()
		if !e.Type().IsRegular() || !secretName.MatchString(name) {
			continue // not ours
		}
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		if err := errors.Join(addFile(w, name, f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func addFile(w *tar.Writer, name string, f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: st.Size(), ModTime: time.Unix(st.ModTime().Unix(), 0)}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

// restoring is there while a restore is under way: nothing is to start from half
// of one.
const restoring = "run/restoring"

// errHalf tells of it.
var errHalf = errors.New("a restore into it was cut short: run 'trifid restore' again")

// Restore puts a backup into a data directory that has neither store nor
// credentials; what else is there stays. One that was cut short may be done again.
func Restore(ctx context.Context, file, data string, log *slog.Logger) (b Backup, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("restore: %w", err)
		}
	}()
	in, err := os.Open(file)
	if err != nil {
		return b, err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return b, err
	}
	b.Size = st.Size()
	dir, err := makeDataDir(data)
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	if err := checkEmpty(dir); err != nil {
		return b, err
	}
	if err := errors.Join(writeFile(dir.join(restoring), nil, 0o600), syncDir(dir.join("run"))); err != nil {
		return b, err
	}
	snapshot := dir.join("run/snapshot")
	defer func() { err = errors.Join(err, removeIfThere(snapshot)) }()
	// One that was cut short has left things behind.
	if err := errors.Join(dir.empty(), removeIfThere(snapshot)); err != nil {
		return b, err
	}
	err = unpack(in, dir, snapshot)
	if err != nil {
		err = fmt.Errorf("%s: %w", file, err)
	} else if b.SnapshotInfo, err = store.Restore(ctx, snapshot, store.Config{Dir: dir.join("store"), Logger: log}); err == nil {
		err = errors.Join(syncDir(dir.join("auth")), syncDir(dir.path))
	}
	if err != nil {
		err = errors.Join(err, dir.empty())
	}
	return b, errors.Join(err, os.Remove(dir.join(restoring)), syncDir(dir.join("run")))
}

// checkEmpty refuses a directory that holds what a restore would write, unless one
// has.
func checkEmpty(dir *dataDir) error {
	if _, err := os.Stat(dir.join(restoring)); err == nil {
		return nil
	}
	for _, sub := range []string{"store", "auth"} {
		if left, err := os.ReadDir(dir.join(sub)); err != nil {
			return err
		} else if len(left) > 0 {
			return fmt.Errorf("%s is not empty: move it away, or give another directory with --data", dir.join(sub))
		}
	}
	return nil
}

// empty removes the store and the credentials.
func (d *dataDir) empty() error {
	var errs []error
	for _, sub := range []string{"store", "auth"} {
		errs = append(errs, os.RemoveAll(d.join(sub)), os.Mkdir(d.join(sub), 0o700))
	}
	return errors.Join(errs...)
}

// unpack writes the credentials into a data directory, and the store's snapshot
// to a file.
func unpack(from io.Reader, dir *dataDir, snapshot string) error {
	r := tar.NewReader(from)
	for n := 0; ; n++ {
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("the backup is damaged: it has no store")
		case err != nil:
			return fmt.Errorf("the file is no backup, or damaged: %w", err)
		case h.Typeflag == tar.TypeReg && h.Name == backupStore:
			return copyTo(snapshot, r)
		case h.Typeflag != tar.TypeReg || !secretName.MatchString(h.Name) || h.Size > maxSecret || n == maxSecrets:
			return fmt.Errorf("the file is no backup: unexpected %.80q", h.Name)
		}
		if err := copyTo(dir.join(h.Name), r); err != nil {
			return err
		}
	}
}

// copyTo writes a file that is not there, and has it on the disk.
func copyTo(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the backup is damaged: it ends too early")
	}
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
