package machine_test

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
)

// TestSnapshots: what is there while the host works, once it did, and once it did not.
func TestSnapshots(t *testing.T) {
	const (
		zero = `SNAPSHOT=[HYPERVISOR_ID="snap-0",NAME="a",SNAPSHOT_ID="0",SYSTEM_DISK_SIZE="64",TIME="5"]`
		one0 = `SNAPSHOT=[ACTIVE="YES",HYPERVISOR_ID="snap-1",NAME="b",SNAPSHOT_ID="1",SYSTEM_DISK_SIZE="64",TIME="6"]`
		one1 = `SNAPSHOT=[HYPERVISOR_ID="snap-1",NAME="b",SNAPSHOT_ID="1",SYSTEM_DISK_SIZE="64",TIME="6"]`
	)
	v := vmIn(state{one.VMActive, one.LCMRunning})
	v.Template, v.Resched = nics(t, "MEMORY=64 "+zero+" "+one0), true
	created, id := machine.TakeSnapshot(v, "", now)
	if id != 2 {
		t.Errorf("the id is %d", id)
	}
	for _, c := range []struct {
		change               machine.Change
		op                   agentapi.Op
		id                   int
		during, done, undone string
	}{
		{
			created, agentapi.OpSnapshotCreate, 2,
			zero + one0 + `SNAPSHOT=[ACTION="CREATE",HYPERVISOR_ID="",NAME="snapshot-2",SNAPSHOT_ID="2",SYSTEM_DISK_SIZE="64",TIME="1700000500"]`,
			zero + one1 + `SNAPSHOT=[ACTIVE="YES",HYPERVISOR_ID="snap-2",NAME="snapshot-2",SNAPSHOT_ID="2",SYSTEM_DISK_SIZE="64",TIME="1700000500"]`,
			zero + one0,
		},
		{
			machine.RevertSnapshot(v, 0, now), agentapi.OpSnapshotRevert, 0,
			`SNAPSHOT=[ACTION="REVERT",HYPERVISOR_ID="snap-0",NAME="a",SNAPSHOT_ID="0",SYSTEM_DISK_SIZE="64",TIME="5"]` + one0,
			`SNAPSHOT=[ACTIVE="YES",HYPERVISOR_ID="snap-0",NAME="a",SNAPSHOT_ID="0",SYSTEM_DISK_SIZE="64",TIME="5"]` + one1,
			zero + one0,
		},
		{
			machine.DeleteSnapshot(v, 0, now), agentapi.OpSnapshotDelete, 0,
			`SNAPSHOT=[ACTION="DELETE",HYPERVISOR_ID="snap-0",NAME="a",SNAPSHOT_ID="0",SYSTEM_DISK_SIZE="64",TIME="5"]` + one0,
			one0, zero + one0,
		},
	} {
		n := c.change.VM
		step, _ := machine.StepOf(n)
		if !n.Active(one.LCMHotplugSnapshot) || step.For(n) != c.op || n.Resched || len(n.History) != len(v.History) {
			t.Errorf("%s: %s, %s", c.op, stateOf(n), step.For(n))
		}
		if s := machine.SnapshotOf(n); s == nil || *s != (agentapi.Snapshot{Name: n.SnapshotWork.HypervisorID(), Begun: now.UnixMilli(), Live: true}) {
			t.Errorf("%s: the host is told %+v", c.op, s)
		}
		if !n.Template.Equal(nics(t, "MEMORY=64 "+c.during)) {
			t.Errorf("%s: meanwhile %s", c.op, n.Template.Text())
		}
		for ok, want := range map[bool]string{true: c.done, false: c.undone} {
			ch, _ := machine.Finish(n, ok, "", now)
			if !ch.VM.Running() || ch.VM.SnapshotWork != (one.SnapshotWork{}) || !ch.VM.Template.Equal(nics(t, "MEMORY=64 "+want)) {
				t.Errorf("%s, done %t: %s, %s", c.op, ok, stateOf(ch.VM), ch.VM.Template.Text())
			}
		}
		// A clean-up in between ends the work.
		ch, err := machine.Recover(n, machine.RecoverDelete, ana, now)
		if err != nil || ch.VM.SnapshotWork != (one.SnapshotWork{}) || machine.SnapshotOf(ch.VM) != nil {
			t.Errorf("%s: deleted meanwhile (%v) it is at %+v", c.op, err, ch.VM.SnapshotWork)
		}
	}
	// Of a VM that is off, which stays off.
	off := vmIn(state{vm: one.VMPoweroff})
	off.Template = v.Template
	n := machine.DeleteSnapshot(off, 1, now).VM
	if s := machine.SnapshotOf(n); !n.Active(one.LCMHotplugSnapshot) || s.Live {
		t.Errorf("of a VM that is off: %s, %+v", stateOf(n), s)
	}
	for _, ok := range []bool{true, false} {
		if ch, _ := machine.Finish(n, ok, "", now); ch.VM.State != one.VMPoweroff || ch.VM.LCM != one.LCMInit {
			t.Errorf("of a VM that is off, done %t: %s", ok, stateOf(ch.VM))
		}
	}
}

