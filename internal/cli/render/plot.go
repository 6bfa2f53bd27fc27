package render

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Plot draws values that change in steps over time as SVG: a picture by itself,
// which refers to nothing outside it.
type Plot struct {
	Title, Subtitle string
	Axis            string  // what the times are
	Origin          float64 // seconds from a round time, such as midnight, to the start
	End             float64 // of the time axis, which begins at 0
	Time            func(t float64) string
	Rows            []PlotRow
	Notes           []PlotNote // listed below
	Foot            string     // the last line, for what has no room
}

// PlotRow is a diagram of its own over the same time.
type PlotRow struct {
	Name, Unit string
	Whole      bool // the values are whole numbers
	Bands      []PlotBand
	Lines      []PlotLine
	Limits     []PlotLimit
	Marks      []PlotMark
}

// PlotLine is a value over time: from each time on; NaN where there is none.
type PlotLine struct {
	Name   string
	Filled bool
	Points [][2]float64
}

// PlotLimit is a value that lines are to be compared with.
type PlotLimit struct {
	Value float64
	Text  string
}

// PlotBand is a span of time in which something was so.
type PlotBand struct {
	From, To   float64
	Name, Text string
}

// PlotMark is a moment. One with a label is flagged above the diagram, with an
// arrow up or down, one without is a line.
type PlotMark struct {
	At          float64
	Up          bool
	Label, Text string
}

// PlotNote explains a mark.
type PlotNote struct {
	Label, Text string
	Up          bool
}

// Measures of a plot, in the picture's units.
const (
	plotWidth  = 960
	plotLeft   = 56  // room for the numbers
	plotRight  = 104 // for what limits are
	plotTop    = 64
	plotRow    = 120 // height of a diagram
	plotName   = 30  // of the line above it
	plotFlag   = 20  // of a lane of flags
	plotGap    = 14
	plotAxis   = 52
	plotNote   = 20
	plotLetter = 6.7 // width of a letter, about
	maxLanes   = 3
)

// Colours, to be told apart by everybody: those of a row's lines in turn, of
// flags up and down, of limits and of bands.
var plotColours = [...]string{"#1565a9", "#c56a00", "#7a3e9d", "#5d4037"}

var plotBands = [...]string{"#f4b400", "#d81b60"}

const (
	plotUp    = "#2e7d32"
	plotDown  = "#a8326b"
	plotLimit = "#b3261e"
)

const plotStyle = `<style>text{font:12px "Helvetica Neue",Arial,"DejaVu Sans",sans-serif;fill:#333}.t{font-size:18px;font-weight:bold}.s{fill:#666}.n{font-weight:bold}` +
	`.g{stroke:#e6e6e6}.a{stroke:#777;fill:none}.l{fill:none;stroke-width:2}.m{stroke:#999;stroke-dasharray:2 3}` +
	`.i{stroke:` + plotLimit + `;stroke-dasharray:7 4}.j{fill:` + plotLimit + `}.f{fill:#fff;font-size:11px;font-weight:bold}</style>`

// drawing is a plot on its way to text.
type drawing struct {
	Plot
	b strings.Builder
}

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(&d.b, format+"\n", args...) }

