package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/one"
)

// vnetStates are the words of listings. Source: resources reference §6.1.
var vnetStates = []string{"init", "rdy", "lock", "lock", "done", "err", "fail"}

func vnetTable(c *call, _ *doc.Node) (nodeTable, error) {
	return nodeTable{
		Columns: []column{
			idColumn(), c.userColumn(8), c.groupColumn(8), nameColumn(19),
			left(computed("CLUSTERS", "ids of the clusters", 10, clusterIDs)),
			left(field("BRIDGE", "bridge", 8, "BRIDGE")),
			state(left(computed("STATE", "state", 6, func(n *doc.Node) string { return wordAt(vnetStates, n.Int("STATE")) }))),
			field("LEASES", "number of addresses given", 6, "USED_LEASES"),
			counted("UPDATED", "VMs with the current attributes", 4, "UPDATED_VMS/ID"),
			counted("OUTDATED", "VMs with older attributes", 4, "OUTDATED_VMS/ID"),
			counted("ERROR", "VMs that could not be updated", 4, "ERROR_VMS/ID"),
		},
		Default: []string{"ID", "USER", "GROUP", "NAME", "CLUSTERS", "BRIDGE", "STATE", "LEASES", "OUTDATED", "ERROR"},
	}, nil
}

func clusterIDs(n *doc.Node) string { return orDash(strings.Join(n.Texts("CLUSTERS/ID"), ",")) }

// counted is a column of the number of elements at a path.
func counted(name, desc string, size int, path string) column {
	return computed(name, desc, size, func(n *doc.Node) string { return strconv.Itoa(len(n.All(path))) })
}

func yesNo(flag string) string {
	if flag == "1" {
		return "YES"
	}
	return "NO"
}

func showVNet(c *call, n *doc.Node) error {
	p := c.panel(25)
	p.Title("VIRTUAL NETWORK %s INFORMATION", n.Get("ID"))
	c.ownedFields(p, n)
	p.Field("CLUSTERS", clusterIDs(n))
	p.Field("BRIDGE", n.Get("BRIDGE"))
	p.Field("STATE", one.VNetState(n.Int("STATE")).String())
	p.FieldIf("VN_MAD", n.Get("VN_MAD"))
	p.FieldIf("PHYSICAL DEVICE", n.Get("PHYDEV"))
	p.FieldIf("VLAN ID", n.Get("VLAN_ID"))
	p.Field("AUTOMATIC VLAN ID", yesNo(n.Get("VLAN_ID_AUTOMATIC")))
	p.FieldIf("OUTER VLAN ID", n.Get("OUTER_VLAN_ID"))
	p.Field("AUTOMATIC OUTER VLAN ID", yesNo(n.Get("OUTER_VLAN_ID_AUTOMATIC")))
	p.Field("USED LEASES", n.Get("USED_LEASES"))
	p.Blank()
	p.Permissions(n)
	p.Blank()
	p.Section("VIRTUAL NETWORK TEMPLATE")
	p.Println(doc.FlatTemplateText(n.At("TEMPLATE")))
	p.Blank()
	showRanges(p, n)
	p.Blank()
	if err := showLeases(p, n); err != nil {
		return err
	}
	p.Blank()
	p.IDs("VIRTUAL ROUTERS", n.Texts("VROUTERS/ID"))
	p.Blank()
	c.updateQueues(n)
	if c.flag("show-ar") {
		for _, ar := range n.All("AR_POOL/AR") {
			p.Blank()
			p.Section("TEMPLATE FOR AR %s", ar.Get("AR_ID"))
			p.Println(textOf(ar.Without("LEASES")))
		}
	}
	return nil
}

// updateQueues tells which VMs have the current attributes of a network or a
// security group.
func (c *call) updateQueues(n *doc.Node) {
	p := c.panel(15)
	p.Section("VIRTUAL MACHINES")
	for _, queue := range []string{"UPDATED", "OUTDATED", "ERROR"} {
		p.Field(queue, strings.Join(n.Texts(queue+"_VMS/ID"), ","))
	}
}

func showRanges(p render.Panel, n *doc.Node) {
	p.Section("ADDRESS RANGE POOL")
	p.KeyWidth = 15
	for _, ar := range n.All("AR_POOL/AR") {
		p.Title("AR %s", ar.Get("AR_ID"))
		p.Field("SIZE", ar.Get("SIZE"))
		p.Field("LEASES", ar.Get("USED_LEASES"))
		p.FieldIf("VN_MAD", ar.Get("VN_MAD"))
		p.FieldIf("IPAM_MAD", ar.Get("IPAM_MAD"))
		p.Blank()
		const line = "%-10s %34s %34s"
		p.Heading(fmt.Sprintf(line, "RANGE", "FIRST", "LAST"), false)
		for _, kind := range []string{"MAC", "IP", "IP6_GLOBAL", "IP6_ULA", "IP6"} {
			if ar.Has(kind) {
				p.Printf(line+"\n", kind, ar.Get(kind), ar.Get(kind+"_END"))
			}
		}
		p.Blank()
	}
}

// lease is an address given, and of which range.
type lease struct {
	ar string
	*doc.Node
}

func showLeases(p render.Panel, n *doc.Node) error {
	p.Section("LEASES")
	var leases []lease
	for _, ar := range n.All("AR_POOL/AR") {
		for _, l := range ar.All("LEASES/LEASE") {
			leases = append(leases, lease{ar.Get("AR_ID"), l})
		}
	}
	col := func(name string, size int, left, adjust bool, value func(l lease) string) render.Column[lease] {
		return render.Column[lease]{Name: name, Size: size, Left: left, Adjust: adjust, Value: value}
	}
	t := render.Table[lease]{Columns: []render.Column[lease]{
		col("AR", 3, true, false, func(l lease) string { return l.ar }),
		col("OWNER", 10, true, false, func(l lease) string {
			for _, o := range []struct{ attr, mark string }{{"VM", "V:"}, {"VNET", "N:"}, {"VROUTER", "R:"}} {
				if l.Has(o.attr) {
					return o.mark + l.Get(o.attr)
				}
			}
			return ""
		}),
		col("MAC", 5, false, true, func(l lease) string { return l.Get("MAC") }),
		col("IP", 5, false, true, func(l lease) string { return orDash(l.Get("IP")) }),
		col("PORT_FORWARD", 5, false, true, func(l lease) string {
			if !l.Has("EXTERNAL_PORT_RANGE") {
				return "-"
			}
			inner, _, _ := strings.Cut(l.Get("INTERNAL_PORT_RANGE"), "/")
			return "[" + l.Get("EXTERNAL_PORT_RANGE") + "]:[" + inner + "]"
		}),
		col("IP6", 5, false, true, func(l lease) string {
			if ip := l.Get("IP6"); ip != "" {
				return ip
			}
			return orDash(l.Get("IP6_GLOBAL"))
		}),
	}}
	return t.Print(p.Screen, leases, render.Layout{})
}
