package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds a wait: it is reached only when something is broken.
const patience = time.Minute

// running is a server of a test.
type running struct {
	t     *testing.T
	dir   string
	out   written
	log   written
	stop  func() // asks it to stop; nil when it has ended
	ended chan error
	at    Endpoints
	core  *client.Core
	flow  *client.Flow
}

// written collects what is written, and tells of it.
type written struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{} // has room for one
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
	return w.buf.Write(p)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// settings are those of a server on a directory, with simulated hosts and ports
// of the kernel's choice.
func settings(dir string) config.Config {
	c := config.Default()
	c.Data, c.Hypervisor.Driver = dir, "sim"
	for _, face := range []*string{&c.Listen.Core, &c.Listen.Flow, &c.Listen.Gate} {
		*face = "127.0.0.1:0"
	}
	return c
}

func newRunning(t *testing.T, dir string, stop func()) *running {
	r := &running{t: t, dir: dir, stop: stop, ended: make(chan error, 1)}
	r.out.more, r.log.more = make(chan struct{}, 1), make(chan struct{}, 1)
	return r
}

// begin starts a server and returns when it has ended or is ready.
func begin(t *testing.T, c config.Config) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := newRunning(t, c.Data, stop)
	go func() {
		r.ended <- Run(ctx, Options{Config: c, Version: "test", Agent: true, Log: slog.New(slog.NewTextHandler(&r.log, nil)), Out: &r.out})
	}()
	r.awaitReady()
	return r
}

// awaitReady waits until the server says that it is ready, or has ended.
func (r *running) awaitReady() {
	r.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for !strings.Contains(r.out.String(), "trifid: ready\n") {
		select {
		case <-r.out.more:
		case err := <-r.ended:
			r.ended <- err
			return
		case <-deadline.C:
			r.t.Fatalf("the server does not become ready:\n%s", &r.log)
		}
	}
}

// start starts a server that is stopped with the test.
func start(t *testing.T, c config.Config) *running {
	t.Helper()
	r := begin(t, c)
	t.Cleanup(func() {
		if r.stop != nil {
			r.end()
		}
	})
	r.connect()
	return r
}

// connect makes the clients of a server that is ready.
func (r *running) connect() {
	t := r.t
	t.Helper()
	select {
	case err := <-r.ended:
		r.stop = nil
		t.Fatalf("the server has ended: %v\n%s", err, &r.log)
	default:
	}
	text, err := os.ReadFile(filepath.Join(r.dir, "run/endpoints.json"))
	if err == nil {
		err = json.Unmarshal(text, &r.at)
	}
	if err != nil {
		t.Fatalf("endpoints.json: %v\n%s", err, text)
	}
	env := client.Env{Getenv: func(string) string { return "" }, DataDir: r.dir, VarDir: t.TempDir()}
	conf, err := env.Core(client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.core, err = client.NewCore(conf); err != nil {
		t.Fatal(err)
	}
	if conf, err = env.Flow(client.Options{}); err != nil {
		t.Fatal(err)
	}
	if r.flow, err = client.NewFlow(conf); err != nil {
		t.Fatal(err)
	}
}

// end stops the server as a signal does, and checks that it ends well.
func (r *running) end() {
	r.t.Helper()
	r.stop()
	r.stop = nil
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	select {
	case err := <-r.ended:
		if err != nil {
			r.t.Errorf("the server ends with %v", err)
		}
	case <-time.After(patience):
		r.t.Fatalf("the server does not stop:\n%s", &r.log)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "run/endpoints.json")); !errors.Is(err, fs.ErrNotExist) {
		r.t.Errorf("after the stop endpoints.json: %v", err)
	}
}

// quiet checks that nothing was logged that asks for attention, and no part
// named twice.
func (r *running) quiet() {
	r.t.Helper()
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, "component=etcd") && (strings.Contains(line, "too long") || strings.Contains(line, "slow")) {
			continue // of a busy machine it is right to say so
		}
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") || strings.Count(line, "component=") != 1 {
			r.t.Errorf("logged: %s", line)
		}
	}
}

func (r *running) call(method string, args ...any) client.Result {
	r.t.Helper()
	res, err := r.core.Call(context.Background(), method, args...)
	if err != nil {
		r.t.Fatalf("%s%v: %v", method, args, err)
	}
	return res
}

// until asks again and again until is says that the answer is the one.
func until(t *testing.T, what string, is func() (now string, ok bool)) {
	t.Helper()
	deadline, again := time.NewTimer(patience), time.NewTicker(5*time.Millisecond)
	defer deadline.Stop()
	defer again.Stop()
	for {
		now, ok := is()
		if ok {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("never came: %s\n%s", what, now)
		}
	}
}

