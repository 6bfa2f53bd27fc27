package store

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestStats(t *testing.T) {
	ctx := testContext(t)
	m := NewMemory()
	s := memoryStore(t, m, "a")
	registry := prometheus.NewRegistry()
	for _, c := range s.Collectors() {
		registry.MustRegister(c)
	}
	for range 3 {
		if err := s.Update(ctx, func(tx *Tx) error {
			tx.PutSetting("x", []byte("12345678"))
			tx.NextID("vm", 0)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	m.SetFaults(faultsAfter(0))
	if err := s.Update(ctx, putSetting("x", "lost")); err == nil {
		t.Fatal("a lost commit was acknowledged")
	}
	m.SetFaults(nil)
	eventually(t, "the next term begins", s.Leader)
	st := s.Stats()
	if st.Keys != 6 || st.Transactions < 3 || st.Batches != 3 || st.FailedBatches != 1 || st.Terms != 2 || !st.Leading ||
		st.Epoch != 2 || st.Revision != s.View().Revision || st.Bytes < 3*8 {
		t.Errorf("stats: %+v", st)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		v := f.GetMetric()[0]
		got[f.GetName()] = v.GetCounter().GetValue() + v.GetGauge().GetValue() + float64(v.GetHistogram().GetSampleCount())
	}
	for name, want := range map[string]float64{
		"trifid_store_batches_total": 3, "trifid_store_failed_batches_total": 1, "trifid_store_keys_total": 6, "trifid_store_terms_total": 2,
		"trifid_store_epoch": 2, "trifid_store_commit_seconds": 4, "trifid_store_batch_bytes": 3,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, expected %v", name, got[name], want)
		}
	}
}
