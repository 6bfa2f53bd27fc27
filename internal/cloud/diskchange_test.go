package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
)

// diskRig is a cloud with a simulated host, the images 0 (an OS disk), 1 (a data
// disk) and 2 (persistent), and a VM of image 0 with a context, of user 5.
type diskRig struct {
	*rig.Rig
	t    *testing.T
	host int
	vm   int
	user auth.Caller
}

func newDiskRig(t *testing.T) *diskRig {
	t.Helper()
	r := &diskRig{Rig: rig.Start(t, storetest.New(t).Store), t: t}
	r.host = r.AddHost("sim0", sim.Config{})
	r.Do(func(tx *store.Tx) {
		tx.PutUser(&one.User{ID: 5, Name: "ana", GID: 1, GName: "users", Groups: []int{1}, AuthDriver: "core"})
	})
	r.user = auth.Caller{UID: 5, GID: 1, Name: "ana", GName: "users", Groups: []int{1}, Umask: 0o177}
	for i, text := range []string{"TYPE=OS", "TYPE=DATABLOCK", "TYPE=DATABLOCK PERSISTENT=YES"} {
		id, err := r.Cloud.AllocateImage(r.Context(), r.user, template(t, fmt.Sprintf("NAME=image%d SIZE=%d %s", i, 10*(i+1), text)), one.DefaultDS, true)
		if err != nil {
			t.Fatal(err)
		}
		r.image(id, one.ImageReady)
	}
	id, err := r.Cloud.AllocateVM(r.Context(), r.user, template(t, "NAME=vm CPU=1 MEMORY=64 DISK=[IMAGE_ID=0] CONTEXT=[A=b]"), false)
	r.must(err)
	r.vm = id
	r.running()
	return r
}

func (r *diskRig) attach(text string) error {
	r.t.Helper()
	return r.Cloud.AttachDisk(r.Context(), r.user, r.vm, template(r.t, text))
}

func (r *diskRig) detach(disk int) error {
	return r.Cloud.DetachDisk(r.Context(), r.user, r.vm, disk)
}

func (r *diskRig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *diskRig) running() *one.VM {
	r.t.Helper()
	return r.WaitVM(r.vm, one.VMActive, one.LCMRunning)
}

// image waits for an image to be in a state.
func (r *diskRig) image(id int, state one.ImageState) {
	r.t.Helper()
	r.Wait(fmt.Sprintf("image %d in %s", id, state), func(st *store.State) bool {
		i, ok := st.Images.Get(id)
		return ok && i.State == state
	})
}

// check compares the disks of the VM, written as "id target image", with what is
// wanted, with its domain, and with the quotas and images that follow from them.
func (r *diskRig) check(want ...string) {
	r.t.Helper()
	st := r.Store.View()
	v, _ := st.VM(r.vm)
	var got, targets []string
	used, size := map[int]float64{}, 0.0
	for _, d := range v.Template.Vectors("DISK") {
		got = append(got, strings.TrimSpace(d.Get("DISK_ID")+" "+d.Get("TARGET")+" "+d.Get("IMAGE")))
		targets = append(targets, d.Get("TARGET"))
		if d.Has("ATTACH") {
			r.t.Errorf("disk %s is still marked", d.Get("DISK_ID"))
		}
		var image int
		if _, err := fmt.Sscan(d.Get("IMAGE_ID"), &image); err == nil {
			used[image]++
		} else {
			var mb float64
			_, _ = fmt.Sscan(d.Get("SIZE"), &mb)
			size += mb
		}
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("the VM has %q, want %q", got, want)
	}
	sums := st.UserUsage(5)
	for id, i := range st.Images.All() {
		state := one.ImageReady
		switch {
		case used[id] > 0 && i.Persistent:
			state = one.ImageUsedPers
		case used[id] > 0:
			state = one.ImageUsed
		}
		if i.State != state || st.ImageVMs.Any(id) != (used[id] > 0) || sums.Images[id].RVMs != used[id] {
			r.t.Errorf("image %d is %s, used by VMs %v and counted %v times; the VM has it %v times", id, i.State, st.ImageVMs.List(id), sums.Images[id].RVMs, used[id])
		}
	}
	volatile := sums.VM.SystemDiskSize
	for _, d := range v.Template.Vectors("DISK") {
		if d.Has("IMAGE_ID") && d.Bool("CLONE") && d.Get("CLONE_TARGET") == "SYSTEM" {
			var mb float64
			_, _ = fmt.Sscan(d.Get("SIZE"), &mb)
			volatile -= mb
		}
	}
	if volatile != size {
		r.t.Errorf("volatile disks count for %v MB, want %v", volatile, size)
	}
	if !v.Running() {
		return
	}
	if in, err := r.Sim(r.host).Disks(fmt.Sprintf("one-%d", r.vm)); err != nil || !slices.Equal(in, targets) {
		r.t.Errorf("the domain has %q (%v), want %q", in, err, targets)
	}
}

