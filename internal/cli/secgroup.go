package cli

import (
	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

func secgroupNoun() *noun {
	n := &noun{
		cmd: "onesecgroup", alias: "secgroup", short: "Manage security groups", pool: secgroupPool, filtered: true,
		table: secgroupTable, show: showSecgroup,
	}
	n.verbs = []verb{
		n.listVerb(), n.topVerb(), n.showVerb("secgroupid", false, nil),
		{name: "create", short: "Create a group from a template", args: []arg{file}, example: "create web.tmpl", run: createFromFile("secgroup.allocate", nil)},
		{name: "clone", short: "Copy a group", args: []arg{self("secgroupid"), word("name")}, example: "clone 100 web-copy", run: cloneRun(nil)},
		deleteVerb("secgroupid", "deleted"), updateVerb("secgroupid", "TEMPLATE", "modified"), renameVerb("secgroupid"), chmodVerb("secgroupid", nil),
		{
			name: "commit", short: "Apply the rules to the VMs that use them", args: []arg{selfs("secgroupid")}, example: "commit 100 --recover",
			flags: func(f *pflag.FlagSet) { boolean(f, "recover", "r", "only VMs with older rules or errors") },
			run:   method("commit", "commit", func(c *call) ([]any, error) { return []any{c.flag("recover")}, nil }),
		},
	}
	n.verbs = append(n.verbs, chownVerbs("secgroupid")...)
	return n
}

func secgroupTable(c *call, _ *doc.Node) (nodeTable, error) {
	return nodeTable{Columns: []column{
		idColumn(), c.userColumn(8), c.groupColumn(8), nameColumn(15),
		counted("UPDATED", "VMs with the current rules", 8, "UPDATED_VMS/ID"),
		counted("OUTDATED", "VMs with older rules", 8, "OUTDATED_VMS/ID"),
		counted("ERROR", "VMs that could not be updated", 8, "ERROR_VMS/ID"),
	}}, nil
}

func showSecgroup(c *call, n *doc.Node) error {
	p := c.panel(15)
	p.Title("SECURITY GROUP %s INFORMATION", n.Get("ID"))
	p.Field("ID", n.Get("ID"))
	p.Field("NAME", n.Get("NAME"))
	p.Field("USER", n.Get("UNAME"))
	p.Field("GROUP", n.Get("GNAME"))
	p.Permissions(n)
	p.Blank()
	c.updateQueues(n)
	p.Blank()
	p.Section("RULES")
	t := nodeTable{Columns: []column{
		left(field("TYPE", "", 8, "RULE_TYPE")), left(field("PROTOCOL", "", 8, "PROTOCOL")), left(field("ICMP_TYPE", "", 9, "ICMP_TYPE")),
		left(field("ICMVP6_TYPE", "", 11, "ICMPV6_TYPE")), left(adjust(computed("NETWORK", "", 35, rulePeers))), left(adjust(field("RANGE", "", 16, "RANGE"))),
	}}
	if err := t.Print(p.Screen, n.All("TEMPLATE/RULE"), render.Layout{}); err != nil {
		return err
	}
	p.Blank()
	p.Section("TEMPLATE CONTENTS")
	p.Println(doc.TemplateText(n.At("TEMPLATE").Without("RULE")))
	return nil
}

// rulePeers says whose traffic a rule is about.
func rulePeers(r *doc.Node) string {
	text := ""
	if id := r.Get("NETWORK_ID"); id != "" {
		text = "VNet " + id
	}
	if size := r.Get("SIZE"); size != "" {
		if text != "" {
			text += ": "
		}
		if ip := r.Get("IP"); ip != "" {
			text += "Start: " + ip + ", "
		} else if mac := r.Get("MAC"); mac != "" {
			text += "Start: " + mac + ", "
		}
		text += "Size: " + size
	}
	if text == "" {
		text = "Any"
	}
	return text
}
