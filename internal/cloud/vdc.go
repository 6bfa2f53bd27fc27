package cloud

import (
	"context"
	"slices"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// vdcRules are the rules a VDC stands for: each of its groups may use each of
// its resources. Source: identity reference §8.3.
func vdcRules(v *one.VDC) []one.ACLRule {
	var out []one.ACLRule
	for _, g := range v.Groups {
		add := func(kind one.Kind, selector uint64, e one.VDCEntry, r one.Right) {
			n := selector | uint64(uint32(e.ID))
			if e.ID == one.AllResources {
				n = one.ACLAll
			}
			out = append(out, one.ACLRule{
				User: one.ACLGroup | uint64(uint32(g)), Resource: kind.ACLType() | n, Rights: uint64(r),
				Zone: one.ACLIndividual | uint64(uint32(e.Zone)),
			})
		}
		for _, e := range v.Clusters {
			add(one.KindHost, one.ACLCluster, e, one.Manage)
			add(one.KindNet, one.ACLCluster, e, one.Use)
			add(one.KindDatastore, one.ACLCluster, e, one.Use)
		}
		for _, e := range v.Hosts {
			add(one.KindHost, one.ACLIndividual, e, one.Manage)
		}
		for _, e := range v.VNets {
			add(one.KindNet, one.ACLIndividual, e, one.Use)
		}
		for _, e := range v.Datas {
			add(one.KindDatastore, one.ACLIndividual, e, one.Use)
		}
	}
	return out
}

// syncVDC brings the rules from one version of a VDC to the next. A rule that
// another VDC stands for as well stays: the original drops it, which takes away
// a right that nobody revoked.
func (c *Cloud) syncVDC(tx *store.Tx, old, now *one.VDC) {
	had, want := ruleSet(old), ruleSet(now)
	gone := map[one.ACLRule]bool{}
	for r := range had {
		if !want[r] {
			gone[r] = true
		}
	}
	if len(gone) > 0 {
		for _, v := range tx.VDCs.All() {
			if v.ID != now.ID {
				for _, r := range vdcRules(v) {
					delete(gone, r)
				}
			}
		}
	}
	// In the order of the rules, not of a map: their ids follow from it.
	for _, r := range vdcRules(old) {
		if gone[r] {
			c.dropRule(tx, r)
		}
	}
	for _, r := range vdcRules(now) {
		if !had[r] {
			c.addRule(tx, r)
		}
	}
}

func ruleSet(v *one.VDC) map[one.ACLRule]bool {
	set := map[one.ACLRule]bool{}
	for _, r := range vdcRules(v) {
		set[r] = true
	}
	return set
}

// VDCInfo returns a VDC the caller may use, and the state it was read from.
func (c *Cloud) VDCInfo(who auth.Caller, id int) (*View, *one.VDC, error) {
	st := c.store.View()
	v, err := c.vdcFor(st, who, id, one.Use)
	return st, v, err
}

// AllocateVDC creates a VDC. Source: XML-RPC reference §7.7.
func (c *Cloud) AllocateVDC(ctx context.Context, who auth.Caller, t *tmpl.Template) (int, error) {
	id := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		if err := c.allowCreate(&tx.State, who, one.KindVDC); err != nil {
			return err
		}
		id = tx.NextID("vdc", one.FirstCustomID)
		name, err := checkedName(firstOf(t.Get("NAME"), "vdc-"+itoa(id)))
		if err != nil {
			return err
		}
		if err := nameTaken(&tx.VDCNames, "Vdc", name); err != nil {
			return err
		}
		tx.PutVDC(&one.VDC{ID: id, Name: name, Template: t.Without("NAME")})
		return nil
	})
	return id, err
}

// changeVDC changes a copy of a VDC on which the caller has a right, and what else
// the call asks for (asked may be nil), and brings the rules along.
func (c *Cloud) changeVDC(ctx context.Context, who auth.Caller, id int, r one.Right, asked func(*store.State) ([]ask, error), f func(*store.Tx, *one.VDC) error) error {
	return c.update(ctx, func(tx *store.Tx) error {
		v, ok := tx.VDCs.Get(id)
		if !ok {
			return errs.NotFound(one.KindVDC, id)
		}
		asks := []ask{{vdcTarget(id), r}}
		if asked != nil {
			more, err := asked(&tx.State)
			if err != nil {
				return err
			}
			asks = append(asks, more...)
		}
		if err := c.allowAll(&tx.State, who, asks...); err != nil {
			return err
		}
		n := *v
		for _, list := range []*[]one.VDCEntry{&n.Clusters, &n.Hosts, &n.Datas, &n.VNets} {
			*list = slices.Clone(*list)
		}
		if err := f(tx, &n); err != nil {
			return err
		}
		tx.PutVDC(&n)
		c.syncVDC(tx, v, &n)
		return nil
	})
}

// UpdateVDC replaces (0) or merges (1) a VDC's template.
func (c *Cloud) UpdateVDC(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	return c.changeVDC(ctx, who, id, one.Manage, nil, func(_ *store.Tx, n *one.VDC) error {
		body, err := c.mergeUpdate(who, one.KindVDC, nil, n.Template, change, appendMode)
		n.Template = body
		return err
	})
}

