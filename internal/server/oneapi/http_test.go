package oneapi_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/trifid-cloud/trifid/internal/server/oneapi"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

func TestPathsAndVerbs(t *testing.T) {
	s := newServer(t)
	for _, c := range []struct {
		verb, path string
		code       int
	}{
		{"GET", "/RPC2", 405}, {"HEAD", "/RPC2", 405}, {"PUT", "/RPC2", 405}, {"POST", "/", 404}, {"POST", "/RPC2/", 404}, {"GET", "/", 404}, {"POST", "/rpc2", 404},
	} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(c.verb, c.path, nil))
		if w.Code != c.code || c.code == 405 && w.Header().Get("Allow") != "POST" {
			t.Errorf("%s %s: %d %v", c.verb, c.path, w.Code, w.Header())
		}
	}
}

// Clients say all sorts of things about what they send.
func TestAnyContentType(t *testing.T) {
	s := newServer(t)
	body := xmlrpc.AppendCall(nil, "one.system.version", xmlrpc.String(oneadmin))
	for _, typ := range []string{"", "text/xml", "text/xml; charset=utf-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		r := httptest.NewRequest(http.MethodPost, oneapi.Path, bytes.NewReader(body))
		r.Header.Set("Content-Type", typ)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		v, err := xmlrpc.ParseAnswer(w.Body.Bytes(), xmlrpc.Limits{})
		if err != nil || v.Text() != "6.8.3" || w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) {
			t.Errorf("%q: %v, %v, %v", typ, v, err, w.Header())
		}
	}
}

func TestMalformedCalls(t *testing.T) {
	s := newServer(t)
	for name, c := range map[string]struct {
		body string
		code int
	}{
		"empty":          {"", xmlrpc.FaultParse},
		"no XML":         {"hello", xmlrpc.FaultParse},
		"cut":            {"<methodCall><methodName>one.vm.info</methodName>", xmlrpc.FaultParse},
		"other document": {"<VM/>", xmlrpc.FaultParse},
		"bad UTF-8":      {"<methodCall><methodName>\xff</methodName></methodCall>", xmlrpc.FaultUTF8},
		"too deep":       {"<methodCall><methodName>a</methodName><params><param>" + strings.Repeat("<value><array><data>", 100), xmlrpc.FaultLimit},
	} {
		_, err := xmlrpc.ParseAnswer(s.post(t, []byte(c.body)), xmlrpc.Limits{})
		if f := faultOf(err); f.Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTooLarge(t *testing.T) {
	s := newServer(t)
	small := oneapi.New(oneapi.Options{Cloud: s.Cloud, MaxBytes: 1000})
	for size, code := range map[int]int{900: xmlrpc.FaultParse, 1001: xmlrpc.FaultLimit} {
		w := httptest.NewRecorder()
		small.ServeHTTP(w, httptest.NewRequest(http.MethodPost, oneapi.Path, strings.NewReader(strings.Repeat(" ", size))))
		if _, err := xmlrpc.ParseAnswer(w.Body.Bytes(), xmlrpc.Limits{}); faultOf(err).Code != code {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// gate lets the reading of a body begin and holds it before its end.
type gate struct {
	text io.Reader
	full chan struct{}
	open chan struct{}
	once sync.Once
}

func (g *gate) Read(p []byte) (int, error) {
	n, err := g.text.Read(p)
	if errors.Is(err, io.EOF) {
		g.once.Do(func() { close(g.full) })
		<-g.open
	}
	return n, err
}

// Large calls that are being read leave no room for another one, but for small
// ones; what they held comes back.
func TestReadingBudget(t *testing.T) {
	s := newServer(t)
	const limit = 1 << 20
	api := oneapi.New(oneapi.Options{Cloud: s.Cloud, MaxBytes: limit})
	post := func(body io.Reader) error {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest(http.MethodPost, oneapi.Path, body))
		_, err := xmlrpc.ParseAnswer(w.Body.Bytes(), xmlrpc.Limits{})
		return err
	}
	small := xmlrpc.AppendCall(nil, "one.system.version", xmlrpc.String(oneadmin))
	large := append(bytes.Clone(small), bytes.Repeat([]byte(" "), limit-len(small))...)
	const room = 4 // large calls, and what each has for nothing
	open, done := make(chan struct{}), make(chan error, room)
	for range room {
		g := &gate{text: bytes.NewReader(large), full: make(chan struct{}), open: open}
		go func() { done <- post(g) }()
		<-g.full
	}
	if err := post(bytes.NewReader(large)); faultOf(err).Code != xmlrpc.FaultLimit {
		t.Errorf("one large call too many: %v", err)
	}
	if err := post(bytes.NewReader(small)); err != nil {
		t.Errorf("a small call: %v", err)
	}
	close(open)
	for range room {
		if err := <-done; err != nil {
			t.Errorf("a large call: %v", err)
		}
	}
	if err := post(bytes.NewReader(large)); err != nil {
		t.Errorf("a large call later: %v", err)
	}
}

// Whatever is sent, what comes back is an answer of XML-RPC.
func FuzzCall(f *testing.F) {
	s := newServer(f)
	for _, method := range []string{"one.vm.info", "one.vmpool.info", "one.template.allocate", "one.user.allocate", "one.no.such"} {
		f.Add(xmlrpc.AppendCall(nil, method, xmlrpc.String(oneadmin), xmlrpc.Int(0), xmlrpc.Int(-1), xmlrpc.Int(-1), xmlrpc.Int(-2)))
		f.Add(xmlrpc.AppendCall(nil, method, xmlrpc.String(oneadmin), xmlrpc.String(`A=1 NAME="x]"`), xmlrpc.Bool(true)))
	}
	f.Add([]byte("<methodCall>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, err := xmlrpc.ParseAnswer(s.post(t, body), xmlrpc.Limits{})
		var fault *xmlrpc.Fault
		var failure *xmlrpc.Failure
		if err != nil && !errors.As(err, &fault) && !errors.As(err, &failure) {
			t.Errorf("%q: %v", body, err)
		}
		if fault != nil && fault.Code == xmlrpc.FaultInternal {
			t.Errorf("%q: %v", body, err)
		}
	})
}
