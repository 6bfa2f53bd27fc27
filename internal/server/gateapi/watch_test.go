package gateapi_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/gate"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/server/gateapi"
	"github.com/trifid-cloud/trifid/internal/server/httpd"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// watchers waits until so many wait for changes.
func (w *world) watchers(n int) {
	w.T.Helper()
	for deadline := time.Now().Add(patience); w.gate.Watchers() != n; runtime.Gosched() {
		if time.Now().After(deadline) {
			w.T.Fatalf("%d watch, want %d", w.gate.Watchers(), n)
		}
	}
}

// asking asks in the background.
func (w *world) asking(v *one.VM, path string) <-chan answer {
	out := make(chan answer, 1)
	go func() { out <- w.ask(v, "GET", path, "") }()
	return out
}

func (w *world) got(what string, c <-chan answer) answer {
	w.T.Helper()
	select {
	case a := <-c:
		return a
	case <-time.After(patience):
		w.T.Fatalf("%s: no answer", what)
		return answer{}
	}
}

// set changes a user template as an administrator does.
func (w *world) set(v *one.VM, name, value string) {
	w.T.Helper()
	if err := w.Cloud.UpdateVM(w.Context(), w.Admin, v.ID, tmpl.New(tmpl.Single(name, value)), 1); err != nil {
		w.T.Fatal(err)
	}
}

func revision(a answer) string { return strings.Trim(a.header.Get("ETag"), `"`) }

func TestLongPoll(t *testing.T) {
	w := newWorld(t, settings{})
	first := w.ask(w.lone, "GET", "/vm", "")
	for _, old := range []string{"", "other"} {
		w.want("another revision: "+old, w.ask(w.lone, "GET", "/vm?watch="+old, ""), 200, first.body)
	}
	for _, spelling := range []string{revision(first), first.header.Get("ETag"), "W/" + first.header.Get("ETag")} {
		before := w.ask(w.lone, "GET", "/vm", "")
		c := w.asking(w.lone, "/vm?watch="+strings.ReplaceAll(strings.ReplaceAll(spelling, `"`, "%22"), revision(first), revision(before)))
		w.watchers(1)
		w.set(w.other, "A", spelling) // of no concern
		w.set(w.lone, "A", spelling)
		a := w.got("change", c)
		if a.status != 200 || revision(a) == revision(before) || !strings.Contains(a.body, `"A":`) {
			t.Errorf("changed: %d %s %s", a.status, revision(a), a.body)
		}
		w.watchers(0)
	}
	// A change of the state is one of the document as well.
	c := w.asking(w.lone, "/vm?watch="+revision(w.ask(w.lone, "GET", "/vm", "")))
	w.watchers(1)
	w.Do(func(tx *store.Tx) { tx.PutVM(w.now(w.lone).WithState(one.VMPoweroff, one.LCMInit, 1)) })
	if a := w.got("state", c); !strings.Contains(a.body, `"STATE":"8"`) {
		t.Errorf("state: %s", a.body)
	}
}

func TestLongPollOfService(t *testing.T) {
	w := newWorld(t, settings{})
	plain, extended := w.ask(w.web0, "GET", "/service", ""), w.ask(w.web0, "GET", "/service?extended=1", "")
	p, e := w.asking(w.web0, "/service?watch="+revision(plain)), w.asking(w.web0, "/service?extended=1&watch="+revision(extended))
	w.watchers(2)
	w.set(w.web1, "LOAD", "9") // seen in the extended document only
	if a := w.got("extended", e); a.status != 200 || !strings.Contains(a.body, `"LOAD":"9"`) {
		t.Errorf("extended: %d %s", a.status, a.body)
	}
	w.watchers(1)
	e = w.asking(w.web0, "/service?extended=1&watch="+revision(w.ask(w.web0, "GET", "/service?extended=1", "")))
	w.watchers(2)
	w.Do(func(tx *store.Tx) {
		tx.PutSchedule(&one.Schedule{VM: w.web1.ID, Actions: []one.SchedAction{{ID: 4, Action: "hold", Time: 1900000000, Repeat: one.RepeatNone, Done: -1}}})
	})
	if a := w.got("scheduled", e); a.status != 200 || !strings.Contains(a.body, `"SCHED_ACTIONS":{"ID":"4"}`) {
		t.Errorf("scheduled: %d %s", a.status, a.body)
	}
	w.watchers(1)
	w.Do(func(tx *store.Tx) {
		s, _ := tx.Services.Get(0)
		n := *s
		n.State = one.ServiceScaling
		tx.PutService(&n)
	})
	a := w.got("plain", p)
	if a.status != 200 || !strings.Contains(a.body, `"state":8`) {
		t.Errorf("plain: %d %s", a.status, a.body)
	}
	p = w.asking(w.web0, "/service?watch="+revision(a))
	w.watchers(1)
	w.vm(w.ana, func(v *one.VM) { v.ServiceID, v.Role = 0, "db" })
	if b := w.got("a new node", p); b.status != 200 || strings.Count(b.body, "deploy_id") != strings.Count(a.body, "deploy_id")+1 {
		t.Errorf("a new node: %d %s", b.status, b.body)
	}
}

