package cli

import (
	"strings"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/one"
)

type nodeTable = render.Table[*doc.Node]

// showVM prints a VM: what it is, how it does, what it is made of, what was done
// to it, and what is left of its templates.
func showVM(c *call, n *doc.Node) error {
	p := c.panel(20)
	c.vmHeader(p, n)
	p.Blank()
	c.vmMonitoring(p, n)
	p.Blank()
	p.Permissions(n)
	for _, part := range []func(render.Panel, *doc.Node) error{
		c.vmDisks, c.vmDiskSnapshots, c.vmNICs, c.vmAliases, c.vmSecurity, c.vmSnapshots, c.vmHistory, c.vmSchedule,
	} {
		if err := part(p, n); err != nil {
			return err
		}
	}
	if config := n.At("BACKUPS/BACKUP_CONFIG"); len(config.All("MODE")) > 0 {
		p.Blank()
		p.Section("BACKUP CONFIGURATION")
		p.Println(doc.TemplateText(config))
	}
	if ids := n.Texts("BACKUPS/BACKUP_IDS/ID"); len(ids) > 0 {
		p.Blank()
		p.Section("VM BACKUPS")
		p.Println("IMAGE IDS: " + strings.Join(ids, ","))
	}
	if n.Filled("USER_TEMPLATE") {
		p.Blank()
		p.Section("USER TEMPLATE")
		p.Println(doc.TemplateText(n.At("USER_TEMPLATE")))
	}
	if err := c.vmTopology(p, n); err != nil {
		return err
	}
	p.Blank()
	p.Section("VIRTUAL MACHINE TEMPLATE")
	rest := n.At("TEMPLATE").Without("SNAPSHOT")
	if !c.flag("all") {
		rest = rest.Without("DISK", "NIC", "NIC_ALIAS", "SECURITY_GROUP_RULE", "SCHED_ACTION", "NUMA_NODE", "TOPOLOGY")
	}
	p.Println(doc.TemplateText(rest))
	return nil
}

func (c *call) vmHeader(p render.Panel, n *doc.Node) {
	s, l := vmState(n)
	p.Title("VIRTUAL MACHINE %s INFORMATION", n.Get("ID"))
	p.Field("ID", n.Get("ID"))
	p.Field("NAME", n.Get("NAME"))
	p.Field("USER", n.Get("UNAME"))
	p.Field("GROUP", n.Get("GNAME"))
	p.Field("STATE", s.String())
	p.Field("LCM_STATE", l.String())
	p.Field("LOCK", render.LockLevel(n.Int("LOCK/LOCKED")))
	p.Field("RESCHED", render.YesNo(n.Get("RESCHED") == "1"))
	if onHost(n) {
		last := n.Last("HISTORY_RECORDS/HISTORY")
		p.Field("HOST", last.Get("HOSTNAME"))
		if cid := last.Get("CID"); cid != "" {
			p.Field("CLUSTER ID", cid)
			p.Field("CLUSTER", c.clusterName(cid))
		}
	}
	p.Field("START TIME", c.time(n.Int("STIME"), render.Seconds))
	p.Field("END TIME", c.time(n.Int("ETIME"), render.Seconds))
	p.Field("DEPLOY ID", orDash(n.Get("DEPLOY_ID")))
	p.FieldIf("VIRTUAL ROUTER ID", n.Get("TEMPLATE/VROUTER_ID"))
}

// clusterName looks a cluster up; a user who may not see it reads ERROR.
func (c *call) clusterName(id string) string {
	if id == "-1" {
		return "default"
	}
	cid, _ := digits(id)
	n, err := c.doc("cluster.info", cid)
	if err != nil {
		return "ERROR"
	}
	return n.Get("NAME")
}

func (c *call) time(epoch int64, layout string) string { return render.Time(epoch, layout, c.io.Zone) }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// vmMonitoring prints the last sample, the common metrics first.
func (c *call) vmMonitoring(p render.Panel, n *doc.Node) {
	p.Section("VIRTUAL MACHINE MONITORING")
	m := n.At("MONITORING")
	first := []string{"CPU", "MEMORY", "NETTX", "NETRX"}
	for _, key := range first {
		if !m.Has(key) {
			continue
		}
		switch key {
		case "MEMORY":
			p.Field(key, render.Size(m.Int(key), 'K'))
		case "NETTX", "NETRX":
			p.Field(key, render.Size(m.Int(key)/1024, 'K'))
		default:
			p.Field(key, m.Get(key))
		}
	}
	if m == nil {
		return
	}
	for _, k := range m.Without(append(first, "STATE", "DISK_SIZE", "SNAPSHOT_SIZE")...).Kids {
		if len(k.Kids) == 0 {
			p.Field(k.Name, k.Text)
		}
	}
}

