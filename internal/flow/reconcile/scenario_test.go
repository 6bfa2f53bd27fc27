package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
)

// service is a template of roles, each "name cardinality" with more members.
func service(members string, roles ...string) string {
	for i, r := range roles {
		head, more, _ := strings.Cut(r, ",")
		name, n, _ := strings.Cut(head, " ")
		if more != "" {
			more = "," + more
		}
		roles[i] = fmt.Sprintf(`{"name":%q,"type":"vm","template_id":1,"cardinality":%s%s}`, name, n, more)
	}
	return `{"name":"s",` + members + `"roles":[` + strings.Join(roles, ",") + `]}`
}

const straight = `"deployment":"straight",`

// set puts machines into a state.
func (w *world) set(state one.VMState, lcm one.LCMState, ids ...int) {
	w.t.Helper()
	for _, id := range ids {
		m := w.machine(id)
		m.State, m.LCM = state, lcm
	}
	w.settle()
}

func (w *world) run(ids ...int) {
	w.t.Helper()
	w.set(one.VMActive, one.LCMRunning, ids...)
}

func (w *world) must(f func(Input) (Plan, error)) {
	w.t.Helper()
	if err := w.command(f); err != nil {
		w.t.Fatalf("%v", err)
	}
	w.settle()
}

func (w *world) refuses(want string, f func(Input) (Plan, error)) {
	w.t.Helper()
	if err := w.command(f); err == nil || err.Error() != want {
		w.t.Fatalf("got error %v, want %s", err, want)
	}
}

func (w *world) pass(d time.Duration) {
	w.t.Helper()
	w.now = w.now.Add(d)
	w.settle()
}

// wantLog fails unless the log is just these lines, and begins it anew.
func (w *world) wantLog(lines ...string) {
	w.t.Helper()
	if !slices.Equal(w.lines, lines) {
		w.t.Fatalf("log:\n got %q\nwant %q", w.lines, lines)
	}
	w.lines = nil
}

func scaleTo(role string, n int) func(Input) (Plan, error) {
	return func(in Input) (Plan, error) { return Scale(in, role, n, false) }
}

func TestDeployNone(t *testing.T) {
	w := newWorld(t, service("", "a 2", `b 1,"parents":["a"]`))
	w.settle()
	w.want("DEPLOYING a:DEPLOYING(2) b:DEPLOYING(1) 0/a=PENDING 1/a=PENDING 2/b=PENDING")
	w.run(2)
	w.want("DEPLOYING a:DEPLOYING(2) b:RUNNING(1) 0/a=PENDING 1/a=PENDING 2/b=RUNNING")
	w.run(0, 1)
	w.want("RUNNING a:RUNNING(2) b:RUNNING(1) 0/a=RUNNING 1/a=RUNNING 2/b=RUNNING")
	w.wantLog("I New state: DEPLOYING_NETS", "I New state: DEPLOYING", "I New state: RUNNING")
}

func TestDeployStraight(t *testing.T) {
	w := newWorld(t, service(straight, `c 1,"parents":["b","a"]`, `b 1,"parents":["a"]`, "a 1"))
	w.settle()
	w.want("DEPLOYING c:PENDING(1) b:PENDING(1) a:DEPLOYING(1) 0/a=PENDING")
	w.run(0)
	w.want("DEPLOYING c:PENDING(1) b:DEPLOYING(1) a:RUNNING(1) 0/a=RUNNING 1/b=PENDING")
	w.run(1)
	w.run(2)
	w.want("RUNNING c:RUNNING(1) b:RUNNING(1) a:RUNNING(1) 0/a=RUNNING 1/b=RUNNING 2/c=RUNNING")
	// Children go first.
	w.must(Undeploy)
	w.want("UNDEPLOYING c:UNDEPLOYING(1) b:RUNNING(1) a:RUNNING(1) 0/a=RUNNING 1/b=RUNNING 2/c=SHUTDOWN")
	w.must(Undeploy) // a second time does no harm
	w.remove(2)
	w.settle()
	w.want("UNDEPLOYING c:DONE(1) b:UNDEPLOYING(1) a:RUNNING(1) 0/a=RUNNING 1/b=SHUTDOWN")
	w.remove(1)
	w.settle()
	w.remove(0)
	w.settle()
	w.want("gone")
}

