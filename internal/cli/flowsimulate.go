package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client"
)

const simulateHelp = `Nothing is changed. The policies are tried with the metrics of a CSV file on a clock of their own:

  time,role,LOAD
  0,worker,40
  60,worker,87.5

time is seconds from the start, or a date with a time; role a name, or * for all; then a column for each metric. A column total:LOAD has the
sum over the role's VMs, so that more VMs have less each. An empty field keeps the value, - takes it away. The last line is the end, unless
--until says otherwise.`

func simulateVerb(name, example string) verb {
	return verb{
		name: "simulate", short: "Show what the policies would do with given metrics", long: simulateHelp,
		args: []arg{self(name), file}, example: example,
		flags: func(f *pflag.FlagSet) {
			text(f, "until", "", "how long: seconds, or as in 2h30m")
			text(f, "start", "", "date and time of the start, for scheduled policies; 2024-01-01 00:00:00, a Monday, by default")
			text(f, "boot", "", "how long a VM takes to come up, 30s by default")
			text(f, "shutdown", "", "how long a VM takes to end, 10s by default")
			number(f, "flap", "", 10, "warn when a scaling is taken back within so many periods")
			text(f, "template", "", "file with a template to use instead, before it replaces the present one")
			text(f, "svg", "", "write a picture to a file")
			text(f, "html", "", "write a page with everything to a file")
			boolean(f, "json", "j", "print the whole answer")
		},
		run: simulate,
	}
}

// simulation is the answer. Times are seconds since the start.
// Source: internal/flow, resultOf.
type simulation struct {
	Name      string    `json:"name"`
	Start     time.Time `json:"start"`
	Dated     bool      `json:"dated"`
	Until     float64   `json:"until"`
	Boot      float64   `json:"boot"`
	Shutdown  float64   `json:"shutdown"`
	Decisions []struct {
		Time   float64 `json:"time"`
		Role   string  `json:"role"`
		From   int     `json:"from"`
		To     int     `json:"to"`
		Reason string  `json:"reason"`
	} `json:"decisions"`
	Warnings []struct {
		Type  string   `json:"type"`
		Role  string   `json:"role"`
		Time  *float64 `json:"time"`
		Until float64  `json:"until"`
		Text  string   `json:"text"`
	} `json:"warnings"`
	Roles []simulatedRole `json:"roles"`
}

type simulatedRole struct {
	Name        string       `json:"name"`
	Min         int          `json:"min"`
	Max         int          `json:"max"`
	MinVMs      *int         `json:"min_vms"` // its limits, if it has any
	MaxVMs      *int         `json:"max_vms"`
	Ups         int          `json:"ups"`
	Downs       int          `json:"downs"`
	VMSeconds   float64      `json:"vm_seconds"`
	Cardinality [][3]float64 `json:"cardinality"` // time, cardinality, running
	Measured    []struct {
		Name   string        `json:"name"`
		Points [][2]*float64 `json:"points"` // time, value
		Limits []struct {
			Sign   string  `json:"sign"`
			Value  float64 `json:"value"`
			Type   string  `json:"type"`
			Adjust int     `json:"adjust"`
		} `json:"limits"` // what policies compare it with
	} `json:"measured"`
}

func simulate(c *call) error {
	answer, err := c.simulated()
	if err != nil {
		return err
	}
	var s simulation
	if err := json.Unmarshal(answer, &s); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	for _, out := range []struct{ path, text string }{{c.str("svg"), s.picture().SVG()}, {c.str("html"), s.page()}} {
		if out.path == "" {
			continue
		}
		if err := os.WriteFile(out.path, []byte(out.text), 0o644); err != nil {
			return fmt.Errorf("write the simulation: %w", err)
		}
	}
	if c.flag("json") {
		return render.RawJSON(c.out, answer)
	}
	return s.print(c)
}

// simulated asks the server.
func (c *call) simulated() ([]byte, error) {
	metrics, err := c.metrics()
	if err != nil {
		return nil, err
	}
	flap, err := strconv.Atoi(c.str("flap"))
	if err != nil {
		return nil, fmt.Errorf("flap: %q is not a number", c.str("flap"))
	}
	said := map[string]any{"metrics": metrics, "flap_periods": flap}
	for _, name := range []string{"until", "boot", "shutdown"} {
		if s := c.str(name); s != "" {
			d, err := readSeconds(s)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			said[name] = d
		}
	}
	if s := c.str("start"); s != "" {
		said["start"] = s
	}
	head, err := json.Marshal(said)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	path := c.path(c.subjects()[0], "/simulate")
	if c.str("template") == "" {
		answer, err := c.request(http.MethodPost, path, head)
		return answer, c.blameMetrics(err)
	}
	t, err := c.readFile(c.str("template"))
	if err != nil {
		return nil, err
	}
	src, err := readSource(c.str("template"), t)
	if err != nil {
		return nil, err
	}
	answer, err := src.send(c, http.MethodPost, path, string(head[:len(head)-1])+`,"template":`, "}")
	return answer, c.blameMetrics(err)
}

// metrics are what a file or standard input holds, "" if there is neither.
func (c *call) metrics() (string, error) {
	if c.given(1) {
		return c.readFile(c.text(1))
	}
	return c.stdinIfAny()
}

// inMetrics begins a refusal of metrics. Source: internal/flow/simulate, ReadMetrics.
var inMetrics = regexp.MustCompile(`^metrics, line (\d+) column (\d+): `)

