// Package machine is the state table of virtual machines: which step leaves a
// passing state and where it leads, what an action does, what an observation of
// the domain does. It is pure: a VM goes in, the changed VM comes out together
// with the effects its new state has on images, leases and quotas.
//
//	         hold ┌──────┐
//	create ─┬────►│ HOLD │
//	        ▼     └──┬───┘
//	    ┌─────────┐◄─┘ release
//	    │ PENDING │ deploy
//	    └────┬────┘
//	         ▼
//	 PROLOG ──► BOOT ──► RUNNING ──► SHUTDOWN ──► EPILOG ──► DONE
//	                       │  ▲
//	       SHUTDOWN_POWEROFF  BOOT_POWEROFF        SAVE_SUSPEND  BOOT_SUSPENDED
//	                       ▼  │                        ▼           │
//	                     POWEROFF                   SUSPENDED ─────┘
//
// Source: VM lifecycle reference §1 to §4. Used by cloud (actions) and lifecycle
// (steps and observations).
package machine

import (
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Step says how a passing state is left: who does what, where success and
// failure lead, and how long it may take.
type Step struct {
	Op      agentapi.Op // done by the agent of the newest record's host
	HardOp  agentapi.Op // instead of Op when the VM is marked Hard; "" for the same
	Success outcome
	Failure outcome
	Timeout time.Duration // after which the agent gives up
	// Kept is logged when the step fails and the guest lives on.
	Kept string
}

// For returns the operation of the step for a VM.
func (s Step) For(v *one.VM) agentapi.Op {
	if op, ok := nicOps[v.Hotplug.Action]; ok {
		return op
	}
	if v.Hotplug.OfDisk() {
		return diskOp(v)
	}
	if op, ok := moveOp(v); ok {
		return op
	}
	if op, ok := snapshotOps[v.SnapshotWork.Action]; ok {
		return op
	}
	if v.Hard && s.HardOp != "" {
		return s.HardOp
	}
	return s.Op
}

// outcome is a state to enter, with what happens to the newest record.
type outcome struct {
	state one.VMState
	lcm   one.LCMState
	edit  func(h *one.History, now int64)
}

func active(l one.LCMState, edit func(*one.History, int64)) outcome {
	return outcome{one.VMActive, l, edit}
}

// How the times of a record follow the states. Source: VM lifecycle reference §4.
func prologDone(h *one.History, now int64)  { h.PETime, h.RSTime = now, now }
func stopped(h *one.History, now int64)     { h.RETime = now }
func epilogStart(h *one.History, now int64) { h.RETime, h.ESTime = now, now }
func epilogDone(h *one.History, now int64)  { h.EETime, h.ETime = now, now }
func closed(h *one.History, now int64)      { h.ETime = now }
func arrived(h *one.History, now int64)     { h.PETime, h.RSTime, h.RETime = now, now, now }

func running(h *one.History, _ int64) {
	h.ETime, h.RETime, h.Action, h.UID, h.GID, h.RequestID = 0, 0, one.ActionNone, -1, -1, -1
}

// Times a step may take. A save writes the guest's memory, a transfer its disks.
const (
	transferTime = 6 * time.Hour
	bootTime     = 15 * time.Minute
	// ShutdownTime is how long a guest may take to obey, as the original's driver has it.
	ShutdownTime = 3 * time.Minute
	saveTime     = time.Hour
)

const (
	failShutdown = "Fail to shutdown VM. Assuming that the VM is still RUNNING."
	failSave     = "Fail to save VM state. Assuming that the VM is still RUNNING."
	failMigrate  = "Fail to live migrate VM. Assuming that the VM is still RUNNING."
)

// steps is the table. A state that is not in it is left by an action or an
// observation only.
var steps = map[one.LCMState]Step{
	one.LCMProlog: {
		Op: agentapi.OpPrepare, Timeout: transferTime,
		Success: active(one.LCMBoot, prologDone), Failure: active(one.LCMPrologFailure, nil),
	},
	one.LCMBoot: {
		Op: agentapi.OpStart, Timeout: bootTime,
		Success: active(one.LCMRunning, running), Failure: active(one.LCMBootFailure, nil),
	},
	one.LCMBootPoweroff: {
		Op: agentapi.OpStart, Timeout: bootTime,
		Success: active(one.LCMRunning, running), Failure: outcome{one.VMPoweroff, one.LCMInit, stopped},
	},
	one.LCMBootUnknown: {
		Op: agentapi.OpStart, Timeout: bootTime,
		Success: active(one.LCMRunning, running), Failure: active(one.LCMUnknown, nil),
	},
	one.LCMBootSuspended: {
		Op: agentapi.OpRestore, Timeout: saveTime,
		Success: active(one.LCMRunning, running), Failure: outcome{one.VMSuspended, one.LCMInit, stopped},
	},
	one.LCMBootStopped: {
		Op: agentapi.OpRestore, Timeout: saveTime,
		Success: active(one.LCMRunning, running), Failure: active(one.LCMBootStoppedFailure, nil),
	},
	one.LCMBootUndeploy: {
		Op: agentapi.OpStart, Timeout: bootTime,
		Success: active(one.LCMRunning, running), Failure: active(one.LCMBootUndeployFailure, nil),
	},
	one.LCMShutdown: {
		Op: agentapi.OpShutdown, HardOp: agentapi.OpDestroy, Timeout: ShutdownTime, Kept: failShutdown,
		Success: active(one.LCMEpilog, epilogStart), Failure: active(one.LCMRunning, running),
	},
	one.LCMShutdownPoweroff: {
		Op: agentapi.OpShutdown, HardOp: agentapi.OpDestroy, Timeout: ShutdownTime, Kept: failShutdown,
		Success: outcome{one.VMPoweroff, one.LCMInit, stopped}, Failure: active(one.LCMRunning, running),
	},
	one.LCMShutdownUndeploy: {
		Op: agentapi.OpShutdown, HardOp: agentapi.OpDestroy, Timeout: ShutdownTime, Kept: failShutdown,
		Success: active(one.LCMEpilogUndeploy, epilogStart), Failure: active(one.LCMRunning, running),
	},
	one.LCMSaveSuspend: {
		Op: agentapi.OpSave, Timeout: saveTime, Kept: failSave,
		Success: outcome{one.VMSuspended, one.LCMInit, stopped}, Failure: active(one.LCMRunning, running),
	},
	one.LCMSaveStop: {
		Op: agentapi.OpSave, Timeout: saveTime, Kept: failSave,
		Success: active(one.LCMEpilogStop, epilogStart), Failure: active(one.LCMRunning, running),
	},
	one.LCMEpilog: {
		Op: agentapi.OpFinish, Timeout: transferTime,
		Success: outcome{one.VMDone, one.LCMInit, epilogDone}, Failure: active(one.LCMEpilogFailure, nil),
	},
	one.LCMEpilogStop: {
		Op: agentapi.OpStore, Timeout: transferTime,
		Success: outcome{one.VMStopped, one.LCMInit, epilogDone}, Failure: active(one.LCMEpilogStopFailure, nil),
	},
	one.LCMEpilogUndeploy: {
		Op: agentapi.OpStore, Timeout: transferTime,
		Success: outcome{one.VMUndeployed, one.LCMInit, epilogDone}, Failure: active(one.LCMEpilogUndeployFailure, nil),
	},
	one.LCMPrologResume: {
		Op: agentapi.OpFetch, Timeout: transferTime,
		Success: active(one.LCMBootStopped, prologDone), Failure: active(one.LCMPrologResumeFailure, nil),
	},
	one.LCMPrologUndeploy: {
		Op: agentapi.OpFetch, Timeout: transferTime,
		Success: active(one.LCMBootUndeploy, prologDone), Failure: active(one.LCMPrologUndeployFailure, nil),
	},
	// Of migrations there is more in For and Finish: part of the work is done at the
	// host that the VM comes from.
	one.LCMSaveMigrate: {
		Op: agentapi.OpSave, Timeout: saveTime,
		Success: active(one.LCMPrologMigrate, nil), Failure: active(one.LCMRunning, nil),
	},
	one.LCMMigrate: {
		Op: agentapi.OpMigrate, Timeout: transferTime,
		Success: active(one.LCMRunning, nil), Failure: active(one.LCMRunning, nil),
	},
	one.LCMPrologMigrate: {
		Op: agentapi.OpFetch, Timeout: transferTime,
		Success: active(one.LCMBootMigrate, prologDone), Failure: active(one.LCMPrologMigrateFailure, nil),
	},
	one.LCMPrologMigratePoweroff: {
		Op: agentapi.OpFetch, Timeout: transferTime,
		Success: outcome{one.VMPoweroff, one.LCMInit, arrived}, Failure: active(one.LCMPrologMigratePoweroffFailure, nil),
	},
	one.LCMPrologMigrateSuspend: {
		Op: agentapi.OpFetch, Timeout: transferTime,
		Success: outcome{one.VMSuspended, one.LCMInit, arrived}, Failure: active(one.LCMPrologMigrateSuspendFailure, nil),
	},
	one.LCMPrologMigrateUnknown: {
		Op: agentapi.OpFetch, Timeout: transferTime,
		Success: active(one.LCMBoot, prologDone), Failure: active(one.LCMPrologMigrateUnknownFailure, nil),
	},
	one.LCMBootMigrate: {
		Op: agentapi.OpRestore, Timeout: saveTime,
		Success: active(one.LCMRunning, running), Failure: active(one.LCMBootMigrateFailure, nil),
	},
	one.LCMCleanupDelete: {
		Op: agentapi.OpCleanup, Timeout: bootTime,
		Success: outcome{one.VMDone, one.LCMInit, epilogDone}, Failure: outcome{one.VMDone, one.LCMInit, epilogDone},
	},
	one.LCMCleanupResubmit: {
		Op: agentapi.OpCleanup, Timeout: bootTime,
		Success: outcome{one.VMPending, one.LCMInit, epilogDone}, Failure: outcome{one.VMPending, one.LCMInit, epilogDone},
	},
	one.LCMHotplug: {
		Op: agentapi.OpContext, Timeout: bootTime, // see For and StepOf: the VM says whether a disk is changed
		Success: active(one.LCMRunning, nil), Failure: active(one.LCMRunning, nil),
	},
	one.LCMHotplugPrologPoweroff: {
		Op: agentapi.OpPlaceDisk, Timeout: transferTime,
		Success: outcome{one.VMPoweroff, one.LCMInit, nil}, Failure: outcome{one.VMPoweroff, one.LCMInit, nil},
	},
	one.LCMDiskResize: {
		Op: agentapi.OpResizeDisk, Timeout: transferTime,
		Success: active(one.LCMRunning, nil), Failure: active(one.LCMRunning, nil),
	},
	one.LCMDiskResizePoweroff: {
		Op: agentapi.OpGrowDisk, Timeout: transferTime,
		Success: outcome{one.VMPoweroff, one.LCMInit, nil}, Failure: outcome{one.VMPoweroff, one.LCMInit, nil},
	},
	one.LCMHotplugEpilogPoweroff: {
		Op: agentapi.OpDropDisk, Timeout: transferTime,
		Success: outcome{one.VMPoweroff, one.LCMInit, nil}, Failure: outcome{one.VMPoweroff, one.LCMInit, nil},
	},
	one.LCMHotplugSnapshot:             snapshotStep(active(one.LCMRunning, nil)), // POWEROFF if it was: see Finish
	one.LCMDiskSnapshot:                snapshotStep(active(one.LCMRunning, nil)),
	one.LCMDiskSnapshotDelete:          snapshotStep(active(one.LCMRunning, nil)),
	one.LCMDiskSnapshotPoweroff:        snapshotStep(outcome{one.VMPoweroff, one.LCMInit, nil}),
	one.LCMDiskSnapshotRevertPoweroff:  snapshotStep(outcome{one.VMPoweroff, one.LCMInit, nil}),
	one.LCMDiskSnapshotDeletePoweroff:  snapshotStep(outcome{one.VMPoweroff, one.LCMInit, nil}),
	one.LCMDiskSnapshotSuspended:       snapshotStep(outcome{one.VMSuspended, one.LCMInit, nil}),
	one.LCMDiskSnapshotDeleteSuspended: snapshotStep(outcome{one.VMSuspended, one.LCMInit, nil}),
	one.LCMHotplugNIC: {
		Op: agentapi.OpContext, Timeout: hotplugTime, // see For: the VM says which NIC is changed, and how
		Success: active(one.LCMRunning, nil), Failure: active(one.LCMRunning, nil),
	},
}

// base gives for each failure state the state whose step failed, for retry.
var base = map[one.LCMState]one.LCMState{
	one.LCMPrologFailure:         one.LCMProlog,
	one.LCMBootFailure:           one.LCMBoot,
	one.LCMEpilogFailure:         one.LCMEpilog,
	one.LCMEpilogStopFailure:     one.LCMEpilogStop,
	one.LCMEpilogUndeployFailure: one.LCMEpilogUndeploy,
	one.LCMPrologResumeFailure:   one.LCMPrologResume,
	one.LCMPrologUndeployFailure: one.LCMPrologUndeploy,
	one.LCMBootStoppedFailure:    one.LCMBootStopped,
	one.LCMBootUndeployFailure:   one.LCMBootUndeploy,

	one.LCMPrologMigrateFailure:         one.LCMPrologMigrate,
	one.LCMPrologMigratePoweroffFailure: one.LCMPrologMigratePoweroff,
	one.LCMPrologMigrateSuspendFailure:  one.LCMPrologMigrateSuspend,
	one.LCMPrologMigrateUnknownFailure:  one.LCMPrologMigrateUnknown,
	one.LCMBootMigrateFailure:           one.LCMBootMigrate,
}

// StepOf returns the step that leaves the VM's state, false when none does.
func StepOf(v *one.VM) (Step, bool) {
	if v.State != one.VMActive {
		return Step{}, false
	}
	s, ok := steps[v.LCM]
	switch {
	case v.Hotplug.OfDisk():
		s.Timeout = transferTime
	case v.LCM == one.LCMSaveMigrate && saveOps[v.Migration.Action] != "":
		s.Timeout = ShutdownTime
	}
	return s, ok
}

// Steps yields the table, for tests that treat every state alike.
func Steps() map[one.LCMState]Step {
	out := make(map[one.LCMState]Step, len(steps))
	for k, v := range steps {
		out[k] = v
	}
	return out
}

// Change is what became of a VM.
type Change struct {
	VM *one.VM
	// Done tells that the VM is finished: its leases and images are to be freed.
	Done bool
	// Stale tells that persistent images may hold half-written content.
	Stale bool
	// Resubmitted tells that the VM starts anew: its images stay, its files are gone.
	Resubmitted bool
	// NICs tells that the VM has other NICs than its context and rules know; Freed
	// are those it has lost, whose leases are to be freed.
	NICs  bool
	Freed []tmpl.Vector
	// Lost are disks that the VM has no more, whose images are to be released.
	Lost []tmpl.Vector
	// Charge tells that running quotas must be checked before this may happen.
	Charge bool
	// Op is an operation to do on the running domain that changes no state.
	Op agentapi.Op
	// Log is a line for the VM's log beside that of the new state, "" for none.
	Log string
}

// Finish applies the outcome of the VM's present step.
func Finish(v *one.VM, ok bool, deployID string, now time.Time) (Change, bool) {
	s, found := StepOf(v)
	if !found {
		return Change{}, false
	}
	if c, moves := moved(v, ok, deployID, now); moves {
		return c, true
	}
	o := s.Success
	if !ok {
		o = s.Failure
	}
	n := v
	if w := v.SnapshotWork; w != (one.SnapshotWork{}) {
		if v.Active(one.LCMHotplugSnapshot) && w.Off {
			o = outcome{one.VMPoweroff, one.LCMInit, nil}
		}
		n = snapshotEnded(v, ok)
	}
	n = enter(n, o, now)
	if ok && (s.Op == agentapi.OpStart || s.Op == agentapi.OpRestore) && deployID != "" {
		n.DeployID = deployID
	}
	c := Change{VM: n}
	switch {
	case v.Active(one.LCMHotplugNIC):
		c = hotplugged(n, v.Hotplug, ok)
	case v.Hotplug.OfDisk():
		c = diskChanged(v, n, ok)
	}
	if !ok {
		c.Log = s.Kept
	}
	return settle(v, c), true
}

// enter moves the VM into an outcome's state and edits its newest record.
func enter(v *one.VM, o outcome, now time.Time) *one.VM {
	n := v
	if o.edit != nil {
		n = n.WithLastRecord(func(h *one.History) { o.edit(h, now.Unix()) })
	}
	n = n.WithState(o.state, o.lcm, now.UnixMilli())
	if n.Hotplug != (one.Hotplug{}) {
		n = withoutHotplug(n)
	}
	if n.SnapshotWork != (one.SnapshotWork{}) {
		n = snapshotEnded(n, false)
	}
	if n.Migration != (one.Migration{}) && !onTheWay(n) {
		c := *n
		c.Migration = one.Migration{}
		n = &c
	}
	switch o.state {
	case one.VMActive:
		n.Origin = one.VMInit // it does not wait to be resumed any more
	case one.VMDone:
		n.Origin, n.Hard = one.VMInit, false
	default:
		n.Hard = false
	}
	return n
}

// settle notes the effects of final and fresh states.
func settle(old *one.VM, c Change) Change {
	switch c.VM.State {
	case one.VMDone:
		c.Done = true
		c.Stale = stale(old)
		c.VM.Resched = false
		if c.VM.ETime == 0 {
			c.VM.ETime = c.VM.Since / 1000
		}
	case one.VMPending:
		if old.Active(one.LCMCleanupResubmit) {
			c.Resubmitted = true
			c.VM = afresh(c.VM)
			c.VM.DeployID, c.VM.Resched = "", false
		}
	case one.VMStopped, one.VMUndeployed:
		if c.VM.Resched {
			// It was stopped only to go on elsewhere: it waits for a place at once.
			from := c.VM.State
			c.VM = c.VM.WithState(one.VMPending, one.LCMInit, c.VM.Since)
			c.VM.Origin = from
		}
	}
	return c
}

// stale tells whether the disks of a VM that ends from a state may hold
// half-written content: it was active, and not on its way through the epilog. A
// VM that was off when its cleanup began wrote nothing.
// Source: VM lifecycle reference §3.4.
func stale(v *one.VM) bool {
	if v.Active(one.LCMCleanupDelete) {
		return v.PrevState == one.VMActive && v.PrevLCM != one.LCMEpilog
	}
	return v.State == one.VMActive && v.LCM != one.LCMEpilog
}
