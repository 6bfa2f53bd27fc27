package agent

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// guestTime is how long a guest may take to let go of a disk. What comes before and
// after it has the time of the step, because disks may have to be copied.
const guestTime = 2 * time.Minute

// changeDisk changes a disk of a VM; m is the VM as it is to be afterwards. What
// fails is undone, unless the agent stops: then the next one goes on from here.
// Source: resources reference §5.2.
func (a *Agent) changeDisk(ctx context.Context, op agentapi.Op, m *agentapi.Machine, disk tmpl.Vector) (err error) {
	var driver hypervisor.DiskChanger
	if op == agentapi.OpAttachDisk || op == agentapi.OpDetachDisk || op == agentapi.OpResizeDisk {
		var ok bool
		if driver, ok = a.cfg.Driver.(hypervisor.DiskChanger); !ok {
			return fmt.Errorf("driver %s cannot change disks of VMs that run", a.cfg.Driver.Info().Name)
		}
	}
	undo := func(context.Context) error { return nil }
	switch op {
	case agentapi.OpPlaceDisk:
		undo = func(ctx context.Context) error { return a.cfg.Disks.RemoveDisk(ctx, m, disk) }
		err = a.cfg.Disks.PlaceDisk(ctx, m, disk)
	case agentapi.OpDropDisk:
		undo = func(ctx context.Context) error { return a.cfg.Disks.PlaceDisk(ctx, m, disk) }
		err = a.cfg.Disks.DropDisk(ctx, m, disk)
	case agentapi.OpResizeDisk: // what has grown stays so: nothing is to be undone
		err = driver.ResizeDisk(ctx, m, disk)
	case agentapi.OpGrowDisk:
		err = a.cfg.Disks.GrowDisk(ctx, m, disk)
	case agentapi.OpAttachDisk:
		undo = func(ctx context.Context) error {
			if err := driver.DetachDisk(ctx, m, disk); err != nil && !errors.Is(err, hypervisor.ErrNoDomain) {
				return err // the guest may use it still
			}
			return a.cfg.Disks.RemoveDisk(ctx, m, disk)
		}
		err = a.plugDisk(ctx, driver, m, disk)
	case agentapi.OpDetachDisk:
		undo = func(ctx context.Context) error {
			if err := a.cfg.Disks.PlaceDisk(ctx, m, disk); err != nil {
				return err
			}
			err := driver.AttachDisk(ctx, m, a.cfg.Disks.Dir(m), disk)
			if errors.Is(err, hypervisor.ErrNoDomain) {
				return nil
			}
			return err
		}
		err = a.unplugDisk(ctx, driver, m, disk)
	}
	if err == nil || errors.Is(context.Cause(ctx), errStopped) {
		return err
	}
	limited, cancel := context.WithTimeout(a.base, undoTime)
	defer cancel()
	if failed := undo(limited); failed != nil {
		err = fmt.Errorf("%w (and undoing it failed: %w)", err, failed)
	}
	return err
}

// plugDisk puts a disk in the VM's directory and gives it to the domain.
func (a *Agent) plugDisk(ctx context.Context, d hypervisor.DiskChanger, m *agentapi.Machine, disk tmpl.Vector) error {
	if _, err := a.cfg.Driver.State(ctx, m.Domain); err != nil {
		return err // before anything is made for a domain that is gone
	}
	if err := a.cfg.Disks.PlaceDisk(ctx, m, disk); err != nil {
		return err
	}
	return d.AttachDisk(ctx, m, a.cfg.Disks.Dir(m), disk)
}

// unplugDisk takes a disk from the domain and out of the VM's directory.
func (a *Agent) unplugDisk(ctx context.Context, d hypervisor.DiskChanger, m *agentapi.Machine, disk tmpl.Vector) error {
	limited, cancel := context.WithTimeout(ctx, guestTime)
	defer cancel()
	if err := d.DetachDisk(limited, m, disk); err != nil {
		return err
	}
	return a.cfg.Disks.DropDisk(ctx, m, disk)
}

// isDiskChange tells whether an operation is about the disk of its step.
func isDiskChange(op agentapi.Op) bool {
	switch op {
	case agentapi.OpAttachDisk, agentapi.OpDetachDisk, agentapi.OpPlaceDisk, agentapi.OpDropDisk, agentapi.OpResizeDisk, agentapi.OpGrowDisk:
		return true
	}
	return false
}

// hasDiskID tells whether a disk can be told from the others.
func hasDiskID(disk tmpl.Vector) bool {
	id, err := strconv.Atoi(disk.Get("DISK_ID"))
	return err == nil && id >= 0
}
