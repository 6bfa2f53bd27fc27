package domainxml

import (
	"fmt"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// deviceBuilder returns a builder that knows what devices depend on.
func deviceBuilder(m *agentapi.Machine, o Options) (*builder, error) {
	b, err := newBuilder(m, o)
	if err != nil {
		return nil, err
	}
	for _, configure := range []func(*builder) error{(*builder).cpu, (*builder).os} {
		if err := configure(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// NIC returns the document of one NIC of a VM, to be given to its domain while
// that runs: it has no place in the boot order.
func NIC(m *agentapi.Machine, v tmpl.Vector, o Options) (string, error) {
	b, err := deviceBuilder(m, o)
	if err != nil {
		return "", err
	}
	n, err := b.nic(v)
	if err != nil {
		return "", fmt.Errorf("NIC %s: %w", v.Get("NIC_ID"), err)
	}
	n.Boot = nil
	return n.Marshal()
}

// Disk returns the document of one disk of a VM, to be given to its domain while
// that runs: it has no place in the boot order. With it comes the controller that
// it must have, "" for none.
func Disk(m *agentapi.Machine, v tmpl.Vector, o Options) (disk, controller string, err error) {
	b, err := deviceBuilder(m, o)
	if err != nil {
		return "", "", err
	}
	d, err := b.disk(v)
	if err != nil {
		return "", "", fmt.Errorf("DISK %s: %w", v.Get("DISK_ID"), err)
	}
	d.Boot = nil
	if disk, err = d.Marshal(); err != nil || !b.scsi {
		return disk, "", err
	}
	c := b.scsiController()
	controller, err = c.Marshal()
	return disk, controller, err
}

// ContextDisk returns the document of the CD with a VM's context, or of its
// drive without a CD. The VM must have one.
func ContextDisk(m *agentapi.Machine, o Options, loaded bool) (string, error) {
	b, err := deviceBuilder(m, o)
	if err != nil {
		return "", err
	}
	if err := b.contextDisk(); err != nil {
		return "", err
	}
	d := b.devices.Disks[0]
	if !loaded {
		d.Source = nil
	}
	return d.Marshal()
}

// Limits returns the limits of a NIC as libvirt names them, in KB and KB/s, 0 for
// none.
func Limits(v tmpl.Vector) (map[string]uint32, error) {
	out := map[string]uint32{}
	for way, element := range map[string]string{"INBOUND": "inbound", "OUTBOUND": "outbound"} {
		for key, field := range map[string]string{"_AVG_BW": ".average", "_PEAK_BW": ".peak", "_PEAK_KB": ".burst"} {
			n, err := whole(way+key, v.Get(way+key), 0, 0, 1<<31-1)
			if err != nil {
				return nil, err
			}
			out[element+field] = uint32(n)
		}
	}
	return out, nil
}
