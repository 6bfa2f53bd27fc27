package cloud

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

func migrate(vm, host int, m Migration) func(*world, auth.Caller) error {
	return func(w *world, who auth.Caller) error { return w.MigrateVM(w.ctx, who, vm, host, m) }
}

// What is refused of a migration, in the words of the reference.
// Source: VM lifecycle reference §3.3.
func TestRefusedMigrations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cold := Migration{Datastore: -1}
	live := Migration{Live: true, Datastore: -1}
	w.do(func(tx *store.Tx) {
		put := func(id int, from int, text string) {
			v := *tx.VMs.At(from)
			v.Meta = ownersMeta(id, "vm"+itoa(id))
			v.Template = v.Template.Merge(parsed(text))
			tx.PutVM(&v)
		}
		put(20, 1, "TOPOLOGY=[PIN_POLICY=CORE]")
		put(21, 1, "PCI=[VENDOR=8086]")
		put(22, 1, "DISK=[DISK_ID=0,IMAGE_ID=0,CLUSTER_ID=0]")
		put(23, 2, "CPU=900")
		h := *tx.Hosts.At(1)
		for id, edit := range map[int]func(*one.Host){
			10: func(h *one.Host) { h.State = one.HostOffline },
			11: func(h *one.Host) { h.ClusterID = 100 },
			12: func(h *one.Host) { h.VMMad = "kvm" },
		} {
			n := h
			n.ID, n.Name = id, "host"+itoa(id)
			edit(&n)
			tx.PutHost(&n)
		}
	})
	w.refuse(
		refusal{"moving what waits", 0, migrate(0, 1, cold), errs.Action, "Migrate action is not available for state PENDING"},
		refusal{"moving what boots", 0, migrate(7, 1, cold), errs.Action, "Migrate action is not available for state BOOT"},
		refusal{"moving to where it is", 0, migrate(1, 0, cold), errs.Action, "VM is already running on HOST [0]"},
		refusal{"moving to a host that is offline", 0, migrate(1, 10, cold), errs.Action, "Host is offline, cannot use it to deploy VM"},
		refusal{"moving what is pinned", 0, migrate(20, 1, live), errs.Action, "VM with a pinned NUMA topology cannot be live-migrated"},
		refusal{"moving what has a device", 0, migrate(21, 1, cold), errs.Action, "Cannot migrate VM [21], use poweroff or poweroff-hard flag for migrating a VM with PCI devices"},
		refusal{"moving away from the images", 0, migrate(22, 11, cold), errs.Action, "Cannot migrate  VM [22] to host [11]. Host is in cluster [100], and VM requires to be placed on cluster [0]"},
		refusal{"moving away from the datastore", 0, migrate(1, 11, cold), errs.Action, "DATASTORE [0] and HOST [11] are not in the same CLUSTER [100]."},
		refusal{"moving to another datastore", 0, migrate(2, 1, Migration{Datastore: 101}), errs.Action, "System datastore migration not supported by TM driver"},
		refusal{"moving to another datastore live", 0, migrate(1, 1, Migration{Live: true, Datastore: 101}), errs.Action, "A migration to a different system datastore cannot be performed live."},
		refusal{"moving live where that cannot be", 0, migrate(1, 12, live), errs.Action, "live migration is not supported on this host; migrate the VM without it: its memory is saved, and it goes on where it was"},
		refusal{"moving in a way there is not", 0, migrate(1, 1, Migration{Type: 3, Datastore: -1}), errs.Action, "Wrong migration type 3: expected 0 (save), 1 (poweroff) or 2 (poweroff-hard)"},
		refusal{"moving to where there is no room", 0, migrate(23, 1, Migration{Enforce: true, Datastore: -1}), errs.Action, "VM [23] does not fit in HOST [1]. Not enough CPU: 90000/800"},
	)
}

// A VM on its way is charged to both hosts as long as its domain is on the first.
func TestMigrationIsCharged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := auth.Caller{UID: 0, GID: 0, Admin: true}
	charged := func(what string, want ...int64) {
		t.Helper()
		st := w.store.View()
		for host, n := range want {
			if got := st.HostUsage.At(host).VMs; got != n {
				t.Errorf("%s: host %d is charged with %d VMs, want %d", what, host, got, n)
			}
		}
	}
	finish := func(ok bool) {
		t.Helper()
		w.do(func(tx *store.Tx) {
			v := tx.VMs.At(1)
			ch, _ := machine.Finish(v, ok, "", worldTime)
			if err := w.Apply(tx, admin, v, ch); err != nil {
				t.Error(err)
			}
		})
	}
	before := w.store.View().HostUsage.At(0).VMs
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.MigrateVM(w.ctx, admin, 1, 1, Migration{Datastore: -1}))
	charged("saving", before, 1)
	if err := w.DeleteHost(w.ctx, admin, 0); err == nil {
		t.Error("a host that a VM leaves was deleted")
	}
	finish(false)
	charged("not saved", before, 0)
	must(w.MigrateVM(w.ctx, admin, 1, 1, Migration{Datastore: -1}))
	finish(true)
	charged("saved", before-1, 1)
	if st := w.store.View(); !st.LeavingVMs.Any(0) {
		t.Error("nobody works at the host whose files are to be moved")
	}
	finish(true)
	if st := w.store.View(); st.LeavingVMs.Any(0) {
		t.Error("the files are moved, and there is work still")
	}
}
