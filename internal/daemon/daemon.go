// Package daemon is a running server: it opens the data directory and the store,
// puts the service layer, the controllers, the faces and the agent of this host
// together, and takes them down in the reverse order. Wiring only.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/gaterelay"
	"github.com/trifid-cloud/trifid/internal/lifecycle"
	"github.com/trifid-cloud/trifid/internal/monitor"
	"github.com/trifid-cloud/trifid/internal/sched"
	"github.com/trifid-cloud/trifid/internal/schedact"
	"github.com/trifid-cloud/trifid/internal/store"
)

// Options say what to run.
type Options struct {
	Config  config.Config
	Version string
	// Agent tells to run an agent for this host in process, as "trifid up" does.
	Agent bool
	Log   *slog.Logger
	// Out gets where everything is, then the line "trifid: ready".
	Out io.Writer
}

// slowHashes bounds how many password hashes are computed at once: each takes
// 19 MB and a core for some milliseconds.
const slowHashes = 2

// Run runs a server until ctx is done.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := openDataDir(o.Config.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	creds, err := dir.loadCredentials()
	if err != nil {
		return err
	}
	st, err := store.Open(ctx, store.Config{Dir: dir.join("store"), Logger: o.Log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()

	s := &server{Options: o, dir: dir, store: st}
	if err := s.build(ctx, creds); err != nil {
		return errors.Join(err, s.closeListeners())
	}
	defer func() { err = errors.Join(err, dir.removeEndpoints()) }()
	return s.run(ctx)
}

// server is everything that runs.
type server struct {
	Options
	dir   *dataDir
	store *store.Store
	cloud *cloud.Cloud
	mon   *monitor.Monitor
	life  *lifecycle.Controller
	faces []*face
	parts []part
	// hosts are the parts that link hosts to the others; they are stopped first.
	hosts   []part
	control *control
	// agents is where agents of other machines connect, nil when none may.
	agents net.Listener
}

// part is something that runs until its context is done.
type part struct {
	name string
	run  func(context.Context) error
}

func (s *server) add(name string, run func(context.Context) error) {
	s.parts = append(s.parts, part{name, run})
}

func (s *server) addHosts(name string, run func(context.Context) error) {
	s.hosts = append(s.hosts, part{name, run})
}

// build puts the server together; nothing runs yet, but its listeners are open,
// also when it fails.
func (s *server) build(ctx context.Context, creds credentials) error {
	o, st := s.Options, s.store
	authn, err := auth.New(slowHashes)
	if err != nil {
		return err
	}
	s.mon = monitor.New()
	if err := s.openFaces(); err != nil {
		return err
	}
	cfg, err := s.cloudConfig(creds)
	if err != nil {
		return err
	}
	s.cloud = cloud.New(cloud.Options{
		Store: st, Auth: authn, Config: cfg, Log: o.Log.With("component", "cloud"), Monitor: s.mon,
	})
	if err := s.bootstrap(ctx, creds); err != nil {
		return err
	}
	logs := vmLogs{dir: s.dir.join("log/vms"), zone: o.Config.Zone.ID}
	s.life = lifecycle.New(lifecycle.Options{
		Store: st, Cloud: s.cloud, Samples: s.mon, Log: o.Log.With("component", "lifecycle"),
		LostAfter: o.Config.Core.LostAfter.Std(), LogLines: logs.add, DropLog: logs.drop,
	})
	scheduler := sched.New(sched.Options{Store: st, Cloud: s.cloud, Space: s.mon, Log: o.Log.With("component", "scheduler")})
	s.add("lifecycle", s.life.Run)
	s.add("scheduler", scheduler.Run)
	s.add("scheduled actions", schedact.New(schedact.Options{Store: st, Cloud: s.cloud, Log: o.Log.With("component", "schedact")}).Run)
	s.addHosts("simulated hosts", (&simFleet{server: s}).run)
	if err := s.addFaces(ctx); err != nil {
		return err
	}
	if err := s.addAgentListener(ctx); err != nil {
		return err
	}
	if s.control, err = listenControl(s.dir); err != nil {
		return err
	}
	s.add("control", func(ctx context.Context) error {
		return s.control.run(ctx, func(ctx context.Context, to io.Writer) error { _, err := st.Snapshot(ctx, to); return err })
	})
	if o.Agent {
		if err := s.addAgent(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) cloudConfig(creds credentials) (cloud.Config, error) {
	c := cloud.DefaultConfig()
	mac, err := s.Config.MACPrefix()
	if err != nil {
		return c, err
	}
	c.Zone, c.DatastoreDir, c.EncryptionKey = s.Config.Zone.ID, s.dir.join("datastores"), creds.key
	c.DevicePrefix, c.CDROMPrefix, c.MACPrefix = s.Config.Core.DevicePrefix, s.Config.Core.CDROMPrefix, mac
	c.SubmitOnHold, c.OtherPermissions = s.Config.Core.SubmitOnHold, s.Config.Core.OtherPermissions
	c.DefaultCost = cloud.Cost{CPU: s.Config.Core.CPUCost, Memory: s.Config.Core.MemoryCost, Disk: s.Config.Core.DiskCost}
	c.DoneRetention = s.Config.Core.DoneRetention.Std()
	c.OneGateEndpoint = s.Config.Gate.Endpoint
	if c.OneGateEndpoint == "" && s.Config.Gate.LinkLocal {
		c.OneGateEndpoint = gaterelay.Endpoint
	}
	if c.OneGateEndpoint == "" {
		c.OneGateEndpoint = s.face("gate").guestURL()
	}
	return c, nil
}

// run runs every part until ctx is done or one of them fails, and waits for all.
// The hosts' part goes first, while there is somebody to take leave of.
func (s *server) run(ctx context.Context) error {
	all, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	failed := make(chan error, 1)
	start := func(of context.Context, wg *sync.WaitGroup, name string, run func(context.Context) error) {
		wg.Go(func() {
			if err := run(of); err != nil && of.Err() == nil {
				select {
				case failed <- fmt.Errorf("%s: %w", name, err):
				default: // another was first
				}
			}
		})
	}
	var parts, hosts sync.WaitGroup
	for _, p := range s.parts {
		start(all, &parts, p.name, p.run)
	}
	for _, f := range s.faces {
		start(all, &parts, f.name, f.server.Run)
	}
	linked, unlink := context.WithCancel(all)
	defer unlink()
	for _, p := range s.hosts {
		start(linked, &hosts, p.name, p.run)
	}
	err := s.announce()
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-failed:
		case <-s.store.Done():
			err = s.store.Err()
		}
	}
	unlink()
	hosts.Wait()
	cancel(err)
	parts.Wait()
	return err
}

// closeListeners gives up the addresses of a server that does not run.
func (s *server) closeListeners() error {
	var errs []error
	for _, f := range s.faces {
		errs = append(errs, f.server.Close())
	}
	if s.agents != nil {
		errs = append(errs, s.agents.Close())
	}
	if s.control != nil {
		errs = append(errs, s.control.close())
	}
	return errors.Join(errs...)
}

// announce tells where everything is, when it is.
func (s *server) announce() error {
	e := Endpoints{Core: s.face("core").url("/RPC2"), Flow: s.face("flow").url(""), Gate: s.face("gate").url("")}
	if s.agents != nil {
		e.Agents = s.agents.Addr().String()
	}
	if f := s.face("metrics"); f != nil {
		e.Metrics = f.url("/metrics")
	}
	if err := s.dir.writeEndpoints(e); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.Out, `trifid %s
  core (XML-RPC)  %s
  flow            %s
  gate            %s (guests: %s)
  data            %s
  credentials     %s
trifid: ready
`, s.Version, e.Core, e.Flow, e.Gate, s.cloud.Config().OneGateEndpoint, s.dir.path, s.dir.join("auth/one_auth"))
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	return nil
}

func (s *server) face(name string) *face {
	for _, f := range s.faces {
		if f.name == name {
			return f
		}
	}
	return nil
}

// bootstrap makes the objects of a fresh installation.
func (s *server) bootstrap(ctx context.Context, creds credentials) error {
	driver := "ssh"
	if s.Config.Hypervisor.Driver == "sim" {
		driver = "dummy"
	}
	safe := ""
	for i, d := range s.Config.Images.SafeDirs {
		if i > 0 {
			safe += " "
		}
		safe += d
	}
	endpoint := s.Config.Zone.Endpoint
	if endpoint == "" {
		endpoint = s.face("core").url("/RPC2")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return s.cloud.Bootstrap(ctx, cloud.Bootstrap{
		Oneadmin: creds.oneadmin, Serveradmin: creds.serveradmin, ZoneName: s.Config.Zone.Name, Endpoint: endpoint,
		SafeDirs: safe, Driver: driver,
	})
}
