package cloud

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// TestRefusedQuotas: whoever asks, what the owner and then his group may use is the
// limit. owner has 7 living VMs of 1 CPU and 64 MB, 5 of which count as running, 2
// images of 10 MB in datastore 1, and a reservation of 2 addresses of network 0.
// Source: identity reference §10.
func TestRefusedQuotas(t *testing.T) {
	t.Parallel()
	vm := allocVM("DISK=[TYPE=fs, SIZE=10]")
	user := func(rest string) string { return "User [2] : user [2] limit of " + rest + "." }
	image := allocImage("NAME=new SIZE=5 TYPE=DATABLOCK")
	chown := func(kind one.Kind, id, uid, gid int) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.Chown(w.ctx, who, kind, id, uid, gid) }
	}
	tx := func(f func(w *world, tx *store.Tx, who auth.Caller) error) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.try(func(tx *store.Tx) error { return f(w, tx, who) }) }
	}
	for _, q := range []struct {
		what string
		of   int // the user whose quota it is, or with group set the group
		kind string
		text string // the quota
		uid  int    // who asks
		call func(*world, auth.Caller) error
		code errs.Kind
		want string
	}{
		{"VMS", owner, "user", "VM=[VMS=7]", owner, vm, errs.Authorization, user("7 reached for VMS quota in VM")},
		{"RUNNING_VMS", owner, "user", "VM=[RUNNING_VMS=5]", owner, vm, errs.Authorization, user("5 reached for RUNNING_VMS quota in VM")},
		{"CPU", owner, "user", "VM=[CPU=7.5]", owner, vm, errs.Authorization, user("7.5 reached for CPU quota in VM")},
		{"RUNNING_CPU", owner, "user", "VM=[RUNNING_CPU=5]", owner, vm, errs.Authorization, user("5 reached for RUNNING_CPU quota in VM")},
		{"MEMORY", owner, "user", "VM=[MEMORY=500]", owner, vm, errs.Authorization, user("500 reached for MEMORY quota in VM")},
		{"RUNNING_MEMORY", owner, "user", "VM=[RUNNING_MEMORY=330]", owner, vm, errs.Authorization, user("330 reached for RUNNING_MEMORY quota in VM")},
		{"SYSTEM_DISK_SIZE", owner, "user", "VM=[SYSTEM_DISK_SIZE=9]", owner, vm, errs.Authorization, user("9 reached for SYSTEM_DISK_SIZE quota in VM")},
		{"nothing at all", owner, "user", "VM=[VMS=0]", owner, vm, errs.Authorization, user("0 reached for VMS quota in VM")},
		{"IMAGES", owner, "user", "DATASTORE=[ID=1, IMAGES=2]", owner, image, errs.Authorization, user("2 reached for IMAGES quota in DATASTORE with ID: 1")},
		{"SIZE", owner, "user", "DATASTORE=[ID=1, SIZE=24]", owner, image, errs.Authorization, user("24 reached for SIZE quota in DATASTORE with ID: 1")},
		{"SIZE of a clone", owner, "user", "DATASTORE=[ID=1, SIZE=24]", owner, func(w *world, who auth.Caller) error {
			return second(w.CloneImage(w.ctx, who, 0, "new", -1))
		}, errs.Authorization, user("24 reached for SIZE quota in DATASTORE with ID: 1")},
		{"RVMS", owner, "user", "IMAGE=[ID=0, RVMS=1]", owner, allocVM("DISK=[IMAGE_ID=0] DISK=[IMAGE_ID=0]"), errs.Authorization, user("1 reached for RVMS quota in IMAGE with ID: 0")},
		{"LEASES", owner, "user", "NETWORK=[ID=2, LEASES=1]", owner, allocVM("NIC=[NETWORK_ID=2] NIC=[NETWORK_ID=2]"), errs.Authorization, user("1 reached for LEASES quota in NETWORK with ID: 2")},
		{"LEASES of a reservation", owner, "user", "NETWORK=[ID=0, LEASES=4]", owner, reserve("NAME=new SIZE=3"), errs.Authorization, user("4 reached for LEASES quota in NETWORK with ID: 0")},
		{"LEASES of a reservation that grows", owner, "user", "NETWORK=[ID=0, LEASES=4]", owner, reserve("NETWORK_ID=1 SIZE=3"), errs.Authorization, user("4 reached for LEASES quota in NETWORK with ID: 0")},
		{"the group's", 1, "group", "VM=[VMS=7]", owner, vm, errs.Authorization, "User [2] : group [1] limit of 7 reached for VMS quota in VM."},
		{"the group's, by another", 1, "group", "VM=[VMS=7]", member, vm, errs.Authorization, "User [3] : group [1] limit of 7 reached for VMS quota in VM."},
		{"the default", -1, "user", "VM=[VMS=7]", owner, vm, errs.Authorization, user("7 reached for VMS quota in VM")},
		{"the groups' default", -1, "group", "VM=[VMS=7]", owner, vm, errs.Authorization, "User [2] : group [1] limit of 7 reached for VMS quota in VM."},
		{"an instance", owner, "user", "VM=[VMS=7]", owner, instantiate("", false), errs.Authorization, user("7 reached for VMS quota in VM")},
		{"a persistent instance", owner, "user", "VM=[VMS=7]", owner, instantiate("", true), errs.Authorization, user("7 reached for VMS quota in VM")},
		{"an instance for him", member, "user", "VM=[VMS=0]", chief, instantiate("AS_UID=3", false), errs.Authorization, "User [6] : user [3] limit of 0 reached for VMS quota in VM."},
		{"a VM of a service", owner, "user", "VM=[VMS=7]", owner, tx(func(w *world, tx *store.Tx, who auth.Caller) error {
			return second(w.CreateServiceVM(tx, who, ServiceVM{Service: 0, Name: "new", Template: 1}))
		}), errs.Authorization, user("7 reached for VMS quota in VM")},
		{"more memory", owner, "user", "VM=[MEMORY=500]", owner, resize(3, "MEMORY=128"), errs.Authorization, user("500 reached for MEMORY quota in VM")},
		{"more memory, for an administrator", owner, "user", "VM=[MEMORY=500]", 0, resize(3, "MEMORY=128"), errs.Authorization, "User [0] : user [2] limit of 500 reached for MEMORY quota in VM."},
		{"running again", owner, "user", "VM=[RUNNING_VMS=5]", owner, vmAction(2, "resume"), errs.Action, "user [2] limit of 5 reached for RUNNING_VMS quota in VM"},
		{"a VM to him", member, "user", "VM=[MEMORY=63]", chief, chown(one.KindVM, 0, member, -1), errs.Authorization, "User [6] : user [3] limit of 63 reached for MEMORY quota in VM."},
		{"an image to him", member, "user", "DATASTORE=[ID=1, SIZE=9]", chief, chown(one.KindImage, 0, member, -1), errs.Authorization, "User [6] : user [3] limit of 9 reached for SIZE quota in DATASTORE with ID: 1."},
		{"a reservation to him", member, "user", "NETWORK=[ID=0, LEASES=1]", chief, chown(one.KindNet, 1, member, -1), errs.Authorization, "User [6] : user [3] limit of 1 reached for LEASES quota in NETWORK with ID: 0."},
		{"a VM to the group", strangers, "group", "VM=[VMS=0]", 0, chown(one.KindVM, 0, -1, strangers), errs.Authorization, "User [0] : group [100] limit of 0 reached for VMS quota in VM."},
		{"a service to him", member, "user", "VM=[VMS=0]", chief, tx(func(w *world, tx *store.Tx, who auth.Caller) error {
			return w.ChownService(tx, who, 0, member, -1)
		}), errs.Authorization, "User [6] : user [3] limit of 0 reached for VMS quota in VM."},
		{"a service to the group", strangers, "group", "VM=[VMS=0]", 0, tx(func(w *world, tx *store.Tx, who auth.Caller) error {
			return w.ChownService(tx, who, 0, -1, strangers)
		}), errs.Authorization, "User [0] : group [100] limit of 0 reached for VMS quota in VM."},
		{"a network chosen at deployment", owner, "user", "NETWORK=[ID=2, LEASES=0]", 0, func(w *world, who auth.Caller) error {
			return w.DeployVM(w.ctx, who, 3, 0, false, -1, parsed("NIC=[NIC_ID=0, NETWORK_ID=2]"))
		}, errs.Authorization, "User [0] : user [2] limit of 0 reached for LEASES quota in NETWORK with ID: 2."},
	} {
		w := newWorld(t)
		w.do(func(tx *store.Tx) {
			v := *tx.VMs.At(3)
			v.Template = v.Template.Merge(parsed("NIC=[NIC_ID=0, NETWORK_MODE=auto]"))
			tx.PutVM(&v)
		})
		var err error
		switch admin := w.as(0); {
		case q.of < 0:
			_, err = w.SetDefaultQuota(w.ctx, admin, q.kind, parsed(q.text))
		case q.kind == "user":
			err = w.SetUserQuota(w.ctx, admin, q.of, parsed(q.text))
		default:
			err = w.SetGroupQuota(w.ctx, admin, q.of, parsed(q.text))
		}
		if err != nil {
			t.Fatalf("%s: %v", q.what, err)
		}
		w.refuse(refusal{q.what, q.uid, q.call, q.code, q.want})
		// It is the quota that refuses, and nothing else.
		w.do(func(tx *store.Tx) {
			tx.DeleteQuotas("user")
			tx.DeleteQuotas("group")
			for _, u := range tx.Users.All() {
				n := *u
				n.Quotas = one.Quotas{}
				tx.PutUser(&n)
			}
			for _, g := range tx.Groups.All() {
				n := *g
				n.Quotas = one.Quotas{}
				tx.PutGroup(&n)
			}
		})
		if err := q.call(w, w.as(q.uid)); err != nil {
			t.Errorf("%s: refused without a quota too: %v", q.what, err)
		}
	}
}

