package libvirt

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	rpc "github.com/digitalocean/go-libvirt"
	"go.uber.org/goleak"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testPool(t *testing.T, socket string) *pool {
	t.Helper()
	p := newPool(endpoint{socket: socket, uri: "qemu:///system"})
	t.Cleanup(p.close)
	return p
}

// version is a call with nothing in it.
func version(l *rpc.Libvirt) error {
	_, err := l.ConnectGetLibVersion()
	return err
}

func answers(uint32) ([]byte, bool) { return words(0, 9000000), false }

func TestUnreachable(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "no-such-sock")
	err := testPool(t, socket).call(t.Context(), "list domains", time.Minute, version)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("error %v", err)
	}
	want := "list domains: libvirt is not reachable at " + socket + ": "
	if !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), "; is libvirtd running?") {
		t.Errorf("error %v", err)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	d := newDaemon(t, answers)
	p := testPool(t, d.socket)
	for range 10 {
		if err := p.call(t.Context(), "x", time.Minute, version); err != nil {
			t.Fatal(err)
		}
	}
	if n := d.dialled(); n != 1 {
		t.Errorf("ten calls took %d connections", n)
	}
	d.dropAll() // as a daemon that restarts
	if err := p.call(t.Context(), "x", time.Minute, version); err != nil {
		t.Fatal(err)
	}
	if n := d.dialled(); n != 2 {
		t.Errorf("after the daemon was gone there were %d connections, want one new", n)
	}
}

// TestSlowCall: a call that is not answered ends at its deadline, and harms no
// other.
func TestSlowCall(t *testing.T) {
	d := newDaemon(t, func(proc uint32) ([]byte, bool) {
		if proc == procVersion {
			return nil, false
		}
		return domain("one-1", 1), false
	})
	p := testPool(t, d.socket)
	var wg sync.WaitGroup
	wg.Go(func() {
		err := p.call(t.Context(), "ask", 50*time.Millisecond, version)
		if !errors.Is(err, errSlow) || !strings.Contains(err.Error(), "ask: libvirt does not answer within 50ms") {
			t.Errorf("the slow call ended with %v", err)
		}
	})
	if proc := <-d.seen; proc != procVersion {
		t.Fatalf("call %d came first", proc)
	}
	err := p.call(t.Context(), "look up", time.Minute, func(l *rpc.Libvirt) error {
		_, err := l.DomainLookupByName("one-1")
		return err
	})
	if err != nil {
		t.Errorf("a call beside a slow one: %v", err)
	}
	wg.Wait()
}

func TestCallerLeaves(t *testing.T) {
	d := newDaemon(t, func(uint32) ([]byte, bool) { return nil, false })
	p := testPool(t, d.socket)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	go func() {
		<-d.seen
		cancel(gone)
	}()
	if err := p.call(ctx, "x", time.Hour, version); !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
	if err := p.call(ctx, "x", time.Hour, version); !errors.Is(err, gone) {
		t.Errorf("a call after that: %v", err)
	}
}

// TestDaemonThatNeverSpeaks accepts connections and says nothing.
func TestDaemonThatNeverSpeaks(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	accepted := make(chan error)
	go func() {
		c, err := l.Accept()
		cancel(enough)
		if err == nil {
			_, _ = io.Copy(io.Discard, c) // until the other side ends it
			err = c.Close()
		}
		accepted <- err
	}()
	if _, err = (endpoint{socket: socket, uri: "qemu:///system"}).dial(ctx); !errors.Is(err, enough) {
		t.Errorf("connected: %v", err)
	}
	if err := errors.Join(<-accepted, l.Close()); err != nil {
		t.Error(err)
	}
}

// TestLostCall: an operation whose connection ends under it is run again.
func TestLostCall(t *testing.T) {
	var n atomic.Int32
	d := newDaemon(t, func(uint32) ([]byte, bool) { return words(0, 9000000), n.Add(1) < 3 })
	p := testPool(t, d.socket)
	if err := p.call(t.Context(), "x", time.Minute, version); err != nil {
		t.Error(err)
	}
	if d.dialled() != 3 {
		t.Errorf("%d connections, want 3", d.dialled())
	}
	n.Store(-100)
	if err := p.call(t.Context(), "x", time.Minute, version); !errors.Is(err, errLost) {
		t.Errorf("a daemon that drops every call: %v", err)
	}
}

