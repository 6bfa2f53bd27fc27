package simulate

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/trifid-cloud/trifid/internal/expr"
	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
)

// Result is what would have happened.
type Result struct {
	Start, End time.Time
	Roles      []Role // in the order of the template
	Decisions  []Decision
	Warnings   []Warning
}

// Role is what would have become of a role.
type Role struct {
	Name       string
	Min, Max   int           // lowest and highest cardinality
	Ups, Downs int           // decisions
	VMTime     time.Duration // of all VMs that ran, together
	MinVMs     int           // its limits, -1 for none
	MaxVMs     int
	Points     []Point
	Measured   []Series // what its policies looked at
}

// Point is what a role is from a time on.
type Point struct {
	At                   time.Time
	Cardinality, Running int
}

// Series is a metric as policies see it: the mean over the role's VMs that run.
type Series struct {
	Name   string
	Points []Sample
	Limits []Limit // in the order of the policies
}

// Limit is a number that a policy compares a metric with.
type Limit struct {
	Policy int    // its index
	Sign   string // as in LOAD > 80
	Value  float64
	Type   string // of the policy's adjustment
	Adjust int
}

// Sample is the value from a time on; not Known when there is none.
type Sample struct {
	At    time.Time
	N     float64
	Known bool
}

// Decision is a scaling with its cause.
type Decision struct {
	At    time.Time
	Event one.ServiceEvent
}

// Kinds of warnings.
const (
	WarnFlapping = "flapping"  // a scaling was taken back soon
	WarnAtLimit  = "at_limit"  // a policy was true, and the role at its limit
	WarnNoMetric = "no_metric" // a policy looks at what there are no metrics of
	WarnState    = "state"     // the service did not come to run, or failed
)

// maxWarnings bounds the warnings; what is beyond is much the same.
const maxWarnings = 1000

// Warning is something to think about.
type Warning struct {
	Kind      string
	Role      string    // "" for none
	At, Until time.Time // zero for all the time
	Text      string
}

// recorder makes a result of what happens.
type recorder struct {
	Result
	o       Options
	ran     bool                  // the service has been running
	settled []time.Time           // by decision: when the service ran again after it
	held    map[reconcile.Key]int // index of the warning that goes on, by policy
	at      time.Time             // of the last points
}

func newRecorder(o Options) *recorder {
	r := &recorder{Result: Result{Start: o.Start, End: o.Start.Add(o.Length)}, o: o, held: map[reconcile.Key]int{}, at: o.Start}
	for i := range o.Spec.Roles {
		s := &o.Spec.Roles[i]
		role := Role{Name: s.Name, MinVMs: s.Min, MaxVMs: s.Max}
		for j, names := range s.Looks() {
			for _, name := range names {
				switch {
				case o.Metrics.column(name) < 0:
					r.warn(Warning{Kind: WarnNoMetric, Role: s.Name, Text: fmt.Sprintf("policy %d looks at %s, and there are no metrics of that", j, name)})
				case !slices.ContainsFunc(role.Measured, func(m Series) bool { return m.Name == name }):
					role.Measured = append(role.Measured, Series{Name: name})
				}
			}
		}
		for j := range role.Measured {
			role.Measured[j].Limits = limits(s, role.Measured[j].Name)
		}
		r.Roles = append(r.Roles, role)
	}
	return r
}

// limits are what the policies of a role compare a metric with.
func limits(s *spec.Role, name string) []Limit {
	var out []Limit
	for i, p := range s.Policies {
		e, err := expr.ParseElasticity(p.Expression)
		if err != nil {
			continue
		}
		for _, t := range e.Thresholds() {
			if t.Name == name {
				out = append(out, Limit{Policy: i, Sign: t.Sign, Value: t.Value, Type: p.Type, Adjust: p.Adjust})
			}
		}
	}
	return out
}

// warn adds a warning and returns its index, -1 if there are too many.
func (r *recorder) warn(w Warning) int {
	if len(r.Warnings) == maxWarnings {
		return -1
	}
	r.Warnings = append(r.Warnings, w)
	return len(r.Warnings) - 1
}

// log notes what the events of a plan decide.
func (r *recorder) log(now time.Time, lines []reconcile.Line) {
	for _, l := range lines {
		switch e := l.Event; e.Type {
		case one.EventScaling:
			r.Decisions = append(r.Decisions, Decision{now, e})
			r.settled = append(r.settled, time.Time{})
			r.flapping()
		case one.EventState:
			if e.State == one.ServiceRunning.String() {
				r.ran = true
				for i := len(r.settled) - 1; i >= 0 && r.settled[i].IsZero(); i-- {
					r.settled[i] = now
				}
			}
		case one.EventFailed:
			r.warn(Warning{Kind: WarnState, Role: e.Role, At: now, Until: now, Text: l.Message})
		}
	}
}

