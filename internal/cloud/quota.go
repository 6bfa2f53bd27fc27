package cloud

import (
	"sort"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// checkQuota refuses when what the owner uses, the request included, is beyond
// a limit in one of the metrics the request adds to. It is called inside the
// transaction after the object was put: the sums already hold the request, and a
// refusal takes it back. The user is checked first, then the group; user 0 and
// group 0 have no limits. Source: identity reference §10.3.
func (c *Cloud) checkQuota(st *store.State, callerUID, uid, gid int, req one.Usage) error {
	if reason := quotaExcess(st, uid, gid, req); reason != "" {
		return errs.Denied(callerUID, reason)
	}
	return nil
}

// quotaExcess is checkQuota for those who word the refusal themselves; "" is none.
func quotaExcess(st *store.State, uid, gid int, req one.Usage) string {
	if u, ok := st.Users.Get(uid); ok && uid != one.OneadminID {
		if reason := overQuota(u.Quotas, st.Quotas.At("user"), st.UserUsage(uid), req); reason != "" {
			return "user [" + strconv.Itoa(uid) + "] " + reason
		}
	}
	if g, ok := st.Groups.Get(gid); ok && gid != one.OneadminID {
		if reason := overQuota(g.Quotas, st.Quotas.At("group"), st.GroupUsage(gid), req); reason != "" {
			return "group [" + strconv.Itoa(gid) + "] " + reason
		}
	}
	return ""
}

// overQuota compares sums with limits in the order of the reference's table and
// words the first excess.
func overQuota(q one.Quotas, defaults *one.Quotas, used, req one.Usage) string {
	var d one.Quotas
	if defaults != nil {
		d = *defaults
	}
	for _, id := range sortedKeys(req.Datastores) {
		lim, def, sum, r := datastoreLimit(q, id), datastoreLimit(d, id), used.Datastores[id], req.Datastores[id]
		if s := over("IMAGES", "DATASTORE", id, lim.Images, def.Images, sum.Images, r.Images); s != "" {
			return s
		}
		if s := over("SIZE", "DATASTORE", id, lim.Size, def.Size, sum.Size, r.Size); s != "" {
			return s
		}
	}
	for _, id := range sortedKeys(req.Networks) {
		lim, def := networkLimit(q, id), networkLimit(d, id)
		if s := over("LEASES", "NETWORK", id, lim.Leases, def.Leases, used.Networks[id].Leases, req.Networks[id].Leases); s != "" {
			return s
		}
	}
	lim, def := vmLimit(q), vmLimit(d)
	for _, m := range vmMetrics {
		if s := over(m.name, "VM", -1, m.of(lim), m.of(def), m.of(used.VM), m.of(req.VM)); s != "" {
			return s
		}
	}
	for _, id := range sortedKeys(req.Images) {
		lim, def := imageLimit(q, id), imageLimit(d, id)
		if s := over("RVMS", "IMAGE", id, lim.RVMs, def.RVMs, used.Images[id].RVMs, req.Images[id].RVMs); s != "" {
			return s
		}
	}
	return ""
}

// vmMetrics names the metrics of the VM section, in the reference's order.
var vmMetrics = []struct {
	name string
	of   func(one.VMQuota) float64
}{
	{"VMS", func(q one.VMQuota) float64 { return q.VMs }},
	{"RUNNING_VMS", func(q one.VMQuota) float64 { return q.RunningVMs }},
	{"CPU", func(q one.VMQuota) float64 { return q.CPU }},
	{"RUNNING_CPU", func(q one.VMQuota) float64 { return q.RunningCPU }},
	{"MEMORY", func(q one.VMQuota) float64 { return q.Memory }},
	{"RUNNING_MEMORY", func(q one.VMQuota) float64 { return q.RunningMemory }},
	{"SYSTEM_DISK_SIZE", func(q one.VMQuota) float64 { return q.SystemDiskSize }},
}

// over words an excess: limit, or default where the limit says so, against the
// sum, for metrics the request adds to.
func over(metric, section string, id int, limit, def, used, req float64) string {
	if req <= 0 {
		return ""
	}
	if limit == one.QuotaDefault {
		limit = def
	}
	if limit < 0 || used <= limit {
		return ""
	}
	s := "limit of " + strconv.FormatFloat(limit, 'g', 6, 64) + " reached for " + metric + " quota in " + section
	if id >= 0 {
		s += " with ID: " + strconv.Itoa(id)
	}
	return s
}

func datastoreLimit(q one.Quotas, id int) one.DatastoreQuota {
	if l, ok := q.Datastores[id]; ok {
		return l
	}
	return one.DatastoreQuota{Images: one.QuotaDefault, Size: one.QuotaDefault}
}

func networkLimit(q one.Quotas, id int) one.NetworkQuota {
	if l, ok := q.Networks[id]; ok {
		return l
	}
	return one.NetworkQuota{Leases: one.QuotaDefault}
}

func imageLimit(q one.Quotas, id int) one.ImageQuota {
	if l, ok := q.Images[id]; ok {
		return l
	}
	return one.ImageQuota{RVMs: one.QuotaDefault}
}

func vmLimit(q one.Quotas) one.VMQuota {
	if q.VM != nil {
		return *q.VM
	}
	const d = one.QuotaDefault
	return one.VMQuota{VMs: d, RunningVMs: d, CPU: d, RunningCPU: d, Memory: d, RunningMemory: d, SystemDiskSize: d}
}

// checkMovedQuota checks the quotas of an object's new owner and group for all
// that the object counts for; only an owner that changed is checked.
func (c *Cloud) checkMovedQuota(st *store.State, who auth.Caller, kind one.Kind, old, now one.Meta) error {
	var req one.Usage
	switch kind {
	case one.KindVM:
		if v, ok := st.VMs.Get(now.ID); ok {
			req = v.Usage()
		}
	case one.KindImage:
		if i, ok := st.Images.Get(now.ID); ok {
			req = one.Usage{Datastores: map[int]one.DatastoreQuota{i.DatastoreID: {Images: 1, Size: float64(i.Size)}}}
		}
	case one.KindNet:
		if n, ok := st.VNets.Get(now.ID); ok && n.ParentID >= 0 {
			size := 0.0
			for _, a := range n.ARs {
				size += float64(a.Size)
			}
			req = one.Usage{Networks: map[int]one.NetworkQuota{n.ParentID: {Leases: size}}}
		}
	case one.KindVRouter:
		if r, ok := st.VRouters.Get(now.ID); ok {
			req = r.Usage()
		}
	default:
		return nil
	}
	uid, gid := now.UID, now.GID
	if old.UID == now.UID {
		uid = one.OneadminID
	}
	if old.GID == now.GID {
		gid = one.OneadminID
	}
	return c.checkQuota(st, who.UID, uid, gid, req)
}

func sortedKeys[V any](m map[int]V) []int {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Ints(keys)
	return keys
}
