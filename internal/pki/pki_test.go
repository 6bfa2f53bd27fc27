package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock = func() time.Time { return start }
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// join takes an agent through all of it, without a network.
func join(t testing.TB, ca *CA, dir string, h Host) *Identity {
	t.Helper()
	token := must(ca.NewToken())(t)
	p := must(BeginJoin(dir, h.Name))(t)
	r := must(ParseRequest(p.CSR))(t)
	cert := must(ca.SignHost(r, h, start))(t)
	return must(p.Finish(token, cert, ca.Cert()))(t)
}

func TestAuthorityIsKept(t *testing.T) {
	ca := must(NewCA(start))(t)
	cert, key, err := ca.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again := must(ParseCA(cert, key))(t)
	if again.Fingerprint() != ca.Fingerprint() || !bytes.Equal(again.CertPEM(), cert) {
		t.Error("the authority read back is another one")
	}
	// What the one signs, the other's agents trust.
	dir := t.TempDir()
	join(t, again, dir, Host{3, "h3"})
	if err := handshake(ca.ServerTLS(clock), must(Load(dir))(t).TLS(clock)); err != nil {
		t.Error(err)
	}

	other := must(NewCA(start))(t)
	_, otherKey, err := other.PEM()
	if err != nil {
		t.Fatal(err)
	}
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	rsaPEM := toPEM("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(rsaKey))(t))
	server := must(ca.IssueServer(start))(t)
	serverKey := must(keyToPEM(server.PrivateKey.(*ecdsa.PrivateKey)))(t)
	for name, c := range map[string]struct{ cert, key []byte }{
		"nothing":               {nil, nil},
		"certificate missing":   {key, key},
		"key missing":           {cert, cert},
		"two certificates":      {append(bytes.Clone(cert), cert...), key},
		"key of another":        {cert, otherKey},
		"other kind of key":     {cert, rsaPEM},
		"damaged certificate":   {toPEM("CERTIFICATE", ca.cert.Raw[:100]), key},
		"not an authority":      {toPEM("CERTIFICATE", server.Leaf.Raw), serverKey},
		"damaged key":           {cert, toPEM("PRIVATE KEY", []byte("x"))},
		"key with a tail":       {cert, append(bytes.Clone(key), "more"...)},
		"certificate of no PEM": {[]byte("CERTIFICATE"), key},
	} {
		if _, err := ParseCA(c.cert, c.key); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "PRIVATE KEY-----") {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

func TestTokenText(t *testing.T) {
	ca := must(NewCA(start))(t)
	token := must(ca.NewToken())(t)
	for _, text := range []string{token.Text(), " " + token.Text() + "\n", strings.Replace(strings.ToUpper(token.Text()), "t1", "T1", 1)} {
		if got, err := ParseToken(text); err != nil || got != token {
			t.Errorf("%q: %v", text, err)
		}
	}
	if text := token.Text(); len(text) != 3+64+1+64 || !strings.HasPrefix(text, "T1:") {
		t.Errorf("text has %d bytes and begins %q", len(text), text[:5])
	}
	if again := must(ca.NewToken())(t); again.Secret == token.Secret {
		t.Error("two tokens are the same")
	}
	secret := token.Text()[3+64+1:]
	if s := token.String(); strings.Contains(s, secret) {
		t.Errorf("String shows the secret: %s", s)
	}
	for _, text := range []string{
		"", "T1:", "T1::", secret, "T2" + token.Text()[2:], token.Text() + "00", token.Text()[:len(token.Text())-1],
		token.Text() + ":", strings.Replace(token.Text(), secret, "g"+secret[1:], 1), "T1:" + secret,
	} {
		if _, err := ParseToken(text); err == nil {
			t.Errorf("%q was taken", text)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

func TestRedeem(t *testing.T) {
	secrets := [][]byte{[]byte("one"), []byte("two"), []byte("three"), []byte("four")}
	key, otherKey := [32]byte{1}, [32]byte{2}
	joins := make([]Join, len(secrets))
	for i, s := range secrets {
		joins[i] = Join{Hash: HashSecret(s), Host: "h1", Expires: start.Add(time.Hour)}
	}
	joins[1].UsedBy = key
	joins[2].Expires = start
	joins[3].Host = ""
	for _, c := range []struct {
		name   string
		secret string
		host   string
		key    [32]byte
		now    time.Time
		want   int
		err    error
	}{
		{"good", "one", "h1", key, start, 0, nil},
		{"last moment", "one", "h1", key, start.Add(time.Hour - 1), 0, nil},
		{"expired", "one", "h1", key, start.Add(time.Hour), -1, ErrTokenExpired},
		{"expires now", "three", "h1", key, start, -1, ErrTokenExpired},
		{"for another host", "one", "h2", key, start, -1, ErrTokenHost},
		{"for no host", "one", "", key, start, -1, ErrTokenHost},
		{"for any host", "four", "whoever", key, start, 3, nil},
		{"used", "two", "h1", otherKey, start, -1, ErrTokenUsed},
		{"asked again with the same key", "two", "h1", key, start, 1, nil},
		{"asked again too late", "two", "h1", key, start.Add(time.Hour), -1, ErrTokenExpired},
		{"unknown", "five", "h1", key, start, -1, ErrTokenUnknown},
		{"empty", "", "h1", key, start, -1, ErrTokenUnknown},
		{"the hash is no secret", string(joins[0].Hash[:]), "h1", key, start, -1, ErrTokenUnknown},
	} {
		got, err := Redeem(joins, []byte(c.secret), c.host, c.key, c.now)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %d, %v, want %d, %v", c.name, got, err, c.want, c.err)
		}
	}
	if _, err := Redeem(nil, nil, "h1", key, start); !errors.Is(err, ErrTokenUnknown) {
		t.Errorf("no tokens: %v", err)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	ca := must(NewCA(start))(t)
	key := must(newKey())(t)
	request := func(name string, key any) []byte {
		t.Helper()
		return must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key))(t)
	}
	good := request("h1", key)
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	for name, der := range map[string][]byte{
		"nothing":            nil,
		"noise":              []byte("noise"),
		"forged signature":   forged,
		"no name":            request("", key),
		"long name":          request(strings.Repeat("h", 65), key),
		"RSA":                request("h1", must(rsa.GenerateKey(rand.Reader, 2048))(t)),
		"other curve":        request("h1", must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)),
		"too large":          bytes.Repeat([]byte{0x30}, maxCSR+1),
		"PEM instead of DER": toPEM("CERTIFICATE REQUEST", good),
	} {
		if r, err := ParseRequest(der); err == nil {
			t.Errorf("%s was taken: %+v", name, r)
		}
	}
	r := must(ParseRequest(good))(t)
	if _, err := ca.SignHost(r, Host{1, "h2"}, start); err == nil || !strings.Contains(err.Error(), `"h2"`) {
		t.Errorf("for another name: %v", err)
	}
	if _, err := ca.SignHost(r, Host{-1, "h1"}, start); err == nil {
		t.Error("signed for a host without an id")
	}
	if a, b := r.KeyHash(), must(ParseRequest(request("other", key)))(t).KeyHash(); a != b {
		t.Error("two requests with one key have two hashes")
	}
}

// A request may ask for more than a host gets.
func TestRequestCannotAskForMore(t *testing.T) {
	ca := must(NewCA(start))(t)
	key := must(newKey())(t)
	csr := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "h1", Organization: []string{"admin"}}, DNSNames: []string{ServerName},
	}, key))(t)
	cert := must(x509.ParseCertificate(must(ca.SignHost(must(ParseRequest(csr))(t), Host{1, "h1"}, start))(t)))(t)
	if len(cert.DNSNames) != 0 || len(cert.Subject.Organization) != 0 || cert.IsCA {
		t.Errorf("the certificate has names %v, organization %v, authority %t", cert.DNSNames, cert.Subject.Organization, cert.IsCA)
	}
	if h, err := HostOf(cert); err != nil || h != (Host{1, "h1"}) {
		t.Errorf("host %+v, %v", h, err)
	}
}

