package cloud

import (
	"context"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// vnetDrivers gives for each network driver its bridge type and what its
// networks must say. Source: resources reference §6.1.
var vnetDrivers = map[string]struct {
	bridgeType           string
	bridge, phydev, vlan bool // mandatory
	outer                bool // likewise OUTER_VLAN_ID
}{
	"dummy": {bridgeType: "linux", bridge: true}, "bridge": {bridgeType: "linux"}, "fw": {bridgeType: "linux"},
	"ebtables": {bridgeType: "linux"}, "802.1Q": {bridgeType: "linux", phydev: true, vlan: true},
	"vxlan": {bridgeType: "linux", phydev: true, vlan: true}, "ovswitch": {bridgeType: "openvswitch"},
	"ovswitch_vxlan": {bridgeType: "openvswitch", phydev: true, outer: true}, "elastic": {bridgeType: "linux"}, "nodeport": {bridgeType: "linux"},
}

// AllocateVNet creates a network in a cluster (-1: the default one).
// Source: XML-RPC reference §7.8.
func (c *Cloud) AllocateVNet(ctx context.Context, who auth.Caller, t *tmpl.Template, cluster int) (int, error) {
	id := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		cl, err := c.clusterForNew(tx, who, one.KindNet, cluster)
		if err != nil {
			return err
		}
		n, err := c.newVNet(tx, who, t, []int{cl})
		if err != nil {
			return err
		}
		id = n.ID
		return nil
	})
	return id, err
}

// clusterForNew returns the cluster a new host, datastore or network goes to; the
// caller must be able to create such an object and to administer the cluster.
func (c *Cloud) clusterForNew(tx *store.Tx, who auth.Caller, kind one.Kind, cluster int) (int, error) {
	if cluster < 0 {
		cluster = one.DefaultCluster
	}
	if _, ok := tx.Clusters.Get(cluster); !ok {
		return -1, errs.NotFound(one.KindCluster, cluster)
	}
	return cluster, c.allowAll(&tx.State, who, ask{auth.Creation(kind, who), one.Create}, ask{clusterTarget(cluster), one.Admin})
}

func (c *Cloud) newVNet(tx *store.Tx, who auth.Caller, t *tmpl.Template, clusters []int) (*one.VNet, error) {
	name := one.TrimName(t.Get("NAME"))
	if name == "" {
		return nil, errs.New(errs.Internal, "No NAME in template for Virtual Network.")
	}
	if err := one.CheckName(name); err != nil {
		return nil, errs.Wrap(errs.Internal, err)
	}
	if err := checkFreeName(&tx.State, one.KindNet, who.UID, name); err != nil {
		return nil, err
	}
	mad := t.Get("VN_MAD")
	if mad == "" {
		return nil, errs.New(errs.Internal, "No VN_MAD in template for Virtual Network.")
	}
	drv, ok := vnetDrivers[mad]
	if !ok {
		return nil, errs.New(errs.Internal, "VN_MAD named %q is not defined in oned.conf", mad)
	}
	id := tx.NextID("vnet", 0)
	if id >= one.MaxNets {
		return nil, errs.New(errs.Internal, "no more than %d virtual networks can be created", one.MaxNets)
	}
	vlan := t.Get("VLAN_ID")
	auto := t.Bool("AUTOMATIC_VLAN_ID") && vlan == ""
	if auto {
		vlan = freeVLAN(&tx.State, id, mad, mad == "vxlan", func(n *one.VNet) string { return n.VLANID })
	}
	outer := t.Get("OUTER_VLAN_ID")
	autoOuter := t.Bool("AUTOMATIC_OUTER_VLAN_ID") && outer == ""
	if autoOuter {
		outer = freeVLAN(&tx.State, id, mad, true, func(n *one.VNet) string { return n.OuterVLANID })
	}
	for _, m := range []struct {
		missing bool
		text    string
	}{
		{drv.bridge && t.Get("BRIDGE") == "", "BRIDGE is mandatory for driver " + mad},
		{drv.phydev && t.Get("PHYDEV") == "", "PHYDEV is mandatory for driver " + mad},
		{drv.vlan && vlan == "", "VLAN_ID (or AUTOMATIC_VLAN_ID) is mandatory for driver " + mad},
		{drv.outer && outer == "", "OUTER_VLAN_ID (or AUTOMATIC) is mandatory for driver " + mad},
	} {
		if m.missing {
			return nil, errs.New(errs.Internal, "%s", m.text)
		}
	}
	bridge := t.Get("BRIDGE")
	if bridge == "" {
		bridge = "onebr" + itoa(id)
		if vlan != "" {
			bridge = "onebr." + vlan
		}
	}
	n := &one.VNet{
		Meta: c.newMeta(who, id, name), ClusterIDs: clusters, Bridge: bridge, BridgeType: firstOf(t.Get("BRIDGE_TYPE"), drv.bridgeType),
		State: one.VNetReady, ParentID: -1, VNMad: mad, PhyDev: t.Get("PHYDEV"), VLANID: vlan, OuterVLANID: outer,
		VLANAutomatic: auto, OuterAutomatic: autoOuter, Since: c.now().UnixMilli(),
	}
	groups := joinSets(t.Get("SECURITY_GROUPS"), "0")
	if err := c.checkSecGroups(&tx.State, groups); err != nil {
		return nil, err
	}
	n.Template = t.Without("NAME", "AR", "AUTOMATIC_VLAN_ID", "AUTOMATIC_OUTER_VLAN_ID").With("SECURITY_GROUPS", groups).
		With("BRIDGE", bridge).With("BRIDGE_TYPE", n.BridgeType)
	if vlan != "" {
		n.Template = n.Template.With("VLAN_ID", vlan)
	}
	if outer != "" {
		n.Template = n.Template.With("OUTER_VLAN_ID", outer)
	}
	for _, v := range t.Vectors("AR") {
		a, err := c.newAR(n, v)
		if err != nil {
			return nil, err
		}
		n = n.WithAR(a)
		n.NextAR = a.ID + 1
	}
	tx.PutVNet(n)
	return n, nil
}

