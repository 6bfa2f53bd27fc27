package one_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/trifid-cloud/trifid/internal/one"
)

// Numbers and text of rules; the first is the example of the identity reference
// §7.1, the rest are the default rules of §7.5.
func TestRuleString(t *testing.T) {
	for want, r := range map[string]one.ACLRule{
		"@1 VM+IMAGE/#5 USE+MANAGE *":                                         {User: 0x200000001, Resource: 0x9100000005, Rights: 3, Zone: 0x400000000},
		"@1 VM+IMAGE+TEMPLATE+DOCUMENT+SECGROUP+VMGROUP+BACKUPJOB/* CREATE *": {User: 0x200000001, Resource: 0x121429400000000, Rights: 8, Zone: 0x400000000},
		"* ZONE/* USE *":                       {User: 0x400000000, Resource: 0x800400000000, Rights: 1, Zone: 0x400000000},
		"* MARKETPLACE+MARKETPLACEAPP/* USE *": {User: 0x400000000, Resource: 0x18000400000000, Rights: 1, Zone: 0x400000000},
		"@1 HOST/* MANAGE #0":                  {User: 0x200000001, Resource: 0x2400000000, Rights: 2, Zone: 0x100000000},
		"@1 NET/* USE #0":                      {User: 0x200000001, Resource: 0x4400000000, Rights: 1, Zone: 0x100000000},
		"@1 DATASTORE/* USE #0":                {User: 0x200000001, Resource: 0x100400000000, Rights: 1, Zone: 0x100000000},
		"#7 HOST+NET+DATASTORE/%100 USE+MANAGE+ADMIN+CREATE #3": {User: 0x100000007, Resource: 0x106800000064, Rights: 15, Zone: 0x100000003},
		"#7 USER/@101 ADMIN *": {User: 0x100000007, Resource: 0x10200000065, Rights: 4, Zone: 0x400000000},
		"#1 VM+HOST+NET+IMAGE+USER+TEMPLATE+GROUP+DATASTORE+CLUSTER+DOCUMENT+ZONE+SECGROUP+VDC+VROUTER+MARKETPLACE+MARKETPLACEAPP+VMGROUP+VNTEMPLATE+BACKUPJOB/* USE *": {
			User: 0x100000001, Resource: 0x17FF7F400000000, Rights: 1, Zone: 0x400000000},
	} {
		if got := r.String(); got != want {
			t.Errorf("%x %x %x %x: got %q, want %q", r.User, r.Resource, r.Rights, r.Zone, got, want)
		}
		// The first is only there for its numbers: the reference's own rules forbid
		// one VM in all zones.
		if bad := r.Malformed(); len(bad) > 0 && want != "@1 VM+IMAGE/#5 USE+MANAGE *" {
			t.Errorf("%s: %v", want, bad)
		}
	}
}

