package gateapi_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/server/gateapi"
)

// writeCertificate writes a certificate for a name, dated so many seconds on.
func writeCertificate(t *testing.T, dir, name string, seconds int, parts ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		block := &pem.Block{Type: "CERTIFICATE", Bytes: der}
		if part == "key" {
			block = &pem.Block{Type: "PRIVATE KEY", Bytes: private}
		}
		path := filepath.Join(dir, part)
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1_700_000_000+int64(seconds), 0)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificateIsReadAnew(t *testing.T) {
	w := newWorld(t, settings{})
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { return now }
	if _, err := gateapi.TLSConfig(cert, key, slog.New(slog.DiscardHandler), clock); err == nil || !strings.Contains(err.Error(), "certificate of the gate") {
		t.Errorf("no files: %v", err)
	}
	writeCertificate(t, dir, "first", 0, "cert", "key")
	config, err := gateapi.TLSConfig(cert, key, slog.New(slog.DiscardHandler), clock)
	if err != nil {
		t.Fatal(err)
	}
	// serves asks over TLS and returns whose certificate was shown.
	serves := func() string {
		srv := httptest.NewUnstartedServer(w.api)
		srv.TLS = config.Clone()
		srv.StartTLS()
		defer srv.Close()
		c, err := tls.Dial("tcp", srv.Listener.Addr().String(), &tls.Config{ServerName: "gate", InsecureSkipVerify: true}) //nolint:gosec // whose it is, is what is asked
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	for _, step := range []struct {
		name  string
		do    func()
		wait  time.Duration
		shown string
	}{
		{"as it was", func() {}, 0, "first"},
		{"replaced a moment ago", func() { writeCertificate(t, dir, "second", 1, "cert", "key") }, lookEvery / 2, "first"},
		{"replaced", func() {}, lookEvery, "second"},
		{"only the certificate is new", func() { writeCertificate(t, dir, "third", 2, "cert") }, lookEvery, "second"},
		{"still only that", func() {}, lookEvery, "second"},
		{"both are", func() { writeCertificate(t, dir, "fourth", 3, "cert", "key") }, lookEvery, "fourth"},
		{"gone", func() { _ = os.Remove(key) }, lookEvery, "fourth"},
	} {
		step.do()
		now = now.Add(step.wait)
		if got := serves(); got != step.shown {
			t.Errorf("%s: %s is shown, want %s", step.name, got, step.shown)
		}
	}
	// The links of a request over TLS say so.
	srv := httptest.NewUnstartedServer(w.api)
	srv.TLS = config
	srv.StartTLS()
	defer srv.Close()
	w.server.Close()
	w.server = srv
	w.want("links", w.ask(w.lone, "GET", "/", ""), 200, `{"vm_info":"`+srv.URL+`/vm","service_info":"`+srv.URL+`/service"}`)
}

// lookEvery is how often the files are looked at.
const lookEvery = time.Second
