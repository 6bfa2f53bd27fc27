package cloud

import (
	"context"
	"slices"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// AllocateDatastore creates a datastore in a cluster (-1: the default one).
// Source: resources reference §4.
func (c *Cloud) AllocateDatastore(ctx context.Context, who auth.Caller, t *tmpl.Template, cluster int) (int, error) {
	id := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		cl, err := c.clusterForNew(tx, who, one.KindDatastore, cluster)
		if err != nil {
			return err
		}
		name, err := checkedName(t.Get("NAME"))
		if err != nil {
			return err
		}
		if err := nameTaken(&tx.DatastoreNames, "DATASTORE", name); err != nil {
			return err
		}
		d := &one.Datastore{ClusterIDs: []int{cl}}
		if err := readDatastore(d, t.Without("NAME")); err != nil {
			return err
		}
		if d.Template, err = c.encrypt(one.KindDatastore, d.Template); err != nil {
			return errs.Wrap(errs.Internal, err)
		}
		id = tx.NextID("datastore", one.FirstCustomID)
		d.Meta = c.newMeta(who, id, name)
		d.Perms |= 0o040
		d.BasePath = c.basePath(id)
		tx.PutDatastore(d)
		return nil
	})
	return id, err
}

// readDatastore reads the fields of a datastore from its template.
func readDatastore(d *one.Datastore, t *tmpl.Template) error {
	bad := func(format string, args ...any) error { return errs.New(errs.Internal, format, args...) }
	typ, ok := one.ParseDatastoreType(firstOf(t.Get("TYPE"), one.DSImage.String()))
	if !ok {
		return bad("Unknown datastore type: %s; expected IMAGE_DS, SYSTEM_DS, FILE_DS or BACKUP_DS", t.Get("TYPE"))
	}
	tm, ds := t.Get("TM_MAD"), t.Get("DS_MAD")
	switch {
	case tm == "" && typ != one.DSBackup:
		return bad("No TM_MAD in template.")
	case typ == one.DSSystem && ds != "":
		return bad("SYSTEM datastores cannot have DS_MAD defined.")
	case typ != one.DSSystem && ds == "":
		return bad("No DS_MAD in template.")
	}
	if _, known := transferDefaults[tm]; !known && typ != one.DSBackup {
		return bad("TM_MAD named %q is not defined in oned.conf", tm)
	}
	disk := one.DiskFile
	if s := t.Get("DISK_TYPE"); s != "" {
		if disk, ok = one.ParseDiskType(s); !ok {
			return bad("Unknown disk type: %s", s)
		}
	}
	t = t.With("TYPE", typ.String())
	if typ != one.DSSystem && t.Get("SAFE_DIRS") == "" && t.Get("RESTRICTED_DIRS") == "" {
		t = t.With("SAFE_DIRS", "/var/tmp").With("RESTRICTED_DIRS", "/")
	}
	d.DSMad, d.TMMad, d.Type, d.DiskType = ds, tm, typ, disk
	d.Template = withTransferDefaults(t, tm)
	return nil
}

// UpdateDatastore replaces (0) or merges (1) a datastore's template; its drivers
// stay unless given. Source: XML-RPC reference §6.2.
func (c *Cloud) UpdateDatastore(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	return c.changeDatastore(ctx, who, id, one.Manage, func(tx *store.Tx, n *one.Datastore) error {
		body, err := c.mergeUpdate(who, one.KindDatastore, nil, n.Template, change.Without("NAME"), appendMode)
		if err != nil {
			return err
		}
		for k, v := range map[string]string{"TM_MAD": n.TMMad, "DS_MAD": n.DSMad, "TYPE": n.Type.String(), "DISK_TYPE": n.DiskType.String()} {
			if body.Get(k) == "" && v != "" {
				body = body.With(k, v)
			}
		}
		old := n.Type
		if err := readDatastore(n, body); err != nil {
			return err
		}
		if old != n.Type && (id == one.SystemDS || old == one.DSBackup || n.Type == one.DSBackup || tx.DatastoreImages.Any(id)) {
			return errs.New(errs.Internal, "Cannot update template. The TYPE of datastore %d cannot be changed from %s to %s", id, old, n.Type).About(id)
		}
		return nil
	})
}

// EnableDatastore makes a system datastore usable or not.
func (c *Cloud) EnableDatastore(ctx context.Context, who auth.Caller, id int, enable bool) error {
	return c.changeDatastore(ctx, who, id, one.Manage, func(_ *store.Tx, n *one.Datastore) error {
		if n.Type != one.DSSystem {
			return errs.New(errs.Internal, "Only SYSTEM_DS can be disabled or enabled").About(id)
		}
		n.Disabled = !enable
		return nil
	})
}

// changeDatastore changes a copy of a datastore on which the caller has a right.
func (c *Cloud) changeDatastore(ctx context.Context, who auth.Caller, id int, r one.Right, f func(*store.Tx, *one.Datastore) error) error {
	return c.update(ctx, func(tx *store.Tx) error {
		d, ok := tx.Datastores.Get(id)
		if !ok {
			return errs.NotFound(one.KindDatastore, id)
		}
		if err := c.allow(&tx.State, who, target(d), r); err != nil {
			return err
		}
		n := *d
		n.ClusterIDs = slices.Clone(d.ClusterIDs)
		if err := f(tx, &n); err != nil {
			return err
		}
		tx.PutDatastore(&n)
		return nil
	})
}

// DeleteDatastore removes a datastore without images.
func (c *Cloud) DeleteDatastore(ctx context.Context, who auth.Caller, id int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		d, ok := tx.Datastores.Get(id)
		if !ok {
			return errs.NotFound(one.KindDatastore, id)
		}
		if err := c.allow(&tx.State, who, target(d), one.Admin); err != nil {
			return err
		}
		if tx.DatastoreImages.Any(id) {
			return errs.New(errs.Action, "Cannot delete datastore. Datastore %d is not empty.", id).About(id)
		}
		tx.DeleteDatastore(id)
		c.dropRulesOf(tx, one.KindDatastore, id)
		return nil
	})
}
