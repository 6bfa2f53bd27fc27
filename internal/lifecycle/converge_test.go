package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// settled tells that no VM is on the way anywhere. One that is marked to go to
// another host, of which there is none, is at rest where it is.
func settled(st *store.State) bool {
	for id := range st.Waiting.Of(0) {
		if v, ok := st.VMs.Get(id); ok && v.State == one.VMPending {
			return false
		}
	}
	return !st.Passing.Any(0)
}

// walks lead through every passing state; the last action of each walk is what
// enters its state.
var walks = []struct {
	state   one.LCMState
	actions []string
}{
	{one.LCMProlog, nil},
	{one.LCMShutdown, []string{"terminate"}},
	{one.LCMShutdownPoweroff, []string{"poweroff"}},
	{one.LCMShutdownUndeploy, []string{"undeploy"}},
	{one.LCMSaveSuspend, []string{"suspend"}},
	{one.LCMSaveStop, []string{"stop"}},
	{one.LCMBootPoweroff, []string{"poweroff", "resume"}},
	{one.LCMBootSuspended, []string{"suspend", "resume"}},
	{one.LCMPrologResume, []string{"stop", "resume"}},
	{one.LCMPrologUndeploy, []string{"undeploy", "resume"}},
	{one.LCMHotplugNIC, []string{"nic-attach"}},
	{one.LCMHotplugNIC, []string{"nic-attach", "nic-detach"}},
	{one.LCMHotplugNIC, []string{"nic-update"}},
	{one.LCMHotplug, []string{"disk-attach"}},
	{one.LCMHotplug, []string{"disk-attach", "disk-detach"}},
	{one.LCMDiskResize, []string{"disk-attach", "disk-resize"}},
	{one.LCMHotplugSnapshot, []string{"snapshot-create"}},
	{one.LCMHotplugSnapshot, []string{"snapshot-create", "snapshot-create", "snapshot-revert"}},
	{one.LCMHotplugSnapshot, []string{"snapshot-create", "snapshot-create", "snapshot-delete"}},
	{one.LCMDiskSnapshot, []string{"disk-attach", "disk-snapshot-create"}},
	{one.LCMDiskSnapshotDelete, []string{"disk-attach", "disk-snapshot-create", "disk-snapshot-create", "disk-snapshot-delete"}},
}

// kinds of trouble in the middle of a step.
var errRefused = errors.New("the hypervisor refuses")

// TestEveryStateSurvives leads a VM into every passing state with trouble in the
// first thing that the hypervisor does there: it fails, it is done but the answer is lost
// with the server (the step then runs twice), or the server dies before it is
// done. Whatever happens, the VM comes to rest in a state that is no accident, and
// nothing of it is left once it is terminated.
func TestEveryStateSurvives(t *testing.T) {
	for _, walk := range walks {
		for _, trouble := range []string{"fails", "killed before", "killed after"} {
			actions := walk.actions
			t.Run(fmt.Sprintf("%s %v %s", walk.state, actions, trouble), func(t *testing.T) {
				mem := storetest.New(t)
				r := rig.Start(t, mem.Store)
				host := r.AddHost("sim0", sim.Config{})
				crashed := make(chan struct{}, 64)
				var armed atomic.Bool
				hook := func(ctx context.Context, op sim.Op, domain string) error {
					if domain == "" || op == sim.OpState || !armed.CompareAndSwap(true, false) {
						return nil
					}
					if trouble == "fails" {
						return errRefused
					}
					crashed <- struct{}{}
					<-ctx.Done() // the agent dies with the server
					return ctx.Err()
				}
				b := sim.Behaviour{Before: hook}
				if trouble == "killed after" {
					b = sim.Behaviour{After: hook}
				}
				r.Sim(host).SetBehaviour(b)

				network(t, r)
				persistent(t, r)
				tm := r.Template(withNIC)
				arm := func(last bool) {
					if last {
						armed.Store(true)
					}
				}
				arm(len(actions) == 0)
				vm := r.Instantiate(tm, "a")
				for i, a := range actions {
					r.Wait("rest before "+a, settled)
					arm(i == len(actions)-1)
					act(t, r, vm, a)
				}
				if trouble != "fails" {
					<-crashed
					r.Stop()
					mem.Crash()
					r.Resume(mem.Store)
				}
				r.Wait("rest", settled)
				if armed.Load() {
					t.Fatal("the hypervisor was asked for nothing")
				}
				v, ok := r.Store.View().VM(vm)
				if !ok {
					t.Fatal("the VM is lost")
				}
				if trouble != "fails" && v.State == one.VMActive && v.LCM.Failed() {
					t.Errorf("a crash led to %s", v.StateName())
				}
				checkNICs(t, r, host, v)
				checkDisks(t, r, host, v)
				checkSnapshots(t, r.Store.View(), v)
				wantDomainSnapshots(t, r, host, v)
				finish(t, r, vm)
				st := r.Store.View()
				if st.HostUsage.Len() != 0 || r.Sim(host).Len() != 0 || st.Leases.Len() != 0 {
					t.Errorf("left behind: capacity of %d hosts, %d domains, %d leases", st.HostUsage.Len(), r.Sim(host).Len(), st.Leases.Len())
				}
				checkImages(t, st)
			})
		}
	}
}

