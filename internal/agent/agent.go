// Package agent is the program on each host: it keeps one link to the server,
// carries out the steps that come down, and tells of results, of domains that
// change by themselves, and of measurements.
//
// What it keeps is little: the highest epoch seen is on disk, everything else is
// read anew from the hypervisor, because every step may be run again. It imports
// agentapi and hypervisor, and knows neither the cloud nor the store.
package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
)

// Config is what an agent needs. Driver, Connector and HostName must be set.
type Config struct {
	HostName string
	HostID   int // -1 when it is not known
	Version  string
	Driver   hypervisor.Driver
	// Disks and Networks do the work on the host for a driver whose machines are
	// real; nil: the work is imaginary.
	Disks    Disks
	Networks Networks
	// StateDir keeps the highest epoch over a restart. "" keeps it in memory only,
	// which is enough when the server dies with the agent.
	StateDir  string
	Connector agentapi.Connector
	Logger    *slog.Logger // nil: no log

	ShutdownRepeat time.Duration // between two requests to a guest to power off; 5 s when 0
	HostInterval   time.Duration // between two samples of the host; 120 s when 0
	VMInterval     time.Duration // between two samples of the VMs; 30 s when 0
	ReconnectMin   time.Duration // first wait after a lost link; 100 ms when 0
	ReconnectMax   time.Duration // longest wait; 10 s when 0
	Heavy          int           // steps that move disks at one time; 16 when 0
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Driver == nil:
		return c, errors.New("agent: Driver is missing")
	case c.Connector == nil:
		return c, errors.New("agent: Connector is missing")
	case c.HostName == "":
		return c, errors.New("agent: HostName is missing")
	case c.Driver.Info().NeedsDisks && (c.Disks == nil || c.Networks == nil):
		return c, fmt.Errorf("agent: driver %s needs Disks and Networks", c.Driver.Info().Name)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Disks == nil {
		c.Disks = Imaginary{}
	}
	if c.Networks == nil {
		c.Networks = Imaginary{}
	}
	c.ShutdownRepeat = cmp.Or(c.ShutdownRepeat, 5*time.Second)
	c.HostInterval = cmp.Or(c.HostInterval, 120*time.Second)
	c.VMInterval = cmp.Or(c.VMInterval, 30*time.Second)
	c.ReconnectMin = cmp.Or(c.ReconnectMin, 100*time.Millisecond)
	c.ReconnectMax = cmp.Or(c.ReconnectMax, 10*time.Second)
	c.Heavy = cmp.Or(c.Heavy, 16)
	return c, nil
}

// Agent is the agent of one host. Make it with New and start it with Run, once.
type Agent struct {
	cfg   Config
	log   *slog.Logger
	base  context.Context // of all steps; ends with errStopped
	stop  context.CancelCauseFunc
	heavy chan struct{} // one token per step that moves disks
	kick  chan struct{} // asks for a sample at once

	out outbox

	mu      sync.Mutex
	epoch   epoch
	tasks   map[subject]*task
	results results
	stopped bool
	running sync.WaitGroup // tasks
}

// subject is what steps are serialised by.
type subject struct {
	kind agentapi.Subject
	id   int
}

// New returns an agent; it reads the highest epoch seen before.
func New(cfg Config) (*Agent, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	ep, err := readEpoch(cfg.StateDir)
	if err != nil {
		return nil, fmt.Errorf("agent: read highest epoch: %w", err)
	}
	a := &Agent{
		cfg: cfg, epoch: ep,
		log:     cfg.Logger.With("component", "agent", "host", cfg.HostName),
		heavy:   make(chan struct{}, cfg.Heavy),
		kick:    make(chan struct{}, 1),
		tasks:   make(map[subject]*task),
		results: newResults(),
		out:     newOutbox(),
	}
	a.base, a.stop = context.WithCancelCause(context.Background())
	return a, nil
}

// Run connects to the server, again and again, and serves it until ctx is done;
// it returns nil then. Steps that are under way are given up where they are, and
// domains keep running: the next agent finds them. The driver stays open.
func (a *Agent) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	// What happens after the first list must not be missed.
	events, err := a.cfg.Driver.Events(ctx)
	loops.Go(func() { a.watch(ctx, events, err) })
	loops.Go(func() { a.sample(ctx) })
	a.keepLinked(ctx)

	a.mu.Lock()
	a.stopped = true
	a.mu.Unlock()
	a.stop(errStopped)
	a.running.Wait()
	loops.Wait()
	return nil
}
