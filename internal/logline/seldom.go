package logline

import (
	"sync/atomic"
	"time"
)

// Seldom bounds lines of one sort whose number others decide, such as guests: five
// in a second, whatever happens. The zero value is ready.
type Seldom struct{ second, count, left atomic.Int64 }

const perSecond = 5

// May tells whether to log now, and how many were left out since the last time.
func (s *Seldom) May(now time.Time) (leftOut int64, ok bool) {
	if second := now.Unix(); s.second.Swap(second) != second {
		s.count.Store(0)
	}
	if s.count.Add(1) > perSecond {
		s.left.Add(1)
		return 0, false
	}
	return s.left.Swap(0), true
}
