package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completionPatience is how long a shell waits for names from the server.
const completionPatience = 2 * time.Second

// complete offers the names of the objects an argument may be, from the server.
// A server that does not answer in time offers none.
func (n *noun) complete(a *app, v verb) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(v.args) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		arg := v.args[len(args)]
		switch arg.kind {
		case argFile:
			return nil, cobra.ShellCompDirectiveDefault
		case argFilter:
			return []string{"all", "mine", "group"}, cobra.ShellCompDirectiveNoFileComp
		case argID, argIDs:
		default:
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completionPatience)
		defer cancel()
		p := arg.pool
		if p == nil {
			p = &n.pool
		}
		c := &call{app: a, ctx: ctx, flags: cmd.Flags(), noun: n, verb: v}
		if (c.has("user") || c.has("username")) && !c.has("password") {
			return nil, cobra.ShellCompDirectiveNoFileComp // a shell cannot be asked for one
		}
		all, err := c.names(p)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		// Of a list only the last piece is being typed.
		before := ""
		if i := strings.LastIndexByte(typed, ','); arg.kind == argIDs && i >= 0 {
			before = typed[:i+1]
		}
		var out []string
		for name := range all {
			if strings.HasPrefix(before+name, typed) {
				out = append(out, before+name)
			}
		}
		slices.Sort(out)
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