func TestManyMachinesInSteps(t *testing.T) {
	w := newWorld(t, service("", "a 10"))
	p := w.step()
	if len(p.Create) != testSettings.PerStep {
		t.Fatalf("the first step creates %d", len(p.Create))
	}
	w.rest()
	if w.svc.State != one.ServiceRunning || len(w.machines) != 10 || w.machines[9].ID != 9 || w.numbers["a"] != 9 {
		t.Fatalf("%s", w)
	}
	w.must(Undeploy)
	w.rest()
	w.want("gone")
}

func TestEmptyServiceRuns(t *testing.T) {
	for _, template := range []string{`{"name":"s","roles":[]}`, `{"name":"s","on_hold":true,"roles":[]}`, service("", "a 0")} {
		w := newWorld(t, template)
		w.settle()
		if w.svc.State != one.ServiceRunning {
			t.Errorf("%s: %s", template, w)
		}
	}
}

func TestReadyGate(t *testing.T) {
	w := newWorld(t, service(`"ready_status_gate":true,`, "a 2", "b 1"))
	w.settle()
	w.run(0, 1, 2)
	w.want("DEPLOYING a:DEPLOYING(2) b:DEPLOYING(1) 0/a=RUNNING 1/a=RUNNING 2/b=RUNNING")
	w.machine(0).Ready, w.machine(2).Ready = true, true
	w.settle()
	w.want("DEPLOYING a:DEPLOYING(2) b:RUNNING(1) 0/a=RUNNING 1/a=RUNNING 2/b=RUNNING")
	w.set(one.VMSuspended, one.LCMInit, 1) // put aside ends the wait too
	w.want("RUNNING a:RUNNING(2) b:RUNNING(1) 0/a=RUNNING 1/a=SUSPENDED 2/b=RUNNING")
	// Growing waits for the new machine alone.
	w.must(scaleTo("a", 3))
	w.run(3)
	w.want("SCALING a:SCALING(3) b:RUNNING(1) 0/a=RUNNING 1/a=SUSPENDED 2/b=RUNNING 3/a=RUNNING")
	w.machine(3).Ready = true
	w.settle()
	w.want("COOLDOWN a:COOLDOWN(3) b:RUNNING(1) 0/a=RUNNING 1/a=SUSPENDED 2/b=RUNNING 3/a=RUNNING")
}

func TestNetworks(t *testing.T) {
	w := newWorld(t, service("", "a 1"))
	w.nets = NetsWaiting
	w.settle()
	w.want("DEPLOYING_NETS a:PENDING(1)")
	w.nets = NetsBroken
	w.settle()
	w.want("FAILED_DEPLOYING_NETS a:PENDING(1)")
	w.nets = NetsReady
	w.must(func(in Input) (Plan, error) { return Recover(in, false) })
	w.run(0)
	w.dropRefusals = 1
	w.must(Undeploy)
	w.remove(0)
	w.settle()
	w.want("FAILED_UNDEPLOYING_NETS a:DONE(1)")
	w.lines = nil
	w.refuses("Service cannot be undeployed in state: FAILED_UNDEPLOYING_NETS", Undeploy)
	w.must(func(in Input) (Plan, error) { return Recover(in, false) })
	w.want("gone")
}

