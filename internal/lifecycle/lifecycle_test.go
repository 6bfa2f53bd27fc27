package lifecycle_test

import (
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// act does an action of one.vm.action, or changes a NIC: another one comes, that
// one goes again, the first one is limited.
func act(t *testing.T, r *rig.Rig, vm int, action string) {
	t.Helper()
	var err error
	if strings.Contains(action, "snapshot-") {
		err = changeSnapshot(r, vm, action, map[string]int{"disk-snapshot-delete": 1}[action])
	} else if strings.HasPrefix(action, "disk-") {
		err = changeDisk(r, vm, action, 1)
	} else if strings.HasPrefix(action, "nic-") {
		err = changeNIC(r, vm, action, map[string]int{"nic-detach": 1}[action])
	} else {
		err = r.Cloud.VMAction(r.Context(), r.Admin, vm, action)
	}
	if err != nil {
		t.Fatalf("%s VM %d: %v", action, vm, err)
	}
}

// changeNIC attaches a NIC or an alias in network 0, or detaches or limits a NIC.
func changeNIC(r *rig.Rig, vm int, how string, nic int) error {
	switch how {
	case "nic-attach":
		return r.Cloud.AttachNIC(r.Context(), r.Admin, vm, parsed("NIC=[NETWORK_ID=0]"))
	case "alias-attach":
		return r.Cloud.AttachNIC(r.Context(), r.Admin, vm, parsed("NIC_ALIAS=[NETWORK_ID=0,PARENT=NIC0]"))
	case "nic-detach":
		return r.Cloud.DetachNIC(r.Context(), r.Admin, vm, nic)
	}
	return r.Cloud.UpdateNIC(r.Context(), r.Admin, vm, nic, parsed("NIC=[INBOUND_AVG_BW=100]"), 0)
}

// changeDisk attaches a disk of the persistent image 0, or detaches a disk.
func changeDisk(r *rig.Rig, vm int, how string, disk int) error {
	switch how {
	case "disk-resize":
		v, _ := r.Store.View().VM(vm)
		d, _ := one.Disk(v.Template, disk)
		size, _ := strconv.Atoi(d.Get("SIZE"))
		return r.Cloud.ResizeDisk(r.Context(), r.Admin, vm, disk, strconv.Itoa(size+1))
	case "disk-attach":
		return r.Cloud.AttachDisk(r.Context(), r.Admin, vm, parsed("DISK=[IMAGE_ID=0]"))
	case "disk-attach-volatile":
		return r.Cloud.AttachDisk(r.Context(), r.Admin, vm, parsed("DISK=[TYPE=swap,SIZE=1]"))
	}
	return r.Cloud.DetachDisk(r.Context(), r.Admin, vm, disk)
}

func TestMachineLivesItsLife(t *testing.T) {
	r := rig.Start(t, storetest.New(t).Store)
	host := r.AddHost("sim0", sim.Config{})
	tm := r.Template("NAME=t\nCPU=1\nMEMORY=128")
	vm := r.Instantiate(tm, "a")
	v := r.WaitVM(vm, one.VMActive, one.LCMRunning)
	if v.HostID() != host || v.DeployID == "" || r.Store.View().HostUsage.At(host).VMs != 1 {
		t.Fatalf("running VM is not charged to its host: %+v", v.VMCore)
	}
	for _, step := range []struct {
		action string
		state  one.VMState
		lcm    one.LCMState
	}{
		{"poweroff", one.VMPoweroff, 0}, {"resume", one.VMActive, one.LCMRunning},
		{"suspend", one.VMSuspended, 0}, {"resume", one.VMActive, one.LCMRunning},
		{"stop", one.VMStopped, 0}, {"resume", one.VMActive, one.LCMRunning},
		{"undeploy", one.VMUndeployed, 0}, {"resume", one.VMActive, one.LCMRunning},
		{"undeploy-hard", one.VMUndeployed, 0}, {"resume", one.VMActive, one.LCMRunning},
		{"poweroff-hard", one.VMPoweroff, 0}, {"terminate", one.VMDone, 0},
	} {
		act(t, r, vm, step.action)
		r.WaitVM(vm, step.state, step.lcm)
	}
	st := r.Store.View()
	if st.HostUsage.Len() != 0 || st.VMs.Len() != 0 || r.Sim(host).Len() != 0 {
		t.Fatalf("something is left of a terminated VM: usage %d, VMs %d, domains %d", st.HostUsage.Len(), st.VMs.Len(), r.Sim(host).Len())
	}
}

func TestDeathOfADomainIsSeen(t *testing.T) {
	r := rig.Start(t, storetest.New(t).Store)
	host := r.AddHost("sim0", sim.Config{})
	vm := r.Instantiate(r.Template("NAME=t\nCPU=1\nMEMORY=128"), "a")
	r.WaitVM(vm, one.VMActive, one.LCMRunning)
	if err := r.Sim(host).Kill("one-0"); err != nil {
		t.Fatal(err)
	}
	v := r.WaitVM(vm, one.VMPoweroff, 0)
	if v.LastRecord().Action != one.ActionMonitor {
		t.Errorf("action of the record is %v, want monitor", v.LastRecord().Action)
	}
}

func TestNoHostsIsSaid(t *testing.T) {
	r := rig.Start(t, storetest.New(t).Store)
	vm := r.Instantiate(r.Template("NAME=t\nCPU=1\nMEMORY=128"), "a")
	r.Wait("a message", func(st *store.State) bool {
		v, ok := st.VMs.Get(vm)
		return ok && v.UserTemplate.Has("SCHED_MESSAGE")
	})
	r.AddHost("sim0", sim.Config{})
	v := r.WaitVM(vm, one.VMActive, one.LCMRunning)
	if v.UserTemplate.Has("SCHED_MESSAGE") {
		t.Error("the message stays after the VM was placed")
	}
}
