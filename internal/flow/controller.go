package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// workers bounds how many services are reconciled at once. Their transactions
// run one after another anyway, but become durable together.
const workers = 32

// term is a time of leading: what is remembered of services between two looks at
// them. All of it can be lost.
type term struct {
	flow *Flow
	kick chan struct{} // something is in queue

	mu     sync.Mutex
	over   bool
	all    map[int]*live
	queue  []int
	latest map[int]*tmpl.Template // newest measurement of VMs whose policies look at any
	nets   map[int]bool           // services that wait for their networks
}

// live is what is remembered of one service.
type live struct {
	queued bool        // it is in the queue
	busy   bool        // somebody works on it
	again  bool        // it changed meanwhile
	timer  *time.Timer // of wake
	wake   time.Time
	evals  reconcile.Evals
	// As of the last change in the feed.
	looks   map[string][]look // of its template, by role
	running bool              // its policies count
}

// Run reconciles services until ctx is done, in every term in which this member
// leads. It is to be run once; when it returns nobody is kept waiting any more.
func (f *Flow) Run(ctx context.Context) error {
	defer f.end()
	return f.store.Lead(ctx, func(ctx context.Context, _ store.Term) error { return f.lead(ctx) })
}

func (f *Flow) lead(ctx context.Context) error {
	t := newTerm(f)
	f.mu.Lock()
	f.term = t
	f.mu.Unlock()
	defer t.end()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	st := f.store.View()
	wg.Go(func() { cancel(t.follow(ctx, st)) })
	for range workers {
		wg.Go(func() {
			if err := t.work(ctx); err != nil {
				cancel(err)
			}
		})
	}
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func newTerm(f *Flow) *term {
	return &term{flow: f, kick: make(chan struct{}, 1), all: map[int]*live{}, latest: map[int]*tmpl.Template{}, nets: map[int]bool{}}
}

// end forgets the term and stops its timers.
func (t *term) end() {
	t.flow.mu.Lock()
	t.flow.term = nil
	t.flow.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	for _, l := range t.all {
		if l.timer != nil {
			l.timer.Stop()
		}
	}
}

// follow marks the services there are, then those that something happens to.
func (t *term) follow(ctx context.Context, st *store.State) error {
	for {
		for _, s := range st.Services.All() {
			t.know(st, s)
			t.mark(s.ID)
		}
		err := t.followFeed(ctx, t.flow.store.Subscribe(st))
		var lag *store.ResyncError
		if !errors.As(err, &lag) {
			return err
		}
		st = lag.State
		t.forgetGone(st)
	}
}

func (t *term) followFeed(ctx context.Context, feed *store.Feed) error {
	for {
		commit, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		for _, ch := range commit.Changes {
			t.note(commit.State, ch)
		}
	}
}

// note tells from a change which services are to be looked at.
func (t *term) note(st *store.State, ch store.Change) {
	switch ch.Kind {
	case store.KindService:
		old, _ := ch.Old.(*one.Service)
		now, ok := ch.New.(*one.Service)
		switch {
		case !ok:
			t.forget(int(ch.ID))
			return
		case old != nil && !sameBytes(old.Spec, now.Spec):
			t.resetEvals(now.ID)
		}
		t.know(st, now)
		t.mark(now.ID)
	case store.KindVM:
		old, _ := ch.Old.(*one.VM)
		now, _ := ch.New.(*one.VM)
		t.noteVM(old, now)
	case store.KindVNet:
		t.noteNetwork()
	}
}

// noteNetwork has those services looked at that wait for networks.
func (t *term) noteNetwork() {
	t.mu.Lock()
	waiting := slices.Collect(maps.Keys(t.nets))
	t.mu.Unlock()
	for _, id := range waiting {
		t.mark(id)
	}
}

// know remembers of a service what tells whether an event matters to it.
func (t *term) know(st *store.State, s *one.Service) {
	var looks map[string][]look
	if c, err := t.flow.specs.of(st, s); err == nil { // else whoever reconciles it says so
		looks = c.looks
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.of(s.ID)
	l.looks, l.running = looks, s.State == one.ServiceRunning
	if s.State == one.ServiceDeployingNets {
		t.nets[s.ID] = true
	} else {
		delete(t.nets, s.ID)
	}
}

func (t *term) noteVM(old, now *one.VM) {
	v := now
	if v == nil {
		v = old
	}
	if v.ServiceID < 0 {
		return
	}
	touched := false
	if running(old) || running(now) {
		touched = t.noteAttributes(v, func(name string) bool {
			if running(old) != running(now) {
				return true // it counts, or does not any more
			}
			a, hadA := number(old, name, agentapi.VMSample{})
			b, hadB := number(now, name, agentapi.VMSample{})
			return a != b || hadA != hadB
		})
	}
	if touched || moved(old, now) {
		t.mark(v.ServiceID)
	}
	if now == nil || now.State == one.VMDone {
		t.mu.Lock()
		delete(t.latest, v.ID)
		t.mu.Unlock()
	}
}

func running(v *one.VM) bool { return v != nil && v.Running() }

// moved tells whether what reconciling looks at of a VM has changed.
func moved(old, now *one.VM) bool {
	if old == nil || now == nil {
		return true
	}
	return old.State != now.State || old.LCM != now.LCM || old.UID != now.UID || old.GID != now.GID ||
		old.UserTemplate != now.UserTemplate && old.UserTemplate.Bool("READY") != now.UserTemplate.Bool("READY")
}

// noteAttributes counts a change for every policy of a VM's role that looks at an
// attribute that changed, and tells whether the service is to be looked at now
// because of it. A policy that was looked at a moment ago is left to a timer: until
// its time has come nothing follows, however often guests push.
func (t *term) noteAttributes(v *one.VM, changed func(name string) bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.all[v.ServiceID]
	if l == nil {
		return false
	}
	now := false
	for i, look := range l.looks[v.Role] {
		if slices.ContainsFunc(look.names, changed) {
			now = t.due(v.ServiceID, l, l.evals.Change(reconcile.Key{Role: v.Role, Index: i}), look.period) || now
		}
	}
	return now
}

// due tells whether a policy, of which ev is known, is to be looked at now; mu is
// held. What somebody plans at this moment may not know of the change: he plans
// again. A service that does not run looks at its policies when it does.
func (t *term) due(id int, l *live, ev reconcile.Eval, period time.Duration) bool {
	now := t.flow.now()
	at := ev.At.Add(max(period, t.flow.set.MinInterval))
	switch {
	case l.busy || ev.At.IsZero() || !at.After(now):
		return l.busy || l.running
	case l.running && (l.timer == nil || l.wake.After(at)):
		t.wakeAt(id, l, at)
	}
	return false
}

// wakeAt has a service looked at when the time has come; mu is held.
func (t *term) wakeAt(id int, l *live, at time.Time) {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if !at.IsZero() && !t.over {
		l.wake = at
		l.timer = time.AfterFunc(at.Sub(t.flow.now()), func() { t.mark(id) })
	}
}

// takeSamples takes measurements into account: a policy is looked at when one of
// its attributes has another value.
func (t *term) takeSamples(samples []agentapi.VMSample) {
	st := t.flow.store.View()
	for _, s := range samples {
		v, ok := st.VMs.Get(s.VM)
		if !ok || v.ServiceID < 0 || !v.Running() {
			continue
		}
		looked := false
		touched := t.noteAttributes(v, func(name string) bool {
			looked = true
			return t.latest[s.VM].Get(name) != s.Data.Get(name)
		})
		if looked {
			t.mu.Lock()
			t.latest[s.VM] = s.Data
			t.mu.Unlock()
		}
		if touched {
			t.mark(v.ServiceID)
		}
	}
}

// of returns what is remembered of a service; mu is held.
func (t *term) of(id int) *live {
	l := t.all[id]
	if l == nil {
		l = &live{evals: reconcile.Evals{}}
		t.all[id] = l
	}
	return l
}

// mark has a service looked at.
func (t *term) mark(id int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	l := t.of(id)
	switch {
	case l.busy:
		l.again = true
	case !l.queued:
		l.queued = true
		t.queue = append(t.queue, id)
		t.wake()
	}
}

// wake lets a worker look into the queue.
func (t *term) wake() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

func (t *term) resetEvals(id int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.of(id).evals)
}

// evals returns a copy of what is remembered of a service's policies.
func (t *term) evals(id int) reconcile.Evals {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.all[id]; l != nil {
		return maps.Clone(l.evals)
	}
	return nil
}

// forget drops what is remembered of a service.
func (t *term) forget(id int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.all[id]; l != nil && !l.busy && !l.queued {
		if l.timer != nil {
			l.timer.Stop()
		}
		delete(t.all, id)
		delete(t.nets, id)
	}
}

func (t *term) forgetGone(st *store.State) {
	t.mu.Lock()
	var gone []int
	for id := range t.all {
		if _, ok := st.Services.Get(id); !ok {
			gone = append(gone, id)
		}
	}
	t.mu.Unlock()
	for _, id := range gone {
		t.forget(id)
	}
}

// work looks after services from the queue until ctx is done.
func (t *term) work(ctx context.Context) error {
	for {
		id, ok := t.take()
		if !ok {
			select {
			case <-t.kick:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		next, err := t.settle(ctx, id)
		if err != nil {
			return fmt.Errorf("reconcile service %d: %w", id, err)
		}
		t.done(id, next)
	}
}

// take takes a service from the queue, and lets another worker know if more are there.
func (t *term) take() (int, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		return 0, false
	}
	id := t.queue[0]
	t.queue = t.queue[1:]
	if len(t.queue) > 0 {
		t.wake()
	}
	l := t.all[id]
	l.queued, l.busy = false, true
	return id, true
}

// done lets go of a service and has it looked at again: at once if something
// happened meanwhile, else when it asked for it.
func (t *term) done(id int, next time.Time) {
	t.mu.Lock()
	l := t.all[id]
	again := l.again
	l.busy, l.again = false, false
	t.wakeAt(id, l, next)
	_, exists := t.flow.store.View().Services.Get(id)
	t.mu.Unlock()
	switch {
	case again:
		t.mark(id)
	case !exists:
		t.forget(id)
	}
}
