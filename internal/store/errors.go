package store

import (
	"errors"
	"fmt"

	"github.com/trifid-cloud/trifid/internal/errs"
)

// ErrClosed is what a closed store answers.
var ErrClosed = errors.New("the store is closed")

// ErrNewerData tells that the data was written by a newer program: this one
// must not touch it, and does not start.
var ErrNewerData = errors.New("the data was written by a newer version of this program")

// NotLeaderError tells that this member does not lead, so that nothing was
// written. Its kind is errs.Unavailable.
type NotLeaderError struct {
	Leader string // name of the member that leads, "" if none is known
	Addr   string // where the leader takes forwarded writes, as it advertised
}

// Error returns the message for the user.
func (e *NotLeaderError) Error() string {
	if e.Leader == "" {
		return "no member leads at the moment, nothing was written"
	}
	return fmt.Sprintf("this member does not lead, %s does; nothing was written", e.Leader)
}

// Unwrap gives the error its kind.
func (e *NotLeaderError) Unwrap() error { return errs.New(errs.Unavailable, "%s", e.Error()) }

// OutcomeError tells that it is not known whether a write was made: the answer
// to its commit was lost, or nobody waited for it. Its kind is errs.Unavailable.
type OutcomeError struct{ Cause error }

// Error returns the message for the user.
func (e *OutcomeError) Error() string {
	return fmt.Sprintf("the outcome of the write is unknown: %v", e.Cause)
}

// Unwrap gives the error its kind, and its cause.
func (e *OutcomeError) Unwrap() []error {
	return []error{errs.New(errs.Unavailable, "the outcome of the write is unknown, look before you repeat it"), e.Cause}
}

// TooLargeError refuses a transaction that is more than one batch may hold.
type TooLargeError struct {
	Bytes, Keys int
}

// Error returns the message for the user.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the transaction writes %d bytes in %d keys, more than the %d bytes or %d keys that one may have",
		e.Bytes, e.Keys, maxTxBytes, maxTxKeys)
}

// Unwrap gives the error its kind: who asked for that much is told.
func (e *TooLargeError) Unwrap() error { return errs.New(errs.API, "%s", e.Error()) }

// PanicError is a panic of a transaction's function: a programming error.
type PanicError struct {
	Value any
	Stack []byte
}

// Error returns the panic's value and stack: it is for the log, having no kind.
func (e *PanicError) Error() string {
	return fmt.Sprintf("transaction panicked: %v\n%s", e.Value, e.Stack)
}

// ResyncError tells a reader of the feed that it fell too far behind, or that
// the history it needs is gone: it has to compare with State as a whole, and the
// feed goes on from there.
type ResyncError struct{ State *State }

// Error describes the signal.
func (e *ResyncError) Error() string {
	return fmt.Sprintf("changes before revision %d are gone: start over from the state", e.State.Revision)
}
