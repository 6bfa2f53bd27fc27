package agent

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// Snapshots of a disk are the hypervisor's while the VM runs, and those of a whole VM
// are deleted in its files when it does not.
func TestSnapshotsLiveAndNot(t *testing.T) {
	whole, disk := agentapi.Snapshot{Name: "snap-0", Begun: 5}, agentapi.Snapshot{Name: "disk-snap-0", Disk: 1, Begun: 5}
	for _, c := range []struct {
		op     agentapi.Op
		snap   agentapi.Snapshot
		live   bool
		before []agentapi.Op
		calls  []string
		fails  string
	}{
		{op: agentapi.OpDiskSnapshotCreate, snap: disk, live: true, before: ops[agentapi.OpReboot], calls: []string{"create-disk-snapshot", "create-disk-snapshot'"}},
		{op: agentapi.OpDiskSnapshotDelete, snap: disk, live: true, before: ops[agentapi.OpReboot], calls: []string{"delete-disk-snapshot", "delete-disk-snapshot'"}},
		{op: agentapi.OpDiskSnapshotRevert, snap: disk, live: true, before: ops[agentapi.OpReboot], fails: "a disk of a VM that runs cannot go back to a snapshot"},
		{op: agentapi.OpSnapshotDelete, snap: whole, before: ops[agentapi.OpStart], calls: []string{"forget snapshot", "forget snapshot'"}},
		{op: agentapi.OpSnapshotCreate, snap: whole, before: ops[agentapi.OpStart], fails: "the VM does not run"},
		{op: agentapi.OpSnapshotRevert, snap: whole, before: ops[agentapi.OpStart], fails: "the VM does not run"},
		{op: agentapi.OpSnapshotDelete, snap: whole, before: ops[agentapi.OpReboot], fails: "the domain uses its disks"},
		{op: agentapi.OpDiskSnapshotCreate, snap: disk, before: ops[agentapi.OpReboot], fails: "the domain uses its disks"},
		{op: agentapi.OpSnapshotRevert, snap: whole, live: true, before: ops[agentapi.OpStart], fails: "no such domain"},
		{op: agentapi.OpSnapshotCreate, snap: whole, live: true, before: ops[agentapi.OpStart], fails: "no such domain", calls: []string{"create-snapshot", "delete-snapshot"}},
		{op: agentapi.OpSnapshotCreate, live: true, fails: "Snapshot with its Name is expected"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, c.before)
			defer r.stop()
			s := vm(7, c.op, 9)
			c.snap.Live = c.live
			s.Snapshot = &c.snap
			res := r.one(t, s)
			if res.OK() != (c.fails == "") || !strings.Contains(res.Error, c.fails) {
				t.Errorf("%s, live %t: %q, want %q", c.op, c.live, res.Error, c.fails)
			}
			if got := r.takeCalls(); !slices.Equal(got, c.calls) {
				t.Errorf("%s, live %t: calls %q, want %q", c.op, c.live, got, c.calls)
			}
		})
	}
}

func TestDriverWithoutSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		s := &server{ack: true}
		_, stop := start(t, s, Config{Driver: onlyDriver{h}, Disks: h, Networks: h})
		defer stop()
		res := s.one(t, vm(7, agentapi.OpSnapshotCreate, 0))
		if want := "driver dummy cannot take snapshots of VMs that run"; res.Error != want {
			t.Errorf("%q, want %q", res.Error, want)
		}
	})
}
