// Package gateapi is the gate's face: OneGate over HTTP, for guests. It turns
// requests into calls of internal/gate and their results into answers, with the
// headers, statuses and texts of the original; it decides nothing itself.
//
// Beyond the original: every document has an ETag; with watch=REVISION, or as an
// event stream, it is sent when it has changed.
//
// Source: OneGate reference §1.
package gateapi

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trifid-cloud/trifid/internal/gate"
	"github.com/trifid-cloud/trifid/internal/logline"
)

// Options are what an API is built from.
type Options struct {
	Log *slog.Logger
	// MaxBody bounds the body of a request, in bytes; default 1 MiB.
	MaxBody int64
	// MaxWait is how long a request that waits for a change is held; default 4
	// minutes, which is less than what cmd/onegate and most proxies put up with.
	MaxWait time.Duration
	// Heartbeat is how often an event stream without news says that it lives, and
	// how long its client may take to read; default 20 s.
	Heartbeat time.Duration
}

// API serves guests.
type API struct {
	gate     *gate.Gate
	opts     Options
	routes   routes
	buffers  *buffers
	requests sync.Pool // of *request
	metrics  *metrics
	failed   logline.Seldom
}

var _ http.Handler = (*API)(nil)

// New returns the face of a gate.
func New(g *gate.Gate, o Options) *API {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxBody == 0 {
		o.MaxBody = 1 << 20
	}
	if o.MaxWait == 0 {
		o.MaxWait = 4 * time.Minute
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 20 * time.Second
	}
	a := &API{gate: g, opts: o, routes: newRoutes(table), buffers: newBuffers(largeBodies, o.MaxBody+1)}
	a.requests.New = func() any { return new(request) }
	a.metrics = newMetrics(a.routes, g)
	return a
}

// Collectors returns what there is to measure, for whoever serves metrics.
func (a *API) Collectors() []prometheus.Collector { return a.metrics.collectors() }
