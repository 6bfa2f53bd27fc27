package cli

import (
	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

func vnTemplateNoun() *noun {
	n := &noun{
		cmd: "onevntemplate", alias: "vntemplate", short: "Manage templates of virtual networks", pool: vntPool, filtered: true,
		table: registeredTable, show: showVNTemplate,
	}
	n.verbs = []verb{
		n.listVerb(), n.topVerb(), n.showVerb("templateid", false, nil),
		{name: "create", short: "Register a template", args: []arg{file}, example: "create private.tmpl", run: createFromFile("vntemplate.allocate", nil)},
		{name: "clone", short: "Copy a template", args: []arg{self("templateid"), word("name")}, example: "clone 0 copy", run: cloneRun(nil)},
		{
			name: "instantiate", short: "Create a network from a template", args: []arg{self("templateid"), file},
			example: "instantiate 0 --name mine --ip 192.168.0.100 --size 64",
			flags: flagsOf(rangeFlags, func(f *pflag.FlagSet) {
				text(f, "name", "", "name of the network")
				text(f, "as_uid", "", "id of the user to create the network for")
				text(f, "as_gid", "", "id of the group to create the network for")
			}),
			run: func(c *call) error {
				extra, err := c.vnTemplateExtra()
				if err != nil {
					return err
				}
				r, err := c.do("vntemplate.instantiate", c.num(0, ownID), c.str("name"), extra)
				if err == nil {
					c.created("VN ID", r)
				}
				return err
			},
		},
		deleteVerb("templateid", "deleted"), updateVerb("templateid", "TEMPLATE", "modified"), renameVerb("templateid"), chmodVerb("templateid", nil),
	}
	n.verbs = append(n.verbs, chownVerbs("templateid")...)
	n.verbs = append(n.verbs, lockVerbs("templateid", "VN Template")...)
	return n
}

func (c *call) vnTemplateExtra() (string, error) {
	var b builder
	c.attributes(&b, "as_uid", "AS_UID", "as_gid", "AS_GID")
	switch {
	case c.given(1):
		t, err := c.readFile(c.text(1))
		return t + "\n" + b.String(), err
	case len(c.used(rangeFlags)) > 0:
		ar, err := c.addressRange()
		return ar + "\n" + b.String(), err
	}
	t, err := c.stdinIfAny()
	return t + b.String(), err
}

func showVNTemplate(c *call, n *doc.Node) error {
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
