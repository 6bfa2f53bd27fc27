package onegate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// guest is an app in a test: a guest with a root directory of its own, talking
// to a server.
type guest struct {
	app
	vars   map[string]string
	out    bytes.Buffer
	errs   bytes.Buffer
	slept  []time.Duration
	ctx    context.Context
	cancel context.CancelFunc
	clock  time.Time

	mu       sync.Mutex
	requests []string // method, path, headers of interest, body
}

// newGuest returns a guest of a server that answers with handler.
func newGuest(t testing.TB, handler http.HandlerFunc) *guest {
	t.Helper()
	g := &guest{vars: map[string]string{"VMID": "8", "TOKENTXT": "VOSTohrMzgFCsy3T7x+gdw==\n"}, clock: time.Unix(1700000000, 0)}
	if handler != nil {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			g.record(r)
			handler(w, r)
		}))
		t.Cleanup(srv.Close)
		g.vars["ONEGATE_ENDPOINT"] = srv.URL
	}
	g.ctx, g.cancel = context.WithCancel(t.Context())
	t.Cleanup(g.cancel)
	g.app = app{
		env:       func(name string) (string, bool) { v, ok := g.vars[name]; return v, ok },
		root:      t.TempDir(),
		stdout:    &g.out,
		stderr:    &g.errs,
		transport: newTransport,
		timeout:   time.Minute,
		sleep: func(ctx context.Context, d time.Duration) error {
			g.slept = append(g.slept, d)
			g.clock = g.clock.Add(d)
			return ctx.Err()
		},
		now:    func() time.Time { return g.clock },
		jitter: func() float64 { return 0 },
	}
	return g
}

