package sched

import (
	"slices"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/expr"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// The environments in which expressions look names up.
// Source: VM lifecycle reference §8.3.

// hostEnv finds names in the host's template, its share, its header, then its
// cluster's template.
func (p *plan) hostEnv(h *slot) expr.Env {
	return expr.EnvFunc(func(name string) []string {
		if vs := singles(h.Template, name); vs != nil {
			return vs
		}
		use := h.use
		switch name {
		case "ID", "HOST_ID":
			return number(int64(h.ID))
		case "NAME":
			return []string{h.Name}
		case "CLUSTER_ID":
			return number(int64(h.ClusterID))
		case "CLUSTER":
			if c, ok := p.st.Clusters.Get(h.ClusterID); ok {
				return []string{c.Name}
			}
		case "STATE":
			return number(int64(h.State))
		case "IM_MAD":
			return []string{h.IMMad}
		case "VM_MAD":
			return []string{h.VMMad}
		case "RUNNING_VMS":
			return number(use.VMs)
		case "CPU_USAGE":
			return number(use.CPU)
		case "MEM_USAGE":
			return number(use.Memory)
		case "TOTAL_CPU", "TOTALCPU":
			return number(h.TotalCPU)
		case "TOTAL_MEM", "TOTALMEMORY":
			return number(h.TotalMem)
		case "MAX_CPU":
			return number(h.MaxCPU)
		case "MAX_MEM":
			return number(h.MaxMem)
		case "FREE_CPU", "FREECPU":
			return number(h.MaxCPU - use.CPU)
		case "FREE_MEMORY", "FREEMEMORY":
			return number(h.MaxMem - use.Memory)
		case "USED_CPU":
			return number(use.CPU)
		case "USED_MEMORY":
			return number(use.Memory)
		case "CURRENT_VMS":
			var out []string
			for id := range p.st.HostVMs.Of(h.ID) {
				out = append(out, strconv.Itoa(id))
			}
			return out
		}
		if c, ok := p.st.Clusters.Get(h.ClusterID); ok {
			return singles(c.Template, name)
		}
		return nil
	})
}

// datastoreEnv finds names in the datastore's template, then its header.
func (p *plan) datastoreEnv(d *one.Datastore) expr.Env {
	return expr.EnvFunc(func(name string) []string {
		if vs := singles(d.Template, name); vs != nil {
			return vs
		}
		switch name {
		case "ID":
			return number(int64(d.ID))
		case "NAME":
			return []string{d.Name}
		case "CLUSTERS/ID", "CLUSTER_ID":
			return ints(d.ClusterIDs)
		case "FREE_MB", "TOTAL_MB", "USED_MB":
			if p.space == nil {
				return nil
			}
			total, used, free, ok := p.space.Datastore(d.ID)
			if !ok {
				return nil
			}
			given := p.disk[dsOn{d.ID, -1}]
			return number(map[string]int64{"FREE_MB": free - given, "TOTAL_MB": total, "USED_MB": used + given}[name])
		}
		return nil
	})
}

func (p *plan) netEnv(n *one.VNet) expr.Env {
	return expr.EnvFunc(func(name string) []string {
		if vs := singles(n.Template, name); vs != nil {
			return vs
		}
		switch name {
		case "ID":
			return number(int64(n.ID))
		case "NAME":
			return []string{n.Name}
		case "CLUSTERS/ID", "CLUSTER_ID":
			return ints(n.ClusterIDs)
		case "USED_LEASES":
			return number(int64(p.taken(n.ID)))
		}
		return nil
	})
}

// rank gives a host its rank; without an expression VMs are spread.
// Source: VM lifecycle reference §8.4.
func (p *plan) rank(h *slot, text string) int64 {
	if text == "" {
		return -h.use.VMs
	}
	r, known := h.ranks[text]
	if !known {
		r = p.value(text, p.hostEnv(h))
		h.ranks[text] = r
	}
	return r
}

func (p *plan) rankDatastore(d *one.Datastore, text string) int64 {
	return p.value(firstOf(text, "FREE_MB"), p.datastoreEnv(d))
}

// value computes a rank; one that cannot be parsed ranks all alike.
func (p *plan) value(text string, env expr.Env) int64 {
	r, ok := p.ranks[text]
	if !ok {
		r, _ = expr.ParseRank(text)
		p.ranks[text] = r
	}
	if r == nil {
		return 0
	}
	return r.Value(env)
}

// chooseNet chooses one network for a NIC.
func (p *plan) chooseNet(v *one.VM, exempt bool, h *one.Host, nic tmpl.Vector, used map[int]bool) (int, string) {
	owner := p.caller(v.UID, exempt)
	text := both(v.Template.Get("AUTOMATIC_NIC_REQUIREMENTS"), nic.Get("SCHED_REQUIREMENTS"))
	reqs, err := p.requirements(text)
	if err != "" {
		return -1, "Error in SCHED_NIC_REQUIREMENTS: '" + text + "', error: " + err
	}
	rank := firstOf(nic.Get("SCHED_RANK"), "- USED_LEASES")
	best, bestRank := -1, int64(0)
	any, allowed, free := false, false, false
	for id, n := range p.st.VNets.All() {
		if !slices.Contains(n.ClusterIDs, h.ClusterID) || used[id] || n.State != one.VNetReady && n.State != one.VNetUpdateFailure {
			continue
		}
		any = true
		t := auth.Of(one.KindNet, n.Meta)
		t.Clusters, t.Reservation = n.ClusterIDs, n.ParentID >= 0
		if !auth.Allowed(p.st, p.zone, owner, t, one.Use) {
			continue
		}
		allowed = true
		size := 0
		for _, a := range n.ARs {
			size += int(a.Size)
		}
		if p.taken(id) >= size {
			continue
		}
		free = true
		if !reqs.Match(p.netEnv(n)) {
			continue
		}
		if r := p.value(rank, p.netEnv(n)); best < 0 || r > bestRank {
			best, bestRank = id, r
		}
	}
	switch {
	case best >= 0:
		return best, ""
	case !any:
		return -1, cannot + "No networks found to run VMs"
	case !allowed:
		return -1, cannot + "User is not authorized to use any network"
	case !free:
		return -1, cannot + "No network with enough capacity for the VM"
	}
	return -1, cannot + "No network meet leases and SCHED_NIC_REQUIREMENTS: " + text
}

// taken returns how many addresses of a network are taken, this plan's included.
func (p *plan) taken(net int) int { return p.st.VNetUsage.At(net) + p.leases[net] }

// singles returns the values of a template's single attributes of a name.
func singles(t *tmpl.Template, name string) []string {
	var out []string
	for _, a := range t.Named(name) {
		if !a.IsVector() {
			out = append(out, a.Value)
		}
	}
	if out == nil && strings.Contains(name, "/") {
		vec, sub, _ := strings.Cut(name, "/")
		for _, v := range t.Vectors(vec) {
			if s, ok := v.Lookup(sub); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

func number(n int64) []string { return []string{strconv.FormatInt(n, 10)} }

func ints(ns []int) []string {
	out := make([]string, len(ns))
	for i, n := range ns {
		out[i] = strconv.Itoa(n)
	}
	return out
}
