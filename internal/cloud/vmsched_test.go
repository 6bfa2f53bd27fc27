package cloud

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// at is worldTime and some more seconds.
func at(seconds int64) int64 { return worldTime.Unix() + seconds }

// schedOf returns what is scheduled for a VM.
func (w *world) schedOf(vm int) []one.SchedAction {
	w.t.Helper()
	if s, ok := w.View().Schedules.Get(vm); ok {
		return s.Actions
	}
	return nil
}

// TestSchedActionSpellings: what a SCHED_ACTION vector may say, and what becomes of
// it. VM 3 was created at 1. Source: VM lifecycle reference §6.
func TestSchedActionSpellings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		text string
		want one.SchedAction // ID and First apart; Time 0 stands for 60
	}{
		{"ACTION=poweroff-hard, TIME=60", one.SchedAction{Action: "poweroff-hard", Repeat: -1, EndType: -1, EndValue: -1}},
		{`ACTION=suspend, TIME="+60", ARGS="a,b", WARNING=86400, DONE=5, MESSAGE=x, ID=77`, one.SchedAction{Action: "suspend", Args: "a,b", Time: 61, Repeat: -1, EndType: -1, EndValue: -1}},
		{`ACTION=resume, TIME=60, REPEAT=0, DAYS="3,1", END_TYPE=0, END_VALUE=9`, one.SchedAction{Action: "resume", Repeat: 0, Days: "3,1", EndType: 0, EndValue: -1}},
		{`ACTION=stop, TIME=60, REPEAT=1, DAYS="31", END_TYPE=1, END_VALUE=5`, one.SchedAction{Action: "stop", Repeat: 1, Days: "31", EndType: 1, EndValue: 5}},
		{`ACTION=hold, TIME=60, REPEAT=2, DAYS="0,365", END_TYPE=2, END_VALUE=1900000000`, one.SchedAction{Action: "hold", Repeat: 2, Days: "0,365", EndType: 2, EndValue: 1900000000}},
		{`ACTION=reboot, TIME=60, REPEAT=3, DAYS="12"`, one.SchedAction{Action: "reboot", Repeat: 3, Days: "12", EndType: -1, EndValue: -1}},
		{`ACTION=undeploy, TIME=60, REPEAT=-1, DAYS="12", END_TYPE=-1, END_VALUE=-1`, one.SchedAction{Action: "undeploy", Repeat: -1, EndType: -1, EndValue: -1}},
		{`ACTION=undeploy, TIME=60, REPEAT="", DAYS="", END_TYPE="", END_VALUE=""`, one.SchedAction{Action: "undeploy", Repeat: -1, EndType: -1, EndValue: -1}},
		{`ACTION=terminate, TIME=60, REP=0, DAYS="1"`, one.SchedAction{Action: "terminate", Repeat: 0, Days: "1", EndType: -1, EndValue: -1}},
		{`ACTION=shutdown, TIME=60`, one.SchedAction{Action: "terminate", Repeat: -1, EndType: -1, EndValue: -1}},
		{`ACTION=shutdown-hard, TIME=60`, one.SchedAction{Action: "terminate-hard", Repeat: -1, EndType: -1, EndValue: -1}},
		{`ACTION=delete, TIME=60`, one.SchedAction{Action: "terminate-hard", Repeat: -1, EndType: -1, EndValue: -1}},
	} {
		id, err := w.AddSchedAction(w.ctx, w.as(owner), 3, parsed("SCHED_ACTION=["+c.text+"]"))
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		all := w.schedOf(3)
		want := c.want
		if want.Time == 0 {
			want.Time = 60
		}
		want.ID, want.First, want.Done = id, want.Time, -1
		if got := all[len(all)-1]; got != want {
			t.Errorf("%s:\n %+v, want\n %+v", c.text, got, want)
		}
	}
}

