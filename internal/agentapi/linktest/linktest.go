// Package linktest is the suite that every transport between server and agent
// has to pass.
package linktest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Hello is what the agent of the suite says; its connector must be that of this
// host.
var Hello = agentapi.Hello{Host: "h5", HostID: 5, Version: "1.2", IMMad: "kvm", VMMad: "qemu"}

// Factory returns a connector to a handler. What it starts ends with the test.
type Factory func(t *testing.T, h agentapi.Handler) agentapi.Connector

// patience bounds a wait: it is reached only when something is broken.
const patience = 60 * time.Second

// Run runs the suite.
func Run(t *testing.T, factory Factory) {
	for name, test := range map[string]func(*testing.T, Factory){
		"Hello":              testHello,
		"MessagesUp":         testMessagesUp,
		"MessagesDown":       testMessagesDown,
		"TextThatIsNone":     testTextThatIsNone,
		"Many":               testMany,
		"Refused":            testRefused,
		"AgentEnds":          testAgentEnds,
		"ServerEnds":         testServerEnds,
		"StaleEpoch":         testStaleEpoch,
		"UplinkFails":        testUplinkFails,
		"SlowAgent":          testSlowAgent,
		"SlowServer":         testSlowServer,
		"AtOnce":             testAtOnce,
		"LinksAreSeparate":   testLinksAreSeparate,
		"AgentAndHypervisor": testAgent,
	} {
		t.Run(name, func(t *testing.T) { test(t, factory) })
	}
}

// end is either end of a link as a test holds it: what came is in got.
type end struct {
	got  chan any
	fail func(m any) error // nil: nothing fails
}

func newEnd() *end { return &end{got: make(chan any, 100_000)} }

func (e *end) take(m any) error {
	e.got <- m
	if e.fail != nil {
		return e.fail(m)
	}
	return nil
}

// next returns the next message.
func (e *end) next(t *testing.T) any {
	t.Helper()
	return receive(t, e.got)
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

type (
	syncMsg    []agentapi.Event
	ackMsg     agentapi.StepID
	samplesMsg struct {
		Host agentapi.HostSample
		VMs  []agentapi.VMSample
	}
)

// serverEnd is a handler, and the uplink of its last link.
type serverEnd struct {
	*end
	refuse error
	accept func(ctx context.Context, down agentapi.Downlink) // nil: nothing

	links chan accepted
}

type accepted struct {
	ctx   context.Context
	hello agentapi.Hello
	id    int
	down  agentapi.Downlink
}

func newServer() *serverEnd { return &serverEnd{end: newEnd(), links: make(chan accepted, 100)} }

func (s *serverEnd) Accept(ctx context.Context, hello agentapi.Hello, id int, down agentapi.Downlink) (agentapi.Uplink, error) {
	if s.refuse != nil {
		return nil, s.refuse
	}
	if s.accept != nil {
		s.accept(ctx, down)
	}
	s.links <- accepted{ctx, hello, id, down}
	return s, nil
}

func (s *serverEnd) Facts(_ context.Context, f agentapi.Facts) error    { return s.take(f) }
func (s *serverEnd) Sync(_ context.Context, all []agentapi.Event) error { return s.take(syncMsg(all)) }
func (s *serverEnd) Event(_ context.Context, e agentapi.Event) error    { return s.take(e) }
func (s *serverEnd) Result(_ context.Context, r agentapi.Result) error  { return s.take(r) }
func (s *serverEnd) Samples(_ context.Context, h agentapi.HostSample, vms []agentapi.VMSample) error {
	return s.take(samplesMsg{h, vms})
}

// agentEnd is the downlink of an agent.
type agentEnd struct{ *end }

func (a agentEnd) Run(_ context.Context, s agentapi.Step) error    { return a.take(s) }
func (a agentEnd) Ack(_ context.Context, id agentapi.StepID) error { return a.take(ackMsg(id)) }

// link is an open link with both its ends.
type link struct {
	server *serverEnd
	agent  agentEnd
	up     agentapi.Uplink
	down   agentapi.Downlink
	ctx    context.Context // the server's
	done   <-chan struct{} // the agent's
	cancel context.CancelFunc
}

func open(t *testing.T, factory Factory) *link {
	t.Helper()
	return connect(t, newServer(), factory)
}

func connect(t *testing.T, s *serverEnd, factory Factory) *link {
	t.Helper()
	return dial(t, s, factory(t, s))
}

func dial(t *testing.T, s *serverEnd, c agentapi.Connector) *link {
	t.Helper()
	l := &link{server: s, agent: agentEnd{newEnd()}}
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(context.Background())
	var err error
	if l.up, l.done, err = c.Connect(ctx, Hello, l.agent); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.cancel()
		receive(t, l.done)
	})
	a := receive(t, s.links)
	l.ctx, l.down = a.ctx, a.down
	return l
}

