package gateapi

import (
	"errors"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/trifid-cloud/trifid/internal/gate"
	"github.com/trifid-cloud/trifid/internal/server/httpd"
)

// Header values that answers share; nothing changes them. Every answer says that
// it is JSON, the bare text of a refusal too. Source: OneGate reference §1.2.
var (
	typeJSON = []string{"application/json;charset=utf-8"}
	nosniff  = []string{"nosniff"}
	none     = []string{"0"}
)

// retryBusy is how long a client is asked to wait when the server has too much to do.
const retryBusy = time.Second

// ServeHTTP answers a guest.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	w.Header()["X-Content-Type-Options"] = nosniff
	if len(r.TransferEncoding) > 0 {
		// It may have had a length as well, by which a program on the way cuts it in
		// another place: what follows is perhaps no request. (RFC 9112, section 6.3.)
		w.Header().Set("Connection", "close")
	}
	q, _ := a.requests.Get().(*request)
	q.Request, q.api, q.w = r, a, w
	q.route, q.param = a.routes.find(r.Method, r.URL)
	defer q.end()
	status := a.serve(q)
	a.metrics.count(q, status, began)
}

// serve answers and returns the status. The order of the tests is the original's:
// what may be asked at all, who asks, then what is asked. Source: OneGate reference §1.3.
func (a *API) serve(q *request) (status int) {
	defer func() {
		if p := recover(); p != nil {
			a.opts.Log.Error("request panicked", "method", q.Method, "panic", p, "stack", string(debug.Stack()))
			status = q.refuse(&gate.Refusal{Status: http.StatusInternalServerError, Text: "Internal error; see the server's log."})
		}
	}()
	t := q.route
	switch {
	case t == nil:
		return q.refuse(&gate.Refusal{Status: http.StatusBadRequest, Text: "OneGate server doesn't support this feature"})
	case t.resource != "" && !a.gate.Permitted(t.resource, t.action):
		return q.refuse(&gate.Refusal{Status: http.StatusForbidden, Text: "Action (" + t.action + ") on resource (" + t.resource + ") not supported"})
	}
	var err error
	guest := &q.guest
	if *guest, err = a.gate.Identify(q.credentials()); err == nil {
		err = guest.Admit()
	}
	if err != nil {
		return q.refuse(err)
	}
	switch {
	case t.link != nil:
		doc, err := t.link(q)
		return q.answer(doc, err)
	case t.act != nil:
		if err := t.act(q, guest); err != nil {
			return q.refuse(err)
		}
		return q.done(t.done)
	case t.watch != nil && q.Method == http.MethodGet:
		if httpd.WantsEvents(q.Request) {
			return q.stream(guest)
		}
		if revision, ok := lookup([]byte(q.URL.RawQuery), "watch"); ok {
			return q.poll(guest, string(revision))
		}
	}
	doc, err := t.show(q, guest)
	return q.answer(doc, err)
}

// answer sends a document, unless the client has it already.
func (q *request) answer(doc *gate.Document, err error) int {
	if err != nil {
		return q.refuse(err)
	}
	h := q.w.Header()
	h["Etag"] = doc.ETag
	if has := q.Header["If-None-Match"]; len(has) > 0 && matches(has, doc.Revision) {
		return q.unchanged()
	}
	h["Content-Type"] = typeJSON
	h["Content-Length"] = doc.Length
	if err := httpd.Answer(q.w, doc.JSON); err != nil {
		q.api.opts.Log.Debug("answer not taken", "from", q.RemoteAddr, "err", err)
	}
	return http.StatusOK
}

// unchanged says that the client has what there is.
func (q *request) unchanged() int {
	q.w.WriteHeader(http.StatusNotModified)
	return http.StatusNotModified
}

// matches tells whether one of the tags in If-None-Match is the revision.
func matches(headers []string, revision string) bool {
	for _, list := range headers {
		for tag := range strings.SplitSeq(list, ",") {
			if tag = revisionOf(tag); tag == revision || tag == "*" {
				return true
			}
		}
	}
	return false
}

// revisionOf returns the revision in a tag: "5" and W/"5" both mean 5.
func revisionOf(tag string) string {
	return strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`)
}

// done says that a change was made.
func (q *request) done(status int) int {
	if status != http.StatusNoContent {
		h := q.w.Header()
		h["Content-Type"] = typeJSON
		h["Content-Length"] = none
	}
	q.w.WriteHeader(status)
	return status
}

// refuse answers with an error. One that is no refusal is a fault of ours.
func (q *request) refuse(err error) int {
	var r *gate.Refusal
	if !errors.As(err, &r) {
		r = &gate.Refusal{Status: http.StatusInternalServerError, Text: "Internal error; see the server's log.", Cause: err}
	}
	switch {
	case r.Status == http.StatusUnauthorized: // the gate has logged it
	case r.Status >= http.StatusInternalServerError:
		if others, ok := q.api.failed.May(time.Now()); ok {
			q.api.opts.Log.Warn("request failed", "method", q.Method, "path", q.URL.Path, "from", q.RemoteAddr, "status", r.Status, "err", cause(r), "others", others)
		}
	default:
		q.api.opts.Log.Debug("request refused", "method", q.Method, "path", q.URL.Path, "from", q.RemoteAddr, "status", r.Status, "err", cause(r))
	}
	h := q.w.Header()
	h["Content-Type"] = typeJSON
	h["Content-Length"] = []string{strconv.Itoa(len(r.Text))}
	if r.RetryAfter > 0 {
		seconds := (r.RetryAfter + time.Second - 1) / time.Second
		h.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	q.w.WriteHeader(r.Status)
	if _, err := q.w.Write([]byte(r.Text)); err != nil {
		q.api.opts.Log.Debug("answer not taken", "from", q.RemoteAddr, "err", err)
	}
	return r.Status
}

// cause returns what is to be logged of a refusal.
func cause(r *gate.Refusal) error {
	if r.Cause != nil {
		return r.Cause
	}
	return r
}
