package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// facts measures the host and the space of its datastores.
func (a *Agent) facts(ctx context.Context) (agentapi.Facts, error) {
	f, err := a.cfg.Driver.Facts(ctx)
	if err != nil {
		return f, fmt.Errorf("measure the host: %w", err)
	}
	if f.Datastores == nil {
		if f.Datastores, err = a.cfg.Disks.Space(ctx); err != nil {
			return f, fmt.Errorf("measure the datastores: %w", err)
		}
	}
	return f, nil
}

// sampleSoon asks for samples of host and VMs now.
func (a *Agent) sampleSoon() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// sample measures until ctx is done. The first wait is random, so that the hosts
// of a cloud that was started at once do not stay in step.
func (a *Agent) sample(ctx context.Context) {
	var host time.Time // when the host was measured last
	timer := time.NewTimer(rand.N(a.cfg.VMInterval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.kick:
			host = time.Time{}
		case <-timer.C:
			timer.Reset(a.cfg.VMInterval)
		}
		a.out.mu.Lock()
		l := a.out.link
		a.out.mu.Unlock()
		if l == nil {
			continue
		}
		// The tick nearest to the host's time is its tick.
		whole := time.Since(host) >= a.cfg.HostInterval-a.cfg.VMInterval/2
		if whole {
			host = time.Now()
		}
		if err := a.sampleOnce(ctx, l, whole); err != nil && ctx.Err() == nil {
			a.log.Warn("sample failed", "error", err)
		}
	}
}

// sampleOnce measures and sends; whole is with the host and its datastores.
func (a *Agent) sampleOnce(ctx context.Context, l *link, whole bool) error {
	h, vms, err := a.cfg.Driver.Stats(ctx)
	if err != nil {
		return fmt.Errorf("measure host and domains: %w", err)
	}
	switch {
	case !whole:
		h = agentapi.HostSample{}
	case h.Datastores == nil:
		if h.Datastores, err = a.cfg.Disks.Space(ctx); err != nil {
			return fmt.Errorf("measure the datastores: %w", err)
		}
	}
	if whole {
		if err := a.factsIfChanged(ctx, l); err != nil {
			return err
		}
	} else if len(vms) == 0 {
		return nil
	}
	l.sent(l.up.Samples(ctx, h, vms))
	return nil
}

// factsIfChanged sends the facts when they differ from those the link was told.
// Space is not compared: it always differs, and samples tell it.
func (a *Agent) factsIfChanged(ctx context.Context, l *link) error {
	f, err := a.facts(ctx)
	if err != nil {
		return err
	}
	was, is := l.facts, f
	was.Datastores, is.Datastores = nil, nil
	if reflect.DeepEqual(was, is) {
		return nil
	}
	l.facts = f
	l.sent(l.up.Facts(ctx, f))
	return nil
}
