package cloud

import (
	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// hostRights: hosts and clusters. Sources: XML-RPC reference §7.4 and §7.5.
func hostRights() []right {
	return []right{
		{method: "AllocateHost", needs: "CREATE HOST/*; ADMIN CLUSTER/#100", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateHost(w.ctx, who, "new", "dummy", "dummy", 100))
		}},
		{method: "HostInfo", needs: "USE HOST/#0", call: func(w *world, who auth.Caller) error { return third(w.HostInfo(who, 0)) }},
		{method: "SetHostStatus", needs: "ADMIN HOST/#1", call: func(w *world, who auth.Caller) error {
			return w.SetHostStatus(w.ctx, who, 1, HostDisable)
		}},
		{method: "UpdateHost", needs: "ADMIN HOST/#1", call: func(w *world, who auth.Caller) error {
			return w.UpdateHost(w.ctx, who, 1, parsed("RESERVED_CPU=100"), 1)
		}},
		{method: "RenameHost", needs: "ADMIN HOST/#1", call: func(w *world, who auth.Caller) error { return w.RenameHost(w.ctx, who, 1, "new") }},
		{method: "DeleteHost", needs: "ADMIN HOST/#1", call: func(w *world, who auth.Caller) error { return w.DeleteHost(w.ctx, who, 1) }},
		{method: "AllocateCluster", needs: "CREATE CLUSTER/*", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateCluster(w.ctx, who, "new"))
		}},
		{method: "ClusterInfo", needs: "USE CLUSTER/#0", call: func(w *world, who auth.Caller) error { return third(w.ClusterInfo(who, 0)) }},
		{method: "UpdateCluster", needs: "MANAGE CLUSTER/#0", call: func(w *world, who auth.Caller) error {
			return w.UpdateCluster(w.ctx, who, 0, parsed("RESERVED_CPU=100"), 1)
		}},
		{method: "RenameCluster", needs: "MANAGE CLUSTER/#0", call: func(w *world, who auth.Caller) error {
			return w.RenameCluster(w.ctx, who, 0, "new")
		}},
		{method: "DeleteCluster", needs: "ADMIN CLUSTER/#100", call: func(w *world, who auth.Caller) error { return w.DeleteCluster(w.ctx, who, 100) }},
		{method: "SetHostCluster", needs: "ADMIN CLUSTER/#100; ADMIN HOST/#1", call: func(w *world, who auth.Caller) error {
			return w.SetHostCluster(w.ctx, who, 100, 1, true)
		}},
		{method: "SetDatastoreCluster", needs: "ADMIN CLUSTER/#100; ADMIN DATASTORE/#100", call: func(w *world, who auth.Caller) error {
			return w.SetDatastoreCluster(w.ctx, who, 100, 100, true)
		}},
		{method: "SetVNetCluster", needs: "ADMIN CLUSTER/#100; ADMIN NET/#0", call: func(w *world, who auth.Caller) error {
			return w.SetVNetCluster(w.ctx, who, 100, 0, true)
		}},
	}
}

