package oneapi

import (
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
)

// vnetMethods are those of one.vn. Source: XML-RPC reference §7.8.
func vnetMethods() []method {
	const p, kind, manage = "one.vn", one.KindNet, "MANAGE NET"
	rows := []method{
		set(p+".allocate", "template t, cluster i", "CREATE NET + ADMIN CLUSTER", create(func(c *call) (int, error) {
			return c.cloud.AllocateVNet(c.ctx, c.who, c.template(1), c.int(2))
		})),
		get(p+".info", paramsInfo, "USE NET", show(vnetInfo)),
		set(p+".delete", paramsID, manage, change(func(c *call, id int) error { return c.cloud.DeleteVNet(c.ctx, c.who, id) })),
		updateOf(p, manage, func(c *call, id int) error { return c.cloud.UpdateVNet(c.ctx, c.who, id, c.template(2), c.int(3)) }),
		renameOf(p, kind, manage), chownOf(p, kind), chmodOf(p, kind),
		set(p+".add_ar", "id i, template t", "ADMIN NET", change(func(c *call, id int) error {
			return c.cloud.AddAR(c.ctx, c.who, id, c.template(2))
		})),
		set(p+".rm_ar", "id i, ar i, force b=false", "ADMIN NET", change(func(c *call, id int) error {
			return c.cloud.RemoveAR(c.ctx, c.who, id, c.int(2), c.bool(3))
		})),
		set(p+".update_ar", "id i, template t", manage, change(func(c *call, id int) error {
			return c.cloud.UpdateAR(c.ctx, c.who, id, c.template(2))
		})),
		set(p+".free_ar", "id i, ar i", manage, change(func(c *call, id int) error {
			return c.cloud.FreeAR(c.ctx, c.who, id, c.int(2))
		})),
		set(p+".hold", "id i, template t", manage, change(func(c *call, id int) error {
			return c.cloud.Hold(c.ctx, c.who, id, c.template(2))
		})),
		set(p+".release", "id i, template t", manage, change(func(c *call, id int) error {
			return c.cloud.Release(c.ctx, c.who, id, c.template(2))
		})),
		set(p+".reserve", "id i, template t", "USE NET (MANAGE NET for an existing reservation)", create(func(c *call) (int, error) {
			return c.cloud.Reserve(c.ctx, c.who, c.int(1), c.template(2))
		})),
		set(p+".recover", "id i, operation i", manage, change(func(c *call, id int) error {
			return c.cloud.RecoverVNet(c.who, id, c.int(2))
		})),
		get("one.vnpool.info", paramsPool, "–", show(func(c *call) ([]byte, error) {
			st, rows, err := c.cloud.VNetPool(c.who, c.query())
			if err != nil {
				return nil, err
			}
			return appendPool(c, "VNET_POOL", rows, c.docs(st).AppendVNetListed), nil
		})),
	}
	return append(rows, locksOf(p, kind)...)
}

func vnetInfo(c *call) ([]byte, error) {
	st, n, err := owned[*one.VNet](c, one.KindNet, c.int(1))
	if err != nil {
		return nil, err
	}
	return c.docs(st).AppendVNet(c.doc, n, c.cloud.VisibleLeases(st, c.who, n)), nil
}

// secGroupMethods are those of one.secgroup. Source: XML-RPC reference §7.11.
func secGroupMethods() []method {
	const p, kind, manage = "one.secgroup", one.KindSecGroup, "MANAGE SECGROUP"
	return []method{
		set(p+".allocate", "template t", "CREATE SECGROUP", create(func(c *call) (int, error) {
			return c.cloud.AllocateSecGroup(c.ctx, c.who, c.template(1))
		})),
		set(p+".clone", "id i, name s", "USE SECGROUP + CREATE SECGROUP", create(func(c *call) (int, error) {
			return c.cloud.CloneSecGroup(c.ctx, c.who, c.int(1), c.text(2))
		})),
		set(p+".delete", paramsID, manage, change(func(c *call, id int) error { return c.cloud.DeleteSecGroup(c.ctx, c.who, id) })),
		missing(p+".commit", "id i, recovery b", manage),
		infoOf(p, kind, (*onexml.Docs).AppendSecGroup).but("all VMs of the group are listed as updated"),
		updateOf(p, manage, func(c *call, id int) error { return c.cloud.UpdateSecGroup(c.ctx, c.who, id, c.template(2), c.int(3)) }),
		renameOf(p, kind, manage), chownOf(p, kind), chmodOf(p, kind),
		get("one.secgrouppool.info", paramsPool, "–", show(func(c *call) ([]byte, error) {
			st, rows, err := c.cloud.SecGroupPool(c.who, c.query())
			if err != nil {
				return nil, err
			}
			return appendPool(c, "SECURITY_GROUP_POOL", rows, c.docs(st).AppendSecGroup), nil
		})),
	}
}

// vrouterMethods are those of one.vrouter. Source: XML-RPC reference §7.10.
func vrouterMethods() []method {
	const p, kind, manage = "one.vrouter", one.KindVRouter, "MANAGE VROUTER"
	rows := []method{
		set(p+".allocate", "template t", "CREATE VROUTER + USE NET", create(func(c *call) (int, error) {
			return c.cloud.AllocateVRouter(c.ctx, c.who, c.template(1))
		})),
		set(p+".instantiate", "id i, n i, template i, name s, hold b, extra t", manage+" + USE TEMPLATE", change(func(c *call, id int) error {
			return c.cloud.InstantiateVRouter(c.ctx, c.who, id, c.int(2), c.int(3), c.text(4), c.bool(5), c.template(6))
		})).but("at most 50 VMs in one call"),
		set(p+".attachnic", "id i, template t", manage+" + USE NET", change(func(c *call, id int) error {
			return c.cloud.AttachVRouterNIC(c.ctx, c.who, id, c.template(2))
		})).but("all or none: a VM that cannot be changed refuses it for the router"),
		set(p+".detachnic", "id i, nic i", manage, change(func(c *call, id int) error {
			return c.cloud.DetachVRouterNIC(c.ctx, c.who, id, c.int(2))
		})).but("all or none: a VM that cannot be changed refuses it for the router"),
		set(p+".delete", paramsID, manage, change(func(c *call, id int) error { return c.cloud.DeleteVRouter(c.ctx, c.who, id) })),
		infoOf(p, kind, (*onexml.Docs).AppendVRouter),
		updateOf(p, manage, func(c *call, id int) error { return c.cloud.UpdateVRouter(c.ctx, c.who, id, c.template(2), c.int(3)) }),
		renameOf(p, kind, manage), chownOf(p, kind), chmodOf(p, kind),
		get("one.vrouterpool.info", paramsPool, "–", show(func(c *call) ([]byte, error) {
			st, rows, err := c.cloud.VRouterPool(c.who, c.query())
			if err != nil {
				return nil, err
			}
			return appendPool(c, "VROUTER_POOL", rows, c.docs(st).AppendVRouter), nil
		})),
	}
	return append(rows, locksOf(p, kind)...)
}