func (c *Cloud) checkSecGroups(st *store.State, list string) error {
	for _, g := range splitInts(list) {
		if _, ok := st.SecGroups.Get(g); !ok {
			return errs.NotFound(one.KindSecGroup, g)
		}
	}
	return nil
}

// freeVLAN returns a VLAN id that no other network of the driver has, from the
// hint of the network's own id on; those of VXLAN have no upper bound that matters.
// Source: resources reference §6.1.
func freeVLAN(st *store.State, id int, mad string, vxlan bool, of func(*one.VNet) string) string {
	used := map[string]bool{}
	for _, n := range st.VNets.All() {
		if n.VNMad == mad {
			used[of(n)] = true
		}
	}
	const first, span = 2, 4093
	if vxlan {
		for v := first + id; ; v++ {
			if s := itoa(v); !used[s] {
				return s
			}
		}
	}
	for i := range span {
		if s := itoa(first + (id+i)%span); !used[s] {
			return s
		}
	}
	return ""
}

// vnetFor returns a network that a range or lease call may work on.
func (c *Cloud) vnetFor(tx *store.Tx, who auth.Caller, id int, r one.Right, method string) (*one.VNet, error) {
	n, ok := tx.VNets.Get(id)
	if !ok {
		return nil, errs.NotFound(one.KindNet, id)
	}
	if err := c.allow(&tx.State, who, target(n), r); err != nil {
		return nil, err
	}
	if n.State != one.VNetReady && n.State != one.VNetUpdateFailure {
		return nil, errs.New(errs.Action, "Could not execute %sVirtual Network is in wrong state: %s", method, n.State).About(id)
	}
	return n, nil
}

// UpdateVNet replaces (0) or merges (1) a network's template; the attributes that
// are also fields follow it. Source: XML-RPC reference §6.2.
func (c *Cloud) UpdateVNet(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		n, ok := tx.VNets.Get(id)
		if !ok {
			return errs.NotFound(one.KindNet, id)
		}
		if err := c.allow(&tx.State, who, target(n), one.Manage); err != nil {
			return err
		}
		body, err := c.mergeUpdate(who, one.KindNet, vnetRestricted, n.Template, change.Without("NAME", "AR"), appendMode)
		if err != nil {
			return err
		}
		if err := c.checkSecGroups(&tx.State, body.Get("SECURITY_GROUPS")); err != nil {
			return err
		}
		u := *n
		u.VNMad, u.PhyDev = body.Get("VN_MAD"), body.Get("PHYDEV")
		u.Bridge, u.BridgeType = firstOf(body.Get("BRIDGE"), n.Bridge), firstOf(body.Get("BRIDGE_TYPE"), n.BridgeType)
		if !n.VLANAutomatic {
			u.VLANID = body.Get("VLAN_ID")
		} else if n.VLANID != "" {
			body = body.With("VLAN_ID", n.VLANID)
		}
		if !n.OuterAutomatic {
			u.OuterVLANID = body.Get("OUTER_VLAN_ID")
		} else {
			body = body.With("OUTER_VLAN_ID", n.OuterVLANID)
		}
		u.Template = body.With("BRIDGE", u.Bridge).With("BRIDGE_TYPE", u.BridgeType)
		tx.PutVNet(&u)
		return nil
	})
}

