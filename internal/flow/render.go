package flow

import (
	"slices"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Body returns the BODY of a service's document as JSON, for the document of
// one.document.info; false if there is no such service. What is only known to
// the member that leads, the last evaluations of policies, is not in it.
func Body(st *store.State, docID int) ([]byte, bool) {
	svc, ok := st.Services.Get(docID)
	if !ok {
		return nil, false
	}
	doc, ok := st.Documents.Get(docID)
	if !ok {
		return nil, false
	}
	c, err := compile(svc.Spec)
	if err != nil {
		return nil, false
	}
	r := renderer{cooldown: int64(config.Default().Flow.DefaultCooldown.Std().Seconds())}
	return r.body(facts{doc: doc, svc: svc, spec: c, st: st}).Append(nil), true
}

// Body returns the BODY of a service's document as of now.
func (f *Flow) Body(docID int) ([]byte, bool) {
	x, ok, err := f.factsOf(f.store.View(), docID)
	if err != nil || !ok {
		return nil, false
	}
	return f.renderer(docID).body(x).Append(nil), true
}

// renderer prints the bodies of services. Source: OneFlow reference §1.6.
type renderer struct {
	cooldown int64 // of roles that name none, seconds
	evals    reconcile.Evals
}

func (f *Flow) renderer(service int) renderer {
	r := renderer{cooldown: int64(f.set.DefaultCooldown.Seconds())}
	if t := f.leading(); t != nil {
		r.evals = t.evals(service)
	}
	return r
}

// body returns what a service is: its template with the state of everything.
func (r renderer) body(x facts) jsontree.Value {
	body := x.spec.tree.With("name", jsontree.Str(x.doc.Name))
	items := x.spec.tree.Get("roles").Items
	roles := make([]jsontree.Value, len(items))
	vms := map[string][]*one.VM{}
	for id := range x.st.ServiceVMs.Of(x.svc.ID) {
		if v, ok := x.st.VMs.Get(id); ok {
			vms[v.Role] = append(vms[v.Role], v)
		}
	}
	for i, t := range items {
		roles[i] = t
		if i < len(x.svc.Roles) && i < len(x.spec.spec.Roles) {
			roles[i] = r.role(t, &x.spec.spec.Roles[i], &x.svc.Roles[i], vms[x.svc.Roles[i].Name])
			if router, ok := x.svc.Routers[x.svc.Roles[i].Name]; ok {
				roles[i] = ofRouter(roles[i], x.st, router)
			}
		}
	}
	body = spec.WithRoles(body, roles).With("start_time", jsontree.Int(x.svc.StartTime)).With("state", jsontree.Int(x.svc.State))
	if actions := pending(x); len(actions) > 0 {
		body = body.With(schedActions, jsontree.List(actions...))
	}
	var log []jsontree.Value
	for _, e := range messages(x.st, x.svc.ID) {
		log = append(log, jsontree.Obj(jsontree.F("timestamp", jsontree.Int(e.Time)), jsontree.F("severity", jsontree.Str(e.Severity)),
			jsontree.F("message", jsontree.Str(e.Message))))
	}
	return body.With("log", jsontree.List(log...))
}

// schedActions is the member in which a service shows the actions that are
// scheduled on its VMs: their ids are asked for to delete one.
const schedActions = "sched_actions"

// pending are the actions of a service's VMs that are not done yet.
func pending(x facts) []jsontree.Value {
	var out []jsontree.Value
	for id := range x.st.ServiceVMs.Of(x.svc.ID) {
		s, ok := x.st.Schedules.Get(id)
		if !ok {
			continue
		}
		v := x.st.VMs.At(id)
		for i := range s.Actions {
			a := &s.Actions[i]
			if !a.Pending() {
				continue
			}
			out = append(out, jsontree.Obj(jsontree.F("id", jsontree.Int(a.ID)), jsontree.F("role", jsontree.Str(v.Role)), jsontree.F("vm", jsontree.Int(id)),
				jsontree.F("action", jsontree.Str(a.Action)), jsontree.F("args", jsontree.Str(a.Args)), jsontree.F("time", jsontree.Int(a.Time)),
				jsontree.F("message", jsontree.Str(a.Message))))
		}
	}
	return out
}

func (r renderer) role(t jsontree.Value, s *spec.Role, role *one.Role, vms []*one.VM) jsontree.Value {
	out := t.With("cardinality", jsontree.Int(role.Cardinality))
	if items := t.Get("elasticity_policies").Items; len(items) > 0 {
		out = out.With("elasticity_policies", r.policies(items, s, role))
	}
	if items := t.Get("scheduled_policies").Items; len(items) > 0 {
		scheduled := make([]jsontree.Value, len(items))
		for i, p := range items {
			scheduled[i] = p
			if i < len(role.Sched) {
				scheduled[i] = p.With("last_eval", jsontree.Int(role.Sched[i]))
			}
		}
		out = out.With("scheduled_policies", jsontree.List(scheduled...))
	}
	out = out.With("state", jsontree.Int(role.State))
	if s.Cooldown < 0 && s.Type != spec.TypeVR {
		out = out.With("cooldown", jsontree.Int(r.cooldown))
	}
	out = out.With("on_hold", jsontree.Boolean(s.Hold))
	if role.LastVM > 0 {
		out = out.With("last_vmname", jsontree.Int(role.LastVM))
	}
	if role.State == one.RoleScaling || role.State == one.RoleFailedScaling {
		out = out.With("scale_way", jsontree.Int(role.ScaleWay))
	}
	nodes := make([]jsontree.Value, len(vms))
	for i, v := range vms {
		nodes[i] = node(v, role)
	}
	return out.With("nodes", jsontree.List(nodes...))
}

func (r renderer) policies(items []jsontree.Value, s *spec.Role, role *one.Role) jsontree.Value {
	out := make([]jsontree.Value, len(items))
	for i, p := range items {
		out[i] = p
		ev, known := r.evals[reconcile.Key{Role: role.Name, Index: i}]
		known = known && !ev.At.IsZero()
		if known {
			out[i] = out[i].With("last_eval", jsontree.Int(ev.At.Unix()))
		}
		count := 0
		if i < len(role.Policies) {
			count = role.Policies[i].TrueEvals
		} else if i < len(s.Policies) && s.Policies[i].PeriodNumber == 1 && ev.True {
			count = 1
		}
		if count > 0 || known {
			out[i] = out[i].With("true_evals", jsontree.Int(count))
		}
		if known {
			out[i] = out[i].With("expression_evaluated", jsontree.Str(ev.Text))
		}
	}
	return jsontree.List(out...)
}

// node is a VM as its service shows it. While the role scales it says, as up to
// release 5.10, whether the VM is new or on its way out.
func node(v *one.VM, role *one.Role) jsontree.Value {
	info := jsontree.Obj(
		jsontree.F("ID", text(v.ID)), jsontree.F("UID", text(v.UID)), jsontree.F("GID", text(v.GID)),
		jsontree.F("UNAME", jsontree.Str(v.UName)), jsontree.F("GNAME", jsontree.Str(v.GName)), jsontree.F("NAME", jsontree.Str(v.Name)),
	)
	out := []jsontree.Field{jsontree.F("deploy_id", jsontree.Int(v.ID)), jsontree.F("vm_info", jsontree.Obj(jsontree.F("VM", info)))}
	scaling := role.State == one.RoleScaling || role.State == one.RoleFailedScaling
	switch {
	case slices.Contains(role.Leaving, v.ID):
		out = append(out, jsontree.F("disposed", jsontree.Str("1")))
	case scaling && role.ScaleWay == 0 && v.ID > role.NewAfter:
		out = append(out, jsontree.F("scale_up", jsontree.Str("1")))
	}
	return jsontree.Obj(out...)
}

// text is a number as the core shows it: a string.
func text[T ~int | ~int64](n T) jsontree.Value {
	return jsontree.Str(strconv.FormatInt(int64(n), 10))
}

// permissionNames are the members of PERMISSIONS, in the order of the bits.
var permissionNames = [...]string{"OWNER_U", "OWNER_M", "OWNER_A", "GROUP_U", "GROUP_M", "GROUP_A", "OTHER_U", "OTHER_M", "OTHER_A"}

// document returns a document with a body: every value of the core is a string.
func document(d *one.Document, body jsontree.Value) jsontree.Value {
	var perms []jsontree.Field
	for i, b := range d.Perms.Bits() {
		perms = append(perms, jsontree.F(permissionNames[i], text(b)))
	}
	out := []jsontree.Field{
		jsontree.F("ID", text(d.ID)), jsontree.F("UID", text(d.UID)), jsontree.F("GID", text(d.GID)),
		jsontree.F("UNAME", jsontree.Str(d.UName)), jsontree.F("GNAME", jsontree.Str(d.GName)), jsontree.F("NAME", jsontree.Str(d.Name)),
		jsontree.F("TYPE", text(d.Type)), jsontree.F("PERMISSIONS", jsontree.Obj(perms...)),
	}
	if l := d.Lock; l.Level != one.Unlocked {
		out = append(out, jsontree.F("LOCK", jsontree.Obj(
			jsontree.F("LOCKED", text(int(l.Level))), jsontree.F("OWNER", text(l.Owner)), jsontree.F("TIME", text(l.Time)), jsontree.F("REQ_ID", text(l.ReqID)))))
	}
	t := jsontree.Obj()
	if body.Kind != jsontree.Null {
		t = t.With("BODY", body)
	}
	for _, a := range d.Template.Without("BODY").All() {
		t = addAttribute(t, a)
	}
	return jsontree.Obj(append(out, jsontree.F("TEMPLATE", t))...)
}

// addAttribute adds an attribute of the core's to a template: what is repeated
// becomes an array.
func addAttribute(t jsontree.Value, a tmpl.Attr) jsontree.Value {
	v := jsontree.Str(a.Value)
	if a.IsVector() {
		v = jsontree.Obj()
		for _, p := range a.Vector {
			v = v.With(p.Name, jsontree.Str(p.Value))
		}
	}
	old, had := t.Lookup(a.Name)
	switch {
	case had && old.Kind == jsontree.Array:
		v = jsontree.List(append(old.Items[:len(old.Items):len(old.Items)], v)...)
	case had:
		v = jsontree.List(old, v)
	}
	return t.With(a.Name, v)
}

// storedBody returns the BODY attribute of a document: the tree of its JSON, a
// string if it is none, null if there is no such attribute.
func storedBody(d *one.Document) jsontree.Value {
	s, ok := d.Template.Lookup("BODY")
	if !ok {
		return jsontree.Value{}
	}
	v, err := jsontree.Parse([]byte(s))
	if err != nil {
		return jsontree.Str(s)
	}
	return v
}
