// Package load asks an HTTP server for as much as it can give, at as little cost
// as a client can have: one thread, one epoll set, requests made beforehand and
// answers looked at no further than needed. It shares the machine with the server
// it measures, so what it spends is taken from the server.
//
// Linux, HTTP/1.1 without TLS, answers with a Content-Length.
package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Next appends the next request to dst and tells the status its answer must have.
// It is called from one goroutine.
type Next func(dst []byte) (request []byte, status int)

// Config says what to ask for. It ends after Duration or Requests, whichever is
// set; what has begun then is waited for.
type Config struct {
	Addr netip.AddrPort
	// Conns is how many requests are under way at once, each on its own connection.
	Conns int
	// Fresh opens a connection for each request and closes it after the answer.
	Fresh    bool
	Duration time.Duration
	Requests int
	// Rate is how many requests per second are begun, whatever becomes of those
	// before them; 0 begins the next when one has ended.
	Rate float64
	Next Next
}

// Result is what came of it.
type Result struct {
	Requests int           // answered as expected or not
	Wrong    int           // answered with another status than expected
	Broken   int           // not answered: the connection failed
	Elapsed  time.Duration // from the first request to the last answer
	// Examples are some of the wrong answers.
	Examples []string

	latencies []time.Duration // ascending
}

// PerSecond returns the requests answered per second.
func (r *Result) PerSecond() float64 { return float64(r.Requests) / r.Elapsed.Seconds() }

// Percentile returns the latency that a share p (0 to 1) of the requests did not
// exceed. It is from when a request was due: for a fresh connection before it was
// opened, with a rate when the rate asked for it.
func (r *Result) Percentile(p float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	i := int(p * float64(len(r.latencies)))
	return r.latencies[min(i, len(r.latencies)-1)]
}

// Err returns what was wrong with the answers, nil if nothing was.
func (r *Result) Err() error {
	if r.Wrong == 0 && r.Broken == 0 {
		return nil
	}
	return fmt.Errorf("of %d requests %d were answered wrongly and %d connections failed: %q", r.Requests, r.Wrong, r.Broken, r.Examples)
}

// overtime is how long the server may be silent.
const overtime = 30 * time.Second

// Run asks until the end of the configuration or of ctx. An error means that it
// could not ask at all; wrong answers are in the result.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if cfg.Conns < 1 || cfg.Next == nil || (cfg.Duration <= 0) == (cfg.Requests <= 0) {
		return nil, errors.New("load: expected connections, requests to make, and one of a duration and a number")
	}
	l, err := newLoop(cfg)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	err = errors.Join(l.run(ctx), l.close())
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	slices.Sort(l.result.latencies)
	return &l.result, nil
}
