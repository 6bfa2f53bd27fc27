package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/trifid-cloud/trifid/bench/abuse"
)

// AbuseCommand is the command by which the benchmark program abuses a gate.
const AbuseCommand = "abuse-load"

// Abuser is a process that abuses a gate.
type Abuser struct{ *Process }

// StartAbuse starts one; it ends by itself when the plan does.
func StartAbuse(dir string, plan abuse.Plan) (*Abuser, error) {
	p, err := startPeer(dir, AbuseCommand)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(plan)
	if err == nil {
		err = p.say(string(b))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the abuse: %w", err), p.Kill())
	}
	return &Abuser{p}, nil
}

// Result waits for the end of the abuse.
func (a *Abuser) Result(ctx context.Context) (r abuse.Result, err error) {
	line, err := a.line(ctx)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return r, fmt.Errorf("result of the abuse: %w", err)
	}
	return r, nil
}

// LowerPriority gives the calling process the lowest priority. In Linux it
// belongs to threads: those that are made later have that of their maker.
func LowerPriority() error {
	const lowest = 19
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("lower the priority: %w", err)
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return fmt.Errorf("lower the priority: %w", err)
		}
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, id, lowest); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("lower the priority: %w", err)
		}
	}
	return nil
}
