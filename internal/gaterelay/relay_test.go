package gaterelay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/trifid-cloud/trifid/internal/agent"
	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
	"github.com/trifid-cloud/trifid/test/ns"
)

func TestMain(m *testing.M) { os.Exit(ns.Run(m)) }

// patience bounds a wait: it is reached only when something is broken.
const patience = 30 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// addBridge makes a bridge of the operator's.
func addBridge(t *testing.T, name string) netlink.Link {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = name, 9000
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	must(t, os.WriteFile("/sys/class/net/"+name+"/bridge/forward_delay", []byte("0"), 0))
	link, err := netlink.LinkByName(name)
	must(t, err)
	must(t, netlink.LinkSetUp(link))
	t.Cleanup(func() {
		if link, err := netlink.LinkByName(name); err == nil {
			must(t, netlink.LinkDel(link))
		}
	})
	return link
}

// guest is a machine on a bridge: a network namespace with one interface.
type guest struct {
	t  *testing.T
	ns int
}

var ports = 0

// addGuest puts a machine with some addresses on a bridge. It knows that the
// gate's address is on its interface, as the guests' context packages see to.
func addGuest(t *testing.T, bridge netlink.Link, addrs ...string) *guest {
	t.Helper()
	ports++
	port := fmt.Sprint("tap", ports)
	g := &guest{t: t}
	ready := make(chan error)
	plugged := make(chan struct{})
	onOwnThread(func() {
		fd, err := leaveNamespace()
		g.ns = fd
		ready <- err
		<-plugged
		ready <- func() error {
			link, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			lo, err := netlink.LinkByName("lo")
			if err != nil {
				return err
			}
			for _, a := range addrs {
				addr, err := netlink.ParseAddr(a)
				if err != nil {
					return err
				}
				if err := netlink.AddrAdd(link, addr); err != nil {
					return err
				}
			}
			if err := errors.Join(netlink.LinkSetUp(lo), netlink.LinkSetUp(link)); err != nil {
				return err
			}
			_, to, err := net.ParseCIDR("169.254.16.9/32")
			if err != nil || slices.Contains(addrs, "169.254.16.9/32") {
				return err
			}
			return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: to})
		}()
	})
	must(t, <-ready)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex, attrs.MTU, attrs.Flags = port, bridge.Attrs().Index, 9000, net.FlagUp
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerMTU: 9000, PeerNamespace: netlink.NsFd(g.ns)}))
	close(plugged)
	must(t, <-ready)
	t.Cleanup(func() {
		if link, err := netlink.LinkByName(port); err == nil {
			must(t, netlink.LinkDel(link))
		}
		must(t, unix.Close(g.ns))
	})
	return g
}

// in runs f on a thread in the guest's namespace: sockets it makes are there.
func (g *guest) in(f func() error) error {
	done := make(chan error)
	onOwnThread(func() {
		err := unix.Setns(g.ns, unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		done <- err
	})
	return <-done
}

// dial connects from the guest.
func (g *guest) dial(addr string) (conn net.Conn, err error) {
	err = g.in(func() error {
		d := net.Dialer{Timeout: patience}
		conn, err = d.Dial("tcp4", addr)
		return err
	})
	return conn, err
}

// ping tries to connect to a port where nobody listens.
func (g *guest) ping(from, to string) error {
	return g.in(func() error {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
		c, err := d.Dial("tcp4", to+":9")
		if err == nil {
			err = c.Close()
		}
		return err
	})
}

// knows tells whether the guest has learnt the MAC of an address.
func (g *guest) knows(ip string) (known bool) {
	must(g.t, g.in(func() error {
		all, err := netlink.NeighList(0, netlink.FAMILY_V4)
		for _, n := range all {
			known = known || n.IP.String() == ip && len(n.HardwareAddr) > 0 && n.State&netlink.NUD_FAILED == 0
		}
		return err
	}))
	return known
}

// ask sends a request to the gate from the guest and returns the answer.
func (g *guest) ask(path string, header ...string) (string, error) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(_ context.Context, _, addr string) (net.Conn, error) { return g.dial(addr) },
	}}
	req, err := http.NewRequest(http.MethodGet, Endpoint+path, nil)
	if err != nil {
		return "", err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

// gate says what it was asked, and by whom.
type gate struct {
	srv  *http.Server
	from sync.Map // remote address by path
}

func newGate(t *testing.T) *gate {
	g := &gate{}
	g.srv = &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.from.Store(r.URL.Path, r.RemoteAddr)
		fmt.Fprintf(w, "%s %s %s", r.Host, r.URL.Path, r.Header.Get("X-Onegate-Token"))
	})}
	t.Cleanup(func() { must(t, g.srv.Close()) })
	return g
}

