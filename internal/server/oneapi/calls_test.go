package oneapi_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// The texts and codes that the reference gives as examples (§2.2), and others of
// its tables.
func TestRefusals(t *testing.T) {
	s := newServer(t)
	s.id(t, "one.user.allocate", "ana", "secret", "", []int{})
	vm := s.id(t, "one.vm.allocate", "CPU=1 MEMORY=64", true)
	tid := s.id(t, "one.template.allocate", "NAME=t CPU=1 MEMORY=64")
	const ana = "ana:secret"
	for _, c := range []struct {
		session, method string
		params          []any
		want            xmlrpc.Failure
	}{
		{oneadmin, "one.vm.info", []any{55}, xmlrpc.Failure{Message: "[one.vm.info] Error getting virtual machine [55].", Code: 0x400, ObjectID: 55}},
		{ana, "one.vm.info", []any{vm}, xmlrpc.Failure{Message: fmt.Sprintf("[one.vm.info] User [2] : Not authorized to perform USE VM [%d].", vm), Code: 0x200, ObjectID: vm}},
		{ana, "one.host.allocate", []any{"h", "kvm", "kvm", -1}, xmlrpc.Failure{Message: "[one.host.allocate] User [2] : Not authorized to perform CREATE HOST; Not authorized to perform ADMIN CLUSTER [0].", Code: 0x200, ObjectID: -1}},
		{oneadmin, "one.vm.action", []any{"resume", vm}, xmlrpc.Failure{
			Message: `[one.vm.action] Error performing action "resume": This action is not available for state HOLD`, Code: 0x800, ObjectID: vm,
		}},
		{oneadmin, "one.vm.action", []any{"dance", vm}, xmlrpc.Failure{Message: `[one.vm.action] Action "dance" is not supported`, Code: 0x800, ObjectID: vm}},
		{oneadmin, "one.vmpool.info", []any{-5, -1, -1, -1}, xmlrpc.Failure{Message: "[one.vmpool.info] Incorrect filter_flag", Code: 0x1000, ObjectID: -1}},
		{oneadmin, "one.hookpool.info", []any{}, xmlrpc.Failure{}},
		{oneadmin, "one.vmgrouppool.info", []any{-9, -1, -1}, xmlrpc.Failure{Message: "[one.vmgrouppool.info] Incorrect filter_flag", Code: 0x1000, ObjectID: -1}},
		{oneadmin, "one.template.update", []any{tid, "A=]", 1}, xmlrpc.Failure{
			Message: "[one.template.update] Cannot update template. Parse error", Code: 0x2000, ObjectID: -1,
		}},
		{oneadmin, "one.template.update", []any{tid, "A=1", 2}, xmlrpc.Failure{Message: "[one.template.update] Wrong update type", Code: 0x1000, ObjectID: -1}},
		{ana, "one.system.config", nil, xmlrpc.Failure{
			Message: "[one.system.config] User [2] : The oned configuration can only be retrieved by users in the oneadmin group.", Code: 0x200, ObjectID: -1,
		}},
		{ana, "one.zone.raftstatus", nil, xmlrpc.Failure{Message: "[one.zone.raftstatus] User [2] : Not authorized to perform ADMIN ZONE.", Code: 0x200, ObjectID: -1}},
	} {
		_, err := s.call(t, c.session, c.method, c.params...)
		if c.want.Code == 0 {
			if err != nil {
				t.Errorf("%s %v: %v", c.method, c.params, err)
			}
			continue
		}
		got := refusal(err)
		if !strings.HasPrefix(got.Message, c.want.Message) || got.Code != c.want.Code || got.ObjectID != c.want.ObjectID || got.ReplicationIndex != -1 {
			t.Errorf("%s %v: got %+v, want %+v", c.method, c.params, got, c.want)
		}
	}
}

