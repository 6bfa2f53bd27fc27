package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/trifid-cloud/trifid/bench/figures"
	"github.com/trifid-cloud/trifid/bench/load"
	"github.com/trifid-cloud/trifid/bench/target"
)

// gateBench is the gate of a cloud with its peers.
type gateBench struct {
	*bench
	server  *target.Trifid
	bare    *target.Handler
	etcd    *target.Etcd
	gets    [][]byte
	puts    [][]byte
	value   int // of the last PUT
	size    int // of a stored value
	getRows *figures.Table
	putRows *figures.Table
}

func (b *bench) gate(ctx context.Context) (err error) {
	server, guests, err := b.newCloud(ctx, "gate")
	if err != nil {
		return err
	}
	defer end(&err, server)
	page, err := fetch(ctx, server, guests[0])
	if err != nil {
		return err
	}
	bare, err := target.StartHandler(ctx, b.dir, page)
	if err != nil {
		return err
	}
	defer end(&err, bare)
	etcd, err := target.StartEtcd(ctx, b.dir)
	if err != nil {
		return err
	}
	defer end(&err, etcd)
	g := &gateBench{
		bench: b, server: server, bare: bare, etcd: etcd, size: storedSize(page),
		gets: all(server, guests, getRequest), puts: all(server, guests, putRequest),
	}
	columns := []string{"requests/s", "p50, ms", "p99, ms", "p99.9, ms", "peer, /s", "ratio", "server CPU, µs", "peer CPU, µs", "others, cores"}
	labels := []string{"connections", "each request"}
	g.getRows = figures.NewTable("GET /vm", fmt.Sprintf("%d VMs, each with its token, in turn. The peer is a bare net/http handler that answers the same bytes (%d of body), asked by the same client.",
		len(guests), len(page.Body)), labels, columns...)
	g.putRows = figures.NewTable("PUT /vm", fmt.Sprintf("Each durable before its answer, each sets a new value, %d VMs in turn. The peer is as many goroutines doing single puts of %d bytes to an embedded etcd like the store's, without HTTP or a client.",
		len(guests), g.size), labels, columns...)
	for _, conns := range b.conns {
		if err := g.at(ctx, conns); err != nil {
			return err
		}
	}
	if err := b.show(g.getRows); err != nil {
		return err
	}
	return b.show(g.putRows)
}

// at measures with a number of connections.
func (g *gateBench) at(ctx context.Context, conns int) error {
	const ratio = 5
	rows := map[bool][2]*figures.Row{}
	for _, fresh := range []bool{false, true} {
		how := "kept open"
		if fresh {
			how = "fresh"
		}
		get := g.getRows.Row(fmt.Sprint(conns), how)
		switch conns {
		case 64:
			get.Aim(ratio, figures.AtLeast(0.8))
		case 1, 16:
			get.Aim(ratio, figures.AtLeast(0.6))
		}
		rows[fresh] = [2]*figures.Row{get, g.putRows.Row(fmt.Sprint(conns), how).Aim(ratio, figures.AtLeast(0.8))}
	}
	for range g.runs {
		var peer putPeer
		for _, fresh := range []bool{false, true} {
			if err := g.get(ctx, rows[fresh][0], conns, fresh); err != nil {
				return err
			}
		}
		if err := g.raw(ctx, &peer, conns); err != nil {
			return err
		}
		for _, fresh := range []bool{false, true} {
			if err := g.put(ctx, rows[fresh][1], peer, conns, fresh); err != nil {
				return err
			}
		}
	}
	return nil
}

// get measures one run of GET beside the bare handler.
func (g *gateBench) get(ctx context.Context, row *figures.Row, conns int, fresh bool) error {
	ours, spent, err := g.ask(ctx, profileName("get", conns, fresh), g.server.Process, g.server.Gate, conns, fresh, turns(g.gets))
	if err != nil {
		return err
	}
	peer, peerSpent, err := g.ask(ctx, "", g.bare.Process, g.bare.Addr, conns, fresh, turns(g.gets))
	if err != nil {
		return err
	}
	g.add(row, ours, spent, peer.PerSecond(), perRequest(peerSpent.CPU, peer.Requests), max(spent.Others, peerSpent.Others))
	return nil
}

// putPeer is what the raw puts of a run came to.
type putPeer struct {
	perSecond, cpu, others float64
}

// raw measures one run of single puts without anything around them.
func (g *gateBench) raw(ctx context.Context, into *putPeer, conns int) error {
	m, err := target.NewMeter(g.etcd.Process)
	if err != nil {
		return err
	}
	r, err := g.etcd.Put(ctx, target.Puts{Goroutines: conns, Duration: g.each, Size: max(16, g.size)})
	if err != nil {
		return err
	}
	spent, err := m.Read()
	*into = putPeer{r.PerSecond(), perRequest(spent.CPU, r.Puts), spent.Others}
	return err
}

// put measures one run of PUT.
func (g *gateBench) put(ctx context.Context, row *figures.Row, peer putPeer, conns int, fresh bool) error {
	ours, spent, err := g.ask(ctx, profileName("put", conns, fresh), g.server.Process, g.server.Gate, conns, fresh, changes(g.puts, &g.value))
	if err != nil {
		return err
	}
	g.add(row, ours, spent, peer.perSecond, peer.cpu, max(spent.Others, peer.others))
	return nil
}

func (g *gateBench) add(row *figures.Row, ours *load.Result, spent target.Spent, peer, peerCPU, others float64) {
	row.Run(ours.PerSecond(), ms(ours.Percentile(0.5)), ms(ours.Percentile(0.99)), ms(ours.Percentile(0.999)),
		peer, ours.PerSecond()/peer, perRequest(spent.CPU, ours.Requests), peerCPU, others)
}

// ask asks for a while; every answer must be right.
func (g *gateBench) ask(ctx context.Context, profile string, p *target.Process, addr netip.AddrPort, conns int, fresh bool, next load.Next) (r *load.Result, spent target.Spent, err error) {
	body := func() error {
		m, err := target.NewMeter(p)
		if err != nil {
			return err
		}
		if r, err = load.Run(ctx, load.Config{Addr: addr, Conns: conns, Fresh: fresh, Duration: g.each, Next: next}); err != nil {
			return err
		}
		if spent, err = m.Read(); err != nil {
			return err
		}
		return r.Err()
	}
	if profile == "" {
		return r, spent, body()
	}
	err = profiled(g.server, profile, body)
	return r, spent, err
}

func profileName(what string, conns int, fresh bool) string {
	if fresh {
		return fmt.Sprintf("%s-%d-fresh", what, conns)
	}
	return fmt.Sprintf("%s-%d", what, conns)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// perRequest returns microseconds per request.
func perRequest(d time.Duration, requests int) float64 {
	return float64(d) / float64(time.Microsecond) / float64(max(1, requests))
}
