package machine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
)

// observations is §3.7 of the VM lifecycle reference: what is seen, in which
// states it changes something, and what. All else changes nothing.
var observations = map[agentapi.DomainState][]row{
	agentapi.DomainRunning: {
		{from: "UNKNOWN BOOT BOOT_POWEROFF BOOT_UNKNOWN BOOT_SUSPENDED BOOT_STOPPED BOOT_UNDEPLOY BOOT_MIGRATE", to: "RUNNING", times: old},
		{from: "BOOT_FAILURE BOOT_STOPPED_FAILURE BOOT_UNDEPLOY_FAILURE BOOT_MIGRATE_FAILURE", to: "RUNNING", times: old},
		{from: "POWEROFF SUSPENDED", to: "RUNNING", records: 1, times: resumed},
	},
	agentapi.DomainPoweroff: {
		{from: "RUNNING UNKNOWN", to: "POWEROFF", times: old + " RE500"},
		{from: "SHUTDOWN", to: "EPILOG", times: old + " RE500 ES500"},
		{from: "SHUTDOWN_POWEROFF", to: "POWEROFF", times: old + " RE500"},
		{from: "SHUTDOWN_UNDEPLOY", to: "EPILOG_UNDEPLOY", times: old + " RE500 ES500"},
	},
	agentapi.DomainSuspended: {{from: "RUNNING UNKNOWN", to: "SUSPENDED", times: old + " RE500"}},
	agentapi.DomainFailure:   {{from: "RUNNING", to: "UNKNOWN", times: old}},
	agentapi.DomainUnknown:   {{from: "RUNNING", to: "UNKNOWN", times: old}},
}

func TestObserve(t *testing.T) {
	for seen, rows := range observations {
		want := map[state]row{}
		for _, r := range rows {
			for s := range named(t, r.from) {
				want[s] = r
			}
		}
		for _, s := range states() {
			what := fmt.Sprintf("%s seen in %s", seen, s)
			v := vmIn(s)
			v.Resched = true
			ch, changed := machine.Observe(v, seen, "seen-id", now)
			unchanged(t, what, v, s)
			r, wanted := want[s]
			if changed != wanted {
				t.Errorf("%s: changed %v (%v)", what, changed, ch.VM)
				continue
			}
			if !wanted {
				continue
			}
			h := ch.VM.LastRecord()
			if stateOf(ch.VM).String() != r.to || times(h) != r.times || len(ch.VM.History) != 1+r.records {
				t.Errorf("%s: %s with %s and %d records; want %s with %s", what, stateOf(ch.VM), times(h), len(ch.VM.History), r.to, r.times)
			}
			if r.to == "RUNNING" && ch.VM.DeployID != "seen-id" || ch.Charge || ch.Done {
				t.Errorf("%s: DEPLOY_ID %s, %+v", what, ch.VM.DeployID, ch)
			}
			if s.lcm == one.LCMRunning && r.to != "UNKNOWN" && (h.Action != one.ActionMonitor || h.UID != -1) {
				t.Errorf("%s: the record says action %d of user %d", what, h.Action, h.UID)
			}
			if r.to == "UNKNOWN" && ch.VM.Resched {
				t.Errorf("%s: RESCHED is still set", what)
			}
		}
	}
	if _, changed := machine.Observe(vmIn(state{one.VMActive, one.LCMRunning}), agentapi.DomainRunning, "x", now); changed {
		t.Error("a running VM that runs is a change")
	}
}

// A host that still tells of a VM which has just been stopped is not believed.
func TestObserveTooSoon(t *testing.T) {
	for seconds, want := range map[int]bool{0: false, 29: false, 30: true, 31: true} {
		v := vmIn(state{vm: one.VMPoweroff})
		at := began.Add(time.Duration(10+seconds) * time.Second)
		if _, changed := machine.Observe(v, agentapi.DomainRunning, "x", at); changed != want {
			t.Errorf("after %d s: changed %v", seconds, changed)
		}
	}
}

func TestLost(t *testing.T) {
	for _, s := range states() {
		ch, changed := machine.Lost(vmIn(s), now)
		if want := s.lcm == one.LCMRunning && s.vm == one.VMActive; changed != want || changed && !ch.VM.Active(one.LCMUnknown) {
			t.Errorf("%s: changed %v", s, changed)
		}
	}
}
