package machine_test

import (
	"fmt"
	"testing"

	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
)

// recovered is where success, failure and retry lead from a state: "" is nowhere.
type recovered struct{ success, failure, retry string }

// recoverTable is §3.4 of the VM lifecycle reference for the states that there
// are steps for. States that no step leaves, and that have no row, stay.
var recoverTable = map[string]recovered{
	"UNKNOWN":                 {"RUNNING", "RUNNING", ""},
	"PROLOG":                  {"BOOT", "PROLOG_FAILURE", "PROLOG"},
	"PROLOG_FAILURE":          {"BOOT", "", "PROLOG"},
	"PROLOG_RESUME":           {"BOOT_STOPPED", "PROLOG_RESUME_FAILURE", "PROLOG_RESUME"},
	"PROLOG_RESUME_FAILURE":   {"BOOT_STOPPED", "", "PROLOG_RESUME"},
	"PROLOG_UNDEPLOY":         {"BOOT_UNDEPLOY", "PROLOG_UNDEPLOY_FAILURE", "PROLOG_UNDEPLOY"},
	"PROLOG_UNDEPLOY_FAILURE": {"BOOT_UNDEPLOY", "", "PROLOG_UNDEPLOY"},
	"BOOT":                    {"RUNNING", "BOOT_FAILURE", "BOOT"},
	"BOOT_FAILURE":            {"RUNNING", "", "BOOT"},
	"BOOT_POWEROFF":           {"RUNNING", "POWEROFF", "BOOT_POWEROFF"},
	"BOOT_SUSPENDED":          {"RUNNING", "SUSPENDED", "BOOT_SUSPENDED"},
	"BOOT_UNKNOWN":            {"RUNNING", "UNKNOWN", "BOOT_UNKNOWN"},
	"BOOT_STOPPED":            {"RUNNING", "BOOT_STOPPED_FAILURE", "BOOT_STOPPED"},
	"BOOT_STOPPED_FAILURE":    {"RUNNING", "", "BOOT_STOPPED"},
	"BOOT_UNDEPLOY":           {"RUNNING", "BOOT_UNDEPLOY_FAILURE", "BOOT_UNDEPLOY"},
	"BOOT_UNDEPLOY_FAILURE":   {"RUNNING", "", "BOOT_UNDEPLOY"},
	"SHUTDOWN":                {"EPILOG", "RUNNING", "SHUTDOWN"},
	"SHUTDOWN_POWEROFF":       {"POWEROFF", "RUNNING", "SHUTDOWN_POWEROFF"},
	"SHUTDOWN_UNDEPLOY":       {"EPILOG_UNDEPLOY", "RUNNING", "SHUTDOWN_UNDEPLOY"},
	"SAVE_SUSPEND":            {"SUSPENDED", "RUNNING", "SAVE_SUSPEND"},
	"SAVE_STOP":               {"EPILOG_STOP", "RUNNING", "SAVE_STOP"},
	"EPILOG":                  {"DONE", "EPILOG_FAILURE", "EPILOG"},
	"EPILOG_FAILURE":          {"DONE", "", "EPILOG"},
	"EPILOG_STOP":             {"STOPPED", "EPILOG_STOP_FAILURE", "EPILOG_STOP"},
	"EPILOG_STOP_FAILURE":     {"STOPPED", "", "EPILOG_STOP"},
	"EPILOG_UNDEPLOY":         {"UNDEPLOYED", "EPILOG_UNDEPLOY_FAILURE", "EPILOG_UNDEPLOY"},
	"EPILOG_UNDEPLOY_FAILURE": {"UNDEPLOYED", "", "EPILOG_UNDEPLOY"},
	"HOTPLUG":                 {"RUNNING", "RUNNING", ""},
	"HOTPLUG_NIC":             {"RUNNING", "RUNNING", ""},
	"HOTPLUG_PROLOG_POWEROFF": {"POWEROFF", "POWEROFF", ""},
	"DISK_RESIZE":             {"RUNNING", "RUNNING", ""},
	"DISK_RESIZE_POWEROFF":    {"POWEROFF", "POWEROFF", ""},

	"SAVE_MIGRATE":                    {"PROLOG_MIGRATE", "RUNNING", "SAVE_MIGRATE"},
	"MIGRATE":                         {"RUNNING", "RUNNING", "MIGRATE"},
	"PROLOG_MIGRATE":                  {"BOOT_MIGRATE", "PROLOG_MIGRATE_FAILURE", "PROLOG_MIGRATE"},
	"PROLOG_MIGRATE_FAILURE":          {"BOOT_MIGRATE", "", "PROLOG_MIGRATE"},
	"PROLOG_MIGRATE_POWEROFF":         {"POWEROFF", "PROLOG_MIGRATE_POWEROFF_FAILURE", "PROLOG_MIGRATE_POWEROFF"},
	"PROLOG_MIGRATE_POWEROFF_FAILURE": {"POWEROFF", "", "PROLOG_MIGRATE_POWEROFF"},
	"PROLOG_MIGRATE_SUSPEND":          {"SUSPENDED", "PROLOG_MIGRATE_SUSPEND_FAILURE", "PROLOG_MIGRATE_SUSPEND"},
	"PROLOG_MIGRATE_SUSPEND_FAILURE":  {"SUSPENDED", "", "PROLOG_MIGRATE_SUSPEND"},
	"PROLOG_MIGRATE_UNKNOWN":          {"BOOT", "PROLOG_MIGRATE_UNKNOWN_FAILURE", "PROLOG_MIGRATE_UNKNOWN"},
	"PROLOG_MIGRATE_UNKNOWN_FAILURE":  {"BOOT", "", "PROLOG_MIGRATE_UNKNOWN"},
	"BOOT_MIGRATE":                    {"RUNNING", "BOOT_MIGRATE_FAILURE", "BOOT_MIGRATE"},
	"BOOT_MIGRATE_FAILURE":            {"RUNNING", "", "BOOT_MIGRATE"},

	"HOTPLUG_EPILOG_POWEROFF": {"POWEROFF", "POWEROFF", ""},

	"HOTPLUG_SNAPSHOT":               {"RUNNING", "RUNNING", ""},
	"DISK_SNAPSHOT":                  {"RUNNING", "RUNNING", ""},
	"DISK_SNAPSHOT_DELETE":           {"RUNNING", "RUNNING", ""},
	"DISK_SNAPSHOT_POWEROFF":         {"POWEROFF", "POWEROFF", ""},
	"DISK_SNAPSHOT_REVERT_POWEROFF":  {"POWEROFF", "POWEROFF", ""},
	"DISK_SNAPSHOT_DELETE_POWEROFF":  {"POWEROFF", "POWEROFF", ""},
	"DISK_SNAPSHOT_SUSPENDED":        {"SUSPENDED", "SUSPENDED", ""},
	"DISK_SNAPSHOT_DELETE_SUSPENDED": {"SUSPENDED", "SUSPENDED", ""},

	"CLEANUP_DELETE":   {"DONE", "DONE", ""},
	"CLEANUP_RESUBMIT": {"PENDING", "PENDING", ""},
}

