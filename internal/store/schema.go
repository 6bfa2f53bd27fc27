package store

import (
	"encoding/binary"
	"slices"

	"github.com/trifid-cloud/trifid/internal/one"
)

// Kind is a type of stored value. Its name is part of the etcd key and of the
// value's envelope, so it never changes; new kinds are added at the end.
type Kind int

// The kinds of stored value.
const (
	KindUser Kind = iota
	KindGroup
	KindACL
	KindVDC
	KindZone
	KindHost
	KindCluster
	KindDatastore
	KindImage
	KindVNet
	KindLease
	KindSecGroup
	KindTemplate
	KindVM
	KindVRouter
	KindDocument
	KindService
	KindServiceLog
	KindAgent
	KindJoinToken
	KindCounter
	KindSetting
	KindQuotas
	KindRequest
	KindOutbox
	KindVNTemplate
	KindSchedule
	numKinds
)

// kindInfo declares how a kind is stored: its name, and whether a federation
// shares it (prefix fed/) or the zone owns it (prefix zone/).
var kindInfo = [numStored]struct {
	name   string
	shared bool
}{
	KindUser:       {"user", true},
	KindGroup:      {"group", true},
	KindACL:        {"acl", true},
	KindVDC:        {"vdc", true},
	KindZone:       {"zone", true},
	KindHost:       {"host", false},
	KindCluster:    {"cluster", false},
	KindDatastore:  {"datastore", false},
	KindImage:      {"image", false},
	KindVNet:       {"vnet", false},
	KindLease:      {"lease", false},
	KindSecGroup:   {"secgroup", false},
	KindTemplate:   {"template", false},
	KindVM:         {"vm", false},
	KindVRouter:    {"vrouter", false},
	KindDocument:   {"document", false},
	KindService:    {"service", false},
	KindServiceLog: {"servicelog", false},
	KindAgent:      {"agent", false},
	KindJoinToken:  {"jointoken", false},
	KindCounter:    {"counter", false},
	KindSetting:    {"setting", false},
	KindQuotas:     {"quotas", true},
	KindRequest:    {"request", false},
	KindOutbox:     {"outbox", false},
	KindVNTemplate: {"vntemplate", false},
	KindSchedule:   {"schedule", false},
	kindVMUser:     {"vmuser", false},
	kindVMHistory:  {"vmhistory", false},
}

// String returns the kind's name.
func (k Kind) String() string {
	if k < 0 || k >= numStored {
		return "unknown"
	}
	return kindInfo[k].name
}

// nameKeyed is what has a name that is unique: among one owner's objects, or in the
// whole pool, where the owner is 0.
type nameKeyed interface {
	NameKey() (owner int, name string)
}

// putNamed stores a value whose only index is its name.
func putNamed[V nameKeyed](tx *Tx, t *Table[int, V], names *Names, kind Kind, id int, v V) {
	if old, had := put(tx, t, kind, id, v); had {
		owner, name := old.NameKey()
		names.remove(tx, owner, name, id)
	}
	owner, name := v.NameKey()
	names.add(tx, owner, name, id)
}

// delNamed removes such a value.
func delNamed[V nameKeyed](tx *Tx, t *Table[int, V], names *Names, kind Kind, id int) {
	if old, had := del(tx, t, kind, id); had {
		owner, name := old.NameKey()
		names.remove(tx, owner, name, id)
	}
}

// PutUser stores a user and keeps its indexes.
func (tx *Tx) PutUser(u *one.User) {
	old, had := put(tx, &tx.State.Users, KindUser, u.ID, u)
	if had {
		tx.unindexUser(old)
	}
	tx.State.UserNames.add(tx, 0, u.Name, u.ID)
	for _, g := range u.Groups {
		tx.State.GroupUsers.add(tx, g, u.ID)
	}
}

// DeleteUser removes a user.
func (tx *Tx) DeleteUser(id int) {
	if old, had := del(tx, &tx.State.Users, KindUser, id); had {
		tx.unindexUser(old)
	}
}

