package cloud

import (
	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// rightOn returns the object of an id if the caller has a right on it.
func rightOn[V any](c *Cloud, st *store.State, who auth.Caller, t *store.Table[int, V], kind one.Kind, id int, r one.Right, on func(V) auth.Target) (V, error) {
	v, ok := t.Get(id)
	if !ok {
		return v, errs.NotFound(kind, id)
	}
	return v, c.allow(st, who, on(v), r)
}

func (c *Cloud) hostFor(st *store.State, who auth.Caller, id int, r one.Right) (*one.Host, error) {
	return rightOn(c, st, who, &st.Hosts, one.KindHost, id, r, hostTarget)
}

func (c *Cloud) clusterFor(st *store.State, who auth.Caller, id int, r one.Right) (*one.Cluster, error) {
	return rightOn(c, st, who, &st.Clusters, one.KindCluster, id, r, func(*one.Cluster) auth.Target { return clusterTarget(id) })
}

func (c *Cloud) zoneFor(st *store.State, who auth.Caller, id int, r one.Right) (*one.Zone, error) {
	return rightOn(c, st, who, &st.Zones, one.KindZone, id, r, func(*one.Zone) auth.Target { return zoneTarget(id) })
}

func (c *Cloud) vdcFor(st *store.State, who auth.Caller, id int, r one.Right) (*one.VDC, error) {
	return rightOn(c, st, who, &st.VDCs, one.KindVDC, id, r, func(*one.VDC) auth.Target { return vdcTarget(id) })
}

func (c *Cloud) groupFor(st *store.State, who auth.Caller, id int, r one.Right) (*one.Group, error) {
	return rightOn(c, st, who, &st.Groups, one.KindGroup, id, r, func(*one.Group) auth.Target { return groupTarget(id) })
}

func (c *Cloud) userFor(st *store.State, who auth.Caller, id int, r one.Right) (*one.User, error) {
	return rightOn(c, st, who, &st.Users, one.KindUser, id, r, userTarget)
}
