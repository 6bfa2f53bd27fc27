package cloud

import (
	"time"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// userRights: users and groups. Sources: XML-RPC reference §7.6 and §7.12,
// identity reference §8.2 for what chief may.
func userRights() []right {
	return []right{
		{method: "AllocateUser", may: "chief", needs: "CREATE USER/*", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateUser(w.ctx, who, "new", "secret", "ssh", nil))
		}},
		{method: "AllocateUser", what: "in a group", may: "chief", needs: "CREATE USER/*; MANAGE GROUP/#1", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateUser(w.ctx, who, "new", "secret", "ssh", []int{1}))
		}},
		{method: "AllocateUser", what: "in several groups", needs: "CREATE USER/*; MANAGE GROUP/#1; MANAGE GROUP/#102", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateUser(w.ctx, who, "new", "secret", "ssh", []int{1, nobodys}))
		}},
		{method: "UserInfo", may: "member chief", needs: "USE USER/#3", call: func(w *world, who auth.Caller) error {
			return third(w.UserInfo(who, member))
		}},
		{method: "UserInfo", what: "of oneself", may: "owner member chief stranger", call: func(w *world, who auth.Caller) error {
			return third(w.UserInfo(who, -1))
		}},
		{method: "UpdateUser", may: "member chief", needs: "MANAGE USER/#3", call: func(w *world, who auth.Caller) error {
			return w.UpdateUser(w.ctx, who, member, parsed("LANG=en"), 1)
		}},
		{method: "SetPassword", may: "member chief", needs: "MANAGE USER/#3", call: func(w *world, who auth.Caller) error {
			return w.SetPassword(w.ctx, who, member, "secret")
		}},
		{method: "SetAuth", may: "chief", needs: "ADMIN USER/#3", call: func(w *world, who auth.Caller) error {
			return w.SetAuth(w.ctx, who, member, "ssh", "key")
		}},
		{method: "Login", may: "owner chief", needs: "MANAGE USER/#2", call: func(w *world, who auth.Caller) error {
			return second(w.Login(w.ctx, who, "owner", "t0", 0, -1))
		}},
		{method: "EnableUser", may: "chief", needs: "ADMIN USER/#3", call: func(w *world, who auth.Caller) error {
			return w.EnableUser(w.ctx, who, member, false)
		}},
		{method: "SetGroup", needs: "MANAGE USER/#3; USE GROUP/#102", call: func(w *world, who auth.Caller) error {
			return w.SetGroup(w.ctx, who, member, nobodys)
		}},
		{method: "JoinGroup", what: "in", needs: "MANAGE USER/#4; MANAGE GROUP/#1", call: func(w *world, who auth.Caller) error {
			return w.JoinGroup(w.ctx, who, stranger, 1, true)
		}},
		{method: "JoinGroup", what: "out", needs: "MANAGE USER/#7; MANAGE GROUP/#0", call: func(w *world, who auth.Caller) error {
			return w.JoinGroup(w.ctx, who, deputy, 0, false)
		}},
		{method: "SetUserQuota", may: "chief", needs: "ADMIN USER/#3", call: func(w *world, who auth.Caller) error {
			return w.SetUserQuota(w.ctx, who, member, parsed("VM=[VMS=3]"))
		}},
		{method: "DeleteUser", may: "chief", needs: "ADMIN USER/#3", call: func(w *world, who auth.Caller) error {
			return w.DeleteUser(w.ctx, who, member)
		}},
		{method: "AllocateGroup", needs: "CREATE GROUP/*", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateGroup(w.ctx, who, "new"))
		}},
		{method: "GroupInfo", may: "owner member chief", needs: "USE GROUP/#1", call: func(w *world, who auth.Caller) error {
			return third(w.GroupInfo(who, 1))
		}},
		{method: "GroupInfo", what: "of one's own", may: "owner member chief stranger", call: func(w *world, who auth.Caller) error {
			return third(w.GroupInfo(who, -1))
		}},
		{method: "UpdateGroup", may: "chief", needs: "MANAGE GROUP/#1", call: func(w *world, who auth.Caller) error {
			return w.UpdateGroup(w.ctx, who, 1, parsed("A=b"), 1)
		}},
		{method: "SetGroupQuota", needs: "ADMIN GROUP/#1", call: func(w *world, who auth.Caller) error {
			return w.SetGroupQuota(w.ctx, who, 1, parsed("VM=[VMS=3]"))
		}},
		{method: "SetGroupAdmin", needs: "ADMIN GROUP/#1; ADMIN USER/#3", call: func(w *world, who auth.Caller) error {
			return w.SetGroupAdmin(w.ctx, who, 1, member, true)
		}},
		{method: "DeleteGroup", needs: "ADMIN GROUP/#102", call: func(w *world, who auth.Caller) error {
			return w.DeleteGroup(w.ctx, who, nobodys)
		}},
		{method: "SetDefaultQuota", primary: true, needs: never, call: func(w *world, who auth.Caller) error {
			return second(w.SetDefaultQuota(w.ctx, who, "user", parsed("VM=[VMS=3]")))
		}},
	}
}

