package auth_test

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/one"
)

const zone = 0

func rule(user, resource uint64, rights one.Right, z uint64) *one.ACLRule {
	return &one.ACLRule{User: user, Resource: resource, Rights: uint64(rights), Zone: z}
}

func hash(n int) uint64 { return one.ACLIndividual | uint64(uint32(n)) }
func at(n int) uint64   { return one.ACLGroup | uint64(uint32(n)) }
func pct(n int) uint64  { return one.ACLCluster | uint64(uint32(n)) }

// Permission bits: class by class, right by right. Source: identity reference §6.1.
func TestPermissionBits(t *testing.T) {
	owner := auth.Caller{UID: 2, GID: 5, Groups: []int{5}}
	member := auth.Caller{UID: 3, GID: 1, Groups: []int{1}}
	second := auth.Caller{UID: 3, GID: 5, Groups: []int{1, 5}}
	stranger := auth.Caller{UID: 4, GID: 5, Groups: []int{5}}
	scoped := auth.Caller{UID: 3, GID: 5, Groups: []int{5}} // of group 1 too, but not in this session
	classes := []struct {
		name  string
		who   auth.Caller
		shift uint
	}{{"owner", owner, 6}, {"member", member, 3}, {"member by a second group", second, 3}, {"stranger", stranger, 0}}
	for _, c := range classes {
		for right, bit := range map[one.Right]one.Perms{one.Use: 4, one.Manage: 2, one.Admin: 1} {
			for perms := range one.Perms(0o1000) {
				target := auth.Target{Kind: one.KindImage, ID: 7, UID: 2, GID: 1, Perms: perms}
				want := perms&(bit<<c.shift) != 0 || perms&bit != 0
				if got := auth.Allowed(&directory{}, zone, c.who, target, right); got != want {
					t.Fatalf("%s, %s with %03o: got %v", c.name, right, perms, got)
				}
			}
		}
	}
	target := auth.Target{Kind: one.KindImage, ID: 7, UID: 2, GID: 1, Perms: 0o070}
	if auth.Allowed(&directory{}, zone, scoped, target, one.Use) {
		t.Error("a session of one group has the rights of another")
	}
	if auth.Allowed(&directory{}, zone, owner, auth.Target{Kind: one.KindImage, ID: -1, UID: 2, GID: 1, Perms: 0o777}, one.Create) {
		t.Error("permission bits grant CREATE")
	}
}

