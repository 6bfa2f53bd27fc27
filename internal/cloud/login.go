package cloud

import (
	"context"
	"slices"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// maxTokens bounds the login tokens of a user. Source: identity reference §3.
const maxTokens = 10

// longestToken bounds, in seconds, how long the tokens of users of a driver live;
// those of other drivers may live for ever. Source: identity reference §4.1.
var longestToken = map[string]int{"ldap": 86400}

// Login makes, renews or removes login tokens of a user and returns the token:
// seconds > 0 is its life, -1 for ever, 0 removes it (all of them if token is "").
// egid of at least 0 makes it grant just that group.
// Source: identity reference §3.
func (c *Cloud) Login(ctx context.Context, who auth.Caller, name, token string, seconds, egid int) (string, error) {
	id, ok := c.store.View().UserNames.Find(name)
	if !ok {
		return "", errs.NotFound(one.KindUser, -1)
	}
	if seconds < -1 {
		return "", errs.New(errs.API, "Wrong valid period for token").About(id)
	}
	if token == "" && seconds != 0 {
		var err error
		if token, err = RandomHex(32); err != nil {
			return "", err
		}
	}
	err := c.changeUser(ctx, who, id, one.Manage, func(_ *store.Tx, u *one.User) error {
		if seconds == 0 {
			return dropToken(u, token)
		}
		return c.addToken(who, u, token, seconds, egid)
	})
	return token, err
}

func dropToken(u *one.User, token string) error {
	if token == "" {
		u.Tokens = nil
		return nil
	}
	before := len(u.Tokens)
	u.Tokens = slices.DeleteFunc(u.Tokens, func(t one.LoginToken) bool { return t.Token == token })
	if len(u.Tokens) == before {
		return errs.New(errs.API, "Could not find token: %s", token).About(u.ID)
	}
	return nil
}

func (c *Cloud) addToken(who auth.Caller, u *one.User, token string, seconds, egid int) error {
	switch {
	case egid >= 0:
		if !who.Admin && !(u.InGroup(egid) && who.InGroup(egid)) {
			return errs.New(errs.API, "EGID is not in user group list").About(u.ID)
		}
	case !slices.Equal(who.Groups, u.Groups):
		return errs.New(errs.API, "Cannot create a full token with a specific group token").About(u.ID)
	}
	now := c.now().Unix()
	u.Tokens = slices.DeleteFunc(u.Tokens, func(t one.LoginToken) bool { return t.Expires >= 0 && t.Expires <= now })
	if slices.ContainsFunc(u.Tokens, func(t one.LoginToken) bool { return t.Token == token }) {
		return nil
	}
	if len(u.Tokens) >= maxTokens {
		return errs.New(errs.Internal, "Max number of tokens limit reached.").About(u.ID)
	}
	if most := longestToken[u.AuthDriver]; most > 0 && (seconds < 0 || seconds > most) {
		seconds = most
	}
	expires := int64(-1)
	if seconds > 0 {
		expires = now + int64(seconds)
	}
	if egid < 0 {
		egid = -1
	}
	u.Tokens = append(u.Tokens, one.LoginToken{Token: token, Expires: expires, EGID: egid})
	return nil
}
