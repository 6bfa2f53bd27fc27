package cli

import (
	"fmt"
	"math"
	"strings"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// nicRow is a line of a NIC table: a NIC, or one more address of the NIC above.
type nicRow struct {
	id, network, bridge, ip, mac, pci string
}

// moreAddresses are the addresses a NIC may have beside IP, and what is said
// behind them.
var moreAddresses = []struct{ attr, note string }{
	{"EXTERNAL_IP", ""}, {"IP6_LINK", ""}, {"IP6_ULA", ""}, {"IP6_GLOBAL", ""}, {"IP6", ""},
	{"VROUTER_IP", " (VRouter)"}, {"VROUTER_IP6_LINK", " (VRouter)"}, {"VROUTER_IP6_ULA", " (VRouter)"}, {"VROUTER_IP6_GLOBAL", " (VRouter)"},
}

// nicRows lists NICs with every address; extra addresses, which monitoring saw
// and no NIC has, come last.
func nicRows(nics []*doc.Node, extra []string) []nicRow {
	var rows []nicRow
	shown := map[string]bool{}
	for _, n := range nics {
		rows = append(rows, nicRow{
			id: n.Get("NIC_ID"), network: orDash(n.Get("NETWORK")), bridge: orDash(n.Get("BRIDGE")), ip: orDash(n.Get("IP")),
			mac: orDash(n.Get("MAC")), pci: n.Get("PCI_ID"),
		})
		shown[n.Get("IP")] = true
		for _, a := range moreAddresses {
			if ip := n.Get(a.attr); ip != "" {
				rows = append(rows, nicRow{ip: ip + a.note})
				shown[ip] = true
			}
		}
	}
	for _, ip := range extra {
		if !shown[ip] {
			shown[ip] = true
			rows = append(rows, nicRow{id: "-", network: "Additional IP", bridge: "-", ip: ip})
		}
	}
	return rows
}

func nicColumns(pci bool) []render.Column[nicRow] {
	cols := []render.Column[nicRow]{
		{Name: "ID", Size: 3, Value: func(r nicRow) string { return r.id }},
		{Name: "NETWORK", Size: 20, Left: true, Value: func(r nicRow) string { return r.network }},
		{Name: "BRIDGE", Size: 12, Left: true, Value: func(r nicRow) string { return r.bridge }},
		{Name: "IP", Size: 15, Left: true, Adjust: true, Value: func(r nicRow) string { return r.ip }},
		{Name: "MAC", Size: 17, Left: true, Value: func(r nicRow) string { return r.mac }},
	}
	if pci {
		cols = append(cols, render.Column[nicRow]{Name: "PCI_ID", Size: 8, Left: true, Value: func(r nicRow) string { return r.pci }})
	}
	return cols
}

// pciNICs are PCI devices that serve as NICs.
func pciNICs(n *doc.Node) []*doc.Node {
	var out []*doc.Node
	for _, d := range n.All("TEMPLATE/PCI") {
		if d.Has("NIC_ID") {
			out = append(out, d)
		}
	}
	return out
}

func (c *call) vmNICs(p render.Panel, n *doc.Node) error {
	var extra []string
	for _, attr := range []string{"MONITORING/GUEST_IP", "MONITORING/GUEST_IP_ADDRESSES"} {
		if s := n.Get(attr); s != "" {
			extra = append(extra, strings.Split(s, ",")...)
		}
	}
	rows := nicRows(append(n.All("TEMPLATE/NIC"), pciNICs(n)...), extra)
	if len(rows) == 0 {
		return nil
	}
	p.Blank()
	p.Section("VM NICS")
	return render.Table[nicRow]{Columns: nicColumns(true)}.Print(p.Screen, rows, render.Layout{})
}

func (c *call) vmAliases(p render.Panel, n *doc.Node) error {
	rows := nicRows(n.All("TEMPLATE/NIC_ALIAS"), nil)
	if len(rows) == 0 {
		return nil
	}
	p.Blank()
	p.Section("VM ALIAS")
	return render.Table[nicRow]{Columns: nicColumns(false)}.Print(p.Screen, rows, render.Layout{})
}

// vmSecurity lists the security groups of the NICs and the rules they come to.
func (c *call) vmSecurity(p render.Panel, n *doc.Node) error {
	rules := n.All("TEMPLATE/SECURITY_GROUP_RULE")
	if len(rules) == 0 {
		return nil
	}
	var nics []*doc.Node
	for _, nic := range append(n.All("TEMPLATE/NIC"), pciNICs(n)...) {
		if nic.Has("SECURITY_GROUPS") {
			nics = append(nics, nic)
		}
	}
	p.Blank()
	p.Section("SECURITY")
	p.Blank()
	t := nodeTable{Columns: []column{
		field("NIC_ID", "", 6, "NIC_ID"), left(field("NETWORK", "", 25, "NETWORK")), left(field("SECURITY_GROUPS", "", 47, "SECURITY_GROUPS")),
	}}
	if err := t.Print(p.Screen, nics, render.Layout{}); err != nil {
		return err
	}
	p.Blank()
	p.Section("SECURITY GROUP   TYPE     PROTOCOL NETWORK                       RANGE          ")
	t = nodeTable{Columns: []column{
		field("ID", "", 4, "SECURITY_GROUP_ID"), left(field("NAME", "", 11, "SECURITY_GROUP_NAME")), left(field(" ", "", 8, "RULE_TYPE")),
		left(computed("  ", "", 8, func(r *doc.Node) string {
			if t := r.Get("ICMP_TYPE"); t != "" && strings.EqualFold(r.Get("PROTOCOL"), "ICMP") {
				return r.Get("PROTOCOL") + "-" + t
			}
			return r.Get("PROTOCOL")
		})),
		field("VNET", "", 4, "NETWORK_ID"),
		left(adjust(computed("START", "", 17, func(r *doc.Node) string {
			if ip := r.Get("IP"); ip != "" {
				return ip
			}
			return r.Get("MAC")
		}))),
		left(adjust(field("SIZE", "", 6, "SIZE"))), left(adjust(field("   ", "", 15, "RANGE"))),
	}}
	return t.Print(p.Screen, rules, render.Layout{})
}

// vmSchedule lists the scheduled actions and when they come next.
func (c *call) vmSchedule(p render.Panel, n *doc.Node) error {
	actions := n.All("TEMPLATE/SCHED_ACTION")
	if len(actions) == 0 {
		return nil
	}
	p.Blank()
	p.Section("SCHEDULED ACTIONS")
	due := func(a *doc.Node) int64 {
		t := a.Int("TIME")
		if strings.HasPrefix(a.Get("TIME"), "+") { // relative to the VM's creation
			t += n.Int("STIME")
		}
		return t
	}
	t := nodeTable{Columns: []column{
		adjust(field("ID", "", 5, "ID")), adjust(field("ACTION", "", 5, "ACTION")),
		adjust(computed("ARGS", "", 5, func(a *doc.Node) string { return orDash(a.Get("ARGS")) })),
		adjust(computed("SCHEDULED", "", 5, func(a *doc.Node) string { return c.time(due(a), render.Minutes) })),
		adjust(computed("REPEAT", "", 5, repeatText)),
		adjust(computed("END", "", 5, func(a *doc.Node) string {
			switch a.Get("END_TYPE") {
			case "0":
				return "None"
			case "1":
				return "After " + a.Get("END_VALUE") + " times"
			case "2":
				return "On " + c.time(a.Int("END_VALUE"), render.Year)
			}
			return ""
		})),
		left(computed("STATUS", "", 50, func(a *doc.Node) string {
			switch {
			case a.Int("DONE") > 0 && a.Int("DONE") >= due(a):
				return "Done on " + c.time(a.Int("DONE"), render.Minutes)
			case a.Get("MESSAGE") != "":
				return "Error! " + a.Get("MESSAGE")
			}
			return nextIn(due(a) - c.now())
		})),
	}}
	return t.Print(p.Screen, actions, render.Layout{})
}

// repeatText says when a scheduled action repeats. Source: VM lifecycle
// reference §6.
func repeatText(a *doc.Node) string {
	switch a.Get("REPEAT") {
	case "0":
		return "Weekly " + a.Get("DAYS")
	case "1":
		return "Monthly " + a.Get("DAYS")
	case "2":
		return "Yearly " + a.Get("DAYS")
	case "3":
		return "Each " + a.Get("DAYS") + " hours"
	}
	return ""
}

// nextIn says how far off a time is, in the greatest unit above one.
func nextIn(seconds int64) string {
	for _, u := range []struct {
		length float64
		name   string
		least  float64
	}{{86400, "days", 1}, {3600, "hours", 1}, {60, "minutes", 0}} {
		if v := math.Round(float64(seconds)/u.length*100) / 100; v > u.least {
			return fmt.Sprintf("Next in %g %s", v, u.name)
		}
	}
	return "Overdue!"
}
