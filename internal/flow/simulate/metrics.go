package simulate

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trifid-cloud/trifid/internal/flow/spec"
)

// Bounds of metrics.
const (
	MaxBytes   = 2 << 20
	MaxRows    = 50_000
	MaxColumns = 32
	MaxSpan    = 31 * 24 * time.Hour
)

// everyRole stands in the role's column for all of them; so does nothing.
const everyRole = "*"

// totalPrefix marks a column that holds the sum over a role's VMs.
const totalPrefix = "total:"

// Metrics are what the VMs of a service measured, over time.
type Metrics struct {
	Start   time.Time // of rows that have a date, else zero
	Columns []Column
	Rows    []Row // in the order of their times
}

// Column is one metric.
type Column struct {
	Name string // in upper case
	// Total tells that the values are sums over the VMs of a role: each has its
	// share, so that more VMs have less each. Else they are what each VM has.
	Total bool
}

// Row says what is so from a time on.
type Row struct {
	At     time.Duration // since the start
	Role   string        // "" for all
	Values []Value       // one for each column
}

// Value is a metric's value: none that is new, none any more, or a number.
type Value struct {
	Set, Known bool
	N          float64
}

// column returns where a metric is, -1 for nowhere.
func (m *Metrics) column(name string) int {
	return slices.IndexFunc(m.Columns, func(c Column) bool { return c.Name == name })
}

// ReadMetrics reads metrics in the form of CSV. The first line names the columns:
// time, perhaps role, then one for each metric, which may begin with "total:". A
// time is a number of seconds since the start, or a date with a time; all are of
// one kind, and none is before the one above it. A role is a name, or * for all.
// A value is a number, empty when it has not changed, or - when there is none any
// more. Lines that begin with # are comments. Dates without a zone are in zone.
//
// Errors are *spec.Error and say where: "metrics, line 3 column 12: …".
func ReadMetrics(text string, zone *time.Location) (*Metrics, error) {
	if len(text) > MaxBytes {
		return nil, fault(0, 0, "%d bytes, expected at most %d", len(text), MaxBytes)
	}
	r := metricsReader{csv: csv.NewReader(strings.NewReader(text)), zone: zone, m: &Metrics{}}
	r.csv.FieldsPerRecord, r.csv.Comment, r.csv.TrimLeadingSpace, r.csv.ReuseRecord = -1, '#', true, true
	if err := r.head(); err != nil {
		return nil, err
	}
	for {
		fields, err := r.read()
		if errors.Is(err, io.EOF) {
			return r.m, nil
		}
		if err == nil {
			err = r.row(fields)
		}
		if err != nil {
			return nil, err
		}
	}
}

type metricsReader struct {
	csv   *csv.Reader
	zone  *time.Location
	m     *Metrics
	roles bool // there is a column of roles
	dates bool // times are dates
}

func fault(line, column int, format string, args ...any) error {
	where := "metrics"
	if line > 0 {
		where = fmt.Sprintf("metrics, line %d column %d", line, column)
	}
	return &spec.Error{Msg: where + ": " + fmt.Sprintf(format, args...)}
}

