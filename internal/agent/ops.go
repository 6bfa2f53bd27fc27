package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/disk"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
)

// undoTime is what a roll-back and a clean-up may take after their step was cut.
const undoTime = 2 * time.Minute

// do carries out a step.
func (a *Agent) do(t *task) (agentapi.Result, error) {
	ctx, s := t.ctx, &t.step
	if err := checkStep(s); err != nil {
		return agentapi.Result{}, err
	}
	if a.cfg.Driver.Info().NeedsDisks && movesDisks(s.Op) {
		select {
		case a.heavy <- struct{}{}:
			defer func() { <-a.heavy }()
		case <-ctx.Done():
			return agentapi.Result{}, context.Cause(ctx)
		}
	}
	if s.Image != nil {
		return a.doImage(ctx, s.Op, s.Image)
	}
	if isNICChange(s.Op) {
		return agentapi.Result{}, a.changeNIC(ctx, s.Op, s.Machine, s.NIC)
	}
	if isDiskChange(s.Op) {
		return agentapi.Result{}, a.changeDisk(ctx, s.Op, s.Machine, s.Disk)
	}
	if isSnapshotWork(s.Op) {
		return agentapi.Result{}, a.workOnSnapshot(ctx, s.Op, s.Machine, *s.Snapshot)
	}
	if s.Op == agentapi.OpMigrate {
		return agentapi.Result{}, a.migrate(ctx, s.Machine, s.Peer)
	}
	return a.doMachine(ctx, t, s.Op, s.Machine)
}

// checkStep refuses a step that does not say what to do.
func checkStep(s *agentapi.Step) error {
	switch {
	case s.Subject == agentapi.SubjectVM && (s.Machine == nil || s.Image != nil || s.Machine.Domain == ""):
		return fmt.Errorf("step %s: Machine with its Domain is expected", s.StepID)
	case s.Subject == agentapi.SubjectImage && (s.Image == nil || s.Machine != nil):
		return fmt.Errorf("step %s: Image is expected", s.StepID)
	case s.Subject != agentapi.SubjectVM && s.Subject != agentapi.SubjectImage:
		return fmt.Errorf("step %s: subject %q is not known", s.StepID, s.Subject)
	case isNICChange(s.Op) && nicID(s.NIC) < 0:
		return fmt.Errorf("step %s: NIC with its NIC_ID is expected", s.StepID)
	case s.Op == agentapi.OpMigrate && s.Peer == "":
		return fmt.Errorf("step %s: Peer is expected", s.StepID)
	case isDiskChange(s.Op) && !hasDiskID(s.Disk):
		return fmt.Errorf("step %s: Disk with its DISK_ID is expected", s.StepID)
	case isSnapshotWork(s.Op) && (s.Snapshot == nil || s.Snapshot.Name == ""):
		return fmt.Errorf("step %s: Snapshot with its Name is expected", s.StepID)
	}
	return nil
}

// movesDisks tells whether an operation reads or writes whole disks or memories.
func movesDisks(op agentapi.Op) bool {
	switch op {
	case agentapi.OpPrepare, agentapi.OpSave, agentapi.OpRestore, agentapi.OpStore, agentapi.OpFetch, agentapi.OpFinish,
		agentapi.OpAttachDisk, agentapi.OpPlaceDisk, agentapi.OpDropDisk,
		agentapi.OpSnapshotCreate, agentapi.OpSnapshotRevert,
		agentapi.OpImageImport, agentapi.OpImageCreate, agentapi.OpImageClone:
		return true
	}
	return false
}

