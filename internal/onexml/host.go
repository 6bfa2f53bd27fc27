package onexml

import (
	"slices"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/one"
)

// AppendHost appends the document of a host. Source: XML-RPC reference §8.3.
func (d *Docs) AppendHost(dst []byte, h *one.Host) []byte { return d.host(dst, h, false) }

// AppendHostListed appends a host as hostpool.info lists it: without its newest
// measurements, which clients get by hostpool.monitoring.
func (d *Docs) AppendHostListed(dst []byte, h *one.Host) []byte { return d.host(dst, h, true) }

func (d *Docs) host(dst []byte, h *one.Host, listed bool) []byte {
	cluster := ""
	if c, ok := d.State.Clusters.Get(h.ClusterID); ok {
		cluster = c.Name
	}
	use := d.State.HostUsage.At(h.ID)
	dst = open(dst, "HOST")
	dst = num(dst, "ID", h.ID)
	dst = bare(dst, "NAME", h.Name)
	dst = num(dst, "STATE", h.State)
	dst = num(dst, "PREV_STATE", h.State) // see vm
	dst = cdata(dst, "IM_MAD", h.IMMad)
	dst = cdata(dst, "VM_MAD", h.VMMad)
	dst = num(dst, "CLUSTER_ID", h.ClusterID)
	dst = bare(dst, "CLUSTER", cluster)
	dst = open(dst, "HOST_SHARE")
	dst = num(dst, "MEM_USAGE", use.Memory)
	dst = num(dst, "CPU_USAGE", use.CPU)
	dst = num(dst, "TOTAL_MEM", h.TotalMem)
	dst = num(dst, "TOTAL_CPU", h.TotalCPU)
	dst = num(dst, "MAX_MEM", h.MaxMem)
	dst = num(dst, "MAX_CPU", h.MaxCPU)
	dst = num(dst, "RUNNING_VMS", use.VMs)
	dst = num(dst, "VMS_THREAD", 1)
	dst = d.hostSpace(dst, h.ID)
	dst = append(dst, "<PCI_DEVICES></PCI_DEVICES><NUMA_NODES/>"...)
	dst = shut(dst, "HOST_SHARE")
	dst = ids(dst, "VMS", d.State.HostVMs.Of(h.ID))
	dst = body(dst, "TEMPLATE", h.Template)
	if sample, measured := d.hostSample(h.ID); measured && !listed {
		dst = appendHostSample(dst, h.ID, sample)
	} else {
		dst = append(dst, "<MONITORING/>"...)
	}
	return shut(dst, "HOST")
}

// hostSpace appends DATASTORES: the host's disk, which is that of its first
// system datastore, and each system datastore as the host sees it.
func (d *Docs) hostSpace(dst []byte, host int) []byte {
	var local []agentapi.DatastoreSpace
	if d.Monitor != nil {
		local = slices.DeleteFunc(d.Monitor.HostDatastores(host), func(s agentapi.DatastoreSpace) bool {
			ds, ok := d.State.Datastores.Get(s.ID)
			return !ok || ds.Type != one.DSSystem
		})
		slices.SortFunc(local, func(a, b agentapi.DatastoreSpace) int { return a.ID - b.ID })
	}
	var disk agentapi.DatastoreSpace
	if len(local) > 0 {
		disk = local[0]
	}
	dst = open(dst, "DATASTORES")
	dst = cdataNum(dst, "DISK_USAGE", 0)
	for _, s := range local {
		dst = open(dst, "DS")
		dst = cdataNum(dst, "FREE_MB", s.FreeMB)
		dst = cdataNum(dst, "ID", s.ID)
		dst = cdataNum(dst, "TOTAL_MB", s.TotalMB)
		dst = cdataNum(dst, "USED_MB", s.UsedMB)
		dst = shut(dst, "DS")
	}
	dst = cdataNum(dst, "FREE_DISK", disk.FreeMB)
	dst = cdataNum(dst, "MAX_DISK", disk.TotalMB)
	dst = cdataNum(dst, "USED_DISK", disk.UsedMB)
	return shut(dst, "DATASTORES")
}
