// Trifid is an edge cloud in one program: the server, the agent of a host, and
// every command of its users, called by subcommand or by link.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/trifid-cloud/trifid/internal/cli"
	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/onegate"
)

// version is set when the program is linked.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second interrupt ends the program at once: from the first on, the signals
	// do again what they do to any program.
	context.AfterFunc(ctx, stop)
	if calledAsOnegate() {
		return onegate.Main(ctx, os.Args[1:])
	}
	streams := cli.System()
	streams.DataDir = config.Default().Data
	return cli.Run(ctx, os.Args[0], os.Args[1:], streams, upCommand(), serverCommand(), agentCommand(), joinTokenCommand(), snapshotCommand(), restoreCommand(), onegateCommand(), demoCommand(), versionCommand())
}
