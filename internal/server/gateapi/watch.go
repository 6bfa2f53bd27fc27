package gateapi

import (
	"net/http"
	"time"

	"github.com/trifid-cloud/trifid/internal/gate"
	"github.com/trifid-cloud/trifid/internal/server/httpd"
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
	httpd.Hold(q.w, q.api.opts.MaxWait+q.api.opts.Heartbeat)
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
	out := httpd.NewStream(q.w, q.api.opts.Heartbeat)
	beat := time.NewTicker(q.api.opts.Heartbeat)
	defer beat.Stop()
	send := true // at once, so that the client knows that it is heard
	for {
		var news []byte
		if doc.Revision != last {
			last = doc.Revision
			news = httpd.Event(nil, last, "", doc.JSON)
		}
		if send || news != nil {
			if err := out.Send(news); err != nil {
				return statusGone
			}
		}
		send = false
		select {
		case <-w.Changed():
		case <-beat.C:
			send = true
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
