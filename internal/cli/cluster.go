package cli

import (
	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

func clusterNoun() *noun {
	n := &noun{cmd: "onecluster", alias: "cluster", short: "Manage clusters", pool: clusterPool, table: clusterTable, show: showCluster}
	n.verbs = []verb{
		n.listVerb(), n.topVerb(), n.showVerb("clusterid", false, nil),
		{name: "create", short: "Create a cluster", args: []arg{word("clustername")}, example: "create east", run: func(c *call) error {
			r, err := c.do("cluster.allocate", c.text(0))
			if err == nil {
				c.created("ID", r)
			}
			return err
		}},
		deleteVerb("clusterid", "deleted"), updateVerb("clusterid", "TEMPLATE", "modified"), renameVerb("clusterid"),
	}
	for _, m := range []struct {
		name, add, del string
		pool           *pool
	}{
		{"host", "adding host", "deleting host", &hostPool},
		{"datastore", "adding datastore", "deleting datastore", &datastorePool},
		{"vnet", "adding vnet", "deleting vnet", &vnetPool},
	} {
		n.verbs = append(n.verbs,
			verb{
				name: "add" + m.name, short: "Add a " + m.name, args: []arg{self("clusterid"), of(m.name+"id", m.pool)},
				example: "add" + m.name + " east 1", run: method("add"+m.name, m.add, nil),
			},
			verb{
				name: "del" + m.name, short: "Take a " + m.name + " out", args: []arg{self("clusterid"), of(m.name+"id", m.pool)},
				example: "del" + m.name + " east 1", run: method("del"+m.name, m.del, nil),
			})
	}
	return n
}

func clusterTable(_ *call, _ *doc.Node) (nodeTable, error) {
	return nodeTable{Columns: []column{
		idColumn(), nameColumn(15), counted("HOSTS", "number of hosts", 5, "HOSTS/ID"), counted("VNETS", "number of networks", 5, "VNETS/ID"),
		counted("DATASTORES", "number of datastores", 10, "DATASTORES/ID"),
	}}, nil
}

func showCluster(c *call, n *doc.Node) error {
	p := c.panel(18)
	p.Title("CLUSTER %s INFORMATION", n.Get("ID"))
	p.Field("ID", n.Get("ID"))
	p.Field("NAME", n.Get("NAME"))
	p.Blank()
	p.Section("CLUSTER RESOURCES")
	if err := c.clusterResources(p, n.Texts("HOSTS/ID")); err != nil {
		return err
	}
	p.Blank()
	p.Section("CLUSTER TEMPLATE")
	p.Println(doc.TemplateText(n.At("TEMPLATE")))
	for _, list := range []string{"HOSTS", "VNETS", "DATASTORES"} {
		p.Blank()
		p.IDs(list, n.Texts(list+"/ID"))
	}
	return nil
}

// clusterResources sums what the hosts have and have given away: cores and GB.
func (c *call) clusterResources(p render.Panel, hosts []string) error {
	if len(hosts) == 0 {
		return nil
	}
	all, err := c.fetch(&hostPool, 0, 0)
	if err != nil {
		return err
	}
	member := map[string]bool{}
	for _, id := range hosts {
		member[id] = true
	}
	var cpus, cpusUsed, ram, ramUsed int64
	for _, h := range all.All("HOST") {
		if !member[h.Get("ID")] {
			continue
		}
		s := h.At("HOST_SHARE")
		cpus += s.Int("TOTAL_CPU") / 100
		cpusUsed += s.Int("CPU_USAGE") / 100
		ram += s.Int("TOTAL_MEM") / 1024 / 1024
		ramUsed += s.Int("MEM_USAGE") / 1024 / 1024
	}
	p.Printf("TOTAL CPUs: %d\nOCCUPIED CPUs: %d\nAVAILABLE CPUs: %d\n\n", cpus, cpusUsed, cpus-cpusUsed)
	p.Printf("TOTAL RAM: %d\nOCCUPIED RAM: %d\nAVAILABLE RAM: %d\n", ram, ramUsed, ram-ramUsed)
	return nil
}
