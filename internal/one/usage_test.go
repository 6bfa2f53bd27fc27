package one_test

import (
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func parse(t testing.TB, text string) *tmpl.Template {
	t.Helper()
	x, err := tmpl.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// What a VM counts for, event by event of the identity reference §10.4.
func TestTemplateUsage(t *testing.T) {
	vm := func(cpu, mem, disk float64) one.VMQuota {
		return one.VMQuota{VMs: 1, RunningVMs: 1, CPU: cpu, RunningCPU: cpu, Memory: mem, RunningMemory: mem, SystemDiskSize: disk}
	}
	for _, q := range []struct {
		name, text string
		vm         one.VMQuota
		ds         map[int]one.DatastoreQuota
		nets       map[int]one.NetworkQuota
		images     map[int]one.ImageQuota
	}{
		{name: "capacity", text: "CPU=0.1\nMEMORY=128", vm: vm(0.1, 128, 0)},
		{name: "volatile disk", text: "CPU=1\nMEMORY=1\nDISK=[TYPE=FS, SIZE=10]", vm: vm(1, 1, 10)},
		{name: "clone in the system datastore", text: "CPU=1\nMEMORY=1\nDISK=[IMAGE_ID=3, CLONE=YES, CLONE_TARGET=SYSTEM, LN_TARGET=NONE, SIZE=10, DISK_SNAPSHOT_TOTAL_SIZE=5, DATASTORE_ID=1]",
			vm: vm(1, 1, 15), images: map[int]one.ImageQuota{3: {RVMs: 1}}},
		{name: "clone in the image datastore", text: "CPU=1\nMEMORY=1\nDISK=[IMAGE_ID=3, CLONE=YES, CLONE_TARGET=SELF, LN_TARGET=NONE, SIZE=10, DATASTORE_ID=1]",
			vm: vm(1, 1, 0), ds: map[int]one.DatastoreQuota{1: {Size: 10}}, images: map[int]one.ImageQuota{3: {RVMs: 1}}},
		{name: "link", text: "CPU=1\nMEMORY=1\nDISK=[IMAGE_ID=3, CLONE=NO, CLONE_TARGET=SYSTEM, LN_TARGET=NONE, SIZE=10]",
			vm: vm(1, 1, 0), images: map[int]one.ImageQuota{3: {RVMs: 1}}},
		{name: "link that is a copy", text: "CPU=1\nMEMORY=1\nDISK=[IMAGE_ID=3, CLONE=NO, LN_TARGET=SYSTEM, SIZE=10]",
			vm: vm(1, 1, 10), images: map[int]one.ImageQuota{3: {RVMs: 1}}},
		{name: "an image twice", text: "CPU=1\nMEMORY=1\nDISK=[IMAGE_ID=3]\nDISK=[IMAGE_ID=3]", vm: vm(1, 1, 0), images: map[int]one.ImageQuota{3: {RVMs: 2}}},
		{name: "networks", text: "CPU=1\nMEMORY=1\nNIC=[NETWORK_ID=5]\nNIC=[NETWORK_MODE=auto]\nNIC_ALIAS=[NETWORK_ID=5]\nNIC_ALIAS=[NETWORK_ID=6]",
			vm: vm(1, 1, 0), nets: map[int]one.NetworkQuota{5: {Leases: 2}, 6: {Leases: 1}}},
		{name: "nonsense counts for nothing", text: "CPU=NaN\nMEMORY=-5\nDISK=[TYPE=FS, SIZE=-10]\nDISK=[IMAGE_ID=x, SIZE=Inf]\nDISK=[IMAGE_ID=3, CLONE_TARGET=SYSTEM, CLONE=YES, SIZE=1, DISK_SNAPSHOT_TOTAL_SIZE=-99999]",
			vm: vm(0, 0, 1), images: map[int]one.ImageQuota{3: {RVMs: 1}}},
	} {
		u := one.TemplateUsage(parse(t, q.text), true)
		if u.VM != q.vm || !maps.Equal(u.Datastores, q.ds) || !maps.Equal(u.Networks, q.nets) || !maps.Equal(u.Images, q.images) {
			t.Errorf("%s: got %+v", q.name, u)
		}
		off := one.TemplateUsage(parse(t, q.text), false)
		if q.vm.RunningVMs, q.vm.RunningCPU, q.vm.RunningMemory = 0, 0, 0; off.VM != q.vm {
			t.Errorf("%s, not running: got %+v", q.name, off.VM)
		}
	}
}

func TestCapacity(t *testing.T) {
	for text, want := range map[string]one.Capacity{
		"CPU=0.5\nMEMORY=128": {CPU: 50, Memory: 128 << 10, VMs: 1}, "CPU=2\nMEMORY=1": {CPU: 200, Memory: 1 << 10, VMs: 1},
		"CPU=0.29\nMEMORY=1": {CPU: 29, Memory: 1 << 10, VMs: 1}, "": {VMs: 1}, "CPU=NaN\nMEMORY=-1": {VMs: 1},
	} {
		v := &one.VM{VMCore: one.VMCore{Template: parse(t, text)}}
		if got := v.Capacity(); got != want {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
	}
	huge := &one.VM{VMCore: one.VMCore{Template: parse(t, "CPU=1e300\nMEMORY=9223372036854775807")}}
	if c := huge.Capacity(); c.CPU <= 0 || c.Memory <= 0 {
		t.Errorf("a huge VM takes %+v", c)
	}
}

// Sums come back to exactly nothing, in whatever order VMs come and go.
func TestQuotaSumsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sum one.VMQuota
		var in []one.VMQuota
		for range rapid.IntRange(1, 50).Draw(t, "n") {
			cpu := float64(rapid.IntRange(1, 10_000).Draw(t, "cpu")) / 100
			q := one.VMQuota{VMs: 1, RunningVMs: 1, CPU: cpu, RunningCPU: cpu, Memory: float64(rapid.IntRange(1, 1<<40).Draw(t, "mem")), SystemDiskSize: float64(rapid.IntRange(0, 1<<40).Draw(t, "disk"))}
			in, sum = append(in, q), sum.Plus(q, +1)
		}
		for _, i := range rapid.Permutation(in).Draw(t, "order") {
			sum = sum.Plus(i, -1)
		}
		if sum != (one.VMQuota{}) {
			t.Fatalf("left over: %+v", sum)
		}
	})
}

// States have the names of the reference, and failures are known as such.
func TestFailureStates(t *testing.T) {
	n := 0
	for l := range one.LCMState(71) {
		name := l.String()
		if name == "" || len(l.Short()) != 4 && l != one.LCMInit {
			t.Errorf("state %d is called %q, %q", l, name, l.Short())
		}
		isFailure := len(name) > 8 && name[len(name)-8:] == "_FAILURE"
		if l.Failed() != isFailure {
			t.Errorf("%s: failed %v", name, l.Failed())
		}
		if isFailure {
			n++
		}
	}
	if n != 14 {
		t.Errorf("%d failure states, the reference has 14", n)
	}
}
