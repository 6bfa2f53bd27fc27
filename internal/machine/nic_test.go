package machine_test

import (
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// plain is the NICs of a VM: NIC 0 has the alias 2, NIC 1 has none.
const plain = `NIC=[ALIAS_IDS="2",NIC_ID="0"] NIC=[NIC_ID="1",OUTBOUND_AVG_BW="9"] NIC_ALIAS=[ALIAS_ID="0",NIC_ID="2",PARENT_ID="0"]`

func nics(t *testing.T, text string) *tmpl.Template {
	t.Helper()
	out, err := tmpl.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// hotplugs are all changes of NICs: the template they begin with, what a host has
// to do, and the NICs of the VM while it does, after it did, and after it did not.
// marked stands for ATTACH="YES".
var hotplugs = []struct {
	change               one.Hotplug
	with                 string
	op                   agentapi.Op
	during, done, undone string
	freed, kept          int // NICs whose leases are to be freed, when it was done and when it was not
	stale, staleUndone   bool
}{
	{
		change: one.Hotplug{Action: one.ActionNICAttach, NIC: 3}, with: plain + ` NIC=[NIC_ID="3"]`, op: agentapi.OpAttachNIC,
		during: plain + ` NIC=[ATTACH="YES",NIC_ID="3"]`, done: plain + ` NIC=[NIC_ID="3"]`, undone: plain, kept: 1, staleUndone: true,
	},
	{
		change: one.Hotplug{Action: one.ActionAliasAttach, NIC: 2}, with: plain, op: agentapi.OpAttachNIC,
		during: `NIC=[ALIAS_IDS="2",NIC_ID="0"] NIC=[NIC_ID="1",OUTBOUND_AVG_BW="9"] NIC_ALIAS=[ALIAS_ID="0",ATTACH="YES",NIC_ID="2",PARENT_ID="0"]`,
		done:   plain, undone: `NIC=[NIC_ID="0"] NIC=[NIC_ID="1",OUTBOUND_AVG_BW="9"]`, kept: 1, staleUndone: true,
	},
	{
		change: one.Hotplug{Action: one.ActionNICDetach, NIC: 0}, with: plain, op: agentapi.OpDetachNIC,
		during: `NIC=[ALIAS_IDS="2",ATTACH="YES",NIC_ID="0"] NIC=[NIC_ID="1",OUTBOUND_AVG_BW="9"] NIC_ALIAS=[ALIAS_ID="0",ATTACH="YES",NIC_ID="2",PARENT_ID="0"]`,
		done:   `NIC=[NIC_ID="1",OUTBOUND_AVG_BW="9"]`, undone: plain, freed: 2, stale: true, staleUndone: true,
	},
	{
		change: one.Hotplug{Action: one.ActionAliasDetach, NIC: 2}, with: plain, op: agentapi.OpDetachNIC,
		during: `NIC=[ALIAS_IDS="2",NIC_ID="0"] NIC=[NIC_ID="1",OUTBOUND_AVG_BW="9"] NIC_ALIAS=[ALIAS_ID="0",ATTACH="YES",NIC_ID="2",PARENT_ID="0"]`,
		done:   `NIC=[NIC_ID="0"] NIC=[NIC_ID="1",OUTBOUND_AVG_BW="9"]`, undone: plain, freed: 1, stale: true, staleUndone: true,
	},
	{
		change: one.Hotplug{
			Action: one.ActionNICUpdate, NIC: 1,
			Before: tmpl.New(tmpl.Vec("NIC", "NIC_ID", "1", "OUTBOUND_AVG_BW", "9")),
		},
		with: `NIC=[ALIAS_IDS="2",NIC_ID="0"] NIC=[NIC_ID="1",OUTBOUND_AVG_BW="5"] NIC_ALIAS=[ALIAS_ID="0",NIC_ID="2",PARENT_ID="0"]`, op: agentapi.OpUpdateNIC,
		during: `NIC=[ALIAS_IDS="2",NIC_ID="0"] NIC=[ATTACH="YES",NIC_ID="1",OUTBOUND_AVG_BW="5"] NIC_ALIAS=[ALIAS_ID="0",NIC_ID="2",PARENT_ID="0"]`,
		done:   `NIC=[ALIAS_IDS="2",NIC_ID="0"] NIC=[NIC_ID="1",OUTBOUND_AVG_BW="5"] NIC_ALIAS=[ALIAS_ID="0",NIC_ID="2",PARENT_ID="0"]`, undone: plain,
	},
}

func TestNICsOfRunningVM(t *testing.T) {
	for _, q := range hotplugs {
		v := vmIn(state{one.VMActive, one.LCMRunning})
		v.Template, v.Resched = nics(t, plain), q.change.Action == one.ActionNICUpdate
		ch := machine.ChangeNIC(v, nics(t, q.with), q.change, ana, now)
		n := ch.VM
		if !n.Active(one.LCMHotplugNIC) || n.Attempt <= v.Attempt || n.Hotplug != q.change || n.Resched != v.Resched || ch.NICs || ch.Freed != nil {
			t.Errorf("%s: %s, %+v", q.change.Action, stateOf(n), ch)
		}
		if !n.Template.Equal(nics(t, q.during)) {
			t.Errorf("%s: the NICs are %s", q.change.Action, n.Template.Text())
		}
		if step, ok := machine.StepOf(n); !ok || step.For(n) != q.op || step.Timeout < time.Minute {
			t.Errorf("%s: the step is %s", q.change.Action, step.For(n))
		}
		closed, last := n.History[0], n.LastRecord()
		if len(n.History) != 2 || closed.Action != q.change.Action || closed.UID != 2 || times(closed) != old+" RE500 E500" {
			t.Errorf("%s: the closed record says action %d of user %d at %s", q.change.Action, closed.Action, closed.UID, times(closed))
		}
		if last.Action != one.ActionNone || last.HID != 4 || times(last) != "S500 RS500" {
			t.Errorf("%s: the open record says %+v", q.change.Action, last)
		}
		for _, good := range []bool{true, false} {
			ch, ok := machine.Finish(n, good, "x", now)
			want, freed, stale := q.done, q.freed, q.stale
			if !good {
				want, freed, stale = q.undone, q.kept, q.staleUndone
			}
			if !ok || !ch.VM.Running() || ch.VM.Hotplug != (one.Hotplug{}) || ch.VM.DeployID != "uuid" || !ch.VM.Template.Equal(nics(t, want)) {
				t.Errorf("%s, good %v: %s with %s", q.change.Action, good, stateOf(ch.VM), ch.VM.Template.Text())
			}
			if len(ch.Freed) != freed || ch.NICs != stale {
				t.Errorf("%s, good %v: freed %v, NICs changed %v", q.change.Action, good, ch.Freed, ch.NICs)
			}
		}
	}
}

// Of a VM that is off the change is made at once.
func TestNICsOfPoweredOffVM(t *testing.T) {
	for _, q := range hotplugs {
		v := vmIn(state{vm: one.VMPoweroff})
		v.Template = nics(t, plain)
		ch := machine.ChangeNIC(v, nics(t, q.with), q.change, ana, now)
		n := ch.VM
		if n.State != one.VMPoweroff || n.Hotplug != (one.Hotplug{}) || !n.Template.Equal(nics(t, q.done)) || len(ch.Freed) != q.freed || ch.NICs != q.stale {
			t.Errorf("%s: %s, %s, %+v", q.change.Action, stateOf(n), n.Template.Text(), ch)
		}
		if q.change.Action == one.ActionNICUpdate {
			if len(n.History) != 1 {
				t.Errorf("an update opens a record")
			}
			continue
		}
		if len(n.History) != 2 || n.History[0].Action != q.change.Action || n.History[0].RETime != began.Unix()+10 || times(n.LastRecord()) != "S500 RS500 RE500" {
			t.Errorf("%s: records %s and %s", q.change.Action, times(n.History[0]), times(n.LastRecord()))
		}
	}
}

// Whatever else ends a change leaves no trace of it: the NICs are those that the
// VM has, the one that was to come included, until they are freed with it.
func TestChangeIsForgotten(t *testing.T) {
	for _, q := range hotplugs {
		v := vmIn(state{one.VMActive, one.LCMRunning})
		v.Template = nics(t, plain)
		n := machine.ChangeNIC(v, nics(t, q.with), q.change, ana, now).VM
		for _, op := range []machine.Recovery{machine.RecoverDelete, machine.RecoverRecreate, machine.RecoverDeleteDB} {
			ch, err := machine.Recover(n, op, ana, now)
			if err != nil || ch.VM.Hotplug != (one.Hotplug{}) || !ch.VM.Template.Equal(nics(t, q.with)) || ch.Freed != nil {
				t.Errorf("%s ended by %d: %v, %s, %+v", q.change.Action, op, err, stateOf(ch.VM), ch)
			}
		}
		if _, err := machine.Act(n, "terminate-hard", ana, now); err == nil {
			t.Errorf("%s: terminated in the middle", q.change.Action)
		}
		if ch, changed := machine.Observe(n, agentapi.DomainPoweroff, "", now); changed {
			t.Errorf("%s: what is seen of the domain leads to %s", q.change.Action, stateOf(ch.VM))
		}
	}
}
