package hostnet

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/sandbox"
	"github.com/trifid-cloud/trifid/internal/tmpl"
	"github.com/trifid-cloud/trifid/test/ns"
)

func TestMain(m *testing.M) { os.Exit(ns.Run(m)) }

func vm(id int, nics ...tmpl.Attr) *agentapi.Machine {
	return &agentapi.Machine{ID: id, Template: tmpl.New(nics...)}
}

func nicOn(bridge string, more ...string) tmpl.Attr {
	return tmpl.Vec("NIC", append([]string{"NIC_ID", "0", "VN_MAD", "bridge", "BRIDGE", bridge, "NETWORK_ID", "5"}, more...)...)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// have returns the interface, nil if there is none.
func have(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := find(name)
	must(t, err)
	return l
}

// add makes an interface that is removed after the test.
func add(t *testing.T, link netlink.Link) netlink.Link {
	t.Helper()
	must(t, netlink.LinkAdd(link))
	t.Cleanup(func() {
		if l := have(t, link.Attrs().Name); l != nil {
			must(t, netlink.LinkDel(l))
		}
	})
	return have(t, link.Attrs().Name)
}

func named(name string) netlink.LinkAttrs {
	a := netlink.NewLinkAttrs()
	a.Name = name
	return a
}

// port puts a new interface, as that of a guest, into a bridge.
func port(t *testing.T, name, bridge string) netlink.Link {
	t.Helper()
	l := add(t, &netlink.Veth{LinkAttrs: named(name), PeerName: name + "p"})
	must(t, netlink.LinkSetMaster(l, have(t, bridge)))
	return l
}

func TestBridgeComesAndGoes(t *testing.T) {
	ns.Enter(t)
	h := New(Config{})
	m := vm(1, nicOn("onebr5", "MTU", "1400"))
	for range 2 {
		must(t, h.Pre(t.Context(), m))
		must(t, h.Post(t.Context(), m))
	}
	br := have(t, "onebr5")
	if br == nil {
		t.Fatal("the bridge was not made")
	}
	if a := br.Attrs(); br.Type() != "bridge" || a.Alias != "trifid:5" || a.Flags&1 == 0 || a.MTU != 1400 {
		t.Errorf("the bridge is %s %+v", br.Type(), a)
	}
	delay, err := os.ReadFile("/sys/class/net/onebr5/bridge/forward_delay")
	if err != nil || strings.TrimSpace(string(delay)) != "0" {
		t.Errorf("forward delay %q (%v)", delay, err)
	}
	for range 2 {
		must(t, h.Clean(t.Context(), m))
		if have(t, "onebr5") != nil {
			t.Fatal("the bridge outlived its last NIC")
		}
	}
}

func TestBridgeIsKept(t *testing.T) {
	ns.Enter(t)
	m := vm(1, nicOn("onebr6"))

	t.Run("WhileOthersCountOnIt", func(t *testing.T) {
		h := New(Config{})
		must(t, h.Pre(t.Context(), m))
		must(t, h.Pre(t.Context(), vm(2, nicOn("onebr6")))) // has no port yet
		must(t, h.Clean(t.Context(), m))
		if have(t, "onebr6") == nil {
			t.Fatal("a VM lost its bridge between pre and start")
		}
		must(t, h.Clean(t.Context(), vm(2, nicOn("onebr6"))))
		if have(t, "onebr6") != nil {
			t.Error("the bridge is still there")
		}
	})
	t.Run("WhileThereArePorts", func(t *testing.T) {
		must(t, New(Config{}).Pre(t.Context(), m))
		tap := port(t, "guest0", "onebr6")
		h := New(Config{}) // one that has forgotten whose port it is
		must(t, h.Clean(t.Context(), m))
		if have(t, "onebr6") == nil {
			t.Fatal("a running VM lost its bridge")
		}
		must(t, netlink.LinkDel(tap))
		must(t, h.Clean(t.Context(), m))
		if have(t, "onebr6") != nil {
			t.Error("the bridge is still there")
		}
	})
	t.Run("WhenItIsNotOurs", func(t *testing.T) {
		add(t, &netlink.Bridge{LinkAttrs: named("onebr6")})
		h := New(Config{})
		must(t, h.Pre(t.Context(), m))
		must(t, h.Clean(t.Context(), m))
		if have(t, "onebr6") == nil {
			t.Error("a bridge of the operator's was removed")
		}
	})
	t.Run("WhenAsked", func(t *testing.T) {
		h := New(Config{KeepEmptyBridge: true})
		must(t, h.Pre(t.Context(), m))
		must(t, h.Clean(t.Context(), m))
		if have(t, "onebr6") == nil {
			t.Error("the bridge was removed")
		}
		must(t, New(Config{}).Clean(t.Context(), m))
	})
}

func TestPhysicalDevice(t *testing.T) {
	ns.Enter(t)
	add(t, &netlink.Veth{LinkAttrs: named("phy0"), PeerName: "phy0p"})
	m := vm(1, nicOn("onebr7", "PHYDEV", "phy0"))
	h := New(Config{})
	for range 2 {
		must(t, h.Pre(t.Context(), m))
	}
	phy := have(t, "phy0")
	if phy.Attrs().MasterIndex != have(t, "onebr7").Attrs().Index || phy.Attrs().Flags&1 == 0 {
		t.Errorf("the physical device is %+v", phy.Attrs())
	}
	err := h.Pre(t.Context(), vm(2, nicOn("onebr8", "PHYDEV", "phy0")))
	if err == nil || !strings.Contains(err.Error(), "PHYDEV phy0: it is in onebr7 already") {
		t.Errorf("a device that is in another bridge: %v", err)
	}
	err = h.Pre(t.Context(), vm(3, nicOn("onebr8", "PHYDEV", "phy1")))
	if err == nil || !strings.Contains(err.Error(), "PHYDEV phy1: there is no such interface") {
		t.Errorf("a device that is not there: %v", err)
	}
	must(t, h.Clean(t.Context(), vm(2, nicOn("onebr8"))))
	must(t, h.Clean(t.Context(), vm(3, nicOn("onebr8"))))
	must(t, h.Clean(t.Context(), m))
	if have(t, "onebr7") != nil || have(t, "onebr8") != nil {
		t.Error("the bridges are still there")
	}
	if phy := have(t, "phy0"); phy == nil || phy.Attrs().MasterIndex != 0 {
		t.Errorf("the physical device is %v", phy)
	}
}

// TestCutWhileMade finds what a process left that died between the making of a
// bridge and its mark.
func TestCutWhileMade(t *testing.T) {
	ns.Enter(t)
	add(t, &netlink.Bridge{LinkAttrs: named(unfinished("onebr9"))})
	h := New(Config{})
	m := vm(1, nicOn("onebr9"))
	must(t, h.Pre(t.Context(), m))
	if have(t, "onebr9") == nil || have(t, unfinished("onebr9")) != nil {
		t.Error("the bridge was not completed")
	}
	must(t, h.Clean(t.Context(), m))
	if have(t, "onebr9") != nil {
		t.Error("the bridge is still there")
	}
}

// A NIC that a running VM loses takes its bridge along, unless somebody else is on it.
func TestLeave(t *testing.T) {
	ns.Enter(t)
	h := New(Config{})
	first, second := nicOn("onebr11"), nicOn("onebr12", "NIC_ID", "1")
	must(t, h.Pre(t.Context(), vm(1, first, second)))
	must(t, h.Pre(t.Context(), vm(2, first)))
	must(t, h.Leave(t.Context(), vm(1, first, second), nicOn("onebr12", "NIC_ID", "2").Vector))
	if have(t, "onebr12") == nil {
		t.Error("the bridge of another NIC of the VM is gone")
	}
	for range 2 {
		must(t, h.Leave(t.Context(), vm(1, first), second.Vector))
		if have(t, "onebr12") != nil {
			t.Error("the bridge of the NIC is still there")
		}
	}
	must(t, h.Leave(t.Context(), vm(1), first.Vector))
	if have(t, "onebr11") == nil {
		t.Error("the bridge of another VM is gone")
	}
	must(t, h.Leave(t.Context(), vm(2), first.Vector))
	if have(t, "onebr11") != nil {
		t.Error("the bridge is still there without its last NIC")
	}
	must(t, h.Leave(t.Context(), vm(1), nicOn("b", "VN_MAD", "vxlan").Vector)) // which Pre has refused
}

func TestNotABridge(t *testing.T) {
	ns.Enter(t)
	add(t, &netlink.Veth{LinkAttrs: named("veth9"), PeerName: "veth9p"})
	err := New(Config{}).Pre(t.Context(), vm(1, nicOn("veth9")))
	if err == nil || !strings.Contains(err.Error(), "it is no bridge but of type veth") {
		t.Errorf("error %v", err)
	}
}

// TestTogether starts and ends many VMs on one bridge at once: no Pre may fail,
// nor leave its VM without a bridge.
func TestTogether(t *testing.T) {
	ns.Enter(t)
	h := New(Config{})
	var wg sync.WaitGroup
	for id := range 8 {
		m := vm(id, nicOn("onebr10"))
		wg.Go(func() {
			for range 5 {
				if err := h.Pre(t.Context(), m); err != nil {
					t.Error(err)
				}
				if l, err := find("onebr10"); err != nil || l == nil {
					t.Errorf("VM %d has no bridge after pre: %v", m.ID, err)
				}
				if err := h.Clean(t.Context(), m); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if have(t, "onebr10") != nil {
		t.Error("the bridge is still there")
	}
}

func TestDummyTouchesNothing(t *testing.T) {
	h := New(Config{})
	m := vm(1, tmpl.Vec("NIC", "NIC_ID", "0", "VN_MAD", "dummy", "BRIDGE", sandbox.Bridge+"x"), tmpl.Vec("NIC", "NIC_ID", "1"))
	must(t, h.Pre(t.Context(), m))
	must(t, h.Post(t.Context(), m))
	must(t, h.Clean(t.Context(), m))
	if len(h.bridges) != 0 {
		t.Errorf("bridges %v", h.bridges)
	}
}

func TestRefuses(t *testing.T) {
	h := New(Config{})
	for want, nic := range map[string]tmpl.Attr{
		"NIC 0: VN_MAD fw is not supported yet":                  nicOn("b", "VN_MAD", "fw"),
		"NIC 0: VN_MAD 802.1Q is not supported yet":              nicOn("b", "VN_MAD", "802.1Q"),
		"NIC 0: VN_MAD vxlan is not supported yet":               nicOn("b", "VN_MAD", "vxlan"),
		"NIC 0: BRIDGE_TYPE openvswitch is not supported yet":    nicOn("b", "BRIDGE_TYPE", "openvswitch"),
		"NIC 0: BRIDGE is missing":                               nicOn(""),
		`NIC 0: BRIDGE "a-name-of-16-cha": expected the name of`: nicOn("a-name-of-16-cha"),
		`NIC 0: BRIDGE "../x": expected the name of`:             nicOn("../x"),
		`NIC 0: PHYDEV "a b": expected the name of`:              nicOn("b", "PHYDEV", "a b"),
		`NIC 0: MTU "12": expected a number from 68`:             nicOn("b", "MTU", "12"),
	} {
		for what, call := range map[string]func() error{
			"pre":  func() error { return h.Pre(t.Context(), vm(1, nic)) },
			"post": func() error { return h.Post(t.Context(), vm(1, nic)) },
		} {
			if err := call(); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s: error %v, want %q", what, err, want)
			}
		}
		if err := h.Clean(t.Context(), vm(1, nic)); err != nil {
			t.Errorf("clean of what was refused: %v", err)
		}
	}
}

func FuzzNIC(f *testing.F) {
	f.Add("bridge", "onebr1", "", "1500")
	f.Add("bridge", "a\x00b", "eth0", "x")
	f.Add("vxlan", "", "", "")
	f.Fuzz(func(t *testing.T, mad, bridge, phydev, mtu string) {
		n, err := readNIC(tmpl.Vec("NIC", "VN_MAD", mad, "BRIDGE", bridge, "PHYDEV", phydev, "MTU", mtu).Vector)
		if err != nil || n.driver == dummy {
			return
		}
		for _, name := range []string{n.bridge, n.phydev} {
			if len(name) > maxName || strings.ContainsAny(name, "/ \x00") {
				t.Errorf("passed %q", name)
			}
		}
		if len(unfinished(n.bridge)) > maxName {
			t.Error(fmt.Sprint("too long: ", unfinished(n.bridge)))
		}
	})
}