// vms returns the VMs that are not in DONE.
func (r *running) vms() []*doc.Node {
	r.t.Helper()
	pool, err := r.core.Doc(context.Background(), "vmpool.infoextended", client.All, -1, -1, -1, "")
	if err != nil {
		r.t.Fatal(err)
	}
	return pool.All("VM")
}

// awaitVMs waits until there are n VMs in a state "STATE/LCM_STATE".
func (r *running) awaitVMs(n int, state string) []*doc.Node {
	r.t.Helper()
	var all []*doc.Node
	until(r.t, fmt.Sprintf("%d VMs in %s", n, state), func() (string, bool) {
		all = r.vms()
		got, now := 0, ""
		for _, v := range all {
			s := v.Get("STATE") + "/" + v.Get("LCM_STATE")
			now += fmt.Sprintf("VM %s: %s\n", v.Get("ID"), s)
			if s == state {
				got++
			}
		}
		return now, got == n && len(all) == n
	})
	return all
}

const active = "3/3" // ACTIVE, RUNNING

func TestFreshDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	r := start(t, settings(dir))
	for _, want := range []string{r.at.Core, r.at.Flow, r.at.Gate, dir, "auth/one_auth"} {
		if want == "" || !strings.Contains(r.out.String(), want) {
			t.Errorf("%q is not announced:\n%s", want, &r.out)
		}
	}
	if v := r.call("system.version").Text; v != "6.8.3" {
		t.Errorf("version: %q", v)
	}
	for name, c := range map[string]struct {
		url    string
		status int
	}{"flow": {r.at.Flow + "/service", http.StatusUnauthorized}, "gate": {r.at.Gate + "/vm", http.StatusUnauthorized}} {
		res, err := http.Get(c.url)
		if err != nil {
			t.Errorf("%s, asked once: %v", name, err)
			continue
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		if res.StatusCode != c.status {
			t.Errorf("%s without credentials: %s", name, res.Status)
		}
	}
	checkModes(t, dir)
	r.end()
	r.quiet()
}

// checkModes checks who may read what a server keeps.
func checkModes(t *testing.T, dir string) {
	t.Helper()
	for name, want := range map[string]fs.FileMode{
		"": 0o711, "store": 0o700, "auth": 0o700, "agent": 0o700, "sim": 0o700, "log": 0o700, "datastores": 0o711, "run": 0o711,
		"run/endpoints.json": 0o644, "run/lock": 0o600,
	} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s/%s: %v, %v; expected %v", dir, name, st.Mode(), err, want)
		}
	}
	secrets, err := os.ReadDir(filepath.Join(dir, "auth"))
	if err != nil || len(secrets) != 6 {
		t.Errorf("credentials: %v, %v", secrets, err)
	}
	for _, s := range secrets {
		if st, err := s.Info(); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("auth/%s: %v, %v; expected 0600", s.Name(), st.Mode(), err)
		}
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	dir := t.TempDir()
	first := start(t, settings(dir))
	second := begin(t, settings(dir))
	err := <-second.ended
	if want := fmt.Sprintf("in use by another trifid, process %d: stop that first, or give another --data", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the second server: %v; expected %q", err, want)
	}
	first.call("system.version") // and is not harmed
	if _, err := os.Stat(filepath.Join(dir, "run/endpoints.json")); err != nil {
		t.Error(err)
	}
}

// A server that is started again finds all it had; guests did not notice.
func TestStopAndStartAgain(t *testing.T) {
	dir := t.TempDir()
	c := settings(dir)
	r := start(t, c)
	r.call("template.allocate", "NAME=small\nCPU=0.1\nMEMORY=8")
	r.call("template.instantiate", 0, "kept", false, "", false)
	r.call("user.allocate", "ana", "secret", "", []int{})
	before := r.awaitVMs(1, active)[0]
	service := r.service("web", 2)
	r.awaitService(service, 2)
	// More than can be done before the server stops.
	c.Hypervisor.Sim.BootTime = config.Duration(20 * time.Millisecond)
	for range 20 {
		r.call("template.instantiate", 0, "", false, "", false)
	}
	r.end()
	r.quiet()

	r = start(t, c)
	var after *doc.Node
	for _, v := range r.awaitVMs(23, active) {
		if v.Get("ID") == before.Get("ID") {
			after = v
		}
	}
	for _, path := range []string{"NAME", "STIME", "DEPLOY_ID", "HISTORY_RECORDS/HISTORY/SEQ", "HISTORY_RECORDS/HISTORY/RSTIME"} {
		if before.Get(path) == "" || after.Get(path) != before.Get(path) {
			t.Errorf("%s of the VM that kept running is %q, was %q", path, after.Get(path), before.Get(path))
		}
	}
	until(t, "the host is monitored", func() (string, bool) {
		h, err := r.core.Doc(context.Background(), "host.info", 0)
		return fmt.Sprint(err), err == nil && h.Get("STATE") == "2"
	})
	r.awaitService(service, 2)
	if u, err := r.core.Doc(context.Background(), "user.info", 2); err != nil || u.Get("NAME") != "ana" {
		t.Errorf("the user: %v, %v", u.Get("NAME"), err)
	}
	// It goes on working.
	r.call("vm.action", "terminate-hard", 0)
	r.awaitVMs(22, active)
	r.end()
	r.quiet()
}

