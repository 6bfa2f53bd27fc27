package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// nouns are all there are, in the order of help.
func nouns() []*noun {
	return []*noun{
		vmNoun(), templateNoun(), imageNoun(), vnetNoun(), vnTemplateNoun(), vrouterNoun(), secgroupNoun(),
		hostNoun(), clusterNoun(), datastoreNoun(),
		userNoun(), groupNoun(), aclNoun(), vdcNoun(), zoneNoun(),
		flowNoun(), flowTemplateNoun(),
	}
}

// versionText is what --version prints: the level of the interfaces.
const versionText = "OpenNebula 6.8.3 (Trifid)"

// root is the program with every noun below it.
func (a *app) root(more ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trifid",
		Short: "An edge cloud in one program",
		Long: `Trifid runs virtual machines, groups them into services that scale themselves,
and lets every guest talk to its own cloud.

Every command below also answers to the name it has in OpenNebula, here
(trifid onevm list) and through a link of that name (onevm list).`,
		Example: "  trifid vm list\n  trifid template instantiate 3 --name web",
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, n := range nouns() {
		cmd.AddCommand(n.build(a, n.alias))
	}
	cmd.AddCommand(docsCommand(a), linksCommand(a))
	cmd.AddCommand(more...)
	return a.prepared(cmd)
}

// linked is the command of the noun that the program was called by, nil if it
// was not called by one.
func (a *app) linked(name string) *cobra.Command {
	for _, n := range nouns() {
		if n.cmd == name {
			cmd := n.build(a, name)
			cmd.CompletionOptions.HiddenDefaultCmd = true
			return a.prepared(cmd)
		}
	}
	return nil
}

// prepared sets what holds for a whole tree of commands.
func (a *app) prepared(cmd *cobra.Command) *cobra.Command {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetIn(a.io.In)
	cmd.SetOut(a.io.Out)
	cmd.SetErr(a.io.Err)
	cmd.Version = versionText
	cmd.SetVersionTemplate("{{.Version}}\n")
	cmd.Flags().BoolP("version", "V", false, "print the version")
	cmd.PersistentFlags().SortFlags = true
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{err: err, cmd: cmd}
	})
	return cmd
}

// usageError is a flag that is wrong.
type usageError struct {
	err error
	cmd *cobra.Command
}

func (e *usageError) Error() string {
	return e.err.Error() + "\nrun '" + e.cmd.CommandPath() + " --help' for the flags there are"
}

func (e *usageError) Unwrap() error { return e.err }

// flagsOf joins declarations of flags.
func flagsOf(all ...func(*pflag.FlagSet)) func(*pflag.FlagSet) {
	return func(f *pflag.FlagSet) {
		for _, declare := range all {
			if declare != nil {
				declare(f)
			}
		}
	}
}