// Every state of OneFlow reference §3.4, while a role comes up.
func TestStatesWhileDeploying(t *testing.T) {
	for _, c := range []struct {
		state one.VMState
		lcm   one.LCMState
		want  one.ServiceState
	}{
		{one.VMPending, 0, one.ServiceDeploying}, {one.VMHold, 0, one.ServiceDeploying}, {one.VMCloning, 0, one.ServiceDeploying},
		{one.VMCloningFailure, 0, one.ServiceFailedDeploying}, {one.VMActive, one.LCMProlog, one.ServiceDeploying},
		{one.VMActive, one.LCMUnknown, one.ServiceDeploying}, {one.VMActive, one.LCMRunning, one.ServiceRunning},
		{one.VMStopped, 0, one.ServiceRunning}, {one.VMSuspended, 0, one.ServiceRunning}, {one.VMUndeployed, 0, one.ServiceRunning},
		{one.VMPoweroff, 0, one.ServiceWarning}, // up, and then it is looked at afresh
		{one.VMActive, 36, one.ServiceFailedDeploying}, {one.VMActive, 37, one.ServiceFailedDeploying}, {one.VMActive, 38, one.ServiceFailedDeploying},
		{one.VMActive, 39, one.ServiceFailedDeploying}, {one.VMActive, 40, one.ServiceFailedDeploying}, {one.VMActive, 41, one.ServiceFailedDeploying},
		{one.VMActive, 42, one.ServiceFailedDeploying}, {one.VMActive, 44, one.ServiceFailedDeploying}, {one.VMActive, 46, one.ServiceFailedDeploying},
		{one.VMActive, 47, one.ServiceFailedDeploying}, {one.VMActive, 48, one.ServiceFailedDeploying}, {one.VMActive, 49, one.ServiceFailedDeploying},
		{one.VMActive, 50, one.ServiceFailedDeploying}, {one.VMActive, 61, one.ServiceFailedDeploying}, {one.VMActive, 43, one.ServiceDeploying},
	} {
		w := newWorld(t, service("", "a 1"))
		w.settle()
		w.set(c.state, c.lcm, 0)
		if w.svc.State != c.want {
			t.Errorf("%s: service is %s, want %s", one.StateString(c.state, c.lcm), w.svc.State, c.want)
		}
	}
}

func TestFailureAndRecovery(t *testing.T) {
	w := newWorld(t, service(straight, "a 3", `b 1,"parents":["a"]`))
	w.settle()
	w.run(0)
	w.set(one.VMActive, one.LCMBootFailure, 1)
	w.want("FAILED_DEPLOYING a:FAILED_DEPLOYING(3) b:PENDING(1) 0/a=RUNNING 1/a=BOOT_FAILURE 2/a=PENDING")
	w.wantLog("I New state: DEPLOYING_NETS", "I New state: DEPLOYING", "E Role a : VM 1 is in state BOOT_FAILURE", "I New state: FAILED_DEPLOYING")
	w.refuses("Service cannot be undeployed in state: FAILED_DEPLOYING", Undeploy)
	w.refuses("Service cannot be scaled in state: FAILED_DEPLOYING", scaleTo("a", 1))
	w.remove(2) // a missing one is made again
	w.set(one.VMPoweroff, one.LCMInit, 0)
	w.must(func(in Input) (Plan, error) { return Recover(in, false) })
	w.want("DEPLOYING a:DEPLOYING(3) b:PENDING(1) 0/a=BOOT_POWEROFF 1/a=BOOT 3/a=PENDING")
	w.rest()
	if w.svc.State != one.ServiceRunning || len(w.machines) != 4 {
		t.Fatalf("%s", w)
	}
	w.refuses("Service cannot be recovered in state: RUNNING", func(in Input) (Plan, error) { return Recover(in, false) })
}

func TestRefusedCreation(t *testing.T) {
	w := newWorld(t, service("", "a 3"))
	n := 0
	w.refuseCreate = func() bool { n++; return n == 3 }
	w.settle()
	w.want("FAILED_DEPLOYING a:FAILED_DEPLOYING(3) 0/a=PENDING 1/a=PENDING")
	if want := "E Error deploying role a: Error instantiating VM Template 1 in Role a: [one.template.instantiate] quota"; w.lines[2] != want {
		t.Errorf("log: got %q, want %q", w.lines[2], want)
	}
	// Nothing is leaked when it is deleted now.
	w.must(func(in Input) (Plan, error) { return Recover(in, true) })
	w.want("gone")
}

