package machine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
)

// end is where an outcome of a step leads, and what it writes into the record.
type end struct{ to, times string }

// stepTable says of every state that a step leaves what the step is and where its
// outcomes lead. Sources: VM lifecycle reference §3.1 to §3.4 and §4.
var stepTable = map[string]struct {
	op, hard  agentapi.Op
	good, bad end
	kept      bool // the guest lives on when it fails, and the log says so
	deployID  bool // success tells the hypervisor's name of the domain
}{
	"PROLOG":            {op: agentapi.OpPrepare, good: end{"BOOT", "S0 PS0 PE500 RS500"}, bad: end{"PROLOG_FAILURE", old}},
	"BOOT":              {op: agentapi.OpStart, good: end{"RUNNING", old}, bad: end{"BOOT_FAILURE", old}, deployID: true},
	"BOOT_POWEROFF":     {op: agentapi.OpStart, good: end{"RUNNING", old}, bad: end{"POWEROFF", old + " RE500"}, deployID: true},
	"BOOT_UNKNOWN":      {op: agentapi.OpStart, good: end{"RUNNING", old}, bad: end{"UNKNOWN", old}, deployID: true},
	"BOOT_SUSPENDED":    {op: agentapi.OpRestore, good: end{"RUNNING", old}, bad: end{"SUSPENDED", old + " RE500"}, deployID: true},
	"BOOT_STOPPED":      {op: agentapi.OpRestore, good: end{"RUNNING", old}, bad: end{"BOOT_STOPPED_FAILURE", old}, deployID: true},
	"BOOT_UNDEPLOY":     {op: agentapi.OpStart, good: end{"RUNNING", old}, bad: end{"BOOT_UNDEPLOY_FAILURE", old}, deployID: true},
	"SHUTDOWN":          {op: agentapi.OpShutdown, hard: agentapi.OpDestroy, good: end{"EPILOG", old + " RE500 ES500"}, bad: end{"RUNNING", old}, kept: true},
	"SHUTDOWN_POWEROFF": {op: agentapi.OpShutdown, hard: agentapi.OpDestroy, good: end{"POWEROFF", old + " RE500"}, bad: end{"RUNNING", old}, kept: true},
	"SHUTDOWN_UNDEPLOY": {op: agentapi.OpShutdown, hard: agentapi.OpDestroy, good: end{"EPILOG_UNDEPLOY", old + " RE500 ES500"}, bad: end{"RUNNING", old}, kept: true},
	"SAVE_SUSPEND":      {op: agentapi.OpSave, good: end{"SUSPENDED", old + " RE500"}, bad: end{"RUNNING", old}, kept: true},
	"SAVE_STOP":         {op: agentapi.OpSave, good: end{"EPILOG_STOP", old + " RE500 ES500"}, bad: end{"RUNNING", old}, kept: true},
	"EPILOG":            {op: agentapi.OpFinish, good: end{"DONE", old + " EE500 E500"}, bad: end{"EPILOG_FAILURE", old}},
	"EPILOG_STOP":       {op: agentapi.OpStore, good: end{"STOPPED", old + " EE500 E500"}, bad: end{"EPILOG_STOP_FAILURE", old}},
	"EPILOG_UNDEPLOY":   {op: agentapi.OpStore, good: end{"UNDEPLOYED", old + " EE500 E500"}, bad: end{"EPILOG_UNDEPLOY_FAILURE", old}},
	"PROLOG_RESUME":     {op: agentapi.OpFetch, good: end{"BOOT_STOPPED", "S0 PS0 PE500 RS500"}, bad: end{"PROLOG_RESUME_FAILURE", old}},
	"PROLOG_UNDEPLOY":   {op: agentapi.OpFetch, good: end{"BOOT_UNDEPLOY", "S0 PS0 PE500 RS500"}, bad: end{"PROLOG_UNDEPLOY_FAILURE", old}},
	"CLEANUP_DELETE":    {op: agentapi.OpCleanup, good: end{"DONE", old + " EE500 E500"}, bad: end{"DONE", old + " EE500 E500"}},
	"CLEANUP_RESUBMIT":  {op: agentapi.OpCleanup, good: end{"PENDING", old + " EE500 E500"}, bad: end{"PENDING", old + " EE500 E500"}},
	// Of migrations there is more in migrate_test.go.
	"SAVE_MIGRATE":            {op: agentapi.OpSave, good: end{"PROLOG_MIGRATE", old}, bad: end{"RUNNING", old}},
	"MIGRATE":                 {op: agentapi.OpStart, good: end{"RUNNING", old}, bad: end{"RUNNING", old}},
	"PROLOG_MIGRATE":          {op: agentapi.OpFetch, good: end{"BOOT_MIGRATE", "S0 PS0 PE500 RS500"}, bad: end{"PROLOG_MIGRATE_FAILURE", old}},
	"PROLOG_MIGRATE_POWEROFF": {op: agentapi.OpFetch, good: end{"POWEROFF", "S0 PS0 PE500 RS500 RE500"}, bad: end{"PROLOG_MIGRATE_POWEROFF_FAILURE", old}},
	"PROLOG_MIGRATE_SUSPEND":  {op: agentapi.OpFetch, good: end{"SUSPENDED", "S0 PS0 PE500 RS500 RE500"}, bad: end{"PROLOG_MIGRATE_SUSPEND_FAILURE", old}},
	"PROLOG_MIGRATE_UNKNOWN":  {op: agentapi.OpFetch, good: end{"BOOT", "S0 PS0 PE500 RS500"}, bad: end{"PROLOG_MIGRATE_UNKNOWN_FAILURE", old}},
	"BOOT_MIGRATE":            {op: agentapi.OpRestore, good: end{"RUNNING", old}, bad: end{"BOOT_MIGRATE_FAILURE", old}, deployID: true},

	// Of changes of disks there is more in disk_test.go.
	"DISK_RESIZE":             {op: agentapi.OpResizeDisk, good: end{"RUNNING", old}, bad: end{"RUNNING", old}},
	"DISK_RESIZE_POWEROFF":    {op: agentapi.OpGrowDisk, good: end{"POWEROFF", old}, bad: end{"POWEROFF", old}},
	"HOTPLUG_PROLOG_POWEROFF": {op: agentapi.OpPlaceDisk, good: end{"POWEROFF", old}, bad: end{"POWEROFF", old}},
	"HOTPLUG_EPILOG_POWEROFF": {op: agentapi.OpDropDisk, good: end{"POWEROFF", old}, bad: end{"POWEROFF", old}},

	// What is done about snapshots the VM says: see snapshot_test.go.
	"HOTPLUG_SNAPSHOT":               {op: agentapi.OpSnapshotCreate, good: end{"RUNNING", old}, bad: end{"RUNNING", old}},
	"DISK_SNAPSHOT":                  {op: agentapi.OpSnapshotCreate, good: end{"RUNNING", old}, bad: end{"RUNNING", old}},
	"DISK_SNAPSHOT_DELETE":           {op: agentapi.OpSnapshotCreate, good: end{"RUNNING", old}, bad: end{"RUNNING", old}},
	"DISK_SNAPSHOT_POWEROFF":         {op: agentapi.OpSnapshotCreate, good: end{"POWEROFF", old}, bad: end{"POWEROFF", old}},
	"DISK_SNAPSHOT_REVERT_POWEROFF":  {op: agentapi.OpSnapshotCreate, good: end{"POWEROFF", old}, bad: end{"POWEROFF", old}},
	"DISK_SNAPSHOT_DELETE_POWEROFF":  {op: agentapi.OpSnapshotCreate, good: end{"POWEROFF", old}, bad: end{"POWEROFF", old}},
	"DISK_SNAPSHOT_SUSPENDED":        {op: agentapi.OpSnapshotCreate, good: end{"SUSPENDED", old}, bad: end{"SUSPENDED", old}},
	"DISK_SNAPSHOT_DELETE_SUSPENDED": {op: agentapi.OpSnapshotCreate, good: end{"SUSPENDED", old}, bad: end{"SUSPENDED", old}},

	"HOTPLUG":     {op: agentapi.OpContext, good: end{"RUNNING", old}, bad: end{"RUNNING", old}},
	"HOTPLUG_NIC": {op: agentapi.OpContext, good: end{"RUNNING", old}, bad: end{"RUNNING", old}}, // of a change: see nic_test.go
}

