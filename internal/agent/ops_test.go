package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// ops says of every operation on VMs what has to be done before it.
var ops = map[agentapi.Op][]agentapi.Op{
	agentapi.OpPrepare:  nil,
	agentapi.OpStart:    {agentapi.OpPrepare},
	agentapi.OpShutdown: {agentapi.OpPrepare, agentapi.OpStart},
	agentapi.OpDestroy:  {agentapi.OpPrepare, agentapi.OpStart},
	agentapi.OpReboot:   {agentapi.OpPrepare, agentapi.OpStart},
	agentapi.OpReset:    {agentapi.OpPrepare, agentapi.OpStart},
	agentapi.OpContext:  {agentapi.OpPrepare, agentapi.OpStart},
	agentapi.OpSave:     {agentapi.OpPrepare, agentapi.OpStart},
	agentapi.OpRestore:  {agentapi.OpPrepare, agentapi.OpStart, agentapi.OpSave},
	agentapi.OpStore:    {agentapi.OpPrepare, agentapi.OpStart, agentapi.OpSave},
	agentapi.OpFetch:    {agentapi.OpPrepare, agentapi.OpStart, agentapi.OpSave, agentapi.OpStore},
	agentapi.OpFinish:   {agentapi.OpPrepare, agentapi.OpStart, agentapi.OpDestroy},
	agentapi.OpCleanup:  {agentapi.OpPrepare, agentapi.OpStart},

	agentapi.OpAttachNIC: {agentapi.OpPrepare, agentapi.OpStart},
	agentapi.OpDetachNIC: {agentapi.OpPrepare, agentapi.OpStart, agentapi.OpAttachNIC},
	agentapi.OpUpdateNIC: {agentapi.OpPrepare, agentapi.OpStart, agentapi.OpAttachNIC},

	agentapi.OpMigrate: {agentapi.OpPrepare, agentapi.OpStart},

	agentapi.OpAttachDisk: {agentapi.OpPrepare, agentapi.OpStart},
	agentapi.OpDetachDisk: {agentapi.OpPrepare, agentapi.OpStart, agentapi.OpAttachDisk},
	agentapi.OpPlaceDisk:  {agentapi.OpPrepare},
	agentapi.OpResizeDisk: {agentapi.OpPrepare, agentapi.OpStart, agentapi.OpAttachDisk},
	agentapi.OpGrowDisk:   {agentapi.OpPrepare, agentapi.OpPlaceDisk},
	agentapi.OpDropDisk:   {agentapi.OpPrepare, agentapi.OpPlaceDisk},

	agentapi.OpSnapshotCreate: {agentapi.OpPrepare, agentapi.OpStart},
	agentapi.OpSnapshotRevert: {agentapi.OpPrepare, agentapi.OpStart, agentapi.OpSnapshotCreate},
	agentapi.OpSnapshotDelete: {agentapi.OpPrepare, agentapi.OpStart, agentapi.OpSnapshotCreate},
	// Of a VM that is off.
	agentapi.OpDiskSnapshotCreate: {agentapi.OpPrepare},
	agentapi.OpDiskSnapshotRevert: {agentapi.OpPrepare, agentapi.OpDiskSnapshotCreate},
	agentapi.OpDiskSnapshotDelete: {agentapi.OpPrepare, agentapi.OpDiskSnapshotCreate},
}

// rig is an agent on a host, with a VM 7 for which before has been done.
type rig struct {
	*server
	*host
	cfg  Config
	stop func()
}

func newRig(t *testing.T, before []agentapi.Op) *rig {
	t.Helper()
	r := &rig{server: &server{ack: true}, host: newHost(t)}
	r.cfg = Config{Driver: r.host, Disks: r.host, Networks: r.host, StateDir: t.TempDir()}
	_, r.stop = start(t, r.server, r.cfg)
	for _, op := range before {
		if res := r.one(t, vm(7, op, 0)); !res.OK() {
			t.Fatalf("%s: %s", op, res.Error)
		}
	}
	r.takeCalls()
	return r
}

// eachOp runs f for every operation, with the picture and the calls of a run in
// which nothing goes wrong.
func eachOp(t *testing.T, f func(t *testing.T, op agentapi.Op, want, calls []string)) {
	for op, before := range ops {
		t.Run(string(op), func(t *testing.T) {
			var want, calls []string
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, before)
				defer r.stop()
				if res := r.one(t, vm(7, op, 1)); !res.OK() {
					t.Fatal(res.Error)
				}
				want, calls = r.picture(t, 7), r.takeCalls()
			})
			if len(calls) < 2 {
				t.Fatalf("calls: %v: the operation did nothing", calls)
			}
			f(t, op, want, calls)
		})
	}
}

func wantPicture(t *testing.T, r *rig, want []string) {
	t.Helper()
	if got := r.picture(t, 7); !slices.Equal(got, want) {
		t.Errorf("there is %q, want %q", got, want)
	}
}

