package gateapi

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"

	"github.com/trifid-cloud/trifid/internal/gate"
)

// request is one request. It is used again for others once it has ended.
type request struct {
	*http.Request
	api    *API
	w      http.ResponseWriter
	route  *route // nil if there is none
	param  string // the part of the path that the route leaves open
	guest  gate.Guest
	waited bool   // for a change
	sent   params // once read
	read   bool   // the body was
	held   held   // of the server, until end
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
	v, _ := lookup([]byte(q.URL.RawQuery), name)
	return string(v)
}

// lookup finds a parameter in a query string or form; of several the last counts.
func lookup(encoded []byte, name string) (value []byte, ok bool) {
	var last []byte
	for len(encoded) > 0 {
		var pair []byte
		pair, encoded, _ = bytes.Cut(encoded, []byte("&"))
		key, raw, _ := bytes.Cut(pair, []byte("="))
		if string(key) == name || len(key) <= 3*len(name) && string(unquery(key)) == name {
			last, ok = raw, true
		}
	}
	return unquery(last), ok
}

// unquery decodes a part of a query string. A percent sign that encodes nothing
// stands for itself: people forget to encode it.
func unquery(s []byte) []byte {
	if !bytes.ContainsAny(s, "%+") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			c = ' '
		}
		if c == '%' && i+2 < len(s) {
			var b [1]byte
			if _, err := hex.Decode(b[:], s[i+1:i+3]); err == nil {
				c, i = b[0], i+2
			}
		}
		out = append(out, c)
	}
	return out
}

// params finds parameters in the query string and in the body, if the request
// says that it is a form: requests of every method may, GET too. The body goes
// first. Source: OneGate reference §1.2.
type params struct {
	query, form []byte
	parts       map[string][]byte // of a multipart form
	body        []byte
}

func (p params) lookup(name string) ([]byte, bool) {
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
	if q.read {
		return q.sent, nil
	}
	p := params{query: []byte(q.URL.RawQuery)}
	var err error
	if p.body, err = q.body(); err != nil {
		return p, err
	}
	if len(p.body) > 0 {
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
	q.sent, q.read = p, true
	return p, nil
}

// maxParts bounds the fields of a multipart form.
const maxParts = 32

func parts(body []byte, boundary string) (map[string][]byte, error) {
	if !bytes.Contains(body, []byte("--"+boundary+"--")) {
		return nil, errors.New("it has no end") // the reader may take any end for the form's
	}
	out := map[string][]byte{}
	in := multipart.NewReader(bytes.NewReader(body), boundary)
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
		out[p.FormName()] = value
	}
	return nil, fmt.Errorf("more than %d fields", maxParts)
}
