package logline

import (
	"testing"
	"time"
)

func TestSeldom(t *testing.T) {
	var s Seldom
	now := time.Unix(1_800_000_000, 0)
	for i := range 20 {
		if left, ok := s.May(now); ok != (i < perSecond) || left != 0 {
			t.Errorf("line %d: %d left out, %t", i, left, ok)
		}
	}
	now = now.Add(time.Second)
	if left, ok := s.May(now); !ok || left != 15 {
		t.Errorf("a second later: %d left out, %t", left, ok)
	}
	if left, ok := s.May(now); !ok || left != 0 {
		t.Errorf("and again: %d left out, %t", left, ok)
	}
}
