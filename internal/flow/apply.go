package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// retryLater is how long a service is left alone after an error that should not be.
const retryLater = 30 * time.Second

// settle makes and applies plans for a service until nothing more is to be done,
// and returns when to look again. Errors are those of the store.
func (t *term) settle(ctx context.Context, id int) (time.Time, error) {
	f := t.flow
	for {
		x, ok, err := f.factsOf(f.store.View(), id)
		if err != nil {
			f.log.Error("a service cannot be read", "service", id, "err", err)
			return time.Time{}, nil
		}
		if !ok {
			return time.Time{}, nil
		}
		in := f.input(x, t.evals(id), f.now())
		plan := reconcile.Next(in)
		if !plan.Durable() {
			t.remember(id, plan.Evals)
			return plan.Wake, nil
		}
		switch err := t.apply(ctx, id); {
		case err == nil:
		case ctx.Err() != nil || ofStore(err):
			return time.Time{}, err
		default: // an error in one service is no reason to leave the others alone
			f.log.Error("reconciling a service failed", "service", id, "err", err)
			return f.now().Add(retryLater), nil
		}
	}
}

// ofStore tells errors that end the term, or are about to.
func ofStore(err error) bool {
	var leader *store.NotLeaderError
	var outcome *store.OutcomeError
	return errors.As(err, &leader) || errors.As(err, &outcome) || errors.Is(err, store.ErrClosed)
}

// remember keeps what was evaluated.
func (t *term) remember(id int, evals reconcile.Evals) {
	if len(evals) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(id).evals.Remember(evals)
}

