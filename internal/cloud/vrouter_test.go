package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// routerRig is a cloud with a simulated host, the networks 0 and 1 (10.n.0.0/24, 8
// addresses each), the router template 0, and 1, which is none.
type routerRig struct {
	*rig.Rig
	t    *testing.T
	host int
	user auth.Caller
}

func newRouterRig(t *testing.T) *routerRig {
	t.Helper()
	r := &routerRig{Rig: rig.Start(t, storetest.New(t).Store), t: t}
	r.host = r.AddHost("sim0", sim.Config{})
	for i := range 2 {
		_, err := r.Cloud.AllocateVNet(r.Context(), r.Admin, template(t, fmt.Sprintf(
			"NAME=net%d\nVN_MAD=dummy\nBRIDGE=br%d\nNETWORK_MASK=255.255.255.0\nAR=[TYPE=IP4,IP=10.%d.0.2,SIZE=8]", i, i, i)), 0)
		r.must(err)
	}
	r.Do(func(tx *store.Tx) {
		tx.PutUser(&one.User{ID: 5, Name: "ana", GID: 1, GName: "users", Groups: []int{1}, AuthDriver: "core"})
	})
	r.user = auth.Caller{UID: 5, GID: 1, Name: "ana", GName: "users", Groups: []int{1}, Umask: 0o177}
	r.Template("NAME=router\nCPU=0.1\nMEMORY=16\nVROUTER=YES\nCONTEXT=[NETWORK=YES]\nNIC=[NETWORK_ID=9]")
	r.Template("NAME=plain\nCPU=0.1\nMEMORY=16")
	return r
}

func (r *routerRig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *routerRig) allocate(text string) int {
	r.t.Helper()
	id, err := r.Cloud.AllocateVRouter(r.Context(), r.Admin, template(r.t, text))
	r.must(err)
	return id
}

func (r *routerRig) instantiate(id, n, tm int, name string, hold bool) error {
	return r.Cloud.InstantiateVRouter(r.Context(), r.Admin, id, n, tm, name, hold, nil)
}

func (r *routerRig) router(id int) *one.VRouter {
	r.t.Helper()
	v, ok := r.Store.View().VRouters.Get(id)
	if !ok {
		r.t.Fatalf("no router %d", id)
	}
	return v
}

// vms returns the VMs of a router, which it waits for to run.
func (r *routerRig) vms(id, want int) []*one.VM {
	r.t.Helper()
	all := r.Store.View().VRouterVMs.List(id)
	if len(all) != want {
		r.t.Fatalf("router %d has VMs %v, want %d", id, all, want)
	}
	var out []*one.VM
	for _, vm := range all {
		out = append(out, r.WaitVM(vm, one.VMActive, one.LCMRunning))
	}
	return out
}

// leases returns who holds the addresses of the networks: "VROUTER 0 10.0.0.2", in
// order.
func (r *routerRig) leases() []string {
	st := r.Store.View()
	var out []string
	for _, l := range st.Leases.All() {
		n, _ := st.VNets.Get(l.Net)
		a, _ := n.AR(l.AR)
		kind := map[one.LeaseOwner]string{one.LeaseVM: "VM", one.LeaseVRouter: "VROUTER"}[l.Owner]
		out = append(out, fmt.Sprintf("%s %d %s", kind, l.OwnerID, a.IPAt(l.Index)))
	}
	return out
}

func wantAttrs(t *testing.T, what string, v tmpl.Vector, want map[string]string) {
	t.Helper()
	for k, s := range want {
		if got := v.Get(k); got != s {
			t.Errorf("%s: %s is %q, want %q", what, k, got, s)
		}
	}
}