// netRights: networks and security groups. Sources: XML-RPC reference §7.8 and §7.11.
func netRights() []right {
	return []right{
		{method: "AllocateVNet", needs: "CREATE NET/*; ADMIN CLUSTER/#100", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateVNet(w.ctx, who, parsed("NAME=new VN_MAD=bridge"), 100))
		}},
		{method: "UpdateVNet", may: "owner chief", needs: "MANAGE NET/#0", call: func(w *world, who auth.Caller) error {
			return w.UpdateVNet(w.ctx, who, 0, parsed("A=b"), 1)
		}},
		{method: "RecoverVNet", may: "owner chief", needs: "MANAGE NET/#2", call: func(w *world, who auth.Caller) error {
			if err := w.RecoverVNet(who, 2, 1); errs.KindOf(err) != errs.Action { // there is nothing to recover
				return err
			}
			return nil
		}},
		{method: "DeleteVNet", may: "owner chief", needs: "MANAGE NET/#2", call: func(w *world, who auth.Caller) error { return w.DeleteVNet(w.ctx, who, 2) }},
		{method: "AddAR", needs: "ADMIN NET/#0", call: func(w *world, who auth.Caller) error {
			return w.AddAR(w.ctx, who, 0, parsed("AR=[TYPE=IP4, IP=10.2.0.1, SIZE=4]"))
		}},
		{method: "RemoveAR", needs: "ADMIN NET/#2", call: func(w *world, who auth.Caller) error { return w.RemoveAR(w.ctx, who, 2, 0, false) }},
		{method: "UpdateAR", may: "owner chief", needs: "MANAGE NET/#0", call: func(w *world, who auth.Caller) error {
			return w.UpdateAR(w.ctx, who, 0, parsed("AR=[AR_ID=0, SIZE=12]"))
		}},
		{method: "FreeAR", may: "owner chief", needs: "MANAGE NET/#1", call: func(w *world, who auth.Caller) error { return w.FreeAR(w.ctx, who, 1, 0) }},
		{method: "Hold", may: "owner chief", needs: "MANAGE NET/#0", call: func(w *world, who auth.Caller) error {
			return w.Hold(w.ctx, who, 0, parsed("LEASES=[IP=10.0.0.1]"))
		}},
		{method: "Release", may: "owner chief", needs: "MANAGE NET/#0", call: func(w *world, who auth.Caller) error {
			return w.Release(w.ctx, who, 0, parsed("LEASES=[IP=10.0.0.8]"))
		}},
		{method: "Reserve", may: "owner member chief", needs: "USE NET/#0", call: func(w *world, who auth.Caller) error {
			return second(w.Reserve(w.ctx, who, 0, parsed("SIZE=2 NAME=mine")))
		}},
		{method: "Reserve", what: "for an existing reservation", may: "owner chief", needs: "USE NET/#0; MANAGE NET/#1", call: func(w *world, who auth.Caller) error {
			return second(w.Reserve(w.ctx, who, 0, parsed("SIZE=2 NETWORK_ID=1")))
		}},
		{method: "ReserveForService", may: "owner member chief", needs: "USE NET/#0", call: func(w *world, who auth.Caller) error {
			return w.try(func(tx *store.Tx) error { return second(w.ReserveForService(tx, who, 0, parsed("SIZE=2 NAME=mine"))) })
		}},
		{method: "UsableNetwork", may: "owner member chief", needs: "USE NET/#0", call: func(w *world, who auth.Caller) error {
			return second(w.UsableNetwork(w.View(), who, 0))
		}},
		{method: "AllocateVNTemplate", needs: "CREATE VNTEMPLATE/*", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateVNTemplate(w.ctx, who, parsed("NAME=new DNS=10.0.0.2")))
		}},
		{method: "CloneVNTemplate", needs: "USE VNTEMPLATE/#0; CREATE VNTEMPLATE/*", call: func(w *world, who auth.Caller) error {
			return second(w.CloneVNTemplate(w.ctx, who, 0, "new"))
		}},
		{method: "UpdateVNTemplate", may: "owner", needs: "MANAGE VNTEMPLATE/#0", call: func(w *world, who auth.Caller) error {
			return w.UpdateVNTemplate(w.ctx, who, 0, parsed("A=b"), 1)
		}},
		{method: "DeleteVNTemplate", may: "owner", needs: "MANAGE VNTEMPLATE/#0", call: func(w *world, who auth.Caller) error {
			return w.DeleteVNTemplate(w.ctx, who, 0)
		}},
		{method: "InstantiateVNTemplate", may: "owner member chief", needs: "USE VNTEMPLATE/#0", call: func(w *world, who auth.Caller) error {
			return second(w.InstantiateVNTemplate(w.ctx, who, 0, "new", parsed("AR=[TYPE=IP4, IP=10.2.0.1, SIZE=4]")))
		}},
		{method: "InstantiateVNTemplate", what: "for another", may: "chief", needs: "USE VNTEMPLATE/#0; MANAGE USER/#3; MANAGE GROUP/#1", call: func(w *world, who auth.Caller) error {
			return second(w.InstantiateVNTemplate(w.ctx, who, 0, "new", parsed("AS_UID=3 AS_GID=1")))
		}},
		{method: "NetworkFromTemplate", may: "owner member chief", needs: "USE VNTEMPLATE/#0", call: func(w *world, who auth.Caller) error {
			return w.try(func(tx *store.Tx) error { return second(w.NetworkFromTemplate(tx, who, 0, "new", nil)) })
		}},
		{method: "AllocateSecGroup", may: "owner member chief", needs: "CREATE SECGROUP/*", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateSecGroup(w.ctx, who, parsed("NAME=new")))
		}},
		{method: "CloneSecGroup", may: "owner member chief", needs: "USE SECGROUP/#101; CREATE SECGROUP/*", call: func(w *world, who auth.Caller) error {
			return second(w.CloneSecGroup(w.ctx, who, 101, "new"))
		}},
		{method: "UpdateSecGroup", may: "owner chief", needs: "MANAGE SECGROUP/#101", call: func(w *world, who auth.Caller) error {
			return w.UpdateSecGroup(w.ctx, who, 101, parsed("A=b"), 1)
		}},
		{method: "DeleteSecGroup", may: "owner chief", needs: "MANAGE SECGROUP/#101", call: func(w *world, who auth.Caller) error {
			return w.DeleteSecGroup(w.ctx, who, 101)
		}},
		{method: "VisibleLeases", what: "whoever's", may: "owner chief", needs: "MANAGE NET/#0", call: leaseSeen(one.Lease{Owner: one.LeaseVRouter, OwnerID: 99})},
		{method: "VisibleLeases", what: "of a VM", may: "owner member chief", needs: "USE VM/#0", call: leaseSeen(one.Lease{Owner: one.LeaseVM, OwnerID: 0})},
		{method: "VisibleLeases", what: "of a reservation", may: "owner member chief", needs: "USE NET/#1", call: leaseSeen(one.Lease{Owner: one.LeaseVNet, OwnerID: 1})},
		{method: "VisibleLeases", what: "of a router", may: "owner member chief", needs: "USE VROUTER/#0", call: leaseSeen(one.Lease{Owner: one.LeaseVRouter, OwnerID: 0})},
		{method: "VisibleLeases", what: "held", may: "owner member chief stranger", call: leaseSeen(one.Lease{Owner: one.LeaseHeld, OwnerID: -1})},
	}
}

