package gateapi

import (
	"net/http"
	"time"

	"github.com/trifid-cloud/trifid/internal/gate"
)

// poll answers once the document is another than that of a revision, or with 304
// when it has been the same for long. The client's rights are looked at anew each
// time: a token may have become invalid meanwhile.
func (q *request) poll(u *gate.Guest, revision string) int {
	revision = revisionOf(revision)
	w, err := q.route.watch(q, u)
	if err != nil {
		return q.refuse(err)
	}
	defer w.Stop()
	q.waited = true
	q.stay(q.api.opts.MaxWait + q.api.opts.Heartbeat)
	limit := time.NewTimer(q.api.opts.MaxWait)
	defer limit.Stop()
	for {
		doc, err := q.again()
		if err != nil || doc.Revision != revision {
			return q.answer(doc, err)
		}
		q.w.Header()["Etag"] = doc.ETag
		select {
		case <-w.Changed():
		case <-limit.C:
			return q.unchanged()
		case <-w.Over():
			return q.unchanged()
		case <-q.Context().Done():
			return statusGone
		}
	}
}

// statusGone is what is counted when the client went away while it waited.
const statusGone = 499

// again returns the document as it is now, to the guest as it is now.
func (q *request) again() (*gate.Document, error) {
	u, err := q.api.gate.Identify(q.credentials())
	if err != nil {
		return nil, err
	}
	return q.route.show(q, &u)
}

// stay lifts the deadline for reading the request, which is over and would end
// the waiting, and sets that for the answer.
func (q *request) stay(write time.Duration) {
	control := http.NewResponseController(q.w)
	// A writer that has no deadlines, as those of tests, needs none lifted.
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Now().Add(write))
}

const typeEvents = "text/event-stream"

// stream sends the document as an event, and again whenever it has changed, until
// the client goes. An event's id is the document's revision; a client that comes
// back with it in Last-Event-ID, or as watch, gets only what is new.
func (q *request) stream(u *gate.Guest) int {
	w, err := q.route.watch(q, u)
	if err != nil {
		return q.refuse(err)
	}
	defer w.Stop()
	q.waited = true
	doc, err := q.route.show(q, u)
	if err != nil {
		return q.refuse(err)
	}
	last := revisionOf(only(q.Header, "Last-Event-Id"))
	if last == "" {
		last = revisionOf(q.query("watch"))
	}
	h := q.w.Header()
	h.Set("Content-Type", typeEvents)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx passes it on at once
	beat := time.NewTicker(q.api.opts.Heartbeat)
	defer beat.Stop()
	control := http.NewResponseController(q.w)
	text := []byte(":\n\n") // so that the client knows at once that it is heard
	for {
		if doc.Revision != last {
			last = doc.Revision
			text = append(append(append(append([]byte("id: "), last...), "\ndata: "...), doc.JSON...), "\n\n"...)
		}
		if len(text) > 0 {
			q.stay(q.api.opts.Heartbeat)
			if _, err := q.w.Write(text); err != nil {
				return statusGone
			}
			if err := control.Flush(); err != nil {
				return statusGone
			}
		}
		text = nil
		select {
		case <-w.Changed():
		case <-beat.C:
			text = []byte(":\n\n")
		case <-w.Over():
			return http.StatusOK
		case <-q.Context().Done():
			return http.StatusOK
		}
		if doc, err = q.again(); err != nil {
			return http.StatusOK // the client will come back, and be told
		}
	}
}
