package oneapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"

	"github.com/OpenNebula/one/src/oca/go/src/goca"
	gocaerrors "github.com/OpenNebula/one/src/oca/go/src/goca/errors"
	"github.com/OpenNebula/one/src/oca/go/src/goca/parameters"
	"github.com/OpenNebula/one/src/oca/go/src/goca/schemas/shared"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// gocaFor returns the original's client for the face, as a user.
func gocaFor(t *testing.T, s *server, user, password string) *goca.Controller {
	t.Helper()
	web := httptest.NewServer(s)
	transport := &http.Transport{}
	t.Cleanup(func() { transport.CloseIdleConnections(); web.Close() })
	conf := goca.OneConfig{Token: user + ":" + password, Endpoint: web.URL + "/RPC2"}
	return goca.NewController(goca.NewClient(conf, &http.Client{Transport: transport}))
}

func check(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// The life of a VM, as the original's Go client and its Terraform provider go
// through it.
func TestGocaVM(t *testing.T) {
	s := newServer(t)
	host := s.AddHost("edge1", sim.Config{})
	c := gocaFor(t, s, "oneadmin", rig.OneadminPassword)

	net, err := c.VirtualNetworks().Create("NAME=private\nVN_MAD=dummy\nBRIDGE=br0\nAR=[TYPE=IP4,IP=10.0.0.10,SIZE=50]\nDNS=\"10.0.0.1\"", -1)
	check(t, "create a network", err)
	img, err := c.Images().Create("NAME=data\nTYPE=DATABLOCK\nSIZE=64\nFORMAT=raw", 1)
	check(t, "create an image", err)
	s.Wait("the image", func(st *cloud.View) bool { i, ok := st.Images.Get(img); return ok && i.State == one.ImageReady })
	tid, err := c.Templates().Create("NAME=web\nCPU=0.5\nMEMORY=128\nDISK=[IMAGE_ID=" + strconv.Itoa(img) + "]\nNIC=[NETWORK=\"private\"]\nLABELS=\"a<b & c\"")
	check(t, "create a template", err)
	id, err := c.Template(tid).Instantiate("web-1", false, "VCPU=2", false)
	check(t, "instantiate", err)
	s.WaitVM(id, one.VMActive, one.LCMRunning)
	s.monitor.TakeVMs(host, []agentapi.VMSample{{VM: id, Time: 1700000600, Data: tmpl.New(tmpl.Single("CPU", "3.5"), tmpl.Single("MEMORY", "1024"))}})

	v, err := c.VM(id).Info(false)
	check(t, "vm.info", err)
	state, lcm, err := v.State()
	check(t, "state", err)
	if state.String() != "ACTIVE" || lcm.String() != "RUNNING" || v.Name != "web-1" || v.UName != "oneadmin" || v.LastPoll != 1700000600 {
		t.Errorf("the VM is %+v", v)
	}
	if label, err := v.UserTemplate.Get("LABELS"); err != nil || label != "a<b & c" {
		t.Errorf("LABELS %q, %v", label, err)
	}
	if nics := v.Template.GetNICs(); len(nics) != 1 {
		t.Errorf("%d NICs", len(nics))
	} else if ip, err := nics[0].GetStr("IP"); err != nil || ip != "10.0.0.10" {
		t.Errorf("IP %q, %v", ip, err)
	}
	if vcpu, err := v.Template.GetVCPU(); err != nil || vcpu != 2 {
		t.Errorf("VCPU %v, %v", vcpu, err)
	}
	for key, want := range map[string]string{"VMID": strconv.Itoa(id), "TEMPLATE_ID": strconv.Itoa(tid), "TM_MAD_SYSTEM": v.HistoryRecords[0].TMMad} {
		if got, err := v.Template.GetStr(key); err != nil || got != want {
			t.Errorf("%s %q, %v; want %q", key, got, err, want)
		}
	}
	full, err := c.Template(tid).Info(true, false)
	check(t, "template.info extended", err)
	if disks, nics := full.Template.GetDisks(), full.Template.GetNICs(); len(disks) != 1 || len(nics) != 1 {
		t.Errorf("the template in full: %+v", full)
	} else if size, _ := disks[0].GetStr("SIZE"); size != "64" {
		t.Errorf("SIZE of the disk %q, want the image's", size)
	} else if bridge, _ := nics[0].GetStr("BRIDGE"); bridge != "br0" {
		t.Errorf("BRIDGE of the NIC %q, want the network's", bridge)
	}
	if len(v.HistoryRecords) != 1 || v.HistoryRecords[0].Hostname != "edge1" {
		t.Errorf("history %+v", v.HistoryRecords)
	}
	if cpu, err := v.MonitoringInfos.GetStr("CPU"); err != nil || cpu != "3.5" {
		t.Errorf("MONITORING/CPU %q, %v", cpu, err)
	}
	gocaPools(t, c, id, host)

	check(t, "update", c.VM(id).Update("LABELS=\"x\"", parameters.Merge))
	check(t, "rename", c.VM(id).Rename("web-2"))
	check(t, "chmod", c.VM(id).Chmod(shared.Permissions{OwnerU: 1, OwnerM: 1, OwnerA: -1, GroupU: 1, GroupM: 0, GroupA: -1, OtherU: -1, OtherM: -1, OtherA: -1}))
	check(t, "lock", c.VM(id).Lock(shared.LockUse))
	check(t, "unlock", c.VM(id).Unlock())
	check(t, "poweroff", c.VM(id).PoweroffHard())
	s.WaitVM(id, one.VMPoweroff, one.LCMInit)
	check(t, "resume", c.VM(id).Resume())
	s.WaitVM(id, one.VMActive, one.LCMRunning)
	check(t, "terminate", c.VM(id).TerminateHard())
	s.WaitVM(id, one.VMDone, one.LCMInit)
	if v, err = c.VM(id).Info(false); err != nil || v.Name != "web-2" || v.StateRaw != int(one.VMDone) || v.ETime == 0 {
		t.Errorf("the finished VM: %+v, %v", v, err)
	}
	check(t, "delete the image", c.Image(img).Delete())
	check(t, "delete the network", c.VirtualNetwork(net).Delete())
}

// gocaPools reads each pool that a running VM is seen in.
func gocaPools(t *testing.T, c *goca.Controller, id, host int) {
	vms, err := c.VMs().Info()
	check(t, "vmpool.info", err)
	if len(vms.VMs) != 1 || vms.VMs[0].ID != id || vms.VMs[0].Name != "web-1" {
		t.Errorf("VMs: %+v", vms.VMs)
	}
	all, err := c.VMs().InfoExtended(-2, -1, -1, -1)
	check(t, "vmpool.infoextended", err)
	if len(all.VMs) != 1 || len(all.VMs[0].HistoryRecords) != 1 {
		t.Errorf("VMs in full: %+v", all.VMs)
	}
	few, err := c.VMs().InfoSet(strconv.Itoa(id)+",77", true)
	check(t, "vmpool.infoset", err)
	if len(few.VMs) != 1 {
		t.Errorf("a set of VMs: %+v", few.VMs)
	}
	mon, err := c.VMs().Monitoring(-2, 0)
	check(t, "vmpool.monitoring", err)
	if len(mon.VMs) != 1 {
		t.Errorf("samples: %+v", mon.VMs)
	}
	h, err := c.Host(host).Info(false)
	check(t, "host.info", err)
	if !slices.Equal(h.VMs.ID, []int{id}) || h.Share.CPUUsage != 50 || h.Share.MemUsage != 128*1024 || h.Cluster != "default" {
		t.Errorf("the host: %+v", h)
	}
	nets, err := c.VirtualNetworks().Info()
	check(t, "vnpool.info", err)
	if len(nets.VirtualNetworks) != 1 || nets.VirtualNetworks[0].UsedLeases != 1 {
		t.Errorf("networks: %+v", nets.VirtualNetworks)
	}
	n, err := c.VirtualNetwork(nets.VirtualNetworks[0].ID).Info(false)
	check(t, "vn.info", err)
	if len(n.ARs) != 1 || len(n.ARs[0].Leases) != 1 || n.ARs[0].Leases[0].VM != id || n.ARs[0].Leases[0].IP != "10.0.0.10" {
		t.Errorf("the network: %+v", n.ARs)
	}
}

// Users, groups, rights and everything else that the client can list.
func TestGocaIdentity(t *testing.T) {
	s := newServer(t)
	c := gocaFor(t, s, "oneadmin", rig.OneadminPassword)
	group, err := c.Groups().Create("dev")
	check(t, "create a group", err)
	uid, err := c.Users().Create("ana", "secret", "core", []int{group})
	check(t, "create a user", err)
	if group != 100 || uid != 2 {
		t.Errorf("group %d, user %d; expected the first free ids of a fresh installation, 100 and 2", group, uid)
	}
	check(t, "quota", c.User(uid).Quota("VM=[VMS=1,CPU=2]"))
	u, err := c.User(uid).Info(false)
	check(t, "user.info", err)
	if u.Name != "ana" || u.GID != group || u.VM == nil || len(u.VM) != 1 || u.VM[0].CPU != 2 {
		t.Errorf("the user: %+v", u)
	}
	users, err := c.Users().Info()
	check(t, "userpool.info", err)
	if len(users.Users) != 3 {
		t.Errorf("%d users", len(users.Users))
	}

	ana := gocaFor(t, s, "ana", "secret")
	_, err = ana.Templates().Create("NAME=t\nCPU=1\nMEMORY=64")
	var refused *gocaerrors.ResponseError
	if !errors.As(err, &refused) || refused.Code != gocaerrors.OneAuthorizationError {
		t.Errorf("a user of a group without rules creates a template: %v", err)
	}
	_, err = c.ACLs().CreateRule("200000064", "20400000000", "8", "400000000")
	check(t, "allow it by a rule", err)
	tid, err := ana.Templates().Create("NAME=t\nCPU=1\nMEMORY=64")
	check(t, "create a template", err)
	mine, err := ana.Templates().Info(parameters.PoolWhoMine)
	check(t, "templatepool.info", err)
	if len(mine.Templates) != 1 || mine.Templates[0].ID != tid {
		t.Errorf("templates: %+v", mine.Templates)
	}
	if _, err = ana.User(0).Info(false); !errors.As(err, &refused) || refused.Code != gocaerrors.OneAuthorizationError {
		t.Errorf("a user reads oneadmin: %v", err)
	}
	gocaLists(t, c)
}

// gocaLists reads all pools that need no preparation.
func gocaLists(t *testing.T, c *goca.Controller) {
	_, err := c.ACLs().Info()
	check(t, "acl.info", err)
	_, err = c.Clusters().Info(false)
	check(t, "clusterpool.info", err)
	ds, err := c.Datastores().Info()
	check(t, "datastorepool.info", err)
	if len(ds.Datastores) != 3 {
		t.Errorf("%d datastores", len(ds.Datastores))
	}
	_, err = c.Groups().Info()
	check(t, "grouppool.info", err)
	_, err = c.SecurityGroups().Info()
	check(t, "secgrouppool.info", err)
	_, err = c.VDCs().Info()
	check(t, "vdcpool.info", err)
	_, err = c.Zones().Info()
	check(t, "zonepool.info", err)
	_, err = c.VirtualRouters().Info()
	check(t, "vrouterpool.info", err)
	_, err = c.MarketPlaces().Info()
	check(t, "marketpool.info", err)
	_, err = c.MarketPlaceApps().Info()
	check(t, "marketapppool.info", err)
	_, err = c.VNTemplates().Info()
	check(t, "vntemplatepool.info", err)
	_, err = c.VMGroups().Info()
	check(t, "vmgrouppool.info", err)
	_, err = c.Hooks().Info()
	check(t, "hookpool.info", err)
	_, err = c.BackupJobs().Info()
	check(t, "backupjobpool.info", err)
	// The client forgets the type of documents, and gets what the original gives it.
	var fault *gocaerrors.ClientError
	if _, err = c.Documents(one.DocServiceTemplate).Info(); !errors.As(err, &fault) || fault.Code != gocaerrors.ClientRespXMLRPCFault {
		t.Errorf("documentpool.info without a type: %v", err)
	}
	version, err := c.SystemVersion()
	check(t, "system.version", err)
	if version != "6.8.3" {
		t.Errorf("version %q", version)
	}
	_, err = c.SystemConfig()
	check(t, "system.config", err)
}
