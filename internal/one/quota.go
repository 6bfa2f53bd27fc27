package one

// Quotas are the limits of a user or group, by section. A missing entry means
// the defaults apply. Source: identity reference §10.
type Quotas struct {
	Datastores map[int]DatastoreQuota // by datastore id
	Networks   map[int]NetworkQuota   // by network id
	Images     map[int]ImageQuota     // by image id
	VM         *VMQuota
}

// Special limits. Source: identity reference §10.2.
const (
	QuotaDefault   = -1 // what the default quotas say
	QuotaUnlimited = -2
)

// DatastoreQuota limits what is stored in one datastore.
type DatastoreQuota struct {
	Images float64 // number
	Size   float64 // MB
}

// NetworkQuota limits the leases of one network.
type NetworkQuota struct{ Leases float64 }

// ImageQuota limits the running VMs that use one image.
type ImageQuota struct{ RVMs float64 }

// VMQuota limits VMs in all.
type VMQuota struct {
	VMs, RunningVMs       float64
	CPU, RunningCPU       float64 // cores
	Memory, RunningMemory float64 // MB
	SystemDiskSize        float64 // MB
}

// Usage is what a user or group uses: the sums that quotas are checked against.
// It is kept as an aggregate of the store, never stored.
type Usage struct {
	VM         VMQuota
	Datastores map[int]DatastoreQuota
	Networks   map[int]NetworkQuota
	Images     map[int]ImageQuota
}