// TestRefusedSchedActions: bad vectors, in the words of the reference, on every way
// that leads to a scheduled action.
func TestRefusedSchedActions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ text, want string }{
		{`TIME=60`, "No ACTION in template for Scheduled Action."},
		{`ACTION="", TIME=60`, "No ACTION in template for Scheduled Action."},
		{`ACTION=fly, TIME=60`, "fly is not supported."},
		{`ACTION=resched, TIME=60`, "resched is not supported."},
		{`ACTION=migrate, TIME=60`, "migrate is not supported."},
		{`ACTION=backup, TIME=60`, "backup is not supported yet."},
		{`ACTION=hold`, "Unable to parse the time value or value is empty: "},
		{`ACTION=hold, TIME=soon`, "Unable to parse the time value or value is empty: soon"},
		{`ACTION=hold, TIME="-1"`, "Unable to parse the time value or value is empty: -1"},
		{`ACTION=hold, TIME="++1"`, "Unable to parse the time value or value is empty: ++1"},
		{`ACTION=hold, TIME="+"`, "Unable to parse the time value or value is empty: +"},
		{`ACTION=hold, TIME="253402300800"`, "Unable to parse the time value or value is empty: 253402300800"},
		{`ACTION=hold, TIME="+253402300799"`, "Unable to parse the time value or value is empty: +253402300799"},
		{`ACTION=hold, TIME="99999999999999999999"`, "Unable to parse the time value or value is empty: 99999999999999999999"},
		{`ACTION=hold, TIME=60, REPEAT=4`, "Wrong REPEAT value: 4"},
		{`ACTION=hold, TIME=60, REPEAT=weekly`, "Wrong REPEAT value: weekly"},
		{`ACTION=hold, TIME=60, REPEAT=0`, "Repeat set, but DAYS are empty"},
		{`ACTION=hold, TIME=60, REPEAT=0, DAYS="7"`, "Days in a week have to be in [0,6] range"},
		{`ACTION=hold, TIME=60, REPEAT=3, DAYS="0"`, "Hours have to be in [0,168] range"},
		{`ACTION=hold, TIME=60, END_TYPE=3`, "Wrong END_TYPE value: 3"},
		{`ACTION=hold, TIME=60, END_TYPE=1`, "END_TYPE set, but END_VALUE is empty"},
		{`ACTION=hold, TIME=60, END_TYPE=1, END_VALUE=-2`, "Error parsing END_VALUE, times has to be greater or equal to 0"},
		{`ACTION=hold, TIME=60, END_TYPE=2, END_VALUE=tomorrow`, "Error parsing END_VALUE, wrong format for date."},
		{`ACTION=hold, TIME=60, ARGS="` + strings.Repeat("a", 1025) + `"`, "ARGS of 1025 bytes, expected at most 1024"},
	} {
		bad := parsed("SCHED_ACTION=[" + c.text + "]")
		with := func(t *tmpl.Template) *tmpl.Template { return t.Add(bad.Named("SCHED_ACTION")...) }
		w.refuse(
			refusal{"add " + c.text, owner, func(w *world, who auth.Caller) error { return second(w.AddSchedAction(w.ctx, who, 3, bad)) }, errs.Action, c.want},
			refusal{"create " + c.text, owner, func(w *world, who auth.Caller) error {
				return second(w.AllocateVM(w.ctx, who, with(parsed("CPU=1 MEMORY=64")), false))
			}, errs.Internal, "SCHED_ACTION: " + c.want},
			refusal{"template " + c.text, owner, func(w *world, who auth.Caller) error {
				return second(w.AllocateTemplate(w.ctx, who, with(parsed("NAME=t"))))
			}, errs.Allocate, "Error allocating a new virtual machine template. SCHED_ACTION: " + c.want},
			refusal{"template update " + c.text, owner, func(w *world, who auth.Caller) error { return w.UpdateTemplate(w.ctx, who, 0, bad, 1) }, errs.Internal, "Cannot update template. SCHED_ACTION: " + c.want},
		)
	}
	tooMany := parsed("CPU=1 MEMORY=64" + strings.Repeat(" SCHED_ACTION=[ACTION=hold,TIME=60]", maxSchedActions+1))
	w.refuse(
		refusal{"too many", owner, func(w *world, who auth.Caller) error { return second(w.AllocateVM(w.ctx, who, tooMany, false)) }, errs.Internal, "SCHED_ACTION: 101 of them, expected at most 100"},
		refusal{"no vector", owner, func(w *world, who auth.Caller) error {
			return second(w.AllocateVM(w.ctx, who, parsed("CPU=1 MEMORY=64 SCHED_ACTION=hold"), false))
		}, errs.Internal, "SCHED_ACTION: expected a vector attribute"},
		refusal{"add nothing", owner, func(w *world, who auth.Caller) error { return second(w.AddSchedAction(w.ctx, who, 3, parsed("A=b"))) }, errs.Action, "No SCHED_ACTION attribute in template"},
		refusal{"add to none", owner, func(w *world, who auth.Caller) error { return second(w.AddSchedAction(w.ctx, who, 99, parsed("A=b"))) }, errs.NoExists, "Error getting virtual machine [99]."},
		refusal{"add to one that is done", owner, func(w *world, who auth.Caller) error {
			return second(w.AddSchedAction(w.ctx, who, 5, parsed("SCHED_ACTION=[ACTION=hold,TIME=60]")))
		}, errs.Internal, "Unable to create Scheduled Action for Virtual Machine 5, it's in DONE state"},
		refusal{"update nothing", owner, func(w *world, who auth.Caller) error {
			return w.UpdateSchedAction(w.ctx, who, 3, 0, parsed("A=b"))
		}, errs.Internal, "No SCHED_ACTION attribute in template"},
		refusal{"update another's", owner, func(w *world, who auth.Caller) error {
			return w.UpdateSchedAction(w.ctx, who, 1, 0, parsed("SCHED_ACTION=[TIME=60]"))
		}, errs.Internal, "SCHED_ACTION with id = 0 doesn't exist"},
		refusal{"update badly", owner, func(w *world, who auth.Caller) error {
			return w.UpdateSchedAction(w.ctx, who, 3, 0, parsed("SCHED_ACTION=[REPEAT=1]"))
		}, errs.Internal, "Repeat set, but DAYS are empty"},
		refusal{"update an end badly", owner, func(w *world, who auth.Caller) error {
			return w.UpdateSchedAction(w.ctx, who, 3, 0, parsed("SCHED_ACTION=[END_TYPE=2]"))
		}, errs.Internal, "END_TYPE set, but END_VALUE is empty"},
		refusal{"delete none", owner, func(w *world, who auth.Caller) error { return w.DeleteSchedAction(w.ctx, who, 3, 7) }, errs.NoExists, "Error getting scheduled action [7]."},
		refusal{"delete another's", owner, func(w *world, who auth.Caller) error { return w.DeleteSchedAction(w.ctx, who, 1, 0) }, errs.NoExists, "Error getting scheduled action [0]."},
	)
	w.do(func(tx *store.Tx) {
		full := &one.Schedule{VM: 3}
		for id := range maxSchedActions {
			full.Actions = append(full.Actions, one.SchedAction{ID: id, Action: "hold", Time: 60})
		}
		tx.PutSchedule(full)
	})
	w.refuse(refusal{"add one more", owner, func(w *world, who auth.Caller) error {
		return second(w.AddSchedAction(w.ctx, who, 3, parsed("SCHED_ACTION=[ACTION=hold,TIME=60]")))
	}, errs.Action, "VM 3 has 100 scheduled actions, no more can be added"})
	w.do(func(tx *store.Tx) {
		full := &one.Schedule{VM: 3, Actions: slices.Clone(tx.Schedules.At(3).Actions)}
		full.Actions[50].Done = 60
		tx.PutSchedule(full)
	})
	if _, err := w.AddSchedAction(w.ctx, w.as(owner), 3, parsed("SCHED_ACTION=[ACTION=hold,TIME=60]")); err != nil {
		t.Errorf("one that is done makes no room: %v", err)
	}
}

