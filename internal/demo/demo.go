package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/trifid-cloud/trifid/internal/guestimage"
	"github.com/trifid-cloud/trifid/internal/sandbox"
)

// Options say what the demonstration runs with.
type Options struct {
	Program string // this very program: server and commands
	Onegate string // the guest's client
	Cache   string // where the guest kernel is
	Out     io.Writer
	Keep    bool // leave the working directory for a look
}

// limit bounds the whole demonstration.
const limit = 4 * time.Minute

// Run runs the demonstration; it must be called inside a sandbox.
func Run(ctx context.Context, o Options) (err error) {
	work, err := makeWorkDir(o.Keep)
	if err != nil {
		return fmt.Errorf("make the working directory: %w", err)
	}
	d := &demo{Options: o, t: newTimeline(o.Out), work: work}
	asked := ctx
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer func() {
		err = errors.Join(err, d.close(err != nil && asked.Err() == nil))
	}()
	for _, step := range []func(context.Context) error{
		d.startHypervisor, d.buildGuest, d.startCloud, d.registerImages, d.createNetwork, d.createTemplates,
		d.instantiate, d.showGuest, d.scaleUpThroughCrash, d.scaleDown, d.undeploy,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// demo is a demonstration that runs.
type demo struct {
	Options
	t       *timeline
	work    *workDir
	libvirt *sandbox.Libvirtd
	server  *server
	cloud   *watcher

	kernel, initrd, disk string
	template, service    int
}

func (d *demo) path(name string) string { return filepath.Join(d.work.path, name) }

// close takes everything down, and shows the logs if something has failed.
func (d *demo) close(failed bool) error {
	var errs []error
	if d.server != nil {
		errs = append(errs, d.server.stop())
	}
	if failed {
		fmt.Fprintf(d.Out, "\n--- end of the server's log\n%s\n", tail(d.path("server.log")))
		if d.libvirt != nil {
			fmt.Fprintf(d.Out, "--- end of libvirt's log\n%s\n", d.libvirt.Log())
		}
	}
	if d.libvirt != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		errs = append(errs, d.libvirt.Stop(ctx))
		cancel()
	}
	return errors.Join(append(errs, d.work.close(d.Keep))...)
}

func (d *demo) startHypervisor(ctx context.Context) error {
	var err error
	if d.libvirt, err = sandbox.StartLibvirtd(ctx); err != nil {
		return err
	}
	d.t.say("libvirt runs, in namespaces of its own")
	return nil
}

func (d *demo) buildGuest(ctx context.Context) error {
	boot, err := guestimage.NewBoot(d.Cache)
	if err != nil {
		return err
	}
	d.kernel, d.initrd, d.disk = boot.Kernel, boot.Initrd, d.path("guest.raw")
	if err := (guestimage.RootDisk{Onegate: d.Onegate, Main: guestimage.DemoScript}).Write(ctx, d.disk); err != nil {
		return err
	}
	d.t.say("guest built: a Debian kernel, busybox and the onegate client")
	return nil
}

func (d *demo) startCloud(ctx context.Context) error {
	if err := os.WriteFile(d.path("trifid.yaml"), d.config(), 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if err := d.start(ctx); err != nil {
		return err
	}
	d.t.say("cloud is up: trifid up --config trifid.yaml")
	var err error
	if d.cloud, err = newWatcher(d.path("data")); err != nil {
		return err
	}
	return d.cloud.until(ctx, "the host to be monitored", func(s snapshot) bool { return s.hostsOn > 0 })
}

// start starts the server on the data directory, whatever is in it.
func (d *demo) start(ctx context.Context) error {
	var err error
	d.server, err = startServer(ctx, d.Program, d.path("trifid.yaml"), d.path("server.log"))
	return err
}

func (d *demo) config() []byte {
	dirs := fmt.Sprintf("[%q, %q, %q]", d.work.path, filepath.Dir(d.kernel), filepath.Dir(d.initrd))
	return fmt.Appendf(nil, `data: %q
listen: {core: '127.0.0.1:2633', flow: '127.0.0.1:2474', gate: '%s:5030'}
gate: {endpoint: 'http://%s:5030'}
hypervisor: {driver: libvirt, libvirt_socket: %q}
agent: {host: edge, shutdown_repeat: 2s}
flow: {default_cooldown: 3s}
images: {safe_dirs: %s}
`, d.path("data"), sandbox.Address.Addr(), sandbox.Address.Addr(), sandbox.LibvirtSocket, dirs)
}