func (a *Agent) doMachine(ctx context.Context, t *task, op agentapi.Op, m *agentapi.Machine) (r agentapi.Result, err error) {
	driver, disks := a.cfg.Driver, a.cfg.Disks
	switch op {
	case agentapi.OpPrepare:
		err = disks.Prepare(ctx, m)
	case agentapi.OpStart:
		r.DeployID, err = a.bringUp(ctx, t, func() (string, error) {
			return driver.Start(ctx, m, disks.Dir(m))
		})
	case agentapi.OpRestore:
		r.DeployID, err = a.bringUp(ctx, t, func() (string, error) {
			return driver.Restore(ctx, m, disks.Dir(m), a.checkpoint(m))
		})
	case agentapi.OpShutdown:
		if err = a.shutdown(ctx, t, m); err == nil {
			err = a.cfg.Networks.Clean(ctx, m)
		}
	case agentapi.OpDestroy:
		if err = driver.Destroy(ctx, m.Domain); err == nil {
			err = a.cfg.Networks.Clean(ctx, m)
		}
	case agentapi.OpSave:
		if err = driver.Save(ctx, m.Domain, a.checkpoint(m)); err == nil {
			err = a.cfg.Networks.Clean(ctx, m)
		}
	case agentapi.OpReboot:
		err = driver.Reboot(ctx, m.Domain)
	case agentapi.OpReset:
		err = driver.Reset(ctx, m.Domain)
	case agentapi.OpStore:
		if err = a.ensureOff(ctx, m); err == nil {
			err = disks.Store(ctx, m)
		}
	case agentapi.OpFetch:
		err = disks.Fetch(ctx, m)
	case agentapi.OpFinish:
		if err = a.ensureOff(ctx, m); err == nil {
			err = disks.Finish(ctx, m)
		}
	case agentapi.OpContext:
		err = a.exchangeContext(ctx, m)
	case agentapi.OpCleanup:
		err = a.cleanup(m)
	default:
		err = fmt.Errorf("operation %q on a VM is not known", op)
	}
	return r, err
}

// migrate lets a domain go on at another host.
func (a *Agent) migrate(ctx context.Context, m *agentapi.Machine, peer string) error {
	d, ok := a.cfg.Driver.(hypervisor.Migrator)
	if !ok {
		return fmt.Errorf("driver %s cannot move VMs that run", a.cfg.Driver.Info().Name)
	}
	if err := d.Migrate(ctx, m, peer); err != nil {
		return err
	}
	return a.cfg.Networks.Clean(ctx, m)
}

// ensureOff makes sure that no domain uses the disks that are about to move or
// go: an operator may have declared a shutdown done that was not.
func (a *Agent) ensureOff(ctx context.Context, m *agentapi.Machine) error {
	if err := a.cfg.Driver.Destroy(ctx, m.Domain); err != nil {
		return fmt.Errorf("make sure the domain is off: %w", err)
	}
	return nil
}

// checkpoint is where the memory of a VM is saved.
func (a *Agent) checkpoint(m *agentapi.Machine) string {
	return filepath.Join(a.cfg.Disks.Dir(m), "checkpoint")
}

// bringUp starts a domain by start, with all it needs around it. What fails is
// undone, unless the agent stops: then the next one goes on from here.
func (a *Agent) bringUp(ctx context.Context, t *task, start func() (string, error)) (deployID string, err error) {
	m := t.step.Machine
	defer func() {
		if err != nil && !errors.Is(context.Cause(ctx), errStopped) {
			if undo := a.takeDown(m); undo != nil {
				err = fmt.Errorf("%w (and undoing it failed: %w)", err, undo)
			}
		}
	}()
	state, err := a.cfg.Driver.State(ctx, m.Domain)
	if err != nil && !errors.Is(err, hypervisor.ErrNoDomain) {
		return "", err
	}
	if up := err == nil && isUp(state); up {
		// Its context disk is in use, and it may be up but not running.
		a.lookAfter(t)
	} else if err := a.cfg.Disks.Context(ctx, m); err != nil {
		return "", fmt.Errorf("context disk: %w", err)
	}
	if err := a.cfg.Networks.Pre(ctx, m); err != nil {
		return "", fmt.Errorf("networks before start: %w", err)
	}
	if deployID, err = start(); err != nil {
		return "", err
	}
	if err := a.cfg.Networks.Post(ctx, m); err != nil {
		return "", fmt.Errorf("networks after start: %w", err)
	}
	return deployID, a.dropCheckpoint(m)
}

