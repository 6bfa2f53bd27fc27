package cloud

import (
	"context"
	"math"
	"strings"

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
		if attr, bad := vmRestricted.CheckCreate(change); bad && !who.Admin {
			return errs.Denied(who.UID, "Template includes a restricted attribute "+attr)
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
			return errs.New(errs.Action, "%s", strings.Replace(err.Error(), " attribute must", " must", 1)).About(id)
		}
		n := *v
		for k, s := range map[string]string{"CPU": cpu, "MEMORY": mem, "VCPU": vcpu} {
			if s != "" {
				n.Template = n.Template.With(k, s)
			}
		}
		if v.State == one.VMPoweroff {
			if h, ok := tx.Hosts.Get(v.HostID()); ok {
				if reason := misfitGrown(&tx.State, h, n.Capacity().Sub(v.Capacity())); reason != "" {
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

// misfitGrown tells why what a VM on a host grows by does not fit, "" if it does.
// What does not grow fits, even on a host that holds more than it has.
func misfitGrown(st *store.State, h *one.Host, by one.Capacity) string {
	for _, n := range []*int64{&by.CPU, &by.Memory} {
		if *n <= 0 {
			*n = math.MinInt64 / 2
		}
	}
	return misfit(st, h, by)
}

// grownBy returns what of a VM's capacity and disks is used more after a change
// than before.
func grownBy(before, after one.Usage) one.Usage {
	grown := one.Usage{VM: after.VM.Plus(before.VM, -1), Datastores: map[int]one.DatastoreQuota{}}
	for id, q := range after.Datastores {
		if more := q.Size - before.Datastores[id].Size; more > 0 {
			grown.Datastores[id] = one.DatastoreQuota{Size: more}
		}
	}
	return grown
}
