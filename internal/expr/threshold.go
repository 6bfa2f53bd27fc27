package expr

// Threshold is a number that a condition compares an attribute with.
type Threshold struct {
	Name  string  // of the attribute, in upper case
	Sign  string  // as in NAME SIGN Value, one of ==, !=, >=, >, <= and <
	Value float64 // in the attribute's unit
}

// Thresholds returns the numbers that attributes are compared with, in the order
// of the source. What a negation turns round is turned round.
func (e *Elasticity) Thresholds() []Threshold {
	return thresholds(nil, e.root, false)
}

func thresholds(out []Threshold, n *node[comparison], negated bool) []Threshold {
	switch n.op {
	case opNot:
		return thresholds(out, n.left, !negated)
	case opGroup:
		return thresholds(out, n.left, negated)
	case opAnd, opOr:
		return thresholds(thresholds(out, n.left, negated), n.right, negated)
	}
	name, number, sign := n.leaf.left, n.leaf.right, n.leaf.sign
	if name.kind != tokName {
		name, number = number, name
		if turned, ok := swapped[sign]; ok {
			sign = turned
		}
	}
	if name.kind != tokName || number.kind != tokInt && number.kind != tokFloat {
		return out
	}
	switch sign {
	case "=":
		sign = "=="
	case "<>":
		sign = "!="
	}
	if negated {
		sign = opposite[sign]
	}
	return append(out, Threshold{Name: name.text, Sign: sign, Value: number.number})
}

var (
	// swapped are the comparators with their sides changed over.
	swapped = map[string]string{">": "<", "<": ">", ">=": "<=", "<=": ">="}
	// opposite are those that hold when others do not.
	opposite = map[string]string{">": "<=", "<": ">=", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}
)
