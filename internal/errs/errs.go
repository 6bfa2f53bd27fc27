// Package errs holds the kinds of error a user can meet and the one table from
// a kind to the codes of every face: OpenNebula code, HTTP status, exit code.
//
// An error without a kind is internal: its detail is for the log, not the user.
package errs

import (
	"errors"
	"fmt"

	"github.com/trifid-cloud/trifid/internal/one"
)

// Kind classifies an error. Kinds are append-only.
type Kind int

// The kinds. Source: XML-RPC reference §2.1.
const (
	Internal       Kind = iota // parse and validation errors too, as in the original
	Authentication             // the session was refused
	Authorization              // a right is missing, a quota is exceeded, an attribute is restricted
	NoExists                   // no such object
	Action                     // wrong state, refused action
	API                        // a parameter is out of range
	Allocate                   // an object could not be created
	Locked
	Replication
	Unavailable // the outcome is unknown or there is no leader: try again
	NotSupported
)

// codes is the one table of codes by kind: OpenNebula (XML-RPC) and HTTP.
var codes = [...]struct{ one, http int }{
	Internal:       {0x2000, 500},
	Authentication: {0x0100, 401},
	Authorization:  {0x0200, 403},
	NoExists:       {0x0400, 404},
	Action:         {0x0800, 500},
	API:            {0x1000, 500},
	Allocate:       {0x4000, 500},
	Locked:         {0x8000, 500},
	Replication:    {0x10000, 503},
	Unavailable:    {0x2000, 503},
	NotSupported:   {0x0800, 501},
}

// Code returns the OpenNebula error code of the kind.
func (k Kind) Code() int { return codes[k].one }

// HTTP returns the HTTP status of the kind where a face has no rule of its own.
func (k Kind) HTTP() int { return codes[k].http }

// Error is an error with a kind and a message meant for the user, worded as the
// reference does. Faces that prefix it with the method do that themselves.
type Error struct {
	Kind Kind
	Msg  string
	ID   int // id of the object concerned, -1 for none
	Err  error
}

// Error returns the user's message.
func (e *Error) Error() string { return e.Msg }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of a kind about no particular object.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...), ID: -1}
}

// Wrap returns an error of a kind whose message is that of the cause.
func Wrap(kind Kind, err error) *Error {
	return &Error{Kind: kind, Msg: err.Error(), ID: -1, Err: err}
}

// About returns a copy that names the object concerned.
func (e *Error) About(id int) *Error {
	c := *e
	c.ID = id
	return &c
}

// NotFound is the refusal for an unknown id: "Error getting virtual machine [5]."
func NotFound(kind one.Kind, id int) *Error {
	if id < 0 {
		return &Error{Kind: NoExists, Msg: fmt.Sprintf("Error getting %s Pool.", kind.Object()), ID: -1}
	}
	return &Error{Kind: NoExists, Msg: fmt.Sprintf("Error getting %s [%d].", kind.Object(), id), ID: id}
}

// Denied is the refusal of a user for a reason, "User [2] : …."
func Denied(uid int, reason string) *Error {
	return &Error{Kind: Authorization, Msg: fmt.Sprintf("User [%d] : %s.", uid, reason), ID: -1}
}

// Unauthenticated is the answer to every session that is refused; why is only logged.
func Unauthenticated(cause error) *Error {
	return &Error{Kind: Authentication, Msg: "User couldn't be authenticated, aborting call.", ID: -1, Err: cause}
}

// AllocateFailed is the refusal to create an object.
func AllocateFailed(kind one.Kind, reason string) *Error {
	return &Error{Kind: Allocate, Msg: fmt.Sprintf("Error allocating a new %s. %s", kind.Object(), reason), ID: -1}
}

// KindOf returns the kind of an error, Internal when it has none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// ID returns the id of the object an error is about, -1 for none.
func ID(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.ID
	}
	return -1
}

// Text returns what a user may read of an error. The detail of an error without
// a kind is withheld: it may name files or hosts, and it is in the log.
func Text(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Msg
	}
	return "Internal error; see the server's log."
}
