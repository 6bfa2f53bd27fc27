package machine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

var (
	began = time.Unix(1_700_000_000, 0)
	now   = time.Unix(1_700_000_500, 0)
	ana   = machine.Who{UID: 2, GID: 1, ReqID: 77}
)

// state is a VM state and, of active VMs, what refines it.
type state struct {
	vm  one.VMState
	lcm one.LCMState
}

func (s state) String() string { return one.StateString(s.vm, s.lcm) }

// states are all there are.
func states() []state {
	out := []state{{vm: one.VMInit}, {vm: one.VMPending}, {vm: one.VMHold}, {vm: one.VMStopped}, {vm: one.VMSuspended}, {vm: one.VMDone},
		{vm: one.VMPoweroff}, {vm: one.VMUndeployed}, {vm: one.VMCloning}, {vm: one.VMCloningFailure}}
	for l := range one.LCMState(71) {
		out = append(out, state{one.VMActive, l})
	}
	return out
}

// named returns the states of names: those of active VMs by their LCM name.
func named(t testing.TB, names string) map[state]bool {
	t.Helper()
	out := map[state]bool{}
	for _, n := range strings.Fields(names) {
		found := false
		for _, s := range states() {
			if s.String() == n || n == "*_FAILURE" && s.vm == one.VMActive && strings.HasSuffix(s.String(), "_FAILURE") {
				out[s], found = true, true
			}
		}
		if !found {
			t.Fatalf("no state is called %s", n)
		}
	}
	return out
}

func stateOf(v *one.VM) state { return state{v.State, v.LCM} }

// vmIn returns a VM in a state: one that has been on a host, unless it is new.
func vmIn(s state) *one.VM {
	v := &one.VM{VMCore: one.VMCore{
		Meta: one.Meta{ID: 7, UID: 2, GID: 1}, State: s.vm, LCM: s.lcm, PrevState: one.VMActive, PrevLCM: one.LCMRunning,
		STime: began.Unix(), Attempt: 3, Since: began.UnixMilli(), ServiceID: -1, VRouterID: -1, DeployID: "uuid",
		Template: tmpl.New(tmpl.Single("CPU", "1"), tmpl.Single("MEMORY", "128")),
	}}
	switch s.vm {
	case one.VMInit, one.VMPending, one.VMHold, one.VMCloning, one.VMCloningFailure:
		v.DeployID = ""
		return v
	}
	h := one.History{
		OID: 7, Hostname: "h4", HID: 4, CID: 0, STime: began.Unix(), PSTime: began.Unix(), PETime: began.Unix() + 1, RSTime: began.Unix() + 1,
		VMMad: "kvm", TMMad: "ssh", DSID: 0, UID: -1, GID: -1, RequestID: -1,
	}
	switch s.vm {
	case one.VMStopped, one.VMUndeployed, one.VMDone:
		h.RETime, h.ESTime, h.EETime, h.ETime = began.Unix()+10, began.Unix()+10, began.Unix()+12, began.Unix()+12
	case one.VMPoweroff, one.VMSuspended:
		h.RETime = began.Unix() + 10
	}
	v.History = []*one.History{&h}
	return v
}

// times renders what is set of a record, seconds from the beginning: "now" is 500.
func times(h *one.History) string {
	var out []string
	for _, f := range []struct {
		name string
		at   int64
	}{{"S", h.STime}, {"PS", h.PSTime}, {"PE", h.PETime}, {"RS", h.RSTime}, {"RE", h.RETime}, {"ES", h.ESTime}, {"EE", h.EETime}, {"E", h.ETime}} {
		if f.at != 0 {
			out = append(out, fmt.Sprintf("%s%d", f.name, f.at-began.Unix()))
		}
	}
	return strings.Join(out, " ")
}

// unchanged fails the test if a VM that was given to the table is not as it was.
func unchanged(t *testing.T, what string, v *one.VM, s state) {
	t.Helper()
	w := vmIn(s)
	w.Resched, w.Origin, w.Hard, w.PrevState, w.PrevLCM = v.Resched, v.Origin, v.Hard, v.PrevState, v.PrevLCM
	if v.VMCore.State != w.State || v.LCM != w.LCM || v.Attempt != w.Attempt || v.Since != w.Since || len(v.History) != len(w.History) ||
		len(v.History) > 0 && *v.History[0] != *w.History[0] {
		t.Errorf("%s: the VM that was given has been changed", what)
	}
}
