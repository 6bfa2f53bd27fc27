package cloud

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/disk"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// TestFailedRegistrations: an image that an agent cannot make ends in ERROR with the
// reason, VMs that wait for it in CLONING_FAILURE; nothing is left in the datastore,
// and when VM and image are removed everything is as before they were.
// Source: resources reference §3.3.
func TestFailedRegistrations(t *testing.T) {
	t.Parallel()
	files := t.TempDir()
	big := filepath.Join(files, "big")
	if err := os.WriteFile(big, []byte(strings.Repeat("x", 4<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, image string
		mon         Monitor
		want        string
	}{
		{"a file that is not there", "PATH=" + filepath.Join(files, "none"), nil, "no such file or directory"},
		{"a file out of bounds", "PATH=/etc/passwd", nil, "Not allowed to copy image file /etc/passwd"},
		{"another file than meant", "MD5=00112233445566778899aabbccddeeff PATH=" + big, nil, "expected 00112233445566778899aabbccddeeff"},
		{"another file than meant, by its SHA1", "SHA1=00112233445566778899aabbccddeeff00112233 PATH=" + big, nil, "SHA1 of the file is"},
		{"a file larger than what may be stored", "PATH=" + big, space{100, 97, 3}, "Not enough space in datastore: the image has 4 MB, 3 MB are left"},
		{"a file system there is not", "TYPE=DATABLOCK SIZE=1 FS=nofs", nil, "mkfs.nofs"},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newWorld(t)
			w.mon = c.mon
			if err := w.failToRegister(t.TempDir(), files, c.image, c.want); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("a full disk", func(t *testing.T) {
		w := newWorld(t)
		onSmallDisk(t, 2, func(dir string) error {
			return w.failToRegister(dir, files, "PATH="+big, "no space left in "+filepath.Join(dir, "1"))
		})
	})
}

// failToRegister registers an image, has a VM wait for it, does the step of the image
// with the datastores in dir, and cleans up.
func (w *world) failToRegister(dir, safe, image, reason string) error {
	w.do(func(tx *store.Tx) {
		d := *tx.Datastores.At(one.DefaultDS)
		d.Template = d.Template.With("SAFE_DIRS", safe)
		tx.PutDatastore(&d)
	})
	before := lasting(w.View())
	host, err := disk.New(disk.Config{Base: dir})
	if err != nil {
		return err
	}
	who := w.as(owner)
	id, err := w.AllocateImage(w.ctx, who, parsed("NAME=new "+image), one.DefaultDS, false)
	if err != nil {
		return err
	}
	vm, err := w.AllocateVM(w.ctx, who, parsed(fmt.Sprint("CPU=1 MEMORY=64 NIC=[NETWORK_ID=0] DISK=[IMAGE_ID=", id, "]")), false)
	if err != nil {
		return err
	}
	if err := w.imageStep(host, id); err != nil {
		return err
	}
	i, v := w.View().Images.At(id), w.View().VMs.At(vm)
	if i.State != one.ImageError || i.Source != "" || !strings.Contains(i.Template.Get("ERROR"), reason) {
		return fmt.Errorf("the image is %s, source %q, %q; expected ERROR and %q", i.State, i.Source, i.Template.Get("ERROR"), reason)
	}
	if v.State != one.VMCloningFailure {
		return fmt.Errorf("the VM that waited is %s", v.State)
	}
	left, err := os.ReadDir(filepath.Join(dir, itoa(one.DefaultDS)))
	if err != nil || len(left) > 0 {
		return fmt.Errorf("left in the datastore: %v, %v", left, err)
	}
	if err := errors.Join(w.VMAction(w.ctx, who, vm, "terminate"), w.DeleteImage(w.ctx, who, id, false), w.imageStep(host, id)); err != nil {
		return err
	}
	if d := cmp.Diff(before, lasting(w.View())); d != "" {
		return fmt.Errorf("left when both are gone (-before +after):\n%s", d)
	}
	return nil
}

// imageStep does what an agent does: the step of an image, on that host.
func (w *world) imageStep(host *disk.Host, id int) error {
	i, _ := w.View().Images.Get(id)
	op, passing := machine.ImageStep(i)
	if !passing {
		return fmt.Errorf("image %d has no step in state %s", id, i.State)
	}
	s, err := w.ImageSpec(w.View(), i)
	if err != nil {
		return err
	}
	var made disk.Stored
	switch op {
	case agentapi.OpImageImport:
		made, err = host.ImportVerified(w.ctx, s, disk.Sums{MD5: s.MD5, SHA1: s.SHA1})
	case agentapi.OpImageCreate:
		made, err = host.CreateImage(w.ctx, s)
	case agentapi.OpImageDelete:
		err = host.DeleteImage(w.ctx, s)
	default:
		return fmt.Errorf("step %s", op)
	}
	r := agentapi.Result{StepID: ImageStepID(1, i), Source: made.Source, Format: made.Format, SizeMB: made.SizeMB}
	if err != nil {
		r.Error = err.Error()
	}
	return w.try(func(tx *store.Tx) error { return w.FinishImage(tx, r) })
}

// lasting is content but for what goes on counting: ids, logs, hints and VMs in DONE.
func lasting(st *store.State) map[string]string {
	out := content(st)
	maps.DeleteFunc(out, func(k, _ string) bool {
		for _, table := range []string{"Counters ", "Outbox ", "LeaseHints ", "DoneVMs "} {
			if strings.HasPrefix(k, table) {
				return true
			}
		}
		return false
	})
	return out
}

// onSmallDisk runs f with a directory that holds so many MB. It is mounted where
// nobody but f can see it, and goes with the thread f runs on.
func onSmallDisk(t *testing.T, mbs int, f func(dir string) error) {
	t.Helper()
	dir := t.TempDir()
	var unprivileged bool
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS)
		unprivileged = errors.Is(err, unix.EPERM)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mbs))
		}
		if err == nil {
			err = f(dir)
		}
		done <- err
	}()
	err := <-done
	if unprivileged {
		t.Skip("SKIPPED: not root, so there is no small disk to fill")
	}
	if err != nil {
		t.Error(err)
	}
}