// vmDisks lists the disks, and the context's CD among them.
func (c *call) vmDisks(p render.Panel, n *doc.Node) error {
	disks := n.All("TEMPLATE/DISK")
	context := n.At("TEMPLATE/CONTEXT")
	if context != nil {
		disks = append(disks, context)
	}
	if len(disks) == 0 {
		return nil
	}
	p.Blank()
	p.Section("VM DISKS")
	own := func(path string) func(*doc.Node) string {
		return func(d *doc.Node) string {
			if d == context {
				return "-"
			}
			return d.Get(path)
		}
	}
	t := nodeTable{Columns: []column{
		field("ID", "", 3, "DISK_ID"),
		left(computed("DATASTORE", "", 10, own("DATASTORE"))),
		left(field("TARGET", "", 6, "TARGET")),
		left(computed("IMAGE", "", 35, func(d *doc.Node) string {
			switch {
			case d == context:
				return "CONTEXT"
			case d.Has("IMAGE"):
				return d.Get("IMAGE")
			case strings.EqualFold(d.Get("TYPE"), "fs"):
				return d.Get("FORMAT") + " - " + render.Size(d.Int("SIZE"), 'M')
			case strings.EqualFold(d.Get("TYPE"), "swap"):
				return render.Size(d.Int("SIZE"), 'M')
			}
			return ""
		})),
		left(computed("SIZE", "", 9, func(d *doc.Node) string {
			used, size := "-", "-"
			for _, m := range n.All("MONITORING/DISK_SIZE") {
				if m.Get("ID") == d.Get("DISK_ID") {
					used = render.Size(m.Int("SIZE"), 'M')
				}
			}
			if d.Has("SIZE") && d != context {
				size = render.Size(d.Int("SIZE"), 'M')
			}
			return used + "/" + size
		})),
		left(computed("TYPE", "", 4, func(d *doc.Node) string { return strings.ToLower(own("TYPE")(d)) })),
		computed("SAVE", "", 4, func(d *doc.Node) string {
			if s := own("SAVE")(d); s != "" {
				return s
			}
			return "NO"
		}),
	}}
	return t.Print(p.Screen, disks, render.Layout{})
}

// diskSnapshot is a snapshot and the disk it is of.
type diskSnapshot struct {
	disk string
	*doc.Node
}

func (c *call) vmDiskSnapshots(p render.Panel, n *doc.Node) error {
	var snaps []diskSnapshot
	for _, d := range n.All("SNAPSHOTS") {
		for _, s := range d.All("SNAPSHOT") {
			snaps = append(snaps, diskSnapshot{d.Get("DISK_ID"), s})
		}
	}
	if len(snaps) == 0 {
		return nil
	}
	p.Blank()
	p.Section("VM DISK SNAPSHOTS")
	col := func(name string, size int, value func(s diskSnapshot) string) render.Column[diskSnapshot] {
		return render.Column[diskSnapshot]{Name: name, Size: size, Value: value}
	}
	leftCol := func(name string, size int, value func(s diskSnapshot) string) render.Column[diskSnapshot] {
		c := col(name, size, value)
		c.Left = true
		return c
	}
	t := render.Table[diskSnapshot]{Columns: []render.Column[diskSnapshot]{
		leftCol("AC", 2, func(s diskSnapshot) string {
			if s.Get("ACTIVE") == "YES" {
				return "=>"
			}
			return ""
		}),
		col("ID", 3, func(s diskSnapshot) string { return s.Get("ID") }),
		col("DISK", 4, func(s diskSnapshot) string { return s.disk }),
		col("PARENT", 6, func(s diskSnapshot) string { return s.Get("PARENT") }),
		col("DATE", 15, func(s diskSnapshot) string { return c.time(s.Int("DATE"), render.Seconds) }),
		leftCol("SIZE", 12, func(s diskSnapshot) string {
			used, size := "-", "-"
			for _, m := range n.All("MONITORING/SNAPSHOT_SIZE") {
				if m.Get("ID") == s.Get("ID") && m.Get("DISK_ID") == s.disk {
					used = render.Size(m.Int("SIZE"), 'M')
				}
			}
			if s.Has("SIZE") {
				size = render.Size(s.Int("SIZE"), 'M')
			}
			return used + "/" + size
		}),
		leftCol("NAME", 32, func(s diskSnapshot) string { return s.Get("NAME") }),
	}}
	return t.Print(p.Screen, snaps, render.Layout{})
}

