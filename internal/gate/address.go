package gate

import (
	"net/http"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/one"
)

// addressed returns the VM of an id if the guest may address it: itself, a
// machine of its service, or one of its virtual router; and if its owner may see
// it. Source: OneGate reference §1.4.
func (u *Guest) addressed(id int) (*one.VM, error) {
	if id != u.vm.ID {
		if err := u.related(id); err != nil {
			return nil, err
		}
	}
	v, err := u.anyVM(id)
	if err != nil {
		return nil, err
	}
	return v, u.may("one.vm.info", v)
}

// anyVM returns the VM of an id.
func (u *Guest) anyVM(id int) (*one.VM, error) {
	if id == u.vm.ID {
		return u.vm, nil
	}
	v, ok := u.st.VM(id)
	if !ok {
		return nil, refuse(http.StatusNotFound, "[one.vm.info] Error getting virtual machine [%d].", id)
	}
	return v, nil
}

// related refuses unless the VM of an id is one of the guest's service or router.
// Unlike in the original the guest must belong to the service itself, whatever
// its user template says.
func (u *Guest) related(id int) error {
	if err := u.may("one.vm.info", u.vm); err != nil {
		return err
	}
	if u.vm.UserTemplate.Has("SERVICE_ID") {
		s, err := u.service()
		if err != nil {
			return err
		}
		return u.inService(s, id)
	}
	if router, ok := u.routerID(); ok {
		r, err := u.router(router)
		if err != nil {
			return err
		}
		return u.inRouter(r, id)
	}
	return refuse(http.StatusBadRequest, "This VM does not belong to any Virtual Router or Service, so it cannot retrieve information from other VMs")
}

// service returns the service that the guest's user template names, if the owner
// may see it and the guest is one of its machines.
func (u *Guest) service() (*one.Service, error) {
	said := u.vm.UserTemplate.Get("SERVICE_ID")
	id, ok := digits(said)
	if !ok {
		return nil, refuse(http.StatusBadRequest, "Empty or invalid SERVICE_ID")
	}
	s, ok := u.st.Services.Get(id)
	header, there := u.st.Documents.Get(id)
	if !ok || !there || u.may("one.document.info", header) != nil {
		return nil, refuse(http.StatusNotFound, "Service %s not found", said)
	}
	if len(s.Roles) == 0 {
		return nil, refuse(http.StatusBadRequest, "Service %d is empty.", id)
	}
	return s, u.inService(s, u.vm.ID)
}

// inService refuses a VM that is no node of any role of the service.
func (u *Guest) inService(s *one.Service, vm int) error {
	v, ok := u.st.VM(vm)
	if ok && u.st.ServiceVMs.Has(s.ID, vm) {
		for i := range s.Roles {
			if s.Roles[i].Name == v.Role {
				return nil
			}
		}
	}
	return refuse(http.StatusBadRequest, "Service %d does not contain VM %d.", s.ID, vm)
}

// routerID returns the virtual router that the guest's template names.
func (u *Guest) routerID() (int, bool) {
	if said, ok := u.vm.Template.Lookup("VROUTER_ID"); ok && said != "" {
		return ParseID(said), true
	}
	return u.vm.VRouterID, u.vm.VRouterID >= 0
}

// router returns a virtual router that the owner may see and that has the guest.
func (u *Guest) router(id int) (*one.VRouter, error) {
	r, ok := u.st.VRouters.Get(id)
	if !ok || u.may("one.vrouter.info", r) != nil {
		return nil, refuse(http.StatusNotFound, "Virtual router %d not found", id)
	}
	return r, u.inRouter(r, u.vm.ID)
}

// inRouter refuses a VM that is none of the router's.
func (u *Guest) inRouter(r *one.VRouter, vm int) error {
	if u.st.VRouterVMs.Has(r.ID, vm) {
		return nil
	}
	return refuse(http.StatusBadRequest, "Virtual Router %d does not contain VM %d.", r.ID, vm)
}

// digits reads a number that is digits and nothing else.
func digits(s string) (int, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
