package cloud

import (
	"context"
	"strings"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// vmOperationLevel returns the right an operation on a VM asks for: as the
// user's template, else the group's, else the stock configuration says.
// Source: identity reference §6.3.
func (c *Cloud) vmOperationLevel(st *store.State, who auth.Caller, op string) one.Right {
	var sources []*tmpl.Template
	if u, ok := st.Users.Get(who.UID); ok {
		sources = append(sources, u.Template)
	}
	if g, ok := st.Groups.Get(who.GID); ok {
		sources = append(sources, g.Template)
	}
	for _, t := range sources {
		for _, l := range []struct {
			attr  string
			right one.Right
		}{{"VM_ADMIN_OPERATIONS", one.Admin}, {"VM_MANAGE_OPERATIONS", one.Manage}, {"VM_USE_OPERATIONS", one.Use}} {
			for _, w := range strings.FieldsFunc(t.Get(l.attr), func(r rune) bool { return r == ',' || r == ' ' }) {
				if strings.EqualFold(w, op) {
					return l.right
				}
			}
		}
	}
	if r, ok := one.VMOperation(op); ok {
		return r
	}
	return one.Manage
}

// vmFor returns a living or finished VM on which the caller may do an operation.
func (c *Cloud) vmFor(st *store.State, who auth.Caller, id int, op string) (*one.VM, error) {
	v, ok := st.VM(id)
	if !ok {
		return nil, errs.NotFound(one.KindVM, id)
	}
	if err := c.allow(st, who, target(v), c.vmOperationLevel(st, who, op)); err != nil {
		return nil, err
	}
	return v, nil
}

func whoIs(a auth.Caller) machine.Who { return machine.Who{UID: a.UID, GID: a.GID, ReqID: a.ReqID} }

// AllocateVM creates a VM from a template text of its own.
// Source: XML-RPC reference §7.2.
func (c *Cloud) AllocateVM(ctx context.Context, who auth.Caller, t *tmpl.Template, hold bool) (int, error) {
	id := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		if err := c.allowCreate(&tx.State, who, one.KindVM); err != nil {
			return err
		}
		if attr, bad := vmRestricted.CheckCreate(t); bad && !who.Admin {
			return errs.Denied(who.UID, "VM Template includes a restricted attribute "+attr)
		}
		v, err := c.createVM(tx, who, NewVM{Template: t, Owner: who, Hold: hold, Service: -1, VRouter: -1})
		if err != nil {
			return err
		}
		id = v.ID
		return nil
	})
	return id, err
}

// VMAction performs an action of one.vm.action. An action on the running domain
// that changes no state (reboot) is handed to the host and not waited for.
func (c *Cloud) VMAction(ctx context.Context, who auth.Caller, id int, action string) error {
	op, known := machine.Operation(action)
	if !known {
		return errs.New(errs.Action, "Action %q is not supported", action).About(id)
	}
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.vmFor(&tx.State, who, id, op)
		if err != nil {
			return err
		}
		return c.vmAction(tx, who, v, action)
	})
}

// vmAction performs an action inside a transaction.
func (c *Cloud) vmAction(tx *store.Tx, who auth.Caller, v *one.VM, action string) error {
	ch, err := machine.Act(v, action, whoIs(who), c.now())
	if err != nil {
		return errs.Wrap(errs.Action, err).About(v.ID)
	}
	if action == "release" || action == "resched" {
		if reqs, err := autoRequirements(ch.VM.Template, ch.VM.UserTemplate); err == nil {
			n := *ch.VM
			n.Template = ch.VM.Template.Merge(reqs)
			ch.VM = &n
		}
	}
	return c.Apply(tx, who, v, ch)
}

// endVM ends a VM that belongs to something that goes, whoever owns it: it is
// terminated, else terminated without asking the guest, else deleted. One that is
// ending is left alone; a lock stands in its way.
func (c *Cloud) endVM(tx *store.Tx, who auth.Caller, id int, hard bool) error {
	v, ok := tx.VMs.Get(id)
	if !ok || v.Active(one.LCMShutdown) || v.Active(one.LCMEpilog) || v.Active(one.LCMCleanupDelete) {
		return nil
	}
	if err := c.allow(&tx.State, keeper, target(v), one.Manage); err != nil {
		return err
	}
	actions := []string{"terminate", "terminate-hard"}
	if hard {
		actions = actions[1:]
	}
	for _, a := range actions {
		if ch, err := machine.Act(v, a, whoIs(who), c.now()); err == nil {
			return c.Apply(tx, who, v, ch)
		}
	}
	ch, err := machine.Recover(v, machine.RecoverDelete, whoIs(who), c.now())
	if err != nil {
		return errs.Wrap(errs.Action, err).About(id)
	}
	return c.Apply(tx, who, v, ch)
}

