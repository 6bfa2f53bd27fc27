// Package sched places machines: it looks at those that wait whenever something
// changed that could make room for them, chooses host and system datastore by
// requirements, capacity and rank, and places many in one transaction. It polls
// nothing and keeps nothing that matters.
//
// Source: VM lifecycle reference §8.
package sched

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// Options are what a Scheduler is built from.
type Options struct {
	Store *store.Store
	Cloud *cloud.Cloud
	Space Space
	Log   *slog.Logger
	Now   func() time.Time
}

// Space tells what is free in datastores, MB; false when it is not known, and
// then nothing is refused for lack of it.
type Space interface {
	Datastore(id int) (total, used, free int64, ok bool)
	HostDatastore(host, id int) (total, used, free int64, ok bool)
	// OnSpace has f told when datastores have been measured.
	OnSpace(f func())
}

// Scheduler is the scheduler of one member; it works while that one leads.
type Scheduler struct {
	Options
	measured chan struct{} // holds something once datastores have been measured
}

// New returns a scheduler.
func New(o Options) *Scheduler {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Scheduler{Options: o, measured: make(chan struct{}, 1)}
	if o.Space != nil {
		o.Space.OnSpace(func() {
			select {
			case s.measured <- struct{}{}:
			default:
			}
		})
	}
	return s
}

// perTx bounds how many placements are one transaction: each touches a handful
// of keys, and a transaction may touch a thousand.
const perTx = 100

// Run works until ctx is done, in every term in which this member leads.
func (s *Scheduler) Run(ctx context.Context) error {
	return s.Store.Lead(ctx, func(ctx context.Context, _ store.Term) error {
		err := s.lead(ctx)
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
}

// round is what is known between two passes.
type round struct {
	stuck  map[int]*one.VM  // as they were when no place was found
	fresh  map[int]struct{} // those that came to wait since
	made   map[int]struct{} // images whose making has ended
	better bool             // room was made somewhere: everyone is looked at again
	short  bool             // somebody was left without a place for want of space in a datastore
}

func (s *Scheduler) lead(ctx context.Context) error {
	feed := s.Store.Subscribe(s.Store.View())
	r := &round{stuck: map[int]*one.VM{}, fresh: map[int]struct{}{}, made: map[int]struct{}{}, better: true}
	for _, v := range s.Store.View().VMs.All() {
		if v.State == one.VMCloning {
			for _, d := range v.Template.Vectors("DISK") {
				if id, err := strconv.Atoi(d.Get("IMAGE_ID")); err == nil {
					r.made[id] = struct{}{}
				}
			}
		}
	}
	for {
		if err := s.moveOn(ctx, r); err != nil {
			return err
		}
		// What is planned on is the newest state, not the one the feed has come to:
		// much of what the feed still tells may be settled by then.
		if st := s.Store.View(); (r.better || len(r.fresh) > 0) && st.Waiting.Any(0) {
			if err := s.pass(ctx, st, r); err != nil {
				return err
			}
		}
		commit, err := s.next(ctx, feed, r)
		var lag *store.ResyncError
		switch {
		case errors.As(err, &lag):
			feed = s.Store.Subscribe(lag.State)
			r.better = true
			continue
		case err != nil:
			return err
		}
		for _, ch := range commit.Changes {
			r.note(ch)
		}
	}
}

// next waits for the next commit or, if somebody is short of space in a datastore, for
// measurements, which no commit tells of: then the commit is empty.
func (s *Scheduler) next(ctx context.Context, feed *store.Feed, r *round) (store.Commit, error) {
	if !r.short {
		return feed.Next(ctx)
	}
	until, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-s.measured:
			r.better = true
			cancel()
		case <-until.Done():
		}
	})
	commit, err := feed.Next(until)
	cancel()
	watch.Wait()
	if r.better && ctx.Err() == nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	return commit, err
}

// note tells from a change who is to be looked at.
func (r *round) note(ch store.Change) {
	switch ch.Kind {
	case store.KindVM:
		old, _ := ch.Old.(*one.VM)
		now, _ := ch.New.(*one.VM)
		if now == nil || now.State != one.VMPending && !now.Resched {
			delete(r.stuck, int(ch.ID))
			delete(r.fresh, int(ch.ID))
		} else if was, ok := r.stuck[now.ID]; !ok || !sameWish(was, now) {
			delete(r.stuck, now.ID)
			r.fresh[now.ID] = struct{}{}
		}
		if now != nil && now.HoldsCapacity() && (old == nil || !old.HoldsCapacity()) {
			r.better = r.better || r.loadMatters()
		}
		if old != nil && old.HoldsCapacity() && (now == nil || !now.HoldsCapacity() || now.HostID() != old.HostID() || now.Template != old.Template) {
			r.better = true
		}
	case store.KindImage:
		old, _ := ch.Old.(*one.Image)
		now, _ := ch.New.(*one.Image)
		if old != nil && old.State.Copying() && now != nil && !now.State.Copying() {
			r.made[now.ID] = struct{}{}
		}
	case store.KindHost, store.KindDatastore, store.KindCluster, store.KindACL, store.KindUser, store.KindGroup, store.KindVNet,
		store.KindSecGroup, store.KindQuotas:
		r.better = true
	case store.KindLease:
		r.better = r.better || ch.New == nil
	}
}

// loadMatters tells whether anyone without a place asks for hosts by what runs on
// them, so that a VM that found one may open another's way.
func (r *round) loadMatters() bool {
	for _, v := range r.stuck {
		reqs := strings.ToUpper(firstOf(v.UserTemplate.Get("SCHED_REQUIREMENTS"), v.UserTemplate.Get("REQUIREMENTS")))
		for _, name := range []string{"CURRENT_VMS", "RUNNING_VMS", "CPU_USAGE", "MEM_USAGE", "USED_CPU", "USED_MEMORY", "FREE_CPU", "FREE_MEMORY"} {
			if strings.Contains(reqs, name) {
				return true
			}
		}
	}
	return false
}

