package oneapi

import (
	"slices"

	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
)

// templateMethods are those of one.template. Source: XML-RPC reference §7.1.
func templateMethods() []method {
	const p, kind = "one.template", one.KindTemplate
	return append([]method{
		set(p+".allocate", "template t", "CREATE TEMPLATE", create(func(c *call) (int, error) {
			return c.cloud.AllocateTemplate(c.ctx, c.who, c.template(1))
		})),
		set(p+".clone", "id i, name s, recursive b=false", "USE TEMPLATE + CREATE TEMPLATE", create(func(c *call) (int, error) {
			return c.cloud.CloneTemplate(c.ctx, c.who, c.int(1), c.text(2), c.bool(3))
		})),
		set(p+".delete", "id i, images b=false", "MANAGE TEMPLATE", change(func(c *call, id int) error {
			return c.cloud.DeleteTemplate(c.ctx, c.who, id, c.bool(2))
		})),
		get(p+".info", "id i, extended b=false, decrypt b=false", "USE TEMPLATE", show(templateInfo)),
		updateOf(p, "MANAGE TEMPLATE", func(c *call, id int) error {
			return c.cloud.UpdateTemplate(c.ctx, c.who, id, c.template(2), c.int(3))
		}),
		renameOf(p, kind, "MANAGE TEMPLATE"), chownOf(p, kind),
		set(p+".chmod", paramsChmod+", recursive b=false", "MANAGE or ADMIN TEMPLATE", change(func(c *call, id int) error {
			return c.cloud.ChmodTemplate(c.ctx, c.who, id, c.bits(), c.bool(11))
		})),
		set(p+".instantiate", "id i, name s, hold b=false, extra t=, persistent b=false", "USE TEMPLATE", create(func(c *call) (int, error) {
			return c.cloud.Instantiate(c.ctx, c.who, c.int(1), c.text(2), c.bool(3), c.template(4), c.bool(5))
		})),
		get("one.templatepool.info", paramsPool, "–", show(func(c *call) ([]byte, error) {
			st, rows, err := c.cloud.TemplatePool(c.who, c.query())
			if err != nil {
				return nil, err
			}
			return appendPool(c, "VMTEMPLATE_POOL", rows, c.docs(st).AppendTemplate), nil
		})),
	}, locksOf(p, kind)...)
}

func templateInfo(c *call) ([]byte, error) {
	read := owned[*one.VMTemplate]
	if c.bool(2) {
		read = func(c *call, _ one.Kind, id int) (*cloud.View, *one.VMTemplate, error) {
			return c.cloud.ExtendedTemplate(c.who, id)
		}
	}
	st, t, err := read(c, one.KindTemplate, c.int(1))
	if err != nil {
		return nil, err
	}
	if c.bool(3) {
		t = t.WithBody(c.cloud.Clear(c.who, one.KindTemplate, t.Template)).(*one.VMTemplate)
	}
	return c.docs(st).AppendTemplate(c.doc, t), nil
}

// imageMethods are those of one.image. Source: XML-RPC reference §7.13.
func imageMethods() []method {
	const p, kind, manage = "one.image", one.KindImage, "MANAGE IMAGE"
	rows := []method{
		set(p+".allocate", "template t, datastore i, nocheck b=false", "CREATE IMAGE + USE DATASTORE", create(func(c *call) (int, error) {
			return c.cloud.AllocateImage(c.ctx, c.who, c.template(1), c.int(2), c.bool(3))
		})),
		set(p+".clone", "id i, name s, datastore i=-1", "USE IMAGE + CREATE IMAGE + USE DATASTORE", create(func(c *call) (int, error) {
			return c.cloud.CloneImage(c.ctx, c.who, c.int(1), c.text(2), c.int(3))
		})),
		set(p+".delete", "id i, force b=false", manage, change(func(c *call, id int) error {
			return c.cloud.DeleteImage(c.ctx, c.who, id, c.bool(2))
		})),
		set(p+".enable", "id i, enable b", manage, change(func(c *call, id int) error {
			return c.cloud.EnableImage(c.ctx, c.who, id, c.bool(2))
		})),
		set(p+".persistent", "id i, persistent b", manage, change(func(c *call, id int) error {
			return c.cloud.PersistImage(c.ctx, c.who, id, c.bool(2))
		})),
		set(p+".chtype", "id i, type s", manage, change(func(c *call, id int) error {
			return c.cloud.RetypeImage(c.ctx, c.who, id, c.text(2))
		})),
		infoOf(p, kind, (*onexml.Docs).AppendImage),
		updateOf(p, manage, func(c *call, id int) error { return c.cloud.UpdateImage(c.ctx, c.who, id, c.template(2), c.int(3)) }),
		renameOf(p, kind, manage), chownOf(p, kind), chmodOf(p, kind),
		get("one.imagepool.info", paramsPool, "–", show(func(c *call) ([]byte, error) {
			st, rows, err := c.cloud.ImagePool(c.who, c.query())
			if err != nil {
				return nil, err
			}
			return appendPool(c, "IMAGE_POOL", rows, c.docs(st).AppendImage), nil
		})),
	}
	return slices.Concat(rows, locksOf(p, kind), absent(
		[3]string{p + ".snapshotdelete", "id i, snapshot i", manage}, [3]string{p + ".snapshotrevert", "id i, snapshot i", manage},
		[3]string{p + ".snapshotflatten", "id i, snapshot i", manage},
		[3]string{p + ".restore", "id i, datastore i, template t", "USE IMAGE + USE DATASTORE"},
	))
}

