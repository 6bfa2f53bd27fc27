package cloud

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// DeployVM puts a VM on a host by hand: ds -1 takes the system datastore of the
// host's cluster with the lowest id; enforce checks the capacity.
// Source: XML-RPC reference §7.2, VM lifecycle reference §3.2.
func (c *Cloud) DeployVM(ctx context.Context, who auth.Caller, id, host int, enforce bool, ds int, extra *tmpl.Template) error {
	return c.update(ctx, func(tx *store.Tx) error {
		v, h, err := c.vmAndHost(&tx.State, who, id, "deploy", host, ds)
		if err != nil {
			return err
		}
		return c.Place(tx, who, v, h, ds, enforce, extra)
	})
}

// vmAndHost returns a VM on which the caller may do an operation, and the host to
// which it is to go; a datastore of -1 is none.
func (c *Cloud) vmAndHost(st *store.State, who auth.Caller, id int, op string, host, ds int) (*one.VM, *one.Host, error) {
	v, ok := st.VM(id)
	if !ok {
		return nil, nil, errs.NotFound(one.KindVM, id)
	}
	h, ok := st.Hosts.Get(host)
	if !ok {
		return nil, nil, errs.NotFound(one.KindHost, host)
	}
	asks := []ask{{target(v), c.vmOperationLevel(st, who, op)}, {hostTarget(h), one.Manage}}
	if ds >= 0 {
		d, ok := st.Datastores.Get(ds)
		if !ok {
			return nil, nil, errs.NotFound(one.KindDatastore, ds)
		}
		asks = append(asks, ask{target(d), one.Use})
	}
	return v, h, c.allowAll(st, who, asks...)
}

// Place puts a VM on a host inside a transaction, or changes nothing; rights are
// the caller's matter.
func (c *Cloud) Place(tx *store.Tx, who auth.Caller, v *one.VM, h *one.Host, ds int, enforce bool, extra *tmpl.Template) error {
	return tx.Try(func() error { return c.place(tx, who, v, h, ds, enforce, extra) })
}

func (c *Cloud) place(tx *store.Tx, who auth.Caller, v *one.VM, h *one.Host, ds int, enforce bool, extra *tmpl.Template) error {
	fail := func(format string, args ...any) error {
		return errs.New(errs.Action, format, args...).About(v.ID)
	}
	switch v.State {
	case one.VMPending, one.VMHold, one.VMStopped, one.VMUndeployed:
	default:
		return fail("Deploy action is not available for state %s", v.StateName())
	}
	if h.State == one.HostOffline {
		return fail("Host is offline, cannot use it to deploy VM")
	}
	if last := v.LastRecord(); last != nil && ds < 0 && resumed(v) {
		ds = last.DSID
	}
	d, err := systemDatastore(&tx.State, h, ds)
	if err != nil {
		return fail("%s", err)
	}
	if enforce {
		if reason := misfit(&tx.State, h, v.Capacity()); reason != "" {
			return fail("VM [%d] does not fit in HOST [%d]. %s", v.ID, h.ID, reason)
		}
	}
	n, err := c.connectAuto(tx, v, extra)
	if err != nil {
		return refused(err, v.ID)
	}
	if n, err = assignPort(&tx.State, n, h.ClusterID); err != nil {
		return fail("%s", err)
	}
	if n.Template.Get("TM_MAD_SYSTEM") != d.TMMad {
		m := *n
		m.Template = n.Template.With("TM_MAD_SYSTEM", d.TMMad)
		n = &m
	}
	ch, err := machine.Deploy(n, machine.Place{
		HostID: h.ID, Hostname: h.Name, ClusterID: h.ClusterID, VMMad: h.VMMad, DSID: d.ID, TMMad: d.TMMad,
	}, c.now())
	if err != nil {
		return errs.Wrap(errs.Action, err).About(v.ID)
	}
	if ch.VM.UserTemplate.Has("SCHED_MESSAGE") {
		ch.VM = ch.VM.WithUserTemplate(ch.VM.UserTemplate.Without("SCHED_MESSAGE"))
	}
	if err := c.Apply(tx, who, v, ch); err != nil {
		return err
	}
	// Networks that were chosen only now count only now.
	return c.checkQuota(&tx.State, who.UID, v.UID, v.GID, one.Usage{Networks: newLeases(v.Usage(), ch.VM.Usage())})
}

// refused makes what is wrong with an action on an object its refusal.
func refused(err error, id int) error { return refusedAs(errs.Action, err, id) }

// refusedAs gives a refusal its kind, unless it has one.
func refusedAs(kind errs.Kind, err error, id int) error {
	if _, has := errors.AsType[*errs.Error](err); has {
		return err
	}
	return errs.Wrap(kind, err).About(id)
}

// resumed tells whether a VM that is to be deployed has files of an earlier run.
func resumed(v *one.VM) bool {
	return v.Origin != one.VMInit || v.State == one.VMStopped || v.State == one.VMUndeployed
}

// newLeases returns by how many addresses of each network a use has grown.
func newLeases(before, after one.Usage) map[int]one.NetworkQuota {
	out := map[int]one.NetworkQuota{}
	for id, q := range after.Networks {
		if more := q.Leases - before.Networks[id].Leases; more > 0 {
			out[id] = one.NetworkQuota{Leases: more}
		}
	}
	return out
}

