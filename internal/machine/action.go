package machine

import (
	"fmt"
	"strings"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/one"
)

// Who asked for an action; kept in the history record.
type Who struct{ UID, GID, ReqID int }

// Nobody is who asked when monitoring did.
var Nobody = Who{UID: -1, GID: -1, ReqID: -1}

// rule is one row of an action's table: from these states, to this one.
type rule struct {
	states []one.VMState  // of VMs that are not active
	lcm    []one.LCMState // of active ones
	to     outcome
	record bool // a new history record opens
	charge bool // running quotas are charged again
}

// action is an action that one.vm.action offers.
type action struct {
	code   one.Action
	rules  []rule
	hard   bool
	ends   bool        // the VM is to stop running, so that it is not to move any more
	domain agentapi.Op // what is done to the running domain, the state staying
}

func act(l one.LCMState) outcome { return active(l, nil) }

var (
	runningOrUnknown = []one.LCMState{one.LCMRunning, one.LCMUnknown}
	notYetDeployed   = []one.VMState{one.VMInit, one.VMPending, one.VMHold, one.VMCloning, one.VMCloningFailure}
	finished         = outcome{one.VMDone, one.LCMInit, closed}
)

func withHard(l one.LCMState) []one.LCMState { return append([]one.LCMState{l}, runningOrUnknown...) }

// failures lists the states that terminate leaves by cleaning up.
var failures = []one.LCMState{
	one.LCMBootFailure, one.LCMPrologFailure, one.LCMEpilogFailure, one.LCMEpilogStopFailure, one.LCMEpilogUndeployFailure,
	one.LCMPrologResumeFailure, one.LCMPrologUndeployFailure, one.LCMBootStoppedFailure, one.LCMBootUndeployFailure,
	one.LCMBootMigrateFailure, one.LCMPrologMigrateFailure, one.LCMPrologMigratePoweroffFailure,
	one.LCMPrologMigrateSuspendFailure, one.LCMPrologMigrateUnknownFailure,
}

// terminateRules are shared by terminate and terminate-hard.
func terminateRules(from []one.LCMState) []rule {
	return []rule{
		{lcm: from, to: act(one.LCMShutdown)},
		{states: []one.VMState{one.VMPoweroff, one.VMSuspended, one.VMStopped, one.VMUndeployed}, to: active(one.LCMEpilog, epilogBegin)},
		{states: notYetDeployed, to: finished},
		{lcm: failures, to: act(one.LCMCleanupDelete)},
	}
}

func epilogBegin(h *one.History, now int64) { h.ESTime = now }

// actions is the table of one.vm.action. Source: VM lifecycle reference §3.1.
var actions = map[string]action{
	"terminate":      {code: one.ActionTerminate, ends: true, rules: terminateRules(runningOrUnknown)},
	"terminate-hard": {code: one.ActionTerminateHard, ends: true, rules: terminateRules(withHard(one.LCMShutdown)), hard: true},
	"undeploy":       {code: one.ActionUndeploy, ends: true, rules: undeployRules(runningOrUnknown)},
	"undeploy-hard":  {code: one.ActionUndeployHard, ends: true, rules: undeployRules(withHard(one.LCMShutdownUndeploy)), hard: true},
	"poweroff": {code: one.ActionPoweroff, ends: true, rules: []rule{
		{lcm: runningOrUnknown, to: act(one.LCMShutdownPoweroff)},
	}},
	"poweroff-hard": {code: one.ActionPoweroffHard, hard: true, ends: true, rules: []rule{
		{lcm: withHard(one.LCMShutdownPoweroff), to: act(one.LCMShutdownPoweroff)},
	}},
	"reboot":      {code: one.ActionReboot, domain: agentapi.OpReboot},
	"reboot-hard": {code: one.ActionRebootHard, domain: agentapi.OpReset},
	"hold": {code: one.ActionHold, rules: []rule{
		{states: []one.VMState{one.VMPending}, to: outcome{one.VMHold, one.LCMInit, nil}},
	}},
	"release": {code: one.ActionRelease, rules: []rule{
		{states: []one.VMState{one.VMHold}, to: outcome{one.VMPending, one.LCMInit, nil}},
	}},
	"stop": {code: one.ActionStop, ends: true, rules: []rule{
		{lcm: []one.LCMState{one.LCMRunning}, to: act(one.LCMSaveStop)},
		{states: []one.VMState{one.VMSuspended}, to: active(one.LCMEpilogStop, epilogBegin)},
	}},
	"suspend": {code: one.ActionSuspend, ends: true, rules: []rule{
		{lcm: []one.LCMState{one.LCMRunning}, to: act(one.LCMSaveSuspend)},
	}},
	"resume": {code: one.ActionResume, rules: []rule{
		{states: []one.VMState{one.VMStopped, one.VMUndeployed}, to: outcome{one.VMPending, one.LCMInit, nil}, charge: true},
		{states: []one.VMState{one.VMSuspended}, to: active(one.LCMBootSuspended, bootBegin), record: true, charge: true},
		{states: []one.VMState{one.VMPoweroff}, to: active(one.LCMBootPoweroff, bootBegin), record: true, charge: true},
		{lcm: []one.LCMState{one.LCMUnknown}, to: act(one.LCMBootUnknown)},
	}},
}

