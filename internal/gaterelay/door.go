package gaterelay

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"
)

// gateMAC is the same behind every door, so that guests need not ask again when a
// door was opened anew or when they were moved. It is the one a VM with this
// address would have, and no VM has it.
var gateMAC = net.HardwareAddr{0x02, 0x00, 169, 254, 16, 9}

// cableMAC is of the end in the bridge. It is the highest of a kind that guests do
// not have: a bridge takes the lowest of its ports' for its own.
var cableMAC = net.HardwareAddr{0xfe, 0xff, 0xff, 0xff, 16, 9}

// inside is the name of the other end.
const inside = "gate"

// cablePrefix begins the names of the ends in bridges.
const cablePrefix = "tgate"

// cable returns the name of the end in a bridge.
func cable(bridge string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(bridge)) // never fails
	return fmt.Sprintf("%s%08x", cablePrefix, h.Sum32())
}

// maxConns bounds the connections of one door; further ones wait.
const maxConns = 512

// door is the gate's address in one bridge.
type door struct {
	bridge   string
	listener net.Listener
}

// openDoor puts a door into a bridge.
func openDoor(bridge netlink.Link) (*door, error) {
	name := bridge.Attrs().Name
	// One of a process that was killed goes when its last connection does.
	if err := removeCable(name); err != nil {
		return nil, err
	}
	l, err := listenInside(func(namespace int) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MasterIndex, attrs.MTU = cable(name), bridge.Attrs().Index, bridge.Attrs().MTU
		attrs.HardwareAddr, attrs.Flags = cableMAC, net.FlagUp
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: attrs, PeerName: inside, PeerHardwareAddr: gateMAC, PeerNamespace: netlink.NsFd(namespace), PeerMTU: uint32(attrs.MTU),
		})
	})
	if err != nil {
		return nil, errors.Join(err, removeCable(name))
	}
	return &door{name, netutil.LimitListener(l, maxConns)}, nil
}

// close closes a door; connections through it end.
func (d *door) close() error {
	return errors.Join(d.listener.Close(), removeCable(d.bridge))
}

// isIn tells whether the door is in this bridge.
func (d *door) isIn(bridge netlink.Link) bool {
	link, err := netlink.LinkByName(cable(d.bridge))
	return err == nil && link.Attrs().MasterIndex == bridge.Attrs().Index
}

// removeCable removes the cable into a bridge, if there is one.
func removeCable(bridge string) error {
	link, err := netlink.LinkByName(cable(bridge))
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if _, absent := errors.AsType[netlink.LinkNotFoundError](err); absent || errors.Is(err, unix.ENODEV) || err == nil {
		return nil
	}
	return fmt.Errorf("remove %s: %w", cable(bridge), err)
}

// listenInside makes a network namespace, has an interface put into it, and
// listens in it. The namespace lives as long as a socket of it.
func listenInside(plug func(namespace int) error) (net.Listener, error) {
	type namespace struct {
		fd  int
		err error
	}
	made, plugged := make(chan namespace), make(chan error)
	var listener net.Listener
	done := make(chan error)
	onOwnThread(func() {
		fd, err := leaveNamespace()
		made <- namespace{fd, err}
		if err != nil {
			return
		}
		if err = <-plugged; err == nil {
			listener, err = listenHere()
		}
		done <- err
	})
	n := <-made
	if n.err != nil {
		return nil, n.err
	}
	plugged <- plug(n.fd)
	err := <-done
	if closed := unix.Close(n.fd); closed != nil && err == nil {
		err = errors.Join(closed, listener.Close())
	}
	if err != nil {
		return nil, err
	}
	return listener, nil
}

// onOwnThread runs f in a goroutine whose thread ends with it, so that f may take
// the thread into another namespace than all others are in.
func onOwnThread(f func()) {
	go func() {
		runtime.LockOSThread() // for good
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		// The main thread does not end. While it is held here, f gets another.
		done := make(chan struct{})
		onOwnThread(func() {
			defer close(done)
			f()
		})
		<-done
		runtime.UnlockOSThread()
	}()
}

// leaveNamespace puts the calling thread into a new network namespace, and
// returns a descriptor of it.
func leaveNamespace() (fd int, err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return -1, fmt.Errorf("make a network namespace: %w", err)
	}
	if fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return -1, fmt.Errorf("make a network namespace: %w", err)
	}
	return fd, nil
}

// listenHere listens in the namespace of the calling thread, whose only
// interface gets the address.
func listenHere() (net.Listener, error) {
	// It answers and passes nothing on, whatever the machine does.
	for file, value := range map[string]string{"ipv4/ip_forward": "0", "ipv6/conf/all/disable_ipv6": "1"} {
		err := os.WriteFile("/proc/sys/net/"+file, []byte(value), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6
			return nil, err
		}
	}
	link, err := netlink.LinkByName(inside)
	if err != nil {
		return nil, fmt.Errorf("find the door: %w", err)
	}
	host, _, err := net.SplitHostPort(Address)
	if err != nil {
		return nil, err
	}
	addr, err := netlink.ParseAddr(host + "/32")
	if err != nil {
		return nil, err
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return nil, fmt.Errorf("give the door its address: %w", err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("bring the door up: %w", err)
	}
	// Whatever address a guest has, it is on the bridge.
	all := &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: all}); err != nil {
		return nil, fmt.Errorf("give the door its route: %w", err)
	}
	// The context is of no use: nothing here waits, and it must stay in this thread.
	var c net.ListenConfig
	return c.Listen(context.Background(), "tcp4", Address)
}
