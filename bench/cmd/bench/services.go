package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/bench/figures"
	"github.com/trifid-cloud/trifid/bench/target"
	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/one"
)

// services measures large services and many of them: a role of 100 VMs, made and
// removed, and 1,000 services of 3 VMs at once.
func (b *bench) services(ctx context.Context) error {
	many := 1000
	if b.quick {
		many = 20
	}
	t := figures.NewTable("Large services, and many", "On 100 simulated hosts. RUNNING counts from the first request that instantiates, gone from the first that undeploys, until each service was seen there.",
		[]string{"services"}, "all RUNNING, s", "all gone, s", "server, cores", "others, cores")
	large := t.Row("1 of 100 VMs").Aim(0, figures.Below(0.5)).Aim(1, figures.Below(0.5))
	lots := t.Row(fmt.Sprintf("%d of 3 VMs", many)).Aim(0, figures.Below(5))
	for range b.runs {
		if err := b.deploy(ctx, large, 1, 100); err != nil {
			return err
		}
		if err := b.deploy(ctx, lots, many, 3); err != nil {
			return err
		}
	}
	return b.show(t)
}

// deploy makes so many services of one role with so many VMs, and removes them.
func (b *bench) deploy(ctx context.Context, row *figures.Row, services, vms int) (err error) {
	server, err := b.start(ctx, "services")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Kill(), os.RemoveAll(filepath.Join(b.dir, "services"))) }()
	if err := addHosts(ctx, server); err != nil {
		return err
	}
	s := &serviceBench{server: server}
	if s.flow, err = client.NewFlow(client.Config{Endpoint: server.FlowURL, Session: server.Session, Timeout: time.Minute}); err != nil {
		return err
	}
	vm, err := allocateTemplate(ctx, server, `NAME="guest" CPU="0.01" MEMORY="16"`)
	if err != nil {
		return fmt.Errorf("make a template: %w", err)
	}
	answer, err := s.flow.Do(ctx, http.MethodPost, "/service_template", map[string]any{
		"name": "bench", "deployment": "none",
		"roles": []any{map[string]any{"name": "worker", "type": "vm", "template_id": vm, "cardinality": vms}},
	})
	if err != nil {
		return fmt.Errorf("make a service template: %w", err)
	}
	if s.template, err = documentID(answer); err != nil {
		return err
	}
	return s.deploy(ctx, row, services)
}

func (s *serviceBench) deploy(ctx context.Context, row *figures.Row, services int) error {
	m, err := target.NewMeter(s.server.Process)
	if err != nil {
		return err
	}
	ids := make([]int, services)
	began := time.Now()
	err = s.each(services, func(i int) (err error) {
		ids[i], err = s.instantiate(ctx)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.await(ctx, id, one.ServiceRunning); err != nil {
			return err
		}
	}
	running := time.Since(began)
	began = time.Now()
	if err := s.each(services, func(i int) error { return s.undeploy(ctx, ids[i]) }); err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.awaitGone(ctx, id); err != nil {
			return err
		}
	}
	gone := time.Since(began)
	spent, err := m.Read()
	if err != nil {
		return err
	}
	row.Run(running.Seconds(), gone.Seconds(), spent.Target, spent.Others)
	return nil
}

// each calls f for every number below n, over as many connections as users of
// the interface have.
func (s *serviceBench) each(n int, f func(i int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, apiConns)
	for w := range apiConns {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += apiConns {
				errs[w] = f(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
