package one_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // so that the zones are those of the program's Go, everywhere

	"pgregory.net/rapid"

	"github.com/trifid-cloud/trifid/internal/one"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// at reads a time of a zone: "2024-02-29 10:00 Europe/Madrid", UTC without one.
func at(t testing.TB, text string) time.Time {
	t.Helper()
	const layout = "2006-01-02 15:04"
	l := time.UTC
	if len(text) > len(layout) {
		l = zone(t, text[len(layout)+1:])
	}
	out, err := time.ParseInLocation(layout, text[:len(layout)], l)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNextTime(t *testing.T) {
	for _, c := range []struct {
		name        string
		repeat      one.Repeat
		days        string
		first, done string
		want        string // "" for none
	}{
		{"once", one.RepeatNone, "", "2024-01-01 10:00", "2024-01-01 10:00", ""},
		{"later in the week", one.RepeatWeekly, "1,3", "2024-01-01 10:00", "2024-01-01 10:00", "2024-01-03 10:00"}, // from a Monday
		{"next week", one.RepeatWeekly, "3, 1", "2024-01-03 10:00", "2024-01-03 10:00", "2024-01-08 10:00"},
		{"on a Sunday", one.RepeatWeekly, "0", "2024-01-01 10:00", "2024-01-01 10:00", "2024-01-07 10:00"},
		{"missed weeks", one.RepeatWeekly, "1", "2024-01-01 10:00", "2024-02-08 09:00", "2024-02-12 10:00"},
		{"missed this morning", one.RepeatWeekly, "4", "2024-01-01 10:00", "2024-02-08 09:00", "2024-02-08 10:00"},
		{"next month", one.RepeatMonthly, "1", "2024-01-01 10:00", "2024-01-01 10:00", "2024-02-01 10:00"},
		{"a month without the day", one.RepeatMonthly, "31", "2024-01-31 10:00", "2024-01-31 10:00", "2024-03-31 10:00"},
		{"February of a leap year", one.RepeatMonthly, "29", "2024-01-29 10:00", "2024-01-29 10:00", "2024-02-29 10:00"},
		{"February of another", one.RepeatMonthly, "29", "2023-01-29 10:00", "2023-01-29 10:00", "2023-03-29 10:00"},
		{"over the year", one.RepeatMonthly, "30", "2023-12-30 10:00", "2023-12-30 10:00", "2024-01-30 10:00"},
		{"next year", one.RepeatYearly, "0", "2024-01-01 10:00", "2024-01-01 10:00", "2025-01-01 10:00"},
		{"the 60th day", one.RepeatYearly, "59", "2024-02-29 10:00", "2024-02-29 10:00", "2025-03-01 10:00"},
		{"the last day of leap years", one.RepeatYearly, "365", "2096-12-31 10:00", "2096-12-31 10:00", "2104-12-31 10:00"},
		{"every 36 hours", one.RepeatHourly, "36", "2024-01-01 10:00", "2024-01-01 10:00", "2024-01-02 22:00"},
		{"missed hours", one.RepeatHourly, "1", "2024-01-01 10:15", "2024-01-01 12:15", "2024-01-01 13:15"},
		{"the same time of day in summer", one.RepeatWeekly, "0", "2024-03-24 10:00 Europe/Madrid", "2024-03-24 10:00 Europe/Madrid", "2024-03-31 10:00 Europe/Madrid"},
		{"an hour that is skipped", one.RepeatWeekly, "0", "2024-03-24 02:30 Europe/Madrid", "2024-03-24 02:30 Europe/Madrid", "2024-03-31 03:30 Europe/Madrid"},
		{"and the week after", one.RepeatWeekly, "0", "2024-03-24 02:30 Europe/Madrid", "2024-03-31 03:30 Europe/Madrid", "2024-04-07 02:30 Europe/Madrid"},
		{"a midnight that is skipped", one.RepeatMonthly, "4", "2018-10-04 00:15 America/Sao_Paulo", "2018-10-04 00:15 America/Sao_Paulo", "2018-11-04 01:15 America/Sao_Paulo"},
	} {
		first := at(t, c.first)
		a := one.SchedAction{Time: first.Unix(), First: first.Unix(), Repeat: c.repeat, Days: c.days, EndType: one.EndNone, EndValue: -1, Done: -1, Message: "refused"}
		if !a.Pending() {
			t.Errorf("%s: it is not pending before", c.name)
		}
		done := at(t, c.done)
		got := a.Ran(done)
		if got.Done != done.Unix() || got.Message != "" {
			t.Errorf("%s: done %d, message %q", c.name, got.Done, got.Message)
		}
		if c.want == "" {
			if got.Pending() || got.Time != a.Time {
				t.Errorf("%s: still pending at %d", c.name, got.Time)
			}
			continue
		}
		if want := at(t, c.want); got.Time != want.Unix() || !got.Pending() {
			t.Errorf("%s: next at %s, want %s", c.name, time.Unix(got.Time, 0).In(want.Location()), want)
		}
	}
}

func TestRepetitionEnds(t *testing.T) {
	first := at(t, "2024-01-01 10:00")
	day := int64(24 * 3600)
	runs := func(end one.EndType, value int64) int {
		a := one.SchedAction{Time: first.Unix(), First: first.Unix(), Repeat: one.RepeatHourly, Days: "24", EndType: end, EndValue: value, Done: -1}
		n := 0
		for ; a.Pending() && n < 50; n++ {
			a = a.Ran(time.Unix(a.Time, 0).UTC())
		}
		return n
	}
	for _, c := range []struct {
		end   one.EndType
		value int64
		want  int
	}{
		{one.EndNone, -1, 50}, {one.EndNever, -1, 50}, {one.EndTimes, 5, 5}, {one.EndTimes, 1, 1}, {one.EndTimes, 0, 0},
		{one.EndDate, first.Unix() + 2*day, 3}, {one.EndDate, first.Unix() + 2*day - 1, 2}, {one.EndDate, first.Unix() - 1, 0},
	} {
		if got := runs(c.end, c.value); got != c.want {
			t.Errorf("end %d %d: it is done %d times, want %d", c.end, c.value, got, c.want)
		}
	}
}

func TestParseDays(t *testing.T) {
	for _, c := range []struct {
		repeat one.Repeat
		text   string
		err    string
	}{
		{one.RepeatWeekly, "", "Repeat set, but DAYS are empty"},
		{one.RepeatWeekly, "0,6", ""},
		{one.RepeatWeekly, "7", "Days in a week have to be in [0,6] range"},
		{one.RepeatWeekly, "-1", "Days in a week have to be in [0,6] range"},
		{one.RepeatWeekly, "mon", `Wrong format of DAYS attribute: "mon" is not a number`},
		{one.RepeatWeekly, "1,,2", `Wrong format of DAYS attribute: "" is not a number`},
		{one.RepeatMonthly, "0", "Days in a month have to be in [1,31] range"},
		{one.RepeatMonthly, "31", ""},
		{one.RepeatYearly, "0,365", ""},
		{one.RepeatYearly, "366", "Days in a year have to be in [0,365] range"},
		{one.RepeatHourly, "168", ""},
		{one.RepeatHourly, "0", "Hours have to be in [0,168] range"},
		{one.RepeatHourly, "1,2", "Hours have to be in [0,168] range"},
		{one.RepeatYearly, strings.Repeat("1,", 1024) + "1", "Wrong format of DAYS attribute: 2049 bytes, expected at most 2048"},
	} {
		_, err := one.ParseDays(c.repeat, c.text)
		if got := ""; err != nil {
			got = err.Error()
			if got != c.err {
				t.Errorf("%d %q: %s, want %q", c.repeat, c.text, got, c.err)
			}
		} else if c.err != "" {
			t.Errorf("%d %q: no error, want %q", c.repeat, c.text, c.err)
		}
	}
}

// quarter is how the naive search steps: all clocks here change on one.
const quarter = 15 * 60

// naiveNext walks from quarter to quarter and looks at the clock.
func naiveNext(after time.Time, hour, minute int, days func(wall time.Time) bool) time.Time {
	wall := func(u, offset int64) time.Time { return time.Unix(u+offset, 0).UTC() }
	offset := func(u int64) int64 {
		_, o := time.Unix(u, 0).In(after.Location()).Zone()
		return int64(o)
	}
	wanted := func(w time.Time) bool { return w.Hour() == hour && w.Minute() == minute && days(w) }
	shown := func(w time.Time, from, to int64) bool {
		for u := from; u < to; u += quarter {
			if wall(u, offset(u)).Equal(w) {
				return true
			}
		}
		return false
	}
	const near = 4 * 3600
	for u := after.Unix()/quarter*quarter + quarter; ; u += quarter {
		if w := wall(u, offset(u)); wanted(w) && !shown(w, u-near, u) {
			return time.Unix(u, 0)
		}
		if w := wall(u, offset(u-near)); wanted(w) && !shown(w, u-near, u+near) {
			return time.Unix(u, 0) // the clock skips it: it would have been now
		}
	}
}

// TestNextTimeIsTheNaiveOne compares the next time with a search that does nothing
// but look at the clock, in zones whose clocks change in various ways.
func TestNextTimeIsTheNaiveOne(t *testing.T) {
	zones := []string{"UTC", "Europe/Madrid", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo"}
	rapid.Check(t, func(rt *rapid.T) {
		loc := zone(t, rapid.SampledFrom(zones).Draw(rt, "zone"))
		clock := time.Date(2015, 1, 1, rapid.IntRange(0, 23).Draw(rt, "hour"), 15*rapid.IntRange(0, 3).Draw(rt, "quarter"), 0, 0, loc)
		now := time.Unix(rapid.Int64Range(1_400_000_000, 1_560_000_000).Draw(rt, "now"), 0).In(loc)
		if rapid.Bool().Draw(rt, "near a change") {
			if _, change := now.ZoneBounds(); !change.IsZero() {
				now = change.Add(time.Duration(rapid.Int64Range(-2*24*3600, 24*3600).Draw(rt, "seconds")) * time.Second).In(loc)
			}
		}
		repeat := rapid.SampledFrom([]one.Repeat{one.RepeatWeekly, one.RepeatMonthly, one.RepeatYearly}).Draw(rt, "repeat")
		bounds := map[one.Repeat][2]int{one.RepeatWeekly: {0, 6}, one.RepeatMonthly: {1, 31}, one.RepeatYearly: {0, 365}}[repeat]
		most := map[one.Repeat]int{one.RepeatWeekly: 3, one.RepeatMonthly: 3, one.RepeatYearly: 40}[repeat]
		days := rapid.SliceOfN(rapid.IntRange(bounds[0], bounds[1]), 1, most).Draw(rt, "days")
		words := make([]string, len(days))
		for i, d := range days {
			words[i] = strconv.Itoa(d)
		}
		a := one.SchedAction{
			Time: clock.Unix(), First: clock.Unix(), Repeat: repeat, Days: strings.Join(words, ","), EndType: one.EndNone, EndValue: -1, Done: -1,
		}
		got := a.Ran(now)
		want := naiveNext(now, clock.Hour(), clock.Minute(), func(w time.Time) bool {
			switch repeat {
			case one.RepeatWeekly:
				return slices.Contains(days, int(w.Weekday()))
			case one.RepeatMonthly:
				return slices.Contains(days, w.Day())
			}
			return slices.Contains(days, w.YearDay()-1)
		})
		if got.Time != want.Unix() {
			rt.Fatalf("after %s: %s, want %s", now, time.Unix(got.Time, 0).In(loc), want.In(loc))
		}
	})
}
