// Package one is Trifid's domain: the resource types of an OpenNebula cloud,
// their ids, states, permission bits, quota sums and name rules. It is pure: no
// I/O, no clock, no randomness, and it imports the standard library and tmpl
// (itself pure) only.
//
// Every resource is treated as immutable once it is in the store: to change
// one, take a copy (the types are plain structs), change the copy and put it.
package one

import "github.com/trifid-cloud/trifid/internal/tmpl"

// Well-known ids of a fresh installation. Source: XML-RPC reference §5.
const (
	OneadminID      = 0 // user oneadmin and group oneadmin
	ServeradminID   = 1
	UsersGroupID    = 1
	DefaultCluster  = 0
	SystemDS        = 0
	DefaultDS       = 1
	FilesDS         = 2
	DefaultSecGroup = 0
	DefaultVDC      = 0
	// FirstCustomID is the first id given to a cluster, datastore, group, marketplace,
	// security group, VDC or zone that a user creates; lower ones belong to the system.
	FirstCustomID = 100
	// AllResources in a VDC entry stands for every resource of its type.
	AllResources = -10
)

// Kind names a type of resource. Its order is the order of the ACL type bits.
type Kind int

// The kinds of resource. Source: identity reference §7.1.
const (
	KindVM Kind = iota
	KindHost
	KindNet
	KindImage
	KindUser
	KindTemplate
	KindGroup
	KindACL
	KindDatastore
	KindCluster
	KindDocument
	KindZone
	KindSecGroup
	KindVDC
	KindVRouter
	KindMarket
	KindMarketApp
	KindVMGroup
	KindVNTemplate
	KindHook
	KindBackupJob
	numKinds
)

// kindNames holds for each kind the word ACL rules and refusals use, and the
// words "Error getting …" messages use. Source: XML-RPC reference §2.2.
var kindNames = [numKinds]struct{ acl, object string }{
	KindVM:         {"VM", "virtual machine"},
	KindHost:       {"HOST", "host"},
	KindNet:        {"NET", "virtual network"},
	KindImage:      {"IMAGE", "image"},
	KindUser:       {"USER", "user"},
	KindTemplate:   {"TEMPLATE", "virtual machine template"},
	KindGroup:      {"GROUP", "group"},
	KindACL:        {"ACL", "ACL"},
	KindDatastore:  {"DATASTORE", "datastore"},
	KindCluster:    {"CLUSTER", "cluster"},
	KindDocument:   {"DOCUMENT", "document"},
	KindZone:       {"ZONE", "zone"},
	KindSecGroup:   {"SECGROUP", "security group"},
	KindVDC:        {"VDC", "VDC"},
	KindVRouter:    {"VROUTER", "virtual router"},
	KindMarket:     {"MARKETPLACE", "marketplace"},
	KindMarketApp:  {"MARKETPLACEAPP", "marketplaceapp"},
	KindVMGroup:    {"VMGROUP", "vm group"},
	KindVNTemplate: {"VNTEMPLATE", "virtual network template"},
	KindHook:       {"HOOK", "hook"},
	KindBackupJob:  {"BACKUPJOB", "backup job"},
}

// String returns the word of ACL rules: "VM", "NET", …
func (k Kind) String() string {
	if k < 0 || k >= numKinds {
		return "UNKNOWN"
	}
	return kindNames[k].acl
}

// Object returns the words of messages: "virtual machine", "host", …
func (k Kind) Object() string {
	if k < 0 || k >= numKinds {
		return "object"
	}
	return kindNames[k].object
}

// Meta is the header that the owned resources share.
type Meta struct {
	ID, UID, GID int
	// UName and GName are kept beside the ids because they outlive the user and group.
	UName, GName string
	Name         string
	Perms        Perms
	Lock         Lock
}

// VMTemplate is a VM template (pool "template").
type VMTemplate struct {
	Meta
	RegTime  int64 // epoch seconds
	Template *tmpl.Template
}

// VNTemplate is a template of virtual networks (pool "vntemplate").
type VNTemplate struct {
	Meta
	RegTime  int64 // epoch seconds
	Template *tmpl.Template
}

// Document is a free-form object of some type: 100 service, 101 service template.
type Document struct {
	Meta
	Type     int
	Template *tmpl.Template
}

// Document types the core knows. Source: OneFlow reference §6.
const (
	DocService         = 100
	DocServiceTemplate = 101
)

// Cluster groups hosts, datastores and networks; its members are indexes.
type Cluster struct {
	ID       int
	Name     string
	Template *tmpl.Template
}

// Zone is a federation zone.
type Zone struct {
	ID       int
	Name     string
	Disabled bool
	Template *tmpl.Template
}

// VDC assigns resources to groups by way of ACL rules.
type VDC struct {
	ID       int
	Name     string
	Groups   []int // ascending
	Clusters []VDCEntry
	Hosts    []VDCEntry
	Datas    []VDCEntry // datastores
	VNets    []VDCEntry
	Template *tmpl.Template
}

// VDCEntry is one resource of a VDC; ID may be AllResources.
type VDCEntry struct{ Zone, ID int }

// SecurityGroup is a set of filter rules, kept as RULE vectors in its template.
type SecurityGroup struct {
	Meta
	Template *tmpl.Template
}

// VRouter is a virtual router; its VMs are an index.
type VRouter struct {
	Meta
	Template *tmpl.Template
}
