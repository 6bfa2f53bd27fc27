package cli

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// showNUMA prints the nodes of a host: their cores, memory and huge pages.
func showNUMA(p render.Panel, n *doc.Node) error {
	nodes := n.All("HOST_SHARE/NUMA_NODES/NODE")
	if len(nodes) == 0 {
		return nil
	}
	// sample returns what monitoring says of a node.
	sample := func(d *doc.Node) *doc.Node {
		for _, m := range n.All("MONITORING/NUMA_NODE") {
			if m.Get("NODE_ID") == d.Get("NODE_ID") {
				return m
			}
		}
		return nil
	}
	kb := func(d *doc.Node, path string) string {
		if d.Get(path) == "" {
			return "-"
		}
		return render.Size(d.Int(path), 'K')
	}
	heading := func(text string) {
		p.Blank()
		p.Heading(text, false)
		p.Blank()
	}
	heading("NUMA NODES")
	t := nodeTable{Columns: []column{
		field("ID", "", 4, "NODE_ID"),
		left(adjust(computed("CORES", "", 5, func(d *doc.Node) string { text, _, _ := cores(d); return text }))),
		left(computed("USED", "", 4, func(d *doc.Node) string { _, used, _ := cores(d); return strconv.Itoa(used) })),
		left(computed("FREE", "", 4, func(d *doc.Node) string { _, _, free := cores(d); return strconv.Itoa(free) })),
	}}
	if err := t.Print(p.Screen, nodes, render.Layout{}); err != nil {
		return err
	}
	heading("NUMA MEMORY")
	t = nodeTable{Columns: []column{
		field("NODE_ID", "", 8, "NODE_ID"),
		left(computed("TOTAL", "", 8, func(d *doc.Node) string { return kb(d, "MEMORY/TOTAL") })),
		left(computed("USED_REAL", "", 20, func(d *doc.Node) string { return kb(sample(d), "MEMORY/USED") })),
		left(computed("USED_ALLOCATED", "", 20, func(d *doc.Node) string { return kb(d, "MEMORY/USAGE") })),
		left(computed("FREE", "", 8, func(d *doc.Node) string { return kb(sample(d), "MEMORY/FREE") })),
	}}
	if err := t.Print(p.Screen, nodes, render.Layout{}); err != nil {
		return err
	}
	var pages []hugepage
	for _, d := range nodes {
		for _, h := range d.All("HUGEPAGE") {
			free := "-"
			for _, m := range sample(d).All("HUGEPAGE") {
				if m.Get("SIZE") == h.Get("SIZE") {
					free = orDash(m.Get("FREE"))
				}
			}
			pages = append(pages, hugepage{node: d.Get("NODE_ID"), free: free, Node: h})
		}
	}
	if len(pages) == 0 {
		return nil
	}
	heading("NUMA HUGEPAGES")
	col := func(name string, left bool, value func(h hugepage) string) render.Column[hugepage] {
		return render.Column[hugepage]{Name: name, Size: 8, Left: left, Value: value}
	}
	return render.Table[hugepage]{Columns: []render.Column[hugepage]{
		col("NODE_ID", false, func(h hugepage) string { return h.node }),
		col("SIZE", true, func(h hugepage) string { return render.Size(h.Int("SIZE")/1024, 'M') }),
		col("TOTAL", true, func(h hugepage) string { return h.Get("PAGES") }),
		col("FREE", true, func(h hugepage) string { return h.free }),
		col("USED", true, func(h hugepage) string { return h.Get("USAGE") }),
	}}.Print(p.Screen, pages, render.Layout{})
}

type hugepage struct {
	node, free string
	*doc.Node
}

// cores draws the CPUs of a node: - is free, I isolated, X belongs to a full
// core, x to one with room. Source: VM lifecycle reference §9.2.
func cores(node *doc.Node) (text string, used, free int) {
	for _, core := range node.All("CORE") {
		seen := map[string]bool{}
		for cpu := range strings.SplitSeq(core.Get("CPUS"), ",") {
			id, vm, _ := strings.Cut(cpu, ":")
			if seen[id] || id == "" {
				continue
			}
			seen[id] = true
			switch {
			case vm == "-1":
				text += "-"
				free++
				continue
			case vm == "-2":
				text += "I"
			case core.Get("FREE") == "0":
				text += "X"
			default:
				text += "x"
			}
			used++
		}
		text += " "
	}
	return text, used, free
}

// showWilds lists the VMs of a host that the cloud did not start.
func showWilds(p render.Panel, n *doc.Node) {
	const line = "%-30.30s %36s %4s %10s"
	p.Blank()
	p.Heading("WILD VIRTUAL MACHINES", false)
	p.Blank()
	p.Heading(fmt.Sprintf(line, "NAME", "IMPORT_ID", "CPU", "MEMORY"), true)
	for _, vm := range n.All("TEMPLATE/VM") {
		if vm.Get("ID") != "-1" && vm.Has("ID") {
			continue
		}
		name, id, cpu, memory := vm.Get("DEPLOY_ID"), "-", "-", "-"
		if t, err := base64.StdEncoding.DecodeString(vm.Get("IMPORT_TEMPLATE")); err == nil && len(t) > 0 {
			name, id, cpu, memory = vm.Get("VM_NAME"), attribute(string(t), "DEPLOY_ID"), attribute(string(t), "CPU"), attribute(string(t), "MEMORY")
		}
		p.Printf(line+"\n", name, id, cpu, memory)
	}
}

// attribute finds a single attribute in template text, one per line.
func attribute(template, name string) string {
	for l := range strings.SplitSeq(template, "\n") {
		if k, v, ok := strings.Cut(l, "="); ok && strings.TrimSpace(k) == name {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return "-"
}
