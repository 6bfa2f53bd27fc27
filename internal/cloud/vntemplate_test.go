package cloud

import (
	"fmt"
	"slices"
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// withVNTemplate returns a world in which network template 0 says something else.
func withVNTemplate(t *testing.T, text string) *world {
	t.Helper()
	w := newWorld(t)
	w.do(func(tx *store.Tx) {
		n := *tx.VNTemplates.At(0)
		n.Template = parsed(text)
		tx.PutVNTemplate(&n)
	})
	return w
}

// TestVNTemplateInstantiate: what becomes of a template and what is laid over it.
// Source: XML-RPC reference §7.9.
func TestVNTemplateInstantiate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, template, name, extra string
		uid                         int
		want                        string // name, owner, group, clusters, addresses, template
	}{
		{
			"as it is", `VN_MAD=bridge DNS="10.0.0.1"`, "mine", "", member,
			`mine 3 1 [0] [] BRIDGE="onebr3" BRIDGE_TYPE="linux" DNS="10.0.0.1" SECURITY_GROUPS="0" TEMPLATE_ID="0" TEMPLATE_NAME="nets" VN_MAD="bridge"`,
		},
		{
			"by its default name", `VN_MAD=bridge`, "", "", owner,
			`nets-3 2 1 [0] [] BRIDGE="onebr3" BRIDGE_TYPE="linux" SECURITY_GROUPS="0" TEMPLATE_ID="0" TEMPLATE_NAME="nets" VN_MAD="bridge"`,
		},
		{
			"with more, names of which do not count", `VN_MAD=bridge DNS="10.0.0.1" TEMPLATE_ID=9`, "mine", "NAME=x TEMPLATE_ID=7 TEMPLATE_NAME=y DNS=\"\" COLOUR=red", owner,
			`mine 2 1 [0] [] BRIDGE="onebr3" BRIDGE_TYPE="linux" COLOUR="red" DNS="" SECURITY_GROUPS="0" TEMPLATE_ID="0" TEMPLATE_NAME="nets" VN_MAD="bridge"`,
		},
		{
			"with addresses in place of its own", `VN_MAD=bridge AR=[TYPE=IP4, IP=10.0.0.1, SIZE=9]`, "mine",
			"AR=[TYPE=IP4, IP=10.9.0.1, SIZE=2] AR=[TYPE=ETHER, SIZE=3]", member,
			`mine 3 1 [0] [IP4 10.9.0.1 2 ETHER invalid IP 3] BRIDGE="onebr3" BRIDGE_TYPE="linux" SECURITY_GROUPS="0" TEMPLATE_ID="0" TEMPLATE_NAME="nets" VN_MAD="bridge"`,
		},
		{
			"in its clusters, as far as they exist", `VN_MAD=bridge CLUSTER_IDS="100,7,0,100"`, "mine", `CLUSTER_IDS="100,7,0,100"`, member,
			`mine 3 1 [0 100] [] BRIDGE="onebr3" BRIDGE_TYPE="linux" CLUSTER_IDS="100,7,0,100" SECURITY_GROUPS="0" TEMPLATE_ID="0" TEMPLATE_NAME="nets" VN_MAD="bridge"`,
		},
		{
			"in the clusters of the template, whatever an administrator adds", `VN_MAD=bridge CLUSTER_IDS=0`, "mine", `CLUSTER_IDS=100 BRIDGE=br7`, one.OneadminID,
			`mine 0 0 [0] [] BRIDGE="br7" BRIDGE_TYPE="linux" CLUSTER_IDS="100" SECURITY_GROUPS="0" TEMPLATE_ID="0" TEMPLATE_NAME="nets" VN_MAD="bridge"`,
		},
		{
			"with a VLAN of its own", `VN_MAD="802.1Q" PHYDEV=eth0 AUTOMATIC_VLAN_ID=YES SECURITY_GROUPS="100"`, "mine", "", owner,
			`mine 2 1 [0] [] BRIDGE="onebr.5" BRIDGE_TYPE="linux" PHYDEV="eth0" SECURITY_GROUPS="0,100" TEMPLATE_ID="0" TEMPLATE_NAME="nets" VLAN_ID="5" VN_MAD="802.1Q"`,
		},
		{
			"for another", `VN_MAD=bridge`, "mine", `AS_UID=3 AS_GID=100`, one.OneadminID,
			`mine 3 100 [0] [] BRIDGE="onebr3" BRIDGE_TYPE="linux" SECURITY_GROUPS="0" TEMPLATE_ID="0" TEMPLATE_NAME="nets" VN_MAD="bridge"`,
		},
	} {
		w := withVNTemplate(t, c.template)
		id, err := w.InstantiateVNTemplate(w.ctx, w.as(c.uid), 0, c.name, parsed(c.extra))
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		n, _ := w.View().VNets.Get(id)
		ranges := []string{}
		for _, a := range n.ARs {
			ranges = append(ranges, fmt.Sprintf("%s %s %d", a.Type, a.IP, a.Size))
		}
		text := ""
		for _, a := range n.Template.All() {
			text += fmt.Sprintf(" %s=%q", a.Name, a.Value)
		}
		got := fmt.Sprintf("%s %d %d %v %v%s", n.Name, n.UID, n.GID, n.ClusterIDs, ranges, text)
		if got != c.want || n.State != one.VNetReady {
			t.Errorf("%s: %s\n got %s\nwant %s", c.what, n.State, got, c.want)
		}
		for _, cl := range n.ClusterIDs {
			if !slices.Contains(w.View().ClusterVNets.List(cl), id) {
				t.Errorf("%s: cluster %d does not have network %d", c.what, cl, id)
			}
		}
	}
}

