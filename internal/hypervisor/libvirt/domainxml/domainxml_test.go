package domainxml

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	libvirtxml "libvirt.org/go/libvirtxml"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/golden"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// machine is VM 7 with the template given as text.
func machine(t testing.TB, text string) *agentapi.Machine {
	t.Helper()
	parsed, err := tmpl.ParseText(text)
	if err != nil {
		t.Fatal(err)
	}
	return &agentapi.Machine{
		ID: 7, Domain: "one-7", Title: "web <1>", UName: "alice", GName: "users", UID: 2, GID: 100, STime: 1700000000, Template: parsed,
	}
}

func options() Options {
	return Options{Type: QEMU, Dir: "/var/lib/one/datastores/0/7", Version: "6.8.3", DeploymentTime: 1700000100}
}

// TestGolden builds testdata/*.one and compares with the .xml beside it.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.one")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d templates in testdata (%v)", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".one")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m := machine(t, string(text))
			if strings.HasPrefix(name, "kernel") {
				m.Kernel, m.Initrd = "/var/lib/one/datastores/2/vmlinuz", "/var/lib/one/datastores/2/initrd"
			}
			m.Context = &agentapi.Context{DiskID: len(m.Template.Vectors("DISK")), Target: "hdb"}
			o := options()
			o.UUID = "7b6a3c1e-5d0f-4a52-9d5c-6f1f5f3a0a07"
			if strings.HasSuffix(name, "-kvm") {
				o.Type, o.CgroupV2 = KVM, true
			}
			got, err := Build(m, o)
			if err != nil {
				t.Fatal(err)
			}
			expected := strings.TrimSuffix(file, ".one") + ".xml"
			want := golden.Want(t, expected, got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", expected, diff)
			}
		})
	}
}

