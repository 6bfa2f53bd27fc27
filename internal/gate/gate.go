// Package gate decides what a guest may see of its cloud and do to it: who a
// token proves the guest to be, which machines it may address, what of them is
// shown, and which changes go through to the service layer. It knows nothing of
// HTTP; internal/server/gateapi translates.
//
// A guest acts with the rights of its VM's owner, less what is restricted here.
// Reads answer from the last durable state, writes are one transaction each.
//
// Source: the OneGate reference. What differs from the original, because there
// it is a defect, is said where it is done.
package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/logline"
	"github.com/trifid-cloud/trifid/internal/onexml"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Flow is what the gate asks of services; they are read from the state.
type Flow interface {
	// Scale asks for another cardinality of a role, for the service's owner and
	// within the role's bounds. Any error means that it was refused.
	Scale(ctx context.Context, owner auth.Caller, service int, role string, cardinality int) error
}

// Feed tells of changes in commit order; a *store.Store is one.
type Feed interface {
	Subscribe(from *cloud.View) *store.Feed
}

// Options are what a Gate is built from.
type Options struct {
	Cloud *cloud.Cloud
	// Flow scales services; without it scaling is refused.
	Flow   Flow
	Config config.Gate
	// Monitor gives addresses that only the hypervisor knows, and the monitoring of
	// extended documents; without it there are none.
	Monitor onexml.Monitor
	// Feed drives Run; without it nobody is told of changes.
	Feed Feed
	Log  *slog.Logger
	Now  func() time.Time
	// WatchersPerVM and Watchers bound who waits for changes at once, of one VM
	// and in all; defaults 16 and 20,000.
	WatchersPerVM, Watchers int
}

// Gate answers guests. It is used by any number of goroutines.
type Gate struct {
	cloud      *cloud.Cloud
	flow       Flow
	cfg        config.Gate
	monitor    onexml.Monitor
	feed       Feed
	log        *slog.Logger
	now        func() time.Time
	restricted *tmpl.Restricted
	noErase    map[string]bool // NAME and VECTOR/SUB that may not be erased, and VECTOR of these
	noActions  map[string]bool // lower case

	refused logline.Seldom
	tokens  tokenCache
	docs    docCache
	scratch sync.Pool // of *[]byte, to quote changes in
	rates   rateLimit
	hub     hub
}

// New returns a gate. It fails when the configuration lists what is no attribute.
func New(o Options) (*Gate, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.WatchersPerVM == 0 {
		o.WatchersPerVM = 16
	}
	if o.Watchers == 0 {
		o.Watchers = 20_000
	}
	g := &Gate{
		cloud: o.Cloud, flow: o.Flow, cfg: o.Config, monitor: o.Monitor, feed: o.Feed, log: o.Log, now: o.Now,
		noActions: map[string]bool{},
	}
	var err error
	if g.restricted, g.noErase, err = restrictions(o.Config.RestrictedAttrs); err != nil {
		return nil, fmt.Errorf("gate.restricted_attrs: %w", err)
	}
	for _, a := range o.Config.RestrictedActions {
		g.noActions[lower(a)] = true
	}
	g.scratch.New = func() any { return new([]byte) }
	g.rates.init(o.Config.Rate, o.Config.Burst)
	g.hub.init(o.WatchersPerVM, o.Watchers)
	return g, nil
}

// Links says where a guest finds its documents; base is where its request went.
// Source: OneGate reference §1.6.
func (g *Gate) Links(base string) *Document {
	if g.cfg.PublicURL != "" {
		base = g.cfg.PublicURL
	}
	dst := member([]byte("{"), "vm_info", base+"/vm")
	return newDocument(append(member(dst, "service_info", base+"/service"), '}'))
}

// Permitted tells whether the configuration allows a route: resource "vm", action
// "show". What is not mentioned is allowed.
func (g *Gate) Permitted(resource, action string) bool {
	allowed, said := g.cfg.Permissions[resource][action]
	return allowed || !said
}

// Run tells those who wait for changes of them, until ctx ends; then everybody
// who waits is let go. It is to be run once.
func (g *Gate) Run(ctx context.Context) error {
	defer g.hub.close()
	if g.feed == nil {
		<-ctx.Done()
		return nil
	}
	feed := g.feed.Subscribe(g.cloud.View())
	for {
		commit, err := feed.Next(ctx)
		var behind *store.ResyncError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &behind):
			g.hub.wakeAll()
		case err != nil:
			return fmt.Errorf("follow changes for the guests: %w", err)
		default:
			g.hub.wake(commit)
		}
	}
}