func bootBegin(h *one.History, now int64) { h.RSTime = now }

func undeployRules(from []one.LCMState) []rule {
	return []rule{
		{lcm: from, to: act(one.LCMShutdownUndeploy)},
		{states: []one.VMState{one.VMPoweroff}, to: active(one.LCMEpilogUndeploy, epilogBegin)},
	}
}

// Operation returns the keyword of VM_*_OPERATIONS that covers an action of
// one.vm.action, and whether there is such an action.
func Operation(name string) (string, bool) {
	switch name {
	case "resched", "unresched":
		return "resched", true
	}
	if _, ok := actions[name]; !ok {
		return "", false
	}
	return strings.TrimSuffix(name, "-hard"), true
}

// Act applies an action of one.vm.action. The error's text is the reference's
// for a wrong state. Source: VM lifecycle reference §3.1.
func Act(v *one.VM, name string, who Who, now time.Time) (Change, error) {
	if name == "resched" || name == "unresched" {
		return resched(v, name, who)
	}
	a, ok := actions[name]
	if !ok {
		return Change{}, fmt.Errorf("Action \"%s\" is not supported", name)
	}
	if v.State == one.VMDone && strings.HasPrefix(name, "terminate") {
		return Change{VM: v}, nil
	}
	if a.domain != "" {
		if !v.Running() {
			return Change{}, wrongState(v, name)
		}
		n := noteAction(v, a.code, who)
		if n.Resched {
			n.Resched = false
		}
		return Change{VM: n, Op: a.domain}, nil
	}
	for _, r := range a.rules {
		if v.Origin != one.VMInit && r.to.state == one.VMDone {
			// It waits to be resumed: its files lie on the front end and must go.
			r.to = active(one.LCMEpilog, epilogBegin)
		}
		if !r.applies(v) {
			continue
		}
		n := noteAction(v, a.code, who)
		if r.record {
			n = newRecord(n, now)
		}
		n = enter(n, r.to, now)
		if n.State == one.VMPending && (v.State == one.VMStopped || v.State == one.VMUndeployed) {
			n.Origin = v.State
		}
		n.Hard = a.hard && n.State == one.VMActive
		if a.ends {
			n.Resched = false // whoever wants it off does not want it elsewhere
		}
		return settle(v, Change{VM: n, Charge: r.charge}), nil
	}
	return Change{}, wrongState(v, name)
}

func (r rule) applies(v *one.VM) bool {
	if v.State == one.VMActive {
		for _, l := range r.lcm {
			if l == v.LCM {
				return true
			}
		}
		return false
	}
	for _, s := range r.states {
		if s == v.State {
			return true
		}
	}
	return false
}

func wrongState(v *one.VM, name string) error {
	if strings.HasPrefix(name, "terminate") {
		return fmt.Errorf("Error performing action %q: Could not terminate VM %d, wrong state %s.", name, v.ID, v.StateName())
	}
	return fmt.Errorf("Error performing action %q: This action is not available for state %s", name, v.StateName())
}

func resched(v *one.VM, name string, who Who) (Change, error) {
	if !v.Running() && !v.Active(one.LCMUnknown) && v.State != one.VMPoweroff {
		return Change{}, wrongState(v, name)
	}
	code := one.ActionResched
	if name == "unresched" {
		code = one.ActionUnresched
	}
	n := noteAction(v, code, who)
	n.Resched = name == "resched"
	return Change{VM: n}, nil
}

// noteAction writes who asked for what into a copy's newest record.
func noteAction(v *one.VM, code one.Action, who Who) *one.VM {
	n := v.WithLastRecord(func(h *one.History) {
		h.Action, h.UID, h.GID, h.RequestID = code, who.UID, who.GID, who.ReqID
	})
	c := *n
	return &c
}

// newRecord closes the newest record and opens a copy of it on the same host.
func newRecord(v *one.VM, now time.Time) *one.VM {
	last := v.LastRecord()
	if last == nil {
		return v
	}
	n := v.WithLastRecord(func(h *one.History) {
		if h.ETime == 0 {
			h.ETime = now.Unix()
		}
	})
	return n.WithNewRecord(one.History{
		Hostname: last.Hostname, HID: last.HID, CID: last.CID, STime: now.Unix(), VMMad: last.VMMad, TMMad: last.TMMad,
		DSID: last.DSID, UID: -1, GID: -1, RequestID: -1,
	})
}
