package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
)

// Memory stands in for etcd in tests: it keeps what was committed, in memory,
// while the stores that use it come and go. It loses, tears and delays commits
// as it is told. Several stores may share one and take turns at leading.
type Memory struct {
	mu      sync.Mutex
	rev     int64
	data    map[string]string
	history []update // all revisions after compact
	gone    int64    // revisions up to this are compacted
	// epochRev is the revision of the epoch key, 0 while there is none.
	epochRev int64
	changed  chan struct{}
	doors    map[*memoryLog]bool // of the stores that use it
	members  map[*memoryLog]bool // those that campaign or lead
	elected  string              // the only member that may lead, "" for any
	leader   *memoryLog
	faults   func(context.Context) Fault
	late     []func()
}

// Fault is what becomes of a commit.
type Fault int

// Faults. Of each but FaultNone the store learns only that the answer is lost.
const (
	FaultNone  Fault = iota
	FaultLose        // it is not made
	FaultTear        // it is made
	FaultDelay       // it is made, if the term still allows, when Deliver is called
)

// errAnswerLost is what the store sees of a fault.
var errAnswerLost = errors.New("the answer was lost")

// NewMemory returns an empty log in memory.
func NewMemory() *Memory {
	return &Memory{rev: 1, gone: 1, data: map[string]string{}, changed: make(chan struct{}), doors: map[*memoryLog]bool{}, members: map[*memoryLog]bool{}}
}

// SetFaults has f decide about each commit, claims included, from now on; f may
// block until it lets the commit go, or until its context ends. nil means no faults.
func (m *Memory) SetFaults(f func(context.Context) Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = f
}

// Deliver makes the delayed commits that are still allowed.
func (m *Memory) Deliver() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.late {
		f()
	}
	m.late = nil
}

// Elect lets only the store of that name lead from now on, "" for any.
func (m *Memory) Elect(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.elected = name
	if m.leader != nil && name != "" && m.leader.name != name {
		m.leader.lose()
	}
	m.elect()
}

// Cut ends the stores that use the log: commits under way and later ones are
// lost. Stores opened afterwards are not affected.
func (m *Memory) Cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for l := range m.doors {
		l.cutOff()
	}
	m.late = nil
}

// elect gives the right to claim to one that campaigns; m.mu is held.
func (m *Memory) elect() {
	if m.leader != nil {
		return
	}
	for l := range m.members {
		if m.elected == "" || l.name == m.elected {
			m.leader = l
			l.right, l.cancel = context.WithCancelCause(context.Background())
			close(l.won)
			return
		}
	}
}

// memoryLog is one store's door to a Memory.
type memoryLog struct {
	*Memory
	name   string
	won    chan struct{} // while it campaigns; closed once it won
	right  context.Context
	cancel context.CancelCauseFunc
	cut    context.Context // ends when the store is cut off
	cutOff context.CancelFunc
}

func openMemory(m *Memory, name string) *memoryLog {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &memoryLog{Memory: m, name: name}
	l.cut, l.cutOff = context.WithCancel(context.Background())
	m.doors[l] = true
	return l
}

func (l *memoryLog) alone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.doors) == 1 && (l.elected == "" || l.elected == l.name)
}

// lose ends the right of the member that leads; mu is held.
func (l *memoryLog) lose() {
	if l.leader == l {
		l.leader = nil
		l.cancel(errOvertaken)
	}
	delete(l.members, l)
}

func (l *memoryLog) campaign(ctx context.Context) (context.Context, error) {
	l.mu.Lock()
	if l.leader == l { // it gave up its term, and may have another
		right := l.right
		l.mu.Unlock()
		return right, nil
	}
	l.won = make(chan struct{})
	l.members[l] = true
	l.elect()
	l.mu.Unlock()
	select {
	case <-l.won:
		return l.right, nil
	case <-ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.members, l)
		return nil, ctx.Err()
	}
}

func (l *memoryLog) claim(ctx context.Context, holder epochRecord, with []op) (claim, error) {
	l.mu.Lock()
	if old, ok := l.data[keyEpoch]; ok {
		var last epochRecord
		if err := json.Unmarshal([]byte(old), &last); err != nil {
			l.mu.Unlock()
			return claim{}, err
		}
		holder.Epoch = last.Epoch
	}
	before := l.epochRev
	l.mu.Unlock()
	holder.Epoch++
	val, err := json.Marshal(holder)
	if err != nil {
		return claim{}, err
	}
	rev, err := l.transact(ctx, before, append([]op{{keyEpoch, string(val)}}, with...))
	return claim{holder.Epoch, rev}, err
}

func (l *memoryLog) commit(ctx context.Context, c claim, ops []op) (int64, error) {
	return l.transact(ctx, c.rev, ops)
}

// transact makes a batch if the epoch key has the given revision, or does with
// it what the faults say.
func (l *memoryLog) transact(ctx context.Context, epochRev int64, ops []op) (int64, error) {
	l.mu.Lock()
	faults := l.faults
	l.mu.Unlock()
	fault := FaultNone
	if faults != nil {
		ctx, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(l.cut, cancel)
		fault = faults(ctx)
		stop()
		cancel()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut.Err() != nil {
		return 0, errAnswerLost
	}
	switch fault {
	case FaultLose:
		return 0, errAnswerLost
	case FaultTear:
		l.put(epochRev, ops)
		return 0, errAnswerLost
	case FaultDelay:
		l.late = append(l.late, func() { l.put(epochRev, ops) })
		return 0, errAnswerLost
	}
	return l.put(epochRev, ops)
}

// put makes a batch; mu is held.
func (m *Memory) put(epochRev int64, ops []op) (int64, error) {
	if m.epochRev != epochRev {
		return 0, errOvertaken
	}
	m.rev++
	for _, o := range ops {
		if o.key == keyEpoch {
			m.epochRev = m.rev
		}
		if o.val == "" {
			delete(m.data, o.key)
		} else {
			m.data[o.key] = o.val
		}
	}
	m.history = append(m.history, update{m.rev, slices.Clone(ops)})
	close(m.changed)
	m.changed = make(chan struct{})
	return m.rev, nil
}

func (l *memoryLog) verify(_ context.Context, c claim) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epochRev != c.rev {
		return errOvertaken
	}
	return nil
}

func (l *memoryLog) load(_ context.Context, page func([]op) error) (int64, error) {
	l.mu.Lock()
	rev := l.rev
	all := make([]op, 0, len(l.data))
	for k, v := range l.data {
		all = append(all, op{k, v})
	}
	l.mu.Unlock()
	slices.SortFunc(all, func(a, b op) int { return cmp.Compare(a.key, b.key) })
	return rev, page(all)
}

func (l *memoryLog) watch(ctx context.Context, from int64, each func(update) error) error {
	for {
		l.mu.Lock()
		if from <= l.gone {
			l.mu.Unlock()
			return errCompacted
		}
		news := slices.Clone(l.history[min(int(from-l.gone-1), len(l.history)):])
		changed := l.changed
		l.mu.Unlock()
		for _, u := range news {
			if err := each(u); err != nil {
				return err
			}
			from = u.rev + 1
		}
		if len(news) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *memoryLog) compact(_ context.Context, rev int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := min(rev-l.gone-1, int64(len(l.history))); n > 0 {
		l.history = slices.Clone(l.history[n:])
		l.gone += n
	}
	return nil
}

func (l *memoryLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutOff()
	delete(l.doors, l)
	l.lose()
	l.elect()
	return nil
}
