package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/guestimage"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/sandbox"
)

// command runs one of the cloud's commands, as a user would type it, and returns
// what it prints.
func (d *demo) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, d.Program, args...)
	cmd.Env = append(os.Environ(), "TRIFID_DATA="+d.path("data"), "HOME="+d.work.path)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return "", fmt.Errorf("%s: %s", strings.Join(args, " "), strings.TrimSpace(string(exit.Stderr)+string(out)))
		}
		return "", fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// create runs a command that prints the id of what it made.
func (d *demo) create(ctx context.Context, args ...string) (int, error) {
	out, err := d.command(ctx, args...)
	if err != nil {
		return -1, err
	}
	for _, line := range strings.Split(out, "\n") {
		if s, ok := strings.CutPrefix(strings.TrimSpace(line), "ID: "); ok {
			if id, err := strconv.Atoi(s); err == nil {
				return id, nil
			}
		}
	}
	return -1, fmt.Errorf("%s: no id in %q", strings.Join(args, " "), out)
}

// file writes a file of the working directory and returns its path.
func (d *demo) file(name, text string) (string, error) {
	p := d.path(name)
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	return p, nil
}

func (d *demo) registerImages(ctx context.Context) error {
	for _, i := range []struct{ name, typ, ds, path string }{
		{"kernel", "KERNEL", "files", d.kernel}, {"initrd", "RAMDISK", "files", d.initrd}, {"disk", "OS", "default", d.disk},
	} {
		args := []string{"oneimage", "create", "--name", i.name, "--type", i.typ, "--path", i.path, "-d", i.ds}
		if i.typ == "OS" {
			args = append(args, "--prefix", "vd", "--format", "raw")
		}
		if _, err := d.create(ctx, args...); err != nil {
			return err
		}
	}
	if err := d.cloud.until(ctx, "the images to be READY", func(s snapshot) bool { return s.imagesReady == 3 }); err != nil {
		return err
	}
	d.t.say("kernel, initrd and root disk are registered and READY")
	return nil
}

func (d *demo) createNetwork(ctx context.Context) error {
	a := sandbox.Address.Addr().As4()
	a[3] = 100
	f, err := d.file("net.txt", fmt.Sprintf(`NAME = "edge"
VN_MAD = "bridge"
BRIDGE = %q
NETWORK_MASK = "255.255.255.0"
GATEWAY = %q
AR = [ TYPE = "IP4", IP = "%d.%d.%d.%d", SIZE = "20" ]
`, sandbox.Bridge, sandbox.Address.Addr(), a[0], a[1], a[2], a[3]))
	if err != nil {
		return err
	}
	if _, err := d.create(ctx, "onevnet", "create", f); err != nil {
		return err
	}
	d.t.say("network created: 20 leases on bridge %s", sandbox.Bridge)
	return nil
}

func (d *demo) createTemplates(ctx context.Context) error {
	f, err := d.file("vm.txt", `NAME = "guest"
CPU = "0.25"
MEMORY = "128"
OS = [ KERNEL_DS = "$FILE[IMAGE=\"kernel\"]", INITRD_DS = "$FILE[IMAGE=\"initrd\"]",
       KERNEL_CMD = "console=ttyS0 quiet" ]
DISK = [ IMAGE = "disk" ]
NIC = [ NETWORK = "edge" ]
CONTEXT = [ TOKEN = "YES", NETWORK = "YES", REPORT_READY = "YES", SET_HOSTNAME = "$NAME" ]
`)
	if err != nil {
		return err
	}
	if d.template, err = d.create(ctx, "onetemplate", "create", f); err != nil {
		return err
	}
	spec, err := json.MarshalIndent(serviceTemplate(d.template), "", "  ")
	if err != nil {
		return fmt.Errorf("write the service template: %w", err)
	}
	if f, err = d.file("service.json", string(spec)); err != nil {
		return err
	}
	id, err := d.create(ctx, "oneflow-template", "create", f)
	if err != nil {
		return err
	}
	d.t.say("VM template and service template created: frontend (1), worker (1..3), more workers above load 80, fewer below 20")
	d.service, err = d.create(ctx, "oneflow-template", "instantiate", strconv.Itoa(id))
	return err
}

// serviceTemplate is the service of the demonstration.
func serviceTemplate(template int) map[string]any {
	policy := func(expression string, adjust int) map[string]any {
		return map[string]any{
			"type": "CHANGE", "adjust": adjust, "expression": expression, "period": 2, "period_number": 2, "cooldown": 3,
		}
	}
	return map[string]any{
		"name": "demo", "deployment": "straight", "ready_status_gate": true,
		"roles": []any{
			map[string]any{"name": "frontend", "type": "vm", "template_id": template, "cardinality": 1},
			map[string]any{
				"name": "worker", "type": "vm", "template_id": template, "cardinality": 1, "min_vms": 1, "max_vms": 3,
				"parents": []string{"frontend"}, "cooldown": 3,
				"elasticity_policies": []any{policy("LOAD > 80", 1), policy("LOAD < 20", -1)},
			},
		},
	}
}

func (d *demo) instantiate(ctx context.Context) error {
	d.t.say("service %d instantiated", d.service)
	err := d.cloud.until(ctx, "the frontend to be READY", func(s snapshot) bool { return s.service(d.service).role("frontend").State == int(one.RoleRunning) })
	if err != nil {
		return err
	}
	d.t.say("frontend booted, read its context CD, and told the gate READY=YES; now its child role is deployed")
	if err := d.reach(ctx, one.ServiceRunning, 1); err != nil {
		return err
	}
	d.t.say("service RUNNING with one worker")
	return nil
}

