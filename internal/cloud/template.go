package cloud

import (
	"context"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// AllocateTemplate registers a VM template. Source: XML-RPC reference §7.1.
func (c *Cloud) AllocateTemplate(ctx context.Context, who auth.Caller, t *tmpl.Template) (int, error) {
	id := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		if err := c.allowCreate(&tx.State, who, one.KindTemplate); err != nil {
			return err
		}
		if attr, bad := vmRestricted.CheckCreate(t); bad && !who.Admin {
			return errs.Denied(who.UID, "VM Template includes a restricted attribute "+attr)
		}
		var err error
		id, err = c.newTemplate(tx, who, t.Get("NAME"), t.Without("NAME"))
		return err
	})
	return id, err
}

// newTemplate stores a template under a name that is free among the caller's.
func (c *Cloud) newTemplate(tx *store.Tx, who auth.Caller, name string, body *tmpl.Template) (int, error) {
	name, err := checkedName(name)
	if err != nil {
		return -1, err
	}
	if err := checkFreeName(&tx.State, one.KindTemplate, who.UID, name); err != nil {
		return -1, err
	}
	if err := checkSchedActions(body); err != nil {
		return -1, allocFailed(one.KindTemplate, err)
	}
	body, err = c.encrypt(one.KindTemplate, body)
	if err != nil {
		return -1, errs.Wrap(errs.Internal, err)
	}
	id := tx.NextID("template", 0)
	tx.PutTemplate(&one.VMTemplate{Meta: c.newMeta(who, id, name), RegTime: c.now().Unix(), Template: body})
	return id, nil
}

// UpdateTemplate replaces (0) or merges (1) a template's body.
func (c *Cloud) UpdateTemplate(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	return c.updateOwned(ctx, who, one.KindTemplate, id, change, appendMode, vmRestricted)
}

// updateOwned is update for the kinds of which nothing but the body changes.
func (c *Cloud) updateOwned(ctx context.Context, who auth.Caller, kind one.Kind, id int, change *tmpl.Template, appendMode int, restricted *tmpl.Restricted) error {
	return c.update(ctx, func(tx *store.Tx) error {
		o, err := get(&tx.State, kind, id)
		if err != nil {
			return err
		}
		if err := c.allowOp(&tx.State, who, o, "update", one.Manage); err != nil {
			return err
		}
		body, err := c.mergeUpdate(who, kind, restricted, o.Body(), change.Without("NAME"), appendMode)
		if err != nil {
			return err
		}
		if kind == one.KindTemplate {
			if err := checkSchedActions(body); err != nil {
				return errs.New(errs.Internal, "Cannot update template. %s", err).About(id)
			}
		}
		tx.PutOwned(o.WithBody(body))
		return nil
	})
}

// UpdateVM replaces (0) or merges (1) a VM's user template.
func (c *Cloud) UpdateVM(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	return c.updateOwned(ctx, who, one.KindVM, id, change, appendMode, vmRestricted)
}

// UpdateDocument replaces (0) or merges (1) a document's body.
func (c *Cloud) UpdateDocument(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	return c.updateOwned(ctx, who, one.KindDocument, id, change, appendMode, nil)
}

// DeleteTemplate removes a template; with images, those of its disks too as far
// as they can be deleted. It returns the images that could not.
// Source: XML-RPC reference §6.6.
func (c *Cloud) DeleteTemplate(ctx context.Context, who auth.Caller, id int, images bool) error {
	return c.update(ctx, func(tx *store.Tx) error {
		t, ok := tx.Templates.Get(id)
		if !ok {
			return errs.NotFound(one.KindTemplate, id)
		}
		if err := c.allow(&tx.State, who, target(t), one.Manage); err != nil {
			return err
		}
		if images {
			for _, d := range t.Template.Vectors("DISK") {
				i, err := c.imageOf(&tx.State, who, d)
				if err != nil {
					continue
				}
				if err := c.deleteImage(tx, who, i, false); err != nil {
					c.log.Info("image of a deleted template stays", "template", id, "image", i.ID, "err", err)
				}
			}
		}
		tx.DeleteTemplate(id)
		c.dropRulesOf(tx, one.KindTemplate, id)
		return nil
	})
}

