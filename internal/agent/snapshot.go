package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
)

// isSnapshotWork tells whether an operation is about the snapshot of its step.
func isSnapshotWork(op agentapi.Op) bool {
	switch op {
	case agentapi.OpSnapshotCreate, agentapi.OpSnapshotRevert, agentapi.OpSnapshotDelete,
		agentapi.OpDiskSnapshotCreate, agentapi.OpDiskSnapshotRevert, agentapi.OpDiskSnapshotDelete:
		return true
	}
	return false
}

// workOnSnapshot does an operation on a snapshot. One that fails to be made is
// removed, unless the agent stops: then the next one goes on from here.
// Source: resources reference §8.1.
func (a *Agent) workOnSnapshot(ctx context.Context, op agentapi.Op, m *agentapi.Machine, s agentapi.Snapshot) error {
	var create, remove snapshotFunc
	var err error
	if s.Live {
		create, remove, err = a.onDomain(op)
	} else {
		create, remove, err = a.onFiles(ctx, m, op)
	}
	if err != nil {
		return err
	}
	switch op {
	case agentapi.OpSnapshotRevert:
		return a.revert(ctx, m, s)
	case agentapi.OpDiskSnapshotRevert:
		return a.cfg.Disks.RevertDisk(ctx, m, s)
	case agentapi.OpSnapshotDelete, agentapi.OpDiskSnapshotDelete:
		return remove(ctx, m, s)
	}
	err = create(ctx, m, s)
	if err == nil || errors.Is(context.Cause(ctx), errStopped) {
		return err
	}
	undo, cancel := context.WithTimeout(a.base, undoTime)
	defer cancel()
	if failed := remove(undo, m, s); failed != nil && !errors.Is(failed, hypervisor.ErrNoDomain) {
		err = fmt.Errorf("%w (and undoing it failed: %w)", err, failed)
	}
	return err
}

// snapshotFunc makes or removes a snapshot.
type snapshotFunc func(context.Context, *agentapi.Machine, agentapi.Snapshot) error

// onDomain is what makes and removes snapshots of a VM that runs.
func (a *Agent) onDomain(op agentapi.Op) (create, remove snapshotFunc, err error) {
	driver, ok := a.cfg.Driver.(hypervisor.Snapshotter)
	if !ok {
		return nil, nil, fmt.Errorf("driver %s cannot take snapshots of VMs that run", a.cfg.Driver.Info().Name)
	}
	in := func(f func(context.Context, *agentapi.Machine, string, agentapi.Snapshot) error) snapshotFunc {
		return func(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error {
			return f(ctx, m, a.cfg.Disks.Dir(m), s)
		}
	}
	switch op {
	case agentapi.OpDiskSnapshotRevert:
		return nil, nil, errors.New("a disk of a VM that runs cannot go back to a snapshot")
	case agentapi.OpDiskSnapshotCreate, agentapi.OpDiskSnapshotDelete:
		return in(driver.CreateDiskSnapshot), in(driver.DeleteDiskSnapshot), nil
	}
	return in(driver.CreateSnapshot), in(driver.DeleteSnapshot), nil
}

// onFiles is what makes and removes snapshots of a VM that does not run. There must
// be no domain, which would have the files in its hands.
func (a *Agent) onFiles(ctx context.Context, m *agentapi.Machine, op agentapi.Op) (create, remove snapshotFunc, err error) {
	switch state, err := a.cfg.Driver.State(ctx, m.Domain); {
	case err == nil && isUp(state):
		return nil, nil, errors.New("the domain uses its disks")
	case err != nil && !errors.Is(err, hypervisor.ErrNoDomain):
		return nil, nil, err
	}
	switch op {
	case agentapi.OpSnapshotCreate, agentapi.OpSnapshotRevert:
		return nil, nil, errors.New("the VM does not run")
	case agentapi.OpSnapshotDelete:
		return nil, a.cfg.Disks.ForgetSnapshot, nil
	}
	return a.cfg.Disks.SnapshotDisk, a.cfg.Disks.ForgetDisk, nil
}

// revert brings a domain back to a snapshot. It has new ports then.
func (a *Agent) revert(ctx context.Context, m *agentapi.Machine, s agentapi.Snapshot) error {
	driver := a.cfg.Driver.(hypervisor.Snapshotter) // as onDomain has found
	if _, err := a.cfg.Driver.State(ctx, m.Domain); err != nil {
		return err
	}
	if err := a.cfg.Networks.Pre(ctx, m); err != nil {
		return fmt.Errorf("networks before revert: %w", err)
	}
	if err := driver.RevertSnapshot(ctx, m, a.cfg.Disks.Dir(m), s); err != nil {
		return err
	}
	if err := a.cfg.Networks.Post(ctx, m); err != nil {
		return fmt.Errorf("networks after revert: %w", err)
	}
	return nil
}
