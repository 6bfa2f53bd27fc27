// Package spec knows what a service template may say: its schema with the
// coercions and the wording of the original's refusals, the conversion of
// templates written for releases up to 6.10, the merge at instantiation, user
// inputs and networks, and the typed form that the controller works on.
//
// It is pure: JSON trees in, JSON trees and errors out.
// Source: OneFlow reference §2.
package spec

import (
	"github.com/trifid-cloud/trifid/internal/expr"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
)

// Bounds of a service, beyond those of the reference.
const (
	MaxBytes       = 256 << 10 // of the template as JSON: the store writes it as one value
	MaxRoles       = 1000
	MaxPolicies    = 100 // of a role, of either kind
	MaxCardinality = 100_000
)

// Kinds of role.
const (
	TypeVM = "vm"
	TypeVR = "vr"
)

// Spec is a service template in typed form.
type Spec struct {
	Tree           jsontree.Value
	Straight       bool // deployment straight
	Gate           bool // ready_status_gate
	AutoDelete     bool
	Hold           bool
	ShutdownAction string // "" when not given
	Networks       []Network
	Roles          []Role
	index          map[string]int // of roles by name
}

// Role is one role of a Spec.
type Role struct {
	Tree           jsontree.Value
	Name           string
	Type           string
	TemplateID     int
	Cardinality    int // as the template has it
	Parents        []string
	Min, Max       int // -1 when not given
	Cooldown       int // seconds, -1 when not given
	Hold           bool
	ShutdownAction string         // the role's own, else the service's, else ""
	Contents       jsontree.Value // template_contents
	Policies       []Policy
	Scheduled      []Policy
}

// Types of adjustment.
const (
	Change           = "CHANGE"
	Cardinality      = "CARDINALITY"
	PercentageChange = "PERCENTAGE_CHANGE"
)

// Policy is an elasticity policy or a scheduled one.
type Policy struct {
	Type         string
	Adjust       int
	MinStep      int // 0 when not given
	Cooldown     int // seconds, -1 when not given
	Expression   string
	PeriodNumber int
	Period       int    // seconds
	StartTime    string // of a scheduled policy, either of the two
	Recurrence   string
}

// Modes of a network of a service.
const (
	NetExisting = "id"
	NetTemplate = "template_id"
	NetReserve  = "reserve_from"
)

// Network is one entry of networks_values.
type Network struct {
	Name  string
	Mode  string
	From  int // id of the network template, or of the network to reserve from
	Extra string
	ID    int // -1 while it does not exist
}

// Role returns a role by name.
func (s *Spec) Role(name string) (*Role, bool) {
	i, ok := s.index[name]
	if !ok {
		return nil, false
	}
	return &s.Roles[i], true
}

// Index returns where a role stands in Roles, -1 for nowhere.
func (s *Spec) Index(name string) int {
	if i, ok := s.index[name]; ok {
		return i
	}
	return -1
}

// Read returns the typed form of a template that Validate has passed.
func Read(tree jsontree.Value) (*Spec, error) {
	if tree.Kind != jsontree.Object {
		return nil, refuse("a service template is expected to be a JSON object").at(tree, "an object")
	}
	s := &Spec{
		Tree: tree, Straight: tree.Get("deployment").Text == "straight", Gate: tree.Get("ready_status_gate").True,
		AutoDelete: tree.Get("automatic_deletion").True, Hold: tree.Get("on_hold").True, ShutdownAction: tree.Get("shutdown_action").Text,
	}
	for i, entry := range tree.Get("networks_values").Items {
		for _, f := range entry.Fields {
			n, err := readNetwork(f.Name, f.Value)
			if err != nil {
				return nil, in(tree, in(entry, in(entry, err, f.Name), i), "networks_values")
			}
			s.Networks = append(s.Networks, n)
		}
	}
	roles := tree.Get("roles").Items
	s.Roles, s.index = make([]Role, len(roles)), make(map[string]int, len(roles))
	for i := len(roles) - 1; i >= 0; i-- { // of two with one name the first counts
		s.Roles[i] = readRole(roles[i], s)
		s.index[s.Roles[i].Name] = i
	}
	s.inheritHold()
	return s, nil
}

