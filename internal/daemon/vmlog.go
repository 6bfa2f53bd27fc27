package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// vmLogs writes a log per VM, in the form the original's users know:
// "Mon Nov  8 14:33:49 2021 [Z0][VM][I]: New state is ACTIVE".
type vmLogs struct {
	dir  string
	zone int
}

// line appends one line. Files are opened for each: lines are rare, VMs many.
func (l vmLogs) line(vm int, at time.Time, text string) error {
	f, err := os.OpenFile(l.path(vm), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s [Z%d]%s\n", at.Format(time.ANSIC), l.zone, text)
	return errors.Join(err, f.Close())
}

// drop removes the log of a VM.
func (l vmLogs) drop(vm int) error {
	if err := os.Remove(l.path(vm)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (l vmLogs) path(vm int) string { return filepath.Join(l.dir, strconv.Itoa(vm)+".log") }
