package target

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
)

// Puts asks for single durable puts.
type Puts struct {
	Goroutines int
	Duration   time.Duration
	Size       int // of a value, in bytes; each put changes it
}

// PutResult is what came of them.
type PutResult struct {
	Puts           int
	Elapsed        time.Duration
	P50, P99, P999 time.Duration
}

// PerSecond returns the puts per second.
func (r PutResult) PerSecond() float64 { return float64(r.Puts) / r.Elapsed.Seconds() }

// Etcd is an embedded etcd, configured as the store's own, that does nothing but
// single puts.
type Etcd struct{ *Process }

// StartEtcd starts one with its data in dir, as a process of this program.
func StartEtcd(ctx context.Context, dir string) (*Etcd, error) {
	p, err := startPeer(dir, EtcdCommand, filepath.Join(dir, "etcd"))
	if err != nil {
		return nil, err
	}
	if _, err := p.line(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start etcd: %w", err), p.Kill())
	}
	return &Etcd{p}, nil
}

// Put has it make puts, and returns when they are made.
func (e *Etcd) Put(ctx context.Context, w Puts) (PutResult, error) {
	var r PutResult
	b, err := json.Marshal(w)
	if err != nil {
		return r, err
	}
	if err := e.say(string(b)); err != nil {
		return r, fmt.Errorf("raw puts: %w", err)
	}
	line, err := e.line(ctx)
	if err != nil {
		return r, fmt.Errorf("raw puts: %w", err)
	}
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return r, fmt.Errorf("raw puts: %w", err)
	}
	return r, nil
}

// ServeEtcd is etcd's process: a line of standard input asks for puts, one of
// standard output answers, until the input ends.
func ServeEtcd(dir string) (err error) {
	etcd, err := startEmbedded(dir)
	if err != nil {
		return err
	}
	defer etcd.Close()
	c := v3client.New(etcd.Server)
	defer func() {
		if e := c.Close(); !errors.Is(e, context.Canceled) {
			err = errors.Join(err, e)
		}
	}()
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode("ready"); err != nil {
		return err
	}
	for in := bufio.NewReader(os.Stdin); ; {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var w Puts
		if err := json.Unmarshal(line, &w); err != nil {
			return err
		}
		r, err := put(c, w)
		if err != nil {
			return err
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
}

// startEmbedded starts etcd as internal/store does for a single member.
func startEmbedded(dir string) (*embed.Etcd, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ec := embed.NewConfig()
	ec.Dir = filepath.Join(dir, "data")
	ec.TickMs, ec.ElectionMs = 10, 100
	ec.QuotaBackendBytes = 8 << 30
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	ec.EnableGRPCGateway = false
	ec.ListenClientUrls, ec.AdvertiseClientUrls = nil, nil
	ec.AuthToken = ""
	advertised := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	ec.ListenPeerUrls, ec.AdvertisePeerUrls = []url.URL{advertised}, []url.URL{advertised}
	ec.InitialCluster = ec.Name + "=" + advertised.String()
	etcd, err := embed.StartEtcd(ec)
	if err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		etcd.Close()
		return nil, fmt.Errorf("start etcd: %w", err)
	}
}

// put makes puts, each goroutine to keys of its own.
func put(c *clientv3.Client, w Puts) (PutResult, error) {
	if w.Goroutines < 1 || w.Duration <= 0 || w.Size < 16 {
		return PutResult{}, errors.New("expected goroutines, a duration, and values of at least 16 bytes")
	}
	var (
		mu   sync.Mutex
		all  []time.Duration
		bad  error
		wg   sync.WaitGroup
		fill = strings.Repeat("x", w.Size)
	)
	began := time.Now()
	for g := range w.Goroutines {
		wg.Go(func() {
			var took []time.Duration
			var err error
			for i := 0; err == nil && time.Since(began) < w.Duration; i++ {
				n := strconv.Itoa(i)
				at := time.Now()
				_, err = c.Put(context.Background(), "zone/bench/"+strconv.Itoa(g)+"/"+strconv.Itoa(i%64), n+fill[:w.Size-len(n)])
				took = append(took, time.Since(at))
			}
			mu.Lock()
			defer mu.Unlock()
			all, bad = append(all, took...), errors.Join(bad, err)
		})
	}
	wg.Wait()
	if bad != nil {
		return PutResult{}, fmt.Errorf("put: %w", bad)
	}
	r := PutResult{Puts: len(all), Elapsed: time.Since(began)}
	slices.Sort(all)
	at := func(p float64) time.Duration { return all[min(int(p*float64(len(all))), len(all)-1)] }
	r.P50, r.P99, r.P999 = at(0.5), at(0.99), at(0.999)
	return r, nil
}
