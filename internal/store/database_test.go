package store

import (
	"errors"
	"fmt"
	"testing"
)

// churn overwrites one setting until the database has grown.
func churn(t *testing.T, s *Store, times int) error {
	t.Helper()
	ctx := testContext(t)
	for i := range times {
		err := s.Update(ctx, func(tx *Tx) error {
			tx.PutSetting("churn", fmt.Appendf(make([]byte, 100<<10), "%d", i))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// History is forgotten as it grows.
func TestCompactHistory(t *testing.T) {
	ctx := testContext(t)
	s, err := Open(ctx, Config{Dir: t.TempDir(), KeepRevisions: 20, UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := churn(t, s, 100); err != nil {
		t.Fatal(err)
	}
	done := errors.New("done")
	gone := func(rev int64) bool {
		err := s.log.watch(ctx, rev, func(update) error { return done })
		if err != done && err != errCompacted {
			t.Fatal(err)
		}
		return err == errCompacted
	}
	eventually(t, "old revisions are gone", func() bool { return gone(s.View().Revision - 41) })
	if gone(s.View().Revision - 19) {
		t.Error("young revisions are gone")
	}
}

// What history took is given back.
func TestDefragment(t *testing.T) {
	ctx := testContext(t)
	s, err := Open(ctx, Config{Dir: t.TempDir(), UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := churn(t, s, 200); err != nil {
		t.Fatal(err)
	}
	if err := s.log.compact(ctx, s.View().Revision); err != nil {
		t.Fatal(err)
	}
	db := s.log.(database)
	eventually(t, "history is gone", func() bool {
		if err := s.Update(ctx, putSetting("small", "")); err != nil {
			t.Fatal(err)
		}
		file, inUse := db.sizes()
		return file > 15<<20 && inUse < file/4
	})
	before, _ := db.sizes()
	if _, err := s.checkDatabase(ctx, db, 1<<20, false); err != nil {
		t.Fatal(err)
	}
	if after, _ := db.sizes(); after > before/2 || s.Stats().DBSize != after {
		t.Errorf("defragmented from %d to %d bytes, stats say %d", before, after, s.Stats().DBSize)
	}
	if v, _ := s.View().Settings.Get("churn"); len(v) < 100<<10 {
		t.Error("the setting is lost")
	}
}

// A database whose history filled its quota recovers by itself.
func TestFull(t *testing.T) {
	ctx := testContext(t)
	s, err := Open(ctx, Config{Dir: t.TempDir(), Quota: 16 << 20, UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db := s.log.(database)
	if _, err := s.checkDatabase(ctx, db, wasteful, false); err != nil || s.Stats().FullAlarm {
		t.Fatalf("alarm of an empty database: %v, %v", s.Stats().FullAlarm, err)
	}
	if err := churn(t, s, 110); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the alarm is raised", func() bool {
		if _, err := s.checkDatabase(ctx, db, wasteful, false); err != nil {
			t.Fatal(err)
		}
		return s.Stats().FullAlarm
	})
	var unknown *OutcomeError
	eventually(t, "a write fails", func() bool { return errors.As(churn(t, s, 10), &unknown) })
	if s.View().Settings.Len() != 1 {
		t.Error("a full store does not answer reads")
	}
	eventually(t, "etcd says so", db.full)
	if _, err := s.checkDatabase(ctx, db, wasteful, false); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(ctx, putSetting("x", "1")); err != nil {
		t.Errorf("after making room: %v", err)
	}
	if st := s.Stats(); st.FullAlarm {
		t.Errorf("the alarm stays: %+v", st)
	}
}

// Of a cluster the followers are defragmented first, one at a time.
func TestFollowersFirst(t *testing.T) {
	ctx := testContext(t)
	c := newCluster(t, "a", "b", "c")
	leader := c.leader()
	for name, s := range c.stores {
		db := s.log.(database)
		waits, err := s.checkDatabase(ctx, db, 0, false)
		if err != nil {
			t.Fatal(err)
		}
		file, inUse := db.sizes()
		if name == leader && file > 2*inUse && !waits {
			t.Error("the leader did not wait for its followers")
		}
	}
	lock := c.stores[leader].log.(*embedded)
	if _, err := lock.client.Put(ctx, keyDefrag, ""); err != nil {
		t.Fatal(err)
	}
	if err := lock.defragment(ctx); err == nil {
		t.Error("two members defragment at once")
	}
}