// Every kind can be made, read, listed, changed and removed through the face;
// what reading it then says is what was written.
func TestLifeOfObjects(t *testing.T) {
	s := newServer(t)
	for _, o := range []struct {
		kind, pool string
		allocate   []any
		info       []any // behind the id
		poolArgs   []any
		root       string
		noRename   bool
	}{
		{kind: "template", pool: "templatepool", allocate: []any{"NAME=a CPU=1 MEMORY=64"}, poolArgs: []any{-2, -1, -1}, root: "VMTEMPLATE"},
		{kind: "vntemplate", pool: "vntemplatepool", allocate: []any{"NAME=a VN_MAD=bridge"}, poolArgs: []any{-2, -1, -1}, root: "VNTEMPLATE"},
		{kind: "vn", pool: "vnpool", allocate: []any{"NAME=a VN_MAD=dummy BRIDGE=br0", -1}, poolArgs: []any{-2, -1, -1}, root: "VNET"},
		{kind: "secgroup", pool: "secgrouppool", allocate: []any{"NAME=a RULE=[PROTOCOL=TCP,RULE_TYPE=inbound]"}, poolArgs: []any{-2, -1, -1}, root: "SECURITY_GROUP"},
		{kind: "document", pool: "documentpool", allocate: []any{"NAME=a", 123}, poolArgs: []any{-2, -1, -1, 123}, root: "DOCUMENT"},
		{kind: "datastore", pool: "datastorepool", allocate: []any{"NAME=a TYPE=SYSTEM_DS TM_MAD=ssh", -1}, root: "DATASTORE"},
		{kind: "cluster", pool: "clusterpool", allocate: []any{"a"}, root: "CLUSTER"},
		{kind: "host", pool: "hostpool", allocate: []any{"a", "dummy", "dummy", -1}, root: "HOST"},
		{kind: "vdc", pool: "vdcpool", allocate: []any{"NAME=a"}, root: "VDC"},
		{kind: "group", pool: "grouppool", allocate: []any{"a"}, root: "GROUP", noRename: true},
		{kind: "user", pool: "userpool", allocate: []any{"a", "secret", "core", []int{}}, root: "USER", noRename: true},
	} {
		p := "one." + o.kind
		id := s.id(t, p+".allocate", o.allocate...)
		if got := s.id(t, p+".update", id, "COLOUR=red", 1); got != id {
			t.Errorf("%s.update answered %d, want %d", p, got, id)
		}
		name := "a"
		if !o.noRename {
			name = "b"
			if got := s.id(t, p+".rename", id, name); got != id {
				t.Errorf("%s.rename answered %d, want %d", p, got, id)
			}
		}
		info := s.doc(t, p+".info", id)
		for _, want := range []string{"<" + o.root + ">", fmt.Sprintf("<ID>%d</ID>", id), "<NAME>" + name + "</NAME>", "<COLOUR><![CDATA[red]]></COLOUR>", "</" + o.root + ">"} {
			if !strings.Contains(info, want) {
				t.Errorf("%s.info has no %s:\n%s", p, want, info)
			}
		}
		list := s.doc(t, "one."+o.pool+".info", o.poolArgs...)
		if !strings.HasPrefix(list, "<"+o.root+"_POOL>") || !strings.Contains(list, "<NAME>"+name+"</NAME>") {
			t.Errorf("%s.info: %s", o.pool, list)
		}
		if got := s.id(t, p+".delete", id); got != id {
			t.Errorf("%s.delete answered %d, want %d", p, got, id)
		}
		if _, err := s.call(t, oneadmin, p+".info", id); refusal(err).Code != 0x400 && o.kind != "vn" {
			t.Errorf("%s.info after it was deleted: %v", p, err)
		}
	}
}

