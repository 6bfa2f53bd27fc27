package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/hypervisor/hypertest"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func machine(id int) *agentapi.Machine {
	return &agentapi.Machine{
		ID: id, Domain: fmt.Sprintf("one-%d", id),
		Template: tmpl.New(tmpl.Single("CPU", "0.5"), tmpl.Single("MEMORY", "128")),
	}
}

func newSim(t *testing.T, cfg Config) *Sim {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	for name, cfg := range map[string]Config{
		"Immediate": {},
		"Timed":     {Behaviour: Behaviour{BootTime: 5 * time.Millisecond, ShutdownTime: 5 * time.Millisecond}},
		"Journal":   {Journal: filepath.Join(t.TempDir(), "sim.journal")},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, cfg)
			hypertest.Run(t, hypertest.Setup{
				Driver:    s,
				Machine:   func(t *testing.T, id int) (*agentapi.Machine, string) { return machine(id), t.TempDir() },
				Kill:      s.Kill,
				Timeout:   time.Minute,
				Parallel:  50,
				NICs:      s.NICs,
				Disks:     s.Disks,
				Snapshots: s.Snapshots,
			})
		})
	}
}

func TestBootTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, Config{Behaviour: Behaviour{BootTime: 3 * time.Second}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := s.Start(ctx, machine(1), ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a caller that waits one second got %v", err)
		}
		if _, err := s.State(t.Context(), "one-1"); !errors.Is(err, hypervisor.ErrNoDomain) {
			t.Fatalf("a booting domain has a state (%v)", err)
		}
		if _, err := s.Start(t.Context(), machine(1), ""); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("the boot took %v over two callers, want 3s", took)
		}
	})
}

func TestDestroyEndsBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, Config{Behaviour: Behaviour{BootTime: time.Hour}})
		done := make(chan error)
		go func() {
			_, err := s.Start(t.Context(), machine(1), "")
			done <- err
		}()
		synctest.Wait()
		if err := s.Destroy(t.Context(), "one-1"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err == nil {
			t.Error("a start whose domain was destroyed succeeded")
		}
	})
}

func TestShutdownTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, Config{Behaviour: Behaviour{ShutdownTime: 10 * time.Second}})
		events, err := s.Events(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Start(t.Context(), machine(1), ""); err != nil {
			t.Fatal(err)
		}
		if e := <-events; e.State != agentapi.DomainRunning {
			t.Fatalf("first event %+v", e)
		}
		began := time.Now()
		for range 5 { // a repeated request does not start over
			if err := s.Shutdown(t.Context(), "one-1"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if e := <-events; e.State != agentapi.DomainPoweroff {
			t.Fatalf("second event %+v", e)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("the shutdown took %v, want 10s", took)
		}
	})
}

func TestDeafGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, Config{Behaviour: Behaviour{ShutdownTime: -1}})
		if _, err := s.Start(t.Context(), machine(1), ""); err != nil {
			t.Fatal(err)
		}
		if err := s.Shutdown(t.Context(), "one-1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		if state, err := s.State(t.Context(), "one-1"); state != agentapi.DomainRunning {
			t.Errorf("a guest that does not listen is %s (%v)", state, err)
		}
	})
}

func TestLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, Config{Behaviour: Behaviour{Lifetime: time.Minute}})
		events, err := s.Events(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Start(t.Context(), machine(1), ""); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		<-events
		if e := <-events; e.State != agentapi.DomainPoweroff || time.Since(began) != time.Minute {
			t.Errorf("after %v came %+v", time.Since(began), e)
		}
	})
}

func TestFailureRate(t *testing.T) {
	s := newSim(t, Config{Behaviour: Behaviour{FailureRate: 0.5}})
	failed := 0
	for i := range 1000 {
		if _, err := s.Start(t.Context(), machine(i), ""); err != nil {
			failed++
		}
	}
	if failed < 350 || failed > 650 { // ten standard deviations
		t.Errorf("%d of 1000 boots failed at a rate of 0.5", failed)
	}
	if n := s.Len(); n != 1000-failed {
		t.Errorf("%d domains run, %d failed", n, failed)
	}
}

func TestHooks(t *testing.T) {
	s := newSim(t, Config{})
	boom := errors.New("boom")
	only := func(want Op, h Hook) Hook {
		return func(ctx context.Context, op Op, d string) error {
			if op != want {
				return nil
			}
			return h(ctx, op, d)
		}
	}
	fail := func(context.Context, Op, string) error { return boom }

	s.SetBehaviour(Behaviour{Before: only(OpStart, fail)})
	if _, err := s.Start(t.Context(), machine(1), ""); !errors.Is(err, boom) || s.Len() != 0 {
		t.Errorf("failed before: %v, %d domains", err, s.Len())
	}
	s.SetBehaviour(Behaviour{After: only(OpStart, fail)})
	if _, err := s.Start(t.Context(), machine(1), ""); !errors.Is(err, boom) || s.Len() != 1 {
		t.Errorf("failed after: %v, %d domains", err, s.Len())
	}
	s.SetBehaviour(Behaviour{Before: only(OpDestroy, Hang)})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(boom)
	if err := s.Destroy(ctx, "one-1"); !errors.Is(err, boom) || s.Len() != 1 {
		t.Errorf("hung: %v, %d domains", err, s.Len())
	}
}

