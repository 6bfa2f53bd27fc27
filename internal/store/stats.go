package store

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// stats counts what the store does.
type stats struct {
	batches, failed, txs, keys, bytes atomic.Uint64
	terms                             atomic.Uint64
	epoch                             atomic.Uint64
	dbSize, dbInUse                   atomic.Int64

	commitTime, waitTime, batchTxs, batchBytes prometheus.Histogram
}

func newStats() *stats {
	h := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "trifid", Subsystem: "store", Name: name, Help: help, Buckets: buckets})
	}
	return &stats{
		commitTime: h("commit_seconds", "Time the log took to make a batch durable.", prometheus.ExponentialBuckets(50e-6, 2, 16)),
		waitTime:   h("batch_wait_seconds", "Time from a batch's first transaction until it was sent.", prometheus.ExponentialBuckets(5e-6, 4, 12)),
		batchTxs:   h("batch_transactions", "Transactions in a batch.", prometheus.ExponentialBuckets(1, 2, 12)),
		batchBytes: h("batch_bytes", "Bytes of keys and values in a batch.", prometheus.ExponentialBuckets(64, 4, 8)),
	}
}

// committed counts a batch that was sent.
func (s *stats) committed(b *batch, sent time.Time, err error) {
	s.commitTime.Observe(time.Since(sent).Seconds())
	s.waitTime.Observe(sent.Sub(b.began).Seconds())
	if err != nil {
		s.failed.Add(1)
		return
	}
	s.batchTxs.Observe(float64(b.txs))
	s.batchBytes.Observe(float64(b.size))
	s.batches.Add(1)
	s.txs.Add(uint64(b.txs))
	s.keys.Add(uint64(len(b.ops)))
	s.bytes.Add(uint64(b.size))
}

func (s *stats) termBegan(epoch uint64) {
	s.terms.Add(1)
	s.epoch.Store(epoch)
}

func (s *stats) termEnded() { s.epoch.Store(0) }

// Stats is a snapshot of the store's counters.
type Stats struct {
	Leading  bool
	Epoch    uint64 // of the present term, 0 if another member leads
	Revision int64  // of the view
	Terms    uint64 // this member has led
	// Batches, Transactions, Keys and Bytes were committed; FailedBatches were
	// sent without success.
	Batches, FailedBatches, Transactions, Keys, Bytes uint64
	// DBSize and DBInUse are the bytes of the etcd database as last looked at, 0 with an external
	// etcd; Quota is their bound.
	DBSize, DBInUse, Quota int64
	// FullAlarm is set while more than 60 % of the quota is in use.
	FullAlarm bool
}

// fullShare is the share of the quota in use from which on the alarm is raised.
const fullShare = 0.6

// Stats returns the counters as they are now.
func (s *Store) Stats() Stats {
	st := Stats{
		Leading: s.Leader(), Epoch: s.stats.epoch.Load(), Terms: s.stats.terms.Load(),
		Batches: s.stats.batches.Load(), FailedBatches: s.stats.failed.Load(), Transactions: s.stats.txs.Load(),
		Keys: s.stats.keys.Load(), Bytes: s.stats.bytes.Load(),
		DBSize: s.stats.dbSize.Load(), DBInUse: s.stats.dbInUse.Load(), Quota: s.cfg.Quota,
	}
	if v := s.View(); v != nil {
		st.Revision = v.Revision
	}
	st.FullAlarm = st.DBInUse > int64(fullShare*float64(st.Quota))
	return st
}

// Collectors returns the store's metrics for the caller to register, once.
func (s *Store) Collectors() []prometheus.Collector {
	value := func(name, help string, f func(Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "trifid", Subsystem: "store", Name: name, Help: help},
			func() float64 { return f(s.Stats()) })
	}
	count := func(name, help string, v *atomic.Uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "trifid", Subsystem: "store", Name: name, Help: help},
			func() float64 { return float64(v.Load()) })
	}
	return []prometheus.Collector{
		s.stats.commitTime, s.stats.waitTime, s.stats.batchTxs, s.stats.batchBytes,
		count("batches_total", "Batches committed.", &s.stats.batches),
		count("failed_batches_total", "Batches whose commit failed or is unknown.", &s.stats.failed),
		count("transactions_total", "Transactions committed, those that wrote nothing left out.", &s.stats.txs),
		count("keys_total", "Keys written.", &s.stats.keys),
		count("bytes_total", "Bytes of keys and values written.", &s.stats.bytes),
		count("terms_total", "Terms this member has led.", &s.stats.terms),
		value("epoch", "Epoch of the present term, 0 while another member leads.", func(st Stats) float64 { return float64(st.Epoch) }),
		value("revision", "Revision of the newest durable version.", func(st Stats) float64 { return float64(st.Revision) }),
		value("database_bytes", "Size of the etcd database.", func(st Stats) float64 { return float64(st.DBSize) }),
		value("database_in_use_bytes", "Bytes of the etcd database in use.", func(st Stats) float64 { return float64(st.DBInUse) }),
		value("database_quota_bytes", "Bound of the etcd database.", func(st Stats) float64 { return float64(st.Quota) }),
	}
}
