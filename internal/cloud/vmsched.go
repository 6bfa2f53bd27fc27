package cloud

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// MaxSchedArgs bounds the ARGS of a scheduled action, in bytes.
const MaxSchedArgs = 1024

// Bounds of what is scheduled for a VM.
const (
	maxSchedActions = 100
	maxSchedTime    = 253_402_300_799 // the last second of the year 9999; half of it for relative ones
)

// schedNames are other names of actions that may be scheduled: those of 5.12 and
// before. Source: VM lifecycle reference §6.
var schedNames = map[string]string{"shutdown": "terminate", "shutdown-hard": "terminate-hard", "delete": "terminate-hard"}

// schedulable returns the action of a name.
func schedulable(name string) (string, error) {
	if now, ok := schedNames[name]; ok {
		return now, nil
	}
	op, known := machine.Operation(name)
	_, late := lateActions[name]
	switch {
	case name == "":
		return "", errors.New("No ACTION in template for Scheduled Action.")
	case name == "backup":
		return "", fmt.Errorf("%s is not supported yet.", name)
	case late:
	case !known || op == "resched":
		return "", fmt.Errorf("%s is not supported.", name)
	}
	return name, nil
}

// readSchedAction returns the action with what a SCHED_ACTION vector says of it;
// what it leaves out stays as it is. Relative times count from start, epoch
// seconds. Source: VM lifecycle reference §6.
func readSchedAction(a one.SchedAction, v tmpl.Vector, start int64) (one.SchedAction, error) {
	var err error
	if a.Action, err = schedulable(firstOf(v.Get("ACTION"), a.Action)); err != nil {
		return a, err
	}
	if args, ok := v.Lookup("ARGS"); ok {
		if a.Args = args; len(args) > MaxSchedArgs {
			return a, fmt.Errorf("ARGS of %d bytes, expected at most %d", len(args), MaxSchedArgs)
		}
	}
	if s := v.Get("TIME"); s != "" || a.Time < 0 {
		if a.Time, err = readSchedTime(s, start); err != nil {
			return a, err
		}
		a.First = a.Time
	}
	if err := readRepeat(&a, v); err != nil {
		return a, err
	}
	return a, readEnd(&a, v)
}

// readSchedTime reads a TIME: epoch seconds, or seconds after start.
func readSchedTime(s string, start int64) (int64, error) {
	digits, relative := strings.CutPrefix(s, "+")
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > maxSchedTime || relative && n > maxSchedTime/2 {
		return -1, fmt.Errorf("Unable to parse the time value or value is empty: %s", s)
	}
	if relative {
		return start + int64(n), nil
	}
	return int64(n), nil
}

// readRepeat reads REPEAT, which was REP once, and DAYS.
func readRepeat(a *one.SchedAction, v tmpl.Vector) error {
	if s := firstOf(v.Get("REPEAT"), v.Get("REP")); s != "" {
		n, ok := atoi(s)
		if a.Repeat = one.Repeat(n); !ok || a.Repeat < one.RepeatNone || a.Repeat > one.RepeatHourly {
			return fmt.Errorf("Wrong REPEAT value: %s", s)
		}
	}
	if a.Repeat == one.RepeatNone {
		a.Days = ""
		return nil
	}
	if s, ok := v.Lookup("DAYS"); ok {
		a.Days = strings.TrimSpace(s)
	}
	_, err := one.ParseDays(a.Repeat, a.Days)
	return err
}

// readEnd reads END_TYPE and END_VALUE.
func readEnd(a *one.SchedAction, v tmpl.Vector) error {
	if s := v.Get("END_TYPE"); s != "" {
		n, ok := atoi(s)
		end := one.EndType(n)
		if !ok || end < one.EndNone || end > one.EndDate {
			return fmt.Errorf("Wrong END_TYPE value: %s", s)
		}
		if end != a.EndType {
			a.EndType, a.EndValue = end, -1
		}
	}
	if a.EndType <= one.EndNever {
		a.EndValue = -1
		return nil
	}
	if s := v.Get("END_VALUE"); s != "" {
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		switch bad := err != nil || n < 0 || n > maxSchedTime; {
		case bad && a.EndType == one.EndTimes:
			return errors.New("Error parsing END_VALUE, times has to be greater or equal to 0")
		case bad:
			return errors.New("Error parsing END_VALUE, wrong format for date.")
		}
		a.EndValue = n
	}
	if a.EndValue < 0 {
		return errors.New("END_TYPE set, but END_VALUE is empty")
	}
	return nil
}

