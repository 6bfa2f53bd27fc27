// Package schedact does what is scheduled for VMs when it is due. The store keeps
// the actions, in order of time; the member that leads sleeps until the first of
// them is due. What was missed while no member led is done once, when one does.
//
// Source: VM lifecycle reference §6.
package schedact

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// Options are what a Controller is built from.
type Options struct {
	Store *store.Store
	Cloud *cloud.Cloud // its clock is the one that counts, its zone that of the days
	Log   *slog.Logger
}

// Controller does what is due; it works while its member leads.
type Controller struct{ Options }

// New returns a controller.
func New(o Options) *Controller { return &Controller{Options: o} }

const (
	// retryAfter is how long an action that was refused waits, unless its VM comes
	// into another state before.
	retryAfter = 15 * time.Second
	// longest is how long a timer may run: the clock may be set meanwhile.
	longest = time.Minute
	// perTx bounds of how many VMs one transaction is: it may touch a thousand keys,
	// and an action rarely touches more than a dozen.
	perTx = 20
)

// Run works until ctx is done, in every term in which this member leads.
func (c *Controller) Run(ctx context.Context) error {
	return c.Store.Lead(ctx, func(ctx context.Context, _ store.Term) error {
		t := &term{Controller: c, feed: c.Store.Subscribe(c.Store.View()), late: map[int]seen{}, fresh: map[int]struct{}{}}
		err := t.lead(ctx)
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
}

// term is a time of leading.
type term struct {
	*Controller
	feed *store.Feed
	// late are the VMs of which something stays due: it was refused, or comes after
	// something that was done. They are looked at again when their schedule or state
	// changes, and all of them at retry.
	late  map[int]seen
	retry time.Time
	fresh map[int]struct{} // VMs to look at because of what has changed
	upTo  int64            // all that was due until then, epoch seconds, has been looked at
}

// seen is what there was of a late VM when it was looked at.
type seen struct {
	schedule *one.Schedule
	vm       *one.VM
}

func (t *term) lead(ctx context.Context) error {
	if err := t.runDue(ctx); err != nil {
		return err
	}
	for {
		wait, stop := context.WithTimeout(ctx, t.sleep())
		commit, err := t.feed.Next(wait)
		stop()
		var lag *store.ResyncError
		switch {
		case err == nil:
			for _, ch := range commit.Changes {
				t.note(ch)
			}
			err = t.runFresh(ctx)
		case errors.As(err, &lag):
			t.feed = t.Store.Subscribe(lag.State)
			clear(t.late)
			err = t.runDue(ctx)
		case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
			err = t.runDue(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// note tells from a change which VM is to be looked at. What the controller itself
// has changed last is no reason.
func (t *term) note(ch store.Change) {
	id := int(ch.ID)
	last, late := t.late[id]
	switch ch.Kind {
	case store.KindSchedule:
		if now, ok := ch.New.(*one.Schedule); ok && now != last.schedule {
			t.fresh[id] = struct{}{}
		}
	case store.KindVM:
		if now, ok := ch.New.(*one.VM); late && ok && (now.State != last.vm.State || now.LCM != last.vm.LCM) {
			t.fresh[id] = struct{}{}
		}
	}
}

// sleep returns how long nothing will be due.
func (t *term) sleep() time.Duration {
	now := t.Cloud.Now()
	wait := longest
	if len(t.late) > 0 {
		wait = min(wait, t.retry.Sub(now))
	}
	for at := range t.Store.View().DueFrom(t.upTo + 1) {
		wait = min(wait, time.Unix(at, 0).Sub(now))
		break
	}
	return wait
}

// runDue does all that is due, but for what waits to be tried again.
func (t *term) runDue(ctx context.Context) error {
	now := t.Cloud.Now()
	if !now.Before(t.retry) {
		clear(t.late)
	}
	t.upTo = now.Unix()
	var vms []int
	for at, vm := range t.Store.View().DueFrom(0) {
		if at > t.upTo {
			break
		}
		if _, late := t.late[vm]; !late {
			vms = append(vms, vm)
		}
	}
	return t.run(ctx, vms)
}

// runFresh does what is due of the VMs of which something has changed.
func (t *term) runFresh(ctx context.Context) error {
	var vms []int
	for vm := range t.fresh {
		delete(t.late, vm)
		if s, ok := t.Store.View().Schedules.Get(vm); ok && isDue(s, t.Cloud.Now()) {
			vms = append(vms, vm)
		}
	}
	clear(t.fresh)
	return t.run(ctx, vms)
}

func (t *term) run(ctx context.Context, vms []int) error {
	for len(vms) > 0 {
		n := min(perTx, len(vms))
		if err := t.runSome(ctx, vms[:n]); err != nil {
			return err
		}
		vms = vms[n:]
	}
	return nil
}

// runSome does what is due of some VMs in one transaction, or in one for each when
// that is too large.
func (t *term) runSome(ctx context.Context, vms []int) error {
	now := t.Cloud.Now()
	late := map[int]seen{}
	err := t.Store.Update(ctx, func(tx *store.Tx) error {
		for _, vm := range vms {
			t.Cloud.RunSchedule(tx, vm)
			if s, ok := tx.Schedules.Get(vm); ok && isDue(s, now) {
				late[vm] = seen{s, tx.VMs.At(vm)}
			}
		}
		return nil
	})
	if _, large := errors.AsType[*store.TooLargeError](err); large {
		return t.runApart(ctx, vms, err)
	}
	if err != nil {
		return err
	}
	t.wait(late, now)
	return nil
}

// runApart does what is due of each VM in a transaction of its own. What is too
// large even so can but be tried again.
func (t *term) runApart(ctx context.Context, vms []int, tooLarge error) error {
	if len(vms) > 1 {
		for i := range vms {
			if err := t.runSome(ctx, vms[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	t.Log.Error("a scheduled action cannot be done", "vm", vms[0], "err", tooLarge)
	st := t.Store.View()
	if v, ok := st.VMs.Get(vms[0]); ok {
		t.wait(map[int]seen{v.ID: {st.Schedules.At(v.ID), v}}, t.Cloud.Now())
	}
	return nil
}

// wait has VMs looked at again later.
func (t *term) wait(late map[int]seen, now time.Time) {
	if len(t.late) == 0 {
		t.retry = now.Add(retryAfter)
	}
	maps.Copy(t.late, late)
}

// isDue tells whether something of a schedule is due.
func isDue(s *one.Schedule, now time.Time) bool {
	at, ok := s.Due()
	return ok && at <= now.Unix()
}
