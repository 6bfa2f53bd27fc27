package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// etcdLog is the log in an etcd, reached through a client. Who may claim is the
// business of the types that embed it.
type etcdLog struct {
	client *clientv3.Client
	prefix string // before every key, "" in an etcd of our own
}

// loadPage is how many keys one page of a load has.
const loadPage = 4096

func (l *etcdLog) claim(ctx context.Context, holder epochRecord, with []op) (claim, error) {
	key := l.prefix + keyEpoch
	got, err := l.client.Get(ctx, key)
	if err != nil {
		return claim{}, fmt.Errorf("read the epoch: %w", err)
	}
	before := int64(0)
	if len(got.Kvs) > 0 {
		var last epochRecord
		if err := json.Unmarshal(got.Kvs[0].Value, &last); err != nil {
			return claim{}, fmt.Errorf("read the epoch: %w", err)
		}
		before, holder.Epoch = got.Kvs[0].ModRevision, last.Epoch
	}
	holder.Epoch++
	val, err := json.Marshal(holder)
	if err != nil {
		return claim{}, fmt.Errorf("write the epoch: %w", err)
	}
	rev, err := l.transact(ctx, before, append([]op{{keyEpoch, string(val)}}, with...))
	return claim{holder.Epoch, rev}, err
}

func (l *etcdLog) commit(ctx context.Context, c claim, ops []op) (int64, error) {
	return l.transact(ctx, c.rev, ops)
}

// transact makes a batch if the epoch key was last written at epochRev.
func (l *etcdLog) transact(ctx context.Context, epochRev int64, ops []op) (int64, error) {
	then := make([]clientv3.Op, len(ops))
	for i, o := range ops {
		if o.val == "" {
			then[i] = clientv3.OpDelete(l.prefix + o.key)
		} else {
			then[i] = clientv3.OpPut(l.prefix+o.key, o.val)
		}
	}
	res, err := l.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(l.prefix+keyEpoch), "=", epochRev)).
		Then(then...).Commit()
	switch {
	case refused(err):
		return 0, fmt.Errorf("%w: %w", errNotWritten, err)
	case err != nil:
		return 0, fmt.Errorf("commit: %w", err)
	case !res.Succeeded:
		return 0, errOvertaken
	}
	return res.Header.Revision, nil
}

// refused tells errors of etcd after which it is certain that nothing was
// written. ErrNoSpace is not one of them: the write that fills the quota is made,
// and then answered so.
func refused(err error) bool {
	for _, e := range []error{rpctypes.ErrRequestTooLarge, rpctypes.ErrTooManyOps, rpctypes.ErrDuplicateKey, rpctypes.ErrPermissionDenied} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (l *etcdLog) verify(ctx context.Context, c claim) error {
	got, err := l.client.Get(ctx, l.prefix+keyEpoch)
	if err != nil {
		return fmt.Errorf("read the epoch: %w", err)
	}
	if len(got.Kvs) == 0 || got.Kvs[0].ModRevision != c.rev {
		return errOvertaken
	}
	return nil
}

func (l *etcdLog) load(ctx context.Context, page func([]op) error) (int64, error) {
	from, end := l.prefix, clientv3.GetPrefixRangeEnd(l.prefix)
	if from == "" {
		from = "\x00"
	}
	rev := int64(0)
	for {
		opts := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(loadPage)}
		if rev > 0 {
			// The later pages are of the revision the linearizable first one found.
			opts = append(opts, clientv3.WithRev(rev), clientv3.WithSerializable())
		}
		got, err := l.client.Get(ctx, from, opts...)
		if err != nil {
			return 0, err
		}
		if rev == 0 {
			rev = got.Header.Revision
		}
		ops := make([]op, len(got.Kvs))
		for i, kv := range got.Kvs {
			ops[i] = op{strings.TrimPrefix(string(kv.Key), l.prefix), string(kv.Value)}
		}
		if err := page(ops); err != nil || !got.More {
			return rev, err
		}
		from = string(got.Kvs[len(got.Kvs)-1].Key) + "\x00"
	}
}

func (l *etcdLog) watch(ctx context.Context, from int64, each func(update) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for res := range l.client.Watch(ctx, l.prefix, clientv3.WithPrefix(), clientv3.WithRev(from)) {
		if res.CompactRevision > 0 {
			return errCompacted
		}
		if err := res.Err(); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		for events := res.Events; len(events) > 0; {
			// An answer never splits a revision.
			u := update{rev: events[0].Kv.ModRevision}
			for len(events) > 0 && events[0].Kv.ModRevision == u.rev {
				o := op{key: strings.TrimPrefix(string(events[0].Kv.Key), l.prefix)}
				if events[0].Type == mvccpb.PUT {
					o.val = string(events[0].Kv.Value)
				}
				u.ops, events = append(u.ops, o), events[1:]
			}
			if err := each(u); err != nil {
				return err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.New("the watch ended")
}

func (l *etcdLog) compact(ctx context.Context, rev int64) error {
	_, err := l.client.Compact(ctx, rev)
	if errors.Is(err, rpctypes.ErrCompacted) {
		return nil
	}
	return err
}
