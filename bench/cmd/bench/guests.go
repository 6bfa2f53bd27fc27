package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"time"

	"github.com/trifid-cloud/trifid/bench/figures"
	"github.com/trifid-cloud/trifid/bench/load"
	"github.com/trifid-cloud/trifid/bench/target"
)

// guests measures what it costs that every guest pushes a value every 10 s, each
// time over a connection of its own, as a boot script with curl does.
func (b *bench) guests(ctx context.Context) (err error) {
	server, guests, err := b.newCloud(ctx, "guests")
	if err != nil {
		return err
	}
	defer end(&err, server)
	const interval = 10 * time.Second
	length := 2 * interval
	if b.quick {
		length = b.each
	}
	page, err := fetch(ctx, server, guests[0])
	if err != nil {
		return err
	}
	bare, err := target.StartHandler(ctx, b.dir, page)
	if err != nil {
		return err
	}
	defer end(&err, bare)
	rate := float64(len(guests)) / interval.Seconds()
	t := figures.NewTable(fmt.Sprintf("%d guests push a changed value every %v", len(guests), interval),
		fmt.Sprintf("%.0f PUT /vm a second, evenly, each over a fresh connection. The peer is a bare net/http handler that takes the same requests.", rate),
		[]string{"load"}, "server, cores", "server CPU, µs per PUT", "p50, ms", "p99, ms", "p99.9, ms", "client, cores", "others, cores")
	row := t.Row("PUT /vm").Aim(0, figures.Below(0.3))
	peer := t.Row("a bare handler")
	idle := t.Row("idle")
	puts, value := all(server, guests, putRequest), 0
	push := func(row *figures.Row, p *target.Process, addr netip.AddrPort) error {
		m, err := target.NewMeter(p)
		if err != nil {
			return err
		}
		r, err := load.Run(ctx, load.Config{Addr: addr, Conns: 256, Fresh: true, Duration: length, Rate: rate, Next: changes(puts, &value)})
		if err != nil {
			return err
		}
		spent, err := m.Read()
		if err != nil {
			return err
		}
		row.Run(spent.Target, perRequest(spent.CPU, r.Requests), ms(r.Percentile(0.5)), ms(r.Percentile(0.99)), ms(r.Percentile(0.999)), spent.Client, spent.Others)
		return r.Err()
	}
	for range b.runs {
		spent, err := spentIdle(ctx, server, min(length, 10*time.Second))
		if err != nil {
			return err
		}
		idle.Run(spent.Target, figures.None(), figures.None(), figures.None(), figures.None(), spent.Client, spent.Others)
		if err := push(peer, bare.Process, bare.Addr); err != nil {
			return err
		}
		if err := profiled(server, "guests", func() error { return push(row, server.Process, server.Gate) }); err != nil {
			return err
		}
	}
	return b.show(t)
}

// spentIdle measures a server that nobody asks for anything.
func spentIdle(ctx context.Context, server *target.Trifid, d time.Duration) (target.Spent, error) {
	m, err := target.NewMeter(server.Process)
	if err != nil {
		return target.Spent{}, err
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return target.Spent{}, context.Cause(ctx)
	}
	return m.Read()
}

// mixedRequests makes all sorts of requests, each of which has one right status.
func (b *bench) mixedRequests(ctx context.Context) (err error) {
	server, guests, err := b.newCloud(ctx, "mixed")
	if err != nil {
		return err
	}
	defer end(&err, server)
	t := figures.NewTable("Mixed requests", "Reads and writes of guests with valid tokens, and with tokens of others, damaged ones and requests that are refused; 64 connections. A wrong answer is one with another status than the one that is right.",
		[]string{"each request"}, "requests", "wrong", "connections failed", "requests/s", "p50, ms", "p99, ms", "p99.9, ms", "others, cores")
	const none = 0.5 // below it: not one
	for _, fresh := range []bool{false, true} {
		how := "kept open"
		if fresh {
			how = "fresh"
		}
		m, err := target.NewMeter(server.Process)
		if err != nil {
			return err
		}
		r, err := load.Run(ctx, load.Config{Addr: server.Gate, Conns: 64, Fresh: fresh, Requests: b.mixed / 2, Next: mixture(server, guests)})
		if err != nil {
			return err
		}
		spent, err := m.Read()
		if err != nil {
			return err
		}
		t.Row(how).Aim(1, figures.Below(none)).Aim(2, figures.Below(none)).Run(float64(r.Requests), float64(r.Wrong), float64(r.Broken), r.PerSecond(),
			ms(r.Percentile(0.5)), ms(r.Percentile(0.99)), ms(r.Percentile(0.999)), spent.Others)
		if err := r.Err(); err != nil {
			fmt.Fprintln(b.out, err)
		}
	}
	return b.show(t)
}

// mixture returns requests of all sorts, the same ones each time.
func mixture(t *target.Trifid, guests []guest) load.Next {
	random := rand.New(rand.NewPCG(1, 2))
	value := 0
	return func(dst []byte) ([]byte, int) {
		i := random.IntN(len(guests))
		g, other := guests[i], guests[(i+1+random.IntN(len(guests)-1))%len(guests)]
		switch n := random.IntN(100); {
		case n < 45:
			return append(dst, getRequest(t, "/vm", g)...), http.StatusOK
		case n < 70:
			value++
			return appendValue(append(dst, putRequest(t, "/vm", g)...), value), http.StatusOK
		case n < 80:
			return append(dst, getRequest(t, fmt.Sprintf("/vms/%d", g.vm), g)...), http.StatusOK
		case n < 85:
			return append(dst, getRequest(t, "/", g)...), http.StatusOK
		case n < 90: // somebody else's token
			return append(dst, getRequest(t, "/vm", guest{g.vm, other.token})...), http.StatusUnauthorized
		case n < 95: // one bit is wrong
			return append(dst, getRequest(t, "/vm", guest{g.vm, flip(g.token, random.IntN(len(g.token)-4))})...), http.StatusUnauthorized
		case n < 98: // nothing to do with each other
			return append(dst, getRequest(t, fmt.Sprintf("/vms/%d", other.vm), g)...), http.StatusBadRequest
		default: // no service
			return append(dst, getRequest(t, "/service", g)...), http.StatusBadRequest
		}
	}
}

// flip changes the letter at a place of a token into another letter of base64.
func flip(token string, at int) string {
	b := []byte(token)
	if b[at] == 'A' {
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	return string(b)
}
