package machine

import (
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/one"
)

// settleTime is how long after it stopped a VM's host may still report it as
// running before that is believed. Source: VM lifecycle reference §3.7.
const settleTime = 30 * time.Second

// Observe applies what a host says of the VM's domain; false when that changes
// nothing. A passing state whose step is still wanted is left to the step, with
// the exceptions of the reference: boots that are seen to run, shutdowns that are
// seen to be over. Source: VM lifecycle reference §3.7.
func Observe(v *one.VM, seen agentapi.DomainState, deployID string, now time.Time) (Change, bool) {
	switch seen {
	case agentapi.DomainRunning:
		return observeRunning(v, deployID, now)
	case agentapi.DomainPoweroff:
		switch {
		case v.Running() || v.Active(one.LCMUnknown):
			n := noteAction(v, one.ActionMonitor, Nobody)
			return Change{VM: enter(n, outcome{one.VMPoweroff, one.LCMInit, stopped}, now)}, true
		case v.Active(one.LCMShutdown) || v.Active(one.LCMShutdownPoweroff) || v.Active(one.LCMShutdownUndeploy):
			return Finish(v, true, "", now)
		}
	case agentapi.DomainSuspended:
		if v.Running() || v.Active(one.LCMUnknown) {
			n := noteAction(v, one.ActionMonitor, Nobody)
			return Change{VM: enter(n, outcome{one.VMSuspended, one.LCMInit, stopped}, now)}, true
		}
	case agentapi.DomainFailure, agentapi.DomainUnknown:
		return Lost(v, now)
	}
	return Change{}, false
}

// Lost is Observe for a VM whose host cannot tell, or is lost itself.
func Lost(v *one.VM, now time.Time) (Change, bool) {
	if !v.Running() {
		return Change{}, false
	}
	n := enter(v, active(one.LCMUnknown, nil), now)
	n.Resched = false
	return Change{VM: n}, true
}

func observeRunning(v *one.VM, deployID string, now time.Time) (Change, bool) {
	if v.State == one.VMActive {
		switch v.LCM {
		case one.LCMUnknown, one.LCMBootFailure, one.LCMBootStoppedFailure, one.LCMBootUndeployFailure, one.LCMBootMigrateFailure:
		case one.LCMBoot, one.LCMBootPoweroff, one.LCMBootUnknown, one.LCMBootSuspended, one.LCMBootStopped, one.LCMBootUndeploy, one.LCMBootMigrate:
		default:
			return Change{}, false
		}
		n := enter(v, active(one.LCMRunning, running), now)
		if deployID != "" {
			n.DeployID = deployID
		}
		return Change{VM: n}, true
	}
	if v.State != one.VMPoweroff && v.State != one.VMSuspended {
		return Change{}, false
	}
	if last := v.LastRecord(); last == nil || now.Unix() < last.RETime+int64(settleTime/time.Second) {
		return Change{}, false
	}
	n := newRecord(v, now)
	n = enter(n, active(one.LCMRunning, bootBegin), now)
	if deployID != "" {
		n.DeployID = deployID
	}
	return Change{VM: n}, true
}
