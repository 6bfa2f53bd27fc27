package cloud

import (
	"context"
	"errors"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// maxRouterVMs bounds the VMs that one call creates: they are made in one
// transaction, whose size is bounded.
const maxRouterVMs = 50

// AllocateVRouter creates a virtual router and takes its floating addresses.
// Source: XML-RPC reference §7.10, resources reference §6.5.
func (c *Cloud) AllocateVRouter(ctx context.Context, who auth.Caller, t *tmpl.Template) (int, error) {
	id := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		var err error
		id, err = c.newVRouter(tx, who, t)
		return err
	})
	return id, err
}

func (c *Cloud) newVRouter(tx *store.Tx, who auth.Caller, t *tmpl.Template) (int, error) {
	if err := c.allowCreate(&tx.State, who, one.KindVRouter); err != nil {
		return -1, err
	}
	if attr, bad := vmRestricted.CheckCreate(t); bad && !who.Admin {
		return -1, errs.Denied(who.UID, "Template includes a restricted attribute "+attr)
	}
	name, err := checkedName(t.Get("NAME"))
	if err != nil {
		return -1, err
	}
	id := tx.NextID("vrouter", 0)
	nics := t.Vectors("NIC")
	for i, nic := range nics {
		if nics[i], err = c.connectRouter(tx, who, id, nic.With("NIC_ID", itoa(i))); err != nil {
			return -1, refusedAs(errs.Internal, err, -1)
		}
	}
	r := &one.VRouter{Meta: c.newMeta(who, id, name), Template: t.Without("NAME").WithVectors("NIC", nics)}
	tx.PutVRouter(r)
	return id, c.checkQuota(&tx.State, who.UID, r.UID, r.GID, r.Usage())
}

// connectRouter fills in a NIC of a router. A floating address is the router's; of
// other networks each of its VMs takes an address of its own.
func (c *Cloud) connectRouter(tx *store.Tx, who auth.Caller, router int, nic tmpl.Vector) (tmpl.Vector, error) {
	if strings.EqualFold(nic.Get("NETWORK_MODE"), "auto") {
		return nil, errors.New("Virtual Router is incompatible with auto mode")
	}
	n, err := c.usableNetwork(&tx.State, who, nic)
	if err != nil {
		return nil, err
	}
	only := nic.Bool("FLOATING_ONLY")
	nic = nic.Without(nicCoreAttrs...).With("NETWORK_ID", itoa(n.ID)).With("NETWORK", n.Name)
	if only {
		nic = nic.With("FLOATING_ONLY", "YES")
	}
	if !nic.Bool("FLOATING_IP") {
		return nic, nil
	}
	w, err := wantedOf(nic)
	if err != nil {
		return nil, err
	}
	a, i, err := takeLease(tx, n, w, leaseOwner{one.LeaseVRouter, router})
	if err != nil {
		return nil, err
	}
	return leaseAttrs(nic.Without(addressAttrs...), a, i), nil
}

// routerVMTemplate is what a router lays over the template of its VMs.
// Source: resources reference §6.5, OneGate reference §5.3.
func routerVMTemplate(r *one.VRouter) *tmpl.Template {
	t := tmpl.New(
		tmpl.Single("VROUTER_ID", itoa(r.ID)),
		tmpl.Single("VROUTER_KEEPALIVED_ID", firstOf(r.Template.Get("KEEPALIVED_ID"), itoa(r.ID%255+1))),
	)
	if s := r.Template.Get("KEEPALIVED_PASSWORD"); s != "" {
		t = t.With("VROUTER_KEEPALIVED_PASSWORD", s)
	}
	nics := r.Template.Vectors("NIC")
	for i, nic := range nics {
		nics[i] = routerVMNIC(nic)
	}
	if len(nics) > 0 {
		t = t.WithVectors("NIC", nics)
	}
	return t
}

