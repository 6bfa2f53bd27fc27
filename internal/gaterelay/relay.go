// Package gaterelay lets the guests of a host reach OneGate at 169.254.16.9:5030
// on their own bridge, with no route to any other network.
//
// Each bridge of a VM that was started here gets a door: a network namespace
// without a name, that has the address and nothing else, a cable from it into the
// bridge, and a listening socket. The namespace lives as long as the socket, so
// that what the kernel holds for a door is gone with the process, however it
// ends. What comes in at a door is given to the gate as it is: the guest proves
// who it is by its token, a door adds nothing and vouches for nobody. Rules of
// nftables see to it that nobody else on a bridge can pass for the gate, and that
// no question for it leaves the host.
//
// It needs CAP_NET_ADMIN, CAP_SYS_ADMIN and the program nft. Source: OneGate
// reference §3, the relay on hosts.
package gaterelay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"

	"github.com/trifid-cloud/trifid/internal/agent"
	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/durable"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Where guests find the gate. Source: OneGate reference §3.
const (
	Address  = "169.254.16.9:5030"
	Endpoint = "http://" + Address
)

// Config says how a host's guests reach the gate. All but Serve must be set.
type Config struct {
	// Networks makes the bridges.
	Networks agent.Networks
	// State is the file that holds which VMs have NICs on which bridges.
	State string
	// Serve gives what a door accepts to the gate, until the door is closed. Nil: there
	// are no doors, and those of before are removed; but it is noted where there
	// would be some.
	Serve func(door net.Listener) error
	Log   *slog.Logger
}

// Host is the virtual networks of a host, with a door in each bridge that VMs
// have NICs on. It implements agent.Networks. Close it when the agent has ended.
type Host struct {
	cfg Config

	mu      sync.Mutex // held while doors are opened and closed
	state   state      // as in the file
	ruled   bool       // the rules are in place
	doors   map[string]*door
	serving sync.WaitGroup
}

// state is what must outlive the process.
type state struct {
	// VMs holds the VMs that have NICs on a bridge.
	VMs map[string][]int `json:"vms"`
	// Doors tells that there are rules, and perhaps doors.
	Doors bool `json:"doors"`
}

var _ agent.Networks = (*Host)(nil)

// New opens the doors of the VMs that were started before.
func New(ctx context.Context, cfg Config) (*Host, error) {
	if _, err := exec.LookPath("nft"); err != nil && cfg.Serve != nil {
		return nil, errors.New("link-local access to the gate needs the program nft: install nftables, or switch gate.link_local off")
	}
	h := &Host{cfg: cfg, doors: map[string]*door{}}
	if err := h.read(); err != nil {
		return nil, err
	}
	if h.state.Doors { // of a process that is no more
		for bridge := range h.state.VMs {
			if err := removeCable(bridge); err != nil {
				return nil, err
			}
		}
	}
	if err := h.set(ctx, h.state.VMs); err != nil {
		return nil, err
	}
	for bridge := range h.state.VMs {
		// VMs run, and are to be looked after all the same.
		if err := h.open(bridge); err != nil {
			cfg.Log.Error("guests of a bridge cannot reach the gate", "bridge", bridge, "err", err)
		}
	}
	return h, nil
}

// Close closes the doors. The rules stay, as the VMs do: nobody else is to answer
// them until there is an agent again.
func (h *Host) Close() error {
	h.mu.Lock()
	var errs []error
	for bridge, d := range h.doors {
		errs = append(errs, d.close())
		delete(h.doors, bridge)
	}
	h.mu.Unlock()
	h.serving.Wait()
	return errors.Join(errs...)
}

// read reads the state; it is empty if there is no file.
func (h *Host) read() error {
	text, err := os.ReadFile(h.cfg.State)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, &h.state)
	}
	if err != nil {
		return fmt.Errorf("bridges of guests, %s: %w", h.cfg.State, err)
	}
	return nil
}

// bridgesOf returns the bridges that NICs of a VM are on.
func bridgesOf(m *agentapi.Machine) []string {
	var out []string
	for _, nic := range m.Template.Vectors("NIC") {
		if b := nic.Get("BRIDGE"); b != "" && !slices.Contains(out, b) {
			out = append(out, b)
		}
	}
	return out
}

