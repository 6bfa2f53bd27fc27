package oneapi

import (
	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
)

// userMethods are those of one.user. Source: XML-RPC reference §7.12.
func userMethods() []method {
	const p, manage, admin = "one.user", "MANAGE USER", "ADMIN USER"
	join := func(in bool) handler {
		return change(func(c *call, id int) error { return c.cloud.JoinGroup(c.ctx, c.who, id, c.int(2), in) })
	}
	return []method{
		set(p+".allocate", "name s, password s, driver s, groups I=", "CREATE USER", create(func(c *call) (int, error) {
			return c.cloud.AllocateUser(c.ctx, c.who, c.text(1), c.text(2), c.text(3), c.ints(4))
		})),
		set(p+".passwd", "id i, password s", manage, change(func(c *call, id int) error {
			return c.cloud.SetPassword(c.ctx, c.who, id, c.text(2))
		})),
		set(p+".chauth", "id i, driver s, password s", admin, change(func(c *call, id int) error {
			return c.cloud.SetAuth(c.ctx, c.who, id, c.text(2), c.text(3))
		})),
		set(p+".login", "name s, token s, seconds i, egid i=-1", manage, func(c *call) (answer, error) {
			token, err := c.cloud.Login(c.ctx, c.who, c.text(1), c.text(2), c.int(3), c.int(4))
			return str(token), err
		}),
		set(p+".enable", "id i, enable b", admin, change(func(c *call, id int) error {
			return c.cloud.EnableUser(c.ctx, c.who, id, c.bool(2))
		})),
		set(p+".chgrp", "id i, group i", manage+" + USE GROUP", change(func(c *call, id int) error {
			return c.cloud.SetGroup(c.ctx, c.who, id, c.int(2))
		})),
		set(p+".addgroup", "id i, group i", manage+" + MANAGE GROUP", join(true)),
		set(p+".delgroup", "id i, group i", manage+" + MANAGE GROUP", join(false)),
		set(p+".quota", "id i, quota t", admin, change(func(c *call, id int) error {
			return c.cloud.SetUserQuota(c.ctx, c.who, id, c.template(2))
		})),
		get(p+".info", paramsInfo, "USE USER", show(userInfo)),
		updateOf(p, manage, func(c *call, id int) error { return c.cloud.UpdateUser(c.ctx, c.who, id, c.template(2), c.int(3)) }),
		set(p+".delete", paramsID, admin, change(func(c *call, id int) error { return c.cloud.DeleteUser(c.ctx, c.who, id) })),
		get("one.userpool.info", "", "–", show(func(c *call) ([]byte, error) {
			st, rows := c.cloud.UserPool(c.who)
			return c.docs(st).AppendUserPool(c.doc, rows), nil
		})),
	}
}

func userInfo(c *call) ([]byte, error) {
	st, u, err := c.cloud.UserInfo(c.who, c.int(1))
	if err != nil {
		return nil, err
	}
	if c.bool(2) {
		clear := *u
		clear.Template = c.cloud.Clear(c.who, one.KindUser, u.Template)
		u = &clear
	}
	return c.docs(st).AppendUser(c.doc, u), nil
}

// groupMethods are those of one.group. Source: XML-RPC reference §7.6.
func groupMethods() []method {
	const p = "one.group"
	admin := func(on bool) handler {
		return change(func(c *call, id int) error { return c.cloud.SetGroupAdmin(c.ctx, c.who, id, c.int(2), on) })
	}
	return []method{
		set(p+".allocate", "name s", "CREATE GROUP", create(func(c *call) (int, error) {
			return c.cloud.AllocateGroup(c.ctx, c.who, c.text(1))
		})),
		get(p+".info", paramsInfo, "USE GROUP", show(func(c *call) ([]byte, error) {
			st, g, err := c.cloud.GroupInfo(c.who, c.int(1))
			if err != nil {
				return nil, err
			}
			return c.docs(st).AppendGroup(c.doc, g), nil
		})),
		updateOf(p, "MANAGE GROUP", func(c *call, id int) error { return c.cloud.UpdateGroup(c.ctx, c.who, id, c.template(2), c.int(3)) }),
		set(p+".delete", paramsID, "ADMIN GROUP", change(func(c *call, id int) error { return c.cloud.DeleteGroup(c.ctx, c.who, id) })),
		set(p+".addadmin", "group i, user i", "ADMIN GROUP + ADMIN USER", admin(true)),
		set(p+".deladmin", "group i, user i", "ADMIN GROUP + ADMIN USER", admin(false)),
		set(p+".quota", "id i, quota t", "ADMIN GROUP", change(func(c *call, id int) error {
			return c.cloud.SetGroupQuota(c.ctx, c.who, id, c.template(2))
		})),
		get("one.grouppool.info", "", "–", show(func(c *call) ([]byte, error) {
			st, rows := c.cloud.GroupPool(c.who)
			return c.docs(st).AppendGroupPool(c.doc, rows), nil
		})),
	}
}

// quotaMethods are those of the default quotas. Source: XML-RPC reference §7.6
// and §7.12.
func quotaMethods() []method {
	var rows []method
	for of, write := range map[string]func(*onexml.Docs, []byte) []byte{
		"user": (*onexml.Docs).AppendDefaultUserQuotas, "group": (*onexml.Docs).AppendDefaultGroupQuotas,
	} {
		p := "one." + of + "quota"
		rows = append(rows,
			get(p+".info", "", "authenticated", show(func(c *call) ([]byte, error) { return write(c.docs(c.cloud.View()), c.doc), nil })),
			set(p+".update", "quota t", "primary group 0", show(func(c *call) ([]byte, error) {
				st, err := c.cloud.SetDefaultQuota(c.ctx, c.who, of, c.template(1))
				if err != nil {
					return nil, err
				}
				return write(c.docs(st), c.doc), nil
			})),
		)
	}
	return rows
}

