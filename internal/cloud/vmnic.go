package cloud

import (
	"fmt"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// inheritFromNet names the network attributes that NICs take over.
// Source: XML-RPC reference §9.8.
var inheritFromNet = []string{
	"VLAN_TAGGED_ID", "FILTER", "FILTER_IP_SPOOFING", "FILTER_MAC_SPOOFING", "MTU", "METRIC", "IP6_METRIC", "METHOD",
	"IP6_METHOD", "INBOUND_AVG_BW", "INBOUND_PEAK_BW", "INBOUND_PEAK_KB", "OUTBOUND_AVG_BW", "OUTBOUND_PEAK_BW",
	"OUTBOUND_PEAK_KB", "CONF", "BRIDGE_CONF", "OVS_BRIDGE_CONF", "IP_LINK_CONF", "EXTERNAL", "EXTERNAL_IP", "GATEWAY",
	"VXLAN_MODE", "VXLAN_TEP", "VXLAN_MC", "CVLANS", "QINQ_TYPE", "TRUST", "SPOOFCHK",
}

// nicCoreAttrs are the keys of NICs that only the core fills in: what a network
// and a lease say. What a template has under them is dropped: it comes of another
// VM, or of somebody who wants to reach other parts of the host.
var nicCoreAttrs = []string{
	"ALIAS_ID", "ALIAS_IDS", "AR_ID", "BRIDGE", "BRIDGE_CONF", "BRIDGE_TYPE", "CLUSTER_ID", "CONF", "CVLANS", "EXTERNAL_IP", "FLOATING_ONLY",
	"IP6_LINK", "IP_LINK_CONF", "OUTER_VLAN_ID", "OVS_BRIDGE_CONF", "PARENT_ID", "PHYDEV", "PREFIX_LENGTH", "QINQ_TYPE", "SPOOFCHK",
	"TRUST", "VLAN_ID", "VLAN_TAGGED_ID", "VN_MAD", "VXLAN_MC", "VXLAN_MODE", "VXLAN_TEP",
}

// addressAttrs are the addresses a NIC may ask for; it gets those of its lease.
var addressAttrs = []string{"IP", "IP6", "IP6_GLOBAL", "IP6_ULA", "MAC"}

// networkAttrs are those that name a NIC's network.
var networkAttrs = []string{"NETWORK", "NETWORK_ID", "NETWORK_UID", "NETWORK_UNAME"}

// nicDefaultForbidden are the keys NIC_DEFAULT must not hold.
var nicDefaultForbidden = []string{"NETWORK_ID", "NETWORK", "NETWORK_UID", "NETWORK_UNAME"}

// attachNICs resolves every NIC and NIC_ALIAS of a draft: takes their leases and
// fills in what the networks say. Source: resources reference §1.4.
func (d *draft) attachNICs() error {
	defaults := d.in.Vector("NIC_DEFAULT")
	for _, k := range nicDefaultForbidden {
		if defaults.Has(k) {
			return fmt.Errorf("NIC_DEFAULT attribute must not contain %s", k)
		}
	}
	nics := d.in.Vectors("NIC")
	out := make([]tmpl.Vector, 0, len(nics))
	next := 0
	for _, nic := range nics {
		id := next
		if n, ok := atoi(nic.Get("NIC_ID")); ok && d.router && n > id {
			id = n // as the router knows it
		}
		next = id + 1
		nic = newNIC(nic, defaults, id, d.router)
		if strings.EqualFold(nic.Get("NETWORK_MODE"), "auto") {
			out = append(out, nic.Without(networkAttrs...).With("NETWORK_MODE", "auto"))
			continue
		}
		full, err := d.c.connectNIC(d.tx, d.who, d.id, nic, false)
		if err != nil {
			return err
		}
		out = append(out, full)
	}
	var outAliases []tmpl.Vector
	for i, a := range d.in.Vectors("NIC_ALIAS") {
		full, parents, err := d.c.connectAlias(d.tx, d.who, d.id, a, next+i, out, outAliases)
		if err != nil {
			return err
		}
		out = parents
		outAliases = append(outAliases, full)
	}
	if len(out) > 0 {
		d.out = d.out.WithVectors("NIC", out)
	}
	if len(outAliases) > 0 {
		d.out = d.out.WithVectors("NIC_ALIAS", outAliases)
	}
	return nil
}

// newNIC returns a NIC that was asked for with the defaults laid under it and what
// it is known by. router tells that it comes of a virtual router.
func newNIC(nic, defaults tmpl.Vector, id int, router bool) tmpl.Vector {
	floats := router && nic.Bool("FLOATING_ONLY")
	nic = nic.Without(nicCoreAttrs...)
	if floats {
		nic = nic.With("FLOATING_ONLY", "YES")
	}
	for _, p := range defaults.Without(nicCoreAttrs...) {
		if !nic.Has(p.Name) {
			nic = nic.With(p.Name, p.Value)
		}
	}
	nic = nic.With("NIC_ID", itoa(id))
	if nic.Get("NAME") == "" {
		nic = nic.With("NAME", "NIC"+itoa(id))
	}
	return nic
}

// connectAlias resolves an alias: its parent, its lease, and its number among
// the parent's aliases, of which siblings are those there already. It returns the
// NICs with the parent's list brought up to date.
func (c *Cloud) connectAlias(tx *store.Tx, who auth.Caller, vm int, alias tmpl.Vector, id int, nics, siblings []tmpl.Vector) (tmpl.Vector, []tmpl.Vector, error) {
	if strings.EqualFold(alias.Get("NETWORK_MODE"), "auto") {
		return nil, nil, fmt.Errorf("Alias is incompatible with auto mode")
	}
	parent := -1
	for i, n := range nics {
		if n.Get("NAME") == alias.Get("PARENT") {
			parent = i
		}
	}
	if parent < 0 {
		return nil, nil, fmt.Errorf("NIC named %s not found for alias", alias.Get("PARENT"))
	}
	p := nics[parent]
	alias = alias.Without(nicCoreAttrs...)
	number := 0
	for _, s := range siblings {
		if n, ok := atoi(s.Get("ALIAS_ID")); ok && s.Get("PARENT_ID") == p.Get("NIC_ID") {
			number = max(number, n+1)
		}
	}
	name := alias.Get("NAME")
	if name == "" {
		name = p.Get("NAME") + "_ALIAS" + itoa(id)
		alias = alias.With("NAME", name)
	}
	alias = alias.With("NIC_ID", itoa(id)).With("PARENT_ID", p.Get("NIC_ID")).With("ALIAS_ID", itoa(number))
	full, err := c.connectNIC(tx, who, vm, alias, true)
	if err != nil {
		return nil, nil, err
	}
	ids := itoa(id)
	if list := p.Get("ALIAS_IDS"); list != "" {
		ids = list + "," + ids
	}
	nics = append([]tmpl.Vector(nil), nics...)
	nics[parent] = p.With("ALIAS_IDS", ids)
	return full, nics, nil
}

// usableNetwork returns the network a NIC names, if the caller may take addresses
// of it.
func (c *Cloud) usableNetwork(st *store.State, who auth.Caller, nic tmpl.Vector) (*one.VNet, error) {
	n, err := c.networkOf(st, who, nic)
	if err != nil {
		return nil, err
	}
	if err := c.allow(st, who, target(n), one.Use); err != nil {
		return nil, err
	}
	if n.State != one.VNetReady && n.State != one.VNetUpdateFailure {
		return nil, fmt.Errorf("Virtual network %d is in wrong state: %s", n.ID, n.State)
	}
	return n, nil
}

// connectNIC gives a NIC a lease of its network and fills it in. One that only a
// router's floating address counts on gets no lease, and a MAC of its own.
func (c *Cloud) connectNIC(tx *store.Tx, who auth.Caller, vm int, nic tmpl.Vector, alias bool) (tmpl.Vector, error) {
	n, err := c.usableNetwork(&tx.State, who, nic)
	if err != nil {
		return nil, err
	}
	w, err := wantedOf(nic)
	if err != nil {
		return nil, err
	}
	var a one.AR
	if nic = nic.Without(addressAttrs...); nic.Bool("FLOATING_ONLY") {
		mac, err := c.freshMAC(n)
		if err != nil {
			return nil, err
		}
		nic = nic.With("MAC", mac.String())
	} else {
		var i uint32
		if a, i, err = takeLease(tx, n, w, leaseOwner{one.LeaseVM, vm}); err != nil {
			return nil, err
		}
		nic = leaseAttrs(nic, a, i)
	}
	nic = nicOfNetwork(nic, n, a.Attrs)
	for _, g := range splitInts(nic.Get("SECURITY_GROUPS")) {
		sg, ok := tx.SecGroups.Get(g)
		if !ok {
			return nil, errs.NotFound(one.KindSecGroup, g)
		}
		if err := c.allow(&tx.State, who, target(sg), one.Use); err != nil {
			return nil, err
		}
	}
	if !alias {
		if nic.Get("TARGET") == "" {
			nic = nic.With("TARGET", "one-"+itoa(vm)+"-"+nic.Get("NIC_ID"))
		}
	}
	return nic, nil
}

// nicOfNetwork fills a NIC in from its network, and from the attributes of the
// address range its lease is of.
func nicOfNetwork(nic tmpl.Vector, n *one.VNet, ar *tmpl.Template) tmpl.Vector {
	nic = nic.With("NETWORK_ID", itoa(n.ID)).With("NETWORK", n.Name).
		With("BRIDGE", firstOf(ar.Get("BRIDGE"), n.Bridge)).With("BRIDGE_TYPE", n.BridgeType).
		With("VN_MAD", firstOf(ar.Get("VN_MAD"), n.VNMad))
	set := func(k, v string) {
		if v != "" {
			nic = nic.With(k, v)
		}
	}
	set("PHYDEV", firstOf(ar.Get("PHYDEV"), n.PhyDev))
	set("VLAN_ID", firstOf(ar.Get("VLAN_ID"), n.VLANID))
	set("OUTER_VLAN_ID", n.OuterVLANID)
	if len(n.ClusterIDs) > 0 {
		nic = nic.With("CLUSTER_ID", joinInts(n.ClusterIDs))
	}
	for _, k := range inheritFromNet {
		if !nic.Has(k) {
			set(k, firstOf(ar.Get(k), n.Template.Get(k)))
		}
	}
	set("SECURITY_GROUPS", joinSets(nic.Get("SECURITY_GROUPS"), n.Template.Get("SECURITY_GROUPS"), ar.Get("SECURITY_GROUPS")))
	return nic
}

// networkOf finds the network a NIC names: by id, or by name among the caller's
// networks or those of the user it names.
func (c *Cloud) networkOf(st *store.State, who auth.Caller, nic tmpl.Vector) (*one.VNet, error) {
	if s, ok := nic.Lookup("NETWORK_ID"); ok {
		id, isInt := atoi(s)
		n, found := st.VNets.Get(id)
		if !isInt || !found {
			return nil, fmt.Errorf("Virtual network with ID: %s does not exist", s)
		}
		return n, nil
	}
	name := nic.Get("NETWORK")
	if name == "" {
		return nil, fmt.Errorf("NIC has no NETWORK_ID, NETWORK or NETWORK_MODE: one of them must say which network it is on")
	}
	uid, err := ownerNamed(st, who, nic, "NETWORK")
	if err != nil {
		return nil, err
	}
	id, ok := st.VNetNames.FindOf(uid, name)
	if !ok {
		return nil, fmt.Errorf("User %d does not own a network with name: %s . Set NETWORK_UNAME or NETWORK_UID of owner in NIC.", uid, name)
	}
	n, _ := st.VNets.Get(id)
	return n, nil
}

// ownerNamed returns the user that <what>_UID or <what>_UNAME names, else the caller.
func ownerNamed(st *store.State, who auth.Caller, v tmpl.Vector, what string) (int, error) {
	if s := v.Get(what + "_UID"); s != "" {
		id, ok := atoi(s)
		if !ok {
			return 0, fmt.Errorf("%s_UID %q is not a number", what, s)
		}
		return id, nil
	}
	if s := v.Get(what + "_UNAME"); s != "" {
		id, ok := st.UserNames.Find(s)
		if !ok {
			return 0, fmt.Errorf("User with name: %s does not exist", s)
		}
		return id, nil
	}
	return who.UID, nil
}

// freeNetwork frees every lease the VM's NICs and aliases hold.
func freeNetwork(tx *store.Tx, v *one.VM) {
	for _, name := range []string{"NIC", "NIC_ALIAS"} {
		for _, nic := range v.Template.Vectors(name) {
			freeNIC(tx, nic, leaseOwner{one.LeaseVM, v.ID})
		}
	}
}

// secGroupRules returns the SECURITY_GROUP_RULE vectors of a template's NICs:
// the rules of all their groups, each with the group's id and name.
func secGroupRules(st *store.State, t *tmpl.Template) []tmpl.Vector {
	seen := map[int]bool{}
	var out []tmpl.Vector
	for _, name := range []string{"NIC", "NIC_ALIAS"} {
		for _, nic := range t.Vectors(name) {
			for _, id := range splitInts(nic.Get("SECURITY_GROUPS")) {
				g, ok := st.SecGroups.Get(id)
				if !ok || seen[id] {
					continue
				}
				seen[id] = true
				for _, r := range g.Template.Vectors("RULE") {
					out = append(out, r.With("SECURITY_GROUP_ID", itoa(id)).With("SECURITY_GROUP_NAME", g.Name))
				}
			}
		}
	}
	return out
}
