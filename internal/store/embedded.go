package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/pkg/v3/featuregate"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

// embedded is the log in an etcd that runs in this process.
type embedded struct {
	etcdLog
	etcd   *embed.Etcd
	lock   *os.File
	single bool
	tick   time.Duration
	quota  int64
	stop   chan struct{}
	// joining is told of members that were added here.
	joining chan struct{}
	wg      sync.WaitGroup
}

// maxTxnOps is etcd's bound of operations in one request: a batch, and what may
// go with a claim.
const maxTxnOps = maxBatchKeys + 16

// longestSocketPath is what a Unix socket's address can hold.
const longestSocketPath = 107

// openEmbedded starts etcd in the data directory and waits until it has a leader.
func openEmbedded(ctx context.Context, cfg Config) (*embedded, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	if err := os.Chmod(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("close the data directory to others: %w", err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	ec, err := embedConfig(cfg)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	etcd, err := embed.StartEtcd(ec)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start etcd: %w", err), lock.Close())
	}
	m := &embedded{etcd: etcd, lock: lock, single: cfg.Cluster == nil, tick: cfg.Tick, quota: cfg.Quota, stop: make(chan struct{}), joining: make(chan struct{}, 1)}
	select {
	case <-etcd.Server.ReadyNotify():
	case err = <-etcd.Err():
	case <-etcd.Server.StopNotify():
		err = errors.New("etcd stopped")
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		etcd.Close()
		return nil, errors.Join(fmt.Errorf("start etcd: %w", err), lock.Close())
	}
	m.client = v3client.New(etcd.Server)
	if cfg.Cluster != nil {
		if err := m.tellPeers(ctx, cfg.Cluster.AdvertisePeer); err != nil {
			return nil, errors.Join(err, m.close())
		}
	}
	return m, nil
}

// lockDir keeps other processes out of the data directory until the file is
// closed or this process ends; etcd would wait for them without a word.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: another process uses it: %w", dir, err), f.Close())
	}
	return f, nil
}

// raftEntries is how many entries of its log etcd keeps in memory, and half as
// many again. An entry is a whole batch: with etcd's own 10,000, and large values
// that often change, they were gigabytes.
const raftEntries = 1000

// embedConfig translates the configuration for etcd.
func embedConfig(cfg Config) (*embed.Config, error) {
	ec := embed.NewConfig()
	ec.Name, ec.Dir = cfg.Name, filepath.Join(cfg.Dir, "etcd")
	ec.TickMs, ec.ElectionMs = uint(cfg.Tick.Milliseconds()), uint(10*cfg.Tick.Milliseconds())
	ec.QuotaBackendBytes = cfg.Quota
	ec.SnapshotCount, ec.SnapshotCatchUpEntries = raftEntries, raftEntries/2
	ec.MaxTxnOps = maxTxnOps
	ec.UnsafeNoFsync = cfg.UnsafeNoFsync
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapLogger(cfg.Logger))
	ec.EnableGRPCGateway = false
	ec.ListenClientUrls, ec.AdvertiseClientUrls = nil, nil
	ec.Metrics = "basic"
	ec.AuthToken = "" // etcd's own users are not used
	ec.WarningApplyDuration, ec.WarningUnaryRequestDuration = time.Second, time.Second
	if cfg.Cluster == nil {
		return ec, soleMember(ec, cfg)
	}
	return ec, clusterMember(ec, cfg.Name, cfg.Cluster)
}

// soleMember keeps the peer listener, which etcd always has, to this user: a
// socket in the data directory, or where its path is too long, loopback.
func soleMember(ec *embed.Config, cfg Config) error {
	path, err := filepath.Abs(filepath.Join(cfg.Dir, "peer.sock"))
	if err != nil {
		return fmt.Errorf("find the data directory: %w", err)
	}
	advertised := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	listen := url.URL{Scheme: "unix", Host: path}
	if len(path) > longestSocketPath {
		listen = advertised
	}
	ec.ListenPeerUrls, ec.AdvertisePeerUrls = []url.URL{listen}, []url.URL{advertised}
	ec.InitialCluster = ec.Name + "=" + advertised.String()
	return nil
}

