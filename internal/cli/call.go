package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// call is one use of a verb: its arguments, its flags and the server.
type call struct {
	*app
	ctx    context.Context
	flags  *pflag.FlagSet
	noun   *noun
	verb   verb
	raw    []string
	values []value
	server *client.Core
	rest   *client.Flow
	known  map[string]map[string][]int // ids by name, by pool
}

// value is an argument resolved.
type value struct {
	text string
	num  int
	nums []int
}

// given tells whether the i-th argument was given.
func (c *call) given(i int) bool { return i < len(c.values) }

// text returns the i-th argument as it was written, "" if it was not given.
func (c *call) text(i int) string {
	if !c.given(i) {
		return ""
	}
	return c.values[i].text
}

// num returns the i-th argument as a number or id, without if it was not given.
func (c *call) num(i, without int) int {
	if !c.given(i) {
		return without
	}
	return c.values[i].num
}

// subjects are the objects the verb is about: its first argument.
func (c *call) subjects() []int {
	v := c.values[0]
	if v.nums != nil {
		return v.nums
	}
	return []int{v.num}
}

// Flags. A flag that a verb does not have reads as not given.

func (c *call) flag(name string) bool {
	f := c.flags.Lookup(name)
	return f != nil && f.Value.String() == "true"
}

func (c *call) str(name string) string {
	f := c.flags.Lookup(name)
	if f == nil {
		return ""
	}
	return f.Value.String()
}

func (c *call) has(name string) bool { return c.flags.Changed(name) }

// list reads a flag whose value is a list separated by commas.
func (c *call) list(name string) []string {
	if s := c.str(name); s != "" {
		return strings.Split(s, ",")
	}
	return nil
}

// core returns the client of the core, made at first use.
func (c *call) core() (*client.Core, error) {
	if c.server != nil {
		return c.server, nil
	}
	o := client.Options{Endpoint: c.str("endpoint"), User: c.str("user"), Password: c.str("password")}
	if o.User == "" {
		o.User = c.str("username") // OneFlow's commands look names up in the core
	}
	if o.User != "" && !c.has("password") {
		var err error
		if o.Password, err = c.askPassword("Password: "); err != nil {
			return nil, err
		}
	}
	conf, err := c.env().Core(o)
	if err != nil {
		return nil, err
	}
	c.conf = conf
	c.server, err = client.NewCore(conf)
	return c.server, err
}

// do calls one.<method>.
func (c *call) do(method string, args ...any) (client.Result, error) {
	s, err := c.core()
	if err != nil {
		return client.Result{}, err
	}
	return s.Call(c.ctx, method, args...)
}

// doc calls one.<method> and reads the document it returns.
func (c *call) doc(method string, args ...any) (*doc.Node, error) {
	s, err := c.core()
	if err != nil {
		return nil, err
	}
	return s.Doc(c.ctx, method, args...)
}

// info gets an object of the noun.
func (c *call) info(id int) (*doc.Node, error) {
	args := []any{id}
	if c.flag("decrypt") {
		args = append(args, true)
	}
	return c.doc(c.noun.pool.object+".info", args...)
}

// each runs do for every subject of the verb, goes on after errors, and fails if
// there was one. With --verbose it says done for each.
func (c *call) each(done string, do func(id int) error) error {
	ids := c.subjects()
	progress := render.NewProgress(c.errs, done, len(ids))
	failed := false
	for _, id := range ids {
		if err := do(id); err != nil {
			progress.Clear()
			c.say(err)
			failed = true
		} else if c.flag("verbose") {
			progress.Clear()
			c.out.Println(fmt.Sprintf("%s %d: %s", c.noun.pool.rname, id, done))
		}
		progress.Step()
	}
	if failed {
		return errSaid
	}
	return nil
}

// method makes the run of a verb that is one method called for every subject
// with the id and what params adds; nil adds the other arguments as numbers.
func method(name, done string, params func(c *call) ([]any, error)) func(*call) error {
	return func(c *call) error {
		var more []any
		if params == nil {
			for i := 1; i < len(c.values); i++ {
				more = append(more, c.values[i].num)
			}
		} else {
			var err error
			if more, err = params(c); err != nil {
				return err
			}
		}
		return c.each(done, func(id int) error {
			_, err := c.do(c.noun.pool.object+"."+name, append([]any{id}, more...)...)
			return err
		})
	}
}

// with makes params of fixed values.
func with(values ...any) func(*call) ([]any, error) {
	return func(*call) ([]any, error) { return values, nil }
}

// created prints the id of a new object.
func (c *call) created(label string, r client.Result) { c.out.Printf("%s: %d\n", label, r.Int) }
