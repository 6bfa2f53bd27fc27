package pki

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/internal/durable"
)

// The files of an agent's identity, 0600 in a directory 0700.
const (
	// identityFile has the key, the certificate and the authority, in this order,
	// in one file so that no crash can part them.
	identityFile = "host.pem"
	// joinFile is the key of an agent that has not joined yet: a join token is
	// good for one key, and the answer may have been lost.
	joinFile = "join.key"
)

// Identity is who an agent is and how it proves it. Its methods may be called
// from several goroutines.
type Identity struct {
	dir string
	ca  *x509.Certificate

	mu   sync.Mutex
	cert *tls.Certificate
	host Host
}

// Load reads the identity in a directory; fs.ErrNotExist (wrapped) means that the
// agent has to join first.
func Load(dir string) (*Identity, error) {
	path := filepath.Join(dir, identityFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("identity of the host: %w", err)
	}
	id, err := parseIdentity(data)
	if err != nil {
		return nil, fmt.Errorf("identity of the host: %s: %w", path, err)
	}
	id.dir = dir
	return id, nil
}

func parseIdentity(data []byte) (*Identity, error) {
	var blocks [3]*pem.Block
	for i := range blocks {
		if blocks[i], data = pem.Decode(data); blocks[i] == nil {
			return nil, errors.New("expected a key and two certificates")
		}
	}
	key, err := parseKey(pem.EncodeToMemory(blocks[0]))
	if err != nil {
		return nil, err
	}
	return newIdentity(key, blocks[1].Bytes, blocks[2].Bytes)
}

// newIdentity checks that the parts belong together. That the certificate still
// holds is for the server to say.
func newIdentity(key *ecdsa.PrivateKey, certDER, caDER []byte) (*Identity, error) {
	ca, err := x509.ParseCertificate(caDER)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	id := &Identity{ca: ca}
	if id.cert, id.host, err = checkHostCert(key, certDER, ca); err != nil {
		return nil, err
	}
	return id, nil
}

func checkHostCert(key *ecdsa.PrivateKey, certDER []byte, ca *x509.Certificate) (*tls.Certificate, Host, error) {
	leaf, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, Host{}, fmt.Errorf("certificate: %w", err)
	}
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return nil, Host{}, errors.New("certificate: it is for another key")
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: poolOf(ca), CurrentTime: leaf.NotBefore.Add(skew), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, Host{}, fmt.Errorf("certificate: %w", err)
	}
	host, err := HostOf(leaf)
	if err != nil {
		return nil, Host{}, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, host, nil
}

// Host is who the agent is.
func (id *Identity) Host() Host {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.host
}

// RenewAt is when the certificate is to be renewed: a third of its time is left.
func (id *Identity) RenewAt() time.Time {
	id.mu.Lock()
	defer id.mu.Unlock()
	return renewAt(id.cert.Leaf)
}

func renewAt(cert *x509.Certificate) time.Time {
	return cert.NotAfter.Add(-cert.NotAfter.Sub(cert.NotBefore) / 3)
}

// Pending is a certificate that was asked for.
type Pending struct {
	// CSR is the request, PKCS #10 DER.
	CSR []byte

	dir string
	key *ecdsa.PrivateKey
}

// BeginJoin makes a key for a host, or takes the one an earlier try has left.
func BeginJoin(dir, host string) (*Pending, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("begin to join: %w", err)
	}
	path := filepath.Join(dir, joinFile)
	data, err := os.ReadFile(path)
	var key *ecdsa.PrivateKey
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if key, err = newKey(); err != nil {
			return nil, err
		}
		if data, err = keyToPEM(key); err != nil {
			return nil, err
		}
		if err := durable.WriteFile(path, data); err != nil {
			return nil, fmt.Errorf("keep key: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("begin to join: %w", err)
	default:
		if key, err = parseKey(data); err != nil {
			return nil, fmt.Errorf("begin to join: %s: %w", path, err)
		}
	}
	return newPending(dir, key, host)
}

func newPending(dir string, key *ecdsa.PrivateKey, host string) (*Pending, error) {
	csr, err := newRequest(key, host)
	if err != nil {
		return nil, err
	}
	return &Pending{CSR: csr, dir: dir, key: key}, nil
}

// Finish takes the answer to a join, DER, keeps it and returns the identity. The
// authority must be the one of the token.
func (p *Pending) Finish(token Token, certDER, caDER []byte) (*Identity, error) {
	if sha256.Sum256(caDER) != token.CA {
		return nil, errors.New("the authority is not that of the join token")
	}
	id, err := newIdentity(p.key, certDER, caDER)
	if err != nil {
		return nil, err
	}
	id.dir = p.dir
	if err := id.keep(id.cert); err != nil {
		return nil, err
	}
	if err := durable.Remove(filepath.Join(p.dir, joinFile)); err != nil {
		return nil, fmt.Errorf("remove key of the join: %w", err)
	}
	return id, nil
}

// BeginRenewal makes a new key and a request for it.
func (id *Identity) BeginRenewal() (*Pending, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	return newPending(id.dir, key, id.Host().Name)
}

// FinishRenewal takes the answer to a renewal, DER, and keeps it: connections
// from now on use it. It must be for the same host, of the same authority.
func (id *Identity) FinishRenewal(p *Pending, certDER []byte) error {
	cert, host, err := checkHostCert(p.key, certDER, id.ca)
	if err != nil {
		return fmt.Errorf("renewed %w", err)
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	if host != id.host {
		return fmt.Errorf("renewed certificate: it is for host %d %q, expected %d %q", host.ID, host.Name, id.host.ID, id.host.Name)
	}
	if err := id.keep(cert); err != nil {
		return err
	}
	id.cert = cert
	return nil
}

// keep writes the identity with this certificate.
func (id *Identity) keep(cert *tls.Certificate) error {
	data, err := keyToPEM(cert.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		return err
	}
	data = append(data, toPEM("CERTIFICATE", cert.Leaf.Raw)...)
	data = append(data, toPEM("CERTIFICATE", id.ca.Raw)...)
	if err := durable.WriteFile(filepath.Join(id.dir, identityFile), data); err != nil {
		return fmt.Errorf("keep identity of the host: %w", err)
	}
	return nil
}
