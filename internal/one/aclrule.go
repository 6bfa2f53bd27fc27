package one

import (
	"strconv"
	"strings"
)

// aclOrder is the order in which types stand in a rule's text. A rule may name
// them and ACL, which has no word there. Source: identity reference §7.2.
var aclOrder = []Kind{
	KindVM, KindHost, KindNet, KindImage, KindUser, KindTemplate, KindGroup, KindDatastore, KindCluster, KindDocument,
	KindZone, KindSecGroup, KindVDC, KindVRouter, KindMarket, KindMarketApp, KindVMGroup, KindVNTemplate, KindBackupJob,
}

// typeBits are the bits of a resource number that stand for types.
const typeBits = ^uint64(1<<aclTypeShift - 1)

// String renders the rule: "@1 VM+IMAGE/#5 USE+MANAGE *".
// Source: identity reference §7.2.
func (r ACLRule) String() string {
	var types []string
	for _, k := range aclOrder {
		if r.Resource&k.ACLType() != 0 {
			types = append(types, k.String())
		}
	}
	return selector(r.User) + " " + strings.Join(types, "+") + "/" + selector(r.Resource) + " " + Right(r.Rights).all() + " " + selector(r.Zone)
}

// all renders every right that is set.
func (r Right) all() string {
	var out []string
	for _, one := range []Right{Use, Manage, Admin, Create} {
		if r&one != 0 {
			out = append(out, one.String())
		}
	}
	return strings.Join(out, "+")
}

func selector(n uint64) string {
	id := strconv.Itoa(ACLID(n))
	switch {
	case n&ACLGroup != 0:
		return "@" + id
	case n&ACLIndividual != 0:
		return "#" + id
	case n&ACLAll != 0:
		return "*"
	case n&ACLCluster != 0:
		return "%" + id
	}
	return "??"
}

// Malformed returns what is wrong with a rule, in the reference's words; nothing
// when it is well formed. Source: identity reference §7.3.
func (r ACLRule) Malformed() []string {
	var out []string
	add := func(bad bool, text string) {
		if bad {
			out = append(out, text)
		}
	}
	has := func(n, bit uint64) bool { return n&bit != 0 }
	common := func(n uint64, what string) {
		add(int32(uint32(n)) < 0, "["+what+"] ID cannot be negative")
		add(has(n, ACLAll) && uint32(n) != 0, "when using the ALL bit, ["+what+"] ID must be 0")
	}

	u := r.User
	add(has(u, ACLIndividual) && has(u, ACLGroup), "[user] INDIVIDUAL (#) and GROUP (@) bits are exclusive")
	add(has(u, ACLIndividual) && has(u, ACLAll), "[user] INDIVIDUAL (#) and ALL (*) bits are exclusive")
	add(has(u, ACLGroup) && has(u, ACLAll), "[user] GROUP (@) and ALL (*) bits are exclusive")
	add(u&(ACLIndividual|ACLGroup|ACLAll) == 0, "[user] is missing one of the INDIVIDUAL, GROUP or ALL bits")
	common(u, "user")

	res := r.Resource
	selectors := 0
	for _, bit := range []uint64{ACLIndividual, ACLGroup, ACLAll, ACLCluster} {
		if has(res, bit) {
			selectors++
		}
	}
	add(selectors > 1, "[resource] INDIVIDUAL (#), GROUP (@), CLUSTER (%) and ALL (*) bits are exclusive")
	add(has(res, ACLCluster) && has(res, typeBits&^types(KindDatastore, KindHost, KindNet)),
		"[resource] CLUSTER(%) selector can be applied only to DATASTORE, HOST and NET types")
	add(has(res, ACLGroup) && has(res, types(KindHost, KindGroup, KindCluster, KindZone, KindVDC)),
		"[resource] GROUP(@) selector cannot be applied to HOST, GROUP, CLUSTER, ZONE or VDC types")
	add(selectors == 0, "[resource] is missing one of the INDIVIDUAL, GROUP, CLUSTER or ALL bits")
	add(res&typeBits == 0, "[resource] type is missing")
	add(has(res, typeBits&^(types(aclOrder...)|KindACL.ACLType())), "wrong [resource] type")
	common(res, "resource")

	add(r.Rights == 0, "wrong [rights], it cannot be 0")
	add(r.Rights > 0xF, "wrong [rights], it cannot be bigger than 0xF")

	z := r.Zone
	add(has(z, ACLGroup), "[zone] GROUP (@) bit is not supported")
	add(has(z, ACLIndividual) && has(z, ACLAll), "[zone] INDIVIDUAL (#) and ALL (*) bits are exclusive")
	add(z&(ACLIndividual|ACLAll) == 0, "[zone] is missing one of the INDIVIDUAL or ALL bits")
	common(z, "zone")
	add(has(res, ACLIndividual) && has(z, ACLAll) && has(res, typeBits&^types(KindUser, KindGroup, KindZone, KindACL, KindVDC)),
		"[resource] INDIVIDUAL(#) selector cannot be applied to ALL zones, except for USER, GROUP and ZONE types")
	return out
}

func types(ks ...Kind) uint64 {
	var n uint64
	for _, k := range ks {
		n |= k.ACLType()
	}
	return n
}
