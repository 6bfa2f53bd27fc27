package reconcile

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
)

// failer is what testing.TB and rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is a service with machines that obey the plans made for it.
type world struct {
	t        failer
	tree     jsontree.Value
	svc      *one.Service // nil once it is dropped
	machines []Machine    // ascending
	nextID   int
	now      time.Time
	evals    Evals
	averages map[string]float64 // "role/ATTR"
	nets     Nets
	lines    []string
	events   []one.ServiceEvent
	settings Settings
	// refuseCreate and refuse decide what is refused.
	refuseCreate func() bool
	refuse       func(Do) bool
	dropRefusals int
	numbers      map[string]int // highest number of a role so far
	scheduled    []string       // "machine:action@seconds from now"
	stops        int
	created      int
}

var testSettings = Settings{DefaultCooldown: 300 * time.Second, MinInterval: time.Second, ShutdownAction: "terminate", PerStep: 3}

func newWorld(t failer, template string) *world {
	t.Helper()
	v, err := jsontree.Parse([]byte(template))
	if err != nil {
		t.Fatalf("%v", err)
	}
	if v, err = spec.Validate(v); err != nil {
		t.Fatalf("%v", err)
	}
	return newWorldOf(t, v)
}

func newWorldOf(t failer, tree jsontree.Value) *world {
	w := &world{
		t: t, now: time.Date(2024, 5, 6, 10, 0, 0, 0, time.UTC), evals: Evals{}, averages: map[string]float64{}, settings: testSettings,
		numbers: map[string]int{},
	}
	w.svc = &one.Service{ID: 7, Spec: tree.Append(nil), StartTime: w.now.Unix(), Since: w.now.UnixMilli()}
	for _, r := range tree.Get("roles").Items {
		n, _ := r.Get("cardinality").Number()
		w.svc.Roles = append(w.svc.Roles, one.Role{Name: r.Get("name").Text, Cardinality: n})
	}
	return w
}

func (w *world) input() Input {
	tree, err := jsontree.Parse(w.svc.Spec)
	if err != nil {
		w.t.Fatalf("the spec is broken: %v", err)
	}
	w.tree = tree
	s, err := spec.Read(tree)
	if err != nil {
		w.t.Fatalf("the spec is broken: %v", err)
	}
	return Input{
		Spec: s, Service: w.svc, Machines: slices.Clone(w.machines), Nets: w.nets, Evals: w.evals, Settings: w.settings, Now: w.now,
		Average: func(role, attr string) (float64, bool) {
			v, ok := w.averages[role+"/"+attr]
			return v, ok && slices.ContainsFunc(w.machines, func(m Machine) bool { return m.Role == role && m.Running() })
		},
	}
}

// command gives a command; its error is the refusal.
func (w *world) command(f func(Input) (Plan, error)) error {
	w.t.Helper()
	p, err := f(w.input())
	if err != nil {
		return err
	}
	if len(p.Create)+len(p.Do) > 0 || p.Drop {
		w.t.Fatalf("a command does something itself: %+v", p)
	}
	w.store(&p)
	return nil
}

func (w *world) store(p *Plan) {
	for _, l := range p.Log {
		if l.Message != "" {
			w.lines = append(w.lines, l.Severity+" "+l.Message)
		}
		w.events = append(w.events, l.Event)
	}
	if p.Service != nil {
		b, err := json.Marshal(p.Service)
		if err != nil {
			w.t.Fatalf("%v", err)
		}
		n := &one.Service{ID: p.Service.ID}
		if err := json.Unmarshal(b, n); err != nil {
			w.t.Fatalf("%v", err)
		}
		w.svc = n
	}
	w.evals.Remember(p.Evals)
}

// settle applies plans until nothing more is to be done at this time, and returns
// when to look again.
func (w *world) settle() time.Time {
	w.t.Helper()
	for range 10_000 {
		if w.svc == nil {
			return time.Time{}
		}
		p := w.step()
		if !p.Durable() {
			return p.Wake
		}
	}
	w.t.Fatalf("the plans do not come to an end in state %v: %q", w.svc.State, w.lines[max(0, len(w.lines)-10):])
	return time.Time{}
}

// step makes one plan, as often as something of it is refused, and applies it.
func (w *world) step() Plan {
	w.t.Helper()
	in := w.input()
	in.Refused.Do = map[Do]string{}
	for {
		p := Next(in)
		if w.refused(&in, &p) {
			continue
		}
		w.check(&in, &p)
		w.apply(&p)
		return p
	}
}

