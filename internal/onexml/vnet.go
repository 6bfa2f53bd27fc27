package onexml

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// AppendVNet appends the document of a network. Of its leases only those that
// visible says are printed; nil means all. Source: XML-RPC reference §8.5.
func (d *Docs) AppendVNet(dst []byte, n *one.VNet, visible func(*one.Lease) bool) []byte {
	return d.vnet(dst, n, func(dst []byte, a *one.AR) []byte { return d.rangeInFull(dst, n, a, visible) })
}

// AppendVNetListed appends a network as vnpool.info lists it: its address ranges
// as they are stored, taken addresses in ALLOCATED.
func (d *Docs) AppendVNetListed(dst []byte, n *one.VNet) []byte {
	return d.vnet(dst, n, func(dst []byte, a *one.AR) []byte {
		return rangeAttrs(a, d.allocated(n.ID, a.ID)).AppendXML(dst, "AR")
	})
}

func (d *Docs) vnet(dst []byte, n *one.VNet, ar func([]byte, *one.AR) []byte) []byte {
	dst = open(dst, "VNET")
	dst = head(dst, &n.Meta)
	dst = lock(dst, n.Lock)
	dst = permissions(dst, n.Perms)
	dst = ids(dst, "CLUSTERS", slices.Values(n.ClusterIDs))
	dst = cdata(dst, "BRIDGE", n.Bridge)
	dst = cdata(dst, "BRIDGE_TYPE", n.BridgeType)
	dst = cdataNum(dst, "STATE", n.State)
	dst = cdataNum(dst, "PREV_STATE", n.State) // see vm
	parent := ""
	if n.ParentID >= 0 {
		parent = strconv.Itoa(n.ParentID)
	}
	dst = ifSet(dst, "PARENT_NETWORK_ID", parent)
	dst = ifSet(dst, "VN_MAD", n.VNMad)
	dst = ifSet(dst, "PHYDEV", n.PhyDev)
	dst = ifSet(dst, "VLAN_ID", n.VLANID)
	dst = ifSet(dst, "OUTER_VLAN_ID", n.OuterVLANID)
	dst = flag(dst, "VLAN_ID_AUTOMATIC", n.VLANAutomatic)
	dst = flag(dst, "OUTER_VLAN_ID_AUTOMATIC", n.OuterAutomatic)
	dst = num(dst, "USED_LEASES", d.State.VNetUsage.At(n.ID))
	dst = ids(dst, "VROUTERS", slices.Values(d.routersOf(n.ID)))
	dst = append(dst, "<UPDATED_VMS></UPDATED_VMS><OUTDATED_VMS></OUTDATED_VMS><UPDATING_VMS></UPDATING_VMS><ERROR_VMS></ERROR_VMS>"...)
	dst = body(dst, "TEMPLATE", n.Template)
	dst = open(dst, "AR_POOL")
	for i := range n.ARs {
		dst = ar(dst, &n.ARs[i])
	}
	dst = shut(dst, "AR_POOL")
	return shut(dst, "VNET")
}

// ifSet appends text in CDATA, and <NAME/> when there is none.
func ifSet(dst []byte, name, text string) []byte {
	if text == "" {
		return xmlrpc.AppendEmpty(dst, name)
	}
	return cdata(dst, name, text)
}

// routersOf returns the virtual routers that have a NIC on a network. The first
// call looks through all routers for every network.
func (d *Docs) routersOf(net int) []int {
	if d.routers == nil {
		d.routers = map[int][]int{}
		for id, r := range d.State.VRouters.All() {
			for _, nic := range r.Template.Vectors("NIC") {
				n, err := strconv.Atoi(nic.Get("NETWORK_ID"))
				if err != nil || slices.Contains(d.routers[n], id) {
					continue
				}
				d.routers[n] = append(d.routers[n], id)
			}
		}
	}
	return d.routers[net]
}

// rangeAttrs returns a range's own attributes, in alphabetical order.
func rangeAttrs(a *one.AR, allocated string) tmpl.Vector {
	v := tmpl.Vector{
		{Name: "AR_ID", Value: strconv.Itoa(a.ID)}, {Name: "MAC", Value: a.MAC.String()},
		{Name: "SIZE", Value: strconv.FormatUint(uint64(a.Size), 10)}, {Name: "TYPE", Value: a.Type.String()},
	}
	add := func(name, value string) {
		if value != "" {
			v = append(v, tmpl.Pair{Name: name, Value: value})
		}
	}
	add("ALLOCATED", allocated)
	add("IP", text(a.IP))
	add("IP6", text(a.IP6))
	add("GLOBAL_PREFIX", text(a.GlobalPrefix))
	add("ULA_PREFIX", text(a.ULAPrefix))
	add("PREFIX_LENGTH", a.PrefixLength)
	if a.ParentAR >= 0 {
		add("PARENT_NETWORK_AR_ID", strconv.Itoa(a.ParentAR))
	}
	own := len(v)
	for _, at := range a.Attrs.All() {
		same := func(p tmpl.Pair) bool { return p.Name == at.Name }
		if !at.IsVector() && !slices.ContainsFunc(v[:own], same) {
			v = append(v, tmpl.Pair{Name: at.Name, Value: at.Value})
		}
	}
	slices.SortStableFunc(v, func(a, b tmpl.Pair) int { return cmp.Compare(a.Name, b.Name) })
	return v
}

