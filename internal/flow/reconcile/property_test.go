package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
)

// randomTemplate draws a service template.
func randomTemplate(t *rapid.T) jsontree.Value {
	yes := func(label string) bool { return rapid.Float64Range(0, 1).Draw(t, label) < 0.3 }
	straight := rapid.Bool().Draw(t, "straight")
	var roles []string
	n := rapid.IntRange(0, 4).Draw(t, "roles")
	for i := range n {
		lo := rapid.IntRange(0, 2).Draw(t, "min")
		hi := lo + rapid.IntRange(0, 4).Draw(t, "span")
		r := fmt.Sprintf(`{"name":"r%d","type":"vm","template_id":1,"cardinality":%d`, i, rapid.IntRange(lo, hi).Draw(t, "cardinality"))
		if yes("limits") {
			r += fmt.Sprintf(`,"min_vms":%d,"max_vms":%d`, lo, hi)
			if yes("policy") {
				r += fmt.Sprintf(`,"elasticity_policies":[{"type":"CHANGE","adjust":%d,"expression":"LOAD > 50","period_number":%d,"period":%d,"cooldown":0}]`,
					rapid.IntRange(-2, 2).Draw(t, "adjust"), rapid.IntRange(0, 3).Draw(t, "period_number"), rapid.IntRange(0, 5).Draw(t, "period"))
			}
			if yes("schedule") {
				r += `,"scheduled_policies":[{"type":"CARDINALITY","adjust":2,"recurrence":"*/5 * * * *"}]`
			}
		}
		var parents []string
		for p := range i {
			if yes("parent") {
				parents = append(parents, fmt.Sprintf(`"r%d"`, p))
			}
		}
		if yes("on_hold") {
			r += `,"on_hold":true`
		}
		if yes("hard") {
			r += `,"shutdown_action":"terminate-hard"`
		}
		if yes("cooldown") {
			r += `,"cooldown":0`
		}
		roles = append(roles, r+`,"parents":[`+strings.Join(parents, ",")+`]}`)
	}
	deployment := "none"
	if straight {
		deployment = "straight"
	}
	text := fmt.Sprintf(`{"name":"s","deployment":%q,"ready_status_gate":%v,"automatic_deletion":%v,"on_hold":%v,"roles":[%s]}`,
		deployment, yes("gate"), yes("automatic_deletion"), yes("hold"), strings.Join(roles, ","))
	v, err := jsontree.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if v, err = spec.Validate(v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// hazards are the things that happen to a service.
func hazards(w *world, t *rapid.T) map[string]func(*rapid.T) {
	any := func(t *rapid.T) *Machine {
		if len(w.machines) == 0 {
			t.Skip("no machines")
		}
		return &w.machines[rapid.IntRange(0, len(w.machines)-1).Draw(t, "machine")]
	}
	alive := func(t *rapid.T) {
		if w.svc == nil {
			t.Skip("gone")
		}
	}
	role := func(t *rapid.T) string {
		alive(t)
		if len(w.svc.Roles) == 0 {
			t.Skip("no roles")
		}
		return w.svc.Roles[rapid.IntRange(0, len(w.svc.Roles)-1).Draw(t, "role")].Name
	}
	// A command that is refused is as good as one that is taken.
	give := func(t *rapid.T, f func(Input) (Plan, error)) {
		alive(t)
		_ = w.command(f)
	}
	return map[string]func(*rapid.T){
		"settle": func(t *rapid.T) { alive(t); w.settle() },
		"step":   func(t *rapid.T) { alive(t); w.step() },
		"advance": func(t *rapid.T) {
			for range rapid.IntRange(1, 5).Draw(t, "times") {
				w.advance(any(t))
			}
		},
		"fail": func(t *rapid.T) {
			m := any(t)
			if m.State != one.VMActive {
				t.Skip("not active")
			}
			switch m.LCM {
			case one.LCMProlog:
				m.LCM = one.LCMPrologFailure
			case one.LCMBoot:
				m.LCM = one.LCMBootFailure
			case one.LCMEpilog:
				m.LCM = one.LCMEpilogFailure
			case one.LCMShutdown: // the guest did not obey
				m.LCM = one.LCMRunning
			case one.LCMRunning:
				m.State, m.LCM = one.VMPoweroff, one.LCMInit
			}
		},
		"lose": func(t *rapid.T) {
			if m := any(t); m.Running() {
				m.LCM = one.LCMUnknown
			}
		},
		"put aside": func(t *rapid.T) {
			if m := any(t); m.Running() {
				m.State, m.LCM = rapid.SampledFrom([]one.VMState{one.VMStopped, one.VMSuspended, one.VMUndeployed}).Draw(t, "state"), one.LCMInit
			}
		},
		"delete by hand": func(t *rapid.T) { w.terminate(any(t)) },
		"delete at once": func(t *rapid.T) { w.remove(any(t).ID) },
		"pass time": func(t *rapid.T) {
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 400).Draw(t, "seconds")) * time.Second)
		},
		"crash": func(*rapid.T) { w.evals = Evals{} },
		"load":  func(t *rapid.T) { w.averages[role(t)+"/LOAD"] = float64(rapid.IntRange(0, 100).Draw(t, "load")) },
		"refusals": func(t *rapid.T) {
			w.refuseCreate = func() bool { return rapid.IntRange(0, 9).Draw(t, "refuse create") == 0 }
			w.refuse = func(Do) bool { return rapid.IntRange(0, 9).Draw(t, "refuse") == 0 }
			w.dropRefusals = rapid.IntRange(0, 1).Draw(t, "refuse drop")
		},
		"no refusals": func(*rapid.T) { w.refuseCreate, w.refuse, w.dropRefusals = nil, nil, 0 },
		"scale": func(t *rapid.T) {
			name, n, force := role(t), rapid.IntRange(-1, 8).Draw(t, "cardinality"), rapid.Bool().Draw(t, "force")
			give(t, func(in Input) (Plan, error) { return Scale(in, name, n, force) })
		},
		"undeploy": func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "sure") > 0 {
				t.Skip("not yet")
			}
			give(t, Undeploy)
		},
		"recover":       func(t *rapid.T) { give(t, func(in Input) (Plan, error) { return Recover(in, false) }) },
		"release":       func(t *rapid.T) { give(t, Release) },
		"change owner":  func(t *rapid.T) { alive(t); w.svc.Chowning = true; any(t).Stranger = true },
		"remove a role": func(t *rapid.T) { n := role(t); give(t, func(in Input) (Plan, error) { return RemoveRole(in, n) }) },
		"add a role": func(t *rapid.T) {
			tree, err := spec.ValidateRole(jsontree.Obj(jsontree.F("name", jsontree.Str(fmt.Sprintf("n%d", rapid.IntRange(0, 9).Draw(t, "name")))),
				jsontree.F("type", jsontree.Str("vm")), jsontree.F("template_id", jsontree.Int(1)), jsontree.F("cardinality", jsontree.Int(1))))
			if err != nil {
				t.Fatal(err)
			}
			alive(t)
			if w.command(func(in Input) (Plan, error) { return AddRole(in, tree) }) == nil {
				delete(w.numbers, tree.Get("name").Text) // a new role, though an old one may have had the name
			}
		},
		"spread an action": func(t *rapid.T) {
			alive(t)
			var ids []int
			for _, m := range w.machines {
				ids = append(ids, m.ID)
			}
			if len(ids) == 0 {
				t.Skip("no machines")
			}
			w.svc.Actions = append(w.svc.Actions, one.ServiceAction{Action: "poweroff", Number: rapid.IntRange(0, 3).Draw(t, "number"), Period: 10, Time: w.now.Unix(), VMs: ids})
		},
	}
}

