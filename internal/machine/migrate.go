package machine

import (
	"fmt"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/one"
)

// Move is how a VM is to go to another host.
type Move struct {
	Place  Place
	Action one.Action // as in one.Migration
	// Lost tells that nothing can be done at the host the VM is on: its files are
	// looked for where the new host can reach them.
	Lost bool
}

// migrations say for each state from which a VM goes elsewhere, other than running
// live, the state it enters. Source: VM lifecycle reference §3.3.
func migrations(v *one.VM) (one.LCMState, bool) {
	switch {
	case v.Running():
		return one.LCMSaveMigrate, true
	case v.Active(one.LCMUnknown):
		return one.LCMPrologMigrateUnknown, true
	case v.State == one.VMPoweroff:
		return one.LCMPrologMigratePoweroff, true
	case v.State == one.VMSuspended:
		return one.LCMPrologMigrateSuspend, true
	}
	return 0, false
}

// Migrate begins the move of a VM to another host: a new record opens there. Live
// is for VMs that run; others are moved as they are. Source: VM lifecycle
// reference §3.3.
func Migrate(v *one.VM, m Move, who Who, now time.Time) (Change, error) {
	to, ok := migrations(v)
	if !ok || stillOpen(v) {
		return Change{}, fmt.Errorf("Migrate action is not available for state %s", v.StateName())
	}
	switch {
	case m.Action == one.ActionLiveMigrate && v.Running():
		to = one.LCMMigrate
	case m.Action == one.ActionLiveMigrate:
		m.Action = one.ActionMigrate
	}
	off := !v.Running()
	n := noteAction(v, m.Action, who).WithLastRecord(func(h *one.History) {
		if off {
			h.ETime = now.Unix()
		}
		if v.State == one.VMActive && off {
			h.RETime = now.Unix()
		}
	})
	p := m.Place
	n = n.WithNewRecord(one.History{
		Hostname: p.Hostname, HID: p.HostID, CID: p.ClusterID, STime: now.Unix(), VMMad: p.VMMad, TMMad: p.TMMad, DSID: p.DSID,
		UID: -1, GID: -1, RequestID: -1,
	})
	if off {
		n = n.WithLastRecord(func(h *one.History) { h.PSTime = now.Unix() })
	}
	n = n.WithState(one.VMActive, to, now.UnixMilli())
	n.Migration = one.Migration{Action: m.Action, Left: m.Lost}
	n.Resched = false
	return Change{VM: n}, nil
}

// stillOpen tells whether the last record but one is open: an earlier migration has
// not ended.
func stillOpen(v *one.VM) bool {
	return len(v.History) > 1 && v.History[len(v.History)-2].ETime == 0
}

// saveOps are how a guest is stopped that is to go on elsewhere.
var saveOps = map[one.Action]agentapi.Op{
	one.ActionPoweroffMigrate: agentapi.OpShutdown, one.ActionPoweroffHardMig: agentapi.OpDestroy,
}

// moveOp returns what is done for a VM that moves: at the host it comes from, then
// at the one it goes to.
func moveOp(v *one.VM) (agentapi.Op, bool) {
	switch v.LCM {
	case one.LCMSaveMigrate:
		if op, ok := saveOps[v.Migration.Action]; ok {
			return op, true
		}
		return agentapi.OpSave, true
	case one.LCMMigrate:
		if v.Leaving() >= 0 {
			return agentapi.OpMigrate, true
		}
		// It runs there by now, and all that is around it is to be made. Until that host
		// says so itself, what it has said before is not heeded.
		return agentapi.OpStart, true
	case one.LCMPrologMigrate, one.LCMPrologMigratePoweroff, one.LCMPrologMigrateSuspend, one.LCMPrologMigrateUnknown:
		if v.Leaving() >= 0 {
			return agentapi.OpStore, true
		}
		return agentapi.OpFetch, true
	}
	return "", false
}

