// Command onegate lets a guest talk to its own cloud. It is one static file
// without dependencies; see internal/onegate.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/trifid-cloud/trifid/internal/onegate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := onegate.Main(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