// Whatever happens to a service, in whatever order, the invariants of world.check
// hold; when no more faults come it reaches a state of rest; and from there it can
// be deleted without leaving a machine.
func TestAnyHistoryEndsWell(t *testing.T) {
	for i := range 20 { // times rapid's own number of checks
		t.Run(fmt.Sprint(i), func(t *testing.T) { rapid.Check(t, endsWell) })
	}
}

func endsWell(t *rapid.T) {
	w := newWorldOf(t, randomTemplate(t))
	t.Repeat(hazards(w, t))
	w.rest()
	if w.svc != nil {
		checkRest(t, w)
		if err := w.command(func(in Input) (Plan, error) { return Recover(in, true) }); err != nil {
			t.Fatalf("delete from %s: %v", w, err)
		}
		for range 10 { // machines whose end fails need another recovery each time
			w.rest()
			if w.svc == nil {
				break
			}
			if err := w.command(func(in Input) (Plan, error) { return Recover(in, false) }); err != nil {
				t.Fatalf("recover from %s: %v", w, err)
			}
		}
	}
	if w.svc != nil || len(w.machines) > 0 {
		t.Fatalf("something is left: %s %v\nlog %q", w, w.machines, w.lines)
	}
}

// checkRest tells what a service at rest is like.
func checkRest(t *rapid.T, w *world) {
	has := func(states ...one.RoleState) bool {
		return slices.ContainsFunc(w.svc.Roles, func(r one.Role) bool { return slices.Contains(states, r.State) })
	}
	switch s := w.svc.State; s {
	case one.ServiceRunning, one.ServiceWarning:
		for _, r := range w.svc.Roles {
			n := 0
			bad := false
			for _, m := range w.machines {
				if m.Role == r.Name {
					n++
					bad = bad || m.bad()
				}
			}
			if n != r.Cardinality {
				t.Fatalf("at rest role %s has %d machines for a cardinality of %d: %s", r.Name, n, r.Cardinality, w)
			}
			if bad != (r.State == one.RoleWarning) {
				t.Fatalf("role %s is %s: %s", r.Name, r.State, w)
			}
		}
		if has(one.RoleWarning) != (s == one.ServiceWarning) {
			t.Fatalf("service and roles disagree: %s", w)
		}
	case one.ServiceFailedDeploying, one.ServiceFailedScaling, one.ServiceFailedUndeploying, one.ServiceFailedUndeployingNets:
	case one.ServiceHold, one.ServiceDeploying:
		if !has(one.RoleHold) {
			t.Fatalf("%s without a role on hold: %s", s, w)
		}
	default:
		t.Fatalf("%s is no state of rest: %s\nlog %q", s, w, w.lines)
	}
}

// A service whose machines all come up is RUNNING with its cardinality, whatever
// it looks like, and a service that is deleted is gone: the plain case.
func TestQuietLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorldOf(t, randomTemplate(t))
		want := 0
		for _, r := range w.svc.Roles {
			want += r.Cardinality
		}
		w.rest()
		if w.svc.State != one.ServiceRunning {
			if err := w.command(Release); err != nil {
				t.Fatalf("release of %s: %v", w, err)
			}
			w.rest()
		}
		if w.svc.State != one.ServiceRunning || len(w.machines) != want || w.created != want {
			t.Fatalf("%d machines wanted: %s\nlog %q", want, w, w.lines)
		}
		if err := w.command(Undeploy); err != nil {
			t.Fatal(err)
		}
		if w.settle(); w.svc != nil {
			if err := w.command(Undeploy); err != nil {
				t.Fatalf("the second delete: %v", err)
			}
		}
		w.rest()
		if w.svc != nil || len(w.machines) > 0 || w.stops != want {
			t.Fatalf("after delete: %s, %d machines were stopped of %d", w, w.stops, want)
		}
	})
}
