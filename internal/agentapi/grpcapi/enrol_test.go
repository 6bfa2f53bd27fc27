package grpcapi

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/agentapi/grpcapi/agentpb"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/pki"
)

// book is an Enroller as the server's is: tokens and hosts in one transaction.
type book struct {
	now func() time.Time

	mu    sync.Mutex
	joins []pki.Join
	hosts map[pki.Host]bool
}

func (b *book) Join(_ context.Context, secret []byte, key [32]byte, hello agentapi.Hello) (pki.Host, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, err := pki.Redeem(b.joins, secret, hello.Host, key, b.now())
	if err != nil {
		return pki.Host{}, err
	}
	b.joins[i].UsedBy = key
	h := pki.Host{ID: 100 + i, Name: hello.Host}
	b.hosts[h] = true
	return h, nil
}

func (b *book) Renew(_ context.Context, h pki.Host) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.hosts[h] {
		return errs.New(errs.NoExists, "host %q is no more", h.Name)
	}
	return nil
}

func (b *book) add(t *testing.T, ca *pki.CA, host string, expires time.Time) pki.Token {
	t.Helper()
	token := must(ca.NewToken())(t)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.joins = append(b.joins, pki.Join{Hash: token.Hash(), Host: host, Expires: expires})
	return token
}

func newBook() *book { return &book{now: time.Now, hosts: make(map[pki.Host]bool)} }

