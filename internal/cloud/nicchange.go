package cloud

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// nicLimits are the attributes of a NIC that an update may change.
// Source: VM lifecycle reference §3.5.
var nicLimits = []string{
	"INBOUND_AVG_BW", "INBOUND_PEAK_BW", "INBOUND_PEAK_KB", "OUTBOUND_AVG_BW", "OUTBOUND_PEAK_BW", "OUTBOUND_PEAK_KB",
}

// AttachNIC gives a VM that runs or is powered off a NIC, NIC=[…], or an alias of
// one, NIC_ALIAS=[PARENT=<name>,…].
// Source: XML-RPC reference §7.2, VM lifecycle reference §3.5.
func (c *Cloud) AttachNIC(ctx context.Context, who auth.Caller, id int, t *tmpl.Template) error {
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.deviceVM(&tx.State, who, id, "nic-attach")
		if err != nil {
			return err
		}
		if attr, bad := vmRestricted.CheckCreate(t); bad && !who.Admin {
			return errs.Denied(who.UID, "NIC includes a restricted attribute "+attr).About(id)
		}
		nic, err := attachable(t, id)
		if err != nil {
			return err
		}
		return c.attachNIC(tx, who, v, nic, one.NextNIC(v.Template))
	})
}

// DetachNIC takes a NIC with its aliases, or an alias, from a VM that runs or is
// powered off. Source: XML-RPC reference §7.2, VM lifecycle reference §3.5.
func (c *Cloud) DetachNIC(ctx context.Context, who auth.Caller, id, nic int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.deviceVM(&tx.State, who, id, "nic-attach")
		if err != nil {
			return err
		}
		return c.detachNIC(tx, who, v, nic)
	})
}

// deviceVM returns a VM whose devices the caller may change, by the operation that
// does so: those of a virtual router's VMs are the router's.
func (c *Cloud) deviceVM(st *store.State, who auth.Caller, id int, op string) (*one.VM, error) {
	v, err := c.vmFor(st, who, id, op)
	if err != nil {
		return nil, err
	}
	if v.VRouterID >= 0 {
		return nil, errs.New(errs.Action, "Action is not supported for virtual router VMs").About(id)
	}
	return v, nil
}

// attachable returns the one NIC or alias of a template that asks to attach it.
func attachable(t *tmpl.Template, vm int) (tmpl.Attr, error) {
	var found []tmpl.Attr
	for _, name := range []string{"NIC", "NIC_ALIAS", "PCI"} {
		for _, v := range t.Vectors(name) {
			found = append(found, tmpl.Attr{Name: name, Vector: v})
		}
	}
	switch {
	case len(found) != 1:
		return tmpl.Attr{}, errs.New(errs.Action, "Wrong format or missing NIC/NIC_ALIAS/PCI attribute").About(vm)
	case strings.EqualFold(found[0].Vector.Get("NETWORK_MODE"), "auto") && found[0].Name == "NIC":
		return tmpl.Attr{}, errs.New(errs.Action, "NETWORK_MODE auto: expected NETWORK_ID or NETWORK, for a VM that has a host").About(vm)
	case found[0].Name == "PCI":
		return tmpl.Attr{}, errs.New(errs.Action, "PCI devices cannot be attached yet").About(vm)
	}
	return found[0], nil
}

// attachNIC gives a VM a NIC or an alias of that id inside a transaction, with the
// caller's right to use the network.
func (c *Cloud) attachNIC(tx *store.Tx, who auth.Caller, v *one.VM, nic tmpl.Attr, id int) error {
	if !v.Running() && v.State != one.VMPoweroff {
		return errs.New(errs.Action, "Could not add a new NIC to VM %d, wrong state %s.", v.ID, v.StateName()).About(v.ID)
	}
	h := one.Hotplug{Action: one.ActionNICAttach, NIC: id}
	t, full, err := v.Template, tmpl.Vector(nil), error(nil)
	if nic.Name == "NIC_ALIAS" {
		h.Action = one.ActionAliasAttach
		var nics []tmpl.Vector
		aliases := t.Vectors("NIC_ALIAS")
		if full, nics, err = c.connectAlias(tx, who, v.ID, nic.Vector, id, t.Vectors("NIC"), aliases); err != nil {
			return refused(err, v.ID)
		}
		t = t.WithVectors("NIC", nics).WithVectors("NIC_ALIAS", append(aliases, full))
	} else {
		full = newNIC(nic.Vector, t.Vector("NIC_DEFAULT"), id, v.VRouterID >= 0)
		if full, err = c.connectNIC(tx, who, v.ID, full, false); err != nil {
			return refused(err, v.ID)
		}
		t = t.WithVectors("NIC", append(t.Vectors("NIC"), full))
	}
	if cluster := v.LastRecord().CID; !slices.Contains(splitInts(full.Get("CLUSTER_ID")), cluster) {
		return errs.New(errs.Action, "Virtual network is not part of cluster [%d]", cluster).About(v.ID)
	}
	reqs, err := autoRequirements(t, v.UserTemplate)
	if err != nil {
		return refused(err, v.ID)
	}
	if t, err = c.followNICs(&tx.State, v, t.Merge(reqs), nil); err != nil {
		return refused(err, v.ID)
	}
	ch := machine.ChangeNIC(v, t, h, whoIs(who), c.now())
	if err := c.Apply(tx, who, v, ch); err != nil {
		return err
	}
	return c.checkQuota(&tx.State, who.UID, v.UID, v.GID, one.Usage{Networks: newLeases(v.Usage(), ch.VM.Usage())})
}

