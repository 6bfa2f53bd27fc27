package grpcapi

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/agentapi/grpcapi/agentpb"
	"github.com/trifid-cloud/trifid/internal/agentapi/linktest"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/pki"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds a wait: it is reached only when something is broken.
const patience = 60 * time.Second

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// serve starts a server and returns its address. It stops with the test.
func serve(t *testing.T, h agentapi.Handler, cfg ServerConfig) string {
	t.Helper()
	listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- NewServer(h, cfg).Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return listener.Addr().String()
}

// identity makes an identity without a network.
func identity(t *testing.T, ca *pki.CA, h pki.Host, now time.Time) *pki.Identity {
	t.Helper()
	p := must(pki.BeginJoin(filepath.Join(t.TempDir(), "id"), h.Name))(t)
	r := must(pki.ParseRequest(p.CSR))(t)
	cert := must(ca.SignHost(r, h, now))(t)
	return must(p.Finish(must(ca.NewToken())(t), cert, ca.Cert()))(t)
}

var suiteHost = pki.Host{ID: linktest.Hello.HostID, Name: linktest.Hello.Host}

func connector(t *testing.T, id *pki.Identity, addresses ...string) *Connector {
	t.Helper()
	return must(NewConnector(ConnectorConfig{Addresses: addresses, Identity: id}))(t)
}

func TestConformance(t *testing.T) {
	linktest.Run(t, func(t *testing.T, h agentapi.Handler) agentapi.Connector {
		ca := must(pki.NewCA(time.Now()))(t)
		address := serve(t, h, ServerConfig{CA: ca})
		return connector(t, identity(t, ca, suiteHost, time.Now()), address)
	})
}

// handler takes links, or refuses them.
type handler struct {
	refuse error

	mu    sync.Mutex
	links []context.Context
	came  chan struct{}
}

func newHandler() *handler { return &handler{came: make(chan struct{}, 100)} }

func (h *handler) Accept(ctx context.Context, _ agentapi.Hello, _ int, _ agentapi.Downlink) (agentapi.Uplink, error) {
	if h.refuse != nil {
		return nil, h.refuse
	}
	h.mu.Lock()
	h.links = append(h.links, ctx)
	h.mu.Unlock()
	h.came <- struct{}{}
	return nothing{}, nil
}

func (h *handler) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.links)
}

// nothing is an end of a link that takes all and does nothing.
type nothing struct{}

func (nothing) Facts(context.Context, agentapi.Facts) error   { return nil }
func (nothing) Sync(context.Context, []agentapi.Event) error  { return nil }
func (nothing) Event(context.Context, agentapi.Event) error   { return nil }
func (nothing) Result(context.Context, agentapi.Result) error { return nil }
func (nothing) Run(context.Context, agentapi.Step) error      { return nil }
func (nothing) Ack(context.Context, agentapi.StepID) error    { return nil }
func (nothing) Samples(context.Context, agentapi.HostSample, []agentapi.VMSample) error {
	return nil
}

// TestWhoMayOpenALink dials with every kind of credential.
func TestWhoMayOpenALink(t *testing.T) {
	// Old enough to have signed what has expired since.
	ca, foreign := must(pki.NewCA(time.Now().Add(-1000*time.Hour*24)))(t), must(pki.NewCA(time.Now()))(t)
	h := newHandler()
	address := serve(t, h, ServerConfig{CA: ca})
	good := identity(t, ca, suiteHost, time.Now())
	token := must(ca.NewToken())(t)

	// A stranger who knows our authority's certificate, which is no secret.
	stranger := identity(t, foreign, suiteHost, time.Now()).TLS(time.Now)
	stranger.RootCAs = good.TLS(time.Now).RootCAs
	// A server's own certificate is not that of a host.
	server := good.TLS(time.Now)
	server.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return ca.IssueServer(time.Now()) }
	none := good.TLS(time.Now)
	none.GetClientCertificate = nil

	for _, c := range []struct {
		name   string
		config *tls.Config
		hello  string
		want   codes.Code // OK: a link opens
		text   string
	}{
		{"host", good.TLS(time.Now), "h5", codes.OK, ""},
		{"host by another name", good.TLS(time.Now), "h6", codes.PermissionDenied, `that of host "h5"`},
		{"no name", good.TLS(time.Now), "", codes.PermissionDenied, `that of host "h5"`},
		{"no certificate", none, "h5", codes.Unauthenticated, "client certificate"},
		{"token only", token.TLS(time.Now), "h5", codes.Unauthenticated, "client certificate"},
		{"foreign certificate", stranger, "h5", codes.Unavailable, ""},
		{"server's certificate", server, "h5", codes.Unavailable, ""},
		{"expired certificate", identity(t, ca, suiteHost, time.Now().Add(-100*24*time.Hour)).TLS(time.Now), "h5", codes.Unavailable, ""},
		{"certificate of the future", identity(t, ca, suiteHost, time.Now().Add(48*time.Hour)).TLS(time.Now), "h5", codes.Unavailable, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := h.count()
			err := openRaw(t, address, c.config, c.hello)
			if status.Code(err) != c.want || err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, want %s %q", err, c.want, c.text)
			}
			if opened := h.count() > before; opened != (c.want == codes.OK) {
				t.Errorf("a link was opened: %t", opened)
			}
		})
	}
	t.Run("no TLS", func(t *testing.T) {
		conn := must(net.Dial("tcp", address))(t)
		defer conn.Close()
		must(conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))(t)
		if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
			t.Error(err)
		}
		if h.count() != 1 {
			t.Error("a link was opened")
		}
	})
}

