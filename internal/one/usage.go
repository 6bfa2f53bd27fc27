package one

import (
	"math"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Capacity returns what the VM takes from its host.
// Source: VM lifecycle reference §8.5.
func (v *VM) Capacity() Capacity {
	cpu, mem := amount(v.Template.Get("CPU")), amount(v.Template.Get("MEMORY"))
	return Capacity{CPU: int64(math.Round(cpu * 100)), Memory: int64(mem) * 1024, VMs: 1}
}

// maxAmount bounds what an attribute may count for, so that sums of a great many
// stay exact and conversions to integers defined.
const maxAmount = 1 << 42

// amount reads a number that is summed up; what is no number, or less than
// nothing, counts for nothing. Templates are checked before they are stored: this
// keeps the sums sound whatever is in them.
func amount(s string) float64 {
	f, ok := tmpl.ParseNumber(s)
	if !ok || !(f > 0) {
		return 0
	}
	return min(f, maxAmount)
}

// Usage returns what the VM counts for in the quotas of its owner: sums are in
// cores and MB. Source: identity reference §10.4.
func (v *VM) Usage() Usage { return TemplateUsage(v.Template, v.CountsAsRunning()) }

// TemplateUsage returns what a VM with this template counts for.
func TemplateUsage(t *tmpl.Template, running bool) Usage {
	u := Usage{Datastores: map[int]DatastoreQuota{}, Networks: map[int]NetworkQuota{}, Images: map[int]ImageQuota{}}
	u.VM.VMs = 1
	// Hundredths of cores add up exactly, tenths of floats do not.
	u.VM.CPU = math.Round(amount(t.Get("CPU"))*100) / 100
	u.VM.Memory = amount(t.Get("MEMORY"))
	if running {
		u.VM.RunningVMs, u.VM.RunningCPU, u.VM.RunningMemory = 1, u.VM.CPU, u.VM.Memory
	}
	for _, s := range t.Vectors("SNAPSHOT") {
		u.VM.SystemDiskSize += amount(s.Get("SYSTEM_DISK_SIZE"))
	}
	for _, d := range t.Vectors("DISK") {
		size, snaps := amount(d.Get("SIZE")), amount(d.Get("DISK_SNAPSHOT_TOTAL_SIZE"))
		image, err := strconv.Atoi(d.Get("IMAGE_ID"))
		if err != nil { // a volatile disk
			u.VM.SystemDiskSize += size
			continue
		}
		q := u.Images[image]
		q.RVMs++
		u.Images[image] = q
		if d.Bool("PERSISTENT") {
			snaps = 0 // they are the image's
		}
		target := d.Get("CLONE_TARGET")
		if !d.Bool("CLONE") {
			target = d.Get("LN_TARGET")
		}
		switch target {
		case "SYSTEM":
			u.VM.SystemDiskSize += size + snaps
		case "SELF":
			if ds, err := strconv.Atoi(d.Get("DATASTORE_ID")); err == nil {
				q := u.Datastores[ds]
				q.Size += size + snaps
				u.Datastores[ds] = q
			}
		}
	}
	for _, name := range nicNames {
		for _, n := range t.Vectors(name) {
			if id, err := strconv.Atoi(n.Get("NETWORK_ID")); err == nil && Leased(n) {
				q := u.Networks[id]
				q.Leases++
				u.Networks[id] = q
			}
		}
	}
	return u
}

// Plus returns q with o added (sign +1) or taken away (-1). Cores are kept to
// hundredths so that sums return to exactly zero.
func (q VMQuota) Plus(o VMQuota, sign float64) VMQuota {
	cents := func(x float64) float64 { return math.Round(x*100) / 100 }
	return VMQuota{
		VMs: q.VMs + sign*o.VMs, RunningVMs: q.RunningVMs + sign*o.RunningVMs,
		CPU: cents(q.CPU + sign*o.CPU), RunningCPU: cents(q.RunningCPU + sign*o.RunningCPU),
		Memory: q.Memory + sign*o.Memory, RunningMemory: q.RunningMemory + sign*o.RunningMemory,
		SystemDiskSize: q.SystemDiskSize + sign*o.SystemDiskSize,
	}
}