// flapping warns when the last decision takes back the one of the same role
// before it, soon after the service ran again.
func (r *recorder) flapping() {
	last := len(r.Decisions) - 1
	d := r.Decisions[last]
	first := last - 1
	for first >= 0 && r.Decisions[first].Event.Role != d.Event.Role {
		first--
	}
	if first < 0 || r.settled[first].IsZero() {
		return
	}
	b := r.Decisions[first]
	gap, period := d.At.Sub(r.settled[first]), r.period(d.Event.Role)
	if up(b) == up(d) || gap > time.Duration(r.o.FlapPeriods)*period {
		return
	}
	r.warn(Warning{Kind: WarnFlapping, Role: d.Event.Role, At: b.At, Until: d.At, Text: fmt.Sprintf(
		"%d→%d (%s) was taken back by %d→%d (%s), %s after it had settled: within %d periods of %s",
		b.Event.From, b.Event.To, b.Event.Reason(), d.Event.From, d.Event.To, d.Event.Reason(), seconds(gap), r.o.FlapPeriods, seconds(period))})
}

func up(d Decision) bool { return d.Event.To > d.Event.From }

// period is the longest one of a role's policies.
func (r *recorder) period(name string) time.Duration {
	out := max(r.o.Settings.MinInterval, time.Second)
	if s, ok := r.o.Spec.Role(name); ok {
		for _, p := range s.Policies {
			out = max(out, time.Duration(p.Period)*time.Second)
		}
	}
	return out
}

// evals notes policies that would have made a role larger than it may be.
func (r *recorder) evals(now time.Time, evals reconcile.Evals) {
	for i := range r.o.Spec.Roles {
		s := &r.o.Spec.Roles[i]
		for j, p := range s.Policies {
			if p.Adjust <= 0 || p.Type == spec.Cardinality && p.Adjust <= s.Max {
				continue
			}
			key := reconcile.Key{Role: s.Name, Index: j}
			ev, looked := evals[key]
			at, goesOn := r.held[key]
			switch {
			case !looked:
			case !ev.Held:
				delete(r.held, key)
			case goesOn && at >= 0:
				r.Warnings[at].Until = now
			case !goesOn:
				why := one.ServiceEvent{Cause: one.CausePolicy, Evaluated: ev.Text}
				r.held[key] = r.warn(Warning{
					Kind: WarnAtLimit, Role: s.Name, At: now, Until: now, Text: fmt.Sprintf("policy %d can do nothing at max_vms %d: %s", j, s.Max, why.Reason()),
				})
			}
		}
	}
}

// points notes how the roles are when all is done at a time.
func (r *recorder) points(s *simulation) {
	for i := range r.Roles {
		role := &r.Roles[i]
		if n := len(role.Points); n > 0 {
			role.VMTime += time.Duration(role.Points[n-1].Running) * s.now.Sub(r.at)
		}
		p := Point{s.now, 0, s.running[role.Name]}
		for _, o := range s.svc.Roles {
			if o.Name == role.Name {
				p.Cardinality = o.Cardinality
			}
		}
		if n := len(role.Points); n == 0 || role.Points[n-1].Cardinality != p.Cardinality || role.Points[n-1].Running != p.Running {
			role.Points = append(role.Points, p)
		}
		for j := range role.Measured {
			m := &role.Measured[j]
			n, known := s.average(role.Name, m.Name)
			if k := len(m.Points); k == 0 || m.Points[k-1].N != n || m.Points[k-1].Known != known {
				m.Points = append(m.Points, Sample{s.now, n, known})
			}
		}
	}
	r.at = s.now
}

// finish sums up.
func (r *recorder) finish() *Result {
	for i := range r.Roles {
		role := &r.Roles[i]
		for j, p := range role.Points {
			if j == 0 {
				role.Min, role.Max = p.Cardinality, p.Cardinality
			}
			role.Min, role.Max = min(role.Min, p.Cardinality), max(role.Max, p.Cardinality)
		}
		if n := len(role.Points); n > 0 {
			role.VMTime += time.Duration(role.Points[n-1].Running) * r.End.Sub(r.at)
		}
		for _, d := range r.Decisions {
			switch {
			case d.Event.Role != role.Name:
			case up(d):
				role.Ups++
			default:
				role.Downs++
			}
		}
	}
	if !r.ran && r.o.Running == nil {
		r.warn(Warning{Kind: WarnState, Text: "the service did not come to run in this time: no policy was looked at"})
	}
	return &r.Result
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s" }
