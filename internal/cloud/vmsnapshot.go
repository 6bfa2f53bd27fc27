package cloud

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// Bounds of snapshots, of a VM as well as of a disk.
const (
	maxSnapshots    = 256
	maxSnapshotName = 128 // bytes
)

// CreateSnapshot takes a snapshot of a VM that runs, memory included, and returns its
// id. Source: XML-RPC reference §7.2, VM lifecycle reference §3.5.
func (c *Cloud) CreateSnapshot(ctx context.Context, who auth.Caller, id int, name string) (int, error) {
	snap := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		v, err := c.vmFor(&tx.State, who, id, "snapshot")
		if err != nil {
			return err
		}
		snap, err = c.createSnapshot(tx, who, v, name)
		return err
	})
	return snap, err
}

// RevertSnapshot brings a VM that runs back to a snapshot of it.
// Source: XML-RPC reference §7.2, VM lifecycle reference §3.5.
func (c *Cloud) RevertSnapshot(ctx context.Context, who auth.Caller, id, snap int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.vmFor(&tx.State, who, id, "snapshot")
		if err != nil {
			return err
		}
		return c.revertSnapshot(tx, who, v, snap)
	})
}

// DeleteSnapshot deletes a snapshot of a VM that runs or is powered off.
// Source: XML-RPC reference §7.2, VM lifecycle reference §3.5.
func (c *Cloud) DeleteSnapshot(ctx context.Context, who auth.Caller, id, snap int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.vmFor(&tx.State, who, id, "snapshot")
		if err != nil {
			return err
		}
		return c.deleteSnapshot(tx, who, v, snap)
	})
}

// checkSnapshotName refuses names that would not come back as they were, or would
// break the lines of a table.
func checkSnapshotName(name string) error {
	if len(name) > maxSnapshotName {
		return fmt.Errorf("NAME of %d bytes, expected at most %d", len(name), maxSnapshotName)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.ContainsAny(name, "\uFFFE\uFFFF") {
		return fmt.Errorf("NAME %q, expected text of one line", name)
	}
	return nil
}

func (c *Cloud) createSnapshot(tx *store.Tx, who auth.Caller, v *one.VM, name string) (int, error) {
	fail := func(format string, args ...any) (int, error) {
		return -1, errs.New(errs.Action, format, args...).About(v.ID)
	}
	wrong := checkSnapshotName(name)
	switch n := len(v.Template.Vectors("SNAPSHOT")); {
	case !v.Running():
		return fail("Could not create a new snapshot for VM %d, wrong state %s.", v.ID, v.StateName())
	case wrong != nil:
		return fail("%s", wrong)
	case n >= maxSnapshots:
		return fail("VM %d has %d snapshots, no more can be taken", v.ID, n)
	}
	ch, snap := machine.TakeSnapshot(v, name, c.now())
	if err := c.Apply(tx, who, v, ch); err != nil {
		return -1, err
	}
	return snap, c.checkQuota(&tx.State, who.UID, v.UID, v.GID, grownBy(v.Usage(), ch.VM.Usage()))
}

func (c *Cloud) revertSnapshot(tx *store.Tx, who auth.Caller, v *one.VM, snap int) error {
	_, there := one.Snapshot(v.Template, snap)
	switch {
	case !v.Running():
		return errs.New(errs.Action, "Could not revert VM %d to snapshot %d, wrong state %s.", v.ID, snap, v.StateName()).About(v.ID)
	case !there:
		return errs.New(errs.Action, "Could not revert VM %d to snapshot %d, it does not exist.", v.ID, snap).About(v.ID)
	}
	return c.Apply(tx, who, v, machine.RevertSnapshot(v, snap, c.now()))
}

func (c *Cloud) deleteSnapshot(tx *store.Tx, who auth.Caller, v *one.VM, snap int) error {
	_, there := one.Snapshot(v.Template, snap)
	switch {
	case !v.Running() && v.State != one.VMPoweroff:
		return errs.New(errs.Action, "Could not delete snapshot %d for VM %d, wrong state %s.", snap, v.ID, v.StateName()).About(v.ID)
	case !there:
		return errs.New(errs.Action, "Could not delete snapshot %d for VM %d, it does not exist.", snap, v.ID).About(v.ID)
	}
	return c.Apply(tx, who, v, machine.DeleteSnapshot(v, snap, c.now()))
}
