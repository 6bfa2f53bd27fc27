package cloud

import (
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// TakeFacts notes what an agent says its host is; the host is then monitored,
// unless an administrator has taken it out of use.
func (c *Cloud) TakeFacts(tx *store.Tx, host int, f agentapi.Facts) error {
	h, ok := tx.Hosts.Get(host)
	if !ok {
		return errs.NotFound(one.KindHost, host)
	}
	if h.State == one.HostOffline {
		return nil // it is not looked at; what it is counts when it is taken back
	}
	n := *h
	n.Template = h.Template.Merge(f.Template).With("HOSTNAME", f.Hostname).With("HYPERVISOR", f.Hypervisor).Without("ERROR")
	if real(h.VMMad) && real(f.Hypervisor) {
		// Which of the two it is the agent found out by booting a kernel.
		n.VMMad = f.Hypervisor
		n.Template = n.Template.With("VM_MAD", f.Hypervisor)
	}
	n.TotalCPU, n.TotalMem = f.CPU, f.MemoryKB
	if h.State == one.HostInit || h.State == one.HostError {
		n.State = one.HostMonitored
	}
	tx.PutHost(withReserved(&tx.State, &n))
	return nil
}

// real tells whether a driver runs machines on hardware through libvirt.
func real(driver string) bool { return driver == "kvm" || driver == "qemu" }

// LoseHost puts a host that has been silent for too long in ERROR.
func (c *Cloud) LoseHost(tx *store.Tx, host int) error {
	h, ok := tx.Hosts.Get(host)
	if !ok || h.State != one.HostMonitored && h.State != one.HostInit {
		return nil
	}
	n := *h
	n.State = one.HostError
	n.Template = h.Template.With("ERROR", "the host's agent does not answer")
	tx.PutHost(&n)
	return nil
}

// withReserved returns the host with its usable capacity: the total less what
// the host, else its cluster, reserves. Source: VM lifecycle reference §8.5.
func withReserved(st *store.State, h *one.Host) *one.Host {
	var cluster *tmpl.Template
	if cl, ok := st.Clusters.Get(h.ClusterID); ok {
		cluster = cl.Template
	}
	n := *h
	n.MaxCPU = lessReserved(h.TotalCPU, firstOf(h.Template.Get("RESERVED_CPU"), cluster.Get("RESERVED_CPU")))
	n.MaxMem = lessReserved(h.TotalMem, firstOf(h.Template.Get("RESERVED_MEM"), cluster.Get("RESERVED_MEM")))
	return &n
}

// lessReserved takes a number or a percentage from a total; negative ones add.
func lessReserved(total int64, reserved string) int64 {
	reserved = strings.TrimSpace(reserved)
	if p, ok := strings.CutSuffix(reserved, "%"); ok {
		if f, err := strconv.ParseFloat(strings.TrimSpace(p), 64); err == nil {
			return int64(float64(total) * (1 - f/100))
		}
		return total
	}
	if n, err := strconv.ParseInt(reserved, 10, 64); err == nil {
		return total - n
	}
	return total
}
