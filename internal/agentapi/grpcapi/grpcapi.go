// Package grpcapi links an agent with its server over the network: one gRPC
// stream in both directions over mutual TLS, which the agent opens. It carries
// what agentapi describes; the calls by which an agent gets and renews its
// certificate are beside it.
package grpcapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/errs"
)

const (
	// maxMessage bounds one message: the largest is the list of all domains of a
	// host, at about a hundred bytes each.
	maxMessage = 16 << 20
	// sampleChunk is how many VMs one message of samples has at most.
	sampleChunk = 1000
	// handshakeTime bounds the opening of a connection and of a link.
	handshakeTime = 15 * time.Second
	// keepaliveTime is how long a link may be silent before the other end is asked
	// whether it is there, and how long it may take to answer.
	keepaliveTime = 10 * time.Second
)

// closed returns what a call on a link that has ended returns.
func closed(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, agentapi.ErrLinkClosed) {
		return cause
	}
	return fmt.Errorf("%w: %w", agentapi.ErrLinkClosed, cause)
}

// toStatus is the reason an agent is told for the end of its call. The detail of
// an error without a kind stays in the log of the server.
func toStatus(err error) error {
	var stale *agentapi.StaleEpochError
	switch {
	case errors.As(err, &stale):
		return status.Error(codes.FailedPrecondition, stale.Error())
	case errors.Is(err, agentapi.ErrLinkClosed):
		return status.Error(codes.Aborted, agentapi.ErrLinkClosed.Error())
	}
	code := codes.Internal
	switch errs.KindOf(err) {
	case errs.Authentication, errs.Authorization, errs.NoExists:
		code = codes.PermissionDenied
	case errs.Unavailable:
		code = codes.Unavailable
	}
	return status.Error(code, errs.Text(err))
}

// fromStatus is the error of a call without the words gRPC puts around it.
func fromStatus(err error) error {
	s, ok := status.FromError(err)
	if !ok || s.Code() == codes.OK {
		return err
	}
	return fmt.Errorf("server: %s (%s)", s.Message(), s.Code())
}
