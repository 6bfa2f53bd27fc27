package oneapi_test

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
)

// Snapshots of a VM and of its disk, as the original's Go client takes and reads them.
func TestGocaSnapshots(t *testing.T) {
	s := newServer(t)
	s.AddHost("edge1", sim.Config{})
	c := gocaFor(t, s, "oneadmin", rig.OneadminPassword)
	img, err := c.Images().Create("NAME=data\nTYPE=DATABLOCK\nSIZE=64\nFORMAT=qcow2", 1)
	check(t, "create an image", err)
	s.Wait("the image", func(st *cloud.View) bool { i, ok := st.Images.Get(img); return ok && i.State == one.ImageReady })
	id, err := c.VMs().Create("NAME=web\nCPU=0.5\nMEMORY=128\nDISK=[IMAGE=data]", false)
	check(t, "create a VM", err)
	running := func() { s.WaitVM(id, one.VMActive, one.LCMRunning) }
	running()

	check(t, "snapshot", c.VM(id).SnapshotCreate("before"))
	running()
	check(t, "revert", c.VM(id).SnapshotRevert(0))
	running()
	v, err := c.VM(id).Info(false)
	check(t, "vm.info", err)
	for key, want := range map[string]string{
		"SNAPSHOT_ID": "0", "NAME": "before", "HYPERVISOR_ID": "snap-0", "ACTIVE": "YES", "SYSTEM_DISK_SIZE": "128",
	} {
		snap, err := v.Template.GetVector("SNAPSHOT")
		check(t, "SNAPSHOT", err)
		if got, err := snap.GetStr(key); err != nil || got != want {
			t.Errorf("%s of the snapshot is %q (%v), want %q", key, got, err, want)
		}
	}
	check(t, "delete", c.VM(id).SnapshotDelete(0))
	running()

	disk := c.VM(id).Disk(0)
	for want, name := range []string{"clean", "used"} {
		snap, err := disk.SnapshotCreate(name)
		check(t, "snapshot of a disk", err)
		if snap != want {
			t.Errorf("snapshot %s has the id %d", name, snap)
		}
		running()
	}
	check(t, "rename", disk.SnapshotRename(0, "pristine"))
	check(t, "poweroff", c.VM(id).PoweroffHard())
	s.WaitVM(id, one.VMPoweroff, one.LCMInit)
	check(t, "revert of a disk", disk.SnapshotRevert(0))
	s.WaitVM(id, one.VMPoweroff, one.LCMInit)
	check(t, "delete of a snapshot of a disk", disk.SnapshotDelete(1))
	s.WaitVM(id, one.VMPoweroff, one.LCMInit)
	v, err = c.VM(id).Info(false)
	check(t, "vm.info", err)
	if len(v.Snapshots) != 1 || v.Snapshots[0].DiskID != 0 || v.Snapshots[0].NextSnapshot != 2 || len(v.Snapshots[0].Snapshots) != 1 {
		t.Fatalf("the disk has %+v", v.Snapshots)
	}
	if snap := v.Snapshots[0].Snapshots[0]; snap.ID != 0 || snap.Name != "pristine" || snap.Parent != -1 || snap.Size != 64 {
		t.Errorf("its snapshot is %+v", snap)
	}
}
