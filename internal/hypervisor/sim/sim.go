// Package sim is a hypervisor without hardware: domains that exist only in
// memory (and, when asked, in a journal), with boot time, failures and size as
// the caller wants them. It is what the reference's dummy drivers select, what
// capacity work runs against, and a fake that tests steer.
//
// Time is kept by one runtime timer per pending change, so ten thousand booting
// domains cost no goroutines. A Sim outlives its agent: Close only lets go of
// the journal, and the same value may serve the next agent with all its domains.
package sim

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Config is what a simulated host is. The zero value is a host of 64 cores and
// 256 GB whose domains start at once and die with the process.
type Config struct {
	Name     string // VM_MAD of the host; "dummy" when empty
	Hostname string // "sim" when empty
	CPU      int64  // hundredths of a core
	MemoryKB int64
	// Peer finds another host of this process by its name, for domains to move to; nil:
	// there is none. It is called from many goroutines.
	Peer    func(name string) (*Sim, bool)
	Journal string // file that keeps the domains over a restart of the process; "" for none
	Behaviour
}

// Behaviour is how domains behave; it may be changed at any time.
type Behaviour struct {
	BootTime     time.Duration // from Start to running; 0 starts synchronously
	ShutdownTime time.Duration // from Shutdown to gone; negative: the guest does not listen
	Lifetime     time.Duration // a domain dies by itself this long after it started; 0 for never
	FailureRate  float64       // share of starts that fail, 0 to 1
	Load         float64       // share of their CPU that domains use, 0 to 1
	// Before is asked before an operation is done, After when it was: an error is
	// the operation's own, and waiting for ctx hangs it. Both may be nil, and are
	// called from many goroutines.
	Before, After Hook
}

// Hook is what a test puts into operations.
type Hook func(ctx context.Context, op Op, domain string) error

// Op names an operation to a Hook.
type Op string

// The operations hooks see. The domain of those about the whole host is "".
const (
	OpFacts    Op = "facts"
	OpStart    Op = "start"
	OpShutdown Op = "shutdown"
	OpDestroy  Op = "destroy"
	OpReboot   Op = "reboot"
	OpReset    Op = "reset"
	OpSave     Op = "save"
	OpRestore  Op = "restore"
	OpState    Op = "state"
	OpList     Op = "list"
	OpStats    Op = "stats"

	OpAttachNIC Op = "attach-nic"
	OpDetachNIC Op = "detach-nic"
	OpUpdateNIC Op = "update-nic"

	OpCreateSnapshot Op = "create-snapshot"
	OpRevertSnapshot Op = "revert-snapshot"
	OpDeleteSnapshot Op = "delete-snapshot"

	OpCreateDiskSnapshot Op = "create-disk-snapshot"
	OpDeleteDiskSnapshot Op = "delete-disk-snapshot"

	OpMigrate Op = "migrate"

	OpAttachDisk Op = "attach-disk"
	OpDetachDisk Op = "detach-disk"
	OpResizeDisk Op = "resize-disk"
)

// Hang is a Hook that lets an operation hang until its caller gives up.
func Hang(ctx context.Context, op Op, _ string) error {
	<-ctx.Done()
	return fmt.Errorf("sim: %s hung: %w", op, context.Cause(ctx))
}

// Sim is a simulated host. It implements hypervisor.Driver.
type Sim struct {
	cfg  Config // Behaviour apart, which mu guards
	feed hypervisor.Feed

	mu      sync.Mutex
	domains map[string]*domain
	saved   map[string]string // domain → path, of domains stopped by Save
	journal *journal          // nil: none
}

var (
	_ hypervisor.Driver      = (*Sim)(nil)
	_ hypervisor.NICChanger  = (*Sim)(nil)
	_ hypervisor.Migrator    = (*Sim)(nil)
	_ hypervisor.DiskChanger = (*Sim)(nil)
)

// domain is one simulated machine. Sim.mu guards it.
type domain struct {
	record
	booted chan struct{} // closed when the boot has ended, one way or the other
	err    error         // of the boot, set before booted is closed
	up     bool
	timer  *time.Timer // the change that is due: end of boot, shutdown or lifetime
	dying  bool        // timer is that of a shutdown
	load   float64     // -1: that of the host
}

