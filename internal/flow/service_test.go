package flow_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/flow"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

func TestDeployAndDelete(t *testing.T) {
	for _, deployment := range []string{"none", "straight"} {
		t.Run(deployment, func(t *testing.T) {
			b := newBench(t)
			id := b.service(`"deployment":"`+deployment+`"`, b.role("web 2", `"parents":["db"]`), b.role("db 1", ""))
			s := b.waitState(id, one.ServiceRunning)
			if s.StartTime == 0 || len(b.vms(id, "web")) != 2 || len(b.vms(id, "db")) != 1 {
				t.Fatal(b.describe(id))
			}
			v := b.vms(id, "web")[1]
			if v.Name != fmt.Sprintf("web_1_(service_%d)", id) || v.UserTemplate.Get("SERVICE_ID") != fmt.Sprint(id) || v.UserTemplate.Get("ROLE_NAME") != "web" {
				t.Errorf("VM %q: %s", v.Name, v.UserTemplate.Text())
			}
			if v.Template.Vector("CONTEXT").Get("SSH_PUBLIC_KEY") != "k" {
				t.Errorf("the context of the VM template is lost: %s", v.Template.Text())
			}
			if want := []string{"I New state: DEPLOYING_NETS", "I New state: DEPLOYING", "I New state: RUNNING"}; !slices.Equal(b.log(id), want) {
				t.Errorf("log: %q", b.log(id))
			}
			if first := b.vms(id, "db")[0].ID; deployment == "straight" && first > b.vms(id, "web")[0].ID {
				t.Errorf("the child was created before its parent: %s", b.describe(id))
			}
			b.must(b.flow.Undeploy(b.Context(), b.Admin, id))
			if err := b.flow.Undeploy(b.Context(), b.Admin, id); err != nil && !strings.Contains(err.Error(), "Error getting document") {
				t.Errorf("the second delete: %v", err)
			}
			b.waitGone(id)
			if n := b.Sim(b.host).Len(); n != 0 {
				t.Errorf("%d domains are left", n)
			}
		})
	}
}

func TestReadyGate(t *testing.T) {
	b := newBench(t)
	id := b.service(`"ready_status_gate":true,"deployment":"straight"`, b.role("db 1", ""), b.role("web 1", `"parents":["db"]`))
	db := func() int { return b.vms(id, "db")[0].ID }
	b.waitFor(id, one.ServiceDeploying, func(st *store.State, s *one.Service) bool {
		return s.Roles[0].State == one.RoleDeploying && s.Roles[0].Made == 1
	})
	b.WaitVM(db(), one.VMActive, one.LCMRunning)
	if s := b.waitState(id, one.ServiceDeploying); s.Roles[1].State != one.RolePending {
		t.Fatalf("the child did not wait: %s", b.describe(id))
	}
	b.put(db(), "READY=YES")
	b.waitFor(id, one.ServiceDeploying, func(_ *store.State, s *one.Service) bool {
		return s.Roles[0].State == one.RoleRunning && s.Roles[1].Made == 1
	})
	b.put(b.vms(id, "web")[0].ID, "READY=YES") // before it runs: that counts too
	b.waitState(id, one.ServiceRunning)
}

func TestScaleAndCooldown(t *testing.T) {
	b := newBench(t)
	id := b.service("", b.role("web 1", `"cooldown":0,"min_vms":1,"max_vms":120`))
	b.waitState(id, one.ServiceRunning)
	b.refused(b.flow.Scale(b.Context(), b.Admin, id, "web", 121), fmt.Sprintf("Can't scale service %d: Maximum cardinality is 120", id))
	// More VMs than one transaction creates.
	b.must(b.flow.Scale(b.Context(), b.Admin, id, "web", 120))
	b.waitState(id, one.ServiceScaling)
	b.waitFor(id, one.ServiceRunning, func(st *store.State, _ *one.Service) bool { return len(st.ServiceVMs.List(id)) == 120 })
	oldest := b.vms(id, "web")[0].ID
	b.must(b.flow.ForceScale(b.Context(), b.Admin, id, "web", 2))
	b.waitFor(id, one.ServiceRunning, func(st *store.State, _ *one.Service) bool { return len(st.ServiceVMs.List(id)) == 2 })
	if left := b.vms(id, "web"); left[0].ID <= oldest || left[1].Name != fmt.Sprintf("web_119_(service_%d)", id) {
		t.Errorf("not the oldest went: %s", b.describe(id))
	}
	if n := len(b.log(id)); n > 50 {
		t.Errorf("the log has %d entries", n)
	}
	b.must(b.flow.Undeploy(b.Context(), b.Admin, id))
	b.waitGone(id)
}

