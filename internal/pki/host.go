package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Host is who an agent is.
type Host struct {
	ID   int
	Name string
}

// maxName bounds a host's name, as a common name does.
const maxName = 64

// uri is the id of the host in its certificate, "trifid://host/12".
func (h Host) uri() *url.URL {
	return &url.URL{Scheme: "trifid", Host: "host", Path: "/" + strconv.Itoa(h.ID)}
}

// HostOf reads who a certificate is for. That it is valid and of which authority
// is for the caller to check.
func HostOf(cert *x509.Certificate) (Host, error) {
	h := Host{Name: cert.Subject.CommonName}
	if len(cert.URIs) != 1 {
		return Host{}, errors.New("certificate: expected one URI with the id of a host")
	}
	id, ok := strings.CutPrefix(cert.URIs[0].Path, "/")
	var err error
	if h.ID, err = strconv.Atoi(id); err != nil || !ok || h.ID < 0 || *cert.URIs[0] != *h.uri() {
		return Host{}, errors.New("certificate: expected the URI trifid://host/<id>")
	}
	return h, nil
}

// maxCSR bounds a request for a certificate; ours have some 300 bytes.
const maxCSR = 4096

// newRequest returns a request for a certificate of a host, PKCS #10 DER.
func newRequest(key *ecdsa.PrivateKey, host string) ([]byte, error) {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: host}}, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	return csr, nil
}

// Request is a request for a certificate that was checked.
type Request struct {
	Host string // whom it is for by its own word
	key  *ecdsa.PublicKey
}

// ParseRequest reads a request, PKCS #10 DER, and checks that it is signed by the
// key it asks for.
func ParseRequest(der []byte) (*Request, error) {
	if len(der) > maxCSR {
		return nil, fmt.Errorf("certificate request: it has %d bytes, at most %d are expected", len(der), maxCSR)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("certificate request: expected an ECDSA P-256 key")
	}
	if n := len(csr.Subject.CommonName); n == 0 || n > maxName {
		return nil, fmt.Errorf("certificate request: expected a host name of 1 to %d bytes", maxName)
	}
	return &Request{Host: csr.Subject.CommonName, key: key}, nil
}

// KeyHash is the SHA-256 of the public key, which Redeem wants.
func (r *Request) KeyHash() [32]byte {
	der, err := x509.MarshalPKIXPublicKey(r.key)
	if err != nil { // a P-256 key that was parsed can be encoded
		panic(err)
	}
	return sha256.Sum256(der)
}

// SignHost gives a host the certificate it asks for, DER. The request must bear
// the host's name; what else it asks for is not heeded.
func (ca *CA) SignHost(r *Request, h Host, now time.Time) ([]byte, error) {
	if r.Host != h.Name {
		return nil, fmt.Errorf("certificate request is for host %q, expected %q", r.Host, h.Name)
	}
	if h.ID < 0 {
		return nil, fmt.Errorf("host %q has no id yet", h.Name)
	}
	template, err := newTemplate(h.Name, now, now.Add(hostTime))
	if err != nil {
		return nil, err
	}
	template.URIs = []*url.URL{h.uri()}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	cert, err := ca.sign(template, r.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of host %q: %w", h.Name, err)
	}
	return cert.Raw, nil
}
