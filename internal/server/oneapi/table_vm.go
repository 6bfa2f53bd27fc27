package oneapi

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
)

var errFilter = errs.New(errs.API, "Incorrect filter_flag")

// vmMethods are those of one.vm. Source: XML-RPC reference §7.2.
func vmMethods() []method {
	const p = "one.vm"
	rows := []method{
		set(p+".allocate", "template t, hold b=false", "CREATE VM", create(func(c *call) (int, error) {
			return c.cloud.AllocateVM(c.ctx, c.who, c.template(1), c.bool(2))
		})),
		get(p+".info", paramsInfo, "USE VM", show(vmInfo)),
		set(p+".action", "action s, id i", "VMop(action)", func(c *call) (answer, error) {
			return c.done(2), c.cloud.VMAction(c.ctx, c.who, c.int(2), c.text(1))
		}),
		set(p+".deploy", "id i, host i, enforce b=false, ds i=-1, extra t=", "VMop(deploy) + MANAGE HOST", change(func(c *call, id int) error {
			return c.cloud.DeployVM(c.ctx, c.who, id, c.int(2), c.bool(3), c.int(4), c.template(5))
		})),
		set(p+".resize", "id i, template t, enforce b", "VMop(resize)", change(func(c *call, id int) error {
			return c.cloud.ResizeVM(c.ctx, c.who, id, c.template(2))
		})),
		set(p+".updateconf", "id i, template t, append i=0", "VMop(updateconf)", change(func(c *call, id int) error {
			return c.cloud.UpdateVMConf(c.ctx, c.who, id, c.template(2), c.int(3))
		})),
		set(p+".recover", "id i, operation i", "VMop(recover)", change(func(c *call, id int) error {
			return c.cloud.RecoverVM(c.ctx, c.who, id, c.int(2))
		})),
		set(p+".attachnic", "id i, template t", "VMop(nic-attach) + USE NET", change(func(c *call, id int) error {
			return c.cloud.AttachNIC(c.ctx, c.who, id, c.template(2))
		})).but("no PCI devices"),
		set(p+".detachnic", "id i, nic i", "VMop(nic-attach)", change(func(c *call, id int) error {
			return c.cloud.DetachNIC(c.ctx, c.who, id, c.int(2))
		})),
		set(p+".updatenic", "id i, nic i, template t, append i=0", "VMop(nic-attach)", change(func(c *call, id int) error {
			return c.cloud.UpdateNIC(c.ctx, c.who, id, c.int(2), c.template(3), c.int(4))
		})),
		set(p+".migrate", "id i, host i, live b, enforce b=false, ds i=-1, type i=0", "VMop(migrate) + MANAGE HOST", change(func(c *call, id int) error {
			return c.cloud.MigrateVM(c.ctx, c.who, id, c.int(2), cloud.Migration{Live: c.bool(3), Enforce: c.bool(4), Datastore: c.int(5), Type: c.int(6)})
		})).but("live between simulated hosts, within one system datastore"),
		set(p+".attach", "id i, template t", "VMop(disk-attach) + USE IMAGE", change(func(c *call, id int) error {
			return c.cloud.AttachDisk(c.ctx, c.who, id, c.template(2))
		})),
		set(p+".detach", "id i, disk i", "VMop(disk-attach)", change(func(c *call, id int) error {
			return c.cloud.DetachDisk(c.ctx, c.who, id, c.int(2))
		})),
		set(p+".snapshotcreate", "id i, name s", "VMop(snapshot)", create(func(c *call) (int, error) {
			return c.cloud.CreateSnapshot(c.ctx, c.who, c.int(1), c.text(2))
		})),
		set(p+".snapshotrevert", "id i, snapshot i", "VMop(snapshot)", change(func(c *call, id int) error {
			return c.cloud.RevertSnapshot(c.ctx, c.who, id, c.int(2))
		})),
		set(p+".snapshotdelete", "id i, snapshot i", "VMop(snapshot)", change(func(c *call, id int) error {
			return c.cloud.DeleteSnapshot(c.ctx, c.who, id, c.int(2))
		})),
		set(p+".disksnapshotcreate", "id i, disk i, name s", "VMop(disk-snapshot)", create(func(c *call) (int, error) {
			return c.cloud.CreateDiskSnapshot(c.ctx, c.who, c.int(1), c.int(2), c.text(3))
		})).but("disks of format qcow2"),
		set(p+".disksnapshotrevert", "id i, disk i, snapshot i", "VMop(disk-snapshot)", func(c *call) (answer, error) {
			return c.done(3), c.cloud.RevertDiskSnapshot(c.ctx, c.who, c.int(1), c.int(2), c.int(3))
		}),
		set(p+".disksnapshotdelete", "id i, disk i, snapshot i", "VMop(disk-snapshot)", func(c *call) (answer, error) {
			return c.done(3), c.cloud.DeleteDiskSnapshot(c.ctx, c.who, c.int(1), c.int(2), c.int(3))
		}),
		set(p+".disksnapshotrename", "id i, disk i, snapshot i, name s", "VMop(disk-snapshot)", change(func(c *call, id int) error {
			return c.cloud.RenameDiskSnapshot(c.ctx, c.who, id, c.int(2), c.int(3), c.text(4))
		})),
		set(p+".diskresize", "id i, disk i, size s", "VMop(disk-resize)", func(c *call) (answer, error) {
			return c.done(2), c.cloud.ResizeDisk(c.ctx, c.who, c.int(1), c.int(2), c.text(3))
		}).but("not of undeployed VMs"),
		set(p+".schedadd", "id i, template t", "VMop(sched-action)", create(func(c *call) (int, error) {
			return c.cloud.AddSchedAction(c.ctx, c.who, c.int(1), c.template(2))
		})).but("no backups"),
		set(p+".scheddelete", "id i, sched i", "VMop(sched-action)", func(c *call) (answer, error) {
			return c.done(2), c.cloud.DeleteSchedAction(c.ctx, c.who, c.int(1), c.int(2))
		}),
		set(p+".schedupdate", "id i, sched i, template t", "VMop(sched-action)", func(c *call) (answer, error) {
			return c.done(2), c.cloud.UpdateSchedAction(c.ctx, c.who, c.int(1), c.int(2), c.template(3))
		}),
		get(p+".monitoring", paramsID, "USE VM", show(vmMonitoring)),
		updateOf(p, "VMop(update)", func(c *call, id int) error { return c.cloud.UpdateVM(c.ctx, c.who, id, c.template(2), c.int(3)) }),
		renameOf(p, one.KindVM, "VMop(rename)"),
		chownOf(p, one.KindVM), chmodOf(p, one.KindVM),
	}
	return slices.Concat(rows, locksOf(p, one.KindVM), absent(
		[3]string{p + ".disksaveas", "id i, disk i, name s, type s, snapshot i", "VMop(disk-saveas) + CREATE IMAGE"},
		[3]string{p + ".attachsg", "id i, nic i, secgroup i", "VMop(sg-attach) + USE SECGROUP"},
		[3]string{p + ".detachsg", "id i, nic i, secgroup i", "VMop(sg-attach)"},
		[3]string{p + ".attachpci", "id i, template t", "VMop(pci-attach)"},
		[3]string{p + ".detachpci", "id i, pci i", "VMop(pci-attach)"},
		[3]string{p + ".backup", "id i, datastore i=-1, reset b=false", "VMop(backup) + USE DATASTORE"},
		[3]string{p + ".backupcancel", paramsID, "VMop(backup)"},
	))
}