// floatingAttrs are the addresses of a floating NIC, which its VMs have beside
// their own, under names that begin with VROUTER_.
var floatingAttrs = []string{"IP", "IP6", "IP6_GLOBAL", "IP6_LINK", "IP6_ULA", "MAC"}

// routerVMNIC is a NIC of a router as each of its VMs is to have it.
func routerVMNIC(nic tmpl.Vector) tmpl.Vector {
	if !nic.Bool("FLOATING_IP") {
		return nic
	}
	for _, k := range floatingAttrs {
		if s, ok := nic.Lookup(k); ok {
			nic = nic.Without(k).With("VROUTER_"+k, s)
		}
	}
	return nic
}

// routerFor returns a router on which the caller has MANAGE.
func (c *Cloud) routerFor(st *store.State, who auth.Caller, id int) (*one.VRouter, error) {
	return rightOn(c, st, who, &st.VRouters, one.KindVRouter, id, one.Manage, func(r *one.VRouter) auth.Target { return target(r) })
}

// InstantiateVRouter creates VMs of a router, all or none. template -1 is the one
// used before; name may hold %i, which their numbers take the place of; extra is
// merged over the template. Source: XML-RPC reference §7.10.
func (c *Cloud) InstantiateVRouter(ctx context.Context, who auth.Caller, id, n, template int, name string, hold bool, extra *tmpl.Template) error {
	if n < 0 || n > maxRouterVMs {
		return errs.New(errs.API, "number of VMs: expected 0 to %d", maxRouterVMs).About(id)
	}
	return c.update(ctx, func(tx *store.Tx) error {
		r, err := c.routerFor(&tx.State, who, id)
		if err != nil {
			return err
		}
		if used, ok := atoi(r.Template.Get("TEMPLATE_ID")); template < 0 && ok {
			template = used
		}
		if name == "" {
			name = "vr-" + r.Name + "-%i"
		}
		if err := c.checkRouterTemplate(&tx.State, who, template); err != nil {
			return err
		}
		for i := range n {
			_, err := c.instantiateIn(tx, who, r, template, instantiation{
				name: strings.ReplaceAll(name, "%i", itoa(i)), hold: hold, extra: extra, service: -1,
			})
			if err != nil {
				return err
			}
		}
		next := *r
		next.Template = r.Template.With("TEMPLATE_ID", itoa(template))
		tx.PutVRouter(&next)
		return nil
	})
}

// instantiateIn creates a VM of a router.
func (c *Cloud) instantiateIn(tx *store.Tx, who auth.Caller, r *one.VRouter, template int, n instantiation) (*one.VM, error) {
	n.vrouter, n.over = r.ID, routerVMTemplate(r)
	return c.instantiate(tx, who, template, n)
}

// checkRouterTemplate refuses a template that a router's VMs cannot be made of.
func (c *Cloud) checkRouterTemplate(st *store.State, who auth.Caller, id int) error {
	t, ok := st.Templates.Get(id)
	if !ok {
		return errs.NotFound(one.KindTemplate, id)
	}
	if err := c.allow(st, who, target(t), one.Use); err != nil {
		return err
	}
	if !t.Template.Bool("VROUTER") {
		return errs.New(errs.Action, "Only virtual router templates are allowed").About(id)
	}
	return nil
}

