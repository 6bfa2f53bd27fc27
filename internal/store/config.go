package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"time"
)

// Config says where the state is kept. Exactly one of Dir, External and Memory
// is set.
type Config struct {
	// Name is this member's name among those of a cluster; "trifid" if empty.
	Name string
	// Advertise is where this member takes writes that others forward; the store
	// only tells it to them.
	Advertise string

	// Dir is the data directory of the embedded etcd; it is made with mode 0700.
	Dir string
	// Cluster is for an embedded etcd of several members, nil for a single one.
	Cluster *Cluster
	// Quota bounds the size of the etcd database in bytes; default 8 GiB.
	Quota int64
	// UnsafeNoFsync gives up durability for speed. For tests only.
	UnsafeNoFsync bool

	// External is an etcd that somebody else runs.
	External *External

	// Memory is a log for tests.
	Memory *Memory

	// Tick is etcd's heartbeat interval; a member that hears no heartbeat for ten
	// of them stands for election. Default 10 ms single, 100 ms with peers: a busy
	// disk must not look like a dead leader.
	Tick time.Duration
	// CommitTimeout is how long a batch may take before its outcome counts as
	// unknown; default 10 s.
	CommitTimeout time.Duration
	// RequestRetention is how long the results of UpdateOnce are kept; default 15 min.
	RequestRetention time.Duration
	// KeepRevisions is how much history etcd keeps for watches, once to twice as
	// much, but less where it is large; default 10 000.
	KeepRevisions int64
	// FeedCommits and FeedBytes bound how far a feed may lag behind before it has
	// to start over, the latter by what lagging keeps in memory, about; defaults
	// 4096 and 32 MiB.
	FeedCommits, FeedBytes int

	// Logger takes what the store and etcd have to say, with their component; none if nil.
	Logger *slog.Logger
	// Now is the clock that dates stored requests; time.Now if nil.
	Now func() time.Time

	retry time.Duration // paces what is tried again after a failure; default 50 ms
}

// Cluster describes an embedded etcd of several members.
type Cluster struct {
	// ListenPeer is where the others reach this member: http://host:port, or
	// https with TLS.
	ListenPeer string
	// AdvertisePeer is the same as the others see it; ListenPeer if empty.
	AdvertisePeer string
	// Members holds the peer URL of each initial member by name, this one included.
	Members map[string]string
	// Token tells clusters apart.
	Token string
	// Join is set when the cluster runs already and has been told of this member.
	Join bool
	// CertFile, KeyFile and CAFile are for mutual TLS between the members, which
	// is needed unless they are all on loopback.
	CertFile, KeyFile, CAFile string
	// ListenClient opens etcd's own interface at this URL, for administration;
	// none if empty. It asks for the same certificates.
	ListenClient string
}

// External is an etcd cluster that is not ours.
type External struct {
	Endpoints []string
	TLS       *tls.Config
	User      string
	Password  string
	// Prefix is put before every key, so that several clouds can share the cluster.
	Prefix string
	// TTL is how long after the death of a leader another may claim; default 5 s.
	TTL time.Duration
}

// withDefaults checks the configuration and fills in what is not set.
func (c Config) withDefaults() (Config, error) {
	set := 0
	for _, is := range []bool{c.Dir != "", c.External != nil, c.Memory != nil} {
		if is {
			set++
		}
	}
	if set != 1 {
		return c, errors.New("store: expected exactly one of a data directory, an external etcd and a memory log")
	}
	setDefault(&c.Name, "trifid")
	setDefault(&c.Quota, 8<<30)
	if c.Cluster == nil {
		setDefault(&c.Tick, 10*time.Millisecond)
	}
	setDefault(&c.Tick, 100*time.Millisecond)
	setDefault(&c.CommitTimeout, 10*time.Second)
	setDefault(&c.RequestRetention, 15*time.Minute)
	setDefault(&c.KeepRevisions, 10_000)
	setDefault(&c.retry, 50*time.Millisecond)
	setDefault(&c.FeedCommits, 4096)
	setDefault(&c.FeedBytes, 32<<20)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Tick < time.Millisecond {
		return c, fmt.Errorf("store: tick %v: expected at least 1ms", c.Tick)
	}
	if c.Cluster != nil {
		cl := *c.Cluster
		setDefault(&cl.AdvertisePeer, cl.ListenPeer)
		c.Cluster = &cl
		if err := cl.check(c.Name); err != nil {
			return c, fmt.Errorf("store: cluster: %w", err)
		}
	}
	if c.External != nil {
		ex := *c.External
		setDefault(&ex.TTL, 5*time.Second)
		c.External = &ex
		if len(ex.Endpoints) == 0 {
			return c, errors.New("store: external etcd: expected at least one endpoint")
		}
	}
	return c, nil
}

// check refuses what etcd would not take, and members that anybody could pose as.
func (c *Cluster) check(name string) error {
	if _, ok := c.Members[name]; !ok {
		return fmt.Errorf("members: expected the peer URL of this member, %q", name)
	}
	urls := map[string]string{"listen peer": c.ListenPeer, "advertise peer": c.AdvertisePeer}
	if c.ListenClient != "" {
		urls["listen client"] = c.ListenClient
	}
	for what, raw := range urls {
		u, err := url.Parse(raw)
		if err != nil || u.Port() == "" || u.Path != "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("%s URL %q: expected http://host:port or https://host:port", what, raw)
		}
		switch {
		case u.Scheme == "https" && (c.CertFile == "" || c.KeyFile == "" || c.CAFile == ""):
			return fmt.Errorf("%s URL %q: expected a certificate, its key and a CA", what, raw)
		case u.Scheme == "http" && !loopback(u.Hostname()):
			return fmt.Errorf("%s URL %q: expected https, or a loopback address", what, raw)
		}
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// wait sleeps unless the context ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
