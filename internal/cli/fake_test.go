package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// fakeCore answers XML-RPC calls from documents in testdata/docs, by method, and
// keeps what was asked. A call about object 404 is refused; other methods answer
// with the number 42. It asks for a password as the core does.
type fakeCore struct {
	t *testing.T
	*httptest.Server
	mu    sync.Mutex
	calls []string
}

func newFakeCore(t *testing.T) *fakeCore {
	t.Helper()
	f := &fakeCore{t: t}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

// asked returns the calls since it was asked last.
func (f *fakeCore) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.calls
	f.calls = nil
	return out
}

func (f *fakeCore) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	call, err := xmlrpc.ParseCall(body, xmlrpc.Limits{})
	if err != nil {
		f.t.Errorf("the client sent %s: %v", body, err)
	}
	method := strings.TrimPrefix(call.Method, "one.")
	args := call.Params[1:]
	said := make([]string, len(args))
	for i, a := range args {
		said[i] = argText(a)
	}
	f.mu.Lock()
	f.calls = append(f.calls, method+"("+strings.Join(said, ", ")+")")
	f.mu.Unlock()
	switch {
	case !slices.Contains([]string{"ana:pw", "ana:b94d27", "eve:pw", "eve:secret"}, call.Params[0].Text()):
		fail(w, call.Method, "User couldn't be authenticated, aborting call.", 0x0100)
	case about(method, args) == 404:
		fail(w, call.Method, "Error getting object [404].", 0x0400)
	default:
		f.answer(w, method, args)
	}
}

func (f *fakeCore) answer(w http.ResponseWriter, method string, args []xmlrpc.Value) {
	// The second page of every pool is empty.
	if strings.HasSuffix(method, "pool.info") && len(args) > 1 && args[1].Int64() > 0 {
		reply(w, "<boolean>1</boolean>", "<string>&lt;EMPTY_POOL/&gt;</string>", "<int>0</int>")
		return
	}
	text, err := os.ReadFile(filepath.Join("testdata", "docs", method+".xml"))
	switch {
	case err == nil:
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		for i := range lines {
			lines[i] = strings.TrimSpace(lines[i]) // documents have no blanks between elements
		}
		reply(w, "<boolean>1</boolean>", "<string>"+string(xmlrpc.AppendEscaped(nil, strings.Join(lines, "")))+"</string>", "<int>0</int>")
	case method == "user.login":
		reply(w, "<boolean>1</boolean>", "<string>b94d27</string>", "<int>0</int>")
	case method == "image.restore":
		reply(w, "<boolean>1</boolean>", "<string>9 20 21</string>", "<int>0</int>")
	default:
		reply(w, "<boolean>1</boolean>", "<int>42</int>", "<int>0</int>")
	}
}

func fail(w io.Writer, method, text string, code int) {
	reply(w, "<boolean>0</boolean>", "<string>["+method+"] "+text+"</string>", fmt.Sprintf("<int>%d</int>", code), "<int>-1</int>", "<i8>-1</i8>")
}

func reply(w io.Writer, values ...string) {
	fmt.Fprint(w, `<?xml version="1.0" encoding="UTF-8"?><methodResponse><params><param><value><array><data>`)
	for _, v := range values {
		fmt.Fprint(w, "<value>"+v+"</value>")
	}
	fmt.Fprint(w, "</data></array></value></param></params></methodResponse>")
}

// about returns the object a call is about.
func about(method string, args []xmlrpc.Value) int64 {
	i := 0
	if method == "vm.action" {
		i = 1
	}
	if i < len(args) && args[i].Kind() == xmlrpc.KindInt {
		return args[i].Int64()
	}
	return -1
}

func argText(v xmlrpc.Value) string {
	switch v.Kind() {
	case xmlrpc.KindString:
		return fmt.Sprintf("%q", v.Text())
	case xmlrpc.KindBool:
		return fmt.Sprint(v.Bool())
	case xmlrpc.KindArray:
		parts := []string{}
		for _, e := range v.List() {
			parts = append(parts, argText(e))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return fmt.Sprint(v.Int64())
}

// fakeFlow answers OneFlow requests from testdata/docs, by path.
type fakeFlow struct {
	*httptest.Server
	mu    sync.Mutex
	calls []string
}

func newFakeFlow(t *testing.T) *fakeFlow {
	t.Helper()
	f := &fakeFlow{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		f.mu.Lock()
		f.calls = append(f.calls, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+string(body)))
		f.mu.Unlock()
		user, password, _ := r.BasicAuth()
		switch {
		case user+":"+password != "ana:pw":
			w.WriteHeader(401)
			fmt.Fprint(w, "Invalid credentials")
		case strings.Contains(r.URL.Path, "/404"):
			w.WriteHeader(404)
			fmt.Fprint(w, "[one.document.info] Error getting document [404].")
		case bytes.Contains(body, []byte(`"refuse me"`)):
			line, column := jsontree.Position(body, bytes.Index(body, []byte(`"refuse me"`)))
			w.WriteHeader(400)
			fmt.Fprintf(w, "KEY: 'cooldown' must be an Integer;\nat roles[0].cooldown, line %d column %d: expected an integer of at least 0", line, column)
		case strings.HasSuffix(r.URL.Path, "/simulate"):
			if bytes.Contains(body, []byte(`oops`)) {
				w.WriteHeader(400)
				fmt.Fprint(w, "metrics, line 2 column 3: \"oops\": expected a number, nothing, or -")
				return
			}
			http.ServeFile(w, r, filepath.Join("testdata", "docs", "service_template.3.simulate.json"))
		case r.Header.Get("Accept") == "text/event-stream":
			w.Header().Set("Content-Type", "text/event-stream")
			http.ServeFile(w, r, filepath.Join("testdata", "docs", strings.ReplaceAll(strings.Trim(r.URL.Path, "/"), "/", ".")+".stream"))
		case r.Method == http.MethodGet:
			http.ServeFile(w, r, filepath.Join("testdata", "docs", strings.ReplaceAll(strings.Trim(r.URL.Path, "/"), "/", ".")+".json"))
		case strings.Contains(string(body), `"instantiate"`), strings.Contains(string(body), `"clone"`), r.URL.Path == "/service_template":
			w.WriteHeader(201)
			fmt.Fprint(w, `{"DOCUMENT":{"ID":"42","NAME":"x"}}`)
		default:
			w.WriteHeader(204)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeFlow) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.calls
	f.calls = nil
	return out
}
