package one

import "github.com/trifid-cloud/trifid/internal/tmpl"

// User is an account. Source: identity reference §5.1, XML-RPC reference §8.7.
type User struct {
	ID     int
	Name   string
	GID    int   // primary group
	Groups []int // all groups, ascending, the primary included
	GName  string
	// Password is what the driver keeps: for core users an argon2id hash or one
	// of the reference's hex hashes, for server_* users the key material.
	Password   string
	AuthDriver string
	Disabled   bool
	Tokens     []LoginToken
	Template   *tmpl.Template
	Quotas     Quotas
}

// InGroup tells whether the user belongs to the group.
func (u *User) InGroup(gid int) bool {
	for _, g := range u.Groups {
		if g == gid {
			return true
		}
	}
	return false
}

// LoginToken is one login token of a user.
type LoginToken struct {
	Token   string
	Expires int64 // epoch seconds, -1 never
	EGID    int   // the only group it grants, -1 all
}

// Group is a group of users; its members are an index.
type Group struct {
	ID       int
	Name     string
	Admins   []int // ascending user ids
	Template *tmpl.Template
	Quotas   Quotas
}
