package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/one"
)

func hostNoun() *noun {
	n := &noun{cmd: "onehost", alias: "host", short: "Manage hosts", pool: hostPool, table: hostTable, show: showHost}
	status := func(name, short string, code int, done string) verb {
		return verb{name: name, short: short, args: []arg{selfs("hostid")}, example: name + " edge1", run: method("status", done, with(code))}
	}
	n.verbs = []verb{
		n.listVerb(), n.topVerb(), n.showVerb("hostid", false, nil),
		{
			name: "create", short: "Add a host", args: []arg{word("hostname")}, example: "create edge1 -i kvm -v kvm\ncreate edge2 -i kvm -v kvm --cluster east",
			flags: flagsOf(clusterFlag, func(f *pflag.FlagSet) {
				text(f, "im", "i", "information driver: kvm, qemu, dummy")
				text(f, "vm", "v", "hypervisor driver: kvm, qemu, dummy")
			}),
			run: func(c *call) error {
				if c.str("im") == "" || c.str("vm") == "" {
					return fmt.Errorf("Drivers are mandatory to create a host:\n\t -i information driver\n\t -v hypervisor driver")
				}
				cluster, err := c.cluster()
				if err != nil {
					return err
				}
				r, err := c.do("host.allocate", c.text(0), c.str("im"), c.str("vm"), cluster)
				if err == nil {
					c.created("ID", r)
				}
				return err
			},
		},
		deleteVerb("hostid", "deleted"),
		status("enable", "Use a host", 0, "enabled"),
		status("disable", "Let the scheduler leave a host alone", 1, "disabled"),
		status("offline", "Take a host out of use", 2, "offline"),
		{
			name: "flush", short: "Disable a host and let its VMs be moved", args: []arg{selfs("hostid")}, example: "flush edge1", run: flush,
		},
		updateVerb("hostid", "TEMPLATE", "updated"), renameVerb("hostid"),
	}
	return n
}

// flush disables hosts and asks for each VM on them to be rescheduled.
func flush(c *call) error {
	return c.each("flushing", func(id int) error {
		if _, err := c.do("host.status", id, 1); err != nil {
			return err
		}
		pool, err := c.fetch(&vmPool, client.All, notDone)
		if err != nil {
			return err
		}
		for _, vm := range pool.All("VM") {
			if !onHost(vm) || int(vm.Last("HISTORY_RECORDS/HISTORY").Int("HID")) != id {
				continue
			}
			if _, err := c.do("vm.action", "resched", int(vm.Int("ID"))); err != nil {
				c.say(err) // the other VMs are still to be moved
			}
		}
		return nil
	})
}

// hostTable lists hosts. What is really used comes from the last sample of
// monitoring, which is asked for only when a column shows it.
func hostTable(c *call, p *doc.Node) (nodeTable, error) {
	samples := map[string]*doc.Node{}
	if p != nil && (c.wants("REAL_") || c.wants("FCPU") || c.wants("FMEM")) {
		data, err := c.doc("hostpool.monitoring", 0)
		if err != nil {
			return nodeTable{}, err
		}
		for _, m := range data.All("MONITORING") {
			samples[m.Get("ID")] = m
		}
	}
	share := func(path string) func(n *doc.Node) int64 {
		return func(n *doc.Node) int64 { return n.Int("HOST_SHARE/" + path) }
	}
	sample := func(path string) func(n *doc.Node) int64 {
		return func(n *doc.Node) int64 { return samples[n.Get("ID")].Int("CAPACITY/" + path) }
	}
	plain := func(v int64) string { return strconv.FormatInt(v, 10) }
	memory := func(v int64) string { return c.size(v, 'K') }
	less := func(print func(int64) string, most, used func(*doc.Node) int64) func(*doc.Node) string {
		return func(n *doc.Node) string { return print(most(n) - used(n)) }
	}
	// ratio prints used / most (percent).
	ratio := func(print func(int64) string, used, most func(*doc.Node) int64) func(*doc.Node) string {
		return func(n *doc.Node) string {
			u, m := used(n), most(n)
			switch {
			case m == 0 && u == 0:
				return "-"
			case m == 0:
				return print(u) + " / -"
			}
			return fmt.Sprintf("%s / %s (%d%%)", print(u), print(m), u*100/m)
		}
	}
	return nodeTable{
		Columns: []column{
			idColumn(), nameColumn(15),
			left(computed("CLUSTER", "cluster", 9, func(n *doc.Node) string { return orDash(n.Get("CLUSTER")) })),
			computed("TVM", "number of VMs", 3, func(n *doc.Node) string { return plain(n.Int("HOST_SHARE/RUNNING_VMS")) }),
			computed("ALLOCATED_CPU", "CPU given to VMs, in percent of a core", 18, ratio(plain, share("CPU_USAGE"), share("MAX_CPU"))),
			computed("ALLOCATED_MEM", "memory given to VMs", 18, ratio(memory, share("MEM_USAGE"), share("MAX_MEM"))),
			state(left(computed("STAT", "state", 6, func(n *doc.Node) string { return one.HostState(n.Int("STATE")).Short() }))),
			computed("REAL_CPU", "CPU in use", 18, ratio(plain, sample("USED_CPU"), share("MAX_CPU"))),
			computed("REAL_MEM", "memory in use", 18, ratio(memory, sample("USED_MEMORY"), share("MAX_MEM"))),
			computed("ZVM", "number of VMs that should not be there", 3, func(n *doc.Node) string { return plain(n.Int("TEMPLATE/TOTAL_ZOMBIES")) }),
			computed("TCPU", "CPU", 4, func(n *doc.Node) string { return plain(n.Int("HOST_SHARE/MAX_CPU")) }),
			computed("FCPU", "CPU not in use", 4, less(plain, share("MAX_CPU"), sample("USED_CPU"))),
			computed("ACPU", "CPU not given", 4, less(plain, share("MAX_CPU"), share("CPU_USAGE"))),
			computed("TMEM", "memory", 7, func(n *doc.Node) string { return memory(n.Int("HOST_SHARE/MAX_MEM")) }),
			computed("FMEM", "memory not in use", 7, less(memory, share("MAX_MEM"), sample("USED_MEMORY"))),
			computed("AMEM", "memory not given", 7, less(memory, share("MAX_MEM"), share("MEM_USAGE"))),
		},
		Default: []string{"ID", "NAME", "CLUSTER", "TVM", "ALLOCATED_CPU", "ALLOCATED_MEM", "STAT"},
	}, nil
}

