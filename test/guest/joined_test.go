package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/gaterelay"
	"github.com/trifid-cloud/trifid/internal/gatetoken"
	"github.com/trifid-cloud/trifid/internal/sandbox"
	"github.com/trifid-cloud/trifid/test/ns"
)

// Where the server is, seen from the host of the guests, and that host.
const (
	serverAddr = "10.78.0.1"
	hostAddr   = "10.78.0.2"
)

// machine is another machine: a network namespace with a cable to this one.
type machine struct {
	t  *testing.T
	ns int
}

// newMachine makes a machine whose interface has an address; the other end of its
// cable is called port. routes are what it reaches directly besides.
func newMachine(t *testing.T, port, addr string, routes ...string) *machine {
	t.Helper()
	m := &machine{t: t, ns: -1}
	made, plugged, done := make(chan error), make(chan error), make(chan error)
	m.thread(func() {
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			m.ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		made <- err
		if err == nil && <-plugged == nil {
			done <- furnishMachine(addr, routes)
		}
	})
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Flags = port, net.FlagUp
	err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(m.ns)})
	plugged <- err
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if link, err := netlink.LinkByName(port); err == nil {
			if err := netlink.LinkDel(link); err != nil {
				t.Error(err)
			}
		}
		if err := unix.Close(m.ns); err != nil {
			t.Error(err)
		}
	})
	return m
}

// furnishMachine brings the interfaces of the calling thread's namespace up.
func furnishMachine(addr string, routes []string) error {
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(link)
		}
		if err != nil {
			return fmt.Errorf("bring %s up: %w", name, err)
		}
	}
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(addr)
	if err == nil {
		err = netlink.AddrAdd(link, a)
	}
	for _, r := range routes {
		_, to, parsed := net.ParseCIDR(r)
		if err = errors.Join(err, parsed); err == nil {
			err = netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: to})
		}
	}
	return err
}

// thread runs f on a thread that ends with it. The main thread cannot: while it
// is held, f gets another.
func (m *machine) thread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		done := make(chan struct{})
		m.thread(func() { defer close(done); f() })
		<-done
		runtime.UnlockOSThread()
	}()
}