// serve serves a door as the gate of the same process does.
func (g *gate) serve(door net.Listener) error {
	if err := g.srv.Serve(door); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// open opens a host whose bridges are the operator's.
func open(t *testing.T, state string, serve func(net.Listener) error) *Host {
	t.Helper()
	h, err := New(t.Context(), Config{Networks: agent.Imaginary{}, State: state, Serve: serve, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(t, err)
	return h
}

func machine(id int, bridges ...string) *agentapi.Machine {
	var nics []tmpl.Attr
	for i, b := range bridges {
		nics = append(nics, tmpl.Vec("NIC", "NIC_ID", fmt.Sprint(i), "VN_MAD", "dummy", "BRIDGE", b))
	}
	return &agentapi.Machine{ID: id, Template: tmpl.New(nics...)}
}

// left lists what there is of doors on this host.
func left(t *testing.T) (out []string) {
	t.Helper()
	all, err := netlink.LinkList()
	must(t, err)
	for _, l := range all {
		if strings.HasPrefix(l.Attrs().Name, cablePrefix) {
			out = append(out, l.Attrs().Name)
		}
	}
	tables, err := exec.Command("nft", "list", "tables").Output()
	must(t, err)
	for line := range strings.Lines(string(tables)) {
		if strings.Contains(line, table) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// Guests of two bridges have the same address; each reaches the gate, as itself,
// and nothing else.
func TestTwoBridges(t *testing.T) {
	ns.Enter(t, "nft")
	br1, br2 := addBridge(t, "br1"), addBridge(t, "br2")
	mac := br1.Attrs().HardwareAddr.String()
	one, two := addGuest(t, br1, "10.0.0.5/24"), addGuest(t, br2, "10.0.0.5/24")
	g, state := newGate(t), filepath.Join(t.TempDir(), "state")
	h := open(t, state, g.serve)
	for range 2 { // a step may be done again
		must(t, h.Pre(t.Context(), machine(1, "br1", "br1")))
		must(t, h.Pre(t.Context(), machine(2, "br2")))
		must(t, h.Post(t.Context(), machine(2, "br2")))
	}
	for name, c := range map[string]*guest{"one": one, "two": two} {
		got, err := c.ask("/"+name, "X-Onegate-Token", name, "X-Forwarded-For", "10.9.9.9")
		if want := Address + " /" + name + " " + name; err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
		// Whoever it says it is, the gate sees where it comes from.
		if from, _ := g.from.Load("/" + name); !strings.HasPrefix(fmt.Sprint(from), "10.0.0.5:") {
			t.Errorf("%s seems to come from %v", name, from)
		}
		if c, err := c.dial("169.254.16.9:22"); err == nil {
			t.Errorf("%s reaches another port at %s", name, c.RemoteAddr())
		}
	}
	now, err := netlink.LinkByName("br1")
	must(t, err)
	if now.Attrs().MTU != 9000 || now.Attrs().Flags&net.FlagUp == 0 {
		t.Errorf("the bridge has changed: %+v (MAC was %s)", now.Attrs(), mac)
	}

	// The last VM takes the door with it, that of the other bridge stays.
	must(t, h.Pre(t.Context(), machine(3, "br1")))
	must(t, h.Clean(t.Context(), machine(1, "br1")))
	if _, err := one.ask("/again"); err != nil {
		t.Errorf("with one VM less: %v", err)
	}
	must(t, h.Leave(t.Context(), machine(3, "br2"), tmpl.Vector(nil)))
	if got := left(t); !slices.Equal(got, []string{cable("br2"), "table bridge " + table}) {
		t.Errorf("left: %q", got)
	}
	if _, err := two.ask("/again"); err != nil {
		t.Errorf("on the other bridge: %v", err)
	}
	must(t, h.Clean(t.Context(), machine(2)))
	must(t, h.Clean(t.Context(), machine(3)))
	if got := left(t); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
	must(t, h.Close())
}

// Nobody else on the bridge is asked for the gate, or can say that he is.
func TestNobodyElseIsTheGate(t *testing.T) {
	ns.Enter(t, "nft")
	br := addBridge(t, "br1")
	honest, liar := addGuest(t, br, "10.0.0.5/24"), addGuest(t, br, "10.0.0.6/24", "169.254.16.9/32")
	g := newGate(t)
	h := open(t, filepath.Join(t.TempDir(), "state"), g.serve)
	must(t, h.Pre(t.Context(), machine(1, "br1")))
	for i := range 5 {
		path := fmt.Sprint("/", i)
		if got, err := honest.ask(path); err != nil || !strings.Contains(got, path) {
			t.Errorf("%q, %v", got, err)
		}
		must(t, honest.in(func() error { // it asks anew where the gate is
			link, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			return netlink.NeighDel(&netlink.Neigh{LinkIndex: link.Attrs().Index, IP: net.IPv4(169, 254, 16, 9)})
		}))
	}
	if liar.knows("10.0.0.5") { // who is asked learns who has asked
		t.Error("the question where the gate is has reached another guest")
	}
	if err := liar.ping("169.254.16.9", "10.0.0.5"); err == nil || liar.knows("10.0.0.5") {
		t.Errorf("a guest that says it is the gate is heard: %v", err)
	}
	if err := liar.ping("10.0.0.6", "10.0.0.5"); !errors.Is(err, unix.ECONNREFUSED) || !liar.knows("10.0.0.5") {
		t.Errorf("as itself it is not heard: %v", err)
	}
	must(t, h.Clean(t.Context(), machine(1, "br1")))
	must(t, h.Close())
	if got := left(t); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
}

// An agent that is started again opens the doors of the VMs that run, also after
// one that was killed; where there are to be none, it leaves none.
func TestRestart(t *testing.T) {
	ns.Enter(t, "nft")
	br := addBridge(t, "br1")
	c := addGuest(t, br, "10.0.0.5/24")
	g, state := newGate(t), filepath.Join(t.TempDir(), "state")
	first := open(t, state, g.serve)
	must(t, first.Pre(t.Context(), machine(1, "br1")))
	must(t, first.Pre(t.Context(), machine(2, "gone"))) // a bridge its driver did not make
	must(t, first.Close())
	if got := left(t); !slices.Equal(got, []string{"table bridge " + table}) {
		t.Errorf("of an agent that has stopped, left: %q", got)
	}
	second := open(t, state, g.serve)
	if _, err := c.ask("/second"); err != nil {
		t.Error(err)
	}
	// The third finds the door of the second, which has not closed it.
	third := open(t, state, g.serve)
	if _, err := c.ask("/third"); err != nil {
		t.Error(err)
	}
	// The operator makes the bridge anew.
	must(t, netlink.LinkDel(br))
	br = addBridge(t, "br1")
	c = addGuest(t, br, "10.0.0.7/24")
	must(t, third.Pre(t.Context(), machine(1, "br1")))
	if _, err := c.ask("/fourth"); err != nil {
		t.Error(err)
	}
	must(t, errors.Join(third.Close(), second.Close()))
	// Switched off there is none, but when it is on again it is as before.
	for range 2 {
		off := open(t, state, nil)
		must(t, off.Pre(t.Context(), machine(2, "br1")))
		if got := left(t); len(got) > 0 {
			t.Errorf("switched off, left: %q", got)
		}
		must(t, off.Close())
	}
	on := open(t, state, g.serve)
	must(t, on.Clean(t.Context(), machine(1, "br1")))
	if _, err := c.ask("/fifth"); err != nil {
		t.Error(err)
	}
	must(t, on.Clean(t.Context(), machine(2)))
	must(t, on.Close())
	if got := left(t); len(got) > 0 {
		t.Errorf("in the end, left: %q", got)
	}
}

// The gate is on another machine.
func TestForward(t *testing.T) {
	ns.Enter(t, "nft")
	c := addGuest(t, addBridge(t, "br1"), "10.0.0.5/24")
	g := newGate(t)
	away, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	go func() { _ = g.serve(away) }()
	var cut atomic.Bool
	f := &Forwarder{Log: slog.New(slog.DiscardHandler), Dial: func(ctx context.Context) (net.Conn, error) {
		if cut.Load() {
			return nil, errors.New("no route")
		}
		return new(net.Dialer).DialContext(ctx, "tcp4", away.Addr().String())
	}}
	h := open(t, filepath.Join(t.TempDir(), "state"), f.Serve)
	must(t, h.Pre(t.Context(), machine(1, "br1")))
	if got, err := c.ask("/vm", "X-Onegate-Token", "secret"); err != nil || got != Address+" /vm secret" {
		t.Errorf("%q, %v", got, err)
	}
	cut.Store(true)
	if _, err := c.ask("/vm"); err == nil {
		t.Error("an answer though the gate cannot be reached")
	}
	cut.Store(false)
	// Connections that are open do not hold the host back.
	conn, err := c.dial(Address)
	must(t, err)
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /open HTTP/1.1\r\nHost: a\r\n"); err != nil {
		t.Error(err)
	}
	must(t, h.Clean(t.Context(), machine(1, "br1")))
	must(t, h.Close())
}
