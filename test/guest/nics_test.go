package guest

import (
	"context"
	"encoding/base64"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/trifid-cloud/trifid/internal/agent"
	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/agentapi/inproc"
	"github.com/trifid-cloud/trifid/internal/guestimage"
	"github.com/trifid-cloud/trifid/internal/tmpl"
	"github.com/trifid-cloud/trifid/test/ns"
)

// asker is a server that asks the one agent it has for steps, one after the other.
type asker struct {
	linked  chan agentapi.Downlink
	results chan agentapi.Result
}

func (a *asker) Accept(_ context.Context, _ agentapi.Hello, _ int, down agentapi.Downlink) (agentapi.Uplink, error) {
	a.linked <- down
	return a, nil
}

func (a *asker) Facts(context.Context, agentapi.Facts) error                             { return nil }
func (a *asker) Sync(context.Context, []agentapi.Event) error                            { return nil }
func (a *asker) Event(context.Context, agentapi.Event) error                             { return nil }
func (a *asker) Samples(context.Context, agentapi.HostSample, []agentapi.VMSample) error { return nil }
func (a *asker) Result(_ context.Context, r agentapi.Result) error                       { a.results <- r; return nil }

// startAgent runs an agent on the host until the test ends, and returns what does a
// step with it.
func startAgent(t *testing.T, h *realHost) func(agentapi.Step) {
	t.Helper()
	s := &asker{linked: make(chan agentapi.Downlink, 1), results: make(chan agentapi.Result, 16)}
	a, err := agent.New(agent.Config{
		HostName: "host", HostID: 0, Driver: h.driver, Disks: h.disks, Networks: h.nets, Connector: inproc.New(s, slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	down := <-s.linked
	return func(step agentapi.Step) {
		t.Helper()
		step.Epoch, step.Subject, step.ID = 1, agentapi.SubjectVM, step.Machine.ID
		if err := down.Run(ctx, step); err != nil {
			t.Fatal(err)
		}
		r := <-s.results
		if !r.OK() || r.StepID != step.StepID {
			t.Fatalf("%s: %+v", step.Op, r)
		}
		if err := down.Ack(ctx, r.StepID); err != nil {
			t.Fatal(err)
		}
	}
}

// watchScript tells on the console what NICs the guest has, and what the context disk
// in its drive says of the second one; "now" when that has changed.
const watchScript = `#!/bin/sh
cd /
(
	until umount /mnt/context; do sleep 0.1; done
	while :; do
		now="$(ls /sys/class/net | tr '\n' ' ')"
		mount -t iso9660 -o ro /dev/sr0 /mnt/context && now="$now$(grep ETH1_IP /mnt/context/context.sh)"
		umount /mnt/context
		[ "$now" = "$last" ] || echo "trifid-guest: sees ${last:+now }$now;"
		last=$now
		sleep 0.3
	done
) 2>/dev/null &
`

// TestNICsOfRunningGuest gives a guest that runs a NIC on a bridge that is made for it,
// and takes it away again: the guest sees the NIC and the new context disk.
func TestNICsOfRunningGuest(t *testing.T) {
	ns.Libvirtd(t)
	h := newRealHost(t)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	m, dir := h.machine(t, 7, "vda")
	context := *m.Context
	context.Vars = context.Vars.With("START_SCRIPT_BASE64", base64.StdEncoding.EncodeToString([]byte(watchScript)))
	m.Context = &context
	step := startAgent(t, h)
	step(agentapi.Step{StepID: agentapi.StepID{State: 2}, Op: agentapi.OpStart, Machine: m})
	console := filepath.Join(dir, "console.log")
	sees := func(what string) {
		t.Helper()
		if _, err := guestimage.AwaitConsole(ctx, console, "trifid-guest: sees "+what); err != nil {
			t.Fatal(err)
		}
	}
	sees("eth0 lo ;")

	nic := tmpl.Vec("NIC", "NIC_ID", "1", "VN_MAD", "bridge", "BRIDGE", "onebr2", "NETWORK_ID", "2", "MAC", "02:00:0a:47:01:05", "IP", "10.71.1.5")
	with, told := *m, *m.Context
	with.Template = m.Template.Add(nic)
	told.Vars = told.Vars.With("ETH1_MAC", "02:00:0a:47:01:05").With("ETH1_IP", "10.71.1.5")
	with.Context = &told
	for attempt := range 2 { // the answer to the first was lost
		step(agentapi.Step{StepID: agentapi.StepID{State: 25, Attempt: attempt}, Op: agentapi.OpAttachNIC, Machine: &with, NIC: nic.Vector})
	}
	sees("now eth0 eth1 lo ETH1_IP='10.71.1.5';")
	if ports := portsOf(t, "onebr2"); ports != 1 {
		t.Errorf("the bridge of the new NIC has %d ports", ports)
	}
	for attempt := range 2 {
		step(agentapi.Step{StepID: agentapi.StepID{State: 25, Attempt: 2 + attempt}, Op: agentapi.OpDetachNIC, Machine: m, NIC: nic.Vector})
	}
	sees("now eth0 lo ;")
	if ports := portsOf(t, "onebr2"); ports >= 0 {
		t.Errorf("the bridge of a NIC that is gone is there, with %d ports", ports)
	}
	if ports := portsOf(t, "onebr1"); ports != 1 {
		t.Errorf("the bridge of the other NIC has %d ports", ports)
	}
}

// portsOf returns how many ports a bridge has, -1 when it is not there.
func portsOf(t *testing.T, bridge string) int {
	t.Helper()
	all, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	index, n := -1, 0
	for _, l := range all {
		if l.Attrs().Name == bridge {
			index = l.Attrs().Index
		}
	}
	for _, l := range all {
		if index >= 0 && l.Attrs().MasterIndex == index {
			n++
		}
	}
	if index < 0 {
		return -1
	}
	return n
}
