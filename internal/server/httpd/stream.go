package httpd

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Hold lets a request wait: it lifts the deadline for reading, which is over,
// and gives the answer so long to be written.
func Hold(w http.ResponseWriter, write time.Duration) {
	control := http.NewResponseController(w)
	// A writer that has no deadlines, as those of tests, needs none lifted.
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Now().Add(write))
}

// TypeEvents is the media type of a stream.
const TypeEvents = "text/event-stream"

// WantsEvents tells whether a request asks for a stream.
func WantsEvents(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), TypeEvents) }

// Stream sends events as they happen, in the form of the HTML standard's
// server-sent events. It is used by one goroutine.
type Stream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
}

// NewStream makes the answer a stream. patience is how long the client may take
// over what is sent.
func NewStream(w http.ResponseWriter, patience time.Duration) *Stream {
	h := w.Header()
	h.Set("Content-Type", TypeEvents)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx passes it on at once
	return &Stream{w: w, control: http.NewResponseController(w), patience: patience}
}

// Event adds an event to a text to be sent; id and name may be "", data is one line.
func Event(text []byte, id, name string, data []byte) []byte {
	if id != "" {
		text = fmt.Appendf(text, "id: %s\n", id)
	}
	if name != "" {
		text = fmt.Appendf(text, "event: %s\n", name)
	}
	return fmt.Appendf(text, "data: %s\n\n", data)
}

// Send sends events, or if there are none the sign that the stream is alive. An
// error tells that the client has gone.
func (s *Stream) Send(events []byte) error {
	if len(events) == 0 {
		events = []byte(":\n\n")
	}
	Hold(s.w, s.patience)
	if _, err := s.w.Write(events); err != nil {
		return fmt.Errorf("send events: %w", err)
	}
	if err := s.control.Flush(); err != nil {
		return fmt.Errorf("send events: %w", err)
	}
	return nil
}