func (tx *Tx) unindexUser(u *one.User) {
	tx.State.UserNames.remove(tx, 0, u.Name, u.ID)
	for _, g := range u.Groups {
		tx.State.GroupUsers.remove(tx, g, u.ID)
	}
}

// PutGroup stores a group.
func (tx *Tx) PutGroup(v *one.Group) {
	putNamed(tx, &tx.State.Groups, &tx.State.GroupNames, KindGroup, v.ID, v)
}

// DeleteGroup removes a group.
func (tx *Tx) DeleteGroup(id int) {
	delNamed(tx, &tx.State.Groups, &tx.State.GroupNames, KindGroup, id)
}

// PutACL stores an ACL rule.
func (tx *Tx) PutACL(r *one.ACLRule) {
	if old, had := put(tx, &tx.State.ACLs, KindACL, r.ID, r); had {
		tx.unindexACL(old)
	}
	rules := tx.State.ACLByUser.At(r.User)
	tx.State.ACLByUser.set(tx, r.User, append(rules[:len(rules):len(rules)], r))
}

// DeleteACL removes an ACL rule.
func (tx *Tx) DeleteACL(id int) {
	if old, had := del(tx, &tx.State.ACLs, KindACL, id); had {
		tx.unindexACL(old)
	}
}

func (tx *Tx) unindexACL(r *one.ACLRule) {
	var left []*one.ACLRule
	for _, o := range tx.State.ACLByUser.At(r.User) {
		if o.ID != r.ID {
			left = append(left, o)
		}
	}
	if left == nil {
		tx.State.ACLByUser.del(tx, r.User)
		return
	}
	tx.State.ACLByUser.set(tx, r.User, left)
}

// PutVDC stores a VDC.
func (tx *Tx) PutVDC(v *one.VDC) { putNamed(tx, &tx.State.VDCs, &tx.State.VDCNames, KindVDC, v.ID, v) }

// DeleteVDC removes a VDC.
func (tx *Tx) DeleteVDC(id int) { delNamed(tx, &tx.State.VDCs, &tx.State.VDCNames, KindVDC, id) }

// PutZone stores a zone.
func (tx *Tx) PutZone(v *one.Zone) {
	putNamed(tx, &tx.State.Zones, &tx.State.ZoneNames, KindZone, v.ID, v)
}

// DeleteZone removes a zone.
func (tx *Tx) DeleteZone(id int) { delNamed(tx, &tx.State.Zones, &tx.State.ZoneNames, KindZone, id) }

// PutHost stores a host.
func (tx *Tx) PutHost(h *one.Host) {
	if old, had := put(tx, &tx.State.Hosts, KindHost, h.ID, h); had {
		tx.State.HostNames.remove(tx, 0, old.Name, old.ID)
		tx.State.ClusterHosts.remove(tx, old.ClusterID, old.ID)
	}
	tx.State.HostNames.add(tx, 0, h.Name, h.ID)
	tx.State.ClusterHosts.add(tx, h.ClusterID, h.ID)
}

// DeleteHost removes a host.
func (tx *Tx) DeleteHost(id int) {
	if old, had := del(tx, &tx.State.Hosts, KindHost, id); had {
		tx.State.HostNames.remove(tx, 0, old.Name, old.ID)
		tx.State.ClusterHosts.remove(tx, old.ClusterID, old.ID)
	}
}

// PutCluster stores a cluster.
func (tx *Tx) PutCluster(v *one.Cluster) {
	putNamed(tx, &tx.State.Clusters, &tx.State.ClusterNames, KindCluster, v.ID, v)
}

// DeleteCluster removes a cluster.
func (tx *Tx) DeleteCluster(id int) {
	delNamed(tx, &tx.State.Clusters, &tx.State.ClusterNames, KindCluster, id)
}