// RecoverVM performs one.vm.recover. Source: VM lifecycle reference §3.4.
func (c *Cloud) RecoverVM(ctx context.Context, who auth.Caller, id, operation int) error {
	word := map[int]string{0: "recover", 1: "recover", 2: "retry", 3: "delete", 4: "delete", 5: "delete"}[operation]
	if word == "" {
		return errs.New(errs.Action, "Wrong recovery operation code").About(id)
	}
	return c.update(ctx, func(tx *store.Tx) error {
		v, err := c.vmFor(&tx.State, who, id, word)
		if err != nil {
			return err
		}
		if v.State == one.VMCloning || v.State == one.VMCloningFailure {
			if operation <= int(machine.RecoverSuccess) {
				c.reviewCloning(tx, v)
				return nil
			}
		}
		ch, err := machine.Recover(v, machine.Recovery(operation), whoIs(who), c.now())
		if err != nil {
			return errs.Wrap(errs.Action, err).About(id)
		}
		return c.Apply(tx, who, v, ch)
	})
}

// Apply puts what became of a VM, with the effects on leases, images and quotas
// and the lines of its log.
func (c *Cloud) Apply(tx *store.Tx, who auth.Caller, old *one.VM, ch machine.Change) error {
	ch = c.withoutHost(tx, ch)
	if ch.VM.State == one.VMUndeployed && old.State != one.VMUndeployed {
		ch.VM = withoutPort(ch.VM)
	}
	for _, nic := range ch.Freed {
		freeNIC(tx, nic, leaseOwner{one.LeaseVM, old.ID})
	}
	// However a change of a NIC ended, the context was made for another end.
	if ch.NICs || old.Active(one.LCMHotplugNIC) && ch.VM.Hotplug == (one.Hotplug{}) {
		t, err := c.followNICs(&tx.State, ch.VM, ch.VM.Template, ch.Freed)
		if err != nil {
			return refused(err, old.ID)
		}
		n := *ch.VM
		n.Template, ch.VM = t, &n
	}
	v := followDisks(tx, old, ch.VM)
	if v != old {
		tx.PutVM(v)
	}
	if old.Hotplug.Action == one.ActionDiskResize && v.Hotplug == (one.Hotplug{}) {
		imageFollows(tx, v, old.Hotplug.Disk) // it has grown, or has not after all
	}
	for _, disk := range ch.Lost {
		if id, ok := atoi(disk.Get("IMAGE_ID")); ok {
			releaseImage(tx, id, false)
		}
	}
	if v.State == one.VMDone {
		tx.DeleteSchedule(v.ID)
	}
	if ch.Done {
		freeNetwork(tx, v)
		releaseImages(tx, v, ch.Stale)
	}
	if ch.Charge && !old.CountsAsRunning() && v.CountsAsRunning() {
		u := v.Usage()
		req := one.Usage{VM: one.VMQuota{RunningVMs: u.VM.RunningVMs, RunningCPU: u.VM.RunningCPU, RunningMemory: u.VM.RunningMemory}}
		if reason := quotaExcess(&tx.State, v.UID, v.GID, req); reason != "" {
			return errs.New(errs.Action, "%s", reason).About(v.ID)
		}
	}
	if ch.Op != "" {
		c.askHost(tx, v, ch.Op)
	}
	if ch.Log != "" {
		c.vmLog(tx, v.ID, "[LCM][I]: "+ch.Log)
	}
	if v.State != old.State {
		c.vmLog(tx, v.ID, "[VM][I]: New state is "+v.State.String())
	}
	if v.LCM != old.LCM {
		c.vmLog(tx, v.ID, "[LCM][I]: New LCM state is "+v.LCM.String())
	}
	return nil
}

