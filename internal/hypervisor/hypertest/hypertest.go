// Package hypertest is what every hypervisor driver must hold: one suite, run
// against the simulated driver in unit tests and against libvirt with real
// guests. Only tests import it.
package hypertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
)

// Setup is a driver under test, and what the suite must know of it.
type Setup struct {
	Driver hypervisor.Driver
	// Machine returns a machine whose guest powers off when asked, and the
	// directory with its disks. Ids differ from test to test.
	Machine func(t *testing.T, id int) (m *agentapi.Machine, dir string)
	// Kill lets a domain die from outside, as a crash of its process does.
	Kill func(domain string) error
	// Timeout bounds each wait; it is reached only when something is wrong.
	Timeout time.Duration
	// Parallel is how many machines the host can run at once.
	Parallel int
	// NICs returns the MACs of a running domain's NICs. It is needed for drivers that
	// change them.
	NICs func(domain string) ([]string, error)
	// Disks returns the targets of a running domain's disks, likewise.
	Disks func(domain string) ([]string, error)
	// Snapshots returns the names of a running domain's snapshots with memory. It is
	// needed for drivers that take them.
	Snapshots func(domain string) ([]string, error)
	// Listens waits until the guest of a domain that was started would let go of a
	// device; nil: it does at once.
	Listens func(t *testing.T, m *agentapi.Machine, dir string)
	// NoLimits tells why the host cannot limit NICs, "" when it can.
	NoLimits string
}

// Run runs the suite. The host must have no domains of the ids 9000 to 9999.
func Run(t *testing.T, s Setup) {
	for _, test := range []struct {
		name string
		run  func(*suite)
	}{
		{"Facts", (*suite).facts},
		{"Absent", (*suite).absent},
		{"StartIsIdempotent", (*suite).start},
		{"BadMachineLeavesNothing", (*suite).badMachine},
		{"Destroy", (*suite).destroy},
		{"Shutdown", (*suite).shutdown},
		{"Death", (*suite).death},
		{"Restart", (*suite).restart},
		{"SaveRestore", (*suite).saveRestore},
		{"Stats", (*suite).stats},
		{"NICs", (*suite).nics},
		{"Snapshots", (*suite).snapshots},
		{"Disks", (*suite).disks},
		{"EventsEndWithContext", (*suite).eventsEnd},
		{"CancelledContext", (*suite).cancelled},
		{"Parallel", (*suite).parallel},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), s.Timeout)
			defer cancel()
			test.run(&suite{T: t, Setup: s, ctx: ctx, nextID: 9000})
		})
	}
}

// suite is one test of the suite.
type suite struct {
	*testing.T
	Setup
	ctx    context.Context
	nextID int
}

// machine returns a fresh machine, whose domain is destroyed after the test.
func (s *suite) machine() (*agentapi.Machine, string) {
	s.Helper()
	m, dir := s.Machine(s.T, s.nextID)
	s.nextID++
	s.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
		defer cancel()
		if err := s.Driver.Destroy(ctx, m.Domain); err != nil {
			s.Errorf("destroy %s after the test: %v", m.Domain, err)
		}
	})
	return m, dir
}

func (s *suite) started() (m *agentapi.Machine, dir, deployID string) {
	s.Helper()
	m, dir = s.machine()
	deployID, err := s.Driver.Start(s.ctx, m, dir)
	if err != nil {
		s.Fatalf("start %s: %v", m.Domain, err)
	}
	if deployID == "" {
		s.Fatalf("start %s returned no deploy id", m.Domain)
	}
	return m, dir, deployID
}

func (s *suite) must(what string, err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("%s: %v", what, err)
	}
}

func (s *suite) wantNoDomain(what string, err error) {
	s.Helper()
	if !errors.Is(err, hypervisor.ErrNoDomain) {
		s.Errorf("%s: error %v, want ErrNoDomain", what, err)
	}
}

func (s *suite) wantState(domain string, want agentapi.DomainState) {
	s.Helper()
	got, err := s.Driver.State(s.ctx, domain)
	if err != nil || got != want {
		s.Fatalf("state of %s is %q (%v), want %q", domain, got, err, want)
	}
}

func (s *suite) wantGone(domain string) {
	s.Helper()
	_, err := s.Driver.State(s.ctx, domain)
	s.wantNoDomain("state of "+domain, err)
	if e, ok := s.listed(domain); ok {
		s.Errorf("%s is listed as %+v, want it gone", domain, e)
	}
}

