package oneapi_test

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
)

// Disks that come and go and moves between hosts, as the original's Go client asks
// for them and reads what became of them.
func TestGocaDisksAndMoves(t *testing.T) {
	s := newServer(t)
	s.AddHost("edge1", sim.Config{})
	c := gocaFor(t, s, "oneadmin", rig.OneadminPassword)
	img, err := c.Images().Create("NAME=data\nTYPE=DATABLOCK\nSIZE=64\nPERSISTENT=YES", 1)
	check(t, "create an image", err)
	image := func(state one.ImageState) {
		s.Wait("the image", func(st *cloud.View) bool { i, ok := st.Images.Get(img); return ok && i.State == state })
	}
	image(one.ImageReady)
	id, err := c.VMs().Create("NAME=web\nCPU=0.5\nMEMORY=128", false)
	check(t, "create a VM", err)
	running := func() *one.VM { return s.WaitVM(id, one.VMActive, one.LCMRunning) }
	running()

	check(t, "attach", c.VM(id).DiskAttach("DISK=[IMAGE=data,TARGET=vdb]"))
	running()
	image(one.ImageUsedPers)
	v, err := c.VM(id).Info(false)
	check(t, "vm.info", err)
	disks := v.Template.GetDisks()
	if len(disks) != 1 {
		t.Fatalf("the VM has the disks %v", disks)
	}
	for key, want := range map[string]string{"DISK_ID": "0", "IMAGE": "data", "TARGET": "vdb", "SAVE": "YES", "SIZE": "64", "ATTACH": ""} {
		if got, _ := disks[0].GetStr(key); got != want {
			t.Errorf("%s of the disk is %q, want %q", key, got, want)
		}
	}

	other := s.AddHost("edge2", sim.Config{})
	check(t, "migrate", c.VM(id).Migrate(other, false, false, -1, 0))
	if got := running().HostID(); got != other {
		t.Errorf("the VM is on host %d", got)
	}
	check(t, "migrate live", c.VM(id).Migrate(0, true, true, 0, 0))
	running()
	v, err = c.VM(id).Info(false)
	check(t, "vm.info", err)
	var hosts, actions []int
	for _, h := range v.HistoryRecords {
		hosts, actions = append(hosts, h.HID), append(actions, h.Action)
	}
	for i, want := range []struct{ host, action int }{{0, 21}, {0, 1}, {other, 2}, {0, 0}} {
		if i >= len(hosts) || hosts[i] != want.host || actions[i] != want.action {
			t.Fatalf("the records are of the hosts %v and the actions %v", hosts, actions)
		}
	}

	check(t, "detach", c.VM(id).Disk(0).Detach())
	running()
	image(one.ImageReady)
}
