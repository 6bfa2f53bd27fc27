package daemon

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agent"
	"github.com/trifid-cloud/trifid/internal/config"
)

// An agent alone must be told where the gate is.
func TestLinkLocalNeedsAGate(t *testing.T) {
	c := config.Default()
	c.Gate.LinkLocal = true
	h := &localHost{cfg: c, dir: &dataDir{path: t.TempDir()}, log: slog.New(slog.DiscardHandler)}
	if _, err := h.openGate(t.Context(), agent.Imaginary{}); err == nil || !strings.Contains(err.Error(), "agent.gate") {
		t.Errorf("without a gate: %v", err)
	}
}

// Guests are told where the gate is on their bridge.
func TestLinkLocalEndpoint(t *testing.T) {
	c := settings(t.TempDir())
	c.Gate.LinkLocal = true
	r := start(t, c)
	r.call("template.allocate", "NAME=small\nCPU=0.1\nMEMORY=8\nCONTEXT=[TOKEN=YES]")
	id := r.call("template.instantiate", 0, "", false, "", false).Int
	v, err := r.core.Doc(context.Background(), "vm.info", id)
	if got := v.Get("TEMPLATE/CONTEXT/ONEGATE_ENDPOINT"); err != nil || got != "http://169.254.16.9:5030" {
		t.Errorf("the guest is told %q, %v", got, err)
	}
}

func TestGateDialer(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	plain, secure := httptest.NewServer(hello), httptest.NewUnstartedServer(hello)
	defer plain.Close()
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	secure.StartTLS()
	defer secure.Close()
	dial, err := gateDialer(plain.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}}
	res, err := client.Get("http://169.254.16.9:5030/")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(res.Body); err != nil || string(text) != "hello" {
		t.Errorf("%q, %v", text, err)
	}
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
	// A gate whose certificate nobody vouches for is not the gate.
	if dial, err = gateDialer(secure.URL); err != nil {
		t.Fatal(err)
	}
	if c, err := dial(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a stranger's certificate: %v, %v", c, err)
	}
	if dial, err = gateDialer("https://[::1]/"); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t.Context()); err == nil || !strings.Contains(err.Error(), "[::1]:443") {
		t.Errorf("without a port: %v", err)
	}
}