func TestControl(t *testing.T) {
	s := newSim(t, Config{Behaviour: Behaviour{Load: 1}})
	events, err := s.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddWild("visitor"); err != nil {
		t.Fatal(err)
	}
	if e := <-events; e.VM != -1 || e.Domain != "visitor" {
		t.Errorf("a wild domain came as %+v", e)
	}
	if _, err := s.Start(t.Context(), machine(3), ""); err != nil {
		t.Fatal(err)
	}
	<-events
	if err := s.SetState("one-3", agentapi.DomainFailure); err != nil {
		t.Fatal(err)
	}
	if e := <-events; e.VM != 3 || e.State != agentapi.DomainFailure {
		t.Errorf("event %+v, want the failure of VM 3", e)
	}
	if err := s.SetLoad("one-3", 0.2); err != nil {
		t.Fatal(err)
	}
	host, vms, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(vms) != 1 || vms[0].Data.Get("CPU") != "10.00" || vms[0].Data.Get("MEMORY") != "131072" || host.UsedCPU != 10 {
		t.Errorf("samples %+v of host %+v", vms, host)
	}
	s.Resync()
	if e := <-events; !e.Resync {
		t.Errorf("event %+v, want a resync", e)
	}
	if err := s.KillAll(); err != nil || s.Len() != 0 {
		t.Errorf("kill all: %v, %d left", err, s.Len())
	}
	if err := s.Kill("one-3"); !errors.Is(err, hypervisor.ErrNoDomain) {
		t.Errorf("killed twice: %v", err)
	}
}

// TestTenThousand shows that booting domains cost no goroutines.
func TestTenThousand(t *testing.T) {
	const n = 10_000
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, Config{Behaviour: Behaviour{BootTime: time.Second, Lifetime: time.Hour}})
		for i := range n {
			s.mu.Lock()
			_, err := s.create(machine(i))
			s.mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
		}
		if g := runtime.NumGoroutine(); g > 100 {
			t.Errorf("%d goroutines for %d booting domains", g, n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s.Len() != n {
			t.Errorf("%d domains are up, want %d", s.Len(), n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if s.Len() != 0 {
			t.Errorf("%d domains outlived their time", s.Len())
		}
	})
}

func TestJournalKeepsDomains(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "sim.journal")
	open := func() *Sim { return newSim(t, Config{Journal: path}) }

	s := open()
	for i := range 5 {
		if _, err := s.Start(t.Context(), machine(i), ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Kill("one-1"), s.Save(t.Context(), "one-2", "/dir/checkpoint"),
		s.SetState("one-3", agentapi.DomainSuspended), s.AddWild("visitor")); err != nil {
		t.Fatal(err)
	}
	before, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// A process killed while it writes leaves half a line.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"name":"one-77","st`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	s = open()
	after, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(before) != fmt.Sprint(after) || len(after) != 4 {
		t.Errorf("before %v\nafter  %v", before, after)
	}
	if err := s.Save(t.Context(), "one-2", "/dir/checkpoint"); err != nil {
		t.Errorf("a save repeated after a restart: %v", err)
	}
	if _, err := s.Restore(t.Context(), machine(2), "", "/dir/checkpoint"); err != nil {
		t.Error(err)
	}
}

func TestJournalIsCompacted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sim.journal")
	s := newSim(t, Config{Journal: path})
	for range 5000 {
		if _, err := s.Start(t.Context(), machine(1), ""); err != nil {
			t.Fatal(err)
		}
		if err := s.Destroy(t.Context(), "one-1"); err != nil {
			t.Fatal(err)
		}
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() > 200<<10 {
		t.Errorf("the journal of no domains has %d bytes", st.Size())
	}
	if st.Mode().Perm() != 0o600 {
		t.Errorf("the journal's mode is %v", st.Mode())
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("{\"name\":\"one-1\",\"vm\":1,\"state\":\"RUNNING\"}\n{\"name\":\"one-1\",\"gone\":true}\n"))
	f.Add([]byte("{\"name\":\"one-1\",\"saved_to\":\"/x\"}\n{\"na"))
	f.Add([]byte("nonsense\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseJournal(data)
		if err != nil {
			return
		}
		seen := make(map[string]bool)
		for _, e := range entries {
			if e.Name == "" || e.Gone || seen[e.Name] {
				t.Errorf("entry %+v", e)
			}
			seen[e.Name] = true
		}
	})
}