func TestSteps(t *testing.T) {
	for _, s := range states() {
		row, want := stepTable[s.String()]
		want = want && s.vm == one.VMActive
		step, ok := machine.StepOf(vmIn(s))
		if ok != want {
			t.Errorf("%s: a step %v, want %v", s, ok, want)
			continue
		}
		if !want {
			if _, ok := machine.Finish(vmIn(s), true, "x", now); ok {
				t.Errorf("%s: the step of a state without one can be finished", s)
			}
			continue
		}
		soft, hard := vmIn(s), vmIn(s)
		hard.Hard = true
		wantHard := row.op
		if row.hard != "" {
			wantHard = row.hard
		}
		if step.For(soft) != row.op || step.For(hard) != wantHard || step.Timeout < time.Minute {
			t.Errorf("%s: op %s, hard %s, timeout %s", s, step.For(soft), step.For(hard), step.Timeout)
		}
		for _, good := range []bool{true, false} {
			checkFinish(t, s, good, map[bool]end{true: row.good, false: row.bad}[good], row.deployID, row.kept)
		}
	}
	if len(machine.Steps()) != len(stepTable) {
		t.Errorf("%d steps, the table has %d", len(machine.Steps()), len(stepTable))
	}
}

func checkFinish(t *testing.T, s state, good bool, want end, deployID, kept bool) {
	t.Helper()
	what := fmt.Sprintf("%s, good %v", s, good)
	v := vmIn(s)
	ch, ok := machine.Finish(v, good, "new-id", now)
	unchanged(t, what, v, s)
	n := ch.VM
	if !ok || stateOf(n).String() != want.to || times(n.LastRecord()) != want.times {
		t.Errorf("%s: %s with %s, want %s with %s", what, stateOf(n), times(n.LastRecord()), want.to, want.times)
	}
	if n.Attempt != v.Attempt+1 || n.Since != now.UnixMilli() || n.PrevState != v.State || n.PrevLCM != v.LCM {
		t.Errorf("%s: attempt %d, since %d, before %s", what, n.Attempt, n.Since, one.StateString(n.PrevState, n.PrevLCM))
	}
	wantID := "uuid"
	switch {
	case s.lcm == one.LCMCleanupResubmit:
		wantID = ""
	case deployID && good:
		wantID = "new-id"
	}
	if n.DeployID != wantID {
		t.Errorf("%s: DEPLOY_ID %q, want %q", what, n.DeployID, wantID)
	}
	done := want.to == "DONE"
	if ch.Done != done || done != (n.ETime != 0) || ch.Resubmitted != (s.lcm == one.LCMCleanupResubmit) || ch.Charge || ch.Op != "" {
		t.Errorf("%s: %+v", what, ch)
	}
	if (ch.Log != "") != (kept && !good) || ch.Log != "" && !strings.HasSuffix(ch.Log, "Assuming that the VM is still RUNNING.") {
		t.Errorf("%s: log %q", what, ch.Log)
	}
	if h := n.LastRecord(); want.to == "RUNNING" && !strings.HasPrefix(s.String(), "HOTPLUG") && !strings.HasPrefix(s.String(), "DISK_") && (h.Action != 0 || h.UID != -1 || h.RequestID != -1) {
		t.Errorf("%s: the record says action %d of user %d", what, h.Action, h.UID)
	}
}

