package daemon

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate writes a certificate of its own for 127.0.0.1, and its key.
func writeCertificate(t *testing.T, serial int64, certFile, keyFile string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	as := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "gate"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, as, as, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// Guests are served over TLS when there is a certificate; a new one takes effect
// without a restart.
func TestGateOverTLS(t *testing.T) {
	c := settings(t.TempDir())
	c.Gate.Certificate, c.Gate.Key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	if err := <-begin(t, c).ended; err == nil || !strings.Contains(err.Error(), c.Gate.Certificate) {
		t.Errorf("without the certificate: %v", err)
	}
	first := writeCertificate(t, 1, c.Gate.Certificate, c.Gate.Key)
	r := start(t, c)
	if !strings.HasPrefix(r.at.Gate, "https://127.0.0.1:") {
		t.Errorf("the gate is said to be at %s", r.at.Gate)
	}
	r.call("template.allocate", "NAME=small\nCPU=0.1\nMEMORY=8\nCONTEXT=[TOKEN=YES]")
	id := r.call("template.instantiate", 0, "", false, "", false).Int
	if v, err := r.core.Doc(context.Background(), "vm.info", id); err != nil || v.Get("TEMPLATE/CONTEXT/ONEGATE_ENDPOINT") != r.at.Gate {
		t.Errorf("the guest is told %q, %v; want %s", v.Get("TEMPLATE/CONTEXT/ONEGATE_ENDPOINT"), err, r.at.Gate)
	}
	ask := func(trust *x509.Certificate) error {
		pool := x509.NewCertPool()
		pool.AddCert(trust)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
		defer client.CloseIdleConnections()
		res, err := client.Get(r.at.Gate + "/vm")
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("without a token: %s", res.Status)
		}
		return res.Body.Close()
	}
	if err := ask(first); err != nil {
		t.Error(err)
	}
	second := writeCertificate(t, 2, c.Gate.Certificate, c.Gate.Key)
	until(t, "the new certificate is served", func() (string, bool) { err := ask(second); return fmt.Sprint(err), err == nil })
	if err := ask(first); err == nil {
		t.Error("the old certificate is still served")
	}
}

func TestMetrics(t *testing.T) {
	if r := start(t, settings(t.TempDir())); r.at.Metrics != "" {
		t.Errorf("numbers are served at %s, though nobody asked for it", r.at.Metrics)
	}
	c := settings(t.TempDir())
	c.Listen.Metrics = "127.0.0.1:0"
	r := start(t, c)
	res, err := http.Get(r.at.Gate + "/vm") // something to count
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	get := func(url string) (status int, text string) {
		t.Helper()
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	status, text := get(r.at.Metrics)
	for _, want := range []string{
		"trifid_info{version=\"test\"} 1\n", "trifid_store_epoch 1\n", "trifid_store_transactions_total ", "trifid_store_database_bytes ",
		"trifid_gate_requests_total{route=\"GET /vm\",status=\"401\"} 1\n", "go_goroutines ", "process_open_fds ",
	} {
		if status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%d: the numbers lack %q", status, want)
		}
	}
	secret, err := os.ReadFile(filepath.Join(c.Data, "auth/one_auth"))
	if err != nil {
		t.Fatal(err)
	}
	if _, password, _ := strings.Cut(strings.TrimSpace(string(secret)), ":"); password == "" || strings.Contains(text, password) {
		t.Error("the numbers show a secret")
	}
	if status, _ := get(strings.TrimSuffix(r.at.Metrics, "/metrics") + "/"); status != http.StatusNotFound {
		t.Errorf("another path: %d", status)
	}
}