func TestSchedActionsOfNewVMs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, err := w.AllocateVM(w.ctx, w.as(owner), parsed(`CPU=1 MEMORY=64 COLOR=red SCHED_ACTION=[ACTION=terminate,TIME="+3600"] SCHED_ACTION=[ACTION=hold,TIME="1900000000"]`), false)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := w.View().VM(id)
	if got := strings.TrimSpace(v.UserTemplate.Text()); got != `COLOR="red"` {
		t.Errorf("user template %q", got)
	}
	if v.Template.Has("SCHED_ACTION") {
		t.Error("SCHED_ACTION stays in the template")
	}
	all := w.schedOf(id)
	if len(all) != 2 || all[0].Time != at(3600) || all[1].Time != 1900000000 || all[0].ID != 1 || all[1].ID != 2 {
		t.Errorf("scheduled: %+v", all)
	}
	// Whatever the end of a VM, nothing is left to be done to it.
	if err := w.VMAction(w.ctx, w.as(owner), id, "terminate"); err != nil {
		t.Fatal(err)
	}
	if left := w.schedOf(id); left != nil {
		t.Errorf("scheduled for a VM that is done: %+v", left)
	}
}

func TestUpdateSchedAction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	update := func(text string) one.SchedAction {
		t.Helper()
		if err := w.UpdateSchedAction(w.ctx, w.as(owner), 3, 0, parsed("SCHED_ACTION=["+text+"]")); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return w.schedOf(3)[0]
	}
	a := update(`ARGS=x, REPEAT=3, DAYS="24", END_TYPE=1, END_VALUE=2`)
	if a.Action != "release" || a.Time != at(86400) || a.Args != "x" || a.Repeat != one.RepeatHourly || a.EndValue != 2 {
		t.Errorf("what is not given stays: %+v", a)
	}
	if a = update(`DAYS="12"`); a.Repeat != one.RepeatHourly || a.Days != "12" || a.EndValue != 2 {
		t.Errorf("days alone: %+v", a)
	}
	if a = update(`TIME=1900000000`); a.Time != 1900000000 || a.First != 1900000000 {
		t.Errorf("another time: %+v", a)
	}
	if a = update(`REPEAT=-1`); a.Repeat != one.RepeatNone || a.Days != "" || a.EndType != one.EndTimes {
		t.Errorf("no repetition any more: %+v", a)
	}
	// A repetition that has ended goes on from now when it is given more time.
	w.do(func(tx *store.Tx) {
		tx.PutSchedule(&one.Schedule{VM: 3, Actions: []one.SchedAction{{
			ID: 0, Action: "hold", Time: at(-86400), First: at(-86400), Repeat: one.RepeatHourly, Days: "1", EndType: one.EndTimes, Done: at(-86400),
		}}})
	})
	if a = update(`END_VALUE=3`); a.Time != at(3600) || !a.Pending() {
		t.Errorf("it does not go on: %+v", a)
	}
}