// AttachVRouterNIC gives a router a NIC, and each of its VMs: all or none.
// Source: XML-RPC reference §7.10.
func (c *Cloud) AttachVRouterNIC(ctx context.Context, who auth.Caller, id int, t *tmpl.Template) error {
	return c.update(ctx, func(tx *store.Tx) error {
		r, err := c.routerFor(&tx.State, who, id)
		if err != nil {
			return err
		}
		fail := func(text string) error { return errs.New(errs.Action, "%s", text).About(id) }
		attr, bad := vmRestricted.CheckCreate(t)
		switch {
		case bad && !who.Admin:
			return errs.Denied(who.UID, "NIC includes a restricted attribute "+attr).About(id)
		case t.Has("NIC_ALIAS"):
			return fail("Alias can't be attached to virtual router.")
		case len(t.Vectors("NIC")) != 1:
			return fail("Wrong format or missing NIC attribute")
		}
		vms := tx.VRouterVMs.List(id)
		nic := one.NextNIC(r.Template)
		for _, vm := range vms { // it has the same number in all of them
			if v, ok := tx.VMs.Get(vm); ok {
				nic = max(nic, one.NextNIC(v.Template))
			}
		}
		full, err := c.connectRouter(tx, who, id, t.Vector("NIC").With("NIC_ID", itoa(nic)))
		if err != nil {
			return refused(err, id)
		}
		next := *r
		next.Template = r.Template.WithVectors("NIC", append(r.Template.Vectors("NIC"), full))
		tx.PutVRouter(&next)
		if err := c.checkQuota(&tx.State, who.UID, r.UID, r.GID, one.Usage{Networks: newLeases(r.Usage(), next.Usage())}); err != nil {
			return err
		}
		for _, vm := range vms {
			v, ok := tx.VMs.Get(vm)
			if !ok {
				continue
			}
			if err := c.attachNIC(tx, who, v, tmpl.Attr{Name: "NIC", Vector: routerVMNIC(full)}, nic); err != nil {
				return err
			}
		}
		return nil
	})
}

// DetachVRouterNIC takes a NIC from a router and from each of its VMs: all or none.
// Source: XML-RPC reference §7.10.
func (c *Cloud) DetachVRouterNIC(ctx context.Context, who auth.Caller, id, nic int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		r, err := c.routerFor(&tx.State, who, id)
		if err != nil {
			return err
		}
		left, gone := one.WithoutNIC(r.Template, nic)
		if len(gone) == 0 {
			return errs.New(errs.Action, "NIC with NIC_ID %d does not exist.", nic).About(id)
		}
		for _, n := range gone {
			freeNIC(tx, n, leaseOwner{one.LeaseVRouter, id})
		}
		next := *r
		next.Template = left
		tx.PutVRouter(&next)
		for _, vm := range tx.VRouterVMs.List(id) {
			v, ok := tx.VMs.Get(vm)
			if !ok {
				continue
			}
			if _, _, has := one.NIC(v.Template, nic); !has {
				continue // its host could not attach it
			}
			if err := c.detachNIC(tx, who, v, nic); err != nil {
				return err
			}
		}
		return nil
	})
}

// UpdateVRouter replaces (0) or merges (1) a router's template; its NICs stay.
// Source: XML-RPC reference §6.2.
func (c *Cloud) UpdateVRouter(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		r, err := c.routerFor(&tx.State, who, id)
		if err != nil {
			return err
		}
		body, err := c.mergeUpdate(who, one.KindVRouter, nil, r.Template.Without("NIC"), change.Without("NAME", "NIC"), appendMode)
		if err != nil {
			return err
		}
		next := *r
		next.Template = body.WithVectors("NIC", r.Template.Vectors("NIC"))
		tx.PutVRouter(&next)
		return nil
	})
}

// DeleteVRouter removes a router, frees its addresses and ends its VMs. A locked VM
// stands in its way. Source: XML-RPC reference §6.6.
func (c *Cloud) DeleteVRouter(ctx context.Context, who auth.Caller, id int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		r, err := c.routerFor(&tx.State, who, id)
		if err != nil {
			return err
		}
		return c.dropVRouter(tx, who, r)
	})
}

func (c *Cloud) dropVRouter(tx *store.Tx, who auth.Caller, r *one.VRouter) error {
	for _, nic := range r.Template.Vectors("NIC") {
		freeNIC(tx, nic, leaseOwner{one.LeaseVRouter, r.ID})
	}
	tx.DeleteVRouter(r.ID)
	c.dropRulesOf(tx, one.KindVRouter, r.ID)
	for _, vm := range tx.VRouterVMs.List(r.ID) {
		if err := c.endVM(tx, who, vm, true); err != nil {
			return err
		}
	}
	return nil
}
