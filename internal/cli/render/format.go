package render

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Units are the suffixes a size can start from.
const units = "KMGT"

// Size prints an amount given in unit K, M, G or T with one decimal and the
// greatest suffix that keeps it above one: 1024M stays, 1025M is 1G.
func Size(v int64, unit byte) string {
	f := float64(v)
	i := 0
	for i < len(units) && units[i] != unit {
		i++
	}
	for f > 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) + units[i:i+1]
}

// YesNo prints a flag.
func YesNo(v bool) string {
	if v {
		return "Yes"
	}
	return "No"
}

// LockLevel prints LOCKED of a LOCK element. Source: XML-RPC reference §10.
func LockLevel(level int64) string {
	words := []string{"None", "Use", "Manage", "Admin", "All"}
	if level < 0 || int(level) >= len(words) {
		return "-"
	}
	return words[level]
}

// Layouts of times, in the user's zone.
const (
	Seconds = "01/02 15:04:05" // of listings and panels
	Minutes = "01/02 15:04"
	Year    = "01/02/06 15:04"
)

// Time prints an epoch in a layout, "-" for 0.
func Time(epoch int64, layout string, zone *time.Location) string {
	if epoch == 0 {
		return "-"
	}
	return time.Unix(epoch, 0).In(zone).Format(layout)
}

// Period prints a number of seconds as days, hours and minutes.
func Period(seconds int64) string {
	m := seconds / 60
	return fmt.Sprintf("%3dd %02dh%02dm", m/1440, m/60%24, m%60)
}

// ShortPeriod prints a number of seconds as hours, minutes and seconds.
func ShortPeriod(seconds int64) string {
	return fmt.Sprintf("%3dh%02dm%02ds", seconds/3600, seconds/60%60, seconds%60)
}
