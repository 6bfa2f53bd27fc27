package onegate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// interfaceVersion is the release of OpenNebula whose OneGate we speak.
const interfaceVersion = "6.8.3"

// Content types. A form labels every PUT, also those with JSON in them, because
// the reference's client does so and its servers expect it.
// Source: OneGate reference §4.4.
const (
	typeForm = "application/x-www-form-urlencoded"
	typeJSON = "application/json"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// client makes requests to the gate in the name of this guest.
type client struct {
	http    *http.Client
	base    string // scheme and host of the endpoint
	server  string // host:port, for messages
	vmid    string
	token   string
	timeout time.Duration
	now     func() time.Time
}

// answer is a successful answer.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// statusError is an answer that is not a success.
type statusError struct {
	status int
	text   string
	retry  time.Duration // how long to wait before asking again; 0 if not said
}

func (e *statusError) Error() string { return e.text }

// newTransport returns what carries requests, directly or through a proxy.
func newTransport(proxy *url.URL) http.RoundTripper {
	t := &http.Transport{
		DialContext: (&net.Dialer{Timeout: time.Minute}).DialContext,
		// As in the reference: a guest has no way to know which authority signed
		// the gate's certificate, and most gates have none that is signed.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	if proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
	}
	return t
}

// client returns a client for the endpoint that the environment names.
func (a *app) client() (*client, error) {
	env := a.environment()
	endpoint := env("ONEGATE_ENDPOINT")
	if endpoint == "" {
		return nil, broken("ONEGATE_ENDPOINT is not set, and no context disk was found that says it")
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, broken("ONEGATE_ENDPOINT %q: expected http://host:port or https://host:port", endpoint)
	}
	var proxy *url.URL
	if p := env("http_proxy"); p != "" {
		if proxy, err = url.Parse(p); err != nil || proxy.Host == "" {
			return nil, broken("http_proxy %q: expected http://host:port", p)
		}
	}
	server := u.Host
	if u.Port() == "" {
		server = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	return &client{
		http: &http.Client{
			Transport:     a.transport(proxy),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		base:    u.Scheme + "://" + u.Host, // a path is ignored
		server:  server,
		vmid:    strings.TrimSpace(env("VMID")),
		token:   strings.TrimSpace(env("TOKENTXT")),
		timeout: a.timeout,
		now:     a.now,
	}, nil
}

// do makes a request. An answer outside 2xx is a *statusError; other errors are
// worded as the reference's, see §4.5.
func (c *client) do(ctx context.Context, method, path, contentType, body string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return nil, broken("%v", err)
	}
	req.Header.Set("Accept", "*/*")
	req.Header.Set("User-Agent", "OpenNebula "+interfaceVersion+" (Trifid)")
	req.Header.Set("Authorization", "Basic Og==") // no name, no password
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		req.Header.Set("X-ONEGATE-TOKEN", c.token)
	}
	if c.vmid != "" {
		req.Header.Set("X-ONEGATE-VMID", c.vmid)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.describe(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, c.describe(err)
	}
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil, &statusError{res.StatusCode, string(b), retryAfter(res.Header.Get("Retry-After"), c.now())}
	}
	return &answer{res.StatusCode, res.Header, b}, nil
}

// describe words the failure of a request.
func (c *client) describe(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without method and address, which say nothing new
	}
	op, ok := errors.AsType[*net.OpError](err)
	dialing := ok && op.Op == "dial"
	netErr, ok := errors.AsType[net.Error](err)
	late := ok && netErr.Timeout()
	_, unnamed := errors.AsType[*net.DNSError](err)
	what := "Error while connected to server"
	switch {
	case unnamed:
		what = "Error timeout while connected to server" // the reference's words for it
	case late && dialing:
		what = "Error timeout connecting to server"
	case late:
		what = "Error timeout while connected to server"
		err = fmt.Errorf("no answer within %v", c.timeout)
	case dialing, errors.Is(err, syscall.ECONNREFUSED):
		what = "Error connecting to server"
	}
	return fmt.Errorf("%s (%w).\nServer: %s", what, err, c.server)
}

// retryAfter reads a Retry-After header: seconds, or a date.
func retryAfter(s string, now time.Time) time.Duration {
	if t, err := http.ParseTime(s); err == nil {
		return max(0, t.Sub(now))
	}
	if n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	return 0
}
