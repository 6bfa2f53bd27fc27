package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/daemon"
)

func agentCommand() *cobra.Command {
	var f serverFlags
	var servers []string
	var tokenFile string
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run the agent of this machine alone, linked to a server",
		Long: `Run the agent of this machine. The first time it joins the cluster with a join
token, made on the server with "trifid join-token"; from then on it has a
certificate of its own, which it keeps renewed. The server never needs to reach
this machine: the agent dials.`,
		Example: `  trifid join-token --host edge2 > token        # on the server
  trifid agent --server 10.0.0.1:2480 --token-file token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			c, log, lines, err := f.load(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, lines.Close()) }()
			if len(servers) == 0 {
				return fmt.Errorf("no server: give --server host:port, the address in its listen.agents")
			}
			token, err := readToken(tokenFile, cmd.InOrStdin())
			if err != nil {
				return err
			}
			return daemon.RunAgent(cmd.Context(), daemon.AgentOptions{
				Config: c, Version: version, Servers: servers, Token: token, Log: log,
			})
		},
	}
	cmd.Flags().StringVarP(&f.file, "config", "c", "", "configuration file (YAML)")
	cmd.Flags().StringVar(&f.data, "data", "", "data directory (default "+config.Default().Data+")")
	cmd.Flags().StringArrayVar(&servers, "server", nil, "address of a server, host:port; may be repeated")
	cmd.Flags().StringVar(&tokenFile, "token-file", "", "file with the join token, - for standard input")
	return cmd
}

// readToken reads a join token from a file: in an argument everybody could see it.
func readToken(file string, in io.Reader) (string, error) {
	if file == "" {
		return "", nil
	}
	if file != "-" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read the join token: %w", err)
		}
		return strings.TrimSpace(string(b)), nil
	}
	b, err := io.ReadAll(io.LimitReader(in, 4096))
	if err != nil {
		return "", fmt.Errorf("read the join token: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func joinTokenCommand() *cobra.Command {
	var host string
	var valid time.Duration
	cmd := &cobra.Command{
		Use:   "join-token",
		Short: "Make a token with which the agent of another machine joins",
		Long: `Print a token that lets one agent join, once, within a time. The server must
have an address for agents: listen.agents in its configuration.`,
		Example: "  trifid join-token --host edge2 --valid 1h > token",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := client.Env{Getenv: os.Getenv, DataDir: config.Default().Data}.Core(client.Options{})
			if err != nil {
				return err
			}
			core, err := client.NewCore(conf)
			if err != nil {
				return err
			}
			r, err := core.Call(cmd.Context(), "host.jointoken", host, int(valid.Seconds()))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), r.Text)
			return err
		},
	}
	cmd.Flags().StringVar(&host, "host", "", "the only host name it is good for (default any)")
	cmd.Flags().DurationVar(&valid, "valid", 24*time.Hour, "how long it is good")
	return cmd
}
