package onexml

import (
	"slices"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// AppendCluster appends the document of a cluster. Source: XML-RPC reference §8.10.
func (d *Docs) AppendCluster(dst []byte, c *one.Cluster) []byte {
	dst = open(dst, "CLUSTER")
	dst = num(dst, "ID", c.ID)
	dst = bare(dst, "NAME", c.Name)
	dst = ids(dst, "HOSTS", d.State.ClusterHosts.Of(c.ID))
	dst = ids(dst, "DATASTORES", d.State.ClusterDatastores.Of(c.ID))
	dst = ids(dst, "VNETS", d.State.ClusterVNets.Of(c.ID))
	dst = body(dst, "TEMPLATE", c.Template)
	return shut(dst, "CLUSTER")
}

// AppendZone appends the document of a zone. Source: XML-RPC reference §8.10.
func (d *Docs) AppendZone(dst []byte, z *one.Zone) []byte {
	dst = open(dst, "ZONE")
	dst = num(dst, "ID", z.ID)
	dst = bare(dst, "NAME", z.Name)
	dst = flag(dst, "STATE", z.Disabled)
	dst = body(dst, "TEMPLATE", z.Template)
	dst = AppendEmpty(dst, "SERVER_POOL")
	return shut(dst, "ZONE")
}

// AppendVDC appends the document of a VDC. Source: XML-RPC reference §8.13.
func (d *Docs) AppendVDC(dst []byte, v *one.VDC) []byte {
	dst = open(dst, "VDC")
	dst = num(dst, "ID", v.ID)
	dst = bare(dst, "NAME", v.Name)
	dst = ids(dst, "GROUPS", slices.Values(v.Groups))
	for _, of := range [...]struct {
		set, item, id string
		entries       []one.VDCEntry
	}{
		{"CLUSTERS", "CLUSTER", "CLUSTER_ID", v.Clusters}, {"HOSTS", "HOST", "HOST_ID", v.Hosts},
		{"DATASTORES", "DATASTORE", "DATASTORE_ID", v.Datas}, {"VNETS", "VNET", "VNET_ID", v.VNets},
	} {
		dst = open(dst, of.set)
		for _, e := range of.entries {
			dst = num(open(dst, of.item), "ZONE_ID", e.Zone)
			dst = shut(num(dst, of.id, e.ID), of.item)
		}
		dst = shut(dst, of.set)
	}
	dst = body(dst, "TEMPLATE", v.Template)
	return shut(dst, "VDC")
}

// AppendACLPool appends all rules. Source: XML-RPC reference §8.13.
func (d *Docs) AppendACLPool(dst []byte) []byte {
	dst = open(dst, "ACL_POOL")
	for _, r := range d.State.ACLs.All() {
		dst = acl(dst, r)
	}
	return shut(dst, "ACL_POOL")
}

func acl(dst []byte, r *one.ACLRule) []byte {
	dst = open(dst, "ACL")
	dst = num(dst, "ID", r.ID)
	dst = hex(dst, "USER", r.User)
	dst = hex(dst, "RESOURCE", r.Resource)
	dst = hex(dst, "RIGHTS", r.Rights)
	dst = hex(dst, "ZONE", r.Zone)
	dst = bare(dst, "STRING", r.String())
	return shut(dst, "ACL")
}

func hex(dst []byte, name string, n uint64) []byte {
	return shut(strconv.AppendUint(open(dst, name), n, 16), name)
}

// AppendConfiguration appends the answer of one.system.config.
func AppendConfiguration(dst []byte, t *tmpl.Template) []byte {
	return body(dst, "OPENNEBULA_CONFIGURATION", t)
}

// Raft is the standing of a server among those of its zone. Source: XML-RPC
// reference §7.19.
type Raft struct {
	ServerID int // -1 without high availability
	State    int // 0 solo, 1 candidate, 2 follower, 3 leader
	Term     int64
	VotedFor int
	Commit   int64
	LogIndex int64
	LogTerm  int64
	FedIndex int64
}

// Solo is the standing of a server that has no others beside it.
var Solo = Raft{ServerID: -1, State: 0, Term: -1, VotedFor: -1, Commit: -1, LogIndex: -1, LogTerm: -1, FedIndex: -1}

// AppendRaft appends the answer of one.zone.raftstatus.
func AppendRaft(dst []byte, r Raft) []byte {
	dst = open(dst, "RAFT")
	dst = num(dst, "SERVER_ID", r.ServerID)
	dst = num(dst, "STATE", r.State)
	dst = num(dst, "TERM", r.Term)
	dst = num(dst, "VOTEDFOR", r.VotedFor)
	dst = num(dst, "COMMIT", r.Commit)
	dst = num(dst, "LOG_INDEX", r.LogIndex)
	dst = num(dst, "LOG_TERM", r.LogTerm)
	dst = num(dst, "FEDLOG_INDEX", r.FedIndex)
	return shut(dst, "RAFT")
}
