package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

func openDir(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// snapshot writes a snapshot to a file.
func snapshot(t *testing.T, s *Store, path string) SnapshotInfo {
	t.Helper()
	var buf bytes.Buffer
	info, err := s.Snapshot(testContext(t), &buf)
	if err == nil {
		err = os.WriteFile(path, buf.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// A restored cloud has the state of the snapshot, above every revision and epoch
// of the old one, also of what that did after the snapshot, and can grow.
func TestSnapshotAndRestore(t *testing.T) {
	ctx := testContext(t)
	old := openDir(t, Config{Dir: t.TempDir(), UnsafeNoFsync: true})
	if err := old.Update(ctx, putEverything); err != nil {
		t.Fatal(err)
	}
	if err := old.Update(ctx, putVMs(0, 150)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "snap")
	info := snapshot(t, old, path)
	want := old.View()
	if info.Revision != want.Revision || info.Keys < 150*5 || info.Epoch != 1 || info.Format != storeFormat || info.Kinds["vm"] != 1 {
		t.Errorf("snapshot: %+v, expected revision %d and all keys", info, want.Revision)
	}
	if again, err := InspectSnapshot(path); err != nil || again.Revision != info.Revision || again.Keys != info.Keys {
		t.Errorf("inspected: %+v, %v; expected %+v", again, err, info)
	}
	if err := old.Update(ctx, putSetting("after the snapshot", "")); err != nil {
		t.Fatal(err)
	}
	oldTerm, _ := old.Term()

	peer := freeURL(t)
	dir := filepath.Join(t.TempDir(), "restored")
	cfg := Config{Name: "first", Dir: dir, Tick: 20 * time.Millisecond,
		Cluster: &Cluster{ListenPeer: peer, Members: map[string]string{"first": peer}}}
	if _, err := Restore(ctx, path, cfg); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(dir + ".*"); err != nil || len(left) > 0 {
		t.Errorf("the restore leaves %q, %v", left, err)
	}
	first := openDir(t, cfg)
	eventually(t, "the restored member leads", first.Leader)
	sameState(t, "restored", first.View(), want)
	term, _ := first.Term()
	if first.View().Revision <= old.View().Revision+1e9 || term.Epoch <= oldTerm.Epoch+1<<20 {
		t.Errorf("restored at revision %d, epoch %d; the old cloud is at %d, %d", first.View().Revision, term.Epoch, old.View().Revision, oldTerm.Epoch)
	}
	if err := first.log.watch(ctx, old.View().Revision, nil); !errors.Is(err, errCompacted) {
		t.Errorf("a watch of the old cloud goes on without a word: %v", err)
	}
	if err := first.Update(ctx, putSetting("new", "")); err != nil {
		t.Fatal(err)
	}
	grow(t, first)
}

// grow makes a cluster of one a cluster of three, and checks that etcd finds the
// same data on all.
func grow(t *testing.T, first *Store) {
	ctx := testContext(t)
	all := []*Store{first}
	for _, name := range []string{"second", "third"} {
		peer := freeURL(t)
		var members map[string]string
		eventually(t, name+" is added", func() bool {
			var err error
			members, err = first.AddMember(ctx, name, peer)
			if err != nil && !errors.Is(err, rpctypes.ErrUnhealthy) { // the last one's vote is young
				t.Fatal(err)
			}
			return err == nil
		})
		if _, err := first.AddMember(ctx, "too soon", freeURL(t)); err == nil {
			t.Error("a member was added before the last one started")
		}
		s := openDir(t, Config{Name: name, Dir: t.TempDir(), Tick: 20 * time.Millisecond,
			Cluster: &Cluster{ListenPeer: peer, Members: members, Join: true}})
		eventually(t, name+" has a vote", func() bool {
			list, _ := first.Members(ctx) // it may fail while the leader changes
			return slices.ContainsFunc(list, func(m Member) bool { return m.Name == name && !m.Learner })
		})
		all = append(all, s)
	}
	var rev int64
	eventually(t, "a leader writes", func() bool {
		for _, s := range all {
			if s.Update(ctx, putSetting("with three", "")) == nil {
				rev = s.View().Revision
				return true
			}
		}
		return false
	})
	var hash uint32
	for i, s := range all {
		st, err := s.WaitRevision(ctx, rev)
		if err != nil {
			t.Fatal(err)
		}
		sameState(t, s.cfg.Name, st, first.View())
		h, _, err := s.log.(*embedded).etcd.Server.KV().HashStorage().HashByRev(rev)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			hash = h.Hash
		} else if h.Hash != hash {
			t.Errorf("%s has other data than the first: %x, %x", s.cfg.Name, h.Hash, hash)
		}
	}
	eventually(t, "the third is removed", func() bool { return first.RemoveMember(ctx, "third") == nil })
	if list, err := first.Members(ctx); err != nil || len(list) != 2 || list[0].Name != "first" || list[1].Name != "second" {
		t.Errorf("members: %+v, %v", list, err)
	}
	if err := first.RemoveMember(ctx, "third"); err == nil {
		t.Error("a member was removed twice")
	}
}

func TestRestoreRefuses(t *testing.T) {
	ctx := testContext(t)
	s := openDir(t, Config{Dir: t.TempDir(), UnsafeNoFsync: true})
	if err := s.Update(ctx, putEverything); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "snap")
	snapshot(t, s, path)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := bytes.Cut(raw, []byte("\n"))
	var info SnapshotInfo
	if err := json.Unmarshal(head, &info); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*SnapshotInfo)) []byte {
		c := info
		change(&c)
		var out bytes.Buffer
		if err := writeSnapshot(&out, c, nil); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	flipped := bytes.Clone(raw)
	flipped[len(head)+len(body)/2] ^= 1
	for what, c := range map[string]struct {
		file []byte
		want string
	}{
		"cut":          {raw[:len(raw)/2], "damaged"},
		"no sum":       {raw[:len(raw)-32], "damaged"},
		"longer":       {append(bytes.Clone(raw), 0), "damaged"},
		"changed":      {flipped, "damaged"},
		"empty":        {nil, "damaged"},
		"other file":   {[]byte("hello\nworld\n"), "not a snapshot"},
		"newer file":   {with(func(i *SnapshotInfo) { i.Version++ }), "newer"},
		"newer format": {with(func(i *SnapshotInfo) { i.Format++ }), "newer"},
		"newer kind":   {with(func(i *SnapshotInfo) { i.Kinds = map[string]int{"vm": 99} }), "newer"},
	} {
		bad := filepath.Join(t.TempDir(), "snap")
		if err := os.WriteFile(bad, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "dir")
		_, err := Restore(ctx, bad, Config{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, expected an error that says %q", what, err, c.want)
		}
		if left, _ := filepath.Glob(dir + "*"); len(left) > 0 {
			t.Errorf("%s: left %q behind", what, left)
		}
	}
	if _, err := Restore(ctx, path, Config{Dir: s.cfg.Dir}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("restore into a used directory: %v", err)
	}
	// What a restore that was cut short left does not hinder the next.
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.MkdirAll(filepath.Join(dir+".restoring", "etcd"), 0o700); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Restore(gone, path, Config{Dir: dir}); err == nil {
		t.Error("a restore without time succeeded")
	}
	if _, err := Restore(ctx, path, Config{Dir: dir}); err != nil {
		t.Errorf("restore after one that was cut short: %v", err)
	}
}

func FuzzReadSnapshot(f *testing.F) {
	var buf bytes.Buffer
	info := SnapshotInfo{Magic: snapshotMagic, Version: snapshotVersion}
	if err := writeSnapshot(&buf, info, []op{{"zone/counter/vm", "counter:1 5"}, {"fed/user/0", "user:1 {}"}}); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Add(buf.Bytes()[:40])
	f.Add([]byte("{\"magic\":\"trifid snapshot\",\"version\":1}\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var ops []op
		info, err := readSnapshot(bytes.NewReader(in), func(o op) error {
			ops = append(ops, o)
			return nil
		})
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := writeSnapshot(&again, info, ops); err != nil {
			t.Fatal(err)
		}
		if _, err := readSnapshot(&again, func(op) error { return nil }); err != nil {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
	})
}
