package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

const (
	head = `<?xml version="1.0" encoding="UTF-8"?><methodResponse>`
	tail = `</methodResponse>`
)

func array(values ...string) string {
	return head + "<params><param><value><array><data><value>" + strings.Join(values, "</value><value>") +
		"</value></data></array></value></param></params>" + tail
}

// serve answers every request with what answer makes of its body.
func serve(t *testing.T, answer func(body string) (status int, text string)) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		status, text := answer(string(body))
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}))
	t.Cleanup(s.Close)
	return s
}

func core(t *testing.T, url string, pageSize int) *client.Core {
	t.Helper()
	c, err := client.NewCore(client.Config{Endpoint: url, Session: "ana:p&w", Timeout: time.Minute, PageSize: pageSize})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCall(t *testing.T) {
	cases := []struct {
		name, answer string
		want         client.Result
		err          string
		code         int
	}{
		{"number", array("<boolean>1</boolean>", "<i4>7</i4>", "<i4>0</i4>"), client.Result{Int: 7}, "", 0},
		{"text", array("<boolean>1</boolean>", "<string>a&lt;b</string>", "<int>0</int>"), client.Result{Text: "a<b"}, "", 0},
		{"bare text", array("<boolean>1</boolean>", "6.8.3", "<int>0</int>"), client.Result{Text: "6.8.3"}, "", 0},
		{"refusal", array("<boolean>0</boolean>", "<string>[one.vm.info] Error getting virtual machine [5].</string>", "<int>1024</int>", "<int>5</int>", "<i8>-1</i8>"),
			client.Result{}, "[one.vm.info] Error getting virtual machine [5].", client.CodeNoExists},
		{"fault", head + "<fault><value><struct><member><name>faultCode</name><value><int>-506</int></value></member><member><name>faultString</name><value><string>Method 'one.x' not defined</string></value></member></struct></value></fault>" + tail,
			client.Result{}, "Method 'one.x' not defined", -506},
		{"no XML", "hello", client.Result{}, "did not answer as OpenNebula does", 0},
		{"other XML", "<html/>", client.Result{}, "did not answer as OpenNebula does", 0},
		{"short array", array("<boolean>1</boolean>"), client.Result{}, "did not answer as OpenNebula does", 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var sent string
			s := serve(t, func(body string) (int, string) { sent = body; return 200, c.answer })
			got, err := core(t, s.URL, 0).Call(context.Background(), "vm.x", 5, "t<&>", true, false, []int{1, 2})
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %v, want %q", err, c.err)
			}
			var refusal *client.Error
			if c.code != 0 && (!errors.As(err, &refusal) || refusal.Code != c.code) {
				t.Errorf("got code of %v, want %d", err, c.code)
			}
			call, err := xmlrpc.ParseCall([]byte(sent), xmlrpc.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			args := call.Args()
			if call.Method != "one.vm.x" || args.Text(0) != "ana:p&w" || args.Int(1) != 5 || args.Text(2) != "t<&>" ||
				!args.Bool(3) || args.Bool(4) || !slices.Equal(args.Ints(5), []int{1, 2}) || args.Len() != 6 || args.Err() != nil {
				t.Errorf("the server was called with %s", sent)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, err = core(t, "http://"+addr+"/RPC2", 0).Call(context.Background(), "vm.info", 1)
	var conn *client.ConnError
	if !errors.As(err, &conn) || !conn.Refused || conn.Addr != addr {
		t.Fatalf("got %v", err)
	}
	if want := "Failed to open TCP connection to " + addr + " (Connection refused)"; err.Error() != want {
		t.Errorf("got %s, want %s", err, want)
	}
	if conn.FlowStatus() != 503 || conn.FlowText() != "Error connecting to server (connection refused).\nServer: "+addr {
		t.Errorf("flow says %d %s", conn.FlowStatus(), conn.FlowText())
	}

	s := serve(t, func(string) (int, string) { return 502, "bad gateway" })
	if _, err = core(t, s.URL, 0).Call(context.Background(), "vm.info", 1); !errors.As(err, &conn) || conn.Refused {
		t.Errorf("got %v", err)
	}

	release := make(chan struct{})
	s = serve(t, func(string) (int, string) { <-release; return 200, "" })
	defer close(release)
	c, err := client.NewCore(client.Config{Endpoint: s.URL, Session: "a:b", Timeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Call(context.Background(), "vm.info", 1); !errors.As(err, &conn) || !conn.Timeout || conn.FlowStatus() != 504 {
		t.Errorf("got %v", err)
	}
}

func TestEndpointIsChecked(t *testing.T) {
	for _, bad := range []string{"", "localhost:2633", "ftp://x/", "http://", "http://%zz/"} {
		if _, err := client.NewCore(client.Config{Endpoint: bad}); err == nil {
			t.Errorf("endpoint %q was accepted", bad)
		}
	}
	if _, err := client.NewFlow(client.Config{Endpoint: "https://x/", CertDir: "/nowhere"}); err == nil {
		t.Error("a missing ONE_CERT_DIR was accepted")
	}
}

func TestPage(t *testing.T) {
	pools := map[string]string{
		"-2 -1 -1": "<P><A>1</A><A>2</A><A>3</A></P>", // everything at once
		"-2 0 -2":  "<P><A>1</A><A>2</A></P>", "-2 2 -2": "<P><A>3</A><A>4</A></P>", "-2 4 -2": "<P></P>",
		"-2 0 -3": "<P><A>1</A><A>2</A><A>3</A></P>", "-2 3 -3": "<P><A>4</A></P>",
	}
	s := serve(t, func(body string) (int, string) {
		var args []string
		for _, p := range strings.Split(body, "<param>")[2:] {
			p = strings.NewReplacer("<value>", "", "<int>", "", "<i4>", "").Replace(p)
			n, _, _ := strings.Cut(p, "<")
			args = append(args, n)
		}
		if args[len(args)-1] != "9" {
			t.Errorf("the call ends in %v", args)
		}
		key := strings.Join(args[:3], " ")
		pool, ok := pools[key]
		if !ok {
			t.Errorf("unexpected page %s", key)
		}
		return 200, array("<boolean>1</boolean>", "<string>"+strings.NewReplacer("<", "&lt;").Replace(pool)+"</string>", "<int>0</int>")
	})
	for size, want := range map[int]string{0: "1,2,3", 2: "1,2,3,4", 3: "1,2,3,4"} {
		pool, err := core(t, s.URL, size).Page(context.Background(), "vmpool.info", client.All, 9)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(pool.Texts("A"), ","); got != want {
			t.Errorf("pages of %d: got %s, want %s", size, got, want)
		}
	}
}

func TestFlow(t *testing.T) {
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		got = fmt.Sprintf("%s %s %s %s:%s %s %s", r.Method, r.URL.Path, body, user, password, r.UserAgent(), r.Header.Get("Content-Type"))
		if r.URL.Path == "/service/9" {
			w.WriteHeader(404)
			fmt.Fprint(w, "[one.document.info] Error getting document [9].")
			return
		}
		fmt.Fprint(w, `{"ok":true}`)
	}))
	defer s.Close()
	f, err := client.NewFlow(client.Config{Endpoint: s.URL + "/", Session: "ana:p:w", Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := f.Do(context.Background(), "POST", "/service_template", map[string]any{"name": "x"})
	if err != nil || string(answer) != `{"ok":true}` {
		t.Errorf("got %s, %v", answer, err)
	}
	if want := `POST /service_template {"name":"x"} ana:p:w OpenNebula 6.8.3 (CLI) application/json`; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	_, err = f.Do(context.Background(), "GET", "/service/9", nil)
	var refusal *client.Error
	if !errors.As(err, &refusal) || refusal.Code != 404 || refusal.Msg != "[one.document.info] Error getting document [9]." {
		t.Errorf("got %v", err)
	}
}
