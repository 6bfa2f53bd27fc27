package libvirt

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"

	rpc "github.com/digitalocean/go-libvirt"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/hypervisor/libvirt/domainxml"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

var _ hypervisor.NICChanger = (*Driver)(nil)

// AttachNIC implements hypervisor.NICChanger.
func (d *Driver) AttachNIC(ctx context.Context, m *agentapi.Machine, nic tmpl.Vector) error {
	doc, err := domainxml.NIC(m, nic, d.options(m, "/"))
	if err != nil {
		return err
	}
	return d.onRunning(ctx, "attach NIC "+nic.Get("NIC_ID")+" to", m.Domain, func(l *rpc.Libvirt, dom rpc.Domain) error {
		if there, err := hasNIC(l, dom, nic); err != nil || there {
			return err
		}
		return l.DomainAttachDeviceFlags(dom, doc, uint32(rpc.DomainDeviceModifyLive))
	})
}

// letGoTime is how long a guest is waited for before it is asked again to let go
// of a device: one that has not booted yet does not hear.
const letGoTime = 5 * time.Second

// DetachNIC implements hypervisor.NICChanger. libvirt only passes the request on;
// that the NIC is gone is seen in the domain.
func (d *Driver) DetachNIC(ctx context.Context, m *agentapi.Machine, nic tmpl.Vector) error {
	doc, err := domainxml.NIC(m, nic, d.options(m, "/"))
	if err != nil {
		return err
	}
	return d.detach(ctx, "detach NIC "+nic.Get("NIC_ID")+" from", m.Domain, doc, func(l *rpc.Libvirt, dom rpc.Domain) (bool, error) {
		return hasNIC(l, dom, nic)
	})
}

// detach asks the guest of a domain to let go of a device until it has; has tells
// whether the domain has the device.
func (d *Driver) detach(ctx context.Context, what, domain, doc string, has func(*rpc.Libvirt, rpc.Domain) (bool, error)) error {
	look := time.NewTicker(pollTime)
	defer look.Stop()
	for asked := (time.Time{}); ; {
		there := false
		err := d.onRunning(ctx, what, domain, func(l *rpc.Libvirt, dom rpc.Domain) (err error) {
			if there, err = has(l, dom); err != nil || !there || time.Since(asked) < letGoTime {
				return err
			}
			err = l.DomainDetachDeviceFlags(dom, doc, uint32(rpc.DomainDeviceModifyLive))
			if hasCode(err, rpc.ErrDeviceMissing) || !asked.IsZero() && !hasCode(err, rpc.ErrNoDomain) {
				err = nil // it has gone just now, or what was asked before is still under way
			}
			asked = time.Now()
			return err
		})
		if err != nil || !there {
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("%s %s: the guest does not let go of it: %w", what, domain, context.Cause(ctx))
		}
	}
}

// UpdateNIC implements hypervisor.NICChanger.
func (d *Driver) UpdateNIC(ctx context.Context, m *agentapi.Machine, nic tmpl.Vector) error {
	limits, err := domainxml.Limits(nic)
	if err != nil {
		return err
	}
	params := make([]rpc.TypedParam, 0, len(limits))
	for name, n := range limits {
		params = append(params, rpc.TypedParam{Field: name, Value: *rpc.NewTypedParamValueUint(n)})
	}
	return d.onRunning(ctx, "limit NIC "+nic.Get("NIC_ID")+" of", m.Domain, func(l *rpc.Libvirt, dom rpc.Domain) error {
		return l.DomainSetInterfaceParameters(dom, strings.ToLower(nic.Get("MAC")), params, uint32(rpc.DomainAffectLive))
	})
}

// ChangeContext gives a running domain the context disk that was built since it
// has its own: the old one is taken out of the drive and the new one put in, which
// the guest notices.
func (d *Driver) ChangeContext(ctx context.Context, m *agentapi.Machine, dir string) error {
	if m.Context == nil {
		return nil
	}
	var docs []string
	for _, loaded := range []bool{false, true} {
		doc, err := domainxml.ContextDisk(m, d.options(m, dir), loaded)
		if err != nil {
			return err
		}
		docs = append(docs, doc)
	}
	return d.onRunning(ctx, "change the context disk of", m.Domain, func(l *rpc.Libvirt, dom rpc.Domain) error {
		for _, doc := range docs {
			// A guest that has it mounted keeps the drive shut, unless forced.
			if err := l.DomainUpdateDeviceFlags(dom, doc, rpc.DomainDeviceModifyLive|rpc.DomainDeviceModifyForce); err != nil {
				return err
			}
		}
		return nil
	})
}

// hasNIC tells whether a domain has a NIC, by its MAC.
func hasNIC(l *rpc.Libvirt, dom rpc.Domain, nic tmpl.Vector) (bool, error) {
	if nic.Get("MAC") == "" {
		return false, errors.New("the NIC has no MAC")
	}
	doc, err := l.DomainGetXMLDesc(dom, 0)
	if err != nil {
		return false, err
	}
	var now struct {
		NICs []struct {
			MAC struct {
				Address string `xml:"address,attr"`
			} `xml:"mac"`
		} `xml:"devices>interface"`
	}
	if err := xml.Unmarshal([]byte(doc), &now); err != nil {
		return false, fmt.Errorf("read the domain: %w", err)
	}
	for _, n := range now.NICs {
		if strings.EqualFold(n.MAC.Address, nic.Get("MAC")) {
			return true, nil
		}
	}
	return false, nil
}