func TestDisksOfRunningVM(t *testing.T) {
	r := newDiskRig(t)
	r.check("0 sda image0")
	r.must(r.attach("DISK=[IMAGE=image1,DEV_PREFIX=vd,CACHE=writeback]"))
	v := r.running()
	r.check("0 sda image0", "2 vda image1") // 1 is the context's
	disk, _ := one.Disk(v.Template, 2)
	for k, want := range map[string]string{"CLONE": "YES", "SAVE": "NO", "SIZE": "20", "CACHE": "writeback", "DATASTORE": "default", "TYPE": "FILE"} {
		if disk.Get(k) != want {
			t.Errorf("%s of the new disk is %q, want %q", k, disk.Get(k), want)
		}
	}
	if len(v.History) != 2 || v.History[0].Action != one.ActionDiskAttach || v.History[0].UID != 5 || v.History[0].ETime == 0 {
		t.Errorf("history %+v", v.History[0])
	}
	r.must(r.attach("DISK=[IMAGE_ID=2,TARGET=vdz]"))
	r.running()
	r.check("0 sda image0", "2 vda image1", "3 vdz image2")
	r.must(r.attach("DISK=[TYPE=fs,SIZE=100,FORMAT=qcow2]"))
	r.running()
	r.check("0 sda image0", "2 vda image1", "3 vdz image2", "4 sdb")
	r.must(r.attach("DISK=[IMAGE_ID=1]")) // once more
	r.running()
	r.check("0 sda image0", "2 vda image1", "3 vdz image2", "4 sdb", "5 sdc image1")

	r.must(r.detach(2))
	v = r.running()
	r.check("0 sda image0", "3 vdz image2", "4 sdb", "5 sdc image1")
	if n := len(v.History); v.History[n-2].Action != one.ActionDiskDetach {
		t.Errorf("the action of a detach is %s", v.History[n-2].Action)
	}
	for _, id := range []int{3, 4, 5, 0} {
		r.must(r.detach(id))
		r.running()
	}
	r.check()
}

func TestDisksOfPoweredOffVM(t *testing.T) {
	r := newDiskRig(t)
	r.must(r.Cloud.VMAction(r.Context(), r.Admin, r.vm, "poweroff-hard"))
	off := func() *one.VM { return r.WaitVM(r.vm, one.VMPoweroff, 0) }
	off()
	r.must(r.attach("DISK=[IMAGE_ID=2]"))
	off()
	r.check("0 sda image0", "2 sdb image2")
	r.must(r.detach(0))
	if v := off(); len(v.History) != 3 || v.PrevLCM != one.LCMHotplugEpilogPoweroff {
		t.Errorf("%d records, before %s", len(v.History), v.PrevLCM)
	}
	r.check("2 sdb image2")
	r.must(r.Cloud.VMAction(r.Context(), r.Admin, r.vm, "resume"))
	r.running()
	r.check("2 sdb image2")
	r.must(r.Cloud.VMAction(r.Context(), r.Admin, r.vm, "terminate-hard"))
	r.WaitVM(r.vm, one.VMDone, 0)
	r.image(2, one.ImageReady)
}

// What a host cannot do is undone in the VM, its images and its quotas.
func TestDisksThatFail(t *testing.T) {
	r := newDiskRig(t)
	broken := errors.New("no more slots")
	r.Sim(r.host).SetBehaviour(sim.Behaviour{Before: func(_ context.Context, op sim.Op, _ string) error {
		if op == sim.OpAttachDisk || op == sim.OpDetachDisk {
			return broken
		}
		return nil
	}})
	for _, change := range []func() error{
		func() error { return r.attach("DISK=[IMAGE_ID=2]") },
		func() error { return r.attach("DISK=[TYPE=swap,SIZE=9]") },
		func() error { return r.detach(0) },
	} {
		r.must(change())
		if v := r.running(); !strings.Contains(v.UserTemplate.Get("ERROR"), broken.Error()) {
			t.Errorf("ERROR is %q", v.UserTemplate.Get("ERROR"))
		}
		r.check("0 sda image0")
	}
}