// misfit tells why a VM does not fit on a host, "" if it does.
// Source: VM lifecycle reference §3.2.
func misfit(st *store.State, h *one.Host, need one.Capacity) string {
	use := st.HostUsage.At(h.ID)
	if free := h.MaxCPU - use.CPU; need.CPU > free {
		return fmt.Sprintf("Not enough CPU: %d/%d", need.CPU, free)
	}
	if free := h.MaxMem - use.Memory; need.Memory > free {
		return fmt.Sprintf("Not enough memory: %d/%d", need.Memory, free)
	}
	return ""
}

// Fits tells whether a host has room for a VM.
func Fits(st *View, h *one.Host, need one.Capacity) bool { return misfit(st, h, need) == "" }

// systemDatastore returns the system datastore to use on a host: the one asked
// for, or that of the host's cluster with the lowest id.
func systemDatastore(st *store.State, h *one.Host, ds int) (*one.Datastore, error) {
	if ds >= 0 {
		d, ok := st.Datastores.Get(ds)
		switch {
		case !ok:
			return nil, fmt.Errorf("Error getting datastore [%d].", ds)
		case d.Type != one.DSSystem:
			return nil, fmt.Errorf("Trying to use DATASTORE [%d] to deploy the VM, but it is not of type system datastore.", ds)
		case !st.ClusterDatastores.Has(h.ClusterID, ds):
			return nil, fmt.Errorf("DATASTORE [%d] and HOST [%d] are not in the same CLUSTER [%d].", ds, h.ID, h.ClusterID)
		}
		return d, nil
	}
	for id := range st.ClusterDatastores.Of(h.ClusterID) {
		if d, ok := st.Datastores.Get(id); ok && d.Type == one.DSSystem && !d.Disabled {
			return d, nil
		}
	}
	return nil, fmt.Errorf("CLUSTER [%d] does not have any DATASTORE of type SYSTEM_DS.", h.ClusterID)
}

// connectAuto gives the NICs with NETWORK_MODE auto the networks that the extra
// template names by NIC_ID, charged to and allowed for the VM's owner.
func (c *Cloud) connectAuto(tx *store.Tx, v *one.VM, extra *tmpl.Template) (*one.VM, error) {
	nics := v.Template.Vectors("NIC")
	changed := false
	for i, nic := range nics {
		if nic.Get("NETWORK_MODE") != "auto" || nic.Has("NETWORK_ID") {
			continue
		}
		for _, e := range extra.Vectors("NIC") {
			if e.Get("NIC_ID") != nic.Get("NIC_ID") {
				continue
			}
			u, ok := tx.Users.Get(v.UID)
			if !ok {
				return nil, fmt.Errorf("Error getting user [%d].", v.UID)
			}
			owner := auth.CallerOf(&tx.State, u)
			owner.Admin = owner.Admin || v.GID == one.OneadminID // no rights are asked for, as in the scheduler
			full, err := c.connectNIC(tx, owner, v.ID, nic.With("NETWORK_ID", e.Get("NETWORK_ID")), false)
			if err != nil {
				return nil, err
			}
			nics[i], changed = full, true
		}
		if !nics[i].Has("NETWORK_ID") {
			return nil, fmt.Errorf("NIC %s has NETWORK_MODE auto and no network was chosen for it", nic.Get("NIC_ID"))
		}
	}
	if !changed {
		return v, nil
	}
	t, err := c.followNICs(&tx.State, v, v.Template.WithVectors("NIC", nics), nil)
	if err != nil {
		return nil, err
	}
	n := *v
	n.Template = t
	return &n, nil
}

// Ports of graphics. Source: resources reference §7.2.
const (
	firstPort = 5900
	lastPort  = 65535
)

// assignPort gives a VM with graphics a port that no other VM of the cluster
// has: 5900 plus its id if that is free, else the next free one.
func assignPort(st *store.State, v *one.VM, cluster int) (*one.VM, error) {
	g := v.Template.Vector("GRAPHICS")
	if g == nil || g.Get("TYPE") == "" {
		return v, nil
	}
	if s := g.Get("PORT"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > lastPort {
			return nil, fmt.Errorf("Wrong PORT number in GRAPHICS attribute")
		}
		switch {
		case !portTaken(st, v, cluster, n):
			return v, nil
		case !resumed(v):
			return nil, fmt.Errorf("Requested VNC port already assigned to a VM")
		}
		// It had the port when it was stopped, and was given it by us perhaps: another
		// will do.
	}
	span := lastPort - firstPort
	for i := range span {
		port := firstPort + (v.ID+i)%span
		if port >= 32768 && i > 0 { // reserved for ephemeral ports, but for the VM's own
			continue
		}
		if !portTaken(st, v, cluster, port) {
			n := *v
			n.Template = v.Template.WithVector("GRAPHICS", g.With("PORT", strconv.Itoa(port)))
			return &n, nil
		}
	}
	return nil, fmt.Errorf("No free VNC ports available in the cluster")
}

// portTaken tells whether another VM on the cluster's hosts has the port.
func portTaken(st *store.State, v *one.VM, cluster, port int) bool {
	for id := range st.PortVMs.Of(store.PortKey(cluster, port)) {
		if id != v.ID {
			return true
		}
	}
	return false
}
