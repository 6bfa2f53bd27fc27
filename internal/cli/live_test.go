package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/trifid-cloud/trifid/internal/cli"
	"github.com/trifid-cloud/trifid/internal/golden"
)

// until is what a command prints; it interrupts the command after a text.
type until struct {
	text   string
	cancel context.CancelFunc
	mu     sync.Mutex
	got    bytes.Buffer
}

func (u *until) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.got.Write(p)
	if strings.Contains(u.got.String(), u.text) {
		u.cancel()
	}
	return len(p), nil
}

// top goes on until it is interrupted, with a list or with one service.
func TestFlowTop(t *testing.T) {
	for last, args := range map[string][]string{
		"FAILED_DEPLOYING": {"top", "--delay", "1"},
		"RUNNING\n":        {"top", "7", "--delay", "1"},
	} {
		s := newStage(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		out := &until{text: last, cancel: cancel}
		var said bytes.Buffer
		code := cli.Run(ctx, "oneflow", args, cli.IO{Out: out, Err: &said, Getenv: func(name string) string { return s.env[name] }})
		if code != 0 || said.Len() > 0 {
			t.Errorf("%v: exit code %d, %s", args, code, &said)
		}
		if asked := s.flow.asked(); len(asked) == 0 {
			t.Errorf("%v: nothing was asked", args)
		}
	}
}

// A stream that breaks off is taken up where it was.
func TestFollowAgain(t *testing.T) {
	var lasts []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lasts = append(lasts, r.Header.Get("Last-Event-ID"))
		switch len(lasts) {
		case 1:
			fmt.Fprint(w, "id: 5\nevent: state\ndata: {\"text\":\"one\"}\n\n")
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			fmt.Fprint(w, "id: 6\nevent: state\ndata: {\"text\":\"two\"}\n\nevent: gone\ndata: {\"type\":\"gone\",\"text\":\"gone\"}\n\n")
		}
	}))
	t.Cleanup(web.Close)
	var out, said bytes.Buffer
	code := cli.Run(t.Context(), "oneflow", []string{"events", "7", "--follow", "--server", web.URL, "--username", "ana", "--password", "pw"},
		cli.IO{Out: &out, Err: &said, Getenv: func(string) string { return "" }})
	if code != 0 || said.Len() > 0 || strings.Join(lasts, ",") != ",5,5" {
		t.Errorf("exit code %d, asked after %q: %s", code, lasts, &said)
	}
	if got := out.String(); strings.Count(got, "\n") != 3 || !strings.Contains(got, "one\n") || !strings.Contains(got, "two\n") {
		t.Errorf("got\n%s", got)
	}
}

// The picture and the page of a simulation stand by themselves.
func TestSimulationFiles(t *testing.T) {
	s := newStage(t)
	for flag, name := range map[string]string{"--svg": "simulate.svg", "--html": "simulate.html"} {
		path := filepath.Join(t.TempDir(), name)
		var out, said bytes.Buffer
		code := cli.Run(t.Context(), "oneflow-template", []string{"simulate", "3", "testdata/files/load.csv", flag, path}, cli.IO{
			Out: &out, Err: &said, Getenv: func(name string) string { return s.env[name] },
		})
		if code != 0 {
			t.Fatalf("%s: exit code %d: %s", flag, code, &said)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		golden.Check(t, filepath.Join("testdata", name), string(got))
		for _, far := range []string{"<script", "href", "src=", "url(", "@import"} {
			if bytes.Contains(got, []byte(far)) {
				t.Errorf("%s refers to something outside: %s", name, far)
			}
		}
	}
}
