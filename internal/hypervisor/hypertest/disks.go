package hypertest

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// disks changes the disks of a running machine: each change twice, as after an
// answer that was lost. One disk is on the bus that every guest has, one on a bus
// whose controller the domain may have to be given first.
func (s *suite) disks() {
	d, ok := s.Driver.(hypervisor.DiskChanger)
	if !ok {
		s.Skip("the driver does not change disks of running domains")
	}
	m, dir := s.machine()
	disks := []tmpl.Vector{
		tmpl.Vec("DISK", "DISK_ID", "7", "TYPE", "FS", "FORMAT", "raw", "TARGET", "vdx", "SIZE", "4").Vector,
		tmpl.Vec("DISK", "DISK_ID", "8", "TYPE", "FS", "FORMAT", "raw", "TARGET", "sdx", "SIZE", "4").Vector,
	}
	whole := *m
	for _, disk := range disks {
		whole.Template = whole.Template.Add(tmpl.Attr{Name: "DISK", Vector: disk})
		if s.Driver.Info().NeedsDisks {
			path := filepath.Join(dir, "disk."+disk.Get("DISK_ID"))
			s.must("make a disk", os.WriteFile(path, nil, 0o600))
			s.must("make a disk", os.Truncate(path, 4<<20))
		}
	}
	s.wantNoDomain("attach to a domain that does not run", d.AttachDisk(s.ctx, &whole, dir, disks[0]))
	s.wantNoDomain("resize of a domain that does not run", d.ResizeDisk(s.ctx, m, disks[0]))
	s.wantNoDomain("detach from a domain that does not run", d.DetachDisk(s.ctx, m, disks[0]))

	_, err := s.Driver.Start(s.ctx, m, dir)
	s.must("start", err)
	targets := s.targets(m.Domain)
	want := slices.Clone(targets)
	if s.Listens != nil {
		s.Listens(s.T, m, dir)
	}
	for _, disk := range disks {
		want = append(want, disk.Get("TARGET"))
		for _, again := range []string{"", " again"} {
			s.must("attach"+again, d.AttachDisk(s.ctx, &whole, dir, disk))
			if got := s.targets(m.Domain); !sameSet(got, want) {
				s.Fatalf("attached%s the disks are %v, want %v", again, got, want)
			}
		}
	}
	for _, again := range []string{"", " again"} {
		s.must("resize"+again, d.ResizeDisk(s.ctx, &whole, disks[0].With("SIZE", "8")))
	}
	if s.Driver.Info().NeedsDisks {
		if info, err := os.Stat(filepath.Join(dir, "disk.7")); err != nil || info.Size() != 8<<20 {
			s.Errorf("the disk that has grown is %v (%v)", info, err)
		}
	}
	for _, disk := range disks {
		want = slices.DeleteFunc(want, func(target string) bool { return target == disk.Get("TARGET") })
		for _, again := range []string{"", " again"} {
			s.must("detach"+again, d.DetachDisk(s.ctx, m, disk))
			if got := s.targets(m.Domain); !sameSet(got, want) {
				s.Fatalf("detached%s the disks are %v, want %v", again, got, want)
			}
		}
	}
	s.must("detach what never was", d.DetachDisk(s.ctx, m, disks[0].With("TARGET", "vdy")))
}

// targets returns the targets of a domain's disks.
func (s *suite) targets(domain string) []string {
	s.Helper()
	got, err := s.Disks(domain)
	s.must("disks", err)
	return got
}

// sameSet tells whether two lists hold the same, in whatever order.
func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
