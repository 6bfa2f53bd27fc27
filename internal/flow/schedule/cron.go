// Package schedule tells when scheduled policies are due: cron expressions in
// the dialect of OneFlow, and start times as a lenient parser of dates reads them.
// It is pure; the clock and the zone come with the times that are passed in.
//
// Source: OneFlow reference §4.5.
package schedule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// ValidCron tells whether a text is a cron expression.
func ValidCron(text string) bool {
	_, err := explicit(text)
	return err == nil
}

// NextCron returns the first time after t at which the expression is due, in the
// zone of t, and false if there is none or the text is no expression.
//
// Times follow the wall clock. Where it skips an hour in spring, what was due in
// that hour is due as soon as the clock runs on; where it repeats one in autumn,
// what is due in that hour is due once, in one of the two.
func NextCron(text string, t time.Time) (time.Time, bool) {
	list, err := explicit(text)
	if err != nil {
		return time.Time{}, false
	}
	next, err := gronx.NextTickAfter(list, t, false)
	if err != nil || !next.After(t) {
		return time.Time{}, false
	}
	return next, true
}

// field is one of the five parts of an expression.
type field struct {
	name     string
	min, max int
	names    []string // of the values from min on
}

var (
	months   = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

	fields = [5]field{
		{"minute", 0, 59, nil}, {"hour", 0, 23, nil}, {"day", 1, 31, nil}, {"month", 1, 12, months}, {"weekday", 0, 7, weekdays},
	}

	macros = map[string]string{
		"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
		"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
	}
)

// maxCron bounds an expression, in bytes.
const maxCron = 256

// explicit rewrites an expression so that every restricted field is a list of
// numbers. The library then takes day and weekday as either-or whenever both are
// restricted, be it by a step, as the original does.
func explicit(text string) (string, error) {
	if len(text) > maxCron {
		return "", fmt.Errorf("cron expression of %d bytes, at most %d are allowed", len(text), maxCron)
	}
	text = strings.ToLower(strings.TrimSpace(text))
	if m, ok := macros[text]; ok {
		text = m
	}
	parts := strings.Fields(text)
	if len(parts) != 5 && len(parts) != 6 {
		return "", fmt.Errorf("cron expression %q: expected 5 fields", text)
	}
	out := make([]string, 5)
	for i, f := range fields {
		list, err := f.values(parts[i])
		if err != nil {
			return "", err
		}
		out[i] = list
	}
	return strings.Join(out, " "), nil
}

// values returns what a field allows, "*" for anything.
func (f field) values(text string) (string, error) {
	if text == "*" {
		return text, nil
	}
	var all []int
	for _, item := range strings.Split(text, ",") {
		some, err := f.item(item)
		if err != nil {
			return "", err
		}
		all = append(all, some...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	words := make([]string, len(all))
	for i, n := range all {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ","), nil
}

// item reads one item of a list: n, a-b, a-b/n, * or */n.
func (f field) item(text string) ([]int, error) {
	bad := func(why string) ([]int, error) {
		return nil, fmt.Errorf("cron expression: %s %q %s", f.name, text, why)
	}
	span, by, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		n, err := strconv.Atoi(by)
		if err != nil || n < 1 || by[0] == '+' {
			return bad("has no step above 0")
		}
		step = n
	}
	from, to := f.min, f.max
	if f.max == 7 {
		to = 6 // 7 is Sunday again
	}
	if span != "*" {
		a, b, ranged := strings.Cut(span, "-")
		if stepped && !ranged {
			return bad("has a step, which is for * and ranges")
		}
		if !ranged {
			b = a
		}
		var okA, okB bool
		if from, okA = f.value(a); !okA {
			return bad(fmt.Sprintf("is not %d to %d", f.min, f.max))
		}
		if to, okB = f.value(b); !okB || to < from {
			return bad("is not a range")
		}
	}
	var out []int
	for n := from; n <= to; n += step {
		if f.max == 7 {
			out = append(out, n%7)
		} else {
			out = append(out, n)
		}
	}
	return out, nil
}

func (f field) value(text string) (int, bool) {
	if i := slices.Index(f.names, text); i >= 0 {
		return f.min + i, true
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= f.min && n <= f.max
}
