package expr

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Elasticity is the condition of an elasticity policy (OneFlow reference §4.2).
// Its rules are odd and kept exactly: & and | bind alike and group to the
// right, ! negates everything to its right, both sides are always evaluated, a
// comparison with an unknown attribute is false.
type Elasticity struct {
	root  *node[comparison]
	names []string
}

// comparison compares two operands.
type comparison struct {
	left, right measure
	sign        string
}

// measure is a number or an attribute of the role.
type measure struct {
	text   string // of a number as shown, of an attribute its name in upper case
	kind   kind   // tokInt, tokFloat, tokName or tokQuoted
	number float64
}

var elasticityLanguage = &language[comparison]{
	dialect: dialect{
		blanks:    " ",
		operators: []string{"&&", "||", "==", "!=", "<>", ">=", "<=", "&", "|", "=", ">", "<", "!", "(", ")"},
		signed:    true,
		exact:     true,
	},
	prefix: map[string]binding{"!": {op: opNot, right: 0}},
	infix: map[string]binding{
		"&&": {opAnd, 1, 1},
		"&":  {opAnd, 1, 1},
		"||": {opOr, 1, 1},
		"|":  {opOr, 1, 1},
	},
	groups:     true,
	primary:    readComparison,
	unexpected: pegRefusal,
	wantClose:  []string{"'&&'", "'&'", "'||'", "'|'", "')'"},
	wantEnd:    []string{"'&&'", "'&'", "'||'", "'|'"},
}

var (
	comparators = []string{"==", "=", "!=", "<>", ">=", ">", "<=", "<"}

	wantComparator = []string{"'=='", "'='", "'!='", "'<>'", "'>='", "'>'", "'<='", "'<'"}
	wantMeasure    = []string{"'-'", "[0-9]", `'"'`, `'\''`, "[a-zA-Z]"}
	wantCondition  = append(slices.Clone(wantMeasure), "'!'", "'('")
)

// ParseElasticity reads the condition of an elasticity policy. The error is a
// *SyntaxError worded as the reference's. A blank source is an error.
func ParseElasticity(source string) (*Elasticity, error) {
	root, names, err := parse(elasticityLanguage, source)
	if err != nil {
		return nil, err
	}
	if root == nil {
		p := &parser[comparison]{lex: lexer{src: source}, tok: token{pos: len(source)}}
		return nil, pegRefusal(p, wantCondition)
	}
	return &Elasticity{root: root, names: names}, nil
}

// EvalElasticity parses and evaluates a condition that was stored unchecked. It
// returns false and the parser's reason as the rendering when the source cannot
// be read (OneFlow reference §4.2).
func EvalElasticity(source string, average func(name string) (float64, bool)) (result bool, rendering string) {
	e, err := ParseElasticity(source)
	if err != nil {
		return false, fmt.Sprintf("Parse error. '%s': %v", source, err)
	}
	return e.Eval(average)
}

func readComparison(p *parser[comparison]) (c comparison, err error) {
	if c.left, err = readMeasure(p, wantCondition); err != nil {
		return c, err
	}
	if p.tok.kind != tokOperator || !slices.Contains(comparators, p.tok.text) {
		return c, pegRefusal(p, wantComparator)
	}
	c.sign = p.tok.text
	p.advance()
	if p.tok.want != nil && strings.HasSuffix(p.tok.text, ".") && p.open == 0 {
		p.whole = p.tok.badAt - 1 // without the point it was a whole number, and a whole expression
	}
	c.right, err = readMeasure(p, wantMeasure)
	return c, err
}

func readMeasure(p *parser[comparison], want []string) (m measure, err error) {
	m.kind = p.tok.kind
	switch m.kind {
	case tokName:
		m.text = strings.ToUpper(p.tok.text)
		p.names = append(p.names, m.text)
	case tokQuoted:
		// The quotes stay part of the name, so there is no such attribute and
		// it is not reported among the names.
		m.text = strings.ToUpper(p.tok.text)
	case tokInt:
		m.number, _ = strconv.ParseFloat(p.tok.text, 64)
		m.text = showInt(p.tok.text)
	case tokFloat:
		m.number, _ = strconv.ParseFloat(p.tok.text, 64)
		m.text = showFloat(m.number)
	case tokBad:
		if p.tok.want != nil {
			return m, pegError(p, p.tok.badAt, p.tok.want)
		}
		fallthrough
	default:
		return m, pegRefusal(p, want)
	}
	p.advance()
	return m, nil
}

// Names returns the attributes whose change can change the result, in upper
// case, ascending, each once. The caller does not change the slice.
func (e *Elasticity) Names() []string { return e.names }

// Eval evaluates the condition. average gives the mean of an attribute, its
// name in upper case, over the running machines of the role, ok false when no
// machine has it; means are rounded to two decimals here. rendering is the
// condition with the values in it, as in `ATT[45.0] > 50` and `NOPE[--] > 1`.
func (e *Elasticity) Eval(average func(name string) (mean float64, ok bool)) (result bool, rendering string) {
	ev := evaluation{average: average}
	result = ev.node(e.root)
	return result, string(ev.text)
}

// evaluation walks a condition and writes down what it sees.
type evaluation struct {
	average func(string) (float64, bool)
	text    []byte
}

func (ev *evaluation) write(parts ...string) {
	for _, s := range parts {
		ev.text = append(ev.text, s...)
	}
}

func (ev *evaluation) node(n *node[comparison]) bool {
	switch n.op {
	case opNot:
		ev.write("!")
		return !ev.node(n.left)
	case opGroup:
		ev.write("(")
		result := ev.node(n.left)
		ev.write(")")
		return result
	case opAnd, opOr:
		left := ev.node(n.left)
		ev.write(" ", n.sign, " ")
		right := ev.node(n.right)
		if n.op == opAnd {
			return left && right
		}
		return left || right
	}
	left, okLeft := ev.measure(&n.leaf.left)
	ev.write(" ", n.leaf.sign, " ")
	right, okRight := ev.measure(&n.leaf.right)
	return okLeft && okRight && compareMeasures(n.leaf.sign, left, right)
}

func (ev *evaluation) measure(m *measure) (value float64, ok bool) {
	if m.kind == tokInt || m.kind == tokFloat {
		ev.write(m.text)
		return m.number, true
	}
	if m.kind == tokName {
		value, ok = ev.average(m.text)
	}
	if !ok || math.IsNaN(value) || math.IsInf(value, 0) {
		ev.write(m.text, "[--]")
		return 0, false
	}
	value = roundCents(value)
	ev.write(m.text, "[", showFloat(value), "]")
	return value, true
}

func compareMeasures(sign string, a, b float64) bool {
	switch sign {
	case "==", "=":
		return a == b
	case "!=", "<>":
		return a != b
	case ">=":
		return a >= b
	case ">":
		return a > b
	case "<=":
		return a <= b
	}
	return a < b
}

// roundCents rounds to two decimals, halves away from zero.
func roundCents(v float64) float64 {
	if r := math.Round(v*100) / 100; !math.IsInf(r, 0) {
		return r
	}
	return v
}

// showInt shows an integer literal without its leading zeros.
func showInt(literal string) string {
	digits, negative := strings.CutPrefix(literal, "-")
	if digits = strings.TrimLeft(digits, "0"); digits == "" {
		return "0"
	}
	if negative {
		return "-" + digits
	}
	return digits
}

// showFloat shows a number the way the reference's language does: the shortest
// digits that read back the same, always with a fraction, with an exponent
// below 1e-4 and from 1e16 on.
func showFloat(v float64) string {
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', -1, 64), "e")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		return mantissa + "e" + exponent
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
