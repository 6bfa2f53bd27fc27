package cloud

import (
	"maps"
	"slices"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// The virtual routers of services: one for each role of type vr, whose VMs are the
// role's. Source: OneFlow reference §2.2.

// NewServiceRouter creates a router with the rights of the service's owner.
func (c *Cloud) NewServiceRouter(tx *store.Tx, owner auth.Caller, t *tmpl.Template) (int, error) {
	return c.newVRouter(tx, owner, t)
}

// CreateRouterVM is CreateServiceVM for a role that is a router.
func (c *Cloud) CreateRouterVM(tx *store.Tx, owner auth.Caller, router int, n ServiceVM) (*one.VM, error) {
	r, err := c.routerFor(&tx.State, owner, router)
	if err != nil {
		return nil, err
	}
	return c.instantiateIn(tx, owner, r, n.Template, instantiation{
		name: n.Name, hold: n.Hold, extra: n.Extra, service: n.Service, role: n.Role,
	})
}

// DropServiceRouter removes a router of a service, which goes whatever its owner
// may do to it; only a lock stands in its way. One that is gone does not matter.
func (c *Cloud) DropServiceRouter(tx *store.Tx, id int) error {
	r, ok := tx.VRouters.Get(id)
	if !ok {
		return nil
	}
	if err := c.allow(&tx.State, keeper, target(r), one.Manage); err != nil {
		return err
	}
	return c.dropVRouter(tx, keeper, r)
}

// serviceRouters returns the routers of a service that there are, by role.
func serviceRouters(tx *store.Tx, s *one.Service) []*one.VRouter {
	var out []*one.VRouter
	for _, role := range slices.Sorted(maps.Keys(s.Routers)) {
		if r, ok := tx.VRouters.Get(s.Routers[role]); ok {
			out = append(out, r)
		}
	}
	return out
}
