package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/disk"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// host is a host whose disks and networks are remembered, and whose every call
// may be cut or fail. It is the driver too: a sim that needs disks.
type host struct {
	*sim.Sim
	other *sim.Sim // where domains move to
	dir   string

	mu     sync.Mutex
	things map[string]bool // "disks", "context", "networks", "stored", … of VMs: "7 disks"
	calls  []string
	// at is asked before ("") and after ("'") every call that changes something.
	at func(ctx context.Context, point string) error
}

var (
	_ Disks                  = (*host)(nil)
	_ Networks               = (*host)(nil)
	_ ContextChanger         = (*host)(nil)
	_ hypervisor.Driver      = (*host)(nil)
	_ hypervisor.NICChanger  = (*host)(nil)
	_ hypervisor.DiskChanger = (*host)(nil)
	_ hypervisor.Snapshotter = (*host)(nil)
)

func newHost(t *testing.T) *host {
	h := &host{dir: t.TempDir(), things: make(map[string]bool)}
	hook := func(suffix string) sim.Hook {
		return func(ctx context.Context, op sim.Op, _ string) error {
			switch op {
			case sim.OpStart, sim.OpShutdown, sim.OpDestroy, sim.OpReboot, sim.OpReset, sim.OpSave, sim.OpRestore,
				sim.OpAttachNIC, sim.OpDetachNIC, sim.OpUpdateNIC, sim.OpAttachDisk, sim.OpDetachDisk, sim.OpResizeDisk, sim.OpMigrate,
				sim.OpCreateSnapshot, sim.OpRevertSnapshot, sim.OpDeleteSnapshot, sim.OpCreateDiskSnapshot, sim.OpDeleteDiskSnapshot:
				return h.point(ctx, string(op)+suffix)
			}
			return nil
		}
	}
	h.other = newSim(t, sim.Behaviour{})
	s, err := sim.New(sim.Config{
		Behaviour: sim.Behaviour{Before: hook(""), After: hook("'")},
		Peer:      func(name string) (*sim.Sim, bool) { return h.other, name == "other" },
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Sim = s
	return h
}

func (h *host) Info() hypervisor.Info {
	i := h.Sim.Info()
	i.NeedsDisks = true
	return i
}

func (h *host) point(ctx context.Context, p string) error {
	h.mu.Lock()
	h.calls = append(h.calls, p)
	at := h.at
	h.mu.Unlock()
	if at == nil {
		return nil
	}
	return at(ctx, p)
}

func (h *host) setAt(at func(ctx context.Context, point string) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = at
}

// takeCalls returns the calls since the last takeCalls.
func (h *host) takeCalls() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.calls
	h.calls = nil
	return out
}

// change is one call: it makes things and unmakes others, between two points.
func (h *host) change(ctx context.Context, m *agentapi.Machine, name string, f func(things map[string]bool, id string) error) error {
	if err := h.point(ctx, name); err != nil {
		return err
	}
	h.mu.Lock()
	err := f(h.things, strconv.Itoa(m.ID)+" ")
	h.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return h.point(ctx, name+"'")
}

func (h *host) Dir(m *agentapi.Machine) string { return filepath.Join(h.dir, strconv.Itoa(m.ID)) }

func (h *host) Prepare(ctx context.Context, m *agentapi.Machine) error {
	return h.change(ctx, m, "prepare", func(things map[string]bool, id string) error {
		things[id+"disks"] = true
		return os.MkdirAll(h.Dir(m), 0o700)
	})
}

func (h *host) Context(ctx context.Context, m *agentapi.Machine) error {
	return h.change(ctx, m, "context", func(things map[string]bool, id string) error {
		things[id+"context"] = true
		return nil
	})
}

// ChangeContext gives the guest the new context disk.
func (h *host) ChangeContext(ctx context.Context, m *agentapi.Machine, _ string) error {
	return h.change(ctx, m, "change context", func(things map[string]bool, id string) error {
		if !things[id+"context"] {
			return errors.New("no context disk")
		}
		things[id+"context in the guest"] = true
		return nil
	})
}

func (h *host) Store(ctx context.Context, m *agentapi.Machine) error {
	return h.change(ctx, m, "store", func(things map[string]bool, id string) error {
		if !things[id+"disks"] && !things[id+"stored"] {
			return errors.New("nothing to store")
		}
		delete(things, id+"disks")
		things[id+"stored"] = true
		return nil
	})
}

func (h *host) Fetch(ctx context.Context, m *agentapi.Machine) error {
	return h.change(ctx, m, "fetch", func(things map[string]bool, id string) error {
		if !things[id+"disks"] && !things[id+"stored"] {
			return errors.New("nothing to fetch")
		}
		delete(things, id+"stored")
		things[id+"disks"] = true
		return nil
	})
}

func (h *host) Finish(ctx context.Context, m *agentapi.Machine) error {
	return h.change(ctx, m, "finish", func(things map[string]bool, id string) error {
		if things[id+"disks"] {
			things[id+"saved"] = true
		}
		delete(things, id+"disks")
		delete(things, id+"context")
		return os.RemoveAll(h.Dir(m))
	})
}

func (h *host) Remove(ctx context.Context, m *agentapi.Machine) error {
	return h.change(ctx, m, "remove", func(things map[string]bool, id string) error {
		delete(things, id+"disks")
		delete(things, id+"context")
		return os.RemoveAll(h.Dir(m))
	})
}

func (h *host) PlaceDisk(ctx context.Context, m *agentapi.Machine, disk tmpl.Vector) error {
	return h.changeDisk(ctx, m, "place disk", disk, true)
}

func (h *host) DropDisk(ctx context.Context, m *agentapi.Machine, disk tmpl.Vector) error {
	return h.changeDisk(ctx, m, "drop disk", disk, false)
}

func (h *host) RemoveDisk(ctx context.Context, m *agentapi.Machine, disk tmpl.Vector) error {
	return h.changeDisk(ctx, m, "remove disk", disk, false)
}

func (h *host) onSnapshot(ctx context.Context, m *agentapi.Machine, name string, s agentapi.Snapshot, f func(things map[string]bool, id string) error) error {
	return h.change(ctx, m, name, func(things map[string]bool, id string) error {
		if _, err := h.Sim.State(context.Background(), m.Domain); err == nil {
			return errors.New("the domain uses its disks")
		}
		return f(things, fmt.Sprintf("%ssnapshot %s of disk %d", id, s.Name, s.Disk))
	})
}

func (h *host) SnapshotDisk(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error {
	return h.onSnapshot(ctx, m, "keep disk", s, func(things map[string]bool, id string) error {
		things[id] = true
		return nil
	})
}

func (h *host) RevertDisk(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error {
	return h.onSnapshot(ctx, m, "bring disk back", s, func(things map[string]bool, id string) error {
		if !things[id] {
			return errors.New("no snapshot")
		}
		return nil
	})
}

func (h *host) ForgetDisk(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error {
	return h.onSnapshot(ctx, m, "forget disk", s, func(things map[string]bool, id string) error {
		delete(things, id)
		return nil
	})
}

func (h *host) ForgetSnapshot(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error {
	return h.onSnapshot(ctx, m, "forget snapshot", s, func(map[string]bool, string) error { return nil })
}

func (h *host) GrowDisk(ctx context.Context, m *agentapi.Machine, disk tmpl.Vector) error {
	return h.change(ctx, m, "grow disk", func(things map[string]bool, id string) error {
		if !things[id+"disk "+disk.Get("DISK_ID")] {
			return errors.New("no such disk")
		}
		return nil
	})
}

func (h *host) changeDisk(ctx context.Context, m *agentapi.Machine, name string, disk tmpl.Vector, there bool) error {
	return h.change(ctx, m, name, func(things map[string]bool, id string) error {
		if !things[id+"disks"] {
			return errors.New("no directory")
		}
		if delete(things, id+"disk "+disk.Get("DISK_ID")); there {
			things[id+"disk "+disk.Get("DISK_ID")] = true
			return nil
		}
		if targets, err := h.Disks(m.Domain); err == nil && slices.Contains(targets, disk.Get("TARGET")) {
			return errors.New("the domain uses the disk")
		}
		return nil
	})
}

func (h *host) image(ctx context.Context, name string, s *agentapi.ImageSpec, there bool) (disk.Stored, error) {
	err := h.change(ctx, &agentapi.Machine{ID: s.ID}, name, func(things map[string]bool, id string) error {
		if delete(things, id+"image"); there {
			things[id+"image"] = true
		}
		return nil
	})
	return disk.Stored{Source: "/ds/" + strconv.Itoa(s.ID), Format: "raw", SizeMB: 10}, err
}

func (h *host) ImportVerified(ctx context.Context, s *agentapi.ImageSpec, _ disk.Sums) (disk.Stored, error) {
	return h.image(ctx, "import", s, true)
}

func (h *host) CreateImage(ctx context.Context, s *agentapi.ImageSpec) (disk.Stored, error) {
	return h.image(ctx, "create", s, true)
}

func (h *host) CloneImage(ctx context.Context, s *agentapi.ImageSpec) (disk.Stored, error) {
	return h.image(ctx, "clone", s, true)
}

func (h *host) DeleteImage(ctx context.Context, s *agentapi.ImageSpec) error {
	_, err := h.image(ctx, "delete", s, false)
	return err
}

func (h *host) Space(context.Context) ([]agentapi.DatastoreSpace, error) {
	return []agentapi.DatastoreSpace{{ID: 0, TotalMB: 100, UsedMB: 40, FreeMB: 60}}, nil
}

func (h *host) Pre(ctx context.Context, m *agentapi.Machine) error {
	return h.change(ctx, m, "pre", func(things map[string]bool, id string) error {
		things[id+"networks"] = true
		for _, nic := range m.Template.Vectors("NIC") {
			things[id+"bridge of NIC "+nic.Get("NIC_ID")] = true
		}
		return nil
	})
}

func (h *host) Post(ctx context.Context, m *agentapi.Machine) error {
	return h.change(ctx, m, "post", func(things map[string]bool, id string) error {
		if !things[id+"networks"] {
			return errors.New("no networks")
		}
		things[id+"rules"] = true
		h.unmake(id + "rules of NIC ")
		for _, name := range []string{"NIC", "NIC_ALIAS"} {
			for _, nic := range m.Template.Vectors(name) {
				things[id+"rules of NIC "+nic.Get("NIC_ID")] = true
			}
		}
		return nil
	})
}

func (h *host) Clean(ctx context.Context, m *agentapi.Machine) error {
	return h.change(ctx, m, "clean", func(things map[string]bool, id string) error {
		delete(things, id+"networks")
		delete(things, id+"rules")
		h.unmake(id + "rules of NIC ")
		h.unmake(id + "bridge of NIC ")
		return nil
	})
}

func (h *host) Leave(ctx context.Context, m *agentapi.Machine, nic tmpl.Vector) error {
	return h.change(ctx, m, "leave", func(things map[string]bool, id string) error {
		if _, _, there := one.NIC(m.Template, nicID(nic)); there {
			return errors.New("the VM has the NIC")
		}
		delete(things, id+"bridge of NIC "+nic.Get("NIC_ID"))
		delete(things, id+"rules of NIC "+nic.Get("NIC_ID"))
		return nil
	})
}

// unmake removes the things whose names begin so. The caller holds mu.
func (h *host) unmake(prefix string) {
	maps.DeleteFunc(h.things, func(name string, _ bool) bool { return strings.HasPrefix(name, prefix) })
}

// Save writes the checkpoint, which the sim does not.
func (h *host) Save(ctx context.Context, domain, path string) error {
	if err := h.Sim.Save(ctx, domain, path); err != nil {
		return err
	}
	return os.WriteFile(path, []byte("memory"), 0o600)
}

// picture is all there is of a VM: things, checkpoint and domain.
func (h *host) picture(t *testing.T, id int) []string {
	t.Helper()
	h.mu.Lock()
	out := slices.Collect(maps.Keys(h.things))
	h.mu.Unlock()
	if _, err := os.Stat(filepath.Join(h.dir, strconv.Itoa(id), "checkpoint")); err == nil {
		out = append(out, "checkpoint")
	}
	if state(t, h, id) == agentapi.DomainRunning {
		out = append(out, "running")
		macs, err := h.NICs(domain(id))
		if err != nil {
			t.Fatal(err)
		}
		for _, mac := range macs {
			out = append(out, "device "+mac)
		}
		snapshots, err := h.Snapshots(domain(id))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range snapshots {
			out = append(out, "snapshot "+name)
		}
		targets, err := h.Disks(domain(id))
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range targets {
			out = append(out, "device "+target)
		}
	}
	if h.other.Len() > 0 {
		out = append(out, "moved")
	}
	slices.Sort(out)
	return out
}
