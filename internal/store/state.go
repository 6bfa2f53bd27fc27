package store

import (
	"iter"

	"github.com/trifid-cloud/trifid/internal/one"
)

// State is one version of everything the cloud knows: the stored tables, and
// the indexes and sums derived from them. A State that the store hands out is
// immutable and durable; any number of goroutines may read it for as long as
// they like without holding anybody up.
type State struct {
	// Revision is that of the etcd transaction which made this version durable.
	// Inside a transaction it is the revision the transaction started from.
	Revision int64

	// Stored tables. Their kinds, keys and prefixes are declared in schema.go.
	Users       Table[int, *one.User]
	Groups      Table[int, *one.Group]
	ACLs        Table[int, *one.ACLRule]
	VDCs        Table[int, *one.VDC]
	Zones       Table[int, *one.Zone]
	Hosts       Table[int, *one.Host]
	Clusters    Table[int, *one.Cluster]
	Datastores  Table[int, *one.Datastore]
	Images      Table[int, *one.Image]
	VNets       Table[int, *one.VNet]
	Leases      Table[one.LeaseKey, *one.Lease]
	SecGroups   Table[int, *one.SecurityGroup]
	Templates   Table[int, *one.VMTemplate]
	VNTemplates Table[int, *one.VNTemplate]
	VMs         Table[int, *one.VM] // all but those in DONE
	DoneVMs     Table[int, *one.VM]
	Schedules   Table[int, *one.Schedule] // by VM; those in DONE have none
	VRouters    Table[int, *one.VRouter]
	Documents   Table[int, *one.Document]
	Services    Table[int, *one.Service]
	ServiceLogs Table[uint64, *one.ServiceLog] // key: ServiceLogKey
	Agents      Table[int, *Agent]             // by host id
	JoinTokens  Table[string, *JoinToken]
	Counters    Table[string, int]
	Settings    Table[string, []byte]
	Quotas      Table[string, *one.Quotas] // default quotas: "user", "group"
	Requests    Table[string, *Request]
	Outbox      Table[uint64, *OutboxRecord]

	// Derived: never stored, kept up by schema.go as the tables change.
	UserNames, GroupNames, HostNames, ClusterNames, DatastoreNames, ZoneNames, VDCNames Names
	ImageNames, VNetNames, TemplateNames, VNTemplateNames, SecGroupNames                Names // per owner

	GroupUsers        Index // group → users
	ClusterHosts      Index
	ClusterDatastores Index
	ClusterVNets      Index
	DatastoreImages   Index
	HostVMs           Index // host → VMs whose newest record is there and that hold its capacity
	LeavingVMs        Index // host → VMs that go elsewhere, as long as work for them is to be done there
	ImageVMs          Index // image → VMs that have it as a disk
	SecGroupVMs       Index
	ServiceVMs        Index // service → its VMs, DONE ones not
	VRouterVMs        Index
	TypeDocuments     Index // document type → documents
	VNetReservations  Index // network → reservations of it
	PortVMs           Index // PortKey(cluster, port) → VMs whose graphics listen there
	Waiting           Index // 0 → VMs the scheduler should look at: PENDING, or RESCHED
	Passing           Index // 0 → VMs in a state that a step leaves
	ACLByUser         Table[uint64, []*one.ACLRule]

	HostUsage  Table[int, one.Capacity]          // host → capacity taken by VMs
	ARUsage    Table[one.LeaseKey, int]          // (network, range, 0) → leases taken
	VNetUsage  Table[int, int]                   // network → leases taken
	LeaseHints Table[one.LeaseKey, uint32]       // (network, range, 0) → where the last free lease was found
	UserVM     Table[int, one.VMQuota]           // user → what its VMs use
	GroupVM    Table[int, one.VMQuota]           //
	UserDS     Table[uint64, one.DatastoreQuota] // pair(user, datastore)
	GroupDS    Table[uint64, one.DatastoreQuota] //
	UserNet    Table[uint64, float64]            // pair(user, network) → leases
	GroupNet   Table[uint64, float64]            //
	UserImage  Table[uint64, float64]            // pair(user, image) → running VMs
	GroupImage Table[uint64, float64]            //

	requestAges Table[string, string]        // requestAge → id
	topics      Table[string, *OutboxRecord] // topicKey
	due         Table[string, int]           // dueKey → VM

	// About the stored values rather than the cloud.
	unknown Table[string, *unknown] // key → fields of newer programs, to be written back
	stale   Table[string, struct{}] // values in the form of an older version
	node    *node                   // where the feed goes on from this version
}

