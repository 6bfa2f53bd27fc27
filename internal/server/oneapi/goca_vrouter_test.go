package oneapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/OpenNebula/one/src/oca/go/src/goca/parameters"
	"github.com/OpenNebula/one/src/oca/go/src/goca/schemas/shared"

	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
)

// NICs of a VM and a virtual router, by the original's Go client.
func TestGocaVRouter(t *testing.T) {
	s := newServer(t)
	s.AddHost("edge1", sim.Config{})
	c := gocaFor(t, s, "oneadmin", rig.OneadminPassword)
	net, err := c.VirtualNetworks().Create("NAME=private\nVN_MAD=dummy\nBRIDGE=br0\nAR=[TYPE=IP4,IP=10.0.0.10,SIZE=50]", -1)
	check(t, "create a network", err)
	vm, err := c.VMs().Create("NAME=web\nCPU=0.1\nMEMORY=16", false)
	check(t, "create a VM", err)
	running := func(id int) { s.WaitVM(id, one.VMActive, one.LCMRunning) }
	running(vm)
	check(t, "attach a NIC", c.VM(vm).AttachNIC("NIC=[NETWORK=private]"))
	running(vm)
	check(t, "attach an alias", c.VM(vm).AttachNIC("NIC_ALIAS=[NETWORK=private,PARENT=NIC0]"))
	running(vm)
	check(t, "update a NIC", c.VM(vm).UpdateNIC(0, "NIC=[INBOUND_AVG_BW=100]", parameters.Merge))
	running(vm)
	v, err := c.VM(vm).Info(false)
	check(t, "vm.info", err)
	nics, aliases := v.Template.GetNICs(), v.Template.GetNICAliases()
	if len(nics) != 1 || len(aliases) != 1 || len(v.HistoryRecords) != 4 {
		t.Fatalf("NICs %v, aliases %v, %d records", nics, aliases, len(v.HistoryRecords))
	}
	limit, err := nics[0].GetStr("INBOUND_AVG_BW")
	ip, _ := aliases[0].GetStr("IP")
	if err != nil || limit != "100" || ip != "10.0.0.11" || v.HistoryRecords[2].Action != int(one.ActionNICUpdate) {
		t.Errorf("limit %q (%v), alias %q, action %d", limit, err, ip, v.HistoryRecords[2].Action)
	}
	check(t, "detach the NIC", c.VM(vm).DetachNIC(0))
	running(vm)

	tm, err := c.Templates().Create("NAME=router\nCPU=0.1\nMEMORY=16\nVROUTER=YES\nCONTEXT=[NETWORK=YES]")
	check(t, "create a template", err)
	id, err := c.VirtualRouters().Create("NAME=gw\nNIC=[NETWORK=private,FLOATING_IP=YES]")
	check(t, "create a router", err)
	got, err := c.VirtualRouter(id).Instantiate(2, tm, "", false, "MEMORY=32")
	if err != nil || got != id {
		t.Fatalf("instantiate: %d, %v", got, err)
	}
	r, err := c.VirtualRouter(id).Info(false)
	check(t, "vrouter.info", err)
	template, err := r.Template.GetStr("TEMPLATE_ID")
	if err != nil || template != "0" || r.Name != "gw" || !slices.Equal(r.VMs.ID, []int{1, 2}) || r.Permissions == nil {
		t.Errorf("the router is %+v (%v)", r, err)
	}
	for _, vm := range r.VMs.ID {
		running(vm)
	}
	check(t, "attach to the router", c.VirtualRouter(id).AttachNic("NIC=[NETWORK=private]"))
	for _, vm := range r.VMs.ID {
		running(vm)
	}
	check(t, "detach from the router", c.VirtualRouter(id).DetachNic(1))
	for _, vm := range r.VMs.ID {
		running(vm)
	}
	check(t, "update", c.VirtualRouter(id).Update("COLOUR=red", parameters.Merge))
	check(t, "rename", c.VirtualRouter(id).Rename("edge"))
	check(t, "lock", c.VirtualRouter(id).Lock(shared.LockUse))
	if err := c.VirtualRouter(id).Delete(); err == nil || !strings.Contains(err.Error(), "VROUTER is locked. [0]") {
		t.Errorf("delete while it is locked: %v", err)
	}
	check(t, "unlock", c.VirtualRouter(id).Unlock())
	pool, err := c.VirtualRouters().Info()
	check(t, "vrouterpool.info", err)
	if len(pool.VirtualRouters) != 1 || pool.VirtualRouters[0].Name != "edge" {
		t.Errorf("the pool is %+v", pool.VirtualRouters)
	}
	n, err := c.VirtualNetwork(net).Info(false)
	check(t, "vn.info", err)
	if n.UsedLeases != 3 || len(n.ARs[0].Leases) != 3 {
		t.Errorf("the network has leases %+v", n.ARs[0].Leases)
	}
	check(t, "delete", c.VirtualRouter(id).Delete())
	for _, vm := range r.VMs.ID {
		s.WaitVM(vm, one.VMDone, one.LCMInit)
	}
}
