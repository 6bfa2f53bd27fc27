package sched

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// wish is what a VM of the property asks for, in numbers of its own: the judgement of
// whether it could be placed is not the scheduler's.
type wish struct {
	cpu, mem int64 // hundredths of CPUs, MB
	cluster  int   // -1: any
	nics     int   // left to the scheduler
}

func (w wish) text() string {
	text := fmt.Sprintf("CPU=%d.%02d MEMORY=%d", w.cpu/100, w.cpu%100, w.mem)
	for i := range w.nics {
		text += fmt.Sprintf(" NIC=[NIC_ID=%d, NETWORK_MODE=auto]", i)
	}
	return text
}

func (w wish) user() string {
	if w.cluster < 0 {
		return ""
	}
	return fmt.Sprintf(`SCHED_REQUIREMENTS="CLUSTER_ID = %d"`, w.cluster)
}

// TestPlacements lets anything happen to hosts, networks and VMs. Whatever does, no
// more is placed on a host or taken from a network than there is; who can be placed is
// placed; and passes end.
func TestPlacements(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		p := &placements{site: newSite(t), r: newRound(), wishes: map[int]wish{}, last: map[int]one.Capacity{}}
		rt.Repeat(map[string]func(*rapid.T){
			"come":    p.come,
			"go":      p.end,
			"host":    p.changeHost,
			"network": p.changeNet,
			"":        p.check,
		})
	})
}

// placements is the cloud of one run of the property.
type placements struct {
	*site
	r      *round
	wishes map[int]wish
	next   int
	last   map[int]one.Capacity // what was on the hosts when it was judged last
}

// come lets VMs come to wait, a few or many.
func (p *placements) come(t *rapid.T) {
	n := rapid.IntRange(1, 12).Draw(t, "VMs")
	p.follow(p.r, func(tx *store.Tx) {
		for range n {
			w := wish{
				cpu: int64(rapid.IntRange(1, 40).Draw(t, "CPU")) * 10, mem: int64(rapid.IntRange(1, 80).Draw(t, "memory")) * 64,
				cluster: rapid.SampledFrom([]int{-1, -1, 0, 100}).Draw(t, "cluster"), nics: rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "NICs"),
			}
			p.wishes[p.next] = w
			pending(p.next, w.text(), w.user())(tx)
			p.next++
		}
	})
}

// end lets a VM end, with its leases.
func (p *placements) end(t *rapid.T) {
	if len(p.wishes) == 0 {
		t.Skip("there is no VM")
	}
	var ids []int
	for id := range p.wishes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	id := rapid.SampledFrom(ids).Draw(t, "VM")
	delete(p.wishes, id)
	p.follow(p.r, func(tx *store.Tx) {
		tx.PutVM(tx.VMs.At(id).WithState(one.VMDone, one.LCMInit, 1))
		var own []one.LeaseKey
		for k, l := range tx.Leases.All() {
			if l.Owner == one.LeaseVM && l.OwnerID == id {
				own = append(own, k)
			}
		}
		for _, k := range own {
			tx.DeleteLease(k)
		}
	})
}

// changeHost takes a host out of use or back, or makes it larger or smaller than what
// is on it.
func (p *placements) changeHost(t *rapid.T) {
	id := rapid.IntRange(0, 2).Draw(t, "host")
	p.follow(p.r, host(id, func(h *one.Host) {
		h.State = rapid.SampledFrom([]one.HostState{one.HostMonitored, one.HostMonitored, one.HostDisabled, one.HostError}).Draw(t, "state")
		h.MaxCPU = int64(rapid.IntRange(0, 16).Draw(t, "CPUs")) * 100
		h.MaxMem = int64(rapid.IntRange(0, 16).Draw(t, "memory")) << 20
	}))
}

// changeNet makes a network work or not.
func (p *placements) changeNet(t *rapid.T) {
	id := rapid.IntRange(0, 2).Draw(t, "network")
	p.follow(p.r, network(id, func(n *one.VNet) {
		n.State = rapid.SampledFrom([]one.VNetState{one.VNetReady, one.VNetReady, one.VNetError}).Draw(t, "state")
	}))
}

// check judges the state the scheduler has come to rest in.
func (p *placements) check(t *rapid.T) {
	if n := p.settle(p.r); n > 0 {
		t.Fatalf("at rest, it makes %d more passes", n)
	}
	st := p.store.View()
	onHost, nics := map[int]wish{}, map[int]int{}
	for id, w := range p.wishes {
		v := st.VMs.At(id)
		if v.State != one.VMActive {
			continue
		}
		last := v.LastRecord()
		h := onHost[last.HID]
		h.cpu, h.mem = h.cpu+w.cpu, h.mem+w.mem
		onHost[last.HID] = h
		if w.cluster >= 0 && last.CID != w.cluster {
			t.Errorf("VM %d is in cluster %d, it wanted %d", id, last.CID, w.cluster)
		}
		used := map[string]bool{}
		for _, nic := range v.Template.Vectors("NIC") {
			net := nic.Get("NETWORK_ID")
			if net == "" || used[net] {
				t.Errorf("VM %d has NICs in networks %v and %q", id, used, net)
			}
			used[net] = true
		}
	}
	for _, l := range st.Leases.All() {
		nics[l.Net]++
	}
	for id, n := range nics {
		if n > 4 || n != st.VNetUsage.At(id) {
			t.Errorf("network %d has 4 addresses and %d leases, %d by its sum", id, n, st.VNetUsage.At(id))
		}
	}
	p.checkRoom(t, st, onHost)
	p.checkWaiting(t, st, onHost, nics)
}

// checkRoom fails when a host got more than it has. One that was made smaller may hold
// more than it has, but may not have got it since.
func (p *placements) checkRoom(t *rapid.T, st *store.State, onHost map[int]wish) {
	for id, h := range st.Hosts.All() {
		use := st.HostUsage.At(id)
		if use.CPU != onHost[id].cpu || use.Memory != onHost[id].mem<<10 {
			t.Errorf("host %d: the sum says %+v, its VMs take %+v", id, use, onHost[id])
		}
		was := p.last[id]
		if over := use.CPU > h.MaxCPU || use.Memory > h.MaxMem; over && (use.CPU > was.CPU || use.Memory > was.Memory) {
			t.Errorf("host %d has %d and %d, had %+v on it, and got up to %+v", id, h.MaxCPU, h.MaxMem, was, use)
		}
		p.last[id] = use
	}
}

// checkWaiting fails when somebody waits for whom there is a place.
func (p *placements) checkWaiting(t *rapid.T, st *store.State, onHost map[int]wish, nics map[int]int) {
	for id, w := range p.wishes {
		if st.VMs.At(id).State == one.VMActive {
			continue
		}
		for _, h := range st.Hosts.All() {
			free := 0
			for net, n := range st.VNets.All() {
				if n.State == one.VNetReady && slices.Contains(n.ClusterIDs, h.ClusterID) && nics[net] < 4 {
					free++
				}
			}
			if h.State == one.HostMonitored && (w.cluster < 0 || w.cluster == h.ClusterID) && free >= w.nics &&
				onHost[h.ID].cpu+w.cpu <= h.MaxCPU && onHost[h.ID].mem+w.mem <= h.MaxMem>>10 {
				t.Errorf("VM %d waits, host %d has room for it: %s", id, h.ID, p.where(id))
			}
		}
	}
}
