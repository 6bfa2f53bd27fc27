package cloud

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// PoolQuery says which objects of a pool are wanted, and which part of them.
// Source: XML-RPC reference §4.
type PoolQuery struct {
	// Filter is one of the constants below, or the id of the user whose objects
	// are wanted.
	Filter int
	// Start and End are a range of ids, or with End below -1 a page: Start rows
	// are left out, and -End rows follow. Start below 0 means everything.
	Start, End int
}

// Filters of pool queries.
const (
	FilterGroup = -4 // the objects of the caller's primary group
	FilterMine  = -3 // the caller's own
	FilterAll   = -2 // whatever the caller may use
	FilterOurs  = -1 // the caller's own, and of his groups' objects those he may use
)

// Everything asks for a whole pool.
var Everything = PoolQuery{Filter: FilterAll, Start: -1, End: -1}

// States of VMs that a query may ask for beside a state itself.
const (
	AnyState = -2 // VMs in DONE too
	NotDone  = -1
)

// VMPool returns VMs in a state, or those that AnyState and NotDone mean.
// search leaves those that match; see matches.
func (c *Cloud) VMPool(who auth.Caller, q PoolQuery, state int, search string) (*View, iter.Seq[*one.VM], error) {
	st := c.store.View()
	desc := c.descending(st, who)
	all := ordered(&st.VMs, desc)
	switch {
	case state < AnyState || state > int(one.VMCloningFailure):
		return nil, nil, errs.New(errs.API, "Incorrect filter_flag, state")
	case state == int(one.VMDone):
		all = ordered(&st.DoneVMs, desc)
	case state == AnyState:
		all = merged(all, ordered(&st.DoneVMs, desc), desc)
	}
	match, err := newSearch(search)
	if err != nil {
		return nil, nil, err
	}
	rows, err := owned(c, st, who, one.KindVM, q, all, func(v *one.VM) bool {
		return (state < 0 || int(v.State) == state) && match.vm(v)
	})
	return st, rows, err
}

// VMSet returns those of the VMs that exist and that the caller may use.
func (c *Cloud) VMSet(who auth.Caller, ids []int) (*View, iter.Seq[*one.VM]) {
	st := c.store.View()
	sees := c.sight(st, who, one.KindVM)
	return st, func(yield func(*one.VM) bool) {
		for _, id := range ids {
			if v, ok := st.VM(id); ok && sees.owned(v) && !yield(v) {
				return
			}
		}
	}
}

// VMHistory returns the records of VMs, whatever their state, that overlap a
// time from start to end (epoch seconds, -1 open), by VM and sequence.
// Source: XML-RPC reference §7.3.
func (c *Cloud) VMHistory(who auth.Caller, filter int, start, end int64) (*View, iter.Seq2[*one.VM, *one.History], error) {
	st := c.store.View()
	all := merged(st.VMs.All(), st.DoneVMs.All(), false)
	vms, err := owned(c, st, who, one.KindVM, PoolQuery{filter, -1, -1}, all, nil)
	return st, func(yield func(*one.VM, *one.History) bool) {
		for v := range vms {
			for _, h := range v.History {
				in := (start < 0 || h.ETime == 0 || h.ETime > start) && (end < 0 || h.STime < end)
				if in && !yield(v, h) {
					return
				}
			}
		}
	}, err
}

// TemplatePool returns VM templates.
func (c *Cloud) TemplatePool(who auth.Caller, q PoolQuery) (*View, iter.Seq[*one.VMTemplate], error) {
	st := c.store.View()
	rows, err := owned(c, st, who, one.KindTemplate, q, ordered(&st.Templates, c.descending(st, who)), nil)
	return st, rows, err
}

// VNTemplatePool returns templates of networks.
func (c *Cloud) VNTemplatePool(who auth.Caller, q PoolQuery) (*View, iter.Seq[*one.VNTemplate], error) {
	st := c.store.View()
	rows, err := owned(c, st, who, one.KindVNTemplate, q, ordered(&st.VNTemplates, c.descending(st, who)), nil)
	return st, rows, err
}

// ImagePool returns images.
func (c *Cloud) ImagePool(who auth.Caller, q PoolQuery) (*View, iter.Seq[*one.Image], error) {
	st := c.store.View()
	rows, err := owned(c, st, who, one.KindImage, q, ordered(&st.Images, c.descending(st, who)), nil)
	return st, rows, err
}

