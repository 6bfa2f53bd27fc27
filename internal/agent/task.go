package agent

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// task is a step that is being done, or that waits for the one before it on the
// same subject to give way. Agent.mu guards its changing fields.
type task struct {
	step   agentapi.Step
	id     agentapi.StepID // as it was asked for last: a new server may ask again for the same work
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer // of the deadline, nil for none
	next   *task       // to be done after it; this one is cancelled then
	ended  bool        // its result is recorded
	// held is the last event of the VM since the step began, and changed is told
	// of each when the step waits for one. look asks for the state of the domain to
	// be told after the step, because the server may not know it.
	held    *agentapi.Event
	changed chan struct{}
	look    bool
}

// supersededError ends a step in whose place the server asked for another one.
type supersededError struct{ by agentapi.Op }

func (e *supersededError) Error() string { return fmt.Sprintf("given up in favour of %s", e.by) }

// timeoutError ends a step that took too long.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("timed out after %s", e.after) }

func (a *Agent) newTask(s agentapi.Step) *task {
	t := &task{step: s, id: s.StepID}
	t.ctx, t.cancel = context.WithCancelCause(a.base)
	t.arm(s.Timeout)
	if s.Op == agentapi.OpShutdown {
		t.changed = make(chan struct{}, 1)
	}
	return t
}

// arm starts the deadline, in milliseconds from now, 0 for none.
func (t *task) arm(timeout int64) {
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	if d := time.Duration(timeout) * time.Millisecond; d > 0 {
		t.timer = time.AfterFunc(d, func() { t.cancel(&timeoutError{d}) })
	}
}

func (t *task) hold(e agentapi.Event) {
	t.held = &e
	if t.changed != nil {
		select {
		case t.changed <- struct{}{}:
		default:
		}
	}
}

// release lets go of what the task holds outside of the agent.
func (t *task) release() {
	t.cancel(nil)
	if t.timer != nil {
		t.timer.Stop()
	}
}

// sameWork tells whether s asks for what the task is doing; only the epoch of who
// asks may differ, and how much time there is.
func (t *task) sameWork(s agentapi.Step) bool {
	was := t.step
	if was.Op != s.Op {
		return false
	}
	was.Epoch, was.Timeout = s.Epoch, s.Timeout
	return was.StepID == s.StepID && reflect.DeepEqual(was, s)
}

// accept starts a step, or joins it to the one that does the same, or repeats
// its result. It refuses one of a stale epoch with a *agentapi.StaleEpochError.
func (a *Agent) accept(ctx context.Context, l *link, s agentapi.Step) error {
	r, err := a.enqueue(l, s)
	if err != nil {
		return fmt.Errorf("step %s: %w", s.StepID, err)
	}
	if r != nil {
		a.out.mu.Lock()
		defer a.out.mu.Unlock()
		a.out.post(ctx, report{Result: *r, vm: -1})
	}
	return nil
}

// enqueue does it, and returns a result that is to be sent.
func (a *Agent) enqueue(l *link, s agentapi.Step) (*agentapi.Result, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.stopped:
		return nil, errStopped
	case l.dead:
		return nil, agentapi.ErrLinkClosed
	}
	if err := a.epoch.raise(s.Epoch); err != nil {
		return nil, err
	}
	if r, ok := a.results.get(s.StepID); ok {
		return &r, nil
	}
	key := subject{s.Subject, s.ID}
	now := a.tasks[key]
	switch {
	case now == nil:
		t := a.newTask(s)
		a.tasks[key] = t
		a.running.Go(func() { a.work(key, t) })
		return nil, nil
	case now.id == s.StepID && !now.ended:
		return nil, nil
	case now.next != nil && now.next.id == s.StepID:
		return nil, nil
	}
	last := now
	if now.next != nil {
		last = now.next
	}
	if !last.ended && last.sameWork(s) && last.ctx.Err() == nil {
		last.id = s.StepID
		last.arm(s.Timeout)
		return nil, nil
	}
	if isRequest(s.Op) && !isRequest(last.step.Op) {
		busy := agentapi.Result{StepID: s.StepID, Error: fmt.Sprintf("the machine is busy: %s", last.step.Op)}
		a.results.keep(busy)
		return &busy, nil
	}
	var skipped *agentapi.Result
	if now.next != nil {
		skipped = &agentapi.Result{StepID: now.next.id, Error: (&supersededError{s.Op}).Error()}
		now.next.release()
		a.results.keep(*skipped)
	}
	now.next = a.newTask(s)
	now.cancel(&supersededError{s.Op})
	return skipped, nil
}

