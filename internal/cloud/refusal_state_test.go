package cloud

import (
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// TestRefusedVMStates: what cannot be done to a VM as it is. Sources: VM lifecycle
// reference §3, XML-RPC reference §7.2.
func TestRefusedVMStates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const cannot = "Error performing action "
	action := func(vm int, name, state string) refusal {
		text := cannot + `"` + name + `": This action is not available for state ` + state
		if strings.HasPrefix(name, "terminate") {
			text = cannot + `"` + name + `": Could not terminate VM ` + itoa(vm) + `, wrong state ` + state + "."
		}
		return refusal{name + " in " + state, 0, vmAction(vm, name), errs.Action, text}
	}
	rows := []refusal{
		{"an unknown action", 0, vmAction(1, "fly"), errs.Action, `Action "fly" is not supported`},
		action(7, "terminate", "BOOT"), action(7, "terminate-hard", "BOOT"),
	}
	for _, name := range []string{"undeploy", "poweroff", "poweroff-hard", "reboot", "reboot-hard", "stop", "suspend", "resume", "resched", "release"} {
		rows = append(rows, action(0, name, "PENDING"), action(5, name, "DONE"), action(7, name, "BOOT"))
	}
	for _, name := range []string{"hold", "release", "resume"} {
		rows = append(rows, action(1, name, "RUNNING"))
	}
	for _, name := range []string{"hold", "poweroff", "reboot", "suspend", "stop"} {
		rows = append(rows, action(2, name, "POWEROFF"))
	}
	recover := func(vm, op int) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.RecoverVM(w.ctx, who, vm, op) }
	}
	deploy := func(vm, host, ds int) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.DeployVM(w.ctx, who, vm, host, true, ds, nil) }
	}
	rows = append(rows,
		refusal{"an unknown recovery", 0, recover(4, 6), errs.Action, "Wrong recovery operation code"},
		refusal{"a negative recovery", 0, recover(4, -1), errs.Action, "Wrong recovery operation code"},
		refusal{"failing what waits", 0, recover(0, 0), errs.Action, "Could not perform a recover operation on VM 0, wrong state PENDING."},
		refusal{"finishing what is off", 0, recover(2, 1), errs.Action, "Could not perform a recover operation on VM 2, wrong state POWEROFF."},
		refusal{"retrying what waits", 0, recover(0, 2), errs.Action, "Could not perform a retry on VM 0, wrong state PENDING."},
		refusal{"deploying what runs", 0, deploy(1, 0, -1), errs.Action, "Deploy action is not available for state RUNNING"},
		refusal{"deploying what is done", 0, deploy(5, 0, -1), errs.Action, "Deploy action is not available for state DONE"},
		refusal{"deploying on a datastore for images", 0, deploy(0, 0, 1), errs.Action, "Trying to use DATASTORE [1] to deploy the VM, but it is not of type system datastore."},
		refusal{"resizing what runs", 0, resize(1, "MEMORY=128"), errs.Action, "Hotplug resize not supported by driver dummy"},
		refusal{"resizing what is done", 0, resize(5, "MEMORY=128"), errs.Action, "Cannot resize a VM in state DONE"},
		refusal{"resizing what boots", 0, resize(7, "MEMORY=128"), errs.Action, "Cannot resize a VM in state BOOT"},
		refusal{"resizing to nonsense", 0, resize(3, "MEMORY=much"), errs.Action, "MEMORY must be a positive integer value."},
		refusal{"resizing to less than nothing", 0, resize(3, "CPU=-1"), errs.Action, "CPU must be a positive float or integer value."},
		refusal{"configuring what is done", 0, updateConf(5, "OS=[ARCH=x]", 1), errs.Action, "configuration cannot be updated in state DONE"},
		refusal{"attaching an image that is being made", 0, func(w *world, who auth.Caller) error {
			return w.AttachDisk(w.ctx, who, 1, parsed("DISK=[IMAGE_ID=1]"))
		}, errs.Action, "Cannot acquire image 1, it is locked"},
		refusal{"configuring what boots", 0, updateConf(7, "OS=[ARCH=x]", 1), errs.Action, "configuration cannot be updated in state BOOT"},
		refusal{"configuring in a way there is not", 0, updateConf(3, "OS=[ARCH=x]", 2), errs.API, "Wrong update type"},
		refusal{"booting from what is not there", 0, updateConf(3, "OS=[BOOT=disk3]", 1), errs.Internal, "Wrong OS/BOOT value. Device with DISK_ID 3 not found"},
		refusal{"a video card there is not", 0, updateConf(3, "VIDEO=[TYPE=cga]", 0), errs.Internal, "Invalid video TYPE, should be either: none, vga, cirrus, or virtio"},
		refusal{"a context where there was none", 0, updateConf(3, "CONTEXT=[A=b]", 1), errs.Internal, "Virtual machine does not have context, cannot add a new one."},
		refusal{"giving away what is done", 0, func(w *world, who auth.Caller) error { return w.Chown(w.ctx, who, one.KindVM, 5, member, -1) }, errs.Action, "Could not change VM ownership, wrong state"},
		refusal{"updating in a way there is not", 0, func(w *world, who auth.Caller) error { return w.UpdateVM(w.ctx, who, 0, parsed("A=b"), 7) }, errs.API, "Wrong update type"},
		refusal{"erasing what is not there", owner, func(w *world, who auth.Caller) error { return w.EraseVM(w.ctx, who, 0, "SIZE") }, errs.Action, "attribute not found"},
		refusal{"erasing of a vector that is not there", owner, func(w *world, who auth.Caller) error { return w.EraseVM(w.ctx, who, 0, "A/COLOR") }, errs.Action, "attribute not found"},
		refusal{"a bit there is not", owner, chmod(one.KindVM, 0, 3, 2), errs.Internal, "New permission values must be -1, 0 or 1"},
	)
	w.refuse(rows...)
	w.do(func(tx *store.Tx) {
		h := *tx.Hosts.At(1)
		h.State = one.HostOffline
		tx.PutHost(&h)
		h0 := *tx.Hosts.At(0)
		h0.ClusterID = 100
		tx.PutHost(&h0)
	})
	w.refuse(
		refusal{"deploying on a host that is offline", 0, deploy(0, 1, -1), errs.Action, "Host is offline, cannot use it to deploy VM"},
		refusal{"deploying on a datastore elsewhere", 0, deploy(0, 0, 0), errs.Action, "DATASTORE [0] and HOST [0] are not in the same CLUSTER [100]."},
		refusal{"deploying where there is no datastore", 0, deploy(0, 0, -1), errs.Action, "CLUSTER [100] does not have any DATASTORE of type SYSTEM_DS."},
	)
}