// service instantiates a service of one role and returns its id.
func (r *running) service(name string, cardinality int) string {
	r.t.Helper()
	template := map[string]any{"name": name, "deployment": "straight", "roles": []any{
		map[string]any{"name": "node", "cardinality": cardinality, "vm_template": 0, "min_vms": 1, "max_vms": 9},
	}}
	made := r.rest(http.MethodPost, "/service_template", template)
	id := made["DOCUMENT"].(map[string]any)["ID"]
	run := r.rest(http.MethodPost, fmt.Sprintf("/service_template/%v/action", id), map[string]any{
		"action": map[string]any{"perform": "instantiate", "params": map[string]any{"merge_template": map[string]any{"name": name}}},
	})
	return fmt.Sprint(run["DOCUMENT"].(map[string]any)["ID"])
}

func (r *running) rest(method, path string, body any) map[string]any {
	r.t.Helper()
	answer, err := r.flow.Do(context.Background(), method, path, body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	var out map[string]any
	if err := json.Unmarshal(answer, &out); err != nil {
		r.t.Fatalf("%s %s: %v in %s", method, path, err, answer)
	}
	return out
}

// role returns the state of a service of one role, how many VMs that should have
// and has.
func (r *running) role(service string) (state float64, cardinality, nodes int) {
	r.t.Helper()
	body := r.rest(http.MethodGet, "/service/"+service, nil)["DOCUMENT"].(map[string]any)["TEMPLATE"].(map[string]any)["BODY"].(map[string]any)
	role := body["roles"].([]any)[0].(map[string]any)
	list, _ := role["nodes"].([]any)
	return body["state"].(float64), int(role["cardinality"].(float64)), len(list)
}

// awaitService waits until a service is RUNNING with so many VMs.
func (r *running) awaitService(id string, n int) {
	r.t.Helper()
	until(r.t, "service "+id+" is running", func() (string, bool) {
		state, _, nodes := r.role(id)
		return fmt.Sprint(state, nodes), state == 2 && nodes == n
	})
}

// A start that fails says what to do, and leaves nothing open: the same server
// starts when the cause is gone.
func TestAddressInUse(t *testing.T) {
	for _, key := range []string{"core", "flow", "gate", "agents"} {
		t.Run(key, func(t *testing.T) {
			c := settings(t.TempDir())
			c.Listen.Agents = "127.0.0.1:0"
			addr := map[string]*string{"core": &c.Listen.Core, "flow": &c.Listen.Flow, "gate": &c.Listen.Gate, "agents": &c.Listen.Agents}
			// Every face has a port that is free now, and one has not.
			for name, to := range addr {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				*to = l.Addr().String()
				if name == key {
					defer l.Close()
				} else if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			err := <-begin(t, c).ended
			for _, want := range []string{*addr[key], "address already in use", "another program listens there", "another address in listen." + key} {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error %v does not say %q", err, want)
				}
			}
			*addr[key] = "127.0.0.1:0"
			start(t, c).call("system.version")
		})
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	for what, c := range map[string]struct {
		spoil func(*config.Config)
		want  string
	}{
		"credentials": {func(*config.Config) {
			if err := os.WriteFile(filepath.Join(dir, "auth/one_auth"), []byte("nonsense\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "auth/one_auth: expected one line oneadmin:<secret>"},
		"gate": {func(c *config.Config) { c.Gate.RestrictedAttrs = []string{"A/B/C"} }, "gate.restricted_attrs"},
	} {
		t.Run(what, func(t *testing.T) {
			good := settings(dir)
			good.Listen.Agents = "127.0.0.1:0"
			first := start(t, good)
			good.Listen.Core = strings.TrimSuffix(strings.TrimPrefix(first.at.Core, "http://"), "/RPC2")
			first.end()
			secret, err := os.ReadFile(filepath.Join(dir, "auth/one_auth"))
			if err != nil {
				t.Fatal(err)
			}
			bad := good
			c.spoil(&bad)
			if err := <-begin(t, bad).ended; err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; expected %q", err, c.want)
			}
			if err := os.WriteFile(filepath.Join(dir, "auth/one_auth"), secret, 0o600); err != nil {
				t.Fatal(err)
			}
			start(t, good).call("system.version")
		})
	}
}
