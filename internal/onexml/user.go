package onexml

import (
	"iter"
	"slices"

	"github.com/trifid-cloud/trifid/internal/one"
)

// AppendUser appends the document of a user, quotas included. Source: XML-RPC
// reference §8.7.
func (d *Docs) AppendUser(dst []byte, u *one.User) []byte {
	dst = d.user(dst, u)
	dst = d.userQuotas(dst, u)
	dst = d.AppendDefaultUserQuotas(dst)
	return shut(dst, "USER")
}

// userListed appends a user as userpool.info lists it: the account, then
// its quotas beside it. Source: XML-RPC reference §4.6.
func (d *Docs) userListed(dst []byte, u *one.User) []byte {
	dst = shut(d.user(dst, u), "USER")
	dst = num(open(dst, "QUOTAS"), "ID", u.ID)
	return shut(d.userQuotas(dst, u), "QUOTAS")
}

func (d *Docs) user(dst []byte, u *one.User) []byte {
	dst = open(dst, "USER")
	dst = num(dst, "ID", u.ID)
	dst = num(dst, "GID", u.GID)
	dst = ids(dst, "GROUPS", slices.Values(u.Groups))
	dst = bare(dst, "GNAME", u.GName)
	dst = bare(dst, "NAME", u.Name)
	dst = cdata(dst, "PASSWORD", u.Password)
	dst = cdata(dst, "AUTH_DRIVER", u.AuthDriver)
	dst = flag(dst, "ENABLED", !u.Disabled)
	for _, t := range u.Tokens {
		dst = open(dst, "LOGIN_TOKEN")
		dst = bare(dst, "TOKEN", t.Token)
		dst = num(dst, "EXPIRATION_TIME", t.Expires)
		dst = num(dst, "EGID", t.EGID)
		dst = shut(dst, "LOGIN_TOKEN")
	}
	return body(dst, "TEMPLATE", u.Template)
}

// userQuotas appends the blocks of a user; oneadmin has neither limits nor
// counted use. Source: identity reference §10.3.
func (d *Docs) userQuotas(dst []byte, u *one.User) []byte {
	if u.ID == one.OneadminID {
		return appendQuotas(dst, nil, one.Usage{})
	}
	return appendQuotas(dst, &u.Quotas, d.State.UserUsage(u.ID))
}

// AppendGroup appends the document of a group, quotas included. Source: XML-RPC
// reference §8.8.
func (d *Docs) AppendGroup(dst []byte, g *one.Group) []byte {
	dst = d.group(dst, g)
	dst = d.groupQuotas(dst, g)
	dst = d.AppendDefaultGroupQuotas(dst)
	return shut(dst, "GROUP")
}

// groupListed appends a group as grouppool.info lists it.
func (d *Docs) groupListed(dst []byte, g *one.Group) []byte {
	dst = shut(d.group(dst, g), "GROUP")
	dst = num(open(dst, "QUOTAS"), "ID", g.ID)
	return shut(d.groupQuotas(dst, g), "QUOTAS")
}

func (d *Docs) group(dst []byte, g *one.Group) []byte {
	dst = open(dst, "GROUP")
	dst = num(dst, "ID", g.ID)
	dst = bare(dst, "NAME", g.Name)
	dst = body(dst, "TEMPLATE", g.Template)
	dst = ids(dst, "USERS", d.State.GroupUsers.Of(g.ID))
	return ids(dst, "ADMINS", slices.Values(g.Admins))
}

func (d *Docs) groupQuotas(dst []byte, g *one.Group) []byte {
	if g.ID == one.OneadminID {
		return appendQuotas(dst, nil, one.Usage{})
	}
	return appendQuotas(dst, &g.Quotas, d.State.GroupUsage(g.ID))
}

// AppendUserPool appends the pool of users, which ends with the default quotas.
func (d *Docs) AppendUserPool(dst []byte, users iter.Seq[*one.User]) []byte {
	dst = open(dst, "USER_POOL")
	for u := range users {
		dst = d.userListed(dst, u)
	}
	return shut(d.AppendDefaultUserQuotas(dst), "USER_POOL")
}

// AppendGroupPool appends the pool of groups, which ends with the default quotas.
func (d *Docs) AppendGroupPool(dst []byte, groups iter.Seq[*one.Group]) []byte {
	dst = open(dst, "GROUP_POOL")
	for g := range groups {
		dst = d.groupListed(dst, g)
	}
	return shut(d.AppendDefaultGroupQuotas(dst), "GROUP_POOL")
}
