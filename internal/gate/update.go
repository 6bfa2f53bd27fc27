package gate

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Kinds of change a guest may ask for; other numbers look and do nothing.
// Source: OneGate reference §1.11.
const (
	Append = 1 // replace the attributes that are named, keep the others
	Erase  = 2 // remove the one attribute that the data names
)

// Update changes the user template of a VM that the guest may address; kind is
// Append, Erase or another number. It returns once the change is durable, and keeps nothing of data.
func (u *Guest) Update(ctx context.Context, id int, data []byte, kind int) error {
	v, err := u.addressed(id)
	if err != nil {
		return err
	}
	if kind != Append {
		return u.erase(ctx, v, string(bytes.TrimSpace(data)), kind)
	}
	change, err := u.gate.parseChange(data)
	if tooMuch := errTooMuch(""); errors.As(err, &tooMuch) {
		return &Refusal{Status: http.StatusRequestEntityTooLarge, Text: err.Error()}
	}
	if err != nil {
		return refuse(http.StatusInternalServerError, "[one.vm.update] Cannot update template. %s", err)
	}
	if err := u.gate.checkChange(change); err != nil {
		return err
	}
	if err := u.gate.cloud.UpdateVM(ctx, u.owner, v.ID, change, 1); err != nil {
		return coreError(http.StatusInternalServerError, "one.vm.update", err)
	}
	u.audit(ctx, "update", v, slog.String("attributes", names(change)))
	return nil
}

func (g *Gate) parseChange(data []byte) (*tmpl.Template, error) {
	scratch, _ := g.scratch.Get().(*[]byte)
	defer g.scratch.Put(scratch)
	return parseChange(data, scratch)
}

func (u *Guest) erase(ctx context.Context, v *one.VM, path string, kind int) error {
	if err := u.gate.checkErase(path); err != nil || kind != Erase {
		return err
	}
	if err := u.gate.cloud.EraseVM(ctx, u.owner, v.ID, path); err != nil {
		return eraseError(err)
	}
	u.audit(ctx, "erase", v, slog.String("attributes", clip(path)))
	return nil
}

// names returns the names of a change's attributes, for the audit.
func names(t *tmpl.Template) string {
	const most = 32
	all := t.All()
	if len(all) == 1 {
		return clip(all[0].Name)
	}
	var out []string
	for i, a := range all {
		if i == most {
			out = append(out, "…")
			break
		}
		out = append(out, clip(a.Name))
	}
	return strings.Join(out, ",")
}

// clip bounds what a guest can write into the log.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// audit logs a change that was made: who, to which VM, what, from where; never
// the values.
func (u *Guest) audit(ctx context.Context, what string, v *one.VM, more ...slog.Attr) {
	u.gate.log.LogAttrs(ctx, slog.LevelInfo, "guest made a change", append([]slog.Attr{
		slog.String("change", what), slog.Int("guest", u.vm.ID), slog.Int("vm", v.ID), slog.Int("owner", u.owner.UID), slog.String("from", u.from),
	}, more...)...)
}
