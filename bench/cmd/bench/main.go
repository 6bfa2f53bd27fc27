// Bench measures a Trifid server on this machine against its aims: each figure
// is the median of several runs, each ratio is to a peer that was measured in the
// same run. It starts everything it needs and leaves nothing behind.
//
//	go run ./bench/cmd/bench [flags] gate|guests|mixed|abuse|machines|service|all
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/trifid-cloud/trifid/bench/figures"
	"github.com/trifid-cloud/trifid/bench/target"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// bench is what all measurements share.
type bench struct {
	program string        // the server to measure
	dir     string        // for data, on the disk that is measured
	profile string        // directory for profiles; "" for none
	runs    int           // of each measurement
	each    time.Duration // how long one run asks for as much as it can get
	vms     int           // of the cloud behind the gate
	conns   []int         // to the gate
	mixed   int           // requests of the mixed run
	abuse   time.Duration
	quick   bool
	out     io.Writer
	report  figures.Report
}

// measurements are the subcommands, in the order of "all".
var measurements = []struct {
	name, what string
	run        func(*bench, context.Context) error
}{
	{"gate", "GET and PUT /vm, beside a bare handler and raw puts", (*bench).gate},
	{"guests", "what 10,000 guests cost that push a value every 10 s", (*bench).guests},
	{"mixed", "a million requests, none of them answered wrongly", (*bench).mixedRequests},
	{"abuse", "a good guest among 64 bad ones", (*bench).abused},
	{"machines", "1,000 and 10,000 VMs: instantiate, show, start again", (*bench).machines},
	{"service", "a service of 1 + 1 VMs: instantiate, scale", (*bench).service},
	{"services", "a service of 100 VMs, and 1,000 services of 3", (*bench).services},
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	if len(args) > 0 {
		if child, ok := children[args[0]]; ok {
			return child(ctx, args[1:])
		}
	}
	b := &bench{out: out}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&b.program, "trifid", "bin/trifid", "the program to measure")
	flags.StringVar(&b.dir, "dir", "", "where to put data (default: a new directory in /var/tmp, since /tmp may not be on a disk)")
	flags.StringVar(&b.profile, "profile", "", "measure the server built into this program and write its profiles here")
	flags.IntVar(&b.runs, "runs", 5, "runs of each measurement")
	flags.DurationVar(&b.each, "each", 3*time.Second, "length of one run")
	flags.IntVar(&b.vms, "vms", 10_000, "VMs of the cloud behind the gate")
	b.conns = []int{1, 16, 64, 512}
	flags.Func("conns", "numbers of connections to the gate (default 1,16,64,512)", b.setConns)
	flags.IntVar(&b.mixed, "mixed", 1_000_000, "requests of the mixed run")
	flags.DurationVar(&b.abuse, "abuse", time.Minute, "length of the abuse")
	flags.BoolVar(&b.quick, "quick", false, "one short run of everything, on a small cloud: to see that it works")
	jsonFile := flags.String("json", "", "write the figures of every run to this file")
	flags.Usage = func() { usage(flags) }
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if b.quick {
		b.runs, b.each, b.vms, b.mixed, b.abuse = 1, 500*time.Millisecond, 500, 20_000, 5*time.Second
	}
	if flags.NArg() == 0 {
		usage(flags)
		return errors.New("say what to measure")
	}
	if b.dir == "" {
		if b.dir, err = os.MkdirTemp("/var/tmp", "trifid-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	}
	b.report.Command, b.report.Machine = "bench "+strings.Join(args, " "), target.Machine()
	if err := b.measure(ctx, flags.Args()); err != nil {
		return err
	}
	if *jsonFile != "" {
		return b.writeJSON(*jsonFile)
	}
	return nil
}

// setConns reads numbers separated by commas.
func (b *bench) setConns(list string) error {
	b.conns = nil
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is not a number of connections", s)
		}
		b.conns = append(b.conns, n)
	}
	return nil
}

func usage(flags *flag.FlagSet) {
	fmt.Fprintln(flags.Output(), "usage: bench [flags] measurement...\n\nmeasurements:")
	for _, m := range measurements {
		fmt.Fprintf(flags.Output(), "  %-9s %s\n", m.name, m.what)
	}
	fmt.Fprintf(flags.Output(), "  %-9s all of them\n\nflags:\n", "all")
	flags.PrintDefaults()
}

// measure takes the measurements that are named and tells which aims were missed.
func (b *bench) measure(ctx context.Context, names []string) error {
	for _, name := range names {
		if name != "all" && !slices.ContainsFunc(measurements, func(m struct {
			name, what string
			run        func(*bench, context.Context) error
		}) bool {
			return m.name == name
		}) {
			return fmt.Errorf("there is no measurement %q", name)
		}
	}
	if b.profile != "" {
		if err := os.MkdirAll(b.profile, 0o755); err != nil {
			return err
		}
	} else if _, err := os.Stat(b.program); err != nil {
		return fmt.Errorf("the program to measure (make build): %w", err)
	}
	fmt.Fprintf(b.out, "`%s` on %s, %d runs\n\n", b.report.Command, b.report.Machine, b.runs)
	for _, m := range measurements {
		if !slices.Contains(names, m.name) && !slices.Contains(names, "all") {
			continue
		}
		if err := m.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	missed := b.report.Missed()
	if len(missed) > 0 {
		fmt.Fprintln(b.out, "Aims missed:")
	}
	for _, line := range missed {
		fmt.Fprintln(b.out, "-", line)
	}
	return nil
}

// show adds a table to the report and prints it.
func (b *bench) show(t *figures.Table) error {
	b.report.Tables = append(b.report.Tables, t)
	return t.Write(b.out)
}

func (b *bench) writeJSON(file string) error {
	text, err := json.MarshalIndent(&b.report, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// start starts a server on a directory of the given name.
func (b *bench) start(ctx context.Context, name string) (*target.Trifid, error) {
	o := target.Options{Program: b.program, Args: []string{"up"}, Data: filepath.Join(b.dir, name)}
	if b.profile != "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		o.Program, o.Args = self, []string{target.ServeCommand, "--profile", b.profile}
	}
	return target.StartTrifid(ctx, o)
}

// profiled runs f while the server writes profiles of that name, if it can.
func profiled(t *target.Trifid, name string, f func() error) error {
	stop, err := t.Profile(name)
	if err != nil {
		return err
	}
	return errors.Join(f(), stop())
}

// end kills a process that is not needed any more.
func end(err *error, p interface{ Kill() error }) { *err = errors.Join(*err, p.Kill()) }
