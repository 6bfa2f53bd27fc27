package lifecycle_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
)

// journeys are the ways for a VM to another host: what is done with it before, how
// it goes, and where it is at rest then.
var journeys = []struct {
	before string
	how    cloud.Migration
	end    one.VMState
}{
	{"", cloud.Migration{Type: 0, Datastore: -1}, one.VMActive},
	{"", cloud.Migration{Type: 1, Datastore: -1}, one.VMActive},
	{"", cloud.Migration{Type: 2, Datastore: -1}, one.VMActive},
	{"", cloud.Migration{Live: true, Datastore: -1}, one.VMActive},
	{"poweroff-hard", cloud.Migration{Live: true, Datastore: -1}, one.VMPoweroff},
	{"suspend", cloud.Migration{Datastore: -1}, one.VMSuspended},
}

// rest waits until a VM is at rest and returns it.
func rest(t *testing.T, r *rig.Rig, vm int) *one.VM {
	t.Helper()
	r.Wait("rest", settled)
	v, ok := r.Store.View().VM(vm)
	if !ok {
		t.Fatal("the VM is lost")
	}
	return v
}

// domains returns on which of the hosts a VM has a domain.
func domains(r *rig.Rig, vm int, hosts ...int) (on []int) {
	for _, h := range hosts {
		if _, err := r.Sim(h).State(r.Context(), fmt.Sprintf("one-%d", vm)); err == nil {
			on = append(on, h)
		}
	}
	return on
}

// checkPlace compares where the domain of a VM at rest is with where the VM is.
func checkPlace(t *testing.T, r *rig.Rig, v *one.VM, hosts ...int) {
	t.Helper()
	on, want := domains(r, v.ID, hosts...), []int{v.HostID()}
	if !v.Running() {
		want = nil
	}
	if fmt.Sprint(on) != fmt.Sprint(want) {
		t.Errorf("VM %d, %s, on host %d: its domain is on %v", v.ID, v.StateName(), v.HostID(), on)
	}
	if v.Migration != (one.Migration{}) && !v.LCM.Failed() {
		t.Errorf("VM %d, %s, is on its way: %+v", v.ID, v.StateName(), v.Migration)
	}
}

func TestMigrations(t *testing.T) {
	for _, j := range journeys {
		for _, trouble := range []string{"", "fails", "killed before", "killed after"} {
			t.Run(fmt.Sprintf("%s %+v %s", j.before, j.how, trouble), func(t *testing.T) {
				mem := storetest.New(t)
				r := rig.Start(t, mem.Store)
				from := r.AddHost("sim0", sim.Config{})
				network(t, r)
				vm := r.Instantiate(r.Template(withNIC), "a")
				r.WaitVM(vm, one.VMActive, one.LCMRunning)
				to := r.AddHost("sim1", sim.Config{})
				if j.before != "" {
					act(t, r, vm, j.before)
					rest(t, r, vm)
				}
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
					<-ctx.Done()
					return ctx.Err()
				}
				b := sim.Behaviour{Before: hook}
				if trouble == "killed after" {
					b = sim.Behaviour{After: hook}
				}
				r.Sim(from).SetBehaviour(b)
				armed.Store(trouble != "")
				if err := r.Cloud.MigrateVM(r.Context(), r.Admin, vm, to, j.how); err != nil {
					t.Fatal(err)
				}
				if trouble == "killed before" || trouble == "killed after" {
					<-crashed
					r.Stop()
					mem.Crash()
					r.Resume(mem.Store)
				}
				v := rest(t, r, vm)
				want := to
				if trouble == "fails" && j.before == "" && j.how.Type != 1 {
					want = from // the guest goes on where it was; a request to power off is made again
				}
				if trouble == "fails" && j.before != "" {
					if !v.LCM.Failed() || v.State != one.VMActive {
						t.Fatalf("what has failed is in %s", v.StateName())
					}
					if err := r.Cloud.RecoverVM(r.Context(), r.Admin, vm, int(machine.RecoverRetry)); err != nil {
						t.Fatal(err)
					}
					v = rest(t, r, vm)
				}
				if v.State != j.end || v.HostID() != want {
					t.Fatalf("the VM ends in %s on host %d, want %s on %d", v.StateName(), v.HostID(), j.end, want)
				}
				checkPlace(t, r, v, from, to)
				checkSums(t, r.Store.View())
				if v.State != one.VMActive {
					act(t, r, vm, "resume")
					v = r.WaitVM(vm, one.VMActive, one.LCMRunning)
					checkPlace(t, r, v, from, to)
				}
				checkNICs(t, r, want, v)
				finish(t, r, vm)
				st := r.Store.View()
				if st.HostUsage.Len() != 0 || st.LeavingVMs.Any(from) || st.LeavingVMs.Any(to) || r.Sim(from).Len()+r.Sim(to).Len() != 0 {
					t.Errorf("left behind: capacity of %d hosts, %d domains", st.HostUsage.Len(), r.Sim(from).Len()+r.Sim(to).Len())
				}
			})
		}
	}
}

