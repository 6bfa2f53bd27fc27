package grpcapi

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/agentapi/grpcapi/agentpb"
	"github.com/trifid-cloud/trifid/internal/pki"
)

// Enrol implements the exchange of a join token for a certificate. Why a token
// is refused is only logged.
func (s *Server) Enrol(ctx context.Context, q *agentpb.EnrolRequest) (*agentpb.Certificate, error) {
	refused := status.Error(codes.PermissionDenied, "the join token is refused")
	if s.cfg.Enroller == nil {
		return nil, status.Error(codes.Unimplemented, "hosts cannot join this server")
	}
	r, err := pki.ParseRequest(q.GetCsr())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if r.Host != q.GetHost() {
		return nil, status.Error(codes.InvalidArgument, "the certificate request is for another host")
	}
	hello := agentapi.Hello{Host: r.Host, HostID: -1, IMMad: q.GetImMad(), VMMad: q.GetVmMad()}
	h, err := s.cfg.Enroller.Join(ctx, q.GetSecret(), r.KeyHash(), hello)
	if err != nil {
		s.log.Warn("host not enrolled", "host", r.Host, "error", err)
		if isRefusal(err) {
			return nil, refused
		}
		return nil, toStatus(err)
	}
	s.log.Info("host enrolled", "host", h.Name, "id", h.ID)
	return s.sign(r, h)
}

func isRefusal(err error) bool {
	for _, e := range []error{pki.ErrTokenUnknown, pki.ErrTokenExpired, pki.ErrTokenUsed, pki.ErrTokenHost} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Renew implements the exchange of a certificate for a newer one.
func (s *Server) Renew(ctx context.Context, q *agentpb.RenewRequest) (*agentpb.Certificate, error) {
	h, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if s.cfg.Enroller == nil {
		return nil, status.Error(codes.Unimplemented, "hosts cannot renew certificates here")
	}
	r, err := pki.ParseRequest(q.GetCsr())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if r.Host != h.Name {
		return nil, status.Error(codes.PermissionDenied, "the certificate request is for another host")
	}
	if err := s.cfg.Enroller.Renew(ctx, h); err != nil {
		s.log.Warn("certificate not renewed", "host", h.Name, "id", h.ID, "error", err)
		return nil, toStatus(err)
	}
	return s.sign(r, h)
}

func (s *Server) sign(r *pki.Request, h pki.Host) (*agentpb.Certificate, error) {
	cert, err := s.cfg.CA.SignHost(r, h, s.cfg.Now())
	if err != nil {
		s.log.Error("certificate not signed", "host", h.Name, "id", h.ID, "error", err)
		return nil, status.Error(codes.Internal, "the certificate could not be signed")
	}
	return &agentpb.Certificate{Certificate: cert, Ca: s.cfg.CA.Cert(), HostId: int64(h.ID), Host: h.Name}, nil
}

// JoinConfig is what an agent needs to join a cluster. Addresses, Token, Dir and
// the host's name in Hello must be set.
type JoinConfig struct {
	Addresses []string // of the servers, host:port, tried in order
	Token     pki.Token
	Dir       string // where the identity is kept
	Hello     agentapi.Hello
	Now       func() time.Time // nil: time.Now
}

// Join exchanges a join token for an identity, which is kept in the directory.
// It may be repeated when the answer was lost.
func Join(ctx context.Context, cfg JoinConfig) (*pki.Identity, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	p, err := pki.BeginJoin(cfg.Dir, cfg.Hello.Host)
	if err != nil {
		return nil, err
	}
	all := []error{errors.New("no server has let the host join")}
	for _, address := range cfg.Addresses {
		cert, err := enrol(ctx, address, cfg, p)
		if err == nil {
			return p.Finish(cfg.Token, cert.GetCertificate(), cert.GetCa())
		}
		all = append(all, fmt.Errorf("%s: %w", address, err))
	}
	return nil, errors.Join(all...)
}

func enrol(ctx context.Context, address string, cfg JoinConfig, p *pki.Pending) (*agentpb.Certificate, error) {
	conn, err := dial(address, cfg.Token.TLS(cfg.Now))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	cert, err := agentpb.NewAgentClient(conn).Enrol(ctx, &agentpb.EnrolRequest{
		Secret: cfg.Token.Secret[:], Csr: p.CSR, Host: text(cfg.Hello.Host), ImMad: text(cfg.Hello.IMMad), VmMad: text(cfg.Hello.VMMad),
	})
	return cert, errors.Join(fromStatus(err), conn.Close())
}

// Renew exchanges the certificate of the agent for a newer one, which the next
// link uses.
func (c *Connector) Renew(ctx context.Context) error {
	p, err := c.cfg.Identity.BeginRenewal()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	return c.eachServer(func(conn *grpc.ClientConn) error {
		cert, err := agentpb.NewAgentClient(conn).Renew(ctx, &agentpb.RenewRequest{Csr: p.CSR})
		if err != nil {
			return fromStatus(err)
		}
		if err := c.cfg.Identity.FinishRenewal(p, cert.GetCertificate()); err != nil {
			return err
		}
		return conn.Close()
	})
}

// How often a certificate that is due is tried to be renewed, and the time is
// looked at: clocks are set and machines sleep.
const (
	renewRetry = 10 * time.Minute
	renewLook  = 6 * time.Hour
)

// KeepRenewed renews the certificate when it is time, until ctx is done.
func (c *Connector) KeepRenewed(ctx context.Context) {
	for {
		wait := min(c.cfg.Identity.RenewAt().Sub(c.cfg.Now()), renewLook)
		if wait <= 0 {
			err := c.Renew(ctx)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				c.log.Info("certificate renewed", "next", c.cfg.Identity.RenewAt())
				continue
			}
			wait = renewRetry/2 + rand.N(renewRetry)
			c.log.Warn("certificate not renewed", "error", err, "retry_in", wait)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}
