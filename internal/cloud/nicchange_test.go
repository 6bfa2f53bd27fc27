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

func template(t *testing.T, text string) *tmpl.Template {
	t.Helper()
	out, err := tmpl.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// nicRig is a cloud with a simulated host, the networks 0 (10.0.0.0/24, six
// addresses) and 1 (10.1.0.0/24, two of them, in security group 100 besides), and a
// VM in network 0 with a context, of user 5.
type nicRig struct {
	*rig.Rig
	t    *testing.T
	host int
	vm   int
	user auth.Caller
}

func newNICRig(t *testing.T) *nicRig {
	t.Helper()
	r := &nicRig{Rig: rig.Start(t, storetest.New(t).Store), t: t}
	r.host = r.AddHost("sim0", sim.Config{})
	r.Do(func(tx *store.Tx) {
		tx.PutUser(&one.User{ID: 5, Name: "ana", GID: 1, GName: "users", Groups: []int{1}, AuthDriver: "core"})
		tx.PutSecGroup(&one.SecurityGroup{
			Meta: one.Meta{ID: 100, Name: "web", Perms: 0o644}, Template: template(t, `RULE=[PROTOCOL=TCP,RULE_TYPE=INBOUND,RANGE="80"]`),
		})
	})
	r.user = auth.Caller{UID: 5, GID: 1, Name: "ana", GName: "users", Groups: []int{1}, Umask: 0o177}
	for i, more := range []string{"", "SECURITY_GROUPS=100\nINBOUND_AVG_BW=100"} {
		id, err := r.Cloud.AllocateVNet(r.Context(), r.Admin, template(t, fmt.Sprintf(
			"NAME=net%d\nVN_MAD=dummy\nBRIDGE=br%d\nNETWORK_MASK=255.255.255.0\n%s\nAR=[TYPE=IP4,IP=10.%d.0.2,SIZE=%d]", i, i, more, i, 6-4*i)), 0)
		if err == nil {
			err = r.Cloud.Chmod(r.Context(), r.Admin, one.KindNet, id, [9]int{1, 1, 0, 1, 0, 0, 1, 0, 0})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r.vm = r.newVM()
	return r
}

func (r *nicRig) newVM() int {
	r.t.Helper()
	id, err := r.Cloud.AllocateVM(r.Context(), r.user, template(r.t,
		"NAME=vm\nCPU=1\nMEMORY=64\nNIC=[NETWORK_ID=0]\nNIC_DEFAULT=[MODEL=e1000]\nCONTEXT=[NETWORK=YES,PASSWORD=secret,TOKEN=YES]"), false)
	if err != nil {
		r.t.Fatal(err)
	}
	r.WaitVM(id, one.VMActive, one.LCMRunning)
	return id
}

func (r *nicRig) attach(vm int, text string) error {
	r.t.Helper()
	return r.Cloud.AttachNIC(r.Context(), r.user, vm, template(r.t, text))
}

func (r *nicRig) detach(vm, nic int) error { return r.Cloud.DetachNIC(r.Context(), r.user, vm, nic) }

func (r *nicRig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *nicRig) running() *one.VM {
	r.t.Helper()
	return r.WaitVM(r.vm, one.VMActive, one.LCMRunning)
}

// check compares the addresses of a VM with the leases, the owner's quota, the
// context and, when it runs, the domain.
func (r *nicRig) check(vm int, want ...string) {
	r.t.Helper()
	st := r.Store.View()
	v, _ := st.VM(vm)
	var got, macs, eth []string
	leases := map[int]float64{}
	for _, name := range []string{"NIC", "NIC_ALIAS"} {
		for _, nic := range v.Template.Vectors(name) {
			got = append(got, nic.Get("NAME")+" "+nic.Get("IP"))
			if nic.Has("ATTACH") {
				r.t.Errorf("NIC %s is still marked", nic.Get("NAME"))
			}
			if name == "NIC" {
				macs = append(macs, nic.Get("MAC"))
			}
			var net int
			_, _ = fmt.Sscan(nic.Get("NETWORK_ID"), &net)
			leases[net]++
			eth = append(eth, nic.Get("IP"))
		}
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("VM %d has %q, want %q", vm, got, want)
	}
	held, told := 0, []string(nil)
	for _, l := range st.Leases.All() {
		if l.Owner == one.LeaseVM && l.OwnerID == vm {
			held++
		}
	}
	if held != len(want) {
		r.t.Errorf("VM %d holds %d leases, want %d", vm, held, len(want))
	}
	for net, n := range leases {
		if used := st.UserUsage(5).Networks[net].Leases; used != n && st.VMs.Len() == 1 {
			r.t.Errorf("the quota counts %v leases of network %d, want %v", used, net, n)
		}
	}
	for _, p := range v.Template.Vector("CONTEXT") {
		if strings.HasPrefix(p.Name, "ETH") && strings.HasSuffix(p.Name, "_IP") && !strings.HasSuffix(p.Name, "VROUTER_IP") {
			told = append(told, p.Value)
		}
	}
	slices.Sort(told)
	slices.Sort(eth)
	if !slices.Equal(told, eth) {
		r.t.Errorf("the context tells of %q, want %q", told, eth)
	}
	if v.Template.Vector("CONTEXT").Get("PASSWORD") == "secret" {
		r.t.Error("the context's password is stored in clear")
	}
	if !v.Running() {
		return
	}
	if in, err := r.Sim(r.host).NICs(fmt.Sprintf("one-%d", vm)); err != nil || !slices.Equal(in, macs) {
		r.t.Errorf("the domain has %q (%v), want %q", in, err, macs)
	}
}

// A VM that runs gets a NIC and aliases and loses them again.
func TestNICsOfRunningVM(t *testing.T) {
	r := newNICRig(t)
	r.must(r.attach(r.vm, "NIC=[NETWORK=net1,NETWORK_UNAME=oneadmin,NAME=public]"))
	v := r.running()
	r.check(r.vm, "NIC0 10.0.0.2", "public 10.1.0.2")
	nic, _, _ := one.NIC(v.Template, 1)
	for k, want := range map[string]string{
		"BRIDGE": "br1", "TARGET": "one-0-1", "MODEL": "e1000", "SECURITY_GROUPS": "0,100", "INBOUND_AVG_BW": "100", "MAC": "02:00:0a:01:00:02", "CLUSTER_ID": "0",
	} {
		if nic.Get(k) != want {
			t.Errorf("%s of the new NIC is %q, want %q", k, nic.Get(k), want)
		}
	}
	rule := func(v *one.VM) bool {
		return slices.ContainsFunc(v.Template.Vectors("SECURITY_GROUP_RULE"), func(r tmpl.Vector) bool { return r.Get("SECURITY_GROUP_ID") == "100" })
	}
	if !rule(v) || v.Template.Vector("CONTEXT").Get("ETH1_MASK") != "255.255.255.0" {
		t.Errorf("rules %v, context %v", v.Template.Vectors("SECURITY_GROUP_RULE"), v.Template.Vector("CONTEXT"))
	}
	if len(v.History) != 2 || v.History[0].Action != one.ActionNICAttach || v.History[0].UID != 5 || v.History[0].ETime == 0 {
		t.Errorf("history %+v", v.History[0])
	}

	r.must(r.attach(r.vm, "NIC_ALIAS=[NETWORK_ID=0,PARENT=public]"))
	v = r.running()
	r.check(r.vm, "NIC0 10.0.0.2", "public 10.1.0.2", "public_ALIAS2 10.0.0.3")
	if got := v.Template.Vector("CONTEXT").Get("ETH1_ALIAS0_IP"); got != "10.0.0.3" {
		t.Errorf("ETH1_ALIAS0_IP is %q", got)
	}
	r.must(r.attach(r.vm, `NIC_ALIAS=[NETWORK_ID=0,PARENT=public,IP="10.0.0.5",NAME=second]`))
	v = r.running()
	if parent, _, _ := one.NIC(v.Template, 1); parent.Get("ALIAS_IDS") != "2,3" {
		t.Errorf("ALIAS_IDS is %q", parent.Get("ALIAS_IDS"))
	}
	r.must(r.detach(r.vm, 2))
	v = r.running()
	r.check(r.vm, "NIC0 10.0.0.2", "public 10.1.0.2", "second 10.0.0.5")
	if parent, _, _ := one.NIC(v.Template, 1); parent.Get("ALIAS_IDS") != "3" || v.History[3].Action != one.ActionAliasDetach {
		t.Errorf("ALIAS_IDS is %q, the action %s", parent.Get("ALIAS_IDS"), v.History[3].Action)
	}
	r.must(r.detach(r.vm, 1))
	v = r.running()
	r.check(r.vm, "NIC0 10.0.0.2")
	if rule(v) {
		t.Error("the rules of the group of a NIC that is gone are still there")
	}
	r.must(r.detach(r.vm, 0))
	r.running()
	r.check(r.vm)
}

// Of a VM that is off the change is made at once.
func TestNICsOfPoweredOffVM(t *testing.T) {
	r := newNICRig(t)
	r.must(r.Cloud.VMAction(r.Context(), r.Admin, r.vm, "poweroff"))
	r.WaitVM(r.vm, one.VMPoweroff, 0)
	r.must(r.attach(r.vm, "NIC=[NETWORK_ID=1]"))
	r.must(r.attach(r.vm, "NIC_ALIAS=[NETWORK_ID=0,PARENT=NIC1]"))
	r.check(r.vm, "NIC0 10.0.0.2", "NIC1 10.1.0.2", "NIC1_ALIAS2 10.0.0.3")
	r.must(r.detach(r.vm, 0))
	r.check(r.vm, "NIC1 10.1.0.2", "NIC1_ALIAS2 10.0.0.3")
	if v, _ := r.Store.View().VM(r.vm); v.State != one.VMPoweroff || len(v.History) != 4 {
		t.Errorf("%s with %d records", v.StateName(), len(v.History))
	}
	r.must(r.Cloud.VMAction(r.Context(), r.Admin, r.vm, "resume"))
	r.running()
	r.check(r.vm, "NIC1 10.1.0.2", "NIC1_ALIAS2 10.0.0.3")
}

// What a host cannot do is undone in the VM, in the context and in the leases.
func TestNICsThatFail(t *testing.T) {
	r := newNICRig(t)
	broken := errors.New("no more slots")
	r.Sim(r.host).SetBehaviour(sim.Behaviour{After: func(_ context.Context, op sim.Op, _ string) error {
		if op == sim.OpAttachNIC || op == sim.OpDetachNIC || op == sim.OpUpdateNIC {
			return broken
		}
		return nil
	}})
	for what, change := range map[string]func() error{
		"attach": func() error { return r.attach(r.vm, "NIC=[NETWORK_ID=1]") },
		"detach": func() error { return r.detach(r.vm, 0) },
		"update": func() error {
			return r.Cloud.UpdateNIC(r.Context(), r.Admin, r.vm, 0, template(t, "NIC=[INBOUND_AVG_BW=7]"), 1)
		},
	} {
		r.must(change())
		v := r.running()
		if !strings.Contains(v.UserTemplate.Get("ERROR"), broken.Error()) {
			t.Errorf("%s: ERROR is %q", what, v.UserTemplate.Get("ERROR"))
		}
		if nic, _, _ := one.NIC(v.Template, 0); nic.Has("INBOUND_AVG_BW") {
			t.Errorf("%s: a limit that was not set: %v", what, nic)
		}
	}
	// The sim has made each change in spite of its answer, and its undoing too.
	st := r.Store.View()
	if v, _ := st.VM(r.vm); len(v.Template.Vectors("NIC")) != 1 || v.Template.Vector("CONTEXT").Has("ETH1_IP") || v.Template.Vector("CONTEXT").Get("ETH0_IP") != "10.0.0.2" {
		t.Errorf("the VM is left with %s", v.Template.Text())
	}
	if st.VNetUsage.At(1) != 0 || st.VNetUsage.At(0) != 1 {
		t.Errorf("leases of the networks: %d and %d, want 1 and 0", st.VNetUsage.At(0), st.VNetUsage.At(1))
	}
}

// A VM that is made anew while it loses a NIC has it, and its context knows it.
func TestDetachIsForgotten(t *testing.T) {
	r := newNICRig(t)
	reached := make(chan struct{}, 1)
	r.Sim(r.host).SetBehaviour(sim.Behaviour{Before: func(ctx context.Context, op sim.Op, _ string) error {
		if op != sim.OpDetachNIC {
			return nil
		}
		reached <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}})
	r.must(r.detach(r.vm, 0))
	<-reached
	if v := r.WaitVM(r.vm, one.VMActive, one.LCMHotplugNIC); v.Template.Vector("CONTEXT").Has("ETH0_IP") || v.Template.Vector("NIC").Get("ATTACH") != "YES" {
		t.Errorf("in the middle of a detach: %s", v.Template.Text())
	}
	r.must(r.Cloud.RecoverVM(r.Context(), r.Admin, r.vm, 4))
	r.running()
	r.check(r.vm, "NIC0 10.0.0.2")
}

func TestNICLimits(t *testing.T) {
	r := newNICRig(t)
	r.must(r.attach(r.vm, "NIC_ALIAS=[NETWORK_ID=0,PARENT=NIC0]"))
	r.running()
	update := func(text string, mode int) error {
		return r.Cloud.UpdateNIC(r.Context(), r.Admin, r.vm, 0, template(t, text), mode)
	}
	limits := func(state one.VMState, want ...string) {
		t.Helper()
		lcm := one.LCMInit
		if state == one.VMActive {
			lcm = one.LCMRunning
		}
		nic, _, _ := one.NIC(r.WaitVM(r.vm, state, lcm).Template, 0)
		var got []string
		for _, p := range nic {
			if strings.Contains(p.Name, "BOUND_") {
				got = append(got, p.Name+"="+p.Value)
			}
		}
		if !slices.Equal(got, want) || nic.Get("BRIDGE") != "br0" || nic.Has("ATTACH") {
			t.Errorf("the NIC has %q (%v), want %q", got, nic, want)
		}
	}
	r.must(update(`NIC=[INBOUND_AVG_BW=100,OUTBOUND_PEAK_KB="20",BRIDGE=other]`, 0))
	limits(one.VMActive, "INBOUND_AVG_BW=100", "OUTBOUND_PEAK_KB=20")
	v, _ := r.Store.View().VM(r.vm)
	if last := v.History[len(v.History)-2]; last.Action != one.ActionNICUpdate {
		t.Errorf("the closed record says %s", last.Action)
	}
	records := len(v.History)
	r.must(update(`NIC=[INBOUND_AVG_BW=100]`, 1)) // nothing new
	if v := r.running(); len(v.History) != records {
		t.Error("an update that changes nothing opens a record")
	}
	r.must(update(`NIC=[INBOUND_AVG_BW=50]`, 1))
	limits(one.VMActive, "INBOUND_AVG_BW=50", "OUTBOUND_PEAK_KB=20")
	r.must(r.Cloud.VMAction(r.Context(), r.Admin, r.vm, "suspend"))
	r.WaitVM(r.vm, one.VMSuspended, 0)
	r.must(update(`NIC=[OUTBOUND_AVG_BW=5]`, 0))
	limits(one.VMSuspended, "OUTBOUND_AVG_BW=5")

	// Who may not set limits does not lift them either.
	r.must(r.Cloud.UpdateNIC(r.Context(), r.user, r.vm, 0, template(t, `NIC=[MODEL=virtio]`), 0))
	limits(one.VMSuspended, "OUTBOUND_AVG_BW=5")

	for text, want := range map[string]string{
		`NIC=[INBOUND_AVG_BW="-1"]`: `INBOUND_AVG_BW "-1": expected a number from 0 to 2147483647`,
		`NIC=[OUTBOUND_PEAK_BW=x]`:  `OUTBOUND_PEAK_BW "x": expected a number from 0 to 2147483647`,
		"MODEL=virtio":              "Wrong format or missing NIC attribute",
	} {
		if err := update(text, 0); errs.KindOf(err) != errs.Action || errs.Text(err) != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for nic, want := range map[int]string{1: "Action not supported for NIC_ALIAS", 9: "VM 0: NIC 9 does not exists"} {
		err := r.Cloud.UpdateNIC(r.Context(), r.Admin, r.vm, nic, template(t, "NIC=[INBOUND_AVG_BW=1]"), 0)
		if errs.KindOf(err) != errs.Action || errs.Text(err) != want {
			t.Errorf("update of NIC %d: %v, want %s", nic, err, want)
		}
	}
	if err := update("NIC=[]", 2); errs.KindOf(err) != errs.API {
		t.Errorf("mode 2: %v", err)
	}
	err := r.Cloud.UpdateNIC(r.Context(), r.user, r.vm, 0, template(t, "NIC=[INBOUND_AVG_BW=1]"), 0)
	if errs.KindOf(err) != errs.Authorization || errs.Text(err) != "User [5] : NIC includes a restricted attribute INBOUND_AVG_BW." {
		t.Errorf("limits of an ordinary user: %v", err)
	}
}

// Whatever is refused leaves no lease, no sum and no record behind.
func TestNICRefusals(t *testing.T) {
	r := newNICRig(t)
	hold, err := r.Cloud.AllocateVM(r.Context(), r.user, template(t, "CPU=1\nMEMORY=64"), true)
	r.must(err)
	far, err := r.Cloud.AllocateVNet(r.Context(), r.Admin, template(t, "NAME=far\nVN_MAD=dummy\nBRIDGE=br9\nAR=[TYPE=IP4,IP=10.9.0.2,SIZE=9]"), 0)
	r.must(err)
	r.Do(func(tx *store.Tx) {
		u, _ := tx.Users.Get(5)
		n := *u
		n.Quotas.Networks = map[int]one.NetworkQuota{1: {Leases: 1}}
		tx.PutUser(&n)
		net, _ := tx.VNets.Get(far)
		other := *net
		other.ClusterIDs = []int{100}
		tx.PutCluster(&one.Cluster{ID: 100, Name: "edge"})
		tx.PutVNet(&other)
		router := one.VM{VMCore: one.VMCore{Meta: one.Meta{ID: 50, UID: 5, GID: 1, Name: "router", Perms: 0o600}, State: one.VMPoweroff, VRouterID: 3, ServiceID: -1}}
		tx.PutVM(&router)
	})
	r.must(r.attach(r.vm, "NIC=[NETWORK_ID=1]"))
	before := r.running()
	leases := r.Store.View().Leases.Len()

	onFar := template(t, fmt.Sprintf("NIC=[NETWORK_ID=%d]", far))
	attach := func(vm int, text string) func() error { return func() error { return r.attach(vm, text) } }
	for name, c := range map[string]struct {
		call func() error
		kind errs.Kind
		want string
	}{
		"attach on hold":   {attach(hold, "NIC=[NETWORK_ID=1]"), errs.Action, fmt.Sprintf("Could not add a new NIC to VM %d, wrong state HOLD.", hold)},
		"detach on hold":   {func() error { return r.detach(hold, 0) }, errs.Action, fmt.Sprintf("Could not detach NIC from VM %d, wrong state HOLD.", hold)},
		"detach nothing":   {func() error { return r.detach(r.vm, 7) }, errs.Action, "Could not detach NIC with NIC_ID 7, it does not exist."},
		"no VM":            {attach(77, "NIC=[NETWORK_ID=1]"), errs.NoExists, "Error getting virtual machine [77]."},
		"no NIC":           {attach(r.vm, "A=b"), errs.Action, "Wrong format or missing NIC/NIC_ALIAS/PCI attribute"},
		"two NICs":         {attach(r.vm, "NIC=[NETWORK_ID=1] NIC_ALIAS=[NETWORK_ID=1,PARENT=NIC0]"), errs.Action, "Wrong format or missing NIC/NIC_ALIAS/PCI attribute"},
		"auto":             {attach(r.vm, "NIC=[NETWORK_MODE=auto]"), errs.Action, "NETWORK_MODE auto: expected NETWORK_ID or NETWORK, for a VM that has a host"},
		"alias of nothing": {attach(r.vm, "NIC_ALIAS=[NETWORK_ID=1,PARENT=NIC9]"), errs.Action, "NIC named NIC9 not found for alias"},
		"alias, auto":      {attach(r.vm, "NIC_ALIAS=[NETWORK_MODE=auto,PARENT=NIC0]"), errs.Action, "Alias is incompatible with auto mode"},
		"other cluster":    {func() error { return r.Cloud.AttachNIC(r.Context(), r.Admin, r.vm, onFar) }, errs.Action, "Virtual network is not part of cluster [0]"},
		"restricted":       {attach(r.vm, `NIC=[NETWORK_ID=1,MAC="02:00:00:00:00:01"]`), errs.Authorization, "User [5] : NIC includes a restricted attribute MAC."},
		"not allowed": {func() error {
			return r.Cloud.AttachNIC(r.Context(), auth.Caller{UID: 5, GID: 9, Groups: []int{9}}, r.vm, onFar)
		}, errs.Authorization, fmt.Sprintf("User [5] : Not authorized to perform USE NET [%d].", far)},
		"no such network":   {attach(r.vm, "NIC=[NETWORK_ID=42]"), errs.Action, "Virtual network with ID: 42 does not exist"},
		"quota":             {attach(r.vm, "NIC=[NETWORK_ID=1]"), errs.Authorization, "User [5] : user [5] limit of 1 reached for LEASES quota in NETWORK with ID: 1."},
		"taken":             {attach(r.vm, `NIC=[NETWORK_ID=0,IP="10.0.0.2"]`), errs.Action, "Cannot get IP/MAC lease from virtual network 0."},
		"router's VM":       {attach(50, "NIC=[NETWORK_ID=1]"), errs.Action, "Action is not supported for virtual router VMs"},
		"router's VM, away": {func() error { return r.detach(50, 0) }, errs.Action, "Action is not supported for virtual router VMs"},
		"somebody else's":   {func() error { return r.Cloud.DetachNIC(r.Context(), auth.Caller{UID: 6, GID: 9}, r.vm, 0) }, errs.Authorization, "User [6] : Not authorized to perform MANAGE VM [0]."},
	} {
		if err := c.call(); errs.KindOf(err) != c.kind || errs.Text(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if got := r.Store.View().Leases.Len(); got != leases {
		t.Errorf("%d leases, want %d", got, leases)
	}
	if after, _ := r.Store.View().VM(r.vm); after != before {
		t.Error("what was refused has changed the VM")
	}
}