func TestJoin(t *testing.T) {
	ca := must(pki.NewCA(time.Now()))(t)
	b, h := newBook(), newHandler()
	address := serve(t, h, ServerConfig{CA: ca, Enroller: b})
	cfg := JoinConfig{
		Addresses: []string{address}, Token: b.add(t, ca, "h5", time.Now().Add(time.Hour)),
		Dir: filepath.Join(t.TempDir(), "id"), Hello: agentapi.Hello{Host: "h5"},
	}
	id := must(Join(t.Context(), cfg))(t)
	if id.Host() != (pki.Host{ID: 100, Name: "h5"}) {
		t.Errorf("host %+v", id.Host())
	}
	// What was kept opens a link.
	ctx, cancel := context.WithCancel(t.Context())
	_, done, err := connector(t, must(pki.Load(cfg.Dir))(t), address).Connect(ctx, agentapi.Hello{Host: "h5"}, nothing{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-done
}

func TestJoinsThatAreRefused(t *testing.T) {
	ca, foreign := must(pki.NewCA(time.Now()))(t), must(pki.NewCA(time.Now()))(t)
	b := newBook()
	later := time.Now().Add(time.Hour)
	address := serve(t, newHandler(), ServerConfig{CA: ca, Enroller: b})
	used := b.add(t, ca, "h5", later)
	must(Join(t.Context(), JoinConfig{
		Addresses: []string{address}, Token: used, Dir: filepath.Join(t.TempDir(), "id"), Hello: agentapi.Hello{Host: "h5"},
	}))(t)
	wrongSecret := b.add(t, ca, "h5", later)
	wrongSecret.Secret[0] ^= 1
	otherCA := b.add(t, ca, "h5", later)
	otherCA.CA = foreign.Fingerprint()

	const refused = "the join token is refused"
	for _, c := range []struct {
		name  string
		token pki.Token
		host  string
		want  string
	}{
		{"used by another", used, "h5", refused},
		{"expired", b.add(t, ca, "h5", time.Now()), "h5", refused},
		{"for another host", b.add(t, ca, "h5", later), "h6", refused},
		{"wrong secret", wrongSecret, "h5", refused},
		{"token of another cluster", otherCA, "h5", "not of the cluster"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "id")
			_, err := Join(t.Context(), JoinConfig{
				Addresses: []string{address}, Token: c.token, Dir: dir, Hello: agentapi.Hello{Host: c.host},
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if _, err := pki.Load(dir); err == nil {
				t.Error("an identity was kept")
			}
		})
	}
	// Nothing of it has used up the good tokens.
	for i, j := range b.joins[1:] {
		if j.UsedBy != [32]byte{} {
			t.Errorf("token %d was used", i+1)
		}
	}
}

// The answer is lost after the token was used: the agent asks again.
func TestJoinIsRepeated(t *testing.T) {
	ca := must(pki.NewCA(time.Now()))(t)
	b := newBook()
	address := serve(t, newHandler(), ServerConfig{CA: ca, Enroller: b})
	cfg := JoinConfig{
		Addresses: []string{address}, Token: b.add(t, ca, "h5", time.Now().Add(time.Hour)),
		Dir: filepath.Join(t.TempDir(), "id"), Hello: agentapi.Hello{Host: "h5"}, Now: time.Now,
	}
	p := must(pki.BeginJoin(cfg.Dir, "h5"))(t)
	must(enrol(t.Context(), address, cfg, p))(t) // and the agent dies here
	if id := must(Join(t.Context(), cfg))(t); id.Host().ID != 100 {
		t.Errorf("host %+v", id.Host())
	}
}

func TestBadEnrolments(t *testing.T) {
	ca := must(pki.NewCA(time.Now()))(t)
	b := newBook()
	token := b.add(t, ca, "", time.Now().Add(time.Hour))
	with, without := serve(t, newHandler(), ServerConfig{CA: ca, Enroller: b}), serve(t, newHandler(), ServerConfig{CA: ca})
	csr := must(pki.BeginJoin(t.TempDir(), "h5"))(t).CSR
	for _, c := range []struct {
		name    string
		address string
		request *agentpb.EnrolRequest
		want    codes.Code
	}{
		{"nothing", with, &agentpb.EnrolRequest{}, codes.InvalidArgument},
		{"noise", with, &agentpb.EnrolRequest{Secret: token.Secret[:], Csr: []byte("noise"), Host: "h5"}, codes.InvalidArgument},
		{"other name", with, &agentpb.EnrolRequest{Secret: token.Secret[:], Csr: csr, Host: "h6"}, codes.InvalidArgument},
		{"no secret", with, &agentpb.EnrolRequest{Csr: csr, Host: "h5"}, codes.PermissionDenied},
		{"nobody to ask", without, &agentpb.EnrolRequest{Secret: token.Secret[:], Csr: csr, Host: "h5"}, codes.Unimplemented},
		{"good", with, &agentpb.EnrolRequest{Secret: token.Secret[:], Csr: csr, Host: "h5"}, codes.OK},
	} {
		conn := must(dial(c.address, token.TLS(time.Now)))(t)
		_, err := agentpb.NewAgentClient(conn).Enrol(t.Context(), c.request)
		if status.Code(err) != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRenew(t *testing.T) {
	now := time.Now()
	clock := struct {
		sync.Mutex
		time.Time
	}{Time: now}
	read := func() time.Time {
		clock.Lock()
		defer clock.Unlock()
		return clock.Time
	}
	ca := must(pki.NewCA(now))(t)
	b := newBook()
	b.hosts[suiteHost] = true
	address := serve(t, newHandler(), ServerConfig{CA: ca, Enroller: b, Now: read})
	id := identity(t, ca, suiteHost, now)
	c := must(NewConnector(ConnectorConfig{Addresses: []string{address}, Identity: id, Now: read}))(t)

	clock.Lock()
	clock.Time = now.Add(61 * 24 * time.Hour)
	clock.Unlock()
	before := id.RenewAt()
	ctx, cancel := context.WithCancel(t.Context())
	var loop sync.WaitGroup
	loop.Go(func() { c.KeepRenewed(ctx) })
	deadline := time.After(patience)
	for tick := time.NewTicker(time.Millisecond); !id.RenewAt().After(before); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the certificate is not renewed")
		}
	}
	cancel()
	loop.Wait()

	// The old one would not hold any more; the new one does.
	clock.Lock()
	clock.Time = now.Add(100 * 24 * time.Hour)
	clock.Unlock()
	linkCtx, cancel := context.WithCancel(t.Context())
	_, done, err := c.Connect(linkCtx, agentapi.Hello{Host: "h5"}, nothing{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-done

	b.mu.Lock()
	delete(b.hosts, suiteHost)
	b.mu.Unlock()
	if err := c.Renew(t.Context()); err == nil || !strings.Contains(err.Error(), "is no more") {
		t.Errorf("renewal of a host that was deleted: %v", err)
	}
	// Without a certificate nothing is renewed.
	conn := must(dial(address, must(ca.NewToken())(t).TLS(read)))(t)
	defer conn.Close()
	if _, err := agentpb.NewAgentClient(conn).Renew(t.Context(), &agentpb.RenewRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("renewal without a certificate: %v", err)
	}
	// Nor for another name.
	mine := must(dial(address, id.TLS(read)))(t)
	defer mine.Close()
	csr := must(pki.BeginJoin(t.TempDir(), "h6"))(t).CSR
	if _, err := agentpb.NewAgentClient(mine).Renew(t.Context(), &agentpb.RenewRequest{Csr: csr}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("renewal for another name: %v", err)
	}
}

func TestConnectorConfig(t *testing.T) {
	ca := must(pki.NewCA(time.Now()))(t)
	id := identity(t, ca, suiteHost, time.Now())
	for _, cfg := range []ConnectorConfig{{Identity: id}, {Addresses: []string{"a:1"}}} {
		if _, err := NewConnector(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
