// Package onegate is the guest's client: it shows the guest's VM, service, router
// and networks, changes its attributes, acts on VMs of its service, and keeps it
// informed. It needs no wrapper: what it must know it finds in the environment,
// in /var/run/one-context/one_env, or on the mounted context disk.
//
// Commands, output, exit codes and requests are those of the reference's guest
// client (OneGate reference, §4). version, ready, metrics and watch are our own.
// It imports the standard library only, and little of that: cmd/onegate must be
// small.
package onegate

import (
	"context"
	"math/rand/v2"
	"os"
	"time"
)

// Main runs the client with the process's environment and streams; args are
// without the program's name. It returns the exit code.
func Main(ctx context.Context, args []string) int {
	a := &app{
		args:      args,
		env:       os.LookupEnv,
		root:      "/",
		stdout:    os.Stdout,
		stderr:    os.Stderr,
		terminal:  isTerminal(os.Stdout),
		transport: newTransport,
		timeout:   time.Minute,
		sleep:     sleep,
		now:       time.Now,
		jitter:    rand.Float64,
	}
	return a.run(ctx)
}

// sleep waits, or returns early with the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
