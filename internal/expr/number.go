package expr

import (
	"strconv"
	"strings"
)

// LeadingFloat reads the number a text begins with, after blanks: "10x" is 10,
// " 2.5 MB" is 2.5, "1e3" is 1000. ok is false when it begins with none. This
// is how attribute values are compared with numbers (scheduler reference §8.3,
// OneFlow reference §4.3).
func LeadingFloat(text string) (value float64, ok bool) {
	s := strings.TrimLeft(text, " \t\n\v\f\r")
	end := signed(s, 0)
	whole := run(s[end:], isDigit)
	end += whole
	if end < len(s) && s[end] == '.' {
		fraction := run(s[end+1:], isDigit)
		if whole+fraction > 0 {
			end += 1 + fraction
			whole += fraction
		}
	}
	if whole == 0 {
		return 0, false
	}
	if end < len(s) && (s[end] == 'e' || s[end] == 'E') {
		digits := signed(s, end+1)
		if n := run(s[digits:], isDigit); n > 0 {
			end = digits + n
		}
	}
	// The only possible failure is the range, for which the value is ±Inf or 0.
	value, _ = strconv.ParseFloat(s[:end], 64)
	return value, true
}

// leadingInt reads the integer a text begins with, after blanks; ok is false
// when there is none or it exceeds 64 bits.
func leadingInt(text string) (value int64, ok bool) {
	s := strings.TrimLeft(text, " \t\n\v\f\r")
	digits := signed(s, 0)
	value, err := strconv.ParseInt(s[:digits+run(s[digits:], isDigit)], 10, 64)
	return value, err == nil
}

// signed returns the offset behind the sign that may stand at i.
func signed(s string, i int) int {
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		return i + 1
	}
	return i
}
