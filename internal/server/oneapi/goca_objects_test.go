package oneapi_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	gocaerrors "github.com/OpenNebula/one/src/oca/go/src/goca/errors"
	"github.com/OpenNebula/one/src/oca/go/src/goca/parameters"
	"github.com/OpenNebula/one/src/oca/go/src/goca/schemas/shared"

	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
)

// done is a call of the original's client, and what it returned.
type done struct {
	call string
	err  error
}

func checkAll(t *testing.T, calls ...done) {
	t.Helper()
	for _, c := range calls {
		check(t, c.call, c.err)
	}
}

// everyone may do everything but administrate.
var everyone = shared.Permissions{OwnerU: 1, OwnerM: 1, OwnerA: 0, GroupU: 1, GroupM: 1, GroupA: 0, OtherU: 1, OtherM: 1, OtherA: 0}

// Every method of the objects that VMs are made of, in the argument forms of the
// original's client.
func TestGocaStorageAndNetworks(t *testing.T) {
	s := newServer(t)
	s.AddHost("edge1", sim.Config{})
	c := gocaFor(t, s, "oneadmin", rig.OneadminPassword)

	ds, err := c.Datastores().Create("NAME=fast\nTM_MAD=dummy\nTYPE=SYSTEM_DS", -1)
	check(t, "datastore.allocate", err)
	d := c.Datastore(ds)
	checkAll(t, done{"datastore.update", d.Update("LIMIT_MB=\"10\"", parameters.Merge)}, done{"datastore.chmod", d.Chmod(&everyone)},
		done{"datastore.chown", d.Chown(1, -1)}, done{"datastore.rename", d.Rename("faster")}, done{"datastore.enable", d.Enable(false)})
	if got, err := d.Info(false); err != nil || got.Name != "faster" || got.UID != 1 || got.GID != 0 || got.StateRaw != 1 || got.Permissions.OtherM != 1 || got.TMMad != "dummy" {
		t.Errorf("the datastore: %+v, %v", got, err)
	}
	if id, err := c.Datastores().ByName("faster"); err != nil || id != ds {
		t.Errorf("datastore by name: %d, %v", id, err)
	}
	check(t, "datastore.delete", d.Delete())

	img, err := c.Images().Create("NAME=data\nTYPE=DATABLOCK\nSIZE=64", 1)
	check(t, "image.allocate", err)
	ready := func(id int) {
		t.Helper()
		s.Wait("the image", func(st *cloud.View) bool { i, ok := st.Images.Get(id); return ok && i.State == one.ImageReady })
	}
	ready(img)
	i := c.Image(img)
	checkAll(t, done{"image.update", i.Update("A=\"b\"", parameters.Replace)}, done{"image.chtype", i.Chtype("OS")}, done{"image.chmod", i.Chmod(everyone)},
		done{"image.chown", i.Chown(0, 1)}, done{"image.rename", i.Rename("system")}, done{"image.persistent", i.Persistent(true)}, done{"image.enable", i.Enable(false)},
		done{"image.enable", i.Enable(true)}, done{"image.persistent", i.Persistent(false)}, done{"image.lock", i.Lock(shared.LockManage)}, done{"image.unlock", i.Unlock()})
	clone, err := i.Clone("copy", -1)
	check(t, "image.clone", err)
	ready(clone)
	if got, err := i.Info(false); err != nil || got.Name != "system" || got.Size != 64 || got.GName != "users" || got.Datastore != "default" || got.Type != "0" {
		t.Errorf("the image: %+v, %v", got, err)
	}
	if id, err := c.Images().ByName("copy"); err != nil || id != clone {
		t.Errorf("image by name: %d, %v", id, err)
	}
	checkAll(t, done{"image.delete", c.Image(clone).Delete()}, done{"image.delete", i.Delete()})

	net, err := c.VirtualNetworks().Create("NAME=lan\nVN_MAD=dummy\nBRIDGE=br0\nAR=[TYPE=IP4,IP=10.0.0.10,SIZE=5]", -1)
	check(t, "vn.allocate", err)
	n := c.VirtualNetwork(net)
	checkAll(t, done{"vn.add_ar", n.AddAR("AR=[TYPE=IP4,IP=10.0.1.10,SIZE=5]")}, done{"vn.update_ar", n.UpdateAR("AR=[AR_ID=1,SIZE=7]")},
		done{"vn.hold", n.Hold("LEASES=[IP=10.0.0.12]")}, done{"vn.release", n.Release("LEASES=[IP=10.0.0.12]")}, done{"vn.update", n.Update("DNS=\"10.0.0.1\"", parameters.Merge)},
		done{"vn.chmod", n.Chmod(everyone)}, done{"vn.chown", n.Chown(-1, 1)}, done{"vn.rename", n.Rename("wan")}, done{"vn.lock", n.Lock(shared.LockAll)}, done{"vn.unlock", n.Unlock()},
		done{"vn.hold", n.Hold("LEASES=[IP=10.0.0.13]")})
	part, err := n.Reserve("NAME=part\nSIZE=2\nAR_ID=1")
	check(t, "vn.reserve", err)
	if got, err := n.Info(false); err != nil || got.Name != "wan" || len(got.ARs) != 2 || got.ARs[1].Size != 7 || got.UsedLeases != 3 || got.ARs[0].Leases[0].VM != -1 || got.ARs[1].Leases[0].VNet != part {
		t.Errorf("the network: %+v, %v", got, err)
	}
	if got, err := c.VirtualNetwork(part).Info(false); err != nil || got.ParentNetworkID != fmt.Sprint(net) {
		t.Errorf("the reservation: %+v, %v", got, err)
	}
	var refused *gocaerrors.ResponseError
	if err := n.RecoverSuccess(); !errors.As(err, &refused) || refused.Code != gocaerrors.OneActionError || !strings.HasSuffix(refused.Error(), "wrong state READY.") {
		t.Errorf("vn.recover: %v", err)
	}
	checkAll(t, done{"vn.free_ar", c.VirtualNetwork(part).FreeAR(0)}, done{"vn.delete", c.VirtualNetwork(part).Delete()}, done{"vn.release", n.Release("LEASES=[IP=10.0.0.13]")},
		done{"vn.rm_ar", n.RmAR(1)}, done{"vn.delete", n.Delete()})

	sg, err := c.SecurityGroups().Create("NAME=ssh\nRULE=[PROTOCOL=TCP,RULE_TYPE=INBOUND,RANGE=22]")
	check(t, "secgroup.allocate", err)
	g := c.SecurityGroup(sg)
	checkAll(t, done{"secgroup.update", g.Update("DESCRIPTION=\"d\"", parameters.Merge)}, done{"secgroup.chmod", g.Chmod(everyone)}, done{"secgroup.chown", g.Chown(1, 1)}, done{"secgroup.rename", g.Rename("shell")})
	other, err := g.Clone("more")
	check(t, "secgroup.clone", err)
	if got, err := g.Info(false); err != nil || got.Name != "shell" || got.UName != "serveradmin" || len(got.Template.GetRules()) != 1 {
		t.Errorf("the security group: %+v, %v", got, err)
	}
	checkAll(t, done{"secgroup.delete", c.SecurityGroup(other).Delete()}, done{"secgroup.delete", g.Delete()})
}