func TestEveryOpTwice(t *testing.T) {
	eachOp(t, func(t *testing.T, op agentapi.Op, want, _ []string) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, ops[op])
			defer r.stop()
			var deployID string
			for attempt := range 2 {
				res := r.one(t, vm(7, op, attempt))
				if !res.OK() {
					t.Fatalf("attempt %d: %s", attempt, res.Error)
				}
				if attempt == 0 {
					deployID = res.DeployID
				} else if res.DeployID != deployID {
					t.Errorf("deploy id %q, then %q", deployID, res.DeployID)
				}
				wantPicture(t, r, want)
			}
		})
	})
}

// nth returns a hook that lets the nth call end as f says, and no other.
func nth(n int, f func(ctx context.Context, point string) error) func(context.Context, string) error {
	return func(ctx context.Context, point string) error {
		if n--; n == -1 {
			return f(ctx, point)
		}
		return nil
	}
}

// TestEveryOpKilledAnywhere stops the agent in each call of an operation, before
// and after it took effect, and lets a new agent do the step again.
func TestEveryOpKilledAnywhere(t *testing.T) {
	eachOp(t, func(t *testing.T, op agentapi.Op, want, calls []string) {
		for n, point := range calls {
			t.Run(fmt.Sprintf("%d %s", n, point), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, ops[op])
					hung := false
					r.setAt(nth(n, func(ctx context.Context, _ string) error {
						hung = true
						<-ctx.Done()
						return context.Cause(ctx)
					}))
					take[any](r.server)
					r.run(t, vm(7, op, 1))
					synctest.Wait()
					if !hung {
						t.Fatalf("the call was not reached; there were %v", r.takeCalls())
					}
					r.takeCalls()
					r.stop()
					if after := r.takeCalls(); len(after) > 0 {
						t.Errorf("calls after the agent was stopped: %v", after)
					}
					if rs := take[agentapi.Result](r.server); len(rs) > 0 {
						t.Errorf("results of a step that was cut: %+v", rs)
					}
					r.setAt(nil)

					_, stop := start(t, r.server, r.cfg)
					defer stop()
					if res := r.one(t, vm(7, op, 1)); !res.OK() {
						t.Fatalf("done again: %s", res.Error)
					}
					wantPicture(t, r, want)
				})
			})
		}
	})
}

// TestEveryOpFailsAnywhere lets each call fail once: the failure is told, and the
// step done again leads to the same end.
func TestEveryOpFailsAnywhere(t *testing.T) {
	broken := errors.New("the disk is on fire")
	eachOp(t, func(t *testing.T, op agentapi.Op, want, calls []string) {
		for n, point := range calls {
			t.Run(fmt.Sprintf("%d %s", n, point), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, ops[op])
					defer r.stop()
					r.setAt(nth(n, func(context.Context, string) error { return broken }))
					before := r.picture(t, 7)
					take[any](r.server)
					r.run(t, vm(7, op, 1))
					pass(time.Minute)
					rs := take[agentapi.Result](r.server)
					if len(rs) != 1 {
						t.Fatalf("results: %+v, want one", rs)
					}
					// Nothing of a clean-up fails, and a request to power off is made again.
					forgiven := op == agentapi.OpCleanup || op == agentapi.OpShutdown && strings.HasPrefix(point, "shutdown")
					if forgiven && !rs[0].OK() || !forgiven && !strings.Contains(rs[0].Error, broken.Error()) {
						t.Fatalf("result: %q", rs[0].Error)
					}
					if op == agentapi.OpStart || op == agentapi.OpRestore {
						for _, left := range r.picture(t, 7) {
							if left == "running" || left == "7 networks" || left == "7 rules" {
								t.Errorf("after the failure there still is %q", left)
							}
						}
					}
					if isNICChange(op) || isDiskChange(op) || op == agentapi.OpSnapshotCreate || op == agentapi.OpDiskSnapshotCreate {
						// The guest may have been given the new context disk; the next one is made when it boots.
						left := slices.DeleteFunc(r.picture(t, 7), func(s string) bool { return s == "7 context in the guest" })
						before := slices.DeleteFunc(before, func(s string) bool { return s == "7 context in the guest" })
						if !slices.Equal(left, before) {
							t.Errorf("after the failure there is %q, want %q", left, before)
						}
					}
					r.setAt(nil)
					if res := r.one(t, vm(7, op, 2)); !res.OK() {
						t.Fatalf("done again: %s", res.Error)
					}
					wantPicture(t, r, want)
				})
			})
		}
	})
}

// TestEveryOpIsCutByDestroy lets a newer step come while each call hangs.
func TestEveryOpIsCutByDestroy(t *testing.T) {
	eachOp(t, func(t *testing.T, op agentapi.Op, _, calls []string) {
		for n, point := range calls {
			t.Run(fmt.Sprintf("%d %s", n, point), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, ops[op])
					defer r.stop()
					r.setAt(nth(n, func(ctx context.Context, _ string) error {
						if op == agentapi.OpCleanup {
							return nil // which nothing cuts but its end
						}
						<-ctx.Done()
						return ctx.Err()
					}))
					take[any](r.server)
					old, newer := vm(7, op, 1), vm(7, agentapi.OpDestroy, 2)
					r.run(t, old)
					synctest.Wait()
					r.run(t, newer)
					rs := take[agentapi.Result](r.server)
					if len(rs) == 0 || !rs[len(rs)-1].OK() || rs[len(rs)-1].StepID != newer.StepID {
						t.Fatalf("results: %+v, want a destroy that succeeded last", rs)
					}
					if len(rs) == 2 && op != agentapi.OpCleanup && !strings.Contains(rs[0].Error, "given up in favour of destroy") {
						t.Errorf("result of what was cut: %q", rs[0].Error)
					}
					for _, left := range r.picture(t, 7) {
						if left == "running" || left == "7 networks" || left == "7 rules" {
							t.Errorf("after the destroy there still is %q", left)
						}
					}
				})
			})
		}
	})
}

func TestFailedRollBackIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, []agentapi.Op{agentapi.OpPrepare})
		defer r.stop()
		r.setAt(func(_ context.Context, point string) error {
			switch point {
			case "post":
				return errors.New("no such chain")
			case "clean":
				return errors.New("netlink is closed")
			}
			return nil
		})
		res := r.one(t, vm(7, agentapi.OpStart, 0))
		want := "networks after start: no such chain (and undoing it failed: netlink is closed)"
		if res.Error != want {
			t.Errorf("result %q, want %q", res.Error, want)
		}
	})
}

// The memory of before must be gone once the guest runs: a later save that is cut
// would take it for its own.
func TestCheckpointIsDroppedByStart(t *testing.T) {
	for _, op := range []agentapi.Op{agentapi.OpStart, agentapi.OpRestore} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, ops[agentapi.OpRestore])
			defer r.stop()
			path := filepath.Join(r.dir, "7", "checkpoint")
			if _, err := os.Stat(path); err != nil {
				t.Fatal(err)
			}
			if res := r.one(t, vm(7, op, 1)); !res.OK() {
				t.Fatal(res.Error)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: checkpoint: %v, want none", op, err)
			}
		})
	}
}

// The context disk of a guest that runs is in use: starting it again leaves it.
func TestStartOfRunningGuestLeavesContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ops[agentapi.OpReboot])
		defer r.stop()
		if res := r.one(t, vm(7, agentapi.OpStart, 1)); !res.OK() {
			t.Fatal(res.Error)
		}
		if calls := r.takeCalls(); slices.Contains(calls, "context") || !slices.Contains(calls, "post") {
			t.Errorf("calls: %v, want networks but no context disk", calls)
		}
	})
}

func TestHeavyStepsWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{server: &server{ack: true}, host: newHost(t)}
		_, stop := start(t, r.server, Config{Driver: r.host, Disks: r.host, Networks: r.host, Heavy: 3})
		defer stop()
		release := make(chan struct{})
		r.setAt(func(_ context.Context, point string) error {
			if point == "prepare" {
				<-release
			}
			return nil
		})
		take[any](r.server)
		for id := range 10 {
			r.run(t, vm(id, agentapi.OpPrepare, 0))
			synctest.Wait()
		}
		if calls := r.takeCalls(); len(calls) != 3 {
			t.Errorf("%d disks are prepared at one time, want 3", len(calls))
		}
		// What moves no disks does not wait, and what waits can be cut.
		r.run(t, vm(20, agentapi.OpDestroy, 0), vm(9, agentapi.OpDestroy, 0))
		if rs := take[agentapi.Result](r.server); len(rs) != 3 {
			t.Errorf("results while the disks are busy: %+v, want two of destroy and one cut", rs)
		}
		close(release)
		if rs := take[agentapi.Result](r.server); len(rs) != 9 {
			t.Errorf("%d results, want 9", len(rs))
		}
	})
}

func TestImages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.stop()
		for i, c := range []struct {
			op    agentapi.Op
			there bool
		}{
			{agentapi.OpImageImport, true}, {agentapi.OpImageDelete, false}, {agentapi.OpImageDelete, false},
			{agentapi.OpImageCreate, true}, {agentapi.OpImageClone, true},
		} {
			st := agentapi.Step{
				StepID: agentapi.StepID{Epoch: 1, Subject: agentapi.SubjectImage, ID: 3, Attempt: i},
				Op:     c.op, Image: &agentapi.ImageSpec{ID: 3, DatastoreID: 1},
			}
			res := r.one(t, st)
			if !res.OK() || c.there && (res.Source != "/ds/3" || res.Format != "raw" || res.SizeMB != 10) {
				t.Errorf("%s: %+v", c.op, res)
			}
			if got := slices.Contains(r.picture(t, 0), "3 image"); got != c.there {
				t.Errorf("after %s the image is there: %t", c.op, got)
			}
		}
		r.setAt(func(context.Context, string) error { return errors.New("no space") })
		res := r.one(t, agentapi.Step{
			StepID: agentapi.StepID{Epoch: 1, Subject: agentapi.SubjectImage, ID: 4},
			Op:     agentapi.OpImageCreate, Image: &agentapi.ImageSpec{ID: 4},
		})
		if res.Error != "no space" || res.Source != "" {
			t.Errorf("a create that failed: %+v", res)
		}
	})
}