// A router's life: two VMs behind a floating address, NICs that come and go, its end.
func TestVRouter(t *testing.T) {
	r := newRouterRig(t)
	id := r.allocate(`NAME=gw
KEEPALIVED_PASSWORD=pw
NIC=[NETWORK=net0,FLOATING_IP=YES,IP="10.0.0.5",VROUTER_MANAGEMENT=YES]
NIC=[NETWORK_ID=1,FLOATING_IP=YES,FLOATING_ONLY=YES]`)
	nics := r.router(id).Template.Vectors("NIC")
	wantAttrs(t, "router's NIC", nics[0], map[string]string{"NIC_ID": "0", "NETWORK": "net0", "NETWORK_ID": "0", "IP": "10.0.0.5", "MAC": "02:00:0a:00:00:05", "FLOATING_IP": "YES"})
	wantAttrs(t, "router's second NIC", nics[1], map[string]string{"NIC_ID": "1", "NETWORK": "net1", "IP": "10.1.0.2", "FLOATING_ONLY": "YES"})
	if got, want := r.leases(), []string{"VROUTER 0 10.0.0.5", "VROUTER 0 10.1.0.2"}; !slices.Equal(got, want) {
		t.Errorf("leases %q, want %q", got, want)
	}

	r.must(r.instantiate(id, 2, 0, "", false))
	vms := r.vms(id, 2)
	for i, v := range vms {
		if v.Name != fmt.Sprintf("vr-gw-%d", i) || v.UID != 0 || v.VRouterID != id {
			t.Errorf("VM %d is %q of user %d and router %d", v.ID, v.Name, v.UID, v.VRouterID)
		}
		first, second := v.Template.Vectors("NIC")[0], v.Template.Vectors("NIC")[1]
		wantAttrs(t, "VM's NIC", first, map[string]string{
			"IP": fmt.Sprintf("10.0.0.%d", 2+i), "VROUTER_IP": "10.0.0.5", "VROUTER_MAC": "02:00:0a:00:00:05", "VROUTER_MANAGEMENT": "YES", "NIC_ID": "0", "BRIDGE": "br0",
		})
		wantAttrs(t, "VM's second NIC", second, map[string]string{"IP": "", "AR_ID": "", "VROUTER_IP": "10.1.0.2", "VROUTER_MAC": "02:00:0a:01:00:02", "NIC_ID": "1", "BRIDGE": "br1"})
		if m, ok := one.ParseMAC(second.Get("MAC")); !ok || !strings.HasPrefix(second.Get("MAC"), "02:00:") || m.String() == "02:00:0a:01:00:02" {
			t.Errorf("MAC of a NIC without an address is %q", second.Get("MAC"))
		}
		wantAttrs(t, "context", v.Template.Vector("CONTEXT"), map[string]string{
			"VROUTER_ID": "0", "VROUTER_KEEPALIVED_ID": "1", "VROUTER_KEEPALIVED_PASSWORD": "pw", "ETH0_VROUTER_IP": "10.0.0.5",
			"ETH0_VROUTER_MANAGEMENT": "YES", "ETH0_IP": first.Get("IP"), "ETH1_IP": "", "ETH1_VROUTER_IP": "10.1.0.2", "ETH1_MAC": second.Get("MAC"),
			"ETH1_MASK": "255.255.255.0",
		})
	}
	if a, b := vms[0].Template.Vectors("NIC")[1].Get("MAC"), vms[1].Template.Vectors("NIC")[1].Get("MAC"); a == b {
		t.Errorf("two VMs have the MAC %s", a)
	}
	if r.router(id).Template.Get("TEMPLATE_ID") != "0" {
		t.Error("the router does not know the template")
	}
	if use := r.Store.View().UserUsage(0); use.Networks[0].Leases != 3 || use.Networks[1].Leases != 1 {
		t.Errorf("the quota counts %v", use.Networks)
	}

	// NIC 2 comes, NIC 1 goes, and the next VM has the same numbers.
	r.must(r.Cloud.AttachVRouterNIC(r.Context(), r.Admin, id, template(t, "NIC=[NETWORK_ID=1]")))
	for i, v := range r.vms(id, 2) {
		nic, _, _ := one.NIC(v.Template, 2)
		wantAttrs(t, "attached NIC", nic, map[string]string{"IP": fmt.Sprintf("10.1.0.%d", 3+i), "TARGET": fmt.Sprintf("one-%d-2", v.ID), "VROUTER_IP": ""})
		if macs, err := r.Sim(r.host).NICs(fmt.Sprintf("one-%d", v.ID)); err != nil || len(macs) != 3 {
			t.Errorf("the domain has %q (%v)", macs, err)
		}
	}
	r.must(r.Cloud.DetachVRouterNIC(r.Context(), r.Admin, id, 1))
	r.must(r.settle(id))
	r.must(r.instantiate(id, 1, -1, "more-%i", false))
	for _, v := range r.vms(id, 3) {
		if _, _, there := one.NIC(v.Template, 1); there || len(v.Template.Vectors("NIC")) != 2 || v.Template.Vector("CONTEXT").Has("ETH1_MAC") || v.Template.Vector("CONTEXT").Get("ETH2_IP") == "" {
			t.Errorf("VM %s has %s", v.Name, v.Template.Text())
		}
	}
	if got, want := r.leases(), []string{
		"VM 0 10.0.0.2", "VM 1 10.0.0.3", "VM 2 10.0.0.4", "VROUTER 0 10.0.0.5", "VM 0 10.1.0.3", "VM 1 10.1.0.4", "VM 2 10.1.0.5",
	}; !slices.Equal(got, want) {
		t.Errorf("leases %q, want %q", got, want)
	}

	r.must(r.Cloud.DeleteVRouter(r.Context(), r.Admin, id))
	for vm := range 3 {
		r.WaitVM(vm, one.VMDone, 0)
	}
	st := r.Store.View()
	if st.VRouters.Len() != 0 || st.Leases.Len() != 0 || st.UserNet.Len() != 0 || st.GroupNet.Len() != 0 {
		t.Errorf("left behind: %d routers, leases %q, %d sums", st.VRouters.Len(), r.leases(), st.UserNet.Len())
	}
}