// PutDatastore stores a datastore.
func (tx *Tx) PutDatastore(d *one.Datastore) {
	if old, had := put(tx, &tx.State.Datastores, KindDatastore, d.ID, d); had {
		tx.unindexDatastore(old)
	}
	tx.State.DatastoreNames.add(tx, 0, d.Name, d.ID)
	for _, c := range d.ClusterIDs {
		tx.State.ClusterDatastores.add(tx, c, d.ID)
	}
}

// DeleteDatastore removes a datastore.
func (tx *Tx) DeleteDatastore(id int) {
	if old, had := del(tx, &tx.State.Datastores, KindDatastore, id); had {
		tx.unindexDatastore(old)
	}
}

func (tx *Tx) unindexDatastore(d *one.Datastore) {
	tx.State.DatastoreNames.remove(tx, 0, d.Name, d.ID)
	for _, c := range d.ClusterIDs {
		tx.State.ClusterDatastores.remove(tx, c, d.ID)
	}
}

// PutImage stores an image and charges its owner.
func (tx *Tx) PutImage(i *one.Image) {
	if old, had := put(tx, &tx.State.Images, KindImage, i.ID, i); had {
		tx.unindexImage(old)
	}
	tx.State.ImageNames.add(tx, i.UID, i.Name, i.ID)
	tx.State.DatastoreImages.add(tx, i.DatastoreID, i.ID)
	tx.chargeImage(i, +1)
}

// DeleteImage removes an image.
func (tx *Tx) DeleteImage(id int) {
	if old, had := del(tx, &tx.State.Images, KindImage, id); had {
		tx.unindexImage(old)
	}
}

func (tx *Tx) unindexImage(i *one.Image) {
	tx.State.ImageNames.remove(tx, i.UID, i.Name, i.ID)
	tx.State.DatastoreImages.remove(tx, i.DatastoreID, i.ID)
	tx.chargeImage(i, -1)
}

// PutVNet stores a network. The addresses a reservation takes of its parent are
// leases there; they follow from the reservation's ranges and are not stored.
func (tx *Tx) PutVNet(n *one.VNet) {
	old, had := put(tx, &tx.State.VNets, KindVNet, n.ID, n)
	if had {
		tx.unindexVNet(old)
	}
	tx.State.VNetNames.add(tx, n.UID, n.Name, n.ID)
	for _, c := range n.ClusterIDs {
		tx.State.ClusterVNets.add(tx, c, n.ID)
	}
	if n.ParentID >= 0 {
		tx.State.VNetReservations.add(tx, n.ParentID, n.ID)
		tx.chargeReservation(n, +1)
	}
	if !had || !slices.Equal(old.ARs, n.ARs) {
		if had {
			tx.reservedLeases(old, false)
		}
		tx.reservedLeases(n, true)
	}
}

// DeleteVNet removes a network. Its leases are the caller's to remove.
func (tx *Tx) DeleteVNet(id int) {
	if old, had := del(tx, &tx.State.VNets, KindVNet, id); had {
		tx.unindexVNet(old)
		tx.reservedLeases(old, false)
	}
}

func (tx *Tx) unindexVNet(n *one.VNet) {
	tx.State.VNetNames.remove(tx, n.UID, n.Name, n.ID)
	for _, c := range n.ClusterIDs {
		tx.State.ClusterVNets.remove(tx, c, n.ID)
	}
	if n.ParentID >= 0 {
		tx.State.VNetReservations.remove(tx, n.ParentID, n.ID)
		tx.chargeReservation(n, -1)
	}
}

// reservedLeases adds or removes the leases a reservation has in its parent.
func (tx *Tx) reservedLeases(n *one.VNet, add bool) {
	if n.ParentID < 0 {
		return
	}
	for _, a := range n.ARs {
		for i := range a.Size {
			l := &one.Lease{Net: n.ParentID, AR: a.ParentAR, Index: a.ParentIndex + i, Owner: one.LeaseVNet, OwnerID: n.ID}
			if add {
				if _, had := tx.State.Leases.set(tx, l.Key(), l); !had {
					tx.countLease(l, +1)
				}
			} else if _, had := tx.State.Leases.del(tx, l.Key()); had {
				tx.countLease(l, -1)
			}
		}
	}
}

