package sched

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
)

const noRoom = stamp + "Cannot dispatch VM: No host with enough capacity to deploy the VM"

// placedOnes returns who has a place, and checks that the others say why not.
func (s *site) placedOnes() (ids []int) {
	s.t.Helper()
	for id, v := range s.store.View().VMs.All() {
		switch {
		case v.State == one.VMActive:
			ids = append(ids, id)
		case v.UserTemplate.Get("SCHED_MESSAGE") == "":
			s.t.Errorf("VM %d waits and nobody says why", id)
		}
	}
	return ids
}

// crowd puts VMs of 4 CPUs, each a host's worth, with user templates.
func crowd(users ...string) func(tx *store.Tx) {
	return func(tx *store.Tx) {
		for i, user := range users {
			pending(10+i, "CPU=4", user)(tx)
		}
	}
}

// TestOrder: who comes first where there is not room for all. Source: VM lifecycle
// reference §8.1.
func TestOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		users []string
		want  []int
	}{
		{"the oldest", []string{"", "", "", "", ""}, []int{10, 11, 12}},
		{"the most urgent", []string{"", "", "", "USER_PRIORITY=1", "USER_PRIORITY=2"}, []int{10, 13, 14}},
		{"numbers, not words", []string{"USER_PRIORITY=9", "USER_PRIORITY=10", "USER_PRIORITY=11", "USER_PRIORITY=10.5"}, []int{11, 12, 13}},
		{"the least urgent last", []string{`USER_PRIORITY="-1"`, "USER_PRIORITY=0", "", "USER_PRIORITY=high"}, []int{11, 12, 13}},
	} {
		s := newSite(t, crowd(c.users...))
		s.settle(newRound())
		if got := s.placedOnes(); !slices.Equal(got, c.want) {
			t.Errorf("%s first: placed are %v, expected %v", c.name, got, c.want)
		}
	}
}

// TestMessages: why a VM waits is written once, anew when it changes, and taken away
// when it waits no more.
func TestMessages(t *testing.T) {
	t.Parallel()
	s := newSite(t, pending(10, "CPU=8", "A=b"))
	r := newRound()
	message := func() string {
		v, _ := s.store.View().VM(10)
		return v.UserTemplate.Get("SCHED_MESSAGE")
	}
	s.settle(r)
	if got := message(); got != noRoom {
		t.Errorf("the message is %q, expected %q", got, noRoom)
	}
	rev := s.store.View().Revision
	r.better = true
	if s.settle(r); s.store.View().Revision != rev {
		t.Error("the same message is written again")
	}
	s.do(func(tx *store.Tx) {
		for id := range 3 {
			host(id, func(h *one.Host) { h.State = one.HostDisabled })(tx)
		}
	})
	r.better = true
	s.settle(r)
	if got, want := message(), stamp+"Cannot dispatch VM: No hosts enabled to run VMs"; got != want {
		t.Errorf("the message is %q, expected %q", got, want)
	}
	s.do(host(1, func(h *one.Host) { h.State, h.MaxCPU = one.HostMonitored, 800 }))
	r.better = true
	s.settle(r)
	if v, _ := s.store.View().VM(10); s.where(10) != "1/0" || v.UserTemplate.Has("SCHED_MESSAGE") || !v.UserTemplate.Has("A") {
		t.Errorf("the VM is at %s, its user template %v", s.where(10), v.UserTemplate)
	}
}

// TestRefusedPlacements: a VM that cannot be placed for other reasons holds up nobody,
// takes nothing, and is not tried again and again.
func TestRefusedPlacements(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(tx *store.Tx) {
		u := *tx.Users.At(ana)
		u.Quotas.Networks = map[int]one.NetworkQuota{0: {Leases: 1}}
		tx.PutUser(&u)
		for i := range 4 {
			pending(10+i, `CPU=1 NIC=[NIC_ID=0, NETWORK_MODE=auto, SCHED_REQUIREMENTS="ID = 0"]`, "")(tx)
		}
		pending(14, "CPU=1", "")(tx)
	})
	r := newRound()
	passes := s.settle(r)
	if got := s.placedOnes(); !slices.Equal(got, []int{10, 14}) || passes > 2 {
		t.Errorf("placed are %v after %d passes, expected 10 and 14 after one or two", got, passes)
	}
	const why = stamp + "User [0] : user [2] limit of 1 reached for LEASES quota in NETWORK with ID: 0."
	for id := 11; id < 14; id++ {
		if got := s.where(id); got != why {
			t.Errorf("VM %d: %q, expected %q", id, got, why)
		}
	}
	if st := s.store.View(); st.VNetUsage.At(0) != 1 || st.UserNet.Len() != 1 {
		t.Errorf("%d addresses are taken, expected 1", st.VNetUsage.At(0))
	}
	s.do(func(tx *store.Tx) {
		u := *tx.Users.At(ana)
		u.Quotas = one.Quotas{}
		tx.PutUser(&u)
	})
	r.better = true
	s.settle(r)
	if got := len(s.placedOnes()); got != 5 {
		t.Errorf("without the quota %d have a place, expected 5", got)
	}
}