func TestHostOf(t *testing.T) {
	ca := must(NewCA(start))(t)
	for _, cert := range []*x509.Certificate{ca.cert, must(ca.IssueServer(start))(t).Leaf} {
		if h, err := HostOf(cert); err == nil {
			t.Errorf("%s is host %+v", cert.Subject, h)
		}
	}
	for _, c := range []struct {
		uri string
		ok  bool
	}{
		{"trifid://host/0", true}, {"trifid://host/12", true}, {"trifid://host/-1", false}, {"trifid://host/", false},
		{"trifid://host/012", false}, {"trifid://host/1/2", false}, {"trifid://host/1?x", false}, {"trifid://user/1", false},
		{"https://host/1", false}, {"trifid://a@host/1", false}, {"trifid://host/1#a", false},
	} {
		cert := &x509.Certificate{URIs: []*url.URL{must(url.Parse(c.uri))(t)}}
		if _, err := HostOf(cert); (err == nil) != c.ok {
			t.Errorf("%s: %v, want ok %t", c.uri, err, c.ok)
		}
	}
}

func TestIdentityFiles(t *testing.T) {
	ca := must(NewCA(start))(t)
	dir := filepath.Join(t.TempDir(), "state")
	if _, err := Load(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the join: %v, want ErrNotExist", err)
	}
	first := must(BeginJoin(dir, "h1"))(t)
	again := must(BeginJoin(dir, "h1"))(t)
	if !first.key.Equal(again.key) {
		t.Error("a second try has another key, for which the token is not good any more")
	}
	join(t, ca, dir, Host{1, "h1"})
	id := must(Load(dir))(t)
	if id.Host() != (Host{1, "h1"}) {
		t.Errorf("host %+v", id.Host())
	}
	entries := must(os.ReadDir(dir))(t)
	if len(entries) != 1 || entries[0].Name() != identityFile {
		t.Errorf("files %v, want only %s", entries, identityFile)
	}
	for _, e := range entries {
		if fi := must(e.Info())(t); fi.Mode() != 0o600 {
			t.Errorf("%s: mode %v, want 0600", e.Name(), fi.Mode())
		}
	}
	if fi := must(os.Stat(dir))(t); fi.Mode().Perm() != 0o700 {
		t.Errorf("directory: mode %v, want 0700", fi.Mode())
	}
	path := filepath.Join(dir, identityFile)
	whole := must(os.ReadFile(path))(t)
	for _, n := range []int{0, 10, len(whole) / 3, len(whole) - 100} {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("first %d bytes: %v, want an error that names the file", n, err)
		}
	}
}

