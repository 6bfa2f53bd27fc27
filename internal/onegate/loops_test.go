package onegate

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

const readyRequest = "PUT /vm [application/x-www-form-urlencoded] data=READY%3DYES&type=1"

// failing answers with an error until it has been asked n times.
func failing(n int, header http.Header, status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if n--; n >= 0 {
			maps.Copy(w.Header(), header)
			w.WriteHeader(status)
			fmt.Fprint(w, "not now")
		}
	}
}

func TestReady(t *testing.T) {
	const second = time.Second
	for _, c := range []struct {
		name     string
		failures int
		vars     map[string]string
		code     int
		requests int
		slept    []time.Duration
		errs     string
	}{
		{"at once", 0, nil, 0, 1, nil, ""},
		{"third time", 2, nil, 0, 3, []time.Duration{10 * second, 10 * second}, "attempt 1 of 3: not now\nattempt 2 of 3: not now\n"},
		{"never", 9, nil, 1, 3, []time.Duration{10 * second, 10 * second}, "attempt 1 of 3: not now\nattempt 2 of 3: not now\nnot now\nFailed to report READY\n"},
		{"own counts", 9, map[string]string{"RETRY_COUNT": "2", "RETRY_WAIT_PERIOD": "0"}, 1, 2, []time.Duration{0}, "attempt 1 of 2: not now\nnot now\nFailed to report READY\n"},
		{"bad count", 0, map[string]string{"RETRY_COUNT": "0"}, 1, 0, nil, "RETRY_COUNT \"0\": expected a number from 1 to 1000000\n"},
		{"bad wait", 0, map[string]string{"RETRY_WAIT_PERIOD": "soon"}, 1, 0, nil, "RETRY_WAIT_PERIOD \"soon\": expected a number from 0 to 1000000\n"},
	} {
		g := newGuest(t, failing(c.failures, nil, 503))
		maps.Copy(g.vars, c.vars)
		code := g.do("ready")
		if code != c.code || g.errs.String() != c.errs || !reflect.DeepEqual(g.slept, c.slept) || len(g.requests) != c.requests {
			t.Errorf("%s: exit %d, error %q, slept %v, requests %q", c.name, code, g.errs.String(), g.slept, g.requests)
		}
		if want := map[int]string{0: "Reported READY\n"}[code]; g.out.String() != want {
			t.Errorf("%s: out %q", c.name, g.out.String())
		}
		for _, r := range g.requests {
			if r != readyRequest {
				t.Errorf("%s: %q", c.name, r)
			}
		}
	}
}

// measured gives a guest the files that metrics reads.
func measured(t *testing.T, handler http.HandlerFunc) *guest {
	g := newGuest(t, handler)
	g.write(t, "proc/loadavg", "1.50 0.80 0.40 2/345 6789\n")
	g.write(t, "proc/meminfo", "MemTotal:        4000 kB\nMemFree:          500 kB\nMemAvailable:    3000 kB\nBuffers:          100 kB\nCached:          2000 kB\nSwapTotal:          0 kB\nSwapFree:           0 kB\n")
	g.write(t, "proc/mounts", "rootfs / rootfs rw 0 0\n/dev/vda1 / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/vda1 /srv/bind ext4 rw 0 0\n/dev/mapper/vg-data /data xfs rw 0 0\n/dev/sr0 /mnt iso9660 ro 0 0\n/dev/gone /gone ext4 rw 0 0\n")
	g.write(t, "data/x", "")
	return g
}

func TestMetricsOnce(t *testing.T) {
	g := measured(t, answers(""))
	if code := g.do("metrics", "--once"); code != 0 || g.errs.Len() > 0 || g.out.Len() > 0 {
		t.Fatalf("exit %d, %s", code, g.errs.String())
	}
	const perc = `(?:0|\d+\.\d\d)`
	want := regexp.MustCompile(`^PUT /vm \[application/x-www-form-urlencoded\] data=LOAD%3D1\.50` +
		`%5CnMEM_TOTAL%3D4000%5CnMEM_FREE%3D3000%5CnMEM_USED%3D1000%5CnMEM_USED_PERC%3D25\.00` +
		`%5CnSWAP_TOTAL%3D0%5CnSWAP_FREE%3D0%5CnSWAP_USED%3D0%5CnSWAP_USED_PERC%3D0` +
		`%5CnDISK_USED_PERC%3D` + perc + `%5CnDISK_USED_PERC_VDA1%3D` + perc + `%5CnDISK_USED_PERC_VG_DATA%3D` + perc + `&type=1$`)
	if len(g.requests) != 1 || !want.MatchString(g.requests[0]) {
		t.Errorf("%q does not match %v", g.requests, want)
	}
	g = measured(t, failing(1, nil, 403))
	if code := g.do("metrics", "--once"); code != 255 || g.errs.String() != "ERROR: \nnot now\n" || len(g.slept) != 0 {
		t.Errorf("refused: exit %d, %q", code, g.errs.String())
	}
	g = newGuest(t, answers(""))
	if code := g.do("metrics", "--once"); code != 255 || !strings.Contains(g.errs.String(), "loadavg") || len(g.requests) != 0 {
		t.Errorf("no /proc: exit %d, %q", code, g.errs.String())
	}
}

