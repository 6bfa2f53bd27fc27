package flow

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Instantiate makes a service of a template, merge (perhaps null) laid over it,
// and returns the service's document as it was allocated; the rest follows by
// itself. When a network cannot be made the service is left behind in
// FAILED_DEPLOYING, as in the original. Source: OneFlow reference §2.5.
func (f *Flow) Instantiate(ctx context.Context, who auth.Caller, id int, merge jsontree.Value) (jsontree.Value, error) {
	d, err := f.template(f.store.View(), who, id, one.Use)
	if err != nil {
		return jsontree.Value{}, err
	}
	tree, err := prepare(d, merge)
	if err != nil {
		return jsontree.Value{}, err
	}
	var doc *one.Document
	var failed error
	now := f.now()
	err = f.store.Update(ctx, func(tx *store.Tx) error {
		if doc, err = f.cloud.NewFlowDocument(tx, who, tree.Get("name").Text, nil, one.DocService); err != nil {
			return core("one.document.allocate", err)
		}
		full, own := tree, []int(nil)
		failed = tx.Try(func() error {
			full, own, err = f.makeNetworks(tx, who, doc.ID, tree)
			return err
		})
		if failed != nil {
			leaveFailed(tx, newService(doc.ID, tree, now.UnixMilli()), now.Unix(), failed)
			return nil
		}
		svc := newService(doc.ID, spec.Fill(full), now.UnixMilli())
		svc.Networks = own
		tx.PutService(svc)
		return nil
	})
	if err = errors.Join(failed, err); err != nil {
		return jsontree.Value{}, err
	}
	return envelope(document(doc, allocated(tree, now.Unix()))), nil
}

// prepare merges and checks what a service is to be.
func prepare(d *one.Document, merge jsontree.Value) (jsontree.Value, error) {
	tree := storedBody(d)
	if tree.Kind != jsontree.Object {
		return tree, errs.New(errs.Action, "The document [%d] holds no service template", d.ID)
	}
	tree = spec.Convert(tree)
	switch merge.Kind {
	case jsontree.Null:
	case jsontree.Object:
		tree = spec.Merge(tree, merge)
	default:
		return tree, spec.Refuse("KEY: 'merge_template' must be an Object;", merge, "an object")
	}
	if err := spec.CheckInputs(tree); err != nil {
		return tree, err
	}
	tree, err := spec.Networks(tree)
	if err != nil {
		return tree, err
	}
	if tree, err = spec.Check(tree); err != nil { // found this late it is an error of the server's, there
		return tree, errs.Wrap(errs.Internal, err)
	}
	if err := spec.CheckGraph(tree); err != nil {
		return tree, err
	}
	_, err = spec.Read(tree)
	return tree, err
}

// newService returns the service of a complete template.
func newService(id int, tree jsontree.Value, now int64) *one.Service {
	s := &one.Service{ID: id, Spec: json.RawMessage(tree.Append(nil)), StartTime: now / 1000, Since: now}
	for _, r := range tree.Get("roles").Items {
		n, _ := r.Get("cardinality").Number()
		s.Roles = append(s.Roles, one.Role{Name: r.Get("name").Text, Cardinality: n, Since: now})
	}
	return s
}

// allocated is the body of a service before anything was done for it.
// Source: OneFlow reference §1.6.
func allocated(tree jsontree.Value, start int64) jsontree.Value {
	pending := jsontree.Int(one.ServicePending)
	roles := append([]jsontree.Value(nil), tree.Get("roles").Items...)
	for i, r := range roles {
		roles[i] = r.With("state", pending)
	}
	return spec.WithRoles(tree, roles).With("start_time", jsontree.Int(start)).With("state", pending)
}

// makeNetworks makes the networks of a service that it is to have of its own,
// with the caller's rights, and returns the template with their ids, and those.
// Source: OneFlow reference §2.5.
func (f *Flow) makeNetworks(tx *store.Tx, who auth.Caller, service int, tree jsontree.Value) (jsontree.Value, []int, error) {
	s, err := spec.Read(tree)
	if err != nil {
		return tree, nil, err
	}
	ids := map[string]int{}
	var own []int
	for _, n := range s.Networks {
		switch {
		case n.Mode == spec.NetExisting:
			if _, err := f.cloud.UsableNetwork(&tx.State, who, n.ID); err != nil {
				return tree, nil, core("one.vn.info", err)
			}
		case n.ID < 0:
			id, err := f.makeNetwork(tx, who, n, n.Name+"-"+strconv.Itoa(service))
			if err != nil {
				return tree, nil, err
			}
			ids[n.Name], own = id, append(own, id)
		}
	}
	return spec.WithNetworkIDs(tree, ids), own, nil
}

// makeNetwork makes a network of a template, or reserves one from another.
func (f *Flow) makeNetwork(tx *store.Tx, who auth.Caller, n spec.Network, name string) (int, error) {
	method := "one.vn.reserve"
	if n.Mode == spec.NetTemplate {
		method = "one.vntemplate.instantiate"
	}
	extra, err := tmpl.Parse(n.Extra)
	if err != nil {
		return -1, errs.New(errs.Action, "[%s] network '%s': %v", method, n.Name, err)
	}
	id := -1
	if n.Mode == spec.NetTemplate {
		id, err = f.cloud.NetworkFromTemplate(tx, who, n.From, name, extra)
	} else {
		id, err = f.cloud.ReserveForService(tx, who, n.From, extra.With("NAME", name))
	}
	return id, core(method, err)
}

// leaveFailed stores a service whose networks could not be made.
func leaveFailed(tx *store.Tx, s *one.Service, now int64, why error) {
	s.State = one.ServiceFailedDeploying
	entered := one.ServiceEvent{Type: one.EventState, Was: one.ServicePending.String(), State: s.State.String()}
	addLog(tx, s, now,
		reconcile.Line{Severity: "E", Message: errs.Text(why), Event: one.ServiceEvent{Type: one.EventRefused}},
		reconcile.Line{Severity: "I", Message: "New state: " + s.State.String(), Event: entered})
	tx.PutService(s)
}
