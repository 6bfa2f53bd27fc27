package lifecycle

import (
	"fmt"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/store"
)

// writeLog hands lines of VM logs on.
func (c *Controller) writeLog(records []*store.OutboxRecord) error {
	if c.LogLine == nil {
		return nil
	}
	for _, r := range records {
		if err := c.LogLine(r.ID, time.UnixMilli(r.Time), r.Text); err != nil {
			return fmt.Errorf("write the log of VM %d: %w", r.ID, err)
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
			m, err := c.machineOf(st, v)
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
