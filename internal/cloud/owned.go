package cloud

import (
	"context"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// uniqueWord is how "NAME is already taken by …" names a kind whose names are
// unique per owner. Source: XML-RPC reference §5.2.
var uniqueWord = map[one.Kind]string{
	one.KindImage: "IMAGE", one.KindSecGroup: "SecurityGroup", one.KindTemplate: "TEMPLATE", one.KindNet: "NET",
	one.KindVNTemplate: "VN TEMPLATE",
}

// ownedNames returns the names of a kind that is unique per owner, nil for others.
func ownedNames(st *store.State, kind one.Kind) *store.Names {
	switch kind {
	case one.KindImage:
		return &st.ImageNames
	case one.KindNet:
		return &st.VNetNames
	case one.KindTemplate:
		return &st.TemplateNames
	case one.KindVNTemplate:
		return &st.VNTemplateNames
	case one.KindSecGroup:
		return &st.SecGroupNames
	}
	return nil
}

// checkFreeName refuses a name that another object of the owner has.
func checkFreeName(st *store.State, kind one.Kind, uid int, name string) error {
	if names := ownedNames(st, kind); names != nil {
		if id, taken := names.FindOf(uid, name); taken {
			return errs.New(errs.Internal, "NAME is already taken by %s %d.", uniqueWord[kind], id).About(id)
		}
	}
	return nil
}

// rights that rename, lock and so on ask for. A VM asks for the level its
// operation is configured at; a keyword stands for it.
func (c *Cloud) allowOp(st *store.State, who auth.Caller, o one.Owned, vmOp string, r one.Right) error {
	if o.Kind() == one.KindVM && vmOp != "" {
		r = c.vmOperationLevel(st, who, vmOp)
	}
	return c.allow(st, who, target(o), r)
}

// Rename gives an object another name. Source: XML-RPC reference §6.3.
func (c *Cloud) Rename(ctx context.Context, who auth.Caller, kind one.Kind, id int, name string) error {
	return c.update(ctx, func(tx *store.Tx) error {
		o, err := get(&tx.State, kind, id)
		if err != nil {
			return err
		}
		if err := c.allowOp(&tx.State, who, o, "rename", one.Manage); err != nil {
			return err
		}
		m := o.Head()
		if err := one.CheckName(name); err != nil {
			return errs.Wrap(errs.Action, err).About(id)
		}
		if m.Name == name {
			return nil
		}
		if names := ownedNames(&tx.State, kind); names != nil {
			if other, taken := names.FindOf(m.UID, name); taken {
				return collides(kind, name, other)
			}
		}
		if d, ok := o.(*one.Datastore); ok {
			if other, taken := tx.DatastoreNames.Find(name); taken {
				return collides(kind, name, other)
			}
			c.renameDatastoreInImages(tx, d.ID, name)
		}
		m.Name = name
		tx.PutOwned(o.WithHead(m))
		return nil
	})
}

func collides(kind one.Kind, name string, other int) error {
	return errs.New(errs.Action, "%s cannot be renamed to %s because it collides with %s %d", kind, name, kind, other).About(other)
}

// renameDatastoreInImages keeps the datastore name that image documents carry.
func (c *Cloud) renameDatastoreInImages(tx *store.Tx, ds int, name string) {
	for _, id := range tx.DatastoreImages.List(ds) {
		if i, ok := tx.Images.Get(id); ok {
			n := *i
			n.Datastore = name
			tx.PutImage(&n)
		}
	}
}

// Chown gives an object to another user or group; -1 keeps. The new owner's
// quotas are checked. Source: XML-RPC reference §6.4.
func (c *Cloud) Chown(ctx context.Context, who auth.Caller, kind one.Kind, id, uid, gid int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		o, err := get(&tx.State, kind, id)
		if err != nil {
			return err
		}
		m, err := c.newOwner(&tx.State, who, o, uid, gid)
		if err != nil {
			return err
		}
		if names := ownedNames(&tx.State, kind); names != nil && m.UID != o.Head().UID {
			if other, taken := names.FindOf(m.UID, m.Name); taken {
				return errs.New(errs.Internal, "user [%d] already owns %s [%d] with NAME %s", m.UID, kind, other, m.Name).About(other)
			}
		}
		if v, ok := o.(*one.VM); ok && v.State == one.VMDone {
			return errs.New(errs.Action, "Could not change VM ownership, wrong state").About(id)
		}
		old := o.Head()
		tx.PutOwned(o.WithHead(m))
		if err := c.checkMovedQuota(&tx.State, who, kind, old, m); err != nil {
			return err
		}
		if kind == one.KindVRouter {
			return c.moveRouterVMs(tx, who, id, m)
		}
		return nil
	})
}

// newOwner returns an object's header with another owner and group, -1 keeping
// them, if the caller may give it to them. Source: XML-RPC reference §6.4.
func (c *Cloud) newOwner(st *store.State, who auth.Caller, o one.Owned, uid, gid int) (one.Meta, error) {
	m := o.Head()
	asks := []ask{{target(o), one.Manage}}
	if uid >= 0 {
		u, ok := st.Users.Get(uid)
		if !ok {
			return m, errs.NotFound(one.KindUser, uid)
		}
		asks = append(asks, ask{userTarget(u), one.Manage})
		m.UID, m.UName = u.ID, u.Name
	}
	if gid >= 0 {
		g, ok := st.Groups.Get(gid)
		if !ok {
			return m, errs.NotFound(one.KindGroup, gid)
		}
		asks = append(asks, ask{groupTarget(gid), one.Use})
		m.GID, m.GName = g.ID, g.Name
	}
	return m, c.allowAll(st, who, asks...)
}

