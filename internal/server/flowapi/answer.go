package flowapi

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/server/httpd"
)

// Header values that all answers share; nothing changes them.
// Source: OneFlow reference §1.1.
var (
	contentType = []string{"text/html;charset=utf-8"}
	nosniff     = []string{"nosniff"}
	sameOrigin  = []string{"SAMEORIGIN"}
	xssBlock    = []string{"1; mode=block"}
)

// answer is what a request comes to: a status and a document, unless it is null.
type answer struct {
	status int
	doc    jsontree.Value
	// typ is the media type of the routes that the original does not have.
	typ string
	// stream, if there is one, sends the answer as it comes to pass.
	stream func()
}

const typeJSON = "application/json"

var done = answer{status: http.StatusNoContent}

// shown answers with a document that was asked for, made with one that is new.
func shown(doc jsontree.Value, err error) (answer, error) {
	return answer{status: http.StatusOK, doc: doc}, err
}

func made(doc jsontree.Value, err error) (answer, error) {
	return answer{status: http.StatusCreated, doc: doc}, err
}

// refusal is an error of the request itself: its status and its text.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// invalid refuses a body that says something it must not.
func invalid(text string) error { return &refusal{http.StatusBadRequest, text} }

// broken refuses a body that cannot be made out, in the way the original tells
// of errors it did not expect. Source: OneFlow reference §1.3.
func broken(reason string) error {
	return &refusal{http.StatusInternalServerError, unexpected(reason)}
}

func unexpected(reason string) string {
	return jsontree.Obj(jsontree.F("message", jsontree.Str("Internal server error")), jsontree.F("reason", jsontree.Str(reason))).Compact()
}

// noRoute refuses everything that is not there, to those who may ask.
func noRoute(*request) (answer, error) {
	return answer{}, &refusal{http.StatusNotFound, "<h1>Not Found</h1>"}
}

// fail answers with an error. When it is about a template the client sent, a
// second line says where in it; the first is the original's.
// Source: OneFlow reference §1.3, the column from 6.0 on.
func (q *request) fail(err error) {
	status, text := q.refusal(err)
	var template *spec.Error
	if errors.As(err, &template) {
		if place := template.Place(q.sent); place != "" {
			text += "\n" + place
		}
	}
	q.api.refuse(q.w, q.Request, status, text)
}

func (q *request) refusal(err error) (status int, text string) {
	var own *refusal
	var template *spec.Error
	switch {
	case errors.As(err, &own):
		return own.status, own.text
	case hasKind(err):
	case errors.As(err, &template):
		return http.StatusBadRequest, template.Msg
	default:
		q.api.log.Error("request failed", "method", q.Method, "path", q.URL.Path, "err", err)
	}
	status = http.StatusInternalServerError
	switch errs.KindOf(err) {
	case errs.Authentication:
		status = http.StatusForbidden
	case errs.Authorization:
		status = http.StatusUnauthorized
	case errs.NoExists:
		status = http.StatusNotFound
	case errs.Unavailable, errs.Replication:
		status = http.StatusServiceUnavailable
	}
	return status, errs.Text(err)
}

// hasKind tells whether an error was given a kind: then that decides, even if a
// template is at fault.
func hasKind(err error) bool {
	var e *errs.Error
	return errors.As(err, &e)
}

func (a *API) refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	a.log.Debug("request refused", "method", r.Method, "path", r.URL.Path, "from", r.RemoteAddr, "status", status, "reason", text)
	a.send(w, r, status, []byte(text))
}

func (a *API) answer(w http.ResponseWriter, r *http.Request, out answer) {
	if out.stream != nil {
		out.stream()
		return
	}
	if out.typ != "" {
		w.Header().Set("Content-Type", out.typ)
	}
	var text []byte
	if out.doc.Kind != jsontree.Null {
		text = out.doc.Pretty(nil)
	}
	a.send(w, r, out.status, text)
}

func (a *API) send(w http.ResponseWriter, r *http.Request, status int, text []byte) {
	if status == http.StatusNoContent {
		w.Header().Del("Content-Type")
		w.WriteHeader(status)
		return
	}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(text))}
	w.WriteHeader(status)
	if err := httpd.Answer(w, text); err != nil {
		a.log.Debug("answer not taken", "from", r.RemoteAddr, "err", err)
	}
}
