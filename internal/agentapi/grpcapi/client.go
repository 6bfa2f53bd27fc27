package grpcapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/agentapi/grpcapi/agentpb"
	"github.com/trifid-cloud/trifid/internal/pki"
)

// ConnectorConfig is how an agent reaches its server. Addresses and Identity
// must be set.
type ConnectorConfig struct {
	// Addresses are those of the servers of the cluster, host:port. They are tried
	// in order, from the last one that has led.
	Addresses []string
	Identity  *pki.Identity
	Logger    *slog.Logger     // nil: no log
	Now       func() time.Time // nil: time.Now
}

// Connector opens links over the network. It implements agentapi.Connector.
type Connector struct {
	cfg ConnectorConfig
	log *slog.Logger

	mu    sync.Mutex
	first int // index of the address to be tried first
}

var _ agentapi.Connector = (*Connector)(nil)

// NewConnector returns a connector; it does not connect.
func NewConnector(cfg ConnectorConfig) (*Connector, error) {
	switch {
	case len(cfg.Addresses) == 0:
		return nil, errors.New("agent: no address of a server")
	case cfg.Identity == nil:
		return nil, errors.New("agent: Identity is missing")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Connector{cfg: cfg, log: cfg.Logger.With("component", "link")}, nil
}

// dial prepares a connection, which is made by its first call.
func dial(address string, config *tls.Config) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: handshakeTime}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTime}),
		grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(0),
	)
}

// eachServer calls f with a connection to each server in turn until one
// succeeds, whose connection f has to close; else it returns what each has said.
func (c *Connector) eachServer(f func(conn *grpc.ClientConn) error) error {
	c.mu.Lock()
	first := c.first
	c.mu.Unlock()
	var all []error
	for i := range c.cfg.Addresses {
		n := (first + i) % len(c.cfg.Addresses)
		address := c.cfg.Addresses[n]
		conn, err := dial(address, c.cfg.Identity.TLS(c.cfg.Now))
		if err == nil {
			if err = f(conn); err == nil {
				c.mu.Lock()
				c.first = n
				c.mu.Unlock()
				return nil
			}
			err = errors.Join(err, conn.Close())
		}
		all = append(all, fmt.Errorf("%s: %w", address, err))
	}
	return errors.Join(all...)
}

