package agent

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/agentapi/inproc"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// server is a server that remembers what it was told. Ack makes it acknowledge
// each result.
type server struct {
	ack    bool
	refuse error // of Accept

	mu    sync.Mutex
	links int
	down  agentapi.Downlink
	ctx   context.Context // of the last link
	told  []any
}

func (s *server) Accept(ctx context.Context, _ agentapi.Hello, _ int, down agentapi.Downlink) (agentapi.Uplink, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return nil, s.refuse
	}
	s.links++
	s.down, s.ctx = down, ctx
	return s, nil
}

func (s *server) refuseWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

func (s *server) linkCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.links
}

type syncAll []agentapi.Event

type samples struct {
	host agentapi.HostSample
	vms  []agentapi.VMSample
}

func (s *server) add(m any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, m)
	return nil
}

func (s *server) Facts(_ context.Context, f agentapi.Facts) error    { return s.add(f) }
func (s *server) Sync(_ context.Context, all []agentapi.Event) error { return s.add(syncAll(all)) }
func (s *server) Event(_ context.Context, e agentapi.Event) error    { return s.add(e) }
func (s *server) Samples(_ context.Context, h agentapi.HostSample, vms []agentapi.VMSample) error {
	return s.add(samples{h, vms})
}

func (s *server) Result(ctx context.Context, r agentapi.Result) error {
	if err := s.add(r); err != nil || !s.ack {
		return err
	}
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	return down.Ack(ctx, r.StepID)
}

// pass lets the time of the synctest bubble pass, which takes none.
func pass(d time.Duration) { <-time.After(d) }

// take returns what was told since the last take, of the types of T only.
func take[T any](s *server) []T {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []T
	for _, m := range s.told {
		if m, ok := m.(T); ok {
			out = append(out, m)
		}
	}
	s.told = nil
	return out
}

// drop ends the link of the moment.
func (s *server) drop(cause error) {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	down.(agentapi.Closer).Close(cause)
}

func (s *server) run(t *testing.T, steps ...agentapi.Step) {
	t.Helper()
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	for _, st := range steps {
		if err := down.Run(t.Context(), st); err != nil {
			t.Fatal(err)
		}
	}
}

// one runs a step and returns its result.
func (s *server) one(t *testing.T, st agentapi.Step) agentapi.Result {
	t.Helper()
	take[any](s)
	s.run(t, st)
	rs := take[agentapi.Result](s)
	if len(rs) != 1 || rs[0].StepID != st.StepID {
		t.Fatalf("results of %s: %+v, want exactly one", st.StepID, rs)
	}
	return rs[0]
}

// wait runs a step that works outside of the bubble, for which synctest.Wait does
// not wait, and returns its result.
func (s *server) wait(t *testing.T, st agentapi.Step) agentapi.Result {
	t.Helper()
	take[any](s)
	s.run(t, st)
	for {
		pass(time.Millisecond)
		for _, r := range take[agentapi.Result](s) {
			if r.StepID == st.StepID {
				return r
			}
		}
	}
}

// start starts an agent in a synctest bubble; stop ends it and waits.
func start(t *testing.T, s *server, cfg Config) (a *Agent, stop func()) {
	t.Helper()
	cfg.HostName, cfg.HostID = "h0", 0
	cfg.Connector = inproc.New(s, discard)
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	synctest.Wait()
	return a, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func newSim(t *testing.T, b sim.Behaviour) *sim.Sim {
	t.Helper()
	s, err := sim.New(sim.Config{Behaviour: b})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// vm returns a step of a VM.
func vm(id int, op agentapi.Op, attempt int) agentapi.Step {
	m := &agentapi.Machine{
		ID: id, Domain: domain(id), SystemDS: 0, VMMad: "dummy",
		Template: tmpl.New(tmpl.Single("CPU", "1"), tmpl.Single("MEMORY", "128")),
	}
	s := agentapi.Step{
		StepID: agentapi.StepID{Epoch: 1, Subject: agentapi.SubjectVM, ID: id, State: stateOf[op], Attempt: attempt},
		Op:     op, Machine: m,
	}
	if isNICChange(op) {
		s.NIC = plugged.Vector
		if op != agentapi.OpDetachNIC {
			m.Template = m.Template.Add(plugged)
		}
	}
	switch op {
	case agentapi.OpSnapshotCreate, agentapi.OpSnapshotRevert, agentapi.OpSnapshotDelete:
		s.Snapshot = &agentapi.Snapshot{Name: "snap-0", Begun: 5, Live: true}
	case agentapi.OpDiskSnapshotCreate, agentapi.OpDiskSnapshotRevert, agentapi.OpDiskSnapshotDelete:
		s.Snapshot = &agentapi.Snapshot{Name: "disk-snap-0", Disk: 1, Begun: 5}
	}
	if op == agentapi.OpMigrate {
		s.Peer = "other"
	}
	if isDiskChange(op) {
		s.Disk = pluggedDisk.Vector
		if op != agentapi.OpDetachDisk && op != agentapi.OpDropDisk {
			m.Template = m.Template.Add(pluggedDisk)
		}
	}
	return s
}

// pluggedDisk is the disk that steps on disks are about.
var pluggedDisk = tmpl.Vec("DISK", "DISK_ID", "5", "TARGET", "vdb", "TYPE", "FS", "SIZE", "1")

// plugged is the NIC that steps on NICs are about.
var plugged = tmpl.Vec("NIC", "NIC_ID", "3", "MAC", "02:00:0a:00:00:03")

// stateOf tells the steps of one VM apart as the server's states do.
var stateOf = map[agentapi.Op]int{
	agentapi.OpPrepare: 1, agentapi.OpStart: 2, agentapi.OpShutdown: 12, agentapi.OpDestroy: 18, agentapi.OpReboot: 3,
	agentapi.OpReset: 33, agentapi.OpSave: 6, agentapi.OpRestore: 21, agentapi.OpStore: 10, agentapi.OpFetch: 31,
	agentapi.OpFinish: 11, agentapi.OpCleanup: 23, agentapi.OpContext: 17,
	agentapi.OpAttachNIC: 25, agentapi.OpDetachNIC: 25, agentapi.OpUpdateNIC: 25,
	agentapi.OpMigrate: 4, agentapi.OpAttachDisk: 17, agentapi.OpDetachDisk: 17, agentapi.OpPlaceDisk: 33, agentapi.OpDropDisk: 34,
	agentapi.OpResizeDisk: 62, agentapi.OpGrowDisk: 63,
	agentapi.OpSnapshotCreate: 24, agentapi.OpSnapshotRevert: 24, agentapi.OpSnapshotDelete: 24,
	agentapi.OpDiskSnapshotCreate: 51, agentapi.OpDiskSnapshotRevert: 52, agentapi.OpDiskSnapshotDelete: 53,
}

func state(t *testing.T, d hypervisor.Driver, id int) agentapi.DomainState {
	t.Helper()
	st, err := d.State(t.Context(), domain(id))
	if err != nil {
		return agentapi.DomainPoweroff
	}
	return st
}