func TestWarning(t *testing.T) {
	w := newWorld(t, service("", "a 2", "b 1"))
	w.settle()
	w.run(0, 1, 2)
	w.set(one.VMPoweroff, one.LCMInit, 0)
	w.want("WARNING a:WARNING(2) b:RUNNING(1) 0/a=POWEROFF 1/a=RUNNING 2/b=RUNNING")
	w.set(one.VMActive, one.LCMUnknown, 1)
	// One of two comes back: the other is still bad.
	w.set(one.VMActive, one.LCMBootPoweroff, 0)
	w.run(0)
	w.want("WARNING a:WARNING(2) b:RUNNING(1) 0/a=RUNNING 1/a=UNKNOWN 2/b=RUNNING")
	// The bad one is deleted: nothing is left to warn of.
	w.remove(1)
	w.settle()
	w.want("RUNNING a:RUNNING(1) b:RUNNING(1) 0/a=RUNNING 2/b=RUNNING")
	// It is no warning when machines are put aside on purpose.
	w.set(one.VMSuspended, one.LCMInit, 0, 2)
	w.want("RUNNING a:RUNNING(1) b:RUNNING(1) 0/a=SUSPENDED 2/b=SUSPENDED")
	// A machine that boots does not end a warning, one that runs does.
	w.set(one.VMActive, one.LCMBootFailure, 0)
	w.must(func(in Input) (Plan, error) { return Recover(in, false) })
	w.want("WARNING a:WARNING(1) b:RUNNING(1) 0/a=BOOT 2/b=SUSPENDED")
	w.run(0)
	w.want("RUNNING a:RUNNING(1) b:RUNNING(1) 0/a=RUNNING 2/b=SUSPENDED")
	// Scaling is possible while a machine is bad.
	w.set(one.VMPoweroff, one.LCMInit, 0)
	w.must(scaleTo("b", 2))
	w.want("SCALING a:WARNING(1) b:SCALING(2) 0/a=POWEROFF 2/b=SUSPENDED 3/b=PENDING")
	w.run(3)
	w.pass(301 * time.Second)
	w.want("WARNING a:WARNING(1) b:RUNNING(2) 0/a=POWEROFF 2/b=SUSPENDED 3/b=RUNNING")
}

func TestScaleByHand(t *testing.T) {
	w := newWorld(t, service("", `a 2,"min_vms":1,"max_vms":4,"cooldown":10`, "b 1"))
	w.settle()
	w.refuses("Service cannot be scaled in state: DEPLOYING", scaleTo("a", 3))
	w.run(0, 1, 2)
	w.refuses("Role x not found", scaleTo("x", 3))
	w.refuses("Cardinality of a is already at 2", scaleTo("a", 2))
	w.refuses("Can't scale service 7: Minimum cardinality is 1", scaleTo("a", 0))
	w.refuses("Can't scale service 7: Maximum cardinality is 4", scaleTo("a", 5))
	w.refuses("Can't scale service 7: Minimum cardinality is 0", func(in Input) (Plan, error) { return Scale(in, "a", -1, true) })
	w.lines = nil
	w.must(scaleTo("a", 4))
	w.want("SCALING a:SCALING(4) b:RUNNING(1) 0/a=RUNNING 1/a=RUNNING 2/b=RUNNING 3/a=PENDING 4/a=PENDING")
	w.refuses("Service cannot be scaled in state: SCALING", scaleTo("b", 3))
	w.run(3, 4)
	w.want("COOLDOWN a:COOLDOWN(4) b:RUNNING(1) 0/a=RUNNING 1/a=RUNNING 2/b=RUNNING 3/a=RUNNING 4/a=RUNNING")
	w.pass(9999 * time.Millisecond)
	w.want("COOLDOWN a:COOLDOWN(4) b:RUNNING(1) 0/a=RUNNING 1/a=RUNNING 2/b=RUNNING 3/a=RUNNING 4/a=RUNNING")
	w.pass(time.Millisecond)
	w.wantLog("I Role a scaling up from 2 to 4 nodes", "I New state: SCALING", "I New state: COOLDOWN", "I New state: RUNNING")
	// Down: the oldest go.
	w.must(scaleTo("a", 2))
	w.want("SCALING a:SCALING(2) b:RUNNING(1) 0/a=SHUTDOWN 1/a=SHUTDOWN 2/b=RUNNING 3/a=RUNNING 4/a=RUNNING")
	w.remove(0)
	w.remove(1)
	w.settle()
	w.want("COOLDOWN a:COOLDOWN(2) b:RUNNING(1) 2/b=RUNNING 3/a=RUNNING 4/a=RUNNING")
	w.must(func(in Input) (Plan, error) { return Recover(in, false) }) // ends the cooldown
	w.wantLog("I Role a scaling down from 4 to 2 nodes", "I New state: SCALING", "I New state: COOLDOWN", "I New state: RUNNING")
	// Numbers of names go on.
	w.must(scaleTo("a", 3))
	if w.numbers["a"] != 4 {
		t.Errorf("the fifth machine of role a has number %d", w.numbers["a"])
	}
}

