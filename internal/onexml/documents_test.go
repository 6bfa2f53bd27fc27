package onexml_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/golden"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// document is one document of the fixture: its name is the golden file's, schema
// the XSD it must be valid against, "" for none.
type document struct {
	name, schema string
	text         []byte
}

func values[K any, V any](all iter.Seq2[K, V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, v := range all {
			if !yield(v) {
				return
			}
		}
	}
}

func recordsOf(v *one.VM) iter.Seq2[*one.VM, *one.History] {
	return func(yield func(*one.VM, *one.History) bool) {
		for _, h := range v.History {
			if !yield(v, h) {
				return
			}
		}
	}
}

// documents renders every kind of document in every form.
func documents(t testing.TB) []document {
	d := cloud(t)
	st := d.State
	var docs []document
	add := func(name, schema string, text []byte) { docs = append(docs, document{name, schema, text}) }
	vm := func(id int) *one.VM {
		v, ok := st.VM(id)
		if !ok {
			t.Fatalf("no VM %d", id)
		}
		return v
	}
	host, _ := st.Hosts.Get(0)
	ana, _ := st.Users.Get(2)
	ca := func(l *one.Lease) bool { return l.Owner != one.LeaseVM }

	add("vm", "vm", d.AppendVM(nil, vm(7)))
	add("vm-pending", "vm", d.AppendVM(nil, vm(8)))
	add("vm-done", "vm", d.AppendVM(nil, vm(9)))
	add("vm-extended", "vm", d.AppendVMExtended(nil, vm(7)))
	add("vmpool", "vm_pool", onexml.AppendPool(nil, "VM_POOL", values(st.VMs.Descending()), d.AppendVMShort))
	add("accounting", "acct", d.AppendAccounting(nil, recordsOf(vm(7))))
	add("host", "host", d.AppendHost(nil, host))
	add("hostpool", "host_pool", onexml.AppendPool(nil, "HOST_POOL", values(st.Hosts.All()), d.AppendHostListed))
	add("imagepool", "image_pool", onexml.AppendPool(nil, "IMAGE_POOL", values(st.Images.All()), d.AppendImage))
	for id, name := range []string{"vnet", "vnet-reservation", "vnet-six", "vnet-static6"} {
		n, _ := st.VNets.Get(id)
		add(name, "vnet", d.AppendVNet(nil, n, nil))
		if id == 0 {
			add("vnet-filtered", "vnet", d.AppendVNet(nil, n, ca))
		}
	}
	add("vnetpool", "vnet_pool", onexml.AppendPool(nil, "VNET_POOL", values(st.VNets.All()), d.AppendVNetListed))
	add("templatepool", "vmtemplate_pool", onexml.AppendPool(nil, "VMTEMPLATE_POOL", values(st.Templates.All()), d.AppendTemplate))
	add("vntemplatepool", "vntemplate_pool", onexml.AppendPool(nil, "VNTEMPLATE_POOL", values(st.VNTemplates.All()), d.AppendVNTemplate))
	add("user", "user", d.AppendUser(nil, ana))
	add("userpool", "user_pool", d.AppendUserPool(nil, values(st.Users.All())))
	users, _ := st.Groups.Get(1)
	add("group", "group", d.AppendGroup(nil, users))
	add("grouppool", "group_pool", d.AppendGroupPool(nil, values(st.Groups.All())))
	add("datastorepool", "datastore_pool", onexml.AppendPool(nil, "DATASTORE_POOL", values(st.Datastores.All()), d.AppendDatastore))
	add("clusterpool", "cluster_pool", onexml.AppendPool(nil, "CLUSTER_POOL", values(st.Clusters.All()), d.AppendCluster))
	withBody := &onexml.Docs{State: st, Body: func(int) ([]byte, bool) { return []byte(`{"name":"a"}`), true }}
	add("documentpool", "document_pool", onexml.AppendPool(nil, "DOCUMENT_POOL", values(st.Documents.All()), withBody.AppendDocument))
	zone, _ := st.Zones.Get(0)
	add("zone", "zone", d.AppendZone(nil, zone))
	add("secgrouppool", "security_group_pool", onexml.AppendPool(nil, "SECURITY_GROUP_POOL", values(st.SecGroups.All()), d.AppendSecGroup))
	add("vdcpool", "vdc_pool", onexml.AppendPool(nil, "VDC_POOL", values(st.VDCs.All()), d.AppendVDC))
	add("aclpool", "acl_pool", d.AppendACLPool(nil))
	add("vrouterpool", "vrouter_pool", onexml.AppendPool(nil, "VROUTER_POOL", values(st.VRouters.All()), d.AppendVRouter))
	sample, _ := d.Monitor.VM(7)
	later := agentapi.VMSample{VM: 7, Time: 1700000630, Data: tmpl.New(tmpl.Single("CPU", "0.0"), tmpl.Single("ID", "666"), tmpl.Single("VCENTER_VM_NAME", "x"))}
	add("vmmonitoring", "monitoring_data", onexml.AppendVMMonitoring(nil, slices.Values([]agentapi.VMSample{sample, later, {VM: 8, Time: 1}})))
	hostSample, _ := d.Monitor.Host(0)
	add("hostmonitoring", "", onexml.AppendHostMonitoring(nil, func(yield func(int, agentapi.HostSample) bool) { yield(0, hostSample) }))
	add("defaultquotas", "", d.AppendDefaultGroupQuotas(d.AppendDefaultUserQuotas(nil)))
	add("configuration", "opennebula_configuration", onexml.AppendConfiguration(nil, parse(t,
		`DATASTORE_LOCATION="/var/lib/one" DEFAULT_COST=[CPU_COST="0",DISK_COST="0",MEMORY_COST="0"] PORT="2633"`)))
	add("raft", "raftstatus", onexml.AppendRaft(nil, onexml.Solo))
	for _, p := range []struct{ root, schema string }{
		{"MARKETPLACE_POOL", "marketplace_pool"}, {"MARKETPLACEAPP_POOL", "marketplaceapp_pool"},
		{"VM_GROUP_POOL", "vm_group_pool"}, {"HOOK_POOL", "hook_pool"}, {"BACKUPJOB_POOL", "backupjob_pool"}, {"SHOWBACK_RECORDS", "showback"},
	} {
		add("empty-"+p.schema, p.schema, onexml.AppendEmpty(nil, p.root))
	}
	return docs
}

