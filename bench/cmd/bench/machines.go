package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/trifid-cloud/trifid/bench/figures"
	"github.com/trifid-cloud/trifid/bench/load"
	"github.com/trifid-cloud/trifid/bench/target"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// fleet is one cloud that is filled with VMs and then asked about them.
type fleet struct {
	*bench
	server *target.Trifid
	vms    int
	label  string
	info   infoRows
}

// infoRows are the tables that runs of all sizes add to.
type infoRows struct {
	birth, reads, start *figures.Table
	rows                map[string]*figures.Row
}

func (b *bench) machines(ctx context.Context) error {
	sizes := []int{1000, 10_000}
	if b.quick {
		sizes = []int{200}
	}
	t := infoRows{
		birth: figures.NewTable("VMs on 100 simulated hosts", fmt.Sprintf("Instantiated from one template over %d connections. RUNNING counts from the first request on, until none is on its way.", apiConns),
			[]string{"VMs"}, "instantiate, VMs/s", "p50, ms", "p99, ms", "all RUNNING, s", "server, cores", "memory, MB", "of it no file, MB", "most, MB", "others, cores"),
		reads: figures.NewTable("Reading", fmt.Sprintf("one.vm.info over %d connections, a random VM each time, beside a bare net/http handler that answers the same bytes. Whole pools over one connection, from the request to the last byte.", apiConns),
			[]string{"VMs"}, "vm.info, /s", "p50, ms", "p99, ms", "bare, /s", "ratio", "server CPU, µs", "vmpool.info, ms", "of, MB", "infoextended, ms", "of it, MB", "others, cores"),
		start: figures.NewTable("Start", "From exec to the answer to an authenticated one.system.version; after SIGKILL.", []string{"VMs"}, "ready, s", "memory, MB", "others, cores"),
		rows:  map[string]*figures.Row{},
	}
	for _, vms := range sizes {
		for _, nic := range []bool{false, true} {
			if nic && vms != sizes[0] {
				continue // once says what a NIC costs
			}
			for run := range b.runs {
				if err := b.fleet(ctx, t, vms, nic, run); err != nil {
					return err
				}
			}
		}
	}
	return errors.Join(b.show(t.birth), b.show(t.reads), b.show(t.start))
}

// row returns the row of a table with a label, the same one in each run.
func (t infoRows) row(tab *figures.Table, label string, make func(*figures.Row)) *figures.Row {
	key := tab.Title + label
	if t.rows[key] == nil {
		t.rows[key] = tab.Row(label)
		make(t.rows[key])
	}
	return t.rows[key]
}

// fleet fills one cloud and measures it.
func (b *bench) fleet(ctx context.Context, t infoRows, vms int, nic bool, run int) (err error) {
	f := &fleet{bench: b, vms: vms, label: strconv.Itoa(vms), info: t}
	name, text := fmt.Sprintf("machines-%d-%d", vms, run), bareTemplate
	if nic {
		f.label, name, text = f.label+" with a NIC and context", name+"-nic", guestTemplate
	}
	if f.server, err = b.start(ctx, name); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.server.Kill(), os.RemoveAll(filepath.Join(b.dir, name))) }()
	if err := f.started(ctx, "none: an empty directory", 0.3); err != nil {
		return err
	}
	if err := addHosts(ctx, f.server); err != nil {
		return err
	}
	if _, err := f.server.Client.Call(ctx, "vn.allocate", network, -1); err != nil {
		return fmt.Errorf("make a network: %w", err)
	}
	template, err := allocateTemplate(ctx, f.server, text)
	if err != nil {
		return fmt.Errorf("make a template: %w", err)
	}
	if err := profiled(f.server, "instantiate-"+name, func() error { return f.birth(ctx, template) }); err != nil {
		return err
	}
	if nic {
		return nil
	}
	if err := f.reads(ctx); err != nil {
		return err
	}
	return f.again(ctx)
}

// started takes down how long the server took to start.
func (f *fleet) started(ctx context.Context, label string, aim float64) error {
	u, err := f.server.Usage()
	if err != nil {
		return err
	}
	spent, err := spentIdle(ctx, f.server, 500*time.Millisecond)
	if err != nil {
		return err
	}
	f.info.row(f.info.start, label, func(r *figures.Row) { r.Aim(0, figures.Below(aim)) }).
		Run(f.server.Start.Seconds(), mb(u.RSS), spent.Others)
	return nil
}

