package reconcile

import (
	"fmt"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/flow/spec"
)

// The table of OneFlow reference §4.4.
func TestTarget(t *testing.T) {
	for _, c := range []struct {
		now, min, max int
		typ           string
		adjust, step  int
		want          int
		refused       bool
	}{
		{4, 1, 5, spec.Change, 2, 0, 5, false},
		{5, 1, 5, spec.Change, 2, 0, 5, false},
		{7, 1, 5, spec.Change, 2, 0, 7, true},
		{7, 1, 5, spec.Change, -1, 0, 6, true},
		{2, 1, 5, spec.Change, -3, 0, 1, false},
		{1, 3, 5, spec.Change, -1, 0, 3, false},
		{5, 1, 10, spec.PercentageChange, 10, 0, 6, false},
		{5, 1, 10, spec.PercentageChange, 30, 0, 6, false},
		{10, 1, 20, spec.PercentageChange, 25, 0, 12, false},
		{5, 1, 5, spec.PercentageChange, -10, 2, 3, false},
		{3, 1, 5, spec.PercentageChange, -50, 0, 2, false},
		{5, 1, 10, spec.PercentageChange, 0, 0, 4, false},
		{0, 0, 5, spec.PercentageChange, 50, 0, -1, true},
		{3, 1, 5, spec.Cardinality, 10, 0, 5, false},
		{3, 2, 5, spec.Cardinality, 1, 0, 1, true},
		{8, 2, 5, spec.Cardinality, 7, 0, 7, true},
		{3, 2, -1, spec.Change, 2, 0, 3, false},
		{3, 0, 5, spec.Change, 1 << 62, 0, 5, false},
		{3, 0, 5, spec.Change, -1 << 62, 0, 0, false},
		{3, 0, 5, spec.PercentageChange, 1 << 62, 1 << 62, 5, false},
	} {
		s := &spec.Role{Min: c.min, Max: c.max}
		got := Target(c.now, s, &spec.Policy{Type: c.typ, Adjust: c.adjust, MinStep: c.step})
		if got != c.want || (outside(got, s) != "") != c.refused {
			t.Errorf("%d in %d/%d, %s %+d step %d: got %d (%s), want %d, refused %v", c.now, c.min, c.max, c.typ, c.adjust, c.step, got, outside(got, s), c.want, c.refused)
		}
	}
}

func policed(members string) string {
	return service("", `a 2,"min_vms":1,"max_vms":5,"cooldown":0,"elasticity_policies":[{"type":"CHANGE","adjust":1,"expression":"ATT > 50"`+members+`}]`)
}

// load changes the average of ATT as an event would.
func (w *world) load(v float64) {
	w.averages["a/ATT"] = v
	w.evals.Change(Key{"a", 0})
}

func (w *world) wantCardinality(n int) {
	w.t.Helper()
	if got := w.svc.Roles[0].Cardinality; got != n {
		w.t.Fatalf("cardinality is %d, want %d: %s", got, n, w)
	}
}

func TestPolicyFiresOnFirstEvaluation(t *testing.T) {
	for _, members := range []string{"", `,"period_number":0`, `,"period_number":1`, `,"period_number":1,"period":1`} {
		w := newWorld(t, policed(members))
		w.settle()
		w.run(0, 1)
		w.pass(time.Second)
		w.load(51)
		w.settle()
		w.wantCardinality(3)
		if w.svc.Roles[0].Policies != nil {
			t.Errorf("%s: a counter is stored that decides nothing: %v", members, w.svc.Roles[0].Policies)
		}
	}
}

