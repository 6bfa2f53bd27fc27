// Package simulate tells what the policies of a service would have done: it runs
// the very functions that decide about real services (internal/flow/reconcile)
// on a clock of its own, with VMs that come up after a while and given metrics.
//
// It is pure: a template and metrics in, cardinalities and decisions out. It does
// not know why VMs fail, and lets none fail.
package simulate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
)

// Options say what to simulate.
type Options struct {
	Spec     *spec.Spec
	Settings reconcile.Settings
	// Running are the cardinalities of a service that runs already, by role; nil
	// for a service that is deployed at the start.
	Running map[string]int
	Metrics *Metrics
	Start   time.Time
	Length  time.Duration // up to MaxSpan
	// Boot is how long a VM takes from its creation until it runs and is ready,
	// Stop from being told to end until it is gone.
	Boot, Stop time.Duration
	// FlapPeriods is within how many periods a scaling that is taken back is one
	// too many.
	FlapPeriods int
}

// Bounds of the work: plans made, VMs at once, and machines looked at in all.
const (
	maxPlans = 100_000
	maxVMs   = 10_000
	maxWork  = 20_000_000
)

// Run simulates. Errors are *spec.Error, or ctx's.
func Run(ctx context.Context, o Options) (*Result, error) {
	s, err := newSimulation(o)
	if err != nil {
		return nil, err
	}
	for next := o.Start; !next.After(s.end); {
		s.now = next
		if next, err = s.step(ctx); err != nil {
			return nil, err
		}
		if next.IsZero() {
			break // nothing will ever happen again
		}
		if !next.After(s.now) {
			next = s.now.Add(time.Millisecond)
		}
	}
	return s.rec.finish(), nil
}

// vm is a VM that boots by the clock.
type vm struct {
	reconcile.Machine
	ready time.Time // when it runs
	gone  time.Time // when it has ended; zero if it was not told to
}

type simulation struct {
	o       Options
	now     time.Time
	end     time.Time
	svc     *one.Service
	vms     []vm // ascending by id
	nextID  int
	evals   reconcile.Evals
	looks   map[string][][]string
	values  map[string][]Value // by role, by column
	row     int                // the next one of the metrics
	plans   int
	work    int
	rec     *recorder
	running map[string]int // VMs that run, by role
}

func newSimulation(o Options) (*simulation, error) {
	s := &simulation{
		o: o, now: o.Start, end: o.Start.Add(o.Length), evals: reconcile.Evals{}, looks: map[string][][]string{},
		values: map[string][]Value{}, running: map[string]int{}, rec: newRecorder(o),
	}
	s.o.Settings.PerStep = maxVMs
	s.svc = &one.Service{StartTime: o.Start.Unix(), Since: o.Start.UnixMilli()}
	total := 0
	for i := range o.Spec.Roles {
		r := &o.Spec.Roles[i]
		s.looks[r.Name] = r.Looks()
		s.values[r.Name] = make([]Value, len(o.Metrics.Columns))
		// A role on hold would wait for ever to be released.
		role := one.Role{Name: r.Name, Cardinality: r.Cardinality, Since: s.svc.Since, Released: true}
		if o.Running != nil {
			role.Cardinality, role.State = o.Running[r.Name], one.RoleRunning
		}
		if total += role.Cardinality; total > maxVMs {
			return nil, tooMany()
		}
		if o.Running != nil {
			role.Made, role.LastVM = role.Cardinality, role.Cardinality
			for range role.Cardinality {
				s.create(r.Name, s.now)
			}
		}
		s.svc.Roles = append(s.svc.Roles, role)
	}
	if o.Running != nil {
		s.svc.State = one.ServiceRunning
	}
	for _, r := range o.Metrics.Rows {
		if _, ok := s.values[r.Role]; r.Role != "" && !ok {
			return nil, &spec.Error{Msg: fmt.Sprintf("metrics: %.40q is not a role of the service", r.Role)}
		}
	}
	return s, nil
}

func tooMany() error {
	return &spec.Error{Msg: fmt.Sprintf("the simulation comes to more than %d VMs, expected at most so many", maxVMs)}
}

func (s *simulation) create(role string, ready time.Time) {
	s.vms = append(s.vms, vm{Machine: reconcile.Machine{ID: s.nextID, Role: role, State: one.VMPending}, ready: ready})
	s.nextID++
}