// DeleteVNet removes a network without leases; one that is a reservation gives
// its addresses back. Source: XML-RPC reference §6.6.
func (c *Cloud) DeleteVNet(ctx context.Context, who auth.Caller, id int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		n, ok := tx.VNets.Get(id)
		if !ok {
			return errs.NotFound(one.KindNet, id)
		}
		if err := c.allow(&tx.State, who, target(n), one.Manage); err != nil {
			return err
		}
		if tx.VNetUsage.At(id) > 0 {
			return errs.New(errs.Action, "Cannot delete virtual network. Can not remove a virtual network with leases in use").About(id)
		}
		tx.DeleteVNet(id)
		c.dropRulesOf(tx, one.KindNet, id)
		return nil
	})
}

// RecoverVNet performs one.vn.recover, which decides an operation that hangs: 0
// failure, 1 success, 2 delete, 3 retry. Networks are made, changed and removed at
// once here, so none ever does. Source: resources reference §6.1.
func (c *Cloud) RecoverVNet(who auth.Caller, id, operation int) error {
	word := map[int]string{0: "failure", 1: "success", 2: "delete", 3: "retry"}[operation]
	if word == "" {
		return errs.New(errs.Action, "Wrong recovery operation code").About(id)
	}
	st := c.store.View()
	n, ok := st.VNets.Get(id)
	if !ok {
		return errs.NotFound(one.KindNet, id)
	}
	if err := c.allow(st, who, target(n), one.Manage); err != nil {
		return err
	}
	return errs.New(errs.Action, "Could not perform 'recover %s' on VN %d, wrong state %s.", word, id, n.State).About(id)
}

// Hold takes an address out of use by hand. Source: resources reference §6.3.
func (c *Cloud) Hold(ctx context.Context, who auth.Caller, id int, t *tmpl.Template) error {
	return c.eachLease(ctx, who, id, t, "one.vn.hold", func(tx *store.Tx, n *one.VNet, a one.AR, i uint32) error {
		if _, taken := tx.Leases.Get(one.MakeLeaseKey(n.ID, a.ID, i)); taken {
			return errs.New(errs.Action, "Address is not part of the address range or in use.").About(id)
		}
		putLease(tx, n.ID, a.ID, i, leaseOwner{one.LeaseHeld, -1})
		return nil
	})
}

// Release gives a held address back.
func (c *Cloud) Release(ctx context.Context, who auth.Caller, id int, t *tmpl.Template) error {
	return c.eachLease(ctx, who, id, t, "one.vn.release", func(tx *store.Tx, n *one.VNet, a one.AR, i uint32) error {
		k := one.MakeLeaseKey(n.ID, a.ID, i)
		if l, ok := tx.Leases.Get(k); !ok || l.Owner != one.LeaseHeld {
			return errs.New(errs.Action, "Address is not part of the address range or in use.").About(id)
		}
		tx.DeleteLease(k)
		return nil
	})
}

// eachLease runs f on the address that each LEASES vector names.
func (c *Cloud) eachLease(ctx context.Context, who auth.Caller, id int, t *tmpl.Template, method string, f func(*store.Tx, *one.VNet, one.AR, uint32) error) error {
	return c.update(ctx, func(tx *store.Tx) error {
		n, err := c.vnetFor(tx, who, id, one.Manage, method)
		if err != nil {
			return err
		}
		leases := t.Vectors("LEASES")
		if len(leases) == 0 {
			return errs.New(errs.Action, "Empty lease description.").About(id)
		}
		for _, l := range leases {
			a, i, err := findLease(n, l)
			if err != nil {
				return errs.New(errs.Action, "%s", err).About(id)
			}
			if err := f(tx, n, a, i); err != nil {
				return err
			}
		}
		return nil
	})
}

// findLease finds the address a LEASES vector names by exactly one of IP, IP6 and
// MAC, in the range AR_ID if that is given.
func findLease(n *one.VNet, l tmpl.Vector) (one.AR, uint32, error) {
	given := 0
	for _, k := range []string{"MAC", "IP", "IP6"} {
		if l.Get(k) != "" {
			given++
		}
	}
	if given == 0 {
		return one.AR{}, 0, errs.New(errs.Action, "Missing MAC, IP or IP6.")
	}
	if given > 1 {
		return one.AR{}, 0, errs.New(errs.Action, "Only one attribute MAC, IP or IP6 can be set.")
	}
	w, err := wantedOf(l)
	if err != nil {
		return one.AR{}, 0, err
	}
	for _, a := range n.ARs {
		if s := l.Get("AR_ID"); s != "" && s != itoa(a.ID) {
			continue
		}
		i, in := uint32(0), false
		switch {
		case w.ip.IsValid():
			i, in = a.IndexOfIP(w.ip)
		case w.ip6.IsValid():
			i, in = indexOfIP6(a, w.ip6)
		default:
			i, in = a.IndexOfMAC(w.mac)
		}
		if in {
			return a, i, nil
		}
	}
	return one.AR{}, 0, errs.New(errs.Action, "Address is not part of the address range or in use.")
}

// vnetName is the name a reservation takes.
func vnetName(t *tmpl.Template) string { return strings.TrimSpace(one.TrimName(t.Get("NAME"))) }
