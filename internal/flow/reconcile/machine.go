package reconcile

import "github.com/trifid-cloud/trifid/internal/one"

// failed tells whether a machine is in a state that ends waiting for it.
// CLONING_FAILURE is among them, in the original it is waited on for ever.
// Source: OneFlow reference §3.4.
func (m Machine) failed() bool {
	if m.State != one.VMActive {
		return m.State == one.VMCloningFailure
	}
	switch m.LCM {
	case one.LCMBootFailure, one.LCMBootMigrateFailure, one.LCMPrologMigrateFailure, one.LCMPrologFailure, one.LCMEpilogFailure,
		one.LCMEpilogStopFailure, one.LCMEpilogUndeployFailure, one.LCMPrologMigratePoweroffFailure,
		one.LCMPrologMigrateSuspendFailure, one.LCMBootUndeployFailure, one.LCMBootStoppedFailure, one.LCMPrologResumeFailure,
		one.LCMPrologUndeployFailure, one.LCMPrologMigrateUnknownFailure:
		return true
	}
	return false
}

// Running tells whether a machine runs, as far as its host knows.
func (m Machine) Running() bool { return m.State == one.VMActive && m.LCM == one.LCMRunning }

func (m Machine) unknown() bool { return m.State == one.VMActive && m.LCM == one.LCMUnknown }

// resting tells whether a machine was put aside on purpose, or switched off.
func (m Machine) resting() bool {
	switch m.State {
	case one.VMStopped, one.VMSuspended, one.VMPoweroff, one.VMUndeployed:
		return true
	}
	return false
}

// up tells whether a machine ends the wait for its role to come up.
func (m Machine) up(gate bool) bool {
	switch {
	case m.failed():
		return false
	case m.resting():
		return true
	case gate:
		return m.Ready
	}
	return m.Running()
}

// ending tells whether a machine is on its way out.
func (m Machine) ending() bool {
	if m.State != one.VMActive {
		return false
	}
	switch m.LCM {
	case one.LCMShutdown, one.LCMEpilog, one.LCMCleanupDelete:
		return true
	}
	return false
}

// bad tells whether a machine of a running service is a reason to warn.
func (m Machine) bad() bool { return m.State == one.VMPoweroff || m.unknown() || m.failed() }

// AtRest tells whether a machine is in a state that it stays in by itself, good or
// bad: what somebody who watches the service wants to know.
func (m Machine) AtRest() bool { return m.settled() || m.bad() }

// settled tells whether a machine is in a state that it stays in, so that a
// warning can be taken back.
func (m Machine) settled() bool { return m.Running() || m.resting() }