func routerRights() []right {
	return []right{
		{method: "AllocateVRouter", may: "chief", needs: "CREATE VROUTER/*; USE NET/#2", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateVRouter(w.ctx, who, parsed("NAME=new NIC=[NETWORK_ID=2,FLOATING_IP=YES]")))
		}},
		{method: "InstantiateVRouter", may: "owner chief", needs: "MANAGE VROUTER/#0; USE TEMPLATE/#2", call: func(w *world, who auth.Caller) error {
			return w.InstantiateVRouter(w.ctx, who, 0, 1, 2, "", false, nil)
		}},
		{method: "InstantiateVRouter", what: "in a network", may: "owner chief", needs: "MANAGE VROUTER/#1; USE TEMPLATE/#2; USE NET/#2", call: func(w *world, who auth.Caller) error {
			return w.InstantiateVRouter(w.ctx, who, 1, 1, 2, "", false, nil)
		}},
		{method: "InstantiateVRouter", what: "without VMs", may: "owner chief", needs: "MANAGE VROUTER/#0; USE TEMPLATE/#2", call: func(w *world, who auth.Caller) error {
			return w.InstantiateVRouter(w.ctx, who, 0, 0, 2, "", false, nil)
		}},
		{method: "AttachVRouterNIC", may: "owner chief", needs: "MANAGE VROUTER/#0; USE NET/#2", call: func(w *world, who auth.Caller) error {
			return w.AttachVRouterNIC(w.ctx, who, 0, parsed("NIC=[NETWORK_ID=2]"))
		}},
		{method: "DetachVRouterNIC", may: "owner chief", needs: "MANAGE VROUTER/#1", call: func(w *world, who auth.Caller) error { return w.DetachVRouterNIC(w.ctx, who, 1, 0) }},
		{method: "UpdateVRouter", may: "owner chief", needs: "MANAGE VROUTER/#0", call: func(w *world, who auth.Caller) error {
			return w.UpdateVRouter(w.ctx, who, 0, parsed("A=c"), 1)
		}},
		{method: "DeleteVRouter", may: "owner chief", needs: "MANAGE VROUTER/#0", call: func(w *world, who auth.Caller) error { return w.DeleteVRouter(w.ctx, who, 0) }},
	}
}

// leaseSeen asks whether the caller may see a lease of network 0.
func leaseSeen(l one.Lease) func(*world, auth.Caller) error {
	return func(w *world, who auth.Caller) error {
		st := w.View()
		if visible := w.VisibleLeases(st, who, st.VNets.At(0)); visible != nil && !visible(&l) {
			return errHidden
		}
		return nil
	}
}
