package lifecycle

import (
	"context"
	"slices"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
)

// link is a connected agent.
type link struct {
	host int
	down agentapi.Downlink
	ctx  context.Context // ends with the link
	// datastores the host has seen, by id; set by facts.
	datastores map[int]bool
	dummy      bool // a host without hardware
	// facts are those it told last; Controller.mu guards them.
	facts *agentapi.Facts
}

func (l *link) close(cause error) {
	if cl, ok := l.down.(agentapi.Closer); ok {
		cl.Close(cause)
	}
}

// intake is one message of an agent, on its way into a transaction. Exactly one
// of the pointers is set.
type intake struct {
	link   *link
	result *agentapi.Result
	event  *agentapi.Event
	sync   []agentapi.Event
	synced bool
	facts  *agentapi.Facts
}

// Accept implements agentapi.Handler: an agent connects. The host is known by
// the id of its certificate, else by name.
func (c *Controller) Accept(ctx context.Context, hello agentapi.Hello, hostID int, down agentapi.Downlink) (agentapi.Uplink, error) {
	st := c.Store.View()
	if hostID < 0 {
		if id, ok := st.HostNames.Find(hello.Host); ok {
			hostID = id
		}
	}
	h, ok := st.Hosts.Get(hostID)
	if !ok {
		return nil, errs.New(errs.NoExists, "host %q is not registered: add it with 'onehost create'", hello.Host)
	}
	l := &link{host: hostID, down: down, ctx: ctx, dummy: h.VMMad == "dummy", datastores: map[int]bool{}}
	c.awaitTerm(ctx)
	c.mu.Lock()
	t := c.term
	if t == nil {
		c.mu.Unlock()
		name, _ := c.Store.LeaderName()
		return nil, errs.New(errs.Unavailable, "this server does not lead; the leader is %q", name)
	}
	old := c.links[hostID]
	c.links[hostID] = l
	c.mu.Unlock()
	if old != nil {
		old.close(errs.New(errs.Unavailable, "the agent of host %s connected again", h.Name))
	}
	context.AfterFunc(ctx, func() { c.unlink(t, l) })
	c.Log.Info("agent connected", "host", h.Name, "id", hostID, "version", hello.Version)
	return &uplink{c: c, t: t, l: l}, nil
}

// beginTime is long enough for the controllers of a new leader to begin.
const beginTime = 10 * time.Second

// awaitTerm waits for a term that is about to begin: agents may be faster than
// the controllers of a server that starts.
func (c *Controller) awaitTerm(ctx context.Context) {
	c.mu.Lock()
	begun := c.begun
	c.mu.Unlock()
	if !c.Store.Leader() {
		return
	}
	patience := time.NewTimer(beginTime)
	defer patience.Stop()
	select {
	case <-begun:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// unlink forgets a link that has ended and gives the host time to come back.
func (c *Controller) unlink(t *term, l *link) {
	c.mu.Lock()
	mine := c.links[l.host] == l
	if mine {
		delete(c.links, l.host)
	}
	c.mu.Unlock()
	if !mine || t.ctx.Err() != nil {
		return
	}
	c.Log.Info("agent disconnected", "id", l.host, "cause", context.Cause(l.ctx))
}

// linkOf returns the link to a host's agent, nil while there is none.
func (c *Controller) linkOf(host int) *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.links[host]
}

// uplink takes what one agent sends.
type uplink struct {
	c *Controller
	t *term
	l *link
}

func (u *uplink) put(in intake) error {
	in.link = u.l
	if !u.t.intake.Put(in) {
		return agentapi.ErrLinkClosed
	}
	return nil
}

// Facts implements agentapi.Uplink.
func (u *uplink) Facts(_ context.Context, f agentapi.Facts) error {
	u.takeSpace(f.Datastores)
	u.c.mu.Lock()
	u.l.facts = &f
	u.c.mu.Unlock()
	return u.put(intake{facts: &f})
}

// refresh applies once more what a host's agent has told, when the host was taken
// back into use: the agent tells it only when it changes.
func (c *Controller) refresh(t *term, h *one.Host) {
	if h.State != one.HostInit {
		return
	}
	c.mu.Lock()
	l := c.links[h.ID]
	var facts *agentapi.Facts
	if l != nil {
		facts = l.facts
	}
	c.mu.Unlock()
	if facts != nil {
		t.intake.Put(intake{link: l, facts: facts})
	}
}

// dropHost lets go of a host that was removed.
func (c *Controller) dropHost(host int) {
	if l := c.linkOf(host); l != nil {
		l.close(errs.New(errs.NoExists, "host %d was removed", host))
	}
	c.forgetSamples(func(s Samples) { s.ForgetHost(host) })
}

// forgetSamples lets go of measurements, if they are kept.
func (c *Controller) forgetSamples(forget func(Samples)) {
	if c.Samples != nil {
		forget(c.Samples)
	}
}

// Sync implements agentapi.Uplink.
func (u *uplink) Sync(_ context.Context, all []agentapi.Event) error {
	return u.put(intake{sync: all, synced: true})
}

// Event implements agentapi.Uplink.
func (u *uplink) Event(_ context.Context, e agentapi.Event) error { return u.put(intake{event: &e}) }

// Result implements agentapi.Uplink.
func (u *uplink) Result(_ context.Context, r agentapi.Result) error {
	return u.put(intake{result: &r})
}

// Samples implements agentapi.Uplink.
func (u *uplink) Samples(_ context.Context, h agentapi.HostSample, vms []agentapi.VMSample) error {
	if h.Time != 0 {
		u.takeSpace(h.Datastores)
	}
	s := u.c.Samples
	if s == nil {
		return nil
	}
	st := u.c.Store.View()
	if _, ok := st.Hosts.Get(u.l.host); !ok {
		return nil
	}
	if h.Time != 0 {
		s.TakeHost(u.l.host, h)
	}
	s.TakeVMs(u.l.host, slices.DeleteFunc(slices.Clone(vms), func(s agentapi.VMSample) bool {
		v, ok := st.VMs.Get(s.VM)
		return !ok || v.HostID() != u.l.host // gone since, or none of its business
	}))
	return nil
}

func (u *uplink) takeSpace(ds []agentapi.DatastoreSpace) {
	if len(ds) == 0 {
		return
	}
	u.c.mu.Lock()
	for _, d := range ds {
		u.l.datastores[d.ID] = true
	}
	u.c.mu.Unlock()
	if s := u.c.Samples; s != nil {
		s.TakeDatastores(u.l.host, ds)
	}
}

// lookEvery is how often silent hosts and overdue steps are looked for. It is
// about time, so it has a timer; nothing else here does.
const lookEvery = time.Second

// watchOverdue gives up hosts that are silent for too long, and steps that a
// silent host can no longer answer.
func (c *Controller) watchOverdue(ctx context.Context) error {
	silent := map[int]time.Time{} // host → since when
	tick := time.NewTicker(min(lookEvery, c.LostAfter/2+time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		st := c.Store.View()
		now := c.Now()
		for id, h := range st.Hosts.All() {
			if h.State == one.HostOffline || c.linkOf(id) != nil {
				delete(silent, id)
				continue
			}
			since, known := silent[id]
			if !known {
				silent[id] = now
				continue
			}
			if now.Sub(since) < c.LostAfter {
				continue
			}
			if err := c.loseHost(ctx, st, h, now); err != nil {
				return err
			}
		}
	}
}
