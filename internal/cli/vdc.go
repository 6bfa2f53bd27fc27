package cli

import (
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// allResources stands for every resource of a zone. Source: XML-RPC reference §7.7.
const allResources = -10

func vdcNoun() *noun {
	n := &noun{cmd: "onevdc", alias: "vdc", short: "Manage virtual data centers", pool: vdcPool, table: vdcTable, show: showVDC}
	n.verbs = []verb{
		n.listVerb(), n.showVerb("vdcid", false, nil),
		{name: "create", short: "Create a virtual data center", args: []arg{word("name")}, example: "create east", run: func(c *call) error {
			r, err := c.do("vdc.allocate", "NAME="+quoted(c.text(0)))
			if err == nil {
				c.created("ID", r)
			}
			return err
		}},
		deleteVerb("vdcid", "deleted"), updateVerb("vdcid", "TEMPLATE", "modified"), renameVerb("vdcid"),
		{name: "addgroup", short: "Add a group", args: []arg{selfs("vdcid"), of("groupid", &groupPool)}, example: "addgroup east testers", run: method("addgroup", "group added", nil)},
		{name: "delgroup", short: "Take a group out", args: []arg{selfs("vdcid"), of("groupid", &groupPool)}, example: "delgroup east testers", run: method("delgroup", "group deleted", nil)},
	}
	for _, r := range []struct {
		name string
		pool *pool
	}{{"cluster", &clusterPool}, {"host", &hostPool}, {"datastore", &datastorePool}, {"vnet", &vnetPool}} {
		for _, v := range []struct{ verb, short, done string }{{"add", "Add a " + r.name, "added"}, {"del", "Take a " + r.name + " out", "deleted"}} {
			n.verbs = append(n.verbs, verb{
				name: v.verb + r.name, short: v.short, args: []arg{selfs("vdcid"), of("zoneid", &zonePool), word(r.name + "id")},
				long: "ALL stands for every " + r.name + " of the zone.", example: v.verb + r.name + " east 0 ALL",
				run: method(v.verb+r.name, r.name+" "+v.done, func(c *call) ([]any, error) {
					if strings.EqualFold(c.text(2), "ALL") {
						return []any{c.num(1, 0), allResources}, nil
					}
					id, err := c.id(r.pool, c.text(2))
					return []any{c.num(1, 0), id}, err
				}),
			})
		}
	}
	return n
}

func vdcTable(_ *call, _ *doc.Node) (nodeTable, error) {
	col := func(name, desc string, size int, elem string) column {
		return computed(name, desc, size, func(n *doc.Node) string {
			all := n.All(name + "/" + elem)
			if len(all) == 1 && all[0].Get(elem+"_ID") == strconv.Itoa(allResources) {
				return "ALL"
			}
			return strconv.Itoa(len(all))
		})
	}
	return nodeTable{Columns: []column{
		adjust(field("ID", "number of the object", 5, "ID")), nameColumn(30), counted("GROUPS", "number of groups", 6, "GROUPS/ID"),
		col("CLUSTERS", "number of clusters", 8, "CLUSTER"), col("HOSTS", "number of hosts", 5, "HOST"),
		col("VNETS", "number of networks", 5, "VNET"), col("DATASTORES", "number of datastores", 10, "DATASTORE"),
	}}, nil
}

func showVDC(c *call, n *doc.Node) error {
	p := c.panel(18)
	p.Title("VDC %s INFORMATION", n.Get("ID"))
	p.Field("ID", n.Get("ID"))
	p.Field("NAME", n.Get("NAME"))
	if groups := n.All("GROUPS/ID"); len(groups) > 0 {
		p.Blank()
		if err := (nodeTable{Columns: []column{field("GROUPS", "", 7, "")}}).Print(p.Screen, groups, render.Layout{}); err != nil {
			return err
		}
	}
	for _, kind := range []string{"CLUSTER", "HOST", "DATASTORE", "VNET"} {
		entries := n.All(kind + "S/" + kind)
		if len(entries) == 0 {
			continue
		}
		p.Blank()
		p.Section("%sS", kind)
		t := nodeTable{Columns: []column{
			field("ZONE", "", 7, "ZONE_ID"),
			computed(kind, "", 9, func(e *doc.Node) string {
				if e.Get(kind+"_ID") == strconv.Itoa(allResources) {
					return "ALL"
				}
				return e.Get(kind + "_ID")
			}),
		}}
		if err := t.Print(p.Screen, entries, render.Layout{}); err != nil {
			return err
		}
	}
	p.Blank()
	p.Section("VDC TEMPLATE")
	p.Println(doc.TemplateText(n.At("TEMPLATE")))
	return nil
}
