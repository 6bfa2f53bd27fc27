package cloud

import (
	"context"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// AllocateDocument creates a document of a type. Source: XML-RPC reference §7.18.
func (c *Cloud) AllocateDocument(ctx context.Context, who auth.Caller, t *tmpl.Template, typ int) (int, error) {
	id := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		d, err := c.newDocument(tx, who, t.Get("NAME"), t.Without("NAME"), typ)
		if err != nil {
			return err
		}
		id = d.ID
		return nil
	})
	return id, err
}

// newDocument stores a document; names of documents need not be unique, and of
// their rules only the length holds.
func (c *Cloud) newDocument(tx *store.Tx, who auth.Caller, name string, body *tmpl.Template, typ int) (*one.Document, error) {
	if err := c.allowCreate(&tx.State, who, one.KindDocument); err != nil {
		return nil, err
	}
	id := tx.NextID("document", 0)
	if name = one.TrimName(name); name == "" {
		name = "document-" + itoa(id)
	}
	if len(name) > one.MaxNameLen {
		return nil, errs.New(errs.Internal, "Invalid NAME, max length is %d chars", one.MaxNameLen)
	}
	body, err := c.encrypt(one.KindDocument, body)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err)
	}
	d := &one.Document{Meta: c.newMeta(who, id, name), Type: typ, Template: body}
	tx.PutDocument(d)
	return d, nil
}

// CloneDocument copies a document under another name; its type stays.
func (c *Cloud) CloneDocument(ctx context.Context, who auth.Caller, id int, name string) (int, error) {
	clone := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		d, ok := tx.Documents.Get(id)
		if !ok {
			return errs.NotFound(one.KindDocument, id)
		}
		if err := c.allow(&tx.State, who, target(d), one.Use); err != nil {
			return err
		}
		n, err := c.newDocument(tx, who, name, d.Template, d.Type)
		if err != nil {
			return err
		}
		clone = n.ID
		return nil
	})
	return clone, err
}

// DeleteDocument removes a document. One of a service that has VMs is not
// removed: undeploying the service does that.
func (c *Cloud) DeleteDocument(ctx context.Context, who auth.Caller, id int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		d, ok := tx.Documents.Get(id)
		if !ok {
			return errs.NotFound(one.KindDocument, id)
		}
		if err := c.allow(&tx.State, who, target(d), one.Manage); err != nil {
			return err
		}
		if d.Type == one.DocService && tx.ServiceVMs.Any(id) {
			return errs.New(errs.Action, "Cannot delete document. Service %d has VMs: undeploy it with 'oneflow delete %d'", id, id).About(id)
		}
		if d.Type == one.DocService {
			return c.DropService(tx, id)
		}
		tx.DeleteDocument(id)
		c.dropRulesOf(tx, one.KindDocument, id)
		return nil
	})
}