// clusterMember makes etcd one of several.
func clusterMember(ec *embed.Config, name string, c *Cluster) error {
	listen, err := url.Parse(c.ListenPeer)
	if err != nil {
		return fmt.Errorf("peer URL %q: %w", c.ListenPeer, err)
	}
	advertise, err := url.Parse(c.AdvertisePeer)
	if err != nil {
		return fmt.Errorf("peer URL %q: %w", c.AdvertisePeer, err)
	}
	ec.ListenPeerUrls, ec.AdvertisePeerUrls = []url.URL{*listen}, []url.URL{*advertise}
	var members []string
	for member, peer := range c.Members {
		members = append(members, member+"="+peer)
	}
	ec.InitialCluster = strings.Join(members, ",")
	if c.Token != "" {
		ec.InitialClusterToken = c.Token
	}
	if c.Join {
		ec.ClusterState = embed.ClusterStateFlagExisting
	}
	gate, ok := ec.ServerFeatureGate.(featuregate.MutableFeatureGate)
	if !ok {
		return errors.New("etcd does not let its features be set")
	}
	// Members compare what they hold when they start and after compactions.
	if err := gate.Set("InitialCorruptCheck=true,CompactHashCheck=true"); err != nil {
		return fmt.Errorf("have etcd look for corruption: %w", err)
	}
	if c.CertFile != "" {
		ec.PeerTLSInfo.CertFile, ec.PeerTLSInfo.KeyFile = c.CertFile, c.KeyFile
		ec.PeerTLSInfo.TrustedCAFile, ec.PeerTLSInfo.ClientCertAuth = c.CAFile, true
		ec.ClientTLSInfo = ec.PeerTLSInfo
	}
	if c.ListenClient != "" {
		return clientAt(ec, c.ListenClient)
	}
	return nil
}

// clientAt opens etcd's own interface at a URL.
func clientAt(ec *embed.Config, at string) error {
	client, err := url.Parse(at)
	if err != nil {
		return fmt.Errorf("client URL %q: %w", at, err)
	}
	ec.ListenClientUrls, ec.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	return nil
}

func (m *embedded) alone() bool { return m.single }

// campaign waits until this member is Raft leader.
func (m *embedded) campaign(ctx context.Context) (context.Context, error) {
	srv := m.etcd.Server
	for {
		changed := srv.LeaderChangedNotify()
		if leads(srv) {
			break
		}
		select {
		case <-changed:
		case <-srv.StopNotify():
			return nil, errors.New("etcd stopped")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	right, lose := context.WithCancelCause(context.Background())
	m.wg.Go(func() { lose(m.lost()) })
	return right, nil
}

// lost waits until this member is not Raft leader any more.
func (m *embedded) lost() error {
	// etcd tells of a new leader, but not that there is none. With peers a leader
	// that they cannot hear steps down after an election timeout: look as often.
	var look <-chan time.Time
	if !m.single {
		t := time.NewTicker(10 * m.tick)
		defer t.Stop()
		look = t.C
	}
	srv := m.etcd.Server
	for {
		changed := srv.LeaderChangedNotify()
		if !leads(srv) {
			return errors.New("another member of etcd leads")
		}
		select {
		case <-changed:
		case <-look:
		case <-srv.StopNotify():
			return errors.New("etcd stopped")
		case <-m.stop:
			return ErrClosed
		}
	}
}

func leads(srv *etcdserver.EtcdServer) bool { return srv.Leader() == srv.MemberID() }

func (m *embedded) close() error {
	close(m.stop)
	m.wg.Wait()
	err := closeClient(m.client)
	m.etcd.Close()
	return errors.Join(err, m.lock.Close())
}

// closeClient closes a client within the process, which always answers that its
// context has ended.
func closeClient(c *clientv3.Client) error {
	if err := c.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("close etcd's client: %w", err)
	}
	return nil
}
