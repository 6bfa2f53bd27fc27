package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/trifid-cloud/trifid/bench/target"
	"github.com/trifid-cloud/trifid/internal/server/oneapi"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// pools asks for whole pools over one connection and does not read what they say.
type pools struct {
	server *target.Trifid
	http   http.Client
	buf    bytes.Buffer
}

func newPools(t *target.Trifid) *pools { return &pools{server: t} }

// get returns the answer to a call for all VMs in a state (-2 for any), which
// holds until the next call.
func (p *pools) get(ctx context.Context, method string, state int) ([]byte, error) {
	body := xmlrpc.AppendCall(nil, method, xmlrpc.String(p.server.Session), xmlrpc.Int(-2), xmlrpc.Int(-1), xmlrpc.Int(-1), xmlrpc.Int(state))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.server.Core.String()+oneapi.Path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := p.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	p.buf.Reset()
	if _, err := io.Copy(&p.buf, res.Body); err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	if !bytes.Contains(p.buf.Bytes()[:min(1000, p.buf.Len())], []byte("VM_POOL")) {
		return nil, fmt.Errorf("%s: answered %.1000q", method, p.buf.Bytes())
	}
	return p.buf.Bytes(), nil
}

// The documents are escaped inside the answer.
func countVMs(answer []byte) int { return bytes.Count(answer, []byte("&lt;VM&gt;")) }

func countRunning(answer []byte) int {
	return bytes.Count(answer, []byte("&lt;LCM_STATE&gt;3&lt;/LCM_STATE&gt;"))
}

// fetchCall returns the answer to a prepared call as a page.
func fetchCall(ctx context.Context, t *target.Trifid, request []byte) (target.Page, error) {
	_, body, _ := bytes.Cut(request, []byte("\r\n\r\n"))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+t.Core.String()+oneapi.Path, bytes.NewReader(body))
	if err != nil {
		return target.Page{}, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return target.Page{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	res.Header.Del("Date") // net/http sends its own
	return target.Page{Header: res.Header, Body: text}, err
}