// Connect implements agentapi.Connector.
func (c *Connector) Connect(ctx context.Context, hello agentapi.Hello, down agentapi.Downlink) (agentapi.Uplink, <-chan struct{}, error) {
	var l *agentLink
	err := c.eachServer(func(conn *grpc.ClientConn) error {
		var err error
		l, err = c.open(ctx, conn, hello)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	go l.run(down)
	return l, l.done, nil
}

// open says hello and waits until the server has taken the link.
func (c *Connector) open(ctx context.Context, conn *grpc.ClientConn, hello agentapi.Hello) (*agentLink, error) {
	ctx, end := context.WithCancelCause(ctx)
	patience := time.AfterFunc(handshakeTime, func() { end(fmt.Errorf("the server has not answered for %s", handshakeTime)) })
	stream, err := agentpb.NewAgentClient(conn).Link(ctx)
	if err == nil {
		err = greet(stream, hello)
	}
	if !patience.Stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		end(err)
		return nil, fromStatus(err)
	}
	l := &agentLink{ctx: ctx, end: end, conn: conn, stream: stream, done: make(chan struct{})}
	l.queue = agentapi.NewQueue[*agentpb.Up](func(length int) {
		c.log.Warn("link queue grows", "direction", "up", "length", length)
	})
	return l, nil
}

func greet(stream agentpb.Agent_LinkClient, hello agentapi.Hello) error {
	err := stream.Send(&agentpb.Up{Message: &agentpb.Up_Hello{Hello: &agentpb.Hello{
		Host: text(hello.Host), Version: text(hello.Version), ImMad: text(hello.IMMad), VmMad: text(hello.VMMad),
	}}})
	if err != nil && !errors.Is(err, io.EOF) { // EOF: Recv says why
		return err
	}
	m, err := stream.Recv()
	if err != nil {
		return err
	}
	if m.GetWelcome() == nil {
		return errors.New("the first message of the server is not a Welcome")
	}
	return nil
}

// agentLink is a link as the agent holds it.
type agentLink struct {
	ctx    context.Context
	end    context.CancelCauseFunc
	conn   *grpc.ClientConn
	stream agentpb.Agent_LinkClient
	queue  *agentapi.Queue[*agentpb.Up]
	done   chan struct{}
}

// run carries messages both ways until the link ends.
func (l *agentLink) run(down agentapi.Downlink) {
	defer close(l.done)
	var upwards sync.WaitGroup
	upwards.Go(func() { l.write() })
	l.close(l.read(down))
	upwards.Wait()
	// All calls have ended, so that there is nothing it could fail to do.
	_ = l.conn.Close()
}

func (l *agentLink) close(cause error) {
	l.end(cause)
	l.queue.Close()
}

// errSaid ends the sending of messages after the last one.
var errSaid = errors.New("all is said")

func (l *agentLink) write() {
	err := l.queue.Each(l.ctx, func(m *agentpb.Up) error {
		if err := l.stream.Send(m); err != nil {
			return err
		}
		if m.GetRefusal() != nil {
			return errSaid
		}
		return nil
	})
	switch {
	case errors.Is(err, errSaid):
		// The server has the last word, so that the refusal is not lost on its way.
		if err := l.stream.CloseSend(); err != nil {
			l.close(err)
		}
	case errors.Is(err, io.EOF): // Recv says why
	default:
		l.close(err)
	}
}

// read gives what comes down to the agent until the stream ends.
func (l *agentLink) read(down agentapi.Downlink) error {
	for {
		m, err := l.stream.Recv()
		if err != nil {
			return fmt.Errorf("%w: %w", agentapi.ErrLinkClosed, fromStatus(err))
		}
		err = l.take(m, down)
		if stale, ok := errors.AsType[*agentapi.StaleEpochError](err); ok {
			l.queue.Put(&agentpb.Up{Message: &agentpb.Up_Refusal{Refusal: &agentpb.Refusal{SeenEpoch: stale.Seen, GotEpoch: stale.Got}}})
			return l.hangUp(err)
		}
		if err != nil {
			return err
		}
	}
}

// hangUp waits until the server has ended the link on which it was refused.
func (l *agentLink) hangUp(cause error) error {
	patience := time.AfterFunc(handshakeTime, func() { l.close(cause) })
	defer patience.Stop()
	for {
		if _, err := l.stream.Recv(); err != nil {
			return cause
		}
	}
}

func (l *agentLink) take(m *agentpb.Down, down agentapi.Downlink) error {
	switch m := m.GetMessage().(type) {
	case *agentpb.Down_Step:
		s, err := fromStep(m.Step)
		if err != nil {
			return err
		}
		return down.Run(l.ctx, s)
	case *agentpb.Down_Ack:
		return down.Ack(l.ctx, fromStepID(m.Ack))
	}
	return errMessage
}

func (l *agentLink) put(m *agentpb.Up) error {
	if l.queue.Put(m) {
		return nil
	}
	return closed(l.ctx)
}

// Facts implements agentapi.Uplink.
func (l *agentLink) Facts(_ context.Context, f agentapi.Facts) error {
	return l.put(&agentpb.Up{Message: &agentpb.Up_Facts{Facts: toFacts(f)}})
}

// Sync implements agentapi.Uplink.
func (l *agentLink) Sync(_ context.Context, all []agentapi.Event) error {
	return l.put(&agentpb.Up{Message: &agentpb.Up_Sync{Sync: &agentpb.Sync{Domains: list(all, toEvent)}}})
}

// Event implements agentapi.Uplink.
func (l *agentLink) Event(_ context.Context, e agentapi.Event) error {
	return l.put(&agentpb.Up{Message: &agentpb.Up_Event{Event: toEvent(e)}})
}

// Result implements agentapi.Uplink.
func (l *agentLink) Result(_ context.Context, r agentapi.Result) error {
	return l.put(&agentpb.Up{Message: &agentpb.Up_Result{Result: toResult(r)}})
}

// Samples implements agentapi.Uplink; those of many VMs go in several messages.
func (l *agentLink) Samples(_ context.Context, h agentapi.HostSample, vms []agentapi.VMSample) error {
	for {
		n := min(len(vms), sampleChunk)
		m := &agentpb.Samples{Host: toHostSample(h), Vms: list(vms[:n], toVMSample)}
		if err := l.put(&agentpb.Up{Message: &agentpb.Up_Samples{Samples: m}}); err != nil {
			return err
		}
		if vms = vms[n:]; len(vms) == 0 {
			return nil
		}
		h = agentapi.HostSample{}
	}
}
