package gateapi

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/trifid-cloud/trifid/internal/gate"
	"github.com/trifid-cloud/trifid/internal/server/httpd"
)

// request is a request that has a route.
type request struct {
	*http.Request
	api    *API
	w      http.ResponseWriter
	route  *route
	param  string  // the part of the path that the route leaves open
	waited bool    // for a change
	read   *params // once the body was
}

// The header names as net/http keeps them: each is looked up without a copy.
const (
	headerToken = "X-Onegate-Token"
	headerVMID  = "X-Onegate-Vmid"
)

// only returns the value of a header that must not be repeated: two tokens, or two
// ids, are an attempt to be taken for two guests by two programs on the way.
func only(h http.Header, name string) string {
	if vs := h[name]; len(vs) == 1 {
		return vs[0]
	}
	return ""
}

// credentials returns what the request says of who sends it. The id is that of
// the header, else that of the path or the query. In the original the guest is
// then taken for VM 0; here it is the one that its token is of.
// Source: OneGate reference §1.3.
func (q *request) credentials() gate.Credentials {
	c := gate.Credentials{Token: only(q.Header, headerToken), VMID: only(q.Header, headerVMID), From: q.RemoteAddr}
	switch {
	case q.route.act != nil && q.route.path == "/vm/:id":
		c.VMID = q.param
	case len(q.Header[headerVMID]) > 0:
	case q.route.self:
		c.VMID = q.param
	default:
		c.VMID = q.query("id")
	}
	return c
}

// query returns a parameter of the query string, "" if there is none.
func (q *request) query(name string) string {
	v, _ := lookup(q.URL.RawQuery, name)
	return v
}

// lookup finds a parameter in a query string or form; of several the last counts.
func lookup(encoded, name string) (value string, ok bool) {
	for encoded != "" {
		var pair string
		pair, encoded, _ = strings.Cut(encoded, "&")
		key, raw, _ := strings.Cut(pair, "=")
		if unquery(key) == name {
			value, ok = unquery(raw), true
		}
	}
	return value, ok
}

// unquery decodes a part of a query string. A percent sign that encodes nothing
// stands for itself: people forget to encode it.
func unquery(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			c = ' '
		}
		if c == '%' && i+2 < len(s) {
			if b, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				c, i = b[0], i+2
			}
		}
		out = append(out, c)
	}
	return string(out)
}

// params finds parameters in the query string and in the body, if the request
// says that it is a form: requests of every method may, GET too. The body goes
// first. Source: OneGate reference §1.2.
type params struct {
	query, form string
	parts       map[string]string // of a multipart form
	body        string
}

func (p params) lookup(name string) (string, bool) {
	if v, ok := p.parts[name]; ok {
		return v, true
	}
	if v, ok := lookup(p.form, name); ok {
		return v, true
	}
	return lookup(p.query, name)
}

// params reads the body, the first time, and returns the parameters.
func (q *request) params() (params, error) {
	if q.read != nil {
		return *q.read, nil
	}
	p := params{query: q.URL.RawQuery}
	var err error
	if p.body, err = q.body(); err != nil {
		return p, err
	}
	if p.body != "" {
		kind, args, err := mime.ParseMediaType(q.Header.Get("Content-Type"))
		switch {
		case err != nil: // no type, or none anybody knows
		case kind == "application/x-www-form-urlencoded":
			p.form = p.body
		case kind == "multipart/form-data":
			if p.parts, err = parts(p.body, args["boundary"]); err != nil {
				return p, &gate.Refusal{Status: http.StatusBadRequest, Text: "The form in the body cannot be read", Cause: err}
			}
		}
	}
	q.read = &p
	return p, nil
}

// maxParts bounds the fields of a multipart form.
const maxParts = 32

func parts(body, boundary string) (map[string]string, error) {
	if !strings.Contains(body, "--"+boundary+"--") {
		return nil, errors.New("it has no end") // the reader may take any end for the form's
	}
	out := map[string]string{}
	in := multipart.NewReader(strings.NewReader(body), boundary)
	for range maxParts {
		p, err := in.NextRawPart()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		value, err := io.ReadAll(p)
		if err != nil {
			return nil, err
		}
		out[p.FormName()] = string(value)
	}
	return nil, fmt.Errorf("more than %d fields", maxParts)
}

// A body may have freeBody bytes whatever others hold, which is more than nearly
// all have; a larger one is read into one of largeBodies buffers for all.
const (
	freeBody    = 64 << 10
	largeBodies = 8
	firstBody   = 4 << 10 // room before anything was read, if the request says it needs it
)

// buffers are a few large buffers that are used again and again, so that those who
// send much cost memory once. They are made when they are needed first.
type buffers struct {
	size int64
	idle chan []byte // nil for one that was not made yet
}

func newBuffers(n int, size int64) buffers {
	b := buffers{size, make(chan []byte, n)}
	for range n {
		b.idle <- nil
	}
	return b
}

// take returns an empty buffer, false if others have them all.
func (b *buffers) take() ([]byte, bool) {
	select {
	case buf := <-b.idle:
		if buf == nil {
			buf = make([]byte, 0, b.size)
		}
		return buf, true
	default:
		return nil, false
	}
}

func (b *buffers) give(buf []byte) { b.idle <- buf[:0] }

// body reads the body of the request.
func (q *request) body() (text string, err error) {
	if q.ContentLength == 0 || q.Body == http.NoBody {
		return "", nil
	}
	defer func() {
		if err != nil {
			q.w.Header().Set("Connection", "close") // the rest is not read
		}
	}()
	most := q.api.opts.MaxBody
	if q.ContentLength > most {
		return "", tooLarge(most)
	}
	size := int64(512)
	if q.ContentLength > 0 {
		size = min(q.ContentLength, firstBody)
	}
	buf, from := make([]byte, 0, size+1), httpd.Body(q.w, q.Request)
	for {
		n, err := from.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > most:
			return "", tooLarge(most)
		case errors.Is(err, io.EOF):
			return string(buf), nil
		case err != nil:
			return "", &gate.Refusal{Status: http.StatusBadRequest, Text: "The body cannot be read", Cause: err}
		case len(buf) < cap(buf):
			continue
		case 2*cap(buf) <= freeBody:
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
			continue
		}
		large, ok := q.api.large.take() // has room for more than may be
		if !ok {
			return "", &gate.Refusal{Status: http.StatusServiceUnavailable, Text: "Too many large requests are being read", RetryAfter: retryBusy}
		}
		defer q.api.large.give(large)
		buf = append(large, buf...)
	}
}

func tooLarge(most int64) error {
	return &gate.Refusal{Status: http.StatusRequestEntityTooLarge, Text: fmt.Sprintf("The body is larger than %d bytes", most)}
}
