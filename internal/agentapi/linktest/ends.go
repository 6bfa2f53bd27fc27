package linktest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/errs"
)

func testRefused(t *testing.T, factory Factory) {
	s := newServer()
	s.refuse = errs.New(errs.NoExists, "host %q is not registered", Hello.Host)
	_, _, err := factory(t, s).Connect(t.Context(), Hello, agentEnd{newEnd()})
	if err == nil || !strings.Contains(err.Error(), `host "h5" is not registered`) {
		t.Errorf("Connect: %v, want the server's refusal", err)
	}
}

func testAgentEnds(t *testing.T, factory Factory) {
	l := open(t, factory)
	l.cancel()
	l.wantEnd(t)
}

func testServerEnds(t *testing.T, factory Factory) {
	l := open(t, factory)
	cause := errors.New("the host was deleted")
	l.down.(agentapi.Closer).Close(cause)
	l.wantEnd(t)
	if got := context.Cause(l.ctx); !errors.Is(got, cause) {
		t.Errorf("cause %v, want %v", got, cause)
	}
	if err := l.down.Ack(context.Background(), stepID(1)); !errors.Is(err, cause) {
		t.Errorf("a later call: %v, want the cause in it", err)
	}
}

func testStaleEpoch(t *testing.T, factory Factory) {
	l := open(t, factory)
	l.agent.fail = func(m any) error {
		if s, ok := m.(agentapi.Step); ok && s.Epoch < 7 {
			return &agentapi.StaleEpochError{Seen: 7, Got: s.Epoch}
		}
		return nil
	}
	id := stepID(1)
	for _, id.Epoch = range []uint64{7, 6} {
		if err := l.down.Run(context.Background(), agentapi.Step{StepID: id}); err != nil {
			t.Fatal(err)
		}
		l.agent.next(t)
	}
	l.wantEnd(t)
	var stale *agentapi.StaleEpochError
	if err := context.Cause(l.ctx); !errors.As(err, &stale) || *stale != (agentapi.StaleEpochError{Seen: 7, Got: 6}) {
		t.Errorf("cause %v, want the refusal", err)
	}
}

func testUplinkFails(t *testing.T, factory Factory) {
	l := open(t, factory)
	cause := errors.New("not the leader any more")
	l.server.fail = func(m any) error {
		if e, ok := m.(agentapi.Event); ok && e.VM == 1 {
			return cause
		}
		return nil
	}
	for vm := range 3 {
		if err := l.up.Event(context.Background(), agentapi.Event{VM: vm}); err != nil {
			break // it has ended already
		}
	}
	l.wantEnd(t)
	if got := context.Cause(l.ctx); !errors.Is(got, cause) {
		t.Errorf("cause %v, want %v", got, cause)
	}
	l.server.next(t)
	l.server.next(t)
	select {
	case m := <-l.server.got:
		t.Errorf("%+v came after the failure", m)
	default:
	}
}

// many is more than a transport could hide in its buffers.
const many = 50_000

func testSlowAgent(t *testing.T, factory Factory) {
	l := open(t, factory)
	release := make(chan struct{})
	l.agent.fail = func(any) error {
		<-release
		return nil
	}
	m := machine()
	for i := range many {
		if err := l.down.Run(context.Background(), agentapi.Step{StepID: stepID(i), Machine: m}); err != nil {
			t.Fatal(err)
		}
	}
	// The other direction is not held up.
	if err := l.up.Event(context.Background(), agentapi.Event{VM: 1}); err != nil {
		t.Fatal(err)
	}
	l.server.next(t)
	close(release)
	for i := range many {
		if s := l.agent.next(t).(agentapi.Step); s.StepID != stepID(i) {
			t.Fatalf("step %d is %s", i, s.StepID)
		}
	}
}

func testSlowServer(t *testing.T, factory Factory) {
	l := open(t, factory)
	release := make(chan struct{})
	l.server.fail = func(any) error {
		<-release
		return nil
	}
	for i := range many {
		if err := l.up.Event(context.Background(), agentapi.Event{VM: i, Domain: strings.Repeat("x", 100)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.down.Ack(context.Background(), stepID(1)); err != nil {
		t.Fatal(err)
	}
	l.agent.next(t)
	close(release)
	for i := range many {
		if e := l.server.next(t).(agentapi.Event); e.VM != i {
			t.Fatalf("event %d is of VM %d", i, e.VM)
		}
	}
}

func testLinksAreSeparate(t *testing.T, factory Factory) {
	s := newServer()
	c := factory(t, s)
	a, b := dial(t, s, c), dial(t, s, c)
	a.cancel()
	a.wantEnd(t)
	var both sync.WaitGroup
	both.Go(func() {
		if err := b.up.Event(context.Background(), agentapi.Event{VM: 2}); err != nil {
			t.Error(err)
		}
	})
	both.Go(func() {
		if err := b.down.Ack(context.Background(), stepID(2)); err != nil {
			t.Error(err)
		}
	})
	both.Wait()
	same(t, s.next(t), agentapi.Event{VM: 2})
	same(t, b.agent.next(t), ackMsg(stepID(2)))
	if len(a.agent.got) > 0 {
		t.Error("the link that ended got what was for the other")
	}
}
