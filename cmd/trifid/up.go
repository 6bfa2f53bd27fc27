package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/daemon"
	"github.com/trifid-cloud/trifid/internal/logline"
)

// serverFlags are the settings that may be given on the command line; they win
// over the file.
type serverFlags struct {
	file, data, listen, hypervisor string
}

func (f *serverFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.file, "config", "c", "", "configuration file (YAML)")
	cmd.Flags().StringVar(&f.data, "data", "", "data directory (default "+config.Default().Data+")")
	cmd.Flags().StringVar(&f.listen, "listen", "", "address of every face: a host, or host:0 to pick free ports")
	cmd.Flags().StringVar(&f.hypervisor, "hypervisor", "", "how machines run: auto, libvirt or sim")
	_ = cmd.RegisterFlagCompletionFunc("hypervisor", cobra.FixedCompletions([]string{"auto", "libvirt", "sim"}, cobra.ShellCompDirectiveNoFileComp))
}

// load reads the configuration, lays the flags over it, and makes the logger it
// describes, which the caller closes.
func (f *serverFlags) load(stderr io.Writer) (config.Config, *slog.Logger, io.Closer, error) {
	c, ignored, err := config.Load(f.file)
	if err != nil {
		return c, nil, nil, err
	}
	if f.data != "" {
		c.Data = f.data
	}
	if f.hypervisor != "" {
		c.Hypervisor.Driver = f.hypervisor
	}
	if f.listen != "" {
		if err := setListen(&c.Listen, f.listen); err != nil {
			return c, nil, nil, err
		}
	}
	if err := c.Validate(); err != nil {
		return c, nil, nil, fmt.Errorf("settings: %w", err)
	}
	log, lines := logline.New(c.Log, stderr)
	for _, key := range ignored {
		log.Info("a setting of the original that means nothing here", "component", "settings", "key", key)
	}
	return c, log, lines, nil
}

// setListen gives every face the host, each with its own port unless that is 0.
func setListen(l *config.Listen, addr string) error {
	host, port := addr, ""
	if h, p, err := net.SplitHostPort(addr); err == nil {
		host, port = h, p
	}
	if port != "" && port != "0" {
		return fmt.Errorf("--listen %s: several faces cannot share port %s; give a host, host:0, or each address in the configuration", addr, port)
	}
	for _, to := range []*string{&l.Core, &l.Flow, &l.Gate} {
		p := port
		if p == "" {
			_, p, _ = net.SplitHostPort(*to)
		}
		*to = net.JoinHostPort(strings.Trim(host, "[]"), p)
	}
	return nil
}

func upCommand() *cobra.Command {
	var f serverFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a whole cloud on this machine: server and agent in one process",
		Long: `Run the server and the agent of this machine in one process, in the foreground.

It prints where everything is and, once every face answers, the line
"trifid: ready". SIGTERM or an interrupt stops it cleanly: guests keep running,
and "trifid up" on the same data directory takes everything up again.

The credentials of oneadmin are in DATA/auth/one_auth; the addresses stand in
DATA/run/endpoints.json.`,
		Example: `  trifid up
  trifid up --data /srv/cloud --listen 10.0.0.1
  trifid up --hypervisor sim --listen 127.0.0.1:0 --data /tmp/try`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd, f, true) },
	}
	f.bind(cmd)
	return cmd
}

func serverCommand() *cobra.Command {
	var f serverFlags
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run the server alone; agents of hosts connect to it",
		Long: `Run the server without an agent of this machine. Hosts join with
"trifid agent" and a join token; listen.agents in the configuration says where.`,
		Example: "  trifid server --config /etc/trifid.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return serve(cmd, f, false) },
	}
	f.bind(cmd)
	return cmd
}

func serve(cmd *cobra.Command, f serverFlags, withAgent bool) error {
	c, log, lines, err := f.load(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	err = daemon.Run(cmd.Context(), daemon.Options{Config: c, Version: version, Agent: withAgent, Log: log, Out: cmd.OutOrStdout()})
	return errors.Join(err, lines.Close())
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of the program and the level of its interfaces",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "trifid %s (interfaces of OpenNebula 6.8.3)\n", version)
			return err
		},
	}
}
