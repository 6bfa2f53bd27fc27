package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// Limits with a meaning. Source: identity reference §10.2.
const (
	limitDefault   = "-1"
	limitUnlimited = "-2"
)

const quotaHelp = `# Limits are set by vectors; what is left out of a vector becomes the default.
#
#  VM        = [ VMS, RUNNING_VMS, CPU, RUNNING_CPU, MEMORY (MB), RUNNING_MEMORY (MB), SYSTEM_DISK_SIZE (MB) ]
#  DATASTORE = [ ID, IMAGES, SIZE (MB) ]
#  NETWORK   = [ ID, LEASES ]
#  IMAGE     = [ ID, RVMS ]
#
# -1 is the default limit (see defaultquota), -2 is no limit.
# What ends in _USED is shown to inform and is not changed.
`

// quotaVerbs set limits of users or of groups.
func quotaVerbs(name, what string) []verb {
	return []verb{
		{
			name: "quota", short: "Set limits", args: []arg{self(name), file},
			long: "The limits come from a file, else from standard input, else from an editor.", example: "quota 7\nquota 7 limits.txt",
			run: func(c *call) error {
				t, err := c.edit(1, func() (string, error) {
					n, err := c.doc(c.noun.pool.object+".info", c.subjects()[0])
					return quotaHelp + quotaText(n), err
				})
				if err != nil {
					return err
				}
				return c.each("modified", func(id int) error {
					_, err := c.do(c.noun.pool.object+".quota", id, t)
					return err
				})
			},
		},
		{
			name: "batchquota", short: "Set the same limits for several " + what + "s", args: []arg{selfs(name), file},
			long: "Other limits stay as they are.", example: "batchquota 7..9 limits.txt",
			run: func(c *call) error {
				t, err := c.edit(1, func() (string, error) { return quotaHelp, nil })
				if err != nil {
					return err
				}
				return c.each("modified", func(id int) error {
					n, err := c.doc(c.noun.pool.object+".info", id)
					if err != nil {
						return err
					}
					// The core takes the last of several vectors for one id.
					_, err = c.do(c.noun.pool.object+".quota", id, quotaText(n)+t)
					return err
				})
			},
		},
		{
			name: "defaultquota", short: "Set the limits of every " + what + " without own ones", args: []arg{file}, example: "defaultquota limits.txt",
			run: func(c *call) error {
				t, err := c.edit(0, func() (string, error) {
					n, err := c.doc(what + "quota.info")
					return quotaHelp + quotaText(n), err
				})
				if err != nil {
					return err
				}
				_, err = c.do(what+"quota.update", t)
				return err
			},
		},
	}
}

// quotaText renders the limits of an object.
func quotaText(n *doc.Node) string {
	var text strings.Builder
	for _, section := range []string{"DATASTORE_QUOTA", "VM_QUOTA", "NETWORK_QUOTA", "IMAGE_QUOTA"} {
		if t := doc.TemplateText(n.At(section)); t != "" {
			text.WriteString(t + "\n")
		}
	}
	return text.String()
}

// quota reads one user's or group's limits.
type quota struct {
	n    *doc.Node // the object's own
	base *doc.Node // the default
	id   string
}

// vm returns the limits on VMs; somebody without any has used nothing.
func (q quota) vm() *doc.Node {
	if vm := q.n.At("VM_QUOTA/VM"); vm != nil || q.id == "0" {
		return vm
	}
	return &doc.Node{Name: "VM"}
}

// limit resolves a limit of section/element; id tells entries apart, "" if there
// is one.
func (q quota) limit(entry *doc.Node, section, metric string) string {
	limit := entry.Get(metric)
	if limit == "" {
		limit = limitDefault
	}
	if limit != limitDefault {
		return limit
	}
	for _, d := range q.base.All(section) {
		if d.Get("ID") == entry.Get("ID") && d.Get(metric) != "" {
			return d.Get(metric)
		}
	}
	return limitUnlimited
}

// usage prints "used / limit" with both parts in a format; - is no limit.
func (q quota) usage(entry *doc.Node, section, metric, format string, print func(float64) string) string {
	used := fmt.Sprintf(format, print(entry.Float(metric+"_USED")))
	limit := q.limit(entry, section, metric)
	if limit == limitUnlimited {
		limit = "-"
	} else if v, err := strconv.ParseFloat(limit, 64); err == nil {
		limit = print(v)
	}
	return used + " / " + fmt.Sprintf(format, limit)
}

