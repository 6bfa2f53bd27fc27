package store

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

var crashRounds = flag.Int("crash.rounds", 100, "rounds of TestCrash")

// crashEnv makes the test binary the process that TestCrash kills.
const crashEnv = "TRIFID_STORE_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashEnv); dir != "" {
		if err := writeUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	// etcd leaves connections between members of one process to their time-outs.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("net/http.(*conn).serve"),
		goleak.IgnoreAnyFunction("net/http.(*connReader).backgroundRead"))
}

const crashWriters = 8

// writeUntilKilled opens a store, prints how far each writer had come, then
// writes for ever and prints each write that was acknowledged.
func writeUntilKilled(dir string) error {
	s, err := Open(context.Background(), Config{Dir: dir})
	if err != nil {
		return err
	}
	state, sum := []string{"state"}, 0
	for w := range crashWriters {
		first, second := crashKey(s.View(), "first", w), crashKey(s.View(), "second", w)
		if first != second {
			return fmt.Errorf("half of a transaction is there: writer %d is at %d and %d", w, first, second)
		}
		state = append(state, strconv.Itoa(first))
		sum += first
	}
	if n, _ := s.View().Counters.Get("writes"); n != sum {
		return fmt.Errorf("%d writes are there, they counted %d", sum, n)
	}
	fmt.Println(strings.Join(state, " "))
	var wg sync.WaitGroup
	failed := make(chan error, crashWriters)
	for w := range crashWriters {
		wg.Go(func() {
			for {
				var n int
				err := s.Update(context.Background(), func(tx *Tx) error {
					n = crashKey(&tx.State, "first", w) + 1
					tx.PutSetting(fmt.Sprint("first/", w), strconv.AppendInt(nil, int64(n), 10))
					tx.PutSetting(fmt.Sprint("filler/", w), make([]byte, 1<<(n%14)))
					tx.PutSetting(fmt.Sprint("second/", w), strconv.AppendInt(nil, int64(n), 10))
					tx.NextID("writes", 0)
					return nil
				})
				if err != nil {
					failed <- err
					return
				}
				if _, err := fmt.Printf("ack %d %d\n", w, n); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	return <-failed
}

func crashKey(st *State, name string, writer int) int {
	v, _ := st.Settings.Get(fmt.Sprint(name, "/", writer))
	n, _ := strconv.Atoi(string(v))
	return n
}

// TestCrash kills a process that writes, again and again, and checks each time
// that what it acknowledged is there and that nothing is there by halves.
func TestCrash(t *testing.T) {
	rounds := *crashRounds
	if testing.Short() {
		rounds = min(rounds, 5)
	}
	dir := t.TempDir()
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	var acked [crashWriters]int
	total := 0
	for round := range rounds {
		quota := rng.IntN(300)
		if rng.IntN(10) == 0 {
			quota = -1 // killed while it starts
		}
		n, err := crashRound(t, dir, quota, &acked)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		total += n
	}
	t.Logf("%d rounds, %d acknowledged writes", rounds, total)
	if total < rounds {
		t.Errorf("only %d writes in %d rounds", total, rounds)
	}
}

// crashRound runs the process until it has acknowledged so many writes, kills
// it, and takes down what it acknowledged.
func crashRound(t *testing.T, dir string, quota int, acked *[crashWriters]int) (writes int, err error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	killed := quota < 0
	if killed {
		err = cmd.Process.Kill()
	}
	lines := bufio.NewReader(out)
	for {
		line, readErr := lines.ReadString('\n')
		if readErr == io.EOF {
			break // a line without an end was not acknowledged to anybody
		}
		if readErr != nil {
			err = readErr
			break
		}
		fields := strings.Fields(line)
		if fields[0] == "state" {
			for w, f := range fields[1:] {
				n, _ := strconv.Atoi(f)
				if n < acked[w] || n > acked[w]+1 {
					t.Errorf("writer %d is at %d, %d were acknowledged and at most one was not", w, n, acked[w])
				}
				acked[w] = n
			}
		} else {
			w, _ := strconv.Atoi(fields[1])
			n, _ := strconv.Atoi(fields[2])
			if n != acked[w]+1 {
				t.Errorf("writer %d was acknowledged %d after %d", w, n, acked[w])
			}
			acked[w] = n
			writes++
		}
		if writes >= quota && !killed {
			killed = true
			err = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait() // it was killed
	if !killed {
		return writes, fmt.Errorf("the process ended by itself: %s", stderr.String())
	}
	if stderr.Len() > 0 {
		return writes, fmt.Errorf("the process complained: %s", stderr.String())
	}
	return writes, err
}
