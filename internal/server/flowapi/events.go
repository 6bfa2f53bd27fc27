package flowapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/server/httpd"
)

// serviceEvents answers with the events of a service: those that are kept, or,
// as a stream, those and what happens from then on. A client that comes back
// says with Last-Event-ID, or after, which one it had last.
func serviceEvents(q *request, id int) (answer, error) {
	after, err := q.after()
	if err != nil {
		return answer{}, err
	}
	if httpd.WantsEvents(q.Request) {
		w, err := q.flow.WatchEvents(q.again(), id, after)
		if err != nil {
			return answer{}, err
		}
		return answer{stream: func() { q.follow(w) }}, nil
	}
	events, err := q.flow.Events(q.who, id, after)
	if err != nil {
		return answer{}, err
	}
	all := make([]jsontree.Value, len(events))
	for i, e := range events {
		all[i] = e.JSON
	}
	return answer{status: http.StatusOK, typ: typeJSON, doc: jsontree.Obj(jsontree.F("events", jsontree.List(all...)))}, nil
}

// after returns the id of the last event the client knows.
func (q *request) after() (int, error) {
	said := strings.TrimSpace(q.Header.Get("Last-Event-ID"))
	if said == "" {
		said = q.URL.Query().Get("after")
	}
	if said == "" {
		return flow.NoEvent, nil
	}
	n, err := strconv.Atoi(said)
	if err != nil || n < flow.NoEvent {
		return 0, invalid("after must be the id of an event: a whole number")
	}
	return n, nil
}

// again finds out anew who asks.
func (q *request) again() func() (auth.Caller, error) {
	return func() (auth.Caller, error) {
		who, refusal := q.api.authenticate(q.Request)
		if refusal != "" {
			return who, errs.New(errs.Authentication, "%s", refusal)
		}
		return who, nil
	}
}

// follow sends events until the client goes, loses the right to read them, or
// there will be no more. A client that comes back is told which.
func (q *request) follow(w *flow.EventWatch) {
	defer w.Close()
	out := httpd.NewStream(q.w, q.api.beat)
	for {
		events, err := q.next(w)
		if err != nil {
			q.api.log.Debug("stream of events ends", "path", q.URL.Path, "from", q.RemoteAddr, "err", err)
			return
		}
		var text []byte
		for _, e := range events {
			id := ""
			if e.ID != flow.NoEvent {
				id = strconv.Itoa(e.ID)
			}
			text = httpd.Event(text, id, e.Type, e.JSON.Append(nil))
		}
		if err := out.Send(text); err != nil {
			return
		}
	}
}

// next waits for events, and for no longer than until the next heartbeat.
func (q *request) next(w *flow.EventWatch) ([]flow.Event, error) {
	ctx, cancel := context.WithTimeout(q.Context(), q.api.beat)
	defer cancel()
	events, err := w.Next(ctx)
	if errors.Is(err, context.DeadlineExceeded) && q.Context().Err() == nil {
		return nil, nil
	}
	return events, err
}
