package sched

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/expr"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// waiting returns who is to be placed, by USER_PRIORITY, then the lowest id: all
// who wait when room was made, else those that came since.
// Source: VM lifecycle reference §8.1.
func waiting(st *store.State, r *round) []*one.VM {
	var out []ranked
	add := func(id int) {
		v, ok := st.VMs.Get(id)
		if !ok {
			return
		}
		if _, hopeless := r.stuck[id]; hopeless {
			return
		}
		// One that is off would be started by being moved: it stays marked, and goes
		// when it is resumed.
		if v.State == one.VMPending || v.Resched && (v.Running() || v.Active(one.LCMUnknown)) {
			f, _ := strconv.ParseFloat(firstOf(v.UserTemplate.Get("USER_PRIORITY"), v.Template.Get("USER_PRIORITY")), 64)
			out = append(out, ranked{v, f})
		}
	}
	if r.better {
		for id := range st.Waiting.Of(0) {
			add(id)
		}
	} else {
		for id := range r.fresh {
			add(id)
		}
	}
	slices.SortFunc(out, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.vm.ID, b.vm.ID))
	})
	vms := make([]*one.VM, len(out))
	for i, o := range out {
		vms[i] = o.vm
	}
	return vms
}

type ranked struct {
	vm       *one.VM
	priority float64
}

// move is a VM and where it goes.
type move struct {
	vm        *one.VM
	host      int
	datastore int
	extra     *tmpl.Template
}

// plan chooses places against one version of the state plus what it has given
// away itself.
type plan struct {
	st    *store.State
	zone  int
	space Space

	hosts   []*slot        // those that take VMs
	disk    map[dsOn]int64 // MB given away by this plan
	leases  map[int]int    // network → addresses given away by this plan
	short   bool           // a datastore had no room for somebody
	classes map[class]*choice
	reqs    map[string]parsedReq
	ranks   map[string]*expr.Rank
	users   map[int]auth.Caller
}

// dsOn is a datastore as one host has it; host -1 for one that all share.
type dsOn struct{ ds, host int }

// slot is a host and what is taken of it, this plan's own placements included.
type slot struct {
	*one.Host
	use   one.Capacity
	ranks map[string]int64 // by expression, as long as use stays
}

// take gives a VM its part of the host.
func (s *slot) take(need one.Capacity) {
	s.use = s.use.Add(need)
	clear(s.ranks)
}

// class is what decides which hosts and datastores come into question at all:
// VMs of one class differ only in capacity. The texts are few though VMs be many.
type class struct {
	uid                   int
	exempt                bool // owned by user or group 0: rights are not asked for
	auto, reqs            string
	autoDS, dsReqs        string
	hostRank, dsRank      string
	currentHost, resuming int
}

// choice is what a class may choose from.
type choice struct {
	mine  []*slot                  // those the owner may use
	hosts []*slot                  // of these, those that meet the requirements
	datas map[int][]*one.Datastore // cluster → system datastores, best first
	why   string                   // there is no host at all
	// whyData tells why there are no datastores.
	whyData string
}

type parsedReq struct {
	req *expr.Requirements
	err error
}

func newPlan(st *store.State, zone int, space Space) *plan {
	p := &plan{
		st: st, zone: zone, space: space, disk: map[dsOn]int64{}, leases: map[int]int{},
		classes: map[class]*choice{}, reqs: map[string]parsedReq{}, ranks: map[string]*expr.Rank{}, users: map[int]auth.Caller{},
	}
	for _, h := range st.Hosts.All() {
		if h.State == one.HostMonitored {
			p.hosts = append(p.hosts, &slot{Host: h, use: st.HostUsage.At(h.ID), ranks: map[string]int64{}})
		}
	}
	return p
}

const cannot = "Cannot dispatch VM: "

// place finds a place for a VM, or the reference's words for why there is none.
// Source: VM lifecycle reference §8.2.
func (p *plan) place(v *one.VM) (move, string) {
	if len(p.hosts) == 0 {
		return move{}, cannot + "No hosts enabled to run VMs"
	}
	m, why := p.placeAs(v, classOf(v))
	if why != "" && v.State == one.VMPending && v.Resched {
		// It was to go elsewhere, but there is no elsewhere any more: back is better
		// than nowhere.
		cl := classOf(v)
		cl.currentHost = -1
		m, why = p.placeAs(v, cl)
	}
	return m, why
}