// refused notes in the input what of a plan is refused.
func (w *world) refused(in *Input, p *Plan) bool {
	if in.Refused.Create == "" && w.refuseCreate != nil {
		for i := range p.Create {
			if w.refuseCreate() {
				in.Refused.Create, in.Refused.CreateAfter = "[one.template.instantiate] quota", i
				return true
			}
		}
	}
	for _, d := range p.Do {
		if w.refuse != nil && d.Op != OpSchedule && w.refuse(d) {
			in.Refused.Do[d] = "refused"
			return true
		}
	}
	if p.Drop && in.Refused.Drop == "" && w.dropRefusals > 0 {
		w.dropRefusals--
		in.Refused.Drop = "leases in use"
		return true
	}
	return false
}

// check holds a plan against what must be true of every plan.
func (w *world) check(in *Input, p *Plan) {
	w.t.Helper()
	if again := Next(*in); !reflect.DeepEqual(again, *p) {
		w.t.Fatalf("the plan is not a function of the facts")
	}
	if len(p.Create) > in.Settings.PerStep || len(p.Do) > in.Settings.PerStep {
		w.t.Fatalf("the plan is too large: %d to create, %d to do", len(p.Create), len(p.Do))
	}
	if p.Drop {
		if len(w.machines) > 0 {
			w.t.Fatalf("the service is dropped while machines exist: %v", w.machines)
		}
		return
	}
	s := p.Service
	if s == nil {
		s = in.Service
	}
	creates := map[string]int{}
	for _, c := range p.Create {
		creates[c.Role]++
		if last, had := w.numbers[c.Role]; had && c.Number <= last {
			w.t.Fatalf("role %s gives number %d again", c.Role, c.Number)
		}
		w.numbers[c.Role] = c.Number
		w.checkParents(in, s, c)
	}
	for _, r := range s.Roles {
		live := 0
		for _, m := range w.machines {
			if m.Role == r.Name {
				live++
			}
		}
		if r.Cardinality < 0 || r.Made != live+creates[r.Name] {
			w.t.Fatalf("role %s: cardinality %d, made %d of %d live and %d created", r.Name, r.Cardinality, r.Made, live, creates[r.Name])
		}
		if n := live - len(r.Leaving) + creates[r.Name]; creates[r.Name] > 0 && n > r.Cardinality {
			w.t.Fatalf("role %s gets %d machines for a cardinality of %d", r.Name, n, r.Cardinality)
		}
	}
	for _, m := range w.machines {
		if !slices.ContainsFunc(s.Roles, func(r one.Role) bool { return r.Name == m.Role }) {
			w.t.Fatalf("machine %d of role %s is leaked", m.ID, m.Role)
		}
	}
	w.checkStops(in, s, p)
	w.checkEvents(in, s, p)
}

// checkParents: in straight deployment nobody comes before its parents.
func (w *world) checkParents(in *Input, s *one.Service, c Create) {
	w.t.Helper()
	if !in.Spec.Straight {
		return
	}
	r, _ := in.Spec.Role(c.Role)
	for _, name := range r.Parents {
		for _, parent := range s.Roles {
			if parent.Name == name && parent.State != one.RoleRunning && !(c.Hold && parent.State == one.RoleHold) && s.State != one.ServiceScaling {
				w.t.Fatalf("role %s is deployed while its parent %s is %s", c.Role, name, parent.State)
			}
		}
	}
}

// checkStops: in straight deployment nobody goes before its children.
func (w *world) checkStops(in *Input, s *one.Service, p *Plan) {
	w.t.Helper()
	removing := slices.ContainsFunc(s.Roles, func(r one.Role) bool { return r.Removing })
	for _, d := range p.Do {
		if d.Op != OpStop && d.Op != OpStopHard || !in.Spec.Straight || s.State != one.ServiceUndeploying || removing {
			continue
		}
		m := w.machine(d.VM)
		for _, r := range s.Roles {
			if rs, _ := in.Spec.Role(r.Name); slices.Contains(rs.Parents, m.Role) && r.State != one.RoleDone {
				w.t.Fatalf("role %s goes while its child %s is %s", m.Role, r.Name, r.State)
			}
		}
	}
}

func (w *world) machine(id int) *Machine {
	w.t.Helper()
	i := slices.IndexFunc(w.machines, func(m Machine) bool { return m.ID == id })
	if i < 0 {
		w.t.Fatalf("machine %d does not exist", id)
	}
	return &w.machines[i]
}

func (w *world) remove(id int) {
	w.machines = slices.DeleteFunc(w.machines, func(m Machine) bool { return m.ID == id })
}