// "Three periods true" means three periods, however fast guests push.
func TestPeriodNumber(t *testing.T) {
	w := newWorld(t, policed(`,"period_number":3,"period":10`))
	w.settle()
	w.run(0, 1) // evaluated on entering RUNNING: unknown, false
	if e := w.evals[Key{"a", 0}]; e.Text != "ATT[--] > 50" || !e.At.Equal(w.now) {
		t.Fatalf("on entering RUNNING: %+v", e)
	}
	w.load(60)
	if wake := w.settle(); !wake.Equal(w.now.Add(10 * time.Second)) {
		t.Fatalf("wakes at %v", wake)
	}
	w.pass(10 * time.Second) // true once
	for range 50 {
		w.load(61)
		w.pass(100 * time.Millisecond)
	}
	if n := w.svc.Roles[0].Policies[0].TrueEvals; n != 1 {
		t.Fatalf("%d evaluations counted within one period", n)
	}
	w.pass(5 * time.Second) // twice; nothing has changed since, the timer repeats it
	w.wantCardinality(2)
	if e := w.evals[Key{"a", 0}]; e.Text != "ATT[61.0] > 50" || !e.True {
		t.Fatalf("evaluation: %+v", e)
	}
	w.pass(9 * time.Second)
	w.wantCardinality(2)
	w.pass(time.Second) // three times
	w.wantCardinality(3)
	if w.svc.Roles[0].Policies != nil {
		t.Errorf("counters survive the scaling: %v", w.svc.Roles[0].Policies)
	}
}

func TestFalseStartsOver(t *testing.T) {
	w := newWorld(t, policed(`,"period_number":2`))
	w.settle()
	w.run(0, 1)
	for _, v := range []float64{60, 40, 60, 40, 60} {
		w.load(v)
		w.pass(time.Second)
	}
	w.wantCardinality(2)
	w.pass(time.Second)
	w.wantCardinality(3)
}

// A crash forgets when a policy was looked at last, but not the count, and the
// count brings its own time.
func TestCountSurvivesCrash(t *testing.T) {
	w := newWorld(t, policed(`,"period_number":2,"period":60`))
	w.averages["a/ATT"] = 60
	w.settle()
	w.run(0, 1)
	w.evals = Evals{}
	if wake := w.settle(); !wake.Equal(w.now.Add(time.Minute)) {
		t.Fatalf("wakes at %v", wake)
	}
	w.wantCardinality(2)
	w.pass(time.Minute)
	w.wantCardinality(3)
}

// At its limit a policy stays armed: it fires as soon as there is room.
func TestArmedAtTheLimit(t *testing.T) {
	w := newWorld(t, policed(`,"period_number":2,"cooldown":0`))
	w.averages["a/ATT"] = 60
	for range 40 {
		w.rest()
		w.pass(time.Second)
	}
	w.wantCardinality(5)
	before := len(w.lines)
	w.pass(10 * time.Second)
	if len(w.lines) != before || w.svc.Roles[0].Policies[0].TrueEvals != 2 {
		t.Fatalf("at the limit: %v, log %q", w.svc.Roles[0].Policies, w.lines[before:])
	}
	w.remove(w.machines[0].ID)
	w.pass(time.Second)
	w.wantCardinality(5)
}

// The seed example of OneFlow reference §4.4.
func TestSeedExample(t *testing.T) {
	w := newWorld(t, service("", `a 2,"min_vms":1,"max_vms":5,"cooldown":0,"elasticity_policies":[
		{"type":"CHANGE","adjust":2,"expression":"ATT > 50","period_number":3},
		{"type":"PERCENTAGE_CHANGE","adjust":-10,"min_adjust_step":2,"expression":"ATT < 20"}]`))
	w.averages["a/ATT"] = 50
	w.rest()
	w.load(52.5)
	w.evals[Key{"a", 1}] = Eval{At: w.now, Changes: 1}
	for i := range 3 {
		w.pass(time.Second)
		if want := 2 + 2*(i/2); w.svc.Roles[0].Cardinality != want {
			t.Fatalf("after %d evaluations: %s", i+1, w)
		}
	}
	for range 10 {
		w.rest()
		w.pass(time.Second)
	}
	w.wantCardinality(5)
	w.rest()
	w.averages["a/ATT"] = 10
	w.evals = Evals{}
	w.pass(time.Second)
	w.wantCardinality(3)
}