func TestWarningAndRecovery(t *testing.T) {
	b := newBench(t)
	id := b.service("", b.role("web 2", ""))
	b.waitState(id, one.ServiceRunning)
	dead := b.vms(id, "web")[0].ID
	b.kill(dead)
	b.waitState(id, one.ServiceWarning)
	b.must(b.flow.Recover(b.Context(), b.Admin, id, false))
	b.WaitVM(dead, one.VMActive, one.LCMRunning)
	b.waitState(id, one.ServiceRunning)
	b.kill(dead)
	b.waitState(id, one.ServiceWarning)
	b.must(b.Cloud.VMAction(b.Context(), b.Admin, dead, "terminate"))
	s := b.waitState(id, one.ServiceRunning)
	if s.Roles[0].Cardinality != 1 || !contains(b.log(id), "I Role web scaling down from 2 to 1 nodes") {
		t.Errorf("after the bad VM was deleted: %s", b.describe(id))
	}
}

func TestFailuresAndRecovery(t *testing.T) {
	b := newBenchWith(t, flow.Options{}, sim.Config{Behaviour: sim.Behaviour{FailureRate: 1}})
	id := b.service("", b.role("web 3", ""))
	// The service fails with the first VM; one that failed after the recovery began would fail that too.
	b.waitFor(id, one.ServiceFailedDeploying, func(*store.State, *one.Service) bool {
		vms := b.vms(id, "web")
		return len(vms) == 3 && !slices.ContainsFunc(vms, func(v *one.VM) bool { return !v.Active(one.LCMBootFailure) })
	})
	b.refused(b.flow.Undeploy(b.Context(), b.Admin, id), "Service cannot be undeployed in state: FAILED_DEPLOYING")
	b.Sim(b.host).SetBehaviour(sim.Behaviour{})
	b.must(b.flow.Recover(b.Context(), b.Admin, id, false))
	s := b.waitState(id, one.ServiceRunning)
	if s.Roles[0].Cardinality != 3 || len(b.vms(id, "web")) != 3 {
		t.Fatal(b.describe(id))
	}
	b.Sim(b.host).SetBehaviour(sim.Behaviour{FailureRate: 1})
	b.must(b.flow.Scale(b.Context(), b.Admin, id, "web", 5))
	b.waitState(id, one.ServiceFailedScaling)
	b.must(b.flow.Recover(b.Context(), b.Admin, id, true))
	b.waitGone(id)
}

