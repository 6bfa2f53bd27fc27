package cloud

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// leaseOwner is who takes an address.
type leaseOwner struct {
	kind one.LeaseOwner
	id   int
}

// wanted is the address a NIC asks for; the zero value means any.
type wanted struct {
	ip, ip6 netip.Addr
	mac     one.MAC
	hasMAC  bool
}

// wantedOf reads the address a NIC vector asks for.
func wantedOf(nic tmpl.Vector) (wanted, error) {
	var w wanted
	var err error
	if s := nic.Get("IP"); s != "" {
		if w.ip, err = netipAddr("IP", s); err != nil {
			return w, err
		}
	}
	for _, k := range []string{"IP6", "IP6_GLOBAL", "IP6_ULA"} {
		if s := nic.Get(k); s != "" {
			if w.ip6, err = netipAddr(k, s); err != nil {
				return w, err
			}
			break
		}
	}
	if s := nic.Get("MAC"); s != "" {
		var ok bool
		if w.mac, ok = one.ParseMAC(s); !ok {
			return w, fmt.Errorf("Wrong format for MAC attribute: %q is not six hexadecimal bytes", s)
		}
		w.hasMAC = true
	}
	return w, nil
}

// freshMAC returns a MAC, at random, that no range of a network has.
func (c *Cloud) freshMAC(n *one.VNet) (one.MAC, error) {
	const tries = 64 // one is enough, unless the ranges are nearly all MACs there are
	for range tries {
		var b [4]byte
		if _, err := rand.Read(b[:]); err != nil {
			return 0, fmt.Errorf("make a MAC: %w", err)
		}
		m := one.MAC(c.cfg.MACPrefix)<<32 | one.MAC(binary.BigEndian.Uint32(b[:]))
		if !slices.ContainsFunc(n.ARs, func(a one.AR) bool { _, in := a.IndexOfMAC(m); return in }) {
			return m, nil
		}
	}
	return 0, fmt.Errorf("no MAC is free outside of the ranges of virtual network %d", n.ID)
}

// takeLease takes an address of a network for an owner: the one that is wanted,
// or the next free one of the first range that has any.
// Source: resources reference §6.2.
func takeLease(tx *store.Tx, n *one.VNet, w wanted, by leaseOwner) (one.AR, uint32, error) {
	switch {
	case w.ip.IsValid():
		return takeWanted(tx, n, "IP", by, func(a one.AR) (uint32, bool) { return a.IndexOfIP(w.ip) })
	case w.ip6.IsValid():
		return takeWanted(tx, n, "IP6", by, func(a one.AR) (uint32, bool) { return indexOfIP6(a, w.ip6) })
	case w.hasMAC:
		return takeWanted(tx, n, "MAC", by, func(a one.AR) (uint32, bool) { return a.IndexOfMAC(w.mac) })
	}
	for _, a := range n.ARs {
		if i, ok := nextFree(tx, n.ID, a); ok {
			putLease(tx, n.ID, a.ID, i, by)
			tx.SetLeaseHint(n.ID, a.ID, i+1)
			return a, i, nil
		}
	}
	return one.AR{}, 0, fmt.Errorf("Cannot get IP/MAC lease from virtual network %d.", n.ID)
}

func takeWanted(tx *store.Tx, n *one.VNet, what string, by leaseOwner, find func(one.AR) (uint32, bool)) (one.AR, uint32, error) {
	for _, a := range n.ARs {
		i, in := find(a)
		if !in {
			continue
		}
		if _, taken := tx.Leases.Get(one.MakeLeaseKey(n.ID, a.ID, i)); taken {
			continue
		}
		putLease(tx, n.ID, a.ID, i, by)
		return a, i, nil
	}
	return one.AR{}, 0, fmt.Errorf("Cannot get IP/MAC lease from virtual network %d.", n.ID)
}

// indexOfIP6 finds an IPv6 address in a range: counted, or made from a prefix
// and the MAC it holds.
func indexOfIP6(a one.AR, ip netip.Addr) (uint32, bool) {
	if i, ok := a.IndexOfIP(ip); ok {
		return i, true
	}
	if !a.Type.HasSLAAC() {
		return 0, false
	}
	b := ip.As16()
	m := one.MAC(b[8]^2)<<40 | one.MAC(b[9])<<32 | one.MAC(b[10])<<24 | one.MAC(b[13])<<16 | one.MAC(b[14])<<8 | one.MAC(b[15])
	i, ok := a.IndexOfMAC(m)
	if !ok || one.SLAAC(a.GlobalPrefix, m) != ip && one.SLAAC(a.ULAPrefix, m) != ip {
		return 0, false
	}
	return i, true
}

