package onexml_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// samples is a Monitor of fixed measurements.
type samples struct {
	vms   map[int]agentapi.VMSample
	hosts map[int]agentapi.HostSample
}

func (s samples) VM(id int) (agentapi.VMSample, bool) {
	v, ok := s.vms[id]
	return v, ok
}

func (s samples) Host(id int) (agentapi.HostSample, bool) {
	h, ok := s.hosts[id]
	return h, ok
}

func (samples) Datastore(id int) (total, used, free int64, ok bool) {
	if id != 1 {
		return 0, 0, 0, false
	}
	return 100000, 10000, 90000, true
}

func (s samples) HostDatastores(host int) []agentapi.DatastoreSpace {
	if _, ok := s.hosts[host]; !ok {
		return nil
	}
	return []agentapi.DatastoreSpace{{ID: 1, TotalMB: 5, UsedMB: 2, FreeMB: 3}, {ID: 0, TotalMB: 100000, UsedMB: 10000, FreeMB: 90000}}
}

func parse(t testing.TB, text string) *tmpl.Template {
	t.Helper()
	p, err := tmpl.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func meta(id, uid int, name string) one.Meta {
	m := one.Meta{ID: id, UID: uid, Name: name, UName: "oneadmin", GName: "oneadmin", Perms: 0o640}
	if uid == 2 {
		m.GID, m.UName, m.GName, m.Perms = 1, "ana", "users", 0o600
	}
	return m
}

const webTemplate = `
AUTOMATIC_DS_REQUIREMENTS="(\"CLUSTERS/ID\" @> 0)"
AUTOMATIC_REQUIREMENTS="(CLUSTER_ID = 0) & !(PUBLIC_CLOUD = YES)"
CONTEXT=[ DISK_ID="1", ETH0_IP="10.0.0.11", NETWORK="YES", SSH_PUBLIC_KEY="ssh-ed25519 AAAA", START_SCRIPT="echo \"<&>\"
", TARGET="hda" ]
CPU="0.5"
DISK=[ ALLOW_ORPHANS="YES", CLONE="YES", CLONE_TARGET="SYSTEM", DATASTORE="default", DATASTORE_ID="1", DEV_PREFIX="vd", DISK_ID="0",
  DISK_SNAPSHOT_TOTAL_SIZE="0", DISK_TYPE="FILE", DRIVER="qcow2", FORMAT="qcow2", IMAGE="alpine", IMAGE_ID="0", LN_TARGET="SYSTEM",
  SAVE="NO", SIZE="2048", SOURCE="/var/lib/one//datastores/1/3f", TARGET="vda", TM_MAD="ssh", TYPE="FILE" ]
DISK=[ DISK_ID="2", FORMAT="raw", SIZE="512", TARGET="vdb", TYPE="fs" ]
GRAPHICS=[ LISTEN="0.0.0.0", PORT="5907", TYPE="VNC" ]
MEMORY="768"
NIC=[ AR_ID="0", BRIDGE="br0", IP="10.0.0.11", MAC="02:00:0a:00:00:0b", NAME="NIC0", NETWORK="private", NETWORK_ID="0",
  NIC_ID="0", SECURITY_GROUPS="0", TARGET="one-7-0", VN_MAD="bridge" ]
NIC_ALIAS=[ ALIAS_ID="0", IP="10.0.0.12", NETWORK="private", NETWORK_ID="0", NIC_ID="1", PARENT="NIC0", PARENT_ID="0" ]
OS=[ ARCH="x86_64", UUID="5f6a2e0c-7f7e-4a52-9a2f-0b7f0e1d2c3b" ]
SECURITY_GROUP_RULE=[ PROTOCOL="ALL", RULE_TYPE="INBOUND", SECURITY_GROUP_ID="0", SECURITY_GROUP_NAME="default" ]
SNAPSHOT=[ ACTION="DELETE", HYPERVISOR_ID="snap-0", NAME="before", SNAPSHOT_ID="0", SYSTEM_DISK_SIZE="768", TIME="1700000300" ]
SNAPSHOT=[ ACTIVE="YES", HYPERVISOR_ID="snap-1", NAME="snapshot-1", SNAPSHOT_ID="1", SYSTEM_DISK_SIZE="768", TIME="1700000350" ]
TEMPLATE_ID="3"
TM_MAD_SYSTEM="ssh"
VCPU="2"
VMID="7"
`

// cloud returns a small cloud with one of everything, and its measurements.
func cloud(t testing.TB) *onexml.Docs {
	t.Helper()
	s := storetest.New(t)
	if err := s.Update(context.Background(), func(tx *store.Tx) error { fill(t, tx); return nil }); err != nil {
		t.Fatal(err)
	}
	return &onexml.Docs{State: s.View(), Monitor: samples{
		vms: map[int]agentapi.VMSample{7: {VM: 7, Time: 1700000600, Data: parse(t, `CPU="3.45" DISKRDBYTES="104857600" DISKRDIOPS="5120"
			DISKWRBYTES="8388608" DISKWRIOPS="900" DISK_SIZE=[ID="0",SIZE="830"] DISK_SIZE=[ID="2",SIZE="1"] MEMORY="786432" NETRX="52000" NETTX="31000"`)}},
		hosts: map[int]agentapi.HostSample{0: {
			Time: 1700000600, UsedCPU: 40, FreeCPU: 760, UsedMemory: 1384000, FreeMemory: 15000000, NetRX: 123456, NetTX: 65432,
		}},
	}}
}

func fill(t testing.TB, tx *store.Tx) {
	fillIdentity(t, tx)
	tx.PutCluster(&one.Cluster{ID: 0, Name: "default", Template: parse(t, `RESERVED_CPU="" RESERVED_MEM=""`)})
	tx.PutHost(&one.Host{
		ID: 0, Name: "edge1", State: one.HostMonitored, IMMad: "kvm", VMMad: "kvm", TotalCPU: 800,
		TotalMem: 16384000, MaxCPU: 800, MaxMem: 16384000, Template: parse(t, `ARCH="x86_64" IM_MAD="kvm" RESERVED_CPU="" RESERVED_MEM="" VM_MAD="kvm"`),
	})
	tx.PutHost(&one.Host{ID: 1, Name: "edge2", State: one.HostError, IMMad: "dummy", VMMad: "dummy"})
	for id, name := range []string{"system", "default", "files"} {
		typ := []one.DatastoreType{one.DSSystem, one.DSImage, one.DSFile}[id]
		tx.PutDatastore(&one.Datastore{
			Meta: meta(id, 0, name), DSMad: []string{"", "fs", "fs"}[id], TMMad: "ssh", BasePath: "/var/lib/one//datastores/" + []string{"0", "1", "2"}[id],
			Type: typ, Disabled: id == 2, ClusterIDs: []int{0}, Template: parse(t, `TM_MAD="ssh" TYPE="`+typ.String()+`"`),
		})
	}
	fillImages(t, tx)
	fillNets(t, tx)
	tx.PutSecGroup(&one.SecurityGroup{Meta: meta(0, 0, "default"), Template: parse(t,
		`DESCRIPTION="The default" RULE=[PROTOCOL="ALL",RULE_TYPE="OUTBOUND"] RULE=[PROTOCOL="ALL",RULE_TYPE="INBOUND"]`)})
	tm := meta(3, 2, "alpine")
	tm.Lock = one.Lock{Level: one.LockAdmin, Owner: 2, Time: 1700000300, ReqID: 4711}
	tx.PutTemplate(&one.VMTemplate{Meta: tm, RegTime: 1700000000, Template: parse(t, `CPU="1" DISK=[IMAGE_ID="0"] MEMORY="768"`)})
	nm := meta(3, 2, "edge")
	nm.Lock = one.Lock{Level: one.LockUse, Owner: 0, Time: 1700000300, ReqID: 12}
	tx.PutVNTemplate(&one.VNTemplate{Meta: nm, RegTime: 1700000000, Template: parse(t,
		`AR=[IP="10.0.0.1", SIZE="5", TYPE="IP4"] BRIDGE="br0" CLUSTER_IDS="0" DNS="10.0.0.1 & more" VN_MAD="bridge"`)})
	fillVMs(t, tx)
	svc := meta(0, 2, "a <service> & more")
	svc.Lock = one.Lock{Level: one.LockUse, Owner: 0, Time: 1700000300, ReqID: -1}
	tx.PutDocument(&one.Document{Meta: svc, Type: one.DocService})
	tx.PutDocument(&one.Document{Meta: meta(1, 2, "svc"), Type: one.DocServiceTemplate, Template: tmpl.New(tmpl.Single("BODY", `{"name":"svc","roles":[]}`))})
	router := meta(0, 2, "gw")
	router.Lock = one.Lock{Level: one.LockManage, Owner: 2, Time: 1700000300, ReqID: -1}
	tx.PutVRouter(&one.VRouter{Meta: router, Template: parse(t, `NIC=[FLOATING_IP="YES", IP="10.0.0.14", NETWORK="private", NETWORK_ID="0", NIC_ID="0"] TEMPLATE_ID="5"`)})
}

func fillIdentity(t testing.TB, tx *store.Tx) {
	tx.PutGroup(&one.Group{ID: 0, Name: "oneadmin"})
	tx.PutGroup(&one.Group{ID: 1, Name: "users", Template: parse(t, `SUNSTONE=[DEFAULT_VIEW="cloud"]`), Admins: []int{2}, Quotas: one.Quotas{
		Datastores: map[int]one.DatastoreQuota{100: {Images: -1, Size: 4096}},
	}})
	tx.PutUser(&one.User{ID: 0, Name: "oneadmin", Groups: []int{0}, GName: "oneadmin", Password: "0a1b", AuthDriver: "core"})
	tx.PutUser(&one.User{
		ID: 2, Name: "ana", GID: 1, Groups: []int{1, 100}, GName: "users", Password: "9f86d081", AuthDriver: "core", Disabled: true,
		Tokens: []one.LoginToken{{Token: "b94d27", Expires: 1700036000, EGID: -1}}, Template: parse(t, `TOKEN_PASSWORD="2c26b4"`),
		Quotas: one.Quotas{
			Datastores: map[int]one.DatastoreQuota{1: {Images: -1, Size: 10240}},
			Networks:   map[int]one.NetworkQuota{0: {Leases: 10}, 5: {Leases: 0}},
			VM: &one.VMQuota{
				CPU: 4.25, VMs: one.QuotaUnlimited, RunningVMs: -1, RunningCPU: -1, Memory: -1, RunningMemory: -1, SystemDiskSize: -1,
			},
		},
	})
	tx.PutQuotas("user", &one.Quotas{VM: &one.VMQuota{CPU: 8, VMs: -2, RunningVMs: -2, RunningCPU: -2, Memory: -2, RunningMemory: -2, SystemDiskSize: -2}})
	for id, r := range []one.ACLRule{
		{User: 0x200000001, Resource: 0x9100000005, Rights: 0x3, Zone: 0x400000000},
		{User: 0x400000000, Resource: one.KindZone.ACLType() | one.ACLAll, Rights: 0x1, Zone: 0x400000000},
		{User: 0x100000002, Resource: one.KindHost.ACLType() | one.KindNet.ACLType() | one.ACLCluster | 100, Rights: 0xf, Zone: 0x100000000},
	} {
		r.ID = id
		tx.PutACL(&r)
	}
	tx.PutZone(&one.Zone{ID: 0, Name: "OpenNebula", Template: parse(t, `ENDPOINT="http://localhost:2633/RPC2"`)})
	tx.PutVDC(&one.VDC{
		ID: 0, Name: "default", Groups: []int{1}, Clusters: []one.VDCEntry{{Zone: 0, ID: one.AllResources}}, Hosts: []one.VDCEntry{{Zone: 0, ID: 3}},
		Datas: []one.VDCEntry{{Zone: 0, ID: 1}, {Zone: 0, ID: 2}}, VNets: []one.VDCEntry{{Zone: 0, ID: 0}},
	})
}

func fillImages(t testing.TB, tx *store.Tx) {
	m := meta(0, 0, "alpine")
	tx.PutImage(&one.Image{
		Meta: m, RegTime: 1700000000, Source: "/var/lib/one//datastores/1/3f", Path: "https://example.org/a.qcow2?x=1&y=2", Format: "qcow2", Size: 256,
		State: one.ImageClone, PrevState: one.ImageUsed, CloningOps: 1, CloningID: -1, TargetSnapshot: -1, DatastoreID: 1, Datastore: "default", Template: parse(t, `DEV_PREFIX="vd"`),
	})
	data := meta(1, 2, "data")
	data.Lock = one.Lock{Level: one.LockUse, Owner: 2, Time: 1700000300, ReqID: -1}
	tx.PutImage(&one.Image{
		Meta: data, Type: one.ImageDatablock, Persistent: true, RegTime: 1700000000, Source: "/x", Format: "raw", Size: 1024, State: one.ImageLocked,
		CloningID: 0, TargetSnapshot: -1, DatastoreID: 1, Datastore: "default",
		Snapshots: parse(t, `ALLOW_ORPHANS="NO" CURRENT_BASE="0" NEXT_SNAPSHOT="1" SNAPSHOT=[ACTIVE="YES",DATE="1700000400",ID="0",NAME="clean",PARENT="-1",SIZE="1024"]`),
	})
}

func fillNets(t testing.TB, tx *store.Tx) {
	mac, _ := one.ParseMAC("02:00:0a:00:00:0a")
	tx.PutVNet(&one.VNet{
		Meta: meta(0, 0, "private"), ClusterIDs: []int{0}, Bridge: "br0", BridgeType: "linux", State: one.VNetReady, ParentID: -1,
		VNMad: "802.1Q", PhyDev: "eth1", VLANID: "50", NextAR: 2,
		Template: parse(t, `DNS="10.0.0.1" GATEWAY="10.0.0.1" SECURITY_GROUPS="0"`),
		ARs: []one.AR{
			{ID: 0, Type: one.ARIP4, Size: 50, MAC: mac, IP: netip.MustParseAddr("10.0.0.10"), ParentAR: -1},
			{ID: 1, Type: one.AREther, Size: 1, MAC: mac + 100, ParentAR: -1},
		},
	})
	for _, l := range []one.Lease{
		{Index: 1, Owner: one.LeaseVM, OwnerID: 7}, {Index: 2, Owner: one.LeaseVM, OwnerID: 7}, {Index: 4, Owner: one.LeaseVRouter, OwnerID: 0},
		{Index: 10, Owner: one.LeaseHeld, OwnerID: -1},
	} {
		tx.PutLease(&l)
	}
	locked := meta(1, 2, "mine")
	locked.Lock = one.Lock{Level: one.LockUse, Owner: 2, Time: 1700000300, ReqID: -1}
	tx.PutVNet(&one.VNet{
		Meta: locked, Bridge: "br0", State: one.VNetReady, ParentID: 0, VLANAutomatic: true, Template: parse(t, `MTU="1450"`),
		ARs: []one.AR{{ID: 0, Type: one.ARIP4, Size: 1, MAC: mac + 20, IP: netip.MustParseAddr("10.0.0.30"), ParentAR: 0, ParentIndex: 20}},
	})
	tx.PutVNet(&one.VNet{
		Meta: meta(2, 0, "six"), Bridge: "br6", State: one.VNetReady, ParentID: -1, VNMad: "bridge",
		ARs: []one.AR{{
			ID: 0, Type: one.ARIP46, Size: 2, MAC: mac, IP: netip.MustParseAddr("10.6.0.1"), GlobalPrefix: netip.MustParseAddr("2001:db8:1::"),
			ULAPrefix: netip.MustParseAddr("fd00:1::"), ParentAR: -1, Attrs: parse(t, `VN_MAD="dummy"`),
		}},
	})
	tx.PutLease(&one.Lease{Net: 2, Index: 1, Owner: one.LeaseVM, OwnerID: 8})
	tx.PutVNet(&one.VNet{
		Meta: meta(3, 0, "static6"), Bridge: "br7", State: one.VNetReady, ParentID: -1, VNMad: "bridge",
		ARs: []one.AR{{ID: 0, Type: one.ARIP6Static, Size: 256, MAC: mac, IP6: netip.MustParseAddr("2001:db8::ff01"), PrefixLength: "64", ParentAR: -1}},
	})
	tx.PutLease(&one.Lease{Net: 3, Index: 255, Owner: one.LeaseHeld, OwnerID: -1})
}

func fillVMs(t testing.TB, tx *store.Tx) {
	web := meta(7, 2, "web-1")
	web.Lock = one.Lock{Level: one.LockManage, Owner: 2, Time: 1700000300, ReqID: 4711}
	h := func(seq int, stime, etime int64, a one.Action) *one.History {
		return &one.History{
			OID: 7, Seq: seq, Hostname: "edge1", STime: stime, ETime: etime, VMMad: "kvm", TMMad: "ssh", PSTime: stime, PETime: stime + 11,
			RSTime: stime + 11, RETime: etime, Action: a, UID: -1, GID: -1, RequestID: -1,
		}
	}
	tx.PutVM(&one.VM{
		VMCore: one.VMCore{
			Meta: web, State: one.VMActive, LCM: one.LCMRunning, PrevState: one.VMActive, PrevLCM: one.LCMBoot, STime: 1700000000, Resched: true,
			DeployID: "5f6a2e0c-7f7e-4a52-9a2f-0b7f0e1d2c3b", Template: parse(t, webTemplate), ServiceID: -1, VRouterID: 0,
			Snapshots: parse(t, `SNAPSHOTS=[ALLOW_ORPHANS="YES",CURRENT_BASE="0",DISK_ID="0",NEXT_SNAPSHOT="2"]
				SNAPSHOTS=[ALLOW_ORPHANS="YES",CURRENT_BASE="-1",DISK_ID="2",NEXT_SNAPSHOT="0"]
				SNAPSHOT=[CHILDREN="1",DATE="1700000400",DISK_ID="0",ID="0",NAME="clean",PARENT="-1",SIZE="2048"]
				SNAPSHOT=[ACTIVE="YES",DATE="1700000500",DISK_ID="0",ID="1",NAME="later",PARENT="0",SIZE="2048"]`),
		},
		UserTemplate: parse(t, `ERROR="x" HYPERVISOR="kvm" LABELS="a,b" PUBLIC_CLOUD=[TYPE="ec2"] SCHED_REQUIREMENTS="ID=\"0\""`),
		History:      []*one.History{h(0, 1700000020, 1700000100, one.ActionNICAttach), h(1, 1700000100, 0, one.ActionNone)},
	})
	tx.PutSchedule(&one.Schedule{VM: 7, Actions: []one.SchedAction{
		{ID: 4, Action: "poweroff", Time: 1700003600, First: 1700003600, Repeat: one.RepeatNone, EndType: one.EndNone, EndValue: -1, Done: -1},
		{
			ID: 9, Action: "suspend", Args: "<&>", Time: 1700010800, First: 1700000800, Repeat: one.RepeatWeekly, Days: "1,3", EndType: one.EndTimes,
			EndValue: 5, Done: 1700000815, Message: `Tue Nov 14 22:26:55 2023 : [suspend] Error performing action "suspend": This action is not available for state POWEROFF`,
		},
	}})
	tx.PutVM(&one.VM{VMCore: one.VMCore{
		Meta: meta(8, 2, "new"), State: one.VMPending, PrevState: one.VMPending, STime: 1700000700, ServiceID: -1, VRouterID: -1,
		Template: parse(t, `CPU="1" MEMORY="128" NIC=[NETWORK_ID="2",NIC_ID="0"] TM_MAD_SYSTEM="ssh" VMID="8"`),
	}})
	tx.PutVM(&one.VM{VMCore: one.VMCore{
		Meta: meta(9, 0, "gone"), State: one.VMDone, STime: 1700000000, ETime: 1700000800, ServiceID: -1, VRouterID: -1,
		Template: parse(t, `CPU="1" MEMORY="128" TM_MAD_SYSTEM="ssh" VMID="9"`),
	}})
}