// build builds a domain of a small VM with more in its template.
func build(t *testing.T, more string) libvirtxml.Domain {
	t.Helper()
	doc, err := Build(machine(t, "MEMORY=128\n"+more), options())
	if err != nil {
		t.Fatal(err)
	}
	var d libvirtxml.Domain
	if err := d.Unmarshal(doc); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCPU(t *testing.T) {
	for more, want := range map[string]uint{"": 1024, "CPU=0.25": 256, "CPU=0.001": 2, "CPU=1000": 262144, "CPU=2.5": 2560} {
		if got := build(t, more).CPUTune.Shares.Value; got != want {
			t.Errorf("%q has %d shares, want %d", more, got, want)
		}
	}
	for cores, want := range map[float64]uint{1: 100, 0.25: 25, 0.001: 1, 1000: 10000} {
		if got := shares(cores, true); got != want {
			t.Errorf("%g cores have %d shares of version 2, want %d", cores, got, want)
		}
	}
	for more, want := range map[string]libvirtxml.DomainVCPU{
		"": {Value: 1}, "VCPU=2": {Value: 2}, "VCPU=2\nVCPU_MAX=4": {Value: 4, Current: 2}, "VCPU=2\nVCPU_MAX=2": {Value: 2},
	} {
		if got := *build(t, more).VCPU; got != want {
			t.Errorf("%q has vCPUs %+v, want %+v", more, got, want)
		}
	}
}

func TestMemory(t *testing.T) {
	d := build(t, "MEMORY_MAX=256")
	if d.Memory.Value != 256<<10 || d.CurrentMemory.Value != 128<<10 || d.MaximumMemory != nil {
		t.Errorf("with a balloon: %+v %+v", d.Memory, d.CurrentMemory)
	}
	d = build(t, "VCPU=2\nMEMORY_MAX=256\nMEMORY_RESIZE_MODE=HOTPLUG\nMEMORY_SLOTS=4")
	if d.Memory.Value != 128<<10 || d.MaximumMemory.Value != 256<<10 || d.MaximumMemory.Slots != 4 ||
		len(d.CPU.Numa.Cell) != 1 || d.CPU.Numa.Cell[0].CPUs != "0-1" || d.CPU.Numa.Cell[0].Memory != 128<<10 {
		t.Errorf("with slots: %+v %+v", d.Memory, d.MaximumMemory)
	}
	if d = build(t, ""); d.Memory.Value != 128<<10 || d.CurrentMemory != nil {
		t.Errorf("fixed: %+v %+v", d.Memory, d.CurrentMemory)
	}
}

// TestBuses is the rules of disk names: what a guest sees depends on them.
func TestBuses(t *testing.T) {
	for _, test := range []struct {
		more, target, bus string
		controllers       int
		place             int // on the virtio-scsi controller, -1: not on it
	}{
		{"", "vda", "virtio", 0, -1},
		{"", "hdc", "ide", 0, -1},
		{`OS=[MACHINE="q35"]`, "hdc", "sata", 17, -1},
		{`OS=[MACHINE="pc-q35-7.2"]`, "hda", "sata", 17, -1},
		{"", "sda", "scsi", 1, 0},
		{"", "sdc", "scsi", 1, 2},
		{"", "sdab", "scsi", 1, 27},
		{`OS=[MACHINE="q35"]`, "sda", "scsi", 18, 0},
		{`OS=[SD_DISK_BUS="sata"]`, "sdb", "sata", 0, -1},
		{`OS=[SD_DISK_BUS="scsi"]`, "sdb", "scsi", 1, 1},
		{"", "xvda", "xen", 0, -1},
	} {
		d := build(t, `DISK=[DISK_ID="0", TARGET="`+test.target+`"]`+"\n"+test.more)
		disk := d.Devices.Disks[0]
		place := -1
		if disk.Address != nil {
			place = int(*disk.Address.Drive.Target)
		}
		if disk.Target.Bus != test.bus || disk.Target.Dev != test.target || len(d.Devices.Controllers) != test.controllers || place != test.place {
			t.Errorf("%s %s: bus %s, %d controllers, place %d", test.more, test.target, disk.Target.Bus, len(d.Devices.Controllers), place)
		}
		if test.place >= 0 && d.Devices.Controllers[0].Model != "virtio-scsi" {
			t.Errorf("%s: the controller is %s", test.target, d.Devices.Controllers[0].Model)
		}
	}
	if got := build(t, `DISK=[DISK_ID="0", TARGET="sda"]`+"\nVCPU=3").Devices.Controllers[0].Driver.Queues; got == nil || *got != 3 {
		t.Errorf("the controller of three CPUs has queues %v", got)
	}
}

func TestDiskOptions(t *testing.T) {
	d := build(t, `
VCPU=2
FEATURES=[VIRTIO_BLK_QUEUES="auto", IOTHREADS="2"]
DISK=[DISK_ID="0", TARGET="vda", FORMAT="qcow2", CACHE="writeback", IO="threads", DISCARD="ignore", SHAREABLE="YES",
  READONLY="YES", IOTHREAD="2", TOTAL_BYTES_SEC="1000", TOTAL_BYTES_SEC_MAX="2000", TOTAL_BYTES_SEC_MAX_LENGTH="3", SIZE_IOPS_SEC="4096"]
DISK=[DISK_ID="1", TARGET="vdb", TYPE="swap", FORMAT="qcow2"]
DISK=[DISK_ID="2", TARGET="hda", TYPE="CDROM", FORMAT="qcow2"]
DISK=[DISK_ID="3", TARGET="vdc", TYPE="BLOCK", VIRTIO_BLK_QUEUES="5"]
DISK=[DISK_ID="4", TARGET="sda", IOTHREAD="1"]
`)
	if d.IOThreads != 2 || len(d.Devices.Disks) != 5 {
		t.Fatalf("%d threads, %d disks", d.IOThreads, len(d.Devices.Disks))
	}
	first := d.Devices.Disks[0]
	if first.Driver.Type != "qcow2" || first.Driver.Cache != "writeback" || first.Driver.IO != "threads" || first.Driver.Discard != "ignore" ||
		first.ReadOnly == nil || first.Shareable == nil || *first.Driver.IOThread != 2 || *first.Driver.Queues != 2 {
		t.Errorf("disk 0 is %+v with %+v", first, first.Driver)
	}
	if want := (libvirtxml.DomainDiskIOTune{TotalBytesSec: 1000, TotalBytesSecMax: 2000, TotalBytesSecMaxLength: 3, SizeIopsSec: 4096}); *first.IOTune != want {
		t.Errorf("limits %+v", first.IOTune)
	}
	if d.Devices.Disks[1].Driver.Type != "raw" || d.Devices.Disks[1].IOTune != nil {
		t.Errorf("a swap volume has driver %+v", d.Devices.Disks[1].Driver)
	}
	if cd := d.Devices.Disks[2]; cd.Device != "cdrom" || cd.Driver.Type != "raw" || cd.ReadOnly == nil || cd.Driver.Discard != "" {
		t.Errorf("the CD is %+v with %+v", cd, cd.Driver)
	}
	if block := d.Devices.Disks[3]; block.Source.Block == nil || block.Source.Block.Dev != "/var/lib/one/datastores/0/7/disk.3" || *block.Driver.Queues != 5 {
		t.Errorf("the block device is %+v", block)
	}
	if sd := d.Devices.Disks[4]; sd.Driver.IOThread != nil || sd.Driver.Queues != nil {
		t.Errorf("a disk on a controller has driver %+v", sd.Driver)
	}
}

func TestContextDisk(t *testing.T) {
	m := machine(t, "MEMORY=128")
	m.Context = &agentapi.Context{DiskID: 3}
	doc, err := Build(m, options())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`file="/var/lib/one/datastores/0/7/disk.3"`, `<target dev="hda" bus="ide">`, "<readonly>", `device="cdrom"`} {
		if !strings.Contains(doc, want) {
			t.Errorf("no %s in\n%s", want, doc)
		}
	}
}