// TestDiskSnapshotStates: where each kind of work leads from, and back to.
func TestDiskSnapshotStates(t *testing.T) {
	d, _ := one.NewDiskSnapshots("NO").Taken("a", 10, 1)
	allowed := map[one.Action]map[string]string{
		one.ActionDiskSnapshotCreate: {"RUNNING": "DISK_SNAPSHOT", "POWEROFF": "DISK_SNAPSHOT_POWEROFF", "SUSPENDED": "DISK_SNAPSHOT_SUSPENDED"},
		one.ActionDiskSnapshotRevert: {"POWEROFF": "DISK_SNAPSHOT_REVERT_POWEROFF"},
		one.ActionDiskSnapshotDelete: {"RUNNING": "DISK_SNAPSHOT_DELETE", "POWEROFF": "DISK_SNAPSHOT_DELETE_POWEROFF", "SUSPENDED": "DISK_SNAPSHOT_DELETE_SUSPENDED"},
	}
	for what, from := range allowed {
		for _, s := range states() {
			v := vmIn(s)
			to, may := from[s.String()]
			if machine.CanWorkOnDiskSnapshot(v, what) != may {
				t.Errorf("%s in %s: %t, want %t", what, s, !may, may)
			}
			if !may {
				continue
			}
			v.Template = nics(t, "DISK=[DISK_ID=0,SIZE=10]")
			v = machine.WithDiskSnapshots(v, 0, d.Active(0))
			var ch machine.Change
			want, wantUndone := 0, 0 // where the disk comes from
			switch what {
			case one.ActionDiskSnapshotCreate:
				var id int
				ch, id = machine.TakeDiskSnapshot(v, 0, d.Active(0), "b", 20, ana, now)
				if want = id; id != 1 || ch.VM.Template.Vector("DISK").Get("DISK_SNAPSHOT_TOTAL_SIZE") != "30" {
					t.Errorf("%s in %s: %d, %s", what, s, id, ch.VM.Template.Text())
				}
			case one.ActionDiskSnapshotRevert:
				ch = machine.RevertDiskSnapshot(v, 0, 0, ana, now)
			case one.ActionDiskSnapshotDelete:
				ch, want = machine.DeleteDiskSnapshot(v, 0, 0, ana, now), -1
			}
			n := ch.VM
			if stateOf(n).String() != to || len(n.History) != len(v.History)+1 || n.History[len(v.History)-1].Action != what {
				t.Errorf("%s in %s leads to %s, %d records", what, s, stateOf(n), len(n.History))
			}
			for ok, base := range map[bool]int{true: want, false: wantUndone} {
				done, _ := machine.Finish(n, ok, "", now)
				left, _ := one.ReadDiskSnapshots(done.VM.Snapshots, 0)
				if stateOf(done.VM) != s || left.Base != base || done.VM.SnapshotWork != (one.SnapshotWork{}) {
					t.Errorf("%s in %s, done %t: %s, %+v", what, s, ok, stateOf(done.VM), left)
				}
				if mb := done.VM.Template.Vector("DISK").Get("DISK_SNAPSHOT_TOTAL_SIZE"); mb != map[int]string{-1: "0", 0: "10", 1: "30"}[base] {
					t.Errorf("%s in %s, done %t: they count for %s", what, s, ok, mb)
				}
			}
		}
	}
}
