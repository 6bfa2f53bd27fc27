// Package pki is the trust between a server and its hosts: the cluster's own
// certificate authority, the certificates it gives to servers and agents, and the
// join tokens by which an agent gets its first one. It does no network I/O and
// keeps no state: what must last is returned as bytes.
//
// All keys are ECDSA P-256. A server bears the name ServerName in its
// certificate whatever its address is, so that agents may dial any address; a
// host bears its name and its id. Each kind of certificate is good for its own
// end of a connection only.
package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ServerName is the name every server of a cluster bears in its certificate.
const ServerName = "server.trifid.internal"

// How long certificates hold. A host or server renews when a third is left.
const (
	caTime     = 20 * 365 * 24 * time.Hour
	serverTime = 365 * 24 * time.Hour
	hostTime   = 90 * 24 * time.Hour
	// skew is how far the clocks of a cluster may differ.
	skew = time.Hour
)

// CA is the authority of a cluster.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes the authority of a new cluster.
func NewCA(now time.Time) (*CA, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template, err := newTemplate("Trifid cluster", now, now.Add(caTime))
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read authority back: %w", err)
	}
	return &CA{cert: cert, key: key}, nil
}

// ParseCA reads what PEM returned.
func ParseCA(certPEM, keyPEM []byte) (*CA, error) {
	der, err := fromPEM("CERTIFICATE", certPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate of the authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate of the authority: %w", err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("key of the authority: %w", err)
	}
	if !cert.IsCA || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("certificate and key of the authority do not belong together")
	}
	return &CA{cert: cert, key: key}, nil
}

// PEM returns certificate and key, which must be kept secret.
func (ca *CA) PEM() (certPEM, keyPEM []byte, err error) {
	keyPEM, err = keyToPEM(ca.key)
	return ca.CertPEM(), keyPEM, err
}

// CertPEM returns the certificate, which is no secret.
func (ca *CA) CertPEM() []byte { return toPEM("CERTIFICATE", ca.cert.Raw) }

// Cert returns the certificate, DER.
func (ca *CA) Cert() []byte { return bytes.Clone(ca.cert.Raw) }

// Fingerprint is the SHA-256 of the certificate, which join tokens carry.
func (ca *CA) Fingerprint() [32]byte { return sha256.Sum256(ca.cert.Raw) }

func (ca *CA) pool() *x509.CertPool { return poolOf(ca.cert) }

// IssueServer makes a key and a certificate for a server. The chain has the
// authority too, by which an agent with a join token knows the server.
func (ca *CA) IssueServer(now time.Time) (*tls.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template, err := newTemplate("Trifid server", now, now.Add(serverTime))
	if err != nil {
		return nil, err
	}
	template.DNSNames = []string{ServerName}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf, err := ca.sign(template, &key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of the server: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw, ca.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func (ca *CA) sign(template *x509.Certificate, public *ecdsa.PublicKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, public, ca.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// newTemplate returns what all certificates have in common.
func newTemplate(name string, now, until time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-skew),
		NotAfter:     until,
	}, nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}

func poolOf(cert *x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}

func toPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// fromPEM returns the content of the one block there must be.
func fromPEM(kind string, data []byte) ([]byte, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != kind || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("expected one PEM block %q", kind)
	}
	return block.Bytes, nil
}

func keyToPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return toPEM("PRIVATE KEY", der), nil
}

func parseKey(data []byte) (*ecdsa.PrivateKey, error) {
	der, err := fromPEM("PRIVATE KEY", data)
	if err != nil {
		return nil, err
	}
	// What a parser says of a key it cannot read is kept out of the error.
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("expected an ECDSA P-256 key")
	}
	return key, nil
}
