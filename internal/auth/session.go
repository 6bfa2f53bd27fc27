package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/internal/gatetoken"
	"github.com/trifid-cloud/trifid/internal/one"
)

// Reasons for which a session is refused. They are for the log: the client is
// told only that it was. Source: identity reference §1.
var (
	ErrFormat    = errors.New("session string must be user:secret")
	ErrUnknown   = errors.New("no such user")
	ErrDisabled  = errors.New("user is disabled")
	ErrPassword  = errors.New("wrong password or token")
	ErrExpired   = errors.New("token has expired")
	ErrEGID      = errors.New("token sets an EGID no longer part of user group list")
	ErrDirect    = errors.New("user may not authenticate directly")
	ErrNoDriver  = errors.New("authentication driver is not available")
	ErrTarget    = errors.New("target user of a server login does not exist")
	ErrNoGroupID = errors.New("group of a server login is not a number")
)

// DefaultUmask is the umask of users that set none. Source: identity reference §6.2.
const DefaultUmask = 0o177

// Authenticator verifies sessions. It remembers verified passwords as keyed
// hashes, so that the slow hash of a password is computed once; an entry is
// void as soon as the user's stored password or driver is another.
type Authenticator struct {
	key  []byte
	slow chan struct{} // bounds how many slow hashes run at once

	mu    sync.RWMutex
	cache map[int]verified // by user id
}

type verified struct {
	mac      [sha256.Size]byte
	password string // the stored one it was verified against
	driver   string
}

// New returns an authenticator that computes at most parallel slow hashes at once.
func New(parallel int) (*Authenticator, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make the session cache's key: %w", err)
	}
	return &Authenticator{key: key, slow: make(chan struct{}, max(1, parallel)), cache: map[int]verified{}}, nil
}

// Session is a verified session.
type Session struct {
	Caller
	// Rehash is a new hash of the password to be stored in place of OldHash, ""
	// when the stored one is as it should be.
	Rehash, OldHash string
}

// Authenticate verifies a session string, "user:secret" split at the first
// colon. Any error means a refusal. Source: identity reference §1.1.
func (a *Authenticator) Authenticate(ctx context.Context, d Directory, session string, now time.Time) (Session, error) {
	name, secret, ok := strings.Cut(session, ":")
	if !ok || one.CheckUserName(name) != nil {
		return Session{}, ErrFormat
	}
	u, ok := d.UserByName(name)
	if !ok {
		return Session{}, ErrUnknown
	}
	if u.Disabled {
		return Session{}, ErrDisabled
	}
	if strings.HasPrefix(u.AuthDriver, "server") {
		return a.server(d, u, session, now)
	}
	egid, isToken, err := loginToken(u, secret, now)
	if err != nil {
		return Session{}, err
	}
	if isToken {
		return Session{Caller: callerOf(d, u, egid)}, nil
	}
	mac := a.mac(u.ID, secret)
	if a.remembered(u, mac) {
		return Session{Caller: callerOf(d, u, -1)}, nil
	}
	s := Session{Caller: callerOf(d, u, -1)}
	switch u.AuthDriver {
	case "core":
		select {
		case a.slow <- struct{}{}:
		case <-ctx.Done():
			return Session{}, ctx.Err()
		}
		good, stale := VerifyPassword(u.Password, secret)
		if good && stale {
			s.Rehash, err = HashPassword(secret)
			s.OldHash = u.Password
		}
		<-a.slow
		if err != nil {
			return Session{}, err
		}
		if !good {
			return Session{}, ErrPassword
		}
	case "public":
		return Session{}, ErrDirect
	default:
		return Session{}, fmt.Errorf("driver %q: %w", u.AuthDriver, ErrNoDriver)
	}
	a.remember(u, mac)
	return s, nil
}

// server verifies a login by which a server user acts for another.
// Source: identity reference §4.3.
func (a *Authenticator) server(d Directory, server *one.User, session string, now time.Time) (Session, error) {
	if server.AuthDriver != "server_cipher" {
		return Session{}, fmt.Errorf("driver %q: %w", server.AuthDriver, ErrNoDriver)
	}
	login, err := gatetoken.SplitLogin(session)
	if err != nil {
		return Session{}, ErrDirect
	}
	if _, err := gatetoken.CheckLogin(server.Password, server.Name, login.Token, now); err != nil {
		return Session{}, err
	}
	u, ok := d.UserByName(login.Target)
	if !ok {
		return Session{}, ErrTarget
	}
	egid := -1
	if login.Group != "" {
		if egid, err = strconv.Atoi(login.Group); err != nil || egid < -1 {
			return Session{}, ErrNoGroupID
		}
	}
	return Session{Caller: callerOf(d, u, egid)}, nil
}

// loginToken looks the secret up among the user's login tokens.
func loginToken(u *one.User, secret string, now time.Time) (egid int, found bool, err error) {
	for _, t := range u.Tokens {
		if subtle.ConstantTimeCompare([]byte(t.Token), []byte(secret)) != 1 {
			continue
		}
		if t.Expires >= 0 && t.Expires <= now.Unix() {
			return 0, false, ErrExpired
		}
		if t.EGID >= 0 && !u.InGroup(t.EGID) {
			return 0, false, ErrEGID
		}
		return t.EGID, true, nil
	}
	return 0, false, nil
}

// CallerOf returns the caller a user is when all its groups count.
func CallerOf(d Directory, u *one.User) Caller { return callerOf(d, u, -1) }

// callerOf returns the caller; egid of at least 0 leaves just that group.
func callerOf(d Directory, u *one.User, egid int) Caller {
	c := Caller{UID: u.ID, GID: u.GID, Name: u.Name, GName: u.GName, Groups: u.Groups, Umask: umaskOf(u)}
	if egid >= 0 {
		c.GID, c.Groups, c.GName = egid, []int{egid}, ""
		if g, ok := d.GroupByID(egid); ok {
			c.GName = g.Name
		}
	}
	c.Admin = c.UID == one.OneadminID || c.InGroup(one.OneadminID)
	return c
}

func umaskOf(u *one.User) uint16 {
	if s := u.Template.Get("UMASK"); s != "" {
		if m, err := strconv.ParseUint(s, 8, 9); err == nil {
			return uint16(m)
		}
	}
	return DefaultUmask
}

func (a *Authenticator) mac(uid int, secret string) [sha256.Size]byte {
	h := hmac.New(sha256.New, a.key)
	h.Write([]byte(strconv.Itoa(uid)))
	h.Write([]byte{0})
	h.Write([]byte(secret))
	var out [sha256.Size]byte
	h.Sum(out[:0])
	return out
}

func (a *Authenticator) remembered(u *one.User, mac [sha256.Size]byte) bool {
	a.mu.RLock()
	v, ok := a.cache[u.ID]
	a.mu.RUnlock()
	return ok && v.password == u.Password && v.driver == u.AuthDriver && subtle.ConstantTimeCompare(v.mac[:], mac[:]) == 1
}

func (a *Authenticator) remember(u *one.User, mac [sha256.Size]byte) {
	a.mu.Lock()
	a.cache[u.ID] = verified{mac: mac, password: u.Password, driver: u.AuthDriver}
	a.mu.Unlock()
}

func itoa(n int) string { return strconv.Itoa(n) }
