package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"sync"
	"syscall"
	"time"

	rpc "github.com/digitalocean/go-libvirt"
	"github.com/digitalocean/go-libvirt/socket/dialers"
)

// The RPC library has no contexts and no deadlines, and one stalled reader stalls
// its whole connection. So a connection has one user at a time, and giving up on
// a call closes it: that ends the call, whatever libvirt does, and harms no other.

// sockets are where libvirt listens for its QEMU driver, the one daemon and the
// modular one.
var sockets = []string{"/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock"}

const (
	maxIdle     = 4
	maxOpen     = 32 // libvirtd has a limit as well, far above
	connectTime = 10 * time.Second
)

// again is how long to wait before an operation is tried again whose connection
// was lost under it. A daemon that restarts is back within the first two.
var again = []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second}

// errSlow is why a call was given up that took too long.
var errSlow = errors.New("libvirt does not answer")

// endpoint is where libvirt is.
type endpoint struct {
	socket string // "": the usual places
	uri    string
}

// dial opens a connection. ctx bounds it, and so does connectTime.
func (e endpoint) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTime, errSlow)
	defer cancel()
	places := sockets
	if e.socket != "" {
		places = []string{e.socket}
	}
	var (
		dialer net.Dialer
		sock   net.Conn
		err    error
	)
	for _, place := range places {
		if sock, err = dialer.DialContext(ctx, "unix", place); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, e.unreachable(places[0], err)
	}
	c := &conn{Conn: sock, dead: make(chan struct{})}
	c.rpc = rpc.NewWithDialer(dialers.NewAlreadyConnected(c))
	stop := context.AfterFunc(ctx, c.kill)
	err = c.rpc.ConnectToURI(rpc.ConnectURI(e.uri))
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.kill()
		return nil, e.unreachable(sock.RemoteAddr().String(), err)
	}
	return c, nil
}

func (e endpoint) unreachable(place string, err error) error { return &awayError{place, err} }

// awayError is a connection that could not be made.
type awayError struct {
	place string
	err   error
}

func (e *awayError) Error() string {
	return fmt.Sprintf("libvirt is not reachable at %s: %v; is libvirtd running?", e.place, e.err)
}

func (e *awayError) Unwrap() error { return e.err }

// isAway tells whether libvirt is not there, or not yet: what nobody forbids.
func isAway(err error) bool {
	if away := (*awayError)(nil); !errors.As(err, &away) {
		return false
	}
	for _, why := range []error{fs.ErrNotExist, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}

// conn is one connection.
type conn struct {
	net.Conn
	rpc  *rpc.Libvirt
	once sync.Once
	dead chan struct{} // closed when the connection has ended
}

// Read notices the end of the connection.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.kill()
	}
	return n, err
}

// Write notices it as well: a daemon that has gone is found out by either.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.kill()
	}
	return n, err
}

// kill ends the connection, and with it the call that is under way.
func (c *conn) kill() {
	c.once.Do(func() {
		close(c.dead)
		_ = c.Conn.Close() // nothing was buffered that could be lost
	})
}

func (c *conn) isDead() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}

// pool keeps connections for calls.
type pool struct {
	endpoint
	open chan struct{} // one token per connection in use

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

func newPool(e endpoint) *pool { return &pool{endpoint: e, open: make(chan struct{}, maxOpen)} }

// call runs f on a connection of its own, for limit at most. When the connection
// is lost under it, f is run again on another: it must be idempotent as a whole.
func (p *pool) call(ctx context.Context, what string, limit time.Duration, f func(*rpc.Libvirt) error) error {
	return p.run(ctx, what, limit, 0, f)
}

// do is call for what is to happen even if libvirt is away: it waits for it to
// come back, as long as a daemon may take that is being upgraded.
func (p *pool) do(ctx context.Context, what string, limit time.Duration, f func(*rpc.Libvirt) error) error {
	return p.run(ctx, what, limit, comeBack, f)
}

const (
	comeBack  = 2 * time.Minute
	awayPause = 500 * time.Millisecond
)

func (p *pool) run(ctx context.Context, what string, limit, patience time.Duration, f func(*rpc.Libvirt) error) error {
	if err := p.acquire(ctx, limit); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer func() { <-p.open }()
	since, wait := time.Now(), time.Duration(0)
	for try := 0; ; {
		err := p.once(ctx, limit, f)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		case isAway(err) && time.Since(since) < patience:
			wait = awayPause
		case errors.Is(err, errLost) && try < len(again):
			since, wait = time.Now(), again[try]
			try++
		default:
			return fmt.Errorf("%s: %w", what, err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// acquire takes a token for a connection.
func (p *pool) acquire(ctx context.Context, limit time.Duration) error {
	ctx, cancel := timeout(ctx, limit)
	defer cancel()
	select {
	case p.open <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func timeout(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w within %v", errSlow, limit))
}

// errLost marks a call whose connection has ended under it.
var errLost = errors.New("the connection to libvirt was lost")

// once runs f for limit at most.
func (p *pool) once(ctx context.Context, limit time.Duration, f func(*rpc.Libvirt) error) error {
	ctx, cancel := timeout(ctx, limit)
	defer cancel()
	c, err := p.take(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, c.kill)
	err = f(c.rpc)
	if !stop() || c.isDead() {
		c.kill()
		if err == nil {
			return nil // it was done before
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w: %w", errLost, err)
	}
	p.give(c)
	return err
}

// take returns an idle connection, or a new one.
func (p *pool) take(ctx context.Context) (*conn, error) {
	p.mu.Lock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if !c.isDead() {
			p.mu.Unlock()
			return c, nil
		}
	}
	p.mu.Unlock()
	return p.dial(ctx)
}

// give puts a connection back.
func (p *pool) give(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= maxIdle {
		c.kill()
		return
	}
	p.idle = append(p.idle, c)
}

// close ends the idle connections; those in use end when they are given back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.kill()
	}
	p.idle = nil
}

// hasCode tells whether libvirt has refused with one of these codes.
func hasCode(err error, codes ...rpc.ErrorNumber) bool {
	e, ok := errors.AsType[rpc.Error](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if e.Code == uint32(c) {
			return true
		}
	}
	return false
}
