package machine_test

import (
	"fmt"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
)

// row is one row of the reference's table: from any of the states, to a state.
type row struct {
	from, to string
	records  int    // how many more history records there are
	times    string // of the newest record, then
	charge   bool
	op       agentapi.Op
}

const (
	old     = "S0 PS0 PE1 RS1" // a record of a VM that runs
	off     = old + " RE10"    // and of one that is off
	put     = off + " ES10 EE12 E12"
	resumed = "S500 RS500"
)

// actionTable is §3.1 of the VM lifecycle reference, action by action.
var actionTable = map[string]struct {
	code one.Action
	hard bool
	rows []row
}{
	"terminate": {one.ActionTerminate, false, []row{
		{from: "RUNNING UNKNOWN", to: "SHUTDOWN", times: old},
		{from: "POWEROFF SUSPENDED", to: "EPILOG", times: off + " ES500"},
		{from: "STOPPED UNDEPLOYED", to: "EPILOG", times: off + " ES500 EE12 E12"},
		{from: "INIT PENDING HOLD CLONING CLONING_FAILURE", to: "DONE"},
		{from: "*_FAILURE", to: "CLEANUP_DELETE", times: old},
		{from: "DONE", to: "DONE", times: put},
	}},
	"terminate-hard": {one.ActionTerminateHard, true, []row{
		{from: "RUNNING UNKNOWN SHUTDOWN", to: "SHUTDOWN", times: old},
		{from: "POWEROFF SUSPENDED", to: "EPILOG", times: off + " ES500"},
		{from: "STOPPED UNDEPLOYED", to: "EPILOG", times: off + " ES500 EE12 E12"},
		{from: "INIT PENDING HOLD CLONING CLONING_FAILURE", to: "DONE"},
		{from: "*_FAILURE", to: "CLEANUP_DELETE", times: old},
		{from: "DONE", to: "DONE", times: put},
	}},
	"undeploy": {one.ActionUndeploy, false, []row{
		{from: "RUNNING UNKNOWN", to: "SHUTDOWN_UNDEPLOY", times: old},
		{from: "POWEROFF", to: "EPILOG_UNDEPLOY", times: off + " ES500"},
	}},
	"undeploy-hard": {one.ActionUndeployHard, true, []row{
		{from: "RUNNING UNKNOWN SHUTDOWN_UNDEPLOY", to: "SHUTDOWN_UNDEPLOY", times: old},
		{from: "POWEROFF", to: "EPILOG_UNDEPLOY", times: off + " ES500"},
	}},
	"poweroff": {one.ActionPoweroff, false, []row{{from: "RUNNING UNKNOWN", to: "SHUTDOWN_POWEROFF", times: old}}},
	"poweroff-hard": {one.ActionPoweroffHard, true, []row{
		{from: "RUNNING UNKNOWN SHUTDOWN_POWEROFF", to: "SHUTDOWN_POWEROFF", times: old},
	}},
	"reboot":      {one.ActionReboot, false, []row{{from: "RUNNING", to: "RUNNING", times: old, op: agentapi.OpReboot}}},
	"reboot-hard": {one.ActionRebootHard, false, []row{{from: "RUNNING", to: "RUNNING", times: old, op: agentapi.OpReset}}},
	"hold":        {one.ActionHold, false, []row{{from: "PENDING", to: "HOLD"}}},
	"release":     {one.ActionRelease, false, []row{{from: "HOLD", to: "PENDING"}}},
	"stop": {one.ActionStop, false, []row{
		{from: "RUNNING", to: "SAVE_STOP", times: old}, {from: "SUSPENDED", to: "EPILOG_STOP", times: off + " ES500"},
	}},
	"suspend": {one.ActionSuspend, false, []row{{from: "RUNNING", to: "SAVE_SUSPEND", times: old}}},
	"resume": {one.ActionResume, false, []row{
		{from: "STOPPED UNDEPLOYED", to: "PENDING", times: put, charge: true},
		{from: "SUSPENDED", to: "BOOT_SUSPENDED", records: 1, times: resumed, charge: true},
		{from: "POWEROFF", to: "BOOT_POWEROFF", records: 1, times: resumed, charge: true},
		{from: "UNKNOWN", to: "BOOT_UNKNOWN", times: old},
	}},
	"resched":   {one.ActionResched, false, []row{{from: "RUNNING UNKNOWN", times: old}, {from: "POWEROFF", times: off}}},
	"unresched": {one.ActionUnresched, false, []row{{from: "RUNNING UNKNOWN", times: old}, {from: "POWEROFF", times: off}}},
}