func TestMemoryBefore3_14(t *testing.T) {
	got := memoryMetrics(map[string]uint64{"MemTotal": 4000, "MemFree": 500, "Buffers": 100, "Cached": 400, "SwapTotal": 100, "SwapFree": 25})
	want := []string{"MEM_TOTAL=4000", "MEM_FREE=1000", "MEM_USED=3000", "MEM_USED_PERC=75.00", "SWAP_TOTAL=100", "SWAP_FREE=25", "SWAP_USED=75", "SWAP_USED_PERC=75.00"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}

func TestMetricsLoop(t *testing.T) {
	for _, c := range []struct {
		name    string
		args    string
		handler http.HandlerFunc
		want    []time.Duration // between pushes; after them the guest is stopped
	}{
		{"default", "metrics", answers(""), []time.Duration{30 * time.Second, 30 * time.Second}},
		{"own interval", "metrics --interval 5", answers(""), []time.Duration{5 * time.Second, 5 * time.Second}},
		{"backs off", "metrics --interval 1", failing(4, nil, 500), []time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 1 * time.Second}},
		{"as long as asked", "metrics --interval 1", failing(1, http.Header{"Retry-After": {"300"}}, 429), []time.Duration{300 * time.Second, time.Second}},
		{"but not for days", "metrics", failing(1, http.Header{"Retry-After": {"999999"}}, 429), []time.Duration{time.Hour}},
	} {
		g := measured(t, c.handler)
		stopAfter(g, len(c.want))
		if code := g.do(strings.Fields(c.args)...); code != 0 || !reflect.DeepEqual(g.slept, c.want) || len(g.requests) != len(c.want) {
			t.Errorf("%s: exit %d, slept %v, want %v, %d requests, %q", c.name, code, g.slept, c.want, len(g.requests), g.errs.String())
		}
	}
}

// stopAfter interrupts the guest in its nth sleep.
func stopAfter(g *guest, n int) {
	sleep := g.sleep
	g.sleep = func(ctx context.Context, d time.Duration) error {
		if n--; n == 0 {
			g.cancel()
		}
		return sleep(ctx, d)
	}
}

func TestBackoff(t *testing.T) {
	b := backoff{jitter: func() float64 { return 0 }}
	var got []time.Duration
	for range 9 {
		got = append(got, b.failed(nil)/time.Second)
	}
	if want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	b.succeeded()
	b.jitter = func() float64 { return 1 }
	if d := b.failed(nil); d != time.Second/2 {
		t.Errorf("after success, with jitter: %v", d)
	}
	if d := b.failed(&statusError{retry: 5 * time.Second}); d != 5*time.Second {
		t.Errorf("with Retry-After: %v", d)
	}
}

// step is one answer to a watch.
type step struct {
	status int // 0 means 200
	etag   string
	body   string
	takes  time.Duration // how long the server holds it
}

