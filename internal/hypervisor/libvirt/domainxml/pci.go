package domainxml

import (
	"fmt"
	"strconv"

	xml "libvirt.org/go/libvirtxml"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// pci is the PCI devices of the host that the scheduler has given to the VM.
func (b *builder) pci() error {
	for _, v := range b.t.Vectors("PCI") {
		dev, err := hostdev(v)
		if err != nil {
			return fmt.Errorf("PCI %s: %w", v.Get("PCI_ID"), err)
		}
		b.devices.Hostdevs = append(b.devices.Hostdevs, dev)
	}
	return nil
}

func hostdev(v tmpl.Vector) (xml.DomainHostdev, error) {
	if uuid := v.Get("UUID"); uuid != "" {
		return xml.DomainHostdev{SubsysMDev: &xml.DomainHostdevSubsysMDev{
			Model: "vfio-pci", Source: &xml.DomainHostdevSubsysMDevSource{Address: &xml.DomainAddressMDev{UUID: uuid}},
		}}, nil
	}
	source, err := pciAddress(v, "")
	if err != nil {
		return xml.DomainHostdev{}, err
	}
	dev := xml.DomainHostdev{Managed: "yes", SubsysPCI: &xml.DomainHostdevSubsysPCI{Source: &xml.DomainHostdevSubsysPCISource{Address: source}}}
	if v.Has("VM_BUS") {
		guest, err := pciAddress(v, "VM_")
		if err != nil {
			return dev, err
		}
		dev.Address = &xml.DomainAddress{PCI: guest}
	}
	return dev, nil
}

// pciAddress reads DOMAIN, BUS, SLOT and FUNCTION, hexadecimal with or without 0x.
func pciAddress(v tmpl.Vector, prefix string) (*xml.DomainAddressPCI, error) {
	var a xml.DomainAddressPCI
	for _, part := range []struct {
		key   string
		bits  int
		field **uint
	}{{"DOMAIN", 16, &a.Domain}, {"BUS", 8, &a.Bus}, {"SLOT", 5, &a.Slot}, {"FUNCTION", 3, &a.Function}} {
		key := prefix + part.key
		s := v.Get(key)
		if len(s) > 2 && s[:2] == "0x" {
			s = s[2:]
		}
		n, err := strconv.ParseUint(s, 16, part.bits)
		if err != nil {
			return nil, fmt.Errorf("%s %q: expected a hexadecimal number of %d bits", key, v.Get(key), part.bits)
		}
		*part.field = new(uint(n))
	}
	return &a, nil
}