func vmInfo(c *call) ([]byte, error) {
	st, v, err := owned[*one.VM](c, one.KindVM, c.int(1))
	if err != nil {
		return nil, err
	}
	if c.bool(2) {
		clear := *v
		clear.Template = c.cloud.Clear(c.who, one.KindVM, v.Template)
		clear.UserTemplate = c.cloud.Clear(c.who, one.KindVM, v.UserTemplate)
		v = &clear
	}
	return c.docs(st).AppendVM(c.doc, v), nil
}

func vmMonitoring(c *call) ([]byte, error) {
	if _, _, err := c.cloud.Info(c.who, one.KindVM, c.int(1)); err != nil {
		return nil, err
	}
	return onexml.AppendVMMonitoring(c.doc, c.vmSeries(slices.Values([]int{c.int(1)}), -1)), nil
}

// vmPoolMethods are those of one.vmpool. Source: XML-RPC reference §7.3.
func vmPoolMethods() []method {
	const p, spec = "one.vmpool", paramsPool + ", state i, query s="
	const search = "the search works, and on attributes wherever they are"
	return append([]method{
		get(p+".info", spec, "–", vmPool((*onexml.Docs).AppendVMShort)).but(search),
		get(p+".infoextended", spec, "–", vmPool((*onexml.Docs).AppendVMExtended)).but(search),
		get(p+".infoset", "ids s, extended b", "–", show(vmSet)),
		get(p+".monitoring", "filter i, seconds i=-1", "–", show(func(c *call) ([]byte, error) {
			_, vms, err := c.cloud.VMPool(c.who, cloud.PoolQuery{Filter: c.int(1), Start: -1, End: -1}, cloud.NotDone, "")
			if err != nil {
				return nil, err
			}
			return onexml.AppendVMMonitoring(c.doc, c.vmSeries(sortedIDs(vms), c.int(2))), nil
		})),
		get(p+".accounting", "filter i, start i, end i", "–", show(func(c *call) ([]byte, error) {
			st, records, err := c.cloud.VMHistory(c.who, c.int(1), int64(c.int(2)), int64(c.int(3)))
			if err != nil {
				return nil, err
			}
			return c.docs(st).AppendAccounting(c.doc, records), nil
		})).but("a record embeds the VM as it is now"),
	}, absent(
		[3]string{p + ".showback", "filter i, m1 i, y1 i, m2 i, y2 i", "–"},
		[3]string{p + ".calculateshowback", "m1 i, y1 i, m2 i, y2 i", "primary group 0"},
	)...)
}