// datastoreMethods are those of one.datastore. Source: XML-RPC reference §7.14.
func datastoreMethods() []method {
	const p, kind, manage = "one.datastore", one.KindDatastore, "MANAGE DATASTORE"
	return []method{
		set(p+".allocate", "template t, cluster i", "CREATE DATASTORE + ADMIN CLUSTER", create(func(c *call) (int, error) {
			return c.cloud.AllocateDatastore(c.ctx, c.who, c.template(1), c.int(2))
		})),
		set(p+".enable", "id i, enable b", manage, change(func(c *call, id int) error {
			return c.cloud.EnableDatastore(c.ctx, c.who, id, c.bool(2))
		})),
		set(p+".delete", paramsID, "ADMIN DATASTORE", change(func(c *call, id int) error { return c.cloud.DeleteDatastore(c.ctx, c.who, id) })),
		infoOf(p, kind, (*onexml.Docs).AppendDatastore),
		updateOf(p, manage, func(c *call, id int) error { return c.cloud.UpdateDatastore(c.ctx, c.who, id, c.template(2), c.int(3)) }),
		renameOf(p, kind, manage), chownOf(p, kind), chmodOf(p, kind),
		get("one.datastorepool.info", "", "–", show(func(c *call) ([]byte, error) {
			st, rows := c.cloud.DatastorePool(c.who)
			return appendPool(c, "DATASTORE_POOL", rows, c.docs(st).AppendDatastore), nil
		})),
	}
}

// documentMethods are those of one.document. Source: XML-RPC reference §7.18.
func documentMethods() []method {
	const p, kind, manage = "one.document", one.KindDocument, "MANAGE DOCUMENT"
	return append([]method{
		set(p+".allocate", "template t, type i", "CREATE DOCUMENT", create(func(c *call) (int, error) {
			return c.cloud.AllocateDocument(c.ctx, c.who, c.template(1), c.int(2))
		})),
		set(p+".clone", "id i, name s", "USE DOCUMENT + CREATE DOCUMENT", create(func(c *call) (int, error) {
			return c.cloud.CloneDocument(c.ctx, c.who, c.int(1), c.text(2))
		})),
		set(p+".delete", paramsID, manage, change(func(c *call, id int) error { return c.cloud.DeleteDocument(c.ctx, c.who, id) })),
		infoOf(p, kind, (*onexml.Docs).AppendDocument),
		updateOf(p, manage, func(c *call, id int) error { return c.cloud.UpdateDocument(c.ctx, c.who, id, c.template(2), c.int(3)) }),
		renameOf(p, kind, manage), chownOf(p, kind), chmodOf(p, kind),
		get("one.documentpool.info", paramsPool+", type i", "–", show(func(c *call) ([]byte, error) {
			st, rows, err := c.cloud.DocumentPool(c.who, c.query(), c.int(4))
			if err != nil {
				return nil, err
			}
			return appendPool(c, "DOCUMENT_POOL", rows, c.docs(st).AppendDocument), nil
		})),
	}, locksOf(p, kind)...)
}
