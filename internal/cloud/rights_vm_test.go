package cloud

import (
	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// everybody is who may call what asks for no right: methods that services call
// inside their transactions, having decided.
const everybody = "owner member chief stranger"

// vmRights: VMs. Sources: XML-RPC reference §7.2, VM lifecycle reference §1.4.
func vmRights() []right {
	rows := []right{
		{method: "AllocateVM", may: "owner member chief", needs: "CREATE VM/*; USE IMAGE/#0; USE NET/#0; USE SECGROUP/#100", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateVM(w.ctx, who, parsed("CPU=1 MEMORY=64 DISK=[IMAGE_ID=0] NIC=[NETWORK_ID=0]"), false))
		}},
		{method: "AllocateVM", what: "with a security group of one's choice", may: "owner member chief", needs: "CREATE VM/*; USE NET/#2; USE SECGROUP/#101", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateVM(w.ctx, who, parsed(`CPU=1 MEMORY=64 NIC=[NETWORK_ID=2, SECURITY_GROUPS="101"]`), false))
		}},
		{method: "AllocateVM", what: "with networks left to the scheduler", may: "owner member chief", needs: "CREATE VM/*", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateVM(w.ctx, who, parsed("CPU=1 MEMORY=64 NIC=[NETWORK_MODE=auto]"), false))
		}},
		{method: "DeployVM", needs: "ADMIN VM/#0; MANAGE HOST/#0", call: func(w *world, who auth.Caller) error {
			return w.DeployVM(w.ctx, who, 0, 0, true, -1, nil)
		}},
		{method: "DeployVM", what: "on a datastore", needs: "ADMIN VM/#0; MANAGE HOST/#0; USE DATASTORE/#101", call: func(w *world, who auth.Caller) error {
			return w.DeployVM(w.ctx, who, 0, 0, true, 101, nil)
		}},
		{method: "Place", may: everybody, call: func(w *world, who auth.Caller) error {
			return w.try(func(tx *store.Tx) error {
				return w.Place(tx, who, tx.VMs.At(0), tx.Hosts.At(0), -1, true, nil)
			})
		}},
		{method: "Apply", may: everybody, call: func(w *world, who auth.Caller) error {
			return w.try(func(tx *store.Tx) error {
				v := tx.VMs.At(0)
				return w.Apply(tx, who, v, machine.Change{VM: v.WithState(one.VMHold, 0, 1)})
			})
		}},
		{method: "AttachNIC", may: "owner chief", needs: "MANAGE VM/#1; USE NET/#0; USE SECGROUP/#100", call: func(w *world, who auth.Caller) error {
			return w.AttachNIC(w.ctx, who, 1, parsed("NIC=[NETWORK_ID=0]"))
		}},
		{method: "DetachNIC", may: "owner chief", needs: "MANAGE VM/#2", call: func(w *world, who auth.Caller) error { return w.DetachNIC(w.ctx, who, 2, 0) }},
		{method: "UpdateNIC", may: "owner chief", needs: "MANAGE VM/#2", call: func(w *world, who auth.Caller) error {
			return w.UpdateNIC(w.ctx, who, 2, 0, parsed("NIC=[MODEL=virtio]"), 1)
		}},
		{method: "MigrateVM", needs: "ADMIN VM/#2; MANAGE HOST/#1", call: func(w *world, who auth.Caller) error {
			return w.MigrateVM(w.ctx, who, 2, 1, Migration{Datastore: -1})
		}},
		{method: "MigrateVM", what: "on a datastore", needs: "ADMIN VM/#2; MANAGE HOST/#1; USE DATASTORE/#0", call: func(w *world, who auth.Caller) error {
			return w.MigrateVM(w.ctx, who, 2, 1, Migration{Datastore: 0})
		}},
		{method: "AttachDisk", may: "owner chief", needs: "MANAGE VM/#1; USE IMAGE/#0", call: func(w *world, who auth.Caller) error {
			return w.AttachDisk(w.ctx, who, 1, parsed("DISK=[IMAGE_ID=0]"))
		}},
		{method: "ResizeDisk", may: "owner chief", needs: "MANAGE VM/#2", call: func(w *world, who auth.Caller) error {
			return w.ResizeDisk(w.ctx, who, 2, 0, "50")
		}},
		{method: "DetachDisk", may: "owner chief", needs: "MANAGE VM/#2", call: func(w *world, who auth.Caller) error { return w.DetachDisk(w.ctx, who, 2, 0) }},
		{method: "CreateSnapshot", may: "owner chief", needs: "MANAGE VM/#1", call: func(w *world, who auth.Caller) error {
			return second(w.CreateSnapshot(w.ctx, who, 1, ""))
		}},
		{method: "RevertSnapshot", may: "owner chief", needs: "MANAGE VM/#1", call: func(w *world, who auth.Caller) error {
			return w.RevertSnapshot(w.ctx, who, 1, 0)
		}},
		{method: "DeleteSnapshot", may: "owner chief", needs: "MANAGE VM/#1", call: func(w *world, who auth.Caller) error {
			return w.DeleteSnapshot(w.ctx, who, 1, 0)
		}},
		{method: "CreateDiskSnapshot", may: "owner chief", needs: "MANAGE VM/#2", call: func(w *world, who auth.Caller) error {
			return second(w.CreateDiskSnapshot(w.ctx, who, 2, 1, "again"))
		}},
		{method: "RevertDiskSnapshot", may: "owner chief", needs: "MANAGE VM/#2", call: func(w *world, who auth.Caller) error {
			return w.RevertDiskSnapshot(w.ctx, who, 2, 1, 0)
		}},
		{method: "DeleteDiskSnapshot", may: "owner chief", needs: "MANAGE VM/#2", call: func(w *world, who auth.Caller) error {
			return w.DeleteDiskSnapshot(w.ctx, who, 2, 1, 0)
		}},
		{method: "RenameDiskSnapshot", may: "owner chief", needs: "MANAGE VM/#2", call: func(w *world, who auth.Caller) error {
			return w.RenameDiskSnapshot(w.ctx, who, 2, 1, 0, "pristine")
		}},
		{method: "ResizeVM", may: "owner chief", needs: "MANAGE VM/#3", call: func(w *world, who auth.Caller) error {
			return w.ResizeVM(w.ctx, who, 3, parsed("MEMORY=128"))
		}},
		{method: "AddSchedAction", may: "owner chief", needs: "MANAGE VM/#3", call: func(w *world, who auth.Caller) error {
			return second(w.AddSchedAction(w.ctx, who, 3, parsed(`SCHED_ACTION=[ACTION=hold, TIME="+60"]`)))
		}},
		{method: "UpdateSchedAction", may: "owner chief", needs: "MANAGE VM/#3", call: func(w *world, who auth.Caller) error {
			return w.UpdateSchedAction(w.ctx, who, 3, 0, parsed(`SCHED_ACTION=[TIME="+60"]`))
		}},
		{method: "DeleteSchedAction", may: "owner chief", needs: "MANAGE VM/#3", call: func(w *world, who auth.Caller) error {
			return w.DeleteSchedAction(w.ctx, who, 3, 0)
		}},
		{method: "UpdateVM", may: "owner chief", needs: "MANAGE VM/#0", call: func(w *world, who auth.Caller) error {
			return w.UpdateVM(w.ctx, who, 0, parsed("A=b"), 1)
		}},
		{method: "EraseVM", may: "owner chief", needs: "MANAGE VM/#0", call: func(w *world, who auth.Caller) error { return w.EraseVM(w.ctx, who, 0, "COLOR") }},
		{method: "UpdateVMConf", may: "owner chief", needs: "MANAGE VM/#3", call: func(w *world, who auth.Caller) error {
			return w.UpdateVMConf(w.ctx, who, 3, parsed("OS=[ARCH=x86_64]"), 1)
		}},
	}
	for action, vm := range map[string]int{
		"terminate": 1, "terminate-hard": 1, "undeploy": 1, "undeploy-hard": 1, "poweroff": 1, "poweroff-hard": 1, "reboot": 1, "reboot-hard": 1,
		"hold": 0, "release": 3, "stop": 1, "suspend": 1, "resume": 2,
	} {
		rows = append(rows, right{method: "VMAction", what: action, may: "owner chief", needs: "MANAGE VM/#" + itoa(vm), call: vmAction(vm, action)})
	}
	for _, action := range []string{"resched", "unresched"} {
		rows = append(rows, right{method: "VMAction", what: action, needs: "ADMIN VM/#1", call: vmAction(1, action)})
	}
	for code, what := range map[int]string{0: "as failed", 1: "as done", 2: "again", 3: "by deleting", 4: "by creating it anew", 5: "in the database"} {
		vm := 4
		if code < 2 {
			vm = 7 // of the boot that has failed there is nothing more to be said
		}
		rows = append(rows, right{method: "RecoverVM", what: what, needs: "ADMIN VM/#" + itoa(vm), call: func(w *world, who auth.Caller) error {
			return w.RecoverVM(w.ctx, who, vm, code)
		}})
	}
	return rows
}

