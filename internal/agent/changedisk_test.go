package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// A domain that has died meanwhile gets no disk, and nothing is made for it; nor does
// it lose one.
func TestDiskOfDeadDomain(t *testing.T) {
	for _, op := range []agentapi.Op{agentapi.OpAttachDisk, agentapi.OpDetachDisk} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, ops[op])
			defer r.stop()
			if err := r.Kill(domain(7)); err != nil {
				t.Fatal(err)
			}
			before := r.picture(t, 7)
			res := r.one(t, vm(7, op, 1))
			if res.OK() || strings.Contains(res.Error, "undoing") || !slices.Equal(r.picture(t, 7), before) {
				t.Errorf("%s: %+v, and there is %q, want %q", op, res, r.picture(t, 7), before)
			}
		})
	}
}

// The disk of a guest that does not let go of it stays, and so does what is on it.
func TestGuestKeepsItsDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ops[agentapi.OpDetachDisk])
		defer r.stop()
		before := r.picture(t, 7)
		r.setAt(func(ctx context.Context, point string) error {
			if point == "detach-disk" {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return nil
		})
		take[any](r.server)
		r.run(t, vm(7, agentapi.OpDetachDisk, 1))
		pass(guestTime)
		rs := take[agentapi.Result](r.server)
		if len(rs) != 1 || !strings.Contains(rs[0].Error, context.DeadlineExceeded.Error()) {
			t.Fatalf("results %+v", rs)
		}
		if calls := r.takeCalls(); slices.Contains(calls, "drop disk") || !slices.Equal(r.picture(t, 7), before) {
			t.Errorf("calls %q, and there is %q, want %q", calls, r.picture(t, 7), before)
		}
	})
}

// A disk that cannot be taken from the domain again stays where it is: the guest may
// write to it.
func TestFailedAttachKeepsWhatIsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ops[agentapi.OpAttachDisk])
		defer r.stop()
		r.setAt(func(_ context.Context, point string) error {
			switch point {
			case "attach-disk'":
				return errors.New("the answer is lost")
			case "detach-disk":
				return errors.New("the guest holds on")
			}
			return nil
		})
		res := r.one(t, vm(7, agentapi.OpAttachDisk, 1))
		if want := "the answer is lost (and undoing it failed: the guest holds on)"; res.Error != want {
			t.Errorf("result %q, want %q", res.Error, want)
		}
		if !slices.Contains(r.picture(t, 7), "7 disk 5") {
			t.Error("the disk was removed under the guest")
		}
	})
}

func TestDriverWithoutDisks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		s := &server{ack: true}
		_, stop := start(t, s, Config{Driver: onlyDriver{h}, Disks: h, Networks: h})
		defer stop()
		for i, op := range []agentapi.Op{agentapi.OpAttachDisk, agentapi.OpDetachDisk} {
			if res := s.one(t, vm(7, op, i)); res.Error != "driver dummy cannot change disks of VMs that run" {
				t.Errorf("%s: %q", op, res.Error)
			}
		}
		wrong := vm(7, agentapi.OpPlaceDisk, 3)
		wrong.Disk = nil
		if res := s.one(t, wrong); !strings.Contains(res.Error, "Disk with its DISK_ID is expected") {
			t.Errorf("a step without a disk: %+v", res)
		}
	})
}
