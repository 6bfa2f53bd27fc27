package flow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// texts returns what events say.
func texts(events []flow.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, e.JSON.Get("text").Text)
	}
	return out
}

func (b *bench) events(id, after int) []flow.Event {
	b.t.Helper()
	events, err := b.flow.Events(b.Admin, id, after)
	b.must(err)
	return events
}

// waitScaled waits until a service runs with so many VMs.
func (b *bench) waitScaled(id, vms int) {
	b.t.Helper()
	b.waitFor(id, one.ServiceRunning, func(st *store.State, _ *one.Service) bool { return len(st.ServiceVMs.List(id)) == vms })
}

const loaded = `"min_vms":1,"max_vms":2,"cooldown":0,"elasticity_policies":[{"type":"CHANGE","adjust":1,"expression":"LOAD > 80"}]`

// What happens is told with its reasons, survives a crash, and the original's log
// is as it was.
func TestEvents(t *testing.T) {
	b := newBench(t)
	id := b.service(`"deployment":"straight"`, b.role("db 1", ""), b.role("web 1", loaded+`,"parents":["db"]`))
	b.waitState(id, one.ServiceRunning)
	db, web := b.vms(id, "db")[0].ID, b.vms(id, "web")[0].ID
	b.put(web, "LOAD=87.5")
	b.waitScaled(id, 3)
	second := b.vms(id, "web")[1].ID
	ana := b.user("ana")
	b.must(b.flow.Chown(b.Context(), b.Admin, id, ana.UID, -1))
	b.must(b.flow.Scale(b.Context(), ana, id, "web", 1))
	b.waitScaled(id, 2)
	want := []string{
		"PENDING → DEPLOYING_NETS", "DEPLOYING_NETS → DEPLOYING", "db is DEPLOYING", fmt.Sprintf("VM %d of db created", db),
		"db is RUNNING", "web is DEPLOYING", fmt.Sprintf("VM %d of web created", web), "web is RUNNING", "DEPLOYING → RUNNING",
		"scaled web 1→2: LOAD 87.5 > 80", "web is SCALING", "RUNNING → SCALING", fmt.Sprintf("VM %d of web created", second),
		"web is COOLDOWN", "SCALING → COOLDOWN", "db, web are RUNNING", "COOLDOWN → RUNNING",
		"scaled web 2→1: asked for, by ana", "web is SCALING, by ana", "RUNNING → SCALING, by ana", fmt.Sprintf("VM %d of web told to end", web),
		fmt.Sprintf("VM %d of web gone", web), "web is COOLDOWN", "SCALING → COOLDOWN", "web is RUNNING", "COOLDOWN → RUNNING",
	}
	want[15] = "web is RUNNING" // db was all the time
	events := b.events(id, flow.NoEvent)
	if got := texts(events); !slices.Equal(got, want) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i, e := range events {
		if e.ID != i {
			t.Errorf("event %d has id %d", i, e.ID)
		}
	}
	const scaling = `"severity":"I","type":"scaling","role":"web","from":1,"to":2,"cause":"policy","policy":0,"rule":"LOAD > 80","evaluated":"LOAD[87.5] > 80",` +
		`"evals":1,"period":1,"reason":"LOAD 87.5 > 80","message":"Role web scaling up from 1 to 2 nodes","text":"scaled web 1→2: LOAD 87.5 > 80"}`
	if got := events[9].JSON.Compact(); !strings.HasSuffix(got, scaling) {
		t.Errorf("got %s\nwant …%s", got, scaling)
	}
	wantLog := []string{
		"I New state: DEPLOYING_NETS", "I New state: DEPLOYING", "I New state: RUNNING", "I Role web scaling up from 1 to 2 nodes",
		"I New state: SCALING", "I New state: COOLDOWN", "I New state: RUNNING", "I Role web scaling down from 2 to 1 nodes",
		"I New state: SCALING", "I New state: COOLDOWN", "I New state: RUNNING",
	}
	doc, err := b.flow.Service(b.Admin, id)
	b.must(err)
	var log []string
	for _, l := range doc.Get("DOCUMENT").Get("TEMPLATE").Get("BODY").Get("log").Items {
		log = append(log, l.Get("severity").Text+" "+l.Get("message").Text)
	}
	if !slices.Equal(log, wantLog) {
		t.Errorf("the document's log: %q\nwant %q", log, wantLog)
	}
	if got := texts(b.events(id, len(want)-2)); !slices.Equal(got, want[len(want)-1:]) {
		t.Errorf("after the last but one: %q", got)
	}
	if got := b.events(id, len(want)-1); len(got) != 0 {
		t.Errorf("after the last: %q", texts(got))
	}
	if got := b.events(id, 12345); len(got) != len(want) {
		t.Errorf("after one that never was: %q", texts(got))
	}

	b.Stop()
	b.st.Crash()
	b.Resume(b.st.Store)
	b.start(flow.Options{})
	if got := texts(b.events(id, flow.NoEvent)); !slices.Equal(got, want) {
		t.Errorf("after a restart: %q", got)
	}
}