// persistent makes the persistent image 0.
func persistent(t *testing.T, r *rig.Rig) {
	t.Helper()
	id, err := r.Cloud.AllocateImage(r.Context(), r.Admin, parsed("NAME=data TYPE=DATABLOCK SIZE=5 FORMAT=qcow2 PERSISTENT=YES"), one.DefaultDS, true)
	if err != nil {
		t.Fatal(err)
	}
	r.Wait("an image", func(st *store.State) bool {
		i, ok := st.Images.Get(id)
		return ok && i.State == one.ImageReady
	})
}

// checkImages compares the state of every image with the VMs that have it as a disk.
// One of a VM that was deleted while it was active may be half written.
func checkImages(t *testing.T, st *store.State) {
	t.Helper()
	for id, i := range st.Images.All() {
		vms := 0
		for _, v := range st.VMs.All() {
			for _, d := range v.Template.Vectors("DISK") {
				if d.Get("IMAGE_ID") == fmt.Sprint(id) {
					vms++
				}
			}
		}
		switch {
		case vms > 1:
			t.Errorf("%d VMs have the persistent image %d", vms, id)
		case vms == 1 && i.State != one.ImageUsedPers, vms == 0 && i.State != one.ImageReady && i.State != one.ImageError:
			t.Errorf("image %d is %s, and %d VMs have it", id, i.State, vms)
		}
	}
}

// checkDisks compares the disks of a VM that is at rest with those of its domain.
func checkDisks(t *testing.T, r *rig.Rig, host int, v *one.VM) {
	t.Helper()
	var targets []string
	for _, d := range v.Template.Vectors("DISK") {
		if d.Has("ATTACH") {
			t.Errorf("%s: disk %s is marked as if it were changing", v.StateName(), d.Get("DISK_ID"))
		}
		if d.Has("RESIZE") || d.Has("SIZE_PREV") {
			t.Errorf("%s: disk %s is marked as if it were growing", v.StateName(), d.Get("DISK_ID"))
		}
		if i, ok := r.Store.View().Images.Get(0); ok && d.Get("IMAGE_ID") == "0" && d.Get("SIZE") != fmt.Sprint(i.Size) {
			t.Errorf("%s: disk %s has %s MB, its image %d", v.StateName(), d.Get("DISK_ID"), d.Get("SIZE"), i.Size)
		}
		targets = append(targets, d.Get("TARGET"))
	}
	if !v.Running() {
		return
	}
	got, err := r.Sim(host).Disks(fmt.Sprintf("one-%d", v.ID))
	slices.Sort(got)
	slices.Sort(targets)
	if err != nil || !slices.Equal(got, targets) {
		t.Errorf("the domain of VM %d has the disks %q (%v), the VM %q", v.ID, got, err, targets)
	}
}

// withNIC is a template of VMs in network 0.
const withNIC = "NAME=t\nCPU=1\nMEMORY=128\nNIC=[NETWORK_ID=0]\nCONTEXT=[NETWORK=YES]\nGRAPHICS=[TYPE=VNC]"

// network makes network 0.
func network(t *testing.T, r *rig.Rig) {
	t.Helper()
	if _, err := r.Cloud.AllocateVNet(r.Context(), r.Admin, parsed("NAME=net\nVN_MAD=dummy\nBRIDGE=br0\nAR=[TYPE=IP4,IP=10.0.0.2,SIZE=200]"), 0); err != nil {
		t.Fatal(err)
	}
}

// checkNICs compares the NICs of a VM that is at rest with its leases, with what its
// context tells, and with those of its domain.
func checkNICs(t *testing.T, r *rig.Rig, host int, v *one.VM) {
	t.Helper()
	checkLeases(t, r.Store.View(), v)
	if !v.Running() {
		return
	}
	var macs []string
	for _, nic := range v.Template.Vectors("NIC") {
		macs = append(macs, nic.Get("MAC"))
	}
	got, err := r.Sim(host).NICs(fmt.Sprintf("one-%d", v.ID))
	slices.Sort(got)
	slices.Sort(macs)
	if err != nil || !slices.Equal(got, macs) {
		t.Errorf("the domain of VM %d has %q (%v), the VM %q", v.ID, got, err, macs)
	}
}