// step lets everything happen that is due now, and returns when the next thing is.
func (s *simulation) step(ctx context.Context) (time.Time, error) {
	s.readRows()
	for {
		if err := ctx.Err(); err != nil {
			return time.Time{}, err
		}
		s.moveVMs()
		plan := reconcile.Next(s.input())
		s.evals.Remember(plan.Evals)
		s.rec.evals(s.now, plan.Evals)
		if s.plans++; s.plans > maxPlans || s.work > maxWork {
			return time.Time{}, &spec.Error{Msg: fmt.Sprintf(
				"the simulation takes too long: it had come to %s after %d decisions; expected a shorter time, or longer periods", s.now.Format(time.DateTime), s.plans-1)}
		}
		if !plan.Durable() {
			s.rec.points(s)
			return s.next(plan.Wake), nil
		}
		if err := s.apply(&plan); err != nil {
			return time.Time{}, err
		}
	}
}

// input gives reconcile what it decides from.
func (s *simulation) input() reconcile.Input {
	in := reconcile.Input{
		Spec: s.o.Spec, Service: s.svc, Nets: reconcile.NetsReady, Evals: s.evals, Settings: s.o.Settings, Now: s.now, Average: s.average,
	}
	for i := range s.vms {
		in.Machines = append(in.Machines, s.vms[i].Machine)
	}
	s.work += len(s.vms) + len(s.svc.Roles)
	return in
}

// average is the mean of a metric over the running VMs of a role.
func (s *simulation) average(role, name string) (float64, bool) {
	i := s.o.Metrics.column(name)
	if i < 0 || s.running[role] == 0 {
		return 0, false
	}
	v := s.values[role][i]
	if s.o.Metrics.Columns[i].Total {
		v.N /= float64(s.running[role])
	}
	return v.N, v.Known
}

// readRows takes the metrics that are due.
func (s *simulation) readRows() {
	for ; s.row < len(s.o.Metrics.Rows); s.row++ {
		r := &s.o.Metrics.Rows[s.row]
		if s.o.Start.Add(r.At).After(s.now) {
			return
		}
		for name, values := range s.values {
			if r.Role != "" && r.Role != name {
				continue
			}
			s.touch(name, func(metric string) bool {
				i := s.o.Metrics.column(metric)
				return i >= 0 && r.Values[i].Set && r.Values[i] != values[i]
			})
			for i, v := range r.Values {
				if v.Set {
					values[i] = v
				}
			}
		}
	}
}

// touch lets the policies of a role know that metrics changed.
func (s *simulation) touch(role string, changed func(metric string) bool) {
	for i, names := range s.looks[role] {
		if slices.ContainsFunc(names, changed) {
			s.evals.Change(reconcile.Key{Role: role, Index: i})
		}
	}
}

// moveVMs lets VMs run whose time has come, and takes those away that have ended.
func (s *simulation) moveVMs() {
	moved := map[string]bool{}
	s.vms = slices.DeleteFunc(s.vms, func(v vm) bool {
		gone := !v.gone.IsZero() && !v.gone.After(s.now)
		if gone && v.Running() {
			s.running[v.Role]--
			moved[v.Role] = true
		}
		return gone
	})
	for i := range s.vms {
		v := &s.vms[i]
		if v.State == one.VMPending && v.gone.IsZero() && !v.ready.After(s.now) {
			v.State, v.LCM, v.Ready = one.VMActive, one.LCMRunning, true
			s.running[v.Role]++
			moved[v.Role] = true
		}
	}
	for role := range moved {
		s.touch(role, func(string) bool { return true })
	}
}

// apply does what a plan says.
func (s *simulation) apply(plan *reconcile.Plan) error {
	if plan.Service != nil {
		s.svc = plan.Service
	}
	s.rec.log(s.now, plan.Log)
	for _, c := range plan.Create {
		if len(s.vms) >= maxVMs {
			return tooMany()
		}
		s.create(c.Role, s.now.Add(s.o.Boot))
	}
	for _, d := range plan.Do {
		i, ok := slices.BinarySearchFunc(s.vms, d.VM, func(v vm, id int) int { return v.ID - id })
		if !ok || d.Op != reconcile.OpStop && d.Op != reconcile.OpStopHard {
			return fmt.Errorf("simulate: operation %d on VM %d was not expected", d.Op, d.VM)
		}
		v := &s.vms[i]
		if v.Running() { // it counts no more
			s.running[v.Role]--
			s.touch(v.Role, func(string) bool { return true })
		}
		v.State, v.LCM, v.gone = one.VMActive, one.LCMShutdown, s.now.Add(s.o.Stop)
	}
	return nil
}

// next returns when something happens next, zero for never.
func (s *simulation) next(wake time.Time) time.Time {
	next := wake
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if s.row < len(s.o.Metrics.Rows) {
		sooner(s.o.Start.Add(s.o.Metrics.Rows[s.row].At))
	}
	for i := range s.vms {
		switch v := &s.vms[i]; {
		case !v.gone.IsZero():
			sooner(v.gone)
		case v.State == one.VMPending:
			sooner(v.ready)
		}
	}
	return next
}
