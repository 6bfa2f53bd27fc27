// Package figures holds what was measured: tables of cells, each the values of
// several runs, shown by their median and compared with an aim where there is one.
package figures

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Report is all that one command measured.
type Report struct {
	Command string   `json:"command"`
	Machine string   `json:"machine"`
	Tables  []*Table `json:"tables"`
}

// Table is one measurement in several circumstances.
type Table struct {
	Title string `json:"title"`
	// Note says what one must know to read it.
	Note    string   `json:"note,omitempty"`
	Labels  []string `json:"labels"` // heads of the columns that say what was measured
	Columns []Column `json:"columns"`
	Rows    []*Row   `json:"rows"`
}

// Column is one measured quantity.
type Column struct {
	Name string `json:"name"`
	Unit string `json:"unit,omitempty"`
}

// Row is one circumstance.
type Row struct {
	Labels []string `json:"labels"`
	Cells  []Cell   `json:"cells"` // as many as the table has columns
}

// Cell holds a quantity's value in each run; none where it was not measured.
type Cell struct {
	Values []float64 `json:"values,omitempty"`
	Aim    *Aim      `json:"aim,omitempty"`
}

// Aim is a bound that the median should keep.
type Aim struct {
	Least bool    `json:"least"` // at least Bound, else below it
	Bound float64 `json:"bound"`
}

// AtLeast and Below make aims.
func AtLeast(bound float64) *Aim { return &Aim{Least: true, Bound: bound} }

// Below is kept by values under the bound.
func Below(bound float64) *Aim { return &Aim{Bound: bound} }

// Met tells whether a value keeps the aim.
func (a *Aim) Met(v float64) bool {
	if a.Least {
		return v >= a.Bound
	}
	return v < a.Bound
}

// NewTable returns a table without rows. A column is "name" or "name, unit".
func NewTable(title, note string, labels []string, columns ...string) *Table {
	t := &Table{Title: title, Note: note, Labels: labels}
	for _, c := range columns {
		name, unit, _ := strings.Cut(c, ", ")
		t.Columns = append(t.Columns, Column{name, unit})
	}
	return t
}

// Row adds a row.
func (t *Table) Row(labels ...string) *Row {
	r := &Row{Labels: labels, Cells: make([]Cell, len(t.Columns))}
	t.Rows = append(t.Rows, r)
	return r
}

// Run adds the values of one run to a row, in the order of the columns; NaN where
// there is none.
func (r *Row) Run(values ...float64) {
	for i, v := range values {
		if !math.IsNaN(v) {
			r.Cells[i].Values = append(r.Cells[i].Values, v)
		}
	}
}

// Aim sets what a column of the row should keep.
func (r *Row) Aim(column int, a *Aim) *Row {
	r.Cells[column].Aim = a
	return r
}

// None is the value of a quantity that was not measured.
func None() float64 { return math.NaN() }

// Median returns the middle value, the mean of the two where there is no middle,
// NaN without values.
func (c Cell) Median() float64 {
	if len(c.Values) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(c.Values))
	mid := len(v) / 2
	if len(v)%2 == 0 {
		return (v[mid-1] + v[mid]) / 2
	}
	return v[mid]
}

// String shows the median, with the aim if there is one.
func (c Cell) String() string {
	if len(c.Values) == 0 {
		return "–"
	}
	m := c.Median()
	s := number(m)
	if c.Aim == nil {
		return s
	}
	sign, verdict := "<", "missed"
	if c.Aim.Least {
		sign = "≥"
	}
	if c.Aim.Met(m) {
		verdict = "met"
	}
	return fmt.Sprintf("%s (%s %s: %s)", s, sign, number(c.Aim.Bound), verdict)
}

// number shows three digits that count.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// Write writes the table in Markdown, its columns aligned.
func (t *Table) Write(w io.Writer) error {
	head := slices.Clone(t.Labels)
	for _, c := range t.Columns {
		name := c.Name
		if c.Unit != "" {
			name += " " + c.Unit
		}
		head = append(head, name)
	}
	lines := [][]string{head}
	for _, r := range t.Rows {
		line := slices.Clone(r.Labels)
		for _, c := range r.Cells {
			line = append(line, c.String())
		}
		lines = append(lines, line)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", t.Title)
	if t.Note != "" {
		fmt.Fprintf(&b, "%s\n\n", t.Note)
	}
	writeLines(&b, lines, len(t.Labels))
	_, err := io.WriteString(w, b.String()+"\n")
	return err
}

// writeLines writes a Markdown table: labels to the left, figures to the right.
func writeLines(b *strings.Builder, lines [][]string, labels int) {
	width := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, s := range line {
			width[i] = max(width[i], 3, len([]rune(s)))
		}
	}
	for n, line := range lines {
		for i, s := range line {
			pad := strings.Repeat(" ", width[i]-len([]rune(s)))
			if i < labels {
				fmt.Fprintf(b, "| %s%s ", s, pad)
			} else {
				fmt.Fprintf(b, "| %s%s ", pad, s)
			}
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i := range line {
			if i < labels {
				fmt.Fprintf(b, "|%s", strings.Repeat("-", width[i]+2))
			} else {
				fmt.Fprintf(b, "|%s:", strings.Repeat("-", width[i]+1))
			}
		}
		b.WriteString("|\n")
	}
}

// Missed returns a line for each aim that was not met.
func (r *Report) Missed() []string {
	var out []string
	for _, t := range r.Tables {
		for _, row := range t.Rows {
			for i, c := range row.Cells {
				if c.Aim != nil && len(c.Values) > 0 && !c.Aim.Met(c.Median()) {
					out = append(out, fmt.Sprintf("%s, %s: %s %s", t.Title, strings.Join(row.Labels, ", "), t.Columns[i].Name, c))
				}
			}
		}
	}
	return out
}