func (s *suite) listed(domain string) (agentapi.Event, bool) {
	s.Helper()
	all, err := s.Driver.List(s.ctx)
	s.must("list", err)
	for _, e := range all {
		if e.Domain == domain {
			return e, true
		}
	}
	return agentapi.Event{}, false
}

func (s *suite) events() <-chan hypervisor.Event {
	s.Helper()
	events, err := s.Driver.Events(s.ctx)
	s.must("events", err)
	return events
}

// waitEvent waits for the domain to come to a state, by events alone; a Resync
// makes it read the list, as an agent would.
func (s *suite) waitEvent(events <-chan hypervisor.Event, domain string, want agentapi.DomainState) agentapi.Event {
	s.Helper()
	for e := range events {
		if e.Resync {
			if now, ok := s.listed(domain); ok && now.State == want || !ok && want == agentapi.DomainPoweroff {
				return now
			}
			continue
		}
		if e.Domain == domain && e.State == want {
			return e.Event
		}
	}
	s.Fatalf("no event said that %s is %s: %v", domain, want, context.Cause(s.ctx))
	return agentapi.Event{}
}

func (s *suite) facts() {
	f, err := s.Driver.Facts(s.ctx)
	s.must("facts", err)
	if f.CPU <= 0 || f.MemoryKB <= 0 || f.Hostname == "" || f.Template.Get("ARCH") == "" {
		s.Errorf("facts %+v: want CPU, memory, host name and architecture", f)
	}
	if name := s.Driver.Info().Name; f.Hypervisor != name || name == "" {
		s.Errorf("facts name the hypervisor %q, info %q", f.Hypervisor, name)
	}
}

func (s *suite) absent() {
	const gone = "one-9999"
	s.wantGone(gone)
	s.must("destroy an absent domain", s.Driver.Destroy(s.ctx, gone))
	s.wantNoDomain("shutdown", s.Driver.Shutdown(s.ctx, gone))
	s.wantNoDomain("reboot", s.Driver.Reboot(s.ctx, gone))
	s.wantNoDomain("reset", s.Driver.Reset(s.ctx, gone))
	if s.Driver.Info().SaveMemory {
		s.wantNoDomain("save", s.Driver.Save(s.ctx, gone, filepath.Join(s.TempDir(), "checkpoint")))
	}
}

func (s *suite) start() {
	events := s.events()
	m, dir, deployID := s.started()
	if e := s.waitEvent(events, m.Domain, agentapi.DomainRunning); e.VM != m.ID {
		s.Errorf("the event names VM %d, want %d", e.VM, m.ID)
	}
	again, err := s.Driver.Start(s.ctx, m, dir)
	s.must("start again", err)
	if again != deployID {
		s.Errorf("started again the deploy id is %q, was %q", again, deployID)
	}
	s.wantState(m.Domain, agentapi.DomainRunning)
	want := agentapi.Event{VM: m.ID, Domain: m.Domain, DeployID: deployID, State: agentapi.DomainRunning}
	if e, ok := s.listed(m.Domain); !ok || e != want {
		s.Errorf("listed as %+v (%v), want %+v", e, ok, want)
	}
}

func (s *suite) badMachine() {
	m, dir := s.machine()
	m.Template = m.Template.With("MEMORY", "lots")
	if id, err := s.Driver.Start(s.ctx, m, dir); err == nil {
		s.Errorf("a machine of MEMORY=lots was started as %q", id)
	}
	s.wantGone(m.Domain)
}

func (s *suite) destroy() {
	m, _, _ := s.started()
	events := s.events()
	s.must("destroy", s.Driver.Destroy(s.ctx, m.Domain))
	s.wantGone(m.Domain)
	s.waitEvent(events, m.Domain, agentapi.DomainPoweroff)
	s.must("destroy again", s.Driver.Destroy(s.ctx, m.Domain))
}

// shutdown repeats the request, as the caller must: a guest that does not listen
// yet loses it.
func (s *suite) shutdown() {
	m, _, _ := s.started()
	events := s.events()
	repeat := time.NewTicker(2 * time.Second)
	defer repeat.Stop()
	for {
		if err := s.Driver.Shutdown(s.ctx, m.Domain); err != nil {
			s.wantNoDomain("shutdown", err)
			break
		}
		select {
		case e, ok := <-events:
			if !ok {
				s.Fatalf("%s does not shut down", m.Domain)
			}
			if e.Domain == m.Domain && e.State == agentapi.DomainPoweroff {
				s.wantGone(m.Domain)
				return
			}
		case <-repeat.C:
		}
	}
	s.wantGone(m.Domain)
}

