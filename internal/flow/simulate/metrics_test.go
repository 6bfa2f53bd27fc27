package simulate

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/flow/spec"
)

func known(n float64) Value { return Value{Set: true, Known: true, N: n} }

func TestReadMetrics(t *testing.T) {
	m, err := ReadMetrics("# a comment\nTime, role, load,total:Requests\n0,worker,40,\n1.5, *,-,1e3\n\n1.5,,,\n", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	want := &Metrics{
		Columns: []Column{{Name: "LOAD"}, {Name: "REQUESTS", Total: true}},
		Rows: []Row{
			{Role: "worker", Values: []Value{known(40), {}}},
			{At: 1500 * time.Millisecond, Values: []Value{{Set: true}, known(1000)}},
			{At: 1500 * time.Millisecond, Values: []Value{{}, {}}},
		},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got  %+v\nwant %+v", m, want)
	}
	zone := time.FixedZone("X", 3600)
	m, err = ReadMetrics("time,LOAD\n2026-01-31 09:00,1\n2026-01-31T08:00:30Z,2\n2026-01-31 09:01:00,3\n", zone)
	if err != nil {
		t.Fatal(err)
	}
	if !m.Start.Equal(time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)) || m.Rows[1].At != 30*time.Second || m.Rows[2].At != time.Minute {
		t.Errorf("with dates: %+v", m)
	}
}

func TestMetricsRefusals(t *testing.T) {
	for in, want := range map[string]string{
		"":                                      "metrics, line 1 column 1: expected a line with the names of the columns: time, role, and metrics",
		"when,LOAD\n":                           `metrics, line 1 column 1: "when": expected the first column to be time`,
		"time,role,LO AD\n":                     `metrics, line 1 column 11: "LO AD": expected the name of a metric: a letter, then letters, digits and underscores`,
		"time,total:\n":                         `metrics, line 1 column 6: "total:": expected the name of a metric: a letter, then letters, digits and underscores`,
		"time,LOAD,load\n":                      `metrics, line 1 column 11: a second column for LOAD`,
		"time,LOAD\n0\n":                        `metrics, line 2 column 1: 1 fields, expected 2 as in the first line`,
		"time,LOAD\n0,1,2\n":                    `metrics, line 2 column 1: 3 fields, expected 2 as in the first line`,
		"time,LOAD\nsoon,1\n":                   `metrics, line 2 column 1: "soon": expected seconds since the start, from 0 to 2678400, or a date such as 2026-01-31 09:00:00`,
		"time,LOAD\n-1,1\n":                     `metrics, line 2 column 1: "-1": expected seconds since the start, from 0 to 2678400, or a date such as 2026-01-31 09:00:00`,
		"time,LOAD\nNaN,1\n":                    `metrics, line 2 column 1: "NaN": expected seconds since the start, from 0 to 2678400, or a date such as 2026-01-31 09:00:00`,
		"time,LOAD\n5,1\n4,1\n":                 `metrics, line 3 column 1: "4" is before the time above it`,
		"time,LOAD\n5,1\nx,1\n":                 `metrics, line 3 column 1: "x": expected seconds since the start, from 0 to 2678400`,
		"time,LOAD\n5,1\n2026-01-31 09:00,1\n":  `metrics, line 3 column 1: "2026-01-31 09:00": expected seconds since the start, from 0 to 2678400`,
		"time,LOAD\n2026-01-31 09:00,1\n60,1\n": `metrics, line 3 column 1: "60": expected a date with a time, as above it`,
		"time,LOAD\n2026-01-31 09:00,1\n2026-04-01 09:00,1\n": `metrics, line 3 column 1: "2026-04-01 09:00" is more than 31 days after the first`,
		"time,role,LOAD\n0,a, high\n":                         `metrics, line 2 column 6: "high": expected a number, nothing, or -`,
		"time,role,LOAD\n0,a,inf\n":                           `metrics, line 2 column 5: "inf": expected a number, nothing, or -`,
		"time,LOAD\n0,\"1\n":                                  `metrics, line 2 column 6: extraneous or missing " in quoted-field`,
		"time," + strings.Repeat("A,", MaxColumns) + "A\n":    "metrics, line 1 column 70: expected at most 32 metrics",
		"time\n" + strings.Repeat("0\n", MaxRows+1):           "metrics, line 50002 column 1: expected at most 50000 lines",
		strings.Repeat("#", MaxBytes+1):                       "metrics: 2097153 bytes, expected at most 2097152",
	} {
		_, err := ReadMetrics(in, time.UTC)
		var refusal *spec.Error
		if !errors.As(err, &refusal) || refusal.Msg != want {
			t.Errorf("%.60q: %v\nwant %s", in, err, want)
		}
	}
}

// Whatever is read is in order and within its bounds.
func FuzzMetrics(f *testing.F) {
	for _, s := range []string{
		"time,role,LOAD\n0,worker,40\n10,*,85\n", "time,total:CPU\n2026-01-31 09:00,1\n2026-01-31T09:00:30Z,-\n", "# x\ntime\n1e3\n", "time,A\n0,\"1\"\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ReadMetrics(text, time.UTC)
		if err != nil {
			var refusal *spec.Error
			if !errors.As(err, &refusal) || !strings.HasPrefix(refusal.Msg, "metrics") {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		last := time.Duration(0)
		for _, r := range m.Rows {
			if r.At < last || r.At > MaxSpan || len(r.Values) != len(m.Columns) {
				t.Fatalf("%q: row %+v after %v", text, r, last)
			}
			last = r.At
		}
	})
}
