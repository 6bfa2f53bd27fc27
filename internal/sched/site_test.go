package sched

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var siteTime = time.Unix(1_700_000_000, 0).UTC()

// stamp is how messages of the site begin.
const stamp = "Tue Nov 14 22:13:20 2023 : "

// ana is an ordinary user, in group 1.
const ana = 2

// site is a cloud with the hosts 0 and 1 in cluster 0 and 2 in cluster 100, each with
// 4 CPUs and 8 GB; the system datastores 0 and 101 in cluster 0 and 102 in cluster
// 100; the networks 0 and 1 in cluster 0 and 2 in cluster 100, of 4 addresses each.
// Group 1 may use them all.
type site struct {
	*Scheduler
	t     testing.TB
	store *storetest.Store
	space spaces
}

func newSite(t testing.TB, changes ...func(tx *store.Tx)) *site {
	t.Helper()
	s := &site{t: t, store: storetest.New(t), space: spaces{}}
	now := func() time.Time { return siteTime }
	log := slog.New(slog.DiscardHandler)
	s.Scheduler = New(Options{
		Store: s.store.Store, Space: s.space, Log: log, Now: now,
		Cloud: cloud.New(cloud.Options{Store: s.store.Store, Config: cloud.DefaultConfig(), Log: log, Now: now}),
	})
	s.do(func(tx *store.Tx) {
		tx.PutGroup(&one.Group{ID: 0, Name: "oneadmin"})
		tx.PutGroup(&one.Group{ID: 1, Name: "users"})
		tx.PutUser(&one.User{ID: 0, Name: "oneadmin", Groups: []int{0}})
		tx.PutUser(&one.User{ID: ana, Name: "ana", GID: 1, GName: "users", Groups: []int{1}})
		for _, k := range []one.Kind{one.KindHost, one.KindNet, one.KindDatastore} {
			rule(tx, int(k), one.ACLGroup|1, k.ACLType()|one.ACLAll)
		}
		tx.PutCluster(&one.Cluster{ID: 0, Name: "default"})
		tx.PutCluster(&one.Cluster{ID: 100, Name: "edge", Template: parsed("SITE=far")})
		for id, cluster := range []int{0, 0, 100} {
			tx.PutHost(&one.Host{
				ID: id, Name: "host" + strconv.Itoa(id), State: one.HostMonitored, IMMad: "kvm", VMMad: "kvm", ClusterID: cluster,
				TotalCPU: 400, MaxCPU: 400, TotalMem: 8 << 20, MaxMem: 8 << 20,
			})
			putNet(tx, id, cluster, 4)
		}
		for id, cluster := range map[int]int{0: 0, 101: 0, 102: 100} {
			putDatastore(tx, id, cluster)
		}
	})
	for _, c := range changes {
		s.do(c)
	}
	return s
}

// do runs a transaction that cannot fail.
func (s *site) do(f func(tx *store.Tx)) {
	s.t.Helper()
	s.store.Do(f)
}

// rule gives users every right on resources.
func rule(tx *store.Tx, id int, user, resource uint64) {
	tx.PutACL(&one.ACLRule{ID: id, User: user, Resource: resource, Rights: uint64(one.Use | one.Manage), Zone: one.ACLAll})
}

func putNet(tx *store.Tx, id, cluster int, size uint32) {
	ip := netip.AddrFrom4([4]byte{10, byte(id), 0, 1})
	tx.PutVNet(&one.VNet{
		Meta: one.Meta{ID: id, Name: "net" + strconv.Itoa(id)}, ClusterIDs: []int{cluster}, State: one.VNetReady, ParentID: -1, VNMad: "dummy", NextAR: 1,
		ARs: []one.AR{{Type: one.ARIP4, Size: size, MAC: one.MACOf(0x0200, ip), IP: ip, ParentAR: -1}},
	})
}

func putDatastore(tx *store.Tx, id, cluster int) {
	tx.PutDatastore(&one.Datastore{
		Meta: one.Meta{ID: id, Name: "ds" + strconv.Itoa(id)}, TMMad: "shared", Type: one.DSSystem, ClusterIDs: []int{cluster}, Template: parsed("SHARED=YES"),
	})
}

// host returns a change of a host.
func host(id int, f func(h *one.Host)) func(tx *store.Tx) {
	return func(tx *store.Tx) {
		h := *tx.Hosts.At(id)
		f(&h)
		tx.PutHost(&h)
	}
}