// The failure of a shutdown takes the note of who asked for it back.
func TestFailedShutdownIsForgotten(t *testing.T) {
	ch, err := machine.Act(vmIn(state{one.VMActive, one.LCMRunning}), "poweroff-hard", ana, now)
	if err != nil {
		t.Fatal(err)
	}
	failed, _ := machine.Finish(ch.VM, false, "", now)
	if h := failed.VM.LastRecord(); h.Action != one.ActionNone || h.UID != -1 {
		t.Errorf("the record says action %d of user %d", h.Action, h.UID)
	}
	done, _ := machine.Finish(ch.VM, true, "", now)
	if h := done.VM.LastRecord(); h.Action != one.ActionPoweroffHard || h.UID != 2 {
		t.Errorf("done: the record says action %d of user %d", h.Action, h.UID)
	}
}

// Persistent images of what is cleaned up may be half written, unless the VM was
// off or already on its way out. Source: VM lifecycle reference §3.4.
func TestStale(t *testing.T) {
	for from, want := range map[string]bool{
		"RUNNING": true, "PROLOG": true, "BOOT_FAILURE": true, "EPILOG": false, "UNKNOWN": true, "EPILOG_FAILURE": true,
		"POWEROFF": false, "SUSPENDED": false, "STOPPED": false, "UNDEPLOYED": false,
	} {
		for s := range named(t, from) {
			ch, err := machine.Recover(vmIn(s), machine.RecoverDelete, ana, now)
			if err != nil || !ch.VM.Active(one.LCMCleanupDelete) {
				t.Fatalf("delete in %s: %v, %s", from, err, stateOf(ch.VM))
			}
			if ch, _ = machine.Finish(ch.VM, true, "", now); !ch.Done || ch.Stale != want {
				t.Errorf("deleted in %s: done %v, stale %v", from, ch.Done, ch.Stale)
			}
			if ch, err = machine.Recover(vmIn(s), machine.RecoverDeleteDB, ana, now); err != nil || !ch.Done || ch.Stale != want {
				t.Errorf("deleted from the database in %s: %v, done %v, stale %v", from, err, ch.Done, ch.Stale)
			}
		}
	}
	ch, _ := machine.Finish(vmIn(state{one.VMActive, one.LCMEpilog}), true, "", now)
	if ch.Stale {
		t.Error("an orderly end leaves persistent images stale")
	}
}

