package client

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// maxAnswer bounds the answer to one call, in bytes: the reference's own
// MESSAGE_SIZE. Source: XML-RPC reference §1.
const maxAnswer = 1 << 30

// Core speaks to the core's XML-RPC server.
type Core struct {
	conf Config
	http *http.Client
	addr string
}

// NewCore returns a client of the core. It opens no connection.
func NewCore(c Config) (*Core, error) {
	h, addr, err := newHTTP(c)
	if err != nil {
		return nil, err
	}
	return &Core{conf: c, http: h, addr: addr}, nil
}

// Config returns the settings the client was made with.
func (c *Core) Config() Config { return c.conf }

// Result is what a call returned: a number or a text.
type Result struct {
	Int  int
	Text string
}

// Call calls one.<method> with the session and the arguments: strings, ints,
// booleans and []int. A refusal is an *Error, a server that cannot be reached a
// *ConnError.
func (c *Core) Call(ctx context.Context, method string, args ...any) (Result, error) {
	call, err := encodeCall("one."+method, append([]any{c.conf.Session}, args...))
	if err != nil {
		return Result{}, fmt.Errorf("call one.%s: %w", method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.conf.Endpoint, bytes.NewReader(call))
	if err != nil {
		return Result{}, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "text/xml; charset=utf-8")
	req.Header.Set("User-Agent", UserAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		return Result{}, connError(c.addr, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return Result{}, connError(c.addr, fmt.Errorf("HTTP status %s", resp.Status))
	}
	body, err := readAll(resp.Body, maxAnswer)
	if err != nil {
		return Result{}, connError(c.addr, err)
	}
	return decodeAnswer(body)
}

// Doc calls a method that returns a document.
func (c *Core) Doc(ctx context.Context, method string, args ...any) (*doc.Node, error) {
	r, err := c.Call(ctx, method, args...)
	if err != nil {
		return nil, err
	}
	n, err := doc.Parse(r.Text)
	if err != nil {
		return nil, fmt.Errorf("answer of one.%s: %w", method, err)
	}
	return n, nil
}

// Filters of pools: whose objects. Source: XML-RPC reference §4.1.
const (
	PrimaryGroup = -4
	Mine         = -3
	All          = -2
	MineAndGroup = -1
)

// Page calls a pool method page by page and returns the pages as one document.
// The arguments of the call are filter, start and the number of rows negated,
// then more. It stops at the first page that is not full; with paging off it
// asks for everything at once. Source: XML-RPC reference §4.2 and §11.
func (c *Core) Page(ctx context.Context, method string, filter int, more ...any) (*doc.Node, error) {
	if c.conf.PageSize == 0 {
		return c.Doc(ctx, method, append([]any{filter, -1, -1}, more...)...)
	}
	var pool *doc.Node
	for start := 0; ; start += c.conf.PageSize {
		page, err := c.Doc(ctx, method, append([]any{filter, start, -c.conf.PageSize}, more...)...)
		if err != nil {
			return nil, err
		}
		if pool == nil {
			pool = page
		} else {
			pool.Kids = append(pool.Kids, page.Kids...)
		}
		if len(page.Kids) < c.conf.PageSize {
			return pool, nil
		}
	}
}
