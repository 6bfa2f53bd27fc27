package lifecycle

import (
	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// dispatchImage sends the step of an image in a passing state to an agent that
// has its datastore.
func (c *Controller) dispatchImage(t *term, st *store.State, i *one.Image) {
	op, passing := machine.ImageStep(i)
	if !passing {
		return
	}
	id := cloud.ImageStepID(t.epoch, i)
	l := c.datastoreLink(st, i.DatastoreID)
	if l == nil || !c.first(t, id) {
		return
	}
	spec, err := c.Cloud.ImageSpec(st, i)
	if err != nil {
		t.intake.Put(intake{link: l, result: &agentapi.Result{StepID: id, Error: err.Error()}})
		return
	}
	s := agentapi.Step{StepID: id, Op: op, Image: spec, Timeout: machine.ImageStepTime.Milliseconds()}
	if err := l.down.Run(l.ctx, s); err != nil {
		c.forget(t, agentapi.SubjectImage, i.ID)
	}
}

// datastoreLink returns the agent that works on a datastore: one that has it,
// simulated hosts for simulated datastores and real ones for the others, the
// lowest id first so that the choice is stable.
func (c *Controller) datastoreLink(st *store.State, ds int) *link {
	d, ok := st.Datastores.Get(ds)
	if !ok {
		return nil
	}
	dummy := d.DSMad == "dummy" || d.TMMad == "dummy"
	c.mu.Lock()
	defer c.mu.Unlock()
	var best *link
	score := func(l *link) int {
		n := 0
		if l.dummy == dummy {
			n += 4
		}
		if l.datastores[ds] {
			n += 2
		}
		if h, ok := st.Hosts.Get(l.host); ok && st.ClusterDatastores.Has(h.ClusterID, ds) {
			n++
		}
		return n
	}
	for _, l := range c.links {
		if best == nil || score(l) > score(best) || score(l) == score(best) && l.host < best.host {
			best = l
		}
	}
	return best
}
