package cli

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/one"
)

func vmNoun() *noun {
	n := &noun{
		cmd: "onevm", alias: "vm", short: "Manage virtual machines", pool: vmPool, filtered: true,
		table: vmTable, show: showVM,
		listFlags: func(f *pflag.FlagSet) {
			text(f, "search", "", "only VMs that match a query of the server")
			boolean(f, "extended", "", "get whole documents, for --xml, --json and --yaml")
		},
	}
	n.verbs = []verb{
		n.listVerb(), n.topVerb(),
		n.showVerb("vmid", false, func(f *pflag.FlagSet) { boolean(f, "all", "", "show the whole template") }),
		vmCreate(), updateVerb("vmid", "USER_TEMPLATE", "modified"), renameVerb("vmid"), chmodVerb("vmid", nil), vmSSH(),
	}
	n.verbs = append(n.verbs, chownVerbs("vmid")...)
	n.verbs = append(n.verbs, lockVerbs("vmid", "VM")...)
	n.verbs = append(n.verbs, vmActions()...)
	n.verbs = append(n.verbs, vmPlacement()...)
	n.verbs = append(n.verbs, vmCapacity()...)
	n.verbs = append(n.verbs, vmDisks()...)
	n.verbs = append(n.verbs, vmNICs()...)
	n.verbs = append(n.verbs, vmSnapshots()...)
	n.verbs = append(n.verbs, vmBackups()...)
	return n
}

// Columns that several tables share.

type column = render.Column[*doc.Node]

func field(name, desc string, size int, path string) column {
	return column{Name: name, Desc: desc, Size: size, Value: func(n *doc.Node) string { return n.Get(path) }}
}

func left(c column) column   { c.Left = true; return c }
func adjust(c column) column { c.Adjust = true; return c }
func expand(c column) column { c.Left, c.Expand = true, true; return c }
func state(c column) column  { c.State = true; return c }

func computed(name, desc string, size int, value func(n *doc.Node) string) column {
	return column{Name: name, Desc: desc, Size: size, Value: value}
}

// idColumn, userColumn and groupColumn are those of owned objects.
func idColumn() column { return adjust(field("ID", "number of the object", 4, "ID")) }

func (c *call) userColumn(size int) column {
	if c.flag("numeric") {
		return left(field("USER", "owner", size, "UID"))
	}
	return left(field("USER", "owner", size, "UNAME"))
}

func (c *call) groupColumn(size int) column {
	if c.flag("numeric") {
		return left(field("GROUP", "group", size, "GID"))
	}
	return left(field("GROUP", "group", size, "GNAME"))
}

func nameColumn(size int) column { return expand(field("NAME", "name", size, "NAME")) }

// size prints an amount in unit, or as a plain number with --kilobytes.
func (c *call) size(v int64, unit byte) string {
	if c.flag("kilobytes") {
		return strconv.FormatInt(v, 10)
	}
	return render.Size(v, unit)
}

func (c *call) now() int64 { return c.io.Now().Unix() }

// vmTable lists VMs. IP is wide enough for its longest; TIME is cut as in the
// original, which leaves the minutes' letter out.
func vmTable(c *call, p *doc.Node) (render.Table[*doc.Node], error) {
	clusters := map[string]string{"-1": "default"}
	if p != nil && c.wants("CLUSTER") {
		if all, err := c.fetch(&clusterPool, 0, 0); err == nil { // ids do as well
			for _, n := range all.All("CLUSTER") {
				clusters[n.Get("ID")] = n.Get("NAME")
			}
		}
	}
	return render.Table[*doc.Node]{
		Columns: []column{
			idColumn(), c.userColumn(8), c.groupColumn(8),
			expand(computed("NAME", "name; * marks one to be rescheduled", 15, func(n *doc.Node) string {
				if n.Get("RESCHED") == "1" {
					return "*" + n.Get("NAME")
				}
				return n.Get("NAME")
			})),
			state(computed("STAT", "state", 4, vmShortState)),
			computed("CPU", "CPU assigned to the VM", 4, func(n *doc.Node) string {
				if cpu := n.Get("TEMPLATE/CPU"); cpu != "" {
					return cpu
				}
				return "0"
			}),
			computed("MEM", "memory assigned to the VM", 7, func(n *doc.Node) string { return c.size(n.Int("TEMPLATE/MEMORY"), 'M') }),
			left(computed("HOST", "host it runs on", 10, vmHost)),
			left(computed("CLUSTER", "cluster it runs in", 10, func(n *doc.Node) string {
				h := n.Last("HISTORY_RECORDS/HISTORY")
				if h == nil {
					return "NONE"
				}
				if name, ok := clusters[h.Get("CID")]; ok {
					return name
				}
				return h.Get("CID")
			})),
			left(adjust(computed("IP", "addresses", 15, vmIPs))),
			computed("TIME", "time since it was created", 10, func(n *doc.Node) string {
				end := n.Int("ETIME")
				if end == 0 {
					end = c.now()
				}
				return render.Period(end - n.Int("STIME"))
			}),
			field("UCPU", "CPU used, in percent", 4, "MONITORING/CPU"),
			computed("UMEM", "memory used", 7, func(n *doc.Node) string { return c.size(n.Int("MONITORING/MEMORY"), 'K') }),
		},
		Default: []string{"ID", "USER", "GROUP", "NAME", "STAT", "CPU", "MEM", "HOST", "IP", "TIME"},
	}, nil
}

// wants tells whether a listing was asked to show a column.
func (c *call) wants(column string) bool {
	for _, name := range append(c.list("list"), c.list("filter")...) {
		if strings.HasPrefix(strings.ToUpper(strings.TrimSpace(name)), column) {
			return true
		}
	}
	return false
}

func vmState(n *doc.Node) (one.VMState, one.LCMState) {
	return one.VMState(n.Int("STATE")), one.LCMState(n.Int("LCM_STATE"))
}

func vmShortState(n *doc.Node) string {
	s, l := vmState(n)
	if s == one.VMActive {
		return l.Short()
	}
	return s.Short()
}

// onHost tells whether a VM has a host now.
func onHost(n *doc.Node) bool {
	s, _ := vmState(n)
	return s == one.VMActive || s == one.VMSuspended || s == one.VMPoweroff
}

func vmHost(n *doc.Node) string {
	if !onHost(n) {
		return ""
	}
	return n.Last("HISTORY_RECORDS/HISTORY").Get("HOSTNAME")
}

// externalIPs are where monitoring may report addresses. Source: resources
// reference §1.5.
var externalIPs = []string{"GUEST_IP", "AWS_IP_ADDRESS", "AWS_PUBLIC_IP_ADDRESS", "AZ_IPADDRESS", "SL_PRIMARYIPADDRESS"}

func vmIPs(n *doc.Node) string {
	var ips []string
	add := func(ip string) {
		if ip != "" && !slices.Contains(ips, ip) {
			ips = append(ips, ip)
		}
	}
	for _, nic := range append(n.All("TEMPLATE/NIC"), n.All("TEMPLATE/PCI")...) {
		for _, attr := range []string{
			"IP", "EXTERNAL_IP", "IP6_GLOBAL", "IP6_ULA", "IP6", "VROUTER_IP", "VROUTER_IP6_GLOBAL", "VROUTER_IP6_ULA",
		} {
			add(nic.Get(attr))
		}
	}
	for _, attr := range externalIPs {
		add(n.Get("MONITORING/" + attr))
	}
	if len(ips) == 0 {
		return "--"
	}
	return strings.Join(ips, ",")
}
