package oneapi_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/server/oneapi"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// TestPoolInPieces: a pool that is sent in pieces is the same document as the VMs
// one by one, whatever character a piece ends with, and small answers say their
// length.
func TestPoolInPieces(t *testing.T) {
	s := newServer(t)
	const vms = 1500
	for from := 0; from < vms; from += 100 {
		s.Do(func(tx *store.Tx) {
			for id := from; id < from+100; id++ {
				user := tmpl.New(tmpl.Single("LABELS", strings.Repeat("ä<&>\"", id%200)))
				tx.PutVM(&one.VM{VMCore: one.VMCore{Meta: one.Meta{ID: id, Name: "web"}, State: one.VMHold, ServiceID: -1, VRouterID: -1}, UserTemplate: user})
			}
		})
	}
	web := httptest.NewServer(s)
	defer web.Close()
	client := web.Client()
	ask := func(from, to int) (doc string, length int64) {
		call := xmlrpc.AppendCall(nil, "one.vmpool.info", xmlrpc.String(oneadmin), xmlrpc.Int(-2), xmlrpc.Int(from), xmlrpc.Int(to), xmlrpc.Int(-1))
		r, err := client.Post(web.URL+oneapi.Path, "text/xml", bytes.NewReader(call))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if got := r.Header.Get("Content-Type"); r.StatusCode != http.StatusOK || got != "text/xml; charset=utf-8" {
			t.Fatalf("HTTP %d, %s", r.StatusCode, got)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		v, err := xmlrpc.ParseAnswer(body, xmlrpc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return v.Text(), r.ContentLength
	}
	all, length := ask(-1, -1)
	if length != -1 {
		t.Errorf("a pool of %d bytes says its length: it was held whole", length)
	}
	var want strings.Builder
	want.WriteString("<VM_POOL>")
	for id := vms - 1; id >= 0; id -= 50 {
		page, length := ask(id-49, id)
		if length < 0 {
			t.Fatal("a small answer does not say its length")
		}
		want.WriteString(strings.TrimSuffix(strings.TrimPrefix(page, "<VM_POOL>"), "</VM_POOL>"))
	}
	want.WriteString("</VM_POOL>")
	if all != want.String() {
		t.Errorf("the pool is %d bytes, its VMs are %d", len(all), want.Len())
	}
}

// slow is a client's connection that takes a number of bytes and breaks.
type slow struct {
	*httptest.ResponseRecorder
	left int
}

func (w *slow) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, fmt.Errorf("connection reset")
	}
	return w.ResponseRecorder.Write(p)
}

// TestPoolNotTaken: a client that goes away in the middle of a pool harms nobody.
func TestPoolNotTaken(t *testing.T) {
	s := newServer(t)
	s.Do(func(tx *store.Tx) {
		user := tmpl.New(tmpl.Single("LABELS", strings.Repeat("x", 4000)))
		for id := range 100 {
			tx.PutVM(&one.VM{VMCore: one.VMCore{Meta: one.Meta{ID: id, Name: "web"}, State: one.VMHold, ServiceID: -1, VRouterID: -1}, UserTemplate: user})
		}
	})
	call := xmlrpc.AppendCall(nil, "one.vmpool.info", xmlrpc.String(oneadmin), xmlrpc.Int(-2), xmlrpc.Int(-1), xmlrpc.Int(-1), xmlrpc.Int(-1))
	w := &slow{httptest.NewRecorder(), 300 << 10}
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, oneapi.Path, bytes.NewReader(call)))
	if n := w.Body.Len(); n == 0 || n > 300<<10 {
		t.Errorf("%d bytes were sent", n)
	}
	if got := s.doc(t, "one.vmpool.info", -2, 0, 0, -1); !strings.Contains(got, "<ID>0</ID>") {
		t.Errorf("the next call is answered with %.100s", got)
	}
}
