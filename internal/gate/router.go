package gate

import (
	"net/http"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Router returns the document of the guest's virtual router.
// Source: OneGate reference §1.9.
func (u *Guest) Router() (*Document, error) {
	if err := u.may("one.vm.info", u.vm); err != nil {
		return nil, err
	}
	id, ok := u.routerID()
	if !ok {
		return nil, refuse(http.StatusBadRequest, "Empty or invalid VROUTER_ID")
	}
	r, err := u.router(id)
	if err != nil {
		return nil, err
	}
	return newDocument(u.appendRouter(nil, r)), nil
}

// WatchRouter begins to watch the document of the guest's virtual router.
func (u *Guest) WatchRouter() (*Watch, error) {
	id, _ := u.routerID()
	return u.gate.hub.watch(u.vm.ID, subject{subjectRouter, id})
}

func (u *Guest) appendRouter(dst []byte, r *one.VRouter) []byte {
	dst = str(append(dst, `{"VROUTER":{"NAME":`...), r.Name)
	dst = num(append(dst, `,"ID":`...), r.ID)
	dst = append(dst, `,"VMS":{"ID":[`...)
	for vm := range u.st.VRouterVMs.Of(r.ID) {
		dst = num(comma(dst), vm)
	}
	dst = appendListed(append(dst, `]},"TEMPLATE":`...), r.Template, "NIC")
	return append(dst, `}}`...)
}

// appendListed appends a template as JSON in which the attributes called listed
// are an array however many there are; it comes last when there are none.
func appendListed(dst []byte, t *tmpl.Template, listed string) []byte {
	dst = append(dst, '{')
	all := t.All()
	for len(all) > 0 {
		name := all[0].Name
		same := t.Named(name)
		all = all[len(same):]
		dst = append(str(comma(dst), name), ':')
		dst = appendValues(dst, same, name == listed)
	}
	if !t.Has(listed) {
		dst = append(str(comma(dst), listed), `:[]`...)
	}
	return append(dst, '}')
}

// Network returns the document of a network that the guest's virtual router is
// connected with; extended adds to its leases what guests publish of themselves.
// Source: OneGate reference §1.10.
func (u *Guest) Network(said string, extended bool) (*Document, error) {
	id, err := strconv.Atoi(said)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "Invalid id format (ID: %s). ID must be an integer.", clip(said))
	}
	if err := u.may("one.vm.info", u.vm); err != nil {
		return nil, err
	}
	router, ok := u.routerID()
	if !ok {
		return nil, refuse(http.StatusBadRequest, "Virtual networks information can only be retrieved from Virtual Routers.")
	}
	r, err := u.router(router)
	if err != nil {
		return nil, err
	}
	n, err := u.network(id)
	if err != nil {
		return nil, err
	}
	if err := u.connected(r, n); err != nil {
		return nil, err
	}
	dst, err := u.appendNetwork(nil, n, extended)
	if err != nil {
		return nil, &Refusal{Status: http.StatusBadRequest, Text: "Virtual router " + strconv.Itoa(r.ID) + " is empty.", Cause: err}
	}
	return newDocument(dst), nil
}

// network returns a network that the owner may see.
func (u *Guest) network(id int) (*one.VNet, error) {
	n, ok := u.st.VNets.Get(id)
	if !ok || u.may("one.vn.info", n) != nil {
		return nil, refuse(http.StatusNotFound, "Virtual network %d not found", id)
	}
	return n, nil
}

// connected refuses a network unless it, or the one it is a reservation of, is one
// that the router has a NIC in, the parent of one, or a reservation of one.
func (u *Guest) connected(r *one.VRouter, n *one.VNet) error {
	near := map[int]bool{}
	seen := map[int]bool{}
	for _, nic := range r.Template.Vectors("NIC") {
		id, err := strconv.Atoi(nic.Get("NETWORK_ID"))
		if err != nil || seen[id] {
			continue
		}
		seen[id] = true
		of, err := u.network(id)
		if err != nil {
			return err
		}
		near[id] = true
		if of.ParentID >= 0 {
			near[of.ParentID] = true
		}
		u.reservations(of, near)
		if near[n.ID] || n.ParentID >= 0 && near[n.ParentID] {
			return nil
		}
	}
	return refuse(http.StatusBadRequest, "Virtual Network %d cannot be retrieved from Virtual router %d.", n.ID, r.ID)
}

// reservations adds the reservations of a network, as far as the owner may see
// them among its leases.
func (u *Guest) reservations(n *one.VNet, to map[int]bool) {
	visible := u.gate.cloud.VisibleLeases(u.st, u.owner, n)
	for id := range u.st.VNetReservations.Of(n.ID) {
		if visible == nil || visible(&one.Lease{Net: n.ID, Owner: one.LeaseVNet, OwnerID: id}) {
			to[id] = true
		}
	}
}
