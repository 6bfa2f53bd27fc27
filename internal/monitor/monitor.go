// Package monitor keeps what hosts measure: the latest sample of every host, VM
// and datastore, and a bounded run of earlier ones. Nothing of it is stored: after
// a restart the agents' next samples fill it again.
package monitor

import (
	"sync"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// Keep is how many samples of each host and VM are kept: at the usual intervals
// four hours of a host's and one of a VM's.
const Keep = 120

// Monitor keeps measurements. The zero value is not usable; see New.
type Monitor struct {
	mu    sync.RWMutex
	hosts map[int]*ring[agentapi.HostSample]
	vms   map[int]*ring[agentapi.VMSample]
	ds    map[int]agentapi.DatastoreSpace             // as last seen by any host
	local map[[2]int]agentapi.DatastoreSpace          // by host and datastore
	onVM  func(host int, samples []agentapi.VMSample) // told of every sample of VMs
	onDS  func()                                      // told when datastores were measured
}

// New returns an empty monitor.
func New() *Monitor {
	return &Monitor{
		hosts: map[int]*ring[agentapi.HostSample]{}, vms: map[int]*ring[agentapi.VMSample]{},
		ds: map[int]agentapi.DatastoreSpace{}, local: map[[2]int]agentapi.DatastoreSpace{},
	}
}

// OnVMs has f told of the VM samples of a host as they come; f must not block. It
// is called before the first sample is taken.
func (m *Monitor) OnVMs(f func(host int, samples []agentapi.VMSample)) { m.onVM = f }

// OnSpace has f told when datastores have been measured; f must not block. It is
// called before the first sample is taken.
func (m *Monitor) OnSpace(f func()) { m.onDS = f }

// TakeHost keeps a sample of a host.
func (m *Monitor) TakeHost(host int, s agentapi.HostSample) {
	m.mu.Lock()
	defer m.mu.Unlock()
	add(m.hosts, host, s)
}

// TakeVMs keeps samples of VMs.
func (m *Monitor) TakeVMs(host int, vms []agentapi.VMSample) {
	m.mu.Lock()
	for _, s := range vms {
		add(m.vms, s.VM, s)
	}
	m.mu.Unlock()
	if m.onVM != nil && len(vms) > 0 {
		m.onVM(host, vms)
	}
}

// TakeDatastores keeps what a host sees of datastores.
func (m *Monitor) TakeDatastores(host int, ds []agentapi.DatastoreSpace) {
	m.mu.Lock()
	for _, d := range ds {
		m.ds[d.ID] = d
		m.local[[2]int{host, d.ID}] = d
	}
	m.mu.Unlock()
	if m.onDS != nil && len(ds) > 0 {
		m.onDS()
	}
}

// ForgetHost drops all that is known of a host.
func (m *Monitor) ForgetHost(host int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.hosts, host)
	for k := range m.local {
		if k[0] == host {
			delete(m.local, k)
		}
	}
}

// ForgetVM drops all that is known of a VM.
func (m *Monitor) ForgetVM(vm int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.vms, vm)
}

// Datastore returns the space of a datastore, MB.
func (m *Monitor) Datastore(id int) (total, used, free int64, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, ok := m.ds[id]
	return d.TotalMB, d.UsedMB, d.FreeMB, ok
}

// HostDatastore returns the space of a datastore as one host sees it, MB.
func (m *Monitor) HostDatastore(host, id int) (total, used, free int64, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, ok := m.local[[2]int{host, id}]
	return d.TotalMB, d.UsedMB, d.FreeMB, ok
}

// HostDatastores returns the space of every datastore a host sees.
func (m *Monitor) HostDatastores(host int) []agentapi.DatastoreSpace {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []agentapi.DatastoreSpace
	for k, d := range m.local {
		if k[0] == host {
			out = append(out, d)
		}
	}
	return out
}

// Host returns the latest sample of a host.
func (m *Monitor) Host(id int) (agentapi.HostSample, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.hosts[id].last()
}

// VM returns the latest sample of a VM.
func (m *Monitor) VM(id int) (agentapi.VMSample, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.vms[id].last()
}

// HostSeries returns the samples of a host since a time (epoch seconds), oldest first.
func (m *Monitor) HostSeries(id int, since int64) []agentapi.HostSample {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []agentapi.HostSample
	for _, s := range m.hosts[id].all() {
		if s.Time >= since {
			out = append(out, s)
		}
	}
	return out
}

// VMSeries returns the samples of a VM since a time (epoch seconds), oldest first.
func (m *Monitor) VMSeries(id int, since int64) []agentapi.VMSample {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []agentapi.VMSample
	for _, s := range m.vms[id].all() {
		if s.Time >= since {
			out = append(out, s)
		}
	}
	return out
}

// ring keeps the last Keep values. A nil ring is an empty one.
type ring[T any] struct {
	items []T
	next  int // where the oldest is, once the ring is full
}

func add[T any](m map[int]*ring[T], id int, v T) {
	r := m[id]
	if r == nil {
		r = &ring[T]{}
		m[id] = r
	}
	if len(r.items) < Keep {
		r.items = append(r.items, v)
		return
	}
	r.items[r.next] = v
	r.next = (r.next + 1) % Keep
}

func (r *ring[T]) last() (v T, ok bool) {
	if r == nil || len(r.items) == 0 {
		return v, false
	}
	return r.items[(r.next+len(r.items)-1)%len(r.items)], true
}

func (r *ring[T]) all() []T {
	if r == nil {
		return nil
	}
	out := make([]T, 0, len(r.items))
	out = append(out, r.items[r.next:]...)
	return append(out, r.items[:r.next]...)
}
