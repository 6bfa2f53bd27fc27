// Package demo is the main job on real guests: a cloud starts in namespaces of
// its own, boots QEMU guests, the guests talk to OneGate, and OneFlow scales the
// service because of what they said; in the middle the server is killed. It
// leaves nothing behind and touches nothing of the machine it runs on.
package demo

import (
	"fmt"
	"io"
	"time"
)

// timeline prints what happened, when, and how long it took.
type timeline struct {
	out   io.Writer
	start time.Time
	last  time.Time
}

func newTimeline(out io.Writer) *timeline {
	now := time.Now()
	return &timeline{out: out, start: now, last: now}
}

// say prints an event with the time since the start and since the event before.
func (t *timeline) say(format string, args ...any) {
	now := time.Now()
	fmt.Fprintf(t.out, "%7.2fs  +%6.2fs  %s\n", now.Sub(t.start).Seconds(), now.Sub(t.last).Seconds(), fmt.Sprintf(format, args...))
	t.last = now
}

// note prints something that belongs to the event before, indented.
func (t *timeline) note(text string) { fmt.Fprintf(t.out, "%20s%s\n", "", text) }