// ruleRights: ACL rules, VDCs, zones, what else is about the cloud as a whole.
// Sources: XML-RPC reference §7.7, §7.16 and §7.17, identity reference §6.4.
func ruleRights() []right {
	return []right{
		{method: "AddRule", needs: "MANAGE ACL/*", call: func(w *world, who auth.Caller) error {
			return second(w.AddRule(w.ctx, who, "100000003", "2100000000", "1", ""))
		}},
		{method: "DeleteRule", needs: "MANAGE ACL/*", call: func(w *world, who auth.Caller) error { return w.DeleteRule(w.ctx, who, 1) }},
		{method: "Rules", needs: "MANAGE ACL/*", call: func(w *world, who auth.Caller) error { return second(w.Rules(who)) }},
		{method: "AllocateVDC", needs: "CREATE VDC/*", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateVDC(w.ctx, who, parsed("NAME=new")))
		}},
		{method: "VDCInfo", needs: "USE VDC/#100", call: func(w *world, who auth.Caller) error { return third(w.VDCInfo(who, 100)) }},
		{method: "UpdateVDC", needs: "MANAGE VDC/#100", call: func(w *world, who auth.Caller) error {
			return w.UpdateVDC(w.ctx, who, 100, parsed("A=b"), 1)
		}},
		{method: "RenameVDC", needs: "MANAGE VDC/#100", call: func(w *world, who auth.Caller) error { return w.RenameVDC(w.ctx, who, 100, "new") }},
		{method: "DeleteVDC", needs: "ADMIN VDC/#100", call: func(w *world, who auth.Caller) error { return w.DeleteVDC(w.ctx, who, 100) }},
		{method: "SetVDCGroup", needs: "ADMIN VDC/#100; ADMIN GROUP/#1", call: func(w *world, who auth.Caller) error {
			return w.SetVDCGroup(w.ctx, who, 100, 1, true)
		}},
		{method: "SetVDCResource", what: "cluster", needs: "ADMIN VDC/#100; ADMIN ZONE/#0; ADMIN CLUSTER/#100", call: vdcResource(one.KindCluster, 100)},
		{method: "SetVDCResource", what: "host", needs: "ADMIN VDC/#100; ADMIN ZONE/#0; ADMIN HOST/#1", call: vdcResource(one.KindHost, 1)},
		{method: "SetVDCResource", what: "datastore", needs: "ADMIN VDC/#100; ADMIN ZONE/#0; ADMIN DATASTORE/#100", call: vdcResource(one.KindDatastore, 100)},
		{method: "SetVDCResource", what: "network", needs: "ADMIN VDC/#100; ADMIN ZONE/#0; ADMIN NET/#0", call: vdcResource(one.KindNet, 0)},
		{method: "SetVDCResource", what: "all", needs: "ADMIN VDC/#100; ADMIN ZONE/#0", call: vdcResource(one.KindNet, one.AllResources)},
		{method: "ZoneInfo", may: "owner member chief stranger", call: func(w *world, who auth.Caller) error { return third(w.ZoneInfo(who, 0)) }},
		{method: "UpdateZone", needs: "MANAGE ZONE/#0", call: func(w *world, who auth.Caller) error {
			return w.UpdateZone(w.ctx, who, 0, parsed("A=b"), 1)
		}},
		{method: "RenameZone", needs: "MANAGE ZONE/#0", call: func(w *world, who auth.Caller) error { return w.RenameZone(w.ctx, who, 0, "new") }},
		{method: "NewJoinToken", needs: "CREATE HOST/*", call: func(w *world, who auth.Caller) error {
			return second(w.NewJoinToken(w.ctx, who, "new", time.Hour))
		}},
		{method: "Clear", needs: never, call: func(w *world, who auth.Caller) error {
			secret, err := w.encrypt(one.KindUser, tmpl.New(tmpl.Single("SSH_PASSPHRASE", "in clear")))
			if err == nil && w.Clear(who, one.KindUser, secret).Get("SSH_PASSPHRASE") != "in clear" {
				err = errs.Denied(who.UID, "it stays encrypted")
			}
			return err
		}},
	}
}

func vdcResource(kind one.Kind, id int) func(*world, auth.Caller) error {
	return func(w *world, who auth.Caller) error { return w.SetVDCResource(w.ctx, who, 100, kind, 0, id, true) }
}
