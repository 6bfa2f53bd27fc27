package flow

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/simulate"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
)

// Simulation says what to simulate. All of it may be left out but Until where
// there are no metrics.
type Simulation struct {
	Metrics string // CSV: see simulate.ReadMetrics
	// Start is a date with a time; by default the first one of the metrics, or
	// where they have none the first of January of 2024, a Monday.
	Start string
	Until time.Duration // from the start; 0 for the last line of the metrics
	// Boot is how long VMs take to come up, Stop to end.
	Boot, Stop  time.Duration
	FlapPeriods int
	// Template is used instead of the one that is stored, unless it is null.
	Template jsontree.Value
}

// maxSimulations bounds how many run at once: each keeps a core busy.
const maxSimulations = 2

// ReadSimulation reads what a client says about a simulation.
func ReadSimulation(v jsontree.Value) (Simulation, error) {
	s := Simulation{Boot: 30 * time.Second, Stop: 10 * time.Second, FlapPeriods: 10}
	for _, f := range v.Fields {
		var err error
		switch f.Name {
		case "metrics":
			s.Metrics, err = textOf(f)
		case "start":
			s.Start, err = textOf(f)
		case "until":
			s.Until, err = secondsOf(f)
		case "boot":
			s.Boot, err = secondsOf(f)
		case "shutdown":
			s.Stop, err = secondsOf(f)
		case "flap_periods":
			n, ok := f.Value.Number()
			if s.FlapPeriods = n; !ok || n < 0 || n > 1000 {
				err = spec.Refuse("flap_periods is wrong", f.Value, "a whole number from 0 to 1000", f.Name)
			}
		case "template":
			s.Template = f.Value
		default:
			err = spec.Refuse(fmt.Sprintf("%.40q is not known", f.Name), f.Value,
				"no members but metrics, start, until, boot, shutdown, flap_periods, template", f.Name)
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

func textOf(f jsontree.Field) (string, error) {
	if f.Value.Kind != jsontree.String {
		return "", spec.Refuse(f.Name+" is wrong", f.Value, "a string", f.Name)
	}
	return f.Value.Text, nil
}

func secondsOf(f jsontree.Field) (time.Duration, error) {
	d, err := time.ParseDuration(f.Value.Text + "s")
	if f.Value.Kind != jsontree.Number || err != nil || d < 0 || d > simulate.MaxSpan {
		return 0, spec.Refuse(f.Name+" is wrong", f.Value, fmt.Sprintf("seconds from 0 to %.0f", simulate.MaxSpan.Seconds()), f.Name)
	}
	return d, nil
}

// SimulateTemplate tells what the policies of a service template would have done
// with the metrics of a simulation, from its deployment on.
func (f *Flow) SimulateTemplate(ctx context.Context, who auth.Caller, id int, s Simulation) (jsontree.Value, error) {
	d, err := f.template(f.store.View(), who, id, one.Use)
	if err != nil {
		return jsontree.Value{}, err
	}
	tree := s.Template
	if tree.Kind == jsontree.Null {
		tree = storedBody(d)
	}
	read, err := simulated(tree)
	if err != nil {
		return jsontree.Value{}, err
	}
	return f.simulate(ctx, d.Name, simulate.Options{Spec: read}, s)
}

// SimulateService is SimulateTemplate for a service that runs, with the VMs that
// its roles are to have now.
func (f *Flow) SimulateService(ctx context.Context, who auth.Caller, id int, s Simulation) (jsontree.Value, error) {
	st := f.store.View()
	d, err := f.visible(st, who, id, one.Use)
	if err != nil {
		return jsontree.Value{}, err
	}
	x, ok, err := f.factsOf(st, id)
	if err == nil && !ok {
		err = errs.Wrap(errs.Action, errNoService)
	}
	if err != nil {
		return jsontree.Value{}, err
	}
	o := simulate.Options{Spec: x.spec.spec, Running: map[string]int{}}
	if s.Template.Kind != jsontree.Null {
		if o.Spec, err = simulated(s.Template); err != nil {
			return jsontree.Value{}, err
		}
	}
	for _, r := range o.Spec.Roles {
		o.Running[r.Name] = r.Cardinality
		if i := slices.IndexFunc(x.svc.Roles, func(o one.Role) bool { return o.Name == r.Name }); i >= 0 {
			o.Running[r.Name] = x.svc.Roles[i].Cardinality
		}
	}
	return f.simulate(ctx, d.Name, o, s)
}

func simulated(tree jsontree.Value) (*spec.Spec, error) {
	tree, err := spec.Validate(tree)
	if err != nil {
		return nil, err
	}
	return spec.Read(tree)
}

func (f *Flow) simulate(ctx context.Context, name string, o simulate.Options, s Simulation) (jsontree.Value, error) {
	select {
	case f.simulations <- struct{}{}:
		defer func() { <-f.simulations }()
	default:
		return jsontree.Value{}, errs.New(errs.Unavailable, "%d simulations are running already, try again later", maxSimulations)
	}
	if s.Metrics == "" {
		s.Metrics = "time\n"
	}
	zone := f.now().Location()
	m, err := simulate.ReadMetrics(s.Metrics, zone)
	if err != nil {
		return jsontree.Value{}, err
	}
	o.Metrics, o.Settings, o.Boot, o.Stop, o.FlapPeriods = m, f.set, s.Boot, s.Stop, s.FlapPeriods
	if o.Start, err = startOf(s, m, zone); err != nil {
		return jsontree.Value{}, err
	}
	if o.Length = s.Until; o.Length == 0 {
		if len(m.Rows) == 0 {
			return jsontree.Value{}, &spec.Error{Msg: "until is missing: expected the seconds to simulate, because the metrics have no lines"}
		}
		o.Length = m.Rows[len(m.Rows)-1].At
	}
	r, err := simulate.Run(ctx, o)
	if err != nil {
		return jsontree.Value{}, err
	}
	return resultOf(name, o, r), nil
}

func startOf(s Simulation, m *simulate.Metrics, zone *time.Location) (time.Time, error) {
	if s.Start == "" {
		if m.Start.IsZero() {
			return time.Date(2024, 1, 1, 0, 0, 0, 0, zone), nil
		}
		return m.Start, nil
	}
	start, ok := simulate.ReadDate(strings.TrimSpace(s.Start), zone)
	switch {
	case !ok:
		return start, &spec.Error{Msg: fmt.Sprintf("start: %.40q: expected a date with a time such as 2026-01-31 09:00:00", s.Start)}
	case !m.Start.IsZero():
		return start, &spec.Error{Msg: "start: the metrics have dates and begin with the first of them, expected no other start"}
	}
	return start, nil
}

// resultOf is the result of a simulation as JSON. Times are seconds since the start.
func resultOf(name string, o simulate.Options, r *simulate.Result) jsontree.Value {
	since := func(t time.Time) jsontree.Value { return decimal(t.Sub(r.Start).Seconds()) }
	var decisions, warnings, roles []jsontree.Value
	for _, d := range r.Decisions {
		fields := append([]jsontree.Field{jsontree.F("time", since(d.At))}, EventFields(&d.Event)[1:]...)
		decisions = append(decisions, jsontree.Obj(append(fields, jsontree.F("text", jsontree.Str(d.Event.Text())))...))
	}
	for _, w := range r.Warnings {
		v := jsontree.Obj(jsontree.F("type", jsontree.Str(w.Kind)))
		if w.Role != "" {
			v = v.With("role", jsontree.Str(w.Role))
		}
		if !w.At.IsZero() {
			v = v.With("time", since(w.At)).With("until", since(w.Until))
		}
		warnings = append(warnings, v.With("text", jsontree.Str(w.Text)))
	}
	for i := range r.Roles {
		roles = append(roles, roleResult(&r.Roles[i], since))
	}
	return jsontree.Obj(jsontree.F("name", jsontree.Str(name)), jsontree.F("start", jsontree.Str(r.Start.Format(time.RFC3339))), jsontree.F("dated", jsontree.Boolean(!o.Metrics.Start.IsZero())),
		jsontree.F("until", since(r.End)), jsontree.F("boot", decimal(o.Boot.Seconds())), jsontree.F("shutdown", decimal(o.Stop.Seconds())),
		jsontree.F("decisions", jsontree.List(decisions...)), jsontree.F("warnings", jsontree.List(warnings...)), jsontree.F("roles", jsontree.List(roles...)))
}

// roleResult is what becomes of a role, as JSON.
func roleResult(role *simulate.Role, since func(time.Time) jsontree.Value) jsontree.Value {
	var points, measured []jsontree.Value
	for _, p := range role.Points {
		points = append(points, jsontree.List(since(p.At), jsontree.Int(p.Cardinality), jsontree.Int(p.Running)))
	}
	for _, m := range role.Measured {
		var limits, samples []jsontree.Value
		for _, l := range m.Limits {
			limits = append(limits, jsontree.Obj(jsontree.F("policy", jsontree.Int(l.Policy)), jsontree.F("sign", jsontree.Str(l.Sign)),
				jsontree.F("value", decimal(l.Value)), jsontree.F("type", jsontree.Str(l.Type)), jsontree.F("adjust", jsontree.Int(l.Adjust))))
		}
		for _, p := range m.Points {
			n := jsontree.Value{}
			if p.Known {
				n = decimal(p.N)
			}
			samples = append(samples, jsontree.List(since(p.At), n))
		}
		measured = append(measured, jsontree.Obj(jsontree.F("name", jsontree.Str(m.Name)), jsontree.F("limits", jsontree.List(limits...)),
			jsontree.F("points", jsontree.List(samples...))))
	}
	out := []jsontree.Field{jsontree.F("name", jsontree.Str(role.Name)), jsontree.F("min", jsontree.Int(role.Min)), jsontree.F("max", jsontree.Int(role.Max))}
	if role.MinVMs >= 0 {
		out = append(out, jsontree.F("min_vms", jsontree.Int(role.MinVMs)))
	}
	if role.MaxVMs >= 0 {
		out = append(out, jsontree.F("max_vms", jsontree.Int(role.MaxVMs)))
	}
	return jsontree.Obj(append(out,
		jsontree.F("ups", jsontree.Int(role.Ups)), jsontree.F("downs", jsontree.Int(role.Downs)), jsontree.F("vm_seconds", decimal(role.VMTime.Seconds())),
		jsontree.F("cardinality", jsontree.List(points...)), jsontree.F("measured", jsontree.List(measured...)))...)
}
