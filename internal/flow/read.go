package flow

import (
	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// Service returns the document of a service: {"DOCUMENT":{…}}.
func (f *Flow) Service(who auth.Caller, id int) (jsontree.Value, error) {
	st := f.store.View()
	d, err := f.visible(st, who, id, one.Use)
	if err != nil {
		return jsontree.Value{}, err
	}
	v, err := f.render(st, d)
	return envelope(v), err
}

// Services returns every service the caller may use: {"DOCUMENT_POOL":{…}}.
func (f *Flow) Services(who auth.Caller) (jsontree.Value, error) {
	return f.pool(who, one.DocService)
}

// Template returns the document of a service template.
func (f *Flow) Template(who auth.Caller, id int) (jsontree.Value, error) {
	d, err := f.template(f.store.View(), who, id, one.Use)
	if err != nil {
		return jsontree.Value{}, err
	}
	return envelope(document(d, storedBody(d))), nil
}

// Templates returns every service template the caller may use.
func (f *Flow) Templates(who auth.Caller) (jsontree.Value, error) {
	return f.pool(who, one.DocServiceTemplate)
}

func envelope(v jsontree.Value) jsontree.Value { return jsontree.Obj(jsontree.F("DOCUMENT", v)) }

// render returns a document of either type. One of a service that somebody made
// through the core's interface shows what they put into it.
func (f *Flow) render(st *store.State, d *one.Document) (jsontree.Value, error) {
	x, ok, err := f.factsOf(st, d.ID)
	if err != nil {
		return jsontree.Value{}, err
	}
	if !ok {
		return document(d, storedBody(d)), nil
	}
	return document(d, f.renderer(d.ID).body(x)), nil
}

func (f *Flow) pool(who auth.Caller, typ int) (jsontree.Value, error) {
	st, docs, err := f.cloud.DocumentPool(who, cloud.Everything, typ)
	if err != nil {
		return jsontree.Value{}, core("one.documentpool.info", err)
	}
	var all []jsontree.Value
	for d := range docs {
		v, err := f.render(st, d)
		if err != nil {
			return jsontree.Value{}, err
		}
		all = append(all, v)
	}
	pool := jsontree.Obj()
	if len(all) > 0 {
		pool = pool.With("DOCUMENT", jsontree.List(all...))
	}
	return jsontree.Obj(jsontree.F("DOCUMENT_POOL", pool)), nil
}