// VNetPool returns networks.
func (c *Cloud) VNetPool(who auth.Caller, q PoolQuery) (*View, iter.Seq[*one.VNet], error) {
	st := c.store.View()
	rows, err := owned(c, st, who, one.KindNet, q, ordered(&st.VNets, c.descending(st, who)), nil)
	return st, rows, err
}

// SecGroupPool returns security groups.
func (c *Cloud) SecGroupPool(who auth.Caller, q PoolQuery) (*View, iter.Seq[*one.SecurityGroup], error) {
	st := c.store.View()
	rows, err := owned(c, st, who, one.KindSecGroup, q, ordered(&st.SecGroups, c.descending(st, who)), nil)
	return st, rows, err
}

// VRouterPool returns virtual routers.
func (c *Cloud) VRouterPool(who auth.Caller, q PoolQuery) (*View, iter.Seq[*one.VRouter], error) {
	st := c.store.View()
	rows, err := owned(c, st, who, one.KindVRouter, q, ordered(&st.VRouters, c.descending(st, who)), nil)
	return st, rows, err
}

// DocumentPool returns the documents of a type.
func (c *Cloud) DocumentPool(who auth.Caller, q PoolQuery, typ int) (*View, iter.Seq[*one.Document], error) {
	st := c.store.View()
	of := func(d *one.Document) bool { return d.Type == typ }
	rows, err := owned(c, st, who, one.KindDocument, q, ordered(&st.Documents, c.descending(st, who)), of)
	return st, rows, err
}

// DatastorePool returns the datastores the caller may use.
func (c *Cloud) DatastorePool(who auth.Caller) (*View, iter.Seq[*one.Datastore]) {
	return usable(c, who, one.KindDatastore, func(st *View) *store.Table[int, *one.Datastore] { return &st.Datastores },
		func(d *one.Datastore) auth.Target { return target(d) })
}

// HostPool returns the hosts the caller may use.
func (c *Cloud) HostPool(who auth.Caller) (*View, iter.Seq[*one.Host]) {
	return usable(c, who, one.KindHost, func(st *View) *store.Table[int, *one.Host] { return &st.Hosts }, hostTarget)
}

// ClusterPool returns the clusters the caller may use.
func (c *Cloud) ClusterPool(who auth.Caller) (*View, iter.Seq[*one.Cluster]) {
	return usable(c, who, one.KindCluster, func(st *View) *store.Table[int, *one.Cluster] { return &st.Clusters },
		func(cl *one.Cluster) auth.Target { return clusterTarget(cl.ID) })
}

// ZonePool returns the zones the caller may use.
func (c *Cloud) ZonePool(who auth.Caller) (*View, iter.Seq[*one.Zone]) {
	return usable(c, who, one.KindZone, func(st *View) *store.Table[int, *one.Zone] { return &st.Zones },
		func(z *one.Zone) auth.Target { return zoneTarget(z.ID) })
}

// VDCPool returns the VDCs the caller may use.
func (c *Cloud) VDCPool(who auth.Caller) (*View, iter.Seq[*one.VDC]) {
	return usable(c, who, one.KindVDC, func(st *View) *store.Table[int, *one.VDC] { return &st.VDCs },
		func(v *one.VDC) auth.Target { return vdcTarget(v.ID) })
}

// UserPool returns the users the caller may use.
func (c *Cloud) UserPool(who auth.Caller) (*View, iter.Seq[*one.User]) {
	return usable(c, who, one.KindUser, func(st *View) *store.Table[int, *one.User] { return &st.Users }, userTarget)
}

// GroupPool returns the groups the caller may use.
func (c *Cloud) GroupPool(who auth.Caller) (*View, iter.Seq[*one.Group]) {
	return usable(c, who, one.KindGroup, func(st *View) *store.Table[int, *one.Group] { return &st.Groups },
		func(g *one.Group) auth.Target { return groupTarget(g.ID) })
}