func TestFailedScaling(t *testing.T) {
	w := newWorld(t, service("", "a 1"))
	w.settle()
	w.run(0)
	w.must(scaleTo("a", 3))
	w.set(one.VMActive, one.LCMPrologFailure, 1)
	w.want("FAILED_SCALING a:FAILED_SCALING(3) 0/a=RUNNING 1/a=PROLOG_FAILURE 2/a=PENDING")
	w.must(func(in Input) (Plan, error) { return Recover(in, false) })
	w.run(1, 2)
	w.pass(301 * time.Second)
	w.want("RUNNING a:RUNNING(3) 0/a=RUNNING 1/a=RUNNING 2/a=RUNNING")
	// Down: a guest that does not obey fails it; recovery tells it again.
	w.must(scaleTo("a", 2))
	w.run(0)
	w.want("FAILED_SCALING a:FAILED_SCALING(2) 0/a=RUNNING 1/a=RUNNING 2/a=RUNNING")
	w.must(func(in Input) (Plan, error) { return Recover(in, false) })
	w.want("SCALING a:SCALING(2) 0/a=SHUTDOWN 1/a=RUNNING 2/a=RUNNING")
	w.remove(0)
	w.pass(301 * time.Second)
	w.pass(301 * time.Second)
	w.want("RUNNING a:RUNNING(2) 1/a=RUNNING 2/a=RUNNING")
	// One that cannot even be told.
	w.refuse = func(d Do) bool { return d.Op == OpStop }
	w.must(scaleTo("a", 1))
	w.want("FAILED_SCALING a:FAILED_SCALING(1) 1/a=RUNNING 2/a=RUNNING")
	if got := w.lines[len(w.lines)-2]; got != "E Error undeploying role a: Error undeploying nodes for role `a`" {
		t.Errorf("log: %q", got)
	}
}

func TestMachinesDeletedByHand(t *testing.T) {
	w := newWorld(t, service("", `a 3,"min_vms":2`))
	w.settle()
	w.remove(0) // while it comes up
	w.settle()
	w.run(1, 2)
	w.want("RUNNING a:RUNNING(2) 1/a=RUNNING 2/a=RUNNING")
	w.lines = nil
	w.remove(1)
	w.settle()
	// Below the lower limit it is raised again, without a cooldown.
	w.want("SCALING a:SCALING(2) 2/a=RUNNING 3/a=PENDING")
	w.run(3)
	w.want("RUNNING a:RUNNING(2) 2/a=RUNNING 3/a=RUNNING")
	w.wantLog("I Role a scaling down from 2 to 1 nodes", "I Role a scaling up from 1 to 2 nodes", "I New state: SCALING", "I New state: COOLDOWN", "I New state: RUNNING")
	// While one leaves, another one is deleted: no third one goes.
	w.must(func(in Input) (Plan, error) { return Scale(in, "a", 4, false) })
	w.run(4, 5)
	w.pass(301 * time.Second)
	w.must(scaleTo("a", 3))
	w.remove(5)
	w.settle()
	w.want("SCALING a:SCALING(2) 2/a=SHUTDOWN 3/a=RUNNING 4/a=RUNNING")
	w.remove(2)
	w.settle()
	w.want("COOLDOWN a:COOLDOWN(2) 3/a=RUNNING 4/a=RUNNING")
}

