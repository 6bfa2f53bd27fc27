package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// docsCommand writes reference pages. They are made here, not with cobra's own
// generator, which would bring two Markdown libraries along.
func docsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "docs <man|markdown> <directory>", Short: "Write reference pages of every command", Hidden: true,
		Args:      cobra.ExactArgs(2),
		ValidArgs: []string{"man", "markdown"},
		RunE: func(cmd *cobra.Command, args []string) error {
			write, ext := manPage, ".1"
			switch args[0] {
			case "man":
			case "markdown":
				write, ext = markdownPage, ".md"
			default:
				return fmt.Errorf("%q: expected man or markdown", args[0])
			}
			if err := os.MkdirAll(args[1], 0o755); err != nil {
				return fmt.Errorf("write pages: %w", err)
			}
			for _, p := range pages(a, cmd.Root()) {
				if err := os.WriteFile(filepath.Join(args[1], p.name+ext), []byte(write(p)), 0o644); err != nil {
					return fmt.Errorf("write pages: %w", err)
				}
			}
			return nil
		},
	}
	return cmd
}

// page is the reference of one command called by name, and of what is below it.
type page struct {
	name, short string
	cmds        []*cobra.Command
}

// pages are those of the nouns, after that of the program's own commands.
func pages(a *app, root *cobra.Command) []page {
	own := page{name: root.Name(), short: root.Short}
	for _, sub := range root.Commands() {
		if !sub.HasSubCommands() && isShown(sub) {
			own.cmds = append(own.cmds, sub)
		}
	}
	out := []page{own}
	for _, n := range nouns() {
		out = append(out, page{name: n.cmd, short: n.short, cmds: leaves(n.build(a, n.cmd))})
	}
	return out
}

func isShown(cmd *cobra.Command) bool {
	return !cmd.Hidden && cmd.Name() != "help" && cmd.Name() != "completion"
}

// leaves are the commands below a command that do something, in order.
func leaves(cmd *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, sub := range cmd.Commands() {
		switch {
		case sub.HasSubCommands():
			out = append(out, leaves(sub)...)
		case isShown(sub):
			out = append(out, sub)
		}
	}
	return out
}

// description is what a page says of a command.
func description(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short + "."
}

// visible are the flags a page lists.
func visible(cmd *cobra.Command) []*pflag.Flag {
	var out []*pflag.Flag
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			out = append(out, f)
		}
	})
	return out
}

// flagText is how a flag is written: "-m, --multiple int".
func flagText(f *pflag.Flag) string {
	s := "--" + f.Name
	if f.Shorthand != "" {
		s = "-" + f.Shorthand + ", " + s
	}
	if kind, _ := pflag.UnquoteUsage(f); kind != "" {
		s += " " + kind
	}
	return s
}

// shared are the flags that every command of a page has, by how they are written.
func (p page) shared() map[string]bool {
	count, out := map[string]int{}, map[string]bool{}
	for _, cmd := range p.cmds {
		for _, f := range visible(cmd) {
			row := flagRow(f)
			if count[row]++; count[row] == len(p.cmds) && len(p.cmds) > 1 {
				out[row] = true
			}
		}
	}
	return out
}

func flagRow(f *pflag.Flag) string {
	return fmt.Sprintf("| `%s` | %s |\n", flagText(f), strings.ReplaceAll(f.Usage, "|", "\\|"))
}

func markdownPage(p page) string {
	var b strings.Builder
	table := func(cmd *cobra.Command, wanted func(row string) bool) {
		head := "\n| Flag | |\n|---|---|\n"
		for _, f := range visible(cmd) {
			if row := flagRow(f); wanted(row) {
				b.WriteString(head + row)
				head = ""
			}
		}
	}
	fmt.Fprintf(&b, "# %s\n\n%s.\n", p.name, p.short)
	shared := p.shared()
	if len(shared) > 0 {
		b.WriteString("\nEvery command below also takes:\n")
		table(p.cmds[0], func(row string) bool { return shared[row] })
	}
	for _, cmd := range p.cmds {
		fmt.Fprintf(&b, "\n## %s\n\n```\n%s\n```\n\n%s\n", cmd.CommandPath(), cmd.UseLine(), description(cmd))
		if cmd.Example != "" {
			fmt.Fprintf(&b, "\nExamples:\n\n```\n%s\n```\n", cmd.Example)
		}
		table(cmd, func(row string) bool { return !shared[row] })
	}
	return b.String()
}

// roff protects text from being read as requests of a man page.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

func manPage(p page) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"%s\" \"User Commands\"\n.SH NAME\n%s \\- %s\n", strings.ToUpper(p.name), versionText, roff(p.name), roff(p.short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n.I command\n[arguments] [flags]\n.SH COMMANDS\n", roff(p.name))
	for _, cmd := range p.cmds {
		fmt.Fprintf(&b, ".SS %s\n%s\n", roff(strings.TrimSuffix(cmd.UseLine(), " [flags]")), roff(description(cmd)))
		if cmd.Example != "" {
			fmt.Fprintf(&b, ".PP\n.nf\n%s\n.fi\n", roff(cmd.Example))
		}
		for _, f := range visible(cmd) {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(flagText(f)), roff(f.Usage))
		}
	}
	return b.String()
}

// linksCommand makes the links the commands of OpenNebula are known by.
func linksCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "links <directory>", Short: "Make links by which the commands are called as in OpenNebula", Example: "  trifid links ~/bin",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("make links: %w", err)
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("make links: %w", err)
			}
			for _, n := range nouns() {
				path := filepath.Join(args[0], n.cmd)
				if old, err := os.Readlink(path); err == nil && old == self {
					continue
				}
				if err := os.Symlink(self, path); err != nil {
					return fmt.Errorf("make links: %w", err)
				}
				a.out.Println(path)
			}
			return nil
		},
	}
}
