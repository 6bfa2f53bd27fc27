package cloud

import (
	"strconv"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// What the service manager (internal/flow) asks of the service layer. Most of it
// is done inside the manager's own transactions, so that a service and its VMs
// change together; rights and quotas stay decided here.

// keeper is who ends VMs of services and routers: they have to go whatever their
// owner may do to them. Only a lock stands in its way.
var keeper = auth.System("flow")

// FlowDocument returns a document of a type on which the caller has a right. The
// refusal of another type is OneFlow's own. Source: OneFlow reference §1.2.
func (c *Cloud) FlowDocument(st *View, who auth.Caller, id, typ int, r one.Right) (*one.Document, error) {
	d, ok := st.Documents.Get(id)
	if !ok {
		return nil, errs.NotFound(one.KindDocument, id)
	}
	allow := c.allow
	if r == one.Use {
		allow = c.allowRead
	}
	if err := allow(st, who, target(d), r); err != nil {
		return nil, err
	}
	if d.Type != typ {
		return nil, errs.New(errs.Action, "[DocumentInfo] Error getting document [%d].", id).About(id)
	}
	return d, nil
}

// NewFlowDocument stores a document of the caller.
func (c *Cloud) NewFlowDocument(tx *store.Tx, who auth.Caller, name string, body *tmpl.Template, typ int) (*one.Document, error) {
	return c.newDocument(tx, who, name, body, typ)
}

// OwnerOf returns the caller that an object's owner is, in the object's group:
// who creates the VMs of a service, whoever asked for them.
// Source: OneFlow reference §3.5.
func (c *Cloud) OwnerOf(st *View, m one.Meta) (auth.Caller, error) {
	u, ok := st.Users.Get(m.UID)
	if !ok {
		return auth.Caller{}, errs.NotFound(one.KindUser, m.UID)
	}
	who := auth.CallerOf(st, u)
	who.GID, who.GName, who.From = m.GID, m.GName, "flow"
	return who, nil
}

// UserOf returns the caller that a user is, for what it asked for some time ago.
func (c *Cloud) UserOf(st *View, uid int) (auth.Caller, error) {
	u, ok := st.Users.Get(uid)
	if !ok {
		return auth.Caller{}, errs.NotFound(one.KindUser, uid)
	}
	who := auth.CallerOf(st, u)
	who.From = "flow"
	return who, nil
}

// ServiceVM says what VM of a service to create.
type ServiceVM struct {
	Service    int
	Role, Name string
	Template   int            // VM template
	Extra      *tmpl.Template // laid over it
	Hold       bool
}

// CreateServiceVM instantiates a VM template for a role with the rights of the
// service's owner. Source: OneFlow reference §2.6.
func (c *Cloud) CreateServiceVM(tx *store.Tx, owner auth.Caller, n ServiceVM) (*one.VM, error) {
	return c.instantiate(tx, owner, n.Template, instantiation{
		name: n.Name, hold: n.Hold, extra: n.Extra, service: n.Service, role: n.Role, vrouter: -1,
	})
}

// StopServiceVM ends a VM of a service. Source: OneFlow reference §3.3.
func (c *Cloud) StopServiceVM(tx *store.Tx, owner auth.Caller, id int, hard bool) error {
	return c.endVM(tx, owner, id, hard)
}

// ServiceVMAction performs an action on a VM of a service, with the caller's rights.
func (c *Cloud) ServiceVMAction(tx *store.Tx, who auth.Caller, id int, action string) error {
	return c.actOn(tx, who, id, action, "")
}

// ScheduleServiceVM schedules an action that a role was asked for on one of its VMs,
// with the caller's rights; at is in epoch seconds. Source: OneFlow reference §5.
func (c *Cloud) ScheduleServiceVM(tx *store.Tx, who auth.Caller, id int, action, args string, at int64) error {
	vec := tmpl.Vec("SCHED_ACTION", "ACTION", action, "TIME", strconv.FormatInt(at, 10)).Vector
	if args != "" {
		vec = vec.With("ARGS", args)
	}
	_, err := c.addSchedAction(tx, who, id, vec)
	return err
}

// UnscheduleServiceVM takes a scheduled action of a VM back.
func (c *Cloud) UnscheduleServiceVM(tx *store.Tx, who auth.Caller, id, action int) error {
	return c.deleteSchedAction(tx, who, id, action)
}

// RetryServiceVM sets a VM of a service going again whose last step failed.
func (c *Cloud) RetryServiceVM(tx *store.Tx, owner auth.Caller, id int) error {
	v, ok := tx.VMs.Get(id)
	if !ok {
		return errs.NotFound(one.KindVM, id)
	}
	if err := c.allow(&tx.State, keeper, target(v), one.Manage); err != nil {
		return err
	}
	if v.State == one.VMCloningFailure {
		c.reviewCloning(tx, v)
		return nil
	}
	ch, err := machine.Recover(v, machine.RecoverRetry, whoIs(owner), c.now())
	if err != nil {
		return errs.Wrap(errs.Action, err).About(id)
	}
	return c.Apply(tx, owner, v, ch)
}

// ChownService gives a service to another user or group; -1 keeps. The owner's
// quotas are checked for all its VMs, which follow one by one: see ChownServiceVM.
// Source: OneFlow reference §6.
func (c *Cloud) ChownService(tx *store.Tx, who auth.Caller, id, uid, gid int) error {
	d, err := c.FlowDocument(&tx.State, who, id, one.DocService, one.Manage)
	if err != nil {
		return err
	}
	m := d.Meta
	if uid >= 0 {
		u, ok := tx.Users.Get(uid)
		if !ok {
			return errs.NotFound(one.KindUser, uid)
		}
		if err := c.allow(&tx.State, who, userTarget(u), one.Manage); err != nil {
			return err
		}
		m.UID, m.UName = u.ID, u.Name
	}
	if gid >= 0 {
		g, ok := tx.Groups.Get(gid)
		if !ok {
			return errs.NotFound(one.KindGroup, gid)
		}
		if err := c.allow(&tx.State, who, groupTarget(gid), one.Use); err != nil {
			return err
		}
		m.GID, m.GName = g.ID, g.Name
	}
	var all one.Usage
	var routers []*one.VRouter
	if s, ok := tx.Services.Get(id); ok {
		routers = serviceRouters(tx, s)
	}
	for _, r := range routers {
		if err := c.allow(&tx.State, who, target(r), one.Manage); err != nil {
			return err
		}
		all = plusUsage(all, r.Usage())
	}
	for _, vm := range tx.ServiceVMs.List(id) {
		v, ok := tx.VMs.Get(vm)
		if !ok {
			continue
		}
		if err := c.allow(&tx.State, who, target(v), one.Manage); err != nil {
			return err
		}
		all = plusUsage(all, v.Usage())
	}
	if err := c.checkComing(&tx.State, who, d.Meta, m, all); err != nil {
		return err
	}
	tx.PutOwned(d.WithHead(m))
	for _, r := range routers {
		tx.PutOwned(r.WithHead(ownedBy(r.Meta, m)))
	}
	return nil
}

// ownedBy returns a header with the owner and group of another.
func ownedBy(m, owner one.Meta) one.Meta {
	m.UID, m.UName, m.GID, m.GName = owner.UID, owner.UName, owner.GID, owner.GName
	return m
}

// ChownServiceVM gives a VM to the owner and group of its service.
func (c *Cloud) ChownServiceVM(tx *store.Tx, owner one.Meta, id int) {
	v, ok := tx.VMs.Get(id)
	if !ok || v.State == one.VMDone {
		return
	}
	tx.PutOwned(v.WithHead(ownedBy(v.Meta, owner)))
}

// checkComing checks the quotas of an owner and group that an object's use is
// about to move to; one that stays is not checked.
func (c *Cloud) checkComing(st *store.State, who auth.Caller, old, now one.Meta, use one.Usage) error {
	if now.UID != old.UID && now.UID != one.OneadminID {
		if u, ok := st.Users.Get(now.UID); ok {
			if reason := overQuota(u.Quotas, st.Quotas.At("user"), plusUsage(st.UserUsage(u.ID), use), use); reason != "" {
				return errs.Denied(who.UID, "user ["+itoa(u.ID)+"] "+reason)
			}
		}
	}
	if now.GID != old.GID && now.GID != one.OneadminID {
		if g, ok := st.Groups.Get(now.GID); ok {
			if reason := overQuota(g.Quotas, st.Quotas.At("group"), plusUsage(st.GroupUsage(g.ID), use), use); reason != "" {
				return errs.Denied(who.UID, "group ["+itoa(g.ID)+"] "+reason)
			}
		}
	}
	return nil
}

// plusUsage returns the sum of two usages.
func plusUsage(a, b one.Usage) one.Usage {
	sum := one.Usage{
		VM: a.VM.Plus(b.VM, +1), Datastores: map[int]one.DatastoreQuota{}, Networks: map[int]one.NetworkQuota{}, Images: map[int]one.ImageQuota{},
	}
	for _, u := range []one.Usage{a, b} {
		for id, q := range u.Datastores {
			s := sum.Datastores[id]
			s.Images += q.Images
			s.Size += q.Size
			sum.Datastores[id] = s
		}
		for id, q := range u.Networks {
			sum.Networks[id] = one.NetworkQuota{Leases: sum.Networks[id].Leases + q.Leases}
		}
		for id, q := range u.Images {
			sum.Images[id] = one.ImageQuota{RVMs: sum.Images[id].RVMs + q.RVMs}
		}
	}
	return sum
}

// UsableNetwork returns a network that the caller may use.
func (c *Cloud) UsableNetwork(st *View, who auth.Caller, id int) (*one.VNet, error) {
	n, ok := st.VNets.Get(id)
	if !ok {
		return nil, errs.NotFound(one.KindNet, id)
	}
	return n, c.allow(st, who, target(n), one.Use)
}

// ReserveForService is Reserve inside a transaction.
func (c *Cloud) ReserveForService(tx *store.Tx, who auth.Caller, id int, t *tmpl.Template) (int, error) {
	parent, err := c.vnetFor(tx, who, id, one.Use, "one.vn.reserve")
	if err != nil {
		return -1, err
	}
	return c.reserve(tx, who, parent, t)
}

// DropService removes a service that has no VMs, with the routers and networks it
// created. What is gone already does not matter; a network with leases refuses.
func (c *Cloud) DropService(tx *store.Tx, id int) error {
	if tx.ServiceVMs.Any(id) {
		return errs.New(errs.Action, "service %d has VMs", id).About(id)
	}
	if s, ok := tx.Services.Get(id); ok { // not of a document that somebody made through the core
		if err := c.dropOwn(tx, s); err != nil {
			return err
		}
	}
	tx.DeleteDocument(id)
	c.dropRulesOf(tx, one.KindDocument, id)
	return nil
}

// dropOwn removes the routers and networks of a service.
func (c *Cloud) dropOwn(tx *store.Tx, s *one.Service) error {
	for _, r := range serviceRouters(tx, s) {
		if err := c.DropServiceRouter(tx, r.ID); err != nil {
			return err
		}
	}
	for _, net := range s.Networks {
		n, ok := tx.VNets.Get(net)
		if !ok {
			continue
		}
		if err := c.allow(&tx.State, keeper, target(n), one.Manage); err != nil {
			return err
		}
		if tx.VNetUsage.At(net) > 0 {
			return errs.New(errs.Action, "Cannot delete virtual network. Can not remove a virtual network with leases in use").About(net)
		}
		tx.DeleteVNet(net)
		c.dropRulesOf(tx, one.KindNet, net)
	}
	return nil
}

// CloneForService copies the VM template of a role under another name; with
// images those of its disks too. Source: OneFlow reference §1.4.
func (c *Cloud) CloneForService(tx *store.Tx, who auth.Caller, id int, name string, images bool) (int, error) {
	t, ok := tx.Templates.Get(id)
	if !ok {
		return -1, errs.NotFound(one.KindTemplate, id)
	}
	if err := c.allow(&tx.State, who, target(t), one.Use); err != nil {
		return -1, err
	}
	if err := c.allowCreate(&tx.State, who, one.KindTemplate); err != nil {
		return -1, err
	}
	return c.cloneTemplate(tx, who, t, name, images, false)
}
