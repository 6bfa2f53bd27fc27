package render

import (
	"strings"

	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// A document as the values of JSON and YAML: an element with children is an
// object, one with text a string, an empty one an empty object; elements of one
// name become an array. Source: OneGate reference §1.5 and the XSDs: an element
// the schema lets repeat is an array even when it is alone.

type object struct {
	keys   []string
	values map[string]any // string, *object or []any
}

func valueOf(n *doc.Node) *object {
	o := newObject()
	if !strings.HasSuffix(n.Name, "_POOL") {
		o.add(n.Name, content(n, n.Name), false)
		return o
	}
	pool := newObject()
	for _, k := range n.Kids {
		pool.add(k.Name, content(k, k.Name), !strings.HasPrefix(k.Name, "DEFAULT_"))
	}
	o.add(n.Name, pool, false)
	return o
}

func newObject() *object { return &object{values: map[string]any{}} }

// content returns the value of an element; path names it from its resource down.
func content(n *doc.Node, path string) any {
	if len(n.Kids) == 0 && n.HasText {
		return n.Text
	}
	o := newObject()
	for _, k := range n.Kids {
		at := path + "/" + k.Name
		o.add(k.Name, content(k, at), repeatedAt[at] || strings.Contains(repeatedIn[n.Name], " "+k.Name+" "))
	}
	return o
}

func (o *object) add(key string, v any, list bool) {
	old, there := o.values[key]
	switch {
	case !there && list:
		o.values[key] = []any{v}
	case !there:
		o.values[key] = v
	default:
		many, ok := old.([]any)
		if !ok {
			many = []any{old}
		}
		o.values[key] = append(many, v)
		return
	}
	o.keys = append(o.keys, key)
}

// repeatedAt holds full paths: inside a TEMPLATE only some resources say what
// repeats.
var repeatedAt = map[string]bool{
	"VM/TEMPLATE/DISK": true, "VM/TEMPLATE/NIC": true, "VM/TEMPLATE/NIC_ALIAS": true, "VM/TEMPLATE/SNAPSHOT": true,
	"VM/TEMPLATE/SECURITY_GROUP_RULE": true, "VM/TEMPLATE/SCHED_ACTION": true, "VM/TEMPLATE/VMGROUP": true,
	"VM/SNAPSHOTS": true, "VM/MONITORING/DISK_SIZE": true, "SECURITY_GROUP/TEMPLATE/RULE": true,
	"HOST/MONITORING/NUMA_NODE": true, "USER/LOGIN_TOKEN": true, "BACKUPJOB/TEMPLATE/SCHED_ACTION": true,
	"HISTORY_RECORDS/HISTORY": true,
}

// repeatedIn holds, by collection, what it collects.
var repeatedIn = map[string]string{
	"HISTORY_RECORDS": " HISTORY ", "SNAPSHOTS": " SNAPSHOT ", "BACKUP_IDS": " ID ", "BACKUP_INCREMENTS": " INCREMENT ",
	"SCHED_ACTIONS": " ID ", "VMS": " ID ", "CLONES": " ID ", "APP_CLONES": " ID ", "IMAGES": " ID ", "USERS": " ID ",
	"ADMINS": " ID ", "GROUPS": " ID ", "VROUTERS": " ID ", "MARKETPLACEAPPS": " ID ", "UPDATED_VMS": " ID ",
	"OUTDATED_VMS": " ID ", "UPDATING_VMS": " ID ", "ERROR_VMS": " ID ", "BACKING_UP_VMS": " ID ",
	"CLUSTERS": " ID CLUSTER ", "HOSTS": " ID HOST ", "DATASTORES": " ID DATASTORE ", "VNETS": " ID VNET ",
	"DATASTORE_QUOTA": " DATASTORE ", "NETWORK_QUOTA": " NETWORK ", "IMAGE_QUOTA": " IMAGE ",
	"PCI_DEVICES": " PCI ", "NUMA_NODES": " NODE ", "NODE": " CORE HUGEPAGE ", "NUMA_NODE": " HUGEPAGE ",
	"AR_POOL": " AR ", "LEASES": " LEASE ", "ROLES": " ROLE ", "SERVER_POOL": " SERVER ",
	"HOOKLOG": " HOOK_EXECUTION_RECORD ",
}
