// Package httpd runs an HTTP server the way every face does: bounded headers
// and connections, deadlines against clients that dawdle, and a stop that lets
// what has begun end.
package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Config says what to serve, and where.
type Config struct {
	Addr    string // host:port; port 0 picks one
	Handler http.Handler
	TLS     *tls.Config // nil for plain HTTP
	Log     *slog.Logger
	// MaxConns bounds the connections; further ones wait. Default 8192.
	MaxConns int
	// ReadTimeout is how long a request may take to arrive, WriteTimeout how long
	// its answer to be taken; Body and Answer extend them as long as bytes flow.
	// Defaults 15 s and 60 s.
	ReadTimeout, WriteTimeout time.Duration
	// IdleTimeout is how long a connection is kept between requests. Default 2 min:
	// longer than clients keep theirs, so that no request meets a closing one.
	IdleTimeout time.Duration
	// Grace is how long requests may take to end once the server stops; default 10 s.
	Grace time.Duration
}

// maxHeader bounds the header of a request, in bytes.
const maxHeader = 64 << 10

// Server is a server that is bound to its address.
type Server struct {
	cfg      Config
	listener net.Listener
	http     *http.Server
	cancel   context.CancelFunc // ends the requests there are
}

// Listen binds the address. Nothing is answered before Run.
func Listen(cfg Config) (*Server, error) {
	for _, d := range []struct {
		to *time.Duration
		by time.Duration
	}{{&cfg.ReadTimeout, 15 * time.Second}, {&cfg.WriteTimeout, time.Minute}, {&cfg.IdleTimeout, 2 * time.Minute}, {&cfg.Grace, 10 * time.Second}} {
		if *d.to == 0 {
			*d.to = d.by
		}
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 8192
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for HTTP: %w", err)
	}
	// Requests outlive the context of Run: they end by themselves, or with the grace.
	requests, cancel := context.WithCancel(context.Background())
	return &Server{
		cfg: cfg, listener: netutil.LimitListener(l, cfg.MaxConns), cancel: cancel,
		http: &http.Server{
			Handler: cfg.Handler, TLSConfig: cfg.TLS, MaxHeaderBytes: maxHeader,
			ReadTimeout: cfg.ReadTimeout, WriteTimeout: cfg.WriteTimeout, IdleTimeout: cfg.IdleTimeout,
			ErrorLog:    slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
			BaseContext: func(net.Listener) context.Context { return requests },
		},
	}, nil
}

// Addr returns the address the server is bound to.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close gives up an address that Run was not called for.
func (s *Server) Close() error {
	s.cancel()
	return s.listener.Close()
}

// Also serves what another listener accepts, in plain HTTP and in the same way,
// until that is closed or the server stops; it returns nil then. Who opened the
// listener bounds its connections.
func (s *Server) Also(l net.Listener) error {
	err := s.http.Serve(l)
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
}

// Run serves until ctx ends; then it takes no more requests, lets those end that
// have begun, for as long as Grace, and returns nil.
func (s *Server) Run(ctx context.Context) error {
	defer s.cancel()
	done := make(chan error, 1)
	go func() { done <- s.serve() }()
	select {
	case err := <-done:
		return fmt.Errorf("serve HTTP on %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	grace, stop := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Grace)
	defer stop()
	err := s.http.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		s.cfg.Log.Warn("requests were cut off at the stop", "addr", s.Addr().String())
		err = s.http.Close()
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("stop serving HTTP on %s: %w", s.Addr(), err)
	}
	return nil
}

func (s *Server) serve() error {
	if s.cfg.TLS != nil {
		return s.http.ServeTLS(s.listener, "", "")
	}
	return s.http.Serve(s.listener)
}
