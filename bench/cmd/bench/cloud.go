package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/trifid-cloud/trifid/bench/load"
	"github.com/trifid-cloud/trifid/bench/target"
	"github.com/trifid-cloud/trifid/internal/gatetoken"
	"github.com/trifid-cloud/trifid/internal/server/oneapi"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// guest is a VM that has a token.
type guest struct {
	vm    int
	token string
}

// Templates of the VMs. What a guest sees of the second is what guests usually
// see of themselves.
const (
	bareTemplate  = `NAME="bench" CPU="0.1" MEMORY="64"`
	guestTemplate = `NAME="guest" CPU="0.1" MEMORY="64" LOGO="images/logos/debian.png" LOAD="0000000" READY="YES"
NIC=[NETWORK="bench"] CONTEXT=[TOKEN="YES",NETWORK="YES",REPORT_READY="YES"]`
	network = `NAME="bench" VN_MAD="dummy" BRIDGE="br0" AR=[TYPE="IP4",IP="10.0.0.1",SIZE="60000"] DNS="10.0.0.1" GATEWAY="10.0.0.1"`
)

// hosts is how many hosts a cloud has beside the one of a fresh cloud.
const hosts = 100

// addHosts registers simulated hosts and waits until they are monitored.
func addHosts(ctx context.Context, t *target.Trifid) error {
	for i := range hosts {
		if _, err := t.Client.Call(ctx, "host.allocate", "bench-"+strconv.Itoa(i), "dummy", "dummy", -1); err != nil {
			return fmt.Errorf("register hosts: %w", err)
		}
	}
	return poll(ctx, 20*time.Millisecond, func() (bool, error) {
		pool, err := t.Client.Doc(ctx, "hostpool.info")
		if err != nil {
			return false, err
		}
		for _, h := range pool.All("HOST") {
			if h.Int("STATE") != 2 { // MONITORED
				return false, nil
			}
		}
		return true, nil
	})
}

// patience bounds every wait for the server.
const patience = 3 * time.Minute

// poll asks until the answer is yes, with a pause between the questions.
func poll(ctx context.Context, pause time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("what was waited for has not happened in %v", patience))
	defer cancel()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// allocateTemplate registers a VM template.
func allocateTemplate(ctx context.Context, t *target.Trifid, text string) (int, error) {
	r, err := t.Client.Call(ctx, "template.allocate", text)
	return r.Int, err
}

// apiConns is over how many connections VMs are instantiated and asked for.
const apiConns = 16

// instantiate makes VMs of a template.
func instantiate(ctx context.Context, t *target.Trifid, template, vms int) (*load.Result, error) {
	request := call(t, "one.template.instantiate", xmlrpc.Int(template), xmlrpc.String(""), xmlrpc.Bool(false), xmlrpc.String(""), xmlrpc.Bool(false))
	return load.Run(ctx, load.Config{Addr: t.Core, Conns: apiConns, Requests: vms, Next: func(dst []byte) ([]byte, int) {
		return append(dst, request...), 200
	}})
}

// call returns the HTTP request of an XML-RPC call.
func call(t *target.Trifid, method string, args ...xmlrpc.Value) []byte {
	body := xmlrpc.AppendCall(nil, method, append([]xmlrpc.Value{xmlrpc.String(t.Session)}, args...)...)
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s", oneapi.Path, t.Core, len(body), body)
}

// awaitRunning waits until so many VMs are RUNNING and none is on its way. To
// disturb as little as it can it first waits until none is PENDING.
func awaitRunning(ctx context.Context, t *target.Trifid, vms int) error {
	const pending, active = 1, 3
	p := newPools(t)
	err := poll(ctx, 10*time.Millisecond, func() (bool, error) {
		answer, err := p.get(ctx, "one.vmpool.info", pending)
		return countVMs(answer) == 0, err
	})
	if err != nil {
		return fmt.Errorf("wait for no VM to be PENDING: %w", err)
	}
	err = poll(ctx, 20*time.Millisecond, func() (bool, error) {
		answer, err := p.get(ctx, "one.vmpool.info", active)
		return countRunning(answer) == vms, err
	})
	if err != nil {
		return fmt.Errorf("wait for %d VMs to be RUNNING: %w", vms, err)
	}
	return nil
}

// newCloud starts a server with hosts and guests.
func (b *bench) newCloud(ctx context.Context, name string) (t *target.Trifid, guests []guest, err error) {
	if t, err = b.start(ctx, name); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Kill())
		}
	}()
	if err := addHosts(ctx, t); err != nil {
		return nil, nil, err
	}
	if _, err := t.Client.Call(ctx, "vn.allocate", network, -1); err != nil {
		return nil, nil, fmt.Errorf("make a network: %w", err)
	}
	template, err := allocateTemplate(ctx, t, guestTemplate)
	if err != nil {
		return nil, nil, fmt.Errorf("make a template: %w", err)
	}
	r, err := instantiate(ctx, t, template, b.vms)
	if err != nil {
		return nil, nil, err
	}
	if err := r.Err(); err != nil {
		return nil, nil, fmt.Errorf("instantiate: %w", err)
	}
	if err := awaitRunning(ctx, t, b.vms); err != nil {
		return nil, nil, err
	}
	guests, err = readGuests(ctx, t)
	return t, guests, err
}

// readGuests makes the tokens of all VMs.
func readGuests(ctx context.Context, t *target.Trifid) ([]guest, error) {
	user, err := t.Client.Doc(ctx, "user.info", 0)
	if err != nil {
		return nil, fmt.Errorf("read the token password: %w", err)
	}
	pool, err := t.Client.Doc(ctx, "vmpool.info", -2, -1, -1, -1)
	if err != nil {
		return nil, fmt.Errorf("list VMs: %w", err)
	}
	var guests []guest
	for _, v := range pool.All("VM") {
		id := int(v.Int("ID"))
		token, err := gatetoken.New(user.Get("TEMPLATE/TOKEN_PASSWORD"), id, v.Int("STIME"))
		if err != nil {
			return nil, fmt.Errorf("token of VM %d: %w", id, err)
		}
		guests = append(guests, guest{id, token})
	}
	return guests, nil
}
