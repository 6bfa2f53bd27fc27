package machine_test

import (
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
)

const twoDisks = `DISK=[DISK_ID="0",IMAGE_ID="4"] DISK=[DISK_ID="2",TYPE="FS"] CONTEXT=[DISK_ID="1"]`

// diskChanges are all changes of disks: the template they begin with, what a host has
// to do for a VM that runs and for one that is off, and the disks of the VM while it
// does, after it did, and after it did not.
var diskChanges = []struct {
	change               one.Hotplug
	with                 string
	op, offOp            agentapi.Op
	off                  one.LCMState
	running              one.LCMState // HOTPLUG if 0
	during, done, undone string
	lost, lostUndone     string // the DISK_ID of the disk whose image is to be released
	told                 string // what the host is told that the VM has afterwards
}{
	{
		change: one.Hotplug{Action: one.ActionDiskAttach, Disk: 3}, with: twoDisks + ` DISK=[DISK_ID="3",IMAGE_ID="9"]`,
		op: agentapi.OpAttachDisk, offOp: agentapi.OpPlaceDisk, off: one.LCMHotplugPrologPoweroff,
		during: twoDisks + ` DISK=[ATTACH="YES",DISK_ID="3",IMAGE_ID="9"]`, done: twoDisks + ` DISK=[DISK_ID="3",IMAGE_ID="9"]`,
		undone: twoDisks, lostUndone: "3", told: twoDisks + ` DISK=[DISK_ID="3",IMAGE_ID="9"]`,
	},
	{
		change: one.Hotplug{Action: one.ActionDiskDetach, Disk: 0}, with: twoDisks,
		op: agentapi.OpDetachDisk, offOp: agentapi.OpDropDisk, off: one.LCMHotplugEpilogPoweroff,
		during: `DISK=[ATTACH="YES",DISK_ID="0",IMAGE_ID="4"] DISK=[DISK_ID="2",TYPE="FS"] CONTEXT=[DISK_ID="1"]`,
		done:   `DISK=[DISK_ID="2",TYPE="FS"] CONTEXT=[DISK_ID="1"]`, undone: twoDisks, lost: "0",
		told: `DISK=[DISK_ID="2",TYPE="FS"] CONTEXT=[DISK_ID="1"]`,
	},
	{
		change: one.Hotplug{Action: one.ActionDiskResize, Disk: 0},
		with:   `DISK=[DISK_ID="0",IMAGE_ID="4",SIZE="9"] DISK=[DISK_ID="2",TYPE="FS"] CONTEXT=[DISK_ID="1"]`,
		op:     agentapi.OpResizeDisk, offOp: agentapi.OpGrowDisk, off: one.LCMDiskResizePoweroff, running: one.LCMDiskResize,
		during: `DISK=[DISK_ID="0",IMAGE_ID="4",RESIZE="YES",SIZE="9",SIZE_PREV=""] DISK=[DISK_ID="2",TYPE="FS"] CONTEXT=[DISK_ID="1"]`,
		done:   `DISK=[DISK_ID="0",IMAGE_ID="4",SIZE="9"] DISK=[DISK_ID="2",TYPE="FS"] CONTEXT=[DISK_ID="1"]`,
		undone: `DISK=[DISK_ID="0",IMAGE_ID="4",SIZE=""] DISK=[DISK_ID="2",TYPE="FS"] CONTEXT=[DISK_ID="1"]`,
		told:   `DISK=[DISK_ID="0",IMAGE_ID="4",SIZE="9"] DISK=[DISK_ID="2",TYPE="FS"] CONTEXT=[DISK_ID="1"]`,
	},
}

func TestDisksOfRunningAndOfPoweredOffVM(t *testing.T) {
	for _, q := range diskChanges {
		for _, begin := range []state{{one.VMActive, one.LCMRunning}, {vm: one.VMPoweroff}} {
			what, during, op := q.change.Action.String()+" in "+begin.String(), one.LCMHotplug, q.op
			if q.running != 0 {
				during = q.running
			}
			if begin.vm == one.VMPoweroff {
				during, op = q.off, q.offOp
			}
			v := vmIn(begin)
			v.Template, v.Resched = nics(t, twoDisks), true
			ch := machine.ChangeDisk(v, nics(t, q.with), q.change, ana, now)
			n := ch.VM
			if !n.Active(during) || n.Attempt <= v.Attempt || n.Hotplug != q.change || n.Resched || ch.Lost != nil {
				t.Errorf("%s: %s, %+v", what, stateOf(n), ch)
			}
			if !n.Template.Equal(nics(t, q.during)) {
				t.Errorf("%s: the disks are %s", what, n.Template.Text())
			}
			if step, ok := machine.StepOf(n); !ok || step.For(n) != op || step.Timeout < time.Hour {
				t.Errorf("%s: the step is %s in %s", what, step.For(n), step.Timeout)
			}
			told, disk := machine.PluggedDisk(n)
			if want, _ := one.Disk(nics(t, q.with), q.change.Disk); !told.Equal(nics(t, q.told)) || !disk.Equal(want) {
				t.Errorf("%s: the host is told of %s and %v", what, told.Text(), disk)
			}
			if len(n.History) != 2 || n.History[0].Action != q.change.Action || n.History[0].ETime != now.Unix() || n.LastRecord().Action != one.ActionNone {
				t.Errorf("%s: the records are %+v and %+v", what, n.History[0], n.LastRecord())
			}
			for _, good := range []bool{true, false} {
				want, lost := q.done, q.lost
				if !good {
					want, lost = q.undone, q.lostUndone
				}
				ch, ok := machine.Finish(n, good, "x", now)
				if !ok || stateOf(ch.VM) != begin || ch.VM.Hotplug != (one.Hotplug{}) || ch.VM.DeployID != "uuid" || !ch.VM.Template.Equal(nics(t, want)) {
					t.Errorf("%s, good %v: %s with %s", what, good, stateOf(ch.VM), ch.VM.Template.Text())
				}
				if lost == "" && ch.Lost != nil || lost != "" && (len(ch.Lost) != 1 || ch.Lost[0].Get("DISK_ID") != lost) {
					t.Errorf("%s, good %v: lost %v, want %q", what, good, ch.Lost, lost)
				}
			}
			for _, r := range []machine.Recovery{machine.RecoverDelete, machine.RecoverRecreate, machine.RecoverDeleteDB} {
				ch, err := machine.Recover(n, r, ana, now)
				if err != nil || ch.VM.Hotplug != (one.Hotplug{}) || !ch.VM.Template.Equal(nics(t, q.with)) || ch.Lost != nil {
					t.Errorf("%s ended by %d: %v, %s, %+v", what, r, err, stateOf(ch.VM), ch)
				}
			}
			if _, err := machine.Act(n, "terminate-hard", ana, now); err == nil {
				t.Errorf("%s: terminated in the middle", what)
			}
			for _, seen := range []agentapi.DomainState{agentapi.DomainPoweroff, agentapi.DomainRunning} {
				if ch, changed := machine.Observe(n, seen, "", now); changed {
					t.Errorf("%s: %s is seen and leads to %s", what, seen, stateOf(ch.VM))
				}
			}
		}
	}
}
