package tmpl

import (
	"math"
	"strconv"
	"strings"
)

// IsYes is how the language reads a boolean: YES in any case is true, all else
// false. Source: XML-RPC reference §9.3.
func IsYes(s string) bool { return strings.EqualFold(s, "YES") }

// YesNo is how the language writes a boolean.
func YesNo(b bool) string {
	if b {
		return "YES"
	}
	return "NO"
}

// FormatNumber writes a number as the core writes those it understands: no
// needless zeros, no exponent, at most six significant digits unless it is
// whole (1.0 gives 1, 0.10 gives 0.1). Source: XML-RPC reference §9.3.
func FormatNumber(f float64) string {
	if f == math.Trunc(f) {
		return strconv.FormatFloat(f+0, 'f', 0, 64) // +0 makes a negative zero positive
	}
	if short, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 6, 64), 64); err == nil {
		f = short
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// ParseNumber reads a decimal number, with white space around it allowed. It
// reports false for anything else, names of no finite number included.
func ParseNumber(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	// The library also knows hexadecimal, underscores, Inf and NaN.
	if strings.Trim(s, "+-.0123456789eE") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// NormalizeNumber rewrites a number the way FormatNumber does. It reports
// false, and returns s, when s is no number.
func NormalizeNumber(s string) (string, bool) {
	f, ok := ParseNumber(s)
	if !ok {
		return s, false
	}
	return FormatNumber(f), true
}
