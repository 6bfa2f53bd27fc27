package gateapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/internal/gate"
	"github.com/trifid-cloud/trifid/internal/server/httpd"
)

// A body may have freeBody bytes whatever others hold, which is more than nearly
// all have; a larger one is read into one of largeBodies buffers for all, for which
// it waits if need be, but not for long: slow guests may hold them.
const (
	firstBody   = 4 << 10 // room before anything was read, if the request says it needs it
	freeBody    = 64 << 10
	largeBodies = 4
	waitBody    = time.Second
)

// buffers are what bodies are read into that do not fit the first few bytes. They
// are used again and again, so that those who send much cost memory once.
type buffers struct {
	free  sync.Pool   // of *[freeBody]byte
	size  int64       // of a large one
	large chan []byte // nil for one that was not made yet
}

func newBuffers(n int, size int64) *buffers {
	b := &buffers{free: sync.Pool{New: func() any { return new([freeBody]byte) }}, size: size, large: make(chan []byte, n)}
	for range n {
		b.large <- nil
	}
	return b
}

// held is what one request has of the buffers.
type held struct {
	free  *[freeBody]byte
	large []byte
}

// more returns an empty buffer that is larger than what is held, false if others
// have all that are so large and keep them.
func (b *buffers) more(ctx context.Context, h *held) ([]byte, bool) {
	if h.free == nil {
		h.free, _ = b.free.Get().(*[freeBody]byte)
		return h.free[:0], true
	}
	select {
	case h.large = <-b.large:
	default:
		late := time.NewTimer(waitBody)
		defer late.Stop()
		select {
		case h.large = <-b.large:
		case <-late.C:
			return nil, false
		case <-ctx.Done():
			return nil, false
		}
	}
	if h.large == nil {
		h.large = make([]byte, 0, b.size)
	}
	return h.large, true
}

// giveBack takes what a request held.
func (b *buffers) giveBack(h held) {
	if h.free != nil {
		b.free.Put(h.free)
	}
	if h.large != nil {
		b.large <- h.large
	}
}

// end gives back what the request has of the server's, and the request.
func (q *request) end() {
	api := q.api
	api.buffers.giveBack(q.held)
	*q = request{}
	api.requests.Put(q)
}

// body reads the body of the request. What it returns holds until end.
func (q *request) body() (body []byte, err error) {
	if q.ContentLength == 0 || q.Body == http.NoBody {
		return nil, nil
	}
	defer func() {
		if err != nil {
			q.w.Header().Set("Connection", "close") // the rest is not read
		}
	}()
	most := q.api.opts.MaxBody
	if q.ContentLength > most {
		return nil, tooLarge(most)
	}
	size := int64(512)
	if q.ContentLength > 0 {
		size = min(q.ContentLength, firstBody)
	}
	buf, from := make([]byte, 0, size+1), httpd.Body(q.w, q.Request)
	for {
		n, err := from.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > most:
			return nil, tooLarge(most)
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return nil, &gate.Refusal{Status: http.StatusBadRequest, Text: "The body cannot be read", Cause: err}
		case len(buf) < cap(buf):
			continue
		}
		room, ok := q.api.buffers.more(q.Context(), &q.held)
		if !ok {
			return nil, &gate.Refusal{Status: http.StatusServiceUnavailable, Text: "Too many large requests are being read", RetryAfter: retryBusy}
		}
		buf = append(room, buf...)
	}
}

func tooLarge(most int64) error {
	return &gate.Refusal{Status: http.StatusRequestEntityTooLarge, Text: fmt.Sprintf("The body is larger than %d bytes", most)}
}
