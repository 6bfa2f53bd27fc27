package cloud

import (
	"context"
	"slices"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// GroupInfo returns a group the caller may use (-1: its primary group), and the
// state it was read from.
func (c *Cloud) GroupInfo(who auth.Caller, id int) (*View, *one.Group, error) {
	if id < 0 {
		id = who.GID
	}
	st := c.store.View()
	g, err := c.groupFor(st, who, id, one.Use)
	return st, g, err
}

// AllocateGroup creates a group and puts it into VDC 0.
// Source: identity reference §8.1.
func (c *Cloud) AllocateGroup(ctx context.Context, who auth.Caller, name string) (int, error) {
	id := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		if err := c.allowCreate(&tx.State, who, one.KindGroup); err != nil {
			return err
		}
		name, err := checkedName(name)
		if err != nil {
			return err
		}
		if err := nameTaken(&tx.GroupNames, "GROUP", name); err != nil {
			return err
		}
		id = tx.NextID("group", one.FirstCustomID)
		tx.PutGroup(&one.Group{ID: id, Name: name})
		if v, ok := tx.VDCs.Get(one.DefaultVDC); ok {
			n := *v
			n.Groups = insertInt(v.Groups, id)
			tx.PutVDC(&n)
			c.syncVDC(tx, v, &n)
		}
		return nil
	})
	return id, err
}

func (c *Cloud) changeGroup(ctx context.Context, who auth.Caller, id int, r one.Right, f func(*store.Tx, *one.Group) error) error {
	return c.update(ctx, func(tx *store.Tx) error {
		g, err := c.groupFor(&tx.State, who, id, r)
		if err != nil {
			return err
		}
		n := *g
		if err := f(tx, &n); err != nil {
			return err
		}
		tx.PutGroup(&n)
		return nil
	})
}

// UpdateGroup replaces (0) or merges (1) a group's template.
func (c *Cloud) UpdateGroup(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	return c.changeGroup(ctx, who, id, one.Manage, func(_ *store.Tx, n *one.Group) error {
		if err := checkOperations(change); err != nil {
			return err
		}
		body, err := c.mergeUpdate(who, one.KindGroup, userRestricted, n.Template, change, appendMode)
		if err != nil {
			return err
		}
		n.Template = body
		return nil
	})
}

// DeleteGroup removes a group without users that is not a system one.
func (c *Cloud) DeleteGroup(ctx context.Context, who auth.Caller, id int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		if _, err := c.groupFor(&tx.State, who, id, one.Admin); err != nil {
			return err
		}
		switch {
		case id < one.FirstCustomID:
			return errs.New(errs.Action, "Cannot delete group. System Groups (ID < 100) cannot be deleted.").About(id)
		case tx.GroupUsers.Any(id):
			return errs.New(errs.Action, "Cannot delete group. Group %d is not empty.", id).About(id)
		}
		var in []*one.VDC
		for _, v := range tx.VDCs.All() {
			if slices.Contains(v.Groups, id) {
				in = append(in, v)
			}
		}
		for _, v := range in {
			n := *v
			n.Groups = removeInt(v.Groups, id)
			tx.PutVDC(&n)
			c.syncVDC(tx, v, &n)
		}
		tx.DeleteGroup(id)
		group := one.ACLGroup | uint64(uint32(id))
		c.dropRules(tx, func(r *one.ACLRule) bool {
			return r.User == group || r.Resource&(one.ACLGroup|0xffffffff) == group && r.Resource&one.ACLGroup != 0
		})
		c.dropRulesOf(tx, one.KindGroup, id)
		return nil
	})
}

// SetGroupAdmin makes a user of a group its administrator (on), or not any more.
// Source: identity reference §8.2.
func (c *Cloud) SetGroupAdmin(ctx context.Context, who auth.Caller, id, uid int, on bool) error {
	return c.update(ctx, func(tx *store.Tx) error {
		g, ok := tx.Groups.Get(id)
		if !ok {
			return errs.NotFound(one.KindGroup, id)
		}
		u, ok := tx.Users.Get(uid)
		if !ok {
			return errs.NotFound(one.KindUser, uid)
		}
		if err := c.allowAll(&tx.State, who, ask{groupTarget(id), one.Admin}, ask{userTarget(u), one.Admin}); err != nil {
			return err
		}
		n := *g
		fail := func(text string) error {
			return errs.New(errs.Internal, "Cannot edit group. User %d is %s Group %d.", uid, text, id).About(id)
		}
		is := slices.Contains(g.Admins, uid)
		switch {
		case !u.InGroup(id):
			return fail("not part of")
		case on && is:
			return fail("already an administrator of")
		case !on && !is:
			return fail("not an administrator of")
		case on:
			n.Admins = insertInt(g.Admins, uid)
			for _, r := range groupAdminRules(id, uid) {
				c.addRule(tx, r)
			}
		default:
			n.Admins = removeInt(g.Admins, uid)
			c.dropGroupAdmin(tx, u, id)
		}
		tx.PutGroup(&n)
		return nil
	})
}

// groupAdminRules are the rules an administrator of a group has.
func groupAdminRules(gid, uid int) []one.ACLRule {
	user, group := one.ACLIndividual|uint64(uint32(uid)), one.ACLGroup|uint64(uint32(gid))
	var objects uint64
	for _, k := range []one.Kind{one.KindVM, one.KindNet, one.KindImage, one.KindTemplate, one.KindDocument, one.KindSecGroup, one.KindVRouter, one.KindVMGroup, one.KindBackupJob} {
		objects |= k.ACLType()
	}
	const all = uint64(one.Use | one.Manage | one.Admin | one.Create)
	return []one.ACLRule{
		{User: user, Resource: one.KindUser.ACLType() | group, Rights: all, Zone: one.ACLAll},
		{User: user, Resource: objects | group, Rights: uint64(one.Use | one.Manage), Zone: one.ACLAll},
		{User: user, Resource: one.KindVRouter.ACLType() | one.ACLAll, Rights: uint64(one.Create), Zone: one.ACLAll},
		{User: user, Resource: one.KindGroup.ACLType() | one.ACLIndividual | uint64(uint32(gid)), Rights: uint64(one.Manage), Zone: one.ACLAll},
	}
}

// dropGroupAdmin removes the rules of an administrator of a group. One that the
// user also has as administrator of another group stays: the original drops it,
// which takes away a right that nobody revoked.
func (c *Cloud) dropGroupAdmin(tx *store.Tx, u *one.User, gid int) {
	var kept []one.ACLRule
	for _, other := range u.Groups {
		if g, ok := tx.Groups.Get(other); ok && other != gid && slices.Contains(g.Admins, u.ID) {
			kept = append(kept, groupAdminRules(other, u.ID)...)
		}
	}
	for _, r := range groupAdminRules(gid, u.ID) {
		if !slices.Contains(kept, r) {
			c.dropRule(tx, r)
		}
	}
}