// newSchedAction is an action of which nothing is known yet.
var newSchedAction = one.SchedAction{ID: -1, Time: -1, First: -1, Repeat: one.RepeatNone, EndType: one.EndNone, EndValue: -1, Done: -1}

// checkSchedActions checks the scheduled actions of a template of VMs.
func checkSchedActions(t *tmpl.Template) error {
	as := t.Named("SCHED_ACTION")
	if len(as) > maxSchedActions {
		return fmt.Errorf("SCHED_ACTION: %d of them, expected at most %d", len(as), maxSchedActions)
	}
	for _, a := range as {
		if !a.IsVector() {
			return errors.New("SCHED_ACTION: expected a vector attribute")
		}
		if _, err := readSchedAction(newSchedAction, a.Vector, 0); err != nil {
			return fmt.Errorf("SCHED_ACTION: %w", err)
		}
	}
	return nil
}

// schedule schedules what the template of a new VM says.
func schedule(tx *store.Tx, v *one.VM, t *tmpl.Template) error {
	if err := checkSchedActions(t); err != nil {
		return err
	}
	s := &one.Schedule{VM: v.ID}
	for _, vec := range t.Vectors("SCHED_ACTION") {
		a, err := readSchedAction(newSchedAction, vec, v.STime)
		if err != nil {
			return err
		}
		a.ID = tx.NextID("schedaction", 0)
		s.Actions = append(s.Actions, a)
	}
	tx.PutSchedule(s)
	return nil
}

// errNoSchedAction refuses a template without what it is to hold.
const errNoSchedAction = "No SCHED_ACTION attribute in template"

// AddSchedAction schedules an action on a VM, as a SCHED_ACTION vector says, and
// returns its id. It will be done as oneadmin.
// Source: XML-RPC reference §7.2, VM lifecycle reference §6.
func (c *Cloud) AddSchedAction(ctx context.Context, who auth.Caller, vm int, t *tmpl.Template) (int, error) {
	id := -1
	err := c.update(ctx, func(tx *store.Tx) (err error) {
		id, err = c.addSchedAction(tx, who, vm, t.Vector("SCHED_ACTION"))
		return err
	})
	return id, err
}

func (c *Cloud) addSchedAction(tx *store.Tx, who auth.Caller, vm int, vec tmpl.Vector) (int, error) {
	v, err := c.vmFor(&tx.State, who, vm, "sched-action")
	switch {
	case err != nil:
		return -1, err
	case v.State == one.VMDone:
		return -1, errs.New(errs.Internal, "Unable to create Scheduled Action for Virtual Machine %d, it's in DONE state", vm).About(vm)
	case vec == nil:
		return -1, errs.New(errs.Action, errNoSchedAction).About(vm)
	}
	a, err := readSchedAction(newSchedAction, vec, v.STime)
	if err != nil {
		return -1, errs.Wrap(errs.Action, err).About(vm)
	}
	n := &one.Schedule{VM: vm}
	if old, ok := tx.Schedules.Get(vm); ok {
		n.Actions = slices.Clone(old.Actions)
	}
	if len(n.Actions) >= maxSchedActions { // those that are done make room
		n.Actions = slices.DeleteFunc(n.Actions, func(a one.SchedAction) bool { return !a.Pending() })
	}
	if len(n.Actions) >= maxSchedActions {
		return -1, errs.New(errs.Action, "VM %d has %d scheduled actions, no more can be added", vm, len(n.Actions)).About(vm)
	}
	a.ID = tx.NextID("schedaction", 0)
	n.Actions = append(n.Actions, a)
	tx.PutSchedule(n)
	return a.ID, nil
}