func TestRecoverOutcomes(t *testing.T) {
	for _, s := range states() {
		r := recoverTable[s.String()]
		if s.vm != one.VMActive {
			r = recovered{}
		}
		for _, q := range []struct {
			op   machine.Recovery
			to   string
			text string
			code one.Action
		}{
			{machine.RecoverSuccess, r.success, "Could not perform a recover operation on VM 7, wrong state %s.", one.ActionRecover},
			{machine.RecoverFailure, r.failure, "Could not perform a recover operation on VM 7, wrong state %s.", one.ActionRecover},
			{machine.RecoverRetry, r.retry, "Could not perform a retry on VM 7, wrong state %s.", one.ActionRetry},
		} {
			what := fmt.Sprintf("%s, operation %d", s, q.op)
			v := vmIn(s)
			ch, err := machine.Recover(v, q.op, ana, now)
			unchanged(t, what, v, s)
			switch {
			case s.vm != one.VMActive:
				if want := fmt.Sprintf(q.text, s); err == nil || err.Error() != want {
					t.Errorf("%s: got %v, want %s", what, err, want)
				}
			case err != nil:
				t.Errorf("%s: %v", what, err)
			case q.to == "":
				if ch.VM != v || ch.Done || ch.Charge {
					t.Errorf("%s: changed to %s", what, stateOf(ch.VM))
				}
			default:
				h := ch.VM.LastRecord()
				if stateOf(ch.VM).String() != q.to || ch.VM.Attempt <= v.Attempt {
					t.Errorf("%s: leads to %s, want %s", what, stateOf(ch.VM), q.to)
				}
				if h.Action != q.code && h.Action != one.ActionNone {
					t.Errorf("%s: the record says action %d", what, h.Action)
				}
			}
		}
	}
	v := vmIn(state{one.VMActive, one.LCMBoot})
	v.DeployID = ""
	if ch, err := machine.Recover(v, machine.RecoverSuccess, ana, now); err != nil || ch.VM.DeployID != "one-7" {
		t.Errorf("recovered without a name of the domain: %v, %q", err, ch.VM.DeployID)
	}
}

