package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// batchSize bounds how many messages become one transaction: each touches a few
// keys, and a transaction may touch a thousand.
const batchSize = 64

// takeIn turns messages into transactions, several at once while they come
// quickly. One goroutine does, so messages of a host keep their order.
func (c *Controller) takeIn(ctx context.Context, t *term) error {
	return t.intake.Batches(ctx, batchSize, func(batch []intake) error {
		if err := c.takeBatch(ctx, batch); err != nil {
			return err
		}
		for _, in := range batch {
			c.after(t, in)
		}
		return nil
	})
}

// takeBatch applies messages in one transaction; if that is refused as a whole,
// each in one of its own, so that one message cannot hold up the others.
func (c *Controller) takeBatch(ctx context.Context, batch []intake) error {
	err := c.Store.Update(ctx, func(tx *store.Tx) error {
		for _, in := range batch {
			if err := c.take(tx, in); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil || ctx.Err() != nil || !c.Store.Leader() {
		return err
	}
	if len(batch) == 1 {
		c.Log.Error("message of an agent not applied", "host", batch[0].link.host, "err", err)
		return nil
	}
	for i := range batch {
		if err := c.takeBatch(ctx, batch[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// after does what must wait until a message is durable.
func (c *Controller) after(t *term, in intake) {
	switch {
	case in.result != nil:
		// A link that is gone asks for no acknowledgement: the agent repeats the result.
		_ = in.link.down.Ack(in.link.ctx, in.result.StepID)
	case in.synced:
		c.dispatchHost(t, c.Store.View(), in.link.host)
	}
}

func (c *Controller) take(tx *store.Tx, in intake) error {
	switch {
	case in.result != nil:
		return c.takeResult(tx, *in.result)
	case in.event != nil:
		return c.takeEvent(tx, in.link.host, *in.event)
	case in.synced:
		return c.takeSync(tx, in.link.host, in.sync)
	case in.facts != nil:
		return c.Cloud.TakeFacts(tx, in.link.host, *in.facts)
	}
	return nil
}

// takeResult applies the outcome of a step, if that step is still wanted.
func (c *Controller) takeResult(tx *store.Tx, r agentapi.Result) error {
	switch r.Subject {
	case agentapi.SubjectVM:
		v, ok := tx.VMs.Get(r.ID)
		if !ok || !sameStep(stepID(0, v), r.StepID) {
			return nil
		}
		ch, ok := machine.Finish(v, r.OK(), r.DeployID, c.Now())
		if !ok {
			return nil
		}
		ch.VM = noteError(ch.VM, r.Error, c.Now())
		if !r.OK() {
			tx.Emit(cloud.TopicVMLog, v.ID, c.Now().UnixMilli(), fmt.Sprintf("[LCM][E]: %s failed: %s", v.LCM, r.Error))
		}
		return c.Cloud.Apply(tx, system, v, ch)
	case agentapi.SubjectImage:
		return c.Cloud.FinishImage(tx, r)
	}
	return nil
}

// system is who the life-cycle manager acts as.
var system = auth.System("lifecycle")

// noteError keeps the last error of a VM where clients look for it, and takes it
// away when the VM is well again.
func noteError(v *one.VM, text string, now time.Time) *one.VM {
	if text == "" {
		if v.Running() && v.UserTemplate.Has("ERROR") {
			return v.WithUserTemplate(v.UserTemplate.Without("ERROR"))
		}
		return v
	}
	return v.WithUserTemplate(v.UserTemplate.With("ERROR", now.Format(time.ANSIC)+" : "+text))
}

// takeEvent applies what a host says of one domain.
func (c *Controller) takeEvent(tx *store.Tx, host int, e agentapi.Event) error {
	v, ok := tx.VMs.Get(e.VM)
	if !ok || v.HostID() != host {
		return nil
	}
	return c.observe(tx, v, e.State, e.DeployID)
}

func (c *Controller) observe(tx *store.Tx, v *one.VM, seen agentapi.DomainState, deployID string) error {
	ch, changed := machine.Observe(v, seen, deployID, c.Now())
	if !changed {
		return nil
	}
	return c.Cloud.Apply(tx, system, v, ch)
}

// takeSync applies the state of every domain of a host. VMs that should run and
// have no domain are off; domains without a VM are only reported: nothing that we
// do not know is ever destroyed.
func (c *Controller) takeSync(tx *store.Tx, host int, all []agentapi.Event) error {
	seen := map[int]agentapi.Event{}
	for _, e := range all {
		if e.VM < 0 {
			c.Log.Info("wild domain", "host", host, "domain", e.Domain)
			continue
		}
		seen[e.VM] = e
		if v, ok := tx.VMs.Get(e.VM); !ok || v.HostID() != host {
			c.Log.Warn("domain of a VM that is not on this host", "host", host, "vm", e.VM, "domain", e.Domain)
		}
	}
	for _, id := range tx.HostVMs.List(host) {
		v, ok := tx.VMs.Get(id)
		if !ok {
			continue
		}
		e, there := seen[id]
		if !there {
			e.State = agentapi.DomainPoweroff
		}
		if !there && !v.Running() && !v.Active(one.LCMUnknown) {
			continue // no domain is as it should be, or the step will tell
		}
		if err := c.observe(tx, v, e.State, e.DeployID); err != nil {
			return err
		}
	}
	return nil
}

// loseHost puts a silent host in ERROR and its running VMs in UNKNOWN, and fails
// the steps it has had long enough for.
func (c *Controller) loseHost(ctx context.Context, st *store.State, h *one.Host, now time.Time) error {
	overdue := func(v *one.VM) bool {
		s, passing := machine.StepOf(v)
		return passing && v.WorkRecord().HID == h.ID && now.UnixMilli() > v.Since+s.Timeout.Milliseconds()
	}
	work := h.State == one.HostMonitored || h.State == one.HostInit
	for _, vms := range []*store.Index{&st.HostVMs, &st.LeavingVMs} {
		for id := range vms.Of(h.ID) {
			if v, ok := st.VMs.Get(id); ok && (v.Running() || overdue(v)) {
				work = true
			}
		}
	}
	if !work {
		return nil
	}
	c.Log.Error("host is lost", "host", h.Name, "id", h.ID)
	err := c.Store.Update(ctx, func(tx *store.Tx) error {
		if err := c.Cloud.LoseHost(tx, h.ID); err != nil {
			return err
		}
		n := 0
		for _, id := range append(tx.HostVMs.List(h.ID), tx.LeavingVMs.List(h.ID)...) {
			v, ok := tx.VMs.Get(id)
			if !ok {
				continue
			}
			ch, changed := machine.Lost(v, now)
			if !changed && overdue(v) {
				ch, changed = machine.Finish(v, false, "", now)
				if changed {
					ch.VM = noteError(ch.VM, "the host is lost and the step's time is over", now)
				}
			}
			if !changed {
				continue
			}
			if err := c.Cloud.Apply(tx, system, v, ch); err != nil {
				return err
			}
			if n++; n >= batchSize*2 {
				return nil // the rest at the next look
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil && c.Store.Leader() {
		c.Log.Error("host not marked as lost", "host", h.ID, "err", err)
		return nil
	}
	return err
}
