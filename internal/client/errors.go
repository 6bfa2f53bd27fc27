package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Error is a refusal by the server. Its text is the server's, unchanged.
type Error struct {
	// Code is an OpenNebula error code (XML-RPC reference §2.1) or, from OneFlow,
	// an HTTP status.
	Code int
	Msg  string
}

// Error returns the server's text.
func (e *Error) Error() string { return e.Msg }

// Codes of Error that commands act upon.
const (
	CodeAuthentication = 0x0100
	CodeNoExists       = 0x0400
)

// ConnError says that the server could not be reached or did not answer as one.
type ConnError struct {
	Addr    string // host:port
	Refused bool   // nobody listens there
	Timeout bool
	Err     error
}

// Error tells what failed and where.
func (e *ConnError) Error() string {
	switch {
	case e.Refused:
		return fmt.Sprintf("Failed to open TCP connection to %s (Connection refused)", e.Addr)
	case e.Timeout:
		return fmt.Sprintf("Timeout while talking to %s", e.Addr)
	}
	return fmt.Sprintf("Error talking to %s: %v", e.Addr, e.Err)
}

// Unwrap returns the cause.
func (e *ConnError) Unwrap() error { return e.Err }

// connError classifies an error of transport and keeps its innermost cause, as
// the address is in the message already.
func connError(addr string, err error) error {
	var ne net.Error
	e := &ConnError{
		Addr:    addr,
		Refused: errors.Is(err, syscall.ECONNREFUSED),
		Timeout: errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout(),
	}
	for ; err != nil; err = errors.Unwrap(err) {
		e.Err = err
	}
	return e
}