// ChmodTemplate is Chmod of a template; with images, of those of its disks too as
// far as the caller may. Source: XML-RPC reference §6.5.
func (c *Cloud) ChmodTemplate(ctx context.Context, who auth.Caller, id int, bits [9]int, images bool) error {
	return c.update(ctx, func(tx *store.Tx) error {
		if err := c.chmod(tx, who, one.KindTemplate, id, bits); err != nil || !images {
			return err
		}
		t, _ := tx.Templates.Get(id)
		for _, d := range t.Template.Vectors("DISK") {
			i, err := c.imageOf(&tx.State, who, d)
			if err != nil {
				continue
			}
			if err := c.chmod(tx, who, one.KindImage, i.ID, bits); err != nil {
				c.log.Info("image of a template keeps its permissions", "template", id, "image", i.ID, "err", err)
			}
		}
		return nil
	})
}

// ExtendedTemplate returns a template whose disks and NICs have what their images
// and networks say, as they would have in a VM of the caller. What is not there
// stays as the template has it. Source: XML-RPC reference §7.1.
func (c *Cloud) ExtendedTemplate(who auth.Caller, id int) (*View, *one.VMTemplate, error) {
	st, o, err := c.Info(who, one.KindTemplate, id)
	if err != nil {
		return nil, nil, err
	}
	t := *o.(*one.VMTemplate)
	disks := t.Template.Vectors("DISK")
	for n, d := range disks {
		i, err := c.imageOf(st, who, d)
		if err != nil {
			continue
		}
		if err := c.allowRead(st, who, target(i), one.Use); err != nil {
			return nil, nil, err
		}
		ds, ok := st.Datastores.Get(i.DatastoreID)
		if !ok {
			continue
		}
		if full, err := diskOfImage(d.Without(diskCoreAttrs...), i, ds, c.cfg); err == nil {
			disks[n] = full.Without(osMark)
		}
	}
	if len(disks) > 0 {
		t.Template = t.Template.WithVectors("DISK", disks)
	}
	for _, name := range []string{"NIC", "NIC_ALIAS"} {
		nics := t.Template.Vectors(name)
		for n, nic := range nics {
			net, err := c.networkOf(st, who, nic)
			if err != nil {
				continue
			}
			if err := c.allowRead(st, who, target(net), one.Use); err != nil {
				return nil, nil, err
			}
			nics[n] = nicOfNetwork(nic.Without(nicCoreAttrs...), net, nil)
		}
		if len(nics) > 0 {
			t.Template = t.Template.WithVectors(name, nics)
		}
	}
	return st, &t, nil
}

// CloneTemplate copies a template under another name; recursive clones the
// images of its disks as well. Source: XML-RPC reference §6.8.
func (c *Cloud) CloneTemplate(ctx context.Context, who auth.Caller, id int, name string, recursive bool) (int, error) {
	newID := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		t, ok := tx.Templates.Get(id)
		if !ok {
			return errs.NotFound(one.KindTemplate, id)
		}
		err := c.allowAll(&tx.State, who, ask{target(t), one.Use}, ask{auth.Creation(one.KindTemplate, who), one.Create})
		if err != nil {
			return err
		}
		newID, err = c.cloneTemplate(tx, who, t, name, recursive, false)
		return err
	})
	return newID, err
}

func (c *Cloud) cloneTemplate(tx *store.Tx, who auth.Caller, t *one.VMTemplate, name string, recursive, persistent bool) (int, error) {
	name = one.TrimName(name)
	body := t.Template
	if recursive {
		disks := body.Vectors("DISK")
		out := make([]tmpl.Vector, len(disks))
		for n, d := range disks {
			out[n] = d
			if !d.Has("IMAGE") && !d.Has("IMAGE_ID") {
				continue
			}
			i, err := c.imageOf(&tx.State, who, d)
			if err != nil {
				return -1, errs.New(errs.Action, "%s", err)
			}
			clone, err := c.cloneImage(tx, who, i, name+"-disk-"+itoa(n), -1, persistent)
			if err != nil {
				return -1, err
			}
			out[n] = d.Without("IMAGE", "IMAGE_UNAME", "IMAGE_UID", "OPENNEBULA_MANAGED").With("IMAGE_ID", itoa(clone))
		}
		body = body.WithVectors("DISK", out)
	}
	return c.newTemplate(tx, who, name, body)
}

// Instantiate creates a VM from a template: name "" gives it the default name,
// extra is merged over the template, persistent first clones template and images.
// Source: XML-RPC reference §7.1, resources reference §1.8.
func (c *Cloud) Instantiate(ctx context.Context, who auth.Caller, id int, name string, hold bool, extra *tmpl.Template, persistent bool) (int, error) {
	vm := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		v, err := c.instantiate(tx, who, id, instantiation{name: name, hold: hold, extra: extra, persistent: persistent, service: -1, vrouter: -1})
		if err != nil {
			return err
		}
		vm = v.ID
		return nil
	})
	return vm, err
}