// detachNIC takes a NIC or an alias from a VM inside a transaction.
func (c *Cloud) detachNIC(tx *store.Tx, who auth.Caller, v *one.VM, id int) error {
	if !v.Running() && v.State != one.VMPoweroff {
		return errs.New(errs.Action, "Could not detach NIC from VM %d, wrong state %s.", v.ID, v.StateName()).About(v.ID)
	}
	_, isAlias, there := one.NIC(v.Template, id)
	if !there {
		return errs.New(errs.Action, "Could not detach NIC with NIC_ID %d, it does not exist.", id).About(v.ID)
	}
	h := one.Hotplug{Action: one.ActionNICDetach, NIC: id}
	if isAlias {
		h.Action = one.ActionAliasDetach
	}
	// The guest is told at once what it is to have; the NIC is its own until it let go.
	left, gone := one.WithoutNIC(v.Template, id)
	left, err := c.followNICs(&tx.State, v, left, gone)
	if err != nil {
		return refused(err, v.ID)
	}
	t := v.Template
	if vars := left.Vector("CONTEXT"); vars != nil {
		t = t.WithVector("CONTEXT", vars)
	}
	return c.Apply(tx, who, v, machine.ChangeNIC(v, t, h, whoIs(who), c.now()))
}

// UpdateNIC changes the limits of a NIC: replaced (append 0) or merged (1). What
// else the vector NIC of the template holds is left out.
// Source: XML-RPC reference §7.2, VM lifecycle reference §3.5.
func (c *Cloud) UpdateNIC(ctx context.Context, who auth.Caller, id, nic int, t *tmpl.Template, appendMode int) error {
	if appendMode != 0 && appendMode != 1 {
		return errs.New(errs.API, "Wrong update type")
	}
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.deviceVM(&tx.State, who, id, "nic-attach")
		if err != nil {
			return err
		}
		attr, bad := vmRestricted.CheckCreate(t)
		if bad && !who.Admin {
			return errs.Denied(who.UID, "NIC includes a restricted attribute "+attr).About(id)
		}
		fail := func(format string, args ...any) error { return errs.New(errs.Action, format, args...).About(id) }
		if v.State == one.VMDone || v.State == one.VMActive && !v.Running() {
			return fail("Could not update NIC of VM %d, wrong state %s.", id, v.StateName())
		}
		old, isAlias, there := one.NIC(v.Template, nic)
		switch {
		case !there:
			return fail("VM %d: NIC %d does not exists", id, nic)
		case isAlias:
			return fail("Action not supported for NIC_ALIAS")
		case len(t.Vectors("NIC")) != 1:
			return fail("Wrong format or missing NIC attribute")
		}
		// Limits are an administrator's to lift as well.
		now, err := limited(old, t.Vector("NIC"), appendMode == 1 || !who.Admin)
		if err != nil {
			return err
		}
		if now.Equal(old) {
			return nil
		}
		h := one.Hotplug{Action: one.ActionNICUpdate, NIC: nic, Before: tmpl.New(tmpl.Attr{Name: "NIC", Vector: old})}
		return c.Apply(tx, who, v, machine.ChangeNIC(v, one.WithNIC(v.Template, now), h, whoIs(who), c.now()))
	})
}

// limited returns a NIC with other limits.
func limited(nic, sent tmpl.Vector, merge bool) (tmpl.Vector, error) {
	if !merge {
		nic = nic.Without(nicLimits...)
	}
	for _, k := range nicLimits {
		s, ok := sent.Lookup(k)
		if !ok {
			continue
		}
		if s == "" {
			nic = nic.Without(k)
			continue
		}
		if _, err := strconv.ParseUint(s, 10, 31); err != nil {
			return nil, errs.New(errs.Action, "%s %q: expected a number from 0 to %d", k, s, 1<<31-1)
		}
		nic = nic.With(k, s)
	}
	return nic, nil
}
