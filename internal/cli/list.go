package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// layoutFlags declares how a table is laid out. Source: OneFlow reference §7.2.
func layoutFlags(f *pflag.FlagSet) {
	text(f, "list", "l", "columns to show, separated by commas")
	text(f, "listconf", "c", "a named list of columns: user")
	text(f, "filter", "f", "rows to show: COLUMN=value and so on, separated by commas; =, !=, <, <=, >, >=, ~ (contains); a size without a unit is in MB")
	text(f, "operator", "", "how filters combine: AND (default) or OR")
	boolean(f, "csv", "", "write the table as CSV")
	text(f, "csv-del", "", "delimiter of CSV, a comma by default")
	boolean(f, "no-header", "", "leave the line of column names out")
	boolean(f, "no-pager", "", "accepted for compatibility: nothing is paged")
	text(f, "adjust", "", "columns not to cut, separated by commas")
	text(f, "size", "s", "widths of columns: NAME=20,GROUP=5")
	optionalText(f, "expand", expandAll, "columns to widen to the terminal: NAME or NAME=0.4,GROUP=0.6; all if none is named")
	boolean(f, "no-expand", "", "do not widen columns to the terminal")
}

const expandAll = "*"

// formatFlags declares the formats of a noun's documents; OneFlow's are JSON.
func (n *noun) formatFlags(f *pflag.FlagSet) {
	if !n.flow {
		boolean(f, "xml", "x", "print XML")
	}
	boolean(f, "json", "j", "print JSON")
	boolean(f, "yaml", "y", "print YAML")
}

// layout reads the flags of layoutFlags.
func (c *call) layout() (render.Layout, error) {
	l := render.Layout{
		List: c.list("list"), Filter: c.list("filter"), Operator: c.str("operator"),
		CSV: c.flag("csv"), CSVDel: c.str("csv-del"), NoHeader: c.flag("no-header"),
		Adjust: c.list("adjust"), Size: c.list("size"), NoExpand: c.flag("no-expand"),
	}
	if c.str("expand") == expandAll {
		l.ExpandAll = true
	} else {
		l.Expand = c.list("expand")
	}
	conf := c.str("listconf")
	if conf == "" {
		conf = c.io.Getenv("ONE_LISTCONF")
	}
	if conf != "" && len(l.List) == 0 {
		cols, ok := listConfs[c.noun.cmd][conf]
		if !ok && c.has("listconf") {
			return l, fmt.Errorf("listconf %q: there is no such list of columns for %s", conf, c.noun.cmd)
		}
		l.List = cols
	}
	return l, nil
}

// listConfs are the named lists of columns, by command.
var listConfs = map[string]map[string][]string{
	"onevm": {"user": {"ID", "NAME", "IP", "STAT", "CPU", "MEM", "HOST", "TIME"}},
}

// listVerb and topVerb are the same for every noun with a table.
func (n *noun) listVerb() verb {
	v := verb{name: "list", short: "List " + n.plural(), run: list}
	v.example = "list\nlist --csv --list ID,NAME\nlist --json"
	v.flags = func(f *pflag.FlagSet) {
		boolean(f, "describe", "d", "say what the columns mean")
		n.tableFlags(f)
		n.formatFlags(f)
	}
	if n.filtered {
		v.args = []arg{optional(arg{name: "filterflag", kind: argFilter})}
		v.example += "\nlist mine"
		v.long = filterHelp
	}
	return v
}

func (n *noun) topVerb() verb {
	v := verb{name: "top", short: "List " + n.plural() + " again and again", example: "top --delay 2", run: top}
	v.flags = func(f *pflag.FlagSet) {
		number(f, "delay", "d", n.topDelay(), "seconds between two listings")
		n.tableFlags(f)
	}
	if n.filtered {
		v.args = []arg{optional(arg{name: "filterflag", kind: argFilter})}
	}
	return v
}

func (n *noun) topDelay() int {
	if n.flow {
		return 4
	}
	return 1
}

const filterHelp = `The argument says whose objects to list:
  a, all            every object you may use (default)
  m, mine           your own
  g, group          your own and those of your groups
  G, primary group  those of your primary group
  uid or user name  those of that user`