// read returns the fields of the next line that has any, without blanks around them.
func (r *metricsReader) read() ([]string, error) {
	fields, err := r.csv.Read()
	var wrong *csv.ParseError
	if errors.As(err, &wrong) {
		return nil, fault(wrong.Line, wrong.Column, "%v", wrong.Err)
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields, err
}

// wrong refuses a field of the line that was read last.
func (r *metricsReader) wrong(field int, format string, args ...any) error {
	line, column := r.csv.FieldPos(field)
	return fault(line, column, format, args...)
}

func (r *metricsReader) head() error {
	fields, err := r.read()
	if errors.Is(err, io.EOF) {
		return fault(1, 1, "expected a line with the names of the columns: time, role, and metrics")
	}
	if err != nil {
		return err
	}
	if !strings.EqualFold(fields[0], "time") {
		return r.wrong(0, "%.40q: expected the first column to be time", fields[0])
	}
	first := 1
	if len(fields) > 1 && strings.EqualFold(fields[1], "role") {
		r.roles, first = true, 2
	}
	if len(fields)-first > MaxColumns {
		return r.wrong(first+MaxColumns, "expected at most %d metrics", MaxColumns)
	}
	for i, name := range fields[first:] {
		c := Column{Name: name}
		if len(name) > len(totalPrefix) && strings.EqualFold(name[:len(totalPrefix)], totalPrefix) {
			c = Column{Name: name[len(totalPrefix):], Total: true}
		}
		if c.Name = strings.ToUpper(c.Name); !isName(c.Name) {
			return r.wrong(first+i, "%.40q: expected the name of a metric: a letter, then letters, digits and underscores", name)
		}
		if slices.ContainsFunc(r.m.Columns, func(o Column) bool { return o.Name == c.Name }) {
			return r.wrong(first+i, "a second column for %s", c.Name)
		}
		r.m.Columns = append(r.m.Columns, c)
	}
	return nil
}

// isName tells whether an expression can name a metric. Source: OneFlow reference §4.2.
func isName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'A' && c <= 'Z':
		case i > 0 && (c == '_' || c >= '0' && c <= '9'):
		default:
			return false
		}
	}
	return s != "" && len(s) <= 128
}

func (r *metricsReader) row(fields []string) error {
	first := 1
	if r.roles {
		first = 2
	}
	if len(fields) != first+len(r.m.Columns) {
		return r.wrong(0, "%d fields, expected %d as in the first line", len(fields), first+len(r.m.Columns))
	}
	if len(r.m.Rows) == MaxRows {
		return r.wrong(0, "expected at most %d lines", MaxRows)
	}
	at, err := r.time(fields[0])
	if err != nil {
		return err
	}
	row := Row{At: at, Values: make([]Value, len(r.m.Columns))}
	if r.roles && fields[1] != everyRole {
		row.Role = fields[1]
	}
	for i := range row.Values {
		switch s := fields[first+i]; s {
		case "":
		case "-":
			row.Values[i].Set = true
		default:
			n, err := strconv.ParseFloat(s, 64)
			if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
				return r.wrong(first+i, "%.40q: expected a number, nothing, or -", s)
			}
			row.Values[i] = Value{Set: true, Known: true, N: n}
		}
	}
	r.m.Rows = append(r.m.Rows, row)
	return nil
}

// dateForms are the forms of dates, beside RFC 3339.
var dateForms = []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05"}

// ReadDate reads a date with a time, in zone if it names none.
func ReadDate(s string, zone *time.Location) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.In(zone), true
	}
	for _, form := range dateForms {
		if t, err := time.ParseInLocation(form, s, zone); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// time returns how long after the start a line is.
func (r *metricsReader) time(s string) (time.Duration, error) {
	rows := r.m.Rows
	seconds, err := strconv.ParseFloat(s, 64)
	date, isDate := time.Time{}, false
	if err != nil {
		date, isDate = ReadDate(s, r.zone)
	}
	if len(rows) == 0 {
		r.dates, r.m.Start = isDate, date
	}
	var at time.Duration
	switch {
	case isDate && r.dates:
		at = date.Sub(r.m.Start)
	case err == nil && !r.dates && seconds >= 0 && seconds <= MaxSpan.Seconds():
		at = time.Duration(seconds * float64(time.Second)).Round(time.Millisecond)
	case r.dates:
		return 0, r.wrong(0, "%.40q: expected a date with a time, as above it", s)
	case len(rows) == 0:
		return 0, r.wrong(0, "%.40q: expected seconds since the start, from 0 to %.0f, or a date such as 2026-01-31 09:00:00", s, MaxSpan.Seconds())
	default:
		return 0, r.wrong(0, "%.40q: expected seconds since the start, from 0 to %.0f", s, MaxSpan.Seconds())
	}
	if len(rows) > 0 && at < rows[len(rows)-1].At {
		return 0, r.wrong(0, "%.40q is before the time above it", s)
	}
	if at > MaxSpan {
		return 0, r.wrong(0, "%.40q is more than %.0f days after the first", s, MaxSpan.Hours()/24)
	}
	return at, nil
}
