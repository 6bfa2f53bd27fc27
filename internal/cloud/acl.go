package cloud

import (
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// dropRulesOf removes the rules whose resource is exactly one object that is gone.
// Source: identity reference §7.4.
func (c *Cloud) dropRulesOf(tx *store.Tx, kind one.Kind, id int) {
	want := kind.ACLType() | one.ACLIndividual | uint64(uint32(id))
	c.dropRules(tx, func(r *one.ACLRule) bool { return r.Resource == want })
}

// dropRules removes every rule that matches.
func (c *Cloud) dropRules(tx *store.Tx, match func(*one.ACLRule) bool) {
	var gone []int
	for id, r := range tx.ACLs.All() {
		if match(r) {
			gone = append(gone, id)
		}
	}
	for _, id := range gone {
		tx.DeleteACL(id)
	}
}