// openRaw opens a link without the checks of our client.
func openRaw(t *testing.T, address string, config *tls.Config, host string) error {
	t.Helper()
	conn := must(grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config))))(t)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := agentpb.NewAgentClient(conn).Link(ctx)
	if err != nil {
		return err
	}
	return greet(stream, agentapi.Hello{Host: host})
}

func TestFirstMessageMustBeHello(t *testing.T) {
	ca := must(pki.NewCA(time.Now()))(t)
	address := serve(t, newHandler(), ServerConfig{CA: ca})
	conn := must(dial(address, identity(t, ca, suiteHost, time.Now()).TLS(time.Now)))(t)
	defer conn.Close()
	for name, first := range map[string]*agentpb.Up{
		"empty":  {},
		"result": {Message: &agentpb.Up_Result{Result: &agentpb.Result{}}},
	} {
		stream := must(agentpb.NewAgentClient(conn).Link(t.Context()))(t)
		if err := stream.Send(first); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v, want InvalidArgument", name, err)
		}
	}
}

// A member that does not lead refuses, and the agent goes on to the one that does.
func TestNextServerIsTried(t *testing.T) {
	ca := must(pki.NewCA(time.Now()))(t)
	follower, leader := newHandler(), newHandler()
	follower.refuse = errs.New(errs.Unavailable, "this server does not lead")
	nobody := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	a, b := serve(t, follower, ServerConfig{CA: ca}), serve(t, leader, ServerConfig{CA: ca})
	c := connector(t, identity(t, ca, suiteHost, time.Now()), nobody.Addr().String(), a, b)
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		_, done, err := c.Connect(ctx, linktest.Hello, nothing{})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		<-done
	}
	if leader.count() != 2 || c.first != 2 {
		t.Errorf("%d links, address %d is tried first; want 2 and 2", leader.count(), c.first)
	}
	leader.refuse = errs.New(errs.Unavailable, "nor does this one")
	_, _, err := c.Connect(t.Context(), linktest.Hello, nothing{})
	for _, want := range []string{"this server does not lead", "nor does this one", nobody.Addr().String()} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

// An error without a kind may name files: its detail is not for the agent.
func TestDetailOfInternalErrorsStaysHere(t *testing.T) {
	ca := must(pki.NewCA(time.Now()))(t)
	h := newHandler()
	h.refuse = errors.New("open /etc/trifid/secret")
	address := serve(t, h, ServerConfig{CA: ca})
	_, _, err := connector(t, identity(t, ca, suiteHost, time.Now()), address).Connect(t.Context(), linktest.Hello, nothing{})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

// valve is a proxy that can stop to carry anything, without closing: a cable
// that is pulled.
type valve struct {
	mu   sync.Mutex
	cond *sync.Cond
	shut bool
	wg   sync.WaitGroup
}

func newValve(t *testing.T, to string) (*valve, string) {
	v := &valve{}
	v.cond = sync.NewCond(&v.mu)
	listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	var conns []net.Conn
	v.wg.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				t.Error(err)
				return
			}
			v.mu.Lock()
			conns = append(conns, in, out)
			v.mu.Unlock()
			v.wg.Go(func() { v.carry(in, out) })
			v.wg.Go(func() { v.carry(out, in) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		v.set(false)
		v.mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		v.mu.Unlock()
		v.wg.Wait()
	})
	return v, listener.Addr().String()
}

