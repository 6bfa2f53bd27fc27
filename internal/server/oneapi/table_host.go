package oneapi

import (
	"context"
	"iter"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
)

// hostMethods are those of one.host. Source: XML-RPC reference §7.4.
func hostMethods() []method {
	const p, admin = "one.host", "ADMIN HOST"
	return []method{
		set(p+".allocate", "name s, im_mad s, vm_mad s, cluster i", "CREATE HOST + ADMIN CLUSTER", create(func(c *call) (int, error) {
			return c.cloud.AllocateHost(c.ctx, c.who, c.text(1), c.text(2), c.text(3), c.int(4))
		})),
		set(p+".status", "id i, status i", admin, change(func(c *call, id int) error {
			return c.cloud.SetHostStatus(c.ctx, c.who, id, c.int(2))
		})),
		get(p+".info", paramsInfo, "USE HOST", show(hostInfo)),
		updateOf(p, admin, func(c *call, id int) error { return c.cloud.UpdateHost(c.ctx, c.who, id, c.template(2), c.int(3)) }),
		set(p+".rename", paramsRename, admin, change(func(c *call, id int) error {
			return c.cloud.RenameHost(c.ctx, c.who, id, c.text(2))
		})),
		set(p+".delete", paramsID, admin, change(func(c *call, id int) error { return c.cloud.DeleteHost(c.ctx, c.who, id) })),
		get(p+".monitoring", paramsID, "USE HOST", show(func(c *call) ([]byte, error) {
			_, h, err := c.cloud.HostInfo(c.who, c.int(1))
			if err != nil {
				return nil, err
			}
			only := func(yield func(*one.Host) bool) { yield(h) }
			return onexml.AppendHostMonitoring(c.doc, c.hostSeries(only, -1)), nil
		})),
		// Trifid's own: a token with which the agent of another machine joins.
		set(p+".jointoken", "host s=\"\", seconds i=86400", "CREATE HOST", func(c *call) (answer, error) {
			token, err := c.cloud.NewJoinToken(c.ctx, c.who, c.text(1), time.Duration(c.int(2))*time.Second)
			return text([]byte(token)), err
		}),
		get("one.hostpool.info", "", "–", show(func(c *call) ([]byte, error) {
			st, rows := c.cloud.HostPool(c.who)
			return appendPool(c, "HOST_POOL", rows, c.docs(st).AppendHostListed), nil
		})),
		get("one.hostpool.monitoring", "seconds i=-1", "–", show(func(c *call) ([]byte, error) {
			_, rows := c.cloud.HostPool(c.who)
			return onexml.AppendHostMonitoring(c.doc, c.hostSeries(rows, c.int(1))), nil
		})),
	}
}

func hostInfo(c *call) ([]byte, error) {
	st, h, err := c.cloud.HostInfo(c.who, c.int(1))
	if err != nil {
		return nil, err
	}
	if c.bool(2) {
		clear := *h
		clear.Template = c.cloud.Clear(c.who, one.KindHost, h.Template)
		h = &clear
	}
	return c.docs(st).AppendHost(c.doc, h), nil
}

// hostSeries yields the samples of hosts; seconds are as of vmSeries.
func (c *call) hostSeries(hosts iter.Seq[*one.Host], seconds int) iter.Seq2[int, agentapi.HostSample] {
	return func(yield func(int, agentapi.HostSample) bool) {
		if c.monitor == nil {
			return
		}
		for h := range hosts {
			if seconds == 0 {
				if s, ok := c.monitor.Host(h.ID); ok && !yield(h.ID, s) {
					return
				}
				continue
			}
			for _, s := range c.monitor.HostSeries(h.ID, c.since(seconds)) {
				if !yield(h.ID, s) {
					return
				}
			}
		}
	}
}

// clusterMethods are those of one.cluster. Source: XML-RPC reference §7.5.
func clusterMethods() []method {
	const p = "one.cluster"
	rows := []method{
		set(p+".allocate", "name s", "CREATE CLUSTER", create(func(c *call) (int, error) {
			return c.cloud.AllocateCluster(c.ctx, c.who, c.text(1))
		})),
		get(p+".info", paramsInfo, "USE CLUSTER", show(func(c *call) ([]byte, error) {
			st, cl, err := c.cloud.ClusterInfo(c.who, c.int(1))
			if err != nil {
				return nil, err
			}
			return c.docs(st).AppendCluster(c.doc, cl), nil
		})),
		updateOf(p, "MANAGE CLUSTER", func(c *call, id int) error { return c.cloud.UpdateCluster(c.ctx, c.who, id, c.template(2), c.int(3)) }),
		set(p+".rename", paramsRename, "MANAGE CLUSTER", change(func(c *call, id int) error {
			return c.cloud.RenameCluster(c.ctx, c.who, id, c.text(2))
		})),
		set(p+".delete", paramsID, "ADMIN CLUSTER", change(func(c *call, id int) error { return c.cloud.DeleteCluster(c.ctx, c.who, id) })),
		get("one.clusterpool.info", "", "–", show(func(c *call) ([]byte, error) {
			st, all := c.cloud.ClusterPool(c.who)
			return appendPool(c, "CLUSTER_POOL", all, c.docs(st).AppendCluster), nil
		})),
	}
	for _, member := range []struct {
		word, right string
		put         func(*cloud.Cloud, context.Context, auth.Caller, int, int, bool) error
	}{
		{"host", "HOST", (*cloud.Cloud).SetHostCluster}, {"datastore", "DATASTORE", (*cloud.Cloud).SetDatastoreCluster}, {"vnet", "NET", (*cloud.Cloud).SetVNetCluster},
	} {
		for _, in := range []bool{true, false} {
			op := map[bool]string{true: ".add", false: ".del"}[in]
			rows = append(rows, set(p+op+member.word, "cluster i, "+member.word+" i", "ADMIN CLUSTER + ADMIN "+member.right, change(func(c *call, id int) error {
				return member.put(c.cloud, c.ctx, c.who, id, c.int(2), in)
			})))
		}
	}
	return rows
}