// in runs f on the machine: sockets and processes that it makes are there.
func (m *machine) in(f func() error) error {
	done := make(chan error)
	m.thread(func() {
		err := unix.Setns(m.ns, unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		done <- err
	})
	return <-done
}

// dial connects from the machine.
func (m *machine) dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	err = m.in(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// edge is the agent of this machine, which has joined a server elsewhere.
type edge struct {
	c    *realCloud
	args []string
	log  lines
	cmd  *exec.Cmd
}

// join makes a token and starts an agent with it.
func (c *realCloud) join(name, dir string) *edge {
	c.t.Helper()
	r, err := c.core.Call(c.ctx, "host.jointoken", name, 3600)
	if err != nil {
		c.t.Fatal(err)
	}
	file, token := filepath.Join(c.t.TempDir(), "agent.yaml"), filepath.Join(c.t.TempDir(), "token")
	text := fmt.Sprintf("data: %s\nhypervisor: {driver: libvirt, type: qemu, libvirt_socket: %s}\nagent: {host: %s, gate: 'http://%s:5030', shutdown_repeat: 1s}\ngate: {link_local: true}\n",
		dir, sandbox.LibvirtSocket, name, serverAddr)
	if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.WriteFile(token, []byte(r.Text+"\n"), 0o600)); err != nil {
		c.t.Fatal(err)
	}
	e := &edge{c: c, args: []string{"agent", "--config", file, "--server", serverAddr + ":2480", "--token-file", token}}
	e.log.more = make(chan struct{}, 1)
	e.start()
	c.t.Cleanup(func() {
		e.kill()
		if c.t.Failed() {
			c.t.Logf("the agent's log:\n%s", &e.log)
		}
	})
	return e
}

func (e *edge) start() {
	e.c.t.Helper()
	e.cmd = exec.Command(e.c.bin, e.args...)
	e.cmd.Stdout, e.cmd.Stderr = &e.log, &e.log
	if err := e.cmd.Start(); err != nil {
		e.c.t.Fatal(err)
	}
}

// kill ends the agent without a word.
func (e *edge) kill() {
	if e.cmd != nil {
		_ = e.cmd.Process.Kill() // it may have ended by itself
		_ = e.cmd.Wait()         // it was killed
		e.cmd = nil
	}
}

// TestLinkLocalGateOfJoinedAgent lets what is on a guest's bridge reach the gate
// of a server on another machine, to which nothing but the host has a route: by
// the agent that has joined that server, also after it was killed. The machine of
// libvirt boots nothing; a namespace on its bridge asks with its token.
func TestLinkLocalGateOfJoinedAgent(t *testing.T) {
	c := newRealCloud(t)
	ns.Libvirtd(t)
	server := newMachine(t, "toserver", serverAddr+"/24")
	link, err := netlink.LinkByName("toserver")
	if err != nil {
		t.Fatal(err)
	}
	addr, err := netlink.ParseAddr(hostAddr + "/24")
	if err == nil {
		err = netlink.AddrAdd(link, addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.driver = "{driver: sim}"
	c.listen = fmt.Sprintf("{core: '%[1]s:2633', flow: '%[1]s:2474', gate: '%[1]s:5030', agents: '%[1]s:2480'}", serverAddr)
	c.launch = func(cmd *exec.Cmd) error { return server.in(cmd.Start) }
	c.up("gate: {link_local: true}")
	const monitored = "2"
	is := func(path, want string) func(*doc.Node) bool {
		return func(n *doc.Node) bool { return n.Get(path) == want }
	}
	c.until("the simulated host is there", "host.info", 0, is("STATE", monitored))
	c.call("host.status", 0, 1) // nothing goes there
	dir := filepath.Join(t.TempDir(), "agent")
	agent := c.join("edge1", dir)
	c.until("the joined host is there", "host.info", 1, is("STATE", monitored))
	c.call("vn.allocate", "NAME=edge\nVN_MAD=bridge\nBRIDGE=onebr78\nNETWORK_MASK=255.255.255.0\nAR=[TYPE=IP4, IP=10.77.0.5, SIZE=9]", -1)
	c.call("template.allocate", "NAME=mute\nCPU=0.1\nMEMORY=16\nNIC=[NETWORK=edge]\nCONTEXT=[TOKEN=YES, NETWORK=YES, PASSWORD=s3cret]")
	vm := c.instantiate()
	n := c.untilVM(vm, vmRunning)
	if got := n.Get("TEMPLATE/CONTEXT/ONEGATE_ENDPOINT"); got != gaterelay.Endpoint {
		t.Errorf("the guest is told %q", got)
	}
	if got := n.Get("TEMPLATE/CONTEXT/PASSWORD"); got == "s3cret" {
		t.Error("the password is kept in clear")
	}

	guest := newMachine(t, "toguest", n.Get("TEMPLATE/NIC/IP")+"/24", "169.254.16.9/32")
	plug(t, "toguest", "onebr78")
	if conn, err := guest.dial(c.ctx, "tcp4", serverAddr+":5030"); err == nil {
		conn.Close()
		t.Error("the guest has a route to the server")
	}
	stime, err := strconv.ParseInt(n.Get("STIME"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	owner := c.until("oneadmin", "user.info", 0, is("NAME", "oneadmin"))
	token, err := gatetoken.New(owner.Get("TEMPLATE/TOKEN_PASSWORD"), vm, stime)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body, token string) (int, string, http.Header) {
		t.Helper()
		status, text, header, err := askGate(c.ctx, guest, method, path, body, token, vm)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		return status, text, header
	}
	status, text, header := ask("GET", "/vm", "", token)
	if status != 200 || !strings.Contains(text, `"ID":"`+strconv.Itoa(vm)+`"`) {
		t.Errorf("GET /vm: %d %s", status, text)
	}
	if status, text, _ := ask("GET", "/vm", "", "x"+token[1:]); status != 401 || text != "Not authorized" {
		t.Errorf("with another token: %d %s", status, text)
	}
	if status, text, _ := ask("PUT", "/vm", "LOAD = 85", token); status != 200 || text != "" {
		t.Errorf("PUT /vm: %d %s", status, text)
	}
	c.until("the guest's load", "vm.info", vm, is("USER_TEMPLATE/LOAD", "85"))

	// A guest that waits is told, by the relay too. The first revision is of before
	// the change, so that the second answer is the one that was waited for.
	_, _, header = ask("GET", "/vm?watch="+strings.Trim(header.Get("ETag"), `"`), "", token)
	waited := make(chan string, 1)
	go func() {
		_, text, _, err := askGate(c.ctx, guest, "GET", "/vm?watch="+strings.Trim(header.Get("ETag"), `"`), "", token, vm)
		waited <- fmt.Sprint(text, err)
	}()
	c.call("vm.update", vm, "TOLD=1", 1)
	select {
	case got := <-waited:
		if !strings.Contains(got, `"TOLD":"1"`) {
			t.Errorf("who waited got %s", got)
		}
	case <-c.ctx.Done():
		t.Fatal("who waited got nothing")
	}

	agent.kill()
	agent.start()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		attempt, cancel := context.WithTimeout(c.ctx, 2*time.Second)
		status, text, _, err = askGate(attempt, guest, "PUT", "/vm", "LOAD = 86", token, vm)
		cancel()
		if err == nil {
			break
		}
		select {
		case <-again.C:
		case <-c.ctx.Done():
			t.Fatalf("after the agent was killed: %v", err)
		}
	}
	if status != 200 {
		t.Errorf("after the agent was killed: %d %s", status, text)
	}
	c.until("the guest's load", "vm.info", vm, is("USER_TEMPLATE/LOAD", "86"))

	// A new CONTEXT reaches the disk on the guest's host.
	c.call("vm.updateconf", vm, `CONTEXT=[NOTE="it's new"]`, 1)
	c.until("the new context", "vm.info", vm, is("TEMPLATE/CONTEXT/NOTE", "it's new"))
	c.untilVM(vm, vmRunning)
	iso := filepath.Join(dir, "datastores", "0", strconv.Itoa(vm), "disk.0")
	for _, f := range []struct{ path, want string }{
		{"/context.sh", `NOTE='it'\''s new'` + "\n"}, {"/context.sh", "PASSWORD='s3cret'\n"}, {"/token.txt", token + "\n"},
	} {
		if out, err := exec.Command("isoinfo", "-R", "-x", f.path, "-i", iso).Output(); err != nil || !strings.Contains(string(out), f.want) {
			t.Errorf("%s lacks %q: %s (%v)", f.path, f.want, out, err)
		}
	}

	c.call("vm.action", "terminate-hard", vm)
	c.untilVM(vm, "6/0")
	if got := doors(t); got != "" {
		t.Errorf("without guests there is %s", got)
	}
	agent.kill()
	c.down() // what it logged is written by now
	if want := fmt.Sprintf("change=update guest=%[1]d vm=%[1]d owner=0 from=%s:", vm, hostAddr); !strings.Contains(c.log.String(), want) {
		t.Errorf("the server does not tell of a change %s:\n%s", want, &c.log)
	}
}

// plug puts a cable into a bridge.
func plug(t *testing.T, port, bridge string) {
	t.Helper()
	link, err := netlink.LinkByName(port)
	if err != nil {
		t.Fatal(err)
	}
	to, err := netlink.LinkByName(bridge)
	if err == nil {
		err = netlink.LinkSetMaster(link, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// askGate makes a request of a guest on its bridge.
func askGate(ctx context.Context, from *machine, method, path, body, token string, vm int) (status int, text string, h http.Header, err error) {
	req, err := http.NewRequestWithContext(ctx, method, gaterelay.Endpoint+path, strings.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	req.Header.Set("X-ONEGATE-TOKEN", token)
	req.Header.Set("X-ONEGATE-VMID", strconv.Itoa(vm))
	res, err := (&http.Transport{DisableKeepAlives: true, DialContext: from.dial}).RoundTrip(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), res.Header, err
}
