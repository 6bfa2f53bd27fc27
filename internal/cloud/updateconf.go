package cloud

import (
	"context"
	"slices"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/contextvars"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// confAttrs are the vectors and keys that updateconf may change.
// Source: XML-RPC reference §7.2.1.
var confAttrs = []struct {
	vector string
	keys   []string
	list   bool
}{
	{"OS", []string{"ARCH", "MACHINE", "KERNEL", "INITRD", "BOOTLOADER", "BOOT", "KERNEL_CMD", "ROOT", "SD_DISK_BUS", "UUID", "FIRMWARE"}, false},
	{"FEATURES", []string{"PAE", "ACPI", "APIC", "LOCALTIME", "HYPERV", "GUEST_AGENT", "VIRTIO_SCSI_QUEUES", "VIRTIO_BLK_QUEUES", "IOTHREADS"}, false},
	{"INPUT", []string{"TYPE", "BUS"}, true},
	{"GRAPHICS", []string{"TYPE", "LISTEN", "PASSWD", "KEYMAP", "COMMAND"}, false},
	{"VIDEO", []string{"IOMMU", "ATS", "TYPE", "VRAM", "RESOLUTION"}, false},
	{"RAW", []string{"TYPE", "DATA", "VALIDATE", "DATA_VMX"}, true},
	{"CPU_MODEL", []string{"MODEL"}, false},
	{"BACKUP_CONFIG", []string{"FS_FREEZE", "KEEP_LAST", "BACKUP_VOLATILE", "INCREMENT_MODE", "MODE"}, false},
}

// keptKeys are those of a vector that updateconf does not touch even when it
// replaces the vector.
var keptKeys = map[string][]string{
	"GRAPHICS": {"PORT"},
	"OS":       append([]string{"UUID", "KERNEL_DS", "INITRD_DS"}, osCoreAttrs...),
}

// UpdateVMConf changes a VM's configuration: replaced (append 0) or merged (1).
// A running VM whose CONTEXT changed gets its context disk made anew.
// Source: XML-RPC reference §7.2.1, VM lifecycle reference §3.6.
func (c *Cloud) UpdateVMConf(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	if appendMode != 0 && appendMode != 1 {
		return errs.New(errs.API, "Wrong update type")
	}
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.vmFor(&tx.State, who, id, "updateconf")
		if err != nil {
			return err
		}
		if !configurable(v) {
			return errs.New(errs.Action, "configuration cannot be updated in state %s", v.StateName()).About(id)
		}
		if attr, bad := vmRestricted.CheckCreate(change); bad && !who.Admin {
			return errs.Denied(who.UID, "Template includes a restricted attribute "+attr)
		}
		n := *v
		n.Template = newConf(v.Template, change, appendMode == 1)
		if err := checkBootOrder(n.Template); err != nil {
			return errs.New(errs.Internal, "%s", err).About(id)
		}
		if err := checkVideo(n.Template); err != nil {
			return errs.New(errs.Internal, "%s", err).About(id)
		}
		changed, err := c.newContext(tx, who, &n, v.Template.Vector("CONTEXT"), change.Vector("CONTEXT"), appendMode == 1)
		if err != nil {
			return err
		}
		if changed && v.Running() {
			return c.Apply(tx, who, v, machine.Change{VM: n.WithState(one.VMActive, one.LCMHotplug, c.now().UnixMilli())})
		}
		return c.Apply(tx, who, v, machine.Change{VM: &n})
	})
}

// configurable tells whether nothing of the VM's host is at work on its
// configuration just now.
func configurable(v *one.VM) bool {
	switch v.State {
	case one.VMPending, one.VMHold, one.VMCloning, one.VMCloningFailure, one.VMPoweroff, one.VMUndeployed:
		return true
	case one.VMActive:
		switch v.LCM {
		case one.LCMRunning, one.LCMProlog, one.LCMPrologResume, one.LCMPrologUndeploy, one.LCMEpilog, one.LCMEpilogStop,
			one.LCMEpilogUndeploy, one.LCMShutdown, one.LCMShutdownPoweroff, one.LCMShutdownUndeploy,
			one.LCMCleanupDelete, one.LCMCleanupResubmit:
			return true
		}
		return v.LCM.Failed()
	}
	return false
}

// newConf returns the template with the vectors of updateconf changed.
func newConf(t, change *tmpl.Template, merge bool) *tmpl.Template {
	for _, a := range confAttrs {
		sent := change.Vectors(a.vector)
		if len(sent) == 0 {
			if !merge && a.vector != "OS" && t.Has(a.vector) {
				t = t.Without(a.vector)
			} else if !merge && a.vector == "OS" {
				t = t.WithVector("OS", only(t.Vector("OS"), keptKeys["OS"]))
			}
			continue
		}
		if a.list {
			out := make([]tmpl.Vector, len(sent))
			for i, s := range sent {
				out[i] = only(s, a.keys)
			}
			t = t.WithVectors(a.vector, out)
			continue
		}
		old := t.Vector(a.vector)
		next := old
		if !merge {
			next = only(old, keptKeys[a.vector])
		}
		if next == nil {
			next = tmpl.Vector{}
		}
		for _, p := range only(sent[0], a.keys) {
			next = next.With(p.Name, p.Value)
		}
		t = t.WithVector(a.vector, next)
	}
	return t
}

// only returns a vector with just those keys.
func only(v tmpl.Vector, keys []string) tmpl.Vector {
	out := tmpl.Vector{}
	for _, p := range v {
		if slices.Contains(keys, p.Name) {
			out = append(out, p)
		}
	}
	return out
}

// newContext writes the CONTEXT that comes of what was sent into n, and tells
// whether it is another than before.
func (c *Cloud) newContext(tx *store.Tx, who auth.Caller, n *one.VM, old, sent tmpl.Vector, merge bool) (bool, error) {
	if sent == nil {
		return false, nil
	}
	cv := c.contextVM(&tx.State, n, n.Template, n.UserTemplate)
	clear := c.Clear(auth.System("updateconf"), one.KindVM, (*tmpl.Template)(nil).WithVector("CONTEXT", old)).Vector("CONTEXT")
	if old == nil {
		clear = nil
	}
	vars, err := contextvars.Update(clear, sent, merge, false, func(changed tmpl.Vector) (tmpl.Vector, error) {
		return c.expandContext(tx, who, cv, changed)
	})
	if err != nil {
		return false, errs.New(errs.Internal, "%s", errs.Text(err)).About(n.ID)
	}
	if vars, err = c.completeContext(cv, vars, c.cfg.OneGateEndpoint); err != nil {
		return false, errs.New(errs.Internal, "%s", errs.Text(err)).About(n.ID)
	}
	n.Template = n.Template.WithVector("CONTEXT", vars)
	if vars.Bool("TOKEN") && !old.Bool("TOKEN") {
		n.Template = n.Template.With("CREATED_BY", itoa(n.UID))
		if err := ensureTokenPassword(tx, n.UID); err != nil {
			return false, err
		}
	}
	return !vars.Equal(old), nil
}

// ensureTokenPassword gives a user a TOKEN_PASSWORD if it has none, so that its
// VMs can have tokens.
func ensureTokenPassword(tx *store.Tx, uid int) error {
	u, ok := tx.Users.Get(uid)
	if !ok || u.Template.Get("TOKEN_PASSWORD") != "" {
		return nil
	}
	token, err := RandomHex(32)
	if err != nil {
		return err
	}
	n := *u
	n.Template = u.Template.With("TOKEN_PASSWORD", token)
	tx.PutUser(&n)
	return nil
}