func (n *noun) tableFlags(f *pflag.FlagSet) {
	layoutFlags(f)
	number(f, "delay", "", n.topDelay(), "seconds between two listings of top")
	boolean(f, "numeric", "n", "show ids of users and groups, not names")
	boolean(f, "kilobytes", "k", "show sizes as plain numbers")
	if n.listFlags != nil {
		n.listFlags(f)
	}
}

// plural names the objects of a noun in help.
func (n *noun) plural() string {
	what := n.short
	if i := strings.Index(what, ":"); i >= 0 {
		what = what[:i]
	}
	return strings.TrimPrefix(what, "Manage ")
}

// notDone lists the VMs of every state but DONE.
const notDone = -1

func list(c *call) error {
	t, err := c.noun.table(c, nil)
	if err != nil {
		return err
	}
	if c.flag("describe") {
		t.Describe(c.out)
		return nil
	}
	p, err := c.fetch(&c.noun.pool, c.num(0, client.All), notDone)
	if err != nil {
		return err
	}
	if printed, err := c.formatted(p); printed {
		return err
	}
	return c.printTable(p, nil)
}

// formatted prints a document in the format a flag asked for.
func (c *call) formatted(n *doc.Node) (bool, error) {
	switch {
	case c.flag("xml"):
		return true, render.XML(c.out, n)
	case c.flag("json"):
		return true, render.JSON(c.out, n)
	case c.flag("yaml"):
		return true, render.YAML(c.out, n)
	}
	return false, nil
}

// printTable prints the objects of a pool that keep lets through; nil keeps all.
func (c *call) printTable(p *doc.Node, keep func(*doc.Node) bool) error {
	l, err := c.layout()
	if err != nil {
		return err
	}
	return c.printRows(p, l, keep)
}

func (c *call) printRows(p *doc.Node, l render.Layout, keep func(*doc.Node) bool) error {
	t, err := c.noun.table(c, p)
	if err != nil {
		return err
	}
	rows := p.All(c.noun.pool.elem)
	if keep != nil {
		all := rows
		rows = nil
		for _, r := range all {
			if keep(r) {
				rows = append(rows, r)
			}
		}
	}
	return t.Print(c.out, rows, l)
}

func top(c *call) error {
	return c.again(func() error {
		p, err := c.fetch(&c.noun.pool, c.num(0, client.All), notDone)
		if err != nil {
			return err
		}
		c.out.Clear()
		return c.printTable(p, nil)
	})
}

// again runs show every --delay seconds until the command is interrupted.
func (c *call) again(show func() error) error {
	seconds, err := strconv.Atoi(c.str("delay"))
	if err != nil || seconds < 1 {
		return fmt.Errorf("delay: expected a number of seconds above 0")
	}
	tick := time.NewTicker(time.Duration(seconds) * time.Second)
	defer tick.Stop()
	for {
		if err := show(); err != nil {
			if c.ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := c.out.Err(); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return nil
		}
	}
}

// showVerb prints one object; self tells that without argument it is the
// caller's own.
func (n *noun) showVerb(name string, self bool, more func(*pflag.FlagSet)) verb {
	v := verb{name: "show", short: "Show one of the " + n.plural(), args: []arg{{name: name, kind: argID, optional: self}}, run: show}
	v.example = "show 7\nshow 7 --json"
	v.flags = func(f *pflag.FlagSet) {
		n.formatFlags(f)
		boolean(f, "decrypt", "", "show encrypted attributes in clear, if you may")
		if more != nil {
			more(f)
		}
	}
	return v
}

// ownID stands for the caller, or the caller's group. Source: XML-RPC reference §6.1.
const ownID = -1

func show(c *call) error {
	n, err := c.info(c.num(0, ownID))
	if err != nil {
		return err
	}
	if printed, err := c.formatted(n); printed {
		return err
	}
	return c.noun.show(c, n)
}

// panel returns a panel with keys of a width.
func (c *call) panel(keyWidth int) render.Panel {
	return render.Panel{Screen: c.out, KeyWidth: keyWidth}
}
