package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// maxFlowAnswer bounds the answer to one OneFlow request, in bytes.
const maxFlowAnswer = 256 << 20

// Flow speaks to OneFlow's REST server.
type Flow struct {
	conf Config
	http *http.Client
	addr string
}

// NewFlow returns a client of OneFlow. It opens no connection.
func NewFlow(c Config) (*Flow, error) {
	h, addr, err := newHTTP(c)
	if err != nil {
		return nil, err
	}
	return &Flow{conf: c, http: h, addr: addr}, nil
}

// Do sends one request; body is sent as JSON unless nil. It returns the body of
// a 2xx answer; another status is an *Error with it as code and the body as
// text; a server that cannot be reached is a *ConnError.
// Source: OneFlow reference §1.3.
func (f *Flow) Do(ctx context.Context, method, path string, body any) ([]byte, error) {
	var sent []byte
	switch b := body.(type) {
	case nil:
	case []byte:
		sent = b
	default:
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("write request: %w", err)
		}
	}
	req, err := f.request(ctx, method, path, sent)
	if err != nil {
		return nil, err
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return nil, connError(f.addr, err)
	}
	defer resp.Body.Close()
	answer, err := readAll(resp.Body, maxFlowAnswer)
	if err != nil {
		return nil, connError(f.addr, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, &Error{Code: resp.StatusCode, Msg: string(answer)}
	}
	return answer, nil
}

func (f *Flow) request(ctx context.Context, method, path string, sent []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(f.conf.Endpoint, "/")+path, bytes.NewReader(sent))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	user, password, _ := strings.Cut(f.conf.Session, ":")
	req.SetBasicAuth(user, password)
	req.Header.Set("User-Agent", UserAgent)
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}

// FlowText words a transport error as OneFlow's own client does.
// Source: OneFlow reference §7.1, OneGate reference §4.5.
func (e *ConnError) FlowText() string {
	if e.Timeout {
		return fmt.Sprintf("Error timeout connecting to server (%v).\nServer: %s", e.Err, e.Addr)
	}
	return fmt.Sprintf("Error connecting to server (%v).\nServer: %s", e.Err, e.Addr)
}

// FlowStatus is the HTTP status that stands for the transport error.
func (e *ConnError) FlowStatus() int {
	if e.Timeout {
		return http.StatusGatewayTimeout
	}
	return http.StatusServiceUnavailable
}
