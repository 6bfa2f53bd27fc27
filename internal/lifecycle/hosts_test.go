package lifecycle_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
)

// A host that is taken back into use is monitored with what its agent has told
// before: the agent, whose link has not ended, does not tell it again.
func TestHostIsTakenBackAtOnce(t *testing.T) {
	r := rig.Start(t, storetest.New(t).Store)
	host := r.AddHost("sim0", sim.Config{})
	before, _ := r.Store.View().Hosts.Get(host)
	// No agent tells facts of its own accord any more.
	r.Sim(host).SetBehaviour(sim.Behaviour{Before: func(_ context.Context, op sim.Op, _ string) error {
		if op == sim.OpFacts {
			return errRefused
		}
		return nil
	}})
	for range 3 {
		for _, status := range []int{cloud.HostOffline, cloud.HostEnable} {
			if err := r.Cloud.SetHostStatus(r.Context(), r.Admin, host, status); err != nil {
				t.Fatal(err)
			}
			if h, _ := r.Store.View().Hosts.Get(host); status == cloud.HostOffline && (h.State != one.HostOffline || h.MaxCPU != 0) {
				t.Fatalf("offline: %+v", h)
			}
		}
		r.Wait("the host to be monitored again", func(st *store.State) bool {
			h, ok := st.Hosts.Get(host)
			return ok && h.State == one.HostMonitored && h.MaxCPU == before.MaxCPU && h.MaxMem == before.MaxMem
		})
	}
	vm := r.Instantiate(r.Template("NAME=t\nCPU=1\nMEMORY=128"), "a")
	r.WaitVM(vm, one.VMActive, one.LCMRunning)
}

// What an agent says while its host is offline does not count until it is back.
func TestOfflineHostStaysOffline(t *testing.T) {
	mem := storetest.New(t)
	r := rig.Start(t, mem.Store)
	host := r.AddHost("sim0", sim.Config{})
	if err := r.Cloud.SetHostStatus(r.Context(), r.Admin, host, cloud.HostOffline); err != nil {
		t.Fatal(err)
	}
	r.Stop()
	mem.Crash()
	r.Resume(mem.Store) // the agent connects, and tells its facts
	other := r.AddHost("sim1", sim.Config{})
	h, _ := r.Store.View().Hosts.Get(host)
	if h.State != one.HostOffline || h.TotalCPU != 0 || h.MaxCPU != 0 {
		t.Errorf("after a restart the offline host is %+v", h)
	}
	if err := r.Cloud.SetHostStatus(r.Context(), r.Admin, host, cloud.HostEnable); err != nil {
		t.Fatal(err)
	}
	r.Wait("both hosts to be alike", func(st *store.State) bool {
		a, _ := st.Hosts.Get(host)
		b, _ := st.Hosts.Get(other)
		return a.State == one.HostMonitored && a.MaxCPU == b.MaxCPU
	})
}

// Nothing is kept of what is gone: samples of a VM in DONE, and of a host that was
// removed, whose agent may go on measuring.
func TestMeasurementsGoWithTheirSubjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig.Start(t, storetest.New(t).Store)
		host := r.AddHost("sim0", sim.Config{})
		tm := r.Template("NAME=t\nCPU=1\nMEMORY=128")
		gone, stays := r.Instantiate(tm, "a"), r.Instantiate(tm, "b")
		r.WaitVM(gone, one.VMActive, one.LCMRunning)
		r.WaitVM(stays, one.VMActive, one.LCMRunning)
		time.Sleep(5 * time.Minute)
		for _, vm := range []int{gone, stays} {
			if _, ok := r.Monitor.VM(vm); !ok {
				t.Fatalf("VM %d is not measured", vm)
			}
		}
		act(t, r, gone, "terminate-hard")
		r.WaitVM(gone, one.VMDone, 0)
		time.Sleep(5 * time.Minute)
		if _, ok := r.Monitor.VM(gone); ok {
			t.Error("a VM in DONE is still measured")
		}
		if _, ok := r.Monitor.VM(stays); !ok {
			t.Error("the other VM is not measured any more")
		}
		act(t, r, stays, "terminate-hard")
		r.WaitVM(stays, one.VMDone, 0)
		if _, ok := r.Monitor.Host(host); !ok {
			t.Fatal("the host is not measured")
		}
		if err := r.Cloud.DeleteHost(r.Context(), r.Admin, host); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if _, ok := r.Monitor.Host(host); ok {
			t.Error("a host that was removed is still measured")
		}
	})
}
