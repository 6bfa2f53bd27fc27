package daemon

import (
	"os"
	"runtime/debug"
)

// collectAt is how much the heap grows between two collections, in percent of
// what is alive. A cloud of 10,000 VMs stays below 500 MB with it.
const collectAt = 200

// TuneCollector has the process collect its garbage half as often as Go programs
// do: much is alive all the time, the whole state, and each collection goes
// through it. GOGC in the environment wins.
func TuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
}
