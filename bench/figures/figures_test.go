package figures

import (
	"math"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 100}, 3}} {
		if got := (Cell{Values: c.in}).Median(); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.in, got, c.want)
		}
	}
	if !math.IsNaN((Cell{}).Median()) {
		t.Error("there is a median of nothing")
	}
}

func TestNumber(t *testing.T) {
	for in, want := range map[float64]string{
		0: "0", 7: "7", 12345.6: "12346", 99.94: "99.9", 1.234: "1.23", 0.5: "0.50", 0.0123: "0.012",
	} {
		if got := number(in); got != want {
			t.Errorf("%v is shown as %s, want %s", in, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	tab := NewTable("Gate", "", []string{"request"}, "rate, req/s", "ratio")
	a := tab.Row("GET").Aim(1, AtLeast(0.8))
	a.Run(100, 0.9)
	a.Run(300, 0.7)
	a.Run(200, 0.85)
	b := tab.Row("PUT").Aim(0, Below(10))
	b.Run(10, None())
	var out strings.Builder
	if err := tab.Write(&out); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"### Gate", "",
		"| request |        rate req/s |              ratio |",
		"|---------|------------------:|-------------------:|",
		"| GET     |               200 | 0.85 (≥ 0.80: met) |",
		"| PUT     | 10 (< 10: missed) |                  – |", "", "",
	}, "\n")
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	missed := (&Report{Tables: []*Table{tab}}).Missed()
	if len(missed) != 1 || !strings.Contains(missed[0], "PUT") {
		t.Errorf("missed: %q", missed)
	}
}
