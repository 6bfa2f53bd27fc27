package gateapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/trifid-cloud/trifid/internal/gate"
)

// route is a line of the table of routes. Exactly one of show, act and link is set.
type route struct {
	method, path string // a segment ":name" takes anything
	// resource and action are the key of the permission; "" where there is none,
	// which only the links have.
	resource, action string
	// self tells that the guest's id may be in the path when no header gives it:
	// on all routes with the id of a VM.
	self bool
	// show returns a document; watch begins to watch it, nil where that is not
	// offered.
	show  func(*request, *gate.Guest) (*gate.Document, error)
	watch func(*request, *gate.Guest) (*gate.Watch, error)
	// act makes a change and answers with done, which has no body.
	act  func(*request, *gate.Guest) error
	done int
	link func(*request) (*gate.Document, error)

	segments []string
	index    int // in the table
}

// table is every route there is. Source: OneGate reference §1.4.
var table = []route{
	{method: "GET", path: "/", link: links},
	{method: "GET", path: "/vm", resource: "vm", action: "show", show: showVM, watch: watchVM},
	{method: "PUT", path: "/vm", resource: "vm", action: "update", act: updateVM, done: http.StatusOK},
	// 4.2 to 4.12: guests from then know ONEGATE_URL, and no id but that in it.
	{method: "PUT", path: "/vm/:id", resource: "vm", action: "update", self: true, act: updateVM4, done: http.StatusOK},
	{method: "GET", path: "/vms/:id", resource: "vm", action: "show_by_id", self: true, show: showVM, watch: watchVM},
	{method: "PUT", path: "/vms/:id", resource: "vm", action: "update_by_id", self: true, act: updateVM, done: http.StatusOK},
	{method: "POST", path: "/vms/:id/action", resource: "vm", action: "action_by_id", self: true, act: actOnVM, done: http.StatusNoContent},
	{method: "GET", path: "/service", resource: "service", action: "show", show: showService, watch: watchService},
	{method: "PUT", path: "/service/role/:role", resource: "service", action: "change_cardinality", act: scale, done: http.StatusOK},
	{method: "GET", path: "/vrouter", resource: "vrouter", action: "show", show: showRouter, watch: watchRouter},
	{method: "GET", path: "/vnet/:id", resource: "vnet", action: "show_by_id", show: showNetwork},
}

// routes finds the route of a request.
type routes struct {
	all   []route
	fixed map[string][]*route // by path, those without a parameter
	rest  []*route
}

func newRoutes(table []route) routes {
	rs := routes{all: make([]route, len(table)), fixed: map[string][]*route{}}
	copy(rs.all, table)
	for i := range rs.all {
		r := &rs.all[i]
		r.index = i
		r.segments = strings.Split(r.path, "/")
		if strings.Contains(r.path, ":") {
			rs.rest = append(rs.rest, r)
		} else {
			rs.fixed[r.path] = append(rs.fixed[r.path], r)
		}
	}
	return rs
}

// find returns the route of a request and its parameter; nil when there is none.
// A trailing slash makes another path.
func (rs *routes) find(method string, u *url.URL) (*route, string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, r := range rs.fixed[u.Path] {
		if r.method == method {
			return r, ""
		}
	}
	path := u.EscapedPath()
	for _, r := range rs.rest {
		if r.method != method {
			continue
		}
		if param, ok := r.match(path); ok {
			return r, param
		}
	}
	return nil, ""
}

func (r *route) match(path string) (param string, ok bool) {
	for i, want := range r.segments {
		var got string
		var more bool
		if got, path, more = strings.Cut(path, "/"); more != (i < len(r.segments)-1) {
			return "", false
		}
		if !strings.HasPrefix(want, ":") {
			if got != want {
				return "", false
			}
			continue
		}
		if param, ok = unescape(got); !ok || param == "" {
			return "", false
		}
	}
	return param, true
}

func unescape(s string) (string, bool) {
	s, err := url.PathUnescape(s)
	return s, err == nil
}

// Route tells of a route what matters to an operator.
type Route struct{ Method, Path, Permission string }

// Routes lists every route; a permission is resource/action, "/" where there is none.
func Routes() []Route {
	var out []Route
	for _, r := range table {
		out = append(out, Route{r.method, r.path, r.resource + "/" + r.action})
	}
	return out
}
