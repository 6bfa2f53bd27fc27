package hypertest

import (
	"slices"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// snapshots takes snapshots of a running machine, goes back to them and deletes them:
// each twice, as after an answer that was lost.
func (s *suite) snapshots() {
	d, ok := s.Driver.(hypervisor.Snapshotter)
	if !ok {
		s.Skip("the driver takes no snapshots")
	}
	m, dir := s.machine()
	first := agentapi.Snapshot{Name: "snap-0", Begun: 1700000000001, Live: true}
	ofDisk := agentapi.Snapshot{Name: "disk-snap-0", Disk: 0, Begun: 1700000000002, Live: true}
	s.wantNoDomain("snapshot of a domain that does not run", d.CreateSnapshot(s.ctx, m, dir, first))
	s.wantNoDomain("revert of a domain that does not run", d.RevertSnapshot(s.ctx, m, dir, first))
	s.wantNoDomain("delete of a snapshot of a domain that does not run", d.DeleteSnapshot(s.ctx, m, dir, first))
	s.wantNoDomain("snapshot of a disk of a domain that does not run", d.CreateDiskSnapshot(s.ctx, m, dir, ofDisk))
	s.wantNoDomain("delete of a snapshot of a disk of a domain that does not run", d.DeleteDiskSnapshot(s.ctx, m, dir, ofDisk))

	deployID, err := s.Driver.Start(s.ctx, m, dir)
	s.must("start", err)
	if err := d.RevertSnapshot(s.ctx, m, dir, first); err == nil {
		s.Error("a domain went back to a snapshot that was never taken")
	}
	s.wantState(m.Domain, agentapi.DomainRunning)
	s.must("delete what never was", d.DeleteSnapshot(s.ctx, m, dir, first))
	s.must("delete what never was on a disk", d.DeleteDiskSnapshot(s.ctx, m, dir, ofDisk))

	for _, again := range []string{"", " again"} {
		s.must("create"+again, d.CreateSnapshot(s.ctx, m, dir, first))
		s.wantSnapshots(m.Domain, "snap-0")
		s.wantState(m.Domain, agentapi.DomainRunning)
	}
	later := first
	later.Begun++
	s.must("create in the place of an older one", d.CreateSnapshot(s.ctx, m, dir, later))
	second := agentapi.Snapshot{Name: "snap-1", Begun: 1700000000003, Live: true}
	s.must("create a second one", d.CreateSnapshot(s.ctx, m, dir, second))
	s.wantSnapshots(m.Domain, "snap-0", "snap-1")
	for _, again := range []string{"", " again"} {
		s.must("create of a disk"+again, d.CreateDiskSnapshot(s.ctx, m, dir, ofDisk))
	}
	newer := ofDisk
	newer.Begun = time.Now().Add(time.Hour).UnixMilli()
	s.must("create of a disk in the place of an older one", d.CreateDiskSnapshot(s.ctx, m, dir, newer))
	for _, again := range []string{"", " again"} {
		s.must("revert"+again, d.RevertSnapshot(s.ctx, m, dir, first))
		s.wantState(m.Domain, agentapi.DomainRunning)
	}
	for _, again := range []string{"", " again"} {
		s.must("delete of a disk"+again, d.DeleteDiskSnapshot(s.ctx, m, dir, ofDisk))
	}
	s.wantSnapshots(m.Domain, "snap-0", "snap-1")

	// They outlive the domain, as its disks do.
	s.must("destroy", s.Driver.Destroy(s.ctx, m.Domain))
	whole := *m
	whole.DeployID = deployID
	whole.Template = m.Template.Add(tmpl.Vec("SNAPSHOT", "HYPERVISOR_ID", "snap-0"), tmpl.Vec("SNAPSHOT", "HYPERVISOR_ID", "snap-1"))
	_, err = s.Driver.Start(s.ctx, &whole, dir)
	s.must("start anew", err)
	s.must("revert to the second one", d.RevertSnapshot(s.ctx, &whole, dir, second))
	s.wantState(m.Domain, agentapi.DomainRunning)
	for _, snap := range []agentapi.Snapshot{first, second, second} {
		s.must("delete "+snap.Name, d.DeleteSnapshot(s.ctx, &whole, dir, snap))
	}
	s.wantSnapshots(m.Domain)
	if err := d.RevertSnapshot(s.ctx, &whole, dir, first); err == nil {
		s.Error("a domain went back to a snapshot that was deleted")
	}
	s.wantState(m.Domain, agentapi.DomainRunning)
}

// wantSnapshots compares the snapshots of a domain with memory, by name.
func (s *suite) wantSnapshots(domain string, want ...string) {
	s.Helper()
	got, err := s.Snapshots(domain)
	s.must("snapshots", err)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		s.Fatalf("the snapshots are %q, want %q", got, want)
	}
}
