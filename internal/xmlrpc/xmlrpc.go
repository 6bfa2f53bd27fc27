// Package xmlrpc is the XML-RPC codec of the core's interface, without a
// transport: it reads calls and writes answers for the server, writes calls and
// reads answers for our commands, and holds the append-style writing of XML
// that every document of the interface is made with.
//
// Everything read is bounded by Limits, nothing read is retained, and nothing
// here panics on input. Source: the XML-RPC reference, §1 to §3 and §11.
package xmlrpc

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// Codes of faults. Source: XML-RPC reference §1.1.
const (
	FaultInternal     = -500
	FaultType         = -501 // wrong type or too few parameters
	FaultIndex        = -502
	FaultParse        = -503
	FaultNetwork      = -504
	FaultTimeout      = -505
	FaultNoSuchMethod = -506
	FaultRefused      = -507
	FaultIntrospect   = -508
	FaultLimit        = -509 // message too big or nested too deeply
	FaultUTF8         = -510
)

// Fault is an XML-RPC fault: the protocol's own error, for what never reached a
// method or came back from none.
type Fault struct {
	Code    int
	Message string
}

func (f *Fault) Error() string { return fmt.Sprintf("XML-RPC fault %d: %s", f.Code, f.Message) }

// NoSuchMethod is the fault for a method that does not exist.
func NoSuchMethod(method string) *Fault {
	return &Fault{Code: FaultNoSuchMethod, Message: "Method '" + method + "' not defined"}
}

// Failure is a method's refusal, the response array whose first element is
// false. Source: XML-RPC reference §2.
type Failure struct {
	Message          string
	Code             int   // see §2.1
	ObjectID         int   // the object concerned, -1 if none
	ReplicationIndex int64 // -1 but after a failed log replication
}

func (f *Failure) Error() string { return f.Message }

// Limits bound what is read. A field that is 0 stands for its default.
type Limits struct {
	MaxBytes  int // of the whole message; default 64 MiB
	MaxDepth  int // arrays and structs within one another; default 64
	MaxValues int // values in the message, however nested; default 65,536
}

func (l Limits) withDefaults() Limits {
	if l.MaxBytes == 0 {
		l.MaxBytes = 64 << 20
	}
	if l.MaxDepth == 0 {
		l.MaxDepth = 64
	}
	if l.MaxValues == 0 {
		l.MaxValues = 1 << 16
	}
	return l
}

// ReadMessage appends the whole of r to dst. It reads no more than one byte
// beyond MaxBytes, and then returns a *Fault; other errors are r's.
func ReadMessage(dst []byte, r io.Reader, limits Limits) ([]byte, error) {
	limits = limits.withDefaults()
	start := len(dst)
	for {
		dst = slices.Grow(dst, 512)
		room := min(cap(dst)-len(dst), start+limits.MaxBytes+1-len(dst))
		n, err := r.Read(dst[len(dst) : len(dst)+room])
		dst = dst[:len(dst)+n]
		if len(dst)-start > limits.MaxBytes {
			return dst, tooBig(limits)
		}
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, fmt.Errorf("read XML-RPC message: %w", err)
		}
	}
}

func tooBig(l Limits) *Fault {
	return &Fault{Code: FaultLimit, Message: fmt.Sprintf("XML-RPC request too large.  Max allowed is %d bytes", l.MaxBytes)}
}