// refusal tells what of a plan was refused. What the plan had done is taken back
// and the plan made anew with that known.
type refusal struct {
	create int // how many VMs had been created before
	do     *reconcile.Do
	drop   bool
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// apply makes a plan on the newest state and applies it in one transaction.
func (t *term) apply(ctx context.Context, id int) error {
	f := t.flow
	set := f.set
	known := reconcile.Refused{Do: map[reconcile.Do]string{}}
	for {
		var plan reconcile.Plan
		err := f.store.Update(ctx, func(tx *store.Tx) error {
			x, ok, err := f.factsOf(&tx.State, id)
			if err != nil || !ok {
				return err
			}
			in := f.input(x, t.evals(id), f.now())
			in.Refused, in.Settings = known, set
			for {
				plan = reconcile.Next(in)
				err := tx.Try(func() error { return f.perform(tx, x, &plan, in.Now) })
				var refused *refusal
				if !errors.As(err, &refused) {
					return err
				}
				f.note(id, &in.Refused, refused)
			}
		})
		var large *store.TooLargeError
		switch {
		case err == nil:
			t.remember(id, plan.Evals)
			return nil
		case errors.As(err, &large) && set.PerStep > 1:
			set.PerStep /= 2 // VMs with long templates
		case errors.As(err, &large) && known.Create == "":
			known.Create = large.Error()
		default:
			return err
		}
	}
}

// note adds a refusal to those that are known.
func (f *Flow) note(id int, known *reconcile.Refused, r *refusal) {
	text := errs.Text(r.err)
	f.log.Info("refused", "service", id, "err", r.err)
	switch {
	case r.drop:
		known.Drop = text
	case r.do != nil:
		known.Do[*r.do] = text
	default:
		known.Create, known.CreateAfter = text, r.create
	}
}

// perform does inside a transaction what a plan says.
func (f *Flow) perform(tx *store.Tx, x facts, plan *reconcile.Plan, now time.Time) error {
	if !plan.Durable() {
		return nil
	}
	if plan.Drop {
		if err := f.cloud.DropService(tx, x.svc.ID); err != nil {
			return &refusal{drop: true, err: err}
		}
		return nil
	}
	routers := map[string]int{}
	maps.Copy(routers, x.svc.Routers)
	if len(plan.Create)+len(plan.Do) > 0 {
		owner, err := f.cloud.OwnerOf(&tx.State, x.doc.Meta)
		if err != nil {
			if len(plan.Create) > 0 {
				return &refusal{err: err}
			}
			owner = auth.System("flow") // what remains of a user that is gone must be able to end
		}
		for i := range plan.Do {
			d := &plan.Do[i]
			err := tx.Try(func() error { return f.operate(tx, x.doc, owner, d) })
			switch {
			case err == nil:
			case d.Op == reconcile.OpSchedule:
				text := fmt.Sprintf("Role %s : VM %d error scheduling action; %s", d.Role, d.VM, errs.Text(err))
				refused := one.ServiceEvent{Type: one.EventRefused, Role: d.Role, VMs: []int{d.VM}}
				plan.Log = append(plan.Log, reconcile.Line{Severity: "E", Message: text, Event: refused})
			default:
				return &refusal{do: d, err: err}
			}
		}
		m := maker{f: f, tx: tx, x: x, owner: owner, routers: routers}
		for i := range plan.Create {
			v, err := m.create(&plan.Create[i])
			if err != nil {
				return &refusal{create: i, err: err}
			}
			made(plan.Log, v)
		}
	}
	f.keepRouters(tx, plan.Service, routers)
	put(tx, x.svc, plan, now.Unix())
	return nil
}

// operate does one thing to one VM.
func (f *Flow) operate(tx *store.Tx, doc *one.Document, owner auth.Caller, d *reconcile.Do) error {
	switch d.Op {
	case reconcile.OpStop, reconcile.OpStopHard:
		return f.cloud.StopServiceVM(tx, owner, d.VM, d.Op == reconcile.OpStopHard)
	case reconcile.OpRelease:
		return f.cloud.ServiceVMAction(tx, owner, d.VM, "release")
	case reconcile.OpResume:
		return f.cloud.ServiceVMAction(tx, owner, d.VM, "resume")
	case reconcile.OpRetry:
		return f.cloud.RetryServiceVM(tx, owner, d.VM)
	case reconcile.OpChown:
		f.cloud.ChownServiceVM(tx, doc.Meta, d.VM)
		return nil
	case reconcile.OpSchedule:
		who, err := f.cloud.UserOf(&tx.State, d.UID)
		if err != nil {
			return err
		}
		return f.cloud.ScheduleServiceVM(tx, who, d.VM, d.Action, d.Args, d.Time)
	}
	return fmt.Errorf("operation %d on a VM is not known", d.Op)
}

// maker creates the VMs of one plan.
type maker struct {
	f     *Flow
	tx    *store.Tx
	x     facts
	owner auth.Caller
	docs  map[int]*doc.Node // documents of parents' VMs, once asked for
	// routers are the service's virtual routers by role; those it makes are added.
	routers map[string]int
}

// create instantiates the VM template of a role. Source: OneFlow reference §2.6.
func (m *maker) create(c *reconcile.Create) (*one.VM, error) {
	r, ok := m.x.spec.spec.Role(c.Role)
	if !ok {
		return nil, fmt.Errorf("role %s is not in the template", c.Role)
	}
	extra := (*tmpl.Template)(nil)
	if t, ok := m.tx.Templates.Get(r.TemplateID); ok && r.Contents.Kind == jsontree.Object {
		extra = spec.Attributes(m.resolve(r), t.Template)
	}
	extra = extra.With("SERVICE_ID", strconv.Itoa(m.x.svc.ID)).With("ROLE_NAME", r.Name)
	vm := cloud.ServiceVM{
		Service: m.x.svc.ID, Role: r.Name, Name: m.f.vmName(m.x.doc, r.Name, c.Number), Template: r.TemplateID, Extra: extra, Hold: c.Hold,
	}
	if r.Type == spec.TypeVR {
		return m.createInRouter(vm)
	}
	v, err := m.f.cloud.CreateServiceVM(m.tx, m.owner, vm)
	return v, core("one.template.instantiate", err)
}

// made gives the event that tells of a new VM its id.
func made(log []reconcile.Line, v *one.VM) {
	for i := range log {
		e := &log[i].Event
		if e.Type == one.EventVMsMade && e.Role == v.Role && len(e.VMs) < e.Count {
			e.VMs = append(e.VMs, v.ID)
			return
		}
	}
}

// vmName makes the name of a VM.
func (f *Flow) vmName(d *one.Document, role string, number int) string {
	return named(f.cfg.VMNameTemplate, d, role, "$VM_NUMBER", strconv.Itoa(number))
}

// named fills in the template of a name.
func named(template string, d *one.Document, role string, more ...string) string {
	names := []string{"$SERVICE_ID", strconv.Itoa(d.ID), "$SERVICE_NAME", d.Name, "$ROLE_NAME", role}
	return strings.NewReplacer(append(names, more...)...).Replace(template)
}

// resolve replaces references to the VMs of parents in a role's template_contents.
func (m *maker) resolve(r *spec.Role) jsontree.Value {
	return spec.Parents(r.Contents, func(parent string, path []string) (string, bool) {
		if !has(r.Parents, parent) {
			return "", false
		}
		for id := range m.tx.ServiceVMs.Of(m.x.svc.ID) {
			v, ok := m.tx.VMs.Get(id)
			if !ok || v.Role != parent {
				continue
			}
			if n := below(m.document(v), path); n != nil {
				return n.Text, true
			}
		}
		return "", false
	})
}

func has(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// document returns the document of a VM as a tree, nil if it cannot be read.
func (m *maker) document(v *one.VM) *doc.Node {
	if n, ok := m.docs[v.ID]; ok {
		return n
	}
	d := onexml.Docs{State: &m.tx.State, Monitor: m.f.monitor}
	n, err := doc.Parse(string(d.AppendVM(nil, v)))
	if err != nil {
		m.f.log.Error("the document of a VM cannot be read", "vm", v.ID, "err", err)
		n = nil
	}
	if m.docs == nil {
		m.docs = map[int]*doc.Node{}
	}
	m.docs[v.ID] = n
	return n
}

// below returns the first element at a path anywhere in a document: XPath's //A/B.
func below(n *doc.Node, path []string) *doc.Node {
	if n == nil {
		return nil
	}
	if found := n.At(strings.Join(path, "/")); found != nil {
		return found
	}
	for _, k := range n.Kids {
		if found := below(k, path); found != nil {
			return found
		}
	}
	return nil
}
