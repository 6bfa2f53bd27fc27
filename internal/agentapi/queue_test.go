package agentapi

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errEnough = errors.New("enough")

func TestQueueKeepsOrder(t *testing.T) {
	const writers, each = 4, 20_000
	for _, limit := range []int{0, 1, 64} {
		q := NewQueue[int](nil)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					if !q.Put(w*each + i) {
						t.Error("an open queue refuses")
					}
				}
			})
		}
		var last [writers]int
		n := 0
		take := func(i int) error {
			w := i / each
			if i%each != last[w] {
				t.Errorf("limit %d: %d of writer %d came, want %d", limit, i%each, w, last[w])
				return errEnough
			}
			last[w]++
			if n++; n == writers*each {
				return errEnough
			}
			return nil
		}
		var err error
		if limit == 0 {
			err = q.Each(t.Context(), take)
		} else {
			err = q.Batches(t.Context(), limit, func(items []int) error {
				if len(items) == 0 || len(items) > limit {
					t.Errorf("a batch of %d, want 1 to %d", len(items), limit)
				}
				for _, i := range items {
					if err := take(i); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if !errors.Is(err, errEnough) {
			t.Errorf("limit %d: %v", limit, err)
		}
		wg.Wait()
	}
}

func TestQueueEnds(t *testing.T) {
	q := NewQueue[int](nil)
	q.Put(1)
	q.Put(2)
	cause := errors.New("the end")
	ctx, end := context.WithCancelCause(t.Context())
	var got []int
	err := q.Each(ctx, func(i int) error {
		got = append(got, i)
		end(cause)
		return nil
	})
	if !errors.Is(err, cause) || !slices.Equal(got, []int{1}) {
		t.Errorf("%v after %v, want the cause after 1", err, got)
	}
	if err := q.Batches(ctx, 10, func([]int) error { return nil }); !errors.Is(err, cause) {
		t.Errorf("Batches of a context that is done: %v", err)
	}
	q.Close()
	q.Close()
	if q.Put(3) {
		t.Error("a closed queue takes an item")
	}
}

// A queue that is read only now and then wakes its reader each time.
func TestQueueWakesItsReader(t *testing.T) {
	q := NewQueue[int](nil)
	back := make(chan int)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		done <- q.Each(ctx, func(i int) error {
			back <- i
			return nil
		})
	}()
	for i := range 1000 {
		q.Put(i)
		if got := <-back; got != i {
			t.Fatalf("%d came, want %d", got, i)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestQueueIsWatched(t *testing.T) {
	var lengths []int
	q := NewQueue[int](func(n int) { lengths = append(lengths, n) })
	for i := range 4 * queueWatch {
		q.Put(i)
	}
	want := []int{queueWatch + 1, 2*queueWatch + 1}
	if !slices.Equal(lengths, want) {
		t.Errorf("told of %v, want %v", lengths, want)
	}
}

func BenchmarkQueue(b *testing.B) {
	q := NewQueue[int](nil)
	done := make(chan error, 1)
	n := 0
	go func() {
		done <- q.Each(b.Context(), func(int) error {
			if n++; n == b.N {
				return errEnough
			}
			return nil
		})
	}()
	for i := range b.N {
		q.Put(i)
	}
	if err := <-done; !errors.Is(err, errEnough) {
		b.Fatal(err)
	}
}
