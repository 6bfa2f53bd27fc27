package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// database is a log that keeps a file of its own, which has to be looked after.
type database interface {
	// sizes returns the bytes of the file, and of those the bytes in use.
	sizes() (file, inUse int64)
	// defragment gives back what is not in use, unless another member is at it.
	defragment(ctx context.Context) error
	// full tells whether writes are refused because the quota is used up.
	full() bool
	// relieve gives up all history and lets writes in again, if that makes room.
	relieve(ctx context.Context) error
}

// wasteful is how many bytes not in use make it worth defragmenting, if they are
// at least half of the file. They are not lost, the database writes into them
// again; and while a database is defragmented nothing else is written.
const wasteful = 512 << 20

// keepDatabase looks at the size of the database until the store closes.
func (s *Store) keepDatabase(db database) {
	waited := false
	for {
		var err error
		if waited, err = s.checkDatabase(s.ctx, db, wasteful, waited); err != nil && s.ctx.Err() == nil {
			s.logger.Error("looking after the database failed, trying again", "error", err)
		}
		if wait(s.ctx, housePeriod) != nil {
			return
		}
	}
}

// checkDatabase notes the size of the database, and defragments it if it wastes
// more than the given bytes: at once on a follower, whose pause nobody notices; on
// a leader only the second time in a row, so that followers come first.
func (s *Store) checkDatabase(ctx context.Context, db database, waste int64, waited bool) (waits bool, err error) {
	if db.full() && s.relieves() {
		s.logger.Error("the database has used up its quota; giving up history to make room", "quota", s.cfg.Quota)
		if err := db.relieve(ctx); err != nil {
			return false, fmt.Errorf("make room: %w", err)
		}
	}
	before := s.Stats().FullAlarm
	file, inUse := db.sizes()
	s.stats.dbSize.Store(file)
	s.stats.dbInUse.Store(inUse)
	if now := s.Stats(); now.FullAlarm && !before {
		s.logger.Warn("the database is filling up", "in_use", inUse, "quota", now.Quota)
	}
	if free := file - inUse; free < waste || free < file/2 {
		return false, nil
	}
	if s.Leader() && !s.log.alone() && !waited {
		return true, nil
	}
	start := time.Now()
	if err := db.defragment(ctx); err != nil {
		return false, fmt.Errorf("defragment: %w", err)
	}
	now, _ := db.sizes()
	s.stats.dbSize.Store(now)
	s.logger.Info("defragmented the database", "before", file, "after", now, "took", time.Since(start))
	return false, nil
}

// relieves tells whether this member is the one to make room: a full database
// has no leader in the store's sense, since nobody can claim.
func (s *Store) relieves() bool {
	m, ok := s.log.(*embedded)
	return ok && leads(m.etcd.Server)
}

func (m *embedded) sizes() (file, inUse int64) {
	be := m.etcd.Server.Backend()
	return be.Size(), be.SizeInUse()
}

// defragLease is how long a member that dies while it defragments keeps the
// others from it.
const defragLease = 5 * time.Minute

func (m *embedded) defragment(ctx context.Context) error {
	if !m.single {
		lease, err := m.client.Grant(ctx, int64(defragLease/time.Second))
		if err != nil {
			return err
		}
		defer func() {
			_, _ = m.client.Revoke(context.WithoutCancel(ctx), lease.ID) // or else it expires
		}()
		mine, err := m.client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(keyDefrag), "=", 0)).
			Then(clientv3.OpPut(keyDefrag, "", clientv3.WithLease(lease.ID))).Commit()
		if err != nil {
			return err
		}
		if !mine.Succeeded {
			return errors.New("another member is at it")
		}
	}
	return m.etcd.Server.Backend().Defrag()
}

func (m *embedded) full() bool {
	for _, a := range m.etcd.Server.Alarms() {
		if a.Alarm == pb.AlarmType_NOSPACE {
			return true
		}
	}
	return false
}

func (m *embedded) relieve(ctx context.Context) error {
	now, err := m.client.Get(ctx, keyEpoch, clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	if _, err := m.client.Compact(ctx, now.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		return err
	}
	be := m.etcd.Server.Backend()
	if err := be.Defrag(); err != nil {
		return err
	}
	if size := be.Size(); size > m.quota*9/10 {
		return fmt.Errorf("the state itself needs %d of the %d bytes of the quota, which has to be raised", size, m.quota)
	}
	_, err = m.client.AlarmDisarm(ctx, &clientv3.AlarmMember{}) // all of them
	return err
}