// RenameVDC gives a VDC another name.
func (c *Cloud) RenameVDC(ctx context.Context, who auth.Caller, id int, name string) error {
	return c.changeVDC(ctx, who, id, one.Manage, nil, func(tx *store.Tx, n *one.VDC) error {
		if err := renamed(&tx.VDCNames, one.KindVDC, id, n.Name, name); err != nil {
			return err
		}
		n.Name = name
		return nil
	})
}

// DeleteVDC removes a VDC that is not a system one, and its rules.
func (c *Cloud) DeleteVDC(ctx context.Context, who auth.Caller, id int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.vdcFor(&tx.State, who, id, one.Admin)
		if err != nil {
			return err
		}
		if id < one.FirstCustomID {
			return errs.New(errs.Action, "Cannot delete VDC. System VDCs (ID < 100) cannot be deleted.").About(id)
		}
		empty := *v
		empty.Groups = nil
		c.syncVDC(tx, v, &empty)
		tx.DeleteVDC(id)
		c.dropRulesOf(tx, one.KindVDC, id)
		return nil
	})
}

// SetVDCGroup puts a group into a VDC (in) or takes it out.
func (c *Cloud) SetVDCGroup(ctx context.Context, who auth.Caller, id, gid int, in bool) error {
	asked := func(st *store.State) ([]ask, error) {
		if _, ok := st.Groups.Get(gid); !ok {
			return nil, errs.NotFound(one.KindGroup, gid)
		}
		return []ask{{groupTarget(gid), one.Admin}}, nil
	}
	return c.changeVDC(ctx, who, id, one.Admin, asked, func(_ *store.Tx, n *one.VDC) error {
		has := slices.Contains(n.Groups, gid)
		switch {
		case in && has:
			return errs.New(errs.Internal, "Group %d is already assigned to the VDC %d", gid, id).About(id)
		case !in && !has:
			return errs.New(errs.Internal, "Group %d is not assigned to the VDC %d", gid, id).About(id)
		case in:
			n.Groups = insertInt(n.Groups, gid)
		default:
			n.Groups = removeInt(n.Groups, gid)
		}
		return nil
	})
}

// SetVDCResource puts a cluster, host, datastore or network (one.AllResources: all
// of them) of a zone into a VDC (in) or takes it out.
func (c *Cloud) SetVDCResource(ctx context.Context, who auth.Caller, id int, kind one.Kind, zone, resource int, in bool) error {
	asked := func(st *store.State) ([]ask, error) {
		if _, ok := st.Zones.Get(zone); !ok {
			return nil, errs.NotFound(one.KindZone, zone)
		}
		asks := []ask{{zoneTarget(zone), one.Admin}}
		if resource == one.AllResources || zone != c.cfg.Zone {
			return asks, nil // there is nothing here to ask a right on
		}
		t, err := resourceTarget(st, kind, resource)
		if err != nil {
			if in {
				return nil, err
			}
			return asks, nil // what is gone can still be taken out
		}
		return append(asks, ask{t, one.Admin}), nil
	}
	return c.changeVDC(ctx, who, id, one.Admin, asked, func(_ *store.Tx, n *one.VDC) error {
		list := vdcList(n, kind)
		if list == nil {
			return errs.New(errs.Internal, "a VDC holds no resources of kind %s", kind).About(id)
		}
		e := one.VDCEntry{Zone: zone, ID: resource}
		has := slices.Contains(*list, e)
		switch {
		case in && has:
			return errs.New(errs.Internal, "%s %d from Zone %d is already assigned to the VDC", kind, resource, zone).About(id)
		case !in && !has:
			return errs.New(errs.Internal, "%s %d from Zone %d is not assigned to the VDC ", kind, resource, zone).About(id)
		case !in:
			*list = slices.DeleteFunc(*list, func(o one.VDCEntry) bool { return o == e })
		case resource == one.AllResources:
			*list = append(slices.DeleteFunc(*list, func(o one.VDCEntry) bool { return o.Zone == zone }), e)
		default:
			*list = append(*list, e)
		}
		return nil
	})
}

// vdcList returns a VDC's entries of a kind, nil for kinds it does not hold.
func vdcList(v *one.VDC, kind one.Kind) *[]one.VDCEntry {
	switch kind {
	case one.KindCluster:
		return &v.Clusters
	case one.KindHost:
		return &v.Hosts
	case one.KindDatastore:
		return &v.Datas
	case one.KindNet:
		return &v.VNets
	}
	return nil
}

// resourceTarget returns what a right on a VDC's resource is asked of.
func resourceTarget(st *store.State, kind one.Kind, id int) (auth.Target, error) {
	switch kind {
	case one.KindCluster:
		if _, ok := st.Clusters.Get(id); ok {
			return clusterTarget(id), nil
		}
	case one.KindHost:
		if h, ok := st.Hosts.Get(id); ok {
			return hostTarget(h), nil
		}
	default:
		if o, ok := st.Owned(kind, id); ok {
			return target(o), nil
		}
	}
	return auth.Target{}, errs.NotFound(kind, id)
}