// TestPlanCountsItsOwn: what a pass has given away already is not there for the next.
func TestPlanCountsItsOwn(t *testing.T) {
	t.Parallel()
	t.Run("addresses", func(t *testing.T) {
		s := newSite(t, func(tx *store.Tx) {
			for i := range 9 { // of 12 addresses, 8 in the cluster with more room
				pending(10+i, `CPU=0.1 MEMORY=64 NIC=[NIC_ID=0, NETWORK_MODE=auto]`, "SCHED_RANK=\"- ID\"")(tx)
			}
		})
		s.settle(newRound())
		if got := len(s.placedOnes()); got != 9 {
			t.Errorf("%d of 9 have a place", got)
		}
		if st := s.store.View(); st.VNetUsage.At(0) != 4 || st.VNetUsage.At(1) != 4 || st.VNetUsage.At(2) != 1 {
			t.Errorf("addresses taken: %d, %d, %d", st.VNetUsage.At(0), st.VNetUsage.At(1), st.VNetUsage.At(2))
		}
	})
	t.Run("space", func(t *testing.T) {
		s := newSite(t, func(tx *store.Tx) {
			for i := range 5 {
				pending(10+i, "CPU=0.1 MEMORY=64 DISK=[TYPE=fs, SIZE=400]", `SCHED_REQUIREMENTS="CLUSTER_ID = 0"`)(tx)
			}
		})
		s.space[dsOn{0, -1}], s.space[dsOn{101, -1}] = space{1000, 0, 1000}, space{1000, 200, 800}
		s.settle(newRound())
		if got := s.placedOnes(); !slices.Equal(got, []int{10, 11, 12, 13}) {
			t.Errorf("placed are %v, expected the first four", got)
		}
	})
	t.Run("load", func(t *testing.T) {
		s := newSite(t, func(tx *store.Tx) {
			for i := range 9 {
				pending(10+i, "CPU=1 MEMORY=64", "SCHED_RANK=FREE_CPU")(tx)
			}
		})
		s.settle(newRound())
		for id := range 3 {
			if got := s.store.View().HostUsage.At(id).VMs; got != 3 {
				t.Errorf("host %d has %d of 9 VMs that want the one with most CPU free", id, got)
			}
		}
	})
	t.Run("many", func(t *testing.T) { // more than a transaction takes
		const n = 2*perTx + 50
		s := newSite(t, func(tx *store.Tx) {
			for id := range 3 {
				host(id, func(h *one.Host) { h.MaxCPU, h.MaxMem = 100*100, 1<<30 })(tx)
			}
			for i := range n {
				pending(10+i, "CPU=1", "")(tx)
			}
		})
		passes := s.settle(newRound())
		st := s.store.View()
		if got := len(s.placedOnes()); got != n || passes != 1 {
			t.Errorf("%d of %d have a place after %d passes", got, n, passes)
		}
		for id := range 3 {
			if got := st.HostUsage.At(id).VMs; got < n/3 || got > n/3+1 {
				t.Errorf("host %d has %d VMs: they are not spread", id, got)
			}
		}
	})
}

// TestResched: a VM that is to go elsewhere leaves its host only if there is an
// elsewhere; stopped, it goes anywhere but back, and back if all else is gone.
func TestResched(t *testing.T) {
	t.Parallel()
	elsewhere := `SCHED_REQUIREMENTS="CLUSTER_ID = 0"`
	marked := func(lcm one.LCMState) func(tx *store.Tx) {
		return func(tx *store.Tx) {
			v := placed(tx, vm(10, "CPU=4", elsewhere), 0, lcm)
			v.Resched = true
			tx.PutVM(v)
		}
	}
	waiting := func(tx *store.Tx) { // as it is once it was stopped
		v := placed(tx, vm(10, "CPU=4", elsewhere), 0, one.LCMEpilogStop).WithState(one.VMPending, one.LCMInit, 1)
		v.Resched, v.Origin = true, one.VMStopped
		v.History = slices.Clone(v.History)
		last := *v.LastRecord()
		last.DSID, last.ETime = 101, 2
		v.History[0] = &last
		tx.PutVM(v)
	}
	full := running(1, 1, "CPU=4", "")
	off := host(1, func(h *one.Host) { h.State = one.HostDisabled })
	for _, c := range []struct {
		name    string
		changes changes
		want    string // state, whether it is still to move, and where
	}{
		{"runs", changes{marked(one.LCMRunning)}, "SAVE_STOP true 0"},
		{"unknown", changes{marked(one.LCMUnknown)}, "SHUTDOWN_UNDEPLOY true 0"},
		{"runs, the other host is full", changes{marked(one.LCMRunning), full}, "RUNNING true 0"},
		{"runs, the other host is off", changes{marked(one.LCMRunning), off}, "RUNNING true 0"},
		{"is being shut down", changes{marked(one.LCMShutdown)}, "SHUTDOWN true 0"},
		{"waits", changes{waiting}, "PROLOG_RESUME false 1"},
		{"waits, the other host is full", changes{waiting, full}, "PROLOG_RESUME false 0"},
		{"waits, the other host is off", changes{waiting, off}, "PROLOG_RESUME false 0"},
	} {
		s := newSite(t, c.changes...)
		s.settle(newRound())
		v, _ := s.store.View().VM(10)
		if got := fmt.Sprint(v.StateName(), " ", v.Resched, " ", v.HostID()); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		if v.Active(one.LCMPrologResume) && v.LastRecord().DSID != 101 {
			t.Errorf("%s: it goes on in datastore %d, but its files are in 101", c.name, v.LastRecord().DSID)
		}
	}
}

