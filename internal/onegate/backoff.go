package onegate

import (
	"errors"
	"time"
)

// Bounds of waiting after failures.
const (
	firstWait = time.Second
	maxWait   = time.Minute
	maxAsked  = time.Hour // what a server may ask for
)

// backoff is how long to wait after failures in a row: twice as long each time,
// less a random part so that the guests of a service spread, and never shorter
// than the server asked for.
type backoff struct {
	failures int
	jitter   func() float64
}

func (b *backoff) succeeded() { b.failures = 0 }

func (b *backoff) failed(err error) time.Duration {
	wait := min(maxWait, firstWait<<min(b.failures, 10))
	b.failures++
	wait -= time.Duration(float64(wait) / 2 * b.jitter())
	if status, ok := errors.AsType[*statusError](err); ok {
		wait = max(wait, min(status.retry, maxAsked))
	}
	return wait
}
