// Package flow is OneFlow: service templates, services and what keeps them as
// they should be. It holds no private state: the service's document says what
// should be, its VMs say what is, and whoever leads reconciles the two on every
// change that matters (see reconcile). Nothing is polled; timers exist only for
// what is about time.
//
// Rights, quotas and the VMs themselves are the service layer's; the REST face is
// internal/server/flowapi. Source: OneFlow reference.
package flow

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
	"github.com/trifid-cloud/trifid/internal/store"
)

// Options are what a Flow is built from.
type Options struct {
	Store  *store.Store
	Cloud  *cloud.Cloud
	Config config.Flow
	// Monitor gives the newest measurements, for elasticity policies; it may be
	// nil. Whoever takes measurements calls TakeVMs too.
	Monitor onexml.Monitor
	Log     *slog.Logger
	Now     func() time.Time
}

// Flow is the service manager. Run does the work while this member leads; the
// other methods may be called on any member, but write on the leader only.
type Flow struct {
	store   *store.Store
	cloud   *cloud.Cloud
	cfg     config.Flow
	monitor onexml.Monitor
	log     *slog.Logger
	now     func() time.Time
	set     reconcile.Settings
	specs   specCache
	watches atomic.Int64 // of events
	// simulations has a place taken for each that runs.
	simulations chan struct{}
	// life ends with Run, and with it the waiting of those who watch events.
	life context.Context
	end  context.CancelFunc

	mu   sync.Mutex
	term *term // nil while this member does not lead
}

// perStep bounds how many VMs one transaction creates, and to how many it does
// something: each is a few keys and a few kilobytes.
const perStep = 50

// New returns a service manager.
func New(o Options) *Flow {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	life, end := context.WithCancel(context.Background())
	return &Flow{
		life: life, end: end, simulations: make(chan struct{}, maxSimulations),
		store: o.Store, cloud: o.Cloud, cfg: o.Config, monitor: o.Monitor, log: o.Log, now: o.Now,
		set: reconcile.Settings{
			DefaultCooldown: o.Config.DefaultCooldown.Std(), MinInterval: o.Config.MinInterval.Std(), Deadline: o.Config.Deadline.Std(),
			ShutdownAction: o.Config.ShutdownAction, PerStep: perStep,
		},
	}
}

// Invalid tells whether an error is the refusal of what the caller sent, which a
// face answers as a bad request.
func Invalid(err error) bool {
	var e *spec.Error
	return errors.As(err, &e)
}

// core words an error as the core's answer to a method, as OneFlow's clients see it.
func core(method string, err error) error {
	var e *errs.Error
	if !errors.As(err, &e) || len(e.Msg) > 0 && e.Msg[0] == '[' {
		return err
	}
	c := *e
	c.Msg = "[" + method + "] " + e.Msg
	return &c
}

// facts are a service as one version of the state has it.
type facts struct {
	doc  *one.Document
	svc  *one.Service
	spec *compiled
	st   *store.State
}

// factsOf reads a service; false when there is none of that id.
func (f *Flow) factsOf(st *store.State, id int) (facts, bool, error) {
	svc, ok := st.Services.Get(id)
	if !ok {
		return facts{}, false, nil
	}
	doc, ok := st.Documents.Get(id)
	if !ok {
		return facts{}, false, nil
	}
	c, err := f.specs.of(st, svc)
	return facts{doc: doc, svc: svc, spec: c, st: st}, err == nil, err
}

// input gives reconcile what it decides from.
func (f *Flow) input(x facts, evals reconcile.Evals, now time.Time) reconcile.Input {
	in := reconcile.Input{
		Spec: x.spec.spec, Service: x.svc, Nets: nets(x.st, x.spec.spec), Evals: evals, Settings: f.set, Now: now,
	}
	machines := machinesOf(x.st, x.doc)
	in.Machines = machines
	in.Reason = func(vm int) string {
		v, ok := x.st.VMs.Get(vm)
		if !ok {
			return ""
		}
		return v.UserTemplate.Get("ERROR")
	}
	in.Average = func(role, attribute string) (float64, bool) { return f.average(x.st, machines, role, attribute) }
	return in
}

// machinesOf returns the VMs of a service, ascending.
func machinesOf(st *store.State, doc *one.Document) []reconcile.Machine {
	var out []reconcile.Machine
	for id := range st.ServiceVMs.Of(doc.ID) {
		if v, ok := st.VMs.Get(id); ok {
			out = append(out, machineOf(v, doc))
		}
	}
	return out
}

func machineOf(v *one.VM, doc *one.Document) reconcile.Machine {
	return reconcile.Machine{
		ID: v.ID, Role: v.Role, State: v.State, LCM: v.LCM, Ready: v.UserTemplate.Bool("READY"),
		Stranger: v.UID != doc.UID || v.GID != doc.GID,
	}
}

// nets tells how the networks of a service are, the ones it merely uses too.
func nets(st *store.State, s *spec.Spec) reconcile.Nets {
	all := reconcile.NetsReady
	for _, n := range s.Networks {
		v, ok := st.VNets.Get(n.ID)
		switch {
		case !ok || v.State == one.VNetError || v.State == one.VNetDone || v.State == one.VNetLockDelete:
			return reconcile.NetsBroken
		case v.State != one.VNetReady && v.State != one.VNetUpdateFailure:
			all = reconcile.NetsWaiting
		}
	}
	return all
}

// visible returns a service the caller may use, or do more with.
func (f *Flow) visible(st *store.State, who auth.Caller, id int, r one.Right) (*one.Document, error) {
	return f.ofKind(st, who, id, one.DocService, r)
}

// ofKind returns a document of a type on which the caller has a right. Whoever
// may not even use it learns that first: the original reads before it writes, so
// that the refusals are those of two methods. Source: OneFlow reference §1.3.
func (f *Flow) ofKind(st *store.State, who auth.Caller, id, typ int, r one.Right) (*one.Document, error) {
	d, err := f.cloud.FlowDocument(st, who, id, typ, one.Use)
	if err != nil {
		return nil, core("one.document.info", err)
	}
	if r != one.Use {
		if d, err = f.cloud.FlowDocument(st, who, id, typ, r); err != nil {
			return nil, core("one.document.update", err)
		}
	}
	return d, nil
}

// TakeVMs is told of every sample of VMs; it does not block.
func (f *Flow) TakeVMs(_ int, samples []agentapi.VMSample) {
	if t := f.leading(); t != nil {
		t.takeSamples(samples)
	}
}

// leading returns the present term, nil while this member does not lead.
func (f *Flow) leading() *term {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.term
}
