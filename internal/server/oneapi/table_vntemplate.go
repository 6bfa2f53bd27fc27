package oneapi

import (
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
)

// vnTemplateMethods are those of one.vntemplate. Source: XML-RPC reference §7.9.
func vnTemplateMethods() []method {
	const p, kind, manage = "one.vntemplate", one.KindVNTemplate, "MANAGE VNTEMPLATE"
	return append([]method{
		set(p+".allocate", "template t", "CREATE VNTEMPLATE", create(func(c *call) (int, error) {
			return c.cloud.AllocateVNTemplate(c.ctx, c.who, c.template(1))
		})),
		set(p+".clone", "id i, name s", "USE VNTEMPLATE + CREATE VNTEMPLATE", create(func(c *call) (int, error) {
			return c.cloud.CloneVNTemplate(c.ctx, c.who, c.int(1), c.text(2))
		})),
		set(p+".delete", paramsID, manage, change(func(c *call, id int) error { return c.cloud.DeleteVNTemplate(c.ctx, c.who, id) })),
		set(p+".instantiate", "id i, name s, extra t", "USE VNTEMPLATE", create(func(c *call) (int, error) {
			return c.cloud.InstantiateVNTemplate(c.ctx, c.who, c.int(1), c.text(2), c.template(3))
		})),
		infoOf(p, kind, (*onexml.Docs).AppendVNTemplate),
		updateOf(p, manage, func(c *call, id int) error {
			return c.cloud.UpdateVNTemplate(c.ctx, c.who, id, c.template(2), c.int(3))
		}),
		renameOf(p, kind, manage), chownOf(p, kind), chmodOf(p, kind),
		get("one.vntemplatepool.info", paramsPool, "–", show(func(c *call) ([]byte, error) {
			st, rows, err := c.cloud.VNTemplatePool(c.who, c.query())
			if err != nil {
				return nil, err
			}
			return appendPool(c, "VNTEMPLATE_POOL", rows, c.docs(st).AppendVNTemplate), nil
		})),
	}, locksOf(p, kind)...)
}
