package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"

	"github.com/trifid-cloud/trifid/internal/agent"
	"github.com/trifid-cloud/trifid/internal/gaterelay"
)

// openGate lets the guests of this machine reach the gate on their bridges, if
// they are to.
func (h *localHost) openGate(ctx context.Context, networks agent.Networks) (*gaterelay.Host, error) {
	c := gaterelay.Config{Networks: networks, State: h.dir.join("agent/gate.json"), Log: h.log.With("component", "relay")}
	if h.cfg.Gate.LinkLocal {
		c.Serve = h.serveGate
		if raw := h.cfg.Agent.Gate; raw != "" {
			dial, err := gateDialer(raw)
			if err != nil {
				return nil, err
			}
			c.Serve = (&gaterelay.Forwarder{Dial: dial, Log: c.Log}).Serve
		}
		if c.Serve == nil {
			return nil, errors.New("gate.link_local: there is no gate in this process; give the URL of one in agent.gate")
		}
	}
	return gaterelay.New(ctx, c)
}

// gateDialer returns what connects to the gate at a URL, which was checked with
// the settings.
func gateDialer(raw string) (func(context.Context) (net.Conn, error), error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	dialer := &net.Dialer{}
	if u.Scheme == "https" {
		secure := &tls.Dialer{NetDialer: dialer, Config: &tls.Config{MinVersion: tls.VersionTLS12}}
		return func(ctx context.Context) (net.Conn, error) { return secure.DialContext(ctx, "tcp", addr) }, nil
	}
	return func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", addr) }, nil
}