// isRequest tells whether an operation leaves no state of the VM. A server asks
// for such beside the step of the VM's state, in whose place they must not come.
func isRequest(op agentapi.Op) bool { return op == agentapi.OpReboot || op == agentapi.OpReset }

// work does the steps of one subject until there is none.
func (a *Agent) work(key subject, t *task) {
	for t != nil {
		r := a.execute(t)
		a.report(t, r)
		t.release()
		t = a.advance(key, t, r.OK())
	}
}

// execute does the step and returns how it ended.
func (a *Agent) execute(t *task) agentapi.Result {
	r, err := a.do(t)
	if err != nil {
		// Why a step was cut says more than how the cut looked from within.
		if cause := context.Cause(t.ctx); cause != nil && !errors.Is(err, cause) && errors.Is(err, context.Canceled) {
			err = cause
		}
		r = agentapi.Result{Error: err.Error()}
	}
	return r
}

// report keeps the result and sends it, unless the agent stops before the step
// has ended by itself: the next agent is then asked for the step again.
func (a *Agent) report(t *task, r agentapi.Result) {
	a.out.mu.Lock()
	defer a.out.mu.Unlock()
	a.mu.Lock()
	t.ended = true
	r.StepID = t.id
	cut := a.stopped && !r.OK()
	if !cut {
		a.results.keep(r)
	}
	a.mu.Unlock()
	if cut {
		return
	}
	if !r.OK() {
		a.log.Warn("step failed", "step", r.StepID, "op", t.step.Op, "error", r.Error)
	}
	m := report{Result: r, vm: -1}
	if t.step.Machine != nil && r.OK() {
		m.vm, m.state = t.step.Machine.ID, stateAfter(&t.step)
	}
	a.out.post(a.base, m)
}

// stateAfter is the state the server takes a domain to be in after an operation
// that succeeded.
func stateAfter(s *agentapi.Step) agentapi.DomainState {
	if isSnapshotWork(s.Op) && s.Snapshot != nil && s.Snapshot.Live {
		return agentapi.DomainRunning
	}
	switch s.Op {
	case agentapi.OpStart, agentapi.OpRestore, agentapi.OpReboot, agentapi.OpReset, agentapi.OpContext,
		agentapi.OpAttachNIC, agentapi.OpDetachNIC, agentapi.OpUpdateNIC, agentapi.OpAttachDisk, agentapi.OpDetachDisk, agentapi.OpResizeDisk:
		return agentapi.DomainRunning
	}
	return agentapi.DomainPoweroff
}

// advance returns the next step of the subject, nil for none. What the domain did
// by itself during the last one is told before.
//
// A server does not heed what it hears of a domain while it waits for a step, and
// takes the result for the truth. So the state is told after a step that failed,
// during which an event came, or a list of all domains was sent.
func (a *Agent) advance(key subject, t *task, ok bool) *task {
	m := t.step.Machine
	look := !ok || isSnapshotWork(t.step.Op)
	switch t.step.Op {
	case agentapi.OpReboot, agentapi.OpReset, agentapi.OpContext,
		agentapi.OpAttachNIC, agentapi.OpDetachNIC, agentapi.OpUpdateNIC, agentapi.OpAttachDisk, agentapi.OpDetachDisk, agentapi.OpResizeDisk:
		look = true // which tell nothing of the state
	}
	expected := agentapi.DomainState("")
	if ok {
		expected = stateAfter(&t.step)
	}
	for {
		a.mu.Lock()
		held := t.held
		look = m != nil && (look || t.look || held != nil)
		t.held, t.look = nil, false
		next := t.next
		switch {
		case next != nil: // after which it will be told
			next.held, next.look = held, look
			a.tasks[key] = next
		case !look:
			delete(a.tasks, key)
		}
		a.mu.Unlock()
		if next != nil || !look {
			return next
		}
		look = false
		expected = a.tellState(m, held, expected)
	}
}