// PutLease stores a taken address.
func (tx *Tx) PutLease(l *one.Lease) {
	if _, had := put(tx, &tx.State.Leases, KindLease, l.Key(), l); !had {
		tx.countLease(l, +1)
	}
}

// DeleteLease frees an address.
func (tx *Tx) DeleteLease(k one.LeaseKey) {
	if old, had := del(tx, &tx.State.Leases, KindLease, k); had {
		tx.countLease(old, -1)
	}
}

func (tx *Tx) countLease(l *one.Lease, n int) {
	addInt(tx, &tx.State.ARUsage, one.MakeLeaseKey(l.Net, l.AR, 0), n)
	addInt(tx, &tx.State.VNetUsage, l.Net, n)
}

// SetLeaseHint remembers where the search for a free lease of a range goes on.
// It is not stored: after a restart the search begins at the front.
func (tx *Tx) SetLeaseHint(net, ar int, next uint32) {
	tx.State.LeaseHints.set(tx, one.MakeLeaseKey(net, ar, 0), next)
}

// PutSecGroup stores a security group.
func (tx *Tx) PutSecGroup(v *one.SecurityGroup) {
	putNamed(tx, &tx.State.SecGroups, &tx.State.SecGroupNames, KindSecGroup, v.ID, v)
}

// DeleteSecGroup removes a security group.
func (tx *Tx) DeleteSecGroup(id int) {
	delNamed(tx, &tx.State.SecGroups, &tx.State.SecGroupNames, KindSecGroup, id)
}

// PutTemplate stores a VM template.
func (tx *Tx) PutTemplate(v *one.VMTemplate) {
	putNamed(tx, &tx.State.Templates, &tx.State.TemplateNames, KindTemplate, v.ID, v)
}

// DeleteTemplate removes a VM template.
func (tx *Tx) DeleteTemplate(id int) {
	delNamed(tx, &tx.State.Templates, &tx.State.TemplateNames, KindTemplate, id)
}

// PutVNTemplate stores a template of networks.
func (tx *Tx) PutVNTemplate(v *one.VNTemplate) {
	putNamed(tx, &tx.State.VNTemplates, &tx.State.VNTemplateNames, KindVNTemplate, v.ID, v)
}

// DeleteVNTemplate removes a template of networks.
func (tx *Tx) DeleteVNTemplate(id int) {
	delNamed(tx, &tx.State.VNTemplates, &tx.State.VNTemplateNames, KindVNTemplate, id)
}

// PutVRouter stores a virtual router and charges its owner with its floating
// addresses. Their leases are the caller's to take and to remove.
func (tx *Tx) PutVRouter(r *one.VRouter) {
	if old, had := put(tx, &tx.State.VRouters, KindVRouter, r.ID, r); had {
		tx.chargeVRouter(old, -1)
	}
	tx.chargeVRouter(r, +1)
}

// DeleteVRouter removes a virtual router.
func (tx *Tx) DeleteVRouter(id int) {
	if old, had := del(tx, &tx.State.VRouters, KindVRouter, id); had {
		tx.chargeVRouter(old, -1)
	}
}

// PutDocument stores a document.
func (tx *Tx) PutDocument(d *one.Document) {
	put(tx, &tx.State.Documents, KindDocument, d.ID, d)
	tx.State.TypeDocuments.add(tx, d.Type, d.ID)
}

// DeleteDocument removes a document, and the service it is the header of.
func (tx *Tx) DeleteDocument(id int) {
	old, had := del(tx, &tx.State.Documents, KindDocument, id)
	if !had {
		return
	}
	tx.State.TypeDocuments.remove(tx, old.Type, id)
	if _, ok := tx.State.Services.Get(id); ok {
		tx.DeleteService(id)
	}
}