// placeAs is place with what is to be decided by given.
func (p *plan) placeAs(v *one.VM, cl class) (move, string) {
	c, known := p.classes[cl]
	if !known {
		c = p.choose(v, cl)
		p.classes[cl] = c
	}
	need, disk := v.Capacity(), diskNeed(v)
	var without map[int]bool // hosts from which no network can be reached that will do
	whyNets := ""
	for {
		best, ds, why := p.best(c, cl, need, disk, without)
		if why != "" {
			return move{}, firstOf(whyNets, why)
		}
		nets, extra, why := p.chooseNets(v, cl.exempt, best.Host)
		if why == "" {
			best.take(need)
			for id := range nets {
				p.leases[id]++
			}
			if cl.resuming < 0 {
				p.disk[on(ds, best.ID)] += disk
			}
			return move{vm: v, host: best.ID, datastore: ds.ID, extra: extra}, ""
		}
		if whyNets = firstOf(whyNets, why); without == nil {
			without = map[int]bool{}
		}
		without[best.ID] = true
	}
}

// best returns the host of the highest rank that has room, and the datastore to
// use there; or the reference's words for why there is none.
func (p *plan) best(c *choice, cl class, need one.Capacity, disk int64, without map[int]bool) (best *slot, ds *one.Datastore, why string) {
	room, bestRank := false, int64(0)
	for _, h := range c.hosts {
		if without[h.ID] || !h.fits(need) {
			continue
		}
		room = true
		d := p.datastoreOn(c, cl, h, disk)
		if d == nil {
			continue
		}
		if r := p.rank(h, cl.hostRank); best == nil || r > bestRank {
			best, bestRank, ds = h, r, d
		}
	}
	switch fits := func(h *slot) bool { return h.fits(need) }; {
	case best != nil:
		return best, ds, ""
	case c.why != "":
		why = c.why
	case !slices.ContainsFunc(c.mine, fits):
		why = cannot + "No host with enough capacity to deploy the VM"
	case !room:
		why = cannot + "No host meets capacity and SCHED_REQUIREMENTS: " + both(cl.auto, cl.reqs)
	case c.whyData != "":
		why = c.whyData
	default:
		why = cannot + "No system datastore with enough capacity for the VM"
	}
	return nil, nil, why
}

// datastoreOn returns the system datastore to use on a host, nil if there is none
// with room. A VM that was stopped goes on where its files are.
func (p *plan) datastoreOn(c *choice, cl class, h *slot, disk int64) *one.Datastore {
	if cl.resuming < 0 {
		return p.pickDatastore(c.datas[h.ClusterID], h.ID, disk)
	}
	if d, ok := p.st.Datastores.Get(cl.resuming); ok && p.st.ClusterDatastores.Has(h.ClusterID, d.ID) {
		return d
	}
	return nil
}

// on names what a datastore has on a host: what all share has its space once.
func on(d *one.Datastore, host int) dsOn {
	if d.Template.Bool("SHARED") {
		host = -1
	}
	return dsOn{d.ID, host}
}

func classOf(v *one.VM) class {
	u := v.UserTemplate
	c := class{
		uid: v.UID, exempt: v.UID == one.OneadminID || v.GID == one.OneadminID, auto: v.Template.Get("AUTOMATIC_REQUIREMENTS"), autoDS: v.Template.Get("AUTOMATIC_DS_REQUIREMENTS"),
		reqs:        firstOf(u.Get("SCHED_REQUIREMENTS"), u.Get("REQUIREMENTS")),
		dsReqs:      u.Get("SCHED_DS_REQUIREMENTS"),
		hostRank:    firstOf(u.Get("SCHED_RANK"), u.Get("RANK")),
		dsRank:      u.Get("SCHED_DS_RANK"),
		currentHost: -1, resuming: -1,
	}
	if last := v.LastRecord(); last != nil {
		if v.Resched {
			c.currentHost = last.HID
		}
		if v.Origin != one.VMInit {
			c.resuming = last.DSID
		}
	}
	return c
}

// choose works out what a class may choose from.
func (p *plan) choose(v *one.VM, cl class) *choice {
	owner := p.caller(v.UID, cl.exempt)
	none := func(why string) *choice { return &choice{why: why} }
	var mine []*slot
	for _, h := range p.hosts {
		t := auth.Target{Kind: one.KindHost, ID: h.ID, Perms: 0o700, Clusters: []int{h.ClusterID}}
		if h.ID != cl.currentHost && auth.Allowed(p.st, p.zone, owner, t, one.Manage) {
			mine = append(mine, h)
		}
	}
	if len(mine) == 0 {
		return none(cannot + "User is not authorized to use any host")
	}
	reqs, err := p.requirements(both(cl.auto, cl.reqs))
	if err != "" {
		return none("Error in SCHED_REQUIREMENTS: '" + cl.reqs + "', error: " + err)
	}
	c := &choice{mine: mine, datas: map[int][]*one.Datastore{}}
	for _, h := range mine {
		if reqs.Match(p.hostEnv(h)) {
			c.hosts = append(c.hosts, h)
		}
	}
	if len(c.hosts) == 0 || cl.resuming >= 0 {
		return c
	}
	c.whyData = p.chooseDatas(owner, cl, c)
	return c
}

