package gateapi_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/gate"
	"github.com/trifid-cloud/trifid/internal/golden"
	"github.com/trifid-cloud/trifid/internal/monitor"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// document compares a document with testdata/NAME.json, to the byte but for the
// layout that makes the file readable.
func document(t *testing.T, name string, a answer) {
	t.Helper()
	if a.status != 200 {
		t.Errorf("%s: %d %s", name, a.status, a.body)
		return
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, []byte(a.body), "", "  "); err != nil {
		t.Errorf("%s: %v in %s", name, err, a.body)
		return
	}
	pretty.WriteByte('\n')
	want := golden.Want(t, filepath.Join("testdata", name+".json"), pretty.String())
	if pretty.String() != want {
		t.Errorf("%s: got\n%s\nwant\n%s", name, pretty.String(), want)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(want)); err != nil || compact.String() != a.body {
		t.Errorf("%s: is not compact: %s, %v", name, a.body, err)
	}
}

// parse reads a template that is right.
func parse(t testing.TB, text string) *tmpl.Template {
	t.Helper()
	out, err := tmpl.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestVMDocument(t *testing.T) {
	mon := monitor.New()
	w := newWorld(t, settings{gate: func(o *gate.Options) { o.Monitor = mon }})
	v := w.vm(w.ana, func(v *one.VM) {
		v.Name = "web_0_(service_3)"
		v.UserTemplate = parse(t, `HOT_RESIZE=[CPU_HOT_ADD_ENABLED="NO",MEMORY_HOT_ADD_ENABLED="NO"]
			HYPERVISOR="kvm" LOAD="0.42" LOGO="images/logos/linux.png" NOTE="" SCHED_MESSAGE="hidden"
			PEER=[HOST="a",PORT="80"] PEER=[HOST="b",PORT="81"] TAG="x" TAG="y" TAG=[Z="1"] UNI="é \"q\" \\ ⟶	tab"
			READY="YES" ROLE_NAME="web" SERVICE_ID="3" EMPTY=[]`)
		v.Template = v.Template.Merge(parse(t, `
			NIC=[AR_ID="0",GATEWAY="10.0.5.1",IP="10.0.5.20",IP6="2001::1",IP6_ULA="fd00::1",MAC="02:00:0a:00:05:14",NAME="NIC0",NETWORK="private",NETWORK_ID="0",NIC_ID="0",SECURITY_GROUPS="0",VLAN_ID="7"]
			NIC=[IP="203.0.113.9",IP6_GLOBAL="2001:db8:1::400:cbff:fe00:7109",IP6_LINK="fe80::400:cbff:fe00:7109",MAC="02:00:cb:00:71:09",NAME="NIC1",NETWORK="public",NIC_ID="1",EXTERNAL_IP="52.1.2.3",IP6_SITE="fec0::1"]
			NIC_ALIAS=[ALIAS_ID="0",IP="10.0.5.77",MAC="02:00:0a:00:05:4d",NAME="NIC0_ALIAS2",NETWORK="private",PARENT="NIC0",PARENT_ID="0"]
			NIC_ALIAS=[EXTERNAL="YES",IP="198.51.100.4",MAC="02:00:c6:33:64:04",NAME="NIC0_ALIAS3",NETWORK="elastic",PARENT="NIC0"]
			CONTEXT=[SECRET="x"] DISK=[IMAGE="i"]`))
		v.History = []*one.History{{Hostname: "node1"}}
	})
	document(t, "vm", w.ask(v, "GET", "/vm", ""))
	document(t, "vm-bare", w.ask(w.lone, "GET", "/vm", ""))
	before := w.ask(w.lone, "GET", "/vm", "").header.Get("ETag")
	mon.TakeVMs(0, []agentapi.VMSample{{VM: w.lone.ID, Time: 1, Data: parse(t, `CPU="1" GUEST_IP="192.0.2.1" AWS_IP_ADDRESS="192.0.2.1" SL_PRIMARYIPADDRESS="192.0.2.3"`)}})
	a := w.ask(w.lone, "GET", "/vm", "")
	document(t, "vm-measured", a)
	if a.header.Get("ETag") == before {
		t.Error("addresses of the hypervisor do not change the tag")
	}
}

func TestServiceDocument(t *testing.T) {
	w := newWorld(t, settings{})
	w.Do(func(tx *store.Tx) {
		v := *w.now(w.web1)
		v.Template = v.Template.Merge(parse(t, `NIC=[IP="10.0.5.8",NIC_ID="0"] CONTEXT=[ETH0_VLAN_ID="",TOKEN="YES"]`))
		v.History = []*one.History{{OID: v.ID, Hostname: "node1", UID: -1, GID: -1, RequestID: -1}}
		tx.PutVM(&v)
	})
	plain := w.ask(w.web0, "GET", "/service", "")
	document(t, "service", plain)
	extended := w.ask(w.web0, "GET", "/service", "extended=true")
	document(t, "service-extended", extended)
	for name, a := range map[string]answer{
		"in the query":   w.ask(w.web0, "GET", "/service?extended=true", ""),
		"false":          w.ask(w.web0, "GET", "/service", "extended=false"),
		"without value":  w.ask(w.web0, "GET", "/service?extended", ""),
		"other routes'":  w.ask(w.web0, "GET", "/service", "json=true&extended=true"),
		"with a charset": w.ask(w.web0, "GET", "/service", "extended=true", "Content-Type", "Application/X-WWW-Form-Urlencoded; charset=utf-8"),
	} {
		w.want("extended, "+name, a, 200, extended.body)
	}
	for name, a := range map[string]answer{
		"as JSON": w.ask(w.web0, "GET", "/service", "extended=true", "Content-Type", "application/json"),
		"no type": w.ask(w.web0, "GET", "/service", "extended=true", "Content-Type", ""),
	} {
		w.want("plain, "+name, a, 200, plain.body)
	}
	v := w.vm(w.ana, func(v *one.VM) { v.UserTemplate = parse(t, `SERVICE_ID="1"`) })
	w.want("no roles", w.ask(v, "GET", "/service", ""), 400, "Service 1 is empty.")
	for said, want := range map[string]string{
		"": "400 Empty or invalid SERVICE_ID", "x": "400 Empty or invalid SERVICE_ID", "-1": "400 Empty or invalid SERVICE_ID", "0 ": "400 Empty or invalid SERVICE_ID",
		"77": "404 Service 77 not found", "99999999999999999999": "400 Empty or invalid SERVICE_ID",
	} {
		v := w.vm(w.ana, func(v *one.VM) { v.UserTemplate = tmpl.New(tmpl.Single("SERVICE_ID", said)) })
		for _, path := range []string{"/service", "/vms/" + itoa(w.lone.ID)} {
			if a := w.ask(v, "GET", path, ""); itoa(a.status)+" "+a.body != want {
				t.Errorf("SERVICE_ID %q: %s: %d %s, want %s", said, path, a.status, a.body, want)
			}
		}
	}
}

func TestRouterDocument(t *testing.T) {
	w := newWorld(t, settings{})
	document(t, "vrouter", w.ask(w.routerA, "GET", "/vrouter", ""))
	w.want("extended", w.ask(w.routerA, "GET", "/vrouter", "extended=true"), 200, w.ask(w.routerA, "GET", "/vrouter", "").body)
	w.Do(func(tx *store.Tx) {
		r, _ := tx.VRouters.Get(0)
		n := *r
		n.Template = parse(t, `A="1" NIC=[IP="10.2.0.9"] NIC=[IP="10.3.0.9"] Z="2"`)
		tx.PutVRouter(&n)
	})
	document(t, "vrouter-two-nics", w.ask(w.routerA, "GET", "/vrouter", ""))
	w.Do(func(tx *store.Tx) {
		r, _ := tx.VRouters.Get(0)
		n := *r
		n.Template = nil
		tx.PutVRouter(&n)
	})
	document(t, "vrouter-bare", w.ask(w.routerA, "GET", "/vrouter", ""))
	w.want("a network of it", w.ask(w.routerA, "GET", "/vnet/"+itoa(w.net), ""), 400, "Virtual Network "+itoa(w.net)+" cannot be retrieved from Virtual router 0.")
}

func TestNetworkDocument(t *testing.T) {
	w := newWorld(t, settings{})
	mac := func(i int) string { return (one.MAC(0x02000a020bc8) + one.MAC(i)).String() }
	backend := w.vm(w.ana, func(v *one.VM) {
		v.Template = v.Template.Merge(parse(t, `NIC=[MAC="`+mac(9)+`",NAME="NIC0",NETWORK_ID="7"]
			NIC_ALIAS=[MAC="`+mac(3)+`",NAME="NIC0_ALIAS1",PARENT="NIC0",EXTERNAL="YES"] CONTEXT=[BACKEND="yes"]`))
		v.UserTemplate = parse(t, `ONEGATE_LB0_IP="10.2.11.86" ONEGATE_LB0_PORT="6443" ONEGATE_LIST="a" ONEGATE_LIST="b" OTHER="x"`)
	})
	plain := w.vm(w.ana, func(v *one.VM) {
		v.Template = v.Template.Merge(parse(t, `NIC=[MAC="`+mac(0)+`",NAME="NIC0"]`))
		v.UserTemplate = parse(t, `ONEGATE_X="hidden"`)
	})
	w.Do(func(tx *store.Tx) {
		n, _ := tx.VNets.Get(w.net)
		c := n.WithAR(one.AR{ID: 0, Type: one.ARIP4, MAC: 0x02000a020bc8, IP: netip.MustParseAddr("10.2.11.200"), Size: 48, ParentAR: -1})
		c.Template = parse(t, `NETWORK_ADDRESS="10.2.11.0" NETWORK_MASK="255.255.255.0" GATEWAY="10.2.11.1" DNS="10.2.11.40" DNS="10.2.11.41" BRIDGE="hidden" METRIC=""`)
		tx.PutVNet(c)
		lease := func(i uint32, owner one.LeaseOwner, id int) {
			tx.PutLease(&one.Lease{Net: w.net, AR: 0, Index: i, Owner: owner, OwnerID: id})
		}
		lease(0, one.LeaseVM, plain.ID)
		lease(1, one.LeaseVNet, w.reserved)
		lease(2, one.LeaseVRouter, 0)
		lease(3, one.LeaseVM, backend.ID)
		lease(4, one.LeaseHeld, -1)
		lease(5, one.LeaseVM, w.stranger.ID) // its MAC is of no NIC, and it is eve's
	})
	path := "/vnet/" + itoa(w.net)
	document(t, "vnet", w.ask(w.routerA, "GET", path, ""))
	extended := w.ask(w.routerA, "GET", path, "extended=true")
	document(t, "vnet-extended", extended)
	w.want("TRUE", w.ask(w.routerA, "GET", path+"?extended=TRUE", ""), 200, extended.body)
	w.want("false", w.ask(w.routerA, "GET", path+"?extended=false", ""), 200, w.ask(w.routerA, "GET", path, "").body)
	document(t, "vnet-bare", w.ask(w.routerA, "GET", "/vnet/"+itoa(w.parent), ""))
}
