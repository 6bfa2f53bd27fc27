package machine_test

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
)

// there is where VMs go, from host 4.
var there = machine.Place{HostID: 9, Hostname: "nine", ClusterID: 1, VMMad: "kvm", DSID: 0, TMMad: "shared"}

// leg is one step of a migration: what is done, and at which host.
type leg struct {
	state string
	op    agentapi.Op
	host  int
}

// migrations are all ways for a VM to another host, with the hosts that are charged
// in the first state.
var migrations = []struct {
	from   state
	action one.Action
	legs   []leg
	end    string
	abroad int
	lost   bool
}{
	{state{one.VMActive, one.LCMRunning}, one.ActionMigrate, []leg{
		{"SAVE_MIGRATE", agentapi.OpSave, 4}, {"PROLOG_MIGRATE", agentapi.OpStore, 4}, {"PROLOG_MIGRATE", agentapi.OpFetch, 9}, {"BOOT_MIGRATE", agentapi.OpRestore, 9},
	}, "RUNNING", 4, false},
	{state{one.VMActive, one.LCMRunning}, one.ActionPoweroffMigrate, []leg{
		{"SAVE_MIGRATE", agentapi.OpShutdown, 4}, {"PROLOG_MIGRATE", agentapi.OpStore, 4}, {"PROLOG_MIGRATE", agentapi.OpFetch, 9}, {"BOOT", agentapi.OpStart, 9},
	}, "RUNNING", 4, false},
	{state{one.VMActive, one.LCMRunning}, one.ActionPoweroffHardMig, []leg{
		{"SAVE_MIGRATE", agentapi.OpDestroy, 4}, {"PROLOG_MIGRATE", agentapi.OpStore, 4}, {"PROLOG_MIGRATE", agentapi.OpFetch, 9}, {"BOOT", agentapi.OpStart, 9},
	}, "RUNNING", 4, false},
	{state{one.VMActive, one.LCMRunning}, one.ActionLiveMigrate, []leg{{"MIGRATE", agentapi.OpMigrate, 4}, {"MIGRATE", agentapi.OpStart, 9}}, "RUNNING", 4, false},
	{state{vm: one.VMPoweroff}, one.ActionLiveMigrate, []leg{
		{"PROLOG_MIGRATE_POWEROFF", agentapi.OpStore, 4}, {"PROLOG_MIGRATE_POWEROFF", agentapi.OpFetch, 9},
	}, "POWEROFF", -1, false},
	{state{vm: one.VMSuspended}, one.ActionMigrate, []leg{
		{"PROLOG_MIGRATE_SUSPEND", agentapi.OpStore, 4}, {"PROLOG_MIGRATE_SUSPEND", agentapi.OpFetch, 9},
	}, "SUSPENDED", -1, false},
	{state{one.VMActive, one.LCMUnknown}, one.ActionMigrate, []leg{
		{"PROLOG_MIGRATE_UNKNOWN", agentapi.OpStore, 4}, {"PROLOG_MIGRATE_UNKNOWN", agentapi.OpFetch, 9}, {"BOOT", agentapi.OpStart, 9},
	}, "RUNNING", -1, false},
	{state{one.VMActive, one.LCMUnknown}, one.ActionMigrate, []leg{
		{"PROLOG_MIGRATE_UNKNOWN", agentapi.OpFetch, 9}, {"BOOT", agentapi.OpStart, 9},
	}, "RUNNING", -1, true},
}

func TestMigrations(t *testing.T) {
	for _, q := range migrations {
		what := q.from.String() + " " + q.action.String()
		v := vmIn(q.from)
		v.Resched = true
		ch, err := machine.Migrate(v, machine.Move{Place: there, Action: q.action, Lost: q.lost}, ana, now)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		n := ch.VM
		if n.Abroad() != q.abroad || n.HostID() != 9 || n.Resched || len(n.History) != 2 || n.History[0].UID != 2 {
			t.Errorf("%s: on host %d and %d, %+v", what, n.HostID(), n.Abroad(), n.History[0])
		}
		for _, l := range q.legs {
			step, ok := machine.StepOf(n)
			if !ok || stateOf(n).String() != l.state || step.For(n) != l.op || n.WorkRecord().HID != l.host {
				t.Errorf("%s: %s at host %d in %s, want %+v", what, step.For(n), n.WorkRecord().HID, stateOf(n), l)
			}
			ch, ok := machine.Finish(n, true, "new", now)
			if !ok || ch.VM.Attempt <= n.Attempt {
				t.Fatalf("%s: %s cannot be finished", what, l.state)
			}
			n = ch.VM
		}
		if stateOf(n).String() != q.end || n.Migration != (one.Migration{}) || n.Leaving() >= 0 || n.Abroad() >= 0 || n.HostID() != 9 || n.History[0].ETime == 0 {
			t.Errorf("%s: ends in %s on host %d, %+v", what, stateOf(n), n.HostID(), n.Migration)
		}
		if _, err := machine.Migrate(n, machine.Move{Place: there, Action: q.action}, ana, now); err != nil {
			t.Errorf("%s: once more: %v", what, err)
		}
	}
}