func TestJoinAnswersThatAreRefused(t *testing.T) {
	ca, foreign := must(NewCA(start))(t), must(NewCA(start))(t)
	token := must(ca.NewToken())(t)
	h := Host{1, "h1"}
	for _, c := range []struct {
		name     string
		cert     func(r *Request) []byte
		ca       []byte
		contains string
	}{
		{"foreign authority", func(r *Request) []byte { return must(foreign.SignHost(r, h, start))(t) }, foreign.Cert(), "not that of the join token"},
		{"foreign certificate", func(r *Request) []byte { return must(foreign.SignHost(r, h, start))(t) }, ca.Cert(), "certificate"},
		{"another's key", func(*Request) []byte {
			csr := must(newRequest(must(newKey())(t), "h1"))(t)
			return must(ca.SignHost(must(ParseRequest(csr))(t), h, start))(t)
		}, ca.Cert(), "another key"},
		{"noise", func(*Request) []byte { return []byte("noise") }, ca.Cert(), "certificate"},
	} {
		dir := t.TempDir()
		p := must(BeginJoin(dir, "h1"))(t)
		_, err := p.Finish(token, c.cert(must(ParseRequest(p.CSR))(t)), c.ca)
		if err == nil || !strings.Contains(err.Error(), c.contains) {
			t.Errorf("%s: %v, want %q", c.name, err, c.contains)
		}
		if _, err := Load(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: an identity was kept: %v", c.name, err)
		}
	}
}