// nextFree searches the range circularly from where the last lease was found.
func nextFree(tx *store.Tx, net int, a one.AR) (uint32, bool) {
	rangeKey := one.MakeLeaseKey(net, a.ID, 0)
	if uint32(tx.ARUsage.At(rangeKey)) >= a.Size {
		return 0, false
	}
	start := tx.LeaseHints.At(rangeKey)
	if start >= a.Size {
		start = 0
	}
	if i, ok := firstGap(tx, net, a.ID, start, a.Size); ok {
		return i, true
	}
	return firstGap(tx, net, a.ID, 0, start)
}

// firstGap returns the first index in [from, to) that has no lease. It walks the
// leases in order, so a run of taken addresses costs one step each.
func firstGap(tx *store.Tx, net, ar int, from, to uint32) (uint32, bool) {
	next := from
	for k := range tx.Leases.From(one.MakeLeaseKey(net, ar, from)) {
		n, a, i := k.Parts()
		if n != net || a != ar || i != next {
			break
		}
		next++
		if next >= to {
			return 0, false
		}
	}
	return next, next < to
}

func putLease(tx *store.Tx, net, ar int, i uint32, by leaseOwner) {
	tx.PutLease(&one.Lease{Net: net, AR: ar, Index: i, Owner: by.kind, OwnerID: by.id})
}

// freeNIC frees the lease a NIC vector holds, if it is still the owner's.
func freeNIC(tx *store.Tx, nic tmpl.Vector, by leaseOwner) {
	k, ok := leaseKeyOf(&tx.State, nic)
	if !ok {
		return
	}
	if l, ok := tx.Leases.Get(k); ok && l.Owner == by.kind && l.OwnerID == by.id {
		tx.DeleteLease(k)
	}
}

// leaseKeyOf finds which lease a NIC vector holds, by network, range and MAC.
func leaseKeyOf(st *store.State, nic tmpl.Vector) (one.LeaseKey, bool) {
	net, ok1 := atoi(nic.Get("NETWORK_ID"))
	ar, ok2 := atoi(nic.Get("AR_ID"))
	n, ok3 := st.VNets.Get(net)
	if !ok1 || !ok2 || !ok3 {
		return 0, false
	}
	a, ok := n.AR(ar)
	if !ok {
		return 0, false
	}
	if m, ok := one.ParseMAC(nic.Get("MAC")); ok {
		if i, in := a.IndexOfMAC(m); in {
			return one.MakeLeaseKey(net, ar, i), true
		}
	}
	if ip, err := netip.ParseAddr(nic.Get("IP")); err == nil {
		if i, in := a.IndexOfIP(ip); in {
			return one.MakeLeaseKey(net, ar, i), true
		}
	}
	return 0, false
}

// leaseAttrs sets the addresses of a lease in a NIC vector.
func leaseAttrs(nic tmpl.Vector, a one.AR, i uint32) tmpl.Vector {
	mac := a.MACAt(i)
	nic = nic.With("MAC", mac.String()).With("AR_ID", itoa(a.ID))
	if ip := a.IPAt(i); ip.IsValid() {
		nic = nic.With("IP", ip.String())
	}
	if a.Type.HasSLAAC() {
		nic = nic.With("IP6_LINK", one.SLAAC(one.LinkLocal, mac).String())
		if ip := one.SLAAC(a.GlobalPrefix, mac); ip.IsValid() {
			nic = nic.With("IP6_GLOBAL", ip.String())
		}
		if ip := one.SLAAC(a.ULAPrefix, mac); ip.IsValid() {
			nic = nic.With("IP6_ULA", ip.String())
		}
	}
	if ip := a.IP6At(i); ip.IsValid() {
		nic = nic.With("IP6", ip.String()).With("IP6_LINK", one.SLAAC(one.LinkLocal, mac).String())
		if a.PrefixLength != "" {
			nic = nic.With("PREFIX_LENGTH", a.PrefixLength)
		}
	}
	return nic
}