// Every reason of the identity reference §7.3, in its words.
func TestRuleMalformed(t *testing.T) {
	good := one.ACLRule{User: 0x200000001, Resource: 0x1400000000, Rights: 1, Zone: 0x400000000} // @1 VM/* USE *
	with := func(f func(r *one.ACLRule)) one.ACLRule {
		r := good
		f(&r)
		return r
	}
	user := func(n uint64) one.ACLRule { return with(func(r *one.ACLRule) { r.User = n }) }
	res := func(n uint64) one.ACLRule {
		return with(func(r *one.ACLRule) { r.Resource, r.Zone = n, 0x100000000 })
	}
	zone := func(n uint64) one.ACLRule { return with(func(r *one.ACLRule) { r.Zone = n }) }
	const (
		vm, host, net, image, user_, group, ds, cluster = 0x1000000000, 0x2000000000, 0x4000000000, 0x8000000000, 0x10000000000, 0x40000000000, 0x100000000000, 0x200000000000
		zoneType, vdc, hook, acl                        = 0x800000000000, 0x2000000000000, 0x80000000000000, 0x80000000000
		one1, grp, all, clu                             = 0x100000000, 0x200000000, 0x400000000, 0x800000000
		clusterOnly                                     = "[resource] CLUSTER(%) selector can be applied only to DATASTORE, HOST and NET types"
		noGroup                                         = "[resource] GROUP(@) selector cannot be applied to HOST, GROUP, CLUSTER, ZONE or VDC types"
		exclusive                                       = "[resource] INDIVIDUAL (#), GROUP (@), CLUSTER (%) and ALL (*) bits are exclusive"
		allZones                                        = "[resource] INDIVIDUAL(#) selector cannot be applied to ALL zones, except for USER, GROUP and ZONE types"
	)
	for _, q := range []struct {
		name string
		rule one.ACLRule
		want string
	}{
		{"good", good, ""},
		{"user # and @", user(one1 | grp | 1), "[user] INDIVIDUAL (#) and GROUP (@) bits are exclusive"},
		{"user # and *", user(one1 | all), "[user] INDIVIDUAL (#) and ALL (*) bits are exclusive"},
		{"user @ and *", user(grp | all), "[user] GROUP (@) and ALL (*) bits are exclusive"},
		{"user without selector", user(5), "[user] is missing one of the INDIVIDUAL, GROUP or ALL bits"},
		{"user negative", user(one1 | 0xFFFFFFFF), "[user] ID cannot be negative"},
		{"user * with an id", user(all | 5), "when using the ALL bit, [user] ID must be 0"},
		{"user * with a negative id", user(all | 0x80000000), "[user] ID cannot be negative; when using the ALL bit, [user] ID must be 0"},
		{"resource # and @", res(vm | one1 | grp), exclusive},
		{"resource # and *", res(vm | one1 | all), exclusive},
		{"resource @ and %", res(net | grp | clu), exclusive},
		{"resource % and *", res(net | clu | all), exclusive},
		{"cluster of VMs", res(vm | clu), clusterOnly},
		{"cluster of networks and VMs", res(net | vm | clu), clusterOnly},
		{"cluster of hosts, networks, datastores", res(host | net | ds | clu | 5), ""},
		{"group of hosts", res(host | grp | 1), noGroup},
		{"group of groups", res(group | grp | 1), noGroup},
		{"group of clusters", res(cluster | grp | 1), noGroup},
		{"group of zones", res(zoneType | grp | 1), noGroup},
		{"group of VDCs", res(vdc | grp | 1), noGroup},
		{"group of users", res(user_ | grp | 1), ""},
		{"resource without selector", res(vm | 5), "[resource] is missing one of the INDIVIDUAL, GROUP, CLUSTER or ALL bits"},
		{"resource without type", res(all), "[resource] type is missing"},
		{"hooks", res(hook | all), "wrong [resource] type"},
		{"a bit above the table", res(0x1000000000000000 | all), "wrong [resource] type"},
		{"rules about rules", res(acl | all), ""},
		{"resource negative", res(vm | one1 | 0x80000000), "[resource] ID cannot be negative"},
		{"resource * with an id", res(vm | all | 5), "when using the ALL bit, [resource] ID must be 0"},
		{"no rights", with(func(r *one.ACLRule) { r.Rights = 0 }), "wrong [rights], it cannot be 0"},
		{"all rights", with(func(r *one.ACLRule) { r.Rights = 15 }), ""},
		{"too many rights", with(func(r *one.ACLRule) { r.Rights = 16 }), "wrong [rights], it cannot be bigger than 0xF"},
		{"zone @", zone(grp | 1), "[zone] GROUP (@) bit is not supported; [zone] is missing one of the INDIVIDUAL or ALL bits"},
		{"zone # and *", zone(one1 | all), "[zone] INDIVIDUAL (#) and ALL (*) bits are exclusive"},
		{"zone without selector", zone(5), "[zone] is missing one of the INDIVIDUAL or ALL bits"},
		{"zone negative", zone(one1 | 0xFFFFFFFF), "[zone] ID cannot be negative"},
		{"zone * with an id", zone(all | 5), "when using the ALL bit, [zone] ID must be 0"},
		{"one VM in all zones", with(func(r *one.ACLRule) { r.Resource = vm | one1 | 5 }), allZones},
		{"one image in all zones", with(func(r *one.ACLRule) { r.Resource = image | one1 | 5 }), allZones},
		{"one user in all zones", with(func(r *one.ACLRule) { r.Resource = user_ | one1 | 5 }), ""},
		{"one group in all zones", with(func(r *one.ACLRule) { r.Resource = group | one1 | 5 }), ""},
		{"one zone in all zones", with(func(r *one.ACLRule) { r.Resource = zoneType | one1 | 5 }), ""},
		{"one VDC in all zones", with(func(r *one.ACLRule) { r.Resource = vdc | one1 | 5 }), ""},
		{"nothing at all", one.ACLRule{}, strings.Join([]string{
			"[user] is missing one of the INDIVIDUAL, GROUP or ALL bits",
			"[resource] is missing one of the INDIVIDUAL, GROUP, CLUSTER or ALL bits", "[resource] type is missing",
			"wrong [rights], it cannot be 0", "[zone] is missing one of the INDIVIDUAL or ALL bits"}, "; ")},
	} {
		if got := strings.Join(q.rule.Malformed(), "; "); got != q.want {
			t.Errorf("%s: got %q, want %q", q.name, got, q.want)
		}
	}
}

// Rules are printed whatever their numbers, and those that are well formed say
// what they are about.
func TestRuleAny(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := one.ACLRule{User: rapid.Uint64().Draw(t, "user"), Resource: rapid.Uint64().Draw(t, "resource"), Rights: rapid.Uint64().Draw(t, "rights"), Zone: rapid.Uint64().Draw(t, "zone")}
		if len(r.Malformed()) == 0 && strings.Contains(r.String(), "??") {
			t.Fatalf("%+v: well formed, and yet %s", r, r)
		}
		if strings.Count(r.String(), " ") < 3 {
			t.Fatalf("%+v: %s", r, r)
		}
	})
}
