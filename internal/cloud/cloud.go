// Package cloud is the service layer: every operation a person or program can
// ask for is one method of Cloud, with authentication, authorization, validation
// and quota in one place. The faces only translate to and from it.
//
// Every method takes the caller it acts for. Reads answer from the last durable
// state; writes return when they are durable, and refuse without a trace.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// View is a durable version of the state that faces may read.
type View = store.State

// Cloud is the service layer over one store.
type Cloud struct {
	store *store.Store
	auth  *auth.Authenticator
	cfg   Config
	log   *slog.Logger
	now   func() time.Time
	mon   Monitor
}

// Config holds the settings the service layer reads; config.Load fills it.
type Config struct {
	Zone             int    // id of the local zone
	DatastoreDir     string // where datastores are on the hosts: BASE_PATH is under it
	OneGateEndpoint  string // what guests are told; "" when there is no gate
	DefaultCost      Cost
	DevicePrefix     string // of disks: "sd" as in the original unless set
	CDROMPrefix      string // "hd"
	MACPrefix        uint16 // first two bytes of MACs, 0x0200
	DefaultImageType one.ImageType
	SubmitOnHold     bool
	OtherPermissions bool // may ordinary users change the "other" bits
	EncryptionKey    string
	DoneRetention    time.Duration // how long VMs in DONE are kept
	ServerName       string
}

// Cost holds the default prices of showback.
type Cost struct{ CPU, Memory, Disk float64 }

// DefaultConfig returns the settings of a stock installation.
func DefaultConfig() Config {
	return Config{
		DatastoreDir: "/var/lib/trifid/datastores", DevicePrefix: "sd", CDROMPrefix: "hd", MACPrefix: 0x0200,
		DefaultImageType: one.ImageOS, OtherPermissions: true, DoneRetention: 90 * 24 * time.Hour,
	}
}

// Monitor is where the latest measurements are read. They are not stored.
type Monitor interface {
	// Datastore returns the space of a datastore in MB, false when none is known.
	Datastore(id int) (total, used, free int64, ok bool)
}

// Options are what a Cloud is built from.
type Options struct {
	Store   *store.Store
	Auth    *auth.Authenticator
	Config  Config
	Log     *slog.Logger
	Now     func() time.Time
	Monitor Monitor
}

// New returns the service layer.
func New(o Options) *Cloud {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Cloud{store: o.Store, auth: o.Auth, cfg: o.Config, log: o.Log, now: o.Now, mon: o.Monitor}
}

// View returns the last durable state.
func (c *Cloud) View() *View { return c.store.View() }

// Zone returns the id of the local zone.
func (c *Cloud) Zone() int { return c.cfg.Zone }

// Config returns the settings.
func (c *Cloud) Config() Config { return c.cfg }

// Now returns the cloud's clock.
func (c *Cloud) Now() time.Time { return c.now() }

// Authenticate verifies a session string. The reason of a refusal is logged, not told.
func (c *Cloud) Authenticate(ctx context.Context, session, from string) (auth.Caller, error) {
	s, err := c.auth.Authenticate(ctx, c.store.View(), session, c.now())
	if err != nil {
		c.log.Info("session refused", "from", from, "reason", err)
		if errors.Is(err, auth.ErrEGID) {
			c.dropDeadToken(ctx, session)
		}
		return auth.Caller{}, errs.Unauthenticated(err)
	}
	s.From = from
	if s.Rehash != "" {
		c.renewHash(ctx, s)
	}
	return s.Caller, nil
}

// dropDeadToken removes a login token of a group that its user has left.
// Source: identity reference §1.1.
func (c *Cloud) dropDeadToken(ctx context.Context, session string) {
	name, token, _ := strings.Cut(session, ":")
	err := c.store.Update(ctx, func(tx *store.Tx) error {
		u, ok := tx.UserByName(name)
		if !ok {
			return nil
		}
		n := *u
		n.Tokens = slices.DeleteFunc(slices.Clone(u.Tokens), func(t one.LoginToken) bool {
			return t.Token == token && t.EGID >= 0 && !u.InGroup(t.EGID)
		})
		if len(n.Tokens) < len(u.Tokens) {
			tx.PutUser(&n)
		}
		return nil
	})
	if err != nil {
		c.log.Warn("token of a group the user left is not removed", "user", name, "err", err)
	}
}