// A VM that is deleted or made anew in the middle of a change leaves nothing behind.
func TestChangeOfDiskIsCut(t *testing.T) {
	for _, recovery := range []int{3, 4, 5} {
		r := newDiskRig(t)
		reached := make(chan struct{}, 1)
		r.Sim(r.host).SetBehaviour(sim.Behaviour{Before: func(ctx context.Context, op sim.Op, _ string) error {
			if op != sim.OpAttachDisk {
				return nil
			}
			reached <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}})
		r.must(r.attach("DISK=[IMAGE_ID=1]"))
		<-reached
		if v := r.WaitVM(r.vm, one.VMActive, one.LCMHotplug); v.Template.Vectors("DISK")[1].Get("ATTACH") != "YES" {
			t.Errorf("in the middle of an attach: %s", v.Template.Text())
		}
		r.must(r.Cloud.RecoverVM(r.Context(), r.Admin, r.vm, recovery))
		if recovery == 4 {
			r.running()
			r.check("0 sda image0", "2 sdb image1")
			continue
		}
		r.WaitVM(r.vm, one.VMDone, 0)
		r.image(0, one.ImageReady)
		r.image(1, one.ImageReady)
	}
}

// What is refused changes nothing, in the words of the reference.
func TestRefusedDisks(t *testing.T) {
	r := newDiskRig(t)
	r.Do(func(tx *store.Tx) {
		u, _ := tx.Users.Get(5)
		limited := *u
		limited.Quotas = one.Quotas{
			VM: &one.VMQuota{
				VMs: -1, RunningVMs: -1, CPU: -1, RunningCPU: -1, Memory: -1, RunningMemory: -1, SystemDiskSize: 50,
			},
			Images: map[int]one.ImageQuota{0: {RVMs: 1}},
		}
		tx.PutUser(&limited)
		ready, _ := tx.Images.Get(1)
		for id, edit := range map[int]func(*one.Image){
			11: func(i *one.Image) { i.State, i.Persistent = one.ImageUsedPers, true },
			12: func(i *one.Image) { i.UID, i.GID, i.Perms = 0, 0, 0o600 },
			13: func(i *one.Image) { i.DatastoreID = 200 },
		} {
			i := *ready
			i.ID, i.Name = id, fmt.Sprintf("image%d", id)
			edit(&i)
			tx.PutImage(&i)
		}
		d, _ := tx.Datastores.Get(one.DefaultDS)
		far := *d
		far.ID, far.Name, far.ClusterIDs = 200, "far", []int{9}
		tx.PutDatastore(&far)
	})
	before := r.running()
	for text, want := range map[string]string{
		"A=b": "Internal error parsing DISK attribute",
		"DISK=[TYPE=swap,SIZE=1] DISK=[IMAGE_ID=1]": "Internal error parsing DISK attribute",
		"DISK=[IMAGE_ID=1,TOTAL_BYTES_SEC=1]":       "User [5] : DISK includes a restricted attribute TOTAL_BYTES_SEC.",
		"DISK=[IMAGE_ID=1,TARGET=sda]":              "Target sda is already in use.",
		"DISK=[TYPE=swap,SIZE=1,TARGET=hda]":        "Target hda is already in use.",
		"DISK=[IMAGE_ID=11]":                        "Cannot acquire image 11, it is persistent and already in use",
		"DISK=[IMAGE_ID=12]":                        "User [5] : Not authorized to perform USE IMAGE [12].",
		"DISK=[IMAGE_ID=13]":                        "Image [13] is not part of cluster [0]",
		"DISK=[IMAGE_ID=99]":                        "Image with ID: 99 does not exist",
		"DISK=[TYPE=swap]":                          "Size attribute in template is mandatory: DISK 2 needs SIZE in MB, a positive number",
		"DISK=[TYPE=fs,SIZE=51]":                    "User [5] : user [5] limit of 50 reached for SYSTEM_DISK_SIZE quota in VM.",
		"DISK=[IMAGE_ID=0]":                         "User [5] : user [5] limit of 1 reached for RVMS quota in IMAGE with ID: 0.",
	} {
		if err := r.attach(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if err := r.detach(1); err == nil || err.Error() != "Could not detach disk with DISK_ID 1, it does not exist." {
		t.Errorf("detach of the context: %v", err)
	}
	if after := r.running(); after != before {
		t.Errorf("refusals have changed the VM: %s", after.Template.Text())
	}
	for id, want := range map[int]one.ImageState{0: one.ImageUsed, 1: one.ImageReady, 13: one.ImageReady} {
		if i, _ := r.Store.View().Images.Get(id); i.State != want {
			t.Errorf("image %d is %s", id, i.State)
		}
	}
	r.must(r.Cloud.VMAction(r.Context(), r.Admin, r.vm, "suspend"))
	r.WaitVM(r.vm, one.VMSuspended, 0)
	for want, err := range map[string]error{
		"Could not attach a new disk to VM 0, wrong state SUSPENDED.": r.attach("DISK=[IMAGE_ID=1]"),
		"Could not detach disk from VM 0, wrong state SUSPENDED.":     r.detach(0),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A disk grows, with the quotas it counts for, and with its image if that is what it is.
func TestDisksGrow(t *testing.T) {
	r := newDiskRig(t)
	resize := func(disk int, size string) error {
		return r.Cloud.ResizeDisk(r.Context(), r.user, r.vm, disk, size)
	}
	r.must(r.attach("DISK=[IMAGE_ID=2]"))
	r.running()
	r.must(r.attach("DISK=[TYPE=fs,SIZE=5]"))
	r.running()
	sizes := func(what string, want ...float64) {
		t.Helper()
		st := r.Store.View()
		i, _ := st.Images.Get(2)
		use := st.UserUsage(5)
		got := []float64{use.VM.SystemDiskSize, float64(i.Size), use.Datastores[one.DefaultDS].Size}
		v, _ := st.VM(r.vm)
		for _, d := range v.Template.Vectors("DISK") {
			var mb float64
			_, _ = fmt.Sscan(d.Get("SIZE"), &mb)
			got = append(got, mb)
			if d.Has("RESIZE") || d.Has("SIZE_PREV") {
				t.Errorf("%s: disk %s is still marked", what, d.Get("DISK_ID"))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: system disks, image 2, datastore and disks are %v, want %v", what, got, want)
		}
	}
	sizes("before", 15, 30, 60, 10, 30, 5)
	r.must(resize(0, "12"))
	v := r.running()
	if n := len(v.History); v.History[n-2].Action != one.ActionDiskResize || v.PrevLCM != one.LCMDiskResize {
		t.Errorf("action %s, before %s", v.History[n-2].Action, v.PrevLCM)
	}
	r.must(resize(2, "40"))
	r.running()
	sizes("running", 17, 40, 70, 12, 40, 5)
	r.Sim(r.host).SetBehaviour(sim.Behaviour{Before: func(_ context.Context, op sim.Op, _ string) error {
		if op == sim.OpResizeDisk {
			return errors.New("no room")
		}
		return nil
	}})
	for disk, size := range map[int]string{0: "99", 2: "99"} {
		r.must(resize(disk, size))
		r.running()
	}
	sizes("failed", 17, 40, 70, 12, 40, 5)
	r.must(r.Cloud.VMAction(r.Context(), r.Admin, r.vm, "poweroff-hard"))
	r.WaitVM(r.vm, one.VMPoweroff, 0)
	r.must(resize(3, "6"))
	r.WaitVM(r.vm, one.VMPoweroff, 0)
	sizes("powered off", 18, 40, 70, 12, 40, 6)

	r.Do(func(tx *store.Tx) {
		u, _ := tx.Users.Get(5)
		limited := *u
		limited.Quotas = one.Quotas{
			VM:         &one.VMQuota{VMs: -1, RunningVMs: -1, CPU: -1, RunningCPU: -1, Memory: -1, RunningMemory: -1, SystemDiskSize: 20},
			Datastores: map[int]one.DatastoreQuota{one.DefaultDS: {Images: -1, Size: 75}},
		}
		tx.PutUser(&limited)
	})
	for want, err := range map[string]error{
		"VM disk does not exist":                                                          resize(1, "99"),
		"New disk size has to be greater than current one":                                resize(0, "12"),
		"Disk SIZE is not a valid integer":                                                resize(0, "1g"),
		"User [5] : user [5] limit of 20 reached for SYSTEM_DISK_SIZE quota in VM.":       resize(0, "15"),
		"User [5] : user [5] limit of 75 reached for SIZE quota in DATASTORE with ID: 1.": resize(2, "46"),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	sizes("refused", 18, 40, 70, 12, 40, 6)
	r.must(r.Cloud.VMAction(r.Context(), r.Admin, r.vm, "undeploy"))
	r.WaitVM(r.vm, one.VMUndeployed, 0)
	if err := resize(0, "13"); err == nil || err.Error() != "Could not resize disk for VM 0, wrong state UNDEPLOYED." {
		t.Errorf("undeployed: %v", err)
	}
}
