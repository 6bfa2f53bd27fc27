package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/trifid-cloud/trifid/internal/agent"
	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/agentapi/inproc"
	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/disk"
	"github.com/trifid-cloud/trifid/internal/hostnet"
	"github.com/trifid-cloud/trifid/internal/hypervisor/libvirt"
	"github.com/trifid-cloud/trifid/internal/store"
)

// localHost is the agent of the machine this process runs on.
type localHost struct {
	cfg     config.Config
	dir     *dataDir
	version string
	log     *slog.Logger // without a component: the agent and its driver name themselves
	connect func(host string, id int) agentapi.Connector
	// register tells the cloud of the host and returns its id; nil where the
	// server knows the host by its certificate.
	register func(ctx context.Context, name, driver string) (int, error)
	// serveGate serves guests by the gate of this process; nil where there is none.
	serveGate func(door net.Listener) error
}

// addAgent adds the agent of this host to a server.
func (s *server) addAgent(context.Context) error {
	if s.Config.Hypervisor.Driver == "sim" {
		return nil // the fleet of simulated hosts has its own
	}
	h := &localHost{
		cfg: s.Config, dir: s.dir, version: s.Version, log: s.Log,
		connect:  func(string, int) agentapi.Connector { return inproc.New(s.life, s.Log.With("component", "link")) },
		register: s.registerHost, serveGate: s.face("gate").server.Also,
	}
	s.addHosts("agent", func(ctx context.Context) error {
		return s.store.Lead(ctx, func(ctx context.Context, _ store.Term) error {
			err := h.run(ctx)
			if ctx.Err() != nil {
				return nil
			}
			return err
		})
	})
	return nil
}

// registerHost returns the id of the host of that name, creating it if need be.
func (s *server) registerHost(ctx context.Context, name, driver string) (int, error) {
	if id, ok := s.store.View().HostNames.Find(name); ok {
		return id, nil
	}
	id, err := s.cloud.AllocateHost(ctx, auth.System("bootstrap"), name, driver, driver, -1)
	if err != nil {
		return -1, fmt.Errorf("register this host: %w", err)
	}
	return id, nil
}

// run finds out what the machine can do and runs its agent.
func (h *localHost) run(ctx context.Context) error {
	name := h.cfg.Agent.Host
	if name == "" {
		var err error
		if name, err = os.Hostname(); err != nil {
			return fmt.Errorf("name of this host: %w", err)
		}
	}
	c := agent.Config{
		HostName: name, HostID: -1, Version: h.version, StateDir: h.dir.join("agent"), Logger: h.log,
		HostInterval: h.cfg.Agent.HostInterval.Std(), VMInterval: h.cfg.Agent.VMInterval.Std(),
		ShutdownRepeat: h.cfg.Agent.ShutdownRepeat.Std(),
	}
	var err error
	if h.cfg.Hypervisor.Driver == "sim" {
		c.Driver, err = newSim(h.cfg, name, h.dir.join("sim/host.journal"), nil)
	} else {
		err = h.findLibvirt(ctx, &c)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err := c.Driver.Close(); err != nil {
			h.log.Warn("hypervisor not closed", "component", "host", "err", err)
		}
	}()
	if c.Networks != nil {
		doors, err := h.openGate(ctx, c.Networks)
		if err != nil {
			return err
		}
		defer func() {
			if err := doors.Close(); err != nil {
				h.log.Warn("link-local access to the gate not closed", "component", "host", "err", err)
			}
		}()
		c.Networks = doors
	}
	if h.register != nil {
		if c.HostID, err = h.register(ctx, name, c.Driver.Info().Name); err != nil {
			return err
		}
	}
	c.Connector = h.connect(name, c.HostID)
	a, err := agent.New(c)
	if err != nil {
		return err
	}
	if err := a.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// findLibvirt gives an agent what it runs real machines with.
func (h *localHost) findLibvirt(ctx context.Context, c *agent.Config) error {
	log := h.log.With("component", "host")
	typ, reason, err := libvirt.Probe{
		Force: h.cfg.Hypervisor.Type, Kernel: h.cfg.Hypervisor.ProbeKernel, Cache: h.dir.join("agent/probe.json"),
	}.Find(ctx)
	if err != nil {
		log.Warn("probe of hardware virtualization", "err", err)
	}
	log.Info("domain type chosen", "type", typ, "because", reason)
	if _, err := os.Stat(h.cfg.Hypervisor.LibvirtSocket); err != nil {
		log.Warn("libvirt is not there yet; machines will wait for it. Install libvirt, name its socket in hypervisor.libvirt_socket, or run with --hypervisor sim",
			"socket", h.cfg.Hypervisor.LibvirtSocket)
	}
	disks, err := disk.New(disk.Config{Base: h.dir.join("datastores"), Owner: qemuOwner(), HTTP: downloads()})
	if err != nil {
		return err
	}
	driver, err := libvirt.New(libvirt.Config{Socket: h.cfg.Hypervisor.LibvirtSocket, Type: typ, Version: h.version, Logger: h.log})
	if err != nil {
		return err
	}
	c.Driver, c.Disks, c.Networks = driver, disks, hostnet.New(hostnet.Config{})
	return nil
}

// downloads returns the client that images and files are downloaded with. What
// arrives may take its time, an answer has to begin.
func downloads() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: answers, ResponseHeaderTimeout: answers,
		DialContext: (&net.Dialer{Timeout: answers}).DialContext, DisableKeepAlives: true,
	}}
}

// answers is how long a server may take to begin its answer.
const answers = 30 * time.Second

// qemuOwner returns who Debian's libvirt runs QEMU as, nil when there is no such
// account: then files are left to this process's own user.
func qemuOwner() *disk.Owner {
	u, err := user.Lookup("libvirt-qemu")
	if err != nil || os.Geteuid() != 0 {
		return nil
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil {
		return nil
	}
	return &disk.Owner{UID: uid, GID: gid}
}