// Templates and documents.
func TestGocaTemplatesAndDocuments(t *testing.T) {
	s := newServer(t)
	c := gocaFor(t, s, "oneadmin", rig.OneadminPassword)
	tid, err := c.Templates().Create("NAME=web\nCPU=1\nMEMORY=64")
	check(t, "template.allocate", err)
	v := c.Template(tid)
	checkAll(t, done{"template.update", v.Update("VCPU=\"2\"", parameters.Merge)}, done{"template.chmod", v.Chmod(everyone)}, done{"template.chown", v.Chown(1, 1)}, done{"template.rename", v.Rename("site")},
		done{"template.lock", v.Lock(shared.LockUse)}, done{"template.unlock", v.Unlock()})
	check(t, "template.clone", v.Clone("copy", true))
	clone, err := c.Templates().ByName("copy")
	check(t, "template by name", err)
	if got, err := v.Info(false, true); err != nil || got.Name != "site" || got.Permissions.OtherM != 1 || got.UID != 1 {
		t.Errorf("the template: %+v, %v", got, err)
	} else if vcpu, err := got.Template.GetStr("VCPU"); err != nil || vcpu != "2" {
		t.Errorf("VCPU %q, %v", vcpu, err)
	}
	checkAll(t, done{"template.delete", c.Template(clone).Delete()}, done{"template.delete", v.Delete()})

	id := s.id(t, "one.document.allocate", "NAME=note\nBODY=x", 200) // the client would say type 0
	d := c.Document(id)
	checkAll(t, done{"document.update", d.Update("BODY=\"y\"", parameters.Replace)}, done{"document.chmod", d.Chmod(everyone)}, done{"document.chown", d.Chown(1, 1)}, done{"document.rename", d.Rename("notes")},
		done{"document.lock", d.Lock(shared.LockAdmin)}, done{"document.unlock", d.Unlock()}, done{"document.clone", d.Clone("copy")})
	if got, err := d.Info(false); err != nil || got.Name != "notes" || got.Type != "200" {
		t.Errorf("the document: %+v, %v", got, err)
	}
	check(t, "document.delete", d.Delete())
}