// PutService stores what a service should be.
func (tx *Tx) PutService(s *one.Service) { put(tx, &tx.State.Services, KindService, s.ID, s) }

// DeleteService removes a service and its log.
func (tx *Tx) DeleteService(id int) {
	del(tx, &tx.State.Services, KindService, id)
	var seqs []int
	for e := range tx.State.ServiceLog(id) {
		seqs = append(seqs, e.Seq)
	}
	for _, seq := range seqs {
		tx.DeleteServiceLog(id, seq)
	}
}

// PutServiceLog stores a log entry.
func (tx *Tx) PutServiceLog(e *one.ServiceLog) {
	put(tx, &tx.State.ServiceLogs, KindServiceLog, ServiceLogKey(e.Service, e.Seq), e)
}

// DeleteServiceLog removes a log entry.
func (tx *Tx) DeleteServiceLog(service, seq int) {
	del(tx, &tx.State.ServiceLogs, KindServiceLog, ServiceLogKey(service, seq))
}

// PutAgent stores a host's agent.
func (tx *Tx) PutAgent(a *Agent) { put(tx, &tx.State.Agents, KindAgent, a.HostID, a) }

// DeleteAgent removes a host's agent.
func (tx *Tx) DeleteAgent(host int) { del(tx, &tx.State.Agents, KindAgent, host) }

// PutJoinToken stores a join token.
func (tx *Tx) PutJoinToken(t *JoinToken) {
	put(tx, &tx.State.JoinTokens, KindJoinToken, t.Hash, t)
}

// DeleteJoinToken removes a join token.
func (tx *Tx) DeleteJoinToken(hash string) { del(tx, &tx.State.JoinTokens, KindJoinToken, hash) }

// PutSetting stores a setting.
func (tx *Tx) PutSetting(name string, value []byte) {
	put(tx, &tx.State.Settings, KindSetting, name, value)
}

// DeleteSetting removes a setting.
func (tx *Tx) DeleteSetting(name string) { del(tx, &tx.State.Settings, KindSetting, name) }

// PutQuotas stores the default quotas of "user" or "group".
func (tx *Tx) PutQuotas(of string, q *one.Quotas) {
	put(tx, &tx.State.Quotas, KindQuotas, of, q)
}

// DeleteQuotas removes the default quotas of "user" or "group".
func (tx *Tx) DeleteQuotas(of string) { del(tx, &tx.State.Quotas, KindQuotas, of) }

// PutRequest stores a request's result.
func (tx *Tx) PutRequest(r *Request) {
	if old, had := put(tx, &tx.State.Requests, KindRequest, r.ID, r); had {
		tx.State.requestAges.del(tx, requestAge(old))
	}
	tx.State.requestAges.set(tx, requestAge(r), r.ID)
}

// DeleteRequest forgets a request.
func (tx *Tx) DeleteRequest(id string) {
	if old, had := del(tx, &tx.State.Requests, KindRequest, id); had {
		tx.State.requestAges.del(tx, requestAge(old))
	}
}

// requestAge orders requests by time.
func requestAge(r *Request) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(r.Time))) + r.ID
}

func (tx *Tx) putOutbox(r *OutboxRecord) {
	put(tx, &tx.State.Outbox, KindOutbox, r.Seq, r)
	tx.State.topics.set(tx, topicKey(r.Topic, r.Seq), r)
}

// DeleteOutbox removes a record that has been dealt with.
func (tx *Tx) DeleteOutbox(seq uint64) {
	if old, had := del(tx, &tx.State.Outbox, KindOutbox, seq); had {
		tx.State.topics.del(tx, topicKey(old.Topic, seq))
	}
}

// topicKey orders outbox records by topic, then sequence.
func topicKey(topic string, seq uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte(topic+"\x00"), seq))
}
