package cloud

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/gatetoken"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// TestRefusedSessions: whatever is wrong with a session, its client hears the same,
// and nothing changes. Source: identity reference §1.
func TestRefusedSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := gatetoken.ServerKey("secret")
	serverToken := func(server, key string, valid time.Duration) string {
		session, err := gatetoken.NewLogin(key, server, "owner", worldTime.Add(valid))
		if err != nil {
			t.Fatal(err)
		}
		return session[strings.LastIndexByte(session, ':')+1:]
	}
	w.do(func(tx *store.Tx) {
		for uid, change := range map[int]func(*one.User){
			owner: func(u *one.User) {
				u.Password = auth.SHA256Hex("secret")
				u.Tokens = []one.LoginToken{{Token: "over", Expires: worldTime.Unix(), EGID: -1}, {Token: "good", Expires: worldTime.Unix() + 1, EGID: -1}}
			},
			member:   func(u *one.User) { u.Password, u.Disabled = auth.SHA256Hex("secret"), true },
			stranger: func(u *one.User) { u.Password, u.AuthDriver = "secret", "public" },
			ruled:    func(u *one.User) { u.Password, u.AuthDriver = "secret", "ssh" },
			deputy: func(u *one.User) {
				u.Password = auth.SHA256Hex("secret")
				u.Tokens = []one.LoginToken{{Token: "users", Expires: -1, EGID: one.UsersGroupID}}
			},
		} {
			u := *tx.Users.At(uid)
			change(&u)
			tx.PutUser(&u)
		}
	})
	before := content(w.View())
	for what, session := range map[string]string{
		"empty":                          "",
		"no colon":                       "owner",
		"no name":                        ":secret",
		"a name that is none":            "own er:secret",
		"a name too long":                strings.Repeat("a", one.MaxNameLen+1) + ":secret",
		"unknown user":                   "nobody:secret",
		"wrong password":                 "owner:wrong",
		"no password":                    "owner:",
		"the stored hash":                "owner:" + auth.SHA256Hex("secret"),
		"expired token":                  "owner:over",
		"another's token":                "chief:good",
		"disabled user":                  "member:secret",
		"public user":                    "stranger:secret",
		"a driver that is not there":     "ruled:secret",
		"server user by its key":         "serveradmin:" + key,
		"server token that has expired":  "serveradmin:owner:" + serverToken("serveradmin", key, 0),
		"server token of another key":    "serveradmin:owner:" + serverToken("serveradmin", gatetoken.ServerKey("other"), time.Hour),
		"server token of another server": "serveradmin:owner:" + serverToken("oneadmin", key, time.Hour),
		"server token for nobody":        "serveradmin:nobody:" + serverToken("serveradmin", key, time.Hour),
		"server token for a bad group":   "serveradmin:owner:x:" + serverToken("serveradmin", key, time.Hour),
		"server token by a plain user":   "owner:chief:" + serverToken("owner", key, time.Hour),
	} {
		who, err := w.Authenticate(w.ctx, session, "test")
		if errs.KindOf(err) != errs.Authentication || errs.Text(err) != "User couldn't be authenticated, aborting call." || who.Admin || who.UID != 0 || who.Groups != nil {
			t.Errorf("%s: got %+v, %v", what, who, err)
		}
	}
	if d := cmp.Diff(before, content(w.View())); d != "" {
		t.Errorf("refused sessions have left traces:\n%s", d)
	}
	// A server user acts with the rights of whom it acts for, and of a group alone
	// if it says so; nobody is an administrator by a group his session leaves out.
	for session, want := range map[string]struct {
		uid, gid int
		admin    bool
	}{
		"owner:good": {owner, 1, false},
		"serveradmin:owner:" + serverToken("serveradmin", key, time.Hour):       {owner, 1, false},
		"serveradmin:deputy:" + serverToken("serveradmin", key, time.Hour):      {deputy, 1, true},
		"serveradmin:deputy:1:" + serverToken("serveradmin", key, time.Hour):    {deputy, 1, false},
		"serveradmin:serveradmin:" + serverToken("serveradmin", key, time.Hour): {one.ServeradminID, 0, true},
		"deputy:users": {deputy, 1, false},
	} {
		who, err := w.Authenticate(w.ctx, session, "test")
		if err != nil || who.UID != want.uid || who.GID != want.gid || who.Admin != want.admin {
			t.Errorf("%s: got %+v, %v; want %+v", session, who, err, want)
		}
	}
	if d := cmp.Diff(before, content(w.View())); d != "" {
		t.Errorf("sessions that need nothing stored have left traces:\n%s", d)
	}
}

// TestTokenOfLeftGroup: a token of a group that its user has left is refused, and
// gone. Source: identity reference §1.1.
func TestTokenOfLeftGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(func(tx *store.Tx) {
		u := *tx.Users.At(owner)
		u.Tokens = []one.LoginToken{{Token: "left", Expires: -1, EGID: strangers}, {Token: "kept", Expires: -1, EGID: one.UsersGroupID}}
		tx.PutUser(&u)
	})
	if _, err := w.Authenticate(w.ctx, "owner:left", "test"); errs.KindOf(err) != errs.Authentication {
		t.Errorf("the session is not refused: %v", err)
	}
	if got := w.View().Users.At(owner).Tokens; len(got) != 1 || got[0].Token != "kept" {
		t.Errorf("tokens %v, expected only the one called kept", got)
	}
}

// TestRefusedLogins: tokens that are not made. Source: identity reference §3.
func TestRefusedLogins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(func(tx *store.Tx) {
		u := *tx.Users.At(member)
		for range maxTokens {
			u.Tokens = append(u.Tokens, one.LoginToken{Token: "t" + itoa(len(u.Tokens)), Expires: -1, EGID: -1})
		}
		tx.PutUser(&u)
	})
	login := func(name string, seconds, egid int) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return second(w.Login(w.ctx, who, name, "", seconds, egid)) }
	}
	const full = "Cannot create a full token with a specific group token"
	scoped := func(f func(*world, auth.Caller) error) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error {
			who.Groups = []int{who.GID}
			return f(w, who)
		}
	}
	w.refuse(
		refusal{"a negative life", owner, login("owner", -2, -1), errs.API, "Wrong valid period for token"},
		refusal{"of a group he is not in", owner, login("owner", 60, strangers), errs.API, "EGID is not in user group list"},
		refusal{"for a user of other groups", one.OneadminID, login("owner", 60, -1), errs.API, full},
		refusal{"in full, by a session of one group", deputy, scoped(login("deputy", 60, -1)), errs.API, full},
		refusal{"one too many", member, login("member", 60, -1), errs.Internal, "Max number of tokens limit reached."},
	)
}
