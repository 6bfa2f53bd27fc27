package domainxml

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	xml "libvirt.org/go/libvirtxml"
)

// word is what architectures and machines may look like.
var word = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// os is what the domain boots: OS, and the kernel and initial RAM disk that are
// in the VM's directory.
func (b *builder) os() error {
	v := b.t.Vector("OS")
	arch := cmp.Or(v.Get("ARCH"), "x86_64")
	machine := v.Get("MACHINE")
	if machine == "" && (arch == "x86_64" || arch == "i686") {
		machine = "pc" // q35 has no IDE, where the context disk is
	}
	for key, value := range map[string]string{"OS/ARCH": arch, "OS/MACHINE": machine} {
		if value != "" && !word.MatchString(value) {
			return fmt.Errorf("%s %q: expected letters, digits, dots and dashes", key, value)
		}
	}
	b.q35 = strings.HasPrefix(machine, "q35") || strings.Contains(machine, "-q35")
	os := &xml.DomainOS{Type: &xml.DomainOSType{Arch: arch, Machine: machine, Type: "hvm"}}
	b.domain.OS = os
	if loader := v.Get("BOOTLOADER"); loader != "" {
		b.domain.Bootloader = loader
	}
	if b.m.Kernel != "" {
		os.Kernel = b.path("kernel")
		if b.m.Initrd != "" {
			os.Initrd = b.path("initrd")
		}
		os.Cmdline = v.Get("KERNEL_CMD")
		if root := v.Get("ROOT"); root != "" {
			os.Cmdline = strings.TrimSpace("root=/dev/" + root + " " + os.Cmdline)
		}
	}
	if err := b.firmware(); err != nil {
		return err
	}
	return b.bootOrder(v.Get("BOOT"))
}

// firmware is OS/FIRMWARE: BIOS, or the path of a UEFI image, whose variables
// are kept in the VM's directory. A guest can read its firmware, so that it must
// be one the host offers.
func (b *builder) firmware() error {
	v := b.t.Vector("OS")
	path := v.Get("FIRMWARE")
	if path == "" || strings.EqualFold(path, "BIOS") {
		return nil
	}
	if err := oneOf("OS/FIRMWARE", path, append([]string{"BIOS"}, b.Firmwares...)...); err != nil {
		return err
	}
	secure := "no"
	if v.Bool("FIRMWARE_SECURE") {
		secure = "yes"
		b.featureList().SMM = &xml.DomainFeatureSMM{State: "on"}
	}
	b.domain.OS.Loader = &xml.DomainLoader{Path: path, Readonly: "yes", Secure: secure, Type: "pflash"}
	b.domain.OS.NVRam = &xml.DomainNVRam{NVRam: b.path(b.m.Domain + "_VARS.fd")}
	return nil
}

var (
	bootDevice = regexp.MustCompile(`^(disk|nic)[0-9]{1,4}$`)
	bootKind   = []string{"hd", "cdrom", "network", "fd"}
)

// bootOrder is OS/BOOT: devices in order, or in the old way kinds of devices.
func (b *builder) bootOrder(list string) error {
	if strings.TrimSpace(list) == "" {
		return nil
	}
	var kinds []xml.DomainBootDevice
	for i, name := range strings.Split(list, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case bootDevice.MatchString(name):
			b.boot[name] = uint(i) + 1
		case oneOf("", name, bootKind...) == nil:
			kinds = append(kinds, xml.DomainBootDevice{Dev: name})
		default:
			return fmt.Errorf("Wrong OS/BOOT value: %q should be a comma-separated list of disk# or nic#", list)
		}
	}
	if len(kinds) > 0 && len(b.boot) > 0 {
		return fmt.Errorf("OS/BOOT %q: expected either devices (disk0,nic0) or kinds of devices (hd,network)", list)
	}
	b.domain.OS.BootDevices = kinds
	return nil
}

// bootPlace is the place of a device in the boot order: its own ORDER, else what
// OS/BOOT says of it. nil: it has none.
func (b *builder) bootPlace(order, device string) (*xml.DomainDeviceBoot, error) {
	place, err := whole("ORDER", order, uint64(b.boot[device]), 1, 10000)
	if err != nil || place == 0 {
		return nil, err
	}
	return &xml.DomainDeviceBoot{Order: uint(place)}, nil
}

func (b *builder) featureList() *xml.DomainFeatureList {
	if b.domain.Features == nil {
		b.domain.Features = &xml.DomainFeatureList{}
	}
	return b.domain.Features
}

// virtioQueues is how many queues devices get that do not say.
type virtioQueues struct{ scsi, block *uint }

// features is FEATURES and the clock.
func (b *builder) features() error {
	v := b.t.Vector("FEATURES")
	f := b.featureList()
	if isYes(v, "PAE", false) {
		f.PAE = &xml.DomainFeature{}
	}
	if isYes(v, "ACPI", true) {
		f.ACPI = &xml.DomainFeature{}
	}
	if isYes(v, "APIC", false) {
		f.APIC = &xml.DomainFeatureAPIC{}
	}
	clock := &xml.DomainClock{Offset: "utc"}
	if isYes(v, "LOCALTIME", false) {
		clock.Offset = "localtime"
	}
	b.domain.Clock = clock
	if isYes(v, "HYPERV", false) {
		on := xml.DomainFeatureState{State: "on"}
		f.HyperV = &xml.DomainFeatureHyperV{
			Relaxed: &on, VAPIC: &on, Spinlocks: &xml.DomainFeatureHyperVSpinlocks{DomainFeatureState: on, Retries: 4096},
		}
		clock.Timer = []xml.DomainTimer{
			{Name: "hypervclock", Present: "yes"}, {Name: "rtc", TickPolicy: "catchup"},
			{Name: "pit", TickPolicy: "delay"}, {Name: "hpet", Present: "no"},
		}
	}
	if isYes(v, "GUEST_AGENT", true) {
		b.devices.Channels = append(b.devices.Channels, xml.DomainChannel{
			Source: &xml.DomainChardevSource{UNIX: &xml.DomainChardevSourceUNIX{Mode: "bind"}},
			Target: &xml.DomainChannelTarget{VirtIO: &xml.DomainChannelTargetVirtIO{Name: "org.qemu.guest_agent.0"}},
		})
	}
	threads, err := whole("FEATURES/IOTHREADS", v.Get("IOTHREADS"), 0, 0, 1024)
	if err != nil {
		return err
	}
	b.domain.IOThreads = uint(threads)
	if b.virtio.scsi, err = b.queues("FEATURES/VIRTIO_SCSI_QUEUES", cmp.Or(v.Get("VIRTIO_SCSI_QUEUES"), "auto")); err != nil {
		return err
	}
	b.virtio.block, err = b.queues("FEATURES/VIRTIO_BLK_QUEUES", v.Get("VIRTIO_BLK_QUEUES"))
	return err
}

// queues reads a number of queues; "auto" is one per CPU, "" is nil.
func (b *builder) queues(key, value string) (*uint, error) {
	if strings.EqualFold(value, "auto") {
		return new(b.vcpus), nil
	}
	n, err := whole(key, value, 0, 1, 1024)
	if err != nil || n == 0 {
		return nil, err
	}
	return new(uint(n)), nil
}
