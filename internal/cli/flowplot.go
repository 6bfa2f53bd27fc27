package cli

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/trifid-cloud/trifid/internal/cli/render"
)

// plot draws a simulation: for each role its VMs with the decisions, and what its
// policies looked at.
func (s *simulation) plot() render.Plot {
	p := render.Plot{Title: "Simulation of " + s.Name, End: s.Until, Time: s.clock}
	for _, r := range s.Roles {
		row := render.PlotRow{Name: r.Name, Whole: true, Lines: []render.PlotLine{{Name: "VMs", Filled: true}, {Name: "running"}}}
		for _, c := range r.Cardinality {
			row.Lines[0].Points = append(row.Lines[0].Points, [2]float64{c[0], c[1]})
			row.Lines[1].Points = append(row.Lines[1].Points, [2]float64{c[0], c[2]})
		}
		for _, d := range s.Decisions {
			if d.Role == r.Name {
				row.Marks = append(row.Marks, render.PlotMark{At: d.Time, Up: d.To > d.From, Text: fmt.Sprintf("%d→%d: %s", d.From, d.To, d.Reason)})
			}
		}
		p.Rows = append(p.Rows, row)
		for _, m := range r.Measured {
			line := render.PlotLine{Name: "average of the VMs"}
			for _, pt := range m.Points {
				n := math.NaN()
				if pt[1] != nil {
					n = *pt[1]
				}
				if pt[0] != nil {
					line.Points = append(line.Points, [2]float64{*pt[0], n})
				}
			}
			p.Rows = append(p.Rows, render.PlotRow{Name: r.Name + " " + m.Name, Lines: []render.PlotLine{line}})
		}
	}
	return p
}

const pageStyle = `body{font:14px sans-serif;color:#333;max-width:960px;margin:2em auto;padding:0 1em}svg{max-width:100%;height:auto}` +
	`table{border-collapse:collapse;margin:1em 0}td,th{border-bottom:1px solid #ddd;padding:.3em .8em;text-align:left}td.n{text-align:right}`

// page is a simulation as a page of HTML that needs nothing else.
func (s *simulation) page() string {
	var b strings.Builder
	title := html.EscapeString("Simulation of " + s.Name)
	fmt.Fprintf(&b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title><style>%s</style></head>\n<body>\n%s", title, pageStyle, s.plot().SVG())
	b.WriteString("<h2>Decisions</h2>\n<table><tr><th>Time</th><th>Role</th><th>From</th><th>To</th><th>Reason</th></tr>\n")
	for _, d := range s.Decisions {
		fmt.Fprintf(&b, "<tr><td>%s</td><td>%s</td><td class=\"n\">%d</td><td class=\"n\">%d</td><td>%s</td></tr>\n",
			s.clock(d.Time), html.EscapeString(d.Role), d.From, d.To, html.EscapeString(d.Reason))
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