// VisibleLeases returns which leases of a network the caller may see: all when
// he manages it (nil), else those of VMs, networks and routers he may use.
// Source: XML-RPC reference §7.8.
func (c *Cloud) VisibleLeases(st *View, who auth.Caller, n *one.VNet) func(*one.Lease) bool {
	if c.allowRead(st, who, target(n), one.Manage) == nil {
		return nil
	}
	vms, nets, routers := c.sight(st, who, one.KindVM), c.sight(st, who, one.KindNet), c.sight(st, who, one.KindVRouter)
	return func(l *one.Lease) bool {
		switch l.Owner {
		case one.LeaseVM:
			v, ok := st.VM(l.OwnerID)
			return ok && vms.owned(v)
		case one.LeaseVNet:
			r, ok := st.VNets.Get(l.OwnerID)
			return ok && nets.owned(r)
		case one.LeaseVRouter:
			r, ok := st.VRouters.Get(l.OwnerID)
			return ok && routers.owned(r)
		}
		return true
	}
}

// owned yields those of the rows that a query asks for, that keep (nil: all)
// keeps, and that the caller may have. Source: XML-RPC reference §4.1 and §4.2.
func owned[T one.Owned](c *Cloud, st *View, who auth.Caller, kind one.Kind, q PoolQuery, rows iter.Seq2[int, T], keep func(T) bool) (iter.Seq[T], error) {
	if q.Filter < FilterGroup {
		return func(func(T) bool) {}, errs.New(errs.API, "Incorrect filter_flag")
	}
	sees := c.sight(st, who, kind)
	has := func(o T) bool {
		m := o.Head()
		switch q.Filter {
		case FilterGroup:
			return m.GID == who.GID
		case FilterMine:
			return m.UID == who.UID
		case FilterOurs:
			return m.UID == who.UID || who.InGroup(m.GID) && sees.owned(o)
		case FilterAll:
			return sees.owned(o)
		}
		return m.UID == q.Filter && sees.owned(o)
	}
	return cut(q, rows, func(o T) bool { return (keep == nil || keep(o)) && has(o) }), nil
}

// cut yields the part of the rows that the range or the page of a query leaves.
func cut[T any](q PoolQuery, rows iter.Seq2[int, T], keep func(T) bool) iter.Seq[T] {
	first, last, skip, count := q.Start, q.End, 0, -1
	switch {
	case q.Start < 0:
		first, last = 0, -1
	case q.End < -1:
		first, last, skip, count = 0, -1, q.Start, -q.End
	}
	return func(yield func(T) bool) {
		for id, o := range rows {
			switch {
			case id < first || last >= 0 && id > last || !keep(o):
			case skip > 0:
				skip--
			case count == 0 || !yield(o):
				return
			default:
				count--
			}
		}
	}
}

// usable yields what the caller may use of a pool that has no filters.
func usable[T any](c *Cloud, who auth.Caller, kind one.Kind, table func(*View) *store.Table[int, T], of func(T) auth.Target) (*View, iter.Seq[T]) {
	st := c.store.View()
	sees := c.sight(st, who, kind)
	return st, func(yield func(T) bool) {
		for _, o := range ordered(table(st), c.descending(st, who)) {
			if sees.target(of(o)) && !yield(o) {
				return
			}
		}
	}
}

// sight decides which objects of one kind a caller sees in lists: his own and
// those he may use, whatever is locked. It sifts the rules once, not for every
// object. Source: XML-RPC reference §4.1.
type sight struct {
	who   auth.Caller
	zone  int
	rules []*one.ACLRule // those that may give this caller the use of such objects
}

func (c *Cloud) sight(st *View, who auth.Caller, kind one.Kind) sight {
	s := sight{who: who, zone: c.cfg.Zone}
	sift := func(user uint64) {
		for _, r := range st.RulesOf(user) {
			if r.Rights&uint64(one.Use) != 0 && r.Resource&kind.ACLType() != 0 {
				s.rules = append(s.rules, r)
			}
		}
	}
	if who.Admin {
		return s
	}
	sift(one.ACLAll)
	sift(one.ACLIndividual | uint64(uint32(who.UID)))
	for _, g := range who.Groups {
		sift(one.ACLGroup | uint64(uint32(g)))
	}
	return s
}

func (s sight) owned(o one.Owned) bool { return s.who.Admin || s.target(target(o)) }

