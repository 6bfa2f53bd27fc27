package onexml_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
	"github.com/trifid-cloud/trifid/internal/store"
)

const poolSize = 10_000

// manyVMs returns a pool of running VMs of usual size, each measured.
func manyVMs(b *testing.B) (*onexml.Docs, []*one.VM) {
	m := samples{vms: map[int]agentapi.VMSample{}}
	web, user := parse(b, webTemplate), parse(b, `HYPERVISOR="kvm" LOGO="images/logos/alpine.png" LABELS="prod"`)
	data := parse(b, `CPU="3.45" DISKRDBYTES="104857600" DISKWRBYTES="8388608" MEMORY="786432" NETRX="52000" NETTX="31000"`)
	var vms []*one.VM
	for id := range poolSize {
		ip := "10.0." + strconv.Itoa(id/256) + "." + strconv.Itoa(id%256)
		nic := web.Vector("NIC").With("IP", ip).With("NIC_ID", "0")
		v := &one.VM{
			VMCore: one.VMCore{
				Meta: meta(id, 2, "web-"+strconv.Itoa(id)), State: one.VMActive, LCM: one.LCMRunning, STime: 1700000000,
				DeployID: "5f6a2e0c-7f7e-4a52-9a2f-0b7f0e1d2c3b", Template: web.WithVector("NIC", nic).With("VMID", strconv.Itoa(id)), ServiceID: -1, VRouterID: -1,
			},
			UserTemplate: user,
			History:      []*one.History{{OID: id, Hostname: "edge1", STime: 1700000020, VMMad: "kvm", TMMad: "ssh", UID: -1, GID: -1, RequestID: -1}},
		}
		m.vms[id] = agentapi.VMSample{VM: id, Time: 1700000600, Data: data}
		vms = append(vms, v)
	}
	return &onexml.Docs{State: &store.State{}, Monitor: m}, vms
}

func benchPool(b *testing.B, write func(*onexml.Docs) func([]byte, *one.VM) []byte) {
	d, vms := manyVMs(b)
	dst := onexml.AppendPool(nil, "VM_POOL", slices.Values(vms), write(d))
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst = onexml.AppendPool(dst[:0], "VM_POOL", slices.Values(vms), write(d))
	}
}

func BenchmarkPoolShort(b *testing.B) {
	benchPool(b, func(d *onexml.Docs) func([]byte, *one.VM) []byte { return d.AppendVMShort })
}

func BenchmarkPoolExtended(b *testing.B) {
	benchPool(b, func(d *onexml.Docs) func([]byte, *one.VM) []byte { return d.AppendVMExtended })
}

func BenchmarkVM(b *testing.B) {
	d, vms := manyVMs(b)
	dst := d.AppendVM(nil, vms[0])
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst = d.AppendVM(dst[:0], vms[0])
	}
}

// A VM's document costs nothing but its bytes.
func TestVMAllocates(t *testing.T) {
	d := cloud(t)
	v, _ := d.State.VM(8)
	dst := d.AppendVM(nil, v)
	if n := testing.AllocsPerRun(100, func() { dst = d.AppendVMShort(d.AppendVM(dst[:0], v), v) }); n > 0 {
		t.Errorf("%v allocations for a VM, expected none", n)
	}
}

func BenchmarkJSON(b *testing.B) {
	d, vms := manyVMs(b)
	text := d.AppendVM(nil, vms[0])
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := onexml.AppendJSON(nil, text); err != nil {
			b.Fatal(err)
		}
	}
}