// TestEvents: a VM without a place is looked at again when something has changed that
// may give it one, and only then.
func TestEvents(t *testing.T) {
	t.Parallel()
	const auto = "NIC=[NIC_ID=0, NETWORK_MODE=auto]"
	hold := func(net int) func(*store.Tx) {
		return func(tx *store.Tx) {
			for i := range uint32(4) {
				tx.PutLease(&one.Lease{Net: net, Index: i, Owner: one.LeaseHeld, OwnerID: -1})
			}
		}
	}
	done := func(id int) func(*store.Tx) {
		return func(tx *store.Tx) { tx.PutVM(tx.VMs.At(id).WithState(one.VMDone, one.LCMInit, 1)) }
	}
	for _, c := range []struct {
		name       string
		before     changes
		text, user string
		then       func(tx *store.Tx)
	}{
		{"a VM ends", changes{running(1, 0, "CPU=4", ""), running(2, 1, "CPU=4", ""), running(3, 2, "CPU=4", "")}, "", "", done(2)},
		{"a VM shrinks", changes{running(1, 0, "CPU=4", ""), running(2, 1, "CPU=4", ""), running(3, 2, "CPU=4", "")}, "", "", running(2, 1, "CPU=3", "")},
		{"a VM comes that is asked for", nil, "", `SCHED_REQUIREMENTS="CURRENT_VMS = 1"`, running(1, 0, "", "")},
		{"a host has more", nil, "CPU=5", "", host(2, func(h *one.Host) { h.MaxCPU = 500 })},
		{"a host is moved", nil, "", `SCHED_REQUIREMENTS="CLUSTER_ID = 100 & ID = 1"`, host(1, func(h *one.Host) { h.ClusterID = 100 })},
		{"the cluster says what is asked for", nil, "", `SCHED_REQUIREMENTS="SITE = near"`, func(tx *store.Tx) {
			tx.PutCluster(&one.Cluster{ID: 0, Name: "default", Template: parsed("SITE=near")})
		}},
		{"a datastore is on", changes{func(tx *store.Tx) {
			for _, id := range []int{0, 101, 102} {
				datastore(id, func(d *one.Datastore) { d.Disabled = true })(tx)
			}
		}}, "", "", datastore(101, func(d *one.Datastore) { d.Disabled = false })},
		{"a right is given", changes{func(tx *store.Tx) { tx.DeleteACL(int(one.KindHost)) }}, "", "", func(tx *store.Tx) {
			rule(tx, 50, one.ACLIndividual|ana, one.KindHost.ACLType()|one.ACLAll)
		}},
		{"an address is free", changes{hold(0), hold(1), hold(2)}, auto, "", func(tx *store.Tx) { tx.DeleteLease(one.MakeLeaseKey(1, 0, 2)) }},
		{"a network comes", changes{hold(0), hold(1), hold(2)}, auto, "", func(tx *store.Tx) { putNet(tx, 7, 0, 1) }},
		{"a wish is changed", nil, "", `SCHED_REQUIREMENTS="ID = 9"`, pending(10, "", `SCHED_REQUIREMENTS="ID = 1"`)},
		{"it is made smaller", nil, "CPU=9", "", pending(10, "CPU=1", "")},
	} {
		s := newSite(t, slices.Concat(c.before, changes{pending(10, c.text, c.user)})...)
		r := newRound()
		s.settle(r)
		if len(s.where(10)) < 10 {
			t.Errorf("%s: it has a place before", c.name)
		}
		if passes := s.follow(r, func(tx *store.Tx) { tx.PutDocument(&one.Document{Meta: one.Meta{ID: 1}}) }); passes != 0 {
			t.Errorf("%s: a pass is made for what cannot matter", c.name)
		}
		if s.follow(r, c.then); len(s.where(10)) > 10 {
			t.Errorf("%s: it waits: %s", c.name, s.where(10))
		}
	}
}

// follow makes a change and runs the scheduler as it does when it hears of it.
func (s *site) follow(r *round, f func(tx *store.Tx)) (passes int) {
	s.t.Helper()
	before := s.store.View()
	feed := s.store.Subscribe(before)
	s.do(f)
	ctx, cancel := context.WithTimeout(context.Background(), storetest.Deadline)
	defer cancel()
	for at := before; at.Revision < s.store.View().Revision; {
		commit, err := feed.Next(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, ch := range commit.Changes {
			r.note(ch)
		}
		at = commit.State
	}
	return s.settle(r)
}
