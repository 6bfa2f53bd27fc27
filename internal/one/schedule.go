package one

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Schedule is what is to be done to a VM at some time. Source: VM lifecycle
// reference §6.
type Schedule struct {
	VM      int
	Actions []SchedAction // ascending by ID, never empty in the store
}

// SchedAction is one action, done once or again and again.
type SchedAction struct {
	ID           int
	Action, Args string
	// Time is when it is due, epoch seconds. When there is no next time it stays the last one.
	Time int64
	// First is the Time that was asked for: a repetition keeps its time of day, also
	// where a change of the clock moves one of them.
	First    int64
	Repeat   Repeat
	Days     string // which days, or the hours from one time to the next, as they were given
	EndType  EndType
	EndValue int64  // as EndType says, else -1
	Done     int64  // when it was done last, epoch seconds; -1 for never
	Message  string // why it was refused, "" when it was not
}

// Repeat says in what an action's Days are counted.
type Repeat int

// The kinds of repetition. Days of the week begin with Sunday as 0, those of the
// year with 0, those of the month with 1.
const (
	RepeatNone    Repeat = -1
	RepeatWeekly  Repeat = 0
	RepeatMonthly Repeat = 1
	RepeatYearly  Repeat = 2
	RepeatHourly  Repeat = 3
)

// EndType says when a repetition ends.
type EndType int

// The ends of a repetition.
const (
	EndNone  EndType = -1 // never, and nobody said so
	EndNever EndType = 0
	EndTimes EndType = 1 // after EndValue more times
	EndDate  EndType = 2 // EndValue, epoch seconds, is the last moment
)

// maxDays bounds DAYS, in bytes: a list of all days of a year is shorter.
const maxDays = 2048

// ParseDays reads the days of a repetition: a list of numbers, ascending and each
// once. The error is the reference's.
func ParseDays(r Repeat, text string) ([]int, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("Repeat set, but DAYS are empty")
	}
	if len(text) > maxDays {
		return nil, fmt.Errorf("Wrong format of DAYS attribute: %d bytes, expected at most %d", len(text), maxDays)
	}
	lo, hi, want := 0, 6, "Days in a week have to be in [0,6] range"
	switch r {
	case RepeatMonthly:
		lo, hi, want = 1, 31, "Days in a month have to be in [1,31] range"
	case RepeatYearly:
		lo, hi, want = 0, 365, "Days in a year have to be in [0,365] range"
	case RepeatHourly:
		lo, hi, want = 1, 168, "Hours have to be in [0,168] range"
	}
	var days []int
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return nil, fmt.Errorf("Wrong format of DAYS attribute: %q is not a number", word)
		}
		if n < lo || n > hi {
			return nil, errors.New(want)
		}
		days = append(days, n)
	}
	slices.Sort(days)
	days = slices.Compact(days)
	if r == RepeatHourly && len(days) != 1 {
		return nil, errors.New(want)
	}
	return days, nil
}

// Pending tells whether the action is still to be done.
func (a *SchedAction) Pending() bool {
	return a.Time > a.Done && !a.ended(a.Time)
}

// ended tells whether the repetition is over at a time, epoch seconds.
func (a *SchedAction) ended(at int64) bool {
	switch a.EndType {
	case EndTimes:
		return a.EndValue <= 0
	case EndDate:
		return at > a.EndValue
	}
	return false
}

// Due returns when the first action that is still to be done is due, epoch
// seconds, and false when nothing is to be done.
func (s *Schedule) Due() (int64, bool) {
	due, any := int64(0), false
	for i := range s.Actions {
		if a := &s.Actions[i]; a.Pending() && (!any || a.Time < due) {
			due, any = a.Time, true
		}
	}
	return due, any
}

// Find returns the place of an action, -1 if there is none of that id.
func (s *Schedule) Find(id int) int {
	if s == nil {
		return -1
	}
	return slices.IndexFunc(s.Actions, func(a SchedAction) bool { return a.ID == id })
}

// Ran returns the action after it was done: it is due at its next time, of which
// those that have passed are left out, or not any more.
func (a SchedAction) Ran(now time.Time) SchedAction {
	a.Done, a.Message = now.Unix(), ""
	if a.Repeat != RepeatNone && a.EndType == EndTimes {
		a.EndValue--
	}
	return a.Renewed(now)
}

// Renewed returns the action due at the first of its times after now, and as it is
// if it does not repeat or its repetition ends before.
func (a SchedAction) Renewed(now time.Time) SchedAction {
	if next, ok := a.next(now); ok && !a.ended(next) {
		a.Time = next
	}
	return a
}

// maxPeriods bounds the search for a day that not every month or year has: leap
// years are at most eight years apart.
const maxPeriods = 10

// next returns the first time of a repetition after now, epoch seconds. Days are
// those of the calendar in the zone of now, at the time of day of First; days that
// a month or year does not have are left out.
func (a *SchedAction) next(now time.Time) (int64, bool) {
	if a.Repeat == RepeatNone {
		return 0, false
	}
	days, err := ParseDays(a.Repeat, a.Days)
	if err != nil {
		return 0, false
	}
	if a.Repeat == RepeatHourly {
		step := int64(days[0]) * 3600
		return a.Time + max(1, (now.Unix()-a.Time)/step+1)*step, true
	}
	clock := time.Unix(a.First, 0).In(now.Location())
	for period := range maxPeriods {
		for _, day := range days {
			y, m, d, ok := a.Repeat.date(now, period, day)
			if !ok {
				continue
			}
			if t := atClock(y, m, d, clock); t.After(now) {
				return t.Unix(), true
			}
		}
	}
	return 0, false
}

// date returns the day of a week, month or year that is some periods after the one
// of now, and false if there is no such day.
func (r Repeat) date(now time.Time, period, day int) (int, time.Month, int, bool) {
	y, m, d := now.Date()
	switch r {
	case RepeatWeekly:
		return y, m, d - int(now.Weekday()) + 7*period + day, true
	case RepeatMonthly:
		first := time.Date(y, m+time.Month(period), 1, 0, 0, 0, 0, time.UTC)
		return first.Year(), first.Month(), day, first.AddDate(0, 0, day-1).Month() == first.Month()
	default:
		first := time.Date(y+period, time.January, 1, 0, 0, 0, 0, time.UTC)
		return y + period, time.January, 1 + day, first.AddDate(0, 0, day).Year() == y+period
	}
}

// atClock returns a day of the calendar at the time of day of clock, in its zone.
// Where the clock skips that time it is as much later as was skipped; where it
// shows it twice, it is the first of the two.
func atClock(y int, m time.Month, d int, clock time.Time) time.Time {
	hour, minute, second := clock.Clock()
	t := time.Date(y, m, d, hour, minute, second, 0, clock.Location())
	wall := time.Date(y, m, d, hour, minute, second, 0, time.UTC)
	_, before := t.AddDate(0, 0, -1).Zone()
	if early := wall.Add(-time.Duration(before) * time.Second).In(t.Location()); shows(early, wall) || !shows(t, wall) {
		return early
	}
	return t
}

// shows tells whether the clock shows at t what wall shows.
func shows(t, wall time.Time) bool {
	_, offset := t.Zone()
	return t.Unix()+int64(offset) == wall.Unix()
}
