// Package libvirt runs VMs as domains of libvirt's QEMU driver.
//
// Domains are transient: one that ends leaves nothing behind, and one that does
// not run does not exist. libvirt, not this program, keeps them running; the
// driver may come and go. It needs a local libvirt and speaks to it by its RPC
// protocol over a socket; no C library is involved.
//
// Every operation first looks at what is there, so that it may be repeated after
// any cut. Calls have deadlines of their own; an operation whose connection was
// lost, because libvirtd was restarted, is run again. One on a single
// domain waits for a libvirt that is away; one that lists or measures fails.
package libvirt

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	rpc "github.com/digitalocean/go-libvirt"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/hypervisor/libvirt/domainxml"
)

// Config is what the driver needs. The zero value is the host's own libvirt,
// with domains in software: see Probe for when they may be more.
type Config struct {
	Socket   string // of libvirt; the usual places when empty
	URI      string // "qemu:///system" when empty
	Type     string // domainxml.KVM or QEMU; QEMU when empty
	Emulator string // path; libvirt chooses when empty
	Version  string // of the cloud, written into domains
	// Firmwares is the UEFI images a VM may name; the usual ones when nil.
	Firmwares []string
	Logger    *slog.Logger

	CallTime  time.Duration // for a call of libvirt; 30 s when 0
	StartTime time.Duration // for a start or restore; 3 min when 0
	SaveTime  time.Duration // for saving a memory; 1 h when 0
}

// Driver implements hypervisor.Driver. Make it with New.
type Driver struct {
	cfg      Config
	log      *slog.Logger
	cgroupV2 bool
	calls    *pool
	stats    *pool // so that a slow guest does not hold up operations
	feed     hypervisor.Feed
	meter    meter

	stop    context.CancelFunc
	watcher sync.WaitGroup
}

var _ hypervisor.Driver = (*Driver)(nil)

// New returns a driver. libvirt need not be running: the driver's events begin
// when it is. Close must be called.
func New(cfg Config) (*Driver, error) {
	cfg.URI = cmp.Or(cfg.URI, "qemu:///system")
	cfg.Type = cmp.Or(cfg.Type, domainxml.QEMU)
	if cfg.Type != domainxml.KVM && cfg.Type != domainxml.QEMU {
		return nil, fmt.Errorf("libvirt: domain type %q: expected %s or %s", cfg.Type, domainxml.KVM, domainxml.QEMU)
	}
	cfg.CallTime = cmp.Or(cfg.CallTime, 30*time.Second)
	cfg.StartTime = cmp.Or(cfg.StartTime, 3*time.Minute)
	cfg.SaveTime = cmp.Or(cfg.SaveTime, time.Hour)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	at := endpoint{socket: cfg.Socket, uri: cfg.URI}
	ctx, stop := context.WithCancel(context.Background())
	d := &Driver{
		cfg: cfg, log: cfg.Logger.With("component", "libvirt"), cgroupV2: hasCgroupV2(),
		calls: newPool(at), stats: newPool(at), stop: stop,
	}
	if err := d.meter.start(); err != nil {
		stop()
		return nil, fmt.Errorf("libvirt: %w", err)
	}
	d.watcher.Go(func() { d.watch(ctx, at) })
	return d, nil
}

// Close implements hypervisor.Driver.
func (d *Driver) Close() error {
	d.stop()
	d.watcher.Wait()
	d.calls.close()
	d.stats.close()
	return nil
}

// Info implements hypervisor.Driver.
func (d *Driver) Info() hypervisor.Info {
	return hypervisor.Info{Name: d.cfg.Type, NeedsDisks: true, SaveMemory: true}
}

// Events implements hypervisor.Driver.
func (d *Driver) Events(ctx context.Context) (<-chan hypervisor.Event, error) {
	return d.feed.Subscribe(ctx), nil
}

// uuidForm is what libvirt calls domains, and so what a deploy id is.
var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// document builds the domain of a VM.
func (d *Driver) document(m *agentapi.Machine, dir string) (string, error) {
	return domainxml.Build(m, d.options(m, dir))
}

// options is what a VM's domain takes from this host. It keeps the UUID it had
// before.
func (d *Driver) options(m *agentapi.Machine, dir string) domainxml.Options {
	o := domainxml.Options{
		Type: d.cfg.Type, Dir: dir, Emulator: d.cfg.Emulator, Firmwares: d.cfg.Firmwares, CgroupV2: d.cgroupV2, Version: d.cfg.Version, DeploymentTime: time.Now().Unix(),
	}
	if m.VMMad == domainxml.QEMU { // a VM may be put in software on any host
		o.Type = domainxml.QEMU
	}
	if uuidForm.MatchString(m.DeployID) {
		o.UUID = m.DeployID
	}
	return o
}

// find looks a domain up. One that is defined and does not run counts as none:
// err is ErrNoDomain then, and dom is it.
func find(l *rpc.Libvirt, name string) (dom rpc.Domain, state agentapi.DomainState, err error) {
	dom, err = l.DomainLookupByName(name)
	var now, reason int32
	if err == nil {
		now, reason, err = l.DomainGetState(dom, 0)
	}
	if hasCode(err, rpc.ErrNoDomain) {
		return rpc.Domain{}, "", fmt.Errorf("domain %s: %w", name, hypervisor.ErrNoDomain)
	}
	if err != nil {
		return dom, "", err
	}
	state, present := stateOf(now, reason)
	if !present {
		return dom, "", fmt.Errorf("domain %s: %w", name, hypervisor.ErrNoDomain)
	}
	return dom, state, nil
}

// stateOf is what a state of libvirt's is called in the cloud; a domain that is
// shut off is not present. Source: resources reference §9.3.
func stateOf(state, reason int32) (s agentapi.DomainState, present bool) {
	switch rpc.DomainState(state) {
	case rpc.DomainRunning, rpc.DomainBlocked, rpc.DomainShutdown:
		return agentapi.DomainRunning, true
	case rpc.DomainShutoff:
		return "", false
	case rpc.DomainCrashed:
		return agentapi.DomainFailure, true
	case rpc.DomainPmsuspended:
		return agentapi.DomainSuspended, true
	case rpc.DomainPaused:
	default:
		return agentapi.DomainUnknown, true
	}
	switch rpc.DomainPausedReason(reason) {
	case rpc.DomainPausedUser, rpc.DomainPausedFromSnapshot:
		return agentapi.DomainSuspended, true
	case rpc.DomainPausedMigration, rpc.DomainPausedSave, rpc.DomainPausedDump, rpc.DomainPausedShuttingDown,
		rpc.DomainPausedSnapshot, rpc.DomainPausedStartingUp, rpc.DomainPausedPostcopy:
		return agentapi.DomainRunning, true // on its way to what it will be
	}
	return agentapi.DomainFailure, true
}

// uuidOf writes a UUID as everyone does.
func uuidOf(dom rpc.Domain) string {
	u := dom.UUID
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// eventOf says of a domain that it is in a state.
func eventOf(dom rpc.Domain, state agentapi.DomainState) agentapi.Event {
	return agentapi.Event{VM: hypervisor.VMID(dom.Name), Domain: dom.Name, DeployID: uuidOf(dom), State: state}
}