func (v *valve) set(shut bool) {
	v.mu.Lock()
	v.shut = shut
	v.cond.Broadcast()
	v.mu.Unlock()
}

func (v *valve) carry(to, from net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return // and say nothing to the other side
		}
		v.mu.Lock()
		for v.shut {
			v.cond.Wait()
		}
		v.mu.Unlock()
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// TestDeadPeerIsNoticed pulls the cable: both ends find out by themselves.
func TestDeadPeerIsNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("an agent asks after ten seconds at the earliest")
	}
	t.Parallel()
	ca := must(pki.NewCA(time.Now()))(t)
	h := newHandler()
	v, address := newValve(t, serve(t, h, ServerConfig{CA: ca, Keepalive: time.Second}))
	_, done, err := connector(t, identity(t, ca, suiteHost, time.Now()), address).Connect(t.Context(), linktest.Hello, nothing{})
	if err != nil {
		t.Fatal(err)
	}
	<-h.came
	v.set(true)
	for end, ended := range map[string]<-chan struct{}{"server": h.links[0].Done(), "agent": done} {
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatalf("the %s takes the link to be alive", end)
		}
	}
}

func TestServerStops(t *testing.T) {
	ca := must(pki.NewCA(time.Now()))(t)
	h := newHandler()
	listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- NewServer(h, ServerConfig{CA: ca}).Serve(ctx, listener) }()
	c := connector(t, identity(t, ca, suiteHost, time.Now()), listener.Addr().String())
	up, done, err := c.Connect(t.Context(), linktest.Hello, nothing{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	<-done
	if err := up.Event(t.Context(), agentapi.Event{}); !errors.Is(err, agentapi.ErrLinkClosed) {
		t.Errorf("a call after the end: %v", err)
	}
}

func TestServeReportsListener(t *testing.T) {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	err := NewServer(newHandler(), ServerConfig{CA: must(pki.NewCA(time.Now()))(t)}).Serve(t.Context(), listener)
	if err == nil {
		t.Error("no error for a listener that is closed")
	}
}

func FuzzUp(f *testing.F) {
	for _, m := range []*agentpb.Up{
		{},
		{Message: &agentpb.Up_Facts{Facts: &agentpb.Facts{Template: []byte(`["A","1"]`)}}},
		{Message: &agentpb.Up_Sync{Sync: &agentpb.Sync{Domains: []*agentpb.Event{{Vm: 1}, nil}}}},
		{Message: &agentpb.Up_Samples{Samples: &agentpb.Samples{Vms: []*agentpb.VMSample{{Data: []byte(`["A",{"B":"c"}]`)}}}}},
		{Message: &agentpb.Up_Result{Result: &agentpb.Result{Error: "x"}}},
		{Message: &agentpb.Up_Refusal{}},
	} {
		f.Add(must(proto.Marshal(m))(f))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m agentpb.Up
		if proto.Unmarshal(data, &m) == nil {
			_ = deliver(t.Context(), &m, nothing{}) // an error ends the link, a panic the server
		}
	})
}

func FuzzDown(f *testing.F) {
	for _, m := range []*agentpb.Down{
		{},
		{Message: &agentpb.Down_Step{Step: &agentpb.Step{Machine: &agentpb.Machine{
			Template: []byte(`[]`), Context: &agentpb.Context{Vars: []*agentpb.Pair{{Name: "B"}, nil, {Name: "A"}}, Files: []*agentpb.ContextFile{nil}},
		}}}},
		{Message: &agentpb.Down_Step{Step: &agentpb.Step{Image: &agentpb.ImageSpec{Path: "/x"}}}},
		{Message: &agentpb.Down_Ack{Ack: &agentpb.StepID{Epoch: 1}}},
	} {
		f.Add(must(proto.Marshal(m))(f))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m agentpb.Down
		if proto.Unmarshal(data, &m) == nil {
			_ = (&agentLink{ctx: t.Context()}).take(&m, nothing{})
		}
	})
}
