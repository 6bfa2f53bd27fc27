// Package hostnet is the virtual networks as a host has them: the bridges that
// the NICs of VMs are attached to.
//
// The driver "dummy" does nothing: its bridges are made by the host's operator.
// The driver "bridge" makes a Linux bridge, with a physical device in it if the
// network names one, and removes it with the last NIC. Only a bridge that bears
// our mark, its alias "trifid:<network>", is ever removed. Others are refused.
//
// It works in the network namespace of its process and needs CAP_NET_ADMIN.
// Source: resources reference §6.1 and §8.2.
package hostnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Config is how a host treats its networks.
type Config struct {
	// KeepEmptyBridge leaves our bridges where they are when their last NIC has
	// gone.
	KeepEmptyBridge bool
}

// Host does the work on one host. Its methods may be called at once; those on
// the same bridge wait for each other.
type Host struct {
	cfg Config

	mu      sync.Mutex
	bridges map[string]*bridgeUse
}

// bridgeUse is who counts on a bridge. A VM between Pre and the start of its
// domain has no port yet, and must not lose the bridge to another that ends.
type bridgeUse struct {
	mu  sync.Mutex // held while the bridge is worked on
	vms map[int]struct{}
}

// New returns the host this process runs on.
func New(cfg Config) *Host { return &Host{cfg: cfg, bridges: make(map[string]*bridgeUse)} }

// nic is a NIC vector as its driver needs it.
type nic struct {
	id      string
	driver  string
	bridge  string
	phydev  string // "" for none
	network string // id of the network
	mtu     int    // 0: the kernel's own
}

// The drivers, by VN_MAD.
const (
	dummy  = "dummy"
	bridge = "bridge"
)

// nicsOf reads the NICs of a VM that need something done on the host.
func nicsOf(m *agentapi.Machine) ([]nic, error) {
	var out []nic
	for _, v := range m.Template.Vectors("NIC") {
		n, err := readNIC(v)
		if err != nil {
			return nil, fmt.Errorf("NIC %s: %w", v.Get("NIC_ID"), err)
		}
		if n.driver != dummy {
			out = append(out, n)
		}
	}
	return out, nil
}

func readNIC(v tmpl.Vector) (n nic, err error) {
	n = nic{id: v.Get("NIC_ID"), driver: v.Get("VN_MAD"), bridge: v.Get("BRIDGE"), phydev: v.Get("PHYDEV"), network: v.Get("NETWORK_ID")}
	switch n.driver {
	case "", dummy:
		n.driver = dummy
		return n, nil
	case bridge:
	default:
		return n, fmt.Errorf("VN_MAD %s is not supported yet", n.driver)
	}
	if typ := v.Get("BRIDGE_TYPE"); typ != "" && typ != "linux" {
		return n, fmt.Errorf("BRIDGE_TYPE %s is not supported yet", typ)
	}
	if err := checkName("BRIDGE", n.bridge); err != nil {
		return n, err
	}
	if n.phydev != "" {
		if err := checkName("PHYDEV", n.phydev); err != nil {
			return n, err
		}
	}
	if s := v.Get("MTU"); s != "" {
		if n.mtu, err = strconv.Atoi(s); err != nil || n.mtu < 68 || n.mtu > 65535 {
			return n, fmt.Errorf("MTU %q: expected a number from 68 to 65535", s)
		}
	}
	return n, nil
}

// maxName is how long the name of an interface may be (IFNAMSIZ without its end).
const maxName = 15

// checkName refuses what the kernel does, and "%", of which it makes a number.
func checkName(key, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s is missing", key)
	case len(name) > maxName || name == "." || name == ".." || strings.ContainsAny(name, "/:% \t\n\v\f\r\x00"):
		return fmt.Errorf("%s %q: expected the name of an interface, at most %d characters", key, name, maxName)
	}
	return nil
}

// Pre makes what the NICs of a VM are attached to, before its domain starts.
func (h *Host) Pre(ctx context.Context, m *agentapi.Machine) error {
	nics, err := nicsOf(m)
	if err != nil {
		return err
	}
	for _, n := range nics {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := h.on(n.bridge, func(u *bridgeUse) error {
			u.vms[m.ID] = struct{}{}
			return makeBridge(n)
		})
		if err != nil {
			return fmt.Errorf("NIC %s: %w", n.id, err)
		}
	}
	return nil
}

// Post sets up the ports of a VM that runs. The drivers there are need nothing.
func (h *Host) Post(_ context.Context, m *agentapi.Machine) error {
	_, err := nicsOf(m)
	return err
}

// Clean removes what Pre made, as far as no other VM needs it. The VM's domain
// must be gone. It goes on after a failure, and tells of all.
func (h *Host) Clean(_ context.Context, m *agentapi.Machine) error {
	var errs []error
	for _, v := range m.Template.Vectors("NIC") {
		n, err := readNIC(v)
		if err != nil || n.driver == dummy {
			continue // Pre has refused it, and made nothing
		}
		if err := h.leave(m.ID, n); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Leave removes what Pre made for one NIC, as far as neither another VM needs it
// nor another NIC of the same; m is the VM without it.
func (h *Host) Leave(_ context.Context, m *agentapi.Machine, gone tmpl.Vector) error {
	n, err := readNIC(gone)
	if err != nil || n.driver == dummy {
		return nil // Pre has refused it, and made nothing
	}
	left, err := nicsOf(m)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(left, func(o nic) bool { return o.bridge == n.bridge }) {
		return nil
	}
	return h.leave(m.ID, n)
}

// leave notes that a VM does not count on the bridge of a NIC any more, and
// removes the bridge with the last who did.
func (h *Host) leave(vm int, n nic) error {
	err := h.on(n.bridge, func(u *bridgeUse) error {
		delete(u.vms, vm)
		if len(u.vms) > 0 || h.cfg.KeepEmptyBridge {
			return nil
		}
		return dropBridge(n.bridge, n.phydev)
	})
	if err != nil {
		return fmt.Errorf("NIC %s: %w", n.id, err)
	}
	return nil
}

// on runs f alone on a bridge.
func (h *Host) on(bridge string, f func(*bridgeUse) error) error {
	h.mu.Lock()
	u := h.bridges[bridge]
	if u == nil {
		u = &bridgeUse{vms: make(map[int]struct{})}
		h.bridges[bridge] = u
	}
	h.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	return f(u)
}
