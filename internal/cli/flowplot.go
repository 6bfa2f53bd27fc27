package cli

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/cli/render"
)

// maxNotes bounds the decisions that are listed in a picture.
const maxNotes = 20

// units are those of what is measured of every VM. Source: OneFlow reference §4.3.
var units = map[string]string{
	"CPU": "% of a core", "MEMORY": "KB", "NETRX": "bytes", "NETTX": "bytes", "DISKRDBYTES": "bytes", "DISKWRBYTES": "bytes",
	"DISKRDIOPS": "operations", "DISKWRIOPS": "operations",
}

// picture draws a simulation with the decisions listed below it.
func (s *simulation) picture() render.Plot {
	p := s.plot()
	for i, d := range s.Decisions {
		if i == maxNotes {
			p.Foot = strings.TrimPrefix(p.Foot+fmt.Sprintf("  · %d more decisions are not listed", len(s.Decisions)-maxNotes), "  · ")
			break
		}
		p.Notes = append(p.Notes, render.PlotNote{
			Label: strconv.Itoa(i + 1), Up: d.To > d.From, Text: fmt.Sprintf("%s  %s %d→%d: %s", s.clock(d.Time), d.Role, d.From, d.To, d.Reason),
		})
	}
	return p
}

// plot draws a simulation: for each role its VMs with the decisions, and below what
// its policies looked at. Roles of which there is nothing to see are named only.
func (s *simulation) plot() render.Plot {
	p := render.Plot{Title: "Simulation of " + s.Name, Subtitle: s.summary(), Axis: "time since the start, hh:mm:ss", End: s.Until, Time: s.clock}
	if s.Dated {
		h, m, sec := s.Start.Clock()
		p.Axis, p.Origin = "time", float64(h*3600+m*60+sec)
	}
	var still []string
	for i := range s.Roles {
		r := &s.Roles[i]
		marks := s.marks(r.Name)
		if len(marks)+len(r.Measured) == 0 && len(s.Roles) > 1 && r.Min == r.Max {
			still = append(still, fmt.Sprintf("%s (%d)", r.Name, r.Max))
			continue
		}
		p.Rows = append(p.Rows, s.roleRow(r, marks))
		for j := range marks {
			marks[j].Label = "" // flagged above
		}
		for j := range r.Measured {
			p.Rows = append(p.Rows, r.measuredRow(j, marks))
		}
	}
	if still != nil {
		p.Foot = "VMs that stay as they are: " + strings.Join(still, ", ")
	}
	return p
}

// summary says in a line what was simulated and what came of it.
func (s *simulation) summary() string {
	ups, hours := 0, 0.0
	for _, r := range s.Roles {
		ups, hours = ups+r.Ups, hours+r.VMSeconds/3600
	}
	return fmt.Sprintf("from %s · VMs come up in %s s and end in %s s · %d times up, %d down · %.1f VM hours",
		s.Start.Format("Mon 2006-01-02 15:04:05"), decimal(s.Boot), decimal(s.Shutdown), ups, len(s.Decisions)-ups, hours)
}

// marks are the decisions about a role, by their numbers.
func (s *simulation) marks(role string) []render.PlotMark {
	var out []render.PlotMark
	for i, d := range s.Decisions {
		if d.Role == role {
			out = append(out, render.PlotMark{At: d.Time, Up: d.To > d.From, Label: strconv.Itoa(i + 1), Text: fmt.Sprintf("%d→%d: %s", d.From, d.To, d.Reason)})
		}
	}
	return out
}

// roleRow draws the VMs of a role.
func (s *simulation) roleRow(r *simulatedRole, marks []render.PlotMark) render.PlotRow {
	row := render.PlotRow{Name: r.Name, Unit: "VMs", Whole: true, Marks: slices.Clone(marks)}
	wanted, running := render.PlotLine{Name: "cardinality"}, render.PlotLine{Name: "running", Filled: true}
	for _, c := range r.Cardinality {
		wanted.Points = append(wanted.Points, [2]float64{c[0], c[1]})
		running.Points = append(running.Points, [2]float64{c[0], c[2]})
	}
	row.Lines = []render.PlotLine{running, wanted}
	for _, l := range []struct {
		name string
		n    *int
	}{{"max_vms", r.MaxVMs}, {"min_vms", r.MinVMs}} {
		if l.n != nil {
			row.Limits = append(row.Limits, render.PlotLimit{Value: float64(*l.n), Text: fmt.Sprintf("%s %d", l.name, *l.n)})
		}
	}
	for _, w := range s.Warnings {
		name, known := map[string]string{"at_limit": "held at a limit", "flapping": "flapping"}[w.Type]
		if known && w.Role == r.Name && w.Time != nil {
			row.Bands = append(row.Bands, render.PlotBand{From: *w.Time, To: w.Until, Name: name, Text: w.Text})
		}
	}
	return row
}

// measuredRow draws what the policies of a role looked at, and compared it with.
func (r *simulatedRole) measuredRow(i int, marks []render.PlotMark) render.PlotRow {
	m := &r.Measured[i]
	line := render.PlotLine{Name: "mean of the running VMs"}
	for _, pt := range m.Points {
		n := math.NaN()
		if pt[1] != nil {
			n = *pt[1]
		}
		if pt[0] != nil {
			line.Points = append(line.Points, [2]float64{*pt[0], n})
		}
	}
	row := render.PlotRow{Name: r.Name + " " + m.Name, Unit: units[m.Name], Lines: []render.PlotLine{line}, Marks: marks}
	for _, l := range m.Limits {
		rule := policy{Type: l.Type, Adjust: number64(l.Adjust)}
		row.Limits = append(row.Limits, render.PlotLimit{Value: l.Value, Text: fmt.Sprintf("%s %s: %s", l.Sign, decimal(l.Value), rule.adjustment())})
	}
	return row
}

const pageStyle = `body{font:14px sans-serif;color:#333;max-width:960px;margin:2em auto;padding:0 1em}svg{max-width:100%;height:auto}` +
	`table{border-collapse:collapse;margin:1em 0}td,th{border-bottom:1px solid #ddd;padding:.3em .8em;text-align:left}td.n{text-align:right}`

// page is a simulation as a page of HTML that needs nothing else.
func (s *simulation) page() string {
	var b strings.Builder
	title := html.EscapeString("Simulation of " + s.Name)
	fmt.Fprintf(&b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title><style>%s</style></head>\n<body>\n%s", title, pageStyle, s.plot().SVG())
	b.WriteString("<h2>Decisions</h2>\n<table><tr><th></th><th>Time</th><th>Role</th><th>From</th><th>To</th><th>Reason</th></tr>\n")
	for i, d := range s.Decisions {
		fmt.Fprintf(&b, "<tr><td class=\"n\">%d</td><td>%s</td><td>%s</td><td class=\"n\">%d</td><td class=\"n\">%d</td><td>%s</td></tr>\n",
			i+1, s.clock(d.Time), html.EscapeString(d.Role), d.From, d.To, html.EscapeString(d.Reason))
	}
	b.WriteString("</table>\n")
	if len(s.Warnings) > 0 {
		b.WriteString("<h2>Warnings</h2>\n<table><tr><th>Time</th><th>Role</th><th>Warning</th><th></th></tr>\n")
		for _, w := range s.Warnings {
			at := "–"
			if w.Time != nil {
				at = s.clock(*w.Time)
			}
			fmt.Fprintf(&b, "<tr><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n", at, html.EscapeString(w.Role), html.EscapeString(w.Type), html.EscapeString(w.Text))
		}
		b.WriteString("</table>\n")
	}
	b.WriteString("</body></html>\n")
	return b.String()
}