func TestLongPollOfRouter(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.asking(w.routerA, "/vrouter?watch="+revision(w.ask(w.routerA, "GET", "/vrouter", "")))
	w.watchers(1)
	w.Do(func(tx *store.Tx) { tx.PutVM(w.now(w.routerB).WithState(one.VMDone, one.LCMInit, 1)) })
	if a := w.got("a machine less", c); a.status != 200 || !strings.Contains(a.body, `"VMS":{"ID":["`+itoa(w.routerA.ID)+`"]}`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	c = w.asking(w.routerA, "/vrouter?watch="+revision(w.ask(w.routerA, "GET", "/vrouter", "")))
	w.watchers(1)
	w.Do(func(tx *store.Tx) {
		r, _ := tx.VRouters.Get(0)
		n := *r
		n.Name = "renamed"
		tx.PutVRouter(&n)
	})
	if a := w.got("a name", c); !strings.Contains(a.body, "renamed") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// What cannot be shown is refused, watched or not.
func TestWatchRefusals(t *testing.T) {
	w := newWorld(t, settings{})
	for _, header := range [][]string{nil, {"Accept", "text/event-stream"}} {
		w.want("no service", w.ask(w.lone, "GET", "/service?watch=x", "", header...), 400, "Empty or invalid SERVICE_ID")
		w.want("no router", w.ask(w.lone, "GET", "/vrouter?watch=x", "", header...), 400, "Empty or invalid VROUTER_ID")
		w.want("not its", w.ask(w.lone, "GET", "/vms/"+itoa(w.other.ID)+"?watch=x", "", header...), 400, textAlone)
		w.want("nobody", w.ask(nil, "GET", "/vm?watch=x", "", header...), 401, "Not authorized")
	}
	w.watchers(0)
}

func TestLongPollEnds(t *testing.T) {
	w := newWorld(t, settings{api: gateapi.Options{MaxWait: 20 * time.Millisecond}})
	first := w.ask(w.lone, "GET", "/vm", "")
	a := w.ask(w.lone, "GET", "/vm?watch="+revision(first), "")
	if a.status != 304 || a.body != "" || a.header.Get("ETag") != first.header.Get("ETag") {
		t.Errorf("after the longest wait: %d %q %v", a.status, a.body, a.header)
	}
}

// The token may have become invalid while its guest waited.
func TestLongPollAfterRevocation(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.asking(w.lone, "/vm?watch="+revision(w.ask(w.lone, "GET", "/vm", "")))
	w.watchers(1)
	w.Do(func(tx *store.Tx) {
		u := *w.ana
		u.Template = tmpl.New(tmpl.Single("TOKEN_PASSWORD", strings.Repeat("f", 64)))
		tx.PutUser(&u)
	})
	w.set(w.lone, "SECRET", "new")
	w.want("revoked", w.got("revoked", c), 401, "Not authorized")
}

func TestTooManyWatchers(t *testing.T) {
	w := newWorld(t, settings{gate: func(o *gate.Options) { o.WatchersPerVM, o.Watchers = 2, 3 }})
	poll := func(v *one.VM) string { return "/vm?watch=" + revision(w.ask(v, "GET", "/vm", "")) }
	one1, one2 := w.asking(w.lone, poll(w.lone)), w.asking(w.lone, poll(w.lone))
	w.watchers(2)
	a := w.ask(w.lone, "GET", poll(w.lone), "")
	if a.status != 429 || a.header.Get("Retry-After") != "10" {
		t.Errorf("third of a VM: %d %s %v", a.status, a.body, a.header)
	}
	other := w.asking(w.other, poll(w.other))
	w.watchers(3)
	if a := w.ask(w.web0, "GET", poll(w.web0), ""); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("fourth of all: %d %s", a.status, a.body)
	}
	w.want("not watching", w.ask(w.web0, "GET", "/vm", ""), 200, w.ask(w.web0, "GET", "/vm", "").body)
	w.Stop()
	for _, c := range []<-chan answer{one1, one2, other} {
		if a := w.got("stop", c); a.status != 304 {
			t.Errorf("at the stop: %d %s", a.status, a.body)
		}
	}
	w.watchers(0)
}

// A client that goes away leaves nothing behind.
func TestWatcherGoes(t *testing.T) {
	w := newWorld(t, settings{})
	for _, accept := range []string{"*/*", "text/event-stream"} {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "GET", w.server.URL+"/vm?watch="+revision(w.ask(w.lone, "GET", "/vm", "")), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-ONEGATE-TOKEN", token(t, w.lone))
		req.Header.Set("X-ONEGATE-VMID", itoa(w.lone.ID))
		req.Header.Set("Accept", accept)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if res, err := w.server.Client().Do(req); err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		}()
		w.watchers(1)
		cancel()
		<-done
		w.watchers(0)
	}
}

