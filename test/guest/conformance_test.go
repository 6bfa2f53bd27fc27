package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	rpc "github.com/digitalocean/go-libvirt"
	"github.com/vishvananda/netlink"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/disk"
	"github.com/trifid-cloud/trifid/internal/guestimage"
	"github.com/trifid-cloud/trifid/internal/hostnet"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/hypervisor/hypertest"
	"github.com/trifid-cloud/trifid/internal/hypervisor/libvirt"
	"github.com/trifid-cloud/trifid/internal/sandbox"
	"github.com/trifid-cloud/trifid/internal/tmpl"
	"github.com/trifid-cloud/trifid/test/ns"
)

// realHost is a host as an agent has it: the driver, its disks, its networks, and
// images of a small guest.
type realHost struct {
	driver *libvirt.Driver
	disks  *disk.Host
	nets   *hostnet.Host
	boot   guestimage.Boot
	image  disk.Stored
}

func newRealHost(t *testing.T) *realHost {
	t.Helper()
	ns.Enter(t, "mkfs.ext4", "qemu-img")
	h := &realHost{boot: newBoot(t), nets: hostnet.New(hostnet.Config{})}
	driver, err := libvirt.New(libvirt.Config{Socket: sandbox.LibvirtSocket, Version: "6.8.3"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	h.driver = driver
	if h.disks, err = disk.New(disk.Config{
		Base: filepath.Join(t.TempDir(), "datastores"), KernelDirs: []string{filepath.Dir(h.boot.Kernel), filepath.Dir(h.boot.Initrd)},
	}); err != nil {
		t.Fatal(err)
	}
	upload := t.TempDir()
	root := filepath.Join(upload, "root.img")
	if err := (guestimage.RootDisk{}).Write(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	h.image, err = h.disks.ImportVerified(t.Context(), &agentapi.ImageSpec{ID: 1, DatastoreID: 1, Path: root, Format: "qcow2", SafeDirs: []string{upload}}, disk.Sums{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// machine prepares a VM whose guest boots from a disk of the given name, on a
// bridge that is made for it.
func (h *realHost) machine(t *testing.T, id int, target string) (*agentapi.Machine, string) {
	t.Helper()
	m := &agentapi.Machine{
		ID: id, Domain: fmt.Sprintf("one-%d", id), Title: "a guest", VMMad: "kvm", Kernel: h.boot.Kernel, Initrd: h.boot.Initrd,
		Template: tmpl.New(
			tmpl.Single("CPU", "0.25"), tmpl.Single("MEMORY", "128"),
			tmpl.Vec("OS", "KERNEL_CMD", h.boot.Cmdline),
			tmpl.Vec("DISK", "DISK_ID", "0", "TARGET", target, "SOURCE", h.image.Source, "FORMAT", h.image.Format, "TM_MAD", "qcow2",
				"CLONE", "YES", "SAVE", "NO", "TYPE", "FILE", "SIZE", strconv.FormatInt(h.image.SizeMB, 10)),
			tmpl.Vec("NIC", "NIC_ID", "0", "VN_MAD", "bridge", "BRIDGE", "onebr1", "NETWORK_ID", "1", "MAC", guestMAC, "IP", guestIP),
		),
		Context: &agentapi.Context{DiskID: 1, Target: "hda", Time: 1700000000, Token: "dG9rZW4=",
			Vars: tmpl.Vec("CONTEXT", "ETH0_MAC", guestMAC, "ETH0_IP", guestIP, "VMID", strconv.Itoa(id), "DISK_ID", "1", "TARGET", "hda").Vector},
	}
	for what, prepare := range map[string]func(context.Context, *agentapi.Machine) error{
		"disks": h.disks.Prepare, "context": h.disks.Context, "networks": h.nets.Pre,
	} {
		if err := prepare(t.Context(), m); err != nil {
			t.Fatalf("prepare %s of VM %d: %v", what, id, err)
		}
	}
	dir := h.disks.Dir(m)
	t.Cleanup(func() {
		if console, err := os.ReadFile(filepath.Join(dir, "console.log")); t.Failed() && err == nil {
			t.Logf("the console of VM %d:\n%s", id, console)
		}
		ctx := context.Background()
		if err := errors.Join(h.driver.Destroy(ctx, m.Domain), h.nets.Clean(ctx, m), h.disks.Finish(ctx, m)); err != nil {
			t.Errorf("remove VM %d: %v", id, err)
		}
	})
	return m, dir
}

// killGuest kills the QEMU of a domain.
func killGuest(domain string) error {
	data, err := os.ReadFile("/run/libvirt/qemu/" + domain + ".pid")
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

func TestLibvirtConformance(t *testing.T) {
	ns.Libvirtd(t)
	h := newRealHost(t)
	conn := connect(t)
	hypertest.Run(t, hypertest.Setup{
		Driver:   h.driver,
		Machine:  func(t *testing.T, id int) (*agentapi.Machine, string) { return h.machine(t, id, "vda") },
		Kill:     killGuest,
		Timeout:  deadline,
		Parallel: 3,
		NICs:     func(domain string) ([]string, error) { return nicsOf(conn, domain) },
		Disks:    func(domain string) ([]string, error) { return disksOf(conn, domain) },
		Snapshots: func(domain string) ([]string, error) {
			dom, err := conn.DomainLookupByName(domain)
			if err != nil {
				return nil, err
			}
			return conn.DomainSnapshotListNames(dom, 100, 0)
		},
		Listens: func(t *testing.T, m *agentapi.Machine, dir string) {
			if _, err := guestimage.AwaitConsole(t.Context(), filepath.Join(dir, "console.log"), guestimage.MarkerBooted); err != nil {
				t.Fatal(err)
			}
		},
		NoLimits: noLimits(t),
	})
}

// noLimits tells why this host cannot limit NICs the way libvirt does, "" if it can.
func noLimits(t *testing.T) string {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	shaper := &netlink.GenericQdisc{QdiscType: "sfq", QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: lo.Attrs().Index, Handle: netlink.MakeHandle(9, 0), Parent: netlink.HANDLE_ROOT,
	}}
	switch err := netlink.QdiscAdd(shaper); {
	case errors.Is(err, syscall.ENOENT):
		return "this kernel has no sfq (CONFIG_NET_SCH_SFQ)"
	case err != nil:
		t.Fatal(err)
	}
	if err := netlink.QdiscDel(shaper); err != nil {
		t.Fatal(err)
	}
	return ""
}

// nicsOf returns the MACs of a domain's NICs as libvirt knows them.
func nicsOf(conn *rpc.Libvirt, domain string) (macs []string, err error) {
	dom, err := conn.DomainLookupByName(domain)
	if err != nil {
		return nil, err
	}
	doc, err := conn.DomainGetXMLDesc(dom, 0)
	if err != nil {
		return nil, err
	}
	for _, m := range regexp.MustCompile(`<mac address='([^']*)'/>`).FindAllStringSubmatch(doc, -1) {
		macs = append(macs, m[1])
	}
	return macs, nil
}

// disksOf returns the targets of a domain's disks as libvirt knows them.
func disksOf(conn *rpc.Libvirt, domain string) (targets []string, err error) {
	dom, err := conn.DomainLookupByName(domain)
	if err != nil {
		return nil, err
	}
	doc, err := conn.DomainGetXMLDesc(dom, 0)
	if err != nil {
		return nil, err
	}
	for _, m := range regexp.MustCompile(`<target dev='([hsv]d[a-z]*)' bus=`).FindAllStringSubmatch(doc, -1) {
		targets = append(targets, m[1])
	}
	return targets, nil
}

// TestScsiGuest boots from a disk called sda: by the controller we ask for, not
// by the one that libvirt would choose, which this kernel does not know.
func TestScsiGuest(t *testing.T) {
	ns.Libvirtd(t)
	h := newRealHost(t)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	m, dir := h.machine(t, 7, "sda")
	m.Context.Target = "sdb" // on the same controller, which a kernel takes long to search
	if _, err := h.driver.Start(ctx, m, dir); err != nil {
		t.Fatal(err)
	}
	console, err := guestimage.AwaitConsole(ctx, filepath.Join(dir, "console.log"), guestimage.MarkerBooted)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"trifid-guest: context read from /dev/sr0", "trifid-guest: eth0 " + guestMAC + " " + guestIP} {
		if !strings.Contains(console, want) {
			t.Errorf("the console does not say %q", want)
		}
	}
}

// TestLibvirtdRestarts lets the daemon die under the driver: guests live on, the
// driver says what is wrong, comes back by itself, and asks to be read again.
func TestLibvirtdRestarts(t *testing.T) {
	daemon := ns.Libvirtd(t)
	h := newRealHost(t)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	m, dir := h.machine(t, 7, "vda")
	deployID, err := h.driver.Start(ctx, m, dir)
	if err != nil {
		t.Fatal(err)
	}
	events, err := h.driver.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err = h.driver.List(ctx)
	if want := "libvirt is not reachable at " + sandbox.LibvirtSocket; err == nil || !strings.Contains(err.Error(), want) ||
		!strings.Contains(err.Error(), "is libvirtd running?") || errors.Is(err, hypervisor.ErrNoDomain) {
		t.Errorf("without libvirtd: %v", err)
	}
	type found struct {
		state agentapi.DomainState
		err   error
	}
	asked := make(chan found, 1)
	go func() { // waits for it
		state, err := h.driver.State(ctx, m.Domain)
		asked <- found{state, err}
	}()
	if err := daemon.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if f := <-asked; f.err != nil || f.state != agentapi.DomainRunning {
		t.Errorf("asked while it was away: %s (%v)", f.state, f.err)
	}
	awaitEvent(ctx, t, events, func(e hypervisor.Event) bool { return e.Resync })
	if state, err := h.driver.State(ctx, m.Domain); err != nil || state != agentapi.DomainRunning {
		t.Errorf("after the restart the guest is %s (%v)", state, err)
	}
	if again, err := h.driver.Start(ctx, m, dir); err != nil || again != deployID {
		t.Errorf("started again: %s (%v), was %s", again, err, deployID)
	}
	if err := killGuest(m.Domain); err != nil {
		t.Fatal(err)
	}
	awaitEvent(ctx, t, events, func(e hypervisor.Event) bool { return e.VM == 7 && e.State == agentapi.DomainPoweroff })
}

func awaitEvent(ctx context.Context, t *testing.T, events <-chan hypervisor.Event, is func(hypervisor.Event) bool) {
	t.Helper()
	for e := range events {
		if is(e) {
			return
		}
	}
	t.Fatalf("the event did not come: %v", context.Cause(ctx))
}

// TestPausedGuest looks at what only libvirt's own words tell apart: a guest that
// an operator has paused, and one that is paused on its way to a checkpoint.
func TestPausedGuest(t *testing.T) {
	ns.Libvirtd(t)
	h := newRealHost(t)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	m, dir := h.machine(t, 7, "vda")
	if _, err := h.driver.Start(ctx, m, dir); err != nil {
		t.Fatal(err)
	}
	events, err := h.driver.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t)
	dom, err := conn.DomainLookupByName(m.Domain)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.DomainSuspend(dom); err != nil {
		t.Fatal(err)
	}
	awaitEvent(ctx, t, events, func(e hypervisor.Event) bool { return e.State == agentapi.DomainSuspended })
	if err := conn.DomainResume(dom); err != nil {
		t.Fatal(err)
	}
	awaitEvent(ctx, t, events, func(e hypervisor.Event) bool { return e.State == agentapi.DomainRunning })

	if err := h.driver.Save(ctx, m.Domain, filepath.Join(dir, "checkpoint")); err != nil {
		t.Fatal(err)
	}
	awaitEvent(ctx, t, events, func(e hypervisor.Event) bool {
		if e.State == agentapi.DomainSuspended || e.State == agentapi.DomainFailure {
			t.Errorf("a guest that was saved was reported as %s", e.State)
		}
		return e.State == agentapi.DomainPoweroff
	})
	// It may wake up in another directory.
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if _, err := h.driver.Restore(ctx, m, moved, filepath.Join(moved, "checkpoint")); err != nil {
		t.Fatal(err)
	}
	doc, err := conn.DomainGetXMLDesc(dom, 0)
	if err != nil || !strings.Contains(doc, moved+"/disk.0") || strings.Contains(doc, dir+"/disk.0") {
		t.Errorf("the guest that was moved is (%v)\n%s", err, doc)
	}
	if _, err := guestimage.AwaitConsole(ctx, filepath.Join(moved, "console.log"), guestimage.MarkerBooted); err != nil {
		t.Error(err)
	}
}

// TestLeftBehind finds a domain of the same name that is defined and does not
// run, as other tools leave them.
func TestLeftBehind(t *testing.T) {
	ns.Libvirtd(t)
	h := newRealHost(t)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	conn := connect(t)
	define := func(uuid string) {
		t.Helper()
		const doc = `<domain type='qemu'><name>one-7</name><uuid>%s</uuid><memory unit='MiB'>64</memory><os><type arch='x86_64'>hvm</type></os></domain>`
		if _, err := conn.DomainDefineXML(fmt.Sprintf(doc, uuid)); err != nil {
			t.Fatal(err)
		}
	}
	define("7b6a3c1e-5d0f-4a52-9d5c-6f1f5f3a0a07")
	if _, err := h.driver.State(ctx, "one-7"); !errors.Is(err, hypervisor.ErrNoDomain) {
		t.Errorf("a domain that does not run: %v", err)
	}
	if err := h.driver.Shutdown(ctx, "one-7"); !errors.Is(err, hypervisor.ErrNoDomain) {
		t.Errorf("a domain that does not run, shut down: %v", err)
	}
	m, dir := h.machine(t, 7, "vda")
	deployID, err := h.driver.Start(ctx, m, dir)
	if err != nil {
		t.Fatal(err)
	}
	define(deployID) // makes the running domain one that stays
	if err := h.driver.Destroy(ctx, "one-7"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.DomainLookupByName("one-7"); !rpc.IsNotFound(err) {
		t.Errorf("after its end the domain is still defined (%v)", err)
	}
}

// TestGoldenDomains has libvirt check every kind of domain we write against its
// schema.
func TestGoldenDomains(t *testing.T) {
	ns.Libvirtd(t)
	conn := connect(t)
	files, err := filepath.Glob("../../internal/hypervisor/libvirt/domainxml/testdata/*.xml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents (%v)", err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			doc, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dom, err := conn.DomainDefineXMLFlags(string(doc), rpc.DomainDefineValidate)
			if err != nil {
				var refusal rpc.Error
				if strings.Contains(name, "kvm") && errors.As(err, &refusal) && !strings.Contains(refusal.Message, "schema") {
					t.Skipf("SKIPPED: the schema holds, and this host has no such domain: %v", err)
				}
				t.Fatal(err)
			}
			if err := conn.DomainUndefineFlags(dom, rpc.DomainUndefineKeepNvram); err != nil {
				t.Error(err)
			}
		})
	}
}
