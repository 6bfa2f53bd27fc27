package reconcile

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/one"
)

// checkEvents: what changes is said, with its cause, and nothing else.
func (w *world) checkEvents(in *Input, s *one.Service, p *Plan) {
	w.t.Helper()
	state, cardinality, made, ending := in.Service.State.String(), map[string]int{}, 0, map[int]bool{}
	for _, r := range in.Service.Roles {
		cardinality[r.Name] = r.Cardinality
	}
	for _, l := range p.Log {
		e := l.Event
		if e.Text() == "" && l.Message == "" || (l.Severity == "E") != (e.Type == one.EventFailed || e.Type == one.EventRefused) {
			w.t.Fatalf("an event says nothing, or is of the wrong severity: %+v", l)
		}
		switch e.Type {
		case one.EventState:
			if e.Was != state {
				w.t.Fatalf("%s was %s", e.Text(), state)
			}
			state = e.State
		case one.EventScaling:
			if e.From != cardinality[e.Role] || e.Cause == "" {
				w.t.Fatalf("%s, which had %d", e.Text(), cardinality[e.Role])
			}
			cardinality[e.Role] = e.To
		case one.EventVMsMade:
			made += e.Count
		case one.EventVMsEnding:
			for _, vm := range e.VMs {
				ending[vm] = true
			}
		}
	}
	if state != s.State.String() || made != len(p.Create) {
		w.t.Fatalf("the events end in %s with %d VMs made, the service is %s with %d", state, made, s.State, len(p.Create))
	}
	for _, r := range s.Roles {
		if n, had := cardinality[r.Name]; had && n != r.Cardinality {
			w.t.Fatalf("role %s has cardinality %d, the events say %d", r.Name, r.Cardinality, n)
		}
	}
	for _, d := range p.Do {
		if (d.Op == OpStop || d.Op == OpStopHard) && !ending[d.VM] && slices.ContainsFunc(s.Roles, func(r one.Role) bool { return has(r.Leaving, d.VM) }) {
			w.t.Fatalf("VM %d is told to end, and no event says so", d.VM)
		}
	}
}

// said returns the texts of the events so far, and forgets them.
func (w *world) said() string {
	var out []string
	for i, e := range w.events {
		if e.Type == one.EventVMsMade { // whose ids are known when they are made
			w.events[i].VMs = nil
		}
		text := w.events[i].Text()
		if text == "" {
			text = e.Type + " " + e.Role
		}
		out = append(out, text)
	}
	w.events = nil
	return strings.Join(out, "\n")
}

func (w *world) wantSaid(want ...string) {
	w.t.Helper()
	if got := w.said(); got != strings.Join(want, "\n") {
		w.t.Fatalf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestEvents(t *testing.T) {
	w := newWorld(t, policed(`,"period":10,"period_number":3,"cooldown":60`))
	w.settle()
	w.wantSaid("PENDING → DEPLOYING_NETS", "DEPLOYING_NETS → DEPLOYING", "a is DEPLOYING", "2 VMs of a created")
	w.run(0, 1)
	w.wantSaid("a is RUNNING", "DEPLOYING → RUNNING")
	w.pass(10 * time.Second)
	w.load(87.5)
	w.settle()
	w.pass(10 * time.Second)
	w.wantSaid() // counting is nothing to speak of
	w.pass(10 * time.Second)
	w.wantSaid("scaled a 2→3: ATT 87.5 > 50 for 3×10 s", "a is SCALING", "RUNNING → SCALING", "1 VM of a created")
	w.run(2)
	w.wantSaid("a is COOLDOWN", "SCALING → COOLDOWN for 60 s after scaling a")
	w.load(10)
	w.pass(time.Minute)
	w.wantSaid("a is RUNNING", "COOLDOWN → RUNNING")

	w.must(scaleTo("a", 1))
	w.wantSaid("scaled a 3→1: asked for", "a is SCALING", "RUNNING → SCALING", "VMs 0, 1 of a told to end")
	w.remove(0)
	w.settle()
	w.wantSaid("VM 0 of a gone")
	w.remove(1)
	w.pass(time.Hour)
	w.said()
	w.remove(2) // by itself
	w.settle()
	w.wantSaid("1 VM of a gone", "scaled a 1→0: VMs went away", "scaled a 0→1: below min_vms", "a is SCALING", "RUNNING → SCALING", "1 VM of a created")
	w.set(one.VMActive, one.LCMBootFailure, 3)
	w.wantSaid("failed a", "a is FAILED_SCALING", "SCALING → FAILED_SCALING")
	w.must(func(in Input) (Plan, error) { return Recover(in, true) })
	w.wantSaid("FAILED_SCALING → UNDEPLOYING", "a is UNDEPLOYING", "VM 3 of a told to end")
}

// However many roles there are, few events say what becomes of them.
func TestEventsOfManyRoles(t *testing.T) {
	var roles []string
	for i := range 200 {
		roles = append(roles, "r"+itoa(i)+" 1")
	}
	w := newWorld(t, service("", roles...))
	w.settings.PerStep = 50
	p := w.step()
	if n := len(p.Log); n > 60 {
		t.Errorf("%d events of one plan", n)
	}
}

func TestReason(t *testing.T) {
	for why, want := range map[string]string{
		"": "", "no room": "; no room", "first\nsecond": "; first", "\nsecond": "",
		strings.Repeat("é", 300): "; " + strings.Repeat("é", 250) + "…", "x" + strings.Repeat("é", 300): "; x" + strings.Repeat("é", 249) + "…",
	} {
		p := planner{in: Input{Reason: func(int) string { return why }}}
		if got := p.reason(Machine{}); got != want {
			t.Errorf("%q: %q, want %q", why, got, want)
		}
	}
	if got := new(planner).reason(Machine{}); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}
