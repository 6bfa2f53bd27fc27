package auth_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1" //nolint:gosec // hashes of old releases
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/gatetoken"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// directory is a handful of users, groups and rules.
type directory struct {
	users  map[string]*one.User
	groups map[int]*one.Group
	rules  []*one.ACLRule
}

func (d *directory) UserByName(name string) (*one.User, bool) { u, ok := d.users[name]; return u, ok }
func (d *directory) GroupByID(gid int) (*one.Group, bool)     { g, ok := d.groups[gid]; return g, ok }

func (d *directory) RulesOf(n uint64) (out []*one.ACLRule) {
	for _, r := range d.rules {
		if r.User == n {
			out = append(out, r)
		}
	}
	return out
}

const (
	secret       = "opensesame"
	serverSecret = "the line of the credentials file"
)

var now = time.Unix(1_700_000_000, 0)

func argon(t testing.TB, password string) string {
	t.Helper()
	h, err := auth.HashPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func sha1Hex(s string) string {
	sum := sha1.Sum([]byte(s)) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

func people(t testing.TB) *directory {
	t.Helper()
	d := &directory{users: map[string]*one.User{}, groups: map[int]*one.Group{
		0: {ID: 0, Name: "oneadmin"}, 1: {ID: 1, Name: "users"}, 100: {ID: 100, Name: "web"}, 101: {ID: 101, Name: "db"},
	}}
	tokens := []one.LoginToken{
		{Token: "forever", Expires: -1, EGID: -1}, {Token: "web-only", Expires: now.Unix() + 10, EGID: 100},
		{Token: "old", Expires: now.Unix(), EGID: -1}, {Token: "left", Expires: -1, EGID: 101},
	}
	for _, u := range []*one.User{
		{ID: 0, Name: "oneadmin", AuthDriver: "core", Password: auth.SHA256Hex(secret), GID: 0, Groups: []int{0}},
		{ID: 1, Name: "serveradmin", AuthDriver: "server_cipher", Password: gatetoken.ServerKey(serverSecret), GID: 0, Groups: []int{0}},
		{ID: 2, Name: "ana", AuthDriver: "core", Password: argon(t, secret), GID: 1, GName: "users", Groups: []int{1, 100}, Tokens: tokens,
			Template: tmpl.New(tmpl.Single("UMASK", "137"))},
		{ID: 3, Name: "ben", AuthDriver: "core", Password: sha1Hex(secret), GID: 1, Groups: []int{1}},
		{ID: 4, Name: "off", AuthDriver: "core", Password: auth.SHA256Hex(secret), GID: 1, Groups: []int{1}, Disabled: true, Tokens: tokens[:1]},
		{ID: 5, Name: "pub", AuthDriver: "public", Password: "CN=pub", GID: 1, Groups: []int{1}, Tokens: tokens[:1]},
		{ID: 6, Name: "key", AuthDriver: "ssh", Password: "AAAA", GID: 1, Groups: []int{1}, Tokens: tokens[:1]},
		{ID: 7, Name: "cert", AuthDriver: "server_x509", Password: "CN=x", GID: 0, Groups: []int{0}},
		{ID: 8, Name: "stopped", AuthDriver: "server_cipher", Password: gatetoken.ServerKey(serverSecret), GID: 0, Groups: []int{0}, Disabled: true},
		{ID: 9, Name: "boss", AuthDriver: "core", Password: auth.SHA256Hex(secret), GID: 1, Groups: []int{0, 1}},
	} {
		d.users[u.Name] = u
	}
	return d
}

func serverLogin(t testing.TB, server, target, group string, expires time.Time) string {
	t.Helper()
	s, err := gatetoken.NewLogin(gatetoken.ServerKey(serverSecret), server, target, expires)
	if err != nil {
		t.Fatal(err)
	}
	if group == "" {
		return s
	}
	f := strings.SplitN(s, ":", 3)
	return f[0] + ":" + f[1] + ":" + group + ":" + f[2]
}

// oldLogin is a server login of releases up to 6.0: the IV is zero.
func oldLogin(t testing.TB, server, target string, expires time.Time) string {
	t.Helper()
	key := gatetoken.ServerKey(serverSecret)
	block, err := aes.NewCipher([]byte(key[:32]))
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(server + ":" + target + ":" + strconv.FormatInt(expires.Unix(), 10))
	pad := aes.BlockSize - len(text)%aes.BlockSize
	text = append(text, []byte(strings.Repeat(string(rune(pad)), pad))...)
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(text, text)
	return server + ":" + target + ":" + base64.StdEncoding.EncodeToString(text)
}

func authenticator(t testing.TB) *auth.Authenticator {
	t.Helper()
	a, err := auth.New(2)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The decision sequence of the identity reference §1.1, and what a session grants.
func TestAuthenticate(t *testing.T) {
	later, before := now.Add(time.Minute), now.Add(-time.Minute)
	d := people(t)
	for _, q := range []struct {
		name, session string
		err           error
		uid, gid      int
		groups        []int
		gname         string
		admin, rehash bool
	}{
		{name: "no colon", session: "ana", err: auth.ErrFormat},
		{name: "nothing", session: "", err: auth.ErrFormat},
		{name: "no name", session: ":" + secret, err: auth.ErrFormat},
		{name: "a blank in the name", session: "an a:" + secret, err: auth.ErrFormat},
		{name: "a name that is too long", session: strings.Repeat("a", 129) + ":" + secret, err: auth.ErrFormat},
		{name: "unknown user", session: "nobody:" + secret, err: auth.ErrUnknown},
		{name: "disabled, right password", session: "off:" + secret, err: auth.ErrDisabled},
		{name: "disabled, right token", session: "off:forever", err: auth.ErrDisabled},
		{name: "argon2id", session: "ana:" + secret, uid: 2, gid: 1, groups: []int{1, 100}, gname: "users"},
		{name: "wrong password", session: "ana:" + secret + "x", err: auth.ErrPassword},
		{name: "empty password", session: "ana:", err: auth.ErrPassword},
		{name: "the hash is no password", session: "oneadmin:" + auth.SHA256Hex(secret), err: auth.ErrPassword},
		{name: "split at the first colon", session: "ana:forever:", err: auth.ErrPassword},
		{name: "SHA-256 is accepted and renewed", session: "oneadmin:" + secret, groups: []int{0}, admin: true, rehash: true},
		{name: "SHA-1 is accepted and renewed", session: "ben:" + secret, uid: 3, gid: 1, groups: []int{1}, rehash: true},
		{name: "wrong password against SHA-1", session: "ben:nonsense", err: auth.ErrPassword},
		{name: "member of group 0", session: "boss:" + secret, uid: 9, gid: 1, groups: []int{0, 1}, admin: true, rehash: true},
		{name: "token", session: "ana:forever", uid: 2, gid: 1, groups: []int{1, 100}, gname: "users"},
		{name: "token of one group", session: "ana:web-only", uid: 2, gid: 100, groups: []int{100}, gname: "web"},
		{name: "token that has expired just now", session: "ana:old", err: auth.ErrExpired},
		{name: "token of a group the user left", session: "ana:left", err: auth.ErrEGID},
		{name: "token of another user", session: "ben:web-only", err: auth.ErrPassword},
		{name: "public, by token", session: "pub:forever", uid: 5, gid: 1, groups: []int{1}},
		{name: "public, directly", session: "pub:CN=pub", err: auth.ErrDirect},
		{name: "a driver that is not there, by token", session: "key:forever", uid: 6, gid: 1, groups: []int{1}},
		{name: "a driver that is not there", session: "key:AAAA", err: auth.ErrNoDriver},
		{name: "server_x509", session: "cert:ana:abcd", err: auth.ErrNoDriver},
		{name: "server user, its own secret", session: "serveradmin:" + serverSecret, err: auth.ErrDirect},
		{name: "server login", session: serverLogin(t, "serveradmin", "ana", "", later), uid: 2, gid: 1, groups: []int{1, 100}, gname: "users"},
		{name: "server login with the IV of old releases", session: oldLogin(t, "serveradmin", "ana", later), uid: 2, gid: 1, groups: []int{1, 100}, gname: "users"},
		{name: "server login of one group, not even the target's", session: serverLogin(t, "serveradmin", "ana", "101", later), uid: 2, gid: 101, groups: []int{101}, gname: "db"},
		{name: "server login of group 0", session: serverLogin(t, "serveradmin", "ana", "0", later), uid: 2, groups: []int{0}, gname: "oneadmin", admin: true},
		{name: "server login of group -1: all", session: serverLogin(t, "serveradmin", "ana", "-1", later), uid: 2, gid: 1, groups: []int{1, 100}, gname: "users"},
		{name: "server login of group -2", session: serverLogin(t, "serveradmin", "ana", "-2", later), err: auth.ErrNoGroupID},
		{name: "server login of a group by name", session: serverLogin(t, "serveradmin", "ana", "web", later), err: auth.ErrNoGroupID},
		{name: "server login for a disabled user: the server is trusted", session: serverLogin(t, "serveradmin", "off", "", later), uid: 4, gid: 1, groups: []int{1}},
		{name: "server login for nobody", session: serverLogin(t, "serveradmin", "nobody", "", later), err: auth.ErrTarget},
		{name: "server login that has expired", session: serverLogin(t, "serveradmin", "ana", "", before), err: gatetoken.ErrExpired},
		{name: "server login of another server", session: strings.Replace(serverLogin(t, "another", "ana", "", later), "another", "serveradmin", 1), err: gatetoken.ErrLogin},
		{name: "server login, target exchanged: it is not part of the proof", session: strings.Replace(serverLogin(t, "serveradmin", "ana", "", later), ":ana:", ":ben:", 1), uid: 3, gid: 1, groups: []int{1}},
		{name: "server user that is disabled", session: serverLogin(t, "stopped", "ana", "", later), err: auth.ErrDisabled},
	} {
		t.Run(q.name, func(t *testing.T) {
			s, err := authenticator(t).Authenticate(context.Background(), d, q.session, now)
			if !errors.Is(err, q.err) {
				t.Fatalf("got error %v, want %v", err, q.err)
			}
			if q.err != nil {
				if s.Name != "" || s.Admin || s.Groups != nil {
					t.Errorf("a refusal grants something: %+v", s)
				}
				return
			}
			if s.UID != q.uid || s.GID != q.gid || !slices.Equal(s.Groups, q.groups) || s.GName != q.gname || s.Admin != q.admin {
				t.Errorf("got uid %d, gid %d, groups %v, gname %q, admin %v", s.UID, s.GID, s.Groups, s.GName, s.Admin)
			}
			if (s.Rehash != "") != q.rehash {
				t.Errorf("rehash %q", s.Rehash)
			}
			if good, stale := auth.VerifyPassword(s.Rehash, secret); q.rehash && (!good || stale) {
				t.Errorf("the new hash: good %v, stale %v", good, stale)
			}
		})
	}
}

func TestUmask(t *testing.T) {
	for text, want := range map[string]uint16{"": 0o177, "137": 0o137, "0137": 0o137, "0": 0, "777": 0o777, "1000": 0o177, "9": 0o177, "no": 0o177, "-1": 0o177} {
		d := people(t)
		d.users["ana"].Template = tmpl.New(tmpl.Single("UMASK", text))
		s, err := authenticator(t).Authenticate(context.Background(), d, "ana:forever", now)
		if err != nil || s.Umask != want {
			t.Errorf("UMASK %q: got %o, %v; want %o", text, s.Umask, err, want)
		}
	}
}

// What was verified once must be verified anew when password, driver or the
// enabled flag change; and an entry is the user's, not the name's.
func TestSessionCache(t *testing.T) {
	a, d := authenticator(t), people(t)
	login := func(session string) error {
		_, err := a.Authenticate(context.Background(), d, session, now)
		return err
	}
	change := func(f func(u *one.User)) {
		u := *d.users["ana"]
		f(&u)
		d.users["ana"] = &u
	}
	good, bad := "ana:"+secret, "ana:wrong"
	first := d.users["ana"].Password
	steps := []struct {
		name    string
		do      func()
		session string
		err     error
	}{
		{"first", nil, good, nil},
		{"remembered", nil, good, nil},
		{"another secret is not the remembered one", nil, bad, auth.ErrPassword},
		{"still remembered", nil, good, nil},
		{"password changed", func() { change(func(u *one.User) { u.Password = argon(t, "another") }) }, good, auth.ErrPassword},
		{"the new password", nil, "ana:another", nil},
		{"the old hash again", func() { change(func(u *one.User) { u.Password = first }) }, "ana:another", auth.ErrPassword},
		{"the old password again", nil, good, nil},
		{"disabled", func() { change(func(u *one.User) { u.Disabled = true }) }, good, auth.ErrDisabled},
		{"enabled", func() { change(func(u *one.User) { u.Disabled = false }) }, good, nil},
		{"another driver", func() { change(func(u *one.User) { u.AuthDriver = "public" }) }, good, auth.ErrDirect},
		{"a third driver", func() { change(func(u *one.User) { u.AuthDriver = "ldap" }) }, good, auth.ErrNoDriver},
		{"core again", func() { change(func(u *one.User) { u.AuthDriver = "core" }) }, good, nil},
		{"gone", func() { delete(d.users, "ana") }, good, auth.ErrUnknown},
	}
	for _, s := range steps {
		if s.do != nil {
			s.do()
		}
		if err := login(s.session); !errors.Is(err, s.err) {
			t.Errorf("%s: got %v, want %v", s.name, err, s.err)
		}
	}
}

// A login whose caller has gone away waits for nothing.
func TestAuthenticateCancelled(t *testing.T) {
	a, err := auth.New(1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	d := people(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := a.Authenticate(ctx, d, "ana:"+secret, now); err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
}

func FuzzAuthenticate(f *testing.F) {
	d := people(f)
	f.Add("ana:" + "forever")
	f.Add("serveradmin:ana:101:AAAA")
	f.Add(serverLogin(f, "serveradmin", "ana", "", now.Add(time.Minute)))
	f.Add("a\x00:b")
	a := authenticator(f)
	f.Fuzz(func(t *testing.T, session string) {
		name, password, _ := strings.Cut(session, ":")
		if u, ok := d.users[name]; ok && u.AuthDriver == "core" && len(password) > 8 {
			return // the slow hash is not what is fuzzed
		}
		s, err := a.Authenticate(context.Background(), d, session, now)
		if err != nil && (s.Admin || s.Name != "") {
			t.Errorf("refused, and yet %+v", s)
		}
		if err == nil && d.users[s.Name] == nil {
			t.Errorf("logged in as %q, who does not exist", s.Name)
		}
	})
}