// instantiation says how to instantiate a template.
type instantiation struct {
	name             string
	hold, persistent bool
	extra            *tmpl.Template
	service, vrouter int
	role             string
	over             *tmpl.Template // laid over everything
}

func (c *Cloud) instantiate(tx *store.Tx, who auth.Caller, id int, n instantiation) (*one.VM, error) {
	t, ok := tx.Templates.Get(id)
	if !ok {
		return nil, errs.NotFound(one.KindTemplate, id)
	}
	asks := []ask{{target(t), one.Use}}
	if n.persistent || n.extra.Len() > 0 && n.service < 0 && n.vrouter < 0 {
		asks = append(asks, ask{auth.Creation(one.KindTemplate, who), one.Create})
	}
	if err := c.allowAll(&tx.State, who, asks...); err != nil {
		return nil, err
	}
	if t.Template.Bool("VROUTER") != (n.vrouter >= 0) {
		if n.vrouter >= 0 {
			return nil, errs.New(errs.Action, "Only virtual router templates are allowed").About(id)
		}
		return nil, errs.New(errs.Action, "Virtual router templates cannot be instantiated").About(id)
	}
	as, extra, err := c.actAs(tx, who, n.extra)
	if err != nil {
		return nil, err
	}
	body, cloned := t.Template, -1
	if n.persistent {
		name := n.name
		if name == "" {
			name = t.Name + "-copy"
		}
		if cloned, err = c.cloneTemplate(tx, who, t, name, true, true); err != nil {
			return nil, err
		}
		clone, _ := tx.Templates.Get(cloned)
		merged := *clone
		merged.Template = clone.Template.Merge(extra)
		tx.PutTemplate(&merged)
		body = clone.Template
	}
	if extra.Len() > 0 {
		if attr, bad, _ := vmRestricted.CheckUpdate(body, extra, false); bad && !who.Admin {
			return nil, errs.Denied(who.UID, "User Template includes a restricted attribute "+attr)
		}
		body = body.Merge(extra)
	}
	body = body.Merge(n.over)
	source := t
	if cloned >= 0 {
		source, _ = tx.Templates.Get(cloned)
		body = body.With("CLONING_TEMPLATE_ID", itoa(id))
	}
	body = body.Without("NAME").With("TEMPLATE_ID", itoa(source.ID)).With("TEMPLATE_NAME", source.Name)
	if n.name != "" {
		body = body.With("NAME", n.name)
	} else {
		body = body.With("NAME", source.Name+"-"+itoa(tx.Counters.At("vm")))
	}
	of := one.KindTemplate
	if n.vrouter >= 0 {
		of = one.KindVRouter
	}
	return c.createVM(tx, who, NewVM{Template: body, Owner: as, Hold: n.hold, Service: n.service, Role: n.role, VRouter: n.vrouter, Of: of})
}

// actAs takes AS_UID and AS_GID out of the extra template and returns the caller
// for whom they ask to create: what is created is his and charged to him, but
// rights are those of who asks. Source: identity reference §6.4.
func (c *Cloud) actAs(tx *store.Tx, who auth.Caller, extra *tmpl.Template) (auth.Caller, *tmpl.Template, error) {
	as := who
	var asks []ask
	if s, ok := extra.Lookup("AS_UID"); ok {
		id, isID := atoi(s)
		u, found := tx.Users.Get(id)
		if !isID || !found {
			return who, nil, noSuch(one.KindUser, "AS_UID", s)
		}
		asks = append(asks, ask{userTarget(u), one.Manage})
		as = auth.CallerOf(&tx.State, u)
		as.From, as.ReqID = who.From, who.ReqID
	}
	if s, ok := extra.Lookup("AS_GID"); ok {
		id, isID := atoi(s)
		g, found := tx.Groups.Get(id)
		if !isID || !found {
			return who, nil, noSuch(one.KindGroup, "AS_GID", s)
		}
		asks = append(asks, ask{groupTarget(id), one.Manage})
		as.GID, as.GName = g.ID, g.Name
	}
	return as, extra.Without("AS_UID", "AS_GID"), c.allowAll(&tx.State, who, asks...)
}

// noSuch refuses an attribute that is to name an object by its id.
func noSuch(kind one.Kind, attr, value string) error {
	if id, isID := atoi(value); isID && id >= 0 {
		return errs.NotFound(kind, id)
	}
	return errs.New(errs.Internal, "Wrong %s %q: expected the id of a %s", attr, value, kind.Object())
}