// Rules: who, what, where. Source: identity reference §7.4.
func TestRules(t *testing.T) {
	who := auth.Caller{UID: 2, GID: 1, Groups: []int{1, 100}}
	vm := auth.Target{Kind: one.KindVM, ID: 7, UID: 9, GID: 5}
	net := auth.Target{Kind: one.KindNet, ID: 7, UID: 9, GID: 5, Clusters: []int{0, 3}}
	reserved := net
	reserved.Reservation = true
	host := auth.Target{Kind: one.KindHost, ID: 4, Clusters: []int{3}}
	create := auth.Creation(one.KindVM, who)
	const all = one.ACLAll
	types := func(ks ...one.Kind) (n uint64) {
		for _, k := range ks {
			n |= k.ACLType()
		}
		return n
	}
	for _, q := range []struct {
		name   string
		rule   *one.ACLRule
		target auth.Target
		right  one.Right
		want   bool
	}{
		{"nothing", nil, vm, one.Use, false},
		{"everybody", rule(all, types(one.KindVM)|all, one.Use, all), vm, one.Use, true},
		{"the user", rule(hash(2), types(one.KindVM)|all, one.Use, all), vm, one.Use, true},
		{"another user", rule(hash(3), types(one.KindVM)|all, one.Use, all), vm, one.Use, false},
		{"the primary group", rule(at(1), types(one.KindVM)|all, one.Use, all), vm, one.Use, true},
		{"a second group", rule(at(100), types(one.KindVM)|all, one.Use, all), vm, one.Use, true},
		{"another group", rule(at(5), types(one.KindVM)|all, one.Use, all), vm, one.Use, false},
		{"another right", rule(all, types(one.KindVM)|all, one.Use, all), vm, one.Manage, false},
		{"one of several rights", rule(all, types(one.KindVM)|all, one.Use|one.Manage, all), vm, one.Manage, true},
		{"another type", rule(all, types(one.KindImage)|all, one.Use, all), vm, one.Use, false},
		{"one of several types", rule(all, types(one.KindImage, one.KindVM)|all, one.Use, all), vm, one.Use, true},
		{"the object", rule(all, types(one.KindVM)|hash(7), one.Use, hash(0)), vm, one.Use, true},
		{"another object", rule(all, types(one.KindVM)|hash(8), one.Use, hash(0)), vm, one.Use, false},
		{"the object's group", rule(all, types(one.KindVM)|at(5), one.Use, all), vm, one.Use, true},
		{"the caller's group is not the object's", rule(all, types(one.KindVM)|at(1), one.Use, all), vm, one.Use, false},
		{"this zone", rule(all, types(one.KindVM)|all, one.Use, hash(0)), vm, one.Use, true},
		{"another zone", rule(all, types(one.KindVM)|all, one.Use, hash(1)), vm, one.Use, false},
		{"a cluster of a host", rule(all, types(one.KindHost)|pct(3), one.Manage, all), host, one.Manage, true},
		{"another cluster", rule(all, types(one.KindHost)|pct(0), one.Manage, all), host, one.Manage, false},
		{"one of a network's clusters", rule(all, types(one.KindNet)|pct(3), one.Use, all), net, one.Use, true},
		{"a reservation by its cluster", rule(all, types(one.KindNet)|pct(3), one.Use, all), reserved, one.Use, false},
		{"a reservation by all networks", rule(all, types(one.KindNet)|all, one.Use, all), reserved, one.Use, false},
		{"a reservation by its id", rule(all, types(one.KindNet)|hash(7), one.Use, hash(0)), reserved, one.Use, true},
		{"a reservation by its group", rule(all, types(one.KindNet)|at(5), one.Use, all), reserved, one.Use, true},
		{"creation", rule(at(1), types(one.KindVM)|all, one.Create, all), create, one.Create, true},
		{"creation in the caller's primary group", rule(hash(2), types(one.KindVM)|at(1), one.Create, all), create, one.Create, true},
		{"creation in a second group", rule(hash(2), types(one.KindVM)|at(100), one.Create, all), create, one.Create, false},
		{"creation of one id", rule(hash(2), types(one.KindVM)|hash(0), one.Create, hash(0)), create, one.Create, false},
	} {
		d := &directory{}
		if q.rule != nil {
			d.rules = []*one.ACLRule{q.rule}
		}
		if got := auth.Allowed(d, zone, who, q.target, q.right); got != q.want {
			t.Errorf("%s: got %v", q.name, got)
		}
	}
}

// Locks stop everybody, administrators and the owner too. Source: identity
// reference §9.
func TestLocks(t *testing.T) {
	owner := auth.Caller{UID: 2, GID: 1, Groups: []int{1}}
	blocked := map[one.LockLevel]string{
		one.Unlocked: "", one.LockUse: "USE MANAGE ADMIN CREATE ", one.LockManage: "MANAGE ADMIN CREATE ", one.LockAdmin: "ADMIN CREATE ",
	}
	for level, want := range blocked {
		target := auth.Target{Kind: one.KindVM, ID: 7, UID: 2, GID: 1, Perms: 0o777, Lock: one.Lock{Level: level, Owner: 2}}
		for _, who := range []auth.Caller{auth.System("test"), owner} {
			got := ""
			for _, r := range []one.Right{one.Use, one.Manage, one.Admin, one.Create} {
				if r == one.Create && !who.Admin {
					got += map[bool]string{true: "CREATE "}[level != one.Unlocked]
					continue // no bit grants it in any case
				}
				if !auth.Allowed(&directory{}, zone, who, target, r) {
					got += r.String() + " "
				}
				if !auth.AllowedLocked(&directory{}, zone, who, target, r) {
					t.Errorf("level %d, user %d: the lock stops what disregards locks", level, who.UID)
				}
			}
			if got != want {
				t.Errorf("level %d, user %d: blocked %q, want %q", level, who.UID, got, want)
			}
		}
	}
}

// The words of refusals. Source: XML-RPC reference §2.2.
func TestRefusal(t *testing.T) {
	ana := auth.Caller{UID: 2}
	for want, got := range map[string]string{
		"Not authorized to perform MANAGE VM [7]":     auth.Refusal(ana, auth.Target{Kind: one.KindVM, ID: 7}, one.Manage),
		"Not authorized to perform CREATE TEMPLATE":   auth.Refusal(ana, auth.Creation(one.KindTemplate, ana), one.Create),
		"VM is locked. [7]":                           auth.Refusal(auth.System(""), auth.Target{Kind: one.KindVM, ID: 7}, one.Use),
		"Not authorized to perform ADMIN CLUSTER [0]": auth.Refusal(ana, auth.Target{Kind: one.KindCluster, ID: 0}, one.Admin),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