func (g *guest) record(r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	line := r.Method + " " + r.RequestURI
	if ct := r.Header.Get("Content-Type"); ct != "" {
		line += " [" + ct + "]"
	}
	if len(body) > 0 {
		line += " " + string(body)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests = append(g.requests, line)
}

func (g *guest) do(args ...string) int {
	g.args = args
	return g.run(g.ctx)
}

// write puts a file below the guest's root.
func (g *guest) write(t testing.TB, path, content string) {
	t.Helper()
	path = filepath.Join(g.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func answers(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
}

const (
	vmDoc      = `{"VM":{"NAME":"web-8","ID":"8","STATE":"3","LCM_STATE":"3","USER_TEMPLATE":{},"TEMPLATE":{"NIC":[],"NIC_ALIAS":[]}}}`
	routerDoc  = `{"VROUTER":{"NAME":"vr","ID":"0","VMS":{"ID":["1","2"]},"TEMPLATE":{}}}`
	netDoc     = `{"VNET":{"ID":"0","NAME":"service","AR_POOL":{"AR":[]}}}`
	serviceDoc = `{"SERVICE":{"name":"PANACEA service","id":"1","state":2,"roles":[
		{"name":"master","cardinality":1,"state":2,"nodes":[{"deploy_id":8,"running":null,"vm_info":{"VM":{"ID":"8","NAME":"master_0_(service_1)","STATE":"3","LCM_STATE":"3","TEMPLATE":{"NIC":{"IP":"10.0.0.2"}}}}}]},
		{"name":"slave","cardinality":2,"state":2,"nodes":[
			{"deploy_id":9,"running":null,"vm_info":{"VM":{"ID":"9","NAME":"slave_0_(service_1)","STATE":"8","LCM_STATE":"0","TEMPLATE":{"NIC":[{"IP":"10.0.0.3"},{"IP":"10.0.1.3"}]}}}},
			{"deploy_id":10,"running":null,"vm_info":null},
			{"deploy_id":11,"running":null,"vm_info":{"VM":{"ID":"11","NAME":"slave_2_(service_1)","STATE":"3","LCM_STATE":"16","TEMPLATE":{}}}}]},
		{"name":"spare","cardinality":0,"state":2,"nodes":[]}]}}`
)

// The texts of the OneGate reference, §4.3, with every trailing blank.
func TestOutput(t *testing.T) {
	const (
		vmText     = "VM 8\nNAME                : web-8               \n"
		routerText = "VROUTER 0\nNAME                : vr                  \nVMS                 : 1,2                 \n\n"
		netText    = "VNET\nID                  : 0                   \n\n"
		service    = "SERVICE 1\nNAME                : PANACEA service     \nSTATE               : RUNNING             \n\n" +
			"ROLE master\nVM 8\nNAME                : master_0_(service_1)\n\n" +
			"ROLE slave\nVM 9\nNAME                : slave_0_(service_1) \nVM 10\nVM 11\nNAME                : slave_2_(service_1) \n\n" +
			"ROLE spare\n\n"
		extended = "SERVICE 1\nNAME                : PANACEA service     \nSTATE               : RUNNING             \n\n" +
			"ROLE master\nVM 8\nNAME                : master_0_(service_1)\nSTATE               : RUNNING             \nIP                  : 10.0.0.2            \n\n" +
			"ROLE slave\nVM 9\nNAME                : slave_0_(service_1) \nSTATE               : POWEROFF            \nIP                  : 10.0.0.3            \nIP                  : 10.0.1.3            \n" +
			"VM 10\nVM 11\nNAME                : slave_2_(service_1) \nSTATE               : UNKNOWN             \n\n" +
			"ROLE spare\n\n"
	)
	for _, c := range []struct{ args, doc, want, request string }{
		{"vm show", vmDoc, vmText, "GET /vm"},
		{"vm show 12", vmDoc, vmText, "GET /vms/12"},
		{"vm show --extended", vmDoc, vmText, "GET /vm"}, // has no effect, as in the reference
		{"service show", serviceDoc, service, "GET /service"},
		{"service show --extended", serviceDoc, extended, "GET /service [application/x-www-form-urlencoded] extended=true"},
		{"--ext service show", serviceDoc, extended, "GET /service [application/x-www-form-urlencoded] extended=true"},
		{"vrouter show", routerDoc, routerText, "GET /vrouter"},
		{"vrouter show --extended", routerDoc, routerText, "GET /vrouter [application/x-www-form-urlencoded] extended=true"},
		{"vnet show 0", netDoc, netText, "GET /vnet/0"},
		{"vnet --extended show 0", netDoc, netText, "GET /vnet/0 [application/x-www-form-urlencoded] extended=true"},
		{"vm show -j", `{"VM":{"ID":"8","E":{},"L":[],"N":[1,{"a":null}],"S":"a\"\u00e9\/\n"}}`,
			"{\n  \"VM\": {\n    \"ID\": \"8\",\n    \"E\": {},\n    \"L\": [],\n    \"N\": [\n      1,\n      {\n        \"a\": null\n      }\n    ],\n    \"S\": \"a\\\"é/\\n\"\n  }\n}\n", "GET /vm"},
		{"-j vnet show 7", netDoc, "{\n  \"VNET\": {\n    \"ID\": \"0\",\n    \"NAME\": \"service\",\n    \"AR_POOL\": {\n      \"AR\": []\n    }\n  }\n}\n", "GET /vnet/7"},
	} {
		g := newGuest(t, answers(c.doc))
		if code := g.do(strings.Fields(c.args)...); code != 0 || g.errs.Len() > 0 {
			t.Errorf("%s: exit %d, %s", c.args, code, g.errs.String())
		}
		if g.out.String() != c.want {
			t.Errorf("%s:\n%q\nwant\n%q", c.args, g.out.String(), c.want)
		}
		if len(g.requests) != 1 || g.requests[0] != c.request {
			t.Errorf("%s: requests %q, want %q", c.args, g.requests, c.request)
		}
	}
}

func TestTerminal(t *testing.T) {
	g := newGuest(t, answers(serviceDoc))
	g.terminal = true
	if code := g.do("service", "show"); code != 0 {
		t.Fatalf("exit %d: %s", code, g.errs.String())
	}
	pad := func(s string) string { return s + strings.Repeat(" ", 80-len(s)) }
	for _, want := range []string{
		"\x1b[1m\x1b[4m" + pad("SERVICE 1") + "\x1b[0m\n",
		"\x1b[1m" + pad("ROLE master") + "\x1b[0m\n",
		"\x1b[1m\x1b[4m" + pad("VM 8") + "\x1b[0m\n",
		"\nNAME                : PANACEA service     \n",
	} {
		if !strings.Contains(g.out.String(), want) {
			t.Errorf("no %q in %q", want, g.out.String())
		}
	}
}

// The wire format of the OneGate reference, §4.4.
func TestRequests(t *testing.T) {
	const put = "[application/x-www-form-urlencoded] "
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"vm", "update", "-d", `A=1\nB=x y`}, "PUT /vm " + put + "data=A%3D1%5CnB%3Dx+y&type=1"},
		{[]string{"vm", "update", "9", "--data", "A=1"}, "PUT /vms/9 " + put + "data=A%3D1&type=1"},
		{[]string{"--data=A=1", "vm", "update"}, "PUT /vm " + put + "data=A%3D1&type=1"},
		{[]string{"vm", "update", "-dA=1", "-j"}, "PUT /vm " + put + "data=A%3D1&type=1&json=true"},
		{[]string{"-j", "vm", "update", "-d", "A=1"}, "PUT /vm " + put + "json=true&data=A%3D1&type=1"},
		{[]string{"vm", "update", "-e", "ACTIVE"}, "PUT /vm " + put + "data=ACTIVE&type=2"},
		{[]string{"vm", "update", "-d", "A=1", "--erase", "B"}, "PUT /vm " + put + "data=B&type=2"},
		{[]string{"vm", "update", "-d", ""}, "PUT /vm " + put + "data=&type=1"},
		{[]string{"vm", "update", "-d", "-f"}, "PUT /vm " + put + "data=-f&type=1"},
		{[]string{"vm", "update", "-d", "K=a&b=c;~*-._+%é\"'\n"}, "PUT /vm " + put + "data=K%3Da%26b%3Dc%3B%7E*-._%2B%25%C3%A9%22%27%0A&type=1"},
		{[]string{"vm", "stop", "8"}, `POST /vms/8/action [application/json] {"action":{"perform":"stop"}}`},
		{[]string{"vm", "terminate", "8", "-f"}, `POST /vms/8/action [application/json] {"action":{"perform":"terminate","params":true}}`},
		{[]string{"--hard", "vm", "poweroff", "8"}, `POST /vms/8/action [application/json] {"action":{"perform":"poweroff","params":true}}`},
		{[]string{"vm", "delete", "8"}, `POST /vms/8/action [application/json] {"action":{"perform":"delete"}}`},
		{[]string{"vm", "shutdown", "a b/../c"}, `POST /vms/a%20b%2F..%2Fc/action [application/json] {"action":{"perform":"shutdown"}}`},
		{[]string{"service", "scale", "-r", "worker", "-c", "4"}, "PUT /service/role/worker " + put + `{"cardinality":"4"}`},
		{[]string{"service", "scale", "--cardinality", `4"`, "--role=w x"}, "PUT /service/role/w%20x " + put + `{"cardinality":"4\""}`},
	} {
		g := newGuest(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
		if code := g.do(c.args...); code != 0 || g.out.Len() > 0 || g.errs.Len() > 0 {
			t.Errorf("%q: exit %d, out %q, err %q", c.args, code, g.out.String(), g.errs.String())
		}
		if len(g.requests) != 1 || g.requests[0] != c.want {
			t.Errorf("%q: %q, want %q", c.args, g.requests, c.want)
		}
	}
	for _, action := range vmActions {
		g := newGuest(t, answers(""))
		if code := g.do("vm", action, "1"); code != 0 || !strings.Contains(g.requests[0], `"perform":"`+action+`"`) {
			t.Errorf("%s: exit %d, %q", action, code, g.requests)
		}
	}
}

func TestHeaders(t *testing.T) {
	var got http.Header
	g := newGuest(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		fmt.Fprint(w, vmDoc)
	})
	if code := g.do("vm", "show"); code != 0 {
		t.Fatalf("exit %d: %s", code, g.errs.String())
	}
	for name, want := range map[string]string{
		"X-Onegate-Token": "VOSTohrMzgFCsy3T7x+gdw==", "X-Onegate-Vmid": "8", "Authorization": "Basic Og==",
		"Accept": "*/*", "User-Agent": "OpenNebula 6.8.3 (Trifid)", "Content-Type": "",
	} {
		if got.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Get(name), want)
		}
	}
	g = newGuest(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() })
	g.vars = map[string]string{"ONEGATE_ENDPOINT": g.vars["ONEGATE_ENDPOINT"] + "/a/path?x"}
	if code := g.do("vm", "resume", "1"); code != 0 || g.requests[0] != `POST /vms/1/action [application/json] {"action":{"perform":"resume"}}` {
		t.Errorf("an endpoint with a path: exit %d, %q", code, g.requests)
	}
	if got.Values("X-Onegate-Token") != nil || got.Values("X-Onegate-Vmid") != nil {
		t.Errorf("headers without values: %v", got)
	}
}