func TestRefusedVMFailsCleanly(t *testing.T) {
	b := newBench(t)
	alice := b.user("alice")
	b.Do(func(tx *store.Tx) {
		tmplOf, _ := tx.Templates.Get(b.vmt)
		c := *tmplOf
		c.Perms = 0o644
		tx.PutTemplate(&c)
		u, _ := tx.Users.Get(alice.UID)
		q := *u
		q.Quotas.VM = &one.VMQuota{VMs: 2, RunningVMs: -2, CPU: -2, RunningCPU: -2, Memory: -2, RunningMemory: -2, SystemDiskSize: -2}
		tx.PutUser(&q)
	})
	v, err := b.flow.CreateTemplate(b.Context(), alice, parse(t, `{"name":"s","roles":[`+b.role("web 5", "")+`]}`))
	b.must(err)
	v, err = b.flow.Instantiate(b.Context(), alice, idOf(t, v), jsontree.Value{})
	b.must(err)
	id := idOf(t, v)
	b.waitState(id, one.ServiceFailedDeploying)
	if n := len(b.vms(id, "web")); n != 2 {
		t.Errorf("%d VMs were created within a quota of 2: %s", n, b.describe(id))
	}
	want := fmt.Sprintf("E Error deploying role web: Error instantiating VM Template %d in Role web: [one.template.instantiate] User [%d] : user [%d] limit of 2 reached for VMS quota in VM.", b.vmt, alice.UID, alice.UID)
	if !contains(b.log(id), want) {
		t.Errorf("log %q\nlacks %q", b.log(id), want)
	}
	if vm := b.vms(id, "web")[0]; vm.UID != alice.UID || vm.GID != alice.GID {
		t.Errorf("the VM belongs to %d:%d", vm.UID, vm.GID)
	}
	b.must(b.flow.Recover(b.Context(), alice, id, true))
	b.waitGone(id)
}

func TestMissingVMTemplate(t *testing.T) {
	b := newBench(t)
	b.vmt = 4711
	id := b.service("", b.role("web 1", ""))
	b.waitState(id, one.ServiceFailedDeploying)
	if want := "E Error deploying role web: Error instantiating VM Template 4711 in Role web: [one.template.instantiate] Error getting virtual machine template [4711]."; !contains(b.log(id), want) {
		t.Errorf("log %q", b.log(id))
	}
	b.must(b.flow.Recover(b.Context(), b.Admin, id, true))
	b.waitGone(id)
}

func TestHoldAndRelease(t *testing.T) {
	b := newBench(t)
	id := b.service(`"deployment":"straight","on_hold":true`, b.role("db 1", ""), b.role("web 60", `"parents":["db"]`))
	b.waitFor(id, one.ServiceHold, func(st *store.State, _ *one.Service) bool { return len(st.ServiceVMs.List(id)) == 61 })
	for _, v := range b.vms(id, "web") {
		if v.State != one.VMHold {
			t.Fatalf("a VM is not on hold: %s", b.describe(id))
		}
	}
	b.must(b.flow.Release(b.Context(), b.Admin, id))
	b.waitState(id, one.ServiceRunning)
	b.refused(b.flow.Release(b.Context(), b.Admin, id), "Service has no roles in HOLD")
}

func TestRoles(t *testing.T) {
	b := newBench(t)
	id := b.service(`"user_inputs":{"DOMAIN":"M|text|d"},"user_inputs_values":{"DOMAIN":"example.org"}`, b.role("db 1", ""))
	b.waitState(id, one.ServiceRunning)
	b.must(b.flow.AddRole(b.Context(), b.Admin, id, parse(t, b.role("web 2", `"template_contents":{"HOST":"x.$DOMAIN"}`))))
	b.waitFor(id, one.ServiceRunning, func(st *store.State, s *one.Service) bool { return len(s.Roles) == 2 })
	if v := b.vms(id, "web")[0]; v.UserTemplate.Get("HOST") != "x.example.org" || v.Template.Vector("CONTEXT").Get("DOMAIN") != "example.org" {
		t.Errorf("inputs are not filled in: %s%s", v.UserTemplate.Text(), v.Template.Text())
	}
	b.refused(b.flow.AddRole(b.Context(), b.Admin, id, parse(t, b.role("web 2", ""))), "Role web already exists")
	b.must(b.flow.RemoveRole(b.Context(), b.Admin, id, "web"))
	b.waitFor(id, one.ServiceRunning, func(st *store.State, s *one.Service) bool {
		return len(s.Roles) == 1 && len(st.ServiceVMs.List(id)) == 1
	})
	b.refused(b.flow.RemoveRole(b.Context(), b.Admin, id, "web"), "Role web does not exist")
	b.must(b.flow.RemoveRole(b.Context(), b.Admin, id, "db"))
	b.waitGone(id)
}

