package gateapi_test

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/gate"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
)

// Every action of the reference's table, on VMs that really run.
func TestActions(t *testing.T) {
	w := newWorld(t, settings{gate: func(o *gate.Options) { o.Config.RestrictedActions = []string{} }})
	host := w.AddHost("sim", sim.Config{})
	text := `NAME=t CPU=0.1 MEMORY=16 CONTEXT=[TOKEN="YES"]`
	template := w.Template(text)
	admin, _ := w.Store.View().Users.Get(one.OneadminID)
	act := func(v *one.VM, perform, params string) answer {
		body := `{"action":{"perform":"` + perform + `"`
		if params != "" {
			body += `,"params":` + params
		}
		return w.ask(v, "POST", "/vms/"+itoa(v.ID)+"/action", body+"}}", "X-ONEGATE-TOKEN", tokenOf(t, admin, v))
	}
	running := func() *one.VM { return w.WaitVM(w.Instantiate(template, "x"), one.VMActive, one.LCMRunning) }
	for _, c := range []struct {
		perform, params string
		state           one.VMState
		lcm             one.LCMState
	}{
		{"poweroff", "", one.VMPoweroff, one.LCMInit},
		{"poweroff", "true", one.VMPoweroff, one.LCMInit},
		{"suspend", "", one.VMSuspended, one.LCMInit},
		{"stop", "", one.VMStopped, one.LCMInit},
		{"undeploy", "", one.VMUndeployed, one.LCMInit},
		{"undeploy", "true", one.VMUndeployed, one.LCMInit},
		{"terminate", "", one.VMDone, one.LCMInit},
		{"terminate", "true", one.VMDone, one.LCMInit},
		{"terminate", "false", one.VMDone, one.LCMInit},
		{"shutdown", "null", one.VMDone, one.LCMInit},
		{"delete", "", one.VMDone, one.LCMInit},
		{"reboot", "", one.VMActive, one.LCMRunning},
		{"reboot", "true", one.VMActive, one.LCMRunning},
		{"resched", "", one.VMActive, one.LCMRunning},
	} {
		v := running()
		w.want(c.perform+" "+c.params, act(v, c.perform, c.params), 204, "")
		w.WaitVM(v.ID, c.state, c.lcm)
	}
	v := running()
	w.want("poweroff", act(v, "poweroff", ""), 204, "")
	w.WaitVM(v.ID, one.VMPoweroff, one.LCMInit)
	w.want("resume", act(v, "resume", ""), 204, "")
	w.WaitVM(v.ID, one.VMActive, one.LCMRunning)
	w.want("rename", act(v, "rename", `"renamed"`), 204, "")
	w.want("chmod", act(v, "chmod", `"644"`), 204, "")
	if n := w.now(v); n.Name != "renamed" || n.Perms != 0o644 {
		t.Errorf("name %q, permissions %o", n.Name, n.Perms)
	}
	net, err := w.Cloud.AllocateVNet(w.Context(), w.Admin, parse(t, "NAME=extra VN_MAD=dummy BRIDGE=br9 AR=[TYPE=IP4, IP=10.9.0.2, SIZE=2]"), 0)
	if err != nil {
		t.Fatal(err)
	}
	w.want("attachnic", act(v, "attachnic", `"NIC=[NETWORK_ID=`+itoa(net)+`]"`), 204, "")
	v = w.WaitVM(v.ID, one.VMActive, one.LCMRunning)
	if ip := v.Template.Vector("NIC").Get("IP"); ip != "10.9.0.2" {
		t.Errorf("the new NIC has address %q", ip)
	}
	w.want("detachnic", act(v, "detachnic", "0"), 204, "")
	v = w.WaitVM(v.ID, one.VMActive, one.LCMRunning)
	if v.Template.Has("NIC") {
		t.Errorf("the NIC is still there: %s", v.Template.Text())
	}
	w.want("attachdisk", act(v, "attachdisk", `"DISK=[TYPE=swap,SIZE=5]"`), 204, "")
	v = w.WaitVM(v.ID, one.VMActive, one.LCMRunning)
	if disk := v.Template.Vector("DISK"); disk.Get("DISK_ID") != "1" || disk.Get("SIZE") != "5" {
		t.Errorf("the new disk is %v", disk)
	}
	w.want("detachdisk", act(v, "detachdisk", "1"), 204, "")
	if v = w.WaitVM(v.ID, one.VMActive, one.LCMRunning); v.Template.Has("DISK") {
		t.Errorf("the disk is still there: %s", v.Template.Text())
	}
	w.want("snapshot_create", act(v, "snapshot_create", `"before"`), 204, "")
	v = w.WaitVM(v.ID, one.VMActive, one.LCMRunning)
	if snap, ok := one.Snapshot(v.Template, 0); !ok || snap.Get("NAME") != "before" || !snap.Bool("ACTIVE") {
		t.Errorf("the snapshot is %v", snap)
	}
	w.want("snapshot_create without a name", act(v, "snapshot_create", ""), 204, "")
	v = w.WaitVM(v.ID, one.VMActive, one.LCMRunning)
	w.want("snapshot_revert", act(v, "snapshot_revert", "0"), 204, "")
	v = w.WaitVM(v.ID, one.VMActive, one.LCMRunning)
	w.want("snapshot_delete", act(v, "snapshot_delete", `"1"`), 204, "")
	v = w.WaitVM(v.ID, one.VMActive, one.LCMRunning)
	if all := v.Template.Vectors("SNAPSHOT"); len(all) != 1 || !all[0].Bool("ACTIVE") {
		t.Errorf("the snapshots are %v", all)
	}
	other := w.AddHost("other", sim.Config{})
	for _, c := range []struct {
		perform string
		to      int
	}{{"migrate", other}, {"livemigrate", host}} {
		w.want(c.perform, act(v, c.perform, `"`+itoa(c.to)+`"`), 204, "")
		if v = w.WaitVM(v.ID, one.VMActive, one.LCMRunning); v.HostID() != c.to {
			t.Errorf("%s leads to host %d, want %d", c.perform, v.HostID(), c.to)
		}
	}
	id, err := w.Cloud.Instantiate(w.Context(), w.Admin, template, "held", true, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	held := w.WaitVM(id, one.VMHold, one.LCMInit)
	w.want("deploy", act(held, "deploy", itoa(host)), 204, "")
	w.WaitVM(id, one.VMActive, one.LCMRunning)

	for _, c := range []struct{ perform, params, answer string }{
		{"resume", "", `[one.vm.action] Error performing action "resume": This action is not available for state RUNNING`},
		{"release", "", `[one.vm.action] Error performing action "release": This action is not available for state RUNNING`},
		{"fly", "", "fly action not  available for this resource"},
		{"", "", " action not  available for this resource"},
		{"TERMINATE", "", "TERMINATE action not  available for this resource"},
		{"terminate-hard", "", "terminate-hard action not  available for this resource"},
		{"saveas", "", "saveas action not  available for this resource"},
		{"chown", "[0,0]", "chown action not  available for this resource"},
		{"chmod", `"999"`, "[one.vm.chmod] params: expected three octal digits, such as 640"},
		{"chmod", `{}`, "[one.vm.chmod] params: expected three octal digits, such as 640"},
		{"recover", "77", "[one.vm.recover] Wrong recovery operation code"},
		{"attachnic", `"A=b"`, "[one.vm.attachnic] Wrong format or missing NIC/NIC_ALIAS/PCI attribute"},
		{"attachnic", "7", "[one.vm.attachnic] Parse error: syntax error, unexpected $end, expecting EQUAL or EQUAL_EMPTY at line 0, columns 1:2"},
		{"snapshot_revert", "", "[one.vm.snapshotrevert] params: expected the id of a snapshot, such as 0"},
		{"snapshot_revert", `"x"`, "[one.vm.snapshotrevert] params: expected the id of a snapshot, such as 0"},
		{"snapshot_revert", "77", "[one.vm.snapshotrevert] Could not revert VM " + itoa(v.ID) + " to snapshot 77, it does not exist."},
		{"snapshot_delete", "-1", "[one.vm.snapshotdelete] params: expected the id of a snapshot, such as 0"},
		{"snapshot_create", `"a\u0000b"`, `[one.vm.snapshotcreate] NAME "a\x00b", expected text of one line`},
		{"detachnic", `"7"`, "[one.vm.detachnic] Could not detach NIC with NIC_ID 7, it does not exist."},
		{"attachdisk", `"A=b"`, "[one.vm.attach] Internal error parsing DISK attribute"},
		{"detachdisk", `"0"`, "[one.vm.detach] Could not detach disk with DISK_ID 0, it does not exist."},
		{"snapshot_revert", `"7"`, "[one.vm.snapshotrevert] Could not revert VM " + itoa(v.ID) + " to snapshot 7, it does not exist."},
		{"snapshot_delete", `7`, "[one.vm.snapshotdelete] Could not delete snapshot 7 for VM " + itoa(v.ID) + ", it does not exist."},
		{"migrate", `"99"`, "[one.vm.migrate] Error getting host [99]."},
		{"livemigrate", itoa(host), "[one.vm.migrate] VM is already running on HOST [" + itoa(host) + "]"},
		{"deploy", `"99"`, "[one.vm.deploy] Error getting host [99]."},
	} {
		w.want(c.perform+" "+c.params, act(v, c.perform, c.params), 500, c.answer)
	}
	url := "/vms/" + itoa(v.ID) + "/action"
	for _, c := range []struct {
		body, typ string
		answer    string
	}{
		{``, form, "Error parsing JSON: unexpected end of JSON input"},
		{`perform=stop`, form, "Error parsing JSON: invalid character 'p' looking for beginning of value"},
		{`{'action':{'perform':'stop'}}`, form, `Error parsing JSON: invalid character '\'' looking for beginning of object key string`},
		{`{}`, form, "Error parsing JSON: Wrong resource type"},
		{`[]`, form, "Error parsing JSON: Wrong resource type"},
		{`null`, form, "Error parsing JSON: Wrong resource type"},
		{`{"action":null}`, form, "Error parsing JSON: Wrong resource type"},
		{`{"action":"stop"}`, form, "Error parsing JSON: Wrong resource type"},
		{`{"action":{"perform":5}}`, form, "perform: expected a string"},
	} {
		w.want(c.body, w.ask(v, "POST", url, c.body, "Content-Type", c.typ, "X-ONEGATE-TOKEN", tokenOf(t, admin, v)), 400, c.answer)
	}
	w.want("JSON as JSON", w.ask(v, "POST", url, `{"action":{"perform":"reboot"}}`, "Content-Type", "application/json", "X-ONEGATE-TOKEN", tokenOf(t, admin, v)), 204, "")
}

// What an ordinary owner may not do, its guest may not either.
func TestActionRights(t *testing.T) {
	w := newWorld(t, settings{})
	id := itoa(w.lone.ID)
	act := func(perform string) answer {
		return w.ask(w.lone, "POST", "/vms/"+id+"/action", `{"action":{"perform":"`+perform+`"}}`)
	}
	w.want("resched", act("resched"), 500, "[one.vm.action] User ["+itoa(w.ana.ID)+"] : Not authorized to perform ADMIN VM ["+id+"].")
	w.want("recover", act("recover"), 500, "[one.vm.recover] User ["+itoa(w.ana.ID)+"] : Not authorized to perform ADMIN VM ["+id+"].")
	for _, name := range []string{"reboot", "REBOOT", "Reboot"} {
		w.want(name, act(name), 403, "Action ("+name+") is not allowed on this resource")
	}
}

// Banning an action bans it under its other names.
func TestRestrictedActions(t *testing.T) {
	w := newWorld(t, settings{gate: func(o *gate.Options) { o.Config.RestrictedActions = []string{"Terminate", "snapshot_create"} }})
	for _, name := range []string{"terminate", "delete", "shutdown", "TERMINATE", "snapshot_create", "Snapshot_Create"} {
		a := w.ask(w.lone, "POST", "/vms/"+itoa(w.lone.ID)+"/action", `{"action":{"perform":"`+name+`"}}`)
		w.want(name, a, 403, "Action ("+name+") is not allowed on this resource")
	}
	w.want("another", w.ask(w.lone, "POST", "/vms/"+itoa(w.lone.ID)+"/action", `{"action":{"perform":"poweroff"}}`), 204, "")
}
