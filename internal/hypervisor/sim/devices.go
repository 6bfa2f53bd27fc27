package sim

import (
	"context"
	"slices"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Devices come and go at once: a simulated guest always lets go, and has neither
// limits of NICs nor sizes of disks.

// AttachNIC implements hypervisor.NICChanger.
func (s *Sim) AttachNIC(ctx context.Context, m *agentapi.Machine, nic tmpl.Vector) error {
	return s.change(ctx, OpAttachNIC, m.Domain, nics, plus(nic.Get("MAC")))
}

// DetachNIC implements hypervisor.NICChanger.
func (s *Sim) DetachNIC(ctx context.Context, m *agentapi.Machine, nic tmpl.Vector) error {
	return s.change(ctx, OpDetachNIC, m.Domain, nics, less(nic.Get("MAC")))
}

// UpdateNIC implements hypervisor.NICChanger.
func (s *Sim) UpdateNIC(ctx context.Context, m *agentapi.Machine, _ tmpl.Vector) error {
	return s.change(ctx, OpUpdateNIC, m.Domain, nics, same)
}

// AttachDisk implements hypervisor.DiskChanger.
func (s *Sim) AttachDisk(ctx context.Context, m *agentapi.Machine, _ string, disk tmpl.Vector) error {
	return s.change(ctx, OpAttachDisk, m.Domain, disks, plus(disk.Get("TARGET")))
}

// DetachDisk implements hypervisor.DiskChanger.
func (s *Sim) DetachDisk(ctx context.Context, m *agentapi.Machine, disk tmpl.Vector) error {
	return s.change(ctx, OpDetachDisk, m.Domain, disks, less(disk.Get("TARGET")))
}

// ResizeDisk implements hypervisor.DiskChanger.
func (s *Sim) ResizeDisk(ctx context.Context, m *agentapi.Machine, _ tmpl.Vector) error {
	return s.change(ctx, OpResizeDisk, m.Domain, disks, same)
}

// NICs returns the MACs of a running domain's NICs, in the order they came.
func (s *Sim) NICs(domain string) ([]string, error) { return s.devices(domain, nics) }

// Disks returns the targets of a running domain's disks, in the order they came.
func (s *Sim) Disks(domain string) ([]string, error) { return s.devices(domain, disks) }

// The lists of devices that a record has.
func nics(r *record) *[]string  { return &r.NICs }
func disks(r *record) *[]string { return &r.Disks }

// plus returns the change that adds a device, unless it is there already.
func plus(device string) func([]string) []string {
	return func(have []string) []string {
		if slices.Contains(have, device) {
			return have
		}
		return append(slices.Clone(have), device)
	}
}

// less returns the change that takes a device away.
func less(device string) func([]string) []string {
	return func(have []string) []string {
		return slices.DeleteFunc(slices.Clone(have), func(d string) bool { return d == device })
	}
}

func same(have []string) []string { return have }

func (s *Sim) change(ctx context.Context, op Op, domain string, list func(*record) *[]string, f func([]string) []string) error {
	return s.edit(ctx, op, domain, func(r *record) error {
		devices := list(r)
		*devices = f(*devices)
		return nil
	})
}

// edit changes what the journal keeps of a domain that runs.
func (s *Sim) edit(ctx context.Context, op Op, domain string, f func(r *record) error) error {
	return s.do(ctx, op, domain, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		d, err := s.running(domain)
		if err != nil {
			return err
		}
		if err := f(&d.record); err != nil {
			return err
		}
		return s.journal.put(entry{record: d.record}, len(s.domains))
	})
}

func (s *Sim) devices(domain string, list func(*record) *[]string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.running(domain)
	if err != nil {
		return nil, err
	}
	return slices.Clone(*list(&d.record)), nil
}
