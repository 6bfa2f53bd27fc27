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

// AllocateVNTemplate registers a template of networks. What a network must have
// is looked at when one is made of it. Source: XML-RPC reference §6.9 and §7.9.
func (c *Cloud) AllocateVNTemplate(ctx context.Context, who auth.Caller, t *tmpl.Template) (int, error) {
	id := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		if err := c.allowCreate(&tx.State, who, one.KindVNTemplate); err != nil {
			return err
		}
		if attr, bad := vnetRestricted.CheckCreate(t); bad && !who.Admin {
			return errs.Denied(who.UID, "VM Template includes a restricted attribute "+attr)
		}
		var err error
		id, err = c.newVNTemplate(tx, who, t.Get("NAME"), t.Without("NAME"))
		return err
	})
	return id, err
}

// newVNTemplate stores a template under a name that is free among the caller's.
func (c *Cloud) newVNTemplate(tx *store.Tx, who auth.Caller, name string, body *tmpl.Template) (int, error) {
	name, err := checkedName(name)
	if err != nil {
		return -1, err
	}
	if err := checkFreeName(&tx.State, one.KindVNTemplate, who.UID, name); err != nil {
		return -1, err
	}
	id := tx.NextID("vntemplate", 0)
	tx.PutVNTemplate(&one.VNTemplate{Meta: c.newMeta(who, id, name), RegTime: c.now().Unix(), Template: body})
	return id, nil
}

// UpdateVNTemplate replaces (0) or merges (1) the body of a template of networks.
func (c *Cloud) UpdateVNTemplate(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	return c.updateOwned(ctx, who, one.KindVNTemplate, id, change, appendMode, vnetRestricted)
}

// DeleteVNTemplate removes a template of networks; those made of it stay.
// Source: XML-RPC reference §6.6.
func (c *Cloud) DeleteVNTemplate(ctx context.Context, who auth.Caller, id int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		t, ok := tx.VNTemplates.Get(id)
		if !ok {
			return errs.NotFound(one.KindVNTemplate, id)
		}
		if err := c.allow(&tx.State, who, target(t), one.Manage); err != nil {
			return err
		}
		tx.DeleteVNTemplate(id)
		c.dropRulesOf(tx, one.KindVNTemplate, id)
		return nil
	})
}

// CloneVNTemplate copies a template of networks under another name; what only
// administrators may set is copied too. Source: XML-RPC reference §6.8.
func (c *Cloud) CloneVNTemplate(ctx context.Context, who auth.Caller, id int, name string) (int, error) {
	clone := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		t, ok := tx.VNTemplates.Get(id)
		if !ok {
			return errs.NotFound(one.KindVNTemplate, id)
		}
		err := c.allowAll(&tx.State, who, ask{target(t), one.Use}, ask{auth.Creation(one.KindVNTemplate, who), one.Create})
		if err != nil {
			return err
		}
		clone, err = c.newVNTemplate(tx, who, name, t.Template)
		return err
	})
	return clone, err
}

// InstantiateVNTemplate creates a network from a template, extra merged over it,
// and returns the network's id. To use the template is all it takes: this is how
// users get networks who may not describe any. Name "" gives the default name.
// Source: XML-RPC reference §7.9.
func (c *Cloud) InstantiateVNTemplate(ctx context.Context, who auth.Caller, id int, name string, extra *tmpl.Template) (int, error) {
	net := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		var err error
		net, err = c.NetworkFromTemplate(tx, who, id, name, extra)
		return err
	})
	return net, err
}

// NetworkFromTemplate is InstantiateVNTemplate inside a transaction.
func (c *Cloud) NetworkFromTemplate(tx *store.Tx, who auth.Caller, id int, name string, extra *tmpl.Template) (int, error) {
	t, ok := tx.VNTemplates.Get(id)
	if !ok {
		return -1, errs.NotFound(one.KindVNTemplate, id)
	}
	if err := c.allow(&tx.State, who, target(t), one.Use); err != nil {
		return -1, err
	}
	as, extra, err := c.actAs(tx, who, extra)
	if err != nil {
		return -1, err
	}
	if attr, bad, _ := vnetRestricted.CheckUpdate(t.Template, extra, false); bad && !who.Admin {
		return -1, errs.Denied(who.UID, "User Template includes a restricted attribute "+attr)
	}
	if name == "" {
		name = t.Name + "-" + itoa(tx.Counters.At("vnet"))
	}
	body := t.Template.Merge(extra).With("NAME", name).With("TEMPLATE_ID", itoa(t.ID)).With("TEMPLATE_NAME", t.Name)
	clusters, err := clustersOf(&tx.State, t)
	if err != nil {
		return -1, allocFailed(one.KindVNTemplate, err)
	}
	n, err := c.newVNet(tx, as, body, clusters)
	if err != nil {
		return -1, allocFailed(one.KindVNTemplate, err)
	}
	return n.ID, nil
}

// clustersOf returns the clusters that the networks of a template belong to:
// those of its CLUSTER_IDS that there are, ascending, or the default one. A list
// without any of them would make a network that no VM can use, and is refused.
func clustersOf(st *store.State, t *one.VNTemplate) ([]int, error) {
	list := t.Template.Get("CLUSTER_IDS")
	if list == "" {
		return []int{one.DefaultCluster}, nil
	}
	ids := splitInts(joinSets(list))
	ids = slices.DeleteFunc(ids, func(id int) bool { _, ok := st.Clusters.Get(id); return !ok })
	if len(ids) == 0 {
		return nil, errs.New(errs.Allocate, "CLUSTER_IDS %q of the template: expected ids of clusters that exist", list)
	}
	return ids, nil
}
