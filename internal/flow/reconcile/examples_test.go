package reconcile

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trifid-cloud/trifid/internal/flow/spec"
)

// The worked examples and rules of OneFlow reference §4.4 and §4.5 beyond the table
// of TestTarget. How averages come about is in the tests of the package above.

// TestTargetRounds holds Target to the rule in whole numbers: a percentage is
// rounded towards nothing, but at least one and the step; the sign is that of the
// product, nothing counting as negative; limits hold on the side that is moved to.
func TestTargetRounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := rapid.IntRange(0, spec.MaxCardinality).Draw(t, "cardinality")
		s := &spec.Role{Min: rapid.IntRange(-1, 50).Draw(t, "min"), Max: rapid.IntRange(-1, spec.MaxCardinality).Draw(t, "max")}
		p := &spec.Policy{
			Type:   rapid.SampledFrom([]string{spec.Change, spec.Cardinality, spec.PercentageChange}).Draw(t, "type"),
			Adjust: rapid.OneOf(rapid.IntRange(-3, 3), rapid.IntRange(-1000, 1000), rapid.IntRange(-1_000_000, 1_000_000)).Draw(t, "adjust"),
		}
		want := 0
		switch p.Type {
		case spec.Change:
			want = now + p.Adjust
		case spec.Cardinality:
			want = p.Adjust
		case spec.PercentageChange:
			p.MinStep = rapid.IntRange(0, 20).Draw(t, "step")
			size := now * p.Adjust / 100
			if size < 0 {
				size = -size
			}
			size = max(size, 1, p.MinStep)
			if now*p.Adjust <= 0 {
				size = -size
			}
			want = now + size
		}
		if p.Adjust > 0 {
			want = min(want, max(now, s.Max))
		}
		if p.Adjust < 0 {
			want = max(want, s.Min, 0)
		}
		if got := Target(now, s, p); got != want {
			t.Fatalf("%d in %d/%d, %s %+d step %d: got %d, want %d", now, s.Min, s.Max, p.Type, p.Adjust, p.MinStep, got, want)
		}
	})
}

// TestEvaluationOrder: scheduled policies, elasticity policies, the lower limit; the
// first that makes a difference, whatever comes after it.
func TestEvaluationOrder(t *testing.T) {
	const (
		grow  = `{"type":"CHANGE","adjust":1,"expression":"ATT > 50"}`
		grow3 = `{"type":"CHANGE","adjust":3,"expression":"ATT > 50"}`
		stay  = `{"type":"CARDINALITY","adjust":2,"expression":"ATT > 50"}`
		below = `{"type":"CARDINALITY","adjust":1,"expression":"ATT > 50"}`
		never = `{"type":"CHANGE","adjust":5,"expression":"ATT > 99"}`
		due   = `{"type":"CARDINALITY","adjust":5,"start_time":"2024-05-06 10:30"}`
		due2  = `{"type":"CARDINALITY","adjust":2,"start_time":"2024-05-06 10:30"}`
		later = `{"type":"CARDINALITY","adjust":7,"recurrence":"0 11 * * *"}`
	)
	for _, c := range []struct {
		what, scheduled, elastic string
		min                      int
		gone                     int // machines that went away meanwhile
		want                     int
	}{
		{"the clock goes before measurements", due, grow, 1, 0, 5},
		{"the first that is due", due + "," + later, grow, 1, 0, 5},
		{"one that is due later does not count", later, grow, 1, 0, 3},
		{"one that makes no difference is passed over", due2, grow, 1, 0, 3},
		{"the first measurement that makes a difference", "", stay + "," + grow + "," + grow3, 1, 0, 3},
		{"the order is that of the template", "", grow3 + "," + grow, 1, 0, 5},
		{"one that is false is passed over", "", never + "," + grow, 1, 0, 3},
		{"one that leads below the limit is none", "", below + "," + grow, 2, 0, 3},
		{"nothing is true", "", never, 1, 0, 2},
		{"the lower limit comes last", due, never, 2, 1, 5},
		{"and when nothing else makes a difference", due2 + "," + later, never, 2, 1, 2},
		{"measurements go before it", "", grow3, 2, 1, 4},
	} {
		w := newWorld(t, service("", `a 2,"min_vms":`+itoa(c.min)+`,"max_vms":9,"cooldown":0,"scheduled_policies":[`+c.scheduled+`],"elasticity_policies":[`+c.elastic+`]`))
		w.settle()
		w.run(0, 1)
		for id := range c.gone {
			w.remove(id)
		}
		w.now = time.Date(2024, 5, 6, 10, 30, 0, 0, time.UTC)
		w.averages["a/ATT"] = 60
		w.evals = Evals{}
		w.settle()
		if got := w.svc.Roles[0].Cardinality; got != c.want {
			t.Errorf("%s: cardinality %d, want %d", c.what, got, c.want)
		}
	}
}

// TestBusinessHours is the example of §4.5, from a Monday over a week end.
func TestBusinessHours(t *testing.T) {
	w := newWorld(t, service("", `a 4,"min_vms":1,"max_vms":12,"cooldown":0,"scheduled_policies":[
		{"type":"CARDINALITY","adjust":6,"recurrence":"0 9 * * mon,tue,wed,thu,fri"},
		{"type":"CARDINALITY","adjust":10,"recurrence":"0 13 * * mon,tue,wed,thu,fri"},
		{"type":"CARDINALITY","adjust":2,"recurrence":"30 22 * * mon,tue,wed,thu,fri"}]`))
	w.rest()
	w.wantCardinality(4) // nothing of what is past is made up for
	monday := time.Date(2024, 5, 6, 0, 0, 0, 0, time.UTC)
	have := 4
	for day := range 8 {
		for _, c := range []struct {
			at   time.Duration
			want int
		}{{9 * time.Hour, 6}, {13 * time.Hour, 10}, {22*time.Hour + 30*time.Minute, 2}} {
			at := monday.AddDate(0, 0, day).Add(c.at)
			if at.Before(w.now) {
				continue
			}
			w.now = at.Add(-time.Second)
			w.rest()
			w.wantCardinality(have)
			w.now = at
			if weekday := at.Weekday(); weekday != time.Saturday && weekday != time.Sunday {
				have = c.want
			}
			w.rest()
			w.wantCardinality(have)
		}
	}
}

// TestTimeline: an expression that is true from some moment on fires when it has
// been true as often as asked for, that many periods after the first time, and not
// at the next round of a clock.
func TestTimeline(t *testing.T) {
	for _, c := range []struct {
		period, number string
		want           time.Duration
	}{
		{"10", "3", 20 * time.Second}, {"10", "1", 0}, {"10", "0", 0}, {"0", "3", 2 * time.Second}, {"60", "2", time.Minute}, {"90", "4", 270 * time.Second},
	} {
		w := newWorld(t, policed(`,"period":`+c.period+`,"period_number":`+c.number))
		w.settle()
		w.run(0, 1)
		w.pass(time.Hour) // it has been false for long
		began := w.now
		w.load(60)
		wake := w.settle()
		for w.svc.Roles[0].Cardinality == 2 {
			if wake.IsZero() {
				t.Fatalf("period %s, %s times: never", c.period, c.number)
			}
			w.now = wake
			wake = w.settle()
		}
		if got := w.now.Sub(began); got != c.want {
			t.Errorf("period %s, %s times: after %s, want %s", c.period, c.number, got, c.want)
		}
	}
}
