package sim

import (
	"context"
	"slices"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// AttachDisk implements hypervisor.DiskChanger; it takes no time.
func (s *Sim) AttachDisk(ctx context.Context, m *agentapi.Machine, _ string, disk tmpl.Vector) error {
	return s.changeDisks(ctx, OpAttachDisk, m.Domain, func(targets []string) []string {
		if slices.Contains(targets, disk.Get("TARGET")) {
			return targets
		}
		return append(slices.Clone(targets), disk.Get("TARGET"))
	})
}

// DetachDisk implements hypervisor.DiskChanger: guests let go at once.
func (s *Sim) DetachDisk(ctx context.Context, m *agentapi.Machine, disk tmpl.Vector) error {
	return s.changeDisks(ctx, OpDetachDisk, m.Domain, func(targets []string) []string {
		return slices.DeleteFunc(slices.Clone(targets), func(target string) bool { return target == disk.Get("TARGET") })
	})
}

// ResizeDisk implements hypervisor.DiskChanger; simulated disks have no size.
func (s *Sim) ResizeDisk(ctx context.Context, m *agentapi.Machine, _ tmpl.Vector) error {
	return s.changeDisks(ctx, OpResizeDisk, m.Domain, func(targets []string) []string { return targets })
}

func (s *Sim) changeDisks(ctx context.Context, op Op, domain string, f func(targets []string) []string) error {
	return s.do(ctx, op, domain, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		d, err := s.running(domain)
		if err != nil {
			return err
		}
		d.Disks = f(d.Disks)
		return s.journal.put(entry{record: d.record}, len(s.domains))
	})
}

// Disks returns the targets of a running domain's disks, in the order they came.
func (s *Sim) Disks(domain string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.running(domain)
	if err != nil {
		return nil, err
	}
	return slices.Clone(d.Disks), nil
}