func (s *suite) death() {
	m, dir, _ := s.started()
	events := s.events()
	s.must("kill", s.Kill(m.Domain))
	if e := s.waitEvent(events, m.Domain, agentapi.DomainPoweroff); e.VM != m.ID {
		s.Errorf("the event names VM %d, want %d", e.VM, m.ID)
	}
	s.wantGone(m.Domain)
	_, err := s.Driver.Start(s.ctx, m, dir)
	s.must("start after death", err)
	s.wantState(m.Domain, agentapi.DomainRunning)
}

func (s *suite) restart() {
	m, _, _ := s.started()
	s.must("reboot", s.Driver.Reboot(s.ctx, m.Domain))
	s.must("reset", s.Driver.Reset(s.ctx, m.Domain))
	s.wantState(m.Domain, agentapi.DomainRunning)
}

func (s *suite) saveRestore() {
	if !s.Driver.Info().SaveMemory {
		s.Skip("the driver does not save memory")
	}
	m, dir, _ := s.started()
	path := filepath.Join(dir, "checkpoint")
	s.must("save", s.Driver.Save(s.ctx, m.Domain, path))
	s.wantGone(m.Domain)
	s.must("save again", s.Driver.Save(s.ctx, m.Domain, path))
	deployID, err := s.Driver.Restore(s.ctx, m, dir, path)
	s.must("restore", err)
	s.wantState(m.Domain, agentapi.DomainRunning)
	again, err := s.Driver.Restore(s.ctx, m, dir, path)
	s.must("restore again", err)
	if again != deployID || again == "" {
		s.Errorf("restored again the deploy id is %q, was %q", again, deployID)
	}
	if !s.Driver.Info().NeedsDisks {
		return // nothing imaginary can be missing
	}
	s.must("destroy", s.Driver.Destroy(s.ctx, m.Domain))
	s.must("remove the checkpoint", os.RemoveAll(path))
	if _, err := s.Driver.Restore(s.ctx, m, dir, path); err == nil {
		s.Error("restored from a checkpoint that is not there")
	}
	s.wantGone(m.Domain)
}

func (s *suite) stats() {
	m, _, _ := s.started()
	host, vms, err := s.Driver.Stats(s.ctx)
	s.must("stats", err)
	if host.Time == 0 || host.FreeMemory+host.UsedMemory <= 0 || host.FreeCPU+host.UsedCPU <= 0 {
		s.Errorf("host sample %+v: want time, memory and CPU", host)
	}
	for _, vm := range vms {
		if vm.VM != m.ID {
			continue
		}
		for _, key := range []string{"CPU", "MEMORY", "NETRX", "NETTX", "DISKRDBYTES", "DISKWRBYTES", "DISKRDIOPS", "DISKWRIOPS"} {
			if !vm.Data.Has(key) {
				s.Errorf("the sample of VM %d has no %s", m.ID, key)
			}
		}
		return
	}
	s.Errorf("VM %d is not among the samples %+v", m.ID, vms)
}

func (s *suite) eventsEnd() {
	ctx, cancel := context.WithCancel(s.ctx)
	events, err := s.Driver.Events(ctx)
	s.must("events", err)
	other := s.events()
	cancel()
	for range events { // ends when the channel is closed
	}
	m, _, _ := s.started()
	s.waitEvent(other, m.Domain, agentapi.DomainRunning)
}

func (s *suite) cancelled() {
	m, dir := s.machine()
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := s.Driver.Start(ctx, m, dir); err == nil {
		s.Error("start with a context that has ended did not fail")
	}
	if _, err := s.Driver.List(ctx); err == nil {
		s.Error("list with a context that has ended did not fail")
	}
	// What was cut must not be in the way of what follows.
	_, err := s.Driver.Start(s.ctx, m, dir)
	s.must("start after a cancelled start", err)
	s.wantState(m.Domain, agentapi.DomainRunning)
}

func (s *suite) parallel() {
	var (
		wg   sync.WaitGroup
		errs = make(chan error, s.Setup.Parallel)
	)
	for range s.Setup.Parallel {
		m, dir := s.machine()
		wg.Go(func() {
			if _, err := s.Driver.Start(s.ctx, m, dir); err != nil {
				errs <- fmt.Errorf("start %s: %w", m.Domain, err)
				return
			}
			if err := s.Driver.Destroy(s.ctx, m.Domain); err != nil {
				errs <- fmt.Errorf("destroy %s: %w", m.Domain, err)
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		s.Error(err)
	}
}
