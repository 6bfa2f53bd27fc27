package gateapi_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

// nowhere is a response that is thrown away; it keeps its header between requests
// as net/http's own keeps the map.
type nowhere struct {
	header http.Header
	status int
}

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) WriteHeader(status int)      { n.status = status }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkGet is GET /vm without HTTP's connection: what the gate itself costs.
func BenchmarkGet(b *testing.B) {
	r := newRig(b, settings{})
	v := r.vm(r.user("ana"), nil)
	req := httptest.NewRequest(http.MethodGet, "/vm", nil)
	req.Header.Set("X-ONEGATE-TOKEN", token(b, v))
	req.Header.Set("X-ONEGATE-VMID", strconv.Itoa(v.ID))
	w := &nowhere{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		w.status = http.StatusOK
		r.api.ServeHTTP(w, req)
	}
	if w.status != http.StatusOK {
		b.Fatalf("status %d", w.status)
	}
}

// BenchmarkPut is PUT /vm with a new value each time, made durable in memory.
func BenchmarkPut(b *testing.B) {
	r := newRig(b, settings{})
	v := r.vm(r.user("ana"), nil)
	req := httptest.NewRequest(http.MethodPut, "/vm", nil)
	req.Header.Set("X-ONEGATE-TOKEN", token(b, v))
	req.Header.Set("X-ONEGATE-VMID", strconv.Itoa(v.ID))
	w := &nowhere{header: http.Header{}}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		body := fmt.Appendf(nil, "LOAD = \"%d\"", n)
		n++
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.api.ServeHTTP(w, req)
	}
	if w.status != http.StatusOK {
		b.Fatalf("status %d", w.status)
	}
}
