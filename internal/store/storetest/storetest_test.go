package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

func TestCrash(t *testing.T) {
	s := New(t)
	s.Do(func(tx *store.Tx) { tx.PutCluster(&one.Cluster{ID: 100, Name: "kept"}) })

	held := make(chan struct{})
	s.Log.SetFaults(func(ctx context.Context) store.Fault {
		close(held)
		<-ctx.Done()
		return store.FaultNone
	})
	lost := make(chan error)
	go func() {
		lost <- s.Update(context.Background(), func(tx *store.Tx) error {
			tx.PutCluster(&one.Cluster{ID: 101, Name: "lost"})
			return nil
		})
	}()
	<-held
	if s.View().Clusters.Len() != 1 {
		t.Error("the view shows what is not durable")
	}
	old := s.Store
	s.Crash()
	var unknown *store.OutcomeError
	if err := <-lost; !errors.As(err, &unknown) {
		t.Errorf("update during the crash: got %v, expected an OutcomeError", err)
	}
	if s.Store == old || s.View().Clusters.Len() != 1 {
		t.Errorf("after the crash: %d clusters, expected 1", s.View().Clusters.Len())
	}
	s.Do(func(tx *store.Tx) { tx.PutCluster(&one.Cluster{ID: 102, Name: "after"}) })
}
