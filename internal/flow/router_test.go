package flow_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/flow"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// router is one role's JSON of type vr: "name cardinality", its NICs, more members.
func (b *bench) router(head, nics, more string) string {
	b.t.Helper()
	vmt := -1
	for id, t := range b.st.View().Templates.All() {
		if t.Template.Bool("VROUTER") {
			vmt = id
		}
	}
	if vmt < 0 {
		vmt = b.Template("NAME=appliance\nCPU=0.1\nMEMORY=64\nVROUTER=YES\nCONTEXT=[NETWORK=\"YES\"]")
	}
	name, n, _ := strings.Cut(head, " ")
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"name":%q,"type":"vr","template_id":%d,"cardinality":%s,"template_contents":{"NIC":[%s],"COLOUR":"red"}%s}`, name, vmt, n, nics, more)
}

// mayUse lets a user use all that services of routers need.
func (b *bench) mayUse(who auth.Caller) {
	b.t.Helper()
	b.Do(func(tx *store.Tx) {
		for id := range tx.Templates.All() {
			t := *tx.Templates.At(id)
			t.Perms = 0o644
			tx.PutTemplate(&t)
		}
	})
	r := one.ACLRule{User: one.ACLIndividual | uint64(who.UID), Resource: one.KindVRouter.ACLType() | one.ACLAll, Rights: uint64(one.Create), Zone: one.ACLAll}
	_, err := b.Cloud.AddRule(b.Context(), b.Admin, fmt.Sprintf("%x", r.User), fmt.Sprintf("%x", r.Resource), fmt.Sprintf("%x", r.Rights), fmt.Sprintf("%x", r.Zone))
	b.must(err)
}

// left fails if a service has left anything behind.
func (b *bench) left() {
	b.t.Helper()
	st := b.st.View()
	if st.VRouters.Len()+st.VNets.Len()+st.Leases.Len() > 0 {
		b.t.Errorf("%d routers, networks %v and %d leases are left", st.VRouters.Len(), b.nets(), st.Leases.Len())
	}
}

// A role of type vr is one router of so many VMs, in the networks of the service.
func TestRouterRole(t *testing.T) {
	b := newBench(t)
	alice := b.user("alice")
	gate := b.router("gate 2", `{"NETWORK_ID":"$Out","FLOATING_IP":"YES"}`, "")
	b.mayUse(alice)
	nets := fmt.Sprintf(`"deployment":"straight","networks_values":[{"Out":{"template_id":"%d","extra":"AR=[TYPE=IP4,IP=10.6.0.10,SIZE=4]"}}]`, b.vntemplate("NAME=t\nVN_MAD=bridge"))
	id, err := b.instantiate(alice, nets, gate, b.role("web 1", `"parents":["gate"],"template_contents":{"NIC":[{"NETWORK_ID":"$Out"}]}`))
	b.must(err)
	s := b.waitState(id, one.ServiceRunning)
	r, ok := b.st.View().VRouters.Get(s.Routers["gate"])
	if !ok {
		t.Fatalf("the routers are %v", s.Routers)
	}
	if want := fmt.Sprintf("gate(service_%d)", id); r.Name != want || r.UID != alice.UID || r.Template.Vector("NIC").Get("IP") != "10.6.0.10" || r.Template.Has("COLOUR") {
		t.Errorf("the router is %+v %s", r.Meta, r.Template.Text())
	}
	vms := b.vms(id, "gate")
	var ids []int
	for i, v := range vms {
		ids = append(ids, v.ID)
		ctx := v.Template.Vector("CONTEXT")
		if v.Name != fmt.Sprintf("gate_%d_(service_%d)", i, id) || v.VRouterID != r.ID || v.UID != alice.UID || v.UserTemplate.Get("COLOUR") != "red" ||
			ctx.Get("ETH0_VROUTER_IP") != "10.6.0.10" || ctx.Get("ETH0_IP") != fmt.Sprintf("10.6.0.1%d", 1+i) {
			t.Errorf("VM %d: %s of router %d, context %v", v.ID, v.Name, v.VRouterID, ctx)
		}
	}
	if got := b.st.View().VRouterVMs.List(r.ID); len(ids) != 2 || !slices.Equal(got, ids) {
		t.Errorf("VMs of the role %v, of the router %v", ids, got)
	}
	if web := b.vms(id, "web")[0]; web.VRouterID >= 0 || web.ID < ids[1] {
		t.Errorf("VM %d of role web is of router %d", web.ID, web.VRouterID)
	}
	body, _ := b.flow.Body(id)
	if want := fmt.Sprintf(`"vrouter_id":%d,"vrouter_ips":[{"NETWORK_ID":%s,"VROUTER_IP":"10.6.0.10"}]`, r.ID, r.Template.Vector("NIC").Get("NETWORK_ID")); !strings.Contains(string(body), want) {
		t.Errorf("body %s lacks %s", body, want)
	}
	b.refused(b.flow.Scale(b.Context(), alice, id, "gate", 3), fmt.Sprintf("Can't scale service %d: Virtual Router role gate does not support cardinality update", id))
	b.refused(b.flow.ActOnRole(b.Context(), alice, id, flow.RoleAction{Role: "gate", Action: "poweroff"}), "Virtual Router role gate does not support schedule actions")
	// An action on the whole service leaves it out.
	b.must(b.flow.ActOnRole(b.Context(), alice, id, flow.RoleAction{Action: "poweroff-hard"}))
	b.waitState(id, one.ServiceWarning)
	b.WaitVM(b.vms(id, "web")[0].ID, one.VMPoweroff, 0)
	for _, v := range b.vms(id, "gate") {
		if v.State != one.VMActive {
			t.Errorf("VM %d is %s", v.ID, v.StateName())
		}
	}
	b.must(b.flow.Recover(b.Context(), alice, id, false))
	b.waitState(id, one.ServiceRunning)
	// The router follows the service's owner.
	bob := b.user("bob")
	b.must(b.flow.Chown(b.Context(), b.Admin, id, bob.UID, one.UsersGroupID))
	if r, _ := b.st.View().VRouters.Get(r.ID); r.UID != bob.UID {
		t.Errorf("the router belongs to user %d", r.UID)
	}
	b.must(b.flow.Undeploy(b.Context(), b.Admin, id))
	b.waitGone(id)
	b.left()
}

// What is refused is said and leaves nothing; recovery makes it for the owner.
func TestRouterRoleRefused(t *testing.T) {
	b := newBench(t)
	alice := b.user("alice")
	nets := fmt.Sprintf(`"networks_values":[{"Out":{"template_id":"%d","extra":"AR=[TYPE=IP4,IP=10.6.0.10,SIZE=4]"}}]`, b.vntemplate("NAME=t\nVN_MAD=bridge"))
	id, err := b.instantiate(alice, nets, b.router("gate 2", `{"NETWORK_ID":"$Out","FLOATING_IP":"YES"}`, ""))
	b.must(err)
	s := b.waitState(id, one.ServiceFailedDeploying)
	if len(s.Routers) > 0 || b.st.View().VRouters.Len() > 0 || b.st.View().Leases.Len() > 0 {
		t.Errorf("routers %v are left", s.Routers)
	}
	if log := strings.Join(b.log(id), "\n"); !strings.Contains(log, fmt.Sprintf("[one.vrouter.allocate] User [%d] : Not authorized to perform CREATE VROUTER.", alice.UID)) {
		t.Errorf("log %s", log)
	}
	b.mayUse(alice)
	// The second VM does not fit: the router stays with the first.
	b.Do(func(tx *store.Tx) {
		u := *tx.Users.At(alice.UID)
		u.Quotas.VM = &one.VMQuota{VMs: 1, RunningVMs: -2, CPU: -2, RunningCPU: -2, Memory: -2, RunningMemory: -2, SystemDiskSize: -2}
		tx.PutUser(&u)
	})
	b.must(b.flow.Recover(b.Context(), b.Admin, id, false))
	s = b.waitFor(id, one.ServiceFailedDeploying, func(st *store.State, s *one.Service) bool { return len(st.ServiceVMs.List(id)) == 1 })
	router := s.Routers["gate"]
	b.Do(func(tx *store.Tx) {
		u := *tx.Users.At(alice.UID)
		u.Quotas.VM = nil
		tx.PutUser(&u)
	})
	b.must(b.flow.Recover(b.Context(), b.Admin, id, false))
	s = b.waitState(id, one.ServiceRunning)
	if r, ok := b.st.View().VRouters.Get(router); !ok || s.Routers["gate"] != router || r.UID != alice.UID || b.st.View().VRouters.Len() != 1 {
		t.Errorf("routers %v, expected %d of user %d", s.Routers, router, alice.UID)
	}
	b.must(b.flow.Undeploy(b.Context(), alice, id))
	b.waitGone(id)
	b.left()
}

// A role goes with its router, also when it is added and removed while the service
// runs, when somebody has deleted the router, and when that is locked.
func TestRouterRoleRemoved(t *testing.T) {
	b := newBench(t)
	gate := b.router("gate 1", "", "")
	id := b.service("", b.role("web 1", ""))
	b.waitState(id, one.ServiceRunning)
	routers := func() int { return b.st.View().VRouters.Len() }
	b.must(b.flow.AddRole(b.Context(), b.Admin, id, parse(t, gate)))
	b.waitFor(id, one.ServiceRunning, func(_ *store.State, s *one.Service) bool { return len(s.Routers) == 1 })
	b.must(b.flow.RemoveRole(b.Context(), b.Admin, id, "gate"))
	b.waitFor(id, one.ServiceRunning, func(_ *store.State, s *one.Service) bool { return len(s.Roles) == 1 && len(s.Routers) == 0 })
	if routers() != 0 {
		t.Errorf("%d routers are left", routers())
	}
	// Deleted by hand: its VMs go, and the service knows.
	b.must(b.flow.AddRole(b.Context(), b.Admin, id, parse(t, gate)))
	s := b.waitFor(id, one.ServiceRunning, func(_ *store.State, s *one.Service) bool { return len(s.Routers) == 1 })
	b.must(b.Cloud.DeleteVRouter(b.Context(), b.Admin, s.Routers["gate"]))
	b.waitFor(id, one.ServiceRunning, func(st *store.State, s *one.Service) bool {
		return s.Roles[1].Cardinality == 0 && len(st.ServiceVMs.List(id)) == 1
	})
	b.must(b.flow.RemoveRole(b.Context(), b.Admin, id, "gate"))
	b.waitFor(id, one.ServiceRunning, func(_ *store.State, s *one.Service) bool { return len(s.Roles) == 1 && len(s.Routers) == 0 })
	// Locked it stays behind its role, and the service does not end without it.
	b.must(b.flow.AddRole(b.Context(), b.Admin, id, parse(t, gate)))
	s = b.waitFor(id, one.ServiceRunning, func(_ *store.State, s *one.Service) bool { return len(s.Routers) == 1 })
	locked := s.Routers["gate"]
	b.must(b.Cloud.Lock(b.Context(), b.Admin, one.KindVRouter, locked, 1, false))
	b.must(b.flow.RemoveRole(b.Context(), b.Admin, id, "gate"))
	b.waitFor(id, one.ServiceRunning, func(_ *store.State, s *one.Service) bool { return len(s.Roles) == 1 && s.Routers["gate"] == locked })
	b.must(b.flow.Undeploy(b.Context(), b.Admin, id))
	b.waitState(id, one.ServiceFailedUndeployingNets)
	b.must(b.Cloud.Unlock(b.Context(), b.Admin, one.KindVRouter, locked))
	b.must(b.flow.Recover(b.Context(), b.Admin, id, false))
	b.waitGone(id)
	b.left()
}

// Whoever deletes the document of a service that has no VMs any more deletes the
// service, with the routers and networks it made.
func TestDeletedDocumentLeavesNothing(t *testing.T) {
	b := newBench(t)
	nets := fmt.Sprintf(`"networks_values":[{"Out":{"template_id":"%d","extra":"AR=[TYPE=IP4,IP=10.6.0.10,SIZE=4]"}}]`, b.vntemplate("NAME=t\nVN_MAD=bridge"))
	id := b.service(nets, b.router("gate 1", `{"NETWORK_ID":"$Out"}`, ""))
	s := b.waitState(id, one.ServiceRunning)
	router, net := s.Routers["gate"], s.Networks[0]
	if err := b.Cloud.DeleteDocument(b.Context(), b.Admin, id); err == nil || !strings.Contains(err.Error(), "has VMs") {
		t.Fatalf("with its VM: %v", err)
	}
	b.must(b.Cloud.VMAction(b.Context(), b.Admin, b.vms(id, "gate")[0].ID, "terminate-hard"))
	b.waitFor(id, one.ServiceRunning, func(st *store.State, _ *one.Service) bool { return !st.ServiceVMs.Any(id) })
	other := b.Instantiate(b.Template(fmt.Sprintf("NAME=o\nCPU=0.1\nMEMORY=64\nNIC=[NETWORK_ID=%d]", net)), "other")
	b.WaitVM(other, one.VMActive, one.LCMRunning)
	if err := b.Cloud.DeleteDocument(b.Context(), b.Admin, id); err == nil || !strings.Contains(err.Error(), "leases in use") {
		t.Fatalf("with somebody else's lease: %v", err)
	}
	if _, ok := b.st.View().VRouters.Get(router); !ok {
		t.Error("a refused deletion took the router")
	}
	b.must(b.Cloud.VMAction(b.Context(), b.Admin, other, "terminate-hard"))
	b.WaitVM(other, one.VMDone, 0)
	b.must(b.Cloud.DeleteDocument(b.Context(), b.Admin, id))
	b.waitGone(id)
	b.left()
}
