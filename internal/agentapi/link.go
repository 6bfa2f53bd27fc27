package agentapi

import (
	"context"
	"errors"
	"fmt"
)

// Uplink is what a server offers to an agent: where the agent's messages go.
// Every call returns when the message is taken, not when it is acted on; a
// result must be sent again after a reconnect until it is acknowledged.
type Uplink interface {
	Facts(ctx context.Context, f Facts) error
	// Sync tells the state of every domain on the host; sent after connecting.
	Sync(ctx context.Context, all []Event) error
	Event(ctx context.Context, e Event) error
	Result(ctx context.Context, r Result) error
	// Samples gives measurements; a host sample without a Time is none.
	Samples(ctx context.Context, h HostSample, vms []VMSample) error
}

// Downlink is what an agent offers to a server.
type Downlink interface {
	// Run starts a step, or repeats the result of one that was done. It returns
	// when the step is accepted; the result comes by Uplink.Result. A step takes
	// the place of an older one of its subject, which then fails; OpReboot and
	// OpReset do not, and fail themselves while other work is being done.
	Run(ctx context.Context, s Step) error
	// Ack tells that a result is durable, or of no use any more: the agent forgets
	// it. Every result is to be acknowledged in the end.
	Ack(ctx context.Context, id StepID) error
}

// Connector is how an agent reaches its server: Connect returns when the link is
// up; the link ends when ctx does or when down is no longer usable, and done is
// closed then.
type Connector interface {
	Connect(ctx context.Context, hello Hello, down Downlink) (up Uplink, done <-chan struct{}, err error)
}

// Handler is a server, as a transport sees it.
type Handler interface {
	// Accept takes a new link, or refuses it by an error. hostID is what the
	// transport knows of the agent's identity: that of its certificate, or what
	// it says of itself in the same process.
	//
	// ctx ends with the link, and its cause says why. The methods of the Uplink are
	// called one at a time, in the order in which the agent called its end; an
	// error of theirs ends the link, after which the agent connects again. down
	// never blocks, may be used before Accept returns, fails with ErrLinkClosed
	// after the end, and is a Closer.
	Accept(ctx context.Context, hello Hello, hostID int, down Downlink) (Uplink, error)
}

// Closer is what the Downlink given to a Handler also is: the way of a server to
// end a link.
type Closer interface {
	Close(cause error)
}

// ErrLinkClosed is returned (wrapped, with the cause) by both ends of a link that
// has ended.
var ErrLinkClosed = errors.New("link closed")

// StaleEpochError is the refusal of a step whose epoch is lower than one that was
// seen: whoever asks leads no more. It ends the link.
type StaleEpochError struct {
	Seen, Got uint64
}

// Error implements error.
func (e *StaleEpochError) Error() string {
	return fmt.Sprintf("epoch %d is stale: %d was seen", e.Got, e.Seen)
}

// Hello opens a link.
type Hello struct {
	Host    string // the host's name
	HostID  int    // -1 before the server has told it
	Version string
	IMMad   string // drivers to register the host with: "kvm", "qemu", "dummy"
	VMMad   string
}
