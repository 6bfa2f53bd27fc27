package schedule

import (
	"strconv"
	"strings"
	"time"
)

// maxTime bounds the text of a time, in bytes.
const maxTime = 128

// ValidTime tells whether a text can be read as a time.
func ValidTime(text string) bool {
	_, ok := parse(text)
	return ok
}

// At returns the time that a text means, missing parts taken from now, in the
// zone of now unless it names one. daily tells that the text names no date, so
// that it means another time each day; false if the text is no time.
func At(text string, now time.Time) (t time.Time, daily, ok bool) {
	w, ok := parse(text)
	if !ok {
		return time.Time{}, false, false
	}
	if w.epoch {
		return time.Unix(w.seconds, 0).In(now.Location()), false, true
	}
	zone := now.Location()
	if w.zone != nil {
		zone = w.zone
	}
	today := now.In(zone)
	year, month, day := w.year, time.Month(w.month), w.day
	if year < 0 {
		year = today.Year()
	}
	daily = w.year < 0 && w.month < 0 && w.day < 0
	if daily {
		month, day = today.Month(), today.Day()
	}
	if w.month < 0 && !daily {
		month = today.Month()
		if w.day < 0 { // a year alone
			month = time.January
		}
	}
	if day < 0 {
		day = 1
	}
	return time.Date(year, month, day, w.hour, w.minute, w.second, 0, zone).In(now.Location()), daily, true
}

// when is what a text says of a time; -1 for parts of the date it does not say.
type when struct {
	epoch                bool
	seconds              int64
	year, month, day     int
	hour, minute, second int
	timed                bool
	zone                 *time.Location
}

// zones are the names of zones that are understood besides numbers.
var zones = map[string]int{
	"z": 0, "utc": 0, "gmt": 0, "wet": 0, "west": 1, "cet": 1, "cest": 2, "eet": 2, "eest": 3, "bst": 1, "msk": 3, "jst": 9,
	"est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7,
}

// parse reads a time the way a lenient parser does: an ISO 8601 date, a date in
// words ("2nd oct 2013"), with slashes or dots, a time of day, a zone, in any
// order; or digits only, the seconds since 1970.
func parse(text string) (when, bool) {
	w := when{year: -1, month: -1, day: -1}
	text = strings.ToLower(strings.TrimSpace(text))
	if text == "" || len(text) > maxTime {
		return w, false
	}
	if digits(text) {
		n, err := strconv.ParseInt(text, 10, 64)
		w.epoch, w.seconds = true, n
		return w, err == nil && n < 1<<40
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		if !w.word(word) {
			return w, false
		}
	}
	if w.year < 0 && w.month < 0 && w.day < 0 && !w.timed {
		return w, false
	}
	return w, w.sane()
}

// sane tells whether such a day can be.
func (w *when) sane() bool {
	if w.month > 12 || w.month == 0 || w.day == 0 || w.day > 31 || w.hour > 24 || w.minute > 59 || w.second > 60 {
		return false
	}
	if w.hour == 24 && w.minute+w.second > 0 {
		return false
	}
	if w.day > 0 && w.month > 0 {
		year := w.year
		if year < 0 {
			year = 2000 // a leap year: the day may be one this year has not
		}
		return time.Date(year, time.Month(w.month), w.day, 0, 0, 0, 0, time.UTC).Day() == w.day
	}
	return true
}

func (w *when) word(s string) bool {
	if month := monthOf(s); month > 0 {
		return set(&w.month, month)
	}
	if isWeekday(s) {
		return true // it says nothing that the date does not
	}
	if hours, ok := zones[s]; ok {
		return w.setZone(hours * 3600)
	}
	if s == "am" || s == "pm" {
		return w.half(s == "pm")
	}
	if date, clock, both := strings.Cut(s, "t"); both && digits(strings.NewReplacer("-", "").Replace(date)) && strings.Contains(clock, ":") {
		return w.word(date) && w.clock(clock)
	}
	if strings.Contains(s, ":") {
		return w.clock(s)
	}
	if s[0] == '+' || s[0] == '-' {
		return w.offset(s)
	}
	if p := strings.FieldsFunc(s, func(r rune) bool { return r == '-' || r == '/' || r == '.' }); len(p) > 1 {
		return w.date(p)
	}
	for _, suffix := range []string{"st", "nd", "rd", "th"} {
		if n, ok := strings.CutSuffix(s, suffix); ok && digits(n) {
			return set(&w.day, number(n))
		}
	}
	switch {
	case !digits(s):
		return w.shortClock(s)
	case len(s) == 8: // 20131002
		return set(&w.year, number(s[:4])) && set(&w.month, number(s[4:6])) && set(&w.day, number(s[6:]))
	case len(s) == 4:
		return set(&w.year, number(s))
	case len(s) <= 2:
		return set(&w.day, number(s))
	}
	return false
}

