// Package lifecycle walks machines (and images) through their passing states: it
// sends the step of each state to the host's agent, applies results and what
// hosts observe, and gives up hosts that fall silent. It holds no state of its
// own that matters: the state table says what is wanted, agents repeat results
// until they are durable, and whoever leads next sends the same steps again.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// Options are what a Controller is built from.
type Options struct {
	Store   *store.Store
	Cloud   *cloud.Cloud
	Samples Samples // where measurements go; may be nil
	Log     *slog.Logger
	Now     func() time.Time
	// LostAfter is how long a host may be silent before it is in ERROR.
	LostAfter time.Duration
	// LogLines takes lines of a VM's log; they come in order, and may come again
	// after a crash or when it failed.
	LogLines func(vm int, lines []LogLine) error
	// DropLog removes the log of a VM that is kept no longer; nil: it stays.
	DropLog func(vm int) error
}

// Samples takes measurements of hosts and VMs, and lets go of them.
type Samples interface {
	TakeHost(host int, s agentapi.HostSample)
	TakeVMs(host int, vms []agentapi.VMSample)
	TakeDatastores(host int, ds []agentapi.DatastoreSpace)
	ForgetHost(host int)
	ForgetVM(vm int)
}

// defaultLostAfter is long enough for an agent to be restarted.
const defaultLostAfter = 60 * time.Second

// Controller is the life-cycle manager of one member; it works while it leads.
type Controller struct {
	Options

	mu    sync.Mutex
	term  *term         // nil while this member does not lead
	begun chan struct{} // closed while term is not nil
	links map[int]*link
}

// New returns a controller.
func New(o Options) *Controller {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LostAfter == 0 {
		o.LostAfter = defaultLostAfter
	}
	return &Controller{Options: o, links: map[int]*link{}, begun: make(chan struct{})}
}

// term is a time of leading.
type term struct {
	ctx    context.Context
	epoch  uint64
	intake *agentapi.Queue[intake]
	// sent remembers the step that each subject was asked for last, so that a
	// change of something else about it does not send the step again.
	sent map[subject]agentapi.StepID
}

type subject struct {
	kind agentapi.Subject
	id   int
}

// Run works until ctx is done, in every term in which this member leads.
func (c *Controller) Run(ctx context.Context) error { return c.Store.Lead(ctx, c.lead) }

func (c *Controller) lead(ctx context.Context, t store.Term) error {
	tm := &term{ctx: ctx, epoch: t.Epoch, intake: agentapi.NewQueue[intake](func(n int) {
		c.Log.Warn("life-cycle intake grows", "length", n)
	}), sent: map[subject]agentapi.StepID{}}
	c.begin(tm)
	defer c.end()

	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for name, f := range map[string]func(context.Context) error{
		"intake": func(ctx context.Context) error { return c.takeIn(ctx, tm) },
		"watch":  func(ctx context.Context) error { return c.watchOverdue(ctx) },
		"vm log": func(ctx context.Context) error { return c.Store.Consume(ctx, cloud.TopicVMLog, gatherLog, c.writeLog) },
		"asks":   func(ctx context.Context) error { return c.Store.Consume(ctx, cloud.TopicHostAsk, 0, c.ask(tm)) },
		"sweep":  c.sweep,
	} {
		wg.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("life-cycle %s: %w", name, err))
			}
		})
	}
	err := c.follow(ctx, tm)
	cancel(err)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// begin lets agents in; end sends them away, to find who leads now.
func (c *Controller) begin(t *term) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.term = t
	close(c.begun)
}

func (c *Controller) end() {
	c.mu.Lock()
	c.term.intake.Close()
	c.term, c.begun = nil, make(chan struct{})
	links := c.links
	c.links = map[int]*link{}
	c.mu.Unlock()
	for _, l := range links {
		l.close(errors.New("this server does not lead any more"))
	}
}

// follow sends the steps of the states there are, then of those that come.
func (c *Controller) follow(ctx context.Context, t *term) error {
	st := c.Store.View()
	for {
		for _, h := range st.Hosts.All() {
			c.refresh(t, h)
		}
		c.dispatchAll(t, st)
		err := c.followFeed(ctx, t, c.Store.Subscribe(st))
		var lag *store.ResyncError
		if !errors.As(err, &lag) {
			return err
		}
		st = lag.State
	}
}

func (c *Controller) followFeed(ctx context.Context, t *term, feed *store.Feed) error {
	for {
		commit, err := feed.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		for _, ch := range commit.Changes {
			switch ch.Kind {
			case store.KindVM:
				if v, ok := ch.New.(*one.VM); ok && v.State != one.VMDone {
					c.dispatchVM(t, commit.State, v)
				} else {
					c.forget(t, agentapi.SubjectVM, int(ch.ID))
					c.forgetSamples(func(s Samples) { s.ForgetVM(int(ch.ID)) })
				}
			case store.KindImage:
				if i, ok := ch.New.(*one.Image); ok {
					c.dispatchImage(t, commit.State, i)
				} else {
					c.forget(t, agentapi.SubjectImage, int(ch.ID))
				}
			case store.KindHost:
				if h, ok := ch.New.(*one.Host); ok {
					c.refresh(t, h)
				} else {
					c.dropHost(int(ch.ID))
				}
			}
		}
	}
}
