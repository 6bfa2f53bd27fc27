package cloud

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// TestMissing: an id that does not exist is refused by its kind and number,
// wherever it stands. Source: XML-RPC reference §2.2.
func TestMissing(t *testing.T) {
	t.Parallel()
	const no = 999
	w := newWorld(t)
	x := parsed("A=b")
	var rows []refusal
	add := func(kind one.Kind, what string, call func(w *world, who auth.Caller) error) {
		rows = append(rows, refusal{what: what, uid: one.OneadminID, call: call, kind: errs.NoExists, text: "Error getting " + kind.Object() + " [999]."})
	}
	for _, kind := range []one.Kind{one.KindVM, one.KindImage, one.KindNet, one.KindTemplate, one.KindDocument, one.KindSecGroup, one.KindVRouter, one.KindDatastore, one.KindVNTemplate} {
		for what, call := range map[string]func(w *world, who auth.Caller) error{
			"Info":   func(w *world, who auth.Caller) error { return third(w.Info(who, kind, no)) },
			"Rename": func(w *world, who auth.Caller) error { return w.Rename(w.ctx, who, kind, no, "new") },
			"Chown":  func(w *world, who auth.Caller) error { return w.Chown(w.ctx, who, kind, no, owner, 1) },
			"Chmod":  chmod(kind, no, 0, 1),
			"Lock":   func(w *world, who auth.Caller) error { return w.Lock(w.ctx, who, kind, no, 1, false) },
			"Unlock": func(w *world, who auth.Caller) error { return w.Unlock(w.ctx, who, kind, no) },
		} {
			add(kind, what+" "+kind.String(), call)
		}
	}
	tx := func(f func(w *world, tx *store.Tx, who auth.Caller) error) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.try(func(tx *store.Tx) error { return f(w, tx, who) }) }
	}
	for _, m := range []struct {
		kind one.Kind
		what string
		call func(w *world, who auth.Caller) error
	}{
		{one.KindUser, "UserInfo", func(w *world, who auth.Caller) error { return third(w.UserInfo(who, no)) }},
		{one.KindUser, "UpdateUser", func(w *world, who auth.Caller) error { return w.UpdateUser(w.ctx, who, no, x, 0) }},
		{one.KindUser, "SetPassword", func(w *world, who auth.Caller) error { return w.SetPassword(w.ctx, who, no, "x") }},
		{one.KindUser, "SetAuth", func(w *world, who auth.Caller) error { return w.SetAuth(w.ctx, who, no, "core", "x") }},
		{one.KindUser, "EnableUser", func(w *world, who auth.Caller) error { return w.EnableUser(w.ctx, who, no, true) }},
		{one.KindUser, "SetUserQuota", func(w *world, who auth.Caller) error { return w.SetUserQuota(w.ctx, who, no, x) }},
		{one.KindUser, "DeleteUser", func(w *world, who auth.Caller) error { return w.DeleteUser(w.ctx, who, no) }},
		{one.KindUser, "SetGroup of", func(w *world, who auth.Caller) error { return w.SetGroup(w.ctx, who, no, 1) }},
		{one.KindGroup, "SetGroup to", func(w *world, who auth.Caller) error { return w.SetGroup(w.ctx, who, member, no) }},
		{one.KindUser, "JoinGroup of", func(w *world, who auth.Caller) error { return w.JoinGroup(w.ctx, who, no, 1, true) }},
		{one.KindGroup, "JoinGroup to", func(w *world, who auth.Caller) error { return w.JoinGroup(w.ctx, who, member, no, true) }},
		{one.KindGroup, "AllocateUser", func(w *world, who auth.Caller) error {
			return second(w.AllocateUser(w.ctx, who, "new", "x", "ssh", []int{1, no}))
		}},
		{one.KindGroup, "GroupInfo", func(w *world, who auth.Caller) error { return third(w.GroupInfo(who, no)) }},
		{one.KindGroup, "UpdateGroup", func(w *world, who auth.Caller) error { return w.UpdateGroup(w.ctx, who, no, x, 0) }},
		{one.KindGroup, "SetGroupQuota", func(w *world, who auth.Caller) error { return w.SetGroupQuota(w.ctx, who, no, x) }},
		{one.KindGroup, "DeleteGroup", func(w *world, who auth.Caller) error { return w.DeleteGroup(w.ctx, who, no) }},
		{one.KindGroup, "SetGroupAdmin of", func(w *world, who auth.Caller) error { return w.SetGroupAdmin(w.ctx, who, no, member, true) }},
		{one.KindUser, "SetGroupAdmin", func(w *world, who auth.Caller) error { return w.SetGroupAdmin(w.ctx, who, 1, no, true) }},
		{one.KindVDC, "VDCInfo", func(w *world, who auth.Caller) error { return third(w.VDCInfo(who, no)) }},
		{one.KindVDC, "UpdateVDC", func(w *world, who auth.Caller) error { return w.UpdateVDC(w.ctx, who, no, x, 0) }},
		{one.KindVDC, "RenameVDC", func(w *world, who auth.Caller) error { return w.RenameVDC(w.ctx, who, no, "new") }},
		{one.KindVDC, "DeleteVDC", func(w *world, who auth.Caller) error { return w.DeleteVDC(w.ctx, who, no) }},
		{one.KindVDC, "SetVDCGroup of", func(w *world, who auth.Caller) error { return w.SetVDCGroup(w.ctx, who, no, 1, true) }},
		{one.KindGroup, "SetVDCGroup", func(w *world, who auth.Caller) error { return w.SetVDCGroup(w.ctx, who, 100, no, true) }},
		{one.KindVDC, "SetVDCResource of", func(w *world, who auth.Caller) error {
			return w.SetVDCResource(w.ctx, who, no, one.KindHost, 0, 1, true)
		}},
		{one.KindZone, "SetVDCResource in a zone", func(w *world, who auth.Caller) error {
			return w.SetVDCResource(w.ctx, who, 100, one.KindHost, no, 1, true)
		}},
		{one.KindHost, "SetVDCResource host", vdcResource(one.KindHost, no)},
		{one.KindNet, "SetVDCResource network", vdcResource(one.KindNet, no)},
		{one.KindZone, "ZoneInfo", func(w *world, who auth.Caller) error { return third(w.ZoneInfo(who, no)) }},
		{one.KindZone, "UpdateZone", func(w *world, who auth.Caller) error { return w.UpdateZone(w.ctx, who, no, x, 0) }},
		{one.KindZone, "RenameZone", func(w *world, who auth.Caller) error { return w.RenameZone(w.ctx, who, no, "new") }},
		{one.KindHost, "HostInfo", func(w *world, who auth.Caller) error { return third(w.HostInfo(who, no)) }},
		{one.KindHost, "SetHostStatus", func(w *world, who auth.Caller) error { return w.SetHostStatus(w.ctx, who, no, 0) }},
		{one.KindHost, "UpdateHost", func(w *world, who auth.Caller) error { return w.UpdateHost(w.ctx, who, no, x, 0) }},
		{one.KindHost, "RenameHost", func(w *world, who auth.Caller) error { return w.RenameHost(w.ctx, who, no, "new") }},
		{one.KindHost, "DeleteHost", func(w *world, who auth.Caller) error { return w.DeleteHost(w.ctx, who, no) }},
		{one.KindCluster, "AllocateHost", func(w *world, who auth.Caller) error {
			return second(w.AllocateHost(w.ctx, who, "new", "dummy", "dummy", no))
		}},
		{one.KindCluster, "AllocateDatastore", func(w *world, who auth.Caller) error { return second(w.AllocateDatastore(w.ctx, who, x, no)) }},
		{one.KindCluster, "AllocateVNet", func(w *world, who auth.Caller) error { return second(w.AllocateVNet(w.ctx, who, x, no)) }},
		{one.KindCluster, "ClusterInfo", func(w *world, who auth.Caller) error { return third(w.ClusterInfo(who, no)) }},
		{one.KindCluster, "UpdateCluster", func(w *world, who auth.Caller) error { return w.UpdateCluster(w.ctx, who, no, x, 0) }},
		{one.KindCluster, "RenameCluster", func(w *world, who auth.Caller) error { return w.RenameCluster(w.ctx, who, no, "new") }},
		{one.KindCluster, "DeleteCluster", func(w *world, who auth.Caller) error { return w.DeleteCluster(w.ctx, who, no) }},
		{one.KindCluster, "SetHostCluster to", func(w *world, who auth.Caller) error { return w.SetHostCluster(w.ctx, who, no, 1, true) }},
		{one.KindHost, "SetHostCluster", func(w *world, who auth.Caller) error { return w.SetHostCluster(w.ctx, who, 100, no, true) }},
		{one.KindDatastore, "SetDatastoreCluster", func(w *world, who auth.Caller) error { return w.SetDatastoreCluster(w.ctx, who, 100, no, true) }},
		{one.KindCluster, "SetVNetCluster to", func(w *world, who auth.Caller) error { return w.SetVNetCluster(w.ctx, who, no, 0, true) }},
		{one.KindNet, "SetVNetCluster", func(w *world, who auth.Caller) error { return w.SetVNetCluster(w.ctx, who, 100, no, true) }},
		{one.KindDatastore, "UpdateDatastore", func(w *world, who auth.Caller) error { return w.UpdateDatastore(w.ctx, who, no, x, 0) }},
		{one.KindDatastore, "EnableDatastore", func(w *world, who auth.Caller) error { return w.EnableDatastore(w.ctx, who, no, true) }},
		{one.KindDatastore, "DeleteDatastore", func(w *world, who auth.Caller) error { return w.DeleteDatastore(w.ctx, who, no) }},
		{one.KindDatastore, "AllocateImage", func(w *world, who auth.Caller) error { return second(w.AllocateImage(w.ctx, who, x, no, false)) }},
		{one.KindImage, "CloneImage", func(w *world, who auth.Caller) error { return second(w.CloneImage(w.ctx, who, no, "new", -1)) }},
		{one.KindDatastore, "CloneImage to", func(w *world, who auth.Caller) error { return second(w.CloneImage(w.ctx, who, 0, "new", no)) }},
		{one.KindImage, "UpdateImage", func(w *world, who auth.Caller) error { return w.UpdateImage(w.ctx, who, no, x, 0) }},
		{one.KindImage, "EnableImage", func(w *world, who auth.Caller) error { return w.EnableImage(w.ctx, who, no, true) }},
		{one.KindImage, "PersistImage", func(w *world, who auth.Caller) error { return w.PersistImage(w.ctx, who, no, true) }},
		{one.KindImage, "RetypeImage", func(w *world, who auth.Caller) error { return w.RetypeImage(w.ctx, who, no, "OS") }},
		{one.KindImage, "DeleteImage", func(w *world, who auth.Caller) error { return w.DeleteImage(w.ctx, who, no, true) }},
		{one.KindTemplate, "UpdateTemplate", func(w *world, who auth.Caller) error { return w.UpdateTemplate(w.ctx, who, no, x, 0) }},
		{one.KindTemplate, "DeleteTemplate", func(w *world, who auth.Caller) error { return w.DeleteTemplate(w.ctx, who, no, true) }},
		{one.KindTemplate, "CloneTemplate", func(w *world, who auth.Caller) error { return second(w.CloneTemplate(w.ctx, who, no, "new", true)) }},
		{one.KindTemplate, "Instantiate", func(w *world, who auth.Caller) error {
			return second(w.Instantiate(w.ctx, who, no, "", false, nil, false))
		}},
		{one.KindUser, "Instantiate for", instantiate("AS_UID=999", false)},
		{one.KindGroup, "Instantiate for a group", instantiate("AS_GID=999", true)},
		{one.KindSecGroup, "AllocateVM", func(w *world, who auth.Caller) error {
			return second(w.AllocateVM(w.ctx, who, parsed(`CPU=1 MEMORY=64 NIC=[NETWORK_ID=0, SECURITY_GROUPS="999"]`), false))
		}},
		{one.KindDocument, "UpdateDocument", func(w *world, who auth.Caller) error { return w.UpdateDocument(w.ctx, who, no, x, 0) }},
		{one.KindDocument, "CloneDocument", func(w *world, who auth.Caller) error { return second(w.CloneDocument(w.ctx, who, no, "new")) }},
		{one.KindDocument, "DeleteDocument", func(w *world, who auth.Caller) error { return w.DeleteDocument(w.ctx, who, no) }},
		{one.KindSecGroup, "UpdateSecGroup", func(w *world, who auth.Caller) error { return w.UpdateSecGroup(w.ctx, who, no, x, 0) }},
		{one.KindSecGroup, "CloneSecGroup", func(w *world, who auth.Caller) error { return second(w.CloneSecGroup(w.ctx, who, no, "new")) }},
		{one.KindSecGroup, "DeleteSecGroup", func(w *world, who auth.Caller) error { return w.DeleteSecGroup(w.ctx, who, no) }},
		{one.KindNet, "UpdateVNet", func(w *world, who auth.Caller) error { return w.UpdateVNet(w.ctx, who, no, x, 0) }},
		{one.KindSecGroup, "UpdateVNet with", func(w *world, who auth.Caller) error {
			return w.UpdateVNet(w.ctx, who, 0, parsed(`SECURITY_GROUPS="0,999"`), 1)
		}},
		{one.KindSecGroup, "AllocateVNet with", func(w *world, who auth.Caller) error {
			return second(w.AllocateVNet(w.ctx, who, parsed(`NAME=new VN_MAD=bridge SECURITY_GROUPS="999"`), -1))
		}},
		{one.KindVNTemplate, "UpdateVNTemplate", func(w *world, who auth.Caller) error { return w.UpdateVNTemplate(w.ctx, who, no, x, 0) }},
		{one.KindVNTemplate, "DeleteVNTemplate", func(w *world, who auth.Caller) error { return w.DeleteVNTemplate(w.ctx, who, no) }},
		{one.KindVNTemplate, "CloneVNTemplate", func(w *world, who auth.Caller) error { return second(w.CloneVNTemplate(w.ctx, who, no, "new")) }},
		{one.KindVNTemplate, "InstantiateVNTemplate", func(w *world, who auth.Caller) error {
			return second(w.InstantiateVNTemplate(w.ctx, who, no, "", nil))
		}},
		{one.KindUser, "InstantiateVNTemplate for", func(w *world, who auth.Caller) error {
			return second(w.InstantiateVNTemplate(w.ctx, who, 0, "", parsed("AS_UID=999")))
		}},
		{one.KindSecGroup, "InstantiateVNTemplate with", func(w *world, who auth.Caller) error {
			return second(w.InstantiateVNTemplate(w.ctx, who, 0, "", parsed(`SECURITY_GROUPS="999"`)))
		}},
		{one.KindNet, "RecoverVNet", func(w *world, who auth.Caller) error { return w.RecoverVNet(who, no, 1) }},
		{one.KindNet, "DeleteVNet", func(w *world, who auth.Caller) error { return w.DeleteVNet(w.ctx, who, no) }},
		{one.KindNet, "AddAR", func(w *world, who auth.Caller) error { return w.AddAR(w.ctx, who, no, x) }},
		{one.KindNet, "RemoveAR", func(w *world, who auth.Caller) error { return w.RemoveAR(w.ctx, who, no, 0, true) }},
		{one.KindNet, "UpdateAR", func(w *world, who auth.Caller) error { return w.UpdateAR(w.ctx, who, no, x) }},
		{one.KindNet, "FreeAR", func(w *world, who auth.Caller) error { return w.FreeAR(w.ctx, who, no, 0) }},
		{one.KindNet, "Hold", func(w *world, who auth.Caller) error { return w.Hold(w.ctx, who, no, x) }},
		{one.KindNet, "Release", func(w *world, who auth.Caller) error { return w.Release(w.ctx, who, no, x) }},
		{one.KindNet, "Reserve", func(w *world, who auth.Caller) error { return second(w.Reserve(w.ctx, who, no, x)) }},
		{one.KindNet, "Reserve to", func(w *world, who auth.Caller) error {
			return second(w.Reserve(w.ctx, who, 0, parsed("SIZE=1 NETWORK_ID=999")))
		}},
		{one.KindVM, "UpdateVM", func(w *world, who auth.Caller) error { return w.UpdateVM(w.ctx, who, no, x, 0) }},
		{one.KindVM, "UpdateVMConf", func(w *world, who auth.Caller) error { return w.UpdateVMConf(w.ctx, who, no, x, 0) }},
		{one.KindVM, "EraseVM", func(w *world, who auth.Caller) error { return w.EraseVM(w.ctx, who, no, "A") }},
		{one.KindVM, "ResizeVM", func(w *world, who auth.Caller) error { return w.ResizeVM(w.ctx, who, no, x) }},
		{one.KindVM, "VMAction", vmAction(no, "terminate")},
		{one.KindVM, "RecoverVM", func(w *world, who auth.Caller) error { return w.RecoverVM(w.ctx, who, no, 3) }},
		{one.KindVM, "DeployVM", func(w *world, who auth.Caller) error { return w.DeployVM(w.ctx, who, no, 0, false, -1, nil) }},
		{one.KindHost, "DeployVM to", func(w *world, who auth.Caller) error { return w.DeployVM(w.ctx, who, 0, no, false, -1, nil) }},
		{one.KindDatastore, "DeployVM on", func(w *world, who auth.Caller) error { return w.DeployVM(w.ctx, who, 0, 0, false, no, nil) }},
		{one.KindDocument, "FlowDocument", func(w *world, who auth.Caller) error {
			return second(w.FlowDocument(w.View(), who, no, one.DocService, one.Use))
		}},
		{one.KindNet, "UsableNetwork", func(w *world, who auth.Caller) error { return second(w.UsableNetwork(w.View(), who, no)) }},
		{one.KindTemplate, "CreateServiceVM", tx(func(w *world, tx *store.Tx, who auth.Caller) error {
			return second(w.CreateServiceVM(tx, who, ServiceVM{Template: no}))
		})},
		{one.KindVRouter, "CreateRouterVM", tx(func(w *world, tx *store.Tx, who auth.Caller) error {
			return second(w.CreateRouterVM(tx, who, no, ServiceVM{Template: 2}))
		})},
		{one.KindTemplate, "CreateRouterVM of", tx(func(w *world, tx *store.Tx, who auth.Caller) error {
			return second(w.CreateRouterVM(tx, who, 0, ServiceVM{Template: no}))
		})},
		{one.KindVM, "ServiceVMAction", tx(func(w *world, tx *store.Tx, who auth.Caller) error { return w.ServiceVMAction(tx, who, no, "hold") })},
		{one.KindVM, "ScheduleServiceVM", tx(func(w *world, tx *store.Tx, who auth.Caller) error {
			return w.ScheduleServiceVM(tx, who, no, "hold", "", 60)
		})},
		{one.KindVM, "UnscheduleServiceVM", tx(func(w *world, tx *store.Tx, who auth.Caller) error { return w.UnscheduleServiceVM(tx, who, no, 0) })},
		{one.KindVM, "RetryServiceVM", tx(func(w *world, tx *store.Tx, who auth.Caller) error { return w.RetryServiceVM(tx, who, no) })},
		{one.KindUser, "ChownService", tx(func(w *world, tx *store.Tx, who auth.Caller) error { return w.ChownService(tx, who, 0, no, -1) })},
		{one.KindGroup, "ChownService to a group", tx(func(w *world, tx *store.Tx, who auth.Caller) error { return w.ChownService(tx, who, 0, -1, no) })},
		{one.KindNet, "ReserveForService", tx(func(w *world, tx *store.Tx, who auth.Caller) error {
			return second(w.ReserveForService(tx, who, no, x))
		})},
		{one.KindTemplate, "CloneForService", tx(func(w *world, tx *store.Tx, who auth.Caller) error {
			return second(w.CloneForService(tx, who, no, "new", true))
		})},
		{one.KindUser, "OwnerOf", func(w *world, _ auth.Caller) error { return second(w.OwnerOf(w.View(), one.Meta{UID: no})) }},
		{one.KindUser, "UserOf", func(w *world, _ auth.Caller) error { return second(w.UserOf(w.View(), no)) }},
	} {
		add(m.kind, m.what, m.call)
	}
	// A user and group of a chown, which names them beside the object.
	for _, ids := range [][2]int{{no, 1}, {owner, no}} {
		kind := one.KindUser
		if ids[1] == no {
			kind = one.KindGroup
		}
		add(kind, "Chown VM to", func(w *world, who auth.Caller) error { return w.Chown(w.ctx, who, one.KindVM, 0, ids[0], ids[1]) })
	}
	rows = append(rows,
		refusal{"Login", 0, func(w *world, who auth.Caller) error { return second(w.Login(w.ctx, who, "nobody", "", 60, -1)) }, errs.NoExists, "Error getting user Pool."},
		refusal{"DeleteRule", 0, func(w *world, who auth.Caller) error { return w.DeleteRule(w.ctx, who, no) }, errs.Internal, "Rule 999 does not exist"},
		refusal{"a range", 0, func(w *world, who auth.Caller) error { return w.RemoveAR(w.ctx, who, 0, no, true) }, errs.Action, "Address Range does not exist"},
		refusal{"a range to update", 0, func(w *world, who auth.Caller) error { return w.UpdateAR(w.ctx, who, 0, parsed("AR=[AR_ID=999]")) }, errs.Action, "Address Range does not exist"},
		refusal{"an image of a disk", 0, allocVM("DISK=[IMAGE_ID=999]"), errs.Allocate, "Error allocating a new virtual machine. Image with ID: 999 does not exist"},
		refusal{"a network of a NIC", 0, allocVM("NIC=[NETWORK_ID=999]"), errs.Allocate, "Error allocating a new virtual machine. Virtual network with ID: 999 does not exist"},
		refusal{"a token", 0, func(w *world, who auth.Caller) error { return second(w.Login(w.ctx, who, "owner", "t1", 0, -1)) }, errs.API, "Could not find token: t1"},
	)
	w.refuse(rows...)
}

// allocVM creates a VM of 1 CPU and 64 MB with what else is said.
func allocVM(text string) func(*world, auth.Caller) error {
	return func(w *world, who auth.Caller) error {
		return second(w.AllocateVM(w.ctx, who, parsed("CPU=1 MEMORY=64 ").Merge(parsed(text)), false))
	}
}