// events opens a stream and returns its lines.
func (w *world) events(ctx context.Context, v *one.VM, path string, header ...string) (http.Header, *bufio.Scanner) {
	w.T.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", w.server.URL+path, nil)
	if err != nil {
		w.T.Fatal(err)
	}
	req.Header.Set("X-ONEGATE-TOKEN", token(w.T, v))
	req.Header.Set("X-ONEGATE-VMID", itoa(v.ID))
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := w.server.Client().Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != 200 {
		w.T.Fatalf("stream: %d", res.StatusCode)
	}
	return res.Header, bufio.NewScanner(res.Body)
}

// event reads the next event: its id and data.
func event(t *testing.T, s *bufio.Scanner) (id, data string) {
	t.Helper()
	for s.Scan() {
		name, value, _ := strings.Cut(s.Text(), ": ")
		switch {
		case name == "id":
			id = value
		case name == "data":
			data = value
		case s.Text() == "" && data != "":
			return id, data
		}
	}
	t.Fatalf("the stream ended: %v", s.Err())
	return "", ""
}

func TestEventStream(t *testing.T) {
	w := newWorld(t, settings{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	first := w.ask(w.lone, "GET", "/vm", "")
	h, s := w.events(ctx, w.lone, "/vm")
	if h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v", h)
	}
	if id, data := event(t, s); id != revision(first) || data != first.body {
		t.Errorf("first event: %s %s", id, data)
	}
	last := ""
	for i := range 5 {
		w.set(w.lone, "N", strconv.Itoa(i))
		id, data := event(t, s)
		now := w.ask(w.lone, "GET", "/vm", "")
		if id != revision(now) || data != now.body {
			t.Errorf("event %d: %s %s", i, id, data)
		}
		last = id
	}
	// Who comes back with what it has gets what is new.
	for _, c := range []struct{ path, header string }{{"/vm", "Last-Event-ID"}, {"/vm?watch=", "X-Nothing"}} {
		if strings.HasSuffix(c.path, "=") {
			c.path += last
		}
		back, leave := context.WithCancel(ctx)
		_, again := w.events(back, w.lone, c.path, c.header, last)
		w.watchers(2)
		w.set(w.lone, "BACK", c.header)
		if id, data := event(t, again); id == last || !strings.Contains(data, c.header) {
			t.Errorf("%s: %s %s", c.header, id, data)
		}
		last, _ = event(t, s)
		leave()
		w.watchers(1)
	}
}

func TestEventStreamOfService(t *testing.T) {
	w := newWorld(t, settings{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, s := w.events(ctx, w.web0, "/service?extended=yes")
	event(t, s)
	w.set(w.db0, "DSN", "x")
	if _, data := event(t, s); !strings.Contains(data, `"DSN":"x"`) {
		t.Errorf("%s", data)
	}
	w.Do(func(tx *store.Tx) { tx.DeleteDocument(0) })
	if s.Scan() && s.Text() != "" { // the guest is told when it comes back
		t.Errorf("after the end of the service: %s", s.Text())
	}
}

// Streams say that they live, and waiting outlasts the deadline for requests.
func TestWatchOutlastsReadTimeout(t *testing.T) {
	w := newWorld(t, settings{api: gateapi.Options{MaxWait: 150 * time.Millisecond, Heartbeat: 20 * time.Millisecond}})
	srv, err := httpd.Listen(httpd.Config{Addr: "127.0.0.1:0", Handler: w.api, ReadTimeout: 50 * time.Millisecond, WriteTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	w.server.URL = "http://" + srv.Addr().String()
	if a := w.ask(w.lone, "GET", "/vm?watch="+revision(w.ask(w.lone, "GET", "/vm", "")), ""); a.status != 304 {
		t.Errorf("%d %s", a.status, a.body)
	}
	_, s := w.events(t.Context(), w.lone, "/vm")
	event(t, s)
	for beats := 0; beats < 5; {
		if !s.Scan() {
			t.Fatalf("the stream ended: %v", s.Err())
		}
		if s.Text() == ":" {
			beats++
		}
	}
	w.set(w.lone, "A", "1")
	if _, data := event(t, s); !strings.Contains(data, `"A":"1"`) {
		t.Error(data)
	}
	w.Rig.Stop() // the gate lets those go who wait, so that the server can stop
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.server.Client().CloseIdleConnections()
}