// Clusters, VDCs and networks take members and addresses.
func TestMembers(t *testing.T) {
	s := newServer(t)
	cluster := s.id(t, "one.cluster.allocate", "c")
	host := s.id(t, "one.host.allocate", "h", "dummy", "dummy", -1)
	net := s.id(t, "one.vn.allocate", "NAME=n VN_MAD=dummy BRIDGE=br0", -1)
	vdc := s.id(t, "one.vdc.allocate", "NAME=v")
	for _, c := range []struct {
		method string
		params []any
		doc    []any // a call that then shows it
		want   string
	}{
		{"one.cluster.addhost", []any{cluster, host}, []any{"one.cluster.info", cluster}, fmt.Sprintf("<HOSTS><ID>%d</ID></HOSTS>", host)},
		{"one.cluster.delhost", []any{cluster, host}, []any{"one.cluster.info", cluster}, "<HOSTS></HOSTS>"},
		{"one.cluster.adddatastore", []any{cluster, 1}, []any{"one.cluster.info", cluster}, "<DATASTORES><ID>1</ID></DATASTORES>"},
		{"one.cluster.deldatastore", []any{cluster, 1}, []any{"one.cluster.info", cluster}, "<DATASTORES></DATASTORES>"},
		{"one.cluster.addvnet", []any{cluster, net}, []any{"one.cluster.info", cluster}, fmt.Sprintf("<VNETS><ID>%d</ID></VNETS>", net)},
		{"one.vdc.addgroup", []any{vdc, 1}, []any{"one.vdc.info", vdc}, "<GROUPS><ID>1</ID></GROUPS>"},
		{"one.vdc.addcluster", []any{vdc, 0, -10}, []any{"one.vdc.info", vdc}, "<CLUSTER><ZONE_ID>0</ZONE_ID><CLUSTER_ID>-10</CLUSTER_ID></CLUSTER>"},
		{"one.vdc.addhost", []any{vdc, 0, host}, []any{"one.vdc.info", vdc}, fmt.Sprintf("<HOST><ZONE_ID>0</ZONE_ID><HOST_ID>%d</HOST_ID></HOST>", host)},
		{"one.vdc.delhost", []any{vdc, 0, host}, []any{"one.vdc.info", vdc}, "<HOSTS></HOSTS>"},
		{"one.vn.add_ar", []any{net, "AR=[TYPE=IP4,IP=10.0.0.1,SIZE=10]"}, []any{"one.vn.info", net}, "<IP_END><![CDATA[10.0.0.10]]></IP_END>"},
		{"one.vn.hold", []any{net, "LEASES=[IP=10.0.0.3]"}, []any{"one.vn.info", net}, "<LEASE><IP><![CDATA[10.0.0.3]]></IP>"},
		{"one.vn.release", []any{net, "LEASES=[IP=10.0.0.3]"}, []any{"one.vn.info", net}, "<LEASES/>"},
		{"one.vn.rm_ar", []any{net, 0}, []any{"one.vn.info", net}, "<AR_POOL></AR_POOL>"},
		{"one.host.status", []any{host, 1}, []any{"one.host.info", host}, "<STATE>4</STATE>"},
	} {
		if got, want := s.id(t, c.method, c.params...), c.params[0]; got != want {
			t.Errorf("%s answered %d, want %v", c.method, got, want)
		}
		if doc := s.doc(t, c.doc[0].(string), c.doc[1:]...); !strings.Contains(doc, c.want) {
			t.Errorf("after %s %v: no %s in\n%s", c.method, c.params, c.want, doc)
		}
	}
	s.id(t, "one.vn.add_ar", net, "AR=[TYPE=IP4,IP=10.0.1.1,SIZE=10]")
	mine := s.id(t, "one.vn.reserve", net, "NAME=mine SIZE=2")
	if doc := s.doc(t, "one.vn.info", mine); !strings.Contains(doc, fmt.Sprintf("<PARENT_NETWORK_ID><![CDATA[%d]]></PARENT_NETWORK_ID>", net)) {
		t.Errorf("the reservation: %s", doc)
	}
}

