package onexml

import (
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/one"
)

// AppendDefaultUserQuotas appends the default quotas of users. Source: identity
// reference §10.4.
func (d *Docs) AppendDefaultUserQuotas(dst []byte) []byte {
	return d.defaultQuotas(dst, "DEFAULT_USER_QUOTAS", "user")
}

// AppendDefaultGroupQuotas appends the default quotas of groups.
func (d *Docs) AppendDefaultGroupQuotas(dst []byte) []byte {
	return d.defaultQuotas(dst, "DEFAULT_GROUP_QUOTAS", "group")
}

func (d *Docs) defaultQuotas(dst []byte, root, of string) []byte {
	dst = appendQuotas(open(dst, root), d.State.Quotas.At(of), one.Usage{})
	return shut(dst, root)
}

// appendQuotas appends the four blocks: an entry for everything that is limited
// or used. Limits nil means that there are none. Source: XML-RPC reference §8.7.
func appendQuotas(dst []byte, limits *one.Quotas, use one.Usage) []byte {
	var q one.Quotas
	if limits != nil {
		q = *limits
	}
	const unset = one.QuotaDefault

	dst = open(dst, "DATASTORE_QUOTA")
	for _, id := range entries(q.Datastores, use.Datastores) {
		limit := limitOf(q.Datastores, id, one.DatastoreQuota{Images: unset, Size: unset})
		used := use.Datastores[id]
		dst = cdataNum(open(dst, "DATASTORE"), "ID", id)
		dst = metric(dst, "IMAGES", limit.Images, used.Images)
		dst = metric(dst, "SIZE", limit.Size, used.Size)
		dst = shut(dst, "DATASTORE")
	}
	dst = shut(dst, "DATASTORE_QUOTA")

	dst = open(dst, "NETWORK_QUOTA")
	for _, id := range entries(q.Networks, use.Networks) {
		limit := limitOf(q.Networks, id, one.NetworkQuota{Leases: unset})
		dst = cdataNum(open(dst, "NETWORK"), "ID", id)
		dst = metric(dst, "LEASES", limit.Leases, use.Networks[id].Leases)
		dst = shut(dst, "NETWORK")
	}
	dst = shut(dst, "NETWORK_QUOTA")

	dst = open(dst, "VM_QUOTA")
	if q.VM != nil || use.VM != (one.VMQuota{}) {
		limit := one.VMQuota{
			VMs: unset, RunningVMs: unset, CPU: unset, RunningCPU: unset, Memory: unset, RunningMemory: unset, SystemDiskSize: unset,
		}
		if q.VM != nil {
			limit = *q.VM
		}
		dst = open(dst, "VM")
		dst = metric(dst, "CPU", limit.CPU, use.VM.CPU)
		dst = metric(dst, "MEMORY", limit.Memory, use.VM.Memory)
		dst = metric(dst, "RUNNING_CPU", limit.RunningCPU, use.VM.RunningCPU)
		dst = metric(dst, "RUNNING_MEMORY", limit.RunningMemory, use.VM.RunningMemory)
		dst = metric(dst, "RUNNING_VMS", limit.RunningVMs, use.VM.RunningVMs)
		dst = metric(dst, "SYSTEM_DISK_SIZE", limit.SystemDiskSize, use.VM.SystemDiskSize)
		dst = metric(dst, "VMS", limit.VMs, use.VM.VMs)
		dst = shut(dst, "VM")
	}
	dst = shut(dst, "VM_QUOTA")

	dst = open(dst, "IMAGE_QUOTA")
	for _, id := range entries(q.Images, use.Images) {
		limit := limitOf(q.Images, id, one.ImageQuota{RVMs: unset})
		dst = cdataNum(open(dst, "IMAGE"), "ID", id)
		dst = metric(dst, "RVMS", limit.RVMs, use.Images[id].RVMs)
		dst = shut(dst, "IMAGE")
	}
	return shut(dst, "IMAGE_QUOTA")
}

// entries returns the ids that have a limit or a use, ascending.
func entries[V any](limits, use map[int]V) []int {
	all := slices.AppendSeq(make([]int, 0, len(limits)+len(use)), maps.Keys(limits))
	for id := range use {
		if _, both := limits[id]; !both {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all
}

func limitOf[V any](limits map[int]V, id int, unset V) V {
	if l, ok := limits[id]; ok {
		return l
	}
	return unset
}

// metric appends a limit and the use it bounds.
func metric(dst []byte, name string, limit, used float64) []byte {
	dst = amount(append(append(dst, '<'), name...), limit)
	dst = append(append(dst, "</"...), name...)
	dst = append(append(dst, "><"...), name...)
	dst = amount(append(dst, "_USED"...), used)
	dst = append(append(dst, "</"...), name...)
	return append(dst, "_USED>"...)
}

// amount appends the end of a start tag and a number: whole, or with two
// decimals. Source: identity reference §10.3.
func amount(dst []byte, x float64) []byte {
	dst = append(dst, "><![CDATA["...)
	if x == math.Trunc(x) {
		dst = strconv.AppendInt(dst, int64(x), 10)
	} else {
		dst = strconv.AppendFloat(dst, x, 'f', 2, 64)
	}
	return append(dst, "]]>"...)
}
