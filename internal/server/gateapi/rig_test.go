package gateapi_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/gate"
	"github.com/trifid-cloud/trifid/internal/gatetoken"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/server/gateapi"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds a wait: it is reached only when something is broken.
const patience = 30 * time.Second

// gateRig is a running cloud with a gate.
type gateRig struct {
	*rig.Rig
	gate   *gate.Gate
	api    *gateapi.API
	server *httptest.Server
	flow   *fakeFlow
}

// fakeFlow takes down what was asked of services.
type fakeFlow struct {
	asked []string
	err   error
}

func (f *fakeFlow) Scale(_ context.Context, owner auth.Caller, service int, role string, cardinality int) error {
	f.asked = append(f.asked, owner.Name+" "+strconv.Itoa(service)+" "+role+" "+strconv.Itoa(cardinality))
	return f.err
}

type settings struct {
	gate func(*gate.Options)
	api  gateapi.Options
}

// newRig starts a cloud without hosts, with a gate.
func newRig(t testing.TB, s settings) *gateRig {
	t.Helper()
	r := &gateRig{Rig: rig.Start(t, storetest.New(t).Store), flow: &fakeFlow{}}
	o := gate.Options{Cloud: r.Cloud, Flow: r.flow, Config: config.Default().Gate, Feed: r.Store, Log: slog.New(slog.DiscardHandler)}
	if s.gate != nil {
		s.gate(&o)
	}
	var err error
	if r.gate, err = gate.New(o); err != nil {
		t.Fatal(err)
	}
	r.Go("gate", r.gate.Run)
	r.api = gateapi.New(r.gate, s.api)
	r.server = httptest.NewServer(r.api)
	t.Cleanup(func() {
		r.Stop() // lets those go who wait
		r.server.Close()
	})
	return r
}

const creatorPassword = "6ffcfbf1431c69c8a57fb79810e28b22c0278fd8d30190ed00391a3498579831"

// user makes an ordinary user.
func (r *gateRig) user(name string) *one.User {
	u := &one.User{Name: name, GID: one.UsersGroupID, GName: "users", Groups: []int{one.UsersGroupID}, AuthDriver: "core"}
	r.Do(func(tx *store.Tx) {
		u.ID = tx.NextID("user", 0)
		u.Template = tmpl.New(tmpl.Single("TOKEN_PASSWORD", creatorPassword))
		tx.PutUser(u)
	})
	return u
}

// vm puts a VM as it would be after it was created with a token by the user.
func (r *gateRig) vm(u *one.User, change func(*one.VM)) *one.VM {
	v := &one.VM{VMCore: one.VMCore{
		Meta:  one.Meta{UID: u.ID, GID: u.GID, UName: u.Name, GName: u.GName, Perms: 0o600},
		State: one.VMActive, LCM: one.LCMRunning, STime: 1700000000, ServiceID: -1, VRouterID: -1,
		Template: tmpl.New(tmpl.Single("CREATED_BY", strconv.Itoa(u.ID)), tmpl.Single("CPU", "1"), tmpl.Single("MEMORY", "64")),
	}}
	r.Do(func(tx *store.Tx) {
		v.ID = tx.NextID("vm", 0)
		v.Name = "vm-" + strconv.Itoa(v.ID)
		if change != nil {
			change(v)
		}
		tx.PutVM(v)
	})
	return v
}

// token returns the token of a VM.
func token(t testing.TB, v *one.VM) string {
	t.Helper()
	s, err := gatetoken.New(creatorPassword, v.ID, v.STime)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask makes a request as the VM's guest (nil: as nobody); header holds name,
// value, name, value, ….
func (r *gateRig) ask(v *one.VM, method, path, body string, header ...string) answer {
	r.T.Helper()
	req, err := http.NewRequestWithContext(r.T.Context(), method, r.server.URL+path, strings.NewReader(body))
	if err != nil {
		r.T.Fatal(err)
	}
	if v != nil {
		req.Header.Set("X-ONEGATE-TOKEN", token(r.T, v))
		req.Header.Set("X-ONEGATE-VMID", strconv.Itoa(v.ID))
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i+1] == "" {
			req.Header.Del(header[i])
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	res, err := r.server.Client().Do(req)
	if err != nil { // no Fatal: tests ask from many goroutines
		r.T.Error(err)
		return answer{}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.T.Error(err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

// want fails unless the answer has the status and the body.
func (r *gateRig) want(what string, a answer, status int, body string) {
	r.T.Helper()
	if a.status != status || a.body != body {
		r.T.Errorf("%s: %d %q, want %d %q", what, a.status, a.body, status, body)
	}
}

// now returns a VM as it is.
func (r *gateRig) now(v *one.VM) *one.VM {
	n, ok := r.Store.View().VM(v.ID)
	if !ok {
		r.T.Fatalf("VM %d is gone", v.ID)
	}
	return n
}

// A guest of a VM that the cloud made itself, on a simulated host.
func TestGuestOfACloud(t *testing.T) {
	r := newRig(t, settings{})
	r.AddHost("sim", sim.Config{})
	id := r.Instantiate(r.Template(`NAME=web CPU=1 MEMORY=64 CONTEXT=[TOKEN="YES",NETWORK="YES"] NOTE="a \"b\""`), "web")
	v := r.WaitVM(id, one.VMActive, one.LCMRunning)
	admin, _ := r.Store.View().Users.Get(one.OneadminID)
	made, err := gatetoken.New(admin.Template.Get("TOKEN_PASSWORD"), v.ID, v.STime)
	if err != nil {
		t.Fatal(err)
	}
	a := r.ask(v, "GET", "/vm", "", "X-ONEGATE-TOKEN", made)
	r.want("GET /vm", a, 200, `{"VM":{"NAME":"web","ID":"0","STATE":"3","LCM_STATE":"3","USER_TEMPLATE":{"NOTE":"a \"b\""},"TEMPLATE":{"NIC":[],"NIC_ALIAS":[]}}}`)
	if got := a.header.Get("Content-Type"); got != "application/json;charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	if got := a.header.Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("X-Content-Type-Options %q", got)
	}
	r.want("PUT /vm", r.ask(v, "PUT", "/vm", "LOAD = 85", "X-ONEGATE-TOKEN", made), 200, "")
	if got := r.now(v).UserTemplate.Get("LOAD"); got != "85" {
		t.Errorf("LOAD is %q", got)
	}
	b := r.ask(v, "GET", "/vm", "", "X-ONEGATE-TOKEN", made)
	if b.body == a.body || b.header.Get("ETag") == a.header.Get("ETag") {
		t.Error("the document or its tag did not change")
	}
	r.want("unchanged", r.ask(v, "GET", "/vm", "", "X-ONEGATE-TOKEN", made, "If-None-Match", b.header.Get("ETag")), 304, "")
	r.want("someone else", r.ask(v, "GET", "/vm", "", "X-ONEGATE-TOKEN", "x"+made[1:]), 401, "Not authorized")
}

func itoa(n int) string { return strconv.Itoa(n) }

// tokenOf returns the token of a VM that a user created.
func tokenOf(t testing.TB, creator *one.User, v *one.VM) string {
	t.Helper()
	s, err := gatetoken.New(creator.Template.Get("TOKEN_PASSWORD"), v.ID, v.STime)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
