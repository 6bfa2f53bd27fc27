package domainxml

import (
	"fmt"
	"strconv"
	"strings"

	xml "libvirt.org/go/libvirtxml"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// topology is TOPOLOGY and the NUMA_NODEs the scheduler has filled in.
// Source: VM life cycle reference §9.
func (b *builder) topology() error {
	t := b.t.Vector("TOPOLOGY")
	if t == nil {
		return nil
	}
	var counts [3]uint64
	for i, key := range []string{"SOCKETS", "CORES", "THREADS"} {
		var err error
		if counts[i], err = whole("TOPOLOGY/"+key, t.Get(key), 0, 1, maxVCPUs); err != nil {
			return err
		}
	}
	if counts[0] > 0 && counts[1] > 0 && counts[2] > 0 {
		b.cpuElement().Topology = &xml.DomainCPUTopology{Sockets: int(counts[0]), Cores: int(counts[1]), Threads: int(counts[2])}
	}
	nodes := b.t.Vectors("NUMA_NODE")
	var first uint // vCPU of the node
	for i, v := range nodes {
		n, err := b.numaNode(uint(i), first, v, t)
		if err != nil {
			return fmt.Errorf("NUMA_NODE %d: %w", i, err)
		}
		first += n
	}
	return b.hugepages(t, uint(len(nodes)))
}

// numaNode adds one virtual node and returns its number of vCPUs.
func (b *builder) numaNode(cell, first uint, v, topology tmpl.Vector) (uint, error) {
	cpus, err := whole("TOTAL_CPUS", v.Get("TOTAL_CPUS"), 0, 1, maxVCPUs)
	if err != nil {
		return 0, err
	}
	kb, err := whole("MEMORY", v.Get("MEMORY"), 0, 1, maxMemoryMB<<10)
	if err != nil {
		return 0, err
	}
	if cpus == 0 || kb == 0 {
		return 0, fmt.Errorf("TOTAL_CPUS and MEMORY are expected")
	}
	cpu := b.cpuElement()
	if cpu.Numa == nil {
		cpu.Numa = &xml.DomainNuma{}
	}
	cpu.Numa.Cell = append(cpu.Numa.Cell, xml.DomainCell{
		ID: new(cell), CPUs: span(first, uint(cpus)), Memory: uint(kb), Unit: "KiB", MemAccess: topology.Get("MEMORY_ACCESS"),
	})
	if err := b.pin(first, uint(cpus), v.Get("CPUS"), topology.Get("PIN_POLICY")); err != nil {
		return 0, err
	}
	if node := v.Get("MEMORY_NODE_ID"); node != "" {
		if _, err := whole("MEMORY_NODE_ID", node, 0, 0, maxVCPUs); err != nil {
			return 0, err
		}
		if b.domain.NUMATune == nil {
			b.domain.NUMATune = &xml.DomainNUMATune{}
		}
		b.domain.NUMATune.MemNodes = append(b.domain.NUMATune.MemNodes, xml.DomainNUMATuneMemNode{CellID: cell, Mode: "strict", Nodeset: node})
	}
	return uint(cpus), nil
}

// pin binds vCPUs to the host's CPUs: each to its own, or all to the whole set.
func (b *builder) pin(first, n uint, set, policy string) error {
	if set == "" {
		return nil
	}
	host := strings.Split(set, ",")
	for _, c := range host {
		if _, err := strconv.ParseUint(c, 10, 16); err != nil {
			return fmt.Errorf("CPUS %q: expected numbers with commas between", set)
		}
	}
	each := policy == "CORE" || policy == "THREAD"
	if each && uint(len(host)) < n {
		return fmt.Errorf("CPUS %q: expected %d of them", set, n)
	}
	for i := range n {
		cpus := set
		if each {
			cpus = host[i]
		}
		b.domain.CPUTune.VCPUPin = append(b.domain.CPUTune.VCPUPin, xml.DomainCPUTuneVCPUPin{VCPU: first + i, CPUSet: cpus})
	}
	return nil
}

func (b *builder) hugepages(t tmpl.Vector, nodes uint) error {
	mb, err := whole("TOPOLOGY/HUGEPAGE_SIZE", t.Get("HUGEPAGE_SIZE"), 0, 1, 1<<20)
	if err != nil || mb == 0 {
		return err
	}
	page := xml.DomainMemoryHugepage{Size: uint(mb), Unit: "M"}
	if nodes > 0 {
		page.Nodeset = span(0, nodes)
	}
	b.domain.MemoryBacking = &xml.DomainMemoryBacking{MemoryHugePages: &xml.DomainMemoryHugepages{Hugepages: []xml.DomainMemoryHugepage{page}}}
	return nil
}
