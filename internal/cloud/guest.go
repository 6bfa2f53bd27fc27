package cloud

import (
	"context"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Readable refuses unless the caller may see an object of a state, as its info
// call would. Guests ask for their own VM all the time: this is Info on a state
// the caller already looks at.
func (c *Cloud) Readable(st *View, who auth.Caller, o one.Owned) error {
	return c.allowRead(st, who, target(o), one.Use)
}

// ErrNoAttribute refuses to erase an attribute that is not there.
var ErrNoAttribute = errs.New(errs.Action, "attribute not found")

// EraseVM removes an attribute from a VM's user template: every one called NAME,
// or SUB of every vector called NAME for the path NAME/SUB. Names are upper case.
// It fails with ErrNoAttribute. Source: OneGate reference §1.11.
func (c *Cloud) EraseVM(ctx context.Context, who auth.Caller, id int, path string) error {
	return c.update(ctx, func(tx *store.Tx) error {
		o, err := get(&tx.State, one.KindVM, id)
		if err != nil {
			return err
		}
		if err := c.allowOp(&tx.State, who, o, "update", one.Manage); err != nil {
			return err
		}
		left, ok := eraseAttr(o.Body(), path)
		if !ok {
			return ErrNoAttribute
		}
		body, err := c.mergeUpdate(who, one.KindVM, vmRestricted, o.Body(), left, 0)
		if err != nil {
			return err
		}
		tx.PutOwned(o.WithBody(body))
		return nil
	})
}

// eraseAttr returns a template without what the path names, and whether that was there.
func eraseAttr(t *tmpl.Template, path string) (*tmpl.Template, bool) {
	name, sub, isSub := strings.Cut(path, "/")
	if !isSub {
		return t.Without(name), t.Has(name)
	}
	found := false
	attrs := make([]tmpl.Attr, 0, 1)
	for _, a := range t.Named(name) {
		if a.Vector.Has(sub) {
			found = true
			if a.Vector = a.Vector.Without(sub); len(a.Vector) == 0 {
				continue
			}
		}
		attrs = append(attrs, a)
	}
	return t.Replace(name, attrs...), found
}