func TestWatch(t *testing.T) {
	doc := func(n int) string { return fmt.Sprintf(`{ "VM": {"ID":"8", "N":%d} }`, n) }
	line := func(n int) string { return fmt.Sprintf("{\"VM\":{\"ID\":\"8\",\"N\":%d}}\n", n) }
	const second = time.Second
	for _, c := range []struct {
		name  string
		args  string
		steps []step
		asked []string
		out   string
		slept []time.Duration
		errs  string
		code  int
	}{
		{name: "revisions", args: "watch", // nothing is waited for here: the server does that
			steps: []step{{etag: `"5"`, body: doc(1)}, {etag: `W/"6"`, body: doc(2), takes: 20 * second}, {status: 304, takes: 60 * second}, {etag: `"7 8"`, body: doc(3)}, {status: 204, takes: 60 * second}},
			asked: []string{"/vm", "/vm?watch=5", "/vm?watch=6", "/vm?watch=6", "/vm?watch=7+8"},
			out:   line(1) + line(2) + line(3)},
		{name: "service", args: "watch service", steps: []step{{etag: `"1"`, body: doc(1)}}, asked: []string{"/service"}, out: line(1)},
		{name: "another VM", args: "watch vm 12/3", steps: []step{{etag: `"1"`, body: doc(1)}, {etag: `"2"`, body: doc(2), takes: second}},
			asked: []string{"/vms/12%2F3", "/vms/12%2F3?watch=1"}, out: line(1) + line(2)},
		{name: "extended", args: "watch service --extended", steps: []step{{etag: `"1"`, body: doc(1)}, {etag: `"2"`, body: doc(2), takes: second}},
			asked: []string{"/service [application/x-www-form-urlencoded] extended=true", "/service?watch=1 [application/x-www-form-urlencoded] extended=true"}, out: line(1) + line(2)},
		{name: "vrouter", args: "watch vrouter", steps: []step{{etag: `"1"`, body: doc(1)}}, asked: []string{"/vrouter"}, out: line(1)},
		{name: "no revisions", args: "watch vm",
			steps: []step{{body: doc(1)}, {body: doc(1)}, {body: doc(1)}, {body: doc(2)}, {body: doc(2)}},
			asked: []string{"/vm", "/vm", "/vm", "/vm", "/vm"}, out: line(1) + line(2),
			slept: []time.Duration{second, 2 * second, 4 * second, second, 2 * second}},
		{name: "revisions, but no waiting", args: "watch",
			steps: []step{{etag: `"5"`, body: doc(1)}, {etag: `"5"`, body: doc(1)}, {status: 304}, {etag: `"6"`, body: doc(1)}, {etag: `"6"`, body: doc(1)}},
			asked: []string{"/vm", "/vm?watch=5", "/vm?watch=5", "/vm?watch=5", "/vm?watch=6"}, out: line(1),
			slept: []time.Duration{second, 2 * second, second, 2 * second}},
		{name: "refused at once", args: "watch", steps: []step{{status: 401, body: "Not authorized"}}, asked: []string{"/vm"}, errs: "ERROR: \nNot authorized\n", code: 255},
		{name: "down at first", args: "watch", steps: []step{{status: 503, body: "down"}, {status: 429, body: "slower"}, {etag: `"1"`, body: doc(1)}},
			asked: []string{"/vm", "/vm", "/vm"}, out: line(1), slept: []time.Duration{second, 2 * second}, errs: "watch: down\nwatch: slower\n"},
		{name: "trouble later", args: "watch", steps: []step{{etag: `"1"`, body: doc(1)}, {status: 500, body: "oops"}, {status: 400, body: "what revision?"}, {etag: `"2"`, body: doc(1)}, {etag: `"3"`, body: "<html>"}},
			asked: []string{"/vm", "/vm?watch=1", "/vm?watch=1", "/vm", "/vm?watch=2"}, out: line(1),
			slept: []time.Duration{second, 2 * second, second, second}, errs: "watch: oops\nwatch: what revision?\nwatch: the server's answer: not JSON at byte 0: expected a value\n"},
	} {
		var g *guest
		n := 0
		g = newGuest(t, func(w http.ResponseWriter, _ *http.Request) {
			if n == len(c.steps) {
				g.cancel() // a test that asks too often is stopped, and found out below
				return
			}
			s := c.steps[n]
			n++
			g.clock = g.clock.Add(s.takes)
			if s.etag != "" {
				w.Header().Set("ETag", s.etag)
			}
			if s.status != 0 {
				w.WriteHeader(s.status)
			}
			fmt.Fprint(w, s.body)
		})
		code := g.do(strings.Fields(c.args)...)
		var asked []string
		for _, r := range g.requests {
			asked = append(asked, strings.TrimPrefix(r, "GET "))
		}
		if len(asked) == len(c.asked)+1 && n == len(c.steps) {
			asked = asked[:len(asked)-1] // the one that stopped it
		}
		if code != c.code || g.out.String() != c.out || !reflect.DeepEqual(asked, c.asked) || !reflect.DeepEqual(g.slept, c.slept) || g.errs.String() != c.errs {
			t.Errorf("%s: exit %d\n out %q\nwant %q\nasked %q\n want %q\nslept %v\n want %v\nerr %q", c.name, code, g.out.String(), c.out, asked, c.asked, g.slept, c.slept, g.errs.String())
		}
	}
}

// Interrupting a long poll ends the program at once, and well.
func TestWatchInterrupted(t *testing.T) {
	var g *guest
	g = newGuest(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "" {
			w.Header().Set("ETag", `"1"`)
			fmt.Fprint(w, vmDoc)
			return
		}
		g.cancel()
		<-r.Context().Done()
	})
	if code := g.do("watch"); code != 0 || g.out.String() != vmDoc+"\n" || g.errs.Len() > 0 {
		t.Errorf("exit %d, out %q, err %q", code, g.out.String(), g.errs.String())
	}
}
