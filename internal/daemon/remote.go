package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/agentapi/grpcapi"
	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/pki"
)

// AgentOptions say how the agent of this machine runs by itself.
type AgentOptions struct {
	Config  config.Config
	Version string
	Servers []string // host:port of the servers' listen.agents
	Token   string   // join token; needed the first time only
	Log     *slog.Logger
}

// RunAgent runs the agent of this machine until ctx is done: it joins with a token
// if it has no identity yet, and keeps its link to whichever server leads.
func RunAgent(ctx context.Context, o AgentOptions) (err error) {
	dir, err := openDataDir(o.Config.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	name := o.Config.Agent.Host
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return fmt.Errorf("name of this host: %w", err)
		}
	}
	o.Config.Agent.Host = name
	id, err := identity(ctx, o, dir.join("agent"), name)
	if err != nil {
		return err
	}
	connector, err := grpcapi.NewConnector(grpcapi.ConnectorConfig{Addresses: o.Servers, Identity: id, Logger: o.Log})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var renewals sync.WaitGroup
	renewals.Go(func() { connector.KeepRenewed(ctx) })
	defer func() { cancel(); renewals.Wait() }()
	h := &localHost{
		cfg: o.Config, dir: dir, version: o.Version, log: o.Log,
		connect: func(string, int) agentapi.Connector { return connector },
	}
	return h.run(ctx)
}

// identity returns who this machine is to the cluster, joining it if need be.
func identity(ctx context.Context, o AgentOptions, dir, name string) (*pki.Identity, error) {
	id, err := pki.Load(dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	if o.Token == "" {
		return nil, errors.New("this machine has not joined a cluster yet: make a token on the server with 'trifid join-token' and give it in a file with --token-file")
	}
	token, err := pki.ParseToken(o.Token)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	driver := "kvm" // or qemu, which the host's facts tell
	if o.Config.Hypervisor.Driver == "sim" {
		driver = dummyDriver
	}
	return grpcapi.Join(ctx, grpcapi.JoinConfig{Addresses: o.Servers, Token: token, Dir: dir, Hello: agentapi.Hello{
		Host: name, HostID: -1, Version: o.Version, IMMad: driver, VMMad: driver,
	}})
}
