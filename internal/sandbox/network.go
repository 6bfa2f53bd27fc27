package sandbox

import (
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
)

// setUpNetwork brings the loopback interface up and makes the bridge.
func setUpNetwork() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = Bridge
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("create bridge %s: %w", Bridge, err)
	}
	// Else a new port is deaf for 15 seconds: it learns first, even with the spanning tree protocol off.
	if err := os.WriteFile("/sys/class/net/"+Bridge+"/bridge/forward_delay", []byte("0"), 0o644); err != nil {
		return fmt.Errorf("bridge %s: set forward delay: %w", Bridge, err)
	}
	addr, err := netlink.ParseAddr(Address.String())
	if err != nil {
		return fmt.Errorf("bridge %s: %w", Bridge, err)
	}
	if err := netlink.AddrAdd(bridge, addr); err != nil {
		return fmt.Errorf("bridge %s: add address %s: %w", Bridge, Address, err)
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return fmt.Errorf("bring bridge %s up: %w", Bridge, err)
	}
	return nil
}
