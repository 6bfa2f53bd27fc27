// Package flowapi is the face of services: OneFlow's REST interface. It turns
// requests into calls of internal/flow and their results into answers, with the
// statuses and texts of the original; it decides nothing itself.
//
// Source: OneFlow reference §1.
package flowapi

import (
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/flow"
)

// Options are what an API is built from.
type Options struct {
	Cloud *cloud.Cloud
	Flow  *flow.Flow
	Log   *slog.Logger
	// Heartbeat is how often a stream of events shows that it is alive, and looks
	// whether the client still may read it; default 15 s.
	Heartbeat time.Duration
}

// API serves users of services. It is an http.Handler.
type API struct {
	cloud *cloud.Cloud
	flow  *flow.Flow
	log   *slog.Logger
	beat  time.Duration
	mux   *http.ServeMux
}

// New returns the face.
func New(o Options) *API {
	a := &API{cloud: o.Cloud, flow: o.Flow, log: o.Log, beat: o.Heartbeat, mux: http.NewServeMux()}
	if a.beat == 0 {
		a.beat = 15 * time.Second
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	for _, r := range routes {
		a.mux.HandleFunc(r.pattern, a.serve(r.run))
	}
	a.mux.HandleFunc("/", a.serve(noRoute))
	return a
}

// handler does what a request asks for.
type handler func(*request) (answer, error)

// withID makes a handler of one for a document, whose id stands in the path.
func withID(run func(q *request, id int) (answer, error)) handler {
	return func(q *request) (answer, error) {
		id, err := q.id()
		if err != nil {
			return answer{}, err
		}
		return run(q, id)
	}
}

// withAction is withID for a handler of actions on the document.
func withAction(run func(q *request, id int, a action) (answer, error)) handler {
	return withID(func(q *request, id int) (answer, error) {
		a, err := q.action()
		if err != nil {
			return answer{}, err
		}
		return run(q, id, a)
	})
}

// request is an authenticated request.
type request struct {
	*http.Request
	api  *API
	w    http.ResponseWriter
	who  auth.Caller
	flow *flow.Flow
	sent []byte // the text in which places of its template are shown
}

// routes is every route there is. A route that only old versions had is kept:
// clients of them stopped working when it went. Those that the original does not
// have are the last. Source: OneFlow reference §1.2, §10.1.
var routes = []struct {
	pattern string
	run     handler
}{
	{"GET /service", listServices},
	{"GET /service/{id}", withID(showService)},
	{"DELETE /service/{id}", withID(undeploy)},
	{"PUT /service/{id}", withID(updateService)},
	{"POST /service/{id}/action", withAction(serviceAction)},
	{"POST /service/{id}/scale", withID(scale)},
	{"PUT /service/{id}/role/{role}", withID(scaleRole)},
	{"POST /service/{id}/role/{role}/action", withAction(roleAction)},
	{"POST /service/{id}/role_action", withAction(changeRoles)},
	{"DELETE /service/{id}/sched_action/{action}", withID(deleteAction)},
	{"DELETE /service/{id}/role/{role}/sched_action/{action}", withID(deleteAction)},
	{"POST /service_pool/purge_done", purgeDone},
	{"GET /service_template", listTemplates},
	{"POST /service_template", createTemplate},
	{"GET /service_template/{id}", withID(showTemplate)},
	{"PUT /service_template/{id}", withID(updateTemplate)},
	{"DELETE /service_template/{id}", withID(deleteTemplate)},
	{"POST /service_template/{id}/action", withAction(templateAction)},
	{"GET /service/{id}/events", withID(serviceEvents)},
	{"POST /service/{id}/simulate", withID(simulateService)},
	{"POST /service_template/{id}/simulate", withID(simulateTemplate)},
}

// ServeHTTP answers a user. Who asks is settled before what is asked for.
// Source: OneFlow reference §1.1.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Content-Type"] = contentType
	h["X-Content-Type-Options"] = nosniff
	h["X-Frame-Options"] = sameOrigin
	h["X-Xss-Protection"] = xssBlock
	if strings.Contains(r.URL.Path, "//") { // of an endpoint that ends in a slash
		c := *r
		c.URL = &url.URL{Path: path.Clean(r.URL.Path), RawQuery: r.URL.RawQuery}
		r = &c
	}
	a.mux.ServeHTTP(w, r)
}

// serve authenticates a request and hands it on.
func (a *API) serve(run handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				a.log.Error("request panicked", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				a.refuse(w, r, http.StatusInternalServerError, unexpected("see the server's log"))
			}
		}()
		who, refusal := a.authenticate(r)
		if refusal != "" {
			a.refuse(w, r, http.StatusUnauthorized, refusal)
			return
		}
		q := &request{Request: r, api: a, w: w, who: who, flow: a.flow}
		out, err := run(q)
		if err != nil {
			q.fail(err)
			return
		}
		a.answer(w, r, out)
	}
}

// authenticate finds out who asks. Names and passwords that have characters with
// a meaning in URLs may be known to the core in their escaped form.
// Source: OneFlow reference §1.1.
func (a *API) authenticate(r *http.Request) (who auth.Caller, refusal string) {
	user, password, ok := r.BasicAuth()
	if !ok {
		return who, "A username and password must be provided"
	}
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		from = r.RemoteAddr
	}
	who, err = a.cloud.Authenticate(r.Context(), user+":"+password, from)
	if err == nil {
		return who, ""
	}
	if escaped := url.PathEscape(user) + ":" + url.PathEscape(password); escaped != user+":"+password {
		if who, err = a.cloud.Authenticate(r.Context(), escaped, from); err == nil {
			return who, ""
		}
	}
	return who, "Invalid credentials"
}
