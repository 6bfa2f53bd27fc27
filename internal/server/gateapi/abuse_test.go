package gateapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trifid-cloud/trifid/internal/gate"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/server/httpd"
)

// send sends bytes as they are and returns the status of each answer, until the
// server closes or as many as expected have come.
func (w *world) send(text string, answers int) []int {
	w.T.Helper()
	c, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		w.T.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		w.T.Fatal(err)
	}
	go func() { _, _ = io.WriteString(c, text) }() // it may be refused before it is all sent
	in := bufio.NewReader(c)
	var got []int
	for len(got) < answers {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			break
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		got = append(got, res.StatusCode)
	}
	return got
}

// Requests that two programs on the way could understand in two ways.
func TestSmuggling(t *testing.T) {
	w := newWorld(t, settings{})
	tok, other := token(t, w.lone), token(t, w.other)
	head := func(method, path string, lines ...string) string {
		return method + " " + path + " HTTP/1.1\r\nHost: gate\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	mine := []string{"X-ONEGATE-TOKEN: " + tok, "X-ONEGATE-VMID: " + itoa(w.lone.ID)}
	with := func(more ...string) []string { return append(append([]string{}, mine...), more...) }
	inner := head("PUT", "/vm", with("Content-Length: 8")...) + "INNER=99"
	for _, c := range []struct {
		name, text string
		want       []int
	}{
		{"as it should be", head("GET", "/vm", mine...), []int{200}},
		{"two in one go", head("GET", "/vm", mine...) + head("GET", "/vm", mine...), []int{200, 200}},
		{"two tokens", head("GET", "/vm", with("X-ONEGATE-TOKEN: "+other)...), []int{401}},
		{"two ids", head("GET", "/vm", with("X-ONEGATE-VMID: "+itoa(w.other.ID))...), []int{401}},
		{"two ids in one", head("GET", "/vm", "X-ONEGATE-TOKEN: "+tok, "X-ONEGATE-VMID: "+itoa(w.other.ID)+","+itoa(w.lone.ID)), []int{401}},
		{"underscores", head("GET", "/vm", "X_ONEGATE_TOKEN: "+tok, "X_ONEGATE_VMID: "+itoa(w.lone.ID)), []int{401}},
		{"blank before the colon", head("GET", "/vm", "X-ONEGATE-TOKEN : "+tok, "X-ONEGATE-VMID: "+itoa(w.lone.ID)), []int{400}},
		{"folded line", head("GET", "/vm", "X-ONEGATE-VMID: "+itoa(w.lone.ID), "X-ONEGATE-TOKEN:", " "+tok), []int{200}},
		{"length and chunks", head("PUT", "/vm", with("Content-Length: 3", "Transfer-Encoding: chunked")...) + "0\r\n\r\n" + inner, []int{200}}, // the chunks count, and nothing follows
		{"two lengths", head("PUT", "/vm", with("Content-Length: 3", "Content-Length: 90")...) + "A=1" + inner, []int{400}},
		{"negative length", head("PUT", "/vm", with("Content-Length: -3")...) + "A=1", []int{400}},
		{"no chunks", head("PUT", "/vm", with("Transfer-Encoding: gzip")...) + "A=1", []int{501}},
		{"bad chunk", head("PUT", "/vm", with("Transfer-Encoding: chunked")...) + "zz\r\nA=1", []int{400}},
		{"huge chunk", head("PUT", "/vm", with("Transfer-Encoding: chunked")...) + "fffffffffffffffff\r\nA=1", []int{400}},
		{"chunks", head("PUT", "/vm", with("Transfer-Encoding: chunked")...) + "3\r\nA=1\r\n0\r\n\r\n", []int{200}},
		{"no host", "GET /vm HTTP/1.1\r\n\r\n", []int{400}},
		{"zero byte in the path", "GET /vm\x00 HTTP/1.1\r\nHost: gate\r\n\r\n", []int{400}},
		{"badly encoded path", head("GET", "/vms/%2", mine...), []int{400}},
		{"slash in an id", head("GET", "/vms/"+itoa(w.lone.ID)+"%2Faction", mine...), []int{200}},
		{"whole address", head("GET", "http://elsewhere/vm", mine...), []int{200}},
		{"CONNECT", head("CONNECT", "gate:5030", mine...), []int{400}},
		{"asterisk", head("OPTIONS", "*", mine...), []int{400}},
		{"no HTTP", "hello\r\n\r\n", []int{400}},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", []int{400}},
		{"long header", head("GET", "/vm", "X-ONEGATE-TOKEN: "+strings.Repeat("A", 2<<20)), []int{431}},
	} {
		got := w.send(c.text, len(c.want))
		if c.name == "asterisk" && len(got) == 1 && got[0] == 200 {
			continue // the standard library answers it before us
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	got := w.send(head("PUT", "/vm", with("Content-Length: 3", "Transfer-Encoding: chunked")...)+"0\r\n\r\n"+inner, 2)
	if len(got) != 1 || w.now(w.lone).UserTemplate.Has("INNER") {
		t.Error("a request inside another one was served")
	}
}

// A guest that asks and writes faster than it may is told when to come back, and
// others do not notice.
func TestRateLimit(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	w := newWorld(t, settings{gate: func(o *gate.Options) {
		o.Config.Rate, o.Config.Burst, o.Now = 0.5, 3, func() time.Time { return now }
	}})
	put := func(v *one.VM) answer { return w.ask(v, "PUT", "/vm", "A=1") }
	for range 3 {
		w.want("in the burst", put(w.lone), 200, "")
	}
	a := put(w.lone)
	if a.status != 429 || a.body != "Too many requests of this VM" || a.header.Get("Retry-After") != "2" {
		t.Errorf("over it: %d %q %v", a.status, a.body, a.header)
	}
	w.want("another guest", put(w.other), 200, "")
	w.want("who has no token does not count", w.ask(w.lone, "GET", "/vm", "", "X-ONEGATE-TOKEN", "x"), 401, "Not authorized")
	now = now.Add(2 * time.Second)
	w.want("two seconds later", put(w.lone), 200, "")
	if a := put(w.lone); a.status != 429 {
		t.Errorf("and again: %d", a.status)
	}
	now = now.Add(time.Hour)
	for range 3 {
		w.want("after a rest", put(w.lone), 200, "")
	}
	if a := put(w.lone); a.status != 429 {
		t.Errorf("no more than the burst after a rest: %d", a.status)
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t, settings{})
	w.ask(w.lone, "GET", "/vm", "")
	w.ask(w.lone, "GET", "/vms/"+itoa(w.other.ID), "")
	w.ask(nil, "GET", "/nowhere/"+strings.Repeat("x", 100), "")
	reg := prometheus.NewPedanticRegistry()
	for _, c := range w.api.Collectors() {
		if err := reg.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range all {
		if f.GetName() == "trifid_gate_watchers" && f.GetMetric()[0].GetGauge().GetValue() != 0 {
			t.Errorf("%v", f)
		}
		if f.GetName() == "trifid_gate_requests_total" {
			for _, m := range f.GetMetric() {
				got[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	for name, n := range map[string]float64{"GET /vm 200": 1, "GET /vms/:id 400": 1, "none 400": 1} {
		if got[name] != n {
			t.Errorf("%s: %v in %v", name, got[name], got)
		}
	}
}

// Everything at once: whoever abuses the gate gets an answer that fits, and a
// good guest gets what it asks for, each time.
func TestAbuse(t *testing.T) {
	w := newWorld(t, settings{})
	srv, err := httpd.Listen(httpd.Config{Addr: "127.0.0.1:0", Handler: w.api, ReadTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Run(ctx) }()
	defer func() {
		w.Rig.Stop()
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		w.server.Client().CloseIdleConnections()
	}()
	addr := srv.Addr().String()
	w.server.URL = "http://" + addr
	rounds := 40
	if testing.Short() {
		rounds = 5
	}
	var good atomic.Int64
	var all sync.WaitGroup
	abuse := func(name string, allowed string, one func(r *rand.Rand) answer) {
		rounds := rounds
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(len(name))))
			if name == "slow" {
				rounds = 2 // each lasts until the server loses its patience
			}
			for range rounds {
				if a := one(r); !strings.Contains(allowed, itoa(a.status)) {
					t.Errorf("%s: %d %.100q", name, a.status, a.body)
				}
			}
		})
	}
	eve := w.stranger
	tok := token(t, eve)
	abuse("tokens of others", "401", func(r *rand.Rand) answer {
		return w.ask(eve, "GET", "/vm", "", "X-ONEGATE-VMID", itoa(r.IntN(20)+20))
	})
	abuse("changed tokens", "401", func(r *rand.Rand) answer {
		b := []byte(tok)
		b[r.IntN(len(b)-2)] ^= byte(1 << r.IntN(3))
		return w.ask(eve, "GET", "/vm", "", "X-ONEGATE-TOKEN", string(b))
	})
	abuse("every other VM", "400 200", func(r *rand.Rand) answer {
		id := r.IntN(1000)
		a := w.ask(eve, "GET", "/vms/"+itoa(id), "")
		if a.status == 200 && id != eve.ID {
			t.Errorf("VM %d was shown to VM %d", id, eve.ID)
		}
		return a
	})
	abuse("large bodies", "413", func(*rand.Rand) answer {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return answer{status: 0, body: err.Error()}
		}
		defer c.Close()
		_, _ = fmt.Fprintf(c, "PUT /vm HTTP/1.1\r\nHost: x\r\nX-ONEGATE-TOKEN: %s\r\nX-ONEGATE-VMID: %d\r\nContent-Length: 10485760\r\n\r\n", tok, eve.ID)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return answer{status: 0, body: err.Error()}
		}
		defer res.Body.Close()
		return answer{status: res.StatusCode}
	})
	abuse("many attributes", "413 503", func(*rand.Rand) answer { return w.ask(eve, "PUT", "/vm", strings.Repeat("A=1\n", 100_000)) })
	abuse("garbage", "200 500", func(r *rand.Rand) answer {
		b := make([]byte, 1+r.IntN(2000))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return w.ask(eve, "PUT", "/vm", string(b), "Content-Type", "application/octet-stream")
	})
	abuse("names that are none", "500", func(*rand.Rand) answer { return w.ask(eve, "PUT", "/vm", "a-b c=1") })
	abuse("writes", "200", func(r *rand.Rand) answer { return w.ask(eve, "PUT", "/vm", "LOAD="+itoa(r.IntN(100))) })
	abuse("slow", "0", func(r *rand.Rand) answer {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return answer{status: 1}
		}
		defer c.Close()
		text := fmt.Sprintf("PUT /vm HTTP/1.1\r\nHost: x\r\nX-ONEGATE-TOKEN: %s\r\nX-ONEGATE-VMID: %d\r\nContent-Length: 100\r\n\r\nA=", tok, eve.ID)
		_, _ = io.WriteString(c, text[:r.IntN(len(text))])
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c); err != nil {
			return answer{status: 2, body: err.Error()}
		}
		return answer{}
	})
	for range 2 {
		all.Go(func() {
			for i := range rounds * 5 {
				value := itoa(i)
				if a := w.ask(w.lone, "PUT", "/vm", "GOOD="+value); a.status != 200 {
					t.Errorf("a good guest's PUT: %d %s", a.status, a.body)
				}
				if a := w.ask(w.lone, "GET", "/vm", ""); a.status != 200 || !strings.Contains(a.body, `"GOOD":"`) {
					t.Errorf("a good guest's GET: %d %s", a.status, a.body)
				}
				good.Add(2)
			}
		})
	}
	all.Wait()
	if int(good.Load()) != rounds*20 {
		t.Errorf("%d requests of good guests", good.Load())
	}
	w.watchers(0)
}

// Large bodies that arrive at the same time share what memory there is for them;
// small ones go on.
func TestLargeBodiesShareBuffers(t *testing.T) {
	w := newWorld(t, settings{})
	large := "A=" + strings.Repeat("x", 100<<10)
	// A buffer is given back after the answer, so whoever is next may still find it taken.
	until := func(what string, status int, meanwhile func()) {
		t.Helper()
		for giveUp := time.Now().Add(patience); ; meanwhile() {
			a := w.ask(w.lone, "PUT", "/vm", large)
			if a.status == status {
				if status == 503 && (a.header.Get("Retry-After") != "1" || a.body != "Too many large requests are being read") {
					t.Errorf("%s: %q %v", what, a.body, a.header)
				}
				return
			}
			if time.Now().After(giveUp) {
				t.Fatalf("%s: %d %s", what, a.status, a.body)
			}
		}
	}
	wait := func() {}
	until("at first", 200, wait)
	var held []net.Conn
	hold := func() { // says that it has more to send
		c, err := net.Dial("tcp", w.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		held = append(held, c)
		if _, err := fmt.Fprintf(c, "PUT /vm HTTP/1.1\r\nHost: x\r\nX-ONEGATE-TOKEN: %s\r\nX-ONEGATE-VMID: %d\r\nContent-Length: 200000\r\n\r\n%s", token(t, w.other), w.other.ID, large); err != nil {
			t.Fatal(err)
		}
	}
	until("all buffers are held", 503, hold)
	w.want("a small one", w.ask(w.lone, "PUT", "/vm", "A=1"), 200, "")
	for _, c := range held {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	until("given back", 200, wait)
	w.want("all that may be", w.ask(w.lone, "PUT", "/vm", "# "+strings.Repeat("x", 1<<20-2)), 200, "")
	w.want("one byte more", w.ask(w.lone, "PUT", "/vm", "# "+strings.Repeat("x", 1<<20-1)), 413, "The body is larger than 1048576 bytes")
}
