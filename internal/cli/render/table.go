package render

import (
	"fmt"
	"strings"
)

// Table lists rows of type R.
type Table[R any] struct {
	Columns []Column[R]
	// Default names the columns shown when none are asked for; empty means all.
	Default []string
}

// Describe prints what every column means.
func (t Table[R]) Describe(s *Screen) {
	for _, c := range t.Columns {
		s.Printf("%-20s: %-20s\n", c.Name, c.Desc)
	}
}

// Print writes the rows as a table or, if the layout says so, as CSV.
func (t Table[R]) Print(s *Screen, rows []R, l Layout) error {
	shown, err := t.pick(l.List)
	if err != nil {
		return err
	}
	rows, err = t.filter(rows, shown, l)
	if err != nil {
		return err
	}
	cells := make([][]string, len(rows))
	for i, r := range rows {
		cells[i] = make([]string, len(shown))
		for j, c := range shown {
			cells[i][j] = c.Value(r)
		}
	}
	if l.CSV {
		printCSV(s, shown, cells, l)
		return s.Err()
	}
	if err := fit(shown, cells, l, s.Width); err != nil {
		return err
	}
	if !l.NoHeader {
		names := make([]string, len(shown))
		for i, c := range shown {
			names[i] = c.cell(c.Name)
		}
		s.heading(strings.Join(names, " "), true)
	}
	line := make([]string, len(shown))
	for _, row := range cells {
		for i, c := range shown {
			line[i] = s.plain(c.cell(row[i]))
			if c.State {
				line[i] = s.paint(line[i])
			}
		}
		s.raw(strings.TrimRight(strings.Join(line, " "), " ") + "\n")
	}
	return s.Err()
}

// pick returns copies of the columns to show, so that widths may be changed.
func (t Table[R]) pick(list []string) ([]Column[R], error) {
	if len(list) == 0 {
		list = t.Default
	}
	if len(list) == 0 {
		return append([]Column[R](nil), t.Columns...), nil
	}
	out := make([]Column[R], 0, len(list))
	for _, name := range list {
		i := find(t.Columns, name)
		if i < 0 {
			return nil, fmt.Errorf("Column %s not defined.", strings.ToUpper(name))
		}
		out = append(out, t.Columns[i])
	}
	return out, nil
}

func printCSV[R any](s *Screen, cols []Column[R], cells [][]string, l Layout) {
	del := l.CSVDel
	if del == "" {
		del = ","
	}
	if !l.NoHeader {
		names := make([]string, len(cols))
		for i, c := range cols {
			names[i] = c.Name
		}
		s.Println(csvLine(names, del))
	}
	for _, row := range cells {
		s.Println(csvLine(row, del))
	}
}

// csvLine joins fields, quoting those that a reader would misread.
func csvLine(fields []string, del string) string {
	out := make([]string, len(fields))
	for i, f := range fields {
		if strings.Contains(f, del) || strings.ContainsAny(f, "\"\r\n") || strings.HasPrefix(f, " ") || strings.HasSuffix(f, " ") {
			f = `"` + strings.ReplaceAll(f, `"`, `""`) + `"`
		}
		out[i] = f
	}
	return strings.Join(out, del)
}