// settle waits until all VMs of a router run.
func (r *routerRig) settle(id int) error {
	return r.TryWait(func(st *store.State) bool {
		for vm := range st.VRouterVMs.Of(id) {
			if v, ok := st.VMs.Get(vm); !ok || !v.Running() {
				return false
			}
		}
		return true
	})
}

// A VM that cannot take a NIC refuses it for the router and all its VMs; one whose
// host fails goes without.
func TestVRouterNICs(t *testing.T) {
	r := newRouterRig(t)
	id := r.allocate("NAME=gw\nKEEPALIVED_ID=77\nNIC=[NETWORK_ID=0,FLOATING_IP=YES]")
	r.must(r.instantiate(id, 1, 0, "a", false))
	v := r.vms(id, 1)[0]
	if got := v.Template.Get("VROUTER_KEEPALIVED_ID"); got != "77" {
		t.Errorf("VROUTER_KEEPALIVED_ID is %q", got)
	}
	r.must(r.instantiate(id, 1, 0, "b", true))
	held := r.WaitVM(1, one.VMHold, 0)
	before := r.leases()
	attach := func() error {
		return r.Cloud.AttachVRouterNIC(r.Context(), r.Admin, id, template(t, "NIC=[NETWORK_ID=1,FLOATING_IP=YES]"))
	}
	if err := attach(); errs.KindOf(err) != errs.Action || errs.Text(err) != "Could not add a new NIC to VM 1, wrong state HOLD." {
		t.Error(err)
	}
	if err := r.Cloud.DetachVRouterNIC(r.Context(), r.Admin, id, 0); errs.Text(err) != "Could not detach NIC from VM 1, wrong state HOLD." {
		t.Error(err)
	}
	if now := r.leases(); !slices.Equal(now, before) || len(r.router(id).Template.Vectors("NIC")) != 1 || !r.now(v).Running() {
		t.Errorf("a refused change has changed something: leases %q", now)
	}
	r.must(r.Cloud.VMAction(r.Context(), r.Admin, held.ID, "release"))
	r.vms(id, 2)

	r.Sim(r.host).SetBehaviour(sim.Behaviour{Before: func(_ context.Context, op sim.Op, domain string) error {
		if op == sim.OpAttachNIC && domain == "one-1" {
			return errors.New("no more slots")
		}
		return nil
	}})
	r.must(attach())
	r.must(r.settle(id))
	if _, _, there := one.NIC(r.now(held).Template, 1); there {
		t.Error("the VM has a NIC that its host could not attach")
	}
	if got := r.leases()[len(before):]; !slices.Equal(got, []string{"VROUTER 0 10.1.0.2", "VM 0 10.1.0.3"}) {
		t.Errorf("leases %q", got)
	}
	r.must(r.Cloud.DetachVRouterNIC(r.Context(), r.Admin, id, 1))
	r.must(r.settle(id))
	if now := r.leases(); !slices.Equal(now, before) {
		t.Errorf("leases %q, want %q", now, before)
	}
}

// now returns a VM as it is now.
func (r *routerRig) now(v *one.VM) *one.VM {
	n, _ := r.Store.View().VM(v.ID)
	return n
}