// TestAwayIsWaitedFor: what changes something waits for a daemon that is not there,
// at the start and in the middle; what asks does not.
func TestAwayIsWaitedFor(t *testing.T) {
	d := newDaemon(t, answers)
	socket := filepath.Join(t.TempDir(), "libvirt-sock")
	p := testPool(t, socket)
	done := make(chan error, 1)
	begin := func() { go func() { done <- p.do(t.Context(), "x", time.Minute, version) }() }
	begin()
	if err := p.call(t.Context(), "y", time.Minute, version); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a question to nobody: %v", err)
	}
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	if err := os.Symlink(d.socket, socket); err != nil { // it comes
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	// It goes away under the connection there is.
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	d.dropAll()
	begin()
	if err := p.call(t.Context(), "y", time.Minute, version); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a question to nobody: %v", err)
	}
	if err := os.Symlink(d.socket, socket); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	// Who gives up does not wait, and neither is a door waited for that is shut.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.do(ctx, "x", time.Minute, version); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if isAway(&awayError{"a", syscall.EACCES}) || isAway(errLost) {
		t.Error("what is forbidden is waited for")
	}
}

func TestRefusalIsTyped(t *testing.T) {
	d := newDaemon(t, func(uint32) ([]byte, bool) { return failure(42, "Domain not found"), false })
	drv := &Driver{cfg: Config{CallTime: time.Minute, StartTime: time.Minute}, calls: testPool(t, d.socket)}
	if _, err := drv.State(t.Context(), "one-1"); !errors.Is(err, hypervisor.ErrNoDomain) {
		t.Errorf("state: %v", err)
	}
	if err := drv.Shutdown(t.Context(), "one-1"); !errors.Is(err, hypervisor.ErrNoDomain) {
		t.Errorf("shutdown: %v", err)
	}
	if err := drv.Destroy(t.Context(), "one-1"); err != nil {
		t.Errorf("destroy: %v", err)
	}
	if n := d.dialled(); n != 1 {
		t.Errorf("%d connections: a refusal ended one", n)
	}
	d2 := newDaemon(t, func(uint32) ([]byte, bool) { return failure(38, "access denied"), false })
	drv.calls = testPool(t, d2.socket)
	if _, err := drv.State(t.Context(), "one-1"); err == nil || errors.Is(err, hypervisor.ErrNoDomain) || !strings.Contains(err.Error(), "access denied") {
		t.Errorf("another refusal: %v", err)
	}
}

// TestSaveIsCalledOff: libvirt would go on with a save whose caller has left.
func TestSaveIsCalledOff(t *testing.T) {
	for name, limit := range map[string]time.Duration{"Caller": time.Hour, "Limit": 50 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			saving := make(chan struct{})
			d := newDaemon(t, func(proc uint32) ([]byte, bool) {
				switch proc {
				case procLookup:
					return domain("one-1", 1), false
				case procState:
					return words(1, 1), false
				case procSave:
					close(saving)
					return nil, false
				}
				return []byte{}, false
			})
			drv := &Driver{cfg: Config{CallTime: time.Minute, SaveTime: limit}, calls: testPool(t, d.socket)}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if name == "Caller" {
				go func() {
					<-saving
					cancel()
				}()
			}
			if err := drv.Save(ctx, "one-1", filepath.Join(t.TempDir(), "checkpoint")); err == nil || errors.Is(err, hypervisor.ErrNoDomain) {
				t.Errorf("save ended with %v", err)
			}
			if n := d.count(procAbortJob); n != 1 {
				t.Errorf("the save was called off %d times", n)
			}
		})
	}
}

// TestEvents: what libvirt says is handed on; what it forgets to say is found
// out; and a connection that was lost is made again.
func TestEvents(t *testing.T) {
	var running atomic.Value
	running.Store(statsOf(domain("one-1", 1), domain("one-2", 2)))
	d := newDaemon(t, func(proc uint32) ([]byte, bool) {
		switch proc {
		case procRegister:
			return words(7), false
		case procStats:
			return running.Load().([]byte), false
		}
		return failure(1, "not expected"), false
	})
	drv, err := New(Config{Socket: d.socket})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := drv.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	events, err := drv.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	await := func(what string, is func(hypervisor.Event) bool) {
		t.Helper()
		for e := range events {
			if is(e) {
				return
			}
		}
		t.Fatalf("%s did not come", what)
	}
	// The stream may be a moment behind the first list: send until it is there.
	ready := make(chan struct{})
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				d.event(lifecycle(domain("one-3", 3), 2, 0))
			case <-ready:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	await("the start of one-3", func(e hypervisor.Event) bool {
		return e.Event == agentapi.Event{VM: 3, Domain: "one-3", DeployID: "03030303-0303-0303-0303-030303030303", State: agentapi.DomainRunning}
	})
	close(ready)
	d.event(lifecycle(domain("one-2", 2), 5, 0))
	await("the end of one-2", func(e hypervisor.Event) bool { return e.VM == 2 && e.State == agentapi.DomainPoweroff })

	// one-1 dies without a word.
	running.Store(statsOf())
	await("the silent end of one-1", func(e hypervisor.Event) bool { return e.VM == 1 && e.State == agentapi.DomainPoweroff })
	running.Store(statsOf(domain("visitor", 9)))
	await("a domain that is not ours", func(e hypervisor.Event) bool { return e.VM == -1 && e.Domain == "visitor" })

	d.dropAll()
	await("the word that some were lost", func(e hypervisor.Event) bool { return e.Resync })
	if n := d.count(procRegister); n != 2 {
		t.Errorf("registered %d times for events, want 2", n)
	}
}