// Every action in every state: where it is allowed, what it does to the VM and
// its newest record; where not, in which words it is refused.
func TestActions(t *testing.T) {
	for name, a := range actionTable {
		if op, ok := machine.Operation(name); !ok || op == "" {
			t.Errorf("%s: no operation", name)
		}
		rows := map[state]row{}
		for _, r := range a.rows {
			for s := range named(t, r.from) {
				rows[s] = r
			}
		}
		for _, s := range states() {
			what := fmt.Sprintf("%s in %s", name, s)
			r, allowed := rows[s]
			for _, resched := range []bool{false, true} {
				v := vmIn(s)
				v.Resched = resched
				ch, err := machine.Act(v, name, ana, now)
				unchanged(t, what, v, s)
				if !allowed {
					want := fmt.Sprintf("Error performing action %q: This action is not available for state %s", name, s)
					if a.code == one.ActionTerminate || a.code == one.ActionTerminateHard {
						want = fmt.Sprintf("Error performing action %q: Could not terminate VM 7, wrong state %s.", name, s)
					}
					if err == nil || err.Error() != want {
						t.Errorf("%s: got %v, want %s", what, err, want)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", what, err)
					continue
				}
				checkAction(t, what, name, a.code, a.hard, r, s, v, ch)
			}
		}
	}
}

func checkAction(t *testing.T, what, name string, code one.Action, hard bool, r row, s state, v *one.VM, ch machine.Change) {
	t.Helper()
	n := ch.VM
	to := r.to
	if to == "" {
		to = s.String()
	}
	if stateOf(n).String() != to || n.State != one.VMActive && n.LCM != one.LCMInit {
		t.Errorf("%s: leads to %s (%d/%d), want %s", what, stateOf(n), n.State, n.LCM, to)
	}
	if ch.Op != r.op || ch.Charge != r.charge {
		t.Errorf("%s: op %q, charge %v", what, ch.Op, ch.Charge)
	}
	if to == "DONE" && s.vm != one.VMDone && (!ch.Done || ch.Stale || n.ETime != now.Unix()) {
		t.Errorf("%s: done %v, stale %v, ETIME %d", what, ch.Done, ch.Stale, n.ETime)
	}
	if s.vm == one.VMDone {
		if n != v {
			t.Errorf("%s: changed", what)
		}
		return
	}
	if got := len(n.History) - len(v.History); got != r.records {
		t.Errorf("%s: %d new records", what, got)
	}
	if h := n.LastRecord(); h != nil {
		if times(h) != r.times {
			t.Errorf("%s: times %s, want %s", what, times(h), r.times)
		}
		was := n.History[len(v.History)-1]
		if was.Action != code || was.UID != 2 || was.GID != 1 || was.RequestID != 77 {
			t.Errorf("%s: the record says action %d of user %d, group %d, request %d", what, was.Action, was.UID, was.GID, was.RequestID)
		}
		if r.records > 0 {
			if was.ETime != now.Unix() || h.Action != one.ActionNone || h.UID != -1 || h.HID != was.HID || h.DSID != was.DSID || h.VMMad != was.VMMad || h.Hostname != was.Hostname || h.Seq != was.Seq+1 || h.OID != 7 {
				t.Errorf("%s: closed %+v, opened %+v", what, was, h)
			}
		}
	}
	if want := hard && n.State == one.VMActive; n.Hard != want {
		t.Errorf("%s: hard %v", what, n.Hard)
	}
	entered := r.to != "" && r.op == ""
	if entered && (n.Attempt != v.Attempt+1 || n.Since != now.UnixMilli()) || !entered && (n.Attempt != v.Attempt || n.Since != v.Since) {
		t.Errorf("%s: attempt %d → %d, since %d", what, v.Attempt, n.Attempt, n.Since)
	}
	wantOrigin := one.VMInit
	if name == "resume" && (s.vm == one.VMStopped || s.vm == one.VMUndeployed) {
		wantOrigin = s.vm
	}
	if n.Origin != wantOrigin {
		t.Errorf("%s: origin %s", what, n.Origin)
	}
	switch name {
	case "resched":
		if !n.Resched {
			t.Errorf("%s: RESCHED is not set", what)
		}
	case "resume", "hold", "release":
		if n.Resched != v.Resched {
			t.Errorf("%s: RESCHED has changed", what)
		}
	default:
		if n.Resched {
			t.Errorf("%s: RESCHED is still set", what)
		}
	}
}

func TestUnknownAction(t *testing.T) {
	for _, name := range []string{"", "shutdown", "Resume", "delete", `a"b`, "terminate-hard-hard"} {
		_, err := machine.Act(vmIn(state{one.VMActive, one.LCMRunning}), name, ana, now)
		if want := `Action "` + name + `" is not supported`; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if op, ok := machine.Operation(name); ok {
			t.Errorf("%q is operation %q", name, op)
		}
	}
	for name, want := range map[string]string{"terminate-hard": "terminate", "resched": "resched", "unresched": "resched", "poweroff-hard": "poweroff", "hold": "hold"} {
		if op, ok := machine.Operation(name); !ok || op != want {
			t.Errorf("%s: operation %q, %v", name, op, ok)
		}
		if _, known := one.VMOperation(want); !known {
			t.Errorf("%s is no keyword of VM_*_OPERATIONS", want)
		}
	}
}

// A VM that waits to be resumed has files: they go before it is done.
func TestTerminateWhatWaitsToBeResumed(t *testing.T) {
	for _, from := range []one.VMState{one.VMStopped, one.VMUndeployed} {
		for _, s := range []state{{vm: one.VMPending}, {vm: one.VMHold}} {
			v := vmIn(state{vm: from})
			v.State, v.Origin = s.vm, from
			ch, err := machine.Act(v, "terminate", ana, now)
			if err != nil || !ch.VM.Active(one.LCMEpilog) || ch.Done {
				t.Errorf("%s after %s: %v, %s, done %v", s, from, err, stateOf(ch.VM), ch.Done)
			}
		}
	}
	// Held and released it still is what it was.
	v := vmIn(state{vm: one.VMStopped})
	v.State, v.Origin = one.VMPending, one.VMStopped
	for _, a := range []string{"hold", "release"} {
		ch, err := machine.Act(v, a, ana, now)
		if err != nil || ch.VM.Origin != one.VMStopped {
			t.Fatalf("%s: %v, origin %s", a, err, ch.VM.Origin)
		}
		v = ch.VM
	}
}

// Deploying opens a record and begins with the prolog that what there is asks
// for. Source: VM lifecycle reference §3.2.
func TestDeploy(t *testing.T) {
	place := machine.Place{HostID: 9, Hostname: "h9", ClusterID: 2, VMMad: "qemu", DSID: 100, TMMad: "shared"}
	for _, s := range states() {
		for _, origin := range []one.VMState{one.VMInit, one.VMStopped, one.VMUndeployed} {
			if origin != one.VMInit && s.vm != one.VMPending && s.vm != one.VMHold {
				continue
			}
			v := vmIn(s)
			if v.Origin = origin; origin != one.VMInit {
				v.History = vmIn(state{vm: origin}).History
			}
			v.Resched = true
			want, charge := "", false
			switch {
			case s.vm == one.VMStopped:
				want, charge = "PROLOG_RESUME", true
			case s.vm == one.VMUndeployed:
				want, charge = "PROLOG_UNDEPLOY", true
			case s.vm == one.VMPending || s.vm == one.VMHold:
				want = map[one.VMState]string{one.VMInit: "PROLOG", one.VMStopped: "PROLOG_RESUME", one.VMUndeployed: "PROLOG_UNDEPLOY"}[origin]
			}
			ch, err := machine.Deploy(v, place, now)
			if want == "" {
				if err == nil || err.Error() != "Deploy action is not available for state "+s.String() {
					t.Errorf("%s: %v", s, err)
				}
				continue
			}
			if err != nil || stateOf(ch.VM).String() != want || ch.Charge != charge {
				t.Errorf("%s after %s: %v, %s, charge %v", s, origin, err, stateOf(ch.VM), ch.Charge)
				continue
			}
			h := *ch.VM.LastRecord()
			if times(&h) != "S500 PS500" {
				t.Errorf("%s: times %s", s, times(&h))
			}
			h.STime, h.PSTime = 0, 0
			if h != (one.History{OID: 7, Seq: len(v.History), Hostname: "h9", HID: 9, CID: 2, VMMad: "qemu", TMMad: "shared", DSID: 100, UID: -1, GID: -1, RequestID: -1}) {
				t.Errorf("%s: record %+v", s, h)
			}
			if len(v.History) > 0 && ch.VM.History[0].ETime == 0 {
				t.Errorf("%s: the record before is still open", s)
			}
			if ch.VM.Resched || ch.VM.Origin != one.VMInit || ch.VM.Attempt != v.Attempt+1 {
				t.Errorf("%s: resched %v, origin %s", s, ch.VM.Resched, ch.VM.Origin)
			}
		}
	}
}