// renewHash stores a better hash of a password that was just verified. It is a
// convenience: when it fails the next login tries again.
func (c *Cloud) renewHash(ctx context.Context, s auth.Session) {
	err := c.store.Update(ctx, func(tx *store.Tx) error {
		u, ok := tx.Users.Get(s.UID)
		if !ok || u.Password != s.OldHash {
			return nil
		}
		n := *u
		n.Password = s.Rehash
		tx.PutUser(&n)
		return nil
	})
	if err != nil {
		c.log.Warn("password hash not renewed", "user", s.UID, "err", err)
	}
}

// update runs a transaction as the service layer does: with its errors passed
// through as they are.
func (c *Cloud) update(ctx context.Context, fn func(tx *store.Tx) error) error {
	return c.store.Update(ctx, fn)
}

// allow refuses unless the caller has the right on the target.
func (c *Cloud) allow(st *store.State, who auth.Caller, t auth.Target, r one.Right) error {
	return c.allowAll(st, who, ask{t, r})
}

// ask is a right that is asked for on a target.
type ask struct {
	target auth.Target
	right  one.Right
}

// allowAll refuses unless the caller has every right that a call needs; the
// refusal names all that are missing. Source: XML-RPC reference §2.2.
func (c *Cloud) allowAll(st *store.State, who auth.Caller, asks ...ask) error {
	var missing []string
	about := -1
	for _, a := range asks {
		if auth.Allowed(st, c.cfg.Zone, who, a.target, a.right) {
			continue
		}
		if missing == nil {
			about = a.target.ID
		}
		missing = append(missing, auth.Refusal(who, a.target, a.right))
	}
	if missing == nil {
		return nil
	}
	return errs.Denied(who.UID, strings.Join(missing, "; ")).About(about)
}

// allowRead refuses as allow does, but no lock stands in its way.
func (c *Cloud) allowRead(st *store.State, who auth.Caller, t auth.Target, r one.Right) error {
	if auth.AllowedLocked(st, c.cfg.Zone, who, t, r) {
		return nil
	}
	return errs.Denied(who.UID, auth.Refusal(who, t, r)).About(t.ID)
}

// allowCreate refuses unless the caller may create objects of the kind.
func (c *Cloud) allowCreate(st *store.State, who auth.Caller, kind one.Kind) error {
	return c.allow(st, who, auth.Creation(kind, who), one.Create)
}

// target returns what a right on an owned object is asked of.
func target(o one.Owned) auth.Target {
	t := auth.Of(o.Kind(), o.Head())
	switch o := o.(type) {
	case *one.Datastore:
		t.Clusters = o.ClusterIDs
	case *one.VNet:
		t.Clusters, t.Reservation = o.ClusterIDs, o.ParentID >= 0
	}
	return t
}

// Targets of the resources that have no permission bits of their own.
// Source: identity reference §6.1.
func hostTarget(h *one.Host) auth.Target {
	return auth.Target{Kind: one.KindHost, ID: h.ID, Perms: 0o700, Clusters: []int{h.ClusterID}}
}

func clusterTarget(id int) auth.Target {
	return auth.Target{Kind: one.KindCluster, ID: id, Perms: 0o700}
}
func zoneTarget(id int) auth.Target { return auth.Target{Kind: one.KindZone, ID: id, Perms: 0o700} }
func vdcTarget(id int) auth.Target  { return auth.Target{Kind: one.KindVDC, ID: id, Perms: 0o700} }

func groupTarget(id int) auth.Target {
	return auth.Target{Kind: one.KindGroup, ID: id, GID: id, Perms: 0o740}
}

func userTarget(u *one.User) auth.Target {
	return auth.Target{Kind: one.KindUser, ID: u.ID, UID: u.ID, GID: u.GID, Perms: 0o600}
}

// get returns an owned object, or the refusal for an unknown id.
func get(st *store.State, kind one.Kind, id int) (one.Owned, error) {
	o, ok := st.Owned(kind, id)
	if !ok {
		return nil, errs.NotFound(kind, id)
	}
	return o, nil
}

// newMeta returns the header of an object the caller creates.
// Source: identity reference §6.2.
func (c *Cloud) newMeta(who auth.Caller, id int, name string) one.Meta {
	admin := who.UID == one.OneadminID || who.GID == one.OneadminID
	perms := one.DefaultPerms(admin, who.Umask)
	if !c.cfg.OtherPermissions && !admin {
		perms &^= 0o007
	}
	return one.Meta{ID: id, UID: who.UID, GID: who.GID, UName: who.Name, GName: who.GName, Name: name, Perms: perms}
}

// netipAddr reads an address of a template attribute, naming the attribute when it is wrong.
func netipAddr(attr, s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("Wrong format for %s attribute: %q is not an address", attr, s)
	}
	return a, nil
}
