package oneapi_test

import (
	"strconv"
	"testing"
	"time"

	gocaerrors "github.com/OpenNebula/one/src/oca/go/src/goca/errors"
	"github.com/OpenNebula/one/src/oca/go/src/goca/schemas/vm"
	"github.com/OpenNebula/one/src/oca/go/src/goca/schemas/vm/keys"

	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
)

// Actions are scheduled, read, changed by sending back what was read, and taken
// back, by the original's Go client; what is due happens.
func TestGocaSchedule(t *testing.T) {
	s := newServer(t)
	s.AddHost("edge1", sim.Config{})
	c := gocaFor(t, s, "oneadmin", rig.OneadminPassword)
	id, err := c.VMs().Create("CPU=0.1\nMEMORY=64\nSCHED_ACTION=[ACTION=\"terminate\",TIME=\"+31536000\"]", false)
	check(t, "create a VM", err)
	s.WaitVM(id, one.VMActive, one.LCMRunning)

	action := (&vm.Template{}).AddSchedAction()
	action.Add(keys.Action, "poweroff-hard")
	action.Add(keys.Time, strconv.FormatInt(time.Now().Add(24*time.Hour).Unix(), 10))
	action.Add(keys.Repeat, "0")
	action.Add(keys.Days, "1,3")
	check(t, "add", c.VM(id).AddSchedAction(action))

	actions := gocaActions(t, c.VM(id).Info, 2)
	if first, err := actions[0].Get(keys.Action); err != nil || first != "terminate" {
		t.Errorf("the first action is %q, %v", first, err)
	}
	later := actions[1]
	for key, want := range map[keys.SchedAction]string{keys.Action: "poweroff-hard", keys.Repeat: "0", keys.Days: "1,3", "TYPE": "VM", "PARENT_ID": strconv.Itoa(id), "DONE": "-1"} {
		if got, err := later.Get(key); err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", key, got, want, err)
		}
	}
	later.Del(string(keys.Time))
	later.Add(keys.Time, strconv.FormatInt(time.Now().Unix(), 10))
	check(t, "update", c.VM(id).UpdateSchedAction(&later))
	s.WaitVM(id, one.VMPoweroff, one.LCMInit)

	number, err := actions[0].GetInt(string(keys.ActionID))
	check(t, "read the id", err)
	check(t, "delete", c.VM(id).DeleteSchedAction(number))
	wantCode(t, "delete it again", gocaerrors.OneNoExistsError, c.VM(id).DeleteSchedAction(number))
	gocaActions(t, c.VM(id).Info, 1)
}

// gocaActions returns the scheduled actions of a VM, of which there are n.
func gocaActions(t *testing.T, info func(bool) (*vm.VM, error), n int) []vm.SchedAction {
	t.Helper()
	v, err := info(false)
	check(t, "vm.info", err)
	actions := v.Template.GetSchedActions()
	if len(actions) != n {
		t.Fatalf("%d scheduled actions, want %d", len(actions), n)
	}
	return actions
}