func (s sight) target(t auth.Target) bool {
	if s.who.Admin || t.UID == s.who.UID || t.Perms.Other(one.Use) || t.Perms.Group(one.Use) && s.who.InGroup(t.GID) {
		return true
	}
	return slices.ContainsFunc(s.rules, func(r *one.ACLRule) bool { return auth.Grants(r, s.zone, t, one.Use) })
}

// descending tells in which order the caller wants lists: as his own template
// says, else that of his primary group; else the newest first.
// Source: XML-RPC reference §4.2.
func (c *Cloud) descending(st *View, who auth.Caller) bool {
	var templates [2]*tmpl.Template
	if u, ok := st.Users.Get(who.UID); ok {
		templates[0] = u.Template
	}
	if g, ok := st.Groups.Get(who.GID); ok {
		templates[1] = g.Template
	}
	for _, t := range templates {
		if order := t.Vector("OPENNEBULA").Get("API_LIST_ORDER"); order != "" {
			return strings.EqualFold(order, "DESC")
		}
	}
	return true
}

func ordered[T any](t *store.Table[int, T], desc bool) iter.Seq2[int, T] {
	if desc {
		return t.Descending()
	}
	return t.All()
}

// merged yields the rows of two sequences, both in the order, as one.
func merged[T any](a, b iter.Seq2[int, T], desc bool) iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		next, stop := iter.Pull2(b)
		defer stop()
		idB, ofB, more := next()
		for id, o := range a {
			for more && (cmp.Compare(idB, id) < 0) != desc {
				if !yield(idB, ofB) {
					return
				}
				idB, ofB, more = next()
			}
			if !yield(id, o) {
				return
			}
		}
		for ; more; idB, ofB, more = next() {
			if !yield(idB, ofB) {
				return
			}
		}
	}
}

// search is what a VM must have to be listed: terms NAME=VALUE or VALUE joined
// by '&'. NAME is an attribute, or a path that ends in one, and VALUE a part of
// what it holds, upper or lower case, the characters - _ . : being the same. It
// takes what both generations of the reference's searches take (§4.4) and finds
// what they find, and more: the older one matches whole values only.
type search []searchTerm

type searchTerm struct{ name, value string }

// maxSearch bounds the terms of a search.
const maxSearch = 32

var sameInSearch = strings.NewReplacer("-", "_", ".", "_", ":", "_")

func forSearch(s string) string { return strings.ToLower(sameInSearch.Replace(s)) }

func newSearch(text string) (search, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	terms := strings.Split(text, "&")
	if len(terms) > maxSearch {
		return nil, errs.New(errs.API, "search: %d terms, expected at most %d", len(terms), maxSearch)
	}
	var s search
	for _, t := range terms {
		name, value, named := strings.Cut(strings.TrimSpace(t), "=")
		if !named {
			name, value = "", name
		}
		name = strings.TrimSuffix(name[strings.LastIndexByte(name, '.')+1:], "[*]")
		s = append(s, searchTerm{strings.ToUpper(name), forSearch(value)})
	}
	return s, nil
}

// vm tells whether a VM has all that is sought.
func (s search) vm(v *one.VM) bool {
	for _, t := range s {
		if !t.vm(v) {
			return false
		}
	}
	return true
}

func (t searchTerm) vm(v *one.VM) bool {
	if t.is("ID", itoa(v.ID)) || t.is("NAME", v.Name) || t.is("UNAME", v.UName) || t.is("GNAME", v.GName) {
		return true
	}
	if h := v.LastRecord(); h != nil {
		if t.is("HOSTNAME", h.Hostname) || t.is("HID", itoa(h.HID)) || t.is("CID", itoa(h.CID)) || t.is("DS_ID", itoa(h.DSID)) {
			return true
		}
	}
	return t.in(v.Template) || t.in(v.UserTemplate)
}

func (t searchTerm) in(body *tmpl.Template) bool {
	for _, a := range body.All() {
		if !a.IsVector() && t.is(a.Name, a.Value) {
			return true
		}
		for _, p := range a.Vector {
			if t.is(p.Name, p.Value) {
				return true
			}
		}
	}
	return false
}

func (t searchTerm) is(name, value string) bool {
	return (t.name == "" || t.name == name) && strings.Contains(forSearch(value), t.value)
}
