package cloud

import (
	"context"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// maxReservation bounds a reservation: a /16, each of whose addresses is an entry
// of the parent's lease table in memory.
const maxReservation = 1 << 16

// Reserve takes a block of addresses of a network for a new network, or for one
// that is a reservation of it already, and returns that network's id.
// Source: resources reference §6.3.
func (c *Cloud) Reserve(ctx context.Context, who auth.Caller, id int, t *tmpl.Template) (int, error) {
	out := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		parent, err := c.vnetFor(tx, who, id, one.Use, "one.vn.reserve")
		if err != nil {
			return err
		}
		out, err = c.reserve(tx, who, parent, t)
		return err
	})
	return out, err
}

func (c *Cloud) reserve(tx *store.Tx, who auth.Caller, parent *one.VNet, t *tmpl.Template) (int, error) {
	refuse := func(format string, args ...any) (int, error) {
		return -1, errs.New(errs.Action, format, args...).About(parent.ID)
	}
	size, err := strconv.ParseUint(t.Get("SIZE"), 10, 32)
	if err != nil || size == 0 {
		return refuse("Reservation SIZE must be a greater than 0")
	}
	if size > maxReservation {
		return refuse("Reservation SIZE %d is too large: at most %d addresses at once; repeat it with NETWORK_ID for more", size, maxReservation)
	}
	if parent.ParentID >= 0 {
		return refuse("Cannot reserve addresses from a reserved VNET")
	}
	n, err := c.reservationTarget(tx, who, parent, t)
	if err != nil {
		return -1, err
	}
	a, first, err := c.findBlock(tx, parent, t, uint32(size))
	if err != nil {
		return -1, err
	}
	r := one.AR{
		ID: n.NextAR, Type: a.Type, Size: uint32(size), MAC: a.MACAt(first), IP: a.IPAt(first), IP6: a.IP6At(first),
		PrefixLength: a.PrefixLength, GlobalPrefix: a.GlobalPrefix, ULAPrefix: a.ULAPrefix, ParentAR: a.ID, ParentIndex: first, Attrs: a.Attrs,
	}
	n = n.WithAR(r)
	n.NextAR++
	tx.PutVNet(n)
	req := one.Usage{Networks: map[int]one.NetworkQuota{parent.ID: {Leases: float64(size)}}}
	return n.ID, c.checkQuota(&tx.State, who.UID, n.UID, n.GID, req)
}

// reservationTarget returns the network a reservation goes to.
func (c *Cloud) reservationTarget(tx *store.Tx, who auth.Caller, parent *one.VNet, t *tmpl.Template) (*one.VNet, error) {
	if s := t.Get("NETWORK_ID"); s != "" {
		id, isID := atoi(s)
		if !isID {
			return nil, errs.New(errs.Action, "Wrong NETWORK_ID %q for reservation: expected the id of a network", s).About(parent.ID)
		}
		n, ok := tx.VNets.Get(id)
		if !ok {
			return nil, errs.NotFound(one.KindNet, id)
		}
		if err := c.allow(&tx.State, who, target(n), one.Manage); err != nil {
			return nil, err
		}
		if n.ParentID != parent.ID {
			return nil, errs.New(errs.Action, "Cannot add reservations to a non-reservation VNET").About(id)
		}
		return n, nil
	}
	name := vnetName(t)
	if name == "" {
		return nil, errs.New(errs.Action, "NAME for reservation has to be set").About(parent.ID)
	}
	if err := one.CheckName(name); err != nil {
		return nil, errs.Wrap(errs.Internal, err)
	}
	if err := checkFreeName(&tx.State, one.KindNet, who.UID, name); err != nil {
		return nil, err
	}
	n := *parent
	n.Meta = c.newMeta(who, tx.NextID("vnet", 0), name)
	n.ParentID, n.ARs, n.NextAR, n.Since = parent.ID, nil, 0, c.now().UnixMilli()
	return &n, nil
}

// findBlock finds a run of free addresses: at the address that is asked for, in
// the range that is asked for, or the first that is long enough.
func (c *Cloud) findBlock(tx *store.Tx, parent *one.VNet, t *tmpl.Template, size uint32) (one.AR, uint32, error) {
	refuse := func(text string) (one.AR, uint32, error) {
		return one.AR{}, 0, errs.New(errs.Action, "%s", text).About(parent.ID)
	}
	at := tmpl.Vector{}
	for _, k := range []string{"IP", "IP6", "MAC"} {
		if s := t.Get(k); s != "" {
			at = at.With(k, s)
		}
	}
	arID := t.Get("AR_ID")
	if len(at) > 0 && arID == "" {
		return refuse("AR_ID must be specified for IP/MAC based reservations")
	}
	for _, a := range parent.ARs {
		if arID != "" && arID != itoa(a.ID) {
			continue
		}
		if len(at) > 0 {
			_, i, err := findLease(parent, at.With("AR_ID", arID))
			if err != nil {
				return one.AR{}, 0, err
			}
			if uint64(i)+uint64(size) > uint64(a.Size) || !allFree(tx, parent.ID, a.ID, i, size) {
				return refuse("Not enough free addresses in an address range")
			}
			return a, i, nil
		}
		if i, ok := freeRun(tx, parent.ID, a, size); ok {
			return a, i, nil
		}
	}
	return refuse("Not enough free addresses in an address range")
}

func allFree(tx *store.Tx, net, ar int, first, size uint32) bool {
	for k := range tx.Leases.From(one.MakeLeaseKey(net, ar, first)) {
		n, a, i := k.Parts()
		return n != net || a != ar || i >= first+size
	}
	return true
}

// freeRun finds the first run of free addresses of a length, walking the leases
// in order: the gaps between them are the candidates.
func freeRun(tx *store.Tx, net int, a one.AR, size uint32) (uint32, bool) {
	next := uint32(0)
	for k := range tx.Leases.From(one.MakeLeaseKey(net, a.ID, 0)) {
		n, ar, i := k.Parts()
		if n != net || ar != a.ID {
			break
		}
		if i-next >= size {
			return next, true
		}
		next = i + 1
	}
	return next, uint64(next)+uint64(size) <= uint64(a.Size)
}
