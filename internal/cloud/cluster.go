package cloud

import (
	"context"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// AllocateCluster creates a cluster. Source: XML-RPC reference §7.5.
func (c *Cloud) AllocateCluster(ctx context.Context, who auth.Caller, name string) (int, error) {
	id := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		if err := c.allowCreate(&tx.State, who, one.KindCluster); err != nil {
			return err
		}
		name, err := checkedName(name)
		if err != nil {
			return err
		}
		if err := nameTaken(&tx.ClusterNames, "CLUSTER", name); err != nil {
			return err
		}
		id = tx.NextID("cluster", one.FirstCustomID)
		tx.PutCluster(&one.Cluster{ID: id, Name: name, Template: tmpl.New(tmpl.Single("RESERVED_CPU", ""), tmpl.Single("RESERVED_MEM", ""))})
		return nil
	})
	return id, err
}

// ClusterInfo returns a cluster the caller may use, and the state it was read from.
func (c *Cloud) ClusterInfo(who auth.Caller, id int) (*View, *one.Cluster, error) {
	st := c.store.View()
	cl, err := c.clusterFor(st, who, id, one.Use)
	return st, cl, err
}

// UpdateCluster replaces (0) or merges (1) a cluster's template; what it reserves
// counts at once on hosts without values of their own.
func (c *Cloud) UpdateCluster(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		cl, err := c.clusterFor(&tx.State, who, id, one.Manage)
		if err != nil {
			return err
		}
		body, err := c.mergeUpdate(who, one.KindCluster, nil, cl.Template, change, appendMode)
		if err != nil {
			return err
		}
		n := *cl
		n.Template = body
		tx.PutCluster(&n)
		for _, h := range tx.ClusterHosts.List(id) {
			if x, ok := tx.Hosts.Get(h); ok {
				tx.PutHost(withReserved(&tx.State, x))
			}
		}
		return nil
	})
}

// RenameCluster gives a cluster another name.
func (c *Cloud) RenameCluster(ctx context.Context, who auth.Caller, id int, name string) error {
	return c.update(ctx, func(tx *store.Tx) error {
		cl, err := c.clusterFor(&tx.State, who, id, one.Manage)
		if err != nil {
			return err
		}
		if err := renamed(&tx.ClusterNames, one.KindCluster, id, cl.Name, name); err != nil {
			return err
		}
		n := *cl
		n.Name = name
		tx.PutCluster(&n)
		return nil
	})
}

// DeleteCluster removes an empty cluster that is not a system one.
func (c *Cloud) DeleteCluster(ctx context.Context, who auth.Caller, id int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		if _, err := c.clusterFor(&tx.State, who, id, one.Admin); err != nil {
			return err
		}
		refuse := func(format string, args ...any) error {
			return errs.New(errs.Action, "Cannot delete cluster. "+format, args...).About(id)
		}
		if id < one.FirstCustomID {
			return refuse("System Clusters (ID < 100) cannot be deleted.")
		}
		for _, m := range []struct {
			index *store.Index
			what  string
		}{{&tx.ClusterHosts, "hosts"}, {&tx.ClusterDatastores, "datastores"}, {&tx.ClusterVNets, "vnets"}} {
			if n := len(m.index.List(id)); n > 0 {
				return refuse("Cluster %d is not empty, it contains %d %s.", id, n, m.what)
			}
		}
		tx.DeleteCluster(id)
		want := one.ACLCluster | uint64(uint32(id))
		c.dropRules(tx, func(r *one.ACLRule) bool {
			return r.Resource&one.ACLCluster != 0 && r.Resource&(one.ACLCluster|0xffffffff) == want
		})
		c.dropRulesOf(tx, one.KindCluster, id)
		return nil
	})
}

// SetHostCluster moves a host into a cluster (in), or back to the default one.
func (c *Cloud) SetHostCluster(ctx context.Context, who auth.Caller, cluster, host int, in bool) error {
	return c.update(ctx, func(tx *store.Tx) error {
		if _, ok := tx.Clusters.Get(cluster); !ok {
			return errs.NotFound(one.KindCluster, cluster)
		}
		h, ok := tx.Hosts.Get(host)
		if !ok {
			return errs.NotFound(one.KindHost, host)
		}
		if err := c.allowAll(&tx.State, who, ask{clusterTarget(cluster), one.Admin}, ask{hostTarget(h), one.Admin}); err != nil {
			return err
		}
		n := *h
		n.ClusterID = cluster
		if !in {
			if h.ClusterID != cluster {
				return errs.New(errs.Internal, "Host %d is not in cluster %d", host, cluster).About(host)
			}
			n.ClusterID = one.DefaultCluster
		}
		tx.PutHost(withReserved(&tx.State, &n))
		return nil
	})
}

// SetDatastoreCluster puts a datastore into a cluster (in) or takes it out.
func (c *Cloud) SetDatastoreCluster(ctx context.Context, who auth.Caller, cluster, ds int, in bool) error {
	return c.setMember(ctx, who, cluster, one.KindDatastore, ds, in)
}

// SetVNetCluster puts a network into a cluster (in) or takes it out.
func (c *Cloud) SetVNetCluster(ctx context.Context, who auth.Caller, cluster, net int, in bool) error {
	return c.setMember(ctx, who, cluster, one.KindNet, net, in)
}

func (c *Cloud) setMember(ctx context.Context, who auth.Caller, cluster int, kind one.Kind, id int, in bool) error {
	return c.update(ctx, func(tx *store.Tx) error {
		if _, ok := tx.Clusters.Get(cluster); !ok {
			return errs.NotFound(one.KindCluster, cluster)
		}
		o, err := get(&tx.State, kind, id)
		if err != nil {
			return err
		}
		if err := c.allowAll(&tx.State, who, ask{clusterTarget(cluster), one.Admin}, ask{target(o), one.Admin}); err != nil {
			return err
		}
		change := removeInt
		if in {
			change = insertInt
		}
		switch o := o.(type) {
		case *one.Datastore:
			n := *o
			n.ClusterIDs = change(o.ClusterIDs, cluster)
			tx.PutDatastore(&n)
		case *one.VNet:
			n := *o
			n.ClusterIDs = change(o.ClusterIDs, cluster)
			tx.PutVNet(&n)
		}
		return nil
	})
}