// Pre implements agent.Networks.
func (h *Host) Pre(ctx context.Context, m *agentapi.Machine) error {
	if err := h.cfg.Networks.Pre(ctx, m); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	bridges, vms := bridgesOf(m), h.copy()
	for _, b := range bridges {
		if !slices.Contains(vms[b], m.ID) {
			vms[b] = append(vms[b], m.ID)
		}
	}
	if err := h.set(ctx, vms); err != nil {
		return err
	}
	for _, b := range bridges {
		if err := h.open(b); err != nil {
			return err
		}
	}
	return nil
}

// Post implements agent.Networks.
func (h *Host) Post(ctx context.Context, m *agentapi.Machine) error {
	return h.cfg.Networks.Post(ctx, m)
}

// Clean implements agent.Networks. The door goes first: a bridge is not removed as
// long as it has ports.
func (h *Host) Clean(ctx context.Context, m *agentapi.Machine) error {
	err := h.leave(ctx, m.ID, nil)
	return errors.Join(err, h.cfg.Networks.Clean(ctx, m))
}

// Leave implements agent.Networks.
func (h *Host) Leave(ctx context.Context, m *agentapi.Machine, nic tmpl.Vector) error {
	err := h.leave(ctx, m.ID, bridgesOf(m))
	return errors.Join(err, h.cfg.Networks.Leave(ctx, m, nic))
}

// leave notes that a VM has NICs on no bridges but the given ones, and closes the
// doors that nobody needs any more.
func (h *Host) leave(ctx context.Context, vm int, but []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	left := h.copy()
	for bridge, vms := range left {
		if slices.Contains(but, bridge) {
			continue
		}
		if left[bridge] = slices.DeleteFunc(vms, func(id int) bool { return id == vm }); len(left[bridge]) > 0 {
			continue
		}
		delete(left, bridge)
		if d := h.doors[bridge]; d != nil {
			errs = append(errs, d.close())
			delete(h.doors, bridge)
		}
	}
	return errors.Join(append(errs, h.set(ctx, left))...)
}

// copy returns the VMs of each bridge, to be changed.
func (h *Host) copy() map[string][]int {
	out := map[string][]int{}
	for bridge, vms := range h.state.VMs {
		out[bridge] = slices.Clone(vms)
	}
	return out
}

// set notes who has NICs where. There are rules while somebody has, and the file
// says so as long as there may be.
func (h *Host) set(ctx context.Context, vms map[string][]int) error {
	doors := h.cfg.Serve != nil && len(vms) > 0
	if h.state.Doors && !doors {
		if err := dropRules(ctx); err != nil {
			return err
		}
		h.ruled = false
	}
	if doors != h.state.Doors || !maps.EqualFunc(h.state.VMs, vms, slices.Equal) {
		next := state{vms, doors}
		text, err := json.Marshal(next)
		if err == nil {
			err = durable.WriteFile(h.cfg.State, text)
		}
		if err != nil {
			return fmt.Errorf("note the bridges of guests: %w", err)
		}
		h.state = next
	}
	if doors && !h.ruled {
		if err := applyRules(ctx); err != nil {
			return err
		}
		h.ruled = true
	}
	return nil
}

// open sees to it that a bridge has a door. One that is not there, or no bridge of
// Linux, has none: its driver knows better what to say of it.
func (h *Host) open(bridge string) error {
	if h.cfg.Serve == nil {
		return nil
	}
	link, err := netlink.LinkByName(bridge)
	if _, absent := errors.AsType[netlink.LinkNotFoundError](err); absent {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find bridge %s: %w", bridge, err)
	}
	if link.Type() != "bridge" {
		h.cfg.Log.Warn("guests cannot reach the gate on what is no bridge of Linux", "bridge", bridge, "type", link.Type())
		return nil
	}
	if d := h.doors[bridge]; d != nil {
		if d.isIn(link) {
			return nil
		}
		if err := d.close(); err != nil { // the bridge was made anew
			return err
		}
		delete(h.doors, bridge)
	}
	d, err := openDoor(link)
	if err != nil {
		return fmt.Errorf("open the door to the gate in bridge %s: %w", bridge, err)
	}
	h.doors[bridge] = d
	h.serving.Go(func() {
		err := h.cfg.Serve(d.listener)
		if err != nil && !errors.Is(err, net.ErrClosed) {
			h.cfg.Log.Error("guests of a bridge cannot reach the gate", "bridge", bridge, "err", err)
		}
	})
	return nil
}
