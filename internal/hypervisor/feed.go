package hypervisor

import (
	"context"
	"sync"
)

// feedLimit bounds what a reader may lag behind; beyond it the reader is told
// to list again, which costs less than remembering.
const feedLimit = 4096

// Feed hands events to any number of readers without ever blocking the writer:
// a reader that lags too far gets one Resync event in place of what it missed.
// The zero value is ready for use.
type Feed struct {
	mu      sync.Mutex
	readers map[*feedReader]struct{}
}

type feedReader struct {
	queue []Event       // guarded by Feed.mu
	wake  chan struct{} // holds one token while queue may be non-empty
}

// Publish queues the event for every reader.
func (f *Feed) Publish(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := range f.readers {
		if e.Resync || len(r.queue) >= feedLimit {
			// What is queued is older than the list the reader will now read.
			r.queue = append(r.queue[:0], Event{Resync: true})
		} else {
			r.queue = append(r.queue, e)
		}
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// Subscribe returns every event published from now on, in order, until ctx is
// done; the channel is closed then, after which nothing of the reader is left.
func (f *Feed) Subscribe(ctx context.Context) <-chan Event {
	r := &feedReader{wake: make(chan struct{}, 1)}
	f.mu.Lock()
	if f.readers == nil {
		f.readers = make(map[*feedReader]struct{})
	}
	f.readers[r] = struct{}{}
	f.mu.Unlock()

	out := make(chan Event)
	go f.pump(ctx, r, out)
	return out
}

func (f *Feed) pump(ctx context.Context, r *feedReader, out chan<- Event) {
	defer close(out)
	defer func() {
		f.mu.Lock()
		delete(f.readers, r)
		f.mu.Unlock()
	}()
	for {
		select {
		case <-r.wake:
		case <-ctx.Done():
			return
		}
		f.mu.Lock()
		batch := r.queue
		r.queue = nil
		f.mu.Unlock()
		for _, e := range batch {
			select {
			case out <- e:
			case <-ctx.Done():
				return
			}
		}
	}
}
