package cloud

import (
	"context"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// ResizeVM changes CPU, VCPU and MEMORY of a VM that is not running; 0 or absent
// keeps. Source: VM lifecycle reference §3.6.
func (c *Cloud) ResizeVM(ctx context.Context, who auth.Caller, id int, change *tmpl.Template) error {
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.vmFor(&tx.State, who, id, "resize")
		if err != nil {
			return err
		}
		switch v.State {
		case one.VMInit, one.VMPending, one.VMHold, one.VMCloning, one.VMCloningFailure, one.VMPoweroff, one.VMUndeployed:
		case one.VMActive:
			if v.Running() {
				return errs.New(errs.Action, "Hotplug resize not supported by driver %s", v.LastRecord().VMMad).About(id)
			}
			fallthrough
		default:
			return errs.New(errs.Action, "Cannot resize a VM in state %s", v.StateName()).About(id)
		}
		for _, k := range []string{"CPU", "VCPU", "MEMORY"} {
			if f, ok := tmpl.ParseNumber(change.Get(k)); ok && f == 0 {
				change = change.Without(k)
			}
		}
		cpu, mem, vcpu, err := readCapacity(change)
		if err != nil {
			return errs.New(errs.Action, "%s", err).About(id)
		}
		n := *v
		for k, s := range map[string]string{"CPU": cpu, "MEMORY": mem, "VCPU": vcpu} {
			if s != "" {
				n.Template = n.Template.With(k, s)
			}
		}
		if v.State == one.VMPoweroff {
			if h, ok := tx.Hosts.Get(v.HostID()); ok {
				grown := n.Capacity().Sub(v.Capacity())
				if reason := misfit(&tx.State, h, grown); reason != "" && (grown.CPU > 0 || grown.Memory > 0) {
					return errs.New(errs.Action, "VM [%d] does not fit in HOST [%d]. %s", id, h.ID, reason).About(id)
				}
			}
		}
		if err := c.Apply(tx, who, v, machine.Change{VM: &n}); err != nil {
			return err
		}
		return c.checkQuota(&tx.State, who.UID, v.UID, v.GID, grownBy(v.Usage(), n.Usage()))
	})
}

// grownBy returns what is used more after a change than before.
func grownBy(before, after one.Usage) one.Usage {
	return one.Usage{VM: after.VM.Plus(before.VM, -1)}
}