// blameMetrics puts the name of the file to the place that a refusal names.
func (c *call) blameMetrics(err error) error {
	var refusal *client.Error
	if !errors.As(err, &refusal) || !inMetrics.MatchString(refusal.Msg) {
		return err
	}
	name := c.text(1)
	if name == "" || name == "-" {
		name = "input"
	}
	return &exitError{code: refusal.Code & 0xff, err: errors.New(inMetrics.ReplaceAllString(refusal.Msg, name+":$1:$2: "))}
}

// readSeconds reads a time: a number of seconds, or as in 2h30m.
func readSeconds(s string) (float64, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil && n >= 0 && n <= math.MaxInt32 {
		return n, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q: expected seconds, or a time such as 2h30m", s)
	}
	return d.Seconds(), nil
}

// clock writes a time of the simulation: as a date if the metrics have dates, else
// since the start.
func (s *simulation) clock(t float64) string {
	if s.Dated {
		return s.Start.Add(time.Duration(t * float64(time.Second))).Format(render.Seconds)
	}
	n := int64(t)
	return fmt.Sprintf("%02d:%02d:%02d", n/3600, n/60%60, n%60)
}

func (s *simulation) print(c *call) error {
	p := c.panel(20)
	p.Title("SIMULATION OF %s", s.Name)
	p.Field("START", s.Start.Format(time.DateTime))
	p.Field("UNTIL", s.clock(s.Until))
	p.Field("VM BOOT", decimal(s.Boot)+"s")
	p.Field("VM SHUTDOWN", decimal(s.Shutdown)+"s")
	p.Blank()
	p.Section("DECISIONS")
	if err := s.decisions().Print(c.out, indexes(len(s.Decisions)), render.Layout{}); err != nil {
		return err
	}
	p.Blank()
	p.Section("CARDINALITY")
	if err := s.cardinalities().Print(c.out, s.changes(), render.Layout{}); err != nil {
		return err
	}
	p.Blank()
	p.Section("ROLES")
	if err := s.roles().Print(c.out, s.Roles, render.Layout{}); err != nil {
		return err
	}
	if len(s.Warnings) > 0 {
		p.Blank()
		p.Section("WARNINGS")
		return s.warnings().Print(c.out, indexes(len(s.Warnings)), render.Layout{})
	}
	return c.out.Err()
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func decimal(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func wide[R any](name string, size int, left bool, value func(R) string) render.Column[R] {
	return render.Column[R]{Name: name, Size: size, Left: left, Adjust: true, Value: value}
}

func (s *simulation) decisions() render.Table[int] {
	return render.Table[int]{Columns: []render.Column[int]{
		wide("TIME", 8, false, func(i int) string { return s.clock(s.Decisions[i].Time) }),
		wide("ROLE", 15, true, func(i int) string { return s.Decisions[i].Role }),
		wide("FROM", 5, false, func(i int) string { return strconv.Itoa(s.Decisions[i].From) }),
		wide("TO", 5, false, func(i int) string { return strconv.Itoa(s.Decisions[i].To) }),
		wide("REASON", 40, true, func(i int) string { return s.Decisions[i].Reason }),
	}}
}

// change is what a role is from a time on.
type change struct {
	role  string
	point [3]float64
}

// changes are those of all roles, in the order of their times.
func (s *simulation) changes() []change {
	var out []change
	next := make([]int, len(s.Roles))
	for {
		first := -1
		for i, r := range s.Roles {
			if next[i] < len(r.Cardinality) && (first < 0 || r.Cardinality[next[i]][0] < s.Roles[first].Cardinality[next[first]][0]) {
				first = i
			}
		}
		if first < 0 {
			return out
		}
		out = append(out, change{s.Roles[first].Name, s.Roles[first].Cardinality[next[first]]})
		next[first]++
	}
}

func (s *simulation) cardinalities() render.Table[change] {
	return render.Table[change]{Columns: []render.Column[change]{
		wide("TIME", 8, false, func(c change) string { return s.clock(c.point[0]) }),
		wide("ROLE", 15, true, func(c change) string { return c.role }),
		wide("VMS", 5, false, func(c change) string { return decimal(c.point[1]) }),
		wide("RUNNING", 7, false, func(c change) string { return decimal(c.point[2]) }),
	}}
}

func (s *simulation) roles() render.Table[simulatedRole] {
	count := func(of func(simulatedRole) int) func(simulatedRole) string {
		return func(r simulatedRole) string { return strconv.Itoa(of(r)) }
	}
	return render.Table[simulatedRole]{Columns: []render.Column[simulatedRole]{
		wide("NAME", 15, true, func(r simulatedRole) string { return r.Name }),
		wide("MIN", 5, false, count(func(r simulatedRole) int { return r.Min })),
		wide("MAX", 5, false, count(func(r simulatedRole) int { return r.Max })),
		wide("UPS", 5, false, count(func(r simulatedRole) int { return r.Ups })),
		wide("DOWNS", 5, false, count(func(r simulatedRole) int { return r.Downs })),
		wide("VM HOURS", 9, false, func(r simulatedRole) string { return strconv.FormatFloat(r.VMSeconds/3600, 'f', 2, 64) }),
	}}
}

func (s *simulation) warnings() render.Table[int] {
	return render.Table[int]{Columns: []render.Column[int]{
		wide("TIME", 8, false, func(i int) string {
			if t := s.Warnings[i].Time; t != nil {
				return s.clock(*t)
			}
			return "-"
		}),
		wide("ROLE", 15, true, func(i int) string { return orDash(s.Warnings[i].Role) }),
		wide("WARNING", 9, true, func(i int) string { return s.Warnings[i].Type }),
		wide("WHAT", 40, true, func(i int) string { return s.Warnings[i].Text }),
	}}
}
