// Package domainxml turns a VM into a libvirt domain. It only writes: what
// libvirt says of a domain is never read, changed and written back, because the
// Go types know less than libvirt does.
//
// One configurator per kind of device reads its part of the VM's template and
// adds to the domain. All are pure: the same VM gives the same document.
// Source: resources reference §9.1 (mapping) and §9.2 (defaults).
package domainxml

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	xml "libvirt.org/go/libvirtxml"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// The types of domains.
const (
	KVM  = "kvm"  // by the processor's virtualization
	QEMU = "qemu" // by software
)

// Options is what a domain takes from its host.
type Options struct {
	Type           string   // KVM or QEMU
	Dir            string   // the VM's directory
	UUID           string   // "" for libvirt to choose, unless OS/UUID is set
	Emulator       string   // "" for libvirt to choose, unless EMULATOR is set
	Firmwares      []string // UEFI images a VM may name; the usual ones when nil
	CgroupV2       bool     // the host's CPU shares are those of control groups version 2
	Version        string   // of the cloud, for the metadata
	DeploymentTime int64    // epoch seconds, for the metadata
}

// usualFirmwares is the UEFI images a VM may have when the host does not say.
// Source: resources reference §9.2, OVMF_UEFIS.
var usualFirmwares = []string{
	"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_CODE.secboot.fd", "/usr/share/AAVMF/AAVMF_CODE.fd",
}

// builder is what configurators work on.
type builder struct {
	Options
	m       *agentapi.Machine
	t       *tmpl.Template
	domain  *xml.Domain
	devices *xml.DomainDeviceList

	vcpus  uint // at start
	q35    bool
	boot   map[string]uint // "disk0", "nic1" → place in the boot order
	scsi   bool            // a disk is on the virtio-scsi controller
	virtio virtioQueues

	raw, rawDevices string // passed through, into the domain and among its devices
}

// Build returns the domain document of a VM. Errors name the attribute at fault
// and what was expected.
func Build(m *agentapi.Machine, o Options) (string, error) {
	b, err := newBuilder(m, o)
	if err != nil {
		return "", err
	}
	// Order matters in three places: CPU before whatever has a queue per CPU, OS
	// before whatever depends on the machine or can be booted from, disks before
	// the controllers they need.
	for _, configure := range []func(*builder) error{
		(*builder).identity, (*builder).cpu, (*builder).memory, (*builder).topology, (*builder).os, (*builder).features,
		(*builder).cpuModel, (*builder).disks, (*builder).contextDisk, (*builder).controllers, (*builder).nics,
		(*builder).pci, (*builder).graphics, (*builder).video, (*builder).inputs, (*builder).always,
		(*builder).rawData, (*builder).metadata,
	} {
		if err := configure(b); err != nil {
			return "", err
		}
	}
	return b.marshal()
}

func newBuilder(m *agentapi.Machine, o Options) (*builder, error) {
	if o.Type != KVM && o.Type != QEMU {
		return nil, fmt.Errorf("domain type %q: expected %s or %s", o.Type, KVM, QEMU)
	}
	if m.Domain == "" || !filepath.IsAbs(o.Dir) {
		return nil, errors.New("a domain needs a name and an absolute directory")
	}
	if o.Firmwares == nil {
		o.Firmwares = usualFirmwares
	}
	b := &builder{
		Options: o, m: m, t: m.Template,
		domain: &xml.Domain{Type: o.Type, Name: m.Domain, Devices: &xml.DomainDeviceList{}},
		boot:   make(map[string]uint),
	}
	b.devices = b.domain.Devices
	return b, nil
}

// qemuSpace lets RAW data use the elements of the QEMU driver's own namespace.
const qemuSpace = ` xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0"`

func (b *builder) marshal() (string, error) {
	doc, err := b.domain.Marshal()
	if err != nil {
		return "", fmt.Errorf("write domain document: %w", err)
	}
	body, ok := strings.CutPrefix(strings.TrimSpace(doc), "<domain")
	const end = "</devices>"
	last := strings.LastIndex(body, end)
	if !ok || last < 0 || !strings.HasSuffix(body, "</domain>") {
		return "", errors.New("write domain document: it has not the elements it should have")
	}
	// The devices are the last element of those that are written here.
	return "<domain" + qemuSpace + body[:last] + b.rawDevices + end + b.raw + "\n</domain>\n", nil
}

func (b *builder) identity() error {
	b.domain.Title = strings.Join(strings.Fields(b.m.Title), " ") // a title has one line
	b.domain.UUID = cmp.Or(b.t.Vector("OS").Get("UUID"), b.UUID)
	b.devices.Emulator = cmp.Or(b.t.Get("EMULATOR"), b.Emulator)
	return nil
}

// path is a file in the VM's directory.
func (b *builder) path(name string) string { return filepath.Join(b.Dir, name) }

// whole reads a whole number between limits; def is what an absent one means.
func whole(key, value string, def, low, high uint64) (uint64, error) {
	if value == "" {
		return def, nil
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%s %q: expected a whole number from %d to %d", key, value, low, high)
	}
	return n, nil
}

// number reads the number of a device, which must be there.
func number(key, value string) (uint64, error) {
	if value == "" {
		return 0, fmt.Errorf("%s is missing", key)
	}
	return whole(key, value, 0, 0, 9999)
}

// oneOf refuses a value that is none of those.
func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s %q: expected one of %s", key, value, strings.Join(allowed, ", "))
}

// isYes reads a flag whose absence means def.
func isYes(v tmpl.Vector, key string, def bool) bool {
	s, ok := v.Lookup(key)
	if !ok || s == "" {
		return def
	}
	return tmpl.IsYes(s)
}
