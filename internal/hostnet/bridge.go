package hostnet

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// mark begins the alias of bridges that are ours to remove.
const mark = "trifid:"

// find returns the interface of that name, nil if there is none.
func find(name string) (netlink.Link, error) {
	link, err := netlink.LinkByName(name)
	if _, absent := errors.AsType[netlink.LinkNotFoundError](err); absent {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find interface %s: %w", name, err)
	}
	return link, nil
}

// makeBridge makes the bridge of a NIC, if need be, and puts its physical device
// into it.
func makeBridge(n nic) error {
	link, err := find(n.bridge)
	if err != nil {
		return err
	}
	if link == nil {
		if link, err = newBridge(n); err != nil {
			return fmt.Errorf("make bridge %s: %w", n.bridge, err)
		}
	}
	if link.Type() != "bridge" {
		return fmt.Errorf("BRIDGE %s: there is an interface of that name, and it is no bridge but of type %s", n.bridge, link.Type())
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring bridge %s up: %w", n.bridge, err)
	}
	if n.phydev == "" {
		return nil
	}
	return addPhysical(link, n.phydev)
}

// newBridge makes a bridge under another name and gives it its own only when it
// is complete: a bridge without our mark would never be removed again.
func newBridge(n nic) (netlink.Link, error) {
	name := unfinished(n.bridge)
	link, err := find(name)
	if err != nil {
		return nil, err
	}
	if link == nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = name, n.mtu
		link = &netlink.Bridge{LinkAttrs: attrs}
		if err := netlink.LinkAdd(link); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(noDelay(link), netlink.LinkSetAlias(link, mark+n.network)); err != nil {
		return nil, err
	}
	if err := netlink.LinkSetName(link, n.bridge); err != nil {
		return nil, err
	}
	return netlink.LinkByName(n.bridge)
}

// unfinished is what a bridge is called while it is made.
func unfinished(bridge string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(bridge)) // never fails
	return fmt.Sprintf("trifid-%08x", h.Sum32())
}

// noDelay lets a new port work at once: bridges have it listen for 15 seconds
// for others that might make a loop. The netlink package cannot say it.
func noDelay(link netlink.Link) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(link.Attrs().Index)
	req.AddData(msg)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.IFLA_BR_FORWARD_DELAY, nl.Uint32Attr(0))
	req.AddData(info)
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("set forward delay: %w", err)
	}
	return nil
}

// addPhysical puts the host's device into the bridge.
func addPhysical(bridge netlink.Link, phydev string) error {
	dev, err := find(phydev)
	switch {
	case err != nil:
		return err
	case dev == nil:
		return fmt.Errorf("PHYDEV %s: there is no such interface on this host", phydev)
	}
	switch master := dev.Attrs().MasterIndex; master {
	case bridge.Attrs().Index:
	case 0:
		if err := netlink.LinkSetMaster(dev, bridge); err != nil {
			return fmt.Errorf("put PHYDEV %s into bridge %s: %w", phydev, bridge.Attrs().Name, err)
		}
	default:
		other, err := netlink.LinkByIndex(master)
		if err != nil {
			return fmt.Errorf("PHYDEV %s: find its bridge: %w", phydev, err)
		}
		return fmt.Errorf("PHYDEV %s: it is in %s already, expected it free or in %s", phydev, other.Attrs().Name, bridge.Attrs().Name)
	}
	if err := netlink.LinkSetUp(dev); err != nil {
		return fmt.Errorf("bring PHYDEV %s up: %w", phydev, err)
	}
	return nil
}

// dropBridge removes a bridge of ours that has no ports but its physical device.
func dropBridge(name, phydev string) error {
	link, err := find(name)
	if err != nil || link == nil || link.Type() != "bridge" || !strings.HasPrefix(link.Attrs().Alias, mark) {
		return err
	}
	all, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, l := range all {
		if a := l.Attrs(); a.MasterIndex == link.Attrs().Index && a.Name != phydev {
			return nil // a NIC of another VM
		}
	}
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove bridge %s: %w", name, err)
	}
	return nil
}
