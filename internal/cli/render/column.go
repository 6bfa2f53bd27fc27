package render

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Column is one column of a table over rows of type R.
type Column[R any] struct {
	Name string
	Desc string
	// Size is the width in characters; longer cells are cut.
	Size int
	// Left aligns to the left; the default is right.
	Left bool
	// Adjust widens the column to its longest cell rather than cut one.
	Adjust bool
	// Expand gives the column what the terminal has left over.
	Expand bool
	// State marks the column that is coloured by what it says.
	State bool
	Value func(R) string
}

// Layout is how a user asked for a table to be laid out. The zero value is the
// table's own layout. Source: OneFlow reference §7.2, note 1.
type Layout struct {
	List      []string // columns, in order; none: the table's default
	Filter    []string // COLUMN<op>value
	Operator  string   // AND (default) or OR, between filters
	CSV       bool
	CSVDel    string // "" is a comma
	NoHeader  bool
	Adjust    []string // columns not to cut
	Size      []string // COLUMN=width
	Expand    []string // COLUMN or COLUMN=share
	ExpandAll bool
	NoExpand  bool
}

// cell pads or cuts a value to the column's width, counted in characters.
func (c Column[R]) cell(v string) string {
	if n := utf8.RuneCountInString(v); n > c.Size && !c.Adjust {
		v = string([]rune(v)[:c.Size])
	}
	if c.Left {
		return fmt.Sprintf("%-*s", c.Size, v)
	}
	return fmt.Sprintf("%*s", c.Size, v)
}

// fit sets the widths of cols for the cells below them: adjusted columns first,
// sizes asked for, then what expands takes the rest of the terminal.
func fit[R any](cols []Column[R], cells [][]string, l Layout, width int) error {
	if !l.ExpandAll {
		for i := range cols {
			if !cols[i].Adjust && !named(l.Adjust, cols[i].Name) {
				continue
			}
			for _, row := range cells {
				if n := utf8.RuneCountInString(row[i]); n > cols[i].Size {
					cols[i].Size, cols[i].Adjust = n, true
				}
			}
		}
	}
	for _, s := range l.Size {
		name, value, _ := strings.Cut(s, "=")
		i := find(cols, name)
		n, err := strconv.Atoi(value)
		if i < 0 {
			return fmt.Errorf("Unknown column %s", strings.ToUpper(name))
		}
		if err != nil || n < 1 || n > 4096 {
			return fmt.Errorf("size of column %s: %q is not a number from 1 to 4096", cols[i].Name, value)
		}
		cols[i].Size, cols[i].Adjust = n, false
	}
	if l.NoExpand || width <= 0 {
		return nil
	}
	return expand(cols, l, width)
}

// expand shares the free part of the terminal among the expanding columns, by
// the shares asked for, else by their sizes; what rounding leaves goes to the last.
func expand[R any](cols []Column[R], l Layout, width int) error {
	shares := make([]float64, len(cols)) // 0: does not expand, -1: by size
	for i, c := range cols {
		if l.ExpandAll || c.Expand {
			shares[i] = -1
		}
	}
	for _, s := range l.Expand {
		name, value, given := strings.Cut(s, "=")
		i := find(cols, name)
		if i < 0 {
			return fmt.Errorf("Unknown column %s", strings.ToUpper(name))
		}
		shares[i] = -1
		if given {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil || !(v > 0 && v <= 1) {
				return fmt.Errorf("share of column %s: %q is not a number above 0, at most 1", cols[i].Name, value)
			}
			shares[i] = v
		}
	}
	total, sized, last := len(cols)-1, 0, -1
	for i, c := range cols {
		total += c.Size
		if shares[i] != 0 {
			last = i
			sized += c.Size
		}
	}
	free := width - total
	if free <= 0 || last < 0 {
		return nil
	}
	rest := free
	for i := range cols {
		if shares[i] == 0 {
			continue
		}
		share := shares[i]
		if share < 0 {
			share = float64(cols[i].Size) / float64(sized)
		}
		add := min(int(math.Round(float64(free)*share)), rest)
		cols[i].Size += add
		cols[i].Adjust = false
		rest -= add
	}
	cols[last].Size += rest
	return nil
}

// find returns the index of the column called name in any case, -1 if none is.
func find[R any](cols []Column[R], name string) int {
	name = strings.ToUpper(strings.TrimSpace(name))
	return slices.IndexFunc(cols, func(c Column[R]) bool { return strings.ToUpper(c.Name) == name })
}

func named(list []string, name string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), name) })
}
