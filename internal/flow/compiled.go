package flow

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// compiled is a service's template, read.
type compiled struct {
	raw   []byte // of which version of the service
	tree  jsontree.Value
	spec  *spec.Spec
	looks map[string][]look // of its roles that have elasticity policies
}

// look is what an elasticity policy looks at, and how often at most.
type look struct {
	names  []string
	period time.Duration
}

// compile reads a service's template.
func compile(raw []byte) (*compiled, error) {
	tree, err := jsontree.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("read a stored service template: %w", err)
	}
	s, err := spec.Read(tree)
	if err != nil {
		return nil, fmt.Errorf("read a stored service template: %w", err)
	}
	c := &compiled{raw: raw, tree: tree, spec: s, looks: map[string][]look{}}
	for i := range s.Roles {
		r := &s.Roles[i]
		for j, names := range r.Looks() {
			c.looks[r.Name] = append(c.looks[r.Name], look{names: names, period: time.Duration(r.Policies[j].Period) * time.Second})
		}
	}
	return c, nil
}

// specCache keeps what was read, because a template is looked at on every event
// of its VMs and changes almost never.
type specCache struct {
	mu  sync.Mutex
	all map[int]*compiled
}

// of returns the template of a service.
func (c *specCache) of(st *store.State, svc *one.Service) (*compiled, error) {
	c.mu.Lock()
	known := c.all[svc.ID]
	c.mu.Unlock()
	if known != nil && sameBytes(known.raw, svc.Spec) {
		return known, nil
	}
	now, err := compile(svc.Spec)
	if err != nil {
		return nil, fmt.Errorf("service %d: %w", svc.ID, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil || len(c.all) > 2*st.Services.Len()+64 { // most of them are of services that are gone
		c.all = map[int]*compiled{}
	}
	c.all[svc.ID] = now
	return now, nil
}

// sameBytes tells whether two texts are the same, at once when they are one.
func sameBytes(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	return len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b)
}
