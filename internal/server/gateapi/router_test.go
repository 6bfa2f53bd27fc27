package gateapi_test

import (
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
)

// A virtual router as the cloud makes it, seen by its guests through its life.
func TestRouterOfTheCloud(t *testing.T) {
	w := newRig(t, settings{})
	w.AddHost("sim", sim.Config{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.Cloud.AllocateVNet(w.Context(), w.Admin, parse(t, "NAME=net VN_MAD=dummy BRIDGE=br0 AR=[TYPE=IP4, IP=10.2.0.2, SIZE=8]"), 0)
	must(err)
	w.Template(`NAME=router CPU=0.1 MEMORY=16 VROUTER=YES CONTEXT=[TOKEN="YES", NETWORK="YES"]`)
	id, err := w.Cloud.AllocateVRouter(w.Context(), w.Admin, parse(t, "NAME=gw NIC=[NETWORK_ID=0, FLOATING_IP=YES]"))
	must(err)
	must(w.Cloud.InstantiateVRouter(w.Context(), w.Admin, id, 2, 0, "", false, nil))
	a, b := w.WaitVM(0, one.VMActive, one.LCMRunning), w.WaitVM(1, one.VMActive, one.LCMRunning)
	admin, _ := w.Store.View().Users.Get(one.OneadminID)
	ask := func(v *one.VM, path string) answer {
		return w.ask(v, "GET", path, "", "X-ONEGATE-TOKEN", tokenOf(t, admin, v))
	}
	w.want("router", ask(a, "/vrouter"), 200, `{"VROUTER":{"NAME":"gw","ID":"0","VMS":{"ID":["0","1"]},"TEMPLATE":{"NIC":[{"AR_ID":"0","FLOATING_IP":"YES",`+
		`"IP":"10.2.0.2","MAC":"02:00:0a:02:00:02","NETWORK":"net","NETWORK_ID":"0","NIC_ID":"0"}],"TEMPLATE_ID":"0"}}}`)
	if other := ask(a, "/vms/1"); other.status != 200 || !strings.Contains(other.body, `"IP":"10.2.0.4"`) {
		t.Errorf("the other VM of the router: %d %s", other.status, other.body)
	}
	if net := ask(b, "/vnet/0"); net.status != 200 || !strings.Contains(net.body, `"VROUTERS":{"ID":["0"]}`) || !strings.Contains(net.body, `"VROUTER":"0"`) {
		t.Errorf("the network of the router: %d %s", net.status, net.body)
	}

	must(w.Cloud.VMAction(w.Context(), w.Admin, 1, "terminate-hard"))
	w.WaitVM(1, one.VMDone, 0)
	if alone := ask(a, "/vrouter"); !strings.Contains(alone.body, `"VMS":{"ID":["0"]}`) {
		t.Errorf("without the other VM: %s", alone.body)
	}
	must(w.Cloud.AttachVRouterNIC(w.Context(), w.Admin, id, parse(t, "NIC=[NETWORK_ID=0]")))
	a = w.WaitVM(0, one.VMActive, one.LCMRunning)
	if two := ask(a, "/vrouter"); !strings.Contains(two.body, `{"NETWORK":"net","NETWORK_ID":"0","NIC_ID":"1"}`) {
		t.Errorf("with another NIC: %s", two.body)
	}
}