// birth instantiates the VMs and waits until they are RUNNING.
func (f *fleet) birth(ctx context.Context, template int) error {
	m, err := target.NewMeter(f.server.Process)
	if err != nil {
		return err
	}
	began := time.Now()
	r, err := instantiate(ctx, f.server, template, f.vms)
	if err != nil {
		return err
	}
	if err := r.Err(); err != nil {
		return err
	}
	if err := awaitRunning(ctx, f.server, f.vms); err != nil {
		return err
	}
	running := time.Since(began)
	spent, err := m.Read()
	if err != nil {
		return err
	}
	u, err := f.server.Usage()
	if err != nil {
		return err
	}
	row := f.info.row(f.info.birth, f.label, func(r *figures.Row) {
		r.Aim(0, figures.AtLeast(2000)).Aim(3, figures.Below(max(1, float64(f.vms)/1000))).Aim(5, figures.Below(500))
	})
	row.Run(r.PerSecond(), ms(r.Percentile(0.5)), ms(r.Percentile(0.99)), running.Seconds(), spent.Target, mb(u.RSS), mb(u.Anon), mb(u.Peak), spent.Others)
	return nil
}

// reads measures calls for one VM and for all.
func (f *fleet) reads(ctx context.Context) (err error) {
	var requests [][]byte
	for range 1000 {
		requests = append(requests, call(f.server, "one.vm.info", xmlrpc.Int(rand.IntN(f.vms)), xmlrpc.Bool(false)))
	}
	page, err := fetchCall(ctx, f.server, requests[0])
	if err != nil {
		return err
	}
	bare, err := target.StartHandler(ctx, f.dir, page)
	if err != nil {
		return err
	}
	defer end(&err, bare)
	ask := func(p *target.Process, of load.Config) (*load.Result, target.Spent, error) {
		of.Conns, of.Duration, of.Next = apiConns, f.each, turns(requests)
		m, err := target.NewMeter(p)
		if err != nil {
			return nil, target.Spent{}, err
		}
		r, err := load.Run(ctx, of)
		if err != nil {
			return nil, target.Spent{}, err
		}
		spent, err := m.Read()
		return r, spent, errors.Join(err, r.Err())
	}
	var ours *load.Result
	var spent target.Spent
	err = profiled(f.server, "vm.info-"+f.label, func() (err error) {
		ours, spent, err = ask(f.server.Process, load.Config{Addr: f.server.Core})
		return err
	})
	if err != nil {
		return err
	}
	peer, _, err := ask(bare.Process, load.Config{Addr: bare.Addr})
	if err != nil {
		return err
	}
	var info, extended poolTime
	err = profiled(f.server, "vmpool-"+f.label, func() error {
		if info, err = f.pool(ctx, "one.vmpool.info"); err != nil {
			return err
		}
		extended, err = f.pool(ctx, "one.vmpool.infoextended")
		return err
	})
	if err != nil {
		return err
	}
	row := f.info.row(f.info.reads, f.label, func(r *figures.Row) {
		r.Aim(0, figures.AtLeast(10_000))
		if f.vms == 10_000 {
			r.Aim(6, figures.Below(40))
		}
	})
	row.Run(ours.PerSecond(), ms(ours.Percentile(0.5)), ms(ours.Percentile(0.99)), peer.PerSecond(), ours.PerSecond()/peer.PerSecond(),
		perRequest(spent.CPU, ours.Requests), ms(info.took), mb(info.size), ms(extended.took), mb(extended.size), spent.Others)
	return nil
}

// poolTime is how long a whole pool took, and how large it was.
type poolTime struct {
	took time.Duration
	size int64
}

// pool returns the median of several calls.
func (f *fleet) pool(ctx context.Context, method string) (poolTime, error) {
	const calls = 7
	p := newPools(f.server)
	var cell figures.Cell
	var size int64
	for range calls {
		began := time.Now()
		answer, err := p.get(ctx, method, -1)
		if err != nil {
			return poolTime{}, err
		}
		cell.Values = append(cell.Values, float64(time.Since(began)))
		if n := countVMs(answer); n != f.vms {
			return poolTime{}, fmt.Errorf("%s shows %d VMs of %d", method, n, f.vms)
		}
		size = int64(len(answer))
	}
	return poolTime{time.Duration(cell.Median()), size}, nil
}

// again kills the server and starts it anew on what it left.
func (f *fleet) again(ctx context.Context) error {
	if err := f.server.Kill(); err != nil {
		return err
	}
	next, err := f.start(ctx, filepath.Base(f.server.Data))
	if err != nil {
		return fmt.Errorf("start after SIGKILL: %w", err)
	}
	f.server = next
	answer, err := newPools(next).get(ctx, "one.vmpool.info", -1)
	if err != nil {
		return err
	}
	if n := countVMs(answer); n != f.vms {
		return fmt.Errorf("after SIGKILL there are %d VMs of %d", n, f.vms)
	}
	return f.started(ctx, f.label, 2)
}

func mb(bytes int64) float64 { return float64(bytes) / (1 << 20) }
