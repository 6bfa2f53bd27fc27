package libvirt

import (
	"context"
	"encoding/xml"
	"fmt"
	"strconv"

	rpc "github.com/digitalocean/go-libvirt"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/hypervisor/libvirt/domainxml"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

var _ hypervisor.DiskChanger = (*Driver)(nil)

// AttachDisk implements hypervisor.DiskChanger. A SCSI disk brings its controller
// with it: libvirt's own choice is one that small kernels do not know.
func (d *Driver) AttachDisk(ctx context.Context, m *agentapi.Machine, dir string, disk tmpl.Vector) error {
	doc, controller, err := domainxml.Disk(m, disk, d.options(m, dir))
	if err != nil {
		return err
	}
	return d.onRunning(ctx, "attach disk "+disk.Get("DISK_ID")+" to", m.Domain, func(l *rpc.Libvirt, dom rpc.Domain) error {
		now, err := devicesOf(l, dom)
		if err != nil || now.hasDisk(disk) {
			return err
		}
		if controller != "" && !now.hasSCSI() {
			if err := l.DomainAttachDeviceFlags(dom, controller, uint32(rpc.DomainDeviceModifyLive)); err != nil {
				return fmt.Errorf("SCSI controller: %w", err)
			}
		}
		return l.DomainAttachDeviceFlags(dom, doc, uint32(rpc.DomainDeviceModifyLive))
	})
}

// DetachDisk implements hypervisor.DiskChanger.
func (d *Driver) DetachDisk(ctx context.Context, m *agentapi.Machine, disk tmpl.Vector) error {
	doc, _, err := domainxml.Disk(m, disk, d.options(m, "/"))
	if err != nil {
		return err
	}
	return d.detach(ctx, "detach disk "+disk.Get("DISK_ID")+" from", m.Domain, doc, func(l *rpc.Libvirt, dom rpc.Domain) (bool, error) {
		now, err := devicesOf(l, dom)
		return err == nil && now.hasDisk(disk), err
	})
}

// ResizeDisk implements hypervisor.DiskChanger.
func (d *Driver) ResizeDisk(ctx context.Context, m *agentapi.Machine, disk tmpl.Vector) error {
	size, err := strconv.ParseUint(disk.Get("SIZE"), 10, 40)
	if err != nil || size == 0 {
		return fmt.Errorf("disk %s: SIZE %q: expected a number of MB", disk.Get("DISK_ID"), disk.Get("SIZE"))
	}
	return d.onRunning(ctx, "resize disk "+disk.Get("DISK_ID")+" of", m.Domain, func(l *rpc.Libvirt, dom rpc.Domain) error {
		return l.DomainBlockResize(dom, disk.Get("TARGET"), size<<20, rpc.DomainBlockResizeBytes)
	})
}

// devices is what of a domain's devices matters to its disks.
type devices struct {
	Disks []struct {
		Target struct {
			Dev string `xml:"dev,attr"`
		} `xml:"target"`
	} `xml:"devices>disk"`
	Controllers []struct {
		Type  string `xml:"type,attr"`
		Index string `xml:"index,attr"`
	} `xml:"devices>controller"`
}

func devicesOf(l *rpc.Libvirt, dom rpc.Domain) (now devices, err error) {
	doc, err := l.DomainGetXMLDesc(dom, 0)
	if err != nil {
		return now, err
	}
	if err := xml.Unmarshal([]byte(doc), &now); err != nil {
		return now, fmt.Errorf("read the domain: %w", err)
	}
	return now, nil
}

// hasDisk tells whether the domain has a disk, by its target.
func (d devices) hasDisk(disk tmpl.Vector) bool {
	for _, v := range d.Disks {
		if v.Target.Dev == disk.Get("TARGET") {
			return true
		}
	}
	return false
}

// hasSCSI tells whether the domain has the SCSI controller that disks are on.
func (d devices) hasSCSI() bool {
	for _, c := range d.Controllers {
		if c.Type == "scsi" && c.Index == "0" {
			return true
		}
	}
	return false
}
