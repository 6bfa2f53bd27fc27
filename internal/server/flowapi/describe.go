package flowapi

import (
	"context"

	"github.com/trifid-cloud/trifid/internal/auth"
)

// describe changes what services and templates both have: owner and group, which
// chown sets, permissions and name.
func (q *request) describe(id, typ int, a action, chown func(ctx context.Context, who auth.Caller, id, uid, gid int) error) error {
	switch a.name {
	case "chmod":
		perms, err := a.perms()
		if err != nil {
			return err
		}
		return q.flow.Chmod(q.Context(), q.who, id, typ, perms)
	case "rename":
		name, err := a.newName()
		if err != nil {
			return err
		}
		return q.flow.Rename(q.Context(), q.who, id, typ, name)
	}
	uid, gid, err := a.owner()
	if err != nil {
		return err
	}
	return chown(q.Context(), q.who, id, uid, gid)
}
