package target

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/trifid-cloud/trifid/internal/client"
)

// Options say how to run a Trifid server.
type Options struct {
	// Program and Args are the program to run; what says where the data is, and
	// that hosts are simulated, is added.
	Program string
	Args    []string
	// Data is the data directory; the log is put beside it.
	Data string
	// Config is the text of a configuration file, "" for none.
	Config string
}

// Trifid is a running server.
type Trifid struct {
	*Process
	Options
	// Start is how long it took from its start to the answer to an authenticated
	// one.system.version.
	Start time.Duration
	// Core and Gate are where it answers.
	Core, Gate netip.AddrPort
	// FlowURL is where OneFlow answers.
	FlowURL string
	// Client calls the core as oneadmin.
	Client *client.Core
	// Session is "oneadmin:secret".
	Session string
}

// startPatience bounds the start of a server.
const startPatience = 2 * time.Minute

// StartTrifid starts a server and waits until it answers.
func StartTrifid(ctx context.Context, o Options) (t *Trifid, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startPatience, fmt.Errorf("the server is not ready after %v", startPatience))
	defer cancel()
	args := append(o.Args, "--hypervisor", "sim", "--listen", "127.0.0.1:0", "--data", o.Data)
	if o.Config != "" {
		file := o.Data + ".yaml"
		if err := os.WriteFile(file, []byte(o.Config), 0o600); err != nil {
			return nil, fmt.Errorf("start the server: %w", err)
		}
		args = append(args, "--config", file)
	}
	p, err := start(o.Data+".log", o.Program, args...)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = p.Kill() // the error that matters is the one there is
		}
	}()
	for {
		line, err := p.line(ctx)
		if err != nil {
			return nil, fmt.Errorf("start the server: %w", err)
		}
		if line == "trifid: ready" {
			break
		}
	}
	t = &Trifid{Process: p, Options: o}
	if err := t.connect(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	if _, err := t.Client.Call(ctx, "system.version"); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	t.Start = time.Since(p.Began)
	return t, nil
}

// connect finds out where the server answers, and to whom.
func (t *Trifid) connect() error {
	b, err := os.ReadFile(filepath.Join(t.Data, "run", "endpoints.json"))
	if err != nil {
		return err
	}
	var at struct{ Core, Flow, Gate string }
	if err := json.Unmarshal(b, &at); err != nil {
		return fmt.Errorf("endpoints: %w", err)
	}
	auth, err := os.ReadFile(filepath.Join(t.Data, "auth", "one_auth"))
	if err != nil {
		return err
	}
	t.Session, t.FlowURL = string(bytes.TrimSpace(auth)), at.Flow
	for text, to := range map[string]*netip.AddrPort{at.Core: &t.Core, at.Gate: &t.Gate} {
		u, err := url.Parse(text)
		if err != nil {
			return fmt.Errorf("endpoints: %w", err)
		}
		if *to, err = netip.ParseAddrPort(u.Host); err != nil {
			return fmt.Errorf("endpoints: %w", err)
		}
	}
	t.Client, err = client.NewCore(client.Config{Endpoint: at.Core, Session: t.Session, Timeout: time.Minute})
	return err
}

// Profile has a server that was started for it write a profile of its processor
// time until the returned function is called, and one of its memory then. Others
// take no notice.
func (t *Trifid) Profile(name string) (stop func() error, err error) {
	if len(t.Args) == 0 || t.Args[0] != ServeCommand {
		return func() error { return nil }, nil
	}
	if err := t.say("cpu " + name); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	return func() error {
		if err := t.say("stop"); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		return written(filepath.Join(t.Args[2], name+".heap"))
	}, nil
}

// written waits for a profile: whoever asked for it may end the server next.
func written(file string) error {
	for range 300 {
		if _, err := os.Stat(file); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("profile: the server has not written %s", file)
}

// ServeCommand is the command by which the benchmark program itself is a server,
// one that can be profiled.
const ServeCommand = "serve"