// TestVNTemplateRefusals: what is not to be had leaves nothing behind.
// Source: XML-RPC reference §6.9 and §7.9.
func TestVNTemplateRefusals(t *testing.T) {
	t.Parallel()
	const alloc = "Error allocating a new virtual network template. "
	w := newWorld(t)
	w.grant(member, "CREATE VNTEMPLATE/*", "MANAGE VNTEMPLATE/#0")
	inst := func(extra string) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error {
			return second(w.InstantiateVNTemplate(w.ctx, who, 0, "new", parsed(extra)))
		}
	}
	update := func(text string, appendMode int) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error {
			return w.UpdateVNTemplate(w.ctx, who, 0, parsed(text), appendMode)
		}
	}
	var rows []refusal
	for text, attr := range map[string]string{
		"VN_MAD=bridge": "VN_MAD", "CLUSTER_IDS=0": "CLUSTER_IDS", "AR=[TYPE=IP4, SIZE=1, VLAN_ID=5]": "VLAN_ID", "EXTERNAL=YES": "EXTERNAL",
	} {
		rows = append(rows, refusal{"registered with " + text, member, func(w *world, who auth.Caller) error {
			return second(w.AllocateVNTemplate(w.ctx, who, parsed("NAME=new "+text)))
		}, errs.Authorization, "User [3] : VM Template includes a restricted attribute " + attr + "."})
	}
	for text, attr := range map[string]string{
		"VN_MAD=vxlan": "VN_MAD", "BRIDGE=br0": "BRIDGE", `CLUSTER_IDS="100"`: "CLUSTER_IDS", "AR=[TYPE=IP4, IP=10.0.0.1, SIZE=1, BRIDGE=br0]": "AR",
	} {
		rows = append(rows,
			refusal{"instantiated with " + text, member, inst(text), errs.Authorization, "User [3] : User Template includes a restricted attribute " + attr + "."},
			refusal{"merged with " + text, member, update(text, 1), errs.Internal, "Cannot update template. User Template includes a restricted attribute " + attr},
			refusal{"replaced by " + text, member, update(text, 0), errs.Internal, "Cannot update template. Tried to change restricted attribute: " + attr},
		)
	}
	rows = append(rows,
		refusal{"another update type", member, update("A=b", 2), errs.API, "Wrong update type"},
		refusal{"an address range of nothing", member, inst("AR=[TYPE=IP4, IP=10.0.0.1]"), errs.Allocate, alloc + "Wrong SIZE () for address range"},
		refusal{"another driver", 0, inst("VN_MAD=none"), errs.Allocate, alloc + `VN_MAD named "none" is not defined in oned.conf`},
		refusal{"no such user", 0, inst("AS_UID=x"), errs.Internal, `Wrong AS_UID "x": expected the id of a user`},
	)
	w.refuse(rows...)
	for text, want := range map[string]string{
		"DNS=10.0.0.1":                           "No VN_MAD in template for Virtual Network.",
		"VN_MAD=dummy":                           "BRIDGE is mandatory for driver dummy",
		`VN_MAD=bridge CLUSTER_IDS="7,8"`:        `CLUSTER_IDS "7,8" of the template: expected ids of clusters that exist`,
		`VN_MAD=bridge CLUSTER_IDS="everywhere"`: `CLUSTER_IDS "everywhere" of the template: expected ids of clusters that exist`,
	} {
		w := withVNTemplate(t, text)
		w.refuse(refusal{text, member, inst(""), errs.Allocate, alloc + want})
	}
}

// TestVNTemplateKeepsRestricted: replacing a template does not take away what only
// administrators may set, nor does cloning.
func TestVNTemplateKeepsRestricted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.grant(owner, "CREATE VNTEMPLATE/*")
	clone, err := w.CloneVNTemplate(w.ctx, w.as(owner), 0, "copy")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.UpdateVNTemplate(w.ctx, w.as(owner), clone, parsed("NAME=x DNS=10.0.0.9"), 0); err != nil {
		t.Fatal(err)
	}
	v, _ := w.View().VNTemplates.Get(clone)
	if got := v.Template; v.Name != "copy" || v.RegTime != worldTime.Unix() || got.Get("VN_MAD") != "bridge" || got.Get("CLUSTER_IDS") != "100,0,999" || got.Get("DNS") != "10.0.0.9" || got.Has("NAME") {
		t.Errorf("%s: %s", v.Name, got.Text())
	}
	// A network outlives its template, and rules of the template go with it.
	net, err := w.InstantiateVNTemplate(w.ctx, w.as(owner), clone, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	w.grant(stranger, "USE VNTEMPLATE/#"+itoa(clone))
	if err := w.DeleteVNTemplate(w.ctx, w.as(owner), clone); err != nil {
		t.Fatal(err)
	}
	if _, ok := w.View().VNets.Get(net); !ok {
		t.Error("the network went with its template")
	}
	for _, r := range w.View().ACLs.All() {
		if r.Resource == one.KindVNTemplate.ACLType()|one.ACLIndividual|uint64(clone) {
			t.Error("a rule of the template is left")
		}
	}
}
