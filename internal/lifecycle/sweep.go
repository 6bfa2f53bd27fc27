package lifecycle

import (
	"context"
	"time"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// sweepMost is the longest time between two looks for finished VMs that are kept
// no longer. They are kept for days, so that this is soon enough.
const sweepMost = time.Hour

// sweepKeys bounds what one transaction removes: a VM is two values and one for
// each history record, and a transaction may touch a thousand.
const sweepKeys = 500

// sweep removes VMs that have been in DONE for as long as they are to be kept. With
// no retention they are kept for ever.
func (c *Controller) sweep(ctx context.Context) error {
	keep := c.Cloud.Config().DoneRetention
	if keep <= 0 {
		return nil
	}
	tick := time.NewTicker(min(sweepMost, keep/4+time.Millisecond))
	defer tick.Stop()
	for {
		if err := c.sweepOnce(ctx, c.Now().Add(-keep).Unix()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sweepOnce removes the VMs that ended before a time, epoch seconds, and their logs.
func (c *Controller) sweepOnce(ctx context.Context, before int64) error {
	var batch []int
	keys, total := 0, 0
	flush := func() error {
		total += len(batch)
		err := c.removeDone(ctx, batch)
		batch, keys = batch[:0], 0
		return err
	}
	for id, v := range c.Store.View().DoneVMs.All() {
		if max(v.ETime, v.Since/1000) >= before {
			continue
		}
		v, err := c.trimHistory(ctx, v)
		if err != nil {
			return err
		}
		n := 2 + len(v.History)
		if keys+n > sweepKeys && len(batch) > 0 {
			if err := flush(); err != nil {
				return err
			}
		}
		batch, keys = append(batch, id), keys+n
	}
	if len(batch) == 0 {
		return nil
	}
	if err := flush(); err != nil {
		return err
	}
	c.Log.Info("finished machines are kept no longer", "removed", total)
	return nil
}

// removeDone removes VMs in one transaction. The logs go first: what is cut short
// here is begun again.
func (c *Controller) removeDone(ctx context.Context, ids []int) error {
	for _, id := range ids {
		if c.DropLog == nil {
			break
		}
		if err := c.DropLog(id); err != nil {
			c.Log.Warn("log of a machine not removed", "vm", id, "err", err)
		}
	}
	return c.Store.Update(ctx, func(tx *store.Tx) error {
		for _, id := range ids {
			// Nothing leads out of DONE, so that it is there as it was.
			tx.DeleteVM(id)
		}
		return nil
	})
}

// trimHistory shortens the history of a VM that is too long to be removed at once.
func (c *Controller) trimHistory(ctx context.Context, v *one.VM) (*one.VM, error) {
	for len(v.History) > sweepKeys {
		n := *v
		n.History = v.History[:max(sweepKeys, len(v.History)-sweepKeys)]
		if err := c.Store.Update(ctx, func(tx *store.Tx) error { tx.PutVM(&n); return nil }); err != nil {
			return nil, err
		}
		v = &n
	}
	return v, nil
}