func TestParentReferences(t *testing.T) {
	b := newBench(t)
	id := b.service(`"deployment":"straight"`,
		b.role("db 2", `"template_contents":{"PORT":"5432"}`),
		b.role("web 1", `"parents":["db"],"template_contents":{"A":"${db.user_template.port}","B":"${db.context.ssh_public_key}","C":"${db.nothing}","D":"${web.name}","E":"${db.name}"}`))
	b.waitState(id, one.ServiceRunning)
	u := b.vms(id, "web")[0].UserTemplate
	if u.Get("A") != "5432" || u.Get("B") != "k" || u.Get("C") != "" || u.Get("D") != "" || u.Get("E") != b.vms(id, "db")[0].Name {
		t.Errorf("references: %s", u.Text())
	}
}

func TestChown(t *testing.T) {
	b := newBench(t)
	alice := b.user("alice")
	id := b.service("", b.role("web 60", `"cooldown":0`))
	b.waitState(id, one.ServiceRunning)
	b.must(b.flow.Chown(b.Context(), b.Admin, id, alice.UID, one.UsersGroupID))
	mine := func(st *store.State) int {
		n := 0
		for vm := range st.ServiceVMs.Of(id) {
			if v, ok := st.VMs.Get(vm); ok && v.UID == alice.UID && v.GID == one.UsersGroupID {
				n++
			}
		}
		return n
	}
	if n := mine(b.st.View()); n < 50 {
		t.Errorf("%d VMs changed their owner at once", n)
	}
	b.waitFor(id, one.ServiceRunning, func(st *store.State, s *one.Service) bool { return mine(st) == 60 && !s.Chowning })
	// Whoever scales, the VMs are the owner's: she may not use the VM template.
	b.must(b.flow.Scale(b.Context(), b.Admin, id, "web", 61))
	b.waitState(id, one.ServiceFailedScaling)
	b.Do(func(tx *store.Tx) {
		vt, _ := tx.Templates.Get(b.vmt)
		c := *vt
		c.Perms = 0o644
		tx.PutTemplate(&c)
	})
	b.must(b.flow.Recover(b.Context(), b.Admin, id, false))
	b.waitFor(id, one.ServiceRunning, func(st *store.State, _ *one.Service) bool { return mine(st) == 61 })
	// Quotas of the new owner are checked for all VMs.
	bob := b.user("bob")
	b.Do(func(tx *store.Tx) {
		u, _ := tx.Users.Get(bob.UID)
		q := *u
		q.Quotas.VM = &one.VMQuota{VMs: 60, RunningVMs: -2, CPU: -2, RunningCPU: -2, Memory: -2, RunningMemory: -2, SystemDiskSize: -2}
		tx.PutUser(&q)
	})
	err := b.flow.Chown(b.Context(), b.Admin, id, bob.UID, -1)
	if err == nil || !strings.Contains(err.Error(), "limit of 60 reached for VMS quota in VM") || mine(b.st.View()) != 61 {
		t.Errorf("chown beyond a quota: %v", err)
	}
}