func readNetwork(name string, v jsontree.Value) (Network, error) {
	n := Network{Name: name, From: -1, ID: -1, Extra: v.Get("extra").Text}
	if id, ok := integer(v.Get("id")); ok {
		n.ID, n.Mode = id, NetExisting
	}
	for _, mode := range []string{NetTemplate, NetReserve} {
		if v.Has(mode) {
			from, ok := integer(v.Get(mode))
			if !ok {
				err := refuse("networks_values: %s of network '%s' must be an Integer", mode, name).at(v.Get(mode), "an id")
				return n, in(v, err, mode)
			}
			n.Mode, n.From = mode, from
		}
	}
	if n.Mode == "" {
		return n, refuse("networks_values: network '%s' must have one of id, template_id and reserve_from", name).
			at(v, "a member id, template_id or reserve_from")
	}
	return n, nil
}

func readRole(t jsontree.Value, s *Spec) Role {
	r := Role{
		Tree: t, Name: t.Get("name").Text, Type: t.Get("type").Text, TemplateID: intOr(t.Get("template_id"), -1),
		Cardinality: intOr(t.Get("cardinality"), 0), Min: intOr(t.Get("min_vms"), -1), Max: intOr(t.Get("max_vms"), -1),
		Cooldown: intOr(t.Get("cooldown"), -1), Hold: t.Get("on_hold").True || s.Hold,
		ShutdownAction: t.Get("shutdown_action").Text, Contents: t.Get("template_contents"),
	}
	if r.ShutdownAction == "" {
		r.ShutdownAction = s.ShutdownAction
	}
	for _, p := range t.Get("parents").Items {
		r.Parents = append(r.Parents, p.Text)
	}
	for _, p := range t.Get("elasticity_policies").Items {
		r.Policies = append(r.Policies, readPolicy(p))
	}
	for _, p := range t.Get("scheduled_policies").Items {
		r.Scheduled = append(r.Scheduled, readPolicy(p))
	}
	return r
}

func readPolicy(t jsontree.Value) Policy {
	return Policy{
		Type: t.Get("type").Text, Adjust: intOr(t.Get("adjust"), 0), MinStep: intOr(t.Get("min_adjust_step"), 0),
		Cooldown: intOr(t.Get("cooldown"), -1), Expression: t.Get("expression").Text,
		PeriodNumber: intOr(t.Get("period_number"), 0), Period: intOr(t.Get("period"), 0),
		StartTime: t.Get("start_time").Text, Recurrence: t.Get("recurrence").Text,
	}
}

// Looks returns for each elasticity policy of a role the attributes it looks at.
func (r *Role) Looks() [][]string {
	out := make([][]string, len(r.Policies))
	for i, p := range r.Policies {
		if e, err := expr.ParseElasticity(p.Expression); err == nil {
			out[i] = e.Names()
		}
	}
	return out
}

func intOr(v jsontree.Value, other int) int {
	if n, ok := integer(v); ok {
		return n
	}
	return other
}

// inheritHold marks the roles that are on hold because a parent is.
// Source: OneFlow reference §3.7.
func (s *Spec) inheritHold() {
	children := map[string][]int{}
	var held []int // whose children are not marked yet
	for i := range s.Roles {
		for _, p := range s.Roles[i].Parents {
			children[p] = append(children[p], i)
		}
		if s.Roles[i].Hold {
			held = append(held, i)
		}
	}
	for len(held) > 0 {
		name := s.Roles[held[0]].Name
		held = held[1:]
		for _, c := range children[name] {
			if r := &s.Roles[c]; !r.Hold {
				r.Hold = true
				held = append(held, c)
			}
		}
	}
}

// WithRoles returns the tree of a service with other roles.
func WithRoles(tree jsontree.Value, roles []jsontree.Value) jsontree.Value {
	return tree.With("roles", jsontree.List(roles...).PlacedAs(tree.Get("roles")))
}