// run does what is due of a VM, as the controller does.
func (w *world) run(vm int) []one.SchedAction {
	w.t.Helper()
	w.do(func(tx *store.Tx) { w.RunSchedule(tx, vm) })
	return w.schedOf(vm)
}

func TestRunSchedule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	add := func(vm int, text string) {
		t.Helper()
		if _, err := w.AddSchedAction(w.ctx, w.as(owner), vm, parsed("SCHED_ACTION=["+text+"]")); err != nil {
			t.Fatal(err)
		}
	}
	state := func(vm int) string {
		v, _ := w.View().VM(vm)
		return v.StateName()
	}
	if all := w.run(3); all[0].Done != -1 || state(3) != "HOLD" {
		t.Errorf("done before its time: %+v", all)
	}
	// The earliest goes first, and only one is done.
	add(3, fmt.Sprintf("ACTION=hold, TIME=%d", at(-1)))
	add(3, fmt.Sprintf("ACTION=release, TIME=%d", at(-2)))
	all := w.run(3)
	if state(3) != "PENDING" || all[2].Done != at(0) || all[1].Done != -1 || all[1].Message != "" {
		t.Errorf("%s: %+v", state(3), all)
	}
	if all = w.run(3); state(3) != "HOLD" || all[1].Done != at(0) {
		t.Errorf("%s: %+v", state(3), all)
	}
	// A lock stands in the way of what is scheduled as of anybody.
	add(1, "ACTION=poweroff, TIME=60")
	if err := w.Lock(w.ctx, w.as(owner), one.KindVM, 1, 2, false); err != nil {
		t.Fatal(err)
	}
	all = w.run(1)
	if want := worldTime.Format(time.ANSIC) + " : [poweroff] User [0] : VM is locked. [1]."; all[0].Message != want || state(1) != "RUNNING" {
		t.Errorf("%s: %q, want %q", state(1), all[0].Message, want)
	}
	if err := w.Unlock(w.ctx, w.as(owner), one.KindVM, 1); err != nil {
		t.Fatal(err)
	}
	if all = w.run(1); all[0].Message != "" || state(1) != "SHUTDOWN_POWEROFF" {
		t.Errorf("%s: %+v", state(1), all)
	}
	v, _ := w.View().VM(1)
	if r := v.LastRecord(); r.UID != one.OneadminID || r.Action != one.ActionPoweroff {
		t.Errorf("done by %d, action %s", r.UID, r.Action)
	}
}

