package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// Member is one member of the embedded etcd's cluster.
type Member struct {
	Name    string // "" until it has started for the first time
	PeerURL string
	Learner bool // it is still catching up and has no vote
	Leader  bool // it leads in Raft's sense
}

// errNotOurs refuses to change the members of an etcd that is not embedded.
var errNotOurs = errors.New("the members of this store are not ours to manage")

func (s *Store) embedded() (*embedded, error) {
	if m, ok := s.log.(*embedded); ok {
		return m, nil
	}
	return nil, errNotOurs
}

// Members returns the members of the cluster, by name.
func (s *Store) Members(ctx context.Context) ([]Member, error) {
	m, err := s.embedded()
	if err != nil {
		return nil, err
	}
	return m.members(ctx)
}

func (m *embedded) members(ctx context.Context) ([]Member, error) {
	list, err := m.client.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the members: %w", err)
	}
	leader := uint64(m.etcd.Server.Leader())
	var out []Member
	for _, e := range list.Members {
		one := Member{Name: e.Name, Learner: e.IsLearner, Leader: e.ID == leader}
		if len(e.PeerURLs) > 0 {
			one.PeerURL = e.PeerURLs[0]
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Member) int {
		if a.Name < b.Name || a.Name == b.Name && a.PeerURL < b.PeerURL {
			return -1
		}
		return 1
	})
	return out, nil
}

// AddMember tells the cluster of a new member and returns the Members of its
// Config.Cluster, whose Join has to be set. It gets a vote
// once it has caught up, sooner when this member leads.
func (s *Store) AddMember(ctx context.Context, name, peerURL string) (map[string]string, error) {
	m, err := s.embedded()
	if err != nil {
		return nil, err
	}
	if m.single {
		return nil, errors.New("this member listens for no others: give it a cluster's configuration first")
	}
	had, err := m.members(ctx)
	if err != nil {
		return nil, err
	}
	peers := map[string]string{name: peerURL}
	for _, one := range had {
		switch {
		case one.Name == name:
			return nil, fmt.Errorf("there is a member %q already", name)
		case one.Name == "":
			return nil, fmt.Errorf("the member at %s was added and has not started yet", one.PeerURL)
		}
		peers[one.Name] = one.PeerURL
	}
	if _, err := m.client.MemberAddAsLearner(ctx, []string{peerURL}); err != nil {
		return nil, fmt.Errorf("add member %q: %w", name, err)
	}
	select {
	case m.joining <- struct{}{}:
	default:
	}
	return peers, nil
}

// RemoveMember drops a member, which must not come back under its old data. One
// that was added and never started is named by its peer URL.
func (s *Store) RemoveMember(ctx context.Context, name string) error {
	m, err := s.embedded()
	if err != nil {
		return err
	}
	list, err := m.client.MemberList(ctx)
	if err != nil {
		return fmt.Errorf("list the members: %w", err)
	}
	for _, e := range list.Members {
		if e.Name == name && name != "" || e.Name == "" && slices.Contains(e.PeerURLs, name) {
			if _, err := m.client.MemberRemove(ctx, e.ID); err != nil {
				return fmt.Errorf("remove member %q: %w", name, err)
			}
			return nil
		}
	}
	return fmt.Errorf("there is no member %q", name)
}

// promoteLearners gives a vote to members that have caught up.
func (s *Store) promoteLearners(ctx context.Context, _ Term) error {
	m, err := s.embedded()
	if err != nil {
		return err
	}
	for {
		learners, err := m.promote(ctx)
		if err != nil {
			return err
		}
		// How far a learner is, etcd only says when asked to promote it.
		again := housePeriod
		if learners {
			again = time.Second
		}
		select {
		case <-m.joining:
		case <-time.After(again):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// promote tries to give every learner a vote, and tells whether any is left.
func (m *embedded) promote(ctx context.Context) (left bool, err error) {
	list, err := m.client.MemberList(ctx)
	if err != nil {
		return false, fmt.Errorf("list the members: %w", err)
	}
	for _, e := range list.Members {
		if !e.IsLearner {
			continue
		}
		_, err := m.client.MemberPromote(ctx, e.ID)
		switch {
		case errors.Is(err, rpctypes.ErrMemberLearnerNotReady):
			left = true
		case err != nil:
			return true, fmt.Errorf("give member %q a vote: %w", e.Name, err)
		}
	}
	return left, nil
}

// tellPeers makes the cluster use this member's present peer URL: a single
// member's is of no use to others.
func (m *embedded) tellPeers(ctx context.Context, peerURL string) error {
	list, err := m.client.MemberList(ctx)
	if err != nil {
		return fmt.Errorf("list the members: %w", err)
	}
	me := uint64(m.etcd.Server.MemberID())
	for _, e := range list.Members {
		if e.ID == me && !slices.Equal(e.PeerURLs, []string{peerURL}) {
			if _, err := m.client.MemberUpdate(ctx, me, []string{peerURL}); err != nil {
				return fmt.Errorf("tell the peers where this member is: %w", err)
			}
		}
	}
	return nil
}
