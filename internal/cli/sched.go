package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// scheduleFlags let an action happen later. Source: VM lifecycle reference §6.
func scheduleFlags(f *pflag.FlagSet) {
	text(f, "schedule", "", `when to do it: now, +seconds after the VM's creation, or a time such as "09/23 14:15" or "2026-09-23 14:15"`)
	text(f, "weekly", "", "with --schedule: repeat on these days of the week, 0 (Sunday) to 6, separated by commas")
	text(f, "monthly", "", "with --schedule: repeat on these days of the month, 1 to 31")
	text(f, "yearly", "", "with --schedule: repeat on these days of the year, 0 to 365")
	text(f, "hourly", "", "with --schedule: repeat every so many hours")
	text(f, "end", "", "with --schedule: stop after that many times, or at a time")
}

// timeLayouts are the forms of a time; those without a year mean this one.
var timeLayouts = []string{
	"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", time.RFC3339, "01/02/2006 15:04", "01/02/06 15:04",
	"01/02 15:04:05", "01/02 15:04", "15:04",
}

// parseTime reads a time in the user's zone.
func (c *call) parseTime(s string) (time.Time, bool) {
	now := c.io.Now().In(c.io.Zone)
	for _, layout := range timeLayouts {
		t, err := time.ParseInLocation(layout, s, c.io.Zone)
		if err != nil {
			continue
		}
		switch {
		case layout == "15:04":
			t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, c.io.Zone)
		case t.Year() == 0:
			t = t.AddDate(now.Year(), 0, 0)
		}
		return t, true
	}
	return time.Time{}, false
}

// schedule returns the SCHED_ACTION template of an action and what to say of it.
func (c *call) schedule(action, args string) (template, said string, err error) {
	when := c.str("schedule")
	switch {
	case when == "now":
		now := c.io.Now()
		when = strconv.FormatInt(now.Unix(), 10)
		said = action + " scheduled at " + now.In(c.io.Zone).Format(timeSaid)
	case strings.HasPrefix(when, "+"):
		if _, ok := digits(when[1:]); !ok {
			return "", "", fmt.Errorf("Error parsing time spec: %s", when)
		}
		said = action + " scheduled after " + when + "s from start"
	default:
		t, ok := c.parseTime(when)
		if !ok {
			return "", "", fmt.Errorf("Error parsing time spec: %s", when)
		}
		when = strconv.FormatInt(t.Unix(), 10)
		said = action + " scheduled at " + t.Format(timeSaid)
	}
	parts := []string{"ACTION = " + action}
	if args != "" {
		parts = append(parts, "ARGS = "+quoted(args))
	}
	parts = append(parts, "TIME = "+quoted(when))
	repeats := false
	for i, flag := range []string{"weekly", "monthly", "yearly", "hourly"} {
		if days := c.str(flag); days != "" && !repeats {
			parts = append(parts, "REPEAT = "+strconv.Itoa(i), "DAYS = "+quoted(days))
			repeats = true
		}
	}
	end, err := c.scheduleEnd(repeats)
	if err != nil {
		return "", "", err
	}
	return "SCHED_ACTION = [ " + strings.Join(append(parts, end...), ", ") + " ]", said, nil
}

const timeSaid = "2006-01-02 15:04:05 -0700"

func (c *call) scheduleEnd(repeats bool) ([]string, error) {
	end := c.str("end")
	if end == "" {
		if repeats {
			return []string{"END_TYPE = 0"}, nil
		}
		return nil, nil
	}
	if n, ok := digits(end); ok && n > 0 {
		return []string{"END_TYPE = 1", "END_VALUE = " + end}, nil
	}
	t, ok := c.parseTime(end)
	if !ok {
		return nil, fmt.Errorf("end %q: expected a number of times or a time", end)
	}
	return []string{"END_TYPE = 2", "END_VALUE = " + strconv.FormatInt(t.Unix(), 10)}, nil
}

// orScheduled does something now, or with --schedule schedules the action for
// every subject; args returns the action's arguments, nil for none.
func orScheduled(action func(c *call) string, args func(c *call) string, now func(c *call) error) func(*call) error {
	return func(c *call) error {
		if !c.has("schedule") {
			return now(c)
		}
		a := ""
		if args != nil {
			a = args(c)
		}
		t, said, err := c.schedule(action(c), a)
		if err != nil {
			return err
		}
		return c.each(said, func(id int) error {
			if _, err := c.do("vm.schedadd", id, t); err != nil {
				return err
			}
			if !c.flag("verbose") { // always said, as nothing happens now
				c.out.Printf("%s %d: %s\n", c.noun.pool.rname, id, said)
			}
			return nil
		})
	}
}

// quoted writes a value as template text.
func quoted(s string) string { return doc.Quote(s) }

// schedVerbs change the scheduled actions of VMs.
func schedVerbs() []verb {
	return []verb{
		{
			name: "sched-delete", short: "Delete a scheduled action", args: []arg{self("vmid"), num("sched_id")}, example: "sched-delete 7 2",
			run: method("scheddelete", "Scheduled Action deleted", nil),
		},
		{
			name: "sched-update", short: "Change a scheduled action", args: []arg{self("vmid"), num("sched_id"), file},
			long:    "The attributes come from a file, else from standard input, else from an editor.",
			example: "sched-update 7 2 action.txt",
			run: func(c *call) error {
				t, err := c.edit(2, func() (string, error) { return c.schedAction(c.subjects()[0], c.text(1)) })
				if err != nil {
					return err
				}
				return c.each("Sched action updated", func(id int) error {
					_, err := c.do("vm.schedupdate", id, c.num(1, 0), asVector("SCHED_ACTION", t))
					return err
				})
			},
		},
	}
}

// schedAction renders a scheduled action for the editor.
func (c *call) schedAction(id int, action string) (string, error) {
	n, err := c.doc("vm.info", id)
	if err != nil {
		return "", err
	}
	for _, a := range n.All("TEMPLATE/SCHED_ACTION") {
		if a.Get("ID") == action {
			return textOf(a), nil
		}
	}
	return "", fmt.Errorf("Sched action %s not found", action)
}