// sameWish tells whether nothing that placement looks at has changed.
func sameWish(a, b *one.VM) bool {
	return a.Template == b.Template && a.State == b.State && a.Resched == b.Resched && a.UID == b.UID &&
		a.UserTemplate.Without("SCHED_MESSAGE").Equal(b.UserTemplate.Without("SCHED_MESSAGE"))
}

// pass tries to place everyone who waits and may have a chance. Placements are
// applied as soon as there are enough for a transaction, so that the first
// machines boot while places for the last are sought.
func (s *Scheduler) pass(ctx context.Context, st *store.State, r *round) error {
	if r.better {
		clear(r.stuck)
		r.short = false
	}
	who := waiting(st, r)
	r.better = false
	clear(r.fresh)
	p := newPlan(st, s.Cloud.Zone(), s.Space)
	var moves []move
	var misses []miss
	for _, v := range who {
		m, why := p.place(v)
		if why != "" {
			r.stuck[v.ID] = v
			misses = append(misses, miss{v, why})
			continue
		}
		if moves = append(moves, m); len(moves) == perTx {
			if err := s.move(ctx, moves, r); err != nil {
				return err
			}
			moves = nil
		}
	}
	r.short = r.short || p.short
	if len(moves) > 0 {
		if err := s.move(ctx, moves, r); err != nil {
			return err
		}
	}
	return s.explain(ctx, misses)
}

// move applies placements. The state may have moved on since the plan was made:
// what does not fit any more is looked at again in the next pass.
func (s *Scheduler) move(ctx context.Context, moves []move, r *round) error {
	refused := map[int]*one.VM{}
	err := s.Store.Update(ctx, func(tx *store.Tx) error {
		clear(refused)
		for _, m := range moves {
			v, ok := tx.VMs.Get(m.vm.ID)
			if !ok || !sameWish(v, m.vm) {
				continue
			}
			h, ok := tx.Hosts.Get(m.host)
			if !ok || h.State != one.HostMonitored {
				r.better = true
				continue
			}
			if v.Resched && v.State != one.VMPending {
				if err := s.reschedule(tx, v, h); err != nil {
					return err
				}
				continue
			}
			if !cloud.Fits(&tx.State, h, v.Capacity()) {
				r.better = true
				continue
			}
			if err := s.Cloud.Place(tx, system, v, h, m.datastore, false, m.extra); err != nil {
				// One that cannot be placed must not hold up the others: Place changes
				// nothing then. Nor is it tried again before something else changes.
				s.Log.Warn("placement refused", "vm", v.ID, "host", h.ID, "reason", errs.Text(err))
				refused[v.ID] = v
				s.note(tx, v, errs.Text(err))
			}
		}
		return nil
	})
	if err == nil {
		maps.Copy(r.stuck, refused)
	}
	return err
}

// note writes down why a VM has no place, unless that is what stands there.
func (s *Scheduler) note(tx *store.Tx, v *one.VM, why string) {
	if strings.HasSuffix(v.UserTemplate.Get("SCHED_MESSAGE"), " : "+why) {
		return
	}
	tx.PutVM(v.WithUserTemplate(v.UserTemplate.With("SCHED_MESSAGE", s.Now().Format(time.ANSIC)+" : "+why)))
}

// waitedFor tells whether VMs wait for an image.
func waitedFor(st *store.State, image int) bool {
	for id := range st.ImageVMs.Of(image) {
		if v, ok := st.VMs.Get(id); ok && v.State == one.VMCloning {
			return true
		}
	}
	return false
}

// moveOn moves VMs on that wait for images whose making has ended, where they are
// too many for the transaction that ended it.
func (s *Scheduler) moveOn(ctx context.Context, r *round) error {
	for image := range r.made {
		last, more := -1, waitedFor(s.Store.View(), image)
		for more {
			err := s.Store.Update(ctx, func(tx *store.Tx) error {
				last, more = s.Cloud.ReviewWaiting(tx, image, last)
				return nil
			})
			if err != nil {
				return err
			}
		}
		delete(r.made, image)
	}
	return nil
}

// system is who the scheduler acts as.
var system = auth.System("scheduler")

// reschedule moves a VM off its host: it is stopped with its memory (or, when it
// is off already, undeployed) and waits to be placed anew, elsewhere.
func (s *Scheduler) reschedule(tx *store.Tx, v *one.VM, _ *one.Host) error {
	action := "stop"
	if v.Active(one.LCMUnknown) {
		action = "undeploy"
	}
	ch, err := machine.Act(v, action, machine.Nobody, s.Now())
	if err != nil {
		s.Log.Warn("rescheduling refused", "vm", v.ID, "reason", err)
		return nil
	}
	ch.VM.Resched = true // until it is placed anew
	return s.Cloud.Apply(tx, system, v, ch)
}

// miss is a VM without a place, and why.
type miss struct {
	vm  *one.VM
	why string
}

// explain writes down why VMs have no place, where that is not what stands there.
func (s *Scheduler) explain(ctx context.Context, misses []miss) error {
	for len(misses) > 0 {
		n := min(perTx, len(misses))
		err := s.Store.Update(ctx, func(tx *store.Tx) error {
			for _, m := range misses[:n] {
				v, ok := tx.VMs.Get(m.vm.ID)
				if !ok || v.State != one.VMPending {
					continue
				}
				s.note(tx, v, m.why)
			}
			return nil
		})
		if err != nil {
			return err
		}
		misses = misses[n:]
	}
	return nil
}
