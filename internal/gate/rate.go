package gate

import (
	"net/http"
	"sync"
	"time"
)

// rateLimit bounds the requests of each VM: so many per second, and a burst of so
// many at once. Of a VM it keeps one number, the time at which all that it did
// would have been allowed at the even rate.
type rateLimit struct {
	each  time.Duration // between two requests at the even rate; 0 for no limit
	slack time.Duration // how far ahead of that a burst may run

	mu   sync.Mutex
	due  map[int]time.Time // by VM
	full int               // how many VMs there may be until those that are quiet are forgotten
}

func (l *rateLimit) init(rate float64, burst int) {
	if rate <= 0 {
		return
	}
	l.each = max(1, time.Duration(float64(time.Second)/rate))
	l.slack = l.each * time.Duration(max(1, burst)-1)
	l.due, l.full = map[int]time.Time{}, 1024
}

// take takes one request of a VM, or returns how long to wait.
func (l *rateLimit) take(vm int, now time.Time) (wait time.Duration, ok bool) {
	if l.each == 0 {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	due := l.due[vm]
	if due.Before(now) {
		due = now
	}
	if ahead := due.Sub(now); ahead > l.slack {
		return ahead - l.slack, false
	}
	l.due[vm] = due.Add(l.each)
	if len(l.due) > l.full {
		l.forget(now)
	}
	return 0, true
}

// forget drops the VMs that have been quiet long enough to begin anew.
func (l *rateLimit) forget(now time.Time) {
	for vm, due := range l.due {
		if !due.After(now) {
			delete(l.due, vm)
		}
	}
	l.full = max(1024, 2*len(l.due))
}

// Admit refuses a guest that asks more often than the configuration allows, with
// 429 and the time to wait.
func (u *Guest) Admit() error {
	wait, ok := u.gate.rates.take(u.vm.ID, u.gate.now())
	if ok {
		return nil
	}
	return &Refusal{Status: http.StatusTooManyRequests, Text: "Too many requests of this VM", RetryAfter: wait}
}
