package flow

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync/atomic"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// Event is what happened to a service, for programs. The ids of a service's
// events follow each other without a gap; its last 100 are kept.
type Event struct {
	ID   int // NoEvent of those that are not stored: of VMs, and the last one
	Type string
	JSON jsontree.Value
}

// NoEvent is the id before the first, and of events that have none.
const NoEvent = -1

// Events returns the events of a service that follow one, oldest first.
func (f *Flow) Events(who auth.Caller, id, after int) ([]Event, error) {
	st := f.store.View()
	if _, err := f.visible(st, who, id, one.Use); err != nil {
		return nil, err
	}
	if _, ok := st.Services.Get(id); !ok {
		return nil, errs.Wrap(errs.Action, errNoService)
	}
	return eventsAfter(st, id, after), nil
}

func eventsAfter(st *store.State, service, after int) []Event {
	if s, ok := st.Services.Get(service); ok && after >= s.LogSeq {
		after = NoEvent // an id that this service never gave
	}
	var out []Event
	for e := range st.ServiceLog(service) {
		if e.Seq > after {
			out = append(out, eventOf(e))
		}
	}
	return out
}

func eventOf(l *one.ServiceLog) Event {
	e := l.Event
	if e == nil {
		e = &one.ServiceEvent{Type: one.EventMessage}
	}
	v := jsontree.Obj(jsontree.F("id", jsontree.Int(l.Seq)), jsontree.F("service", jsontree.Int(l.Service)), jsontree.F("time", jsontree.Int(l.Time)),
		jsontree.F("severity", jsontree.Str(l.Severity)))
	v.Fields = append(v.Fields, EventFields(e)...)
	text := e.Text()
	if text == "" {
		text = l.Message
	}
	if l.Message != "" {
		v.Fields = append(v.Fields, jsontree.F("message", jsontree.Str(l.Message)))
	}
	v.Fields = append(v.Fields, jsontree.F("text", jsontree.Str(text)))
	return Event{ID: l.Seq, Type: e.Type, JSON: v}
}

// EventFields are the members of an event as JSON: the type, then what it has.
func EventFields(e *one.ServiceEvent) []jsontree.Field {
	out := []jsontree.Field{jsontree.F("type", jsontree.Str(e.Type))}
	word := func(name, s string) {
		if s != "" {
			out = append(out, jsontree.F(name, jsontree.Str(s)))
		}
	}
	number := func(name string, n int) { out = append(out, jsontree.F(name, jsontree.Int(n))) }
	word("role", e.Role)
	if len(e.Roles) > 0 {
		names := make([]jsontree.Value, len(e.Roles))
		for i, r := range e.Roles {
			names[i] = jsontree.Str(r)
		}
		out = append(out, jsontree.F("roles", jsontree.List(names...)))
	}
	word("was", e.Was)
	word("state", e.State)
	if e.Type == one.EventState && e.State == one.ServiceCooldown.String() {
		out = append(out, jsontree.F("cooldown", decimal(e.Cooldown)))
	}
	if e.Type == one.EventScaling {
		number("from", e.From)
		number("to", e.To)
		word("cause", e.Cause)
		switch e.Cause {
		case one.CausePolicy:
			number("policy", e.Policy)
			word("rule", e.Rule)
			word("evaluated", e.Evaluated)
			number("evals", e.Evals)
			out = append(out, jsontree.F("period", decimal(e.Period)))
		case one.CauseSchedule:
			number("policy", e.Policy)
			word("rule", e.Rule)
		}
		word("reason", e.Reason())
	}
	if e.Count > 0 {
		number("count", e.Count)
	}
	if len(e.VMs) > 0 {
		ids := make([]jsontree.Value, len(e.VMs))
		for i, id := range e.VMs {
			ids[i] = jsontree.Int(id)
		}
		out = append(out, jsontree.F("vms", jsontree.List(ids...)))
	}
	word("by", e.By)
	return out
}

func decimal(n float64) jsontree.Value {
	return jsontree.Value{Kind: jsontree.Number, Text: strconv.FormatFloat(n, 'f', -1, 64)}
}

// maxWatches bounds how many watch events at once.
const maxWatches = 1000

// EventWatch follows the events of a service. It is used by one goroutine, has
// none of its own, and must be closed.
type EventWatch struct {
	flow  *Flow
	who   func() (auth.Caller, error)
	id    int
	last  int
	begun bool
	gone  bool
	vms   []Event // that are to be told next
	st    *store.State
	feed  *store.Feed
	count *atomic.Int64
}

