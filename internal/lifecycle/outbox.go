package lifecycle

import (
	"fmt"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/store"
)

// gatherLog is how long a line of a VM's log may wait for others: a VM that
// starts has several, and each file is opened once for all of them.
const gatherLog = 100 * time.Millisecond

// LogLine is a line of a VM's log.
type LogLine struct {
	At   time.Time
	Text string
}

// writeLog hands lines of VM logs on, those of one VM together.
func (c *Controller) writeLog(records []*store.OutboxRecord) error {
	if c.LogLines == nil {
		return nil
	}
	var vms []int
	lines := map[int][]LogLine{}
	for _, r := range records {
		if _, ok := lines[r.ID]; !ok {
			vms = append(vms, r.ID)
		}
		lines[r.ID] = append(lines[r.ID], LogLine{time.UnixMilli(r.Time), r.Text})
	}
	for _, vm := range vms {
		if err := c.LogLines(vm, lines[vm]); err != nil {
			return fmt.Errorf("write the log of VM %d: %w", vm, err)
		}
	}
	return nil
}

// ask sends operations that change no state, such as a reboot. They are asked
// once: when the host is not there the operation is lost, as it would be with the
// power button.
func (c *Controller) ask(t *term) func([]*store.OutboxRecord) error {
	return func(records []*store.OutboxRecord) error {
		st := c.Store.View()
		for _, r := range records {
			v, ok := st.VMs.Get(r.ID)
			if !ok {
				continue
			}
			l := c.linkOf(v.HostID())
			if l == nil {
				c.Log.Warn("operation not asked: the host is not connected", "vm", r.ID, "op", r.Text)
				continue
			}
			m, err := c.machineOf(st, v, agentapi.Op(r.Text))
			if err != nil {
				c.Log.Warn("operation not asked", "vm", r.ID, "op", r.Text, "err", err)
				continue
			}
			id := agentapi.StepID{Epoch: t.epoch, Subject: agentapi.SubjectVM, ID: v.ID, Seq: v.Seq(), State: -1, Attempt: int(r.Seq)}
			if err := l.down.Run(l.ctx, agentapi.Step{StepID: id, Op: agentapi.Op(r.Text), Machine: m, Timeout: 60_000}); err != nil {
				c.Log.Warn("operation not asked", "vm", r.ID, "op", r.Text, "err", err)
			}
		}
		return nil
	}
}
