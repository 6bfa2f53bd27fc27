package domainxml

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	xml "libvirt.org/go/libvirtxml"
)

// Limits of what libvirt and the kernel take.
const (
	maxVCPUs    = 4096
	maxMemoryMB = 1 << 30 // a pebibyte
)

// cpu is VCPU, VCPU_MAX and CPU.
func (b *builder) cpu() error {
	vcpus, err := whole("VCPU", b.t.Get("VCPU"), 1, 1, maxVCPUs)
	if err != nil {
		return err
	}
	most, err := whole("VCPU_MAX", b.t.Get("VCPU_MAX"), vcpus, 1, maxVCPUs)
	if err != nil {
		return err
	}
	b.vcpus = uint(vcpus)
	b.domain.VCPU = &xml.DomainVCPU{Value: uint(vcpus)}
	if most > vcpus {
		b.domain.VCPU = &xml.DomainVCPU{Value: uint(most), Current: uint(vcpus)}
	}
	share := 1.0
	if s := b.t.Get("CPU"); s != "" {
		if share, err = strconv.ParseFloat(s, 64); err != nil || !(share > 0) || share > 1e6 {
			return fmt.Errorf("CPU %q: expected a number greater than 0", s)
		}
	}
	b.domain.CPUTune = &xml.DomainCPUTune{Shares: &xml.DomainCPUTuneShares{Value: shares(share, b.CgroupV2)}}
	return nil
}

// shares is the weight of a number of cores. Control groups have 1024 for one
// core, version 2 of them 100.
func shares(cores float64, v2 bool) uint {
	unit, low, high := 1024.0, 2.0, 262144.0
	if v2 {
		unit, low, high = 100, 1, 10000
	}
	return uint(math.Round(min(max(cores*unit, low), high)))
}

// memory is MEMORY, MEMORY_MAX and how it is resized.
func (b *builder) memory() error {
	mb, err := whole("MEMORY", b.t.Get("MEMORY"), 0, 1, maxMemoryMB)
	if err != nil {
		return err
	}
	if mb == 0 {
		return fmt.Errorf("MEMORY is missing, expected a number of MB")
	}
	most, err := whole("MEMORY_MAX", b.t.Get("MEMORY_MAX"), mb, 1, maxMemoryMB)
	if err != nil {
		return err
	}
	now := uint(mb << 10)
	b.domain.Memory = &xml.DomainMemory{Value: now, Unit: "KiB"}
	if most <= mb {
		return nil
	}
	switch mode := cmp.Or(b.t.Get("MEMORY_RESIZE_MODE"), "BALLOONING"); mode {
	case "BALLOONING":
		b.domain.Memory.Value = uint(most << 10)
		b.domain.CurrentMemory = &xml.DomainCurrentMemory{Value: now, Unit: "KiB"}
	case "HOTPLUG":
		slots, err := whole("MEMORY_SLOTS", b.t.Get("MEMORY_SLOTS"), 16, 1, 256)
		if err != nil {
			return err
		}
		b.domain.MaximumMemory = &xml.DomainMaxMemory{Value: uint(most << 10), Unit: "KiB", Slots: uint(slots)}
		if !b.t.Has("NUMA_NODE") { // memory can only be plugged into a node
			b.cpuElement().Numa = &xml.DomainNuma{Cell: []xml.DomainCell{{
				ID: new(uint(0)), CPUs: span(0, b.domain.VCPU.Value), Memory: now, Unit: "KiB",
			}}}
		}
	default:
		return oneOf("MEMORY_RESIZE_MODE", mode, "BALLOONING", "HOTPLUG")
	}
	return nil
}

// span is n CPUs from first on, as libvirt writes a set.
func span(first, n uint) string {
	if n == 1 {
		return strconv.FormatUint(uint64(first), 10)
	}
	return fmt.Sprintf("%d-%d", first, first+n-1)
}

func (b *builder) cpuElement() *xml.DomainCPU {
	if b.domain.CPU == nil {
		b.domain.CPU = &xml.DomainCPU{}
	}
	return b.domain.CPU
}

// passthrough is the CPU model that is the host's own.
const passthrough = "host-passthrough"

// cpuModel is CPU_MODEL. A domain in software cannot have the host's own
// processor, and gets all that software can offer in its place.
func (b *builder) cpuModel() error {
	v := b.t.Vector("CPU_MODEL")
	model := v.Get("MODEL")
	if model == "" {
		return nil
	}
	cpu := b.cpuElement()
	switch {
	case model != passthrough:
		cpu.Mode, cpu.Match = "custom", "exact"
		cpu.Model = &xml.DomainCPUModel{Value: model, Fallback: "forbid"}
	case b.Type == KVM:
		cpu.Mode = passthrough
	default:
		cpu.Mode = "maximum"
	}
	for name := range strings.SplitSeq(v.Get("FEATURES"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			cpu.Features = append(cpu.Features, xml.DomainCPUFeature{Policy: "require", Name: name})
		}
	}
	return nil
}
