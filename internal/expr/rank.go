package expr

import (
	"math"
	"strconv"
)

// Rank is an arithmetic preference (SCHED_RANK and its relatives; scheduler
// reference §8.4). A nil one, like that of a blank source, is 0.
type Rank struct {
	root  *node[amount]
	names []string
}

// amount is an attribute or, without a name, a number.
type amount struct {
	name   string
	number float64
}

var rankLanguage = &language[amount]{
	dialect: dialect{
		blanks:    " \t\r\n",
		operators: bisonOperators,
		// The minus is always the operator here, so that A-1 is a difference;
		// the reference refuses it for want of a blank behind the minus.
		signed: false,
	},
	prefix: map[string]binding{"-": {op: opNeg, right: 2}},
	infix: map[string]binding{
		"+": {opAdd, 1, 2},
		"-": {opSub, 1, 2},
		"*": {opMul, 3, 4},
		"/": {opDiv, 3, 4},
	},
	primary:    readAmount,
	unexpected: bisonRefusal[amount],
	wantClose:  []string{"'+'", "'-'", "'*'", "'/'", "')'"},
	wantEnd:    []string{wordEnd},
}

// ParseRank reads a rank. The error is a *SyntaxError.
func ParseRank(source string) (*Rank, error) {
	root, names, err := parse(rankLanguage, source)
	if err != nil {
		return nil, err
	}
	return &Rank{root: root, names: names}, nil
}

func readAmount(p *parser[amount]) (a amount, err error) {
	switch p.tok.kind {
	case tokName, tokQuoted:
		a.name = p.tok.text
		p.names = append(p.names, a.name)
	case tokInt, tokFloat:
		// The only possible failure is the range, for which the value is ±Inf.
		a.number, _ = strconv.ParseFloat(p.tok.text, 64)
	default:
		want := []string{"'-'", wordInt, wordString, wordFloat, "'('"}
		if p.prev.end == 0 {
			want = []string{wordEnd} // an empty source would have been fine
		}
		return a, bisonRefusal(p, want)
	}
	p.advance()
	return a, nil
}

// Names returns the attributes mentioned, ascending, each once. The caller does
// not change the slice.
func (r *Rank) Names() []string {
	if r == nil {
		return nil
	}
	return r.names
}

// Value computes the rank in floating point and cuts it to an integer towards
// zero. An attribute that is absent or not a number counts 0, others their
// first value. A result that is not finite (a division by zero) is 0, one
// beyond 64 bits the nearest that fits.
func (r *Rank) Value(env Env) int64 {
	if r == nil || r.root == nil {
		return 0
	}
	v := compute(r.root, env)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return 0
	case v >= math.MaxInt64:
		return math.MaxInt64
	case v <= math.MinInt64:
		return math.MinInt64
	}
	return int64(v)
}

func compute(n *node[amount], env Env) float64 {
	switch n.op {
	case opAdd:
		return compute(n.left, env) + compute(n.right, env)
	case opSub:
		return compute(n.left, env) - compute(n.right, env)
	case opMul:
		return compute(n.left, env) * compute(n.right, env)
	case opDiv:
		return compute(n.left, env) / compute(n.right, env)
	case opNeg:
		return -compute(n.left, env)
	}
	return n.leaf.value(env)
}

func (a *amount) value(env Env) float64 {
	if a.name == "" {
		return a.number
	}
	values := env.Values(a.name)
	if len(values) == 0 {
		return 0
	}
	v, _ := LeadingFloat(values[0])
	return v
}