// vmSnapshots lists the snapshots of the whole machine.
func (c *call) vmSnapshots(p render.Panel, n *doc.Node) error {
	snaps := n.All("TEMPLATE/SNAPSHOT")
	if len(snaps) == 0 {
		return nil
	}
	p.Blank()
	p.Section("SNAPSHOTS")
	t := nodeTable{Columns: []column{
		field("ID", "", 4, "SNAPSHOT_ID"),
		computed("TIME", "", 12, func(s *doc.Node) string { return c.time(s.Int("TIME"), render.Minutes) }),
		left(field("NAME", "", 46, "NAME")),
		left(field("HYPERVISOR_ID", "", 15, "HYPERVISOR_ID")),
	}}
	return t.Print(p.Screen, snaps, render.Layout{})
}

func (c *call) vmHistory(p render.Panel, n *doc.Node) error {
	records := n.All("HISTORY_RECORDS/HISTORY")
	if len(records) == 0 {
		return nil
	}
	p.Blank()
	p.Section("VIRTUAL MACHINE HISTORY")
	known := func(path string) func(*doc.Node) string {
		return func(h *doc.Node) string {
			if h.Get(path) == "-1" {
				return "-"
			}
			return h.Get(path)
		}
	}
	// since is the time from a start to an end; an open end is now.
	since := func(h *doc.Node, start, end string) int64 {
		from, to := h.Int(start), h.Int(end)
		if from == 0 {
			return 0
		}
		if to == 0 {
			to = c.now()
		}
		return to - from
	}
	t := nodeTable{Columns: []column{
		field("SEQ", "", 3, "SEQ"),
		left(computed("UID", "", 4, known("UID"))),
		left(computed("REQ", "", 5, known("REQUEST_ID"))),
		left(field("HOST", "", 12, "HOSTNAME")),
		left(computed("ACTION", "", 10, func(h *doc.Node) string { return one.Action(h.Int("ACTION")).String() })),
		field("DS", "", 4, "DS_ID"),
		computed("START", "", 15, func(h *doc.Node) string { return c.time(h.Int("STIME"), render.Seconds) }),
		computed("TIME", "", 11, func(h *doc.Node) string { return render.Period(since(h, "STIME", "ETIME")) }),
		computed("PROLOG", "", 10, func(h *doc.Node) string { return render.ShortPeriod(since(h, "PSTIME", "PETIME")) }),
	}}
	return t.Print(p.Screen, records, render.Layout{})
}

// vmTopology prints the virtual NUMA nodes and the CPU topology.
func (c *call) vmTopology(p render.Panel, n *doc.Node) error {
	if nodes := n.All("TEMPLATE/NUMA_NODE"); len(nodes) > 0 {
		p.Blank()
		p.Heading("NUMA NODES", false)
		p.Blank()
		t := nodeTable{Columns: []column{
			field("ID", "", 4, "NODE_ID"), adjust(field("CPUS_IDS", "", 5, "CPUS")),
			computed("MEMORY", "", 10, func(d *doc.Node) string { return render.Size(d.Int("MEMORY"), 'K') }),
			field("TOTAL_CPUS", "", 10, "TOTAL_CPUS"),
		}}
		if err := t.Print(p.Screen, nodes, render.Layout{}); err != nil {
			return err
		}
	}
	topology := n.All("TEMPLATE/TOPOLOGY")
	if len(topology) == 0 {
		return nil
	}
	p.Blank()
	p.Heading("TOPOLOGY", false)
	p.Blank()
	t := nodeTable{Columns: []column{field("CORES", "", 6, "CORES"), field("SOCKETS", "", 8, "SOCKETS"), field("THREADS", "", 8, "THREADS")}}
	return t.Print(p.Screen, topology, render.Layout{})
}
