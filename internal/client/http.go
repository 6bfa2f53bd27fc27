package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
)

// UserAgent is what the commands call themselves; the original's tests and logs
// look for the form.
const UserAgent = "OpenNebula 6.8.3 (CLI)"

// newHTTP returns an HTTP client with the configuration's timeout and trust, and
// the address of the endpoint for messages. Proxies come from the environment.
func newHTTP(c Config) (*http.Client, string, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, "", fmt.Errorf("endpoint %q: expected http://host:port/path or https://…", c.Endpoint)
	}
	tr := http.DefaultTransport.(*http.Transport).Clone()
	if u.Scheme == "https" {
		tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: c.SkipVerify} // only if the user asked for it
		if c.CertDir != "" {
			if tr.TLSClientConfig.RootCAs, err = certPool(c.CertDir); err != nil {
				return nil, "", err
			}
		}
	}
	return &http.Client{
		Transport: tr,
		Timeout:   c.Timeout,
		// A redirect would repeat credentials elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, u.Host, nil
}

// certPool returns the system's authorities and those of the PEM files in dir.
func certPool(dir string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's certificates: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read ONE_CERT_DIR: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		pem, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read ONE_CERT_DIR: %w", err)
		}
		pool.AppendCertsFromPEM(pem)
	}
	return pool, nil
}

var errTooBig = errors.New("the answer is too big")

// readAll reads an answer of at most limit bytes.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = errTooBig
	}
	return body, err
}
