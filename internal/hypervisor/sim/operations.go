package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
)

// running returns a domain that has booted, or ErrNoDomain. The caller holds mu.
func (s *Sim) running(name string) (*domain, error) {
	if d := s.domains[name]; d != nil && d.up {
		return d, nil
	}
	return nil, fmt.Errorf("sim: %s: %w", name, hypervisor.ErrNoDomain)
}

// Shutdown implements hypervisor.Driver: the guest is gone ShutdownTime after
// the first request.
func (s *Sim) Shutdown(ctx context.Context, domain string) error {
	return s.do(ctx, OpShutdown, domain, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		d, err := s.running(domain)
		if err != nil || d.dying || s.cfg.ShutdownTime < 0 {
			return err
		}
		if s.cfg.ShutdownTime == 0 {
			return s.end(d)
		}
		if d.timer != nil {
			d.timer.Stop()
		}
		d.dying = true
		d.timer = time.AfterFunc(s.cfg.ShutdownTime, func() { s.locked(d, s.lost) })
		return nil
	})
}

// Destroy implements hypervisor.Driver.
func (s *Sim) Destroy(ctx context.Context, domain string) error {
	return s.do(ctx, OpDestroy, domain, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.saved[domain]; ok {
			delete(s.saved, domain)
			if err := s.journal.drop(domain, len(s.domains)); err != nil {
				return err
			}
		}
		if d := s.domains[domain]; d != nil {
			return s.end(d)
		}
		return nil
	})
}

// Reboot implements hypervisor.Driver; it takes no time.
func (s *Sim) Reboot(ctx context.Context, domain string) error {
	return s.restart(ctx, OpReboot, domain)
}

// Reset implements hypervisor.Driver; it takes no time.
func (s *Sim) Reset(ctx context.Context, domain string) error {
	return s.restart(ctx, OpReset, domain)
}

func (s *Sim) restart(ctx context.Context, op Op, domain string) error {
	return s.do(ctx, op, domain, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, err := s.running(domain)
		return err
	})
}

// Save implements hypervisor.Driver; nothing is written to path.
func (s *Sim) Save(ctx context.Context, domain, path string) error {
	return s.do(ctx, OpSave, domain, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.saved[domain] == path && s.domains[domain] == nil {
			return nil
		}
		d, err := s.running(domain)
		if err != nil {
			return err
		}
		s.remove(d)
		s.saved[domain] = path
		return s.journal.put(entry{record: record{Name: domain, VM: d.VM}, SavedTo: path}, len(s.domains))
	})
}

// State implements hypervisor.Driver. A domain that still boots is none yet.
func (s *Sim) State(ctx context.Context, domain string) (agentapi.DomainState, error) {
	var state agentapi.DomainState
	err := s.do(ctx, OpState, domain, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		d, err := s.running(domain)
		if err == nil {
			state = d.State
		}
		return err
	})
	return state, err
}

// List implements hypervisor.Driver, in order of VM and name.
func (s *Sim) List(ctx context.Context) ([]agentapi.Event, error) {
	var all []agentapi.Event
	err := s.do(ctx, OpList, "", func() error {
		for _, d := range s.snapshot() {
			all = append(all, d.event())
		}
		return nil
	})
	return all, err
}

// snapshot returns copies of the domains that are up, by VM and name.
func (s *Sim) snapshot() []domain {
	s.mu.Lock()
	up := make([]domain, 0, len(s.domains))
	for _, d := range s.domains {
		if d.up {
			up = append(up, domain{record: d.record, load: d.load})
		}
	}
	s.mu.Unlock()
	slices.SortFunc(up, func(a, b domain) int {
		return cmp.Or(cmp.Compare(a.VM, b.VM), cmp.Compare(a.Name, b.Name))
	})
	return up
}

// Events implements hypervisor.Driver.
func (s *Sim) Events(ctx context.Context) (<-chan hypervisor.Event, error) {
	return s.feed.Subscribe(ctx), nil
}
