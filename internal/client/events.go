package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// Event is one event of a stream.
type Event struct {
	ID   string // by which the stream can be taken up again; "" of one by which it cannot
	Name string
	Data []byte // one line
}

// Bounds of a stream: of one line, in bytes, and how long a server may be silent.
const (
	maxEventLine = 1 << 20
	maxSilence   = time.Minute
)

var errSilent = errors.New("the server has been silent for a minute")

// Events reads a stream of events and calls take for each, until the stream ends
// (nil), ctx does, or take fails. after is the id of the last event that is known,
// "" for none. Errors are those of Do, and take's.
func (f *Flow) Events(ctx context.Context, path, after string, take func(Event) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := f.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	endless := *f.http
	endless.Timeout = 0
	silence := time.AfterFunc(maxSilence, func() { cancel(errSilent) })
	defer silence.Stop()
	resp, err := endless.Do(req)
	if err != nil {
		return connError(f.addr, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, err := readAll(resp.Body, maxFlowAnswer)
		if err != nil {
			return connError(f.addr, err)
		}
		return &Error{Code: resp.StatusCode, Msg: string(text)}
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEventLine)
	var e Event
	for lines.Scan() {
		silence.Reset(maxSilence)
		if line := lines.Bytes(); len(line) > 0 {
			e.read(line)
			continue
		}
		if e.Data != nil {
			if err := take(e); err != nil {
				return err
			}
		}
		e = Event{}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return connError(f.addr, err)
	}
	return nil
}

// read takes a field of an event; what is unknown means nothing.
func (e *Event) read(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "id":
		e.ID = string(value)
	case "event":
		e.Name = string(value)
	case "data":
		if e.Data != nil {
			e.Data = append(e.Data, '\n')
		}
		e.Data = append(e.Data, value...)
	}
}
