package sim

import (
	"context"
	"fmt"
	"slices"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
)

// kept is a snapshot of a domain, or of one of its disks: nothing but that it is
// there.
type kept struct {
	Name  string `json:"name"`
	Disk  int    `json:"disk"`            // -1: of the whole domain
	Begun int64  `json:"begun,omitempty"` // 0: when is not known
}

var _ hypervisor.Snapshotter = (*Sim)(nil)

// keeps returns the snapshots that a VM had before it was started.
func keeps(m *agentapi.Machine) (all []kept) {
	for _, s := range m.Template.Vectors("SNAPSHOT") {
		if name := s.Get("HYPERVISOR_ID"); name != "" {
			all = append(all, kept{Name: name, Disk: -1})
		}
	}
	return all
}

// CreateSnapshot implements hypervisor.Snapshotter; it takes no time.
func (s *Sim) CreateSnapshot(ctx context.Context, m *agentapi.Machine, _ string, k agentapi.Snapshot) error {
	return s.changeSnapshots(ctx, OpCreateSnapshot, m.Domain, func(all []kept) ([]kept, error) {
		return append(without(all, k.Name, -1), kept{k.Name, -1, k.Begun}), nil
	})
}

// RevertSnapshot implements hypervisor.Snapshotter: all but the domain's being there
// is imaginary, so nothing changes.
func (s *Sim) RevertSnapshot(ctx context.Context, m *agentapi.Machine, _ string, k agentapi.Snapshot) error {
	return s.changeSnapshots(ctx, OpRevertSnapshot, m.Domain, func(all []kept) ([]kept, error) {
		if !slices.ContainsFunc(all, func(o kept) bool { return o.Name == k.Name && o.Disk < 0 }) {
			return nil, fmt.Errorf("sim: %s has no snapshot %s", m.Domain, k.Name)
		}
		return all, nil
	})
}

// DeleteSnapshot implements hypervisor.Snapshotter.
func (s *Sim) DeleteSnapshot(ctx context.Context, m *agentapi.Machine, _ string, k agentapi.Snapshot) error {
	return s.changeSnapshots(ctx, OpDeleteSnapshot, m.Domain, func(all []kept) ([]kept, error) { return without(all, k.Name, -1), nil })
}

// CreateDiskSnapshot implements hypervisor.Snapshotter.
func (s *Sim) CreateDiskSnapshot(ctx context.Context, m *agentapi.Machine, _ string, k agentapi.Snapshot) error {
	return s.changeSnapshots(ctx, OpCreateDiskSnapshot, m.Domain, func(all []kept) ([]kept, error) {
		return append(without(all, k.Name, k.Disk), kept{k.Name, k.Disk, k.Begun}), nil
	})
}

// DeleteDiskSnapshot implements hypervisor.Snapshotter.
func (s *Sim) DeleteDiskSnapshot(ctx context.Context, m *agentapi.Machine, _ string, k agentapi.Snapshot) error {
	return s.changeSnapshots(ctx, OpDeleteDiskSnapshot, m.Domain, func(all []kept) ([]kept, error) { return without(all, k.Name, k.Disk), nil })
}

// without returns the snapshots but one.
func without(all []kept, name string, disk int) []kept {
	return slices.DeleteFunc(slices.Clone(all), func(o kept) bool { return o.Name == name && o.Disk == disk })
}

func (s *Sim) changeSnapshots(ctx context.Context, op Op, domain string, f func([]kept) ([]kept, error)) error {
	return s.edit(ctx, op, domain, func(r *record) error {
		now, err := f(r.Snapshots)
		if err != nil {
			return err
		}
		r.Snapshots = now
		return nil
	})
}

// Snapshots returns the names of a running domain's snapshots, those of its disks
// taken since it was started included, in the order they were taken.
func (s *Sim) Snapshots(domain string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.running(domain)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, k := range d.Snapshots {
		names = append(names, k.Name)
	}
	return names, nil
}