func TestBootOrder(t *testing.T) {
	d := build(t, `
OS=[BOOT="nic1, disk2,DISK0"]
DISK=[DISK_ID="0", TARGET="vda"]
DISK=[DISK_ID="1", TARGET="vdb"]
DISK=[DISK_ID="2", TARGET="vdc", ORDER="9"]
NIC=[NIC_ID="0"]
NIC=[NIC_ID="1"]`)
	place := func(b *libvirtxml.DomainDeviceBoot) uint {
		if b == nil {
			return 0
		}
		return b.Order
	}
	got := []uint{place(d.Devices.Disks[0].Boot), place(d.Devices.Disks[1].Boot), place(d.Devices.Disks[2].Boot),
		place(d.Devices.Interfaces[0].Boot), place(d.Devices.Interfaces[1].Boot)}
	if diff := cmp.Diff([]uint{3, 0, 9, 0, 1}, got); diff != "" {
		t.Errorf("boot order (-want +got):\n%s", diff)
	}
	if old := build(t, `OS=[BOOT="hd,network"]`).OS.BootDevices; len(old) != 2 || old[0].Dev != "hd" || old[1].Dev != "network" {
		t.Errorf("boot devices %+v", old)
	}
}

func TestKernel(t *testing.T) {
	m := machine(t, "MEMORY=128\n"+`OS=[KERNEL="/k", KERNEL_CMD="console=ttyS0 ro", ROOT="vda1"]`)
	m.Kernel = "/k"
	doc, err := Build(m, options())
	if err != nil {
		t.Fatal(err)
	}
	if want := "<kernel>/var/lib/one/datastores/0/7/kernel</kernel>"; !strings.Contains(doc, want) || strings.Contains(doc, "<initrd>") {
		t.Errorf("no %s in\n%s", want, doc)
	}
	if want := "<cmdline>root=/dev/vda1 console=ttyS0 ro</cmdline>"; !strings.Contains(doc, want) {
		t.Errorf("no %s in\n%s", want, doc)
	}
}

