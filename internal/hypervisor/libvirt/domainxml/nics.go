package domainxml

import (
	"cmp"
	"fmt"
	"net"
	"strings"

	xml "libvirt.org/go/libvirtxml"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// nics is the NICs. Aliases are addresses of their NICs and no devices.
func (b *builder) nics() error {
	for _, v := range b.t.Vectors("NIC") {
		n, err := b.nic(v)
		if err != nil {
			return fmt.Errorf("NIC %s: %w", v.Get("NIC_ID"), err)
		}
		b.devices.Interfaces = append(b.devices.Interfaces, n)
	}
	return nil
}

func (b *builder) nic(v tmpl.Vector) (n xml.DomainInterface, err error) {
	id, err := number("NIC_ID", v.Get("NIC_ID"))
	if err != nil {
		return n, err
	}
	bridge := v.Get("BRIDGE")
	switch typ := v.Get("BRIDGE_TYPE"); typ {
	case "", "linux":
	case "openvswitch":
		n.VirtualPort = &xml.DomainInterfaceVirtualPort{
			Params: &xml.DomainInterfaceVirtualPortParams{OpenVSwitch: &xml.DomainInterfaceVirtualPortParamsOpenVSwitch{}},
		}
	default:
		return n, fmt.Errorf("BRIDGE_TYPE %s is not supported yet", typ)
	}
	n.Source = &xml.DomainInterfaceSource{Bridge: &xml.DomainInterfaceSourceBridge{Bridge: bridge}}
	if bridge == "" {
		n.Source = &xml.DomainInterfaceSource{Ethernet: &xml.DomainInterfaceSourceEthernet{}}
		n.VirtualPort = nil
	}
	if mac := v.Get("MAC"); mac != "" {
		if hw, err := net.ParseMAC(mac); err != nil || len(hw) != 6 {
			return n, fmt.Errorf("MAC %q: expected six bytes as 02:00:0a:00:00:01", mac)
		}
		n.MAC = &xml.DomainInterfaceMAC{Address: mac}
	}
	dev := cmp.Or(v.Get("TARGET"), fmt.Sprintf("one-%d-%d", b.m.ID, id))
	if len(dev) > 15 || strings.ContainsAny(dev, "/: \t\n") {
		return n, fmt.Errorf("TARGET %q: expected the name of an interface, at most 15 characters", dev)
	}
	n.Target = &xml.DomainInterfaceTarget{Dev: dev}
	model := cmp.Or(v.Get("MODEL"), "virtio")
	n.Model = &xml.DomainInterfaceModel{Type: model}
	if queues, err := b.queues("VIRTIO_QUEUES", v.Get("VIRTIO_QUEUES")); err != nil {
		return n, err
	} else if queues != nil && model == "virtio" {
		n.Driver = &xml.DomainInterfaceDriver{Name: "vhost", Queues: *queues}
	}
	if script := v.Get("SCRIPT"); script != "" {
		n.Script = &xml.DomainInterfaceScript{Path: script}
	}
	if filter := v.Get("FILTER"); filter != "" {
		n.FilterRef = &xml.DomainInterfaceFilterRef{Filter: filter}
		if ip := v.Get("IP"); ip != "" {
			n.FilterRef.Parameters = []xml.DomainInterfaceFilterParam{{Name: "IP", Value: ip}}
		}
	}
	if n.Bandwidth, err = bandwidth(v); err != nil {
		return n, err
	}
	n.Boot, err = b.bootPlace(v.Get("ORDER"), fmt.Sprintf("nic%d", id))
	return n, err
}

// bandwidth is the limits of a NIC in KB and KB/s. nil: there are none.
func bandwidth(v tmpl.Vector) (*xml.DomainInterfaceBandwidth, error) {
	in, err := direction(v, "INBOUND")
	if err != nil {
		return nil, err
	}
	out, err := direction(v, "OUTBOUND")
	if err != nil || in == nil && out == nil {
		return nil, err
	}
	return &xml.DomainInterfaceBandwidth{Inbound: in, Outbound: out}, nil
}

func direction(v tmpl.Vector, name string) (*xml.DomainInterfaceBandwidthParams, error) {
	var p xml.DomainInterfaceBandwidthParams
	for key, field := range map[string]**int{"_AVG_BW": &p.Average, "_PEAK_BW": &p.Peak, "_PEAK_KB": &p.Burst} {
		n, err := whole(name+key, v.Get(name+key), 0, 0, 1<<31-1)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			*field = new(int(n))
		}
	}
	if p == (xml.DomainInterfaceBandwidthParams{}) {
		return nil, nil
	}
	return &p, nil
}