func TestRoleActions(t *testing.T) {
	b := newBench(t)
	id := b.service("", b.role("web 60", ""), b.role("db 1", ""))
	b.waitState(id, one.ServiceRunning)
	b.refused(b.flow.ActOnRole(b.Context(), b.Admin, id, flow.RoleAction{Role: "x", Action: "poweroff"}), "Role 'x' not found")
	long := flow.RoleAction{Role: "web", Action: "snapshot-create", Args: strings.Repeat("x", 1025)}
	b.refused(b.flow.ActOnRole(b.Context(), b.Admin, id, long), "ARGS of 1025 bytes, expected at most 1024")
	b.must(b.flow.ActOnRole(b.Context(), b.Admin, id, flow.RoleAction{Role: "web", Action: "poweroff-hard"}))
	off := func(n int) func(*store.State, *one.Service) bool {
		return func(st *store.State, s *one.Service) bool {
			k := 0
			for vm := range st.ServiceVMs.Of(id) {
				if v, ok := st.VMs.Get(vm); ok && v.State == one.VMPoweroff {
					k++
				}
			}
			return k == n && len(s.Actions) == 0
		}
	}
	b.waitFor(id, one.ServiceWarning, off(60))
	b.must(b.flow.ActOnRole(b.Context(), b.Admin, id, flow.RoleAction{Action: "resume"}))
	b.waitFor(id, one.ServiceRunning, off(0))
	// What is refused stays scheduled, and its VM says why; the service's log has what
	// cannot be scheduled.
	db := b.vms(id, "db")[0].ID
	message := func(want string) func(*store.State) bool {
		return func(st *store.State) bool {
			s, ok := st.Schedules.Get(db)
			return ok && strings.Contains(s.Actions[len(s.Actions)-1].Message, want)
		}
	}
	b.Wait("the refusal", message(`[resume] Error performing action "resume": This action is not available for state RUNNING`))
	refused := b.st.View().Schedules.At(db).Actions[0].ID
	b.must(b.flow.DeleteAction(b.Context(), b.Admin, id, "web", refused)) // of another role
	if _, ok := b.st.View().Schedules.Get(db); !ok {
		t.Error("the action of another role is gone")
	}
	b.must(b.flow.DeleteAction(b.Context(), b.Admin, id, "db", refused))
	b.must(b.flow.DeleteAction(b.Context(), b.Admin, id, "", refused))
	if s, ok := b.st.View().Schedules.Get(db); ok {
		t.Errorf("still scheduled: %v", s.Actions)
	}
	b.must(b.flow.ActOnRole(b.Context(), b.Admin, id, flow.RoleAction{Role: "db", Action: "unheard-of"}))
	b.Wait("the log", func(*store.State) bool {
		return contains(b.log(id), fmt.Sprintf("E Role db : VM %d error scheduling action; unheard-of is not supported.", db))
	})
	b.must(b.flow.ActOnRole(b.Context(), b.Admin, id, flow.RoleAction{Role: "db", Action: "snapshot-create", Args: "x"}))
	b.Wait("the snapshot", func(st *store.State) bool {
		v, _ := st.VMs.Get(db)
		snap, ok := one.Snapshot(v.Template, 0)
		return ok && v.Running() && snap.Get("NAME") == "x" && snap.Get("HYPERVISOR_ID") == "snap-0"
	})
	b.must(b.flow.ActOnRole(b.Context(), b.Admin, id, flow.RoleAction{Role: "db", Action: "snapshot-revert", Args: "x"}))
	b.Wait("the second refusal", message(`ARGS "x": expected snapshot`))
	as := b.st.View().Schedules.At(db).Actions
	b.must(b.flow.DeleteAction(b.Context(), b.Admin, id, "", as[len(as)-1].ID))
	// What is spread over time is on the VMs, and can be taken back.
	b.must(b.flow.ActOnRole(b.Context(), b.Admin, id, flow.RoleAction{Role: "web", Action: "poweroff-hard", Period: 3600, Number: 2}))
	b.waitFor(id, one.ServiceWarning, off(2))
	body, _ := b.flow.Body(id)
	shown := parse(t, string(body))
	spread := shown.Get("sched_actions").Items
	if len(spread) != 58 {
		t.Fatalf("the service shows %d actions", len(spread))
	}
	number := func(v jsontree.Value) int {
		n, err := strconv.Atoi(v.Text)
		b.must(err)
		return n
	}
	first, last := spread[0], spread[57]
	vm, action := number(last.Get("vm")), number(last.Get("id"))
	if last.Get("action").Text != "poweroff-hard" || number(last.Get("time"))-number(first.Get("time")) != 28*3600 || b.st.View().Schedules.At(vm).Find(action) < 0 {
		t.Errorf("the service shows the actions %s to %s", first.Compact(), last.Compact())
	}
	b.must(b.flow.UpdateService(b.Context(), b.Admin, id, shown.With("description", jsontree.Str("x")), false)) // what is shown can be sent back
	if s, _ := b.st.View().Services.Get(id); strings.Contains(string(s.Spec), "sched_actions") {
		t.Errorf("after an update: %s", s.Spec)
	}
	b.must(b.flow.DeleteAction(b.Context(), b.Admin, id, "", action))
	if b.st.View().Schedules.At(vm).Find(action) >= 0 {
		t.Error("still scheduled")
	}
}

