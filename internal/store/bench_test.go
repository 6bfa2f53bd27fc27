package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func benchStore(b *testing.B, cfg Config) *Store {
	b.Helper()
	s, err := Open(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// callers has n goroutines call f b.N times between them, and reports the rate
// and the latencies.
func callers(b *testing.B, n int, f func(caller, i int) error) {
	b.Helper()
	b.ResetTimer()
	took := make([][]time.Duration, n)
	var wg sync.WaitGroup
	for c := range n {
		wg.Go(func() {
			for i := c; i < b.N; i += n {
				start := time.Now()
				if err := f(c, i); err != nil {
					b.Error(err)
					return
				}
				took[c] = append(took[c], time.Since(start))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
}

var callerCounts = []int{1, 16, 64, 256}

// BenchmarkDurable compares durable transactions with single puts on the same
// etcd: of 200 bytes each, one key.
func BenchmarkDurable(b *testing.B) {
	payload := make([]byte, 200)
	for _, n := range callerCounts {
		b.Run(fmt.Sprintf("put/callers=%d", n), func(b *testing.B) {
			s := benchStore(b, Config{Dir: b.TempDir()})
			client := s.log.(*embedded).client
			callers(b, n, func(caller, _ int) error {
				_, err := client.Put(context.Background(), fmt.Sprint("bench/", caller), string(payload))
				return err
			})
		})
		b.Run(fmt.Sprintf("update/callers=%d", n), func(b *testing.B) {
			s := benchStore(b, Config{Dir: b.TempDir()})
			callers(b, n, func(caller, _ int) error {
				return s.Update(context.Background(), func(tx *Tx) error {
					tx.PutSetting(fmt.Sprint("bench/", caller), payload)
					return nil
				})
			})
		})
	}
}

// BenchmarkUpdate is the cost of a transaction without etcd.
func BenchmarkUpdate(b *testing.B) {
	b.ReportAllocs()
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("setting/callers=%d", n), func(b *testing.B) {
			s := benchStore(b, Config{Memory: NewMemory()})
			callers(b, n, func(caller, _ int) error {
				return s.Update(context.Background(), func(tx *Tx) error {
					tx.PutSetting("bench", nil)
					return nil
				})
			})
		})
	}
	b.Run("vm state", func(b *testing.B) {
		s := benchStore(b, Config{Memory: NewMemory()})
		if err := s.Update(b.Context(), putVMs(0, 200)); err != nil {
			b.Fatal(err)
		}
		callers(b, 1, func(_, i int) error {
			return s.Update(context.Background(), func(tx *Tx) error {
				vm, _ := tx.VM(i % 200)
				tx.PutVM(vm.WithState(one.VMActive, one.LCMState(i%9), int64(i)))
				return nil
			})
		})
	})
	b.Run("vm user template", func(b *testing.B) {
		s := benchStore(b, Config{Memory: NewMemory()})
		if err := s.Update(b.Context(), putVMs(0, 200)); err != nil {
			b.Fatal(err)
		}
		callers(b, 1, func(_, i int) error {
			return s.Update(context.Background(), func(tx *Tx) error {
				vm, _ := tx.VM(i % 200)
				tx.PutVM(vm.WithUserTemplate(vm.UserTemplate.With("LOAD", fmt.Sprint(i))))
				return nil
			})
		})
	})
	b.Run("no change", func(b *testing.B) {
		s := benchStore(b, Config{Memory: NewMemory()})
		callers(b, 1, func(int, int) error {
			return s.Update(context.Background(), func(*Tx) error { return nil })
		})
	})
}

func BenchmarkView(b *testing.B) {
	s := benchStore(b, Config{Memory: NewMemory()})
	if err := s.Update(b.Context(), putVMs(0, 200)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok := s.View().VM(i % 200); !ok {
			b.Fatal("no VM")
		}
	}
}

// putVMs puts VMs such as a cloud has: a disk, a NIC with its lease, a context,
// some custom attributes, two history records.
func putVMs(from, to int) func(*Tx) error {
	return func(tx *Tx) error {
		for id := from; id < to; id++ {
			vm := &one.VM{VMCore: one.VMCore{
				Meta:  one.Meta{ID: id, UID: 2 + id%50, GID: 1, UName: "user", GName: "users", Name: fmt.Sprintf("web-%d", id), Perms: 0o640},
				State: one.VMActive, LCM: one.LCMRunning, STime: 1_700_000_000, DeployID: fmt.Sprintf("one-%d", id), ServiceID: id / 50, Role: "web", VRouterID: -1,
				Template: tmpl.New(tmpl.Single("CPU", "0.5"), tmpl.Single("VCPU", "2"), tmpl.Single("MEMORY", "2048"), tmpl.Single("VMID", fmt.Sprint(id)),
					tmpl.Vec("OS", "ARCH", "x86_64", "BOOT", "disk0"), tmpl.Vec("GRAPHICS", "TYPE", "VNC", "LISTEN", "0.0.0.0", "PORT", fmt.Sprint(5900+id)),
					tmpl.Vec("DISK", "DISK_ID", "0", "IMAGE", "alpine", "IMAGE_ID", fmt.Sprint(id%20), "SIZE", "2048", "DATASTORE_ID", "1", "CLONE", "YES", "CLONE_TARGET", "SYSTEM", "TM_MAD", "ssh", "TARGET", "vda", "DRIVER", "qcow2", "SOURCE", "/var/lib/one/datastores/1/2f1ab45e"),
					tmpl.Vec("NIC", "NIC_ID", "0", "NETWORK", "private", "NETWORK_ID", "0", "IP", "10.0.0.1", "MAC", "02:00:0a:00:00:01", "AR_ID", "0", "BRIDGE", "br0", "SECURITY_GROUPS", "0", "VN_MAD", "bridge", "TARGET", fmt.Sprintf("one-%d-0", id)),
					tmpl.Vec("CONTEXT", "NETWORK", "YES", "TOKEN", "YES", "SSH_PUBLIC_KEY", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKx user@example", "TARGET", "hda", "ONEGATE_ENDPOINT", "http://10.0.0.254:5030", "VMID", fmt.Sprint(id))),
			}}
			vm.UserTemplate = tmpl.New(tmpl.Single("LOGO", "images/logos/linux.png"), tmpl.Single("LOAD", "12"), tmpl.Single("READY", "YES"), tmpl.Single("ROLE_NAME", "web"))
			vm = vm.WithNewRecord(one.History{HID: id % 100, Hostname: "alpha", VMMad: "kvm", TMMad: "ssh", STime: 1, ETime: 2, Action: one.ActionMigrate})
			vm = vm.WithNewRecord(one.History{HID: id % 90, Hostname: "beta", VMMad: "kvm", TMMad: "ssh", STime: 3})
			tx.PutVM(vm)
			tx.PutLease(&one.Lease{Net: 0, AR: 0, Index: uint32(id), Owner: one.LeaseVM, OwnerID: id})
		}
		return nil
	}
}

// BenchmarkLoad opens a store that has 10,000 VMs.
func BenchmarkLoad(b *testing.B) {
	const vms = 10_000
	cfg := Config{Dir: b.TempDir(), UnsafeNoFsync: true}
	s, err := Open(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	for from := 0; from < vms; from += 100 {
		if err := s.Update(b.Context(), putVMs(from, from+100)); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := Open(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if n := s.View().VMs.Len(); n != vms {
			b.Fatalf("%d VMs", n)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
