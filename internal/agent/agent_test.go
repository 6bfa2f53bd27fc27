package agent

import (
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
)

var discard = slog.New(slog.DiscardHandler)

func domain(id int) string { return "one-" + strconv.Itoa(id) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLifeOfAMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := &server{ack: true}, newSim(t, sim.Behaviour{})
		_, stop := start(t, s, Config{Driver: d, StateDir: t.TempDir()})
		defer stop()
		if told := take[any](s); len(told) < 2 {
			t.Fatalf("told %v, want facts and all domains first", told)
		} else if _, ok := told[0].(agentapi.Facts); !ok {
			t.Fatalf("told %T first, want Facts", told[0])
		} else if _, ok := told[1].(syncAll); !ok {
			t.Fatalf("told %T second, want all domains", told[1])
		}
		for _, step := range []struct {
			op   agentapi.Op
			then agentapi.DomainState
		}{
			{agentapi.OpPrepare, agentapi.DomainPoweroff},
			{agentapi.OpStart, agentapi.DomainRunning},
			{agentapi.OpReboot, agentapi.DomainRunning},
			{agentapi.OpShutdown, agentapi.DomainPoweroff},
			{agentapi.OpStart, agentapi.DomainRunning},
			{agentapi.OpSave, agentapi.DomainPoweroff},
			{agentapi.OpStore, agentapi.DomainPoweroff},
			{agentapi.OpFetch, agentapi.DomainPoweroff},
			{agentapi.OpRestore, agentapi.DomainRunning},
			{agentapi.OpContext, agentapi.DomainRunning},
			{agentapi.OpReset, agentapi.DomainRunning},
			{agentapi.OpDestroy, agentapi.DomainPoweroff},
			{agentapi.OpFinish, agentapi.DomainPoweroff},
			{agentapi.OpCleanup, agentapi.DomainPoweroff},
		} {
			r := s.one(t, vm(7, step.op, 0))
			if !r.OK() {
				t.Fatalf("%s: %s", step.op, r.Error)
			}
			if starts := step.op == agentapi.OpStart || step.op == agentapi.OpRestore; starts != (r.DeployID != "") {
				t.Errorf("%s: deploy id %q", step.op, r.DeployID)
			}
			if got := state(t, d, 7); got != step.then {
				t.Errorf("after %s the domain is %s, want %s", step.op, got, step.then)
			}
			if events := take[agentapi.Event](s); len(events) > 0 {
				t.Errorf("%s: told of %v, which the step did", step.op, events)
			}
		}
	})
}
