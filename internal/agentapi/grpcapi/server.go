package grpcapi

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/agentapi/grpcapi/agentpb"
	"github.com/trifid-cloud/trifid/internal/pki"
)

// Enroller decides who may have a certificate.
type Enroller interface {
	// Join checks the secret of a join token with pki.Redeem and notes its use by
	// key, both in one durable transaction, and returns the host it is for, which
	// bears the name hello has.
	Join(ctx context.Context, secret []byte, key [32]byte, hello agentapi.Hello) (pki.Host, error)
	// Renew refuses hosts that are no more.
	Renew(ctx context.Context, h pki.Host) error
}

// ServerConfig is how a server is reached. CA must be set.
type ServerConfig struct {
	CA       *pki.CA
	Enroller Enroller         // nil: no host can join or renew
	Logger   *slog.Logger     // nil: no log
	Now      func() time.Time // nil: time.Now
	// Keepalive is how long a link may be silent before the agent is asked whether
	// it is there; 10 s when 0, at least 1 s.
	Keepalive time.Duration
}

// Server is the end of the links that agents dial.
type Server struct {
	agentpb.UnimplementedAgentServer

	handler agentapi.Handler
	cfg     ServerConfig
	log     *slog.Logger
	grpc    *grpc.Server
	readers sync.WaitGroup
}

// NewServer returns a server whose links are given to a handler.
func NewServer(h agentapi.Handler, cfg ServerConfig) *Server {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Keepalive == 0 {
		cfg.Keepalive = keepaliveTime
	}
	s := &Server{handler: h, cfg: cfg, log: cfg.Logger.With("component", "agents")}
	s.grpc = grpc.NewServer(
		grpc.Creds(credentials.NewTLS(cfg.CA.ServerTLS(cfg.Now))),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: cfg.Keepalive, Timeout: cfg.Keepalive}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveTime / 2}),
		grpc.MaxConcurrentStreams(16),
		grpc.WaitForHandlers(true),
	)
	agentpb.RegisterAgentServer(s.grpc, s)
	return s
}

// Serve accepts agents until ctx is done, ends all links then, and returns nil
// when nothing of them is left. It closes the listener. A Server serves once.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	stop := context.AfterFunc(ctx, s.grpc.Stop)
	err := s.grpc.Serve(listener)
	if stop() {
		s.grpc.Stop()
	}
	// Stop has been called, perhaps by somebody else: a second call waits for it.
	s.grpc.Stop()
	s.readers.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serve agents: %w", err)
}

// caller returns the host that a call comes from, by its certificate.
func caller(ctx context.Context) (pki.Host, error) {
	cert := certOf(ctx)
	if cert == nil {
		return pki.Host{}, status.Error(codes.Unauthenticated, "a client certificate is needed: join first")
	}
	h, err := pki.HostOf(cert)
	if err != nil {
		return pki.Host{}, status.Error(codes.Unauthenticated, err.Error())
	}
	return h, nil
}

func certOf(ctx context.Context) *x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return nil
	}
	return info.State.VerifiedChains[0][0]
}

// Link implements the stream of an agent.
func (s *Server) Link(stream agentpb.Agent_LinkServer) error {
	host, err := caller(stream.Context())
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	hello := first.GetHello()
	switch {
	case hello == nil:
		return status.Error(codes.InvalidArgument, "the first message must be a Hello")
	case hello.Host != host.Name:
		s.log.Warn("agent says it is another host", "host", host.Name, "id", host.ID, "says", hello.Host)
		return status.Errorf(codes.PermissionDenied, "the certificate is that of host %q", host.Name)
	}
	ctx, end := context.WithCancelCause(stream.Context())
	l := &serverLink{ctx: ctx, end: end}
	l.queue = agentapi.NewQueue[*agentpb.Down](func(length int) {
		s.log.Warn("link queue grows", "host", host.Name, "direction", "down", "length", length)
	})
	defer l.Close(agentapi.ErrLinkClosed)
	// It is sent before whatever the handler sends at once.
	l.queue.Put(&agentpb.Down{Message: &agentpb.Down_Welcome{Welcome: &agentpb.Welcome{HostId: int64(host.ID)}}})
	up, err := s.handler.Accept(ctx, agentapi.Hello{
		Host: host.Name, HostID: host.ID, Version: hello.Version, IMMad: hello.ImMad, VMMad: hello.VmMad,
	}, host.ID, l)
	if err != nil {
		l.Close(err)
		s.log.Warn("agent refused", "host", host.Name, "id", host.ID, "error", err)
		return toStatus(err)
	}
	// Recv ends only with the call, so it is not waited for here but by Serve.
	s.readers.Go(func() { l.Close(l.read(stream, up)) })
	l.Close(l.queue.Each(ctx, stream.Send))
	return toStatus(context.Cause(ctx))
}

// serverLink is a link as the handler holds it.
type serverLink struct {
	ctx   context.Context
	end   context.CancelCauseFunc
	queue *agentapi.Queue[*agentpb.Down]
}

var _ interface {
	agentapi.Downlink
	agentapi.Closer
} = (*serverLink)(nil)

// Run implements agentapi.Downlink.
func (l *serverLink) Run(_ context.Context, s agentapi.Step) error {
	return l.put(&agentpb.Down{Message: &agentpb.Down_Step{Step: toStep(s)}})
}

// Ack implements agentapi.Downlink.
func (l *serverLink) Ack(_ context.Context, id agentapi.StepID) error {
	return l.put(&agentpb.Down{Message: &agentpb.Down_Ack{Ack: toStepID(id)}})
}

func (l *serverLink) put(m *agentpb.Down) error {
	if l.queue.Put(m) {
		return nil
	}
	return closed(l.ctx)
}

// Close implements agentapi.Closer.
func (l *serverLink) Close(cause error) {
	if cause == nil {
		cause = agentapi.ErrLinkClosed
	}
	l.end(cause)
	l.queue.Close()
}

// read hands what the agent sends to the handler, until the stream ends or
// either of them fails.
func (l *serverLink) read(stream agentpb.Agent_LinkServer, up agentapi.Uplink) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("%w: %w", agentapi.ErrLinkClosed, err)
		}
		if l.ctx.Err() != nil {
			return context.Cause(l.ctx)
		}
		if err := deliver(l.ctx, m, up); err != nil {
			return err
		}
	}
}

func deliver(ctx context.Context, m *agentpb.Up, up agentapi.Uplink) error {
	switch m := m.GetMessage().(type) {
	case *agentpb.Up_Result:
		return up.Result(ctx, fromResult(m.Result))
	case *agentpb.Up_Event:
		return up.Event(ctx, fromEvent(m.Event))
	case *agentpb.Up_Sync:
		return up.Sync(ctx, list(m.Sync.GetDomains(), fromEvent))
	case *agentpb.Up_Facts:
		f, err := fromFacts(m.Facts)
		if err != nil {
			return err
		}
		return up.Facts(ctx, f)
	case *agentpb.Up_Samples:
		vms, err := fromVMSamples(m.Samples.GetVms())
		if err != nil {
			return err
		}
		return up.Samples(ctx, fromHostSample(m.Samples.GetHost()), vms)
	case *agentpb.Up_Refusal:
		return &agentapi.StaleEpochError{Seen: m.Refusal.GetSeenEpoch(), Got: m.Refusal.GetGotEpoch()}
	case *agentpb.Up_Hello:
		return errors.New("second Hello on a link")
	}
	return errMessage
}
