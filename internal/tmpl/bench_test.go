package tmpl_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// vmTemplate is a template of usual size and shape.
const vmTemplate = `# a web server
NAME = "web-1"
CPU = 1
VCPU = 2
MEMORY = 768
DISK = [ IMAGE = "alpine", IMAGE_UNAME = "oneadmin", SIZE = 2048, DEV_PREFIX = vd, DRIVER = qcow2 ]
DISK = [ TYPE = fs, SIZE = 1024, FORMAT = raw ]
NIC = [ NETWORK = "private", MODEL = virtio, SECURITY_GROUPS = "0" ]
GRAPHICS = [ LISTEN = "0.0.0.0", TYPE = "VNC" ]
OS = [ ARCH = "x86_64", BOOT = "disk0" ]
CONTEXT = [
  NETWORK = "YES",
  TOKEN = "YES",
  REPORT_READY = "YES",
  SSH_PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxhcmdlIGVub3VnaCB0byBiZSBhIGtleSBvZiB1c3VhbCBsZW5ndGg= ana@example.org",
  START_SCRIPT = "#!/bin/sh
echo \"hello from $(hostname)\" > /etc/motd
rc-service nginx start
"
]
SCHED_REQUIREMENTS = "HYPERVISOR=\"kvm\" & FREE_CPU > 50"
HYPERVISOR = kvm
LOGO = "images/logos/alpine.png"
`

func benchTemplate(b *testing.B) *tmpl.Template {
	tm, err := tmpl.Parse(vmTemplate)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return tm
}

func BenchmarkParseText(b *testing.B) {
	benchTemplate(b)
	b.SetBytes(int64(len(vmTemplate)))
	for b.Loop() {
		if _, err := tmpl.Parse(vmTemplate); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseXML(b *testing.B) {
	doc := "<TEMPLATE>" + string(benchTemplate(b).AppendXML(nil)) + "</TEMPLATE>"
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		if _, err := tmpl.Parse(doc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendXML(b *testing.B) {
	tm := benchTemplate(b)
	buf := tm.AppendXML(nil)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		buf = tm.AppendXML(buf[:0])
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	tm := benchTemplate(b)
	buf := tm.AppendJSON(nil)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		buf = tm.AppendJSON(buf[:0])
	}
}

func BenchmarkAppendText(b *testing.B) {
	tm := benchTemplate(b)
	buf := tm.AppendText(nil)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		buf = tm.AppendText(buf[:0])
	}
}

func BenchmarkAppendStored(b *testing.B) {
	tm := benchTemplate(b)
	buf := tm.AppendStored(nil)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		buf = tm.AppendStored(buf[:0])
	}
}

func BenchmarkUnmarshalStored(b *testing.B) {
	data := benchTemplate(b).AppendStored(nil)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := new(tmpl.Template).UnmarshalJSON(data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnmarshalStoredLibrary is the same through encoding/json, as a
// document that has templates in it is read.
func BenchmarkUnmarshalStoredLibrary(b *testing.B) {
	data := benchTemplate(b).AppendStored(nil)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := json.Unmarshal(data, new(tmpl.Template)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMergeReady(b *testing.B) {
	tm, over := benchTemplate(b), tmpl.New(tmpl.Single("READY", "YES"))
	for b.Loop() {
		tm.Merge(over)
	}
}

func BenchmarkCheckCreate(b *testing.B) {
	tm := benchTemplate(b)
	var list []string
	for _, sub := range strings.Fields("MAC VLAN_ID BRIDGE FILTER EXTERNAL INBOUND_AVG_BW OUTBOUND_AVG_BW") {
		list = append(list, "NIC/"+sub, "NIC_ALIAS/"+sub, "NIC_DEFAULT/"+sub)
	}
	r, err := tmpl.NewRestricted(append(list, "CONTEXT/FILES", "DEPLOY_ID", "PCI", "RAW", "EMULATOR"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if attr, bad := r.CheckCreate(tm); bad {
			b.Fatal(attr)
		}
	}
}

// TestAppendDoesNotAllocate keeps the pools of thousands cheap to print.
func TestAppendDoesNotAllocate(t *testing.T) {
	tm := mustParse(t, vmTemplate)
	buf := make([]byte, 0, 1<<16)
	for name, f := range map[string]func([]byte) []byte{"XML": tm.AppendXML, "JSON": tm.AppendJSON, "text": tm.AppendText, "stored": tm.AppendStored} {
		if n := testing.AllocsPerRun(100, func() { f(buf[:0]) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