// apply does what a plan says.
func (w *world) apply(p *Plan) {
	w.t.Helper()
	if p.Drop {
		w.svc = nil
		return
	}
	for _, d := range p.Do {
		w.obey(d)
	}
	for _, c := range p.Create {
		m := Machine{ID: w.nextID, Role: c.Role, State: one.VMPending}
		if c.Hold {
			m.State = one.VMHold
		}
		w.nextID++
		w.created++
		w.machines = append(w.machines, m)
	}
	w.store(p)
}

func (w *world) obey(d Do) {
	w.t.Helper()
	m := w.machine(d.VM)
	switch d.Op {
	case OpStop, OpStopHard:
		w.stops++
		w.terminate(m)
	case OpRelease:
		if m.State != one.VMHold {
			w.t.Fatalf("machine %d is released in %s", m.ID, one.StateString(m.State, m.LCM))
		}
		m.State = one.VMPending
	case OpRetry:
		if !m.failed() {
			w.t.Fatalf("machine %d is retried in %s", m.ID, one.StateString(m.State, m.LCM))
		}
		m.State, m.LCM = one.VMActive, one.LCMBoot
	case OpResume:
		if !m.resting() && !m.unknown() {
			w.t.Fatalf("machine %d is resumed in %s", m.ID, one.StateString(m.State, m.LCM))
		}
		m.State, m.LCM = one.VMActive, one.LCMBootPoweroff
	case OpChown:
		m.Stranger = false
	case OpSchedule:
		w.scheduled = append(w.scheduled, fmt.Sprintf("%d:%s@%d", d.VM, d.Action, d.Time-w.now.Unix()))
	}
}

// terminate ends a machine as the core does, from whatever state.
func (w *world) terminate(m *Machine) {
	switch {
	case m.Running() || m.unknown():
		m.LCM = one.LCMShutdown
	case m.resting():
		m.State, m.LCM = one.VMActive, one.LCMEpilog
	case m.State != one.VMActive:
		w.remove(m.ID)
	default:
		m.LCM = one.LCMCleanupDelete
	}
}

// advance brings a machine one state closer to where it goes; false when it is there.
func (w *world) advance(m *Machine) bool {
	switch {
	case m.State == one.VMPending || m.State == one.VMCloning:
		m.State, m.LCM = one.VMActive, one.LCMProlog
	case m.State != one.VMActive:
		return false
	case m.LCM == one.LCMProlog:
		m.LCM = one.LCMBoot
	case m.LCM == one.LCMBoot || m.LCM == one.LCMBootPoweroff || m.LCM == one.LCMUnknown:
		m.LCM = one.LCMRunning
	case m.LCM == one.LCMRunning:
		if m.Ready {
			return false
		}
		m.Ready = true
	case m.LCM == one.LCMShutdown:
		m.LCM = one.LCMEpilog
	case m.LCM == one.LCMEpilog || m.LCM == one.LCMCleanupDelete:
		w.remove(m.ID)
	default:
		return false
	}
	return true
}

// rest lets everything happen that happens by itself, without faults, until
// nothing moves any more; cooldowns pass.
func (w *world) rest() {
	w.t.Helper()
	w.refuse, w.refuseCreate, w.dropRefusals = nil, nil, 0
	for range 100_000 {
		wake := w.settle()
		if w.svc == nil {
			return
		}
		moved := false
		for _, m := range slices.Clone(w.machines) {
			if i := slices.IndexFunc(w.machines, func(o Machine) bool { return o.ID == m.ID }); i >= 0 {
				moved = w.advance(&w.machines[i]) || moved
			}
		}
		if moved {
			continue
		}
		if w.svc.State == one.ServiceRunning || wake.IsZero() {
			return
		}
		w.now = wake
	}
	w.t.Fatalf("the service does not come to rest: %s", w)
}

func (w *world) String() string {
	if w.svc == nil {
		return "gone"
	}
	out := w.svc.State.String()
	for _, r := range w.svc.Roles {
		out += fmt.Sprintf(" %s:%s(%d)", r.Name, r.State, r.Cardinality)
	}
	for _, m := range w.machines {
		out += fmt.Sprintf(" %d/%s=%s", m.ID, m.Role, one.StateString(m.State, m.LCM))
	}
	return out
}

// want fails unless the world prints so.
func (w *world) want(s string) {
	w.t.Helper()
	if got := w.String(); got != s {
		w.t.Fatalf("\n got %s\nwant %s\nlog %q", got, s, w.lines)
	}
}
