package guestimage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// consoleInterval is how often a console that a guest writes to is read.
const consoleInterval = 20 * time.Millisecond

// AwaitConsole waits until the serial console of a guest, a file that QEMU writes, has text in it, and returns what the
// console holds by then. The file need not exist yet. A guest that reports a failure first is an error, as is the end of
// ctx; both say what the console holds.
func AwaitConsole(ctx context.Context, path, text string) (string, error) {
	tick := time.NewTicker(consoleInterval)
	defer tick.Stop()
	for {
		console, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("await %q on a console: %w", text, err)
		}
		switch {
		case bytes.Contains(console, []byte(text)):
			return string(console), nil
		case bytes.Contains(console, []byte(MarkerFailed)), bytes.Contains(console, []byte("Kernel panic")):
			return string(console), fmt.Errorf("await %q on a console: the guest has failed:\n%s", text, console)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return string(console), fmt.Errorf("await %q on a console: %w; it holds:\n%s", text, ctx.Err(), console)
		}
	}
}
