package agent

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/disk"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// needy is a sim whose machines have real disks.
type needy struct{ *sim.Sim }

func (n needy) Info() hypervisor.Info {
	i := n.Sim.Info()
	i.NeedsDisks = true
	return i
}

// TestRealDisks takes a persistent disk from its import through a VM's life and
// back: what the guest has written is in the image then.
func TestRealDisks(t *testing.T) {
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Log("NOT CHECKED: an agent with real disks: qemu-img is missing (make deps)")
		t.Skip(err)
	}
	base, safe := t.TempDir(), t.TempDir()
	file := filepath.Join(safe, "a.img")
	must(t, os.WriteFile(file, bytes.Repeat([]byte("x"), 1<<20), 0o600))
	disks, err := disk.New(disk.Config{Base: base})
	must(t, err)

	synctest.Test(t, func(t *testing.T) {
		s := &server{ack: true}
		_, stop := start(t, s, Config{Driver: needy{newSim(t, sim.Behaviour{})}, Disks: disks, Networks: Imaginary{}})
		defer stop()
		image := func(id int, op agentapi.Op, spec agentapi.ImageSpec) agentapi.Result {
			t.Helper()
			spec.ID, spec.DatastoreID, spec.SafeDirs, spec.RestrictedDirs = id, 1, []string{safe}, []string{"/"}
			r := s.wait(t, agentapi.Step{
				StepID: agentapi.StepID{Epoch: 1, Subject: agentapi.SubjectImage, ID: id, State: len(op)}, Op: op, Image: &spec,
			})
			if !r.OK() {
				t.Fatalf("%s: %s", op, r.Error)
			}
			return r
		}
		a := image(1, agentapi.OpImageImport, agentapi.ImageSpec{Path: file})
		if a.SizeMB != 1 || a.Format != "raw" {
			t.Fatalf("imported %+v", a)
		}
		machine := func(op agentapi.Op) agentapi.Step {
			st := vm(7, op, 0)
			st.Machine.Template = st.Machine.Template.Add(tmpl.Vec("DISK", "DISK_ID", "0", "TARGET", "sda", "TYPE", "FILE",
				"SOURCE", a.Source, "IMAGE_ID", "1", "CLONE", "NO", "SAVE", "YES", "PERSISTENT", "YES",
				"SIZE", strconv.FormatInt(a.SizeMB, 10), "DRIVER", "raw", "FORMAT", "raw", "DATASTORE_ID", "1"))
			return st
		}
		path := filepath.Join(base, "0", "7", "disk.0")
		for _, op := range []agentapi.Op{agentapi.OpPrepare, agentapi.OpStart, agentapi.OpShutdown, agentapi.OpFinish} {
			if op == agentapi.OpShutdown {
				f, err := os.OpenFile(path, os.O_WRONLY, 0)
				must(t, err)
				_, err = f.WriteAt([]byte("the guest was here"), 0)
				must(t, errors.Join(err, f.Close()))
			}
			if r := s.wait(t, machine(op)); !r.OK() {
				t.Fatalf("%s: %s", op, r.Error)
			}
		}
		if data, err := os.ReadFile(a.Source); err != nil || !bytes.HasPrefix(data, []byte("the guest was here")) || len(data) != 1<<20 {
			t.Errorf("the image has %d bytes, %v, and not what the guest wrote", len(data), err)
		}
		if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the directory of the VM: %v, want gone", err)
		}
		image(1, agentapi.OpImageDelete, agentapi.ImageSpec{Source: a.Source})
		if _, err := os.Stat(a.Source); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the image: %v, want gone", err)
		}
	})
}
