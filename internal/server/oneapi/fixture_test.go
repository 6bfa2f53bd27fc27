package oneapi_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"github.com/trifid-cloud/trifid/internal/monitor"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/server/oneapi"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const oneadmin = "oneadmin:" + rig.OneadminPassword

// server is a face over a whole cloud.
type server struct {
	*rig.Rig
	*oneapi.API
	monitor *monitor.Monitor
}

func newServer(t testing.TB) *server {
	t.Helper()
	r := rig.Start(t, storetest.New(t).Store)
	m := monitor.New()
	return &server{Rig: r, API: oneapi.New(oneapi.Options{Cloud: r.Cloud, Monitor: m, Log: r.Log}), monitor: m}
}

// post sends a body and returns the answer's.
func (s *server) post(t testing.TB, body []byte) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, oneapi.Path, bytes.NewReader(body)))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/xml; charset=utf-8" {
		t.Fatalf("HTTP %d, %q: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	return w.Body.Bytes()
}

// call calls a method in a session. Parameters are string, int, bool or []int.
func (s *server) call(t testing.TB, session, method string, params ...any) (xmlrpc.Value, error) {
	t.Helper()
	values := []xmlrpc.Value{xmlrpc.String(session)}
	for _, p := range params {
		switch p := p.(type) {
		case string:
			values = append(values, xmlrpc.String(p))
		case int:
			values = append(values, xmlrpc.Int(p))
		case bool:
			values = append(values, xmlrpc.Bool(p))
		case []int:
			values = append(values, xmlrpc.Ints(p))
		default:
			t.Fatalf("parameter of type %T", p)
		}
	}
	return xmlrpc.ParseAnswer(s.post(t, xmlrpc.AppendCall(nil, method, values...)), xmlrpc.Limits{})
}

// must calls a method as oneadmin and returns its answer.
func (s *server) must(t testing.TB, method string, params ...any) xmlrpc.Value {
	t.Helper()
	v, err := s.call(t, oneadmin, method, params...)
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return v
}

// id calls a method as oneadmin that answers with an id.
func (s *server) id(t testing.TB, method string, params ...any) int {
	t.Helper()
	v := s.must(t, method, params...)
	if v.Kind() != xmlrpc.KindInt {
		t.Fatalf("%s: answered with a %s", method, v.Kind())
	}
	return int(v.Int64())
}

// doc calls a method as oneadmin that answers with a document.
func (s *server) doc(t testing.TB, method string, params ...any) string {
	t.Helper()
	v := s.must(t, method, params...)
	if v.Kind() != xmlrpc.KindString {
		t.Fatalf("%s: answered with a %s", method, v.Kind())
	}
	return v.Text()
}

// refusal returns the failure of an error, or what stands for none.
func refusal(err error) xmlrpc.Failure {
	if f, ok := errors.AsType[*xmlrpc.Failure](err); ok {
		return *f
	}
	return xmlrpc.Failure{Message: "no failure"}
}

func faultOf(err error) xmlrpc.Fault {
	if f, ok := errors.AsType[*xmlrpc.Fault](err); ok {
		return *f
	}
	return xmlrpc.Fault{Message: "no fault"}
}
