package render_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/golden"
)

func TestPlot(t *testing.T) {
	p := render.Plot{
		Title: `a <b> & "c"`, End: 600, Time: func(s float64) string { return fmt.Sprintf("%g s", s) },
		Rows: []render.PlotRow{
			{
				Name: "worker", Whole: true,
				Lines: []render.PlotLine{
					{Name: "running", Filled: true, Points: [][2]float64{{0, 0}, {20, 1}, {140, 2}}},
					{Name: "cardinality", Points: [][2]float64{{0, 1}, {120, 2}}},
				},
				Marks: []render.PlotMark{{120, true, "1", "1→2: LOAD 87.5 > 80"}, {125, true, "2", "2→3"}, {500, false, "3", "2→1"}},
			},
			{
				Name: "limited", Unit: "KB", Lines: []render.PlotLine{{Name: "m", Points: [][2]float64{{0, 2e6}}}},
				Limits: []render.PlotLimit{{1e6, "a"}, {1.01e6, "b"}, {0, "low"}, {1e6, "c"}, {10, "next to low"}},
				Bands:  []render.PlotBand{{10, 20, "at a limit", "x < y"}, {30, 30, "flapping", ""}, {50, 60, "at a limit", ""}},
			},
			{Name: "measured", Lines: []render.PlotLine{{Name: "LOAD", Points: [][2]float64{{0, math.NaN()}, {20, 87.5}, {300, math.NaN()}, {400, -3}}}}},
			{Name: "nothing"},
		},
		Subtitle: strings.Repeat("long ", 100), Axis: "time",
		Notes: []render.PlotNote{{"1", "up", true}, {"3", "down", false}}, Foot: "that is all",
	}
	got := p.SVG()
	golden.Check(t, "testdata/plot.svg", got)
	wellFormed(t, got)
	alone := strings.Replace(got, ` xmlns="http://www.w3.org/2000/svg"`, "", 1)
	for _, far := range []string{"href", "script", "url(", "import", "//"} {
		if strings.Contains(alone, far) {
			t.Errorf("the picture refers to something outside: %s", far)
		}
	}
	// Nothing at all is a picture too.
	wellFormed(t, render.Plot{Time: func(float64) string { return "" }}.SVG())
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
}

// Texts and flags do not cover each other, however close what they are of.
func TestPlotOverlaps(t *testing.T) {
	p := render.Plot{End: 1000, Time: func(s float64) string { return fmt.Sprintf("%g s", s) }, Rows: []render.PlotRow{{Whole: true}}}
	row := &p.Rows[0]
	for i := range 40 {
		row.Marks = append(row.Marks, render.PlotMark{At: float64(i) * 3, Up: i%2 == 0, Label: fmt.Sprint(i)})
	}
	for i := range 8 {
		row.Limits = append(row.Limits, render.PlotLimit{Value: 5 - float64(i%3)/100, Text: fmt.Sprint(i)})
	}
	got := p.SVG()
	places := func(class string) [][2]float64 {
		var out [][2]float64
		for _, m := range regexp.MustCompile(`<text class="`+class+`"[^>]* x="([\d.]+)" y="([\d.]+)"`).FindAllStringSubmatch(got, -1) {
			var at [2]float64
			if _, err := fmt.Sscan(m[1]+" "+m[2], &at[0], &at[1]); err != nil {
				t.Fatal(err)
			}
			out = append(out, at)
		}
		return out
	}
	for class, apart := range map[string][2]float64{"f": {18, 20}, "j": {1000, 13}} {
		all := places(class)
		if len(all) < 8 {
			t.Fatalf("%d of class %s", len(all), class)
		}
		for i, a := range all {
			for _, b := range all[:i] {
				if math.Abs(a[0]-b[0]) < apart[0]-0.2 && math.Abs(a[1]-b[1]) < apart[1]-2.2 {
					t.Errorf("%s: %v and %v overlap", class, a, b)
				}
			}
		}
	}
}
