package sched

import (
	"strconv"
	"testing"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// BenchmarkPass is 10,000 VMs that wait and 100 hosts. plan only looks for places; pass
// also takes them, in a store in memory; refuse finds none.
func BenchmarkPass(b *testing.B) {
	const vms, hosts = 10_000, 100
	site := func(b *testing.B, cpus int64) *site {
		s := newSite(b, func(tx *store.Tx) {
			for id := range hosts {
				tx.PutHost(&one.Host{
					ID: id, Name: "host" + strconv.Itoa(id), State: one.HostMonitored, IMMad: "kvm", VMMad: "kvm",
					TotalCPU: cpus * 100, MaxCPU: cpus * 100, TotalMem: 1 << 30, MaxMem: 1 << 30, Template: parsed("HYPERVISOR=kvm ARCH=x86_64"),
				})
			}
		})
		text, user := parsed(`CPU=1 MEMORY=1024 AUTOMATIC_REQUIREMENTS="(CLUSTER_ID = 0) & !(PUBLIC_CLOUD = YES)"`), parsed(`SCHED_REQUIREMENTS="HYPERVISOR = kvm" SCHED_RANK=FREE_CPU`)
		for first := 0; first < vms; first += perTx {
			s.do(func(tx *store.Tx) {
				for id := first; id < first+perTx; id++ {
					v := vm(id, "", "")
					v.Template, v.UserTemplate = text, user
					tx.PutVM(v)
				}
			})
		}
		return s
	}
	b.Run("plan", func(b *testing.B) {
		st := site(b, 1000).store.View()
		for b.Loop() {
			p, placed := newPlan(st, 0, spaces{}), 0
			for _, v := range waiting(st, newRound()) {
				if _, why := p.place(v); why == "" {
					placed++
				}
			}
			if placed != vms {
				b.Fatalf("%d of %d have a place", placed, vms)
			}
		}
	})
	for name, cpus := range map[string]int64{"pass": 1000, "refuse": 0} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				s := site(b, cpus)
				b.StartTimer()
				if err := s.pass(b.Context(), s.store.View(), newRound()); err != nil {
					b.Fatal(err)
				}
				if got, want := s.store.View().Waiting.Any(0), cpus == 0; got != want {
					b.Fatalf("somebody waits: %v, expected %v", got, want)
				}
			}
		})
	}
}