func resize(vm int, text string) func(*world, auth.Caller) error {
	return func(w *world, who auth.Caller) error { return w.ResizeVM(w.ctx, who, vm, parsed(text)) }
}

// TestRefusedImageStates: likewise for images. Source: resources reference §3.3.
func TestRefusedImageStates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(func(tx *store.Tx) {
		put := func(id int, name string, change func(i *one.Image)) {
			i := *tx.Images.At(0)
			i.Meta = ownersMeta(id, name)
			change(&i)
			tx.PutImage(&i)
		}
		put(10, "used", func(i *one.Image) { i.State, i.Persistent = one.ImageUsedPers, true })
		put(11, "snapshots", func(i *one.Image) { i.Snapshots = parsed("SNAPSHOT=[ID=0]") })
		put(12, "source", func(i *one.Image) { i.State, i.CloningOps = one.ImageClone, 1 })
		put(13, "broken", func(i *one.Image) { i.State = one.ImageError })
		put(14, "backup", func(i *one.Image) { i.Type = one.ImageBackup })
		put(15, "off", func(i *one.Image) { i.State = one.ImageDisabled })
		v := *tx.VMs.At(0)
		v.Template = v.Template.Merge(parsed("DISK=[IMAGE_ID=10, DISK_ID=0]"))
		tx.PutVM(&v)
		d := *tx.Datastores.At(100)
		d.DSMad = "fs"
		tx.PutDatastore(&d)
	})
	enable := func(id int, on bool) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.EnableImage(w.ctx, who, id, on) }
	}
	persist := func(id int, on bool) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.PersistImage(w.ctx, who, id, on) }
	}
	retype := func(id int, typ string) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.RetypeImage(w.ctx, who, id, typ) }
	}
	remove := func(id int, force bool) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.DeleteImage(w.ctx, who, id, force) }
	}
	clone := func(id, ds int) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return second(w.CloneImage(w.ctx, who, id, "clone", ds)) }
	}
	const alloc = "Error allocating a new virtual machine. "
	w.refuse(
		refusal{"enable what is copied", 0, enable(1, true), errs.Internal, "Could not enable image: Image cannot be in state LOCKED."},
		refusal{"disable what is used", 0, enable(10, false), errs.Internal, "Could not disable image: Image cannot be in state USED_PERS."},
		refusal{"enable a backup", 0, enable(14, true), errs.Internal, "Backup images cannot be enabled or disabled."},
		refusal{"free what is used", 0, persist(10, false), errs.Internal, "Could not make image non-persistent: Image cannot be in state USED_PERS."},
		refusal{"keep what has snapshots", 0, persist(11, true), errs.Internal, "Could not make image persistent: Image has snapshots."},
		refusal{"keep a kernel", 0, persist(2, true), errs.Action, "KERNEL, RAMDISK and CONTEXT must be non-persistent"},
		refusal{"an unknown type", 0, retype(0, "TAPE"), errs.Internal, "Unknown type TAPE: expected OS, CDROM, DATABLOCK, KERNEL, RAMDISK or CONTEXT"},
		refusal{"a disk as a kernel", 0, retype(0, "KERNEL"), errs.Internal, "Cannot change image type to an incompatible type for the current datastore."},
		refusal{"a kernel as a disk", 0, retype(2, "OS"), errs.Internal, "Cannot change image type to an incompatible type for the current datastore."},
		refusal{"delete what is used", 0, remove(10, true), errs.Action, "Cannot delete image. There are 1 VMs using it."},
		refusal{"delete what is cloned", 0, remove(12, false), errs.Action, "Cannot delete image. There are 1 active clone operations."},
		refusal{"delete what is copied", 0, remove(1, false), errs.Action, "Cannot delete image. Image locked, use --force flag to remove the image. The image is being copied; deleting it now leaves the copy unfinished."},
		refusal{"clone a kernel", 0, clone(2, -1), errs.Action, "KERNEL, RAMDISK, BACKUP and CONTEXT cannot be cloned."},
		refusal{"clone what has snapshots", 0, clone(11, -1), errs.Action, "Cannot clone images with snapshots"},
		refusal{"clone what is copied", 0, clone(1, -1), errs.Action, "Cannot clone image in state: LOCKED"},
		refusal{"clone to a system datastore", 0, clone(0, 0), errs.Action, "Clone only supported for IMAGE_DS Datastores"},
		refusal{"clone to another driver", 0, clone(0, 100), errs.Action, "Clone only supported to same DS_MAD Datastores"},
		refusal{"use what another uses", owner, allocVM("DISK=[IMAGE_ID=10]"), errs.Allocate, alloc + "Cannot acquire image 10, it is persistent and already in use"},
		refusal{"use what is broken", owner, allocVM("DISK=[IMAGE_ID=0] DISK=[IMAGE_ID=13]"), errs.Allocate, alloc + "Cannot acquire image 13, wrong state ERROR."},
		refusal{"use what is disabled", owner, allocVM("DISK=[IMAGE_ID=0] DISK=[IMAGE_ID=15]"), errs.Allocate, alloc + "Cannot acquire image 15, wrong state DISABLED."},
		refusal{"use a kernel as a disk", owner, allocVM("DISK=[IMAGE_ID=2]"), errs.Allocate, alloc + "Image 2 of type KERNEL cannot be used as DISK."},
		refusal{"no name of one's own", member, allocVM("DISK=[IMAGE=disk]"), errs.Allocate, alloc + "User 3 does not own an image with name: disk . Set IMAGE_UNAME or IMAGE_UID of owner in DISK."},
	)
}

