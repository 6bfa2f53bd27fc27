package sim

import (
	"context"
	"slices"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// AttachNIC implements hypervisor.NICChanger; it takes no time.
func (s *Sim) AttachNIC(ctx context.Context, m *agentapi.Machine, nic tmpl.Vector) error {
	return s.changeNICs(ctx, OpAttachNIC, m.Domain, func(macs []string) []string {
		if slices.Contains(macs, nic.Get("MAC")) {
			return macs
		}
		return append(slices.Clone(macs), nic.Get("MAC"))
	})
}

// DetachNIC implements hypervisor.NICChanger: guests let go at once.
func (s *Sim) DetachNIC(ctx context.Context, m *agentapi.Machine, nic tmpl.Vector) error {
	return s.changeNICs(ctx, OpDetachNIC, m.Domain, func(macs []string) []string {
		return slices.DeleteFunc(slices.Clone(macs), func(mac string) bool { return mac == nic.Get("MAC") })
	})
}

// UpdateNIC implements hypervisor.NICChanger; simulated NICs have no limits.
func (s *Sim) UpdateNIC(ctx context.Context, m *agentapi.Machine, _ tmpl.Vector) error {
	return s.changeNICs(ctx, OpUpdateNIC, m.Domain, func(macs []string) []string { return macs })
}

func (s *Sim) changeNICs(ctx context.Context, op Op, domain string, f func(macs []string) []string) error {
	return s.do(ctx, op, domain, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		d, err := s.running(domain)
		if err != nil {
			return err
		}
		d.NICs = f(d.NICs)
		return s.journal.put(entry{record: d.record}, len(s.domains))
	})
}

// NICs returns the MACs of a running domain's NICs, in the order they came.
func (s *Sim) NICs(domain string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.running(domain)
	if err != nil {
		return nil, err
	}
	return slices.Clone(d.NICs), nil
}
