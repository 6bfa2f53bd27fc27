// Package auth decides who a session is and what a caller may do: session
// strings, login tokens, server logins, permission bits, ACL rules, locks. It
// decides only; storing and answering is the service layer's.
//
// Source: the identity reference.
package auth

import (
	"github.com/trifid-cloud/trifid/internal/one"
)

// Caller is an authenticated user with the groups this session grants.
type Caller struct {
	UID, GID int // GID: the primary group, or the only one of a scoped session
	Name     string
	GName    string
	Groups   []int // ascending; all the groups whose rights count
	Umask    uint16
	// Admin is true for uid 0 and for members of group 0: all right tests pass
	// but those of locks. Source: identity reference §6.5.
	Admin bool
	// ReqID numbers the request, for locks and history records.
	ReqID int
	// From is where the request came from, for the audit: "core 10.0.0.5".
	From string
}

// System is the caller of the server's own work: user 0 with all rights.
func System(from string) Caller {
	return Caller{UID: one.OneadminID, GID: one.OneadminID, Name: "oneadmin", GName: "oneadmin", Groups: []int{0}, Umask: 0o177, Admin: true, From: from}
}

// InGroup tells whether the session grants the group.
func (c Caller) InGroup(gid int) bool {
	for _, g := range c.Groups {
		if g == gid {
			return true
		}
	}
	return false
}

// PrimaryAdmin tells whether the primary group is 0, which a few calls ask for
// instead of mere membership. Source: identity reference §6.4.
func (c Caller) PrimaryAdmin() bool { return c.GID == one.OneadminID }

// Directory is what decisions are made from; a store state is one.
type Directory interface {
	UserByName(name string) (*one.User, bool)
	GroupByID(gid int) (*one.Group, bool)
	// RulesOf returns the ACL rules whose user number is exactly n.
	RulesOf(n uint64) []*one.ACLRule
}

// Target is an object that a right is asked on.
type Target struct {
	Kind     one.Kind
	ID       int // -1 for a creation
	UID, GID int
	Perms    one.Perms
	Lock     one.Lock
	Clusters []int
	// Reservation marks networks that have a parent: rules on all networks or on
	// a cluster's do not reach them.
	Reservation bool
}

// Of returns the target for an owned object.
func Of(kind one.Kind, m one.Meta) Target {
	return Target{Kind: kind, ID: m.ID, UID: m.UID, GID: m.GID, Perms: m.Perms, Lock: m.Lock}
}

// Creation returns the target of creating an object of a kind: it belongs to the
// caller's primary group.
func Creation(kind one.Kind, c Caller) Target { return Target{Kind: kind, ID: -1, UID: -1, GID: c.GID} }

// Allowed decides whether the caller has the right on the target: the lock
// first, then permission bits, then rules; there are only grants.
// Source: identity reference §6.6 and §7.4.
func Allowed(d Directory, zone int, c Caller, t Target, r one.Right) bool {
	if t.Lock.Blocks(r) {
		return false
	}
	return AllowedLocked(d, zone, c, t, r)
}

// AllowedLocked decides as Allowed does but disregards locks, as the reading of
// an object and the handling of its lock do.
func AllowedLocked(d Directory, zone int, c Caller, t Target, r one.Right) bool {
	if c.Admin {
		return true
	}
	if r != one.Create {
		if t.UID == c.UID && t.Perms.Owner(r) || c.InGroup(t.GID) && t.Perms.Group(r) || t.Perms.Other(r) {
			return true
		}
	}
	return byRules(d, zone, c, t, r)
}

// byRules looks for a rule that grants: those of everybody, of the user, then of
// each of the caller's groups.
func byRules(d Directory, zone int, c Caller, t Target, r one.Right) bool {
	if anyGrants(d.RulesOf(one.ACLAll), zone, t, r) || anyGrants(d.RulesOf(one.ACLIndividual|uint64(uint32(c.UID))), zone, t, r) {
		return true
	}
	for _, g := range c.Groups {
		if anyGrants(d.RulesOf(one.ACLGroup|uint64(uint32(g))), zone, t, r) {
			return true
		}
	}
	return false
}

func anyGrants(rules []*one.ACLRule, zone int, t Target, r one.Right) bool {
	for _, rule := range rules {
		if Grants(rule, zone, t, r) {
			return true
		}
	}
	return false
}

// Grants tells whether one rule, whose user part is taken as matching, grants
// the right on the target in the zone.
func Grants(rule *one.ACLRule, zone int, t Target, r one.Right) bool {
	if rule.Zone&one.ACLAll == 0 && !(rule.Zone&one.ACLIndividual != 0 && one.ACLID(rule.Zone) == zone) {
		return false
	}
	if rule.Rights&uint64(r) == 0 || rule.Resource&t.Kind.ACLType() == 0 {
		return false
	}
	switch {
	case rule.Resource&one.ACLAll != 0:
		return !t.Reservation
	case rule.Resource&one.ACLGroup != 0:
		return t.GID == one.ACLID(rule.Resource)
	case rule.Resource&one.ACLIndividual != 0:
		return t.ID >= 0 && t.ID == one.ACLID(rule.Resource)
	case rule.Resource&one.ACLCluster != 0:
		if t.Reservation {
			return false
		}
		for _, cl := range t.Clusters {
			if cl == one.ACLID(rule.Resource) {
				return true
			}
		}
	}
	return false
}

// Refusal is the reason part of a refusal's message.
// Source: XML-RPC reference §2.2.
func Refusal(c Caller, t Target, r one.Right) string {
	if c.Admin {
		return t.Kind.String() + " is locked. [" + itoa(t.ID) + "]"
	}
	s := "Not authorized to perform " + r.String() + " " + t.Kind.String()
	if t.ID >= 0 {
		s += " [" + itoa(t.ID) + "]"
	}
	return s
}
