package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

func templateNoun() *noun {
	n := &noun{
		cmd: "onetemplate", alias: "template", short: "Manage VM templates", pool: templatePool, filtered: true,
		table: registeredTable, show: showTemplate,
	}
	recursive := func(f *pflag.FlagSet) { boolean(f, "recursive", "R", "the images of the disks too") }
	showOne := n.showVerb("templateid", false, func(f *pflag.FlagSet) {
		boolean(f, "extended", "", "complete disks and NICs with the attributes of their images and networks")
	})
	showOne.run = func(c *call) error {
		t, err := c.doc("template.info", c.num(0, ownID), c.flag("extended"), c.flag("decrypt"))
		if err != nil {
			return err
		}
		if printed, err := c.formatted(t); printed {
			return err
		}
		return c.noun.show(c, t)
	}
	n.verbs = []verb{
		n.listVerb(), n.topVerb(), showOne,
		{
			name: "create", short: "Register a template", args: []arg{file},
			long:    "The template comes from a file, from standard input or from the flags.",
			example: "create web.tmpl\ncreate --name web --cpu 1 --memory 512 --disk alpine --nic private --net_context",
			flags: flagsOf(templateFlags, func(f *pflag.FlagSet) {
				text(f, "name", "", "name of the template")
				boolean(f, "dry", "", "print the template, create nothing")
			}),
			run: createFrom("template.allocate", templateFlags, (*call).vmTemplate),
		},
		{
			name: "clone", short: "Copy a template", args: []arg{self("templateid"), word("name")}, flags: recursive, example: "clone 3 web-copy",
			run: cloneRun(func(c *call) ([]any, error) { return []any{c.flag("recursive")}, nil }),
		},
		{
			name: "delete", short: "Delete templates", args: []arg{selfs("templateid")}, flags: recursive, example: "delete 3\ndelete 3 --recursive",
			run: method("delete", "deleted", func(c *call) ([]any, error) { return []any{c.flag("recursive")}, nil }),
		},
		instantiateVerb(),
		updateVerb("templateid", "TEMPLATE", "modified"), renameVerb("templateid"),
		chmodVerb("templateid", recursive, func(c *call) any { return c.flag("recursive") }),
	}
	n.verbs = append(n.verbs, chownVerbs("templateid")...)
	n.verbs = append(n.verbs, lockVerbs("templateid", "Template")...)
	return n
}

// createFrom makes the run of a create verb whose method takes the template and
// what more adds.
func createFrom(name string, declare func(*pflag.FlagSet), render func(*call) (string, error), more ...func(c *call) (any, error)) func(*call) error {
	return func(c *call) error {
		t, err := c.newTemplate(0, declare, render)
		if err != nil {
			return err
		}
		if c.flag("dry") {
			c.out.Print(t)
			return nil
		}
		args := []any{t}
		for _, m := range more {
			v, err := m(c)
			if err != nil {
				return err
			}
			args = append(args, v)
		}
		r, err := c.do(name, args...)
		if err == nil {
			c.created("ID", r)
		}
		return err
	}
}

// cloneRun makes the run of a clone verb.
func cloneRun(more func(c *call) ([]any, error)) func(*call) error {
	return func(c *call) error {
		args := []any{c.num(0, ownID), c.text(1)}
		if more != nil {
			extra, err := more(c)
			if err != nil {
				return err
			}
			args = append(args, extra...)
		}
		r, err := c.do(c.noun.pool.object+".clone", args...)
		if err == nil {
			c.created("ID", r)
		}
		return err
	}
}

// registeredTable lists objects that are a template and its registration time.
func registeredTable(c *call, _ *doc.Node) (nodeTable, error) {
	return nodeTable{
		Columns: []column{
			idColumn(), c.userColumn(8), c.groupColumn(8), nameColumn(15),
			computed("REGTIME", "time of registration", 15, func(n *doc.Node) string { return c.time(n.Int("REGTIME"), render.Seconds) }),
		},
	}, nil
}

func showTemplate(c *call, n *doc.Node) error {
	p := c.panel(15)
	p.Title("TEMPLATE %s INFORMATION", n.Get("ID"))
	c.ownedFields(p, n)
	p.Field("REGISTER TIME", c.time(n.Int("REGTIME"), render.Seconds))
	p.Blank()
	p.Permissions(n)
	p.Blank()
	p.Section("TEMPLATE CONTENTS")
	p.Println(doc.TemplateText(n.At("TEMPLATE")))
	return nil
}

// ownedFields prints what every lockable object begins with.
func (c *call) ownedFields(p render.Panel, n *doc.Node) {
	p.Field("ID", n.Get("ID"))
	p.Field("NAME", n.Get("NAME"))
	p.Field("USER", n.Get("UNAME"))
	p.Field("GROUP", n.Get("GNAME"))
	p.Field("LOCK", render.LockLevel(n.Int("LOCK/LOCKED")))
}

func instantiateVerb() verb {
	return verb{
		name: "instantiate", short: "Create VMs from a template", args: []arg{self("templateid"), file},
		long: `What the file, standard input or the flags say replaces the attributes of the same names in the template.
User inputs without a value are asked for.`,
		example: `instantiate web --name web-1
instantiate web --multiple 3 --name "web-%i" --hold
instantiate web --nic private --user-inputs DOMAIN=example.org`,
		flags: flagsOf(templateFlags, func(f *pflag.FlagSet) {
			text(f, "name", "", "name of the VM; %i is replaced by its number, from 0")
			number(f, "multiple", "m", 1, "number of VMs")
			boolean(f, "hold", "", "leave the VM on hold")
			boolean(f, "persistent", "", "make a private copy of template and images, and instantiate that")
		}),
		run: instantiate,
	}
}

func instantiate(c *call) error {
	id := c.num(0, ownID)
	if _, err := c.multiple(); err != nil {
		return err // before anything is asked
	}
	extra, err := c.instantiateExtra()
	if err != nil {
		return err
	}
	t, err := c.doc("template.info", id)
	if err != nil {
		return err
	}
	asked, err := c.userInputs(t.At("TEMPLATE/USER_INPUTS"))
	if err != nil {
		return err
	}
	extra = strings.TrimSpace(extra + "\n" + asked)
	return c.times(func(i int) error {
		name := strings.ReplaceAll(c.str("name"), "%i", strconv.Itoa(i))
		r, err := c.do("template.instantiate", id, name, c.flag("hold"), extra, c.flag("persistent"))
		if err == nil {
			c.created("VM ID", r)
		}
		return err
	})
}

// instantiateExtra is the template to merge: a file, flags or standard input.
func (c *call) instantiateExtra() (string, error) {
	used := c.used(templateFlags)
	switch {
	case c.given(1) && len(used) > 0 && joined(used) != "user-inputs":
		return "", fmt.Errorf("You cannot pass a template and use template creation options, conflicting options: %s.", joined(used))
	case c.given(1):
		t, err := c.readFile(c.text(1))
		if err != nil {
			return "", err
		}
		var b builder
		c.pairs(&b, "user-inputs")
		return t + "\n" + b.String(), b.err
	case len(used) > 0:
		t, err := c.vmTemplate()
		// --name is an argument of the call here, not part of the template.
		return strings.TrimPrefix(t, "NAME="+quoted(c.str("name"))+"\n"), err
	}
	return c.stdinIfAny()
}
