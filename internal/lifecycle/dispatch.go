package lifecycle

import (
	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// stepID names the present step of a VM.
func stepID(epoch uint64, v *one.VM) agentapi.StepID {
	return agentapi.StepID{
		Epoch: epoch, Subject: agentapi.SubjectVM, ID: v.ID, Seq: v.Seq(), State: int(v.LCM), Attempt: v.Attempt,
	}
}

// sameStep tells whether two ids name the same try; the term does not matter.
func sameStep(a, b agentapi.StepID) bool {
	a.Epoch, b.Epoch = 0, 0
	return a == b
}

// dispatchAll sends the step of everything that is in a passing state.
func (c *Controller) dispatchAll(t *term, st *store.State) {
	for id := range st.Passing.Of(0) {
		if v, ok := st.VMs.Get(id); ok {
			c.dispatchVM(t, st, v)
		}
	}
	for _, i := range st.Images.All() {
		c.dispatchImage(t, st, i)
	}
}

// dispatchHost sends the steps that wait for a host, when its agent connected.
func (c *Controller) dispatchHost(t *term, st *store.State, host int) {
	for _, vms := range []*store.Index{&st.HostVMs, &st.LeavingVMs} {
		for id := range vms.Of(host) {
			v, ok := st.VMs.Get(id)
			if !ok || v.WorkRecord() == nil || v.WorkRecord().HID != host {
				continue
			}
			if s := (subject{agentapi.SubjectVM, id}); t.has(c, s) {
				c.forget(t, s.kind, s.id)
			}
			c.dispatchVM(t, st, v)
		}
	}
	for _, i := range st.Images.All() {
		c.dispatchImage(t, st, i)
	}
}

func (t *term) has(c *Controller, s subject) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := t.sent[s]
	return ok
}

func (c *Controller) forget(t *term, kind agentapi.Subject, id int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(t.sent, subject{kind, id})
}

// first notes that a step is sent, and tells whether it was not before.
func (c *Controller) first(t *term, id agentapi.StepID) bool {
	s := subject{id.Subject, id.ID}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := t.sent[s]; ok && sameStep(old, id) {
		return false
	}
	t.sent[s] = id
	return true
}

// dispatchVM sends the step of a VM's state to its host. Without a link it is
// sent when the agent connects.
func (c *Controller) dispatchVM(t *term, st *store.State, v *one.VM) {
	step, passing := machine.StepOf(v)
	if !passing {
		c.forget(t, agentapi.SubjectVM, v.ID)
		return
	}
	work := v.WorkRecord()
	if work == nil {
		return
	}
	l := c.linkOf(work.HID)
	if l == nil {
		return
	}
	id := stepID(t.epoch, v)
	if !c.first(t, id) {
		return
	}
	sent, nic, disk := *v, tmpl.Vector(nil), tmpl.Vector(nil)
	switch {
	case v.Active(one.LCMHotplugNIC):
		sent.Template, nic = machine.Plugged(v)
	case v.Hotplug.OfDisk():
		sent.Template, disk = machine.PluggedDisk(v)
	}
	op := step.For(v)
	m, err := c.machineOf(st, &sent, op)
	if err != nil {
		// It cannot be done whoever tries: the step has failed.
		t.intake.Put(intake{link: l, result: &agentapi.Result{StepID: id, Error: err.Error()}})
		return
	}
	s := agentapi.Step{StepID: id, Op: op, Timeout: step.Timeout.Milliseconds(), Machine: m, NIC: nic, Disk: disk, Peer: peerOf(v), Snapshot: machine.SnapshotOf(v)}
	if err := l.down.Run(l.ctx, s); err != nil {
		// The link is gone; the next one begins by sending what is wanted.
		c.forget(t, agentapi.SubjectVM, v.ID)
	}
}

// peerOf names the host that a VM goes to while it runs.
func peerOf(v *one.VM) string {
	if v.Active(one.LCMMigrate) && v.Leaving() >= 0 {
		return v.LastRecord().Hostname
	}
	return ""
}