func vmAction(id int, action string) func(*world, auth.Caller) error {
	return func(w *world, who auth.Caller) error { return w.VMAction(w.ctx, who, id, action) }
}

// serviceRights: what the service manager calls. Sources: OneFlow reference §6;
// VMs of services end whoever owns them, see keeper.
func serviceRights() []right {
	in := func(f func(w *world, tx *store.Tx, who auth.Caller) error) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.try(func(tx *store.Tx) error { return f(w, tx, who) }) }
	}
	return []right{
		{method: "FlowDocument", what: "to use", may: "owner member chief", needs: "USE DOCUMENT/#0", call: func(w *world, who auth.Caller) error {
			return second(w.FlowDocument(w.View(), who, 0, one.DocService, one.Use))
		}},
		{method: "FlowDocument", what: "to manage", may: "owner chief", needs: "MANAGE DOCUMENT/#0", call: func(w *world, who auth.Caller) error {
			return second(w.FlowDocument(w.View(), who, 0, one.DocService, one.Manage))
		}},
		{method: "NewFlowDocument", may: "owner member chief", needs: "CREATE DOCUMENT/*", call: in(func(w *world, tx *store.Tx, who auth.Caller) error {
			return second(w.NewFlowDocument(tx, who, "new", nil, one.DocServiceTemplate))
		})},
		{method: "CreateServiceVM", may: "owner member chief", needs: usedByFull, call: in(func(w *world, tx *store.Tx, who auth.Caller) error {
			return second(w.CreateServiceVM(tx, who, ServiceVM{Service: 0, Role: "web", Name: "new", Template: 1, Extra: parsed("A=b")}))
		})},
		{method: "NewServiceRouter", may: "chief", needs: "CREATE VROUTER/*; USE NET/#2", call: in(func(w *world, tx *store.Tx, who auth.Caller) error {
			return second(w.NewServiceRouter(tx, who, parsed("NAME=new NIC=[NETWORK_ID=2,FLOATING_IP=YES]")))
		})},
		{method: "CreateRouterVM", may: "owner chief", needs: "MANAGE VROUTER/#1; USE TEMPLATE/#2; USE NET/#2", call: in(func(w *world, tx *store.Tx, who auth.Caller) error {
			return second(w.CreateRouterVM(tx, who, 1, ServiceVM{Service: 0, Role: "gate", Name: "new", Template: 2, Extra: parsed("A=b")}))
		})},
		{method: "ServiceVMAction", what: "hold", may: "owner chief", needs: "MANAGE VM/#6", call: in(func(w *world, tx *store.Tx, who auth.Caller) error {
			return w.ServiceVMAction(tx, who, 6, "hold")
		})},
		{method: "ServiceVMAction", what: "resched", needs: "ADMIN VM/#1", call: in(func(w *world, tx *store.Tx, who auth.Caller) error {
			return w.ServiceVMAction(tx, who, 1, "resched")
		})},
		{method: "ScheduleServiceVM", may: "owner chief", needs: "MANAGE VM/#6", call: in(func(w *world, tx *store.Tx, who auth.Caller) error {
			return w.ScheduleServiceVM(tx, who, 6, "hold", "", 60)
		})},
		{method: "UnscheduleServiceVM", may: "owner chief", needs: "MANAGE VM/#3", call: in(func(w *world, tx *store.Tx, who auth.Caller) error {
			return w.UnscheduleServiceVM(tx, who, 3, 0)
		})},
		{method: "StopServiceVM", may: everybody, call: in(func(w *world, tx *store.Tx, who auth.Caller) error { return w.StopServiceVM(tx, who, 6, false) })},
		{method: "RetryServiceVM", may: everybody, call: in(func(w *world, tx *store.Tx, who auth.Caller) error { return w.RetryServiceVM(tx, who, 4) })},
		{method: "ChownService", may: "chief", needs: "MANAGE DOCUMENT/#0; MANAGE VM/#6; MANAGE USER/#3; USE GROUP/#1", call: in(func(w *world, tx *store.Tx, who auth.Caller) error {
			return w.ChownService(tx, who, 0, member, 1)
		})},
		{method: "ChownService", what: "with a router", may: "chief", needs: "MANAGE DOCUMENT/#0; MANAGE VROUTER/#1; MANAGE VM/#6; MANAGE USER/#3; USE GROUP/#1", call: in(func(w *world, tx *store.Tx, who auth.Caller) error {
			tx.PutService(&one.Service{ID: 0, Routers: map[string]int{"gate": 1, "gone": 99}})
			return w.ChownService(tx, who, 0, member, 1)
		})},
	}
}