// Hosts, clusters and what is only for administrators.
func TestGocaInfrastructure(t *testing.T) {
	s := newServer(t)
	c := gocaFor(t, s, "oneadmin", rig.OneadminPassword)
	host, err := c.Hosts().Create("h1", "dummy", "dummy", -1)
	check(t, "host.allocate", err)
	h := c.Host(host)
	checkAll(t, done{"host.status", h.Status(1)}, done{"host.update", h.Update("RESERVED_CPU=\"100\"", parameters.Merge)}, done{"host.rename", h.Rename("h2")})
	if got, err := h.Info(false); err != nil || got.Name != "h2" || got.StateRaw != 4 || got.IMMAD != "dummy" {
		t.Errorf("the host: %+v, %v", got, err)
	}
	cluster, err := c.Clusters().Create("c1")
	check(t, "cluster.allocate", err)
	net, err := c.VirtualNetworks().Create("NAME=lan\nVN_MAD=dummy\nBRIDGE=br0", -1)
	check(t, "vn.allocate", err)
	k := c.Cluster(cluster)
	checkAll(t, done{"cluster.addhost", k.AddHost(host)}, done{"cluster.adddatastore", k.AddDatastore(1)}, done{"cluster.addvnet", k.AddVnet(net)},
		done{"cluster.update", k.Update("A=\"b\"", parameters.Merge)}, done{"cluster.rename", k.Rename("c2")})
	if got, err := k.Info(); err != nil || got.Name != "c2" || len(got.Hosts.ID) != 1 || len(got.Datastores.ID) != 1 || len(got.Vnets.ID) != 1 {
		t.Errorf("the cluster: %+v, %v", got, err)
	}
	checkAll(t, done{"cluster.delhost", k.DelHost(host)}, done{"cluster.deldatastore", k.DelDatastore(1)}, done{"cluster.delvnet", k.DelVnet(net)}, done{"cluster.delete", k.Delete()})

	group, err := c.Groups().Create("dev")
	check(t, "group.allocate", err)
	vdc, err := c.VDCs().Create("NAME=v1", -1)
	check(t, "vdc.allocate", err)
	v := c.VDC(vdc)
	checkAll(t, done{"vdc.addgroup", v.AddGroup(group)}, done{"vdc.addcluster", v.AddCluster(0, 0)}, done{"vdc.addhost", v.AddHost(0, host)}, done{"vdc.adddatastore", v.AddDatastore(0, 1)},
		done{"vdc.addvnet", v.AddVnet(0, net)}, done{"vdc.rename", v.Rename("v2")}, done{"vdc.update", v.Update("A=\"b\"", parameters.Merge)})
	if got, err := v.Info(false); err != nil || got.Name != "v2" || len(got.Groups.ID) != 1 || len(got.Hosts) != 1 || got.Hosts[0].HostID != host || len(got.VNets) != 1 || len(got.Datastores) != 1 || len(got.Clusters) != 1 {
		t.Errorf("the VDC: %+v, %v", got, err)
	}
	checkAll(t, done{"vdc.delgroup", v.DelGroup(group)}, done{"vdc.delcluster", v.DelCluster(0, 0)}, done{"vdc.delhost", v.DelHost(0, host)}, done{"vdc.deldatastore", v.DelDatastore(0, 1)},
		done{"vdc.delvnet", v.DelVnet(0, net)}, done{"vdc.delete", v.Delete()}, done{"host.delete", h.Delete()})

	uid, err := c.Users().Create("ana", "secret", "core", nil)
	check(t, "user.allocate", err)
	u := c.User(uid)
	checkAll(t, done{"user.addgroup", u.AddGroup(group)}, done{"group.addadmin", c.Group(group).AddAdmin(uid)}, done{"group.quota", c.Group(group).Quota("VM=[VMS=5]")}, done{"group.update", c.Group(group).Update("A=\"b\"", parameters.Merge)})
	if got, err := c.Group(group).Info(false); err != nil || len(got.Users.ID) != 1 || len(got.Admins.ID) != 1 || len(got.VM) != 1 || got.VM[0].VMs != 5 {
		t.Errorf("the group: %+v, %v", got, err)
	}
	checkAll(t, done{"group.deladmin", c.Group(group).DelAdmin(uid)}, done{"user.chgrp", u.Chgrp(group)}, done{"user.delgroup", u.DelGroup(1)}, done{"user.passwd", u.Passwd("secret2")},
		done{"user.update", u.Update("LABEL=\"x\"", parameters.Replace)}, done{"user.chauth", u.Chauth("core", "secret3")}, done{"user.enable", u.Enable(false)})
	if _, err := gocaFor(t, s, "ana", "secret3").SystemVersion(); err == nil {
		t.Error("a disabled user is let in")
	}
	check(t, "user.enable", u.Enable(true))
	ana := gocaFor(t, s, "ana", "secret3")
	check(t, "user.login", ana.UserByName("ana").Login("mine", 60, -1))
	if got, err := gocaFor(t, s, "ana", "mine").User(-1).Info(false); err != nil || got.Name != "ana" || got.GID != group || len(got.LoginTokens) != 1 || got.LoginTokens[0].Token != "mine" {
		t.Errorf("the user, by token: %+v, %v", got, err)
	}
	if q, err := c.Users().DefaultQuotaInfo(); err != nil {
		t.Errorf("userquota.info: %+v, %v", q, err)
	}
	checkAll(t, done{"userquota.update", c.Users().DefaultQuotaUpdate("VM=[VMS=9]")}, done{"groupquota.update", c.Groups().DefaultQuotaUpdate("VM=[VMS=9]")})
	if got, err := u.Info(false); err != nil || len(got.DefaultUserQuotas.VM) != 1 || got.DefaultUserQuotas.VM[0].VMs != 9 {
		t.Errorf("default quotas of the user: %+v, %v", got, err)
	}
	rule, err := c.ACLs().CreateRule(fmt.Sprintf("%x", 0x100000000+uid), "1400000000", "1")
	check(t, "acl.addrule", err)
	checkAll(t, done{"acl.delrule", c.ACLs().DeleteRule(rule)}, done{"user.delete", u.Delete()}, done{"group.delete", c.Group(group).Delete()},
		done{"zone.rename", c.Zone(0).Rename("edge")}, done{"zone.update", c.Zone(0).Update("A=\"b\"", parameters.Merge)})
	if got, err := c.Zone(0).Info(false); err != nil || got.Name != "edge" || got.Template.Endpoint == "" {
		t.Errorf("the zone: %+v, %v", got, err)
	}
	if _, err := c.Zones().ServerRaftStatus(); err != nil {
		t.Errorf("zone.raftstatus: %v", err)
	}
}