func TestEventsWithoutLibvirt(t *testing.T) {
	drv, err := New(Config{Socket: filepath.Join(t.TempDir(), "none")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	events, err := drv.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for range events {
		t.Error("an event came from nowhere")
	}
	if err := drv.Close(); err != nil { // while it tries to connect
		t.Error(err)
	}
	if _, err := New(Config{Type: "xen"}); err == nil {
		t.Error("a driver for xen was made")
	}
}

func TestStateOf(t *testing.T) {
	for _, test := range []struct {
		state   rpc.DomainState
		reason  rpc.DomainPausedReason
		want    agentapi.DomainState
		present bool
	}{
		{rpc.DomainRunning, 0, agentapi.DomainRunning, true},
		{rpc.DomainBlocked, 0, agentapi.DomainRunning, true},
		{rpc.DomainShutdown, 0, agentapi.DomainRunning, true},
		{rpc.DomainShutoff, 0, "", false},
		{rpc.DomainCrashed, 0, agentapi.DomainFailure, true},
		{rpc.DomainPmsuspended, 0, agentapi.DomainSuspended, true},
		{rpc.DomainNostate, 0, agentapi.DomainUnknown, true},
		{rpc.DomainPaused, rpc.DomainPausedUser, agentapi.DomainSuspended, true},
		{rpc.DomainPaused, rpc.DomainPausedSave, agentapi.DomainRunning, true},
		{rpc.DomainPaused, rpc.DomainPausedMigration, agentapi.DomainRunning, true},
		{rpc.DomainPaused, rpc.DomainPausedStartingUp, agentapi.DomainRunning, true},
		{rpc.DomainPaused, rpc.DomainPausedIoerror, agentapi.DomainFailure, true},
		{rpc.DomainPaused, rpc.DomainPausedWatchdog, agentapi.DomainFailure, true},
		{rpc.DomainPaused, rpc.DomainPausedUnknown, agentapi.DomainFailure, true},
		{rpc.DomainPaused, rpc.DomainPausedPostcopyFailed, agentapi.DomainFailure, true},
	} {
		if got, present := stateOf(int32(test.state), int32(test.reason)); got != test.want || present != test.present {
			t.Errorf("state %d, reason %d is %s (%v), want %s", test.state, test.reason, got, present, test.want)
		}
	}
}

func TestMoveTo(t *testing.T) {
	const doc = `<domain><os><kernel>/old/0/7/kernel</kernel></os><devices><disk><source file='/iso/x.iso'/></disk>` +
		`<disk><source file='/old/0/7/disk.0'/></disk><serial><source path='/old/0/7/console.log'/></serial></devices></domain>`
	if got, err := moveTo(doc, "/old/0/7/"); err != nil || got != nil {
		t.Errorf("where it was: %v, %v", got, err)
	}
	got, err := moveTo(doc, "/new/0/7")
	if err != nil || len(got) != 1 || strings.Contains(got[0], "/old/") || !strings.Contains(got[0], "/new/0/7/console.log") || !strings.Contains(got[0], "/iso/x.iso") {
		t.Errorf("elsewhere: %v, %v", got, err)
	}
	if _, err := moveTo("<domain", "/new"); err == nil {
		t.Error("half a document was read")
	}
}

func TestMeter(t *testing.T) {
	at := time.Unix(1700000000, 0)
	before := cpuTime{at: at, busy: time.Second}
	for _, test := range []struct {
		now  cpuTime
		want float64
	}{
		{cpuTime{at.Add(10 * time.Second), 6 * time.Second}, 50},
		{cpuTime{at.Add(time.Second), 3 * time.Second}, 200},
		{cpuTime{at, 2 * time.Second}, 0},
		{cpuTime{at.Add(time.Second), 0}, 0}, // another process
	} {
		if got := test.now.since(before); got != test.want {
			t.Errorf("%+v is %g %%, want %g", test.now, got, test.want)
		}
	}
	if got := before.since(cpuTime{}); got != 0 {
		t.Errorf("the first value is %g %%", got)
	}
	var m meter
	m.vmCPU(map[string]cpuTime{"a": before, "b": before})
	used := m.vmCPU(map[string]cpuTime{"a": {at.Add(10 * time.Second), 6 * time.Second}})
	if used["a"] != 50 || len(used) != 1 || len(m.vms) != 1 {
		t.Errorf("used %v, remembered %v", used, m.vms)
	}
}
