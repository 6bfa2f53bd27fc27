package expr

import (
	"fmt"
	"slices"
	"strconv"
)

// CurrentVMs is the attribute whose values are the ids of the machines on a
// host. `CURRENT_VMS != 7` means that 7 is not among them, and is therefore
// true of an empty host.
const CurrentVMs = "CURRENT_VMS"

// Requirements is a placement condition (SCHED_REQUIREMENTS and its relatives;
// scheduler reference §8.3). A nil one, like that of a blank source, is met by
// everything.
type Requirements struct {
	root  *node[term]
	names []string
}

// term compares an attribute with a constant.
type term struct {
	name    string
	compare compare
	kind    kind // tokInt, tokFloat or tokQuoted
	int     int64
	float   float64
	empty   bool // the constant is "", which makes the term false
	pattern glob
}

type compare uint8

const (
	compareEqual compare = iota
	compareNotEqual
	compareGreater
	compareLess
	compareContains
)

var requirementsLanguage = &language[term]{
	dialect: dialect{
		blanks:    " \t\r\n",
		operators: bisonOperators,
		signed:    true,
	},
	prefix: map[string]binding{"!": {op: opNot, right: 3}},
	infix: map[string]binding{
		"&": {opAnd, 1, 2},
		"|": {opOr, 1, 2},
	},
	primary:    readTerm,
	unexpected: bisonRefusal[term],
	wantClose:  []string{"'&'", "'|'", "')'"},
	wantEnd:    []string{wordEnd},
}

// Both of the scheduler's languages know these, though neither uses them all.
var bisonOperators = []string{"@", "!", "&", "|", "=", ">", "<", "(", ")", "*", "+", "/", "^", "-"}

// ParseRequirements reads a placement condition. The error is a *SyntaxError.
func ParseRequirements(source string) (*Requirements, error) {
	root, names, err := parse(requirementsLanguage, source)
	if err != nil {
		return nil, err
	}
	return &Requirements{root: root, names: names}, nil
}

// readTerm reads NAME op constant.
func readTerm(p *parser[term]) (t term, err error) {
	if p.tok.kind != tokName && p.tok.kind != tokQuoted {
		want := []string{"'!'", wordString, "'('"}
		if p.prev.end == 0 {
			want = []string{wordEnd} // an empty source would have been fine
		}
		return t, bisonRefusal(p, want)
	}
	t.name = p.tok.text
	p.names = append(p.names, t.name)
	p.advance()
	if t.compare, err = readCompare(p); err != nil {
		return t, err
	}
	return t, readConstant(p, &t)
}

// readCompare reads the operator of a term. The two-character ones are two
// tokens, as in the reference: blanks may stand between them.
func readCompare(p *parser[term]) (compare, error) {
	second := func(sign string, c compare) (compare, error) {
		if !p.tok.is(sign) {
			return 0, bisonRefusal(p, []string{"'" + sign + "'"})
		}
		p.advance()
		return c, nil
	}
	first := p.tok
	if first.kind == tokOperator {
		switch first.text {
		case "=":
			p.advance()
			return compareEqual, nil
		case ">":
			p.advance()
			return compareGreater, nil
		case "<":
			p.advance()
			return compareLess, nil
		case "!":
			p.advance()
			return second("=", compareNotEqual)
		case "@":
			p.advance()
			return second(">", compareContains)
		}
	}
	return 0, bisonRefusal(p, []string{"'!'", "'='", "'>'", "'<'", "'@'"})
}

// readConstant reads what the attribute is compared with.
func readConstant(p *parser[term], t *term) error {
	ordered := t.compare == compareGreater || t.compare == compareLess
	switch p.tok.kind {
	case tokInt:
		n, err := strconv.ParseInt(p.tok.text, 10, 64)
		if err != nil {
			return bisonError(p, fmt.Sprintf("integer %s is out of range", p.tok.text))
		}
		t.kind, t.int = tokInt, n
		if t.name == CurrentVMs {
			t.pattern = newGlob(strconv.FormatInt(n, 10))
		}
	case tokFloat:
		// The only possible failure is the range, for which the value is ±Inf.
		t.kind = tokFloat
		t.float, _ = strconv.ParseFloat(p.tok.text, 64)
	case tokName, tokQuoted:
		if ordered {
			return bisonRefusal(p, []string{wordInt, wordFloat})
		}
		t.kind = tokQuoted
		t.empty = p.tok.text == ""
		if len(p.tok.text) > MaxPattern && isPattern(p.tok.text) {
			return bisonError(p, fmt.Sprintf("pattern is too long: %d bytes, at most %d are allowed", len(p.tok.text), MaxPattern))
		}
		t.pattern = newGlob(p.tok.text)
	default:
		want := []string{wordInt, wordString, wordFloat}
		if ordered {
			want = []string{wordInt, wordFloat}
		}
		return bisonRefusal(p, want)
	}
	p.advance()
	return nil
}

// Names returns the attributes mentioned, ascending, each once. The caller does
// not change the slice.
func (r *Requirements) Names() []string {
	if r == nil {
		return nil
	}
	return r.names
}

// Match tells whether the condition is met. A term about an absent attribute is
// false whatever its operator, and so is one that compares a number with an
// attribute that does not begin with one. All operators but @> look at the
// attribute's first value.
func (r *Requirements) Match(env Env) bool {
	if r == nil || r.root == nil {
		return true
	}
	return matches(r.root, env)
}

func matches(n *node[term], env Env) bool {
	switch n.op {
	case opAnd:
		return matches(n.left, env) && matches(n.right, env)
	case opOr:
		return matches(n.left, env) || matches(n.right, env)
	case opNot:
		return !matches(n.left, env)
	}
	return n.leaf.holds(env.Values(n.leaf.name))
}

func (t *term) holds(values []string) bool {
	if t.empty {
		return false
	}
	if t.name == CurrentVMs && t.kind != tokFloat {
		switch t.compare {
		case compareEqual, compareContains:
			return slices.ContainsFunc(values, t.pattern.match)
		case compareNotEqual:
			return !slices.ContainsFunc(values, t.pattern.match)
		}
	}
	if t.compare == compareContains {
		return slices.ContainsFunc(values, t.equals)
	}
	if len(values) == 0 {
		return false
	}
	switch v := values[0]; t.kind {
	case tokInt:
		n, ok := leadingInt(v)
		return ok && holds(t.compare, n, t.int)
	case tokFloat:
		f, ok := LeadingFloat(v)
		return ok && holds(t.compare, f, t.float)
	default:
		return t.pattern.match(v) == (t.compare == compareEqual)
	}
}

// equals compares one value of a repeated attribute.
func (t *term) equals(v string) bool {
	switch t.kind {
	case tokInt:
		n, ok := leadingInt(v)
		return ok && n == t.int
	case tokFloat:
		f, ok := LeadingFloat(v)
		return ok && f == t.float
	}
	return t.pattern.match(v)
}

func holds[N int64 | float64](c compare, value, constant N) bool {
	switch c {
	case compareEqual:
		return value == constant
	case compareNotEqual:
		return value != constant
	case compareGreater:
		return value > constant
	}
	return value < constant
}