// record is what the journal keeps of a domain.
type record struct {
	Name     string               `json:"name"`
	VM       int                  `json:"vm"`
	State    agentapi.DomainState `json:"state"`
	CPU      float64              `json:"cpu"`
	MemoryKB int64                `json:"memory_kb"`
	Started  int64                `json:"started"` // epoch seconds
	NICs     []string             `json:"nics,omitempty"`

	Snapshots []kept   `json:"snapshots,omitempty"`
	Disks     []string `json:"disks,omitempty"` // their targets
}

// New returns a host, with the domains of its journal if it has one.
func New(cfg Config) (*Sim, error) {
	cfg.Name = cmp.Or(cfg.Name, "dummy")
	cfg.Hostname = cmp.Or(cfg.Hostname, "sim")
	cfg.CPU = cmp.Or(cfg.CPU, 6400)
	cfg.MemoryKB = cmp.Or(cfg.MemoryKB, 256<<20)
	s := &Sim{cfg: cfg, domains: make(map[string]*domain), saved: make(map[string]string)}
	if cfg.Journal == "" {
		return s, nil
	}
	j, records, err := openJournal(cfg.Journal)
	if err != nil {
		return nil, fmt.Errorf("sim: journal %s: %w", cfg.Journal, err)
	}
	s.journal = j
	for _, r := range records {
		if r.SavedTo != "" {
			s.saved[r.Name] = r.SavedTo
			continue
		}
		d := newDomain(r.record)
		d.up = true
		close(d.booted)
		s.domains[r.Name] = d
		s.armLifetime(d)
	}
	return s, nil
}

func newDomain(r record) *domain {
	return &domain{record: r, booted: make(chan struct{}), load: -1}
}

// Info implements hypervisor.Driver: simulated domains have no disks.
func (s *Sim) Info() hypervisor.Info { return hypervisor.Info{Name: s.cfg.Name, SaveMemory: true} }

// Facts implements hypervisor.Driver.
func (s *Sim) Facts(ctx context.Context) (agentapi.Facts, error) {
	var f agentapi.Facts
	err := s.do(ctx, OpFacts, "", func() error {
		f = agentapi.Facts{
			Hostname: s.cfg.Hostname, Hypervisor: s.cfg.Name, CPU: s.cfg.CPU, MemoryKB: s.cfg.MemoryKB,
			Template: tmpl.New(
				tmpl.Single("ARCH", "x86_64"),
				tmpl.Single("CPUSPEED", "0"),
				tmpl.Single("HOSTNAME", s.cfg.Hostname),
				tmpl.Single("HYPERVISOR", s.cfg.Name),
				tmpl.Single("MODELNAME", "simulated"),
			),
		}
		return nil
	})
	return f, err
}

// Close implements hypervisor.Driver. The Sim stays usable.
func (s *Sim) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.close()
}

// do runs an operation between its hooks. f runs without the lock.
func (s *Sim) do(ctx context.Context, op Op, domain string, f func() error) error {
	s.mu.Lock()
	before, after := s.cfg.Before, s.cfg.After
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx, op, domain); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sim: %s: %w", op, context.Cause(ctx))
	}
	if err := f(); err != nil {
		return err
	}
	if after != nil {
		return after(ctx, op, domain)
	}
	return nil
}

// Start implements hypervisor.Driver. A boot that outlives its caller goes on,
// and the next Start waits for it.
func (s *Sim) Start(ctx context.Context, m *agentapi.Machine, _ string) (string, error) {
	return m.Domain, s.do(ctx, OpStart, m.Domain, func() error { return s.boot(ctx, m) })
}

// Restore implements hypervisor.Driver. What Save wrote is imaginary, so that a
// VM stopped on one simulated host may resume on another.
func (s *Sim) Restore(ctx context.Context, m *agentapi.Machine, _, _ string) (string, error) {
	return m.Domain, s.do(ctx, OpRestore, m.Domain, func() error { return s.boot(ctx, m) })
}

func (s *Sim) boot(ctx context.Context, m *agentapi.Machine) error {
	s.mu.Lock()
	d := s.domains[m.Domain]
	if d == nil {
		var err error
		if d, err = s.create(m); err != nil {
			s.mu.Unlock()
			return err
		}
	}
	booted := d.booted
	s.mu.Unlock()

	select {
	case <-booted:
		return d.err
	case <-ctx.Done():
		return fmt.Errorf("sim: boot of %s: %w", m.Domain, context.Cause(ctx))
	}
}