// The actions of VMs that TestGocaVM has no use for.
func TestGocaVMActions(t *testing.T) {
	s := newServer(t)
	host := s.AddHost("edge1", sim.Config{})
	c := gocaFor(t, s, "oneadmin", rig.OneadminPassword)
	id, err := c.VMs().Create("NAME=v\nCPU=1\nMEMORY=64\nCONTEXT=[A=\"1\"]", true)
	check(t, "vm.allocate", err)
	v := c.VM(id)
	s.WaitVM(id, one.VMHold, one.LCMInit)
	checkAll(t, done{"vm.resize", v.Resize("CPU=2\nMEMORY=128", true)}, done{"vm.updateconf", v.UpdateConf("CONTEXT=[A=\"2\"]")}, done{"vm.chown", v.Chown(-1, 1)}, done{"vm.deploy", v.Deploy(host, true, -1)})
	steps := []struct {
		name string
		do   func() error
		to   one.VMState
		lcm  one.LCMState
	}{
		{"suspend", v.Suspend, one.VMSuspended, 0}, {"resume", v.Resume, one.VMActive, one.LCMRunning},
		{"stop", v.Stop, one.VMStopped, 0}, {"resume", v.Resume, one.VMActive, one.LCMRunning},
		{"undeploy", v.Undeploy, one.VMUndeployed, 0}, {"resume", v.Resume, one.VMActive, one.LCMRunning},
		{"undeploy-hard", v.UndeployHard, one.VMUndeployed, 0}, {"resume", v.Resume, one.VMActive, one.LCMRunning},
		{"poweroff", v.Poweroff, one.VMPoweroff, 0}, {"resched", v.Resched, one.VMPoweroff, 0}, {"unresched", v.Unresched, one.VMPoweroff, 0},
		{"resume", v.Resume, one.VMActive, one.LCMRunning}, {"reboot", v.Reboot, one.VMActive, one.LCMRunning}, {"reboot-hard", v.RebootHard, one.VMActive, one.LCMRunning},
		{"recover success", v.RecoverSuccess, one.VMActive, one.LCMRunning}, {"recover delete-recreate", v.RecoverDeleteRecreate, one.VMActive, one.LCMRunning},
		{"terminate", v.Terminate, one.VMDone, 0},
	}
	s.WaitVM(id, one.VMActive, one.LCMRunning)
	for _, step := range steps {
		check(t, step.name, step.do())
		s.WaitVM(id, step.to, step.lcm)
	}
	got, err := v.Info(false)
	check(t, "vm.info", err)
	if cpu, err := got.Template.GetCPU(); err != nil || cpu != 2 || got.GName != "users" {
		t.Errorf("CPU %v, %v, group %s", cpu, err, got.GName)
	}
	if _, err := v.Monitoring(); err != nil {
		t.Errorf("vm.monitoring: %v", err)
	}
	check(t, "vmpool.accounting", c.VMs().Accounting(-2, -1, -1))
	var refused *gocaerrors.ResponseError
	for _, r := range []struct {
		err  error
		code gocaerrors.OneErrCode
	}{
		{c.VM(99).Resume(), gocaerrors.OneNoExistsError}, {v.Resume(), gocaerrors.OneActionError},
		{gocaFor(t, s, "oneadmin", "wrong").VM(id).Resume(), gocaerrors.OneAuthenticationError},
		{v.Update("A=[", parameters.Merge), gocaerrors.OneInternalError},
		{v.Update("A=1", parameters.UpdateType(7)), gocaerrors.OneXMLRPCAPIError},
	} {
		if !errors.As(r.err, &refused) || refused.Code != r.code {
			t.Errorf("%v: expected code %#x", r.err, int(r.code))
		}
	}
}
