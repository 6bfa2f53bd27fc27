package flow_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/flow"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/monitor"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store"
)

// BenchmarkDeathToWarning measures from the moment a guest dies on its host until
// it is durable on the disk that its service is in WARNING.
func BenchmarkDeathToWarning(b *testing.B) {
	st, err := store.Open(b.Context(), store.Config{Dir: filepath.Join(b.TempDir(), "store")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := st.Close(); err != nil {
			b.Error(err)
		}
	})
	r := rig.Start(b, st)
	bench := &bench{Rig: r, t: b, host: r.AddHost("sim0", sim.Config{})}
	bench.flow = flow.New(flow.Options{Store: st, Cloud: r.Cloud, Config: config.Default().Flow, Monitor: monitor.New(), Log: r.Log})
	r.Go("flow", bench.flow.Run)
	bench.vmt = r.Template("NAME=vm\nCPU=0.1\nMEMORY=64")
	id := bench.service(`"deployment":"straight"`, bench.role("db 1", ""), bench.role("web 1", `"parents":["db"]`))
	wait := func(state one.ServiceState) {
		r.Wait(state.String(), func(st *store.State) bool {
			s, ok := st.Services.Get(id)
			return ok && s.State == state
		})
	}
	wait(one.ServiceRunning)
	vm := r.Store.View().ServiceVMs.List(id)[1]
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if err := r.Sim(bench.host).Kill(fmt.Sprintf("one-%d", vm)); err != nil {
			b.Fatal(err)
		}
		wait(one.ServiceWarning)
		took = append(took, time.Since(began))
		if err := r.Cloud.VMAction(b.Context(), r.Admin, vm, "resume"); err != nil {
			b.Fatal(err)
		}
		wait(one.ServiceRunning)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
}
