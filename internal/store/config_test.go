package store

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestConfigRefuses(t *testing.T) {
	members := map[string]string{"a": "http://127.0.0.1:1"}
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "exactly one"},
		{Config{Dir: "x", Memory: NewMemory()}, "exactly one"},
		{Config{Dir: "x", Tick: time.Microsecond}, "tick"},
		{Config{External: &External{}}, "at least one endpoint"},
		{Config{Dir: "x", Name: "b", Cluster: &Cluster{ListenPeer: "http://127.0.0.1:1", Members: members}}, `"b"`},
		{Config{Dir: "x", Name: "a", Cluster: &Cluster{ListenPeer: "127.0.0.1:1", Members: members}}, "expected http://host:port"},
		{Config{Dir: "x", Name: "a", Cluster: &Cluster{ListenPeer: "http://10.0.0.1:1", Members: members}}, "expected https"},
		{Config{Dir: "x", Name: "a", Cluster: &Cluster{ListenPeer: "https://10.0.0.1:1", Members: members}}, "expected a certificate"},
		{Config{Dir: "x", Name: "a", Cluster: &Cluster{ListenPeer: "http://127.0.0.1:1", ListenClient: "http://0.0.0.0:2", Members: members}}, "listen client"},
	} {
		_, err := Open(t.Context(), c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, expected an error that says %q", c.cfg, err, c.want)
		}
	}
}

// The data directory is the user's alone, and one process's.
func TestDataDir(t *testing.T) {
	ctx := testContext(t)
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := openDir(t, Config{Dir: dir})
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("data directory: %v, %v; expected mode 0700", st.Mode(), err)
	}
	for _, p := range s.log.(*embedded).etcd.Peers {
		if net := p.Addr().Network(); net != "unix" {
			t.Errorf("peers may come by %s, expected a socket in the data directory", net)
		}
	}
	if n := len(s.log.(*embedded).etcd.Clients); n != 0 {
		t.Errorf("etcd listens for clients on %d addresses, expected none", n)
	}
	if _, err := Open(ctx, Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opening it twice: %v", err)
	}
	// Where no socket can be, because its path is too long, it is loopback.
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 20), strings.Repeat("er", 20))
	s = openDir(t, Config{Dir: long})
	if a := s.log.(*embedded).etcd.Peers[0].Addr(); !a.(*net.TCPAddr).IP.IsLoopback() {
		t.Errorf("peers may come to %v, expected loopback", a)
	}
}

// certificates makes a CA and a certificate for loopback, and returns the files.
func certificates(t *testing.T) (cert, key, ca string) {
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	make := func(serial int64, isCA bool, parent *x509.Certificate, by *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IsCA: isCA, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}
		if parent == nil {
			parent, by = c, k
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &k.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		return der, k
	}
	caDER, caKey := make(1, true, nil, nil)
	caCert, err := x509.ParseCertificate(caDER)
	if err != nil {
		t.Fatal(err)
	}
	der, k := make(2, false, caCert, caKey)
	keyDER, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return write("cert", "CERTIFICATE", der), write("key", "EC PRIVATE KEY", keyDER), write("ca", "CERTIFICATE", caDER)
}

// Members talk by mutual TLS.
func TestClusterTLS(t *testing.T) {
	cert, key, ca := certificates(t)
	urls := map[string]string{}
	for _, name := range []string{"a", "b"} {
		urls[name] = strings.Replace(freeURL(t), "http:", "https:", 1)
	}
	c := &testCluster{t: t, configs: map[string]Config{}, stores: map[string]*Store{}}
	for name, u := range urls {
		c.configs[name] = Config{Name: name, Dir: t.TempDir(), Tick: 20 * time.Millisecond,
			Cluster: &Cluster{ListenPeer: u, Members: urls, CertFile: cert, KeyFile: key, CAFile: ca}}
	}
	c.start("a", "b")
	defer c.stop("a")
	defer c.stop("b")
	if err := c.stores[c.leader()].Update(testContext(t), putSetting("x", "")); err != nil {
		t.Error(err)
	}
}

// A start and an end without trouble do not look like trouble in the log.
func TestQuiet(t *testing.T) {
	ctx := testContext(t)
	var log bytes.Buffer
	var mu sync.Mutex
	s, err := Open(ctx, Config{Dir: t.TempDir(), UnsafeNoFsync: true, Logger: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(ctx, putSetting("x", "")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if log.Len() > 0 {
		t.Errorf("the log has warnings:\n%s", &log)
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// Whoever finds the program ended is told what to do.
func TestLastWords(t *testing.T) {
	full := fmt.Errorf("write: %w", &fs.PathError{Op: "write", Path: "db", Err: syscall.ENOSPC})
	if got := advice("failed to commit tx", []zap.Field{zap.Int("n", 1), zap.Error(full)}); !strings.Contains(got, "is full: make room") {
		t.Errorf("on a full disk: %q", got)
	}
	if got := advice("failed to commit tx", []zap.Field{zap.Error(syscall.EIO)}); !strings.Contains(got, "failed to commit tx") || strings.Contains(got, "full") {
		t.Errorf("on a broken disk: %q", got)
	}
}

// What etcd warns of reaches the log with its fields, less does not.
func TestZapLog(t *testing.T) {
	var log bytes.Buffer
	z := zapLogger(slog.New(slog.NewTextHandler(&log, nil))).With(zap.String("member", "a"))
	z.Info("chatter")
	z.Warn("18872ab49415b7e4 cannot campaign at term 2 since there is chatter of every start")
	z.Warn("slow disk", zap.Int("ms", 7))
	z.Error("bad disk", zap.Error(errors.New("torn")))
	for _, want := range []string{`level=WARN msg="slow disk" component=etcd`, "member=a", "ms=7", `level=ERROR msg="bad disk"`, "error=torn"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &log)
		}
	}
	if strings.Contains(log.String(), "chatter") {
		t.Errorf("the log has chatter:\n%s", &log)
	}
}
