package flow

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// BenchmarkEvent is what events cost of which nothing follows, with more and more
// services around, a random one each time. push is a load that a guest pushes while
// its policy's period lasts; plan is a change of a VM that has its service planned,
// from the feed to the plan, which is empty; read does no more than to compare the
// load in the two versions of the VM, which are in no cache when there are many.
func BenchmarkEvent(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10_000} {
		f := restingServices(b, n)
		b.Run(fmt.Sprintf("read/services=%d", n), func(b *testing.B) { benchmarkRead(b, f) })
		b.Run(fmt.Sprintf("push/services=%d", n), func(b *testing.B) { benchmarkPush(b, f) })
		b.Run(fmt.Sprintf("plan/services=%d", n), func(b *testing.B) { benchmarkPlan(b, f) })
	}
}

// restingServices makes so many services of one VM with a policy and lets the cloud come
// to rest; then it stands still, and only its state is there.
func restingServices(b testing.TB, n int) *Flow {
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

// changes are changes of an attribute of every VM.
func changes(st *store.State, name, value string) []store.Change {
	var out []store.Change
	for id := range st.Services.All() {
		v, _ := st.VM(st.ServiceVMs.List(id)[0])
		now := v.WithUserTemplate(v.UserTemplate.Merge(tmpl.New(tmpl.Single(name, value))))
		out = append(out, store.Change{Kind: store.KindVM, ID: uint64(v.ID), Old: v, New: now})
	}
	return out
}

// resting returns a term of its own, so that it does not get into the way of one
// that leads, to which every service is known and whose time stands still.
func resting(b *testing.B, f *Flow) *term {
	now := time.Now()
	f.now = func() time.Time { return now }
	t := newTerm(f)
	st := f.store.View()
	for id, s := range st.Services.All() {
		t.know(st, s)
		t.mark(id)
	}
	for range st.Services.Len() {
		planNext(b, t)
	}
	return t
}

// planNext plans the service that is marked.
func planNext(b testing.TB, t *term) {
	id, ok := t.take()
	if !ok {
		b.Fatal("the change was not noticed")
	}
	if _, err := t.settle(context.Background(), id); err != nil {
		b.Fatal(err)
	}
	t.mu.Lock()
	t.all[id].busy = false // a timer would only mark it for the same again
	t.mu.Unlock()
}

func benchmarkRead(b *testing.B, f *Flow) {
	changes, differ := changes(f.store.View(), "LOAD", "50"), 0
	for b.Loop() {
		ch := changes[rand.IntN(len(changes))]
		_, had := number(ch.Old.(*one.VM), "LOAD", agentapi.VMSample{})
		if _, has := number(ch.New.(*one.VM), "LOAD", agentapi.VMSample{}); has != had {
			differ++
		}
	}
	if differ == 0 {
		b.Fatal("nothing was read")
	}
}

func benchmarkPush(b *testing.B, f *Flow) {
	t := resting(b, f)
	defer t.end()
	st := f.store.View()
	changes := changes(st, "LOAD", "50")
	b.ReportAllocs()
	for b.Loop() {
		t.note(st, changes[rand.IntN(len(changes))])
	}
	if len(t.queue) > 0 {
		b.Fatal("a service was to be planned before its time")
	}
}

func benchmarkPlan(b *testing.B, f *Flow) {
	t := resting(b, f)
	st := f.store.View()
	changes := changes(st, "READY", "YES")
	b.ReportAllocs()
	for b.Loop() {
		t.note(st, changes[rand.IntN(len(changes))])
		planNext(b, t)
	}
}
