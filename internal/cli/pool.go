package cli

import (
	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// pool is where the objects of a noun are listed.
type pool struct {
	rname  string // how messages name one object
	object string // one.<object>.info
	list   string // one.<list>
	elem   string // element of one object
	style  poolStyle
}

// poolStyle tells the parameters of a pool's method. Source: XML-RPC reference
// §4.5 and §11.
type poolStyle int

const (
	poolWhole  poolStyle = iota // none
	poolRange                   // filter, start, end
	poolPaged                   // the same, asked for page by page with a surplus -1
	poolVMs                     // paged, with the state
	poolDirect                  // OneFlow's
)

var (
	vmPool        = pool{"VM", "vm", "vmpool.info", "VM", poolVMs}
	templatePool  = pool{"VMTEMPLATE", "template", "templatepool.info", "VMTEMPLATE", poolPaged}
	imagePool     = pool{"IMAGE", "image", "imagepool.info", "IMAGE", poolPaged}
	vnetPool      = pool{"VNET", "vn", "vnpool.info", "VNET", poolPaged}
	vntPool       = pool{"VNTEMPLATE", "vntemplate", "vntemplatepool.info", "VNTEMPLATE", poolRange}
	vrouterPool   = pool{"VROUTER", "vrouter", "vrouterpool.info", "VROUTER", poolRange}
	secgroupPool  = pool{"SECURITY_GROUP", "secgroup", "secgrouppool.info", "SECURITY_GROUP", poolPaged}
	hostPool      = pool{"HOST", "host", "hostpool.info", "HOST", poolWhole}
	clusterPool   = pool{"CLUSTER", "cluster", "clusterpool.info", "CLUSTER", poolWhole}
	datastorePool = pool{"DATASTORE", "datastore", "datastorepool.info", "DATASTORE", poolWhole}
	userPool      = pool{"USER", "user", "userpool.info", "USER", poolWhole}
	groupPool     = pool{"GROUP", "group", "grouppool.info", "GROUP", poolWhole}
	zonePool      = pool{"ZONE", "zone", "zonepool.info", "ZONE", poolWhole}
	vdcPool       = pool{"VDC", "vdc", "vdcpool.info", "VDC", poolWhole}
	aclPool       = pool{"ACL", "acl", "acl.info", "ACL", poolWhole}
)

// fetch lists a pool. State is for VMs only: -1 any but DONE, -2 any.
func (c *call) fetch(p *pool, filter, state int) (*doc.Node, error) {
	s, err := c.core()
	if err != nil {
		return nil, err
	}
	switch p.style {
	case poolVMs:
		method := p.list
		if c.flag("extended") {
			method = "vmpool.infoextended"
		}
		args := []any{state}
		if c.has("search") {
			args = append(args, c.str("search"))
		}
		return s.Page(c.ctx, method, filter, args...)
	case poolPaged:
		return s.Page(c.ctx, p.list, filter, -1)
	case poolRange:
		return s.Doc(c.ctx, p.list, filter, -1, -1)
	}
	return s.Doc(c.ctx, p.list)
}

// names returns the ids of a pool's objects by name, of all the user may see.
func (c *call) names(p *pool) (map[string][]int, error) {
	if ids, ok := c.known[p.rname]; ok {
		return ids, nil
	}
	ids := map[string][]int{}
	if p.style == poolDirect {
		docs, err := c.documents(p)
		if err != nil {
			return nil, err
		}
		for _, d := range docs {
			ids[d.Name] = append(ids[d.Name], d.id())
		}
	} else {
		all, err := c.fetch(p, client.All, -1)
		if err != nil {
			return nil, err
		}
		for _, n := range all.All(p.elem) {
			ids[n.Get("NAME")] = append(ids[n.Get("NAME")], int(n.Int("ID")))
		}
	}
	if c.known == nil {
		c.known = map[string]map[string][]int{}
	}
	c.known[p.rname] = ids
	return ids, nil
}

// filter reads whose objects to list: a letter, a user's id or name.
func (c *call) filter(s string) (int, error) {
	switch s {
	case "a", "all":
		return client.All, nil
	case "m", "mine":
		return client.Mine, nil
	case "g", "group":
		return client.MineAndGroup, nil
	case "G", "primary group":
		return client.PrimaryGroup, nil
	}
	return c.id(&userPool, s)
}
