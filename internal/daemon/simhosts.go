package daemon

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/trifid-cloud/trifid/internal/agent"
	"github.com/trifid-cloud/trifid/internal/agentapi/inproc"
	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// simFleet runs an agent in process for every host with the "dummy" driver: a
// host without hardware, as OpenNebula's users know it. Its domains are kept in a
// journal, so that they outlive a crash of the server as real ones do.
type simFleet struct {
	server *server

	wg     sync.WaitGroup
	agents map[int]context.CancelFunc

	mu    sync.Mutex
	hosts map[int]*sim.Sim // of the agents that run
}

const dummyDriver = "dummy"

// run follows the hosts while this member leads.
func (f *simFleet) run(ctx context.Context) error {
	return f.server.store.Lead(ctx, func(ctx context.Context, _ store.Term) error {
		f.agents = map[int]context.CancelFunc{}
		defer f.wg.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		if err := f.firstHost(ctx); err != nil {
			return err
		}
		st := f.server.store.View()
		feed := f.server.store.Subscribe(st)
		for {
			if err := f.reconcile(ctx, st); err != nil {
				return err
			}
			next, err := nextHosts(ctx, feed)
			var lag *store.ResyncError
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.As(err, &lag):
				next, feed = lag.State, f.server.store.Subscribe(lag.State)
			case err != nil:
				return err
			}
			st = next
		}
	})
}

// nextHosts waits for a state in which the hosts have changed.
func nextHosts(ctx context.Context, feed *store.Feed) (*store.State, error) {
	for {
		c, err := feed.Next(ctx)
		if err != nil {
			return nil, err
		}
		for _, ch := range c.Changes {
			if (ch.Kind == store.KindHost || ch.Kind == store.KindAgent) && (ch.Old == nil || ch.New == nil) {
				return c.State, nil
			}
		}
	}
}

// firstHost gives a fresh cloud that is to run on simulated hosts one of them.
func (f *simFleet) firstHost(ctx context.Context) error {
	if f.server.Config.Hypervisor.Driver != "sim" || f.server.store.View().Counters.At("host") > 0 {
		return nil
	}
	_, err := f.server.cloud.AllocateHost(ctx, auth.System("bootstrap"), "sim", dummyDriver, dummyDriver, -1)
	if err != nil {
		return fmt.Errorf("register the first simulated host: %w", err)
	}
	return nil
}

// ours tells whether a host is one whose agent runs here: it has no hardware, and
// no agent of another machine has joined for it.
func ours(st *store.State, h *one.Host) bool {
	_, joined := st.Agents.Get(h.ID)
	return h.VMMad == dummyDriver && !joined
}

// reconcile starts agents of new hosts and stops those of hosts that are gone.
func (f *simFleet) reconcile(ctx context.Context, st *store.State) error {
	for id, stop := range f.agents {
		if h, ok := st.Hosts.Get(id); !ok || !ours(st, h) {
			stop()
			delete(f.agents, id)
		}
	}
	for id, h := range st.Hosts.All() {
		if _, running := f.agents[id]; running || !ours(st, h) {
			continue
		}
		if err := f.start(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// newSim returns a simulated host as the settings describe it. Its domains are in
// the journal.
func newSim(c config.Config, name, journal string, peer func(string) (*sim.Sim, bool)) (*sim.Sim, error) {
	s, err := sim.New(sim.Config{
		Peer: peer, Hostname: name, CPU: int64(c.Hypervisor.Sim.CPU) * 100, MemoryKB: c.Hypervisor.Sim.MemoryMB << 10, Journal: journal,
		Behaviour: sim.Behaviour{BootTime: c.Hypervisor.Sim.BootTime.Std(), FailureRate: c.Hypervisor.Sim.FailureRate},
	})
	if err != nil {
		return nil, fmt.Errorf("simulated host %s: %w", name, err)
	}
	return s, nil
}

func (f *simFleet) start(ctx context.Context, h *one.Host) error {
	c := f.server.Config
	s, err := newSim(c, h.Name, f.server.dir.join("sim/"+strconv.Itoa(h.ID)+".journal"), f.host)
	if err != nil {
		return err
	}
	log := f.server.Log.With("component", "host", "host", h.Name)
	a, err := agent.New(agent.Config{
		HostName: h.Name, HostID: h.ID, Version: f.server.Version, Driver: s, Connector: inproc.New(f.server.life, f.server.Log.With("component", "link")), Logger: f.server.Log,
		HostInterval: c.Agent.HostInterval.Std(), VMInterval: c.Agent.VMInterval.Std(), ShutdownRepeat: c.Agent.ShutdownRepeat.Std(),
	})
	if err != nil {
		return errors.Join(fmt.Errorf("simulated host %s: %w", h.Name, err), s.Close())
	}
	ctx, stop := context.WithCancel(ctx)
	f.agents[h.ID] = stop
	f.note(h.ID, s)
	f.wg.Go(func() {
		defer f.forget(h.ID, s)
		if err := a.Run(ctx); err != nil && ctx.Err() == nil {
			log.Error("agent of a simulated host ended", "err", err)
		}
		if err := s.Close(); err != nil {
			log.Warn("simulated host not closed", "err", err)
		}
	})
	return nil
}

// host finds a simulated host by its name, for domains to move to.
func (f *simFleet) host(name string) (*sim.Sim, bool) {
	id, ok := f.server.store.View().HostNames.Find(name)
	if !ok {
		return nil, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.hosts[id]
	return s, ok
}

func (f *simFleet) note(id int, s *sim.Sim) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hosts == nil {
		f.hosts = map[int]*sim.Sim{}
	}
	f.hosts[id] = s
}

// forget forgets a host whose agent has ended, unless another one runs for it.
func (f *simFleet) forget(id int, s *sim.Sim) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hosts[id] == s {
		delete(f.hosts, id)
	}
}