// create starts the boot of a new domain. The caller holds mu.
func (s *Sim) create(m *agentapi.Machine) (*domain, error) {
	cpu, memory, err := size(m.Template)
	if err != nil {
		return nil, fmt.Errorf("sim: %s: %w", m.Domain, err)
	}
	d := newDomain(record{Name: m.Domain, VM: m.ID, State: agentapi.DomainRunning, CPU: cpu, MemoryKB: memory})
	for _, nic := range m.Template.Vectors("NIC") {
		d.NICs = append(d.NICs, nic.Get("MAC"))
	}
	for _, disk := range m.Template.Vectors("DISK") {
		d.Disks = append(d.Disks, disk.Get("TARGET"))
	}
	d.Snapshots = keeps(m)
	s.domains[m.Domain] = d
	delete(s.saved, m.Domain)
	if s.cfg.BootTime > 0 {
		d.timer = time.AfterFunc(s.cfg.BootTime, func() { s.locked(d, s.booted) })
	} else {
		s.booted(d)
	}
	return d, nil
}

// booted ends the boot of d. The caller holds mu.
func (s *Sim) booted(d *domain) {
	defer close(d.booted)
	if s.cfg.FailureRate > 0 && rand.Float64() < s.cfg.FailureRate {
		d.err = fmt.Errorf("sim: %s failed to boot, as the failure rate of %g asks", d.Name, s.cfg.FailureRate)
		delete(s.domains, d.Name)
		return
	}
	d.Started = time.Now().Unix()
	if d.err = s.journal.put(entry{record: d.record}, len(s.domains)); d.err != nil {
		delete(s.domains, d.Name)
		return
	}
	d.up = true
	s.publish(d)
	s.armLifetime(d)
}

func (s *Sim) armLifetime(d *domain) {
	if s.cfg.Lifetime > 0 {
		d.timer = time.AfterFunc(s.cfg.Lifetime, func() { s.locked(d, s.lost) })
	}
}

// locked runs f, due by a timer, unless the domain has gone meanwhile.
func (s *Sim) locked(d *domain, f func(*domain)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.domains[d.Name] == d {
		f(d)
	}
}

// lost ends a domain with no one there to be told of a journal that cannot be
// written: after a restart the domain would be back, and be stopped again.
func (s *Sim) lost(d *domain) { _ = s.end(d) }

// end removes the domain for good. The caller holds mu.
func (s *Sim) end(d *domain) error {
	s.remove(d)
	if !d.up { // its Start still waits, and the journal never had it
		d.err = fmt.Errorf("sim: %s was destroyed while it booted", d.Name)
		close(d.booted)
		return nil
	}
	return s.journal.drop(d.Name, len(s.domains))
}

// remove takes the domain out of memory. The caller holds mu.
func (s *Sim) remove(d *domain) {
	if d.timer != nil {
		d.timer.Stop()
	}
	delete(s.domains, d.Name)
	if d.up {
		d.State = agentapi.DomainPoweroff
		s.publish(d)
	}
}

func (s *Sim) publish(d *domain) { s.feed.Publish(hypervisor.Event{Event: d.event()}) }

func (d *domain) event() agentapi.Event {
	return agentapi.Event{VM: d.VM, Domain: d.Name, DeployID: d.Name, State: d.State}
}

// size reads CPU (share of a core, default 1) and MEMORY (MB) of a VM.
func size(t *tmpl.Template) (cpu float64, memoryKB int64, err error) {
	cpu = 1
	if v, ok := t.Lookup("CPU"); ok {
		if cpu, err = strconv.ParseFloat(v, 64); err != nil || cpu <= 0 {
			return 0, 0, fmt.Errorf("CPU %q: want a number greater than 0", v)
		}
	}
	if v, ok := t.Lookup("MEMORY"); ok {
		mb, err := strconv.ParseInt(v, 10, 40)
		if err != nil || mb <= 0 {
			return 0, 0, fmt.Errorf("MEMORY %q: want a whole number of MB greater than 0", v)
		}
		memoryKB = mb << 10
	}
	return cpu, memoryKB, nil
}
