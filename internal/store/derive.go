package store

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// PutVM stores a VM and keeps the indexes and sums that follow from it. A VM in
// DONE moves to its own table, out of the way of whoever walks the living.
func (tx *Tx) PutVM(v *one.VM) {
	old, had := tx.State.VM(v.ID)
	c := Change{Kind: KindVM, ID: uint64(v.ID), New: v}
	if had {
		c.Old = old
	}
	if v.State == one.VMDone {
		tx.State.VMs.del(tx, v.ID)
		tx.State.DoneVMs.set(tx, v.ID, v)
	} else {
		tx.State.DoneVMs.del(tx, v.ID)
		tx.State.VMs.set(tx, v.ID, v)
	}
	tx.changes = append(tx.changes, c)
	tx.indexVM(old, v)
}

// DeleteVM removes the record of a VM altogether.
func (tx *Tx) DeleteVM(id int) {
	old, had := tx.State.VM(id)
	if !had {
		return
	}
	tx.State.VMs.del(tx, id)
	tx.State.DoneVMs.del(tx, id)
	tx.changes = append(tx.changes, Change{Kind: KindVM, ID: uint64(id), Old: old})
	tx.indexVM(old, nil)
}

// indexVM moves the indexes and sums from one version of a VM to the next;
// either may be nil. Most changes touch few of them, so each group is skipped
// when what it follows from is the same.
func (tx *Tx) indexVM(old, now *one.VM) {
	id := vmID(old, now)
	moveIndex(tx, &tx.State.HostVMs, hostOf(old), hostOf(now), id)
	moveIndex(tx, &tx.State.LeavingVMs, leavingOf(old), leavingOf(now), id)
	moveIndex(tx, &tx.State.Waiting, waits(old), waits(now), id)
	moveIndex(tx, &tx.State.Passing, passes(old), passes(now), id)
	moveIndex(tx, &tx.State.ServiceVMs, serviceOf(old), serviceOf(now), id)
	moveIndex(tx, &tx.State.VRouterVMs, vrouterOf(old), vrouterOf(now), id)

	if hostOf(old) != hostOf(now) || templateOf(old) != templateOf(now) {
		moveIndex(tx, &tx.State.PortVMs, portOf(old), portOf(now), id)
	}
	if hostOf(old) != hostOf(now) || templateOf(old) != templateOf(now) {
		if h := hostOf(old); h >= 0 {
			addCapacity(tx, h, one.Capacity{}.Sub(old.Capacity()))
		}
		if h := hostOf(now); h >= 0 {
			addCapacity(tx, h, now.Capacity())
		}
	}
	if abroadOf(old) != abroadOf(now) || abroadOf(now) >= 0 && templateOf(old) != templateOf(now) {
		if h := abroadOf(old); h >= 0 {
			addCapacity(tx, h, one.Capacity{}.Sub(old.Capacity()))
		}
		if h := abroadOf(now); h >= 0 {
			addCapacity(tx, h, now.Capacity())
		}
	}
	if old != nil && now != nil && templateOf(old) == templateOf(now) && old.UID == now.UID && old.GID == now.GID &&
		alive(old) == alive(now) && old.CountsAsRunning() == now.CountsAsRunning() {
		return
	}
	if alive(old) {
		tx.chargeVM(old, -1)
	}
	if alive(now) {
		tx.chargeVM(now, +1)
	}
	if templateOf(old) != templateOf(now) || alive(old) != alive(now) {
		if alive(old) {
			for i := range diskImages(old) {
				tx.State.ImageVMs.remove(tx, i, id)
			}
			for g := range secGroups(old) {
				tx.State.SecGroupVMs.remove(tx, g, id)
			}
		}
		if alive(now) {
			for i := range diskImages(now) {
				tx.State.ImageVMs.add(tx, i, id)
			}
			for g := range secGroups(now) {
				tx.State.SecGroupVMs.add(tx, g, id)
			}
		}
	}
}

func vmID(old, now *one.VM) int {
	if now != nil {
		return now.ID
	}
	return old.ID
}

func alive(v *one.VM) bool { return v != nil && v.State != one.VMDone }

func hostOf(v *one.VM) int {
	if v == nil || !v.HoldsCapacity() {
		return -1
	}
	return v.HostID()
}

func leavingOf(v *one.VM) int {
	if v == nil {
		return -1
	}
	return v.Leaving()
}

func abroadOf(v *one.VM) int {
	if v == nil {
		return -1
	}
	return v.Abroad()
}

func waits(v *one.VM) int {
	if alive(v) && (v.State == one.VMPending || v.Resched) {
		return 0
	}
	return -1
}

func passes(v *one.VM) int {
	if v != nil && v.State == one.VMActive && v.LCM != one.LCMRunning && v.LCM != one.LCMUnknown && !v.LCM.Failed() {
		return 0
	}
	return -1
}

func portOf(v *one.VM) int {
	if hostOf(v) < 0 {
		return -1
	}
	port, err := strconv.Atoi(v.Template.Vector("GRAPHICS").Get("PORT"))
	if err != nil || port < 0 || port > 0xffff {
		return -1
	}
	return PortKey(v.LastRecord().CID, port)
}

