package cloud

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// poolCloud has templates 0 to 5: 0 oneadmin's own, 1 and 2 of user 2 in group 1
// (2 for the group to use), 3 of user 3 in group 1 for everybody, 4 of user 3 in
// group 100, 5 of user 3 in group 100 which a rule gives to user 2.
func poolCloud(t *testing.T) *Cloud {
	t.Helper()
	s := storetest.New(t)
	c := New(Options{Store: s.Store, Config: DefaultConfig(), Log: slog.New(slog.DiscardHandler)})
	err := s.Update(context.Background(), func(tx *store.Tx) error {
		for id, o := range []struct {
			uid, gid int
			perms    one.Perms
		}{{0, 0, 0o600}, {2, 1, 0o600}, {2, 1, 0o640}, {3, 1, 0o604}, {3, 100, 0o640}, {3, 100, 0o600}} {
			m := one.Meta{ID: id, UID: o.uid, GID: o.gid, Name: fmt.Sprint("t", id), Perms: o.perms}
			tx.PutTemplate(&one.VMTemplate{Meta: m})
		}
		tx.PutACL(&one.ACLRule{User: one.ACLIndividual | 2, Resource: one.KindTemplate.ACLType() | one.ACLIndividual | 5, Rights: uint64(one.Use), Zone: one.ACLAll})
		tx.PutUser(&one.User{ID: 4, Name: "tidy", Template: tmpl.New(tmpl.Vec("OPENNEBULA", "API_LIST_ORDER", "asc"))})
		tx.PutGroup(&one.Group{ID: 7, Name: "sorted", Template: tmpl.New(tmpl.Vec("OPENNEBULA", "API_LIST_ORDER", "ASC"))})
		tx.PutCluster(&one.Cluster{ID: 0, Name: "default"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	root = auth.System("test")
	ana  = auth.Caller{UID: 2, GID: 1, Groups: []int{1}}
	bob  = auth.Caller{UID: 3, GID: 1, Groups: []int{1, 100}}
)

func ids[T one.Owned](rows iter.Seq[T]) []int {
	var out []int
	for o := range rows {
		out = append(out, o.Head().ID)
	}
	return out
}

func TestPoolFilters(t *testing.T) {
	c := poolCloud(t)
	for _, q := range []struct {
		name   string
		who    auth.Caller
		filter int
		want   []int
	}{
		{"admin, all", root, FilterAll, []int{5, 4, 3, 2, 1, 0}},
		{"admin, ours", root, FilterOurs, []int{0}},
		{"admin, of a user", root, 3, []int{5, 4, 3}},
		{"user, all", ana, FilterAll, []int{5, 3, 2, 1}},
		{"user, mine", ana, FilterMine, []int{2, 1}},
		{"user, ours", ana, FilterOurs, []int{3, 2, 1}},
		{"user, of another", ana, 3, []int{5, 3}},
		{"user, of himself", ana, 2, []int{2, 1}},
		{"user, group: no rights asked", ana, FilterGroup, []int{3, 2, 1}},
		{"two groups, ours", bob, FilterOurs, []int{5, 4, 3, 2}},
		{"two groups, group: only the primary", bob, FilterGroup, []int{3, 2, 1}},
		{"nobody's", ana, 99, nil},
	} {
		_, rows, err := c.TemplatePool(q.who, PoolQuery{q.filter, -1, -1})
		if err != nil {
			t.Errorf("%s: %v", q.name, err)
		} else if got := ids(rows); !slices.Equal(got, q.want) {
			t.Errorf("%s: got %v, want %v", q.name, got, q.want)
		}
	}
	_, _, err := c.TemplatePool(root, PoolQuery{-5, -1, -1})
	if errs.KindOf(err) != errs.API || err.Error() != "Incorrect filter_flag" {
		t.Errorf("filter -5: %v", err)
	}
}

func TestPoolRanges(t *testing.T) {
	c := poolCloud(t)
	for _, q := range []struct {
		start, end int
		want       []int
	}{
		{-1, -1, []int{5, 4, 3, 2, 1, 0}}, {2, 4, []int{4, 3, 2}}, {2, -1, []int{5, 4, 3, 2}}, {-1, 3, []int{5, 4, 3, 2, 1, 0}},
		{3, 3, []int{3}}, {4, 2, nil}, {0, -2, []int{5, 4}}, {2, -2, []int{3, 2}}, {4, -100, []int{1, 0}}, {6, -2, nil}, {99, -1, nil}, {0, 0, []int{0}},
	} {
		_, rows, err := c.TemplatePool(root, PoolQuery{FilterAll, q.start, q.end})
		if got := ids(rows); err != nil || !slices.Equal(got, q.want) {
			t.Errorf("%d, %d: got %v, %v; want %v", q.start, q.end, got, err, q.want)
		}
	}
	// A page counts what is left by the filter, not what is there.
	_, rows, _ := c.TemplatePool(ana, PoolQuery{FilterAll, 1, -2})
	if got := ids(rows); !slices.Equal(got, []int{3, 2}) {
		t.Errorf("second page of a user: %v", got)
	}
}

func TestPoolOrder(t *testing.T) {
	c := poolCloud(t)
	for name, who := range map[string]auth.Caller{
		"his own":    {UID: 4, GID: 1, Groups: []int{1}, Admin: true},
		"his groups": {UID: 5, GID: 7, Groups: []int{7}, Admin: true},
	} {
		_, rows, _ := c.TemplatePool(who, PoolQuery{FilterAll, 1, -3})
		if got := ids(rows); !slices.Equal(got, []int{1, 2, 3}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestVMPool(t *testing.T) {
	c := poolCloud(t)
	states := []one.VMState{one.VMPending, one.VMDone, one.VMActive, one.VMDone, one.VMPoweroff, one.VMActive}
	err := c.store.Update(context.Background(), func(tx *store.Tx) error {
		for id, s := range states {
			v := &one.VM{VMCore: one.VMCore{
				Meta: one.Meta{ID: id, UID: 2 + id%2, GID: 1, Name: fmt.Sprint("vm-", id), Perms: 0o600}, State: s, ServiceID: -1, VRouterID: -1,
				Template: tmpl.New(tmpl.Vec("NIC", "IP", fmt.Sprint("10.0.0.", id), "NETWORK", "private")),
			}, UserTemplate: tmpl.New(tmpl.Single("LABELS", "web-tier"))}
			if id >= 4 {
				v.History = []*one.History{{OID: id, Hostname: "edge1", STime: 100, ETime: 200}, {OID: id, Seq: 1, Hostname: "edge2", STime: 200}}
			}
			tx.PutVM(v)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		state  int
		search string
		want   []int
	}{
		{NotDone, "", []int{5, 4, 2, 0}}, {AnyState, "", []int{5, 4, 3, 2, 1, 0}}, {int(one.VMDone), "", []int{3, 1}},
		{int(one.VMActive), "", []int{5, 2}}, {7, "", nil},
		{NotDone, "NAME=vm-4", []int{4}}, {NotDone, "name=VM_4", []int{4}}, {NotDone, "VM.TEMPLATE.NIC[*].IP=10.0.0.5", []int{5}},
		{NotDone, "HOSTNAME=edge2&LABELS=tier", []int{5, 4}}, {NotDone, "private", []int{5, 4, 2, 0}}, {NotDone, "IP=private", nil}, {NotDone, "edge1", nil},
	} {
		_, rows, err := c.VMPool(root, Everything, q.state, q.search)
		if err != nil {
			t.Errorf("state %d, %q: %v", q.state, q.search, err)
		} else if got := ids(rows); !slices.Equal(got, q.want) {
			t.Errorf("state %d, %q: got %v, want %v", q.state, q.search, got, q.want)
		}
	}
	for _, state := range []int{-3, 12} {
		if _, _, err := c.VMPool(root, Everything, state, ""); errs.KindOf(err) != errs.API || err.Error() != "Incorrect filter_flag, state" {
			t.Errorf("state %d: %v", state, err)
		}
	}
	_, set := c.VMSet(ana, []int{99, 2, 3, 1, 0})
	if got := ids(set); !slices.Equal(got, []int{2, 0}) {
		t.Errorf("set of what ana may see: %v", got)
	}
	testHistory(t, c)
}

func testHistory(t *testing.T, c *Cloud) {
	for _, q := range []struct {
		start, end int64
		want       []string
	}{
		{-1, -1, []string{"4.0", "4.1", "5.0", "5.1"}}, {200, -1, []string{"4.1", "5.1"}}, {-1, 200, []string{"4.0", "5.0"}}, {150, 201, []string{"4.0", "4.1", "5.0", "5.1"}}, {-1, 100, nil},
	} {
		_, records, err := c.VMHistory(root, FilterAll, q.start, q.end)
		var got []string
		for v, h := range records {
			got = append(got, fmt.Sprint(v.ID, ".", h.Seq))
		}
		if err != nil || !slices.Equal(got, q.want) {
			t.Errorf("history of %d to %d: got %v, %v; want %v", q.start, q.end, got, err, q.want)
		}
	}
}

func TestUnfilteredPools(t *testing.T) {
	c := poolCloud(t)
	count := func(rows iter.Seq[*one.User]) (n int) {
		for range rows {
			n++
		}
		return n
	}
	_, all := c.UserPool(root)
	_, own := c.UserPool(auth.Caller{UID: 4, GID: 1, Groups: []int{1}})
	_, none := c.UserPool(ana)
	if a, o, n := count(all), count(own), count(none); a != 1 || o != 1 || n != 0 {
		t.Errorf("users seen by an administrator, oneself, another: %d, %d, %d", a, o, n)
	}
	_, clusters := c.ClusterPool(ana)
	for cl := range clusters {
		t.Errorf("cluster %d is visible to a user without rules", cl.ID)
	}
}

func TestVisibleLeases(t *testing.T) {
	c := poolCloud(t)
	net := &one.VNet{Meta: one.Meta{ID: 0, UID: 3, GID: 1, Perms: 0o644}, ParentID: -1}
	err := c.store.Update(context.Background(), func(tx *store.Tx) error {
		tx.PutVNet(net)
		for id, uid := range []int{2, 3} {
			tx.PutVM(&one.VM{VMCore: one.VMCore{Meta: one.Meta{ID: id, UID: uid, GID: 1, Perms: 0o600}, ServiceID: -1, VRouterID: -1}})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if f := c.VisibleLeases(c.View(), bob, net); f != nil {
		t.Error("the owner does not see all leases")
	}
	visible := c.VisibleLeases(c.View(), ana, net)
	for _, l := range []struct {
		lease one.Lease
		want  bool
	}{
		{one.Lease{Owner: one.LeaseVM, OwnerID: 0}, true}, {one.Lease{Owner: one.LeaseVM, OwnerID: 1}, false},
		{one.Lease{Owner: one.LeaseHeld, OwnerID: -1}, true}, {one.Lease{Owner: one.LeaseVNet, OwnerID: 0}, true}, {one.Lease{Owner: one.LeaseVRouter, OwnerID: 0}, false},
	} {
		if got := visible(&l.lease); got != l.want {
			t.Errorf("lease of %v %d: %v", l.lease.Owner, l.lease.OwnerID, got)
		}
	}
}
