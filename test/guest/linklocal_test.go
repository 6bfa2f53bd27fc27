package guest

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/gaterelay"
	"github.com/trifid-cloud/trifid/test/ns"
)

// TestLinkLocalGate lets a guest without a route anywhere reach its gate on its
// own bridge, also after the server was killed; where that is switched off,
// nothing of it is left.
func TestLinkLocalGate(t *testing.T) {
	c := newRealCloud(t)
	ns.Libvirtd(t)
	const on = "gate: {link_local: true}"
	c.up(on)
	c.furnish()
	vm := c.instantiate()
	ready := func(n *doc.Node) bool { return n.Get("USER_TEMPLATE/READY") == "YES" }
	n := c.until("the guest reports that it is ready", "vm.info", vm, ready)
	if got := n.Get("TEMPLATE/CONTEXT/ONEGATE_ENDPOINT"); got != gaterelay.Endpoint {
		t.Errorf("the guest is told %q", got)
	}
	if got := n.Get("TEMPLATE/CONTEXT/ETH0_GATEWAY"); got != "" {
		t.Errorf("the guest has a route by %s", got)
	}
	c.kill()
	c.up(on)
	c.call("vm.update", vm, "DEMO_LOAD=42", 1)
	c.until("the guest reports its load", "vm.info", vm, func(n *doc.Node) bool { return n.Get("USER_TEMPLATE/LOAD") == "42" })
	c.down()
	c.up("")
	// The agent clears away as it starts, which is not before the server is ready.
	look, giveUp := time.NewTicker(20*time.Millisecond), time.After(time.Minute)
	defer look.Stop()
	for got := doors(t); got != ""; got = doors(t) {
		select {
		case <-look.C:
		case <-giveUp:
			t.Fatalf("switched off, there is %s", got)
		}
	}
	c.down()
	c.up(on)
	c.call("vm.update", vm, "DEMO_LOAD=43", 1)
	c.until("the guest reports its load", "vm.info", vm, func(n *doc.Node) bool { return n.Get("USER_TEMPLATE/LOAD") == "43" })
	c.call("vm.action", "terminate-hard", vm)
	c.untilVM(vm, "6/0")
	if got := doors(t); got != "" {
		t.Errorf("without guests there is %s", got)
	}
	if _, err := netlink.LinkByName("onebr77"); err == nil {
		t.Error("the bridge is still there")
	}
	c.down()
}

// doors tells what there is of doors to the gate on this machine.
func doors(t *testing.T) (out string) {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, "tgate") {
			out += l.Attrs().Name + " "
		}
	}
	tables, err := exec.Command("nft", "list", "tables").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(tables), "trifid_gate") {
		out += string(tables)
	}
	return out
}
