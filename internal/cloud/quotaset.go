package cloud

import (
	"context"
	"maps"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// SetUserQuota sets limits of a user. Source: identity reference §10.2.
func (c *Cloud) SetUserQuota(ctx context.Context, who auth.Caller, id int, t *tmpl.Template) error {
	return c.changeUser(ctx, who, id, one.Admin, func(_ *store.Tx, n *one.User) (err error) {
		if id == one.OneadminID {
			return errs.New(errs.Action, "Cannot set quotas for oneadmin user").About(id)
		}
		n.Quotas, err = setQuotas(n.Quotas, t, one.QuotaDefault)
		return err
	})
}

// SetGroupQuota sets limits of a group.
func (c *Cloud) SetGroupQuota(ctx context.Context, who auth.Caller, id int, t *tmpl.Template) error {
	return c.changeGroup(ctx, who, id, one.Admin, func(_ *store.Tx, n *one.Group) (err error) {
		if id == one.OneadminID {
			return errs.New(errs.Action, "Cannot set quotas for oneadmin group").About(id)
		}
		n.Quotas, err = setQuotas(n.Quotas, t, one.QuotaDefault)
		return err
	})
}

// SetDefaultQuota sets the default limits of "user" or "group" and returns the
// state they stand in.
func (c *Cloud) SetDefaultQuota(ctx context.Context, who auth.Caller, of string, t *tmpl.Template) (*View, error) {
	if !who.PrimaryAdmin() {
		return nil, errs.Denied(who.UID, "The default quotas can only be updated by users in the oneadmin group")
	}
	err := c.update(ctx, func(tx *store.Tx) error {
		var q one.Quotas
		if old := tx.Quotas.At(of); old != nil {
			q = *old
		}
		q, err := setQuotas(q, t, one.QuotaUnlimited)
		if err != nil {
			return err
		}
		tx.PutQuotas(of, &q)
		return nil
	})
	return c.store.View(), err
}

// setQuotas returns the limits with those entries replaced that the template has;
// a metric that an entry leaves out becomes absent.
func setQuotas(q one.Quotas, t *tmpl.Template, absent float64) (one.Quotas, error) {
	q.Datastores, q.Networks, q.Images = maps.Clone(q.Datastores), maps.Clone(q.Networks), maps.Clone(q.Images)
	for _, v := range t.Vectors("DATASTORE") {
		id, ls, err := keyedLimits("DATASTORE", v, absent, "IMAGES", "SIZE")
		if err != nil {
			return q, err
		}
		q.Datastores = setLimit(q.Datastores, id, one.DatastoreQuota{Images: ls[0], Size: ls[1]}, one.DatastoreQuota{Images: absent, Size: absent})
	}
	for _, v := range t.Vectors("NETWORK") {
		id, ls, err := keyedLimits("NETWORK", v, absent, "LEASES")
		if err != nil {
			return q, err
		}
		q.Networks = setLimit(q.Networks, id, one.NetworkQuota{Leases: ls[0]}, one.NetworkQuota{Leases: absent})
	}
	for _, v := range t.Vectors("IMAGE") {
		id, ls, err := keyedLimits("IMAGE", v, absent, "RVMS")
		if err != nil {
			return q, err
		}
		q.Images = setLimit(q.Images, id, one.ImageQuota{RVMs: ls[0]}, one.ImageQuota{RVMs: absent})
	}
	for _, v := range t.Vectors("VM") {
		var names []string
		for _, m := range vmMetrics {
			names = append(names, m.name)
		}
		ls, err := limits("VM", v, absent, names...)
		if err != nil {
			return q, err
		}
		n := one.VMQuota{
			VMs: ls[0], RunningVMs: ls[1], CPU: ls[2], RunningCPU: ls[3], Memory: ls[4], RunningMemory: ls[5], SystemDiskSize: ls[6],
		}
		q.VM = &n
		if n == (one.VMQuota{VMs: absent, RunningVMs: absent, CPU: absent, RunningCPU: absent, Memory: absent, RunningMemory: absent, SystemDiskSize: absent}) {
			q.VM = nil
		}
	}
	return q, nil
}

// setLimit sets an entry, or drops it when it limits nothing.
func setLimit[Q comparable](m map[int]Q, id int, q, none Q) map[int]Q {
	if q == none {
		delete(m, id)
		return m
	}
	if m == nil {
		m = map[int]Q{}
	}
	m[id] = q
	return m
}

func keyedLimits(section string, v tmpl.Vector, absent float64, metrics ...string) (int, []float64, error) {
	id, ok := atoi(v.Get("ID"))
	if !ok || id < 0 {
		return 0, nil, errs.New(errs.Internal, "String '%s' is not a valid ID", v.Get("ID"))
	}
	ls, err := limits(section, v, absent, metrics...)
	return id, ls, err
}

func limits(section string, v tmpl.Vector, absent float64, metrics ...string) ([]float64, error) {
	out := make([]float64, len(metrics))
	for i, m := range metrics {
		out[i] = absent
		s, ok := v.Lookup(m)
		if !ok || s == "" {
			continue
		}
		f, ok := tmpl.ParseNumber(s)
		if !ok || f < 0 && f != one.QuotaDefault && f != one.QuotaUnlimited || f == one.QuotaDefault && absent == one.QuotaUnlimited {
			return nil, errs.New(errs.Internal, "Negative limits or bad format in quota %s = [ %s ]", section, listed(v))
		}
		out[i] = f
	}
	return out, nil
}

// listed renders a vector in one line, for messages.
func listed(v tmpl.Vector) string {
	pairs := make([]string, len(v))
	for i, p := range v {
		pairs[i] = p.Name + "=" + p.Value
	}
	return strings.Join(pairs, ",")
}