func showHost(c *call, n *doc.Node) error {
	p := c.panel(22)
	p.Title("HOST %s INFORMATION", n.Get("ID"))
	p.Field("ID", n.Get("ID"))
	p.Field("NAME", n.Get("NAME"))
	p.Field("CLUSTER", orDash(n.Get("CLUSTER")))
	p.Field("STATE", one.HostState(n.Int("STATE")).String())
	p.Field("IM_MAD", n.Get("IM_MAD"))
	p.Field("VM_MAD", n.Get("VM_MAD"))
	p.Field("LAST MONITORING TIME", c.time(n.Int("MONITORING/TIMESTAMP"), render.Seconds))
	p.Blank()
	p.Section("HOST SHARES")
	p.Field("RUNNING VMS", n.Get("HOST_SHARE/RUNNING_VMS"))
	p.Section("MEMORY")
	for _, f := range [][2]string{
		{"  TOTAL", "HOST_SHARE/TOTAL_MEM"}, {"  TOTAL +/- RESERVED", "HOST_SHARE/MAX_MEM"},
		{"  USED (REAL)", "MONITORING/CAPACITY/USED_MEMORY"}, {"  USED (ALLOCATED)", "HOST_SHARE/MEM_USAGE"},
	} {
		p.Field(f[0], render.Size(n.Int(f[1]), 'K'))
	}
	p.Section("CPU")
	for _, f := range [][2]string{
		{"  TOTAL", "HOST_SHARE/TOTAL_CPU"}, {"  TOTAL +/- RESERVED", "HOST_SHARE/MAX_CPU"},
		{"  USED (REAL)", "MONITORING/CAPACITY/USED_CPU"}, {"  USED (ALLOCATED)", "HOST_SHARE/CPU_USAGE"},
	} {
		p.Field(f[0], n.Get(f[1]))
	}
	p.Blank()
	for _, ds := range n.All("HOST_SHARE/DATASTORES/DS") {
		p.Section("LOCAL SYSTEM DATASTORE #%s CAPACITY", ds.Get("ID"))
		p.Field("TOTAL:", render.Size(ds.Int("TOTAL_MB"), 'M'))
		p.Field("USED: ", render.Size(ds.Int("USED_MB"), 'M'))
		p.Field("FREE:", render.Size(ds.Int("FREE_MB"), 'M'))
		p.Blank()
	}
	p.Section("MONITORING INFORMATION")
	p.Println(doc.TemplateText(n.At("TEMPLATE").Without("VM")))
	if err := showPCIs(p, n); err != nil {
		return err
	}
	if err := showNUMA(p, n); err != nil {
		return err
	}
	showWilds(p, n)
	p.Blank()
	p.Heading("VIRTUAL MACHINES", false)
	p.Blank()
	return c.vmsTable(func(vm *doc.Node) bool {
		return onHost(vm) && vm.Last("HISTORY_RECORDS/HISTORY").Get("HID") == n.Get("ID")
	})
}

func showPCIs(p render.Panel, n *doc.Node) error {
	devices := n.All("HOST_SHARE/PCI_DEVICES/PCI")
	if len(devices) == 0 {
		return nil
	}
	p.Blank()
	p.Heading("PCI DEVICES", false)
	p.Blank()
	t := nodeTable{Columns: []column{
		computed("VM", "", 5, func(d *doc.Node) string { return strings.TrimPrefix(d.Get("VMID"), "-1") }),
		left(field("ADDR", "", 7, "SHORT_ADDRESS")), left(field("TYPE", "", 14, "TYPE")), left(field("NAME", "", 50, "DEVICE_NAME")),
	}}
	return t.Print(p.Screen, devices, render.Layout{})
}
