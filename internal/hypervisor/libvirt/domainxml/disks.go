package domainxml

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	xml "libvirt.org/go/libvirtxml"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// target is what a disk may be called: a kind and a letter, or two.
var target = regexp.MustCompile(`^(hd|sd|vd|xvd|fd)([a-z]{1,2})$`)

// disks is the DISKs: files of the VM's directory.
func (b *builder) disks() error {
	for _, v := range b.t.Vectors("DISK") {
		d, err := b.disk(v)
		if err != nil {
			return fmt.Errorf("DISK %s: %w", v.Get("DISK_ID"), err)
		}
		b.devices.Disks = append(b.devices.Disks, d)
	}
	return nil
}

func (b *builder) disk(v tmpl.Vector) (d xml.DomainDisk, err error) {
	id, err := number("DISK_ID", v.Get("DISK_ID"))
	if err != nil {
		return d, err
	}
	format := strings.ToLower(cmp.Or(v.Get("FORMAT"), v.Get("DRIVER"), "raw"))
	cdrom := false
	file := b.path(fmt.Sprintf("disk.%d", id))
	d.Source = &xml.DomainDiskSource{File: &xml.DomainDiskSourceFile{File: file}}
	switch typ := strings.ToUpper(v.Get("TYPE")); typ {
	case "", "FILE", "FS":
	case "SWAP":
		format = "raw"
	case "CDROM":
		cdrom, format = true, "raw"
	case "BLOCK":
		d.Source = &xml.DomainDiskSource{Block: &xml.DomainDiskSourceBlock{Dev: file}}
	default:
		return d, fmt.Errorf("TYPE %s is not supported yet", typ)
	}
	if err := oneOf("FORMAT", format, "raw", "qcow2"); err != nil {
		return d, err
	}
	d.Device = "disk"
	d.Driver = &xml.DomainDiskDriver{
		Name: "qemu", Type: format, Cache: cmp.Or(v.Get("CACHE"), "none"), IO: v.Get("IO"), Discard: cmp.Or(v.Get("DISCARD"), "unmap"),
	}
	if cdrom {
		d.Device, d.Driver.Discard = "cdrom", ""
	}
	if cdrom || v.Bool("READONLY") {
		d.ReadOnly = &xml.DomainDiskReadOnly{}
	}
	if v.Bool("SHAREABLE") {
		d.Shareable = &xml.DomainDiskShareable{}
	}
	if err := b.attach(&d, v.Get("TARGET")); err != nil {
		return d, err
	}
	if err := b.diskThreads(&d, v); err != nil {
		return d, err
	}
	if d.IOTune, err = iotune(v); err != nil {
		return d, err
	}
	d.Boot, err = b.bootPlace(v.Get("ORDER"), fmt.Sprintf("disk%d", id))
	return d, err
}

// attach puts a disk on the bus its target belongs to. A disk called sd* is
// always on a virtio-scsi controller, unless OS/SD_DISK_BUS is sata: what libvirt
// would choose by itself is one that small kernels do not know.
func (b *builder) attach(d *xml.DomainDisk, name string) error {
	parts := target.FindStringSubmatch(name)
	if parts == nil {
		return fmt.Errorf("TARGET %q: expected a name as vda, sda or hda", name)
	}
	bus := "ide"
	switch parts[1] {
	case "vd":
		bus = "virtio"
	case "xvd":
		bus = "xen"
	case "fd":
		bus = "fdc"
	case "sd":
		bus = strings.ToLower(cmp.Or(b.t.Vector("OS").Get("SD_DISK_BUS"), "scsi"))
		if err := oneOf("OS/SD_DISK_BUS", bus, "scsi", "sata"); err != nil {
			return err
		}
	default:
		if b.q35 {
			bus = "sata"
		}
	}
	d.Target = &xml.DomainDiskTarget{Dev: name, Bus: bus}
	if bus == "scsi" {
		b.scsi = true
		zero := uint(0)
		d.Address = &xml.DomainAddress{Drive: &xml.DomainAddressDrive{Controller: &zero, Bus: &zero, Target: new(letters(parts[2])), Unit: &zero}}
	}
	return nil
}

// letters is the place of a, b … z, aa, ab … among disks.
func letters(s string) uint {
	n := uint(0)
	for _, c := range s {
		n = n*26 + uint(c-'a') + 1
	}
	return n - 1
}

// diskThreads is IOTHREAD and VIRTIO_BLK_QUEUES, which only virtio disks have.
func (b *builder) diskThreads(d *xml.DomainDisk, v tmpl.Vector) error {
	if d.Target.Bus != "virtio" {
		return nil
	}
	thread, err := whole("IOTHREAD", v.Get("IOTHREAD"), 0, 1, 1024)
	if err != nil {
		return err
	}
	if thread > 0 {
		d.Driver.IOThread = new(uint(thread))
	}
	if d.Driver.Queues, err = b.queues("VIRTIO_BLK_QUEUES", v.Get("VIRTIO_BLK_QUEUES")); err != nil {
		return err
	}
	if d.Driver.Queues == nil {
		d.Driver.Queues = b.virtio.block
	}
	return nil
}

// iotune is the limits of a disk: the attributes are libvirt's elements in
// capitals. nil: there are none.
func iotune(v tmpl.Vector) (*xml.DomainDiskIOTune, error) {
	var tune xml.DomainDiskIOTune
	fields := reflect.ValueOf(&tune).Elem()
	set := false
	for i := range fields.NumField() {
		if fields.Field(i).Kind() != reflect.Uint64 {
			continue
		}
		element, _, _ := strings.Cut(fields.Type().Field(i).Tag.Get("xml"), ",")
		key := strings.ToUpper(element)
		n, err := whole(key, v.Get(key), 0, 0, 1<<62)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			fields.Field(i).SetUint(n)
			set = true
		}
	}
	if !set {
		return nil, nil
	}
	return &tune, nil
}

// contextDisk is the CD with the VM's context.
func (b *builder) contextDisk() error {
	c := b.m.Context
	if c == nil {
		return nil
	}
	d := xml.DomainDisk{
		Device:   "cdrom",
		Driver:   &xml.DomainDiskDriver{Name: "qemu", Type: "raw"},
		Source:   &xml.DomainDiskSource{File: &xml.DomainDiskSourceFile{File: b.path(fmt.Sprintf("disk.%d", c.DiskID))}},
		ReadOnly: &xml.DomainDiskReadOnly{},
	}
	if err := b.attach(&d, cmp.Or(c.Target, "hda")); err != nil {
		return fmt.Errorf("CONTEXT: %w", err)
	}
	b.devices.Disks = append(b.devices.Disks, d)
	return nil
}

// scsiController is the one that disks called sd* are on.
func (b *builder) scsiController() xml.DomainController {
	c := xml.DomainController{Type: "scsi", Index: new(uint(0)), Model: "virtio-scsi"}
	if b.virtio.scsi != nil {
		c.Driver = &xml.DomainControllerDriver{Queues: b.virtio.scsi}
	}
	return c
}

// rootPorts is how many devices a q35 machine has room for.
const rootPorts = 16

// controllers is what disks and machine need.
func (b *builder) controllers() error {
	add := func(c xml.DomainController) { b.devices.Controllers = append(b.devices.Controllers, c) }
	if b.scsi {
		add(b.scsiController())
	}
	if b.q35 {
		add(xml.DomainController{Type: "pci", Index: new(uint(0)), Model: "pcie-root"})
		for i := range uint(rootPorts) {
			add(xml.DomainController{Type: "pci", Index: new(i + 1), Model: "pcie-root-port"})
		}
	}
	return nil
}
