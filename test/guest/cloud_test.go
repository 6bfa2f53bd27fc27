package guest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/guestimage"
	"github.com/trifid-cloud/trifid/internal/sandbox"
	"github.com/trifid-cloud/trifid/test/ns"
)

// realCloud is "trifid up" with guests that are real.
type realCloud struct {
	t      *testing.T
	ctx    context.Context
	bin    string
	dir    string // data directory
	upload string // of images
	driver string // settings of the hypervisor
	listen string // settings of the addresses
	launch func(*exec.Cmd) error
	cmd    *exec.Cmd
	out    lines
	log    lines
	ended  chan error
	core   *client.Core
}

// lines is what a process writes.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // has room for one
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newRealCloud builds the program; nothing runs yet.
func newRealCloud(t *testing.T) *realCloud {
	t.Helper()
	ns.Enter(t, "mkfs.ext4", "qemu-img", "nft")
	if err := sandbox.LibvirtMissing(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/trifid").CombinedOutput(); err != nil {
		t.Fatalf("build trifid: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	c := &realCloud{t: t, ctx: ctx, dir: filepath.Join(t.TempDir(), "data"), upload: t.TempDir()}
	c.driver = "{driver: libvirt, type: qemu, libvirt_socket: " + sandbox.LibvirtSocket + "}"
	c.listen = "{core: '127.0.0.1:0', flow: '127.0.0.1:0', gate: '127.0.0.1:0'}"
	c.launch = (*exec.Cmd).Start
	c.out.more, c.log.more = make(chan struct{}, 1), make(chan struct{}, 1)
	c.bin = filepath.Join(bin, "trifid")
	return c
}

// start starts the server with more settings than those it needs.
func (c *realCloud) start(more string) {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "trifid.yaml")
	text := fmt.Sprintf(`data: %s
listen: %s
hypervisor: %s
agent: {shutdown_repeat: 1s}
images: {safe_dirs: [%s]}
%s
`, c.dir, c.listen, c.driver, c.upload, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(c.bin, "up", "--config", file)
	cmd.Stdout, cmd.Stderr = &c.out, &c.log
	if err := c.launch(cmd); err != nil {
		c.t.Fatal(err)
	}
	c.cmd, c.ended = cmd, make(chan error, 1)
	ended := c.ended
	go func() { ended <- cmd.Wait() }()
	c.t.Cleanup(func() {
		if c.cmd == cmd { // the test has failed
			c.kill()
		}
		if c.t.Failed() {
			c.t.Logf("the server's log:\n%s", &c.log)
			consoles, _ := filepath.Glob(filepath.Join(c.dir, "datastores/0/*/console.log")) // fails for a malformed pattern only
			for _, path := range consoles {
				text, err := os.ReadFile(path)
				c.t.Logf("%s: %v\n%s", path, err, text)
			}
		}
	})
}

// up starts the server and waits until it is ready.
func (c *realCloud) up(more string) {
	c.t.Helper()
	already := strings.Count(c.out.String(), "trifid: ready\n")
	c.start(more)
	for strings.Count(c.out.String(), "trifid: ready\n") == already {
		select {
		case <-c.out.more:
		case err := <-c.ended:
			c.ended <- err
			c.t.Fatalf("the server has ended: %v", err)
		case <-c.ctx.Done():
			c.t.Fatal("the server does not become ready")
		}
	}
	conf, err := client.Env{Getenv: func(string) string { return "" }, DataDir: c.dir, VarDir: c.t.TempDir()}.Core(client.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	if c.core, err = client.NewCore(conf); err != nil {
		c.t.Fatal(err)
	}
}

// kill ends the server without a word.
func (c *realCloud) kill() {
	c.t.Helper()
	_ = c.cmd.Process.Kill() // it may have ended by itself
	<-c.ended
	c.cmd = nil
}

// down stops the server.
func (c *realCloud) down() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	if err := <-c.ended; err != nil {
		c.t.Errorf("the server ends with %v", err)
	}
	c.cmd = nil
}

func (c *realCloud) call(method string, args ...any) int {
	c.t.Helper()
	r, err := c.core.Call(c.ctx, method, args...)
	if err != nil {
		c.t.Fatalf("%s%v: %v", method, args, err)
	}
	return r.Int
}

// until asks for a document until it is as it should be.
func (c *realCloud) until(what, method string, id int, is func(*doc.Node) bool) *doc.Node {
	c.t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		n, err := c.core.Doc(c.ctx, method, id)
		if err == nil && is(n) {
			return n
		}
		select {
		case <-again.C:
		case <-c.ctx.Done():
			c.t.Fatalf("never came: %s (%s: %v, state %s/%s, %s)", what, method, err, n.Get("STATE"), n.Get("LCM_STATE"), n.Get("USER_TEMPLATE/ERROR"))
		}
	}
}

// untilVM waits until a VM is in a state "STATE/LCM_STATE".
func (c *realCloud) untilVM(id int, state string) *doc.Node {
	c.t.Helper()
	return c.until(fmt.Sprintf("VM %d in %s", id, state), "vm.info", id, func(n *doc.Node) bool {
		return n.Get("STATE")+"/"+n.Get("LCM_STATE") == state
	})
}

const vmRunning = "3/3" // ACTIVE, RUNNING

// furnish registers what a guest boots from, a network on a bridge that is made
// for it, and VM template 0. Nothing of the machine has an address on that bridge.
func (c *realCloud) furnish() {
	c.t.Helper()
	boot := newBoot(c.t)
	root := filepath.Join(c.upload, "root.img")
	if err := (guestimage.RootDisk{Main: guestimage.DemoScript}).Write(c.ctx, root); err != nil {
		c.t.Fatal(err)
	}
	web := httptest.NewServer(http.FileServer(http.Dir(c.upload)))
	defer web.Close()
	for _, i := range []struct {
		name, typ, path, more string
		store                 int
	}{
		{"kernel", "KERNEL", web.URL + "/" + filepath.Base(c.copied(boot.Kernel)), "", 2}, {"initrd", "RAMDISK", c.copied(boot.Initrd), "", 2},
		{"disk", "OS", root, "FORMAT=raw\nDEV_PREFIX=vd", 1},
	} {
		id := c.call("image.allocate", fmt.Sprintf("NAME=%s\nTYPE=%s\nPATH=%q\n%s", i.name, i.typ, i.path, i.more), i.store)
		c.until("image "+i.name+" is ready", "image.info", id, func(n *doc.Node) bool { return n.Get("STATE") == "1" })
	}
	c.call("vn.allocate", `NAME=edge
VN_MAD=bridge
BRIDGE=onebr77
NETWORK_MASK=255.255.255.0
AR=[TYPE=IP4, IP=10.77.0.5, SIZE=9]`, -1)
	c.call("template.allocate", `NAME=guest
CPU=0.25
MEMORY=128
OS=[KERNEL_DS="$FILE[IMAGE=\"kernel\"]", INITRD_DS="$FILE[IMAGE=\"initrd\"]", KERNEL_CMD="console=ttyS0 quiet"]
DISK=[IMAGE=disk]
NIC=[NETWORK=edge]
CONTEXT=[TOKEN=YES, NETWORK=YES, REPORT_READY=YES]`)
}

// copied puts a file where images may be taken from.
func (c *realCloud) copied(path string) string {
	c.t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		path = filepath.Join(c.upload, filepath.Base(path))
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return path
}

// instantiate makes a VM from template 0.
func (c *realCloud) instantiate() int {
	c.t.Helper()
	return c.call("template.instantiate", 0, "", false, "", false)
}
