package pki

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ServerTLS is how a server is reached by agents: with a certificate it makes
// itself and renews in time. A client without a certificate gets in, because it
// may want to join, and has to be refused everything else; one of another
// authority, or whose certificate does not hold, does not.
func (ca *CA) ServerTLS(now func() time.Time) *tls.Config {
	s := &serverCert{ca: ca, now: now}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		Time:           now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.get() },
		ClientAuth:     tls.VerifyClientCertIfGiven,
		ClientCAs:      ca.pool(),
		// A ticket would outlive the certificate it was given for.
		SessionTicketsDisabled: true,
	}
}

// serverCert is the certificate of a server that runs. It is not kept: agents
// trust the authority, and the next start makes another.
type serverCert struct {
	ca  *CA
	now func() time.Time

	mu   sync.Mutex
	cert *tls.Certificate
}

func (s *serverCert) get() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.cert == nil || !now.Before(renewAt(s.cert.Leaf)) {
		cert, err := s.ca.IssueServer(now)
		if err != nil {
			return nil, err
		}
		s.cert = cert
	}
	return s.cert, nil
}

// TLS is how an agent reaches a server: it proves who it is and trusts its
// cluster's authority alone.
func (id *Identity) TLS(now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		Time:       now,
		ServerName: ServerName,
		RootCAs:    poolOf(id.ca),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			id.mu.Lock()
			defer id.mu.Unlock()
			return id.cert, nil
		},
	}
}

// TLS is how an agent that has only a token reaches a server: the authority the
// server shows must be that of the token, and the server's certificate of it.
func (t Token) TLS(now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		Time:       now,
		ServerName: ServerName,
		// The authority is not known beforehand; VerifyConnection does the checks.
		InsecureSkipVerify: true,
		VerifyConnection:   func(cs tls.ConnectionState) error { return t.verify(cs.PeerCertificates, now()) },
	}
}

func (t Token) verify(chain []*x509.Certificate, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("the server has shown no certificate")
	}
	for _, ca := range chain[1:] {
		if sha256.Sum256(ca.Raw) != t.CA {
			continue
		}
		_, err := chain[0].Verify(x509.VerifyOptions{
			Roots: poolOf(ca), DNSName: ServerName, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		if err != nil {
			return fmt.Errorf("certificate of the server: %w", err)
		}
		return nil
	}
	return errors.New("the server is not of the cluster that the join token is for")
}
