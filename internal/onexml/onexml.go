// Package onexml writes the XML documents of the OpenNebula API: typed values
// in, bytes appended. Every document has the reference's element order, its
// CDATA rules and its empty forms; whatever the values are, what comes out is
// well-formed. Rights are not looked at here: what is passed in is printed.
//
// Where the original cannot be followed: a history record of accounting embeds
// the VM as it is, not as it was; bare text is escaped, where the original
// relies on names that need none; CLONES lists copies that are being made.
//
// Imported by the faces. Source: XML-RPC reference §3 and §8, and its XSDs.
package onexml

import (
	"iter"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/store"
)

// Docs renders the documents of one version of the state. It is made for one
// request and used by one goroutine.
type Docs struct {
	State *store.State
	// Monitor gives the newest measurements; nil means there are none.
	Monitor Monitor
	// Body returns the JSON body of a service's document, false if there is no
	// such service; nil leaves documents as they are stored.
	Body func(doc int) (json []byte, ok bool)

	routers map[int][]int // network → virtual routers with a NIC there, once asked for
}

// Monitor is where the newest measurements are read. Samples are immutable.
type Monitor interface {
	// VM and Host return the newest sample, false before the first.
	VM(id int) (agentapi.VMSample, bool)
	Host(id int) (agentapi.HostSample, bool)
	// Datastore returns the space of a datastore in MB, false when none is known.
	Datastore(id int) (total, used, free int64, ok bool)
	// HostDatastores returns the space of the datastores a host sees, in any order.
	HostDatastores(host int) []agentapi.DatastoreSpace
}

// AppendPool appends a pool: each item as write does it, inside the root element.
func AppendPool[T any](dst []byte, root string, items iter.Seq[T], write func([]byte, T) []byte) []byte {
	return SpillPool(dst, root, items, write, func(dst []byte) []byte { return dst })
}

// SpillPool is AppendPool for pools that are too large to be held: after each
// item, spill is given what there is and returns what to append to.
func SpillPool[T any](dst []byte, root string, items iter.Seq[T], write func([]byte, T) []byte, spill func([]byte) []byte) []byte {
	dst = open(dst, root)
	for item := range items {
		dst = spill(write(dst, item))
	}
	return shut(dst, root)
}

// AppendEmpty appends an element without content, <NAME></NAME>: the pool of a
// kind of which there is nothing.
func AppendEmpty(dst []byte, name string) []byte { return shut(open(dst, name), name) }
