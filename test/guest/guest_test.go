// Package guest boots a real guest: real QEMU under a real libvirt, a real disk, a real context CD, a real kernel.
package guest

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/go-libvirt"

	"github.com/trifid-cloud/trifid/internal/guestimage"
	"github.com/trifid-cloud/trifid/internal/sandbox"
	"github.com/trifid-cloud/trifid/test/ns"
)

func TestMain(m *testing.M) { os.Exit(ns.Run(m)) }

const (
	guestName = "guest"
	guestMAC  = "02:00:0a:47:00:05"
	guestIP   = "10.71.0.5"
	deadline  = 3 * time.Minute // for the whole of a guest's life; only a failure waits for it
)

// The hardware a small guest of ours sees: machine pc, virtio disk and NIC, the CD on IDE.
const domainXML = `<domain type='qemu'>
  <name>%[1]s</name>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>%[2]s</kernel>
    <initrd>%[3]s</initrd>
    <cmdline>%[4]s</cmdline>
  </os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='%[5]s/root.img'/><target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/><source file='%[5]s/context.iso'/><target dev='hda' bus='ide'/><readonly/>
    </disk>
    <interface type='bridge'>
      <mac address='%[6]s'/><source bridge='%[7]s'/><model type='virtio'/>
    </interface>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <serial type='file'><source path='%[5]s/console'/></serial>
  </devices>
</domain>`

func TestGuest(t *testing.T) {
	ns.Enter(t, "genisoimage", "mkfs.ext4")
	daemon := ns.Libvirtd(t)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()

	gate := &standInGate{t: t, token: "c2VjcmV0", vmID: "7", puts: make(chan string, 64), asked: make(chan string, 64)}
	endpoint := gate.serve(sandbox.Address.Addr())

	dir := t.TempDir()
	disk := guestimage.RootDisk{Main: guestimage.DemoScript, Onegate: buildClient(ctx, t)}
	if err := disk.Write(ctx, filepath.Join(dir, "root.img")); err != nil {
		t.Fatal(err)
	}
	writeContext(t, filepath.Join(dir, "context.iso"), gate.token, map[string]string{
		"ETH0_MAC":            guestMAC,
		"ETH0_IP":             guestIP,
		"ETH0_MASK":           "255.255.255.0",
		"ETH0_GATEWAY":        sandbox.Address.Addr().String(),
		"ETH0_MTU":            "",
		"SET_HOSTNAME":        "it's me", // quoting is the harder half of a context
		"ONEGATE_ENDPOINT":    endpoint,
		"VMID":                gate.vmID,
		"START_SCRIPT_BASE64": base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\nping -c 1 " + sandbox.Address.Addr().String())),
	})
	boot := newBoot(t)
	console := filepath.Join(dir, "console")

	conn := connect(t)
	domain, err := conn.DomainCreateXML(fmt.Sprintf(domainXML, guestName, boot.Kernel, boot.Initrd, boot.Cmdline,
		dir, guestMAC, sandbox.Bridge), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if text, err := os.ReadFile(console); t.Failed() && err == nil {
			t.Logf("the guest's console:\n%s", text)
		}
	})

	text, err := guestimage.AwaitConsole(ctx, console, "trifid-guest: start script ended with")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"trifid-guest: context read from /dev/sr0",
		"trifid-guest: eth0 " + guestMAC + " " + guestIP,
		guestimage.MarkerBooted,
		"trifid-guest: start script ended with 0", // it has pinged the bridge
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the console does not say %q", want)
		}
	}

	await(ctx, t, gate.puts, "READY=YES")
	await(ctx, t, gate.asked, "/service") // by the onegate client
	gate.setLoad("42")
	await(ctx, t, gate.puts, "LOAD=42")

	// A libvirtd that is killed and comes back finds the guest alive.
	if err := daemon.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	conn = connect(t)
	if active, err := conn.DomainIsActive(domain); err != nil || active != 1 {
		t.Fatalf("after a restart of libvirtd the guest is active: %d, %v", active, err)
	}
	gate.setLoad("77")
	await(ctx, t, gate.puts, "LOAD=77")

	events, err := conn.LifecycleEvents(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.DomainShutdown(domain); err != nil {
		t.Fatal(err)
	}
	awaitGone(ctx, t, events)
	if _, err := conn.DomainLookupByName(guestName); !libvirt.IsNotFound(err) {
		t.Errorf("after its shutdown libvirt says of the guest: %v", err)
	}
	if _, err := guestimage.AwaitConsole(ctx, console, guestimage.MarkerPoweringOff); err != nil {
		t.Error(err)
	}
}

// newBoot skips the test when the guest's kernel has not been fetched.
func newBoot(t *testing.T) guestimage.Boot {
	t.Helper()
	cache, err := guestimage.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(cache, "kernel")); err != nil {
		t.Skip("SKIPPED: no guest kernel: run `make deps`")
	}
	boot, err := guestimage.NewBoot(cache)
	if err != nil {
		t.Fatal(err)
	}
	return boot
}

// connect returns a connection to the private libvirtd, closed when the test ends.
func connect(t *testing.T) *libvirt.Libvirt {
	t.Helper()
	uri, err := url.Parse("qemu+unix:///system?socket=" + sandbox.LibvirtSocket)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := libvirt.ConnectToURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Disconnect() }) // the daemon may have been killed in between
	return conn
}

// writeContext makes a context CD with another program than ours, whose own tests are elsewhere.
func writeContext(t *testing.T, path, token string, variables map[string]string) {
	t.Helper()
	files := t.TempDir()
	var script strings.Builder
	for name, value := range variables {
		fmt.Fprintf(&script, "%s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	for name, content := range map[string]string{"context.sh": script.String(), "token.txt": token + "\n"} {
		if err := os.WriteFile(filepath.Join(files, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("genisoimage", "-quiet", "-J", "-R", "-V", "CONTEXT", "-o", path, files).CombinedOutput()
	if err != nil {
		t.Fatalf("genisoimage: %v\n%s", err, out)
	}
}

// buildClient builds the guest's client and returns its path.
func buildClient(ctx context.Context, t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "onegate")
	build := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", path, "../../cmd/onegate")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the onegate client: %v\n%s", err, out)
	}
	return path
}

// await waits until the guest has said something to the gate.
func await(ctx context.Context, t *testing.T, said <-chan string, want string) {
	t.Helper()
	for {
		select {
		case got := <-said:
			if got == want {
				return
			}
		case <-ctx.Done():
			t.Fatalf("the guest has not said %s: %v", want, ctx.Err())
		}
	}
}

// awaitGone waits until libvirt reports that the guest has shut itself down.
func awaitGone(ctx context.Context, t *testing.T, events <-chan libvirt.DomainEventLifecycleMsg) {
	t.Helper()
	for {
		select {
		case event, ok := <-events:
			if !ok {
				t.Fatal("libvirt's events have ended")
			}
			if libvirt.DomainEventType(event.Event) != libvirt.DomainEventStopped {
				continue
			}
			if detail := libvirt.DomainEventStoppedDetailType(event.Detail); detail != libvirt.DomainEventStoppedShutdown {
				t.Errorf("the guest has stopped with detail %d, want a shutdown", detail)
			}
			return
		case <-ctx.Done():
			t.Fatalf("the guest has not shut down: %v", ctx.Err())
		}
	}
}