func wholeNumber(v float64) string { return strconv.FormatInt(int64(v), 10) }
func oneDecimal(v float64) string  { return strconv.FormatFloat(v, 'f', 1, 64) }
func twoDecimals(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }
func inMB(v float64) string        { return render.Size(int64(v), 'M') }

// quotaColumns are VMS, MEMORY and CPU of the listings of users and groups,
// whose pools hold the quotas beside the objects.
func quotaColumns(p *doc.Node, defaults string) []column {
	own := map[string]*doc.Node{}
	for _, q := range p.All("QUOTAS") {
		own[q.Get("ID")] = q
	}
	base := p.At(defaults)
	col := func(name, desc string, size int, metric, format string, print func(float64) string) column {
		return computed(name, desc, size, func(n *doc.Node) string {
			q := quota{n: own[n.Get("ID")], base: base, id: n.Get("ID")}
			vm := q.vm()
			if vm == nil {
				return "-"
			}
			return q.usage(vm, "VM_QUOTA/VM", metric, format, print)
		})
	}
	return []column{
		col("VMS", "VMs and their limit", 9, "VMS", "%3s", wholeNumber),
		col("MEMORY", "memory given to VMs and its limit", 17, "MEMORY", "%7s", inMB),
		col("CPU", "CPU given to VMs and its limit", 11, "CPU", "%3s", oneDecimal),
	}
}

// showQuotas prints what a user or a group uses and may use.
func showQuotas(p render.Panel, n *doc.Node, defaults string) error {
	q := quota{n: n, base: n.At(defaults), id: n.Get("ID")}
	col := func(name string, size int, section, metric, format string, print func(float64) string) column {
		return computed(name, "", size, func(e *doc.Node) string { return q.usage(e, section, metric, format, print) })
	}
	const vm = "VM_QUOTA/VM"
	print := func(title string, rows []*doc.Node, cols ...column) error {
		if len(rows) == 0 {
			return nil
		}
		p.Section("%s", title)
		p.Blank()
		if err := (nodeTable{Columns: cols}).Print(p.Screen, rows, render.Layout{}); err != nil {
			return err
		}
		p.Blank()
		return nil
	}
	var vms []*doc.Node
	if v := q.vm(); v != nil {
		vms = []*doc.Node{v}
	}
	p.Blank()
	if err := print("VMS USAGE & QUOTAS", vms,
		col("VMS", 17, vm, "VMS", "%7s", wholeNumber), col("MEMORY", 20, vm, "MEMORY", "%8s", inMB),
		col("CPU", 20, vm, "CPU", "%8s", twoDecimals), col("SYSTEM_DISK_SIZE", 20, vm, "SYSTEM_DISK_SIZE", "%8s", inMB)); err != nil {
		return err
	}
	if err := print("VMS USAGE & QUOTAS - RUNNING", vms,
		col("RUNNING VMS", 17, vm, "RUNNING_VMS", "%7s", wholeNumber), col("RUNNING MEMORY", 20, vm, "RUNNING_MEMORY", "%8s", inMB),
		col("RUNNING CPU", 20, vm, "RUNNING_CPU", "%8s", twoDecimals)); err != nil {
		return err
	}
	const datastore = "DATASTORE_QUOTA/DATASTORE"
	if err := print("DATASTORE USAGE & QUOTAS", n.All(datastore), field("ID", "", 12, "ID"),
		col("IMAGES", 20, datastore, "IMAGES", "%8s", wholeNumber), col("SIZE", 19, datastore, "SIZE", "%8s", inMB)); err != nil {
		return err
	}
	const network = "NETWORK_QUOTA/NETWORK"
	if err := print("NETWORK USAGE & QUOTAS", n.All(network), field("ID", "", 12, "ID"),
		col("LEASES", 20, network, "LEASES", "%8s", wholeNumber)); err != nil {
		return err
	}
	const image = "IMAGE_QUOTA/IMAGE"
	return print("IMAGE USAGE & QUOTAS", n.All(image), field("ID", "", 12, "ID"),
		col("RUNNING VMS", 20, image, "RVMS", "%8s", wholeNumber))
}