func serviceOf(v *one.VM) int {
	if !alive(v) {
		return -1
	}
	return v.ServiceID
}

func vrouterOf(v *one.VM) int {
	if !alive(v) {
		return -1
	}
	return v.VRouterID
}

func templateOf(v *one.VM) *tmpl.Template {
	if v == nil {
		return nil
	}
	return v.Template
}

func moveIndex(tx *Tx, x *Index, from, to, id int) {
	if from == to {
		return
	}
	if from >= 0 {
		x.remove(tx, from, id)
	}
	if to >= 0 {
		x.add(tx, to, id)
	}
}

// diskImages returns the images a VM has as disks, with how many disks each.
func diskImages(v *one.VM) map[int]int {
	out := map[int]int{}
	for _, d := range v.Template.Vectors("DISK") {
		if id, err := strconv.Atoi(d.Get("IMAGE_ID")); err == nil {
			out[id]++
		}
	}
	return out
}

func secGroups(v *one.VM) map[int]bool {
	out := map[int]bool{}
	for _, name := range []string{"NIC", "NIC_ALIAS"} {
		for _, n := range v.Template.Vectors(name) {
			for _, g := range strings.Split(n.Get("SECURITY_GROUPS"), ",") {
				if id, err := strconv.Atoi(strings.TrimSpace(g)); err == nil {
					out[id] = true
				}
			}
		}
	}
	return out
}

// chargeVM adds (sign +1) or takes back (-1) what a VM uses of its owner's and
// its group's quotas. Source: identity reference §10.4.
func (tx *Tx) chargeVM(v *one.VM, sign float64) {
	use := v.Usage()
	addVMQuota(tx, &tx.State.UserVM, v.UID, use.VM, sign)
	addVMQuota(tx, &tx.State.GroupVM, v.GID, use.VM, sign)
	for id, q := range use.Networks {
		addFloat(tx, &tx.State.UserNet, pair(v.UID, id), sign*q.Leases)
		addFloat(tx, &tx.State.GroupNet, pair(v.GID, id), sign*q.Leases)
	}
	for id, q := range use.Images {
		addFloat(tx, &tx.State.UserImage, pair(v.UID, id), sign*q.RVMs)
		addFloat(tx, &tx.State.GroupImage, pair(v.GID, id), sign*q.RVMs)
	}
	for id, q := range use.Datastores {
		addDS(tx, &tx.State.UserDS, pair(v.UID, id), q, sign)
		addDS(tx, &tx.State.GroupDS, pair(v.GID, id), q, sign)
	}
}

func (tx *Tx) chargeImage(i *one.Image, sign float64) {
	q := one.DatastoreQuota{Images: 1, Size: float64(i.StoredMB())}
	addDS(tx, &tx.State.UserDS, pair(i.UID, i.DatastoreID), q, sign)
	addDS(tx, &tx.State.GroupDS, pair(i.GID, i.DatastoreID), q, sign)
}

// chargeReservation charges the owner of a reservation with the addresses it
// took from the parent network.
func (tx *Tx) chargeReservation(n *one.VNet, sign float64) {
	size := 0.0
	for _, a := range n.ARs {
		size += float64(a.Size)
	}
	addFloat(tx, &tx.State.UserNet, pair(n.UID, n.ParentID), sign*size)
	addFloat(tx, &tx.State.GroupNet, pair(n.GID, n.ParentID), sign*size)
}

func (tx *Tx) chargeVRouter(r *one.VRouter, sign float64) {
	for id, q := range r.Usage().Networks {
		addFloat(tx, &tx.State.UserNet, pair(r.UID, id), sign*q.Leases)
		addFloat(tx, &tx.State.GroupNet, pair(r.GID, id), sign*q.Leases)
	}
}

func addCapacity(tx *Tx, host int, c one.Capacity) {
	sum := tx.State.HostUsage.At(host).Add(c)
	if sum == (one.Capacity{}) {
		tx.State.HostUsage.del(tx, host)
		return
	}
	tx.State.HostUsage.set(tx, host, sum)
}

func addVMQuota(tx *Tx, t *Table[int, one.VMQuota], id int, q one.VMQuota, sign float64) {
	sum := t.At(id).Plus(q, sign)
	if sum == (one.VMQuota{}) {
		t.del(tx, id)
		return
	}
	t.set(tx, id, sum)
}

func addDS(tx *Tx, t *Table[uint64, one.DatastoreQuota], k uint64, q one.DatastoreQuota, sign float64) {
	sum := t.At(k)
	sum.Images += sign * q.Images
	sum.Size += sign * q.Size
	if sum == (one.DatastoreQuota{}) {
		t.del(tx, k)
		return
	}
	t.set(tx, k, sum)
}

func addFloat(tx *Tx, t *Table[uint64, float64], k uint64, d float64) {
	if sum := t.At(k) + d; sum != 0 {
		t.set(tx, k, sum)
	} else {
		t.del(tx, k)
	}
}

func addInt[K cmp.Ordered](tx *Tx, t *Table[K, int], k K, d int) {
	if sum := t.At(k) + d; sum != 0 {
		t.set(tx, k, sum)
	} else {
		t.del(tx, k)
	}
}