// Deleting, in every state.
func TestRecoverDelete(t *testing.T) {
	for _, s := range states() {
		to := "DONE"
		if s.vm == one.VMActive || named(t, "POWEROFF SUSPENDED STOPPED UNDEPLOYED")[s] {
			to = "CLEANUP_DELETE"
		}
		v := vmIn(s)
		ch, err := machine.Recover(v, machine.RecoverDelete, ana, now)
		if err != nil || stateOf(ch.VM).String() != to {
			t.Errorf("delete in %s: %v, leads to %s", s, err, stateOf(ch.VM))
		}
		if same := s.vm == one.VMDone || s.lcm == one.LCMCleanupDelete; same != (ch.VM == v) || ch.Done != (to == "DONE" && !same) {
			t.Errorf("delete in %s: same %v, done %v", s, ch.VM == v, ch.Done)
		}
		ch, err = machine.Recover(v, machine.RecoverDeleteDB, ana, now)
		if err != nil || ch.VM.State != one.VMDone || ch.Done != (s.vm != one.VMDone) {
			t.Errorf("delete-db in %s: %v, leads to %s, done %v", s, err, stateOf(ch.VM), ch.Done)
		}
	}
	waiting := vmIn(state{vm: one.VMStopped})
	waiting.State, waiting.Origin = one.VMPending, one.VMStopped
	if ch, err := machine.Recover(waiting, machine.RecoverDelete, ana, now); err != nil || !ch.VM.Active(one.LCMCleanupDelete) {
		t.Errorf("delete of what waits to be resumed: %v, %s", err, stateOf(ch.VM))
	}
}

func TestRecoverRecreate(t *testing.T) {
	refusals := map[string]string{
		"POWEROFF":  "Cannot delete-recreate a powered off VM. Resume it first",
		"SUSPENDED": "Cannot delete-recreate a suspended VM. Resume it first",
		"DONE":      "Cannot delete-recreate a VM already in DONE state",
	}
	nothing := named(t, "INIT PENDING CLONING CLONING_FAILURE CLEANUP_DELETE CLEANUP_RESUBMIT")
	for _, s := range states() {
		v := vmIn(s)
		v.Resched = true
		ch, err := machine.Recover(v, machine.RecoverRecreate, ana, now)
		if want := refusals[s.String()]; want != "" {
			if err == nil || err.Error() != want {
				t.Errorf("%s: got %v, want %s", s, err, want)
			}
			continue
		}
		to := "CLEANUP_RESUBMIT"
		if s.vm == one.VMHold {
			to = "PENDING"
		}
		if nothing[s] {
			to = s.String()
		}
		if err != nil || stateOf(ch.VM).String() != to || nothing[s] != (ch.VM == v) {
			t.Errorf("%s: %v, leads to %s, want %s", s, err, stateOf(ch.VM), to)
			continue
		}
		if to != "CLEANUP_RESUBMIT" || nothing[s] {
			continue
		}
		// From where nothing is charged for running it is charged again.
		if !v.CountsAsRunning() && !ch.Charge {
			t.Errorf("%s: running quotas are not charged", s)
		}
		done, _ := machine.Finish(ch.VM, false, "", now)
		if n := done.VM; n.State != one.VMPending || n.DeployID != "" || n.Resched || n.Origin != one.VMInit || !done.Resubmitted {
			t.Errorf("%s: recreated it is %s, DEPLOY_ID %q, resched %v, origin %s", s, stateOf(n), n.DeployID, n.Resched, n.Origin)
		}
	}
}

func TestRecoverUnknownOperation(t *testing.T) {
	for _, op := range []machine.Recovery{-1, 6, 99} {
		if _, err := machine.Recover(vmIn(state{one.VMActive, one.LCMBoot}), op, ana, now); err == nil || err.Error() != "Wrong recovery operation code" {
			t.Errorf("operation %d: %v", op, err)
		}
	}
}