// lookAfter asks for the state of the domain to be told after the step.
func (a *Agent) lookAfter(t *task) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t.look = true
}

// dropCheckpoint removes the memory of before: a later save that is cut must not
// find it and take it for its own.
func (a *Agent) dropCheckpoint(m *agentapi.Machine) error {
	if !a.cfg.Driver.Info().NeedsDisks {
		return nil
	}
	if err := os.Remove(a.checkpoint(m)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove checkpoint: %w", err)
	}
	return nil
}

// takeDown stops what bringUp has started, even when the step was cut.
func (a *Agent) takeDown(m *agentapi.Machine) error {
	ctx, cancel := context.WithTimeout(a.base, undoTime)
	defer cancel()
	return errors.Join(a.cfg.Driver.Destroy(ctx, m.Domain), a.cfg.Networks.Clean(ctx, m))
}

// shutdown asks the guest to power off, again and again because a request is
// lost on a guest that does not listen yet, until the domain is gone.
func (a *Agent) shutdown(ctx context.Context, t *task, m *agentapi.Machine) error {
	repeat := time.NewTicker(a.cfg.ShutdownRepeat)
	defer repeat.Stop()
	ask := true
	for {
		if ask {
			err := a.cfg.Driver.Shutdown(ctx, m.Domain)
			if errors.Is(err, hypervisor.ErrNoDomain) {
				return nil
			}
			if err != nil && ctx.Err() == nil {
				a.log.Warn("request to power off failed", "vm", m.ID, "error", err)
			}
		}
		state, err := a.cfg.Driver.State(ctx, m.Domain)
		switch {
		case errors.Is(err, hypervisor.ErrNoDomain):
			return nil
		case err == nil && !isUp(state):
			return a.cfg.Driver.Destroy(ctx, m.Domain) // what is left of it
		}
		select {
		case <-t.changed:
			ask = false
		case <-repeat.C:
			ask = true
		case <-ctx.Done():
			return fmt.Errorf("the guest did not power off: %w", context.Cause(ctx))
		}
	}
}

// cleanup removes all of a VM and goes on after every failure: what cannot be
// removed is in the log. Only the end of the agent cuts it.
func (a *Agent) cleanup(m *agentapi.Machine) error {
	ctx, cancel := context.WithTimeout(a.base, undoTime)
	defer cancel()
	for _, part := range []struct {
		what   string
		remove func() error
	}{
		{"domain", func() error { return a.cfg.Driver.Destroy(ctx, m.Domain) }},
		{"networks", func() error { return a.cfg.Networks.Clean(ctx, m) }},
		{"disks", func() error { return a.cfg.Disks.Remove(ctx, m) }},
	} {
		if err := part.remove(); err != nil {
			a.log.Warn("clean-up is not complete", "vm", m.ID, "what", part.what, "error", err)
		}
		if a.base.Err() != nil {
			return context.Cause(a.base)
		}
	}
	return nil
}

func (a *Agent) doImage(ctx context.Context, op agentapi.Op, s *agentapi.ImageSpec) (agentapi.Result, error) {
	var (
		i   disk.Stored
		err error
	)
	switch op {
	case agentapi.OpImageImport:
		i, err = a.cfg.Disks.ImportVerified(ctx, s, disk.Sums{MD5: s.MD5, SHA1: s.SHA1})
	case agentapi.OpImageCreate:
		i, err = a.cfg.Disks.CreateImage(ctx, s)
	case agentapi.OpImageClone:
		i, err = a.cfg.Disks.CloneImage(ctx, s)
	case agentapi.OpImageDelete:
		err = a.cfg.Disks.DeleteImage(ctx, s)
	default:
		err = fmt.Errorf("operation %q on an image is not known", op)
	}
	return agentapi.Result{Source: i.Source, Format: i.Format, SizeMB: i.SizeMB}, err
}
