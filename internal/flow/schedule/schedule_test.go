package schedule

import (
	"testing"
	"time"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.ParseInLocation("2006-01-02 15:04:05", text, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The golden cases of OneFlow reference §4.5. 2 October 2013 was a Wednesday.
func TestNextCron(t *testing.T) {
	for _, c := range []struct{ cron, after, want string }{
		{"0 9 * * mon,tue,wed,thu,fri", "2013-10-04 09:00:00", "2013-10-07 09:00:00"},
		{"0 13 * * MON-Fri", "2013-10-02 12:59:59", "2013-10-02 13:00:00"},
		{"30 22 * * *", "2013-10-02 22:30:00", "2013-10-03 22:30:00"},
		{"*/15 * * * *", "2013-10-02 10:00:01", "2013-10-02 10:15:00"},
		{"0-10/5 * * * *", "2013-10-02 10:05:00", "2013-10-02 10:10:00"},
		{"0-10/5 * * * *", "2013-10-02 10:10:00", "2013-10-02 11:00:00"},
		{"0 0 13 * 5", "2013-10-02 00:00:00", "2013-10-04 00:00:00"},   // a Friday or a 13th
		{"0 0 13 * 5", "2013-10-11 00:00:00", "2013-10-13 00:00:00"},   // the 13th, a Sunday
		{"0 0 */10 * 5", "2013-10-02 00:00:00", "2013-10-04 00:00:00"}, // a step restricts too
		{"0 0 */10 * 5", "2013-10-18 00:00:00", "2013-10-21 00:00:00"},
		{"0 0 * * 7", "2013-10-02 00:00:00", "2013-10-06 00:00:00"},
		{"0 0 * * 0", "2013-10-02 00:00:00", "2013-10-06 00:00:00"},
		{"0 0 1 jan *", "2013-10-02 00:00:00", "2014-01-01 00:00:00"},
		{"0 0 1 JAN-mar *", "2014-01-15 00:00:00", "2014-02-01 00:00:00"},
		{"0 0 29 2 *", "2013-10-02 00:00:00", "2016-02-29 00:00:00"},
		{"0 0 31 * *", "2013-08-31 00:00:00", "2013-10-31 00:00:00"},
		{"@hourly", "2013-10-02 10:00:00", "2013-10-02 11:00:00"},
		{"@daily", "2013-10-02 10:00:00", "2013-10-03 00:00:00"},
		{"@midnight", "2013-10-02 10:00:00", "2013-10-03 00:00:00"},
		{"@weekly", "2013-10-02 10:00:00", "2013-10-06 00:00:00"},
		{"@monthly", "2013-10-02 10:00:00", "2013-11-01 00:00:00"},
		{"@yearly", "2013-10-02 10:00:00", "2014-01-01 00:00:00"},
		{"@annually", "2013-10-02 10:00:00", "2014-01-01 00:00:00"},
		{"0 9 * * * 2030", "2013-10-02 10:00:00", "2013-10-03 09:00:00"}, // a sixth field says nothing
	} {
		got, ok := NextCron(c.cron, at(t, c.after))
		if !ok || !got.Equal(at(t, c.want)) {
			t.Errorf("%q after %s: got %v, %v, want %s", c.cron, c.after, got, ok, c.want)
		}
	}
	if got, ok := NextCron("0 0 30 2 *", at(t, "2013-10-02 00:00:00")); ok {
		t.Errorf("30 February comes at %v", got)
	}
}

func TestCronByWallClock(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Madrid")
	if err != nil {
		t.Skipf("no time zones on this machine: %v", err)
	}
	// On 31 March 2024 the clock skips from 02:00 to 03:00, on 27 October it
	// shows 02:00 to 03:00 twice.
	spring := time.Date(2024, 3, 30, 12, 0, 0, 0, zone)
	next, ok := NextCron("30 2 * * *", spring)
	if !ok || next.Day() == 30 || next.Sub(spring) > 40*time.Hour {
		t.Errorf("in spring: %v, %v", next, ok)
	}
	at, fired := time.Date(2024, 10, 26, 12, 0, 0, 0, zone), 0
	for {
		if at, ok = NextCron("30 2 * * *", at); !ok || at.Day() > 27 || at.Month() > 10 {
			break
		}
		fired++
	}
	if fired != 1 {
		t.Errorf("in autumn it was due %d times on the day of two 02:30", fired)
	}
}

func TestValidCron(t *testing.T) {
	for _, bad := range []string{
		"", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 * ", "* * * * 8", "5/10 * * * *", "* * L * *",
		"* * * * 5#2", "* * 15W * *", "@reboot", "a * * * *", "-1 * * * *", "*/0 * * * *", "1- * * * *", "5-1 * * * *", "1,,2 * * * *",
		"*/+5 * * * *", "0 0 0 0 0 0 0", "TZ=0 0 * * * *", "? * * * *", "* * * foo *", "1.5 * * * *",
	} {
		if ValidCron(bad) {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestStartTime(t *testing.T) {
	now := at(t, "2013-09-15 12:00:00")
	for text, want := range map[string]string{
		"2013-10-02 15:45":          "2013-10-02 15:45:00",
		"2nd oct 2013 15:45":        "2013-10-02 15:45:00",
		"2013-10-02T15:45:10Z":      "2013-10-02 15:45:10",
		"2013-10-02T15:45:10+02:00": "2013-10-02 13:45:10",
		"2013-10-02 15:45:10 -0500": "2013-10-02 20:45:10",
		"2013-10-02 15:45 UTC":      "2013-10-02 15:45:00",
		"20131002T15:45":            "2013-10-02 15:45:00",
		"2013/10/02":                "2013-10-02 00:00:00",
		"02/10/2013 3pm":            "2013-10-02 15:00:00",
		"October 2, 2013 3:45 PM":   "2013-10-02 15:45:00",
		"Wed, 02 Oct 2013 15:45":    "2013-10-02 15:45:00",
		"2-Oct-2013":                "2013-10-02 00:00:00",
		"oct 2":                     "2013-10-02 00:00:00",
		"oct 2014":                  "2014-10-01 00:00:00",
		"1380728700":                "2013-10-02 15:45:00",
		"15:45":                     "2013-09-15 15:45:00",
		"3pm":                       "2013-09-15 15:00:00",
		"12am":                      "2013-09-15 00:00:00",
		"2013-10-02 15:45:30.25":    "2013-10-02 15:45:30",
	} {
		got, daily, ok := At(text, now)
		if !ok || !got.Equal(at(t, want)) {
			t.Errorf("%q: got %v, %v, want %s", text, got, ok, want)
		}
		if wantDaily := len(text) <= 5 && text != "oct 2"; daily != wantDaily {
			t.Errorf("%q: daily is %v", text, daily)
		}
	}
	for _, bad := range []string{
		"", "soon", "2013-13-02", "2013-02-30", "2013-10-02 25:00", "15:60", "15:45 16:45", "2013-10-02 2014-10-02", "13pm", "utc",
		"+02:00", "2013-10-02 +", "2013-10-02 15:45+99:00", "1/2/3/4", "99999999999999999999", ":", "15:", "oct oct", "-",
	} {
		if ValidTime(bad) {
			got, _, _ := At(bad, now)
			t.Errorf("%q is taken, as %v", bad, got)
		}
	}
}

func FuzzCron(f *testing.F) {
	for _, s := range []string{"0 9 * * mon-fri", "*/5 1-10/3 13 jan 5", "@daily", "0 0 30 2 *", "TZ=0 * * * * *"} {
		f.Add(s)
	}
	from := time.Date(2024, 2, 28, 23, 59, 59, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		next, ok := NextCron(text, from)
		if ok && (!next.After(from) || next.Second() != 0 || !ValidCron(text)) {
			t.Fatalf("%q: next is %v", text, next)
		}
	})
}

func FuzzStartTime(f *testing.F) {
	for _, s := range []string{"2013-10-02 15:45", "2nd oct 2013 3pm", "15:45", "1380728700", "2013-10-02T15:45:10+02:00"} {
		f.Add(s)
	}
	now := time.Date(2024, 2, 28, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		got, daily, ok := At(text, now)
		if ok != ValidTime(text) {
			t.Fatalf("%q: At and ValidTime differ", text)
		}
		if ok && daily && got.Sub(now).Abs() > 48*time.Hour {
			t.Fatalf("%q is daily, and at %v", text, got)
		}
	})
}
