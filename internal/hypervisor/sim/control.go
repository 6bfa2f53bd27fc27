package sim

import (
	"fmt"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
)

// SetBehaviour changes how domains behave from now on. Changes that are already
// due (a boot, a shutdown) keep their time.
func (s *Sim) SetBehaviour(b Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.Behaviour = b
}

// Kill lets a domain die as if its process had crashed: the event tells.
func (s *Sim) Kill(domain string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.running(domain)
	if err != nil {
		return fmt.Errorf("kill: %w", err)
	}
	return s.end(d)
}

// KillAll lets every domain die at once, as a power cut does.
func (s *Sim) KillAll() error {
	for _, d := range s.snapshot() {
		if err := s.Kill(d.Name); err != nil {
			return err
		}
	}
	return nil
}

// SetState lets the hypervisor report a domain that is running in another state:
// suspended, failed, unknown, or running again. The event tells.
func (s *Sim) SetState(domain string, state agentapi.DomainState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.running(domain)
	if err != nil {
		return fmt.Errorf("set state: %w", err)
	}
	if state == agentapi.DomainPoweroff {
		return s.end(d)
	}
	d.State = state
	s.publish(d)
	return s.journal.put(entry{record: d.record}, len(s.domains))
}

// SetLoad sets what share of its CPU one domain uses, 0 to 1.
func (s *Sim) SetLoad(domain string, load float64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.running(domain)
	if err != nil {
		return fmt.Errorf("set load: %w", err)
	}
	d.load = load
	return nil
}

// AddWild adds a running domain that no one asked for.
func (s *Sim) AddWild(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.domains[name] != nil {
		return fmt.Errorf("sim: %s exists already", name)
	}
	d := newDomain(record{Name: name, VM: hypervisor.VMID(name), State: agentapi.DomainRunning})
	s.domains[name] = d
	d.up = true
	close(d.booted)
	s.publish(d)
	return s.journal.put(entry{record: d.record}, len(s.domains))
}

// Resync tells every reader of events that some may be lost.
func (s *Sim) Resync() { s.feed.Publish(hypervisor.Event{Resync: true}) }

// Len is the number of domains that are up.
func (s *Sim) Len() int { return len(s.snapshot()) }
