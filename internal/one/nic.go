package one

import (
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// nicNames are the attributes that hold NICs: aliases are addresses of NICs, and
// share their ids.
var nicNames = [...]string{"NIC", "NIC_ALIAS"}

// NIC returns the NIC of an id, or the alias, in the template of a VM or router.
func NIC(t *tmpl.Template, id int) (nic tmpl.Vector, alias, ok bool) {
	for _, name := range nicNames {
		for _, v := range t.Vectors(name) {
			if v.Get("NIC_ID") == strconv.Itoa(id) {
				return v, name == "NIC_ALIAS", true
			}
		}
	}
	return nil, false, false
}

// NextNIC returns the id of the next NIC of a VM or router.
func NextNIC(t *tmpl.Template) int {
	next := 0
	for _, name := range nicNames {
		for _, v := range t.Vectors(name) {
			if id, err := strconv.Atoi(v.Get("NIC_ID")); err == nil && id >= next {
				next = id + 1
			}
		}
	}
	return next
}

// EditNICs returns the template with each NIC and alias as f returns it; nil
// removes it.
func EditNICs(t *tmpl.Template, f func(nic tmpl.Vector) tmpl.Vector) *tmpl.Template {
	for _, name := range nicNames {
		t = editVectors(t, name, f)
	}
	return t
}

// editVectors returns the template with each vector of a name as f returns it; nil
// removes it.
func editVectors(t *tmpl.Template, name string, f func(tmpl.Vector) tmpl.Vector) *tmpl.Template {
	all := t.Vectors(name)
	left := make([]tmpl.Vector, 0, len(all))
	changed := false
	for _, v := range all {
		n := f(v)
		changed = changed || !n.Equal(v)
		if n != nil {
			left = append(left, n)
		}
	}
	if !changed {
		return t
	}
	return t.WithVectors(name, left)
}

// WithNIC returns the template with the NIC or alias of nic's id replaced by nic.
func WithNIC(t *tmpl.Template, nic tmpl.Vector) *tmpl.Template {
	return EditNICs(t, func(v tmpl.Vector) tmpl.Vector {
		if v.Get("NIC_ID") == nic.Get("NIC_ID") {
			return nic
		}
		return v
	})
}

// WithoutNIC returns the template without the alias of an id, or without the NIC
// and its aliases; gone are those that were removed.
func WithoutNIC(t *tmpl.Template, id int) (left *tmpl.Template, gone []tmpl.Vector) {
	key := strconv.Itoa(id)
	parent := ""
	left = EditNICs(t, func(v tmpl.Vector) tmpl.Vector {
		if v.Get("NIC_ID") != key && v.Get("PARENT_ID") != key {
			return v
		}
		if v.Get("NIC_ID") == key {
			parent = v.Get("PARENT_ID")
		}
		gone = append(gone, v)
		return nil
	})
	if parent == "" {
		return left, gone
	}
	return EditNICs(left, func(v tmpl.Vector) tmpl.Vector {
		if v.Get("NIC_ID") != parent {
			return v
		}
		var ids []string
		for s := range strings.SplitSeq(v.Get("ALIAS_IDS"), ",") {
			if s != key && s != "" {
				ids = append(ids, s)
			}
		}
		if len(ids) == 0 {
			return v.Without("ALIAS_IDS")
		}
		return v.With("ALIAS_IDS", strings.Join(ids, ","))
	}), gone
}

// Leased tells whether a NIC of a VM has an address of its network: all have but
// those of routers' VMs of which only the router's floating address counts.
func Leased(nic tmpl.Vector) bool {
	return nic.Has("NETWORK_ID") && (nic.Has("AR_ID") || !nic.Bool("FLOATING_ONLY"))
}

// Usage returns what a virtual router counts for in the quotas of its owner: its
// floating addresses. Source: identity reference §10.4.
func (r *VRouter) Usage() Usage {
	u := Usage{Networks: map[int]NetworkQuota{}}
	for _, n := range r.Template.Vectors("NIC") {
		if id, err := strconv.Atoi(n.Get("NETWORK_ID")); err == nil && n.Bool("FLOATING_IP") {
			q := u.Networks[id]
			q.Leases++
			u.Networks[id] = q
		}
	}
	return u
}
