package machine

import (
	"fmt"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/one"
)

// Recovery is an operation of one.vm.recover.
type Recovery int

// The operations. Source: VM lifecycle reference §3.4.
const (
	RecoverFailure  Recovery = 0
	RecoverSuccess  Recovery = 1
	RecoverRetry    Recovery = 2
	RecoverDelete   Recovery = 3
	RecoverRecreate Recovery = 4
	RecoverDeleteDB Recovery = 5
)

// Recover applies one.vm.recover. Errors are the reference's texts.
func Recover(v *one.VM, op Recovery, who Who, now time.Time) (Change, error) {
	switch op {
	case RecoverFailure, RecoverSuccess:
		return recoverOutcome(v, op == RecoverSuccess, who, now)
	case RecoverRetry:
		return retry(v, who, now)
	case RecoverDelete:
		return remove(v, who, now), nil
	case RecoverRecreate:
		return recreate(v, who, now)
	case RecoverDeleteDB:
		if v.State == one.VMDone {
			return Change{VM: v}, nil
		}
		n := noteAction(v, one.ActionDelete, who)
		return settle(v, Change{VM: enter(n, finished, now)}), nil
	}
	return Change{}, fmt.Errorf("Wrong recovery operation code")
}

// recoverOutcome declares the present step done or failed; of a failure state,
// the step that failed.
func recoverOutcome(v *one.VM, ok bool, who Who, now time.Time) (Change, error) {
	if v.State != one.VMActive {
		return Change{}, fmt.Errorf("Could not perform a recover operation on VM %d, wrong state %s.", v.ID, v.StateName())
	}
	n := noteAction(v, one.ActionRecover, who)
	switch v.LCM {
	case one.LCMRunning, one.LCMInit:
		return Change{VM: v}, nil
	case one.LCMUnknown:
		return Change{VM: enter(n, active(one.LCMRunning, nil), now)}, nil
	}
	if b, failed := base[v.LCM]; failed {
		switch {
		case !ok && lostItsWay(v):
			return turnBack(n, now), nil
		case !ok:
			return Change{VM: v}, nil
		}
		n = n.WithState(one.VMActive, b, now.UnixMilli())
	}
	if op, moves := moveOp(n); ok && moves && (op == agentapi.OpStore || op == agentapi.OpMigrate) {
		m := *n
		m.Migration.Left = true // all of the transfer is declared done
		n = &m
	}
	deployID := v.DeployID
	if deployID == "" {
		deployID = fmt.Sprintf("one-%d", v.ID)
	}
	c, found := Finish(n, ok, deployID, now)
	if !found {
		return Change{VM: v}, nil
	}
	return c, nil
}

// retry enters the failed state's step again, or repeats the present one.
func retry(v *one.VM, who Who, now time.Time) (Change, error) {
	if v.State != one.VMActive {
		return Change{}, fmt.Errorf("Could not perform a retry on VM %d, wrong state %s.", v.ID, v.StateName())
	}
	to := v.LCM
	if b, failed := base[v.LCM]; failed {
		to = b
	}
	if _, passing := steps[to]; !passing || isHot(to) || cleansUp(v) {
		return Change{VM: v}, nil
	}
	n := noteAction(v, one.ActionRetry, who)
	return Change{VM: n.WithState(one.VMActive, to, now.UnixMilli())}, nil
}

// isHot tells whether a state is that of a change of devices or snapshots, which a
// retry has no effect on.
func isHot(l one.LCMState) bool {
	switch l {
	case one.LCMHotplug, one.LCMHotplugNIC, one.LCMDiskResize, one.LCMDiskResizePoweroff, one.LCMHotplugPrologPoweroff, one.LCMHotplugEpilogPoweroff, one.LCMHotplugSnapshot,
		one.LCMDiskSnapshot, one.LCMDiskSnapshotDelete, one.LCMDiskSnapshotPoweroff, one.LCMDiskSnapshotRevertPoweroff,
		one.LCMDiskSnapshotDeletePoweroff, one.LCMDiskSnapshotSuspended, one.LCMDiskSnapshotDeleteSuspended:
		return true
	}
	return false
}

// remove deletes the VM from whatever state it is in.
func remove(v *one.VM, who Who, now time.Time) Change {
	if v.State == one.VMDone {
		return Change{VM: v}
	}
	n := noteAction(v, one.ActionDelete, who)
	if v.HoldsCapacity() || v.State == one.VMStopped || v.State == one.VMUndeployed || v.Origin != one.VMInit {
		if v.Active(one.LCMCleanupDelete) {
			return Change{VM: v}
		}
		return Change{VM: enter(n, act(one.LCMCleanupDelete), now)}
	}
	return settle(v, Change{VM: enter(n, finished, now)})
}

// cleansUp tells whether a cleanup runs. One that was asked for is not begun
// again by asking twice.
func cleansUp(v *one.VM) bool {
	return v.Active(one.LCMCleanupDelete) || v.Active(one.LCMCleanupResubmit)
}

// recreate brings the VM back to PENDING as if it had never run.
func recreate(v *one.VM, who Who, now time.Time) (Change, error) {
	n := noteAction(v, one.ActionDeleteRecreate, who)
	switch v.State {
	case one.VMPoweroff:
		return Change{}, fmt.Errorf("Cannot delete-recreate a powered off VM. Resume it first")
	case one.VMSuspended:
		return Change{}, fmt.Errorf("Cannot delete-recreate a suspended VM. Resume it first")
	case one.VMDone:
		return Change{}, fmt.Errorf("Cannot delete-recreate a VM already in DONE state")
	case one.VMInit, one.VMPending, one.VMCloning, one.VMCloningFailure:
		return Change{VM: v}, nil
	case one.VMHold:
		return Change{VM: enter(n, outcome{one.VMPending, one.LCMInit, nil}, now)}, nil
	}
	if cleansUp(v) {
		return Change{VM: v}, nil
	}
	return Change{VM: enter(n, act(one.LCMCleanupResubmit), now), Charge: true}, nil
}
