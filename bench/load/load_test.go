package load_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/bench/load"
)

// counting is a server that counts what it gets.
type counting struct {
	*httptest.Server
	requests atomic.Int64
	mu       sync.Mutex
	clients  map[string]int // requests by remote address
}

func newCounting(t *testing.T, answer http.HandlerFunc) *counting {
	c := &counting{clients: map[string]int{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.requests.Add(1)
		c.mu.Lock()
		c.clients[r.RemoteAddr]++
		c.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(c.Close)
	return c
}

// seen is from how many remote addresses requests came.
func (c *counting) seen() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.clients)
}

func (c *counting) addr() netip.AddrPort {
	return netip.MustParseAddrPort(strings.TrimPrefix(c.URL, "http://"))
}

func get(path string, status int) load.Next {
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: bench\r\n\r\n")
	return func(dst []byte) ([]byte, int) { return append(dst, request...), status }
}

func run(t *testing.T, cfg load.Config) *load.Result {
	t.Helper()
	r, err := load.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ok(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

func TestKeepAlive(t *testing.T) {
	s := newCounting(t, ok)
	r := run(t, load.Config{Addr: s.addr(), Conns: 3, Requests: 100, Next: get("/", 200)})
	if err := r.Err(); err != nil || r.Requests != 100 || s.requests.Load() != 100 || s.seen() != 3 {
		t.Errorf("%d requests, the server has %d from %d clients: %v", r.Requests, s.requests.Load(), s.seen(), err)
	}
	if r.Percentile(0) <= 0 || r.Percentile(0.5) > r.Percentile(1) || r.PerSecond() <= 0 {
		t.Errorf("latencies %v, %v, %v; %v requests/s", r.Percentile(0), r.Percentile(0.5), r.Percentile(1), r.PerSecond())
	}
}

func TestFreshConnections(t *testing.T) {
	s := newCounting(t, ok)
	r := run(t, load.Config{Addr: s.addr(), Conns: 4, Requests: 200, Fresh: true, Next: get("/", 200)})
	if err := r.Err(); err != nil || s.seen() != 200 {
		t.Errorf("%d connections for 200 requests: %v", s.seen(), err)
	}
}

func TestDuration(t *testing.T) {
	s := newCounting(t, ok)
	r := run(t, load.Config{Addr: s.addr(), Conns: 2, Duration: 50 * time.Millisecond, Next: get("/", 200)})
	if r.Requests == 0 || int64(r.Requests) != s.requests.Load() {
		t.Errorf("%d requests counted, the server has %d", r.Requests, s.requests.Load())
	}
}

// With a rate the number is that of the rate, however fast the server is.
func TestRate(t *testing.T) {
	s := newCounting(t, ok)
	for _, fresh := range []bool{false, true} {
		r := run(t, load.Config{Addr: s.addr(), Conns: 8, Duration: 200 * time.Millisecond, Rate: 500, Fresh: fresh, Next: get("/", 200)})
		if err := r.Err(); err != nil || r.Requests != 100 {
			t.Errorf("fresh %v: %d requests, expected 100: %v", fresh, r.Requests, err)
		}
	}
}

// A slow server must not make the generator forget the requests that were due
// while it waited.
func TestRateCountsWhatWaited(t *testing.T) {
	release := make(chan struct{})
	var first atomic.Bool
	s := newCounting(t, func(w http.ResponseWriter, r *http.Request) {
		if first.CompareAndSwap(false, true) {
			<-release
		}
		ok(w, r)
	})
	const held = 100 * time.Millisecond
	time.AfterFunc(held, func() { close(release) })
	r := run(t, load.Config{Addr: s.addr(), Conns: 1, Requests: 50, Rate: 1000, Next: get("/", 200)})
	if late := r.Percentile(0.5); late < held/4 {
		t.Errorf("half of the requests waited for the first, but the median is %v", late)
	}
}

func TestWrongAnswers(t *testing.T) {
	s := newCounting(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such thing", http.StatusNotFound) })
	r := run(t, load.Config{Addr: s.addr(), Conns: 1, Requests: 10, Next: get("/", 200)})
	if r.Wrong != 10 || r.Err() == nil || !strings.Contains(r.Err().Error(), "no such thing") {
		t.Errorf("%d of 10 wrong answers seen: %v", r.Wrong, r.Err())
	}
}

// What the server closes, or answers in pieces, is put together all the same.
func TestAwkwardServers(t *testing.T) {
	large := strings.Repeat("x", 100_000)
	s := newCounting(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/close":
			w.Header().Set("Connection", "close")
			ok(w, r)
		case "/large":
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			io.WriteString(w, large)
		case "/pieces":
			w.Header().Set("Content-Length", "6")
			io.WriteString(w, "abc")
			w.(http.Flusher).Flush()
			io.WriteString(w, "def")
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		}
	})
	for path, status := range map[string]int{"/close": 200, "/large": 200, "/pieces": 200, "/none": 204} {
		r := run(t, load.Config{Addr: s.addr(), Conns: 2, Requests: 20, Next: get(path, status)})
		if err := r.Err(); err != nil || r.Requests != 20 {
			t.Errorf("%s: %d requests: %v", path, r.Requests, err)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	addr := netip.MustParseAddrPort(strings.TrimPrefix(s.URL, "http://"))
	s.Close()
	if _, err := load.Run(t.Context(), load.Config{Addr: addr, Conns: 1, Requests: 1000, Fresh: true, Next: get("/", 200)}); err == nil {
		t.Error("no error without a server")
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	s := newCounting(t, func(w http.ResponseWriter, r *http.Request) {
		once.Do(cancel)
		ok(w, r)
	})
	if _, err := load.Run(ctx, load.Config{Addr: s.addr(), Conns: 1, Duration: time.Hour, Next: get("/", 200)}); err == nil {
		t.Error("no error when cancelled")
	}
}

func TestConfig(t *testing.T) {
	for name, cfg := range map[string]load.Config{
		"no connections": {Requests: 1, Next: get("/", 200)},
		"no requests":    {Conns: 1, Requests: 1},
		"no end":         {Conns: 1, Next: get("/", 200)},
		"two ends":       {Conns: 1, Requests: 1, Duration: 1, Next: get("/", 200)},
	} {
		if _, err := load.Run(t.Context(), cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