// chooseDatas fills in which system datastores serve each cluster.
func (p *plan) chooseDatas(owner auth.Caller, cl class, c *choice) string {
	dsReqs, err := p.requirements(both(cl.autoDS, cl.dsReqs))
	if err != "" {
		return "Error in SCHED_DS_REQUIREMENTS: '" + cl.dsReqs + "', error: " + err
	}
	any, allowed, matched := false, false, false
	for _, h := range c.hosts {
		if _, done := c.datas[h.ClusterID]; done {
			continue
		}
		var list []*one.Datastore
		for id := range p.st.ClusterDatastores.Of(h.ClusterID) {
			d, ok := p.st.Datastores.Get(id)
			if !ok || d.Type != one.DSSystem || d.Disabled {
				continue
			}
			any = true
			t := auth.Of(one.KindDatastore, d.Meta)
			t.Clusters = d.ClusterIDs
			if !auth.Allowed(p.st, p.zone, owner, t, one.Use) {
				continue
			}
			allowed = true
			if !dsReqs.Match(p.datastoreEnv(d)) {
				continue
			}
			matched = true
			list = append(list, d)
		}
		slices.SortStableFunc(list, func(a, b *one.Datastore) int {
			return cmp.Compare(p.rankDatastore(b, cl.dsRank), p.rankDatastore(a, cl.dsRank))
		})
		c.datas[h.ClusterID] = list
	}
	switch {
	case !any:
		return cannot + "No system datastores found to run VMs"
	case !allowed:
		return cannot + "User is not authorized to use any system datastore"
	case !matched:
		return cannot + "No system datastore meets capacity and SCHED_DS_REQUIREMENTS: " + both(cl.autoDS, cl.dsReqs)
	}
	return ""
}

func (s *slot) fits(need one.Capacity) bool {
	return s.use.CPU+need.CPU <= s.MaxCPU && s.use.Memory+need.Memory <= s.MaxMem
}

// pickDatastore returns the best datastore with room for the disks.
func (p *plan) pickDatastore(list []*one.Datastore, host int, diskMB int64) *one.Datastore {
	for _, d := range list {
		if p.space == nil || d.Template.Has("DATASTORE_CAPACITY_CHECK") && !d.Template.Bool("DATASTORE_CAPACITY_CHECK") {
			return d
		}
		where := on(d, host)
		_, used, free, known := p.space.HostDatastore(host, d.ID)
		if where.host < 0 || !known {
			_, used, free, known = p.space.Datastore(d.ID)
		}
		if limit, err := strconv.ParseInt(d.Template.Get("LIMIT_MB"), 10, 64); err == nil && known {
			free = min(free, limit-used)
		}
		if !known || free-p.disk[where] >= diskMB {
			return d
		}
	}
	p.short = p.short || len(list) > 0
	return nil
}

// diskNeed is what a VM takes of its system datastore, MB.
func diskNeed(v *one.VM) int64 { return int64(v.Usage().VM.SystemDiskSize) }

// caller returns who a VM's owner is to rights; VMs of user 0 and group 0 are
// exempt from them. Source: VM lifecycle reference §8.2.
func (p *plan) caller(uid int, exempt bool) auth.Caller {
	if exempt {
		return system
	}
	if c, ok := p.users[uid]; ok {
		return c
	}
	c := auth.Caller{UID: uid, GID: -1}
	if u, ok := p.st.Users.Get(uid); ok {
		c = auth.CallerOf(p.st, u)
	}
	p.users[uid] = c
	return c
}

func (p *plan) requirements(text string) (*expr.Requirements, string) {
	r, ok := p.reqs[text]
	if !ok {
		r.req, r.err = expr.ParseRequirements(text)
		p.reqs[text] = r
	}
	if r.err != nil {
		return nil, r.err.Error()
	}
	return r.req, ""
}

// both joins the cloud's own requirements and the user's, which bind from the left.
func both(auto, user string) string {
	switch {
	case user == "":
		return auto
	case auto == "":
		return user
	}
	return auto + " & ( " + user + " )"
}

func firstOf(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}

// chooseNets chooses networks for the NICs that leave it to the scheduler, each
// another one.
func (p *plan) chooseNets(v *one.VM, exempt bool, h *one.Host) (used map[int]bool, extra *tmpl.Template, why string) {
	used = map[int]bool{}
	for _, nic := range v.Template.Vectors("NIC") {
		if !strings.EqualFold(nic.Get("NETWORK_MODE"), "auto") || nic.Has("NETWORK_ID") {
			continue
		}
		id, why := p.chooseNet(v, exempt, h, nic, used)
		if why != "" {
			return nil, nil, why
		}
		used[id] = true
		extra = extra.Add(tmpl.Vec("NIC", "NIC_ID", nic.Get("NIC_ID"), "NETWORK_ID", strconv.Itoa(id)))
	}
	return used, extra, ""
}
