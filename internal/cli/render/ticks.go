package render

import (
	"math"
	"slices"
	"strconv"
)

// bounds are the lowest and the highest value to be shown: zero is among them,
// and nothing touches the upper edge.
func (r PlotRow) bounds() (low, high float64) {
	for _, l := range r.Lines {
		for _, pt := range l.Points {
			if !math.IsNaN(pt[1]) {
				low, high = min(low, pt[1]), max(high, pt[1])
			}
		}
	}
	for _, l := range r.Limits {
		low, high = min(low, l.Value), max(high, l.Value)
	}
	if high <= low {
		high = low + 1
	}
	return low, high + (high-low)/12
}

// sorted are the indexes of limits from the highest value down.
func sorted(limits []PlotLimit) []int {
	out := make([]int, len(limits))
	for i := range out {
		out[i] = i
	}
	slices.SortStableFunc(out, func(a, b int) int {
		switch {
		case limits[a].Value > limits[b].Value:
			return -1
		case limits[a].Value < limits[b].Value:
			return 1
		}
		return 0
	})
	return out
}

// maxTicks is how many numbers stand beside a diagram.
const maxTicks = 6

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

// short writes a number of a scale: 80, 0.5, 20k, 1.5M.
func short(v float64) string {
	unit, a := "", math.Abs(v)
	for _, u := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if a >= u.size && (a >= 1e4 || u.size > 1e3) {
			v, unit = v/u.size, u.name
			break
		}
	}
	return strconv.FormatFloat(v, 'g', 6, 64) + unit
}

// clockSteps are the distances, in seconds, at which a clock is read.
var clockSteps = [...]float64{
	1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 432000, 864000, 2592000, 7776000, 31536000,
}

// times returns round times from 0 to the end, as many as can be read.
func (d *drawing) times() []float64 {
	room := (plotWidth - plotLeft - plotRight) / (width(d.clock(d.End)) + 28)
	step := d.End
	for _, s := range clockSteps {
		if d.End/s <= room {
			step = s
			break
		}
	}
	var out []float64
	if step <= 0 {
		return out
	}
	for i := math.Ceil(d.Origin / step); i*step-d.Origin <= d.End; i++ {
		out = append(out, i*step-d.Origin)
	}
	return out
}

func (d *drawing) clock(t float64) string {
	if d.Time == nil {
		return ""
	}
	return d.Time(t)
}

// axis writes the times below the last diagram.
func (d *drawing) axis(times []float64, y float64) {
	for _, t := range times {
		d.anchored("", "middle", d.x(t), y+4, d.clock(t))
	}
	d.anchored("s", "middle", float64(plotLeft+plotWidth-plotRight)/2, y+22, d.Axis)
}

// unit writes a place with a tenth of a unit, which is finer than can be seen.
func unit(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}
