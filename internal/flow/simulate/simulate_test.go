package simulate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/golden"
)

var start = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC) // a Monday

func specOf(t testing.TB, text string) *spec.Spec {
	t.Helper()
	tree, err := jsontree.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if tree, err = spec.Validate(tree); err != nil {
		t.Fatal(err)
	}
	s, err := spec.Read(tree)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// options are those of a worker that grows above LOAD 80 and shrinks below 20.
func options(t testing.TB, members, metrics string, length time.Duration) Options {
	t.Helper()
	m, err := ReadMetrics(metrics, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Spec: specOf(t, `{"name":"s","deployment":"straight","roles":[{"name":"db","type":"vm","template_id":0,"cardinality":1},
			{"name":"worker","type":"vm","template_id":0,"cardinality":1,"min_vms":1,"max_vms":3,"parents":["db"],"cooldown":60`+members+`}]}`),
		Settings: reconcile.Settings{DefaultCooldown: 5 * time.Minute, MinInterval: time.Second, ShutdownAction: "terminate"},
		Metrics:  m, Start: start, Length: length, Boot: 20 * time.Second, Stop: 5 * time.Second, FlapPeriods: 10,
	}
}

const growShrink = `,"elasticity_policies":[
	{"type":"CHANGE","adjust":1,"expression":"LOAD > 80","period":10,"period_number":3},
	{"type":"CHANGE","adjust":-1,"expression":"LOAD < 20","period":10,"period_number":3}]`

// String shows a result as text, times in seconds.
func (r *Result) String() string {
	at := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return fmt.Sprintf("%g", t.Sub(r.Start).Seconds())
	}
	var b strings.Builder
	for _, d := range r.Decisions {
		fmt.Fprintf(&b, "%s %s\n", at(d.At), d.Event.Text())
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "! %s-%s %s %s: %s\n", at(w.At), at(w.Until), w.Kind, w.Role, w.Text)
	}
	for _, role := range r.Roles {
		fmt.Fprintf(&b, "%s %d..%d, %d up, %d down, %v\n", role.Name, role.Min, role.Max, role.Ups, role.Downs, role.VMTime)
		for _, p := range role.Points {
			fmt.Fprintf(&b, "  %s: %d, %d run\n", at(p.At), p.Cardinality, p.Running)
		}
		for _, s := range role.Measured {
			fmt.Fprintf(&b, "  %s", s.Name)
			for _, l := range s.Limits {
				fmt.Fprintf(&b, " (%s %g: %s %+d)", l.Sign, l.Value, l.Type, l.Adjust)
			}
			for _, p := range s.Points {
				if p.Known {
					fmt.Fprintf(&b, " %s=%.4g", at(p.At), p.N)
				} else {
					fmt.Fprintf(&b, " %s=-", at(p.At))
				}
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func TestRun(t *testing.T) {
	for name, o := range map[string]Options{
		// It grows when the load has been high for three periods, and shrinks again.
		"peak": options(t, growShrink, "time,role,LOAD\n0,worker,40\n100,worker,87.5\n300,worker,50\n400,worker,10\n", 10*time.Minute),
		// The load is shared: more workers make it low, fewer high. That flaps.
		"flapping": options(t, strings.ReplaceAll(growShrink, "LOAD < 20", "LOAD < 45"), "time,role,total:LOAD\n0,worker,85\n", 10*time.Minute),
		// More is wanted than the limit allows, and nothing measures CPU.
		"limit":    options(t, strings.ReplaceAll(growShrink, "LOAD < 20", "CPU < 20"), "time,LOAD\n0,95\n500,-\n", 10*time.Minute),
		"schedule": options(t, `,"scheduled_policies":[{"type":"CARDINALITY","adjust":3,"recurrence":"5 * * * *"},{"type":"CARDINALITY","adjust":1,"start_time":"2024-01-01 00:08:00"}]`, "time\n", 10*time.Minute),
		"slow":     slow(options(t, growShrink, "time,LOAD\n0,95\n", time.Minute)),
		"service":  running(options(t, growShrink, "time,role,LOAD\n0,*,10\n", 3*time.Minute)),
		"deadline": late(options(t, "", "time\n", 10*time.Minute)),
	} {
		r, err := Run(context.Background(), o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		golden.Check(t, "testdata/"+name+".txt", r.String())
		again, err := Run(context.Background(), o)
		if err != nil || again.String() != r.String() {
			t.Errorf("%s: another time it is another result: %v", name, err)
		}
	}
}

func slow(o Options) Options {
	o.Boot = 50 * time.Second
	return o
}

func running(o Options) Options {
	o.Running = map[string]int{"db": 1, "worker": 3}
	return o
}

func late(o Options) Options {
	o.Boot, o.Settings.Deadline = 2*time.Minute, time.Minute
	return o
}

// What takes too long, or too much, is refused and not carried out.
func TestBounds(t *testing.T) {
	many := options(t, "", "time\n", time.Minute)
	many.Spec = specOf(t, `{"name":"s","roles":[{"name":"a","type":"vm","template_id":0,"cardinality":9000},{"name":"b","type":"vm","template_id":0,"cardinality":9000}]}`)
	long := options(t, strings.ReplaceAll(growShrink, `,"period":10`, ""), "time,LOAD\n0,95\n", MaxSpan)
	stranger := options(t, "", "time,role\n0,nobody\n", time.Minute)
	for what, o := range map[string]Options{"VMs": many, "takes too long": long, `"nobody" is not a role`: stranger} {
		_, err := Run(context.Background(), o)
		var refusal *spec.Error
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Msg, what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, long); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// Without an end to what happens nothing is left out: the last point is the end's.
func TestVMTime(t *testing.T) {
	o := running(options(t, "", "time\n", time.Hour))
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Roles[1].VMTime; got != 3*time.Hour {
		t.Errorf("three VMs for an hour: %v", got)
	}
	if len(r.Decisions) != 0 || r.Roles[1].Points[0] != (Point{start, 3, 3}) {
		t.Errorf("nothing was to happen: %s", r)
	}
}