// Quotas, tokens, rules and default quotas answer in their own ways.
func TestIdentityCalls(t *testing.T) {
	s := newServer(t)
	ana := s.id(t, "one.user.allocate", "ana", "secret", "core", []int{1})
	for _, c := range []struct {
		method string
		params []any
		want   string // of a document, a pattern
	}{
		{"one.userquota.update", []any{"VM=[VMS=3]"}, `^<DEFAULT_USER_QUOTAS>.*<VMS><!\[CDATA\[3\]\]></VMS>.*</DEFAULT_USER_QUOTAS>$`},
		{"one.userquota.info", nil, `^<DEFAULT_USER_QUOTAS>.*<VMS><!\[CDATA\[3\]\]></VMS>`},
		{"one.groupquota.info", nil, `^<DEFAULT_GROUP_QUOTAS>.*<VM_QUOTA></VM_QUOTA>`},
		{"one.user.login", []any{"oneadmin", "", 3600}, `^[0-9a-f]{32,}$`},
		{"one.userpool.info", nil, `<NAME>ana</NAME>.*</USER><QUOTAS><ID>2</ID>.*</QUOTAS>.*<DEFAULT_USER_QUOTAS>.*</USER_POOL>$`},
		{"one.user.info", []any{-1}, `^<USER><ID>0</ID>`},
		{"one.group.info", []any{-1}, `^<GROUP><ID>0</ID>`},
		{"one.acl.info", nil, `^<ACL_POOL><ACL><ID>0</ID>.*<STRING>@1 VM\+.*</STRING>`},
		{"one.zone.raftstatus", nil, `^<RAFT><SERVER_ID>-1</SERVER_ID><STATE>0</STATE><TERM>-1</TERM>`},
		{"one.zone.info", []any{0}, `^<ZONE><ID>0</ID><NAME>OpenNebula</NAME><STATE>0</STATE>`},
		{"one.system.config", nil, `^<OPENNEBULA_CONFIGURATION>.*<MAC_PREFIX><!\[CDATA\[02:00\]\]>`},
		{"one.hooklog.info", []any{-1, -1, -1, 0}, `^<HOOKLOG></HOOKLOG>$`},
	} {
		if doc := s.doc(t, c.method, c.params...); !regexp.MustCompile(c.want).MatchString(doc) {
			t.Errorf("%s %v: no %s in\n%s", c.method, c.params, c.want, doc)
		}
	}
	for _, c := range []struct {
		method string
		params []any
	}{
		{"one.user.quota", []any{ana, "VM=[VMS=1]"}}, {"one.user.passwd", []any{ana, "other"}}, {"one.user.addgroup", []any{ana, 0}},
		{"one.user.delgroup", []any{ana, 0}}, {"one.user.enable", []any{ana, false}}, {"one.group.addadmin", []any{1, ana}}, {"one.group.quota", []any{1, "VM=[VMS=1]"}},
	} {
		if got := s.id(t, c.method, c.params...); got != c.params[0] {
			t.Errorf("%s %v answered %d", c.method, c.params, got)
		}
	}
	if _, err := s.call(t, "ana:other", "one.system.version"); refusal(err).Code != 0x100 {
		t.Errorf("a disabled user calls: %v", err)
	}
	rule := s.id(t, "one.acl.addrule", "200000001", "9100000005", "1", "100000000")
	if got := s.id(t, "one.acl.delrule", rule); got != rule {
		t.Errorf("acl.delrule answered %d, want %d", got, rule)
	}
}

// Measurements come back by the pool, for one object, and in documents.
func TestMonitoring(t *testing.T) {
	s := newServer(t)
	host := s.AddHost("edge1", sim.Config{})
	vm := s.id(t, "one.vm.allocate", "CPU=1 MEMORY=64", true)
	now := s.Cloud.Now().Unix()
	for i := range int64(3) {
		at := now - 1000*(2-i)
		s.monitor.TakeHost(host, agentapi.HostSample{Time: at, UsedCPU: i})
		s.monitor.TakeVMs(host, []agentapi.VMSample{{VM: vm, Time: at, Data: tmpl.New(tmpl.Single("CPU", fmt.Sprint(i)))}})
	}
	for _, c := range []struct {
		method string
		params []any
		want   int
	}{
		{"one.vm.monitoring", []any{vm}, 3}, {"one.vmpool.monitoring", []any{-2}, 3}, {"one.vmpool.monitoring", []any{-2, 0}, 1}, {"one.vmpool.monitoring", []any{-2, 1500}, 2},
		{"one.host.monitoring", []any{host}, 3}, {"one.hostpool.monitoring", nil, 3}, {"one.hostpool.monitoring", []any{0}, 1}, {"one.hostpool.monitoring", []any{1500}, 2},
	} {
		if doc := s.doc(t, c.method, c.params...); strings.Count(doc, "<MONITORING>") != c.want || !strings.HasPrefix(doc, "<MONITORING_DATA>") {
			t.Errorf("%s %v: expected %d samples: %s", c.method, c.params, c.want, doc)
		}
	}
	if doc := s.doc(t, "one.vm.info", vm); !strings.Contains(doc, fmt.Sprintf("<LAST_POLL>%d</LAST_POLL>", now)) || !strings.Contains(doc, "<CPU><![CDATA[2]]></CPU>") {
		t.Errorf("vm.info: %s", doc)
	}
}

