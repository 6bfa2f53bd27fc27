package render

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// filterOps are tried longest first, so that <= is not read as <.
var filterOps = []string{"!=", "<=", ">=", "=", "<", ">", "~"}

type condition[R any] struct {
	value func(R) string
	op    string
	right string
}

// filter keeps the rows that meet the conditions of the layout. Conditions may
// name the columns shown and the default ones.
func (t Table[R]) filter(rows []R, shown []Column[R], l Layout) ([]R, error) {
	if len(l.Filter) == 0 {
		return rows, nil
	}
	usable := shown
	if byDefault, err := t.pick(nil); err == nil {
		usable = append(append([]Column[R](nil), shown...), byDefault...)
	}
	conds := make([]condition[R], len(l.Filter))
	for i, expr := range l.Filter {
		name, op, right, ok := splitCondition(expr)
		if !ok {
			return nil, fmt.Errorf("Expression '%s' incorrect", expr)
		}
		j := find(usable, name)
		if j < 0 {
			return nil, fmt.Errorf("Column '%s' not found", name)
		}
		conds[i] = condition[R]{usable[j].Value, op, right}
	}
	any := false
	switch strings.ToUpper(l.Operator) {
	case "", "AND":
	case "OR":
		any = true
	default:
		return nil, fmt.Errorf("operator %q: expected AND or OR", l.Operator)
	}
	var out []R
	for _, r := range rows {
		if met(r, conds, any) {
			out = append(out, r)
		}
	}
	return out, nil
}

func met[R any](r R, conds []condition[R], any bool) bool {
	for _, c := range conds {
		if compare(c.value(r), c.op, c.right) == any {
			return any
		}
	}
	return !any
}

// splitCondition cuts an expression at its first operator.
func splitCondition(expr string) (name, op, right string, ok bool) {
	i := strings.IndexAny(expr, "=!<>~")
	if i < 1 {
		return "", "", "", false
	}
	for _, op := range filterOps {
		if right, ok := strings.CutPrefix(expr[i:], op); ok {
			return expr[:i], op, right, true
		}
	}
	return "", "", "", false
}

// compare orders two values, as numbers or sizes when that is asked for.
func compare(left, op, right string) bool {
	if op == "~" {
		return strings.Contains(left, right)
	}
	order := strings.Compare(left, right)
	if b, sizeB, ok := number(right); ok {
		a, sizeA, ok := number(left)
		switch {
		case !ok:
			return op == "!=" // a dash where others have a number
		case sizeA && !sizeB:
			b *= 1 << 20 // MB, as MEMORY and SIZE in templates
		case sizeB && !sizeA:
			a *= 1 << 10 // a listing in kilobytes
		}
		order = cmp.Compare(a, b)
	}
	switch op {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// number reads a number, or a size with its unit, in bytes.
func number(s string) (n float64, size, ok bool) {
	s = strings.ToUpper(strings.TrimSpace(s))
	bare := strings.TrimSuffix(s, "B")
	if bare != "" {
		if i := strings.IndexByte(units, bare[len(bare)-1]); i >= 0 {
			n, err := strconv.ParseFloat(bare[:len(bare)-1], 64)
			return math.Ldexp(n, 10*(i+1)), true, err == nil
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, false, err == nil
}
