package cloud

import (
	"context"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// nameTaken refuses a name that another object of a pool with global names has.
func nameTaken(names *store.Names, word, name string) error {
	if id, taken := names.Find(name); taken {
		return errs.New(errs.Internal, "NAME is already taken by %s %d.", word, id).About(id)
	}
	return nil
}

// checkedName returns a name without trailing blanks, if it obeys the rules.
func checkedName(name string) (string, error) {
	name = one.TrimName(name)
	if err := one.CheckName(name); err != nil {
		return "", errs.Wrap(errs.Internal, err)
	}
	return name, nil
}

// AllocateHost registers a host with its drivers in a cluster (-1: the default).
// Source: XML-RPC reference §7.4.
func (c *Cloud) AllocateHost(ctx context.Context, who auth.Caller, name, imMad, vmMad string, cluster int) (int, error) {
	id := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		cl, err := c.clusterForNew(tx, who, one.KindHost, cluster)
		if err != nil {
			return err
		}
		switch {
		case imMad == "":
			return errs.New(errs.Internal, "IM_MAD_NAME cannot be empty.")
		case vmMad == "":
			return errs.New(errs.Internal, "VM_MAD_NAME cannot be empty.")
		}
		if name, err = checkedName(name); err != nil {
			return err
		}
		if err := nameTaken(&tx.HostNames, "HOST", name); err != nil {
			return err
		}
		id = tx.NextID("host", 0)
		tx.PutHost(&one.Host{ID: id, Name: name, IMMad: imMad, VMMad: vmMad, ClusterID: cl, Template: tmpl.New(
			tmpl.Single("IM_MAD", imMad), tmpl.Single("VM_MAD", vmMad), tmpl.Single("RESERVED_CPU", ""), tmpl.Single("RESERVED_MEM", ""))})
		return nil
	})
	return id, err
}

// HostInfo returns a host the caller may use, and the state it was read from.
func (c *Cloud) HostInfo(who auth.Caller, id int) (*View, *one.Host, error) {
	st := c.store.View()
	h, err := c.hostFor(st, who, id, one.Use)
	return st, h, err
}

// Host states that one.host.status asks for.
const (
	HostEnable = iota
	HostDisable
	HostOffline
)

// SetHostStatus enables, disables or takes a host offline.
// Source: resources reference §7.1.
func (c *Cloud) SetHostStatus(ctx context.Context, who auth.Caller, id, status int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		h, err := c.hostFor(&tx.State, who, id, one.Admin)
		if err != nil {
			return err
		}
		n := *h
		switch status {
		case HostEnable:
			if h.State == one.HostMonitored {
				return nil
			}
			n.State = one.HostInit
			if h.State == one.HostDisabled && h.TotalCPU > 0 {
				n.State = one.HostMonitored
			}
		case HostDisable:
			n.State = one.HostDisabled
		case HostOffline:
			n.State = one.HostOffline
			n.TotalCPU, n.TotalMem, n.MaxCPU, n.MaxMem = 0, 0, 0, 0
		default:
			return errs.New(errs.Internal, "Wrong status code").About(id)
		}
		tx.PutHost(&n)
		return nil
	})
}

// UpdateHost replaces (0) or merges (1) a host's template; its drivers stay unless
// given, and what is reserved counts at once.
func (c *Cloud) UpdateHost(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		h, err := c.hostFor(&tx.State, who, id, one.Admin)
		if err != nil {
			return err
		}
		body, err := c.mergeUpdate(who, one.KindHost, nil, h.Template, change, appendMode)
		if err != nil {
			return err
		}
		n := *h
		n.IMMad, n.VMMad = firstOf(body.Get("IM_MAD"), h.IMMad), firstOf(body.Get("VM_MAD"), h.VMMad)
		n.Template = body.With("IM_MAD", n.IMMad).With("VM_MAD", n.VMMad)
		tx.PutHost(withReserved(&tx.State, &n))
		return nil
	})
}

// RenameHost gives a host another name; history records follow.
func (c *Cloud) RenameHost(ctx context.Context, who auth.Caller, id int, name string) error {
	return c.update(ctx, func(tx *store.Tx) error {
		h, err := c.hostFor(&tx.State, who, id, one.Admin)
		if err != nil {
			return err
		}
		if err := renamed(&tx.HostNames, one.KindHost, id, h.Name, name); err != nil || h.Name == name {
			return err
		}
		n := *h
		n.Name = name
		tx.PutHost(&n)
		for _, vm := range tx.HostVMs.List(id) {
			if v, ok := tx.VMs.Get(vm); ok {
				tx.PutVM(v.WithLastRecord(func(r *one.History) { r.Hostname = name }))
			}
		}
		return nil
	})
}

// renamed checks a new name in a pool with global names.
func renamed(names *store.Names, kind one.Kind, id int, old, name string) error {
	if err := one.CheckName(name); err != nil {
		return errs.Wrap(errs.Action, err).About(id)
	}
	if other, taken := names.Find(name); taken && name != old {
		return collides(kind, name, other)
	}
	return nil
}

// DeleteHost removes a host without VMs.
func (c *Cloud) DeleteHost(ctx context.Context, who auth.Caller, id int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		if _, err := c.hostFor(&tx.State, who, id, one.Admin); err != nil {
			return err
		}
		if tx.HostVMs.Any(id) || tx.LeavingVMs.Any(id) {
			return errs.New(errs.Action, "Cannot delete host. Can not remove a host with running VMs").About(id)
		}
		tx.DeleteHost(id)
		tx.DeleteAgent(id)
		c.dropRulesOf(tx, one.KindHost, id)
		return nil
	})
}