func vmPool(write func(*onexml.Docs, []byte, *one.VM) []byte) handler {
	return show(func(c *call) ([]byte, error) {
		st, vms, err := c.cloud.VMPool(c.who, c.query(), c.int(4), c.text(5))
		if err != nil {
			return nil, err
		}
		d := c.docs(st)
		return appendPool(c, "VM_POOL", vms, func(dst []byte, v *one.VM) []byte { return write(d, dst, v) }), nil
	})
}

// maxSet bounds the ids of an infoset.
const maxSet = 1 << 16

func vmSet(c *call) ([]byte, error) {
	var ids []int
	for word := range strings.SplitSeq(c.text(1), ",") {
		if n, err := strconv.Atoi(strings.TrimSpace(word)); err == nil {
			ids = append(ids, n)
		}
	}
	if len(ids) > maxSet {
		return nil, errs.New(errs.API, "%d ids, expected at most %d", len(ids), maxSet)
	}
	st, vms := c.cloud.VMSet(c.who, ids)
	d := c.docs(st)
	write := d.AppendVMShort
	if c.bool(2) {
		write = d.AppendVMExtended
	}
	return appendPool(c, "VM_POOL", vms, write), nil
}

// sortedIDs yields the ids of objects, ascending.
func sortedIDs[T one.Owned](objects iter.Seq[T]) iter.Seq[int] {
	var ids []int
	for o := range objects {
		ids = append(ids, o.Head().ID)
	}
	slices.SortFunc(ids, cmp.Compare[int])
	return slices.Values(ids)
}

// vmSeries yields the samples of VMs: with seconds 0 the newest of each, with -1
// all, else those of the last seconds. Source: XML-RPC reference §7.3.
func (c *call) vmSeries(ids iter.Seq[int], seconds int) iter.Seq[agentapi.VMSample] {
	return func(yield func(agentapi.VMSample) bool) {
		if c.monitor == nil {
			return
		}
		for id := range ids {
			if seconds == 0 {
				if s, ok := c.monitor.VM(id); ok && !yield(s) {
					return
				}
				continue
			}
			for _, s := range c.monitor.VMSeries(id, c.since(seconds)) {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// since returns from when samples of the last seconds are; negative means all.
func (c *call) since(seconds int) int64 {
	if seconds < 0 {
		return 0
	}
	return c.cloud.Now().Unix() - int64(seconds)
}