// Exit codes and messages of the OneGate reference, §4.5.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string // on standard error; HELP for the help
	}{
		{"-h", 0, "HELP"},
		{"--help", 0, "HELP"},
		{"vm -h show --nonsense", 0, "HELP"},
		{"", 255, "HELP"},
		{"nonsense", 255, "HELP"},
		{"vm", 255, "HELP\nAction  not supported\n"},
		{"vm dance 8", 255, "HELP\nAction dance not supported\n"},
		{"service stop", 255, "HELP\nAction stop not supported\n"},
		{"vrouter update", 255, "HELP\nAction update not supported\n"},
		{"vnet list", 255, "HELP\nAction list not supported\n"},
		{"watch vnet", 255, "HELP\nAction vnet not supported\n"},
		{"vm update", 255, "You have to provide the data as a param (--data, --erase)\n"},
		{"vm stop", 255, "You have to provide a VM ID\n"},
		{"vm delete -f", 255, "You have to provide a VM ID\n"},
		{"vnet show", 255, "You have to provide a VNET ID\n"},
		{"service scale -c 4", 1, "missing option: --role ROLE\n"},
		{"service scale -r a", 1, "missing option: --cardinality N\n"},
		{"vm show --nonsense", 1, "invalid option: --nonsense\n"},
		{"vm show -x", 1, "invalid option: -x\n"},
		{"vm show -jx", 1, "invalid option: -x\n"},
		{"vm update -d", 1, "missing argument: -d\n"},
		{"vm update --data", 1, "missing argument: --data\n"},
		{"vm show --json=yes", 1, "needless argument: --json=yes\n"},
		{"vm show --e", 1, "ambiguous option: --e\n"},
		{"metrics --interval 0", 255, "--interval \"0\": expected a number of seconds from 1 to 86400\n"},
		{"metrics --once --interval 5", 255, "--once and --interval exclude each other\n"},
	} {
		g := newGuest(t, func(http.ResponseWriter, *http.Request) { t.Errorf("%s: made a request", c.args) })
		code := g.do(strings.Fields(c.args)...)
		if want := strings.Replace(c.want, "HELP", help, 1); code != c.code || g.errs.String() != want || g.out.Len() > 0 {
			t.Errorf("%q: exit %d, want %d; error %q, want %q; out %q", c.args, code, c.code, g.errs.String(), want, g.out.String())
		}
	}
}

