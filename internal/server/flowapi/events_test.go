package flowapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/golden"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/server/flowapi"
	"github.com/trifid-cloud/trifid/internal/server/httpd"
)

// sse is one event of a stream; a heartbeat has no data.
type sse struct{ id, name, data string }

// stream is a client of a stream.
type stream struct {
	t    *testing.T
	resp *http.Response
	in   *bufio.Scanner
}

// listen serves the face over HTTP and returns its address. The server stops with
// the rig, or with stop.
func (s *server) listen(t *testing.T, heartbeat time.Duration) (addr string, stop func()) {
	t.Helper()
	api := flowapi.New(flowapi.Options{Cloud: s.Cloud, Flow: s.flow, Log: s.Log, Heartbeat: heartbeat})
	web, err := httpd.Listen(httpd.Config{Addr: "127.0.0.1:0", Handler: api})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- web.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return "http://" + web.Addr().String(), stop
}

// open begins a stream.
func open(t *testing.T, addr, user, path, last string) *stream {
	t.Helper()
	r, err := http.NewRequest("GET", addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	name, password, _ := strings.Cut(user, ":")
	r.SetBasicAuth(name, password)
	r.Header.Set("Accept", "text/event-stream")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return &stream{t: t, resp: resp, in: bufio.NewScanner(resp.Body)}
}

// next returns the next event or heartbeat; false at the end.
func (s *stream) next() (sse, bool) {
	var e sse
	for s.in.Scan() {
		line := s.in.Text()
		field, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "":
			return e, true
		case field == "id":
			e.id = value
		case field == "event":
			e.name = value
		case field == "data":
			e.data = value
		}
	}
	return e, false
}

// event returns the next event, heartbeats apart.
func (s *stream) event() sse {
	s.t.Helper()
	for {
		e, ok := s.next()
		if !ok {
			s.t.Fatalf("the stream has ended: %v", s.in.Err())
		}
		if e.data != "" {
			return e
		}
	}
}

// drain reads to the end.
func (s *stream) drain() (events []sse) {
	for {
		e, ok := s.next()
		if !ok {
			return events
		}
		if e.data != "" {
			events = append(events, e)
		}
	}
}

func TestEventList(t *testing.T) {
	s := newServer(t)
	_, id := s.running(t)
	path := fmt.Sprintf("/service/%d/events", id)
	w := s.ask(admin, "GET", path, "")
	if got := w.Header().Get("Content-Type"); w.Code != 200 || got != "application/json" {
		t.Errorf("status %d, type %s", w.Code, got)
	}
	golden.Check(t, "testdata/events.json", fixed(w.Body.String()))
	var list struct{ Events []struct{ ID int } }
	if err := json.Unmarshal([]byte(s.want(t, 200, "GET", path+"?after=3", "")), &list); err != nil || list.Events[0].ID != 4 {
		t.Errorf("after the third: %+v, %v", list, err)
	}
	for query, want := range map[string]string{"?after=x": "after must be the id of an event: a whole number", "?after=-2": "after must be the id of an event: a whole number"} {
		if got := s.want(t, 400, "GET", path+query, ""); got != want {
			t.Errorf("%s: %q", query, got)
		}
	}
	if w := s.ask(ana, "GET", path, ""); w.Code != 401 {
		t.Errorf("ana: %d %s", w.Code, w.Body)
	}
	s.want(t, 404, "GET", "/service/99/events", "")
	s.want(t, 500, "GET", "/service/0/events", "") // a template
}

// A stream tells what is kept, then what happens; who comes back goes on where he was.
func TestEventStream(t *testing.T) {
	s := newServer(t)
	addr, stop := s.listen(t, 20*time.Millisecond)
	defer stop()
	_, id := s.running(t)
	path := fmt.Sprintf("/service/%d/events", id)
	all := open(t, addr, admin, path, "")
	if got := all.resp.Header.Get("Content-Type"); all.resp.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("%d %s", all.resp.StatusCode, got)
	}
	if e := all.event(); e.id != "0" || e.name != "state" || !strings.Contains(e.data, `"text":"PENDING → DEPLOYING_NETS"`) {
		t.Errorf("the first event: %+v", e)
	}
	var last sse
	for last.name != "state" || !strings.Contains(last.data, `"state":"RUNNING"`) {
		last = all.event()
	}
	for range 3 { // nothing happens
		if e, ok := all.next(); !ok || e != (sse{}) {
			t.Fatalf("instead of a heartbeat: %+v, %v", e, ok)
		}
	}
	later := open(t, addr, admin, path, last.id)
	s.want(t, 204, "POST", fmt.Sprintf("/service/%d/scale", id), `{"role_name":"front","cardinality":3,"force":false}`)
	scaled := all.event()
	if scaled.name != "scaling" || !strings.Contains(scaled.data, `"text":"scaled front 2→3: asked for, by oneadmin"`) {
		t.Errorf("scaled: %+v", scaled)
	}
	if again := later.event(); again != scaled {
		t.Errorf("from %s on: %+v", last.id, again)
	}
	s.waitService(id, one.ServiceRunning)
	s.want(t, 204, "DELETE", fmt.Sprintf("/service/%d", id), "")
	for _, l := range []*stream{all, later} {
		events := l.drain()
		if e := events[len(events)-1]; e.name != "gone" || e.id != "" {
			t.Errorf("the last event: %+v", e)
		}
	}
}

// Streams end with the right to read them, and with the server.
func TestEventStreamEnds(t *testing.T) {
	s := newServer(t)
	addr, stop := s.listen(t, 20*time.Millisecond)
	defer stop()
	_, id := s.running(t)
	path := fmt.Sprintf("/service/%d/events", id)
	if r := open(t, addr, ana, path, ""); r.resp.StatusCode != 401 {
		t.Errorf("without a right: %d", r.resp.StatusCode)
	}
	if r := open(t, addr, "ana:wrong", path, ""); r.resp.StatusCode != 401 {
		t.Errorf("with a wrong password: %d", r.resp.StatusCode)
	}
	chmod := func(octet string) {
		s.want(t, 204, "POST", fmt.Sprintf("/service/%d/action", id), fmt.Sprintf(`{"action":{"perform":"chmod","params":{"octet":%q}}}`, octet))
	}
	chmod("604")
	r := open(t, addr, ana, path, "")
	r.event()
	chmod("600")
	r.drain()
	chmod("604")
	r = open(t, addr, ana, path, "")
	r.event()
	if err := s.Cloud.SetPassword(s.Context(), s.Admin, 2, "ana:other"); err != nil {
		t.Fatal(err)
	}
	r.drain()

	r = open(t, addr, admin, path, "")
	r.event()
	s.Stop()
	r.drain()
	if err := r.in.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the end: %v", err)
	}
	stop()
}
