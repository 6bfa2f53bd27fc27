package cloud

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// maxARSize bounds an address range: a lease is named by 32 bits of index, and
// more than a /8 of addresses is a mistake.
const maxARSize = 1 << 24

// arFieldAttrs are the attributes of a range that are fields; the rest is kept.
var arFieldAttrs = []string{
	"AR_ID", "TYPE", "SIZE", "MAC", "IP", "IP6", "PREFIX_LENGTH", "GLOBAL_PREFIX", "ULA_PREFIX", "PARENT_NETWORK_AR_ID",
	"MAC_END", "IP_END", "IP6_END", "IP6_ULA", "IP6_ULA_END", "IP6_GLOBAL", "IP6_GLOBAL_END", "USED_LEASES", "LEASES", "ALLOCATED",
}

// newAR reads an AR vector as the next range of a network.
// Source: resources reference §6.2.
func (c *Cloud) newAR(n *one.VNet, v tmpl.Vector) (one.AR, error) {
	bad := func(format string, args ...any) (one.AR, error) {
		return one.AR{}, errs.New(errs.Internal, "%s", fmt.Sprintf(format, args...))
	}
	typ, ok := one.ParseARType(firstOf(v.Get("TYPE"), "IP4"))
	if !ok {
		return bad("Unknown type %q for an Address Range: expected IP4, IP6, IP4_6, IP6_STATIC, IP4_6_STATIC or ETHER", v.Get("TYPE"))
	}
	size, err := strconv.ParseUint(v.Get("SIZE"), 10, 32)
	if err != nil || size == 0 {
		return bad("Wrong SIZE (%s) for address range", v.Get("SIZE"))
	}
	if size > maxARSize {
		return bad("Wrong SIZE (%s) for address range: at most %d addresses", v.Get("SIZE"), maxARSize)
	}
	if n.NextAR >= one.MaxARs {
		return bad("a network has at most %d address ranges", one.MaxARs)
	}
	a := one.AR{ID: n.NextAR, Type: typ, Size: uint32(size), ParentAR: -1, PrefixLength: v.Get("PREFIX_LENGTH")}
	if typ.HasIP4() {
		if a.IP, err = netip.ParseAddr(v.Get("IP")); err != nil || !a.IP.Is4() {
			return bad("Wrong format for IP attribute: %q", v.Get("IP"))
		}
	}
	if typ.HasStatic6() {
		if a.IP6, err = netip.ParseAddr(v.Get("IP6")); err != nil || !isIP6(a.IP6) {
			return bad("Wrong format for IP6 attribute: %q", v.Get("IP6"))
		}
		if p, err := strconv.Atoi(a.PrefixLength); err != nil || p < 1 || p > 128 {
			return bad("Wrong PREFIX_LENGTH for IP6 address range: %q", a.PrefixLength)
		}
	}
	if typ.HasSLAAC() {
		for attr, to := range map[string]*netip.Addr{"GLOBAL_PREFIX": &a.GlobalPrefix, "ULA_PREFIX": &a.ULAPrefix} {
			if s := v.Get(attr); s != "" {
				if *to, err = netip.ParseAddr(s); err != nil || !isIP6(*to) {
					return bad("Wrong format for IP6 prefix %s: %q", attr, s)
				}
			}
		}
	}
	if s := v.Get("MAC"); s != "" {
		if a.MAC, ok = one.ParseMAC(s); !ok {
			return bad("Wrong format for MAC attribute: %q", s)
		}
	} else if a.IP.IsValid() {
		a.MAC = one.MACOf(c.cfg.MACPrefix, a.IP)
	} else {
		var b [4]byte
		if _, err := rand.Read(b[:]); err != nil {
			return one.AR{}, fmt.Errorf("make a MAC: %w", err)
		}
		// Room is left above, so that the range does not run over the prefix.
		a.MAC = one.MAC(c.cfg.MACPrefix)<<32 | one.MAC(binary.BigEndian.Uint32(b[:])&^(maxARSize-1)>>1)
	}
	if beyondEnd(a) {
		return bad("Wrong SIZE (%s) for address range: it goes beyond the last address", v.Get("SIZE"))
	}
	a.Attrs = attrsOf(v)
	return a, nil
}

// isIP6 tells whether an address is a plain IPv6 one.
func isIP6(a netip.Addr) bool { return a.Is6() && !a.Is4In6() && a.Zone() == "" }

// beyondEnd tells whether a range does not end before its kind of address does:
// what came after would begin anew, and not be found in the range any more.
func beyondEnd(a one.AR) bool {
	last := a.Size - 1
	return a.MACAt(last) > maxMAC || a.IPAt(last).Less(a.IP) || a.IP6At(last).Less(a.IP6)
}

// maxMAC is the last hardware address.
const maxMAC = 1<<48 - 1

// attrsOf returns the attributes of a range that are not fields.
func attrsOf(v tmpl.Vector) *tmpl.Template {
	var t *tmpl.Template
	for _, p := range v.Without(arFieldAttrs...) {
		t = t.With(p.Name, p.Value)
	}
	return t
}

// AddAR adds address ranges to a network.
func (c *Cloud) AddAR(ctx context.Context, who auth.Caller, id int, t *tmpl.Template) error {
	return c.update(ctx, func(tx *store.Tx) error {
		n, err := c.vnetFor(tx, who, id, one.Admin, "one.vn.add_ar")
		if err != nil {
			return err
		}
		if n.ParentID >= 0 {
			return errs.New(errs.Action, "Cannot add address ranges to a reservation").About(id)
		}
		ars := t.Vectors("AR")
		if len(ars) == 0 {
			return errs.New(errs.Action, "Wrong AR definition: expected AR=[TYPE=…, SIZE=…, …]").About(id)
		}
		for _, v := range ars {
			a, err := c.newAR(n, v)
			if err != nil {
				return err
			}
			n = n.WithAR(a)
			n.NextAR = a.ID + 1
		}
		tx.PutVNet(n)
		return nil
	})
}