// date reads the parts of 2013-10-02, 02/10/2013, 2-oct-2013 and their like.
func (w *when) date(p []string) bool {
	if len(p) > 3 {
		return false
	}
	for i, part := range p {
		if month := monthOf(part); month > 0 {
			p[i] = strconv.Itoa(month)
			if i == 0 && len(p) == 3 { // oct-2-2013
				p[0], p[1] = p[1], p[0]
			}
		}
	}
	for _, part := range p {
		if !digits(part) || len(part) > 4 {
			return false
		}
	}
	switch {
	case len(p[0]) == 4 && len(p) == 3:
		return set(&w.year, number(p[0])) && set(&w.month, number(p[1])) && set(&w.day, number(p[2]))
	case len(p[0]) == 4:
		return set(&w.year, number(p[0])) && set(&w.month, number(p[1]))
	case len(p) == 3 && len(p[2]) == 4:
		return set(&w.day, number(p[0])) && set(&w.month, number(p[1])) && set(&w.year, number(p[2]))
	case len(p) == 2 && len(p[0]) <= 2 && len(p[1]) <= 2:
		return set(&w.month, number(p[0])) && set(&w.day, number(p[1]))
	}
	return false
}

// clock reads 15:45, 15:45:30.5, with am, pm or a zone behind it.
func (w *when) clock(s string) bool {
	if w.timed {
		return false
	}
	end := len(s)
	for i := range len(s) {
		if c := s[i]; c != ':' && c != '.' && (c < '0' || c > '9') {
			end = i
			break
		}
	}
	clock, rest := s[:end], s[end:]
	clock, fraction, _ := strings.Cut(clock, ".")
	if fraction != "" && !digits(fraction) {
		return false
	}
	p := strings.Split(clock, ":")
	if len(p) < 2 || len(p) > 3 {
		return false
	}
	for i, to := range []*int{&w.hour, &w.minute, &w.second} {
		if i == len(p) {
			break
		}
		if !digits(p[i]) || len(p[i]) > 2 {
			return false
		}
		*to = number(p[i])
	}
	w.timed = true
	if rest == "" {
		return true
	}
	if rest == "am" || rest == "pm" {
		return w.half(rest == "pm")
	}
	if hours, ok := zones[rest]; ok {
		return w.setZone(hours * 3600)
	}
	return w.offset(rest)
}

// shortClock reads 3pm.
func (w *when) shortClock(s string) bool {
	for _, half := range []string{"am", "pm"} {
		if n, ok := strings.CutSuffix(s, half); ok && digits(n) && len(n) <= 2 && !w.timed {
			w.hour, w.timed = number(n), true
			return w.half(half == "pm")
		}
	}
	return false
}

func (w *when) half(afternoon bool) bool {
	if !w.timed || w.hour < 1 || w.hour > 12 {
		return false
	}
	w.hour %= 12
	if afternoon {
		w.hour += 12
	}
	return true
}

// offset reads +02:00, +0200 and -5.
func (w *when) offset(s string) bool {
	if len(s) < 2 || s[0] != '+' && s[0] != '-' {
		return false
	}
	d := strings.Replace(s[1:], ":", "", 1)
	if !digits(d) || len(d) > 4 || len(d) == 3 {
		return false
	}
	hours, minutes := number(d), 0
	if len(d) == 4 {
		hours, minutes = number(d[:2]), number(d[2:])
	}
	if hours > 14 || minutes > 59 {
		return false
	}
	seconds := hours*3600 + minutes*60
	if s[0] == '-' {
		seconds = -seconds
	}
	return w.setZone(seconds)
}

func (w *when) setZone(seconds int) bool {
	if w.zone != nil || !w.timed {
		return false
	}
	w.zone = time.FixedZone("", seconds)
	return true
}

// set notes a part of the date, once.
func set(part *int, n int) bool {
	if *part >= 0 {
		return false
	}
	*part = n
	return true
}

func monthOf(s string) int {
	if len(s) < 3 {
		return 0
	}
	for i, name := range []string{
		"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
	} {
		if s == name || s == name[:3] || s == "sept" && i == 8 {
			return i + 1
		}
	}
	return 0
}

func isWeekday(s string) bool {
	for _, name := range []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"} {
		if s == name || s == name[:3] {
			return true
		}
	}
	return false
}

// number reads a few digits.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 1 << 30 // too many: no such day
	}
	return n
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
