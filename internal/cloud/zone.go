package cloud

import (
	"context"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// ZoneInfo returns a zone the caller may use, and the state it was read from.
func (c *Cloud) ZoneInfo(who auth.Caller, id int) (*View, *one.Zone, error) {
	st := c.store.View()
	z, err := c.zoneFor(st, who, id, one.Use)
	return st, z, err
}

// UpdateZone replaces (0) or merges (1) a zone's template.
func (c *Cloud) UpdateZone(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		z, err := c.zoneFor(&tx.State, who, id, one.Manage)
		if err != nil {
			return err
		}
		body, err := c.mergeUpdate(who, one.KindZone, nil, z.Template, change.Without("NAME", "SERVER"), appendMode)
		if err != nil {
			return err
		}
		if body.Get("ENDPOINT") == "" {
			body = body.With("ENDPOINT", "-")
		}
		n := *z
		n.Template = body
		tx.PutZone(&n)
		return nil
	})
}

// RenameZone gives a zone another name.
func (c *Cloud) RenameZone(ctx context.Context, who auth.Caller, id int, name string) error {
	return c.update(ctx, func(tx *store.Tx) error {
		z, err := c.zoneFor(&tx.State, who, id, one.Manage)
		if err != nil {
			return err
		}
		if err := renamed(&tx.ZoneNames, one.KindZone, id, z.Name, name); err != nil {
			return err
		}
		n := *z
		n.Name = name
		tx.PutZone(&n)
		return nil
	})
}

// RequireAdminGroup refuses callers whose primary group is not 0, with the text
// of the call. Source: identity reference §6.4.
func RequireAdminGroup(who auth.Caller, text string) error {
	if who.PrimaryAdmin() {
		return nil
	}
	return errs.Denied(who.UID, text)
}
