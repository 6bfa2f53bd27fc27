package one

// ACLRule grants Rights on Resource to User in Zone. The four numbers are those
// of the protocol: selector and type bits above, an id in the low 32 bits.
// Source: identity reference §7.
type ACLRule struct {
	ID       int
	User     uint64
	Resource uint64
	Rights   uint64
	Zone     uint64
}

// Selector bits of a rule's numbers.
const (
	ACLIndividual uint64 = 0x0000000100000000
	ACLGroup      uint64 = 0x0000000200000000
	ACLAll        uint64 = 0x0000000400000000
	ACLCluster    uint64 = 0x0000000800000000
	aclTypeShift         = 36
)

// ACLType returns the type bit of a kind of resource.
func (k Kind) ACLType() uint64 { return 1 << (aclTypeShift + uint(k)) }

// ACLID returns the id in the low half of a rule's number.
func ACLID(n uint64) int { return int(uint32(n)) }

// SameRule tells whether two rules are the same but for their ids.
func (r ACLRule) SameRule(o ACLRule) bool {
	return r.User == o.User && r.Resource == o.Resource && r.Rights == o.Rights && r.Zone == o.Zone
}