// watch follows a service until the end, and sends what it hears.
func (b *bench) watch(who func() (auth.Caller, error), id, after int) (news <-chan flow.Event, over <-chan error) {
	b.t.Helper()
	w, err := b.flow.WatchEvents(who, id, after)
	b.must(err)
	ch, done := make(chan flow.Event, 1000), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer w.Close()
		for {
			events, err := w.Next(ctx)
			for _, e := range events {
				ch <- e
			}
			if err != nil {
				close(ch)
				done <- err
				return
			}
		}
	}()
	b.t.Cleanup(func() { cancel(); <-ended })
	return ch, done
}

func as(who auth.Caller) func() (auth.Caller, error) {
	return func() (auth.Caller, error) { return who, nil }
}

// Who watches hears everything once and in order, from where he was.
func TestWatchEvents(t *testing.T) {
	b := newBench(t)
	id := b.service("", b.role("web 2", `"cooldown":0`))
	b.waitState(id, one.ServiceRunning)
	all, over := b.watch(as(b.Admin), id, flow.NoEvent)
	later, _ := b.watch(as(b.Admin), id, 4)
	for _, n := range []int{3, 1, 4} {
		b.must(b.flow.Scale(b.Context(), b.Admin, id, "web", n))
		b.waitScaled(id, n)
	}
	kept := b.events(id, flow.NoEvent)
	b.must(b.flow.Undeploy(b.Context(), b.Admin, id))
	if err := <-over; !errors.Is(err, io.EOF) {
		t.Errorf("the watch ends with %v", err)
	}
	b.waitGone(id)
	collect := func(ch <-chan flow.Event) []flow.Event {
		var out []flow.Event
		for e := range ch {
			out = append(out, e)
		}
		return out
	}
	running := 0
	vms := func(e flow.Event) bool { // which are for those who watch only
		if e.Type == one.EventVM && strings.HasSuffix(e.JSON.Get("text").Text, " of web is RUNNING") {
			running++
		}
		return e.Type == one.EventVM
	}
	heard := slices.DeleteFunc(collect(all), vms)
	if running != 4 { // the third, and three more: the first two ran already
		t.Errorf("%d VMs were said to be RUNNING", running)
	}
	for i, e := range heard[:len(heard)-1] {
		if e.ID != i || i < len(kept) && !e.JSON.Equal(kept[i].JSON) {
			t.Errorf("event %d: %s", i, e.JSON.Compact())
		}
	}
	if last := heard[len(heard)-1]; last.Type != one.EventGone || last.ID != flow.NoEvent {
		t.Errorf("the last one: %s", last.JSON.Compact())
	}
	if rest := slices.DeleteFunc(collect(later), vms); len(rest) != len(heard)-5 || rest[0].ID != 5 {
		t.Errorf("from the fifth on: %q", texts(rest))
	}
}

