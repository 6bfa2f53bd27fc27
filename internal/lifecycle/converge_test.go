package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
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
// enters the state of its name.
var walks = map[one.LCMState][]string{
	one.LCMProlog:           {},
	one.LCMShutdown:         {"terminate"},
	one.LCMShutdownPoweroff: {"poweroff"},
	one.LCMShutdownUndeploy: {"undeploy"},
	one.LCMSaveSuspend:      {"suspend"},
	one.LCMSaveStop:         {"stop"},
	one.LCMBootPoweroff:     {"poweroff", "resume"},
	one.LCMBootSuspended:    {"suspend", "resume"},
	one.LCMPrologResume:     {"stop", "resume"},
	one.LCMPrologUndeploy:   {"undeploy", "resume"},
}

// kinds of trouble in the middle of a step.
var errRefused = errors.New("the hypervisor refuses")

// TestEveryStateSurvives leads a VM into every passing state with trouble in each
// operation of the hypervisor there: it fails, it is done but the answer is lost
// with the server (the step then runs twice), or the server dies before it is
// done. Whatever happens, the VM comes to rest in a state that is no accident, and
// nothing of it is left once it is terminated.
func TestEveryStateSurvives(t *testing.T) {
	for state, actions := range walks {
		for _, trouble := range []string{"fails", "killed before", "killed after"} {
			t.Run(fmt.Sprintf("%s %s", state, trouble), func(t *testing.T) {
				mem := storetest.New(t)
				r := rig.Start(t, mem.Store)
				host := r.AddHost("sim0", sim.Config{})
				crashed := make(chan struct{}, 64)
				var armed atomic.Bool
				hook := func(ctx context.Context, op sim.Op, domain string) error {
					if domain == "" || !armed.CompareAndSwap(true, false) {
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

				tm := r.Template("NAME=t\nCPU=1\nMEMORY=128")
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
				armed.Store(false)
				v, ok := r.Store.View().VM(vm)
				if !ok {
					t.Fatal("the VM is lost")
				}
				if trouble != "fails" && v.State == one.VMActive && v.LCM.Failed() {
					t.Errorf("a crash led to %s", v.StateName())
				}
				finish(t, r, vm)
				st := r.Store.View()
				if st.HostUsage.Len() != 0 || r.Sim(host).Len() != 0 {
					t.Errorf("left behind: capacity of %d hosts, %d domains", st.HostUsage.Len(), r.Sim(host).Len())
				}
			})
		}
	}
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
		// Entered by recover, by an observation, by updateconf and by changes of NICs:
		// tested beside those.
		one.LCMCleanupDelete: true, one.LCMCleanupResubmit: true, one.LCMBootUnknown: true, one.LCMHotplug: true, one.LCMHotplugNIC: true,
	}
	for s := range machine.Steps() {
		if _, ok := walks[s]; !ok && !within[s] {
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
		tm := r.Template("NAME=t\nCPU=1\nMEMORY=128\nGRAPHICS=[TYPE=VNC]")
		var vms []int
		actions := []string{
			"terminate", "terminate-hard", "poweroff", "poweroff-hard", "resume", "suspend", "stop", "undeploy", "hold", "release",
			"reboot", "resched", "unresched",
		}
		for range rapid.IntRange(5, 25).Draw(rt, "steps") {
			switch k := rapid.IntRange(0, 9).Draw(rt, "kind"); {
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
		for _, id := range vms {
			if v, _ := r.Store.View().VM(id); v.State != one.VMDone {
				if err := r.Cloud.RecoverVM(r.Context(), r.Admin, id, int(machine.RecoverDelete)); err != nil {
					rt.Errorf("delete VM %d in %s: %v", id, v.StateName(), err)
				}
			}
			r.WaitVM(id, one.VMDone, 0)
		}
		st := r.Store.View()
		if st.HostUsage.Len() != 0 || st.VMs.Len() != 0 || r.Sim(host).Len() != 0 || st.UserVM.Len() != 0 {
			rt.Errorf("left behind: usage %d, VMs %d, domains %d, quota sums %d", st.HostUsage.Len(), st.VMs.Len(), r.Sim(host).Len(), st.UserVM.Len())
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
	}
	for id, c := range st.HostUsage.All() {
		if use[id] != c {
			t.Errorf("host %d is charged %+v, its VMs take %+v", id, c, use[id])
		}
	}
}