func TestServerRefusals(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		code    int
		want    string
	}{
		{"401", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Not authorized", http.StatusUnauthorized) }, 255, "ERROR: \nNot authorized\n"},
		{"500 without newline", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); fmt.Fprint(w, "[one.vm.info] x") }, 255, "ERROR: \n[one.vm.info] x\n"},
		{"empty body", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, 255, "ERROR: \n\n"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, 255, ""},
		{"not JSON", answers("<html>"), 1, "the server's answer: not JSON at byte 0: expected a value\n"},
		{"nothing", answers(""), 1, "the server's answer: not JSON at byte 0: expected a value\n"},
	} {
		g := newGuest(t, c.handler)
		code := g.do("vm", "show")
		if code != c.code || c.want != "" && g.errs.String() != c.want || g.out.Len() > 0 {
			t.Errorf("%s: exit %d, error %q, out %q", c.name, code, g.errs.String(), g.out.String())
		}
		if len(g.requests) != 1 {
			t.Errorf("%s: %d requests", c.name, len(g.requests))
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestUnreachable(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	u, _ := url.Parse(closed.URL)
	g := newGuest(t, nil)
	g.vars["ONEGATE_ENDPOINT"] = closed.URL
	if code := g.do("vm", "show"); code != 255 || !strings.HasPrefix(g.errs.String(), "ERROR: \nError connecting to server (") || !strings.HasSuffix(g.errs.String(), "connection refused).\nServer: "+u.Host+"\n") {
		t.Errorf("refused: exit %d, %q", code, g.errs.String())
	}

	release := make(chan struct{})
	g = newGuest(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	g.timeout = 20 * time.Millisecond
	want := "ERROR: \nError timeout while connected to server (no answer within 20ms).\nServer: " + strings.TrimPrefix(g.vars["ONEGATE_ENDPOINT"], "http://") + "\n"
	if code := g.do("vm", "show"); code != 255 || g.errs.String() != want {
		t.Errorf("silent: exit %d, %q", code, g.errs.String())
	}

	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no route":       {dialError("no route to host", false), "ERROR: \nError connecting to server (dial tcp: no route to host).\nServer: gate:80\n"},
		"connect late":   {dialError("i/o timeout", true), "ERROR: \nError timeout connecting to server (dial tcp: i/o timeout).\nServer: gate:80\n"},
		"something else": {errors.New("boom"), "ERROR: \nError while connected to server (boom).\nServer: gate:80\n"},
	} {
		g := newGuest(t, nil)
		g.vars["ONEGATE_ENDPOINT"] = "http://gate"
		g.transport = func(*url.URL) http.RoundTripper {
			return roundTripper(func(*http.Request) (*http.Response, error) { return nil, c.err })
		}
		if code := g.do("vm", "show"); code != 255 || g.errs.String() != c.want {
			t.Errorf("%s: exit %d, %q", name, code, g.errs.String())
		}
	}
}

func TestBadEnvironment(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"ONEGATE_ENDPOINT", "", "ONEGATE_ENDPOINT is not set, and no context disk was found that says it\n"},
		{"ONEGATE_ENDPOINT", "gate:5030", "ONEGATE_ENDPOINT \"gate:5030\": expected http://host:port or https://host:port\n"},
		{"ONEGATE_ENDPOINT", "ftp://gate", "ONEGATE_ENDPOINT \"ftp://gate\": expected http://host:port or https://host:port\n"},
		{"ONEGATE_ENDPOINT", "http://", "ONEGATE_ENDPOINT \"http://\": expected http://host:port or https://host:port\n"},
		{"http_proxy", "nonsense", "http_proxy \"nonsense\": expected http://host:port\n"},
	} {
		g := newGuest(t, answers(vmDoc))
		g.vars[c.name] = c.value
		if code := g.do("vm", "show"); code != 1 || g.errs.String() != c.want {
			t.Errorf("%s=%q: exit %d, %q", c.name, c.value, code, g.errs.String())
		}
	}
}

