package cloud

import (
	"context"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// AddRule adds an ACL rule given as the protocol's hexadecimal numbers; zone ""
// is the local zone. Source: identity reference §7.
func (c *Cloud) AddRule(ctx context.Context, who auth.Caller, user, resource, rights, zone string) (int, error) {
	var unreadable error // told to those who may add rules at all
	r := one.ACLRule{Zone: one.ACLIndividual | uint64(uint32(c.cfg.Zone))}
	for _, p := range []struct {
		name, text string
		to         *uint64
	}{{"user", user, &r.User}, {"resource", resource, &r.Resource}, {"rights", rights, &r.Rights}, {"zone", zone, &r.Zone}} {
		if p.text == "" && p.name == "zone" {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(p.text)), "0x"), 16, 64)
		if err != nil && unreadable == nil {
			unreadable = errs.New(errs.Internal, "Rule is malformed: [%s] %q is not a hexadecimal number", p.name, p.text)
		}
		*p.to = n
	}
	id := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		if err := c.allow(&tx.State, who, auth.Target{Kind: one.KindACL, ID: -1}, one.Manage); err != nil {
			return err
		}
		if unreadable != nil {
			return unreadable
		}
		if reasons := r.Malformed(); len(reasons) > 0 {
			return errs.New(errs.Internal, "Rule %s is malformed: %s", r.String(), strings.Join(reasons, "; "))
		}
		before := tx.ACLs.Len()
		if id = c.addRule(tx, r); tx.ACLs.Len() == before {
			return errs.New(errs.Internal, "Rule %s already exists", r.String())
		}
		return nil
	})
	return id, err
}

// addRule stores a rule unless the same one exists; it returns its id.
func (c *Cloud) addRule(tx *store.Tx, r one.ACLRule) int {
	for _, o := range tx.RulesOf(r.User) {
		if o.SameRule(r) {
			return o.ID
		}
	}
	r.ID = tx.NextID("acl", 0)
	tx.PutACL(&r)
	return r.ID
}

// DeleteRule removes an ACL rule.
func (c *Cloud) DeleteRule(ctx context.Context, who auth.Caller, id int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		if err := c.allow(&tx.State, who, auth.Target{Kind: one.KindACL, ID: -1}, one.Manage); err != nil {
			return err
		}
		if _, ok := tx.ACLs.Get(id); !ok {
			return errs.New(errs.Internal, "Rule %d does not exist", id)
		}
		tx.DeleteACL(id)
		return nil
	})
}

// Rules returns the state whose ACL rules the caller may read.
func (c *Cloud) Rules(who auth.Caller) (*View, error) {
	st := c.store.View()
	return st, c.allowRead(st, who, auth.Target{Kind: one.KindACL, ID: -1}, one.Manage)
}

// dropRulesOf removes the rules whose resource is exactly one object that is gone.
// Source: identity reference §7.4.
func (c *Cloud) dropRulesOf(tx *store.Tx, kind one.Kind, id int) {
	want := kind.ACLType() | one.ACLIndividual | uint64(uint32(id))
	c.dropRules(tx, func(r *one.ACLRule) bool { return r.Resource == want })
}

// dropRule removes a rule, whatever its id.
func (c *Cloud) dropRule(tx *store.Tx, r one.ACLRule) {
	for _, o := range tx.RulesOf(r.User) {
		if o.SameRule(r) {
			tx.DeleteACL(o.ID)
			return
		}
	}
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
