package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
}

// live is what is remembered of one service.
type live struct {
	queued bool // it is in the queue
	busy   bool // somebody works on it
	again  bool // it changed meanwhile
	timer  *time.Timer
	evals  reconcile.Evals
}

// Run reconciles services until ctx is done, in every term in which this member
// leads. It is to be run once; when it returns nobody is kept waiting any more.
func (f *Flow) Run(ctx context.Context) error {
	defer f.end()
	return f.store.Lead(ctx, func(ctx context.Context, _ store.Term) error { return f.lead(ctx) })
}

func (f *Flow) lead(ctx context.Context) error {
	t := &term{flow: f, kick: make(chan struct{}, 1), all: map[int]*live{}, latest: map[int]*tmpl.Template{}}
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
		for id := range st.Services.All() {
			t.mark(id)
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
		t.mark(now.ID)
	case store.KindVM:
		old, _ := ch.Old.(*one.VM)
		now, _ := ch.New.(*one.VM)
		t.noteVM(st, old, now)
	case store.KindVNet:
		for id, s := range st.Services.All() {
			if s.State == one.ServiceDeployingNets {
				t.mark(id)
			}
		}
	}
}

func (t *term) noteVM(st *store.State, old, now *one.VM) {
	v := now
	if v == nil {
		v = old
	}
	if v.ServiceID < 0 {
		return
	}
	touched := false
	if running(old) || running(now) {
		touched = t.noteAttributes(st, v, func(name string) bool {
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
// attribute that changed, and tells whether there is one.
func (t *term) noteAttributes(st *store.State, v *one.VM, changed func(name string) bool) bool {
	svc, ok := st.Services.Get(v.ServiceID)
	if !ok {
		return false
	}
	c, err := t.flow.specs.of(st, svc)
	if err != nil || len(c.names[v.Role]) == 0 {
		return false
	}
	touched := reconcile.Touched(c.names[v.Role], changed)
	if len(touched) == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	evals := t.of(v.ServiceID).evals
	for _, i := range touched {
		evals.Change(reconcile.Key{Role: v.Role, Index: i})
	}
	return true
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
		t.mu.Lock()
		old := t.latest[s.VM]
		t.mu.Unlock()
		looked := false
		touched := t.noteAttributes(st, v, func(name string) bool {
			looked = true
			return old.Get(name) != s.Data.Get(name)
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
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if !next.IsZero() && !t.over {
		l.timer = time.AfterFunc(next.Sub(t.flow.now()), func() { t.mark(id) })
	}
	_, exists := t.flow.store.View().Services.Get(id)
	t.mu.Unlock()
	switch {
	case again:
		t.mark(id)
	case !exists:
		t.forget(id)
	}
}