// poolRights: which lists show an object. Source: XML-RPC reference §4.1.
func poolRights() []right {
	const ours = "owner member chief"
	return []right{
		{method: "VMPool", may: ours, needs: "USE VM/#0", call: func(w *world, who auth.Caller) error {
			_, rows, err := w.VMPool(who, Everything, NotDone, "")
			return withID(rows, 0, err)
		}},
		{method: "VMPool", what: "done", may: ours, needs: "USE VM/#5", call: func(w *world, who auth.Caller) error {
			_, rows, err := w.VMPool(who, Everything, AnyState, "")
			return withID(rows, 5, err)
		}},
		{method: "VMSet", may: ours, needs: "USE VM/#0", call: func(w *world, who auth.Caller) error {
			_, rows := w.VMSet(who, []int{0})
			return withID(rows, 0, nil)
		}},
		{method: "VMHistory", may: ours, needs: "USE VM/#1", call: func(w *world, who auth.Caller) error {
			_, records, err := w.VMHistory(who, FilterAll, -1, -1)
			if err != nil {
				return err
			}
			for v := range records {
				if v.ID == 1 {
					return nil
				}
			}
			return errHidden
		}},
		{method: "TemplatePool", may: ours, needs: "USE TEMPLATE/#0", call: func(w *world, who auth.Caller) error {
			_, rows, err := w.TemplatePool(who, Everything)
			return withID(rows, 0, err)
		}},
		{method: "ImagePool", may: ours, needs: "USE IMAGE/#0", call: func(w *world, who auth.Caller) error {
			_, rows, err := w.ImagePool(who, Everything)
			return withID(rows, 0, err)
		}},
		{method: "VNetPool", may: ours, needs: "USE NET/#0", call: func(w *world, who auth.Caller) error {
			_, rows, err := w.VNetPool(who, Everything)
			return withID(rows, 0, err)
		}},
		{method: "VNTemplatePool", may: ours, needs: "USE VNTEMPLATE/#0", call: func(w *world, who auth.Caller) error {
			_, rows, err := w.VNTemplatePool(who, Everything)
			return withID(rows, 0, err)
		}},
		{method: "SecGroupPool", may: ours, needs: "USE SECGROUP/#101", call: func(w *world, who auth.Caller) error {
			_, rows, err := w.SecGroupPool(who, Everything)
			return withID(rows, 101, err)
		}},
		{method: "VRouterPool", may: ours, needs: "USE VROUTER/#0", call: func(w *world, who auth.Caller) error {
			_, rows, err := w.VRouterPool(who, Everything)
			return withID(rows, 0, err)
		}},
		{method: "DocumentPool", may: ours, needs: "USE DOCUMENT/#0", call: func(w *world, who auth.Caller) error {
			_, rows, err := w.DocumentPool(who, Everything, one.DocService)
			return withID(rows, 0, err)
		}},
		{method: "DatastorePool", may: ours, needs: "USE DATASTORE/#100", call: func(w *world, who auth.Caller) error {
			_, rows := w.DatastorePool(who)
			return withID(rows, 100, nil)
		}},
		// A VDC lets its groups deploy on hosts, not look at them.
		{method: "HostPool", needs: "USE HOST/#0", call: func(w *world, who auth.Caller) error {
			_, rows := w.HostPool(who)
			return inList(rows, func(h *one.Host) bool { return h.ID == 0 })
		}},
		{method: "ClusterPool", needs: "USE CLUSTER/#0", call: func(w *world, who auth.Caller) error {
			_, rows := w.ClusterPool(who)
			return inList(rows, func(cl *one.Cluster) bool { return cl.ID == 0 })
		}},
		{method: "ZonePool", may: everybody, call: func(w *world, who auth.Caller) error {
			_, rows := w.ZonePool(who)
			return inList(rows, func(z *one.Zone) bool { return z.ID == 0 })
		}},
		{method: "VDCPool", needs: "USE VDC/#100", call: func(w *world, who auth.Caller) error {
			_, rows := w.VDCPool(who)
			return inList(rows, func(v *one.VDC) bool { return v.ID == 100 })
		}},
		{method: "UserPool", may: "member chief", needs: "USE USER/#3", call: func(w *world, who auth.Caller) error {
			_, rows := w.UserPool(who)
			return inList(rows, func(u *one.User) bool { return u.ID == member })
		}},
		{method: "GroupPool", may: ours, needs: "USE GROUP/#1", call: func(w *world, who auth.Caller) error {
			_, rows := w.GroupPool(who)
			return inList(rows, func(g *one.Group) bool { return g.ID == 1 })
		}},
	}
}