// RemoveAR removes an address range; one with leases only by force.
func (c *Cloud) RemoveAR(ctx context.Context, who auth.Caller, id, ar int, force bool) error {
	return c.update(ctx, func(tx *store.Tx) error {
		n, err := c.vnetFor(tx, who, id, one.Admin, "one.vn.rm_ar")
		if err != nil {
			return err
		}
		return c.removeAR(tx, n, ar, force)
	})
}

// FreeAR gives a reserved range back to the parent network; the leases there
// follow from the reservation's ranges.
func (c *Cloud) FreeAR(ctx context.Context, who auth.Caller, id, ar int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		n, err := c.vnetFor(tx, who, id, one.Manage, "one.vn.free_ar")
		if err != nil {
			return err
		}
		if n.ParentID < 0 {
			return errs.New(errs.Action, "Reservation does not exist in the network").About(id)
		}
		return c.removeAR(tx, n, ar, false)
	})
}

func (c *Cloud) removeAR(tx *store.Tx, n *one.VNet, ar int, force bool) error {
	if _, ok := n.AR(ar); !ok {
		return errs.New(errs.Action, "Address Range does not exist").About(n.ID)
	}
	var leases []one.LeaseKey
	for k, l := range tx.Leases.From(one.MakeLeaseKey(n.ID, ar, 0)) {
		if l.Net != n.ID || l.AR != ar {
			break
		}
		// Reservations live on their parent's range: they go first.
		if !force || l.Owner == one.LeaseVNet {
			return errs.New(errs.Action, "Address Range has leases in use").About(n.ID)
		}
		leases = append(leases, k)
	}
	for _, k := range leases {
		tx.DeleteLease(k)
	}
	tx.PutVNet(n.WithoutAR(ar))
	return nil
}

// UpdateAR changes an address range: its size as far as leases allow, and all
// attributes that are no addresses. Source: XML-RPC reference §7.8.
func (c *Cloud) UpdateAR(ctx context.Context, who auth.Caller, id int, t *tmpl.Template) error {
	return c.update(ctx, func(tx *store.Tx) error {
		n, err := c.vnetFor(tx, who, id, one.Manage, "one.vn.update_ar")
		if err != nil {
			return err
		}
		ars := t.Vectors("AR")
		if len(ars) == 0 {
			return errs.New(errs.Action, "Wrong AR definition: expected AR=[AR_ID=…, …]").About(id)
		}
		for _, v := range ars {
			ar, ok := atoi(v.Get("AR_ID"))
			a, found := n.AR(ar)
			if !ok || !found {
				return errs.New(errs.Action, "Address Range does not exist").About(id)
			}
			if n, err = c.updateAR(tx, who, n, a, v); err != nil {
				return err
			}
		}
		tx.PutVNet(n)
		return nil
	})
}

func (c *Cloud) updateAR(tx *store.Tx, who auth.Caller, n *one.VNet, a one.AR, v tmpl.Vector) (*one.VNet, error) {
	if s := v.Get("SIZE"); s != "" && s != strconv.FormatUint(uint64(a.Size), 10) {
		size, err := strconv.ParseUint(s, 10, 32)
		switch {
		case err != nil || size == 0 || size > maxARSize:
			return nil, errs.New(errs.Action, "Wrong SIZE (%s) for address range", s).About(n.ID)
		case n.ParentID >= 0:
			return nil, errs.New(errs.Action, "The SIZE of reservations cannot be updated").About(n.ID)
		}
		for k := range tx.Leases.From(one.MakeLeaseKey(n.ID, a.ID, uint32(size))) {
			if net, ar, _ := k.Parts(); net == n.ID && ar == a.ID {
				return nil, errs.New(errs.Action, "Cannot shrink address range: there are leases in use beyond the new size").About(n.ID)
			}
			break
		}
		if a.Size = uint32(size); beyondEnd(a) {
			return nil, errs.New(errs.Action, "Wrong SIZE (%s) for address range: it goes beyond the last address", s).About(n.ID)
		}
	}
	for attr, to := range map[string]*netip.Addr{"GLOBAL_PREFIX": &a.GlobalPrefix, "ULA_PREFIX": &a.ULAPrefix} {
		if s := v.Get(attr); s != "" && a.Type.HasSLAAC() {
			p, err := netip.ParseAddr(s)
			if err != nil || !isIP6(p) {
				return nil, errs.New(errs.Action, "Wrong format for IP6 prefix %s: %q", attr, s).About(n.ID)
			}
			*to = p
		}
	}
	next := attrsOf(v)
	if !who.Admin {
		old := tmpl.New(tmpl.Attr{Name: "AR", Vector: vectorOf(a.Attrs)})
		if attr, bad, _ := vnetRestricted.CheckUpdate(old, tmpl.New(tmpl.Attr{Name: "AR", Vector: vectorOf(next)}), true); bad {
			return nil, errs.New(errs.Internal, "Cannot update template. Tried to change restricted attribute: %s", attr).About(n.ID)
		}
	}
	a.Attrs = next
	return n.WithAR(a), nil
}

// vectorOf returns a template's single attributes as a vector.
func vectorOf(t *tmpl.Template) tmpl.Vector {
	v := tmpl.Vector{}
	for _, a := range t.All() {
		v = v.With(a.Name, a.Value)
	}
	return v
}