func TestCPUModel(t *testing.T) {
	for _, test := range []struct{ typ, model, mode, name string }{
		{KVM, "host-passthrough", "host-passthrough", ""}, {QEMU, "host-passthrough", "maximum", ""}, {QEMU, "Nehalem", "custom", "Nehalem"},
	} {
		m := machine(t, "MEMORY=128\n"+`CPU_MODEL=[MODEL="`+test.model+`", FEATURES="vmx, ssse3"]`)
		o := options()
		o.Type = test.typ
		doc, err := Build(m, o)
		if err != nil {
			t.Fatal(err)
		}
		var d libvirtxml.Domain
		if err := d.Unmarshal(doc); err != nil {
			t.Fatal(err)
		}
		if d.CPU.Mode != test.mode || (d.CPU.Model != nil) != (test.name != "") || len(d.CPU.Features) != 2 || d.CPU.Features[1].Name != "ssse3" {
			t.Errorf("%s %s: %+v", test.typ, test.model, d.CPU)
		}
	}
}

func TestNIC(t *testing.T) {
	d := build(t, `
VCPU=2
NIC=[NIC_ID="3", BRIDGE="br0", MAC="02:00:0a:00:00:01", IP="10.0.0.1", FILTER="clean-traffic", VIRTIO_QUEUES="auto", INBOUND_AVG_BW="100", OUTBOUND_PEAK_KB="7"]
NIC=[NIC_ID="4", MODEL="e1000", TARGET="tap9", VIRTIO_QUEUES="2"]
NIC=[NIC_ID="5", BRIDGE="ovs0", BRIDGE_TYPE="openvswitch"]`)
	n := d.Devices.Interfaces[0]
	if n.Source.Bridge.Bridge != "br0" || n.MAC.Address != "02:00:0a:00:00:01" || n.Target.Dev != "one-7-3" || n.Model.Type != "virtio" ||
		n.Driver.Name != "vhost" || n.Driver.Queues != 2 || n.FilterRef.Parameters[0].Value != "10.0.0.1" ||
		*n.Bandwidth.Inbound.Average != 100 || n.Bandwidth.Inbound.Peak != nil || *n.Bandwidth.Outbound.Burst != 7 {
		t.Errorf("NIC 3 is %+v", n)
	}
	if n := d.Devices.Interfaces[1]; n.Source.Ethernet == nil || n.Model.Type != "e1000" || n.Target.Dev != "tap9" || n.Driver != nil || n.Bandwidth != nil {
		t.Errorf("NIC 4 is %+v", n)
	}
	if n := d.Devices.Interfaces[2]; n.VirtualPort == nil {
		t.Errorf("NIC 5 is %+v", n)
	}
}