// space is what a datastore has, MB.
type space struct{ total, used, free int64 }

func (s space) Datastore(int) (total, used, free int64, ok bool) {
	return s.total, s.used, s.free, true
}

// TestRefusedSpace: what a datastore or a host has no room for. Sources: resources
// reference §4, VM lifecycle reference §3.2.
func TestRefusedSpace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mon = space{100, 60, 40}
	w.do(func(tx *store.Tx) {
		d := *tx.Datastores.At(100)
		d.Template = d.Template.With("LIMIT_MB", "65")
		tx.PutDatastore(&d)
		h := *tx.Hosts.At(1)
		h.MaxCPU, h.MaxMem = 150, 65_535
		tx.PutHost(&h)
		off := *tx.Hosts.At(0)
		off.MaxCPU, off.MaxMem = 300, 1<<20 // full: VMs 1, 2, 4 and 7 are on it
		tx.PutHost(&off)
		v := *tx.VMs.At(3)
		v.Template = parsed("CPU=2 MEMORY=64")
		tx.PutVM(&v)
	})
	image := func(ds int, size string, noCheck bool) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error {
			return second(w.AllocateImage(w.ctx, who, parsed("NAME=new TYPE=DATABLOCK SIZE="+size), ds, noCheck))
		}
	}
	deploy := func(vm, host int) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.DeployVM(w.ctx, who, vm, host, true, -1, nil) }
	}
	const none = "Not enough space in datastore"
	w.refuse(
		refusal{"an image larger than what is free", owner, image(1, "41", false), errs.Action, none},
		refusal{"an image that only an administrator could force", owner, image(1, "41", true), errs.Action, none},
		refusal{"an image beyond the limit", owner, image(100, "6", false), errs.Action, none},
		refusal{"a clone beyond the limit", owner, func(w *world, who auth.Caller) error { return second(w.CloneImage(w.ctx, who, 0, "new", 100)) }, errs.Action, none},
		refusal{"too much CPU", 0, deploy(3, 1), errs.Action, "VM [3] does not fit in HOST [1]. Not enough CPU: 200/150"},
		refusal{"too much memory", 0, deploy(0, 1), errs.Action, "VM [0] does not fit in HOST [1]. Not enough memory: 65536/65535"},
		refusal{"a host that is full", 0, deploy(0, 0), errs.Action, "VM [0] does not fit in HOST [0]. Not enough CPU: 100/-100"},
		refusal{"growing on a host that is full", owner, resize(2, "CPU=1.5"), errs.Action, "VM [2] does not fit in HOST [0]. Not enough CPU: 50/-100"},
		refusal{"growing beyond the host", owner, resize(2, "CPU=0.5 MEMORY=1024"), errs.Action, "VM [2] does not fit in HOST [0]. Not enough memory: 983040/786432"},
	)
	if err := image(1, "41", true)(w, w.as(0)); err != nil {
		t.Errorf("an administrator cannot force an image: %v", err)
	}
}