// moveRouterVMs gives the VMs of a virtual router to its new owner, whose quotas
// they must fit in.
func (c *Cloud) moveRouterVMs(tx *store.Tx, who auth.Caller, router int, m one.Meta) error {
	for _, id := range tx.VRouterVMs.List(router) {
		v, ok := tx.VMs.Get(id)
		if !ok {
			continue
		}
		h := v.Head()
		h.UID, h.UName, h.GID, h.GName = m.UID, m.UName, m.GID, m.GName
		tx.PutOwned(v.WithHead(h))
		if err := c.checkMovedQuota(&tx.State, who, one.KindVM, v.Head(), h); err != nil {
			return err
		}
	}
	return nil
}

// Chmod changes permission bits: nine values in document order, each -1, 0 or 1.
// Source: XML-RPC reference §6.5.
func (c *Cloud) Chmod(ctx context.Context, who auth.Caller, kind one.Kind, id int, bits [9]int) error {
	return c.update(ctx, func(tx *store.Tx) error { return c.chmod(tx, who, kind, id, bits) })
}

func (c *Cloud) chmod(tx *store.Tx, who auth.Caller, kind one.Kind, id int, bits [9]int) error {
	for _, b := range bits {
		if b < -1 || b > 1 {
			return errs.New(errs.Internal, "New permission values must be -1, 0 or 1").About(id)
		}
	}
	o, err := get(&tx.State, kind, id)
	if err != nil {
		return err
	}
	m := o.Head()
	now := m.Perms.Bits()
	need := one.Manage
	for i := range bits {
		if bits[i] == now[i] {
			bits[i] = -1
		}
		if bits[i] >= 0 && i%3 == 2 {
			need = one.Admin
		}
	}
	if err := c.allow(&tx.State, who, target(o), need); err != nil {
		return err
	}
	if !c.cfg.OtherPermissions && !who.Admin && (bits[6] >= 0 || bits[7] >= 0 || bits[8] >= 0) {
		return errs.Denied(who.UID, "'other' permissions is disabled in oned.conf").About(id)
	}
	m.Perms = m.Perms.WithBits(bits)
	tx.PutOwned(o.WithHead(m))
	if kind == one.KindVRouter {
		for _, vm := range tx.VRouterVMs.List(id) {
			if v, ok := tx.VMs.Get(vm); ok {
				h := v.Head()
				h.Perms = h.Perms.WithBits(bits)
				tx.PutOwned(v.WithHead(h))
			}
		}
	}
	return nil
}

// Lock locks an object at a level: 1 use, 2 manage, 3 admin, 4 all (as 1). With
// test a lock that exists already is a refusal whose text is its time.
// Source: XML-RPC reference §6.7.
func (c *Cloud) Lock(ctx context.Context, who auth.Caller, kind one.Kind, id, level int, test bool) error {
	if level < 1 || level > 4 {
		return errs.New(errs.Action, "Wrong lock level specified").About(id)
	}
	if level == 4 {
		level = int(one.LockUse)
	}
	return c.update(ctx, func(tx *store.Tx) error {
		o, err := get(&tx.State, kind, id)
		if err != nil {
			return err
		}
		if err := c.allowRead(&tx.State, who, target(o), one.Manage); err != nil {
			return err
		}
		m := o.Head()
		if m.Lock.Level != one.Unlocked {
			if test {
				return errs.New(errs.Action, "%s", strconv.FormatInt(m.Lock.Time, 10)).About(id)
			}
			if m.Lock.Owner != who.UID && !who.Admin {
				return errs.New(errs.Action, "Error trying to lock the resource.").About(id)
			}
		}
		m.Lock = one.Lock{Level: one.LockLevel(level), Owner: who.UID, Time: c.now().Unix(), ReqID: who.ReqID}
		tx.PutOwned(o.WithHead(m))
		return nil
	})
}

// Unlock removes a lock. Source: XML-RPC reference §6.7.
func (c *Cloud) Unlock(ctx context.Context, who auth.Caller, kind one.Kind, id int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		o, err := get(&tx.State, kind, id)
		if err != nil {
			return err
		}
		if err := c.allowRead(&tx.State, who, target(o), one.Manage); err != nil {
			return err
		}
		m := o.Head()
		if m.Lock.Level == one.Unlocked {
			return nil
		}
		if m.Lock.Owner != who.UID && !who.Admin {
			return errs.New(errs.Action, "Cannot unlock: Lock is owned by another user").About(id)
		}
		m.Lock = one.Lock{}
		tx.PutOwned(o.WithHead(m))
		return nil
	})
}

// Info returns an object the caller may use, and the state it was read from.
// Source: XML-RPC reference §6.1.
func (c *Cloud) Info(who auth.Caller, kind one.Kind, id int) (*View, one.Owned, error) {
	st := c.store.View()
	o, err := get(st, kind, id)
	if err != nil {
		return nil, nil, err
	}
	if err := c.allowRead(st, who, target(o), one.Use); err != nil {
		return nil, nil, err
	}
	return st, o, nil
}