// A disabled zone is read, but not written.
func TestZoneDisabled(t *testing.T) {
	s := newServer(t)
	s.Do(func(tx *store.Tx) {
		z, _ := tx.Zones.Get(0)
		off := *z
		off.Disabled = true
		tx.PutZone(&off)
	})
	_, err := s.call(t, oneadmin, "one.template.allocate", "NAME=a")
	want := xmlrpc.Failure{Message: "[one.template.allocate] Cannot process request, zone disabled", Code: 0x2000, ObjectID: -1, ReplicationIndex: -1}
	if got := refusal(err); got != want {
		t.Errorf("a write: %v", err)
	}
	if doc := s.doc(t, "one.zonepool.info"); !strings.Contains(doc, "<STATE>1</STATE>") {
		t.Errorf("zonepool.info: %s", doc)
	}
}

// Secrets come in clear only for administrators that ask for it.
func TestDecrypt(t *testing.T) {
	s := newServer(t)
	ana := s.id(t, "one.user.allocate", "ana", "secret", "core", []int{1})
	s.id(t, "one.user.update", ana, "SSH_PRIVATE_KEY=clear", 1)
	const plain = "<![CDATA[clear]]>"
	if doc := s.doc(t, "one.user.info", ana); strings.Contains(doc, plain) {
		t.Errorf("without being asked: %s", doc)
	}
	if doc := s.doc(t, "one.user.info", ana, true); !strings.Contains(doc, plain) {
		t.Errorf("for an administrator: %s", doc)
	}
	v, err := s.call(t, "ana:secret", "one.user.info", -1, true)
	if err != nil || strings.Contains(v.Text(), plain) {
		t.Errorf("for an ordinary user: %s, %v", v.Text(), err)
	}
}

// Pages and lists of VMs, and their accounting.
func TestVMPools(t *testing.T) {
	s := newServer(t)
	for range 3 {
		s.id(t, "one.vm.allocate", "CPU=1 MEMORY=64", true)
	}
	s.Do(func(tx *store.Tx) {
		v, _ := tx.VMs.Get(1)
		tx.PutVM(v.WithNewRecord(one.History{Hostname: "edge1", STime: 100}))
	})
	count := func(method string, params ...any) int {
		return strings.Count(s.doc(t, method, params...), "<VM><ID>")
	}
	for _, c := range []struct {
		method string
		params []any
		want   int
	}{
		{"one.vmpool.info", []any{-2, -1, -1, -1}, 3}, {"one.vmpool.info", []any{-2, 0, -2, -1, ""}, 2}, {"one.vmpool.info", []any{-2, 2, -2, -1}, 1}, {"one.vmpool.info", []any{-2, 9, -2, -1}, 0},
		{"one.vmpool.info", []any{-2, -1, -1, 2}, 3}, {"one.vmpool.info", []any{-2, -1, -1, 3}, 0}, {"one.vmpool.info", []any{-2, -1, -1, -1, "HOSTNAME=edge1"}, 1},
		{"one.vmpool.infoextended", []any{-2, 1, 2, -2}, 2}, {"one.vmpool.infoset", []any{"2, 0,77,x", false}, 2}, {"one.vmpool.infoset", []any{"", true}, 0},
		{"one.vmpool.accounting", []any{-2, -1, -1}, 1}, {"one.vmpool.accounting", []any{-2, -1, 50}, 0},
	} {
		if got := count(c.method, c.params...); got != c.want {
			t.Errorf("%s %v: %d VMs, want %d", c.method, c.params, got, c.want)
		}
	}
}