// One that was stopped only to run elsewhere waits for a place at once; who stops
// it himself has the last word.
func TestRescheduled(t *testing.T) {
	for lcm, origin := range map[one.LCMState]one.VMState{one.LCMEpilogStop: one.VMStopped, one.LCMEpilogUndeploy: one.VMUndeployed} {
		v := vmIn(state{one.VMActive, lcm})
		v.Resched = true
		ch, _ := machine.Finish(v, true, "", now)
		if ch.VM.State != one.VMPending || ch.VM.Origin != origin || !ch.VM.Resched || times(ch.VM.LastRecord()) != old+" EE500 E500" {
			t.Errorf("%s: %s from %s, resched %v", lcm, stateOf(ch.VM), ch.VM.Origin, ch.VM.Resched)
		}
	}
	v := vmIn(state{one.VMActive, one.LCMRunning})
	v.Resched = true
	ch, err := machine.Act(v, "stop", ana, now)
	for err == nil && ch.VM.State == one.VMActive {
		ch, _ = machine.Finish(ch.VM, true, "", now)
	}
	if err != nil || ch.VM.State != one.VMStopped || ch.VM.Resched {
		t.Errorf("stopped by hand: %v, %s, resched %v", err, stateOf(ch.VM), ch.VM.Resched)
	}
}

// Which step leaves an image's state. Source: resources reference §3.2 and §3.3.
func TestImageSteps(t *testing.T) {
	for s := range one.ImageState(11) {
		for _, q := range []struct {
			path    string
			cloning int
			op      agentapi.Op
		}{{"", -1, agentapi.OpImageCreate}, {"/x", -1, agentapi.OpImageImport}, {"", 3, agentapi.OpImageClone}} {
			want, passing := q.op, s.Copying()
			if s == one.ImageDelete {
				want, passing = agentapi.OpImageDelete, true
			}
			if !passing {
				want = ""
			}
			if op, ok := machine.ImageStep(&one.Image{State: s, Path: q.path, CloningID: q.cloning}); op != want || ok != passing {
				t.Errorf("%s: %s, %v; want %s", s, op, ok, want)
			}
		}
	}
}
