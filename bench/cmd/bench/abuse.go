package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/trifid-cloud/trifid/bench/abuse"
	"github.com/trifid-cloud/trifid/bench/figures"
	"github.com/trifid-cloud/trifid/bench/load"
	"github.com/trifid-cloud/trifid/bench/target"
)

// What the good guest does all the time: not much, and evenly.
const (
	goodRate  = 100 // requests per second, every other one a PUT
	goodConns = 4
)

// abused measures what a good guest notices of 64 bad ones.
func (b *bench) abused(ctx context.Context) (err error) {
	server, guests, err := b.newCloud(ctx, "abuse")
	if err != nil {
		return err
	}
	defer end(&err, server)
	t := figures.NewTable("Abuse", fmt.Sprintf(`One good guest asks %d times a second over %d connections, alone and then beside %d connections of abuse for %v.
The abuse comes from a process of the lowest priority: in life it runs on other machines, and only what it makes the server do is there.
Memory is what is resident at most: before it, when first all guests do over as many connections what they may, and during it.`,
		goodRate, goodConns, abuse.Conns(), b.abuse),
		[]string{"good guest"}, "alone p99, ms", "abused p99, ms", "ratio", "wrong", "memory, MB", "grown, MB", "abuse, requests/s", "server, cores", "others, cores")
	row := t.Row("GET and PUT /vm").Aim(2, figures.Below(2)).Aim(3, figures.Below(0.5)).Aim(5, figures.Below(32))
	for range b.runs {
		if err := b.abuseOnce(ctx, row, server, guests); err != nil {
			return err
		}
	}
	return b.show(t)
}

func (b *bench) abuseOnce(ctx context.Context, row *figures.Row, server *target.Trifid, guests []guest) error {
	next := goodGuest(server, guests[0])
	watch := watchMemory(server)
	alone, err := b.beforehand(ctx, server, guests, next)
	before, watched := watch()
	if err := errors.Join(err, watched); err != nil {
		return err
	}
	var beside *load.Result
	var spent target.Spent
	var done abuse.Result
	var grown float64
	err = profiled(server, "abuse", func() (err error) {
		bad, err := target.StartAbuse(b.dir, abuse.Plan{Gate: server.Gate, Duration: b.abuse, Guests: tokens(guests)})
		if err != nil {
			return err
		}
		defer end(&err, bad)
		watch = watchMemory(server)
		m, err := target.NewMeter(server.Process)
		if err != nil {
			return err
		}
		if beside, err = load.Run(ctx, load.Config{Addr: server.Gate, Conns: goodConns, Duration: b.abuse, Rate: goodRate, Next: next}); err != nil {
			return err
		}
		if spent, err = m.Read(); err != nil {
			return err
		}
		most, err := watch()
		if err != nil {
			return err
		}
		grown = mb(most - before)
		done, err = bad.Result(ctx)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "abuse: %v\n\n", done.Statuses)
	if err := errors.Join(alone.Err(), beside.Err()); err != nil {
		fmt.Fprintln(b.out, err)
	}
	row.Run(ms(alone.Percentile(0.99)), ms(beside.Percentile(0.99)), ms(beside.Percentile(0.99))/ms(alone.Percentile(0.99)),
		float64(beside.Wrong+beside.Broken), mb(before), grown, float64(done.Requests)/b.abuse.Seconds(), spent.Target, spent.Others)
	return nil
}

// beforehand has all guests read and write as fast as they may, over as many
// connections as the abuse has: how much the heap grows between two collections
// depends on what is alive, not on who sends the requests. Then the good guest is
// alone, and what it got is returned.
func (b *bench) beforehand(ctx context.Context, server *target.Trifid, guests []guest, next load.Next) (*load.Result, error) {
	value := 0
	gets, puts, n := turns(all(server, guests, getRequest)), changes(all(server, guests, putRequest), &value), 0
	length := min(b.abuse, 20*time.Second)
	busy, err := load.Run(ctx, load.Config{Addr: server.Gate, Conns: abuse.Conns(), Duration: length, Next: func(dst []byte) ([]byte, int) {
		if n++; n%2 == 0 {
			return gets(dst)
		}
		return puts(dst)
	}})
	if err != nil {
		return nil, err
	}
	if err := busy.Err(); err != nil {
		return nil, err
	}
	return load.Run(ctx, load.Config{Addr: server.Gate, Conns: goodConns, Duration: length, Rate: goodRate, Next: next})
}

// tokens returns the guests as those who abuse know them.
func tokens(guests []guest) []abuse.Guest {
	out := make([]abuse.Guest, len(guests))
	for i, g := range guests {
		out[i] = abuse.Guest{VM: g.vm, Token: g.token}
	}
	return out
}

// goodGuest reads and writes by turns.
func goodGuest(t *target.Trifid, g guest) load.Next {
	get, put, n := getRequest(t, "/vm", g), putRequest(t, "/vm", g), 0
	return func(dst []byte) ([]byte, int) {
		if n++; n%2 == 0 {
			return append(dst, get...), http.StatusOK
		}
		return appendValue(append(dst, put...), n), http.StatusOK
	}
}

// watchMemory looks at a server's memory until the returned function is called,
// which returns the most that it had resident.
func watchMemory(server *target.Trifid) func() (int64, error) {
	stop, ended := make(chan struct{}), make(chan struct{})
	var most int64
	var failed error
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			u, err := server.Usage()
			if err != nil {
				failed = err
				return
			}
			most = max(most, u.RSS)
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
	return func() (int64, error) {
		close(stop)
		<-ended
		return most, failed
	}
}
