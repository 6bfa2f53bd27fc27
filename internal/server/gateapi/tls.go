package gateapi

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLSConfig returns the settings for serving guests over TLS with the certificate
// and key of two PEM files. The files are looked at again during handshakes, at
// most once a second, and read when they have changed; as long as they do not
// belong together, as while they are being replaced, the former certificate is
// served. It fails when they cannot be read now.
func TLSConfig(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*tls.Config, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, now: now}
	stamp, err := c.look()
	if err == nil {
		err = c.read(stamp)
	}
	if err != nil {
		return nil, fmt.Errorf("certificate of the gate: %w", err)
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	}, nil
}

// certificate is a certificate that is read again when its files change.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu     sync.Mutex
	cert   *tls.Certificate
	stamp  stamp // of the files that cert was read from, or that were found wanting
	looked time.Time
}

// stamp tells one state of the files from another.
type stamp struct {
	cert, key         time.Time
	certSize, keySize int64
}

// lookEvery is how often the files are looked at.
const lookEvery = time.Second

func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.looked) < lookEvery && !now.Before(c.looked) {
		return c.cert
	}
	c.looked = now
	seen, err := c.look()
	if err == nil && seen == c.stamp {
		return c.cert
	}
	if err == nil {
		err = c.read(seen)
	}
	if err != nil {
		c.log.Warn("the certificate of the gate cannot be read anew, the former one is served", "err", err)
	} else {
		c.log.Info("the certificate of the gate was read anew", "file", c.certFile)
	}
	return c.cert
}

func (c *certificate) look() (stamp, error) {
	cert, err := os.Stat(c.certFile)
	if err != nil {
		return stamp{}, err
	}
	key, err := os.Stat(c.keyFile)
	if err != nil {
		return stamp{}, err
	}
	return stamp{cert.ModTime(), key.ModTime(), cert.Size(), key.Size()}, nil
}

// read reads the files, whose stamp was seen before it.
func (c *certificate) read(seen stamp) error {
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	c.stamp = seen // files that are wrong are not read again until they change
	if err != nil {
		return err
	}
	c.cert = &cert
	return nil
}