func TestAutomaticDeletion(t *testing.T) {
	w := newWorld(t, service(`"automatic_deletion":true,`, `a 1,"min_vms":1`, "b 1"))
	w.settle()
	w.run(0, 1)
	w.remove(1)
	w.settle()
	w.want("RUNNING a:RUNNING(1) b:RUNNING(0) 0/a=RUNNING")
	w.remove(0)
	w.settle()
	w.want("gone")
	// A service that never had a machine stays.
	w = newWorld(t, service(`"automatic_deletion":true,`, "a 0"))
	w.settle()
	w.want("RUNNING a:RUNNING(0)")
}

func TestHold(t *testing.T) {
	w := newWorld(t, service(straight+`"on_hold":true,`, "a 1", `b 1,"parents":["a"]`))
	w.settle()
	w.want("HOLD a:HOLD(1) b:HOLD(1) 0/a=HOLD 1/b=HOLD")
	w.refuses("Service cannot be recovered in state: HOLD", func(in Input) (Plan, error) { return Recover(in, false) })
	w.must(Release)
	w.want("DEPLOYING a:DEPLOYING(1) b:HOLD(1) 0/a=PENDING 1/b=HOLD")
	w.run(0) // one call of release reaches all levels
	w.want("DEPLOYING a:RUNNING(1) b:DEPLOYING(1) 0/a=RUNNING 1/b=PENDING")
	w.run(1)
	w.want("RUNNING a:RUNNING(1) b:RUNNING(1) 0/a=RUNNING 1/b=RUNNING")
	w.refuses("Service has no roles in HOLD", Release)
	// Roles made later are not on hold any more.
	w.must(scaleTo("b", 2))
	w.want("SCALING a:RUNNING(1) b:SCALING(2) 0/a=RUNNING 1/b=RUNNING 2/b=PENDING")

	w = newWorld(t, service(straight, "a 1", `b 1,"on_hold":true,"parents":["a"]`, `c 1,"parents":["b"]`))
	w.settle()
	w.run(0)
	w.want("DEPLOYING a:RUNNING(1) b:HOLD(1) c:HOLD(1) 0/a=RUNNING 1/b=HOLD 2/c=HOLD")
	w.refuse = func(d Do) bool { return d.Op == OpRelease }
	w.must(Release)
	w.want("FAILED_DEPLOYING a:RUNNING(1) b:FAILED_DEPLOYING(1) c:HOLD(1) 0/a=RUNNING 1/b=HOLD 2/c=HOLD")

	w = newWorld(t, service(`"on_hold":true,`, "a 1"))
	w.settle()
	w.must(Undeploy)
	w.want("gone")
}

