package gate

import (
	"net/http"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// Watch tells a guest that waits that what it looks at may have changed. It has
// no goroutine of its own.
type Watch struct {
	hub     *hub
	subject subject
	vm      int
	changed chan struct{}
}

// Changed receives a value when the document may be another one. What happened
// while nobody received is one value.
func (w *Watch) Changed() <-chan struct{} { return w.changed }

// Over is closed when there will be no more news, because the server stops.
func (w *Watch) Over() <-chan struct{} { return w.hub.over }

// Stop ends the watch. It must be called.
func (w *Watch) Stop() {
	h := w.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if delete(h.at[w.subject], w); len(h.at[w.subject]) == 0 {
		delete(h.at, w.subject)
	}
	if h.ofVM[w.vm]--; h.ofVM[w.vm] == 0 {
		delete(h.ofVM, w.vm)
	}
	h.count--
}

// hub knows who waits for what.
type hub struct {
	perVM, most int
	over        chan struct{}
	end         sync.Once

	mu    sync.Mutex
	at    map[subject]map[*Watch]struct{}
	ofVM  map[int]int
	count int
}

func (h *hub) init(perVM, most int) {
	h.perVM, h.most, h.over = perVM, most, make(chan struct{})
	h.at, h.ofVM = map[subject]map[*Watch]struct{}{}, map[int]int{}
}

// close lets everybody go.
func (h *hub) close() { h.end.Do(func() { close(h.over) }) }

// retryWatch is how long a guest is asked to wait when too many watch already.
const retryWatch = 10 * time.Second

// watch begins a watch of a VM's guest. The state must be read after it.
func (h *hub) watch(vm int, s subject) (*Watch, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ofVM[vm] >= h.perVM:
		return nil, &Refusal{Status: http.StatusTooManyRequests, Text: "This VM waits for changes too many times already", RetryAfter: retryWatch}
	case h.count >= h.most:
		return nil, &Refusal{Status: http.StatusServiceUnavailable, Text: "Too many guests wait for changes already", RetryAfter: retryWatch}
	}
	w := &Watch{hub: h, subject: s, vm: vm, changed: make(chan struct{}, 1)}
	if h.at[s] == nil {
		h.at[s] = map[*Watch]struct{}{}
	}
	h.at[s][w] = struct{}{}
	h.ofVM[vm]++
	h.count++
	return w, nil
}

// Watchers returns how many requests wait for changes.
func (g *Gate) Watchers() int { return g.hub.watchers() }

func (h *hub) watchers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// wake tells those whom the changes concern.
func (h *hub) wake(commit store.Commit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count == 0 {
		return
	}
	for i := range commit.Changes {
		subjectsOf(commit.State, &commit.Changes[i], func(s subject) {
			for w := range h.at[s] {
				w.wake()
			}
		})
	}
}

func (h *hub) wakeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ws := range h.at {
		for w := range ws {
			w.wake()
		}
	}
}

func (w *Watch) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// subjectKind is a kind of document that guests wait for.
type subjectKind uint8

const (
	subjectVM subjectKind = iota
	subjectService
	subjectServiceExtended
	subjectRouter
)

// subject is what a watcher waits for.
type subject struct {
	kind subjectKind
	id   int
}

// subjectsOf calls f with each subject whose document the change, which led to a
// state, may alter.
func subjectsOf(st *store.State, c *store.Change, f func(subject)) {
	switch c.Kind {
	case store.KindVM:
		old, _ := c.Old.(*one.VM)
		now, _ := c.New.(*one.VM)
		f(subject{subjectVM, int(c.ID)})
		changed := old == nil || now == nil || old.Meta != now.Meta || old.ServiceID != now.ServiceID || old.VRouterID != now.VRouterID ||
			old.Role != now.Role || (old.State == one.VMDone) != (now.State == one.VMDone)
		for i, v := range [...]*one.VM{old, now} {
			if v == nil || i == 1 && old != nil && old.ServiceID == v.ServiceID && old.VRouterID == v.VRouterID {
				continue
			}
			if v.ServiceID >= 0 {
				f(subject{subjectServiceExtended, v.ServiceID})
				if changed {
					f(subject{subjectService, v.ServiceID})
				}
			}
			if v.VRouterID >= 0 && changed {
				f(subject{subjectRouter, v.VRouterID})
			}
		}
	case store.KindSchedule:
		if v, ok := st.VM(int(c.ID)); ok && v.ServiceID >= 0 {
			f(subject{subjectServiceExtended, v.ServiceID})
		}
	case store.KindService, store.KindDocument:
		f(subject{subjectService, int(c.ID)})
		f(subject{subjectServiceExtended, int(c.ID)})
	case store.KindVRouter:
		f(subject{subjectRouter, int(c.ID)})
	}
}
