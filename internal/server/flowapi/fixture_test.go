package flowapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/flow"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/server/flowapi"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a face over a whole cloud with one host and a user "ana".
type server struct {
	*rig.Rig
	*flowapi.API
	flow *flow.Flow
}

func newServer(t testing.TB) *server {
	t.Helper()
	r := rig.Start(t, storetest.New(t).Store)
	f := flow.New(flow.Options{Store: r.Store, Cloud: r.Cloud, Config: config.Default().Flow, Monitor: r.Monitor, Log: r.Log})
	r.Go("flow", f.Run)
	r.AddHost("sim0", sim.Config{})
	if _, err := r.Cloud.AllocateUser(r.Context(), r.Admin, "ana", "ana:secret", "core", []int{one.UsersGroupID}); err != nil {
		t.Fatal(err)
	}
	r.Template("NAME=vm\nCPU=0.1\nMEMORY=64")
	return &server{Rig: r, API: flowapi.New(flowapi.Options{Cloud: r.Cloud, Flow: f, Log: r.Log}), flow: f}
}

// ask sends a request as a user, "name:password".
func (s *server) ask(user, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if name, password, ok := strings.Cut(user, ":"); ok {
		r.SetBasicAuth(name, password)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

const (
	admin = "oneadmin:" + rig.OneadminPassword
	ana   = "ana:ana:secret"
)

// want asks as oneadmin and compares the status.
func (s *server) want(t testing.TB, status int, method, path, body string) string {
	t.Helper()
	w := s.ask(admin, method, path, body)
	if w.Code != status {
		t.Fatalf("%s %s: status %d, want %d: %s", method, path, w.Code, status, w.Body)
	}
	return w.Body.String()
}

// id asks for a new document and returns its id.
func (s *server) id(t testing.TB, path, body string) int {
	t.Helper()
	var doc struct {
		Document struct {
			ID string `json:"ID"`
		} `json:"DOCUMENT"`
	}
	text := s.want(t, http.StatusCreated, "POST", path, body)
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(doc.Document.ID)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (s *server) waitService(id int, state one.ServiceState) {
	s.Wait(fmt.Sprintf("service %d %s", id, state), func(st *store.State) bool {
		v, ok := st.Services.Get(id)
		return ok && v.State == state
	})
}

func (s *server) waitGone(id int) {
	s.Wait(fmt.Sprintf("service %d gone", id), func(st *store.State) bool {
		_, ok := st.Documents.Get(id)
		return !ok
	})
}

// web is a template of two levels.
const web = `{"name":"web","deployment":"straight","roles":[
	{"name":"db","cardinality":1,"type":"vm","template_id":0},
	{"name":"front","cardinality":2,"type":"vm","template_id":0,"parents":["db"],"min_vms":1,"max_vms":4,"cooldown":0,
	 "elasticity_policies":[{"type":"CHANGE","adjust":1,"expression":"LOAD > 80","period_number":3,"period":10}],
	 "scheduled_policies":[{"type":"CARDINALITY","adjust":2,"recurrence":"0 9 * * mon-fri"}]}]}`

// running registers and instantiates web.
func (s *server) running(t testing.TB) (template, service int) {
	t.Helper()
	template = s.id(t, "/service_template", web)
	service = s.id(t, fmt.Sprintf("/service_template/%d/action", template), `{"action":{"perform":"instantiate"}}`)
	s.waitService(service, one.ServiceRunning)
	return template, service
}
