package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/trifid-cloud/trifid/internal/lifecycle"
)

// vmLogs writes a log per VM, in the form the original's users know:
// "Mon Nov  8 14:33:49 2021 [Z0][VM][I]: New state is ACTIVE".
type vmLogs struct {
	dir  string
	zone int
}

// add appends lines to the log of a VM. The file is opened each time: there are
// more VMs than a process may have files.
func (l vmLogs) add(vm int, lines []lifecycle.LogLine) error {
	var text []byte
	for _, line := range lines {
		text = line.At.AppendFormat(text, time.ANSIC)
		text = fmt.Appendf(text, " [Z%d]%s\n", l.zone, line.Text)
	}
	f, err := os.OpenFile(l.path(vm), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
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