func TestMigrationsThatFail(t *testing.T) {
	for _, q := range migrations {
		what := q.from.String() + " " + q.action.String()
		begin := func() *one.VM {
			ch, err := machine.Migrate(vmIn(q.from), machine.Move{Place: there, Action: q.action, Lost: q.lost}, ana, now)
			if err != nil {
				t.Fatal(err)
			}
			return ch.VM
		}
		for i, l := range q.legs {
			n := begin()
			for range i {
				ch, _ := machine.Finish(n, true, "new", now)
				n = ch.VM
			}
			// Whoever deletes it then cleans up at both hosts, as long as it has to do with both.
			hosts := []int{9}
			if l.host == 4 {
				hosts = []int{4, 9}
			}
			ch, err := machine.Recover(n, machine.RecoverDelete, ana, now)
			for _, host := range hosts {
				if err != nil || !ch.VM.Active(one.LCMCleanupDelete) || ch.VM.WorkRecord().HID != host || ch.Done {
					t.Errorf("%s deleted in %s: %v, %s at host %d, want %d", what, l.state, err, stateOf(ch.VM), ch.VM.WorkRecord().HID, host)
				}
				ch, _ = machine.Finish(ch.VM, false, "", now)
			}
			if ch.VM.State != one.VMDone || !ch.Done || ch.VM.Migration != (one.Migration{}) {
				t.Errorf("%s deleted in %s: %s", what, l.state, stateOf(ch.VM))
			}

			ch, _ = machine.Finish(n, false, "", now)
			switch l.state {
			case "SAVE_MIGRATE", "MIGRATE":
				if l.host == 9 {
					if !ch.VM.Active(one.LCMBootFailure) || ch.VM.HostID() != 9 || ch.VM.History[0].ETime == 0 {
						t.Errorf("%s: failed on arrival: %s", what, stateOf(ch.VM))
					}
					continue
				}
				if m := ch.VM; !m.Running() || m.HostID() != 4 || len(m.History) != 3 || m.History[1].ETime == 0 || m.Abroad() >= 0 || ch.Log == "" {
					t.Errorf("%s: %s failed: %s on host %d with %d records, %q", what, l.state, stateOf(m), m.HostID(), len(m.History), ch.Log)
				}
				continue
			case "BOOT", "BOOT_MIGRATE":
				if stateOf(ch.VM).String() != l.state+"_FAILURE" || ch.VM.HostID() != 9 {
					t.Errorf("%s: %s failed: %s", what, l.state, stateOf(ch.VM))
				}
				continue
			}
			failed := ch.VM
			if stateOf(failed).String() != l.state+"_FAILURE" || failed.Migration.Action == one.ActionNone {
				t.Errorf("%s: %s failed: %s, %+v", what, l.state, stateOf(failed), failed.Migration)
			}
			again, err := machine.Recover(failed, machine.RecoverRetry, ana, now)
			if step, _ := machine.StepOf(again.VM); err != nil || step.For(again.VM) != l.op || again.VM.WorkRecord().HID != l.host {
				t.Errorf("%s: %s again: %v, %s", what, l.state, err, stateOf(again.VM))
			}
			back, err := machine.Recover(failed, machine.RecoverFailure, ana, now)
			m := back.VM
			if step, _ := machine.StepOf(m); err != nil || stateOf(m).String() != l.state || step.For(m) != agentapi.OpFetch || m.HostID() != 4 || m.WorkRecord().HID != 4 || len(m.History) != 3 {
				t.Errorf("%s: %s turned back: %v, %s on host %d", what, l.state, err, stateOf(m), m.HostID())
			}
			if home, _ := machine.Finish(m, true, "", now); home.VM.HostID() != 4 || home.VM.Migration != (one.Migration{}) {
				t.Errorf("%s: %s turned back leads to %s", what, l.state, stateOf(home.VM))
			}
			good, err := machine.Recover(failed, machine.RecoverSuccess, ana, now)
			if err != nil || good.VM.HostID() != 9 || good.VM.Migration != (one.Migration{}) {
				t.Errorf("%s: %s declared done: %v, %s", what, l.state, err, stateOf(good.VM))
			}
		}
	}
}

func TestRefusedMigrations(t *testing.T) {
	allowed := named(t, "RUNNING UNKNOWN POWEROFF SUSPENDED")
	for _, s := range states() {
		_, err := machine.Migrate(vmIn(s), machine.Move{Place: there, Action: one.ActionMigrate}, ana, now)
		if want := "Migrate action is not available for state " + s.String(); allowed[s] != (err == nil) || err != nil && err.Error() != want {
			t.Errorf("%s: %v", s, err)
		}
	}
	v := vmIn(state{one.VMActive, one.LCMRunning}).WithNewRecord(one.History{HID: 5})
	if _, err := machine.Migrate(v, machine.Move{Place: there, Action: one.ActionMigrate}, ana, now); err == nil || err.Error() != "Migrate action is not available for state RUNNING" {
		t.Errorf("with an open record: %v", err)
	}
}
