package logline_test

import (
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/logline"
)

// sink notes what was written and in how many pieces.
type sink struct {
	mu     sync.Mutex
	text   strings.Builder
	pieces int
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pieces++
	return s.text.Write(b)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *sink) writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pieces
}

func TestLinesWaitForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w sink
		log, c := logline.New(config.Log{Level: "info"}, &w)
		log.Debug("hidden")
		log.Info("one")
		log.With("a", 1).Info("two")
		if w.writes() != 0 {
			t.Fatalf("written at once: %s", w.String())
		}
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		if w.writes() != 1 || strings.Count(w.String(), "\n") != 2 || !strings.Contains(w.String(), "a=1") {
			t.Fatalf("%d writes: %s", w.writes(), w.String())
		}
		log.Info("three")
		log.WithGroup("g").Warn("four", "b", 2)
		if w.writes() != 2 || !strings.Contains(w.String(), "msg=three") || !strings.Contains(w.String(), "g.b=2") {
			t.Fatalf("a warning waits: %s", w.String())
		}
		log.Info("five")
		if err := c.Close(); err != nil || !strings.Contains(w.String(), "msg=five") {
			t.Fatalf("close: %v: %s", err, w.String())
		}
		log.Info("six")
		if !strings.Contains(w.String(), "msg=six") {
			t.Fatal("a line after the end is lost")
		}
	})
}

func TestFormatAndLevel(t *testing.T) {
	var w sink
	log, c := logline.New(config.Log{Level: "warn", Format: "json"}, &w)
	log.Info("hidden")
	log.Error("seen")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got := w.String(); strings.Contains(got, "hidden") || !strings.Contains(got, `"msg":"seen"`) {
		t.Error(got)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestCloseTellsOfALostLine(t *testing.T) {
	log, c := logline.New(config.Log{}, broken{})
	log.Info("lost")
	if err := c.Close(); err == nil {
		t.Error("no error")
	}
}
