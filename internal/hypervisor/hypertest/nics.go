package hypertest

import (
	"slices"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// nics changes the NICs of a running machine: each change twice, as after an
// answer that was lost.
func (s *suite) nics() {
	d, ok := s.Driver.(hypervisor.NICChanger)
	if !ok {
		s.Skip("the driver does not change NICs of running domains")
	}
	m, dir := s.machine()
	const mac = "02:00:c0:a8:ff:07"
	nic := tmpl.Vec("NIC", "NIC_ID", "7", "MAC", mac)
	if nics := m.Template.Vectors("NIC"); len(nics) > 0 { // on the same bridge
		nic.Vector = nics[0].With("NIC_ID", "7").With("MAC", mac).Without("TARGET", "IP")
	}
	with := m.Template.Add(nic)
	s.wantNoDomain("attach to a domain that does not run", d.AttachNIC(s.ctx, m, nic.Vector))
	s.wantNoDomain("detach from a domain that does not run", d.DetachNIC(s.ctx, m, nic.Vector))
	s.wantNoDomain("update of a domain that does not run", d.UpdateNIC(s.ctx, m, nic.Vector))

	_, err := s.Driver.Start(s.ctx, m, dir)
	s.must("start", err)
	before := s.macs(m.Domain)
	whole := *m
	whole.Template = with
	for _, again := range []string{"", " again"} {
		s.must("attach"+again, d.AttachNIC(s.ctx, &whole, nic.Vector))
		if got, want := s.macs(m.Domain), append(slices.Clone(before), mac); !slices.Equal(got, want) {
			s.Fatalf("attached%s the NICs are %v, want %v", again, got, want)
		}
	}
	s.Run("Limits", func(t *testing.T) {
		if s.NoLimits != "" {
			t.Skip("SKIPPED: " + s.NoLimits)
		}
		sub := *s
		sub.T = t
		sub.limits(d, &whole, nic.Vector)
	})
	if s.Listens != nil {
		s.Listens(s.T, m, dir)
	}
	for _, again := range []string{"", " again"} {
		s.must("detach"+again, d.DetachNIC(s.ctx, m, nic.Vector))
		if got := s.macs(m.Domain); !slices.Equal(got, before) {
			s.Fatalf("detached%s the NICs are %v, want %v", again, got, before)
		}
	}
	s.must("detach what never was", d.DetachNIC(s.ctx, m, nic.Vector.With("MAC", "02:00:c0:a8:ff:08")))
}

// limits sets limits of a NIC and lifts them.
func (s *suite) limits(d hypervisor.NICChanger, m *agentapi.Machine, nic tmpl.Vector) {
	s.Helper()
	for _, limits := range []tmpl.Vector{
		nic.With("INBOUND_AVG_BW", "100").With("INBOUND_PEAK_BW", "200").With("INBOUND_PEAK_KB", "300").With("OUTBOUND_AVG_BW", "400"),
		nic,
	} {
		for _, again := range []string{"", " again"} {
			s.must("update"+again, d.UpdateNIC(s.ctx, m, limits))
		}
	}
}

// macs returns the MACs of a domain's NICs, in lower case.
func (s *suite) macs(domain string) []string {
	s.Helper()
	got, err := s.NICs(domain)
	s.must("NICs", err)
	for i := range got {
		got[i] = strings.ToLower(got[i])
	}
	return got
}
