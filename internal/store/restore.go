package store

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"google.golang.org/protobuf/proto"
)

// keyRestored holds the head of the snapshot that the data came from.
const keyRestored = "meta/restored"

// Restore makes a data directory, which must be empty or absent, from a snapshot
// file. It becomes the first and only member of a new cluster; with a
// Config.Cluster, others can be added to it later.
//
// The members and agents of the old cloud may have seen revisions and epochs that
// the snapshot knows nothing of, and, if it is not the first restore, those of
// earlier restored clouds. So both start again above the time: the revision at the
// present microseconds since 1970, the epoch at the present seconds times 2^20. A
// cloud would have to commit a million batches or claim a million times in every
// second of its life to come across that. Should the clock be behind, they are at
// least a thousand million revisions and a million epochs above the snapshot's.
func Restore(ctx context.Context, path string, cfg Config) (SnapshotInfo, error) {
	info, err := restore(ctx, path, cfg)
	if err != nil {
		return SnapshotInfo{}, fmt.Errorf("restore %s: %w", path, err)
	}
	return info, nil
}

func restore(ctx context.Context, path string, cfg Config) (SnapshotInfo, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return SnapshotInfo{}, err
	}
	if cfg.Dir == "" {
		return SnapshotInfo{}, errors.New("expected a data directory")
	}
	if left, err := os.ReadDir(cfg.Dir); err == nil && len(left) > 0 {
		return SnapshotInfo{}, fmt.Errorf("the data directory %s is not empty", cfg.Dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return SnapshotInfo{}, err
	}
	info, err := InspectSnapshot(path)
	if err != nil {
		return info, err
	}
	f := format{info.Format, info.Kinds}
	if err := f.check(newCodecs()); err != nil {
		return info, err
	}
	// Everything happens beside the directory, which appears when it is complete.
	work := filepath.Clean(cfg.Dir) + ".restoring"
	if err := os.RemoveAll(work); err != nil { // left by one that was cut short
		return info, err
	}
	if err := fillDir(ctx, work, path, info, cfg); err != nil {
		return info, errors.Join(err, os.RemoveAll(work))
	}
	if err := os.Remove(cfg.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return info, err
	}
	if err := os.Rename(work, cfg.Dir); err != nil {
		return info, err
	}
	return info, syncDir(filepath.Dir(filepath.Clean(cfg.Dir)))
}

// fillDir makes a data directory in three steps: an empty etcd, then its
// revision raised while it is down, then the state.
func fillDir(ctx context.Context, work, path string, info SnapshotInfo, cfg Config) error {
	cfg.Dir, cfg.UnsafeNoFsync = work, true // it is synced as a whole in the end
	if err := os.Mkdir(work, 0o700); err != nil {
		return err
	}
	if err := withEtcd(ctx, cfg, func(*clientv3.Client) error { return nil }); err != nil {
		return fmt.Errorf("make an empty etcd: %w", err)
	}
	rev := max(info.Revision+1e9, cfg.Now().UnixMicro())
	if err := raiseRevision(filepath.Join(work, "etcd", "member", "snap", "db"), rev, info); err != nil {
		return fmt.Errorf("raise the revision: %w", err)
	}
	info.Epoch = max(info.Epoch+1<<20, uint64(cfg.Now().Unix())<<20)
	if err := withEtcd(ctx, cfg, func(c *clientv3.Client) error { return refill(ctx, c, path, info) }); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return syncTree(work)
}

// withEtcd runs an etcd in the directory while f works on it.
func withEtcd(ctx context.Context, cfg Config, f func(*clientv3.Client) error) error {
	ec, err := embedConfig(Config{Name: cfg.Name, Dir: cfg.Dir, Tick: 10 * time.Millisecond, Quota: cfg.Quota, UnsafeNoFsync: cfg.UnsafeNoFsync, Logger: cfg.Logger})
	if err != nil {
		return err
	}
	if cfg.Cluster != nil {
		at, err := url.Parse(cfg.Cluster.AdvertisePeer)
		if err != nil {
			return err
		}
		ec.AdvertisePeerUrls = []url.URL{*at}
		ec.InitialCluster = ec.Name + "=" + at.String()
		ec.InitialClusterToken = cfg.Cluster.Token
	}
	// A Raft snapshot after nearly every entry: members that join later must get
	// the database as it is, for the log does not know of the raised revision.
	ec.SnapshotCount, ec.SnapshotCatchUpEntries = 1, 1
	etcd, err := embed.StartEtcd(ec)
	if err != nil {
		return err
	}
	defer etcd.Close()
	select {
	case <-etcd.Server.ReadyNotify():
	case <-ctx.Done():
		return ctx.Err()
	}
	client := v3client.New(etcd.Server)
	return errors.Join(f(client), closeClient(client))
}

// raiseRevision puts one key into the database of an etcd that is down, as if
// it had been written at the given revision; etcd goes on counting from there.
func raiseRevision(path string, rev int64, info SnapshotInfo) error {
	head, err := json.Marshal(info)
	if err != nil {
		return err
	}
	kv, err := proto.Marshal(&mvccpb.KeyValue{Key: []byte(keyRestored), Value: head, CreateRevision: rev, ModRevision: rev, Version: 1})
	if err != nil {
		return err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		keys := tx.Bucket([]byte("key"))
		if keys == nil {
			return errors.New("the database has no keys")
		}
		// etcd's key of a revision: main, underscore, sub; big endian.
		at := binary.BigEndian.AppendUint64(nil, uint64(rev))
		at = binary.BigEndian.AppendUint64(append(at, '_'), 0)
		return keys.Put(at, kv)
	})
	return errors.Join(err, db.Close())
}

// refill writes the state and who may write next, and forgets the history, so
// that whoever watched the old cloud's starts over.
func refill(ctx context.Context, c *clientv3.Client, path string, info SnapshotInfo) error {
	epoch, err := json.Marshal(epochRecord{Epoch: info.Epoch})
	if err != nil {
		return err
	}
	kinds, err := json.Marshal(format{info.Format, info.Kinds})
	if err != nil {
		return err
	}
	batch := []clientv3.Op{clientv3.OpPut(keyEpoch, string(epoch)), clientv3.OpPut(keyFormat, string(kinds))}
	size, rev := 0, int64(0)
	flush := func() error {
		res, err := c.Txn(ctx).Then(batch...).Commit()
		if err != nil {
			return err
		}
		batch, size, rev = batch[:0], 0, res.Header.Revision
		return nil
	}
	_, err = readSnapshotFile(path, func(o op) error {
		if len(batch) > 0 && (size+len(o.key)+len(o.val) > maxBatchBytes || len(batch) == maxBatchKeys) {
			if err := flush(); err != nil {
				return err
			}
		}
		batch = append(batch, clientv3.OpPut(o.key, o.val))
		size += len(o.key) + len(o.val)
		return nil
	})
	if err != nil {
		return err
	}
	if len(batch) > 0 {
		if err := flush(); err != nil {
			return err
		}
	}
	_, err = c.Compact(ctx, rev, clientv3.WithCompactPhysical())
	return err
}

// syncTree makes everything below a directory durable.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() && !e.Type().IsRegular() {
			return err
		}
		return syncDir(path) // files are synced the same way
	})
}