// UpdateSchedAction changes a scheduled action of a VM: what the SCHED_ACTION
// vector leaves out stays. A repetition that had ended and does not any more goes
// on. Source: XML-RPC reference §7.2.
func (c *Cloud) UpdateSchedAction(ctx context.Context, who auth.Caller, vm, action int, t *tmpl.Template) error {
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.vmFor(&tx.State, who, vm, "sched-action")
		if err != nil {
			return err
		}
		vec := t.Vector("SCHED_ACTION")
		if vec == nil {
			return errs.New(errs.Internal, errNoSchedAction).About(vm)
		}
		s := tx.Schedules.At(vm)
		i := s.Find(action)
		if i < 0 {
			return errs.New(errs.Internal, "SCHED_ACTION with id = %d doesn't exist", action).About(vm)
		}
		a, err := readSchedAction(s.Actions[i], vec, v.STime)
		if err != nil {
			return errs.Wrap(errs.Internal, err).About(vm)
		}
		if a.Done >= a.Time {
			a = a.Renewed(c.now())
		}
		n := &one.Schedule{VM: vm, Actions: slices.Clone(s.Actions)}
		n.Actions[i] = a
		tx.PutSchedule(n)
		return nil
	})
}

// DeleteSchedAction takes a scheduled action back. Source: XML-RPC reference §7.2.
func (c *Cloud) DeleteSchedAction(ctx context.Context, who auth.Caller, vm, action int) error {
	return c.update(ctx, func(tx *store.Tx) error { return c.deleteSchedAction(tx, who, vm, action) })
}

func (c *Cloud) deleteSchedAction(tx *store.Tx, who auth.Caller, vm, action int) error {
	if _, err := c.vmFor(&tx.State, who, vm, "sched-action"); err != nil {
		return err
	}
	s := tx.Schedules.At(vm)
	i := s.Find(action)
	if i < 0 {
		return errs.New(errs.NoExists, "Error getting scheduled action [%d].", action).About(action)
	}
	tx.PutSchedule(&one.Schedule{VM: vm, Actions: slices.Delete(slices.Clone(s.Actions), i, i+1)})
	return nil
}

// scheduled is who does what was scheduled. Source: VM lifecycle reference §6.
var scheduled = auth.System("scheduled actions")

// RunSchedule does the first of a VM's due actions that is not refused. Of the
// others it is written down why they are, and they stay due; one that was done is
// due again at its next time.
func (c *Cloud) RunSchedule(tx *store.Tx, vm int) {
	s, ok := tx.Schedules.Get(vm)
	if !ok {
		return
	}
	if _, alive := tx.VMs.Get(vm); !alive {
		tx.DeleteSchedule(vm)
		return
	}
	now := c.now()
	n := &one.Schedule{VM: vm, Actions: slices.Clone(s.Actions)}
	changed := false
	for _, i := range dueAt(s, now.Unix()) {
		a := &n.Actions[i]
		err := tx.Try(func() error { return c.actOn(tx, scheduled, vm, a.Action, a.Args) })
		if err == nil {
			c.log.Info("scheduled action done", "vm", vm, "action", a.Action, "id", a.ID)
			*a = a.Ran(now)
			changed = true
			break
		}
		if why := " : [" + a.Action + "] " + errs.Text(err); !strings.HasSuffix(a.Message, why) {
			c.log.Info("scheduled action refused", "vm", vm, "action", a.Action, "id", a.ID, "reason", err)
			a.Message = now.Format(time.ANSIC) + why
			changed = true
		}
	}
	if _, alive := tx.VMs.Get(vm); changed && alive { // it may have been the end of it
		tx.PutSchedule(n)
	}
}

// dueAt returns the places of the actions that are due at a time, epoch seconds,
// the earliest first.
func dueAt(s *one.Schedule, now int64) []int {
	var due []int
	for i := range s.Actions {
		if a := &s.Actions[i]; a.Pending() && a.Time <= now {
			due = append(due, i)
		}
	}
	slices.SortStableFunc(due, func(i, j int) int { return cmp.Compare(s.Actions[i].Time, s.Actions[j].Time) })
	return due
}
