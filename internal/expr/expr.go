// Package expr reads the three small expression languages of the cloud:
// placement requirements and ranks (scheduler reference, §8.3 and §8.4) and
// elasticity rules (OneFlow reference, §4.2). They share one lexer and one
// Pratt parser; each language says which characters form its operators, how
// tightly they bind, and what stands between them.
//
// A parsed expression is immutable and may be used by many goroutines. The
// package imports the standard library only and may be imported by anyone.
package expr

import (
	"fmt"
	"slices"
)

// Bounds of every expression. A requirement written by the server for a large
// VM group (one term a peer) stays far below MaxSource; nothing a person writes
// comes near MaxDepth.
const (
	MaxSource  = 64 << 10 // bytes of source
	MaxDepth   = 200      // parentheses, negations and right-grouping operators inside one another
	MaxPattern = 1 << 10  // bytes of a value which holds wildcards
)

// SyntaxError says why a source is not an expression. Message is complete and
// worded like the reference's own; it ends with the position.
type SyntaxError struct {
	Message string
	Offset  int // byte at which reading failed, 0-based
}

func (e *SyntaxError) Error() string { return e.Message }

// Env gives the attributes an expression is evaluated over.
type Env interface {
	// Values returns every value of the attribute, in document order, and
	// nothing when it is absent. The caller does not change the slice.
	Values(name string) []string
}

// EnvFunc is a function used as an Env.
type EnvFunc func(name string) []string

// Values implements Env.
func (f EnvFunc) Values(name string) []string { return f(name) }

func checkLength(source string) error {
	if len(source) > MaxSource {
		return &SyntaxError{
			Message: fmt.Sprintf("expression is too long: %d bytes, at most %d are allowed", len(source), MaxSource),
			Offset:  MaxSource,
		}
	}
	return nil
}

// unique returns the names ascending, each once.
func unique(names []string) []string {
	slices.Sort(names)
	return slices.Clip(slices.Compact(names))
}