// Nobody goes on hearing what he may not see any more.
func TestWatchLosesRights(t *testing.T) {
	b := newBench(t)
	ana := b.user("ana")
	id := b.service("", b.role("web 1", ""))
	b.waitState(id, one.ServiceRunning)
	if _, err := b.flow.WatchEvents(as(ana), id, flow.NoEvent); errs.KindOf(err) != errs.Authorization {
		t.Errorf("without a right: %v", err)
	}
	if _, err := b.flow.Events(ana, id, flow.NoEvent); errs.KindOf(err) != errs.Authorization {
		t.Errorf("without a right, the list: %v", err)
	}
	if _, err := b.flow.WatchEvents(as(b.Admin), 77, flow.NoEvent); errs.KindOf(err) != errs.NoExists {
		t.Errorf("what does not exist: %v", err)
	}
	ends := func(over <-chan error, want errs.Kind) {
		t.Helper()
		if err := <-over; errs.KindOf(err) != want {
			t.Errorf("the watch ends with %v", err)
		}
	}
	b.must(b.flow.Chmod(b.Context(), b.Admin, id, one.DocService, 0o604))
	_, over := b.watch(as(ana), id, flow.NoEvent)
	b.must(b.flow.Chmod(b.Context(), b.Admin, id, one.DocService, 0o600))
	ends(over, errs.Authorization)

	hex := func(n uint64) string { return fmt.Sprintf("%x", n) }
	rule, err := b.Cloud.AddRule(b.Context(), b.Admin, hex(one.ACLIndividual|uint64(ana.UID)), hex(one.KindDocument.ACLType()|one.ACLIndividual|uint64(id)), "1", "")
	b.must(err)
	_, over = b.watch(as(ana), id, flow.NoEvent)
	b.must(b.Cloud.DeleteRule(b.Context(), b.Admin, rule))
	ends(over, errs.Authorization)

	// Whoever is no user any more is none here either.
	b.must(b.flow.Chmod(b.Context(), b.Admin, id, one.DocService, 0o604))
	_, over = b.watch(func() (auth.Caller, error) {
		if _, ok := b.st.View().Users.Get(ana.UID); !ok {
			return auth.Caller{}, errs.Unauthenticated(nil)
		}
		return ana, nil
	}, id, flow.NoEvent)
	b.must(b.Cloud.DeleteUser(b.Context(), b.Admin, ana.UID))
	ends(over, errs.Authentication)
}

// The server stops: nobody is kept waiting.
func TestWatchEndsWithTheServer(t *testing.T) {
	b := newBench(t)
	id := b.service("", b.role("web 1", ""))
	b.waitState(id, one.ServiceRunning)
	_, over := b.watch(as(b.Admin), id, flow.NoEvent)
	b.Stop()
	if err := <-over; !errors.Is(err, io.EOF) {
		t.Errorf("the watch ends with %v", err)
	}
}

// While a role grows its nodes say which VMs are new.
func TestNodesWhileScaling(t *testing.T) {
	b := newBench(t)
	id := b.service(`"ready_status_gate":true`, b.role("web 1", `"cooldown":0`))
	b.waitFor(id, one.ServiceDeploying, func(*store.State, *one.Service) bool { return len(b.vms(id, "web")) == 1 })
	b.put(b.vms(id, "web")[0].ID, "READY=YES")
	b.waitState(id, one.ServiceRunning)
	flags := func() string {
		t.Helper()
		doc, err := b.flow.Service(b.Admin, id)
		b.must(err)
		var out []string
		for _, n := range doc.Get("DOCUMENT").Get("TEMPLATE").Get("BODY").Get("roles").Items[0].Get("nodes").Items {
			out = append(out, n.Get("deploy_id").Text+":"+n.Get("scale_up").Text)
		}
		return strings.Join(out, " ")
	}
	if got := flags(); got != "0:" {
		t.Errorf("at rest: %s", got)
	}
	b.must(b.flow.Scale(b.Context(), b.Admin, id, "web", 2))
	b.waitFor(id, one.ServiceScaling, func(*store.State, *one.Service) bool { return len(b.vms(id, "web")) == 2 })
	if got := flags(); got != "0: 1:1" {
		t.Errorf("on the way up: %s", got)
	}
	b.put(b.vms(id, "web")[1].ID, "READY=YES")
	b.waitState(id, one.ServiceRunning)
	if got := flags(); got != "0: 1:" {
		t.Errorf("up: %s", got)
	}
}