func TestTopology(t *testing.T) {
	d := build(t, `
VCPU=4
TOPOLOGY=[SOCKETS="2", CORES="1", THREADS="2", PIN_POLICY="THREAD", HUGEPAGE_SIZE="2", MEMORY_ACCESS="shared"]
NUMA_NODE=[TOTAL_CPUS="2", MEMORY="65536", CPUS="4,12", MEMORY_NODE_ID="1"]
NUMA_NODE=[TOTAL_CPUS="2", MEMORY="65536", CPUS="5,13", MEMORY_NODE_ID="0"]`)
	if top := d.CPU.Topology; top.Sockets != 2 || top.Cores != 1 || top.Threads != 2 {
		t.Errorf("topology %+v", top)
	}
	if c := d.CPU.Numa.Cell; len(c) != 2 || c[1].CPUs != "2-3" || c[1].Memory != 65536 || c[0].MemAccess != "shared" {
		t.Errorf("cells %+v", c)
	}
	want := []libvirtxml.DomainCPUTuneVCPUPin{{VCPU: 0, CPUSet: "4"}, {VCPU: 1, CPUSet: "12"}, {VCPU: 2, CPUSet: "5"}, {VCPU: 3, CPUSet: "13"}}
	if diff := cmp.Diff(want, d.CPUTune.VCPUPin); diff != "" {
		t.Errorf("pins (-want +got):\n%s", diff)
	}
	if n := d.NUMATune.MemNodes; len(n) != 2 || n[0].Nodeset != "1" || n[1].CellID != 1 {
		t.Errorf("memory nodes %+v", n)
	}
	if h := d.MemoryBacking.MemoryHugePages.Hugepages; len(h) != 1 || h[0].Size != 2 || h[0].Nodeset != "0-1" {
		t.Errorf("huge pages %+v", h)
	}
	shared := build(t, `
VCPU=2
TOPOLOGY=[PIN_POLICY="SHARED"]
NUMA_NODE=[TOTAL_CPUS="2", MEMORY="131072", CPUS="1,2,3"]`)
	if p := shared.CPUTune.VCPUPin; len(p) != 2 || p[1].CPUSet != "1,2,3" {
		t.Errorf("shared pins %+v", p)
	}
}

func TestGraphics(t *testing.T) {
	d := build(t, `GRAPHICS=[TYPE="VNC", PORT="5907", LISTEN="0.0.0.0", PASSWD="much too long", KEYMAP="de"]`)
	if v := d.Devices.Graphics[0].VNC; v.Port != 5907 || v.AutoPort != "" || v.Listen != "0.0.0.0" || v.Passwd != "much too" || v.Keymap != "de" {
		t.Errorf("VNC is %+v", v)
	}
	d = build(t, `GRAPHICS=[TYPE="spice", PORT="-1"]`)
	if s := d.Devices.Graphics[0].Spice; s.AutoPort != "yes" || len(d.Devices.Videos) != 1 || len(d.Devices.RedirDevs) != 3 || len(d.Devices.Sounds) != 1 {
		t.Errorf("SPICE is %+v", s)
	}
	d = build(t, `GRAPHICS=[TYPE="spice"]`+"\n"+`VIDEO=[TYPE="virtio", VRAM="2048", RESOLUTION="1024x768", ATS="YES"]`)
	if v := d.Devices.Videos; len(v) != 1 || v[0].Model.VRam != 2048 || v[0].Model.Resolution.X != 1024 || v[0].Driver.ATS != "on" || v[0].Driver.IOMMU != "off" {
		t.Errorf("video is %+v", v)
	}
}

func TestPCI(t *testing.T) {
	d := build(t, `
PCI=[PCI_ID="0", DOMAIN="0000", BUS="0x0a", SLOT="1f", FUNCTION="7", VM_DOMAIN="0x0000", VM_BUS="0x01", VM_SLOT="0x01", VM_FUNCTION="0"]
PCI=[PCI_ID="1", UUID="aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"]`)
	dev := d.Devices.Hostdevs[0]
	if a := dev.SubsysPCI.Source.Address; *a.Bus != 10 || *a.Slot != 31 || *a.Function != 7 || *dev.Address.PCI.Slot != 1 || dev.Managed != "yes" {
		t.Errorf("device 0 is %+v", dev)
	}
	if m := d.Devices.Hostdevs[1].SubsysMDev; m == nil || m.Source.Address.UUID == "" {
		t.Errorf("device 1 is %+v", d.Devices.Hostdevs[1])
	}
}