// WatchEvents begins to follow the events of a service after one. who tells who
// asks, anew each time that rights may have changed.
func (f *Flow) WatchEvents(who func() (auth.Caller, error), id, after int) (*EventWatch, error) {
	st := f.store.View()
	w := &EventWatch{flow: f, who: who, id: id, last: after, st: st, feed: f.store.Subscribe(st), count: &f.watches}
	if err := w.check(); err != nil {
		return nil, err
	}
	if _, ok := st.Services.Get(id); !ok {
		return nil, errs.Wrap(errs.Action, errNoService)
	}
	if f.watches.Add(1) > maxWatches {
		w.Close()
		return nil, errs.New(errs.Unavailable, "Too many watch events of services already, at most %d may", maxWatches)
	}
	return w, nil
}

// Close ends the watch.
func (w *EventWatch) Close() { w.count.Add(-1) }

// check refuses who may not see the service, any more.
func (w *EventWatch) check() error {
	who, err := w.who()
	if err != nil {
		return err
	}
	_, err = w.flow.visible(w.st, who, w.id, one.Use)
	return err
}

// Next waits for events and returns them, after looking whether the caller still
// may see them: what they came with may have expired. The first time it returns those there
// are, perhaps none, at once. It fails with io.EOF when there will be no more
// because the service is gone or the server stops, with the refusal when the
// right to see it is lost, and with ctx's error when that ends.
func (w *EventWatch) Next(ctx context.Context) ([]Event, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.flow.life, cancel)()
	if w.gone || w.flow.life.Err() != nil {
		return nil, io.EOF
	}
	for {
		news, err := w.news()
		if err != nil || len(news) > 0 || !w.begun {
			w.begun = true
			return news, err
		}
		if err := w.follow(ctx); err != nil {
			if w.flow.life.Err() != nil || errors.Is(err, store.ErrClosed) {
				err = io.EOF
			}
			return nil, err
		}
	}
}

// follow waits until something happened that concerns the watch.
func (w *EventWatch) follow(ctx context.Context) error {
	for {
		commit, err := w.feed.Next(ctx)
		var behind *store.ResyncError
		switch {
		case errors.As(err, &behind):
			w.st = behind.State
			return nil
		case err != nil:
			return err
		}
		w.st = commit.State
		news := false
		for i := range commit.Changes {
			c := &commit.Changes[i]
			if c.Kind == store.KindVM {
				w.noteVM(c)
			}
			news = news || w.concerns(c)
		}
		if news || len(w.vms) > 0 {
			return nil
		}
	}
}

// noteVM makes an event of a VM of the service that came to rest in another state.
// It is for those who watch only: in the service's log they would leave no room
// for what happened to the service itself.
func (w *EventWatch) noteVM(c *store.Change) {
	now, ok := c.New.(*one.VM)
	if !ok || now.ServiceID != w.id || now.State == one.VMDone {
		return
	}
	was := ""
	if old, ok := c.Old.(*one.VM); ok {
		was = old.StateName()
	}
	if was == now.StateName() || !(reconcile.Machine{State: now.State, LCM: now.LCM}).AtRest() {
		return
	}
	e := one.ServiceEvent{Type: one.EventVM, Role: now.Role, Count: 1, VMs: []int{now.ID}, Was: was, State: now.StateName()}
	w.vms = append(w.vms, w.unstored(&e))
}

// unstored makes an event of now.
func (w *EventWatch) unstored(e *one.ServiceEvent) Event {
	v := jsontree.Obj(jsontree.F("service", jsontree.Int(w.id)), jsontree.F("time", jsontree.Int(w.flow.now().Unix())), jsontree.F("severity", jsontree.Str("I")))
	v.Fields = append(append(v.Fields, EventFields(e)...), jsontree.F("text", jsontree.Str(e.Text())))
	return Event{ID: NoEvent, Type: e.Type, JSON: v}
}

// concerns tells whether a change may be an event of the service, or take the
// right to see it away.
func (w *EventWatch) concerns(c *store.Change) bool {
	switch c.Kind {
	case store.KindServiceLog:
		e, ok := c.New.(*one.ServiceLog)
		return ok && e.Service == w.id
	case store.KindService, store.KindDocument:
		return int(c.ID) == w.id
	case store.KindUser, store.KindGroup, store.KindACL, store.KindVDC:
		return true
	}
	return false
}

// news returns the events since the last time.
func (w *EventWatch) news() ([]Event, error) {
	if _, ok := w.st.Services.Get(w.id); !ok {
		w.gone = true
		return []Event{w.unstored(&one.ServiceEvent{Type: one.EventGone})}, nil
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	vms := w.vms
	w.vms = nil
	news := eventsAfter(w.st, w.id, w.last)
	if len(news) > 0 {
		w.last = news[len(news)-1].ID
	}
	return append(vms, news...), nil
}