func TestProxy(t *testing.T) {
	g := newGuest(t, answers(vmDoc))
	g.vars["http_proxy"] = g.vars["ONEGATE_ENDPOINT"]
	g.vars["ONEGATE_ENDPOINT"] = "http://gate.invalid:5030"
	if code := g.do("vm", "show"); code != 0 || g.requests[0] != "GET http://gate.invalid:5030/vm" {
		t.Errorf("exit %d, %s, %q", code, g.errs.String(), g.requests)
	}
}

// Certificates are not verified, as in the reference.
func TestTLS(t *testing.T) {
	srv := httptest.NewTLSServer(answers(vmDoc))
	defer srv.Close()
	g := newGuest(t, nil)
	g.vars["ONEGATE_ENDPOINT"] = srv.URL
	if code := g.do("vm", "show"); code != 0 || !strings.HasPrefix(g.out.String(), "VM 8\n") {
		t.Errorf("exit %d, %s", code, g.errs.String())
	}
}

func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}, {"vm", "--version"}} {
		g := newGuest(t, nil)
		if code := g.do(args...); code != 0 || g.out.String() != "onegate devel (Trifid), speaks OneGate 6.8.3\n" {
			t.Errorf("%q: exit %d, %q", args, code, g.out.String())
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Unix(1700000000, 0)
	for in, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-7": 0, "soon": 0, "99999999999": 0,
		now.Add(90 * time.Second).UTC().Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).UTC().Format(http.TimeFormat):       0,
	} {
		if got := retryAfter(in, now); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

// dialError is a failure to connect, perhaps for lack of time.
func dialError(text string, late bool) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: cause{text, late}}
}

type cause struct {
	text string
	late bool
}

func (c cause) Error() string { return c.text }
func (c cause) Timeout() bool { return c.late }
