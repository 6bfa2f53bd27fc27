package flow

import (
	"context"
	"errors"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// ofType refuses a document that is not of a type; rights are not looked at.
func (f *Flow) ofType(id, typ int) error {
	d, ok := f.store.View().Documents.Get(id)
	if !ok {
		return core("one.document.info", errs.NotFound(one.KindDocument, id))
	}
	if d.Type != typ {
		return errs.New(errs.Action, "[DocumentInfo] Error getting document [%d].", id)
	}
	return nil
}

// Chown gives a service with its VMs to another user or group; -1 keeps. The
// service changes at once, and its VMs with it: as many as fit into the same
// transaction, the others right after it. Source: OneFlow reference §6.
func (f *Flow) Chown(ctx context.Context, who auth.Caller, id, uid, gid int) error {
	for limit := perStep; ; limit /= 2 {
		err := f.store.Update(ctx, func(tx *store.Tx) error { return f.chown(tx, who, id, uid, gid, limit) })
		if _, large := errors.AsType[*store.TooLargeError](err); !large || limit == 0 {
			return err
		}
	}
}

// chown is Chown with so many of the VMs, in one transaction.
func (f *Flow) chown(tx *store.Tx, who auth.Caller, id, uid, gid, limit int) error {
	if err := f.cloud.ChownService(tx, who, id, uid, gid); err != nil {
		return core("one.document.chown", err)
	}
	x, ok, err := f.factsOf(&tx.State, id)
	if err != nil || !ok {
		return err
	}
	done := 0
	s := *x.svc
	for vm := range tx.ServiceVMs.Of(id) {
		if s.Chowning = done == limit; s.Chowning {
			break
		}
		f.cloud.ChownServiceVM(tx, x.doc.Meta, vm)
		done++
	}
	if s.Chowning != x.svc.Chowning {
		put(tx, x.svc, &reconcile.Plan{Service: &s}, f.now().Unix())
	}
	return nil
}

// ChownTemplate gives a service template to another user or group; -1 keeps.
func (f *Flow) ChownTemplate(ctx context.Context, who auth.Caller, id, uid, gid int) error {
	if err := f.ofType(id, one.DocServiceTemplate); err != nil {
		return err
	}
	return core("one.document.chown", f.cloud.Chown(ctx, who, one.KindDocument, id, uid, gid))
}

// Chmod sets the permissions of a service or template to three octal digits.
func (f *Flow) Chmod(ctx context.Context, who auth.Caller, id, typ int, perms one.Perms) error {
	if err := f.ofType(id, typ); err != nil {
		return err
	}
	return core("one.document.chmod", f.cloud.Chmod(ctx, who, one.KindDocument, id, perms.Bits()))
}

// Rename gives a service or template another name. A service's VMs made from then
// on bear it, and its body shows it, unlike in the original.
func (f *Flow) Rename(ctx context.Context, who auth.Caller, id, typ int, name string) error {
	if err := f.ofType(id, typ); err != nil {
		return err
	}
	return core("one.document.rename", f.cloud.Rename(ctx, who, one.KindDocument, id, name))
}