// withoutHost finishes at once what would have to be cleaned up by a host that is
// gone: nobody else can, and the VM would wait for ever. That is so with VMs that
// were stopped or undeployed when their host was removed.
func (c *Cloud) withoutHost(tx *store.Tx, ch machine.Change) machine.Change {
	v := ch.VM
	if !v.Active(one.LCMEpilog) && !v.Active(one.LCMCleanupDelete) && !v.Active(one.LCMCleanupResubmit) {
		return ch
	}
	if _, there := tx.Hosts.Get(v.HostID()); there {
		return ch
	}
	done, ok := machine.Finish(v, true, "", c.now())
	if !ok {
		return ch
	}
	done.Charge, done.Log = ch.Charge, "Host is gone, its files of the VM are left to themselves."
	return done
}

// withoutPort returns a VM whose graphics have no port: it is given one anew where
// it runs next. Source: VM lifecycle reference §3.1.
func withoutPort(v *one.VM) *one.VM {
	g := v.Template.Vector("GRAPHICS")
	if !g.Has("PORT") {
		return v
	}
	n := *v
	n.Template = v.Template.WithVector("GRAPHICS", g.Without("PORT"))
	return &n
}

// askHost asks the VM's host for an operation that changes no state. It is an
// outbox record, so that it is asked once its transaction is durable.
func (c *Cloud) askHost(tx *store.Tx, v *one.VM, op agentapi.Op) {
	tx.Emit(TopicHostAsk, v.ID, c.now().UnixMilli(), string(op))
}

// TopicHostAsk is the outbox topic of operations that change no state.
const TopicHostAsk = "hostask"

// reviewCloning moves a VM that waits for images on when they are made: to
// PENDING or HOLD, or to CLONING_FAILURE when one of them failed.
func (c *Cloud) reviewCloning(tx *store.Tx, v *one.VM) {
	copying, failed := false, false
	for _, d := range v.Template.Vectors("DISK") {
		id, ok := atoi(d.Get("IMAGE_ID"))
		if !ok {
			continue
		}
		i, ok := tx.Images.Get(id)
		failed = failed || !ok || i.State == one.ImageError
		copying = copying || ok && i.State.Copying()
	}
	to := one.VMPending
	switch {
	case failed:
		to = one.VMCloningFailure
	case copying:
		to = one.VMCloning
	case v.Template.Bool("SUBMIT_ON_HOLD"):
		to = one.VMHold
	}
	if to == v.State {
		return
	}
	n := v
	if to != one.VMCloningFailure {
		n = refreshDisks(tx, v)
		tx.PutVM(n)
		// Only now the sizes are known: a VM beyond its owner's quota waits for more.
		if reason := quotaExcess(&tx.State, v.UID, v.GID, grownBy(v.Usage(), n.Usage())); reason != "" {
			to = one.VMCloningFailure
			n = v.WithUserTemplate(v.UserTemplate.With("ERROR", c.now().Format(time.ANSIC)+" : "+reason))
		}
	}
	tx.PutVM(n.WithState(to, one.LCMInit, c.now().UnixMilli()))
	if to != v.State {
		c.vmLog(tx, v.ID, "[VM][I]: New state is "+to.String())
	}
}

// refreshDisks writes into a VM's disks what was not known before their images
// were made: source, format and size.
func refreshDisks(tx *store.Tx, v *one.VM) *one.VM {
	disks := v.Template.Vectors("DISK")
	changed := false
	out := make([]tmpl.Vector, len(disks))
	for i, d := range disks {
		out[i] = d
		id, ok := atoi(d.Get("IMAGE_ID"))
		if !ok {
			continue
		}
		img, ok := tx.Images.Get(id)
		if !ok || img.Source == "" || img.Source == d.Get("SOURCE") {
			continue
		}
		changed = true
		n := d.With("SOURCE", img.Source).With("FORMAT", img.Format).With("IMAGE_STATE", itoa(int(img.State)))
		if n.Get("SIZE") == "0" {
			n = n.Without("SIZE") // nothing was known of it, and nothing asked for
		}
		if !d.Has("DRIVER") || d.Get("DRIVER") == d.Get("FORMAT") {
			n = n.With("DRIVER", img.Format)
		}
		_ = diskSize(&n, img)
		out[i] = n
	}
	if !changed {
		return v
	}
	n := *v
	n.Template = v.Template.WithVectors("DISK", out)
	return &n
}
