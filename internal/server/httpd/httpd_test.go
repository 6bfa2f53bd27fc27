package httpd_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trifid-cloud/trifid/internal/server/httpd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// start runs a server and returns its address and what stops it.
func start(t *testing.T, cfg httpd.Config) (addr string, stop func() error) {
	t.Helper()
	cfg.Addr = "127.0.0.1:0"
	s, err := httpd.Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s.Addr().String(), func() error { cancel(); return <-done }
}

func TestServes(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	addr, stop := start(t, httpd.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(httpd.Body(w, r))
		if err != nil {
			t.Error(err)
		}
		if err := httpd.Answer(w, got); err != nil {
			t.Error(err)
		}
	})})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, text := range []string{"", "short", long} {
		r, err := client.Post("http://"+addr, "text/plain", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		if err != nil || string(got) != text {
			t.Errorf("sent %d bytes, got %d back, %v", len(text), len(got), err)
		}
		if err := r.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A client that does not go on with its request is hung up on.
func TestDawdlers(t *testing.T) {
	addr, stop := start(t, httpd.Config{ReadTimeout: 50 * time.Millisecond, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(httpd.Body(w, r)); err == nil {
			t.Error("a body that never ended was read")
		}
	})})
	for name, text := range map[string]string{
		"header": "POST / HTTP/1.1\r\nHost: a\r\n",
		"body":   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc",
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("%s: the connection is not closed: %v", name, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// What has begun ends when the server stops; the context of requests outlives
// that of the server.
func TestStopDrains(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	addr, stop := start(t, httpd.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-finish
		if err := r.Context().Err(); err != nil {
			t.Errorf("the request's context ended: %v", err)
		}
		if err := httpd.Answer(w, []byte("done")); err != nil {
			t.Error(err)
		}
	})})
	got := make(chan []byte, 1)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	go func() {
		r, err := client.Get("http://" + addr)
		if err != nil {
			t.Error(err)
			close(got)
			return
		}
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_ = r.Body.Close()
		got <- text
	}()
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	close(finish)
	if text := <-got; !bytes.Equal(text, []byte("done")) {
		t.Errorf("got %q", text)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// What does not end within the grace is cut off.
func TestStopCuts(t *testing.T) {
	began := make(chan struct{})
	addr, stop := start(t, httpd.Config{Grace: time.Millisecond, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	})})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	failed := make(chan error, 1)
	go func() {
		r, err := client.Get("http://" + addr)
		if err == nil {
			_ = r.Body.Close()
		}
		failed <- err
	}()
	<-began
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("the request was answered")
	}
}

// Another listener is served as well, until it is closed or the server stops.
func TestAlso(t *testing.T) {
	s, err := httpd.Listen(httpd.Config{Addr: "127.0.0.1:0", Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, end := range []string{"closed", "stopped"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- s.Also(l) }()
		for _, addr := range []net.Addr{l.Addr(), s.Addr()} {
			r, err := client.Get("http://" + addr.String())
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Body.Close(); err != nil {
				t.Error(err)
			}
		}
		if end == "closed" {
			err = l.Close()
		} else {
			stop()
			err = <-ran
		}
		if err := errors.Join(err, <-served); err != nil {
			t.Errorf("%s: %v", end, err)
		}
	}
}

func TestListenRefuses(t *testing.T) {
	if _, err := httpd.Listen(httpd.Config{Addr: "nowhere"}); err == nil {
		t.Error("no error for an address without a port")
	}
	s, err := httpd.Listen(httpd.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
