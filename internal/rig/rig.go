// Package rig puts a whole cloud together in one process for tests and
// benchmarks: a store, the service layer, the scheduler, the life-cycle manager
// and simulated hosts with real agents. Only tests import it.
package rig

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/agent"
	"github.com/trifid-cloud/trifid/internal/agentapi/inproc"
	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/lifecycle"
	"github.com/trifid-cloud/trifid/internal/monitor"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/sched"
	"github.com/trifid-cloud/trifid/internal/schedact"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Secrets of the rig's cloud.
const (
	OneadminPassword  = "opennebula"
	ServeradminSecret = "serversecret"
	EncryptionKey     = "0123456789abcdef0123456789abcdef"
)

// Rig is a running cloud. It stops with the test.
type Rig struct {
	T     testing.TB
	Store *store.Store
	Cloud *cloud.Cloud
	Life  *lifecycle.Controller
	// Monitor keeps what the agents measure.
	Monitor *monitor.Monitor
	Log     *slog.Logger
	// Admin is oneadmin.
	Admin auth.Caller
	sims  map[int]*sim.Sim
	authn *auth.Authenticator
	set   func(*cloud.Config)

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Start bootstraps a cloud on a store and runs its controllers. The store is the
// caller's to close, after Stop.
func Start(t testing.TB, st *store.Store) *Rig {
	t.Helper()
	return StartWith(t, st, func(*cloud.Config) {})
}

// StartWith is Start with settings other than the rig's usual ones.
func StartWith(t testing.TB, st *store.Store, set func(*cloud.Config)) *Rig {
	t.Helper()
	authn, err := auth.New(2)
	if err != nil {
		t.Fatal(err)
	}
	r := &Rig{T: t, Log: slog.New(slog.DiscardHandler), Admin: auth.System("test"), authn: authn, sims: map[int]*sim.Sim{}, set: set}
	r.Resume(st)
	t.Cleanup(r.Stop)
	return r
}

// Resume runs the controllers and agents on a store, after Start or Stop: as a
// server does that is started again. Simulated hosts keep their domains.
func (r *Rig) Resume(st *store.Store) {
	r.T.Helper()
	cfg := cloud.DefaultConfig()
	cfg.OneGateEndpoint, cfg.EncryptionKey = "http://169.254.16.9:5030", EncryptionKey
	r.set(&cfg)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.Store, r.Monitor = st, monitor.New()
	r.Cloud = cloud.New(cloud.Options{Store: st, Auth: r.authn, Config: cfg, Log: r.Log, Monitor: r.Monitor})
	err := r.Cloud.Bootstrap(r.ctx, cloud.Bootstrap{
		Oneadmin: OneadminPassword, Serveradmin: ServeradminSecret, ZoneName: "OpenNebula",
		Endpoint: "http://localhost:2633/RPC2", SafeDirs: "/var/tmp", Driver: "dummy",
	})
	if err != nil {
		r.T.Fatal(err)
	}
	r.Life = lifecycle.New(lifecycle.Options{Store: st, Cloud: r.Cloud, Samples: r.Monitor, Log: r.Log})
	s := sched.New(sched.Options{Store: st, Cloud: r.Cloud, Log: r.Log})
	r.Go("lifecycle", r.Life.Run)
	r.Go("scheduler", s.Run)
	r.Go("scheduled actions", schedact.New(schedact.Options{Store: st, Cloud: r.Cloud, Log: r.Log}).Run)
	for id := range r.sims {
		r.startAgent(id)
	}
}

// Go runs a controller until the rig stops.
func (r *Rig) Go(name string, run func(context.Context) error) {
	r.wg.Go(func() {
		if err := run(r.ctx); err != nil && r.ctx.Err() == nil {
			r.T.Errorf("%s: %v", name, err)
		}
	})
}

// Context is done when the rig stops.
func (r *Rig) Context() context.Context { return r.ctx }

// Stop stops the controllers and agents and waits for them.
func (r *Rig) Stop() {
	r.cancel()
	r.wg.Wait()
}

// AddHost registers a simulated host and starts its agent; it returns when the
// host is monitored.
func (r *Rig) AddHost(name string, cfg sim.Config) int {
	r.T.Helper()
	var id int
	r.Do(func(tx *store.Tx) {
		id = tx.NextID("host", 0)
		tx.PutHost(&one.Host{ID: id, Name: name, IMMad: "dummy", VMMad: "dummy", Template: tmpl.New(
			tmpl.Single("IM_MAD", "dummy"), tmpl.Single("VM_MAD", "dummy"),
			tmpl.Single("RESERVED_CPU", ""), tmpl.Single("RESERVED_MEM", ""))})
	})
	cfg.Hostname = name
	cfg.Peer = func(name string) (*sim.Sim, bool) {
		id, ok := r.Store.View().HostNames.Find(name)
		return r.Sim(id), ok
	}
	s, err := sim.New(cfg)
	if err != nil {
		r.T.Fatal(err)
	}
	r.sims[id] = s
	r.startAgent(id)
	r.Wait("host "+name+" to be monitored", func(st *store.State) bool {
		h, ok := st.Hosts.Get(id)
		return ok && h.State == one.HostMonitored
	})
	return id
}

func (r *Rig) startAgent(id int) {
	h, ok := r.Store.View().Hosts.Get(id)
	if !ok {
		return // its registration was lost in a crash
	}
	a, err := agent.New(agent.Config{
		HostName: h.Name, HostID: id, Driver: r.sims[id], Connector: inproc.New(r.Life, r.Log), Logger: r.Log,
		ShutdownRepeat: time.Millisecond, ReconnectMin: time.Millisecond,
	})
	if err != nil {
		r.T.Fatal(err)
	}
	r.Go("agent "+h.Name, a.Run)
}

// Sim returns the simulated host of an id.
func (r *Rig) Sim(host int) *sim.Sim { return r.sims[host] }

// Do runs a transaction that cannot fail.
func (r *Rig) Do(fn func(tx *store.Tx)) {
	r.T.Helper()
	if err := r.Store.Update(r.ctx, func(tx *store.Tx) error { fn(tx); return nil }); err != nil {
		r.T.Fatal(err)
	}
}

// patience bounds a wait: it is reached only when something is broken.
const patience = 60 * time.Second

// Wait waits until the state is as it should be.
func (r *Rig) Wait(what string, ok func(st *store.State) bool) {
	r.T.Helper()
	if err := r.TryWait(ok); err != nil {
		r.T.Fatalf("waiting for %s: %v", what, err)
	}
}

// TryWait waits as Wait does and returns what went wrong.
func (r *Rig) TryWait(ok func(st *store.State) bool) error {
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	st := r.Store.View()
	feed := r.Store.Subscribe(st)
	for !ok(st) {
		commit, err := feed.Next(ctx)
		if err != nil {
			return fmt.Errorf("it has not come to pass: %w", err)
		}
		st = commit.State
	}
	return nil
}

// WaitVM waits until a VM is in a state.
func (r *Rig) WaitVM(id int, state one.VMState, lcm one.LCMState) *one.VM {
	r.T.Helper()
	var v *one.VM
	err := r.TryWait(func(st *store.State) bool {
		var found bool
		v, found = st.VM(id)
		return found && v.State == state && v.LCM == lcm
	})
	if err != nil {
		got := "missing"
		if v != nil {
			got = v.StateName() + " " + v.UserTemplate.Get("SCHED_MESSAGE") + v.UserTemplate.Get("ERROR")
		}
		r.T.Fatalf("waiting for VM %d in %s: it is %s: %v", id, one.StateString(state, lcm), got, err)
	}
	return v
}

// Template registers a VM template of oneadmin and returns its id.
func (r *Rig) Template(text string) int {
	r.T.Helper()
	t, err := tmpl.Parse(text)
	if err != nil {
		r.T.Fatal(err)
	}
	id, err := r.Cloud.AllocateTemplate(r.ctx, r.Admin, t)
	if err != nil {
		r.T.Fatal(err)
	}
	return id
}

// Instantiate creates a VM of a template and returns its id.
func (r *Rig) Instantiate(template int, name string) int {
	r.T.Helper()
	id, err := r.Cloud.Instantiate(r.ctx, r.Admin, template, name, false, nil, false)
	if err != nil {
		r.T.Fatal(err)
	}
	return id
}
