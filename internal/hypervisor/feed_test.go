package hypervisor

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

func TestFeedKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Feed
		a, b := f.Subscribe(t.Context()), f.Subscribe(t.Context())
		for i := range 100 {
			f.Publish(Event{Event: agentapi.Event{VM: i}})
		}
		for i := range 100 {
			if ea, eb := <-a, <-b; ea.VM != i || eb.VM != i {
				t.Fatalf("event %d came as %d and %d", i, ea.VM, eb.VM)
			}
		}
	})
}

func TestFeedResyncsSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Feed
		ctx, cancel := context.WithCancel(t.Context())
		events := f.Subscribe(ctx)
		for i := range 3 * feedLimit {
			f.Publish(Event{Event: agentapi.Event{VM: i}})
		}
		var resync bool
		next, n := -1, 0
		for e := range events {
			n++
			if e.Resync {
				resync, next = true, -1
				continue
			}
			if next >= 0 && e.VM != next {
				t.Fatalf("event of VM %d came, want %d: a gap without a resync", e.VM, next)
			}
			if next = e.VM + 1; next == 3*feedLimit {
				break
			}
		}
		if !resync || n > 2*feedLimit+2 {
			t.Fatalf("a reader that lagged %d events behind got %d, resync %v", 3*feedLimit, n, resync)
		}
		cancel()
		if _, open := <-events; open {
			t.Fatal("the channel is open after its context ended")
		}
		f.Publish(Event{}) // must not block or panic
	})
}

func TestVMID(t *testing.T) {
	for domain, want := range map[string]int{
		"one-0": 0, "one-17": 17, "one-": -1, "one-x": -1, "one--1": -1, "one-+1": -1, "one-007": -1,
		"two-1": -1, "": -1, "one-99999999999999999999": -1,
	} {
		if got := VMID(domain); got != want {
			t.Errorf("VMID(%q) = %d, want %d", domain, got, want)
		}
	}
}
