package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// arg is one argument of a verb.
type arg struct {
	name     string
	kind     argKind
	pool     *pool // of which an id is meant
	optional bool
}

type argKind int

const (
	argText argKind = iota
	argNumber
	argID     // id or name of one object
	argIDs    // ids, ranges and names, separated by commas
	argFile   // path of a file
	argFilter // whose objects
)

// The first argument of most verbs is an object of the noun itself.
func self(n string) arg  { return arg{name: n, kind: argID} }
func selfs(n string) arg { return arg{name: n + "_list", kind: argIDs} }

// of is an object of another noun.
func of(name string, p *pool) arg { return arg{name: name, kind: argID, pool: p} }

func word(name string) arg { return arg{name: name} }
func num(name string) arg  { return arg{name: name, kind: argNumber} }

func optional(a arg) arg {
	a.optional = true
	return a
}

var file = arg{name: "file", kind: argFile, optional: true}

// usage is a verb's line of help.
func usage(v verb) string { return strings.TrimSpace(v.name + " " + argsUsage(v)) }

func argsUsage(v verb) string {
	parts := make([]string, len(v.args))
	for i, a := range v.args {
		parts[i] = "<" + a.name + ">"
		if a.optional {
			parts[i] = "[" + parts[i] + "]"
		}
	}
	return strings.Join(parts, " ")
}

// checkArgs refuses a wrong number of arguments in the original's words.
func checkArgs(cmd *cobra.Command, v verb, args []string) error {
	need := 0
	for _, a := range v.args {
		if !a.optional {
			need++
		}
	}
	switch {
	case len(args) < need && need > 1:
		return fmt.Errorf("Command %s requires %d parameters to run.\nusage: %s", v.name, need, cmd.UseLine())
	case len(args) < need:
		return fmt.Errorf("Command %s requires one parameter to run\nusage: %s", v.name, cmd.UseLine())
	case len(args) > len(v.args) && len(v.args) == 0:
		return fmt.Errorf("Wrong number of arguments\nNo argument is required")
	case len(args) > len(v.args):
		return fmt.Errorf("Wrong number of arguments\nThe arguments should be: %s", argsUsage(v))
	}
	return nil
}

// resolve turns the arguments into what they mean. Names are looked up in their
// pool, each pool at most once.
func (c *call) resolve() error {
	c.values = make([]value, len(c.raw))
	for i, s := range c.raw {
		a := c.verb.args[i]
		p := a.pool
		if p == nil {
			p = &c.noun.pool
		}
		v := value{text: s}
		var err error
		switch a.kind {
		case argNumber:
			if v.num, err = strconv.Atoi(s); err != nil || v.num < 0 {
				return fmt.Errorf("%s: %q is not a number", a.name, s)
			}
		case argID:
			v.num, err = c.id(p, s)
		case argIDs:
			v.nums, err = c.ids(p, s)
		case argFilter:
			v.num, err = c.filter(s)
		}
		if err != nil {
			return err
		}
		c.values[i] = v
	}
	return nil
}

// maxIDs bounds the ids a list may name.
const maxIDs = 100_000

// ids reads a list: numbers, ranges such as 8..15, and names.
func (c *call) ids(p *pool, list string) ([]int, error) {
	var out []int
	for s := range strings.SplitSeq(list, ",") {
		if from, to, ok := splitRange(s); ok {
			if to < from {
				return nil, fmt.Errorf("range %s: expected the lower id first", s)
			}
			if to-from >= maxIDs-len(out) {
				return nil, fmt.Errorf("range %s: expected a list of at most %d ids", s, maxIDs)
			}
			for id := from; id <= to; id++ {
				out = append(out, id)
			}
			continue
		}
		id, err := c.id(p, s)
		if err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, nil
}

func splitRange(s string) (from, to int, ok bool) {
	a, b, ok := strings.Cut(s, "..")
	if !ok {
		return 0, 0, false
	}
	from, okFrom := digits(a)
	to, okTo := digits(b)
	return from, to, okFrom && okTo
}

// digits reads a number made of digits only: "+7" and "-1" may be names.
func digits(s string) (int, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// id reads an id, or looks a name up in its pool.
func (c *call) id(p *pool, s string) (int, error) {
	if n, ok := digits(s); ok {
		return n, nil
	}
	all, err := c.names(p)
	if err != nil {
		return 0, err
	}
	found := all[s]
	switch len(found) {
	case 0:
		return 0, fmt.Errorf("%s named %s not found.", p.rname, s)
	case 1:
		return found[0], nil
	}
	return 0, fmt.Errorf("There are multiple %ss with name %s.", p.rname, s)
}
