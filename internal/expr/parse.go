package expr

import "fmt"

// operation is what an inner node does with its operands.
type operation uint8

const (
	opLeaf operation = iota
	opAnd
	opOr
	opNot
	opGroup // parentheses, where the language shows them again
	opAdd
	opSub
	opMul
	opDiv
	opNeg
)

// node is a leaf of the language (a comparison, a number) or an operation on
// one (left) or two nodes.
type node[L any] struct {
	op          operation
	sign        string // the operator as written
	left, right *node[L]
	leaf        L
}

// binding says how tightly an operator holds what stands on its two sides; the
// tighter neighbour wins. right > left groups a chain to the left, right ==
// left to the right. Of a prefix operator only right counts.
type binding struct {
	op          operation
	left, right int
}

// language is one of the three languages over leaves of type L.
type language[L any] struct {
	dialect
	prefix map[string]binding
	infix  map[string]binding
	groups bool // keep parentheses as nodes

	// primary reads a leaf at p.tok.
	primary func(p *parser[L]) (L, error)
	// unexpected words the refusal of p.tok.
	unexpected func(p *parser[L], want []string) error

	// What could follow an operand, inside parentheses and outside.
	wantClose, wantEnd []string
}

// parser reads one source. Its depth is bounded by MaxDepth.
type parser[L any] struct {
	lang  *language[L]
	lex   lexer
	prev  token // the last token taken
	tok   token // the token at hand
	depth int
	open  int      // parentheses not yet closed
	whole int      // where the longest whole expression read so far ends, blanks included
	names []string // attributes mentioned, for primary to fill
}

// parse reads the whole source. The root is nil when the source is blank.
func parse[L any](lang *language[L], source string) (root *node[L], names []string, err error) {
	if err := checkLength(source); err != nil {
		return nil, nil, err
	}
	p := &parser[L]{lang: lang, lex: lexer{dialect: &lang.dialect, src: source, line: 1}}
	p.advance()
	if p.tok.kind == tokEnd {
		return nil, nil, nil
	}
	root, err = p.expression(0)
	if err != nil {
		return nil, nil, err
	}
	if p.tok.kind != tokEnd {
		return nil, nil, lang.unexpected(p, lang.wantEnd)
	}
	return root, unique(p.names), nil
}

func (p *parser[L]) advance() {
	p.prev = p.tok
	p.tok = p.lex.next()
}

// expression reads operands joined by operators that hold their left side at
// least as tightly as given.
func (p *parser[L]) expression(tightness int) (*node[L], error) {
	if p.depth++; p.depth > MaxDepth {
		return nil, &SyntaxError{
			Message: fmt.Sprintf("expression is nested too deeply: at most %d levels are allowed, at line %d, column %d", MaxDepth, p.tok.line, p.tok.pos+1),
			Offset:  p.tok.pos,
		}
	}
	defer func() { p.depth-- }()

	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	for p.tok.kind == tokOperator {
		sign := p.tok.text
		b, ok := p.lang.infix[sign]
		if !ok || b.left < tightness {
			break
		}
		p.advance()
		right, err := p.expression(b.right)
		if err != nil {
			return nil, err
		}
		left = &node[L]{op: b.op, sign: sign, left: left, right: right}
	}
	return left, nil
}

// operand reads a prefixed operand, a group or a leaf.
func (p *parser[L]) operand() (*node[L], error) {
	if p.tok.kind == tokOperator {
		sign := p.tok.text
		if sign == "(" {
			return p.group()
		}
		if b, ok := p.lang.prefix[sign]; ok {
			p.advance()
			inner, err := p.expression(b.right)
			if err != nil {
				return nil, err
			}
			return &node[L]{op: b.op, sign: sign, left: inner}, nil
		}
	}
	leaf, err := p.lang.primary(p)
	if err != nil {
		return nil, err
	}
	p.complete()
	return &node[L]{leaf: leaf}, nil
}

func (p *parser[L]) group() (*node[L], error) {
	p.advance()
	p.open++
	inner, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if !p.tok.is(")") {
		return nil, p.lang.unexpected(p, p.lang.wantClose)
	}
	p.open--
	p.advance()
	p.complete()
	if p.lang.groups {
		inner = &node[L]{op: opGroup, left: inner}
	}
	return inner, nil
}

// complete notes that what was read so far could stand alone.
func (p *parser[L]) complete() {
	if p.open == 0 {
		p.whole = p.tok.pos
	}
}
