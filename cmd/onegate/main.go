// Command onegate lets a guest talk to its own cloud: it shows the guest's VM,
// service, router and networks, changes its attributes, acts on VMs of its
// service, and keeps it informed. It is one static file without dependencies,
// and needs no wrapper: what it must know it finds in the environment, in
// /var/run/one-context/one_env, or on the mounted context disk.
//
// Commands, output, exit codes and requests are those of the reference's guest
// client (OneGate reference, §4). version, ready, metrics and watch are our own.
package main

import (
	"context"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := &app{
		args:      os.Args[1:],
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
	code := a.run(ctx)
	stop()
	os.Exit(code)
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