// VM returns a VM in whatever state, DONE ones included.
func (s *State) VM(id int) (*one.VM, bool) {
	if v, ok := s.VMs.Get(id); ok {
		return v, true
	}
	return s.DoneVMs.Get(id)
}

// PortKey names a graphics port of a cluster in PortVMs.
func PortKey(cluster, port int) int { return cluster<<16 | port }

// ServiceLogKey orders log entries by service, then sequence.
func ServiceLogKey(service, seq int) uint64 { return pair(service, seq) }

// ServiceLog yields a service's log entries, oldest first.
func (s *State) ServiceLog(service int) iter.Seq[*one.ServiceLog] {
	return func(yield func(*one.ServiceLog) bool) {
		for k, e := range s.ServiceLogs.From(ServiceLogKey(service, 0)) {
			if int(k>>32) != service || !yield(e) {
				return
			}
		}
	}
}

// LeasesOf yields the leases of a network, by range and index.
func (s *State) LeasesOf(net int) iter.Seq[*one.Lease] {
	return func(yield func(*one.Lease) bool) {
		for k, l := range s.Leases.From(one.MakeLeaseKey(net, 0, 0)) {
			if n, _, _ := k.Parts(); n != net || !yield(l) {
				return
			}
		}
	}
}

// UserUsage returns what a user's objects use, for quota documents and checks.
func (s *State) UserUsage(uid int) one.Usage {
	return usage(uid, &s.UserVM, &s.UserDS, &s.UserNet, &s.UserImage)
}

// GroupUsage returns what a group's objects use.
func (s *State) GroupUsage(gid int) one.Usage {
	return usage(gid, &s.GroupVM, &s.GroupDS, &s.GroupNet, &s.GroupImage)
}

func usage(id int, vm *Table[int, one.VMQuota], ds *Table[uint64, one.DatastoreQuota], nets, images *Table[uint64, float64]) one.Usage {
	u := one.Usage{
		VM: vm.At(id), Datastores: map[int]one.DatastoreQuota{},
		Networks: map[int]one.NetworkQuota{}, Images: map[int]one.ImageQuota{},
	}
	for k, v := range ds.From(pair(id, 0)) {
		if int(k>>32) != id {
			break
		}
		u.Datastores[int(uint32(k))] = v
	}
	for k, v := range nets.From(pair(id, 0)) {
		if int(k>>32) != id {
			break
		}
		u.Networks[int(uint32(k))] = one.NetworkQuota{Leases: v}
	}
	for k, v := range images.From(pair(id, 0)) {
		if int(k>>32) != id {
			break
		}
		u.Images[int(uint32(k))] = one.ImageQuota{RVMs: v}
	}
	return u
}

// Agent is a host's enrolled agent.
type Agent struct {
	HostID int
	// Fingerprint is the SHA-256 of its certificate's public key, hex.
	Fingerprint string
	Enrolled    int64 // epoch seconds
}

// JoinToken lets one agent enrol; only its hash is kept.
type JoinToken struct {
	Hash    string // SHA-256, hex; the key of the table
	Host    string // name the host is to have, "" for any
	Expires int64  // epoch seconds
	// UsedBy is the SHA-256, hex, of the public key that has used it, "" before.
	UsedBy string
}

// Request remembers the result of a write that a client may retry.
type Request struct {
	ID     string
	Result []byte
	Time   int64 // epoch seconds; old ones are swept
}

// OutboxRecord is something that must be seen exactly as it happened, however
// the states around it are coalesced: a line of a machine's log, an audit entry.
type OutboxRecord struct {
	Seq   uint64
	Topic string
	ID    int   // the object it is about
	Time  int64 // epoch milliseconds
	Text  string
}

// UserByName, GroupByID and RulesOf make a State the directory of auth decisions.
func (s *State) UserByName(name string) (*one.User, bool) {
	id, ok := s.UserNames.Find(name)
	if !ok {
		return nil, false
	}
	return s.Users.Get(id)
}

// GroupByID returns a group.
func (s *State) GroupByID(gid int) (*one.Group, bool) { return s.Groups.Get(gid) }

// RulesOf returns the ACL rules whose user number is exactly n.
func (s *State) RulesOf(n uint64) []*one.ACLRule { return s.ACLByUser.At(n) }