// moved is Finish for the states of a migration; false for all others.
func moved(v *one.VM, ok bool, deployID string, now time.Time) (Change, bool) {
	sec := now.Unix()
	if len(v.History) < 2 {
		return Change{}, false // it came from nowhere
	}
	switch v.LCM {
	case one.LCMSaveMigrate:
		if !ok {
			return stays(v, now), true
		}
		n := v.WithRecord(v.Seq()-1, func(h *one.History) { h.RETime, h.ETime = sec, sec })
		return Change{VM: enter(n, active(one.LCMPrologMigrate, func(h *one.History, now int64) { h.PSTime = now }), now)}, true
	case one.LCMMigrate:
		switch {
		case !ok && v.Leaving() >= 0:
			return stays(v, now), true
		case v.Leaving() >= 0:
			return Change{VM: left(v, now)}, true
		}
		n := v.WithRecord(v.Seq()-1, func(h *one.History) { h.RETime, h.ETime = sec, sec })
		if !ok {
			return Change{VM: enter(n, active(one.LCMBootFailure, nil), now)}, true
		}
		n = enter(n, active(one.LCMRunning, bootBegin), now)
		if deployID != "" {
			n.DeployID = deployID
		}
		return Change{VM: n}, true
	case one.LCMPrologMigrate, one.LCMPrologMigratePoweroff, one.LCMPrologMigrateSuspend, one.LCMPrologMigrateUnknown:
		switch {
		case !ok:
			return Change{VM: enter(v, steps[v.LCM].Failure, now)}, true
		case v.Leaving() >= 0:
			return Change{VM: left(v, now)}, true
		}
		to := steps[v.LCM].Success
		if v.LCM == one.LCMPrologMigrate && saveOps[v.Migration.Action] != "" {
			to.lcm = one.LCMBoot // its memory was not saved
		}
		return Change{VM: enter(v, to, now)}, true
	case one.LCMCleanupDelete, one.LCMCleanupResubmit:
		if v.Leaving() >= 0 { // nothing is to be left of it on the other host either
			return Change{VM: left(v, now)}, true
		}
	}
	return Change{}, false
}

// left returns a VM of which the host it comes from is done: the same step is done
// at the other host now.
func left(v *one.VM, now time.Time) *one.VM {
	n := *v.WithState(v.State, v.LCM, now.UnixMilli())
	n.Migration.Left = true
	return &n
}

// stays is what becomes of a VM that could not be stopped, or moved while it ran: it
// runs on where it was, in one more record.
func stays(v *one.VM, now time.Time) Change {
	kept := failMigrate
	if v.LCM == one.LCMSaveMigrate {
		kept = failSave
		if saveOps[v.Migration.Action] != "" {
			kept = failShutdown
		}
	}
	n := backHome(v, now)
	return Change{VM: enter(n, active(one.LCMRunning, bootBegin), now), Log: kept}
}

// backHome closes the newest record of a VM and opens a copy of the one before.
func backHome(v *one.VM, now time.Time) *one.VM {
	home := *v.History[len(v.History)-2]
	n := v.WithRecord(v.Seq()-1, func(h *one.History) {
		if h.ETime == 0 {
			h.RETime, h.ETime = now.Unix(), now.Unix()
		}
	}).WithLastRecord(func(h *one.History) { h.ETime = now.Unix() })
	return n.WithNewRecord(one.History{
		Hostname: home.Hostname, HID: home.HID, CID: home.CID, STime: now.Unix(), VMMad: home.VMMad, TMMad: home.TMMad, DSID: home.DSID,
		UID: -1, GID: -1, RequestID: -1,
	})
}

// turnBack lets a VM whose files did not arrive go back to the host it comes from.
// Source: VM lifecycle reference §3.4.
func turnBack(v *one.VM, now time.Time) Change {
	n := backHome(v, now)
	n = n.WithLastRecord(func(h *one.History) { h.PSTime = now.Unix() })
	n = n.WithState(one.VMActive, base[v.LCM], now.UnixMilli())
	n.Migration.Left = true // they are to be had from the front end, or are there still
	return Change{VM: n}
}

// onTheWay tells whether a VM in a state is on its way to another host, or is being
// removed from there: one that is not has no migration.
func onTheWay(v *one.VM) bool {
	switch v.LCM {
	case one.LCMSaveMigrate, one.LCMMigrate, one.LCMPrologMigrate, one.LCMPrologMigratePoweroff, one.LCMPrologMigrateSuspend,
		one.LCMPrologMigrateUnknown, one.LCMCleanupDelete, one.LCMCleanupResubmit:
		return v.State == one.VMActive
	}
	return lostItsWay(v)
}

// lostItsWay tells whether a VM's files did not arrive where it is to go.
func lostItsWay(v *one.VM) bool {
	switch v.LCM {
	case one.LCMPrologMigrateFailure, one.LCMPrologMigratePoweroffFailure, one.LCMPrologMigrateSuspendFailure,
		one.LCMPrologMigrateUnknownFailure:
		return v.State == one.VMActive && len(v.History) > 1
	}
	return false
}
