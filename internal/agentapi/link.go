package agentapi

import "context"

// Uplink is what a server offers to an agent: where the agent's messages go.
// Every call returns when the message is taken, not when it is acted on; a
// result must be sent again after a reconnect until it is acknowledged.
type Uplink interface {
	Facts(ctx context.Context, f Facts) error
	// Sync tells the state of every domain on the host; sent after connecting.
	Sync(ctx context.Context, all []Event) error
	Event(ctx context.Context, e Event) error
	Result(ctx context.Context, r Result) error
	Samples(ctx context.Context, h HostSample, vms []VMSample) error
}

// Downlink is what an agent offers to a server.
type Downlink interface {
	// Run starts a step, or repeats the result of one that was done. It returns
	// when the step is accepted; the result comes by Uplink.Result.
	Run(ctx context.Context, s Step) error
	// Ack tells that a result is durable: the agent forgets it.
	Ack(ctx context.Context, id StepID) error
}

// Connector is how an agent reaches its server: Connect returns when the link is
// up; the link ends when ctx does or when down is no longer usable, and done is
// closed then.
type Connector interface {
	Connect(ctx context.Context, hello Hello, down Downlink) (up Uplink, done <-chan struct{}, err error)
}

// Hello opens a link.
type Hello struct {
	Host    string // the host's name
	HostID  int    // -1 before the server has told it
	Version string
	IMMad   string // drivers to register the host with: "kvm", "qemu", "dummy"
	VMMad   string
}