func TestCooldownLengths(t *testing.T) {
	for _, c := range []struct {
		role, policy string
		want         time.Duration
	}{
		{"", "", 300 * time.Second}, {`,"cooldown":7`, "", 7 * time.Second}, {`,"cooldown":7`, `,"cooldown":3`, 3 * time.Second}, {"", `,"cooldown":0`, 0},
	} {
		w := newWorld(t, service("", `a 1,"min_vms":1,"max_vms":2`+c.role+`,"elasticity_policies":[{"type":"CHANGE","adjust":1,"expression":"ATT > 50"`+c.policy+`}]`))
		w.averages["a/ATT"] = 60
		w.settle()
		w.run(0)
		if got := time.Duration(w.svc.Cooldown) * time.Millisecond; got != c.want {
			t.Errorf("role %q, policy %q: cooldown of %s, want %s", c.role, c.policy, got, c.want)
		}
		w.rest()
		w.wantCardinality(2)
	}
}

func TestOnlyTheFirstDifferenceCounts(t *testing.T) {
	w := newWorld(t, service("", `a 2,"min_vms":1,"max_vms":9,"elasticity_policies":[
		{"type":"CHANGE","adjust":1,"expression":"ATT > 50"},{"type":"CHANGE","adjust":4,"expression":"ATT > 50"}]`,
		`b 1,"min_vms":1,"max_vms":9,"elasticity_policies":[{"type":"CHANGE","adjust":1,"expression":"ATT > 50"}]`))
	w.averages["a/ATT"], w.averages["b/ATT"] = 60, 60
	w.settle()
	w.run(0, 1, 2)
	w.want("SCALING a:SCALING(3) b:RUNNING(1) 0/a=RUNNING 1/a=RUNNING 2/b=RUNNING 3/a=PENDING")
	if len(w.evals) != 1 {
		t.Errorf("policies were evaluated that do not count: %v", w.evals)
	}
}

func scheduled(members string) string {
	return service("", fmt.Sprintf(`a 2,"min_vms":1,"max_vms":5,"cooldown":0,"scheduled_policies":[{"type":"CARDINALITY","adjust":4,%s}]`, members))
}

// The world's clock begins at 10:00 on 6 May 2024.
func TestScheduled(t *testing.T) {
	for _, c := range []struct {
		members string
		wake    string // "" for never
	}{
		{`"recurrence":"30 10 * * *"`, "2024-05-06 10:30"}, {`"recurrence":"0 10 * * *"`, "2024-05-07 10:00"},
		{`"start_time":"2024-05-06 11:15"`, "2024-05-06 11:15"}, {`"start_time":"2024-05-06 09:00"`, ""},
		{`"start_time":"15:45"`, "2024-05-06 15:45"}, {`"start_time":"09:00"`, "2024-05-07 09:00"},
		{`"start_time":"1714993200"`, "2024-05-06 11:00"},
	} {
		w := newWorld(t, scheduled(c.members))
		w.settle()
		for i := range w.machines {
			w.machines[i].State, w.machines[i].LCM = 3, 3
		}
		wake := w.settle()
		got := ""
		if !wake.IsZero() {
			got = wake.Format("2006-01-02 15:04")
		}
		if got != c.wake {
			t.Errorf("%s: wakes at %q, want %q", c.members, got, c.wake)
			continue
		}
		if c.wake == "" {
			continue
		}
		w.now = wake.Add(-time.Millisecond)
		w.settle()
		w.wantCardinality(2)
		w.now = wake
		w.settle()
		w.wantCardinality(4)
	}
}

// What was missed while the service did not run fires once, late.
func TestScheduledLate(t *testing.T) {
	w := newWorld(t, scheduled(`"recurrence":"*/10 * * * *"`))
	w.rest()
	w.set(8, 0, 0) // POWEROFF: WARNING, nothing is evaluated
	w.pass(35 * time.Minute)
	w.wantCardinality(2)
	w.run(0)
	w.wantCardinality(4)
	w.rest()
	w.must(func(in Input) (Plan, error) { return Scale(in, "a", 3, false) })
	w.rest()
	w.wantCardinality(3) // and not again
	w.pass(5 * time.Minute)
	w.wantCardinality(4)
}
