package gate

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/gatetoken"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Credentials are what a request says of who sends it.
type Credentials struct {
	Token string // content of token.txt
	VMID  string // decimal, read as C's atoi does; "" if nothing said it
	From  string // where the request came from, for the audit
}

// Guest is a VM that has proved to be one, at one version of the state. It is
// made for one request.
type Guest struct {
	gate  *Gate
	st    *cloud.View
	vm    *one.VM
	owner auth.Caller
	from  string
	// orphan tells that the VM's owner is gone, so that nobody's rights count.
	orphan bool
}

// VM returns the id of the guest's VM.
func (u *Guest) VM() int { return u.vm.ID }

// Reasons for which a guest is not let in; they are for the log.
var (
	errNoToken   = errors.New("X_ONEGATE_TOKEN header not preset")
	errNoVMID    = errors.New("X_ONEGATE_VMID header not preset")
	errNoVM      = errors.New("no such VM")
	errNoCreator = errors.New("the VM has no CREATED_BY, or that user is gone")
)

// Identify returns the guest that the credentials prove, at the newest state; else
// a Refusal with 401. The state of the VM does not matter: one in DONE has a
// token as well. Source: OneGate reference §1.3.
func (g *Gate) Identify(c Credentials) (Guest, error) {
	st := g.cloud.View()
	v, err := g.verify(st, c)
	if err != nil {
		if others, ok := g.refused.May(g.now()); ok {
			g.log.Info("guest refused", "vm", clip(c.VMID), "from", c.From, "reason", err, "others", others)
		}
		return Guest{}, &Refusal{Status: http.StatusUnauthorized, Text: "Not authorized", Cause: err}
	}
	u := Guest{gate: g, st: st, vm: v, from: c.From, orphan: true}
	if owner, ok := st.Users.Get(v.UID); ok {
		u.orphan = false
		u.owner = auth.CallerOf(st, owner)
		u.owner.From, u.owner.ReqID = c.From, -1
	}
	return u, nil
}

// verify returns the VM whose token it is.
func (g *Gate) verify(st *cloud.View, c Credentials) (*one.VM, error) {
	token := strings.TrimSpace(c.Token)
	switch {
	case token == "":
		return nil, errNoToken
	case c.VMID == "":
		return nil, errNoVMID
	}
	v, ok := st.VM(ParseID(c.VMID))
	if !ok {
		return nil, errNoVM
	}
	if g.tokens.knows(st, v, token) {
		return v, nil
	}
	by, said := v.Template.Lookup("CREATED_BY")
	creator, ok := st.Users.Get(ParseID(by))
	if !said || !ok {
		return nil, errNoCreator
	}
	if err := gatetoken.Check(creator.Template.Get("TOKEN_PASSWORD"), token, v.ID, v.STime); err != nil {
		return nil, fmt.Errorf("token of VM %d: %w", v.ID, err)
	}
	g.tokens.remember(v, creator, token)
	return v, nil
}

// may refuses unless the owner may see an object. What stands in the way is told
// in the words of the core's info call.
func (u *Guest) may(method string, o one.Owned) error {
	if u.orphan {
		return &Refusal{Status: http.StatusNotFound, Text: "[" + method + "] " + errs.Text(errs.Unauthenticated(nil))}
	}
	if err := u.gate.cloud.Readable(u.st, u.owner, o); err != nil {
		return coreError(http.StatusNotFound, method, err)
	}
	return nil
}

// tokenCache remembers tokens that were verified, so that the cipher is run once
// for each token and password. It is a table of fixed size in which a VM has one
// place; users and templates are immutable, so the same values mean the same
// creator and password.
type tokenCache struct {
	slots [1 << 14]atomic.Pointer[knownToken]
}

// maxKnownToken bounds what a place holds: real tokens have 24 or 44 characters.
const maxKnownToken = 64

type knownToken struct {
	vm       int
	stime    int64
	template *tmpl.Template
	creator  *one.User
	token    string
}

func (c *tokenCache) slot(vm int) *atomic.Pointer[knownToken] { return &c.slots[vm&(len(c.slots)-1)] }

func (c *tokenCache) knows(st *cloud.View, v *one.VM, token string) bool {
	k := c.slot(v.ID).Load()
	if k == nil || k.vm != v.ID || k.stime != v.STime || k.template != v.Template {
		return false
	}
	creator, _ := st.Users.Get(k.creator.ID)
	return creator == k.creator && subtle.ConstantTimeCompare([]byte(k.token), []byte(token)) == 1
}

func (c *tokenCache) remember(v *one.VM, creator *one.User, token string) {
	if len(token) <= maxKnownToken {
		c.slot(v.ID).Store(&knownToken{v.ID, v.STime, v.Template, creator, strings.Clone(token)})
	}
}

// ParseID reads a number as C's atoi does: blanks, a sign, digits as far as they
// go, 0 when there are none. Numbers too large for any id stay too large.
// Source: OneGate reference §1.3.
func ParseID(s string) int {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	n := 0
	for i := 0; i < len(s) && '0' <= s[i] && s[i] <= '9' && n < 1<<40; i++ {
		n = n*10 + int(s[i]-'0')
	}
	if negative {
		return -n
	}
	return n
}

// lower turns the letters A to Z into small ones and leaves all else.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