// SVG returns the picture.
func (p Plot) SVG() string {
	d := &drawing{Plot: p}
	lanes, height := make([][]int, len(p.Rows)), plotTop
	for i, r := range p.Rows {
		lanes[i] = d.lanes(r.Marks)
		height += plotName + plotFlag*used(lanes[i]) + plotRow + plotGap
	}
	axis := height
	height += plotAxis + plotNote*len(p.Notes)
	if p.Foot != "" {
		height += plotNote
	}
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`, plotWidth, height, plotWidth, height)
	d.add("<title>%s</title>\n%s", html.EscapeString(p.Title), plotStyle)
	d.add(`<rect width="%d" height="%d" fill="#fff"/>`, plotWidth, height)
	d.text("t", plotLeft, 28, cut(p.Title, plotWidth-2*plotLeft, 1.5))
	d.text("s", plotLeft, 48, cut(p.Subtitle, plotWidth-2*plotLeft, 1))
	ticks := d.times()
	y := float64(plotTop)
	for i, r := range p.Rows {
		head := float64(plotName + plotFlag*used(lanes[i]))
		d.row(r, lanes[i], ticks, y, y+head)
		y += head + plotRow + plotGap
	}
	d.axis(ticks, float64(axis))
	y = float64(axis + plotAxis)
	for _, n := range p.Notes {
		d.flag(plotLeft+10, y, n.Up, n.Label)
		d.text("", plotLeft+28, y+4, cut(n.Text, plotWidth-plotLeft-44, 1))
		y += plotNote
	}
	if p.Foot != "" {
		d.text("s", plotLeft, y+4, cut(p.Foot, plotWidth-plotLeft-16, 1))
	}
	d.b.WriteString("</svg>\n")
	return d.b.String()
}

// text writes a text whose class may be "".
func (d *drawing) text(class string, x, y float64, text string) {
	d.anchored(class, "", x, y, text)
}

func (d *drawing) anchored(class, anchor string, x, y float64, text string) {
	if text == "" {
		return
	}
	if class != "" {
		class = ` class="` + class + `"`
	}
	if anchor != "" {
		anchor = ` text-anchor="` + anchor + `"`
	}
	d.add(`<text%s%s x="%s" y="%s">%s</text>`, class, anchor, unit(x), unit(y), html.EscapeString(text))
}

// width is about how wide a text is.
func width(text string) float64 { return plotLetter * float64(len([]rune(text))) }

// cut shortens a text to a width at a size of its letters.
func cut(text string, room, size float64) string {
	r := []rune(text)
	if n := int(room / (plotLetter * size)); len(r) > n {
		return string(r[:max(n-1, 0)]) + "…"
	}
	return text
}

// x is where a time is.
func (d *drawing) x(t float64) float64 {
	if d.End <= 0 {
		return plotLeft
	}
	return plotLeft + min(max(t/d.End, 0), 1)*(plotWidth-plotLeft-plotRight)
}

// lanes puts the flags of a row where they do not cover each other: the lane of
// each, from the lowest, -1 for one that has no room, or no flag.
func (d *drawing) lanes(marks []PlotMark) []int {
	out := make([]int, len(marks))
	var ends [maxLanes]float64
	for i, m := range marks {
		out[i] = -1
		if m.Label == "" {
			continue
		}
		half := flagWidth(m.Label)/2 + 1
		for lane := range ends {
			if d.x(m.At)-half >= ends[lane] {
				out[i], ends[lane] = lane, d.x(m.At)+half
				break
			}
		}
	}
	return out
}

// used is how many lanes there are.
func used(lanes []int) int {
	n := 0
	for _, l := range lanes {
		n = max(n, l+1)
	}
	return n
}

func flagWidth(label string) float64 { return max(18, 8+7*float64(len([]rune(label)))) }

// flag draws a flag that points up or down around a place.
func (d *drawing) flag(x, y float64, up bool, label string) {
	w, colour, path := flagWidth(label)/2, plotDown, "M%s %sH%sV%sL%s %sL%s %sZ"
	tip, edge, foot := y+9, y+4, y-8
	if up {
		colour, tip, edge, foot = plotUp, y-9, y-4, y+8
	}
	d.add(`<path d="`+path+`" fill="%s"/>`, unit(x-w), unit(foot), unit(x+w), unit(edge), unit(x), unit(tip), unit(x-w), unit(edge), colour)
	base := y + 3
	if up {
		base = y + 5
	}
	d.anchored("f", "middle", x, base, label)
}

// row draws a diagram: its name at the height of head, itself from top on.
func (d *drawing) row(r PlotRow, lanes []int, times []float64, head, top float64) {
	low, high := r.bounds()
	y := func(v float64) float64 { return top + plotRow - (v-low)/(high-low)*plotRow }
	bands := bandColours(r.Bands)
	d.legend(r, bands, head+16)
	for _, b := range r.Bands {
		d.add(`<rect x="%s" y="%s" width="%s" height="6" fill="%s"><title>%s</title></rect>`,
			unit(d.x(b.From)), unit(top), unit(max(d.x(b.To)-d.x(b.From), 2)), bands[b.Name], html.EscapeString(b.Text))
	}
	for _, t := range times {
		d.add(`<path class="g" d="M%s %sv%d"/>`, unit(d.x(t)), unit(top), plotRow)
	}
	for _, v := range ticks(low, high, r.Whole) {
		d.add(`<path class="g" d="M%d %sH%d"/>`, plotLeft, unit(y(v)), plotWidth-plotRight)
		d.anchored("", "end", plotLeft-8, y(v)+4, short(v))
	}
	for i, m := range r.Marks {
		from := top
		if lanes[i] >= 0 {
			from -= 12 + plotFlag*float64(lanes[i])
		}
		d.add(`<path class="m" d="M%s %sV%s"><title>%s</title></path>`, unit(d.x(m.At)), unit(from), unit(top+plotRow), html.EscapeString(d.clock(m.At)+" "+m.Text))
	}
	d.limits(r.Limits, y, top)
	for i, l := range r.Lines {
		d.line(l, plotColours[i%len(plotColours)], y, y(max(low, 0)))
	}
	for i, m := range r.Marks {
		if lanes[i] >= 0 {
			d.flag(d.x(m.At), top-12-plotFlag*float64(lanes[i]), m.Up, m.Label)
		}
	}
	d.add(`<path class="a" d="M%d %sv%dH%d"/>`, plotLeft, unit(top), plotRow, plotWidth-plotRight)
}

// legend writes the line above a diagram: what is measured, the lines and the bands.
func (d *drawing) legend(r PlotRow, bands map[string]string, y float64) {
	name := cut(r.Name, 300, 1.1)
	d.text("n", plotLeft, y, name)
	x := plotLeft + 1.15*width(name) + 10
	if r.Unit != "" {
		d.text("s", x, y, r.Unit)
		x += width(r.Unit)
	}
	x += 22
	for i, l := range r.Lines {
		colour := plotColours[i%len(plotColours)]
		if l.Filled {
			d.add(`<rect x="%s" y="%s" width="14" height="10" fill="%s" fill-opacity="0.3"/>`, unit(x), unit(y-9), colour)
		} else {
			d.add(`<path class="l" d="M%s %sh14" stroke="%s"/>`, unit(x), unit(y-4), colour)
		}
		d.text("", x+20, y, l.Name)
		x += 20 + width(l.Name) + 18
	}
	seen := map[string]bool{}
	for _, b := range r.Bands {
		if seen[b.Name] {
			continue
		}
		seen[b.Name] = true
		d.add(`<rect x="%s" y="%s" width="14" height="6" fill="%s"/>`, unit(x), unit(y-7), bands[b.Name])
		d.text("", x+20, y, b.Name)
		x += 20 + width(b.Name) + 18
	}
}

// bandColours gives bands of one name one colour.
func bandColours(bands []PlotBand) map[string]string {
	out := map[string]string{}
	for _, b := range bands {
		if out[b.Name] == "" {
			out[b.Name] = plotBands[len(out)%len(plotBands)]
		}
	}
	return out
}

// limits draws limits and says at the right what they are, one text below another.
func (d *drawing) limits(limits []PlotLimit, y func(float64) float64, top float64) {
	at := make([]float64, len(limits))
	order := sorted(limits)
	for k, i := range order { // from the highest value down
		at[i] = y(limits[i].Value) + 4
		if k > 0 {
			at[i] = max(at[i], at[order[k-1]]+13)
		}
	}
	bottom := top + plotRow + 8
	for k := len(order) - 1; k >= 0; k-- { // and up again, where they ran out of room
		i := order[k]
		at[i], bottom = min(at[i], bottom), min(at[i], bottom)-13
	}
	for i, l := range limits {
		d.add(`<path class="i" d="M%d %sH%d"/>`, plotLeft, unit(y(l.Value)), plotWidth-plotRight)
		d.text("j", plotWidth-plotRight+6, at[i], cut(l.Text, plotRight-8, 1))
	}
}

// line draws a line in steps; what is filled is filled down to base.
func (d *drawing) line(l PlotLine, colour string, y func(float64) float64, base float64) {
	for _, s := range d.steps(l, y) {
		if l.Filled {
			d.add(`<path d="%sV%sH%sZ" fill="%s" fill-opacity="0.3"/>`, s.path, unit(base), unit(s.from), colour)
		} else {
			d.add(`<path class="l" d="%s" stroke="%s"/>`, s.path, colour)
		}
	}
}

// run is a piece of a line without a gap.
type run struct {
	from float64 // where it begins
	path string
}

// steps returns the pieces of a line.
func (d *drawing) steps(l PlotLine, y func(float64) float64) []run {
	var out []run
	open := false
	for i, pt := range l.Points {
		if math.IsNaN(pt[1]) {
			open = false
			continue
		}
		if !open {
			out, open = append(out, run{d.x(pt[0]), "M" + unit(d.x(pt[0])) + " " + unit(y(pt[1]))}), true
		} else {
			out[len(out)-1].path += "V" + unit(y(pt[1]))
		}
		until := d.End
		if i+1 < len(l.Points) {
			until = l.Points[i+1][0]
		}
		out[len(out)-1].path += "H" + unit(d.x(until))
	}
	return out
}