// A VM of which nothing is known goes elsewhere, also when its host is lost.
func TestMigrationOfUnknown(t *testing.T) {
	r := rig.Start(t, storetest.New(t).Store)
	from := r.AddHost("sim0", sim.Config{})
	vm := r.Instantiate(r.Template("NAME=t CPU=1 MEMORY=64"), "a")
	v := r.WaitVM(vm, one.VMActive, one.LCMRunning)
	to := r.AddHost("sim1", sim.Config{})
	for i, lost := range []bool{false, true} {
		hosts := []int{from, to, from}
		r.Do(func(tx *store.Tx) {
			h, _ := tx.Hosts.Get(hosts[i])
			n := *h
			if lost {
				n.State = one.HostError
			}
			tx.PutHost(&n)
			v, _ = tx.VMs.Get(vm)
			tx.PutVM(v.WithState(one.VMActive, one.LCMUnknown, v.Since))
		})
		if err := r.Cloud.MigrateVM(r.Context(), r.Admin, vm, hosts[i+1], cloud.Migration{Datastore: -1}); err != nil {
			t.Fatal(err)
		}
		v = r.WaitVM(vm, one.VMActive, one.LCMRunning)
		if v.HostID() != hosts[i+1] || v.PrevLCM != one.LCMBoot {
			t.Errorf("lost %v: on host %d after %s", lost, v.HostID(), v.PrevLCM)
		}
		if on := domains(r, vm, hosts[i]); !lost && len(on) != 0 {
			t.Error("its domain is on both hosts")
		}
	}
}

// TestAnythingMovesConverges does random things to VMs on two hosts, moves them to
// and fro, kills domains, makes operations fail and crashes the server: in the end
// everything comes to rest, and every domain is where its VM is. Nothing is left to
// the scheduler, which would move VMs that are at rest.
func TestAnythingMovesConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		mem := storetest.New(t)
		r := rig.Start(t, mem.Store)
		defer r.Stop()
		hosts := []int{r.AddHost("sim0", sim.Config{}), r.AddHost("sim1", sim.Config{})}
		network(t, r)
		persistent(t, r)
		tm := r.Template(withNIC)
		vms := []int{r.Instantiate(tm, ""), r.Instantiate(tm, "")}
		actions := []string{"terminate", "poweroff", "poweroff-hard", "resume", "suspend", "stop", "undeploy"}
		for range rapid.IntRange(5, 20).Draw(rt, "steps") {
			vm := rapid.SampledFrom(vms).Draw(rt, "vm")
			switch k := rapid.IntRange(0, 11).Draw(rt, "kind"); {
			case k == 0:
				r.Stop()
				mem.Crash()
				r.Resume(mem.Store)
			case k == 1:
				_ = r.Sim(rapid.SampledFrom(hosts).Draw(rt, "host")).Kill(fmt.Sprintf("one-%d", vm))
			case k == 2:
				r.Sim(rapid.SampledFrom(hosts).Draw(rt, "host")).SetBehaviour(sim.Behaviour{FailureRate: rapid.SampledFrom([]float64{0, 0.5}).Draw(rt, "rate")})
			case k == 3:
				// 0 lets a VM turn back where its files did not arrive; in other states it takes an
				// operator's word for what a host has not done.
				op := rapid.SampledFrom([]int{2, 2, 3, 4}).Draw(rt, "recovery")
				_ = r.Cloud.RecoverVM(r.Context(), r.Admin, vm, op)
			case k == 4:
				_ = changeDisk(r, vm, rapid.SampledFrom([]string{"disk-attach", "disk-detach"}).Draw(rt, "change"), 1)
			case k < 9:
				how := cloud.Migration{Live: rapid.Bool().Draw(rt, "live"), Datastore: -1, Type: rapid.IntRange(0, 2).Draw(rt, "type")}
				_ = r.Cloud.MigrateVM(r.Context(), r.Admin, vm, rapid.SampledFrom(hosts).Draw(rt, "to"), how)
			default:
				_ = r.Cloud.VMAction(r.Context(), r.Admin, vm, rapid.SampledFrom(actions).Draw(rt, "action"))
			}
			if rapid.Bool().Draw(rt, "wait") {
				_ = r.TryWait(settled)
			}
		}
		for _, h := range hosts {
			r.Sim(h).SetBehaviour(sim.Behaviour{})
		}
		if err := r.TryWait(settled); err != nil {
			for _, v := range r.Store.View().VMs.All() {
				t.Logf("VM %d: %s, %+v, attempt %d, %s", v.ID, v.StateName(), v.Migration, v.Attempt, v.UserTemplate.Get("ERROR"))
			}
			rt.Fatalf("not at rest: %v", err)
		}
		st := r.Store.View()
		checkSums(t, st)
		checkImages(t, st)
		for _, v := range st.VMs.All() {
			checkLeases(t, st, v)
			for _, h := range domains(r, v.ID, hosts...) {
				if h != v.HostID() || v.State != one.VMActive {
					rt.Errorf("VM %d, %s, on host %d: a domain on host %d", v.ID, v.StateName(), v.HostID(), h)
				}
			}
			if err := r.Cloud.RecoverVM(r.Context(), r.Admin, v.ID, int(machine.RecoverDelete)); err != nil {
				rt.Errorf("delete VM %d in %s: %v", v.ID, v.StateName(), err)
			}
			r.WaitVM(v.ID, one.VMDone, 0)
		}
		st = r.Store.View()
		if st.HostUsage.Len() != 0 || st.VMs.Len() != 0 || r.Sim(hosts[0]).Len()+r.Sim(hosts[1]).Len() != 0 || st.UserVM.Len() != 0 || st.Leases.Len() != 0 {
			rt.Errorf("left behind: usage %d, VMs %d, domains %d and %d, quota sums %d, leases %d", st.HostUsage.Len(), st.VMs.Len(),
				r.Sim(hosts[0]).Len(), r.Sim(hosts[1]).Len(), st.UserVM.Len(), st.Leases.Len())
		}
	})
}