// wantEnd waits until both ends know that the link has ended, and that neither
// takes anything any more.
func (l *link) wantEnd(t *testing.T) {
	t.Helper()
	receive(t, l.done)
	receive(t, l.ctx.Done())
	eventually(t, "the agent's end to refuse", func() bool {
		return errors.Is(l.up.Event(context.Background(), agentapi.Event{}), agentapi.ErrLinkClosed)
	})
	eventually(t, "the server's end to refuse", func() bool {
		return errors.Is(l.down.Ack(context.Background(), agentapi.StepID{}), agentapi.ErrLinkClosed)
	})
}

// eventually waits for a condition that nothing tells of.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("came otherwise than sent (-sent +came):\n%s", d)
	}
}

func testHello(t *testing.T, factory Factory) {
	s := newServer()
	c := factory(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	_, done, err := c.Connect(ctx, Hello, agentEnd{newEnd()})
	if err != nil {
		t.Fatal(err)
	}
	a := receive(t, s.links)
	if a.hello != Hello || a.id != 5 {
		t.Errorf("accepted %+v as host %d, want %+v as 5", a.hello, a.id, Hello)
	}
	cancel()
	receive(t, done)
}

// stepID returns a step id without a zero.
func stepID(n int) agentapi.StepID {
	return agentapi.StepID{Epoch: 1<<63 + uint64(n), Subject: agentapi.SubjectVM, ID: n, Seq: 2, State: -1, Attempt: 4}
}

// nasty are texts that a codec may get wrong.
const nasty = "a \"b\" <c> &amp; \\ \n\t \x01 äöü 語 \U0001F600 ]]> '"

func template() *tmpl.Template {
	return tmpl.New(
		tmpl.Single("EMPTY", ""), tmpl.Single("NASTY", nasty), tmpl.Single("TWICE", "1"), tmpl.Single("TWICE", "2"),
		tmpl.Vec("DISK", "IMAGE", nasty, "SIZE", ""), tmpl.Vec("DISK"), tmpl.Vec("DISK", "A", "1"),
	)
}

func testMessagesUp(t *testing.T, factory Factory) {
	l := open(t, factory)
	ds := []agentapi.DatastoreSpace{{ID: 1, TotalMB: 2, UsedMB: 3, FreeMB: 4}, {ID: 100, TotalMB: 1 << 40}}
	host := agentapi.HostSample{
		Time: 1, UsedCPU: 2, FreeCPU: 3, UsedMemory: 4, FreeMemory: 5, NetRX: 6, NetTX: 1 << 60, Datastores: ds,
	}
	vms := []agentapi.VMSample{{VM: 7, Time: 8, Data: template()}, {VM: 9, Time: 10}}
	sent := []any{
		agentapi.Facts{Hostname: nasty, Hypervisor: "kvm", CPU: 400, MemoryKB: 1 << 40, Template: template(), Datastores: ds},
		agentapi.Facts{},
		syncMsg{{VM: 1, Domain: "one-1", DeployID: "uuid", State: agentapi.DomainRunning}, {VM: -1, Domain: nasty, State: agentapi.DomainUnknown}},
		syncMsg(nil),
		agentapi.Event{VM: 3, Domain: "one-3", DeployID: nasty, State: agentapi.DomainFailure},
		agentapi.Result{StepID: stepID(5), Error: nasty, DeployID: "d", Source: "/a/b", Format: "qcow2", SizeMB: 1 << 40},
		agentapi.Result{StepID: stepID(6)},
		samplesMsg{host, vms},
		samplesMsg{agentapi.HostSample{}, vms},
		samplesMsg{host, nil},
	}
	ctx := context.Background()
	for _, m := range sent {
		var err error
		switch m := m.(type) {
		case agentapi.Facts:
			err = l.up.Facts(ctx, m)
		case syncMsg:
			err = l.up.Sync(ctx, m)
		case agentapi.Event:
			err = l.up.Event(ctx, m)
		case agentapi.Result:
			err = l.up.Result(ctx, m)
		case samplesMsg:
			err = l.up.Samples(ctx, m.Host, m.VMs)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range sent {
		same(t, l.server.next(t), m)
	}
}

// Machine returns a machine without a zero in it.
func machine() *agentapi.Machine {
	return &agentapi.Machine{
		ID: 7, Domain: "one-7", Title: nasty, DeployID: "uuid", UName: "u", GName: "g", UID: 1, GID: 2, STime: 3, SystemDS: 4,
		Template: template(), Kernel: "/k", Initrd: "/i", VMMad: "kvm",
		Context: &agentapi.Context{
			DiskID: 1, Target: "hda", Vars: tmpl.Vec("CONTEXT", "A", nasty, "B", "").Vector, Token: nasty,
			Files: []agentapi.ContextFile{{Name: "init.sh", Path: "/ds/2/x"}, {Name: nasty, Path: nasty}}, Time: 5,
		},
	}
}

func testMessagesDown(t *testing.T, factory Factory) {
	l := open(t, factory)
	image := &agentapi.ImageSpec{
		ID: 1, DatastoreID: 2, Path: "/p", Source: "/s", Format: "raw", FS: "ext4", SizeMB: 3, SafeDirs: []string{"/a", nasty},
		RestrictedDirs: []string{"/"}, CDROM: true, LimitMB: 4, MD5: "5", SHA1: "6",
	}
	bare := machine()
	bare.Context, bare.Template = nil, nil
	empty := machine()
	empty.Context = &agentapi.Context{}
	sent := []any{
		agentapi.Step{StepID: stepID(1), Op: agentapi.OpStart, Timeout: 1 << 40, Machine: machine()},
		agentapi.Step{StepID: stepID(2), Op: agentapi.OpImageImport, Image: image},
		ackMsg(stepID(3)),
		agentapi.Step{StepID: stepID(4), Op: agentapi.OpPrepare, Machine: bare},
		agentapi.Step{StepID: stepID(5), Op: agentapi.OpPrepare, Machine: empty},
		agentapi.Step{
			StepID: stepID(6), NIC: tmpl.Vec("NIC", "MAC", nasty).Vector, Disk: tmpl.Vec("DISK", "IMAGE", nasty).Vector,
			Snapshot: &agentapi.Snapshot{Name: nasty, Disk: 1, Begun: 1 << 40, Live: true},
		},
		agentapi.Step{Snapshot: &agentapi.Snapshot{}},
		agentapi.Step{},
		ackMsg{},
	}
	ctx := context.Background()
	for _, m := range sent {
		var err error
		switch m := m.(type) {
		case agentapi.Step:
			err = l.down.Run(ctx, m)
		case ackMsg:
			err = l.down.Ack(ctx, agentapi.StepID(m))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range sent {
		same(t, l.agent.next(t), m)
	}
}

// What a tool has printed may be no text. It must not cut the link, which would
// be cut again by every repetition.
func testTextThatIsNone(t *testing.T, factory Factory) {
	l := open(t, factory)
	ctx := context.Background()
	m := machine()
	m.Title, m.Template = "\xff", tmpl.New(tmpl.Single("A", "\xfe"))
	for _, err := range []error{
		l.up.Result(ctx, agentapi.Result{StepID: stepID(1), Error: "qemu-img: \xff\xfe"}),
		l.up.Event(ctx, agentapi.Event{Domain: "\xc3"}),
		l.down.Run(ctx, agentapi.Step{StepID: stepID(2), Machine: m}),
		l.up.Result(ctx, agentapi.Result{StepID: stepID(3)}),
		l.down.Ack(ctx, stepID(4)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if r := l.server.next(t).(agentapi.Result); !strings.HasPrefix(r.Error, "qemu-img: ") {
		t.Errorf("error %q", r.Error)
	}
	l.server.next(t)
	same(t, l.server.next(t), agentapi.Result{StepID: stepID(3)})
	l.agent.next(t)
	same(t, l.agent.next(t), ackMsg(stepID(4)))
}

func testMany(t *testing.T, factory Factory) {
	l := open(t, factory)
	ctx := context.Background()
	const n = 20_000
	all := make([]agentapi.Event, n)
	vms := make([]agentapi.VMSample, n/4)
	for i := range all {
		all[i] = agentapi.Event{VM: i, Domain: fmt.Sprintf("one-%d", i), DeployID: strings.Repeat("x", 36), State: agentapi.DomainRunning}
	}
	for i := range vms {
		vms[i] = agentapi.VMSample{VM: i, Time: 1, Data: template()}
	}
	if err := l.up.Sync(ctx, all); err != nil {
		t.Fatal(err)
	}
	if err := l.up.Samples(ctx, agentapi.HostSample{Time: 9}, vms); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := errors.Join(l.up.Result(ctx, agentapi.Result{StepID: stepID(i)}), l.down.Ack(ctx, stepID(i))); err != nil {
			t.Fatal(err)
		}
	}
	same(t, l.server.next(t), syncMsg(all))
	hosts := 0
	for rest := vms; len(rest) > 0; { // which may come in parts
		m := l.server.next(t).(samplesMsg)
		if m.Host.Time != 0 {
			hosts++
		}
		if len(m.VMs) > len(rest) {
			t.Fatalf("%d samples too many", len(m.VMs)-len(rest))
		}
		same(t, m.VMs, rest[:len(m.VMs)])
		rest = rest[len(m.VMs):]
	}
	if hosts != 1 {
		t.Errorf("the sample of the host came %d times", hosts)
	}
	for i := range n {
		if r, ok := l.server.next(t).(agentapi.Result); !ok || r.StepID != stepID(i) {
			t.Fatalf("result %d is %+v", i, r)
		}
		if id, ok := l.agent.next(t).(ackMsg); !ok || id != ackMsg(stepID(i)) {
			t.Fatalf("acknowledgement %d is %+v", i, id)
		}
	}
}

func testAtOnce(t *testing.T, factory Factory) {
	s := newServer()
	s.accept = func(ctx context.Context, down agentapi.Downlink) {
		if err := down.Run(ctx, agentapi.Step{StepID: stepID(1), Op: agentapi.OpDestroy, Machine: machine()}); err != nil {
			t.Error(err)
		}
	}
	l := connect(t, s, factory)
	if got := l.agent.next(t).(agentapi.Step); got.StepID != stepID(1) {
		t.Errorf("step %s", got.StepID)
	}
}