func TestRoles(t *testing.T) {
	w := newWorld(t, service(straight, "a 1"))
	role := func(text string) jsontree.Value {
		v, err := jsontree.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if v, err = spec.ValidateRole(v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	b := role(`{"name":"b","type":"vm","template_id":2,"cardinality":1,"parents":["a"]}`)
	add := func(in Input) (Plan, error) { return AddRole(in, b) }
	remove := func(name string) func(Input) (Plan, error) {
		return func(in Input) (Plan, error) { return RemoveRole(in, name) }
	}
	w.refuses("Cannot modify roles in state: PENDING", add)
	w.refuses("Cannot modify roles in state: PENDING", remove("a"))
	w.settle()
	w.run(0)
	w.must(add)
	w.want("DEPLOYING a:RUNNING(1) b:DEPLOYING(1) 0/a=RUNNING 1/b=PENDING")
	w.run(1)
	w.refuses("Role b already exists", add)
	w.refuses("Role c does not exist", remove("c"))
	w.must(remove("a"))
	w.want("UNDEPLOYING a:UNDEPLOYING(1) b:RUNNING(1) 0/a=SHUTDOWN 1/b=RUNNING")
	w.remove(0)
	w.settle()
	w.want("RUNNING b:RUNNING(1) 1/b=RUNNING")
	if w.input(); len(w.tree.Get("roles").Items) != 1 {
		t.Errorf("the template still has %d roles", len(w.tree.Get("roles").Items))
	}
	w.must(remove("b"))
	w.set(one.VMActive, one.LCMEpilogFailure, 1)
	w.want("FAILED_UNDEPLOYING b:FAILED_UNDEPLOYING(1) 1/b=EPILOG_FAILURE")
	w.must(func(in Input) (Plan, error) { return Recover(in, false) })
	w.remove(1)
	w.settle()
	w.want("gone")
}

func TestUndeployNeverForgetsMachines(t *testing.T) {
	// Fewer machines than the cardinality, machines in every state.
	w := newWorld(t, service("", `a 5,"shutdown_action":"terminate-hard"`, "b 1"))
	w.settings.PerStep = 50
	w.refuseCreate = func() bool { return w.created == 0 && len(w.numbers) > 9 }
	w.settle()
	w.run(0)
	w.set(one.VMActive, one.LCMProlog, 1)
	w.set(one.VMPoweroff, one.LCMInit, 2)
	w.set(one.VMActive, one.LCMBootFailure, 3)
	w.must(func(in Input) (Plan, error) { return Recover(in, true) })
	w.want("UNDEPLOYING a:UNDEPLOYING(5) b:DONE(1) 0/a=SHUTDOWN 1/a=CLEANUP_DELETE 2/a=EPILOG 3/a=CLEANUP_DELETE")
	w.set(one.VMActive, one.LCMEpilogFailure, 2)
	w.want("FAILED_UNDEPLOYING a:FAILED_UNDEPLOYING(5) b:DONE(1) 0/a=SHUTDOWN 1/a=CLEANUP_DELETE 2/a=EPILOG_FAILURE 3/a=CLEANUP_DELETE")
	w.must(func(in Input) (Plan, error) { return Recover(in, true) })
	w.want("UNDEPLOYING a:UNDEPLOYING(5) b:DONE(1) 0/a=SHUTDOWN 1/a=CLEANUP_DELETE 2/a=CLEANUP_DELETE 3/a=CLEANUP_DELETE")
	w.rest()
	w.want("gone")
}

// Only terminate-hard is hard; the role's action comes before the service's, that
// before the server's. Source: OneFlow reference §2.1.
func TestShutdownActions(t *testing.T) {
	for _, c := range []struct {
		server, service, role string
		want                  Op
	}{
		{"terminate", "", "", OpStop},
		{"terminate", "", "terminate-hard", OpStopHard},
		{"terminate", "terminate-hard", "", OpStopHard},
		{"terminate", "terminate-hard", "terminate", OpStop},
		{"terminate-hard", "", "", OpStopHard},
		{"terminate-hard", "terminate", "", OpStop},
		{"terminate-hard", "", "shutdown-hard", OpStop},
		{"shutdown-hard", "", "", OpStop},
	} {
		action := func(s string) string {
			if s == "" {
				return ""
			}
			return `"shutdown_action":"` + s + `",`
		}
		w := newWorld(t, service(action(c.service), strings.TrimSuffix("a 1,"+action(c.role), ",")))
		w.settings.ShutdownAction = c.server
		w.rest()
		plan, err := Undeploy(w.input())
		if err != nil {
			t.Fatal(err)
		}
		in := w.input()
		in.Service = plan.Service
		if got := Next(in).Do; !slices.Equal(got, []Do{{VM: 0, Op: c.want}}) {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

func TestDeadline(t *testing.T) {
	w := newWorld(t, service("", "a 1"))
	w.settings.Deadline = time.Minute
	if wake := w.settle(); !wake.Equal(w.now.Add(time.Minute)) {
		t.Errorf("wakes at %v", wake)
	}
	w.pass(time.Minute)
	w.want("FAILED_DEPLOYING a:FAILED_DEPLOYING(1) 0/a=PENDING")
	w.must(func(in Input) (Plan, error) { return Recover(in, true) })
	w.want("gone")
}

func TestActionsAreSpread(t *testing.T) {
	for _, c := range []struct {
		period int64
		number int
		want   []string
	}{
		{300, 2, []string{"0:poweroff@0", "1:poweroff@0", "2:poweroff@300", "3:poweroff@300", "4:poweroff@600"}},
		{0, 2, []string{"0:poweroff@0", "1:poweroff@0", "2:poweroff@0", "3:poweroff@0", "4:poweroff@0"}},
		{300, 0, []string{"0:poweroff@0", "1:poweroff@0", "2:poweroff@0", "3:poweroff@0", "4:poweroff@0"}},
	} {
		w := newWorld(t, service("", "a 5"))
		w.settle()
		w.run(0, 1, 2, 3, 4)
		w.svc.Actions = []one.ServiceAction{{Action: "poweroff", Period: c.period, Number: c.number, Time: w.now.Unix(), VMs: []int{0, 1, 2, 3, 4}}}
		w.settle()
		if !slices.Equal(w.scheduled, c.want) || len(w.svc.Actions) > 0 {
			t.Errorf("%d every %d s: scheduled %v, left %v, want %v", c.number, c.period, w.scheduled, w.svc.Actions, c.want)
		}
	}
}

func TestOwnerFollows(t *testing.T) {
	w := newWorld(t, service("", "a 5"))
	w.settle()
	w.run(0, 1, 2, 3, 4)
	for i := range w.machines {
		w.machines[i].Stranger = i > 0
	}
	w.svc.Chowning = true
	w.settle()
	if w.svc.Chowning || slices.ContainsFunc(w.machines, func(m Machine) bool { return m.Stranger }) {
		t.Errorf("chowning %v, machines %v", w.svc.Chowning, w.machines)
	}
}

// A thousand roles that wait for each other come and go by plans that each do a
// bounded part of it: plans are made inside a transaction, for which everybody else
// waits. Were the work of one cubic in the roles, this would take many minutes.
func TestLongChains(t *testing.T) {
	const n = 1000
	for _, c := range []struct {
		name     string
		parent   func(i int) int
		up, down int // how many plans at least
	}{
		{"each after the one before", func(i int) int { return i - 1 }, 1, n / maxPasses},
		{"each after the next", func(i int) int { return i + 1 }, n / maxPasses, 1},
		{"all after the first", func(i int) int { return min(i, 1) - 1 }, 1, 1},
	} {
		var roles []string
		for i := range n {
			head := "r" + itoa(i) + " 0"
			if p := c.parent(i); p >= 0 && p < n {
				head += `,"parents":["r` + itoa(p) + `"]`
			}
			roles = append(roles, head)
		}
		w := newWorld(t, service(straight, roles...))
		plans := func(atLeast int) {
			t.Helper()
			made := 0
			for w.svc != nil {
				if p := w.step(); !p.Durable() {
					break
				}
				made++
			}
			if made < atLeast {
				t.Errorf("%s: %d plans, want at least %d", c.name, made, atLeast)
			}
		}
		plans(c.up)
		if w.svc.State != one.ServiceRunning {
			t.Fatalf("%s: %s", c.name, w.svc.State)
		}
		if err := w.command(Undeploy); err != nil {
			t.Fatal(err)
		}
		if plans(c.down); w.svc != nil {
			t.Fatalf("%s: %s", c.name, w.svc.State)
		}
	}
}