// text returns an address as text, "" if it is none.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// allocated returns the taken addresses of a range the way the original stores
// them: index and owner, the owner's id below the bit of its type.
func (d *Docs) allocated(net, ar int) string {
	var b []byte
	for l := range d.leasesOf(net, ar) {
		kind := one.KindVM
		switch l.Owner {
		case one.LeaseVNet:
			kind = one.KindNet
		case one.LeaseVRouter:
			kind = one.KindVRouter
		}
		b = strconv.AppendUint(append(b, ' '), uint64(l.Index), 10)
		b = strconv.AppendUint(append(b, ' '), kind.ACLType()|uint64(uint32(l.OwnerID)), 10)
	}
	return string(b)
}

// leasesOf yields the leases of one range.
func (d *Docs) leasesOf(net, ar int) func(func(*one.Lease) bool) {
	return func(yield func(*one.Lease) bool) {
		for k, l := range d.State.Leases.From(one.MakeLeaseKey(net, ar, 0)) {
			if n, a, _ := k.Parts(); n != net || a != ar || !yield(l) {
				return
			}
		}
	}
}

// rangeInFull appends a range with the members that are computed.
func (d *Docs) rangeInFull(dst []byte, n *one.VNet, a *one.AR, visible func(*one.Lease) bool) []byte {
	dst = open(dst, "AR")
	for _, p := range rangeAttrs(a, "") {
		dst = cdata(dst, p.Name, p.Value)
	}
	if a.Size > 0 {
		last := a.Size - 1
		dst = cdata(dst, "MAC_END", a.MACAt(last).String())
		dst = address(dst, "IP_END", a.IPAt(last))
		if a.Type.HasSLAAC() {
			dst = address(dst, "IP6_ULA", one.SLAAC(a.ULAPrefix, a.MACAt(0)))
			dst = address(dst, "IP6_ULA_END", one.SLAAC(a.ULAPrefix, a.MACAt(last)))
			dst = address(dst, "IP6_GLOBAL", one.SLAAC(a.GlobalPrefix, a.MACAt(0)))
			dst = address(dst, "IP6_GLOBAL_END", one.SLAAC(a.GlobalPrefix, a.MACAt(last)))
		}
		dst = address(dst, "IP6_END", a.IP6At(last))
	}
	dst = num(dst, "USED_LEASES", d.State.ARUsage.At(one.MakeLeaseKey(n.ID, a.ID, 0)))
	some := false
	for l := range d.leasesOf(n.ID, a.ID) {
		if !some {
			dst, some = open(dst, "LEASES"), true
		}
		if visible == nil || visible(l) {
			dst = lease(dst, a, l)
		}
	}
	if some {
		dst = shut(dst, "LEASES")
	} else {
		dst = append(dst, "<LEASES/>"...)
	}
	return shut(dst, "AR")
}

func address(dst []byte, name string, a netip.Addr) []byte {
	if !a.IsValid() {
		return dst
	}
	return cdata(dst, name, a.String())
}

var leaseOwners = [...]string{one.LeaseHeld: "VM", one.LeaseVM: "VM", one.LeaseVNet: "VNET", one.LeaseVRouter: "VROUTER"}

func lease(dst []byte, a *one.AR, l *one.Lease) []byte {
	mac := a.MACAt(l.Index)
	dst = open(dst, "LEASE")
	dst = address(dst, "IP", a.IPAt(l.Index))
	dst = address(dst, "IP6", a.IP6At(l.Index))
	if a.Type.HasSLAAC() {
		dst = address(dst, "IP6_GLOBAL", one.SLAAC(a.GlobalPrefix, mac))
	}
	if a.Type.HasSLAAC() || a.Type.HasStatic6() {
		dst = address(dst, "IP6_LINK", one.SLAAC(one.LinkLocal, mac))
	}
	if a.Type.HasSLAAC() {
		dst = address(dst, "IP6_ULA", one.SLAAC(a.ULAPrefix, mac))
	}
	dst = cdata(dst, "MAC", mac.String())
	dst = cdataNum(dst, leaseOwners[l.Owner], l.OwnerID)
	return shut(dst, "LEASE")
}
