package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"

	"github.com/trifid-cloud/trifid/bench/abuse"
	"github.com/trifid-cloud/trifid/bench/target"
	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/daemon"
	"github.com/trifid-cloud/trifid/internal/logline"
)

// children are the commands this program runs itself with.
var children = map[string]func(ctx context.Context, args []string) error{
	target.ServeCommand:   serve,
	target.HandlerCommand: func(context.Context, []string) error { return target.ServeHandler() },
	target.EtcdCommand: func(_ context.Context, args []string) error {
		if len(args) != 1 {
			return errors.New("expected a directory")
		}
		return target.ServeEtcd(args[0])
	},
	target.AbuseCommand: func(ctx context.Context, _ []string) error {
		if err := target.LowerPriority(); err != nil {
			return err
		}
		return abuse.Serve(ctx, os.Stdin, os.Stdout)
	},
}

// serve runs a server as "trifid up" does, which can write profiles: standard
// input says "cpu NAME" to begin one and "stop" to end it.
func serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(target.ServeCommand, flag.ContinueOnError)
	profiles := flags.String("profile", ".", "")
	file := flags.String("config", "", "")
	data := flags.String("data", "", "")
	flags.String("hypervisor", "", "")
	flags.String("listen", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, _, err := config.Load(*file)
	if err != nil {
		return err
	}
	c.Data, c.Hypervisor.Driver = *data, "sim"
	c.Listen.Core, c.Listen.Flow, c.Listen.Gate = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	if err := c.Validate(); err != nil {
		return err
	}
	p := &profiler{dir: *profiles}
	go p.run(os.Stdin) // ends with the process
	log, lines := logline.New(c.Log, os.Stderr)
	err = daemon.Run(ctx, daemon.Options{Config: c, Version: "bench", Agent: true, Log: log, Out: os.Stdout})
	return errors.Join(err, lines.Close())
}

// profiler writes profiles when it is told to.
type profiler struct {
	dir  string
	mu   sync.Mutex
	name string
	cpu  *os.File
}

func (p *profiler) run(in io.Reader) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		command, name, _ := strings.Cut(lines.Text(), " ")
		if err := p.do(command, name); err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
	}
}

func (p *profiler) do(command, name string) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch command {
	case "cpu":
		p.name = name
		if p.cpu, err = os.Create(filepath.Join(p.dir, name+".cpu")); err != nil {
			return err
		}
		return pprof.StartCPUProfile(p.cpu)
	case "stop":
		pprof.StopCPUProfile()
		return errors.Join(p.cpu.Close(), p.heap())
	}
	return syscall.EINVAL
}

// heap writes what is in use, and everything that was allocated since the start.
func (p *profiler) heap() error {
	part := filepath.Join(p.dir, p.name+".part")
	f, err := os.Create(part)
	if err != nil {
		return err
	}
	runtime.GC()
	if err := errors.Join(pprof.WriteHeapProfile(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(part, filepath.Join(p.dir, p.name+".heap"))
}