func TestRenewal(t *testing.T) {
	ca := must(NewCA(start))(t)
	dir := t.TempDir()
	id := join(t, ca, dir, Host{1, "h1"})
	if at := id.RenewAt(); at.Before(start.Add(59*24*time.Hour)) || at.After(start.Add(61*24*time.Hour)) {
		t.Errorf("renewal at %s, want after 60 of 90 days", at)
	}
	later := start.Add(60 * 24 * time.Hour)
	p := must(id.BeginRenewal())(t)
	r := must(ParseRequest(p.CSR))(t)
	if err := id.FinishRenewal(p, must(ca.SignHost(r, Host{2, "h1"}, later))(t)); err == nil {
		t.Error("a certificate for another host was taken")
	}
	foreign := must(NewCA(start))(t)
	if err := id.FinishRenewal(p, must(foreign.SignHost(r, Host{1, "h1"}, later))(t)); err == nil {
		t.Error("a certificate of another authority was taken")
	}
	if err := id.FinishRenewal(p, must(ca.SignHost(r, Host{1, "h1"}, later))(t)); err != nil {
		t.Fatal(err)
	}
	after := func() time.Time { return later }
	for name, id := range map[string]*Identity{"in memory": id, "on disk": must(Load(dir))(t)} {
		if !p.key.Equal(id.cert.PrivateKey) || !id.RenewAt().After(later) {
			t.Errorf("%s: the identity is still the old one", name)
		}
		if err := handshake(ca.ServerTLS(after), id.TLS(after)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServerCertificateIsRenewed(t *testing.T) {
	ca := must(NewCA(start))(t)
	now := start
	config := ca.ServerTLS(func() time.Time { return now })
	first := must(config.GetCertificate(nil))(t)
	now = start.Add(200 * 24 * time.Hour)
	if again := must(config.GetCertificate(nil))(t); again != first {
		t.Error("another certificate after 200 days")
	}
	now = start.Add(300 * 24 * time.Hour)
	if again := must(config.GetCertificate(nil))(t); again == first || !again.Leaf.NotAfter.After(now.Add(200*24*time.Hour)) {
		t.Error("no new certificate after 300 days")
	}
}

// handshake connects a client with a server and returns what went wrong at
// either end. In TLS 1.3 a refused client learns it with its first read.
func handshake(server, client *tls.Config) error {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	got := make(chan error, 1)
	go func() {
		s := tls.Server(a, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("x"))
		}
		a.Close()
		got <- err
	}()
	c := tls.Client(b, client)
	err := c.Handshake()
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	b.Close()
	return errors.Join(err, <-got)
}

func TestHandshakes(t *testing.T) {
	ca, foreign := must(NewCA(start))(t), must(NewCA(start))(t)
	token, foreignToken := must(ca.NewToken())(t), must(foreign.NewToken())(t)
	id, foreigner := join(t, ca, t.TempDir(), Host{1, "h1"}), join(t, foreign, t.TempDir(), Host{1, "h1"})
	at := func(d time.Duration) func() time.Time { return func() time.Time { return start.Add(d) } }

	// A host that poses as a server, with the certificate it has.
	posing := &tls.Config{MinVersion: tls.VersionTLS13, Time: clock, Certificates: []tls.Certificate{{
		Certificate: [][]byte{id.cert.Leaf.Raw, ca.cert.Raw}, PrivateKey: id.cert.PrivateKey,
	}}}
	// Somebody who shows our authority after a certificate of his own.
	mixed := foreign.ServerTLS(clock)
	mixed.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, err := foreign.IssueServer(start)
		if err == nil {
			c.Certificate = [][]byte{c.Certificate[0], ca.cert.Raw}
		}
		return c, err
	}
	// A server that poses as a host.
	server := must(ca.IssueServer(start))(t)
	reversed := id.TLS(clock)
	reversed.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return server, nil }
	old := id.TLS(clock)
	old.MaxVersion = tls.VersionTLS12
	old.MinVersion = tls.VersionTLS12

	for _, c := range []struct {
		name           string
		server, client *tls.Config
		ok             bool
	}{
		{"host and server", ca.ServerTLS(clock), id.TLS(clock), true},
		{"host with a slow clock", ca.ServerTLS(clock), id.TLS(at(-30 * time.Minute)), true},
		{"token and server", ca.ServerTLS(clock), token.TLS(clock), true},
		{"token of another cluster", ca.ServerTLS(clock), foreignToken.TLS(clock), false},
		{"token and a server of another cluster", foreign.ServerTLS(clock), token.TLS(clock), false},
		{"token and a server that shows our authority", mixed, token.TLS(clock), false},
		{"token and a host that poses as a server", posing, token.TLS(clock), false},
		{"host and a host that poses as a server", posing, id.TLS(clock), false},
		{"host and a server of another cluster", foreign.ServerTLS(clock), id.TLS(clock), false},
		{"host of another cluster", ca.ServerTLS(clock), foreigner.TLS(clock), false},
		{"host of another cluster that trusts us", ca.ServerTLS(clock), trusting(foreigner, ca), false},
		{"server that poses as a host", ca.ServerTLS(clock), reversed, false},
		{"expired certificate of the host", ca.ServerTLS(at(91 * 24 * time.Hour)), id.TLS(clock), false},
		{"TLS 1.2", ca.ServerTLS(clock), old, false},
	} {
		if err := handshake(c.server, c.client); (err == nil) != c.ok {
			t.Errorf("%s: %v, want ok %t", c.name, err, c.ok)
		}
	}
}

