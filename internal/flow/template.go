package flow

import (
	"context"
	"errors"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

const registrationTime = "registration_time"

// template returns the document of a service template on which the caller has a right.
func (f *Flow) template(st *store.State, who auth.Caller, id int, r one.Right) (*one.Document, error) {
	return f.ofKind(st, who, id, one.DocServiceTemplate, r)
}

// bodyOf is what a document keeps of a template: one text attribute.
func bodyOf(tree jsontree.Value) *tmpl.Template {
	return tmpl.New(tmpl.Single("BODY", tree.Compact()))
}

// CreateTemplate registers a service template and returns its document.
func (f *Flow) CreateTemplate(ctx context.Context, who auth.Caller, tree jsontree.Value) (jsontree.Value, error) {
	tree, err := spec.Validate(tree)
	if err != nil {
		return jsontree.Value{}, err
	}
	return f.newTemplate(ctx, who, tree, nil)
}

// newTemplate stores a template; before changes it in the same transaction.
func (f *Flow) newTemplate(ctx context.Context, who auth.Caller, tree jsontree.Value, before func(*store.Tx, jsontree.Value) (jsontree.Value, error)) (jsontree.Value, error) {
	var doc *one.Document
	err := f.store.Update(ctx, func(tx *store.Tx) error {
		body := tree.With(registrationTime, jsontree.Int(f.now().Unix()))
		var err error
		if before != nil {
			if body, err = before(tx, body); err != nil {
				return err
			}
		}
		doc, err = f.cloud.NewFlowDocument(tx, who, body.Get("name").Text, bodyOf(body), one.DocServiceTemplate)
		return core("one.document.allocate", err)
	})
	if err != nil {
		return jsontree.Value{}, err
	}
	return envelope(document(doc, storedBody(doc))), nil
}

// UpdateTemplate replaces the body of a template, or lays top-level members over
// it, and returns its document. Source: OneFlow reference §1.5.
func (f *Flow) UpdateTemplate(ctx context.Context, who auth.Caller, id int, change jsontree.Value, appended bool) (jsontree.Value, error) {
	if change.Kind != jsontree.Object {
		return jsontree.Value{}, spec.Refuse("KEY: '' must be an Object;", change, "an object")
	}
	var doc *one.Document
	err := f.store.Update(ctx, func(tx *store.Tx) error {
		d, err := f.template(&tx.State, who, id, one.Manage)
		if err != nil {
			return err
		}
		old := storedBody(d)
		registered, had := old.Lookup(registrationTime)
		if sent, given := change.Lookup(registrationTime); given && (appended || had && !sent.Equal(registered)) {
			return immutable("service_template/"+registrationTime, sent, registrationTime)
		}
		next := change
		if appended && old.Kind == jsontree.Object {
			next = old.Overlay(change.Fields, func(_ string, _ *jsontree.Value, now jsontree.Value) jsontree.Value { return now })
		}
		if next, err = spec.Validate(next); err != nil {
			return err
		}
		if had {
			next = next.With(registrationTime, registered)
		}
		doc = putBody(tx, d, d.Template.With("BODY", next.Compact()))
		return nil
	})
	if err != nil {
		return jsontree.Value{}, err
	}
	return envelope(document(doc, storedBody(doc))), nil
}

// UpdateText changes the attributes of a service's or template's document beside
// its body, given as a template text.
func (f *Flow) UpdateText(ctx context.Context, who auth.Caller, id, typ int, text string, appended bool) error {
	change, err := tmpl.Parse(text)
	if err != nil {
		return errs.Wrap(errs.Internal, err)
	}
	return f.store.Update(ctx, func(tx *store.Tx) error {
		d, err := f.ofKind(&tx.State, who, id, typ, one.Manage)
		if err != nil {
			return err
		}
		next := change.Without("BODY", "NAME")
		if body := d.Template.Get("BODY"); body != "" {
			next = next.With("BODY", body)
		}
		if appended {
			next = d.Template.Merge(next)
		}
		putBody(tx, d, next)
		return nil
	})
}

func putBody(tx *store.Tx, d *one.Document, t *tmpl.Template) *one.Document {
	c := *d
	c.Template = t
	tx.PutDocument(&c)
	return &c
}

// immutable refuses a change of what must not change; path leads to it.
func immutable(what string, sent jsontree.Value, path ...any) error {
	return errs.Wrap(errs.Action, spec.Refuse("Immutable value: `"+what+"` can not be changed", sent, "no change", path...))
}

// What goes with a template that is deleted. Source: OneFlow reference §1.2.
const (
	DeleteNone      = "none"
	DeleteTemplates = "templates" // the VM templates of its roles
	DeleteAll       = "all"       // and their images
)

// DeleteTemplate removes a service template, and with it what the kind of
// deletion says. The document goes last, so that a deletion that was refused
// halfway can be repeated.
func (f *Flow) DeleteTemplate(ctx context.Context, who auth.Caller, id int, kind string) error {
	d, err := f.template(f.store.View(), who, id, one.Manage)
	if err != nil {
		return err
	}
	if kind == DeleteTemplates || kind == DeleteAll {
		for _, t := range templatesOf(storedBody(d)) {
			err := f.cloud.DeleteTemplate(ctx, who, t, kind == DeleteAll)
			if err != nil && errs.KindOf(err) != errs.NoExists {
				return core("one.template.delete", err)
			}
		}
	}
	return core("one.document.delete", f.cloud.DeleteDocument(ctx, who, id))
}

// templatesOf returns the VM templates of a service template, each once.
func templatesOf(body jsontree.Value) []int {
	var out []int
	seen := map[int]bool{}
	for _, r := range spec.Convert(body).Get("roles").Items {
		if id, ok := r.Get("template_id").Number(); ok && !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

// maxClone bounds the name of a cloned VM template, in bytes.
const maxClone = 119

// CloneTemplate copies a service template under another name and returns the
// copy's document. With templates it gets VM templates of its own, with images
// those get images of their own. Source: OneFlow reference §1.4.
func (f *Flow) CloneTemplate(ctx context.Context, who auth.Caller, id int, name string, templates, images bool) (jsontree.Value, error) {
	d, err := f.template(f.store.View(), who, id, one.Use)
	if err != nil {
		return jsontree.Value{}, err
	}
	body := storedBody(d)
	if body.Kind != jsontree.Object {
		return jsontree.Value{}, errs.New(errs.Action, "The document [%d] holds no service template", id)
	}
	body = spec.Convert(body).With("name", jsontree.Str(name))
	return f.newTemplate(ctx, who, body, func(tx *store.Tx, body jsontree.Value) (jsontree.Value, error) {
		if !templates {
			return body, nil
		}
		clones := map[int]int{}
		for _, old := range templatesOf(body) {
			t, ok := tx.Templates.Get(old)
			if !ok {
				return body, core("one.template.clone", errs.NotFound(one.KindTemplate, old))
			}
			clone, err := f.cloud.CloneForService(tx, who, old, crop(t.Name, name), images)
			if err != nil {
				return body, core("one.template.clone", err)
			}
			clones[old] = clone
		}
		roles := append([]jsontree.Value(nil), body.Get("roles").Items...)
		for i, r := range roles {
			if old, ok := r.Get("template_id").Number(); ok {
				roles[i] = r.With("template_id", jsontree.Int(clones[old]))
			}
		}
		return spec.WithRoles(body, roles), nil
	})
}

// crop makes the name of a cloned VM template.
func crop(old, name string) string {
	if room := maxClone - len(name) - 1; len(old) > max(room, 1) {
		old = old[:max(room, 1)]
	}
	out := old + "-" + name
	return out[:min(len(out), maxClone)]
}

// noService is the refusal for a document of type service behind which there is
// none, because somebody made it through the core's interface.
var errNoService = errors.New("the document holds no service")
