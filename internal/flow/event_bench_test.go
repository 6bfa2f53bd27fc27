package flow

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// BenchmarkEvent is what it takes to find out that nothing is to be done when a
// guest pushes another load, with more and more services around: from the change
// in the feed to the plan.
func BenchmarkEvent(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) { benchmarkEvent(b, restingServices(b, n)) })
	}
}

// restingServices makes so many services of one VM with a policy and lets the cloud come
// to rest; then it stands still, and only its state is there.
func restingServices(b *testing.B, n int) *Flow {
	r := rig.Start(b, storetest.New(b).Store)
	for i := range 20 {
		r.AddHost(fmt.Sprintf("sim%d", i), sim.Config{})
	}
	f := New(Options{Store: r.Store, Cloud: r.Cloud, Config: config.Default().Flow, Monitor: r.Monitor, Log: r.Log})
	r.Go("flow", f.Run)
	vm := r.Template("NAME=vm\nCPU=0.01\nMEMORY=1")
	tree, err := jsontree.Parse(fmt.Appendf(nil, `{"name":"s","roles":[{"name":"worker","type":"vm","template_id":%d,"cardinality":1,"min_vms":1,"max_vms":3,
		"elasticity_policies":[{"type":"CHANGE","adjust":1,"expression":"LOAD > 80","period_number":3,"period":10}]}]}`, vm))
	if err != nil {
		b.Fatal(err)
	}
	doc, err := f.CreateTemplate(b.Context(), r.Admin, tree)
	if err != nil {
		b.Fatal(err)
	}
	var template int
	if _, err := fmt.Sscan(doc.Get("DOCUMENT").Get("ID").Text, &template); err != nil {
		b.Fatal(err)
	}
	for range n {
		if _, err := f.Instantiate(b.Context(), r.Admin, template, jsontree.Value{}); err != nil {
			b.Fatal(err)
		}
	}
	r.Wait("all services", func(st *store.State) bool { return allRunning(st, n) })
	r.Stop()
	runtime.GC()
	return f
}

func allRunning(st *store.State, n int) bool {
	if st.Services.Len() != n {
		return false
	}
	for _, s := range st.Services.All() {
		if s.State != one.ServiceRunning {
			return false
		}
	}
	return true
}

// benchmarkEvent feeds changes to a term of its own: what it plans is nothing, so
// that it does not get into the way of the one that leads.
func benchmarkEvent(b *testing.B, f *Flow) {
	st := f.store.View()
	var changes []store.Change
	for id := range st.Services.All() {
		v, _ := st.VM(st.ServiceVMs.List(id)[0])
		now := v.WithUserTemplate(v.UserTemplate.Merge(tmpl.New(tmpl.Single("LOAD", "50"))))
		changes = append(changes, store.Change{Kind: store.KindVM, ID: uint64(v.ID), Old: v, New: now})
	}
	t := &term{flow: f, kick: make(chan struct{}, 1), all: map[int]*live{}, latest: map[int]*tmpl.Template{}}
	b.ReportAllocs()
	for b.Loop() {
		t.note(st, changes[rand.IntN(len(changes))])
		id, ok := t.take()
		if !ok {
			b.Fatal("the change was not noticed")
		}
		next, err := t.settle(context.Background(), id)
		if err != nil {
			b.Fatal(err)
		}
		_ = next // a timer would only mark it for the same again
		t.mu.Lock()
		t.all[id].busy = false
		t.mu.Unlock()
	}
}
