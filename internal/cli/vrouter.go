package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

func vrouterNoun() *noun {
	n := &noun{
		cmd: "onevrouter", alias: "vrouter", short: "Manage virtual routers", pool: vrouterPool, filtered: true, table: vrouterTable, show: showVRouter,
	}
	n.verbs = []verb{
		n.listVerb(), n.topVerb(),
		n.showVerb("vrouterid", false, func(f *pflag.FlagSet) { boolean(f, "all", "", "show the whole template") }),
		{name: "create", short: "Create a router from a template", args: []arg{file}, example: "create gw.tmpl", run: createFromFile("vrouter.allocate", nil)},
		{
			name: "instantiate", short: "Create the VMs of a router", args: []arg{self("vrouterid"), of("templateid", &templatePool), file},
			example: "instantiate gw vrouter-template --multiple 2",
			flags: flagsOf(templateFlags, func(f *pflag.FlagSet) {
				text(f, "name", "", "name of the VMs; %i is replaced by their number")
				number(f, "multiple", "m", 1, "number of VMs")
				boolean(f, "hold", "", "leave the VMs on hold")
			}),
			run: func(c *call) error {
				extra, err := c.vrouterExtra()
				if err != nil {
					return err
				}
				n, ok := digits(c.str("multiple"))
				if !ok || n < 1 || n > maxMultiple {
					return fmt.Errorf("multiple: expected a number from 1 to %d", maxMultiple)
				}
				return c.each("instantiated", func(id int) error {
					_, err := c.do("vrouter.instantiate", id, n, c.num(1, -1), c.str("name"), c.flag("hold"), extra)
					return err
				})
			},
		},
		{
			name: "nic-attach", short: "Attach a NIC to the router and its VMs", args: []arg{self("vrouterid")}, example: "nic-attach gw --network public --float",
			flags: func(f *pflag.FlagSet) {
				text(f, "file", "f", "file with the NIC")
				text(f, "network", "n", "virtual network, by name or id")
				text(f, "ip", "i", "address to ask for")
				boolean(f, "float", "", "the address belongs to the router, not to one of its VMs")
			},
			run: func(c *call) error {
				t, err := c.vrouterNIC()
				if err != nil {
					return err
				}
				return c.each("Attaching NIC", func(id int) error {
					_, err := c.do("vrouter.attachnic", id, t)
					return err
				})
			},
		},
		{
			name: "nic-detach", short: "Detach a NIC from the router and its VMs", args: []arg{self("vrouterid"), num("nicid")}, example: "nic-detach gw 1",
			run: method("detachnic", "Detaching NIC", nil),
		},
		deleteVerb("vrouterid", "deleted"), updateVerb("vrouterid", "TEMPLATE", "modified"), renameVerb("vrouterid"), chmodVerb("vrouterid", nil),
	}
	n.verbs = append(n.verbs, chownVerbs("vrouterid")...)
	n.verbs = append(n.verbs, lockVerbs("vrouterid", "VRouter")...)
	return n
}

func (c *call) vrouterExtra() (string, error) {
	if c.given(2) {
		return c.readFile(c.text(2))
	}
	if len(c.used(templateFlags)) > 0 {
		var b builder
		c.capacityPart(&b)
		c.contextPart(&b)
		if s := c.str("raw"); s != "" {
			b.line("%s", s)
		}
		return b.String(), b.err
	}
	return c.stdinIfAny()
}

func (c *call) vrouterNIC() (string, error) {
	if c.str("network") != "" {
		id, err := c.id(&vnetPool, c.str("network"))
		float := ""
		if c.flag("float") {
			float = "YES"
		}
		return vector("NIC", "NETWORK_ID", strconv.Itoa(id), "IP", c.str("ip"), "FLOATING_IP", float), err
	}
	t, ok, err := c.fileOrStdin()
	if err == nil && !ok {
		err = fmt.Errorf("Provide a template file or a network:\n\t--file <file>\n\t--network <network>")
	}
	return t, err
}

func vrouterTable(c *call, _ *doc.Node) (nodeTable, error) {
	return nodeTable{Columns: []column{idColumn(), c.userColumn(8), c.groupColumn(8), nameColumn(15)}}, nil
}

func showVRouter(c *call, n *doc.Node) error {
	p := c.panel(15)
	p.Title("VIRTUAL ROUTER %s INFORMATION", n.Get("ID"))
	c.ownedFields(p, n)
	p.Blank()
	p.Permissions(n)
	if nics := n.All("TEMPLATE/NIC"); len(nics) > 0 {
		p.Blank()
		p.Section("VIRTUAL ROUTER NICS")
		t := nodeTable{Columns: []column{
			field("ID", "", 3, "NIC_ID"), left(field("NETWORK", "", 20, "NETWORK")),
			left(computed("MANAGEMENT", "", 10, func(d *doc.Node) string {
				if m := d.Get("VROUTER_MANAGEMENT"); m != "" {
					return m
				}
				return "NO"
			})),
			left(adjust(computed("IP", "", 15, func(d *doc.Node) string {
				if d.Get("FLOATING_IP") == "YES" {
					return orDash(d.Get("IP"))
				}
				return "-" // each of its VMs has one of its own
			}))),
		}}
		if err := t.Print(p.Screen, nics, render.Layout{}); err != nil {
			return err
		}
	}
	rest := n.At("TEMPLATE")
	if !c.flag("all") {
		rest = rest.Without("NIC")
	}
	p.Blank()
	p.Section("TEMPLATE CONTENTS")
	p.Println(doc.TemplateText(rest))
	p.Blank()
	p.IDs("VIRTUAL MACHINES", n.Texts("VMS/ID"))
	return nil
}
