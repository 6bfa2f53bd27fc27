package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// external is the log in an etcd that somebody else runs. A lease decides who
// may claim; that others cannot write after a claim is the epoch key's work, as
// everywhere.
type external struct {
	etcdLog
	name string
	ttl  time.Duration

	mu      sync.Mutex
	session *concurrency.Session
	elected bool
	wg      sync.WaitGroup
}

const keyElection = "meta/election"

// openExternal connects and checks that etcd takes batches as large as ours.
func openExternal(ctx context.Context, cfg Config) (*external, error) {
	x := cfg.External
	client, err := clientv3.New(clientv3.Config{
		Endpoints: x.Endpoints, TLS: x.TLS, Username: x.User, Password: x.Password,
		DialTimeout: cfg.CommitTimeout, DialKeepAliveTime: x.TTL, DialKeepAliveTimeout: x.TTL,
		MaxCallSendMsgSize: 4 << 20, Logger: zapLogger(cfg.Logger),
	})
	if err != nil {
		return nil, fmt.Errorf("connect to etcd: %w", err)
	}
	e := &external{etcdLog: etcdLog{client: client, prefix: x.Prefix}, name: cfg.Name, ttl: x.TTL}
	// Counting the same key over and over writes nothing and is as many operations.
	count := clientv3.OpGet(e.prefix+keyEpoch, clientv3.WithCountOnly())
	if _, err := client.Txn(ctx).Then(slices.Repeat([]clientv3.Op{count}, maxTxnOps)...).Commit(); err != nil {
		return nil, errors.Join(fmt.Errorf("try a request of %d operations on etcd, which must run with --max-txn-ops=%d: %w", maxTxnOps, maxTxnOps, err), client.Close())
	}
	return e, nil
}

func (e *external) alone() bool { return false }

// campaign holds an election key by a lease that is kept alive.
func (e *external) campaign(ctx context.Context) (context.Context, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.session != nil {
		select {
		case <-e.session.Done():
			e.session = nil
		default:
		}
	}
	if e.session == nil {
		if err := e.forgetPast(ctx); err != nil {
			return nil, err
		}
		session, err := concurrency.NewSession(e.client, concurrency.WithTTL(int(max(1, e.ttl/time.Second))))
		if err != nil {
			return nil, fmt.Errorf("get a lease: %w", err)
		}
		e.session, e.elected = session, false
	}
	if !e.elected {
		if err := concurrency.NewElection(e.session, e.prefix+keyElection).Campaign(ctx, e.name); err != nil {
			return nil, fmt.Errorf("stand for election: %w", err)
		}
		e.elected = true
	}
	right, lose := context.WithCancelCause(context.Background())
	session := e.session
	e.wg.Go(func() {
		<-session.Done()
		lose(errors.New("the lease in etcd was lost"))
	})
	return right, nil
}

// forgetPast gives up the leases of earlier processes of this member, so that a
// restart does not wait for them to end.
func (e *external) forgetPast(ctx context.Context) error {
	got, err := e.client.Get(ctx, e.prefix+keyElection+"/", clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("look for earlier elections: %w", err)
	}
	for _, kv := range got.Kvs {
		if string(kv.Value) == e.name && kv.Lease != 0 {
			if _, err := e.client.Revoke(ctx, clientv3.LeaseID(kv.Lease)); err != nil {
				return fmt.Errorf("give up an earlier election: %w", err)
			}
		}
	}
	return nil
}

// compact leaves the history to whoever runs the etcd: others may need it.
func (e *external) compact(context.Context, int64) error { return nil }

func (e *external) close() error {
	var err error
	if e.session != nil {
		err = e.session.Close()
		if errors.Is(err, rpctypes.ErrLeaseNotFound) { // it had been lost
			err = nil
		}
	}
	e.wg.Wait()
	return errors.Join(err, e.client.Close())
}