// vdcMethods are those of one.vdc. Source: XML-RPC reference §7.7.
func vdcMethods() []method {
	const p, admin = "one.vdc", "ADMIN VDC"
	rows := []method{
		set(p+".allocate", "template t", "CREATE VDC", create(func(c *call) (int, error) {
			return c.cloud.AllocateVDC(c.ctx, c.who, c.template(1))
		})),
		get(p+".info", paramsInfo, "USE VDC", show(func(c *call) ([]byte, error) {
			st, v, err := c.cloud.VDCInfo(c.who, c.int(1))
			if err != nil {
				return nil, err
			}
			return c.docs(st).AppendVDC(c.doc, v), nil
		})),
		updateOf(p, "MANAGE VDC", func(c *call, id int) error { return c.cloud.UpdateVDC(c.ctx, c.who, id, c.template(2), c.int(3)) }),
		set(p+".rename", paramsRename, "MANAGE VDC", change(func(c *call, id int) error {
			return c.cloud.RenameVDC(c.ctx, c.who, id, c.text(2))
		})),
		set(p+".delete", paramsID, admin, change(func(c *call, id int) error { return c.cloud.DeleteVDC(c.ctx, c.who, id) })),
		get("one.vdcpool.info", "", "–", show(func(c *call) ([]byte, error) {
			st, all := c.cloud.VDCPool(c.who)
			return appendPool(c, "VDC_POOL", all, c.docs(st).AppendVDC), nil
		})),
	}
	for _, in := range []bool{true, false} {
		op := map[bool]string{true: ".add", false: ".del"}[in]
		rows = append(rows, set(p+op+"group", "vdc i, group i", admin+" + ADMIN GROUP", change(func(c *call, id int) error {
			return c.cloud.SetVDCGroup(c.ctx, c.who, id, c.int(2), in)
		})))
		for word, kind := range map[string]one.Kind{"cluster": one.KindCluster, "host": one.KindHost, "datastore": one.KindDatastore, "vnet": one.KindNet} {
			rows = append(rows, set(p+op+word, "vdc i, zone i, "+word+" i", admin+" + ADMIN ZONE + ADMIN "+kind.String(), change(func(c *call, id int) error {
				return c.cloud.SetVDCResource(c.ctx, c.who, id, kind, c.int(2), c.int(3), in)
			})))
		}
	}
	return rows
}

// aclMethods are those of one.acl. Source: XML-RPC reference §7.17.
func aclMethods() []method {
	const p = "one.acl"
	return []method{
		set(p+".addrule", "user s, resource s, rights s, zone s=", "MANAGE ACL", create(func(c *call) (int, error) {
			return c.cloud.AddRule(c.ctx, c.who, c.text(1), c.text(2), c.text(3), c.text(4))
		})),
		set(p+".delrule", paramsID, "MANAGE ACL", change(func(c *call, id int) error { return c.cloud.DeleteRule(c.ctx, c.who, id) })),
		get(p+".info", "", "MANAGE ACL", show(func(c *call) ([]byte, error) {
			st, err := c.cloud.Rules(c.who)
			if err != nil {
				return nil, err
			}
			return c.docs(st).AppendACLPool(c.doc), nil
		})),
	}
}

// zoneMethods are those of one.zone. Source: XML-RPC reference §7.19.
func zoneMethods() []method {
	const p, manage, admin = "one.zone", "MANAGE ZONE", "ADMIN ZONE"
	return append([]method{
		get(p+".info", paramsInfo, "USE ZONE", show(func(c *call) ([]byte, error) {
			st, z, err := c.cloud.ZoneInfo(c.who, c.int(1))
			if err != nil {
				return nil, err
			}
			return c.docs(st).AppendZone(c.doc, z), nil
		})),
		updateOf(p, manage, func(c *call, id int) error { return c.cloud.UpdateZone(c.ctx, c.who, id, c.template(2), c.int(3)) }),
		set(p+".rename", paramsRename, manage, change(func(c *call, id int) error {
			return c.cloud.RenameZone(c.ctx, c.who, id, c.text(2))
		})),
		get(p+".raftstatus", "", admin, show(func(c *call) ([]byte, error) {
			if !c.who.Admin {
				return nil, errs.Denied(c.who.UID, auth.Refusal(c.who, auth.Target{Kind: one.KindZone, ID: -1}, one.Admin))
			}
			return onexml.AppendRaft(c.doc, onexml.Solo), nil
		})),
		get("one.zonepool.info", "", "–", show(func(c *call) ([]byte, error) {
			st, rows := c.cloud.ZonePool(c.who)
			return appendPool(c, "ZONE_POOL", rows, c.docs(st).AppendZone), nil
		})),
	}, absent(
		[3]string{p + ".allocate", "template t", "CREATE ZONE"}, [3]string{p + ".delete", paramsID, admin},
		[3]string{p + ".enable", "id i, enable b", admin},
		[3]string{p + ".addserver", "zone i, template t", admin}, [3]string{p + ".delserver", "zone i, server i", admin},
		[3]string{p + ".resetserver", "zone i, server i", admin},
		[3]string{p + ".replicate", "", "uid 0"}, [3]string{p + ".voterequest", "", "uid 0"},
		[3]string{p + ".fedreplicate", "", "uid 0"}, [3]string{p + ".updatedb", "id i, xml s", "uid 0"},
	)...)
}