// checkLeases compares the NICs and aliases of a VM that is at rest with its leases
// and with what its context tells.
func checkLeases(t *testing.T, st *store.State, v *one.VM) {
	t.Helper()
	if v.State == one.VMDone {
		return
	}
	var macs, told []string
	for _, name := range []string{"NIC", "NIC_ALIAS"} {
		for _, nic := range v.Template.Vectors(name) {
			macs = append(macs, nic.Get("MAC"))
			if nic.Has("ATTACH") {
				t.Errorf("%s: NIC %s is marked as if it were changing", v.StateName(), nic.Get("NIC_ID"))
			}
		}
	}
	for _, p := range v.Template.Vector("CONTEXT") {
		if strings.HasPrefix(p.Name, "ETH") && strings.HasSuffix(p.Name, "_MAC") {
			told = append(told, p.Value)
		}
	}
	slices.Sort(macs)
	slices.Sort(told)
	if !slices.Equal(told, macs) {
		t.Errorf("%s: the context tells of %q, the VM has %q", v.StateName(), told, macs)
	}
	leases := 0
	for _, l := range st.Leases.All() {
		if l.Owner == one.LeaseVM && l.OwnerID == v.ID {
			leases++
		}
	}
	if leases != len(macs) {
		t.Errorf("%s: %d leases for the NICs %q", v.StateName(), leases, macs)
	}
}

func parsed(text string) *tmpl.Template {
	t, err := tmpl.Parse(text)
	if err != nil {
		panic(err)
	}
	return t
}

// finish terminates a VM that is at rest.
func finish(t *testing.T, r *rig.Rig, vm int) {
	t.Helper()
	if v, _ := r.Store.View().VM(vm); v.State == one.VMDone {
		return
	}
	act(t, r, vm, "terminate-hard")
	r.WaitVM(vm, one.VMDone, 0)
}

// TestEveryStepIsWalked keeps the walks complete as the table grows. The states
// that follow others within a walk need none of their own.
func TestEveryStepIsWalked(t *testing.T) {
	within := map[one.LCMState]bool{
		one.LCMBoot: true, one.LCMBootStopped: true, one.LCMBootUndeploy: true, one.LCMEpilog: true, one.LCMEpilogStop: true,
		one.LCMEpilogUndeploy: true,
		// Entered by recover, by an observation and by updateconf: tested beside those.
		one.LCMCleanupDelete: true, one.LCMCleanupResubmit: true, one.LCMBootUnknown: true,
		// With a second host: TestMigrations.
		one.LCMSaveMigrate: true, one.LCMMigrate: true, one.LCMPrologMigrate: true, one.LCMPrologMigratePoweroff: true,
		one.LCMPrologMigrateSuspend: true, one.LCMPrologMigrateUnknown: true, one.LCMBootMigrate: true,
		// Of VMs that are off, which no hypervisor has a part in: TestDisksOfVMsThatAreOff.
		one.LCMHotplugPrologPoweroff: true, one.LCMHotplugEpilogPoweroff: true, one.LCMDiskResizePoweroff: true,
		// And TestSnapshotsOfVMsThatAreOff.
		one.LCMDiskSnapshotPoweroff: true, one.LCMDiskSnapshotRevertPoweroff: true, one.LCMDiskSnapshotDeletePoweroff: true,
		one.LCMDiskSnapshotSuspended: true, one.LCMDiskSnapshotDeleteSuspended: true,
	}
	for _, walk := range walks {
		within[walk.state] = true
	}
	for s := range machine.Steps() {
		if !within[s] {
			t.Errorf("no walk leads through %s", s)
		}
	}
}

