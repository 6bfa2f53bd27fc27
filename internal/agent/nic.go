package agent

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// changeNIC changes a NIC or an alias of a VM that runs; m is the VM as it is to
// be afterwards. What fails is undone, unless the agent stops: then the next one
// goes on from here. Source: resources reference §8.1.
func (a *Agent) changeNIC(ctx context.Context, op agentapi.Op, m *agentapi.Machine, nic tmpl.Vector) (err error) {
	driver, ok := a.cfg.Driver.(hypervisor.NICChanger)
	if !ok {
		return fmt.Errorf("driver %s cannot change NICs of VMs that run", a.cfg.Driver.Info().Name)
	}
	plug, unplug := a.plugNIC, a.unplugNIC
	switch op {
	case agentapi.OpUpdateNIC:
		return driver.UpdateNIC(ctx, m, nic)
	case agentapi.OpDetachNIC:
		plug, unplug = unplug, plug
	}
	if err = plug(ctx, driver, m, nic); err == nil {
		err = a.exchangeContext(ctx, m)
	}
	if err == nil || errors.Is(context.Cause(ctx), errStopped) {
		return err
	}
	undo, cancel := context.WithTimeout(a.base, undoTime)
	defer cancel()
	if failed := unplug(undo, driver, m, nic); failed != nil && !errors.Is(failed, hypervisor.ErrNoDomain) {
		err = fmt.Errorf("%w (and undoing it failed: %w)", err, failed)
	}
	return err
}

// plugNIC gives a running domain a NIC and what it is attached to. An alias is an
// address of another NIC: only the rules know it.
func (a *Agent) plugNIC(ctx context.Context, d hypervisor.NICChanger, m *agentapi.Machine, nic tmpl.Vector) error {
	with := *m
	with.Template = withNIC(m.Template, nic)
	if !isAlias(nic) {
		if _, err := a.cfg.Driver.State(ctx, m.Domain); err != nil {
			return err // before anything is made for a domain that is gone
		}
		if err := a.cfg.Networks.Pre(ctx, &with); err != nil {
			return fmt.Errorf("networks before attach: %w", err)
		}
		if err := d.AttachNIC(ctx, &with, nic); err != nil {
			return err
		}
	}
	if err := a.cfg.Networks.Post(ctx, &with); err != nil {
		return fmt.Errorf("networks after attach: %w", err)
	}
	return nil
}

// unplugNIC takes a NIC from a running domain, and what it alone was attached to
// from the host.
func (a *Agent) unplugNIC(ctx context.Context, d hypervisor.NICChanger, m *agentapi.Machine, nic tmpl.Vector) error {
	without := *m
	without.Template, _ = one.WithoutNIC(m.Template, nicID(nic))
	if isAlias(nic) {
		if err := a.cfg.Networks.Post(ctx, &without); err != nil {
			return fmt.Errorf("networks after detach: %w", err)
		}
		return nil
	}
	if err := d.DetachNIC(ctx, &without, nic); err != nil {
		return err
	}
	if err := a.cfg.Networks.Leave(ctx, &without, nic); err != nil {
		return fmt.Errorf("networks after detach: %w", err)
	}
	return nil
}

// exchangeContext builds the context disk of a VM that runs, and gives it to the
// guest.
func (a *Agent) exchangeContext(ctx context.Context, m *agentapi.Machine) error {
	if err := a.cfg.Disks.Context(ctx, m); err != nil {
		return fmt.Errorf("context disk: %w", err)
	}
	if d, ok := a.cfg.Driver.(ContextChanger); ok {
		return d.ChangeContext(ctx, m, a.cfg.Disks.Dir(m))
	}
	return nil
}

func isAlias(nic tmpl.Vector) bool { return nic.Has("PARENT_ID") }

// withNIC returns the template with a NIC in it.
func withNIC(t *tmpl.Template, nic tmpl.Vector) *tmpl.Template {
	id, name := nicID(nic), "NIC"
	if _, _, there := one.NIC(t, id); there {
		return t
	}
	if isAlias(nic) {
		name = "NIC_ALIAS"
	}
	return t.Add(tmpl.Attr{Name: name, Vector: nic})
}

// nicID returns the id of a NIC, which checkStep has found to have one.
func nicID(nic tmpl.Vector) int {
	id, err := strconv.Atoi(nic.Get("NIC_ID"))
	if err != nil {
		return -1
	}
	return id
}

// isNICChange tells whether an operation is about the NIC of its step.
func isNICChange(op agentapi.Op) bool {
	return op == agentapi.OpAttachNIC || op == agentapi.OpDetachNIC || op == agentapi.OpUpdateNIC
}
