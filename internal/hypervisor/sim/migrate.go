package sim

import (
	"context"
	"fmt"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// Migrate implements hypervisor.Migrator: the domain goes on at another simulated
// host of the same process with all it has. One that has gone there already is a
// success.
func (s *Sim) Migrate(ctx context.Context, m *agentapi.Machine, peer string) error {
	return s.do(ctx, OpMigrate, m.Domain, func() error {
		if s.cfg.Peer == nil {
			return fmt.Errorf("sim: host %s knows no other hosts", s.cfg.Hostname)
		}
		to, ok := s.cfg.Peer(peer)
		if !ok || to == s {
			return fmt.Errorf("sim: host %s knows no other host %s", s.cfg.Hostname, peer)
		}
		s.mu.Lock()
		d, err := s.running(m.Domain)
		var r record
		if err == nil {
			r = d.record
		}
		s.mu.Unlock()
		if err != nil {
			if _, moved := to.State(ctx, m.Domain); moved == nil {
				return nil
			}
			return err
		}
		if err := to.adopt(r); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.domains[m.Domain] != d {
			return nil // it died here at the last moment, and lives on there
		}
		return s.end(d)
	})
}

// adopt takes a domain over that runs on another host.
func (s *Sim) adopt(r record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.domains[r.Name]; old != nil {
		if old.up {
			return nil
		}
		return fmt.Errorf("sim: host %s is starting %s itself", s.cfg.Hostname, r.Name)
	}
	d := newDomain(r)
	if err := s.journal.put(entry{record: r}, len(s.domains)+1); err != nil {
		return err
	}
	d.up = true
	close(d.booted)
	s.domains[r.Name] = d
	s.publish(d)
	s.armLifetime(d)
	return nil
}