func TestRaw(t *testing.T) {
	doc, err := Build(machine(t, "MEMORY=128\n"+`
RAW=[TYPE="kvm", DATA="<devices><serial type='pty'/></devices><qemu:commandline><qemu:arg value='-s'/></qemu:commandline>"]
RAW=[TYPE="vmware", DATA="not ours"]`), options())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"</devices><qemu:commandline><qemu:arg value='-s'/></qemu:commandline>\n</domain>", "<serial type='pty'/></devices>"} {
		if !strings.Contains(doc, want) {
			t.Errorf("no %s in\n%s", want, doc)
		}
	}
	if strings.Contains(doc, "not ours") || strings.Count(doc, "<devices>") != 1 {
		t.Errorf("what was passed through is not in its place:\n%s", doc)
	}
	if !strings.HasPrefix(doc, `<domain xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0" type="qemu">`) {
		t.Errorf("the document begins %.100s", doc)
	}
}

func TestSplitRaw(t *testing.T) {
	for data, want := range map[string][2]string{
		"":                                     {"", ""},
		"<a/>":                                 {"", "<a/>"},
		"<devices/>":                           {"", ""},
		"<devices><x/> y</devices>":            {"<x/> y", ""},
		"<a/><devices b='c'><x/></devices><b>": {"error", ""},
		"<a/> <devices b='c'><x/></devices> <b><devices>in</devices></b><devices><z/></devices>": {"<x/><z/>", "<a/>  <b><devices>in</devices></b>"},
		"<devices><![CDATA[</devices>]]></devices>":                                              {"<![CDATA[</devices>]]>", ""},
	} {
		devices, rest, err := splitRaw(data)
		if want[0] == "error" {
			if err == nil {
				t.Errorf("%s was taken", data)
			}
			continue
		}
		if err != nil || devices != want[0] || rest != want[1] {
			t.Errorf("%s is %q and %q (%v), want %q", data, devices, rest, err, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	for more, want := range map[string]string{
		"MEMORY=lots":     `MEMORY "lots": expected a whole number from 1`,
		"MEMORY=0":        "MEMORY",
		"MEMORY=\n":       "MEMORY is missing",
		"VCPU=0":          "VCPU",
		"VCPU=2000000000": "VCPU",
		"VCPU_MAX=x":      "VCPU_MAX",
		"CPU=-1":          "CPU",
		"CPU=NaN":         "CPU",
		"MEMORY_MAX=256\nMEMORY_RESIZE_MODE=OTHER":                                   "MEMORY_RESIZE_MODE",
		`OS=[ARCH="x86 64"]`:                                                         "OS/ARCH",
		`OS=[MACHINE="pc,accel=x"]`:                                                  "OS/MACHINE",
		`OS=[BOOT="disk0,floppy"]`:                                                   "Wrong OS/BOOT value",
		`OS=[BOOT="disk0,hd"]`:                                                       "OS/BOOT",
		`OS=[FIRMWARE="ovmf"]`:                                                       "OS/FIRMWARE",
		`FEATURES=[IOTHREADS="x"]`:                                                   "FEATURES/IOTHREADS",
		`FEATURES=[VIRTIO_SCSI_QUEUES="x"]`:                                          "FEATURES/VIRTIO_SCSI_QUEUES",
		`DISK=[TARGET="vda"]`:                                                        "DISK_ID is missing",
		`DISK=[DISK_ID="0"]`:                                                         `DISK 0: TARGET ""`,
		`DISK=[DISK_ID="0", TARGET="../x"]`:                                          "TARGET",
		`DISK=[DISK_ID="0", TARGET="vda", TYPE="RBD"]`:                               "DISK 0: TYPE RBD is not supported yet",
		`DISK=[DISK_ID="0", TARGET="vda", FORMAT="vmdk"]`:                            "FORMAT",
		`DISK=[DISK_ID="0", TARGET="vda", READ_IOPS_SEC="x"]`:                        "READ_IOPS_SEC",
		`DISK=[DISK_ID="0", TARGET="vda", ORDER="x"]`:                                "ORDER",
		`DISK=[DISK_ID="0", TARGET="sda"]` + "\n" + `OS=[SD_DISK_BUS="x"]`:           "OS/SD_DISK_BUS",
		`NIC=[NIC_ID="0", MAC="02:00"]`:                                              "NIC 0: MAC",
		`NIC=[NIC_ID="0", TARGET="much-too-long-for-this"]`:                          "TARGET",
		`NIC=[NIC_ID="0", INBOUND_AVG_BW="x"]`:                                       "INBOUND_AVG_BW",
		`NIC=[NIC_ID="0", BRIDGE_TYPE="x"]`:                                          "BRIDGE_TYPE x is not supported yet",
		`GRAPHICS=[TYPE="x"]`:                                                        "GRAPHICS/TYPE",
		`GRAPHICS=[TYPE="vnc", PORT="70000"]`:                                        "GRAPHICS/PORT",
		`VIDEO=[TYPE="x"]`:                                                           "VIDEO/TYPE",
		`VIDEO=[TYPE="vga", VRAM="1"]`:                                               "VIDEO/VRAM",
		`VIDEO=[TYPE="vga", RESOLUTION="1024"]`:                                      "VIDEO/RESOLUTION",
		`INPUT=[TYPE="x"]`:                                                           "INPUT/TYPE",
		`INPUT=[TYPE="mouse", BUS="x"]`:                                              "INPUT/BUS",
		`PCI=[PCI_ID="0", BUS="zz"]`:                                                 "PCI 0: DOMAIN",
		`TOPOLOGY=[CORES="x"]`:                                                       "TOPOLOGY/CORES",
		"TOPOLOGY=[CORES=1]\nNUMA_NODE=[TOTAL_CPUS=1]":                               "NUMA_NODE 0",
		"TOPOLOGY=[PIN_POLICY=CORE]\nNUMA_NODE=[TOTAL_CPUS=2, MEMORY=1, CPUS=\"1\"]": "CPUS",
		`RAW=[TYPE="kvm", DATA="</domain>"]`:                                         "RAW/DATA",
		`RAW=[TYPE="kvm", DATA="<a>"]`:                                               "RAW/DATA",
		`RAW=[TYPE="kvm", DATA="text"]`:                                              "RAW/DATA",
		`RAW=[TYPE="kvm", DATA="<!DOCTYPE x>"]`:                                      "RAW/DATA",
		`RAW=[TYPE="kvm", DATA="<?x y?>"]`:                                           "RAW/DATA",
		`RAW=[TYPE="kvm", DATA="` + strings.Repeat("<a>", 40) + `"]`:                 "RAW/DATA",
		`RAW=[TYPE="kvm", DATA="` + strings.Repeat(" ", maxRaw) + `x"]`:              "RAW/DATA",
	} {
		m := machine(t, more)
		if !m.Template.Has("MEMORY") {
			m.Template = m.Template.With("MEMORY", "128")
		}
		doc, err := Build(m, options())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: error %v, want %q in it\n%s", more, err, want, doc)
		}
	}
}

// FuzzBuild: whatever a template holds, what comes out is one well-formed domain.
func FuzzBuild(f *testing.F) {
	files, err := filepath.Glob("testdata/*.one")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(`MEMORY=1 RAW=[TYPE="kvm", DATA="<a b='c'><![CDATA[</a>]]></a><!-- -->"]`)
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := tmpl.ParseText(text)
		if err != nil {
			return
		}
		doc, err := Build(&agentapi.Machine{ID: 7, Domain: "one-7", Title: text, Template: parsed, Kernel: "/k"}, options())
		if err != nil {
			return
		}
		dec := xml.NewDecoder(strings.NewReader(doc))
		roots := 0
		for depth := 0; ; {
			token, err := dec.Token()
			if err != nil {
				if depth != 0 || roots != 1 || err.Error() != "EOF" {
					t.Errorf("%d roots, depth %d: %v\n%s", roots, depth, err, doc)
				}
				return
			}
			switch token.(type) {
			case xml.StartElement:
				if depth == 0 {
					roots++
				}
				depth++
			case xml.EndElement:
				depth--
			}
		}
	})
}
