package render_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
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
				Marks: []render.PlotMark{{120, true, "1→2: LOAD 87.5 > 80"}, {500, false, "2→1"}},
			},
			{Name: "measured", Lines: []render.PlotLine{{Name: "LOAD", Points: [][2]float64{{0, math.NaN()}, {20, 87.5}, {300, math.NaN()}, {400, -3}}}}},
			{Name: "nothing"},
		},
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
