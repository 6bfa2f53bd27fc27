// Package logline writes the program's log: one line per record, text or JSON.
package logline

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/internal/config"
)

// latest is how long a line below the level of a warning may wait for others, so
// that a change a guest makes does not pay for a system call of its own.
const latest = 50 * time.Millisecond

// bufferSize is how many bytes wait at most.
const bufferSize = 64 << 10

// New returns a logger as the configuration says. Warnings and errors are
// written at once, with all that came before them; the rest within 50 ms.
// Whoever calls New closes the log at the end.
func New(c config.Log, w io.Writer) (*slog.Logger, io.Closer) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // checked when the configuration was read
	}
	out := &output{w: bufio.NewWriterSize(w, bufferSize)}
	o := &slog.HandlerOptions{Level: level}
	var lines slog.Handler = slog.NewTextHandler(out, o)
	if c.Format == "json" {
		lines = slog.NewJSONHandler(out, o)
	}
	return slog.New(handler{lines, out}), out
}

// handler hands records on, and sees that urgent ones are written at once.
type handler struct {
	slog.Handler
	out *output
}

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		err = errors.Join(err, h.out.flush())
	}
	return err
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs), h.out}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.out}
}

// output collects lines and writes them a little later.
type output struct {
	mu     sync.Mutex
	w      *bufio.Writer
	timer  *time.Timer // writes what waits; nil when nothing does
	closed bool
}

// Write takes a line. The error is that of an earlier one.
func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.w.Write(line)
	switch {
	case o.closed:
		return n, errors.Join(err, o.w.Flush())
	case o.timer == nil:
		o.timer = time.AfterFunc(latest, func() { _ = o.flush() }) // the next line gets the error
	}
	return n, err
}

func (o *output) flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
	return o.w.Flush()
}

// Close writes what waits. What is logged later is written at once.
func (o *output) Close() error {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	return o.flush()
}