// datastore returns a change of a datastore.
func datastore(id int, f func(d *one.Datastore)) func(tx *store.Tx) {
	return func(tx *store.Tx) {
		d := *tx.Datastores.At(id)
		f(&d)
		tx.PutDatastore(&d)
	}
}

// network returns a change of a network.
func network(id int, f func(n *one.VNet)) func(tx *store.Tx) {
	return func(tx *store.Tx) {
		n := *tx.VNets.At(id)
		f(&n)
		tx.PutVNet(&n)
	}
}

// pending puts a VM of ana that waits, of 1 CPU and 1 GB unless the template says
// otherwise.
func pending(id int, text, user string) func(tx *store.Tx) {
	return func(tx *store.Tx) { tx.PutVM(vm(id, text, user)) }
}

func vm(id int, text, user string) *one.VM {
	return &one.VM{VMCore: one.VMCore{
		Meta:  one.Meta{ID: id, UID: ana, GID: 1, Name: "vm" + strconv.Itoa(id), Perms: 0o600},
		State: one.VMPending, ServiceID: -1, VRouterID: -1, Template: parsed("CPU=1 MEMORY=1024 ").Merge(parsed(text)),
	}, UserTemplate: parsed(user)}
}

// running puts a VM that runs on a host.
func running(id, onHost int, text, user string) func(tx *store.Tx) {
	return func(tx *store.Tx) { tx.PutVM(placed(tx, vm(id, text, user), onHost, one.LCMRunning)) }
}

// placed returns a VM that is on a host, on its cluster's first datastore.
func placed(tx *store.Tx, v *one.VM, onHost int, lcm one.LCMState) *one.VM {
	h := tx.Hosts.At(onHost)
	ds := map[int]int{0: 0, 100: 102}[h.ClusterID]
	v = v.WithNewRecord(one.History{Hostname: h.Name, HID: h.ID, CID: h.ClusterID, DSID: ds, VMMad: "kvm", TMMad: "shared", STime: 1})
	return v.WithState(one.VMActive, lcm, 1)
}

func parsed(text string) *tmpl.Template {
	t, err := tmpl.Parse(text)
	if err != nil {
		panic(fmt.Sprintf("%q: %v", text, err))
	}
	return t
}

// spaces is what is free, by host (-1: wherever it is shared) and datastore; what is
// not in it is not known, and nobody is told of changes.
type spaces map[dsOn]space

type space struct{ total, used, free int64 }

func (s spaces) Datastore(id int) (total, used, free int64, ok bool) { return s.HostDatastore(-1, id) }

func (s spaces) OnSpace(func()) {}

func (s spaces) HostDatastore(host, id int) (total, used, free int64, ok bool) {
	x, ok := s[dsOn{id, host}]
	return x.total, x.used, x.free, ok
}

// settle runs the scheduler until nothing is left to do, as it does when it leads,
// and returns how many passes that took.
func (s *site) settle(r *round) (passes int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), storetest.Deadline)
	defer cancel()
	at := s.store.View()
	feed := s.store.Subscribe(at)
	for {
		if err := s.moveOn(ctx, r); err != nil {
			s.t.Fatal(err)
		}
		if st := s.store.View(); (r.better || len(r.fresh) > 0) && st.Waiting.Any(0) {
			if passes++; passes > 100 {
				s.t.Fatal("passes do not end")
			}
			if err := s.pass(ctx, st, r); err != nil {
				s.t.Fatal(err)
			}
		} else if at.Revision == st.Revision {
			return passes
		}
		for at.Revision < s.store.View().Revision {
			commit, err := feed.Next(ctx)
			if err != nil {
				s.t.Fatal(err)
			}
			for _, ch := range commit.Changes {
				r.note(ch)
			}
			at = commit.State
		}
	}
}

func newRound() *round {
	return &round{stuck: map[int]*one.VM{}, fresh: map[int]struct{}{}, made: map[int]struct{}{}, better: true}
}

// where tells where a VM is: "host/datastore", or what is said of why it is nowhere.
func (s *site) where(id int) string {
	s.t.Helper()
	v, ok := s.store.View().VM(id)
	if !ok {
		s.t.Fatalf("no VM %d", id)
	}
	if h := v.LastRecord(); h != nil && v.State == one.VMActive {
		return fmt.Sprintf("%d/%d", h.HID, h.DSID)
	}
	return v.UserTemplate.Get("SCHED_MESSAGE")
}
