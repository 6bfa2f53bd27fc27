package flow

import (
	"maps"
	"slices"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// A role of type vr is a virtual router, whose VMs are the role's. The router is
// made with the first of them and goes with the role.
// Source: OneFlow reference §2.2 and §2.6.

// routerAttrs are what template_contents say of the router rather than of its VMs.
var routerAttrs = []string{"NIC", "KEEPALIVED_ID", "KEEPALIVED_PASSWORD"}

// createInRouter creates a VM of a role that is a router, and the router if there
// is none: it may be the first VM, or somebody has deleted the router.
func (m *maker) createInRouter(vm cloud.ServiceVM) (*one.VM, error) {
	id, ok := m.routers[vm.Role]
	if ok {
		_, ok = m.tx.VRouters.Get(id)
	}
	if !ok {
		t := tmpl.New(
			tmpl.Single("NAME", named(m.f.cfg.VRNameTemplate, m.x.doc, vm.Role)), tmpl.Single("TEMPLATE_ID", strconv.Itoa(vm.Template)),
			tmpl.Single("SERVICE_ID", strconv.Itoa(vm.Service)), tmpl.Single("ROLE_NAME", vm.Role),
		)
		for _, name := range routerAttrs {
			t = t.Add(vm.Extra.Named(name)...)
		}
		var err error
		if id, err = m.f.cloud.NewServiceRouter(m.tx, m.owner, t); err != nil {
			return nil, core("one.vrouter.allocate", err)
		}
		m.routers[vm.Role] = id
	}
	vm.Extra = vm.Extra.Without(routerAttrs...)
	v, err := m.f.cloud.CreateRouterVM(m.tx, m.owner, id, vm)
	return v, core("one.vrouter.instantiate", err)
}

// ofRouter adds to a role which router it is, and the floating addresses of that.
// Source: OneFlow reference §1.6.
func ofRouter(role jsontree.Value, st *store.State, id int) jsontree.Value {
	role = role.With("vrouter_id", jsontree.Int(id))
	r, ok := st.VRouters.Get(id)
	if !ok {
		return role
	}
	var ips []jsontree.Value
	for _, nic := range r.Template.Named("NIC") {
		network, err := strconv.Atoi(nic.Vector.Get("NETWORK_ID"))
		if ip := nic.Vector.Get("IP"); err == nil && ip != "" && nic.Vector.Bool("FLOATING_IP") {
			ips = append(ips, jsontree.Obj(jsontree.F("NETWORK_ID", jsontree.Int(network)), jsontree.F("VROUTER_IP", jsontree.Str(ip))))
		}
	}
	return role.With("vrouter_ips", jsontree.List(ips...))
}

// keepRouters writes the routers of a service into what it is to be, without those
// of roles that are gone, which go too. One that is locked stays until the service
// ends.
func (f *Flow) keepRouters(tx *store.Tx, s *one.Service, routers map[string]int) {
	if s == nil {
		return
	}
	for _, role := range slices.Sorted(maps.Keys(routers)) {
		if slices.ContainsFunc(s.Roles, func(r one.Role) bool { return r.Name == role }) {
			continue
		}
		id := routers[role]
		if err := tx.Try(func() error { return f.cloud.DropServiceRouter(tx, id) }); err != nil {
			f.log.Info("the router of a removed role stays", "service", s.ID, "router", id, "err", err)
			continue
		}
		delete(routers, role)
	}
	s.Routers = nil
	if len(routers) > 0 {
		s.Routers = routers
	}
}