// TestAnythingConverges does random things to random VMs, kills domains, makes
// operations fail and crashes the server; in the end everything comes to rest,
// the sums agree with the VMs, and every VM can be terminated without a trace.
func TestAnythingConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		mem := storetest.New(t)
		r := rig.Start(t, mem.Store)
		defer r.Stop()
		host := r.AddHost("sim0", sim.Config{})
		network(t, r)
		persistent(t, r)
		tm := r.Template(withNIC)
		var vms []int
		actions := []string{
			"terminate", "terminate-hard", "poweroff", "poweroff-hard", "resume", "suspend", "stop", "undeploy", "hold", "release",
			"reboot", "resched", "unresched",
		}
		for range rapid.IntRange(5, 25).Draw(rt, "steps") {
			switch k := rapid.IntRange(0, 15).Draw(rt, "kind"); {
			case k == 0 || len(vms) == 0:
				vms = append(vms, r.Instantiate(tm, ""))
			case k == 1:
				r.Stop()
				mem.Crash()
				r.Resume(mem.Store)
			case k == 2:
				// The domain may not exist; then there is nothing to kill.
				_ = r.Sim(host).Kill(fmt.Sprintf("one-%d", rapid.SampledFrom(vms).Draw(rt, "vm")))
			case k == 3:
				r.Sim(host).SetBehaviour(sim.Behaviour{FailureRate: rapid.SampledFrom([]float64{0, 0, 0.5}).Draw(rt, "rate")})
			case k == 4:
				// Not 0, 1 and 5: those take an operator's word for what a host has not done.
				op := rapid.IntRange(2, 4).Draw(rt, "recovery")
				// Refusals are part of the game.
				_ = r.Cloud.RecoverVM(r.Context(), r.Admin, rapid.SampledFrom(vms).Draw(rt, "vm"), op)
			case k == 5:
				_ = changeNIC(r, rapid.SampledFrom(vms).Draw(rt, "vm"), rapid.SampledFrom([]string{"nic-attach", "alias-attach", "nic-update"}).Draw(rt, "change"), 0)
			case k == 6:
				_ = changeNIC(r, rapid.SampledFrom(vms).Draw(rt, "vm"), "nic-detach", rapid.IntRange(0, 3).Draw(rt, "nic"))
			case k == 7:
				_ = changeDisk(r, rapid.SampledFrom(vms).Draw(rt, "vm"), rapid.SampledFrom([]string{"disk-attach", "disk-attach-volatile"}).Draw(rt, "change"), 0)
			case k == 8:
				_ = changeDisk(r, rapid.SampledFrom(vms).Draw(rt, "vm"), rapid.SampledFrom([]string{"disk-detach", "disk-resize"}).Draw(rt, "change"), rapid.IntRange(1, 3).Draw(rt, "disk"))
			case k == 9 || k == 10:
				_ = changeSnapshot(r, rapid.SampledFrom(vms).Draw(rt, "vm"), rapid.SampledFrom(snapshotChanges).Draw(rt, "change"), rapid.IntRange(0, 2).Draw(rt, "snapshot"))
			default:
				_ = r.Cloud.VMAction(r.Context(), r.Admin, rapid.SampledFrom(vms).Draw(rt, "vm"), rapid.SampledFrom(actions).Draw(rt, "action"))
			}
		}
		r.Sim(host).SetBehaviour(sim.Behaviour{})
		if err := r.TryWait(settled); err != nil {
			for _, v := range r.Store.View().VMs.All() {
				t.Logf("VM %d: %s (before: %s), resched %v, attempt %d, %s%s", v.ID, v.StateName(), one.StateString(v.PrevState, v.PrevLCM),
					v.Resched, v.Attempt, v.UserTemplate.Get("ERROR"), v.UserTemplate.Get("SCHED_MESSAGE"))
			}
			rt.Fatalf("not at rest: %v", err)
		}
		checkSums(t, r.Store.View())
		checkImages(t, r.Store.View())
		for _, v := range r.Store.View().VMs.All() {
			checkSnapshots(t, r.Store.View(), v)
			checkLeases(t, r.Store.View(), v)
			// The word of a death may be under way still.
			if _, err := r.Sim(host).State(r.Context(), fmt.Sprintf("one-%d", v.ID)); err == nil {
				checkDisks(t, r, host, v)
			}
		}
		for _, id := range vms {
			if v, _ := r.Store.View().VM(id); v.State != one.VMDone {
				if err := r.Cloud.RecoverVM(r.Context(), r.Admin, id, int(machine.RecoverDelete)); err != nil {
					rt.Errorf("delete VM %d in %s: %v", id, v.StateName(), err)
				}
			}
			r.WaitVM(id, one.VMDone, 0)
		}
		st := r.Store.View()
		if st.HostUsage.Len() != 0 || st.VMs.Len() != 0 || r.Sim(host).Len() != 0 || st.UserVM.Len() != 0 || st.UserNet.Len() != 0 || st.Leases.Len() != 0 {
			rt.Errorf("left behind: usage %d, VMs %d, domains %d, quota sums %d and %d, leases %d", st.HostUsage.Len(), st.VMs.Len(),
				r.Sim(host).Len(), st.UserVM.Len(), st.UserNet.Len(), st.Leases.Len())
		}
	})
}

// checkSums compares what the indexes say with what the VMs are.
func checkSums(t *testing.T, st *store.State) {
	t.Helper()
	use := map[int]one.Capacity{}
	for _, v := range st.VMs.All() {
		if v.HoldsCapacity() {
			use[v.HostID()] = use[v.HostID()].Add(v.Capacity())
		}
		if h := v.Abroad(); h >= 0 {
			use[h] = use[h].Add(v.Capacity())
		}
	}
	for id, c := range st.HostUsage.All() {
		if use[id] != c {
			t.Errorf("host %d is charged %+v, its VMs take %+v", id, c, use[id])
		}
	}
}