func TestNetworks(t *testing.T) {
	b := newBench(t)
	net, err := b.Cloud.AllocateVNet(b.Context(), b.Admin, parseText(t, "NAME=net\nVN_MAD=dummy\nBRIDGE=br0\nAR=[TYPE=IP4,IP=10.0.0.10,SIZE=10]"), -1)
	b.must(err)
	nets := fmt.Sprintf(`"networks":{"Own":"M|network|x||reserve_from:%d","Pub":"M|network|y||id:%d"},`+
		`"networks_values":[{"Own":{"reserve_from":"%d","extra":"NAME = RESERVATION\nSIZE = 4"}},{"Pub":{"id":"%d"}}]`, net, net, net, net)
	id := b.service(nets, b.role("web 2", `"template_contents":{"NIC":[{"NAME":"NIC0","NETWORK_ID":"$Own"},{"NAME":"NIC1","NETWORK_ID":"$Pub"}]}`))
	b.waitState(id, one.ServiceRunning)
	own, ok := b.st.View().VNetNames.FindOf(b.Admin.UID, fmt.Sprintf("Own-%d", id))
	if !ok {
		t.Fatalf("there is no network Own-%d", id)
	}
	nics := b.vms(id, "web")[0].Template.Vectors("NIC")
	if len(nics) != 2 || nics[0].Get("NETWORK_ID") != fmt.Sprint(own) || nics[1].Get("NETWORK_ID") != fmt.Sprint(net) {
		t.Errorf("NICs: %v", nics)
	}
	body, _ := b.flow.Body(id)
	if want := fmt.Sprintf(`"networks_values":[{"Own":{"reserve_from":"%d","extra":"NAME = RESERVATION\nSIZE = 4","id":%d}},{"Pub":{"id":"%d"}}]`, net, own, net); !strings.Contains(string(body), want) {
		t.Errorf("body %s\nlacks %s", body, want)
	}
	// A lease of somebody else keeps the network, and the service says so.
	other := b.Instantiate(b.Template(fmt.Sprintf("NAME=o\nCPU=0.1\nMEMORY=64\nNIC=[NETWORK_ID=%d]", own)), "other")
	b.must(b.flow.Undeploy(b.Context(), b.Admin, id))
	b.waitState(id, one.ServiceFailedUndeployingNets)
	b.WaitVM(other, one.VMActive, one.LCMRunning)
	b.must(b.Cloud.VMAction(b.Context(), b.Admin, other, "terminate-hard"))
	b.WaitVM(other, one.VMDone, 0)
	b.must(b.flow.Recover(b.Context(), b.Admin, id, false))
	b.waitGone(id)
	if _, ok := b.st.View().VNets.Get(own); ok {
		t.Error("the reservation is left")
	}
	if _, ok := b.st.View().VNets.Get(net); !ok {
		t.Error("the network that was merely used is gone")
	}
}

