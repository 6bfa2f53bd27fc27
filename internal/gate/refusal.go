package gate

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/store"
)

// Refusal is the answer to a request that is not granted: an HTTP status and the
// bare text that goes with it. Source: OneGate reference §1.14.
type Refusal struct {
	Status int
	Text   string
	// RetryAfter is when trying again may help; 0 when it is not said.
	RetryAfter time.Duration
	// Cause is for the log.
	Cause error
}

// Error returns the text.
func (r *Refusal) Error() string { return r.Text }

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Cause }

func refuse(status int, format string, args ...any) *Refusal {
	return &Refusal{Status: status, Text: fmt.Sprintf(format, args...)}
}

// retryWhenUnavailable is how long a guest is asked to wait when no member leads
// or the outcome of its write is unknown.
const retryWhenUnavailable = time.Second

// coreError is the refusal for an error of a call to the service layer, which is
// named as the original's core does, "[one.vm.update] …". What has no kind is a
// fault of ours: its detail is not for guests.
func coreError(status int, method string, err error) *Refusal {
	var large *store.TooLargeError
	switch {
	case errors.As(err, &large):
		return &Refusal{Status: http.StatusRequestEntityTooLarge, Text: "The user template would be too large", Cause: err}
	case errs.KindOf(err) == errs.Unavailable:
		return &Refusal{Status: http.StatusServiceUnavailable, Text: "[" + method + "] " + errs.Text(err), RetryAfter: retryWhenUnavailable, Cause: err}
	case errs.KindOf(err) == errs.NotSupported:
		return &Refusal{Status: status, Text: errs.Text(err), Cause: err} // it names the method itself
	}
	return &Refusal{Status: status, Text: "[" + method + "] " + errs.Text(err), Cause: err}
}
