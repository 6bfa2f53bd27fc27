package cloud

import (
	"context"
	"slices"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// drivers are the authentication drivers a user may have. Those that need a
// program of their own are known but cannot authenticate anybody yet.
var drivers = map[string]bool{
	"core": true, "public": true, "ssh": true, "x509": true, "ldap": true, "server_cipher": true, "server_x509": true,
}

// UserInfo returns a user the caller may use (-1: the caller itself), and the
// state it was read from.
func (c *Cloud) UserInfo(who auth.Caller, id int) (*View, *one.User, error) {
	if id < 0 {
		id = who.UID
	}
	st := c.store.View()
	u, err := c.userFor(st, who, id, one.Use)
	return st, u, err
}

// AllocateUser creates a user: driver "" means core; the first of groups is the
// primary one, none means the default. Source: XML-RPC reference §7.12.
func (c *Cloud) AllocateUser(ctx context.Context, who auth.Caller, name, password, driver string, groups []int) (int, error) {
	// The password is hashed outside of the transaction, and only for those who
	// may create users: a hash is slow on purpose.
	if err := c.allowNewUser(c.store.View(), who, groups); err != nil {
		return -1, err
	}
	stored, err := storedPassword(firstOf(driver, "core"), password)
	if err != nil {
		return -1, err
	}
	token, err := RandomHex(32)
	if err != nil {
		return -1, err
	}
	id := -1
	err = c.update(ctx, func(tx *store.Tx) error {
		if err := c.allowNewUser(&tx.State, who, groups); err != nil {
			return err
		}
		groups := groupsOfNew(who, groups)
		if err := one.CheckUserName(name); err != nil {
			return errs.Wrap(errs.Internal, err)
		}
		if err := nameTaken(&tx.UserNames, "USER", name); err != nil {
			return err
		}
		g, _ := tx.Groups.Get(groups[0])
		id = tx.NextID("user", 2)
		tx.PutUser(&one.User{
			ID: id, Name: name, GID: g.ID, GName: g.Name, Groups: sortedSet(groups), Password: stored,
			AuthDriver: firstOf(driver, "core"), Template: tmpl.New(tmpl.Single("TOKEN_PASSWORD", token)),
		})
		return nil
	})
	return id, err
}

// groupsOfNew returns the groups of a new user: those given, else the default.
func groupsOfNew(who auth.Caller, groups []int) []int {
	switch {
	case len(groups) > 0:
		return groups
	case who.PrimaryAdmin():
		return []int{one.UsersGroupID}
	}
	return []int{who.GID}
}

// allowNewUser refuses unless the caller may create a user in the groups.
func (c *Cloud) allowNewUser(st *store.State, who auth.Caller, groups []int) error {
	asks := []ask{{auth.Creation(one.KindUser, who), one.Create}}
	for _, g := range groupsOfNew(who, groups) {
		if _, ok := st.Groups.Get(g); !ok {
			return errs.NotFound(one.KindGroup, g)
		}
		if g != who.GID {
			asks = append(asks, ask{groupTarget(g), one.Manage})
		}
	}
	return c.allowAll(st, who, asks...)
}

func sortedSet(ns []int) []int {
	out := slices.Clone(ns)
	slices.Sort(out)
	return slices.Compact(out)
}

// storedPassword returns what is kept of a password for a driver: an argon2id
// hash for core, else the text. What a server_cipher user's client gives is the
// hash of its secret already. Source: identity reference §2 and §4.3.
func storedPassword(driver, password string) (string, error) {
	if !drivers[driver] {
		return "", errs.New(errs.Internal, "Authentication driver %q is not defined; expected core, public, ssh, x509, ldap, server_cipher or server_x509", driver)
	}
	if driver == "ldap" && password == "" {
		return "", nil // the directory knows it
	}
	if err := one.CheckPassword(password); err != nil {
		return "", errs.Wrap(errs.Internal, err)
	}
	if driver != "core" {
		return password, nil
	}
	return auth.HashPassword(password)
}

// changeUser changes a copy of a user on which the caller has a right.
func (c *Cloud) changeUser(ctx context.Context, who auth.Caller, id int, r one.Right, f func(*store.Tx, *one.User) error) error {
	return c.update(ctx, func(tx *store.Tx) error {
		u, err := c.userFor(&tx.State, who, id, r)
		if err != nil {
			return err
		}
		n := *u
		n.Tokens = slices.Clone(u.Tokens)
		if err := f(tx, &n); err != nil {
			return err
		}
		tx.PutUser(&n)
		return nil
	})
}

// SetPassword gives a user another password; all its login tokens are void then.
func (c *Cloud) SetPassword(ctx context.Context, who auth.Caller, id int, password string) error {
	st := c.store.View()
	u, err := c.userFor(st, who, id, one.Manage)
	if err != nil {
		return err
	}
	if !who.Admin && u.AuthDriver != "core" && u.AuthDriver != "ssh" && u.AuthDriver != "ldap" {
		return errs.New(errs.Action, "Password for driver %s cannot be changed.", u.AuthDriver).About(id)
	}
	stored, err := storedPassword(u.AuthDriver, password)
	if err != nil {
		return err
	}
	return c.changeUser(ctx, who, id, one.Manage, func(_ *store.Tx, n *one.User) error {
		if n.AuthDriver != u.AuthDriver {
			return errs.New(errs.Action, "The authentication driver of the user has just been changed to %s: set the password again", n.AuthDriver).About(id)
		}
		n.Password, n.Tokens = stored, nil
		return nil
	})
}

// SetAuth gives a user another driver, and another password unless it is "".
func (c *Cloud) SetAuth(ctx context.Context, who auth.Caller, id int, driver, password string) error {
	if _, err := c.userFor(c.store.View(), who, id, one.Admin); err != nil {
		return err
	}
	if !drivers[driver] {
		return errs.New(errs.Action, "Authentication driver %q is not defined", driver).About(id)
	}
	stored := ""
	if password != "" {
		var err error
		if stored, err = storedPassword(driver, password); err != nil {
			return err
		}
	}
	return c.changeUser(ctx, who, id, one.Admin, func(_ *store.Tx, n *one.User) error {
		n.AuthDriver = driver
		if password != "" {
			n.Password = stored
		}
		return nil
	})
}

// EnableUser lets a user in or keeps it out; its tokens are void then.
func (c *Cloud) EnableUser(ctx context.Context, who auth.Caller, id int, enable bool) error {
	return c.changeUser(ctx, who, id, one.Admin, func(_ *store.Tx, n *one.User) error {
		if id == one.OneadminID {
			return errs.New(errs.Action, "Cannot enable/disable oneadmin user").About(id)
		}
		n.Disabled = !enable
		if !enable {
			n.Tokens = nil
		}
		return nil
	})
}

// SetGroup changes a user's primary group. Source: XML-RPC reference §7.12.
func (c *Cloud) SetGroup(ctx context.Context, who auth.Caller, id, gid int) error {
	if gid < 0 {
		return errs.New(errs.API, "Wrong group ID").About(gid)
	}
	return c.changeMember(ctx, who, id, gid, one.Use, func(tx *store.Tx, n *one.User, g *one.Group) error {
		if id == one.OneadminID && gid != one.OneadminID {
			return errs.New(errs.Internal, "user [0] oneadmin cannot be moved outside of the group [0] oneadmin").About(id)
		}
		if gid == n.GID {
			return nil
		}
		// The old primary group stays if the new one was a secondary one already.
		if !n.InGroup(gid) {
			if managesGroups(n.AuthDriver) {
				return errs.New(errs.Action, "Groups cannot be manually managed for auth driver %s", n.AuthDriver).About(id)
			}
			c.leaveGroup(tx, n, n.GID)
			n.Groups = insertInt(n.Groups, gid)
		}
		n.GID, n.GName = g.ID, g.Name
		return nil
	})
}

// managesGroups tells whether a driver says itself what groups its users are in.
// Source: identity reference §4.7.
func managesGroups(driver string) bool { return driver == "ldap" }

// changeMember changes a copy of a user that the caller manages, in what concerns
// a group on which the caller needs a right too.
func (c *Cloud) changeMember(ctx context.Context, who auth.Caller, id, gid int, r one.Right, f func(*store.Tx, *one.User, *one.Group) error) error {
	return c.update(ctx, func(tx *store.Tx) error {
		u, ok := tx.Users.Get(id)
		if !ok {
			return errs.NotFound(one.KindUser, id)
		}
		g, ok := tx.Groups.Get(gid)
		if !ok {
			return errs.NotFound(one.KindGroup, gid)
		}
		if err := c.allowAll(&tx.State, who, ask{userTarget(u), one.Manage}, ask{groupTarget(gid), r}); err != nil {
			return err
		}
		n := *u
		if err := f(tx, &n, g); err != nil {
			return err
		}
		tx.PutUser(&n)
		return nil
	})
}

// leaveGroup takes a user out of a group and of its administrators.
func (c *Cloud) leaveGroup(tx *store.Tx, u *one.User, gid int) {
	u.Groups = removeInt(u.Groups, gid)
	if g, ok := tx.Groups.Get(gid); ok && slices.Contains(g.Admins, u.ID) {
		n := *g
		n.Admins = removeInt(g.Admins, u.ID)
		tx.PutGroup(&n)
		c.dropGroupAdmin(tx, u, gid)
	}
}

// JoinGroup adds a user to a group (in) or takes it out.
func (c *Cloud) JoinGroup(ctx context.Context, who auth.Caller, id, gid int, in bool) error {
	return c.changeMember(ctx, who, id, gid, one.Manage, func(tx *store.Tx, n *one.User, _ *one.Group) error {
		switch {
		case managesGroups(n.AuthDriver):
			return errs.New(errs.Action, "Groups cannot be manually managed for auth driver %s", n.AuthDriver).About(id)
		case in && n.InGroup(gid):
			return errs.New(errs.Action, "User is already in this group").About(id)
		case in:
			n.Groups = insertInt(n.Groups, gid)
		case !n.InGroup(gid):
			return errs.New(errs.Action, "User is not part of this group").About(id)
		case gid == n.GID:
			return errs.New(errs.Action, "Cannot remove user from the primary group").About(id)
		default:
			c.leaveGroup(tx, n, gid)
		}
		return nil
	})
}

// UpdateUser replaces (0) or merges (1) a user's template.
func (c *Cloud) UpdateUser(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	return c.changeUser(ctx, who, id, one.Manage, func(_ *store.Tx, n *one.User) error {
		if err := checkOperations(change); err != nil {
			return err
		}
		body, err := c.mergeUpdate(who, one.KindUser, userRestricted, n.Template, change.KeepLast(), appendMode)
		if err != nil {
			return err
		}
		n.Template = body
		return nil
	})
}

// checkOperations refuses unknown keywords in VM_*_OPERATIONS.
func checkOperations(t *tmpl.Template) error {
	for _, attr := range []string{"VM_USE_OPERATIONS", "VM_MANAGE_OPERATIONS", "VM_ADMIN_OPERATIONS"} {
		for _, w := range strings.FieldsFunc(t.Get(attr), func(r rune) bool { return r == ',' || r == ' ' }) {
			if _, ok := one.VMOperation(strings.ToLower(w)); !ok {
				return errs.New(errs.Internal, "Cannot update template. Unknown vm operation: %s", w)
			}
		}
	}
	return nil
}

// DeleteUser removes a user; what it owns stays.
func (c *Cloud) DeleteUser(ctx context.Context, who auth.Caller, id int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		u, err := c.userFor(&tx.State, who, id, one.Admin)
		if err != nil {
			return err
		}
		if id == one.OneadminID {
			return errs.New(errs.Action, "Cannot delete user. oneadmin cannot be deleted.").About(id)
		}
		n := *u
		for _, g := range u.Groups {
			c.leaveGroup(tx, &n, g)
		}
		tx.DeleteUser(id)
		user := one.ACLIndividual | uint64(uint32(id))
		c.dropRules(tx, func(r *one.ACLRule) bool { return r.User == user })
		c.dropRulesOf(tx, one.KindUser, id)
		return nil
	})
}
