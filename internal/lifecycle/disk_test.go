package lifecycle_test

import (
	"fmt"
	"testing"

	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
)

// The disk of a VM that is off comes and goes also when the server dies while the
// host is at it; whether the step was done by then, nobody knows.
func TestDisksOfVMsThatAreOff(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprint("crash ", crash), func(t *testing.T) {
			mem := storetest.New(t)
			r := rig.Start(t, mem.Store)
			host := r.AddHost("sim0", sim.Config{})
			network(t, r)
			persistent(t, r)
			vm := r.Instantiate(r.Template(withNIC), "a")
			r.WaitVM(vm, one.VMActive, one.LCMRunning)
			act(t, r, vm, "poweroff-hard")
			r.WaitVM(vm, one.VMPoweroff, 0)
			for _, change := range []string{"disk-attach", "disk-resize", "disk-detach", "disk-attach"} {
				act(t, r, vm, change)
				if crash {
					r.Stop()
					mem.Crash()
					r.Resume(mem.Store)
				}
				v := r.WaitVM(vm, one.VMPoweroff, 0)
				if has := v.Template.Has("DISK"); has == (change == "disk-detach") {
					t.Fatalf("after %s: %s", change, v.Template.Text())
				}
				checkDisks(t, r, host, v)
				checkImages(t, r.Store.View())
			}
			finish(t, r, vm)
			checkImages(t, r.Store.View())
			if i, _ := r.Store.View().Images.Get(0); i.State != one.ImageReady {
				t.Errorf("the image is %s", i.State)
			}
		})
	}
}
