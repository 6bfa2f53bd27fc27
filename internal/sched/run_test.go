package sched

import (
	"context"
	"errors"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/monitor"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
)

// TestRun: the scheduler as it runs places what comes, and moves on what waited for
// an image.
func TestRun(t *testing.T) {
	t.Parallel()
	image := func(state one.ImageState) func(*store.Tx) {
		return func(tx *store.Tx) {
			tx.PutImage(&one.Image{Meta: one.Meta{ID: 3, Name: "disk"}, State: state, Source: "/x", Format: "raw", Size: 1, CloningID: -1})
		}
	}
	s := newSite(t, image(one.ImageLockedUsed), func(tx *store.Tx) {
		for id := range 3 {
			host(id, func(h *one.Host) { h.MaxCPU, h.MaxMem = 100*100, 1<<30 })(tx)
		}
		for i := range 150 { // more than one transaction reviews
			v := vm(100+i, "DISK=[DISK_ID=0, IMAGE_ID=3]", "")
			v.State = one.VMCloning
			tx.PutVM(v)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), storetest.Deadline)
	defer cancel()
	over, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(over) }()
	s.do(pending(10, "", ""))
	s.do(image(one.ImageUsed))
	feed := s.store.Subscribe(s.store.View())
	for active := 0; active < 151; {
		active = 0
		for _, v := range s.store.View().VMs.All() {
			if v.State == one.VMActive {
				active++
			}
		}
		if active == 151 {
			break
		}
		if _, err := feed.Next(ctx); err != nil {
			t.Fatalf("%d of 151 have a place: %v", active, err)
		}
	}
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestSpaceIsMeasured: who waits for space in a datastore is looked at again when there
// are new measurements.
func TestSpaceIsMeasured(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	mon := monitor.New()
	measure := func(free int64) {
		mon.TakeDatastores(0, []agentapi.DatastoreSpace{{ID: 0, TotalMB: 900, FreeMB: free}, {ID: 101}, {ID: 102}})
	}
	s.Scheduler = New(Options{Store: s.store.Store, Cloud: s.Cloud, Space: mon, Log: s.Log, Now: s.Now})
	measure(100)
	ctx, cancel := context.WithTimeout(context.Background(), storetest.Deadline)
	defer cancel()
	over, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(over) }()
	s.do(pending(10, "DISK=[TYPE=fs, SIZE=500]", ""))
	feed := s.store.Subscribe(s.store.View())
	await := func(what string, is func(v *one.VM) bool) {
		t.Helper()
		for {
			if v, _ := s.store.View().VM(10); is(v) {
				return
			}
			if _, err := feed.Next(ctx); err != nil {
				t.Fatalf("it is never %s: %v; %s", what, err, s.where(10))
			}
		}
	}
	await("refused", func(v *one.VM) bool {
		return v.UserTemplate.Get("SCHED_MESSAGE") == stamp+"Cannot dispatch VM: No system datastore with enough capacity for the VM"
	})
	measure(200)
	measure(600)
	await("placed", func(v *one.VM) bool { return v.State == one.VMActive })
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