// lines breaks a document into lines, an element's text staying beside its tag.
var lines = strings.NewReplacer("><![CDATA[", "><![CDATA[", "]]></", "]]></", "><", ">\n<")

// TestGolden compares documents with files in which every element begins a line.
func TestGolden(t *testing.T) {
	for _, doc := range documents(t) {
		path := filepath.Join("testdata", doc.name+".xml")
		got := lines.Replace(string(doc.text)) + "\n"
		if want := golden.Want(t, path, got); got != want {
			g, w := difference(got, want)
			t.Errorf("%s: got %s, want %s", doc.name, g, w)
		}
	}
}

// difference returns the lines in which two texts first differ.
func difference(a, b string) (inA, inB string) {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(la), len(lb)) {
		if la[i] != lb[i] {
			return la[i], lb[i]
		}
	}
	return strconv.Itoa(len(la)) + " lines", strconv.Itoa(len(lb)) + " lines"
}

func TestWellFormed(t *testing.T) {
	for _, doc := range documents(t) {
		if err := wellFormed(doc.text); err != nil && doc.name != "defaultquotas" {
			t.Errorf("%s: %v", doc.name, err)
		}
	}
}

// wellFormed tells whether a document is one element that a strict parser reads.
func wellFormed(text []byte) error {
	dec := xml.NewDecoder(bytes.NewReader(text))
	depth, roots := 0, 0
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch tok.(type) {
		case xml.StartElement:
			if depth == 0 {
				roots++
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
	if roots != 1 {
		return errors.New("not exactly one root element")
	}
	return nil
}

// The original prints these as they are here; clients of old depend on it.
func TestEmptyForms(t *testing.T) {
	d := &onexml.Docs{State: &store.State{}}
	for _, c := range []struct{ name, doc, want string }{
		{"pending VM", string(d.AppendVM(nil, &one.VM{})), "<MONITORING></MONITORING><SCHED_ACTIONS></SCHED_ACTIONS><TEMPLATE></TEMPLATE>" +
			"<USER_TEMPLATE></USER_TEMPLATE><HISTORY_RECORDS/><BACKUPS><BACKUP_CONFIG/><BACKUP_IDS></BACKUP_IDS></BACKUPS></VM>"},
		{"short VM", string(d.AppendVMShort(nil, &one.VM{})), "<TEMPLATE></TEMPLATE><MONITORING/><USER_TEMPLATE/><HISTORY_RECORDS/></VM>"},
		{"host", string(d.AppendHost(nil, &one.Host{})), "<VMS></VMS><TEMPLATE></TEMPLATE><MONITORING/></HOST>"},
		{"image", string(d.AppendImage(nil, &one.Image{})), "<VMS></VMS><CLONES></CLONES><APP_CLONES></APP_CLONES><TEMPLATE></TEMPLATE>"},
		{"network", string(d.AppendVNet(nil, &one.VNet{ParentID: -1}, nil)), "<PARENT_NETWORK_ID/><VN_MAD/><PHYDEV/><VLAN_ID/><OUTER_VLAN_ID/>"},
		{"range", string(d.AppendVNet(nil, &one.VNet{ARs: []one.AR{{Size: 1}}}, nil)), "<USED_LEASES>0</USED_LEASES><LEASES/></AR></AR_POOL></VNET>"},
	} {
		if !strings.Contains(c.doc, c.want) {
			t.Errorf("%s: %s is not in\n%s", c.name, c.want, c.doc)
		}
	}
}