// TestRefusedRemovals: what is in use or belongs to the system stays. Source: XML-RPC
// reference §6.6.
func TestRefusedRemovals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(func(tx *store.Tx) {
		h := *tx.Hosts.At(1)
		h.ClusterID = 100
		tx.PutHost(&h)
		v := *tx.VMs.At(0)
		v.Template = v.Template.Merge(parsed(`NIC=[NETWORK_ID=0, AR_ID=0, MAC="02:00:0a:00:00:01", SECURITY_GROUPS="101"]`))
		tx.PutVM(&v)
		putLease(tx, 0, 0, 0, leaseOwner{one.LeaseVM, 0})
	})
	cluster, group, vdc, sg := "Cannot delete cluster. ", "Cannot delete group. ", "Cannot delete VDC. ", "Cannot delete security group. "
	w.refuse(
		refusal{"a system cluster", 0, func(w *world, who auth.Caller) error { return w.DeleteCluster(w.ctx, who, 0) }, errs.Action, cluster + "System Clusters (ID < 100) cannot be deleted."},
		refusal{"a cluster with a host", 0, func(w *world, who auth.Caller) error { return w.DeleteCluster(w.ctx, who, 100) }, errs.Action, cluster + "Cluster 100 is not empty, it contains 1 hosts."},
		refusal{"a host with VMs", 0, func(w *world, who auth.Caller) error { return w.DeleteHost(w.ctx, who, 0) }, errs.Action, "Cannot delete host. Can not remove a host with running VMs"},
		refusal{"a datastore with images", 0, func(w *world, who auth.Caller) error { return w.DeleteDatastore(w.ctx, who, 1) }, errs.Action, "Cannot delete datastore. Datastore 1 is not empty."},
		refusal{"recovery of a network that is ready", 0, func(w *world, who auth.Caller) error { return w.RecoverVNet(who, 0, 3) }, errs.Action, "Could not perform 'recover retry' on VN 0, wrong state READY."},
		refusal{"a recovery there is not", 0, func(w *world, who auth.Caller) error { return w.RecoverVNet(who, 0, 4) }, errs.Action, "Wrong recovery operation code"},
		refusal{"a network with leases", 0, func(w *world, who auth.Caller) error { return w.DeleteVNet(w.ctx, who, 0) }, errs.Action, "Cannot delete virtual network. Can not remove a virtual network with leases in use"},
		refusal{"a range with leases", 0, func(w *world, who auth.Caller) error { return w.RemoveAR(w.ctx, who, 0, 0, false) }, errs.Action, "Address Range has leases in use"},
		refusal{"a range with reservations", 0, func(w *world, who auth.Caller) error { return w.RemoveAR(w.ctx, who, 0, 0, true) }, errs.Action, "Address Range has leases in use"},
		refusal{"the default security group", 0, func(w *world, who auth.Caller) error { return w.DeleteSecGroup(w.ctx, who, 0) }, errs.Action, sg + "The default security group (ID 0) cannot be deleted."},
		refusal{"a security group in use", 0, func(w *world, who auth.Caller) error { return w.DeleteSecGroup(w.ctx, who, 101) }, errs.Action, sg + "The security group has VMs using it"},
		refusal{"a system group", 0, func(w *world, who auth.Caller) error { return w.DeleteGroup(w.ctx, who, 1) }, errs.Action, group + "System Groups (ID < 100) cannot be deleted."},
		refusal{"a group with users", 0, func(w *world, who auth.Caller) error { return w.DeleteGroup(w.ctx, who, strangers) }, errs.Action, group + "Group 100 is not empty."},
		refusal{"oneadmin", 0, func(w *world, who auth.Caller) error { return w.DeleteUser(w.ctx, who, 0) }, errs.Action, "Cannot delete user. oneadmin cannot be deleted."},
		refusal{"a system VDC", 0, func(w *world, who auth.Caller) error { return w.DeleteVDC(w.ctx, who, 0) }, errs.Action, vdc + "System VDCs (ID < 100) cannot be deleted."},
		refusal{"a service with VMs", 0, func(w *world, who auth.Caller) error { return w.DeleteDocument(w.ctx, who, 0) }, errs.Action, "Cannot delete document. Service 0 has VMs: undeploy it with 'oneflow delete 0'"},
		refusal{"a service with VMs, by its manager", 0, func(w *world, _ auth.Caller) error {
			return w.try(func(tx *store.Tx) error { return w.DropService(tx, 0) })
		}, errs.Action, "service 0 has VMs"},
		refusal{"what is no reservation, as one", 0, func(w *world, who auth.Caller) error { return w.FreeAR(w.ctx, who, 0, 0) }, errs.Action, "Reservation does not exist in the network"},
	)
}