// reach waits until the service is in a state with a number of workers.
func (d *demo) reach(ctx context.Context, state one.ServiceState, workers int) error {
	return d.cloud.until(ctx, fmt.Sprintf("the service to be %s with %d workers", state, workers), func(s snapshot) bool {
		v := s.service(d.service)
		return v.State == int(state) && len(v.role("worker").Nodes) == workers
	})
}

// showGuest shows what a guest printed on its console about itself.
func (d *demo) showGuest(ctx context.Context) error {
	s, err := d.cloud.look(ctx)
	if err != nil {
		return err
	}
	vm := s.service(d.service).role("worker").Nodes[0].ID
	console := d.path(fmt.Sprintf("data/datastores/0/%d/console.log", vm))
	text, err := guestimage.AwaitConsole(ctx, console, "SERVICE ")
	if err != nil {
		return err
	}
	d.t.say("on the console of worker VM %d, from inside: onegate vm show, onegate service show", vm)
	show := false
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, "\r ")
		show = show || strings.HasPrefix(line, "VM ")
		if show && line != "" {
			d.t.note(line)
		}
	}
	return nil
}

// setLoad tells the workers, from outside, what load they are to report.
func (d *demo) setLoad(ctx context.Context, load int) error {
	s, err := d.cloud.look(ctx)
	if err != nil {
		return err
	}
	f, err := d.file("load.txt", fmt.Sprintf("DEMO_LOAD = %q\n", strconv.Itoa(load)))
	if err != nil {
		return err
	}
	for _, n := range s.service(d.service).role("worker").Nodes {
		if _, err := d.command(ctx, "onevm", "update", strconv.Itoa(n.ID), "--append", f); err != nil {
			return err
		}
	}
	d.t.say("onevm update --append: the workers are to report a load of %d", load)
	return nil
}

func (d *demo) scaleUpThroughCrash(ctx context.Context) error {
	if err := d.setLoad(ctx, 90); err != nil {
		return err
	}
	second := -1
	err := d.cloud.until(ctx, "a second worker's record", func(s snapshot) bool {
		nodes := s.service(d.service).role("worker").Nodes
		if len(nodes) < 2 {
			return false
		}
		second = nodes[1].ID
		return true
	})
	if err != nil {
		return err
	}
	before, err := d.cloud.look(ctx)
	if err != nil {
		return err
	}
	if before.running[second] && before.ready[second] {
		return fmt.Errorf("VM %d was RUNNING before the server could be killed", second)
	}
	d.server.kill()
	d.server = nil
	d.t.say("load 90 > 80: service SCALING, worker VM %d has a record and is not yet RUNNING: server killed with SIGKILL", second)
	alive, err := runningGuests()
	if err != nil {
		return err
	}
	if err := d.start(ctx); err != nil {
		return err
	}
	d.t.say("server started again on the same directory; %d guests ran on meanwhile", alive)
	if err := d.cloud.until(ctx, "the new worker to be ready", func(s snapshot) bool { return s.running[second] && s.ready[second] }); err != nil {
		return err
	}
	d.t.say("worker VM %d booted and joined: nothing was lost, nothing is stuck", second)
	err = d.cloud.until(ctx, "COOLDOWN", func(s snapshot) bool {
		st := s.service(d.service).State
		return st == int(one.ServiceCooldown) || st == int(one.ServiceRunning)
	})
	if err != nil {
		return err
	}
	d.t.say("service COOLDOWN")
	if err := d.setLoad(ctx, 50); err != nil {
		return err
	}
	if err := d.reach(ctx, one.ServiceRunning, 2); err != nil {
		return err
	}
	d.t.say("service RUNNING with two workers")
	return nil
}

func (d *demo) scaleDown(ctx context.Context) error {
	if err := d.setLoad(ctx, 5); err != nil {
		return err
	}
	err := d.cloud.until(ctx, "SCALING", func(s snapshot) bool { return s.service(d.service).State == int(one.ServiceScaling) })
	if err != nil {
		return err
	}
	d.t.say("load 5 < 20: service SCALING, the oldest worker gets a press of its power button")
	if err := d.reach(ctx, one.ServiceRunning, 1); err != nil {
		return err
	}
	d.t.say("service RUNNING with one worker again")
	return nil
}

func (d *demo) undeploy(ctx context.Context) error {
	if _, err := d.command(ctx, "oneflow", "delete", strconv.Itoa(d.service)); err != nil {
		return err
	}
	d.t.say("oneflow delete: service UNDEPLOYING, workers first")
	err := d.cloud.until(ctx, "everything to be gone", func(s snapshot) bool { return !s.hasService(d.service) && s.vms == 0 })
	if err != nil {
		return err
	}
	left, err := runningGuests()
	if err != nil {
		return err
	}
	dirs, err := os.ReadDir(d.path("data/datastores/0"))
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("look at the system datastore: %w", err)
	}
	if left > 0 || len(dirs) > 0 {
		return fmt.Errorf("%d guests and %d directories are left of the service", left, len(dirs))
	}
	d.t.say("service, VMs, domains, disks and leases are gone")
	return nil
}

// runningGuests counts the QEMU processes of this sandbox, which has process ids
// of its own.
func runningGuests() (int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("count the guests: %w", err)
	}
	n := 0
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		// A process may end between the two reads: then it is no guest any more.
		comm, err := os.ReadFile("/proc/" + e.Name() + "/comm")
		if err == nil && strings.HasPrefix(string(comm), "qemu-system") {
			n++
		}
	}
	return n, nil
}
