package render

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Plot draws values that change in steps over time as SVG: a picture by itself,
// which refers to nothing outside it.
type Plot struct {
	Title string
	End   float64 // of the time axis, which begins at 0
	Time  func(t float64) string
	Rows  []PlotRow
}

// PlotRow is a diagram of its own over the same time.
type PlotRow struct {
	Name  string
	Whole bool // only whole numbers are marked
	Lines []PlotLine
	Marks []PlotMark
}

// PlotLine is a value over time: from each time on; NaN where there is none.
type PlotLine struct {
	Name   string
	Filled bool
	Points [][2]float64
}

// PlotMark is a moment, with what was so then.
type PlotMark struct {
	At   float64
	Up   bool
	Text string
}

// Measures of a plot, in the picture's units.
const (
	plotWidth  = 960
	plotLeft   = 64 // room for the numbers
	plotRight  = 16
	plotTop    = 48
	plotRow    = 120
	plotGap    = 44 // between rows: their names
	plotBottom = 36
	maxTicks   = 6
)

// plotColours are those of a row's lines, in turn: to be told apart by everybody.
var plotColours = [...]string{"#0b6e99", "#d17a00", "#7a3e9d", "#2e7d32", "#b3261e", "#5d4037"}

const plotStyle = `<style>text{font:12px sans-serif;fill:#333}.t{font-size:16px}.n{font-weight:bold}.g{stroke:#ddd}.a{stroke:#888}` +
	`.l{fill:none;stroke-width:2}.m{stroke:#888;stroke-dasharray:3 3}</style>`

// SVG returns the picture.
func (p Plot) SVG() string {
	height := plotTop + len(p.Rows)*(plotRow+plotGap) + plotBottom
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n", plotWidth, height, plotWidth, height)
	fmt.Fprintf(&b, "<title>%s</title>\n%s\n", html.EscapeString(p.Title), plotStyle)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, height)
	fmt.Fprintf(&b, `<text class="t" x="%d" y="24">%s</text>`+"\n", plotLeft, html.EscapeString(p.Title))
	for i, r := range p.Rows {
		p.row(&b, r, float64(plotTop+i*(plotRow+plotGap)+plotGap))
	}
	for _, t := range clockTicks(p.End) {
		fmt.Fprintf(&b, `<text x="%s" y="%d" text-anchor="middle">%s</text>`+"\n", unit(p.x(t)), height-plotBottom/2, html.EscapeString(p.Time(t)))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// x is where a time is.
func (p Plot) x(t float64) float64 {
	if p.End <= 0 {
		return plotLeft
	}
	return plotLeft + min(max(t/p.End, 0), 1)*(plotWidth-plotLeft-plotRight)
}

// row draws a diagram whose upper edge is at top.
func (p Plot) row(b *strings.Builder, r PlotRow, top float64) {
	low, high := r.bounds()
	y := func(v float64) float64 { return top + plotRow - (v-low)/(high-low)*plotRow }
	fmt.Fprintf(b, `<text class="n" x="%d" y="%s">%s</text>`+"\n", plotLeft, unit(top-12), html.EscapeString(r.Name))
	x := float64(plotLeft + 9*len([]rune(r.Name)) + 24)
	for i, l := range r.Lines {
		colour := plotColours[i%len(plotColours)]
		fmt.Fprintf(b, `<rect x="%s" y="%s" width="12" height="4" fill="%s"/><text x="%s" y="%s">%s</text>`+"\n",
			unit(x), unit(top-18), colour, unit(x+16), unit(top-12), html.EscapeString(l.Name))
		x += float64(8*len([]rune(l.Name)) + 40)
	}
	for _, v := range ticks(low, high, r.Whole) {
		fmt.Fprintf(b, `<line class="g" x1="%d" x2="%d" y1="%s" y2="%s"/><text x="%d" y="%s" text-anchor="end">%s</text>`+"\n",
			plotLeft, plotWidth-plotRight, unit(y(v)), unit(y(v)), plotLeft-8, unit(y(v)+4), strconv.FormatFloat(v, 'g', 6, 64))
	}
	for _, m := range r.Marks {
		arrow := "▼"
		if m.Up {
			arrow = "▲"
		}
		fmt.Fprintf(b, `<g><title>%s</title><line class="m" x1="%s" x2="%s" y1="%s" y2="%s"/><text x="%s" y="%s" text-anchor="middle">%s</text></g>`+"\n",
			html.EscapeString(p.Time(m.At)+" "+m.Text), unit(p.x(m.At)), unit(p.x(m.At)), unit(top), unit(top+plotRow), unit(p.x(m.At)), unit(top+10), arrow)
	}
	for i, l := range r.Lines {
		colour := plotColours[i%len(plotColours)]
		for _, steps := range p.steps(l, y) {
			if l.Filled {
				fmt.Fprintf(b, `<path d="%sV%sH%sZ" fill="%s" fill-opacity="0.15"/>`+"\n", steps.path, unit(y(max(low, 0))), unit(steps.from), colour)
			}
			fmt.Fprintf(b, `<path class="l" d="%s" stroke="%s"/>`+"\n", steps.path, colour)
		}
	}
	fmt.Fprintf(b, `<path class="a" d="M%d %sV%sH%d" fill="none"/>`+"\n", plotLeft, unit(top), unit(top+plotRow), plotWidth-plotRight)
}

// run is a piece of a line without a gap.
type run struct {
	from float64 // where it begins
	path string
}

// steps returns the pieces of a line.
func (p Plot) steps(l PlotLine, y func(float64) float64) []run {
	var out []run
	open := false
	for i, pt := range l.Points {
		if math.IsNaN(pt[1]) {
			open = false
			continue
		}
		if !open {
			out, open = append(out, run{p.x(pt[0]), "M" + unit(p.x(pt[0])) + " " + unit(y(pt[1]))}), true
		} else {
			out[len(out)-1].path += "V" + unit(y(pt[1]))
		}
		until := p.End
		if i+1 < len(l.Points) {
			until = l.Points[i+1][0]
		}
		out[len(out)-1].path += "H" + unit(p.x(until))
	}
	return out
}

// bounds are the lowest and the highest value to be shown, zero among them.
func (r PlotRow) bounds() (low, high float64) {
	for _, l := range r.Lines {
		for _, pt := range l.Points {
			if !math.IsNaN(pt[1]) {
				low, high = min(low, pt[1]), max(high, pt[1])
			}
		}
	}
	if high <= low {
		high = low + 1
	}
	return low, high
}

// ticks returns round numbers from low to high.
func ticks(low, high float64, whole bool) []float64 {
	if !(high > low) {
		return []float64{low}
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/maxTicks)))
	for _, f := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*f) <= maxTicks {
			step *= f
			break
		}
	}
	if whole {
		step = max(1, math.Ceil(step))
	}
	var out []float64
	for i := math.Ceil(low / step); i*step <= high && len(out) <= 2*maxTicks; i++ {
		out = append(out, i*step+0) // no -0
	}
	return out
}

// clockSteps are the distances, in seconds, at which a clock is read.
var clockSteps = [...]float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 432000}

// clockTicks returns round times from 0 to end.
func clockTicks(end float64) []float64 {
	step := end
	for _, s := range clockSteps {
		if end/s <= maxTicks+2 {
			step = s
			break
		}
	}
	var out []float64
	for i := 0.0; step > 0 && i*step <= end; i++ {
		out = append(out, i*step)
	}
	return out
}

// unit writes a place with a tenth of a unit, which is finer than can be seen.
func unit(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}