// TestRefusedMembership: users, groups, clusters and VDCs. Sources: XML-RPC reference
// §7.5 to §7.7 and §7.12.
func TestRefusedMembership(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(func(tx *store.Tx) {
		u := *tx.Users.At(ruled)
		u.AuthDriver = "ldap"
		tx.PutUser(&u)
		p := *tx.Users.At(stranger)
		p.AuthDriver = "public"
		tx.PutUser(&p)
		v := *tx.VDCs.At(100)
		v.Hosts = []one.VDCEntry{{Zone: 0, ID: 1}}
		tx.PutVDC(&v)
	})
	join := func(uid, gid int, in bool) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.JoinGroup(w.ctx, who, uid, gid, in) }
	}
	primary := func(uid, gid int) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.SetGroup(w.ctx, who, uid, gid) }
	}
	admin := func(gid, uid int, on bool) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.SetGroupAdmin(w.ctx, who, gid, uid, on) }
	}
	inVDC := func(kind one.Kind, id int, in bool) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.SetVDCResource(w.ctx, who, 100, kind, 0, id, in) }
	}
	vdcGroup := func(gid int, in bool) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.SetVDCGroup(w.ctx, who, 0, gid, in) }
	}
	const managed = "Groups cannot be manually managed for auth driver ldap"
	w.refuse(
		refusal{"in again", 0, join(owner, 1, true), errs.Action, "User is already in this group"},
		refusal{"out of what he is not in", 0, join(owner, strangers, false), errs.Action, "User is not part of this group"},
		refusal{"out of the primary one", 0, join(owner, 1, false), errs.Action, "Cannot remove user from the primary group"},
		refusal{"in by hand", 0, join(ruled, 1, true), errs.Action, managed},
		refusal{"moved by hand", 0, primary(ruled, 1), errs.Action, managed},
		refusal{"a group that cannot be", 0, primary(owner, -1), errs.API, "Wrong group ID"},
		refusal{"oneadmin elsewhere", 0, primary(0, 1), errs.Internal, "user [0] oneadmin cannot be moved outside of the group [0] oneadmin"},
		refusal{"oneadmin kept out", 0, func(w *world, who auth.Caller) error { return w.EnableUser(w.ctx, who, 0, false) }, errs.Action, "Cannot enable/disable oneadmin user"},
		refusal{"an administrator from elsewhere", 0, admin(1, stranger, true), errs.Internal, "Cannot edit group. User 4 is not part of Group 1."},
		refusal{"an administrator again", 0, admin(1, chief, true), errs.Internal, "Cannot edit group. User 6 is already an administrator of Group 1."},
		refusal{"no administrator any more", 0, admin(1, owner, false), errs.Internal, "Cannot edit group. User 2 is not an administrator of Group 1."},
		refusal{"a VDC's group again", 0, vdcGroup(1, true), errs.Internal, "Group 1 is already assigned to the VDC 0"},
		refusal{"a VDC's group that is none", 0, vdcGroup(strangers, false), errs.Internal, "Group 100 is not assigned to the VDC 0"},
		refusal{"a VDC's host again", 0, inVDC(one.KindHost, 1, true), errs.Internal, "HOST 1 from Zone 0 is already assigned to the VDC"},
		refusal{"a VDC's host that is none", 0, inVDC(one.KindHost, 0, false), errs.Internal, "HOST 0 from Zone 0 is not assigned to the VDC "},
		refusal{"what a VDC does not hold", 0, inVDC(one.KindVM, 0, true), errs.Internal, "a VDC holds no resources of kind VM"},
		refusal{"a host out of where it is not", 0, func(w *world, who auth.Caller) error { return w.SetHostCluster(w.ctx, who, 100, 0, false) }, errs.Internal, "Host 0 is not in cluster 100"},
		refusal{"no password", 0, func(w *world, who auth.Caller) error { return w.SetPassword(w.ctx, who, owner, "") }, errs.Internal, "Invalid password, it cannot be empty"},
		refusal{"a blank in a password", 0, func(w *world, who auth.Caller) error {
			return second(w.AllocateUser(w.ctx, who, "new", "two words", "", nil))
		}, errs.Internal, "Invalid password, character ' ' is not allowed"},
		refusal{"one's own password of a driver that forbids it", stranger, func(w *world, who auth.Caller) error { return w.SetPassword(w.ctx, who, stranger, "new") }, errs.Action, "Password for driver public cannot be changed."},
		refusal{"a driver there is not", 0, func(w *world, who auth.Caller) error { return w.SetAuth(w.ctx, who, owner, "magic", "x") }, errs.Action, `Authentication driver "magic" is not defined`},
	)
}
