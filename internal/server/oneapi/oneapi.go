// Package oneapi is the XML-RPC face of the core: POST /RPC2. A table says of
// each of the reference's methods what it takes, what right it asks for and how
// it is done; everything else here turns calls into calls of the service layer
// and answers into documents. It decides nothing.
//
// Source: XML-RPC reference §1 to §7.
package oneapi

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/onexml"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// Version is the release of the original that is answered for.
const Version = "6.8.3"

// Path is where the calls are taken.
const Path = "/RPC2"

// Monitor is where measurements are read. Times are epoch seconds; series are
// oldest first.
type Monitor interface {
	onexml.Monitor
	VMSeries(id int, since int64) []agentapi.VMSample
	HostSeries(id int, since int64) []agentapi.HostSample
}

// Options are what the face is built from.
type Options struct {
	Cloud *cloud.Cloud
	// Monitor may be nil: then nothing is measured.
	Monitor Monitor
	// Body returns the JSON body of a service's document; nil leaves those
	// documents as they are stored.
	Body func(doc int) (json []byte, ok bool)
	// MaxBytes bounds a call; four times as much, all that are being read at a time
	// but for their first 64 KiB each. Default 64 MiB: the original's MESSAGE_SIZE is
	// 1 GiB, but no call does anything with more than the store takes at once,
	// which is far less, and who calls is known only when the call is read.
	MaxBytes int
	Log      *slog.Logger
}

// API is the face. It is an http.Handler.
type API struct {
	cloud   *cloud.Cloud
	monitor Monitor
	body    func(doc int) ([]byte, bool)
	limits  xmlrpc.Limits
	log     *slog.Logger
	methods map[string]*method
	reqID   atomic.Int64
	reading budget
	buffers sync.Pool // of *buffers
}

const maxBytes = 64 << 20

// New returns the face.
func New(o Options) *API {
	if o.MaxBytes <= 0 {
		o.MaxBytes = maxBytes
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &API{
		cloud: o.Cloud, monitor: o.Monitor, body: o.Body, log: o.Log, methods: map[string]*method{},
		limits: xmlrpc.Limits{MaxBytes: o.MaxBytes},
	}
	a.reading.left.Store(4 * int64(o.MaxBytes))
	a.buffers.New = func() any { return new(buffers) }
	for _, m := range table() {
		a.methods[m.name] = &m
	}
	return a
}

// buffers are what a call needs while it is served; they are used again.
type buffers struct {
	in, doc, out []byte
}

// maxKept is the largest buffer that is kept for the next call.
const maxKept = 1 << 20

func (a *API) recycle(b *buffers) {
	for _, p := range []*[]byte{&b.in, &b.doc, &b.out} {
		if cap(*p) > maxKept {
			*p = nil
		}
	}
	a.buffers.Put(b)
}
