package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// noun is a kind of resource and what can be done with it.
type noun struct {
	cmd   string // name of the command when called through a link: onevm
	alias string // name below trifid: vm
	short string
	pool  pool
	// filtered tells that list takes an argument saying whose objects.
	filtered bool
	// table lays out a listing; p is the pool to be listed, nil to describe.
	table func(c *call, p *doc.Node) (render.Table[*doc.Node], error)
	// show prints a panel of one document; nil: there is none.
	show func(c *call, n *doc.Node) error
	// listFlags declares further flags of list and top.
	listFlags func(f *pflag.FlagSet)
	verbs     []verb
	// groups hold verbs one word deeper, such as oneflow service action.
	groups []group
	// client is the kind of server asked, for the flags that name it.
	flow bool
}

// group is a second word that holds verbs.
type group struct {
	name, short string
	verbs       []verb
}

// verb is one thing to do.
type verb struct {
	name    string
	short   string
	long    string // what to know beyond short; may be empty
	example string // without the command's name: "terminate 7 --hard"
	args    []arg
	flags   func(f *pflag.FlagSet)
	run     func(c *call) error
	hidden  bool
}

// build makes the command of a noun, named as it was called.
func (n *noun) build(a *app, name string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name + " <command>",
		Short: n.short,
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	if name == n.alias {
		cmd.Aliases = []string{n.cmd}
	}
	called := name
	if name == n.alias {
		called = "trifid " + name
	}
	for _, v := range n.verbs {
		cmd.AddCommand(n.command(a, v, called))
	}
	for _, g := range n.groups {
		sub := &cobra.Command{
			Use: g.name + " <command>", Short: g.short, Args: noSuchCommand,
			RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		}
		for _, v := range g.verbs {
			sub.AddCommand(n.command(a, v, called+" "+g.name))
		}
		cmd.AddCommand(sub)
	}
	return cmd
}

// noSuchCommand refuses what is no command, with what is like it.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	msg := fmt.Sprintf("Command '%s' not found", args[0])
	cmd.SuggestionsMinimumDistance = min(2, len(args[0])/3) // of a short word everything is near
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		msg += ". Did you mean " + strings.Join(like, ", ") + "?"
	}
	return fmt.Errorf("%s\nrun '%s --help' for the commands there are", msg, cmd.CommandPath())
}

// command makes the command of a verb; parent is the line that leads to it.
func (n *noun) command(a *app, v verb, parent string) *cobra.Command {
	cmd := &cobra.Command{
		Use:    usage(v),
		Short:  v.short,
		Hidden: v.hidden,
		Args:   func(cmd *cobra.Command, args []string) error { return checkArgs(cmd, v, args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			c := &call{app: a, ctx: cmd.Context(), flags: cmd.Flags(), noun: n, verb: v, raw: args}
			if err := c.resolve(); err != nil {
				return err
			}
			return v.run(c)
		},
		ValidArgsFunction: n.complete(a, v),
	}
	if v.long != "" {
		cmd.Long = v.short + ".\n\n" + strings.TrimSpace(v.long)
	}
	if v.flags != nil {
		v.flags(cmd.Flags())
	}
	n.connectionFlags(cmd.Flags())
	cmd.Example = v.examples(parent)
	return cmd
}

// examples completes the examples with what they are called by.
func (v verb) examples(parent string) string {
	var lines []string
	for l := range strings.SplitSeq(strings.TrimSpace(v.example), "\n") {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, "  "+parent+" "+l)
		}
	}
	return strings.Join(lines, "\n")
}

// connectionFlags declares the flags every command has.
func (n *noun) connectionFlags(f *pflag.FlagSet) {
	boolean(f, "verbose", "v", "say what was done")
	if n.flow {
		text(f, "server", "s", "URL of the OneFlow server")
		text(f, "username", "u", "user name")
		text(f, "password", "p", "password")
		return
	}
	text(f, "user", "", "user name, instead of the credentials' file")
	text(f, "password", "", "password, asked for when only --user is given")
	text(f, "endpoint", "", "URL of the core's XML-RPC server")
}

// boolean, text and number declare a flag; a shorthand another flag has already
// taken, or a name, is left to it.
func boolean(f *pflag.FlagSet, name, short, usage string) {
	if f.Lookup(name) == nil {
		f.BoolP(name, free(f, short), false, usage)
	}
}

func text(f *pflag.FlagSet, name, short, usage string) {
	if f.Lookup(name) == nil {
		f.StringP(name, free(f, short), "", usage)
	}
}

func number(f *pflag.FlagSet, name, short string, value int, usage string) {
	if f.Lookup(name) == nil {
		f.IntP(name, free(f, short), value, usage)
	}
}

// optionalText declares a flag whose value may be left out; it then has the
// value given here. The value may be a word of its own, as with other flags.
func optionalText(f *pflag.FlagSet, name, without, usage string) {
	text(f, name, "", usage)
	fl := f.Lookup(name)
	fl.NoOptDefVal = without
	fl.Annotations = map[string][]string{optionalValue: {"true"}}
}

const optionalValue = "optional-value"

func free(f *pflag.FlagSet, short string) string {
	if short != "" && f.ShorthandLookup(short) != nil {
		return ""
	}
	return short
}

// joinOptional joins an optional value written as a word of its own to its flag,
// since the flags' parser takes such a word for an argument.
func joinOptional(root *cobra.Command, args []string) []string {
	cmd, _, err := root.Find(args)
	if err != nil {
		return args
	}
	var out []string
	for i := 0; i < len(args); i++ {
		name, long := strings.CutPrefix(args[i], "--")
		var fl *pflag.Flag
		if long {
			fl = cmd.Flags().Lookup(name)
		}
		if fl != nil && fl.Annotations[optionalValue] != nil && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			out = append(out, args[i]+"="+args[i+1])
			i++
			continue
		}
		out = append(out, args[i])
	}
	return out
}