// Nothing of a call that is refused is left behind.
func TestVRouterRefusals(t *testing.T) {
	r := newRouterRig(t)
	id := r.allocate("NAME=gw\nNIC=[NETWORK_ID=0,FLOATING_IP=YES]")
	r.Do(func(tx *store.Tx) {
		u, _ := tx.Users.Get(5)
		n := *u
		n.Quotas.Networks = map[int]one.NetworkQuota{1: {Leases: 1}}
		tx.PutUser(&n)
		tx.PutACL(&one.ACLRule{
			ID: tx.NextID("acl", 0), User: one.ACLIndividual | 5, Resource: one.KindVRouter.ACLType() | one.ACLAll, Rights: uint64(one.Create), Zone: one.ACLAll,
		})
	})
	before := r.Store.View()
	allocate := func(who auth.Caller, text string) func() error {
		return func() error {
			_, err := r.Cloud.AllocateVRouter(r.Context(), who, template(t, text))
			return err
		}
	}
	attach := func(text string) func() error {
		return func() error { return r.Cloud.AttachVRouterNIC(r.Context(), r.Admin, id, template(t, text)) }
	}
	inst := func(n, tm int, name string) func() error {
		return func() error { return r.instantiate(id, n, tm, name, false) }
	}
	for name, c := range map[string]struct {
		call func() error
		kind errs.Kind
		want string
	}{
		"no name":         {allocate(r.Admin, "A=b"), errs.Internal, "Invalid NAME, it cannot be empty"},
		"auto":            {allocate(r.Admin, "NAME=x\nNIC=[NETWORK_MODE=auto]"), errs.Internal, "Virtual Router is incompatible with auto mode"},
		"no network":      {allocate(r.Admin, "NAME=x\nNIC=[NETWORK_ID=7,FLOATING_IP=YES]"), errs.Internal, "Virtual network with ID: 7 does not exist"},
		"taken":           {allocate(r.Admin, `NAME=x NIC=[NETWORK_ID=1,FLOATING_IP=YES] NIC=[NETWORK_ID=0,FLOATING_IP=YES,IP="10.0.0.2"]`), errs.Internal, "Cannot get IP/MAC lease from virtual network 0."},
		"restricted":      {allocate(r.user, `NAME=x NIC=[NETWORK_ID=1,MAC="02:00:00:00:00:01"]`), errs.Authorization, "User [5] : Template includes a restricted attribute MAC."},
		"no right":        {allocate(auth.Caller{UID: 6, GID: 9}, "NAME=x"), errs.Authorization, "User [6] : Not authorized to perform CREATE VROUTER."},
		"no right on net": {allocate(auth.Caller{UID: 5, GID: 9}, "NAME=x\nNIC=[NETWORK_ID=1]"), errs.Authorization, "User [5] : Not authorized to perform USE NET [1]."},
		"quota": {allocate(r.user, "NAME=x\nNIC=[NETWORK_ID=1,FLOATING_IP=YES]\nNIC=[NETWORK_ID=1,FLOATING_IP=YES]"), errs.Authorization,
			"User [5] : user [5] limit of 1 reached for LEASES quota in NETWORK with ID: 1."},
		"attach an alias": {attach("NIC_ALIAS=[NETWORK_ID=1,PARENT=NIC0]"), errs.Action, "Alias can't be attached to virtual router."},
		"attach auto":     {attach("NIC=[NETWORK_MODE=AUTO]"), errs.Action, "Virtual Router is incompatible with auto mode"},
		"attach nothing":  {attach("A=b"), errs.Action, "Wrong format or missing NIC attribute"},
		"attach of another": {func() error {
			return r.Cloud.AttachVRouterNIC(r.Context(), r.user, id, template(t, "NIC=[NETWORK_ID=1]"))
		}, errs.Authorization,
			"User [5] : Not authorized to perform MANAGE VROUTER [0]."},
		"detach nothing": {func() error { return r.Cloud.DetachVRouterNIC(r.Context(), r.Admin, id, 4) }, errs.Action, "NIC with NIC_ID 4 does not exist."},
		"no such router": {func() error { return r.instantiate(9, 1, 0, "", false) }, errs.NoExists, "Error getting virtual router [9]."},
		"plain template": {inst(1, 1, ""), errs.Action, "Only virtual router templates are allowed"},
		"plain, no VM":   {inst(0, 1, ""), errs.Action, "Only virtual router templates are allowed"},
		"no template":    {inst(1, 8, ""), errs.NoExists, "Error getting virtual machine template [8]."},
		"none before":    {inst(1, -1, ""), errs.NoExists, "Error getting virtual machine template Pool."},
		"too many":       {inst(51, 0, ""), errs.API, "number of VMs: expected 0 to 50"},
		"too few":        {inst(-1, 0, ""), errs.API, "number of VMs: expected 0 to 50"},
		"no addresses":   {inst(8, 0, ""), errs.Allocate, "Error allocating a new virtual router. Cannot get IP/MAC lease from virtual network 0."},
		"bad name":       {inst(1, 0, "a{b"), errs.Allocate, "Error allocating a new virtual router. Invalid NAME, char '{' is not allowed"},
		"its template": {func() error {
			_, err := r.Cloud.Instantiate(r.Context(), r.Admin, 0, "", false, nil, false)
			return err
		}, errs.Action, "Virtual router templates cannot be instantiated"},
		"delete":       {func() error { return r.Cloud.DeleteVRouter(r.Context(), r.user, id) }, errs.Authorization, "User [5] : Not authorized to perform MANAGE VROUTER [0]."},
		"update":       {func() error { return r.Cloud.UpdateVRouter(r.Context(), r.user, id, nil, 1) }, errs.Authorization, "User [5] : Not authorized to perform MANAGE VROUTER [0]."},
		"update, mode": {func() error { return r.Cloud.UpdateVRouter(r.Context(), r.Admin, id, nil, 7) }, errs.API, "Wrong update type"},
	} {
		if err := c.call(); errs.KindOf(err) != c.kind || errs.Text(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if now := r.Store.View(); now.Leases.Len() != before.Leases.Len() || now.VMs.Len() != 0 || now.VRouters.Len() != 1 || now.UserNet.Len() != before.UserNet.Len() {
		t.Errorf("left behind: %d leases, %d VMs, %d routers", now.Leases.Len(), now.VMs.Len(), now.VRouters.Len())
	}
}

// What holds for a router holds for its VMs; its NICs are not changed by an update.
func TestVRouterOwned(t *testing.T) {
	r := newRouterRig(t)
	id := r.allocate("NAME=gw\nCOLOR=red\nNIC=[NETWORK_ID=0,FLOATING_IP=YES]")
	r.must(r.instantiate(id, 2, 0, "vm-%i", false))
	r.vms(id, 2)
	nic := r.router(id).Template.Vector("NIC")
	r.must(r.Cloud.UpdateVRouter(r.Context(), r.Admin, id, template(t, "NAME=other SIZE=big NIC=[NETWORK_ID=1]"), 0))
	now := r.router(id)
	if now.Template.Get("SIZE") != "big" || now.Template.Has("COLOR") || !now.Template.Vector("NIC").Equal(nic) || len(now.Template.Vectors("NIC")) != 1 || now.Name != "gw" {
		t.Errorf("after an update: %s", now.Template.Text())
	}
	r.must(r.Cloud.UpdateVRouter(r.Context(), r.Admin, id, template(t, "COLOR=blue NIC=[]"), 1))
	if now := r.router(id); now.Template.Get("SIZE") != "big" || now.Template.Get("COLOR") != "blue" || !now.Template.Vector("NIC").Equal(nic) {
		t.Errorf("after a merge: %s", now.Template.Text())
	}

	r.must(r.Cloud.Chmod(r.Context(), r.Admin, one.KindVRouter, id, [9]int{-1, -1, -1, 1, -1, -1, -1, -1, -1}))
	r.must(r.Cloud.Chown(r.Context(), r.Admin, one.KindVRouter, id, 5, 1))
	for _, v := range r.vms(id, 2) {
		if v.UID != 5 || v.GID != 1 || v.UName != "ana" || v.Perms&0o040 == 0 {
			t.Errorf("VM %d is of %s (%d, %d) with %o", v.ID, v.UName, v.UID, v.GID, v.Perms)
		}
	}
	st := r.Store.View()
	if use := st.UserUsage(5); use.Networks[0].Leases != 3 || st.UserUsage(0).Networks[0].Leases != 0 {
		t.Errorf("the new owner's quota counts %v, the old one's %v", use.Networks, st.UserUsage(0).Networks)
	}
	other := r.allocate("NAME=second\nNIC=[NETWORK_ID=0,FLOATING_IP=YES]")
	r.Do(func(tx *store.Tx) {
		u, _ := tx.Users.Get(5)
		n := *u
		n.Quotas.Networks = map[int]one.NetworkQuota{0: {Leases: 3}}
		tx.PutUser(&n)
	})
	if err := r.Cloud.Chown(r.Context(), r.Admin, one.KindVRouter, other, 5, -1); errs.KindOf(err) != errs.Authorization {
		t.Errorf("a router beyond the quota of its new owner: %v", err)
	}

	// A locked VM keeps the router.
	r.must(r.Cloud.Lock(r.Context(), r.Admin, one.KindVM, 1, 1, false))
	if err := r.Cloud.DeleteVRouter(r.Context(), r.Admin, id); errs.KindOf(err) != errs.Authorization {
		t.Errorf("deleted with a locked VM: %v", err)
	}
	if v, _ := r.Store.View().VM(0); !v.Running() {
		t.Error("a refused delete has ended a VM")
	}
	r.must(r.Cloud.Unlock(r.Context(), r.Admin, one.KindVM, 1))
	r.must(r.Cloud.DeleteVRouter(r.Context(), r.user, id))
	r.WaitVM(1, one.VMDone, 0)
}