// When a network cannot be made the service stays, and recovery makes it first.
func TestNetworkFailure(t *testing.T) {
	b := newBench(t)
	net, err := b.Cloud.AllocateVNet(b.Context(), b.Admin, parseText(t, "NAME=net\nVN_MAD=dummy\nBRIDGE=br0\nAR=[TYPE=IP4,IP=10.0.0.10,SIZE=2]"), -1)
	b.must(err)
	tid := b.template(fmt.Sprintf(`"networks":{"Own":"M|network|x||reserve_from:%d"},"networks_values":[{"Own":{"reserve_from":"%d","extra":"SIZE = 4"}}]`, net, net),
		b.role("web 1", `"template_contents":{"NIC":[{"NETWORK_ID":"$Own"}]}`))
	_, err = b.flow.Instantiate(b.Context(), b.Admin, tid, jsontree.Value{})
	b.refused(err, "[one.vn.reserve] Not enough free addresses in an address range")
	id := b.st.View().TypeDocuments.List(one.DocService)[0]
	b.waitState(id, one.ServiceFailedDeploying)
	b.refused(b.flow.Recover(b.Context(), b.Admin, id, false), "[one.vn.reserve] Not enough free addresses in an address range")
	b.must(b.Cloud.AddAR(b.Context(), b.Admin, net, parseText(t, "AR=[TYPE=IP4,IP=10.0.1.10,SIZE=9]")))
	b.must(b.flow.Recover(b.Context(), b.Admin, id, false))
	b.waitState(id, one.ServiceRunning)
	if ip := b.vms(id, "web")[0].Template.Vector("NIC").Get("IP"); ip != "10.0.1.10" {
		t.Errorf("the VM's address is %q", ip)
	}
	for _, values := range []string{`{"Own":{"id":"4711"}}`, `{"Own":{"template_id":"4711"}}`} {
		_, err := b.flow.Instantiate(b.Context(), b.Admin, tid, parse(t, `{"networks_values":[`+values+`]}`))
		if err == nil {
			t.Errorf("%s: no error", values)
		}
	}
}

func TestAutomaticDeletion(t *testing.T) {
	b := newBench(t)
	id := b.service(`"automatic_deletion":true`, b.role("web 2", ""))
	b.waitState(id, one.ServiceRunning)
	for _, v := range b.vms(id, "web") {
		b.must(b.Cloud.VMAction(b.Context(), b.Admin, v.ID, "terminate-hard"))
	}
	b.waitGone(id)
}

func TestLockedVMStopsUndeploy(t *testing.T) {
	b := newBench(t)
	id := b.service("", b.role("web 2", ""))
	b.waitState(id, one.ServiceRunning)
	vm := b.vms(id, "web")[1].ID
	b.must(b.Cloud.Lock(b.Context(), b.Admin, one.KindVM, vm, 1, false))
	b.must(b.flow.Undeploy(b.Context(), b.Admin, id))
	b.waitState(id, one.ServiceFailedUndeploying)
	b.must(b.Cloud.Unlock(b.Context(), b.Admin, one.KindVM, vm))
	b.must(b.flow.Recover(b.Context(), b.Admin, id, false))
	b.waitGone(id)
}

// Whenever the store crashes while a service grows or shrinks, whoever leads next
// brings it to its end: nothing is lost, nothing is made twice.
func TestCrashMidScale(t *testing.T) {
	for commits := 1; commits <= 12; commits++ {
		b := newBench(t)
		id := b.service("", b.role("web 2", `"cooldown":0`))
		b.waitState(id, one.ServiceRunning)
		left := commits
		crashed := make(chan struct{})
		b.st.Log.SetFaults(func(ctx context.Context) store.Fault {
			if left--; left >= 0 {
				return store.FaultNone
			}
			if left == -1 {
				close(crashed)
			}
			<-ctx.Done()
			return store.FaultLose
		})
		err := b.flow.Scale(b.Context(), b.Admin, id, "web", 75)
		if err == nil {
			// Commits are batches: with luck all is done in fewer than were allowed.
			b.waitCrash(crashed, func(st *store.State) bool {
				s, ok := st.Services.Get(id)
				return ok && s.State == one.ServiceRunning && s.Roles[0].Cardinality == 75
			})
		}
		b.Stop()
		b.st.Crash()
		b.Resume(b.st.Store)
		b.start(flow.Options{})
		want := 75
		if err != nil {
			want = 2
		}
		b.waitFor(id, one.ServiceRunning, func(st *store.State, s *one.Service) bool {
			return s.Roles[0].Cardinality == want && len(st.ServiceVMs.List(id)) == want
		})
		if s := b.waitState(id, one.ServiceRunning); s.Roles[0].LastVM != want {
			t.Errorf("after %d commits: %d VMs were made for a cardinality of %d", commits, s.Roles[0].LastVM, want)
		}
		b.Stop()
	}
}