// trusting is a foreign identity that takes our server for its own.
func trusting(id *Identity, ca *CA) *tls.Config {
	c := id.TLS(clock)
	c.RootCAs = ca.pool()
	return c
}

func FuzzParseToken(f *testing.F) {
	f.Add("T1:" + strings.Repeat("0a", 32) + ":" + strings.Repeat("FF", 32))
	f.Add("T1:00:00")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text)
		if err != nil {
			return
		}
		if again, err := ParseToken(token.Text()); err != nil || again != token {
			t.Errorf("%q: read back %v, %v", text, again, err)
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	key := must(newKey())(f)
	f.Add(must(newRequest(key, "h1"))(f))
	f.Add([]byte{0x30, 0x00})
	ca := must(NewCA(start))(f)
	f.Fuzz(func(t *testing.T, der []byte) {
		r, err := ParseRequest(der)
		if err != nil {
			return
		}
		r.KeyHash()
		cert, err := ca.SignHost(r, Host{1, r.Host}, start)
		if err != nil {
			t.Fatalf("a request that was taken cannot be signed: %v", err)
		}
		if h, err := HostOf(must(x509.ParseCertificate(cert))(t)); err != nil || h != (Host{1, r.Host}) {
			t.Errorf("signed for %+v, %v", h, err)
		}
	})
}

func FuzzParseIdentity(f *testing.F) {
	ca := must(NewCA(start))(f)
	dir := f.TempDir()
	join(f, ca, dir, Host{1, "h1"})
	f.Add(must(os.ReadFile(filepath.Join(dir, identityFile)))(f))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if id, err := parseIdentity(data); err == nil && id.Host().ID < 0 {
			t.Errorf("host %+v", id.Host())
		}
	})
}