// What is refused only after something was changed leaves nothing behind, though
// the transaction goes on.
func TestRefusedScheduleLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.AddSchedAction(w.ctx, w.as(owner), 2, parsed("SCHED_ACTION=[ACTION=resume, TIME=60]")); err != nil {
		t.Fatal(err)
	}
	w.do(func(tx *store.Tx) {
		u := *tx.Users.At(owner)
		u.Quotas = one.Quotas{VM: &one.VMQuota{VMs: -1, RunningVMs: 0.5, CPU: -1, RunningCPU: -1, Memory: -1, RunningMemory: -1, SystemDiskSize: -1}}
		tx.PutUser(&u)
	})
	before, _ := w.View().VM(2)
	all := w.run(2)
	after, _ := w.View().VM(2)
	if after != before {
		t.Errorf("VM 2 is %s", after.StateName())
	}
	if !strings.Contains(all[0].Message, " : [resume] ") || !strings.Contains(all[0].Message, "RUNNING_VMS") {
		t.Errorf("message %q", all[0].Message)
	}
}

// FuzzSchedAction puts anything into a SCHED_ACTION vector: it is refused, or
// becomes an action whose next time, if there is one, lies ahead.
func FuzzSchedAction(f *testing.F) {
	f.Add("hold", "+60", "0", "1,3", "1", "5", int64(1_700_000_000))
	f.Add("delete", "253402300799", "2", "365", "2", "253402300799", int64(0))
	f.Add("resume", "0", "3", "168", "0", "", int64(1<<40))
	f.Add("", "++", "-1", ",", "3", "-1", int64(-1))
	f.Fuzz(func(t *testing.T, action, when, repeat, days, endType, endValue string, now int64) {
		v := tmpl.Vector{}.With("ACTION", action).With("TIME", when).With("REPEAT", repeat).With("DAYS", days).
			With("END_TYPE", endType).With("END_VALUE", endValue)
		a, err := readSchedAction(newSchedAction, v, worldTime.Unix())
		if err != nil {
			return
		}
		if _, err := schedulable(a.Action); err != nil || a.Time < 0 || a.Time > maxSchedTime+worldTime.Unix() || a.First != a.Time || a.Done != -1 {
			t.Fatalf("%+v", a)
		}
		now = min(max(now, a.Time), maxSchedTime) // what is done is due
		n := a.Ran(time.Unix(now, 0).UTC())
		if n.Done != now || n.Pending() != (n.Time > now) || n.Pending() && n.EndType == one.EndDate && n.Time > n.EndValue {
			t.Fatalf("after %d: %+v", now, n)
		}
	})
}
