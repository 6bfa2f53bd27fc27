package cli

import (
	"fmt"

	"github.com/spf13/pflag"
)

// vmCreate makes a VM from a template that is not registered.
func vmCreate() verb {
	return verb{
		name: "create", short: "Create a VM from a template file or from flags",
		long: "The template comes from a file, from standard input or from the flags. To use a registered template see onetemplate instantiate.",
		example: `create web.tmpl
create --name web --cpu 1 --memory 512 --disk alpine --nic private --ssh
create web.tmpl --hold --multiple 3`,
		args: []arg{file},
		flags: flagsOf(templateFlags, func(f *pflag.FlagSet) {
			text(f, "name", "", "name of the VM")
			boolean(f, "hold", "", "leave the VM on hold")
			number(f, "multiple", "m", 1, "number of VMs")
			boolean(f, "dry", "", "print the template, create nothing")
		}),
		run: func(c *call) error {
			t, err := c.newTemplate(0, templateFlags, (*call).vmTemplate)
			if err != nil {
				return err
			}
			if c.flag("dry") {
				c.out.Print(t)
				return nil
			}
			return c.times(func(int) error {
				r, err := c.do("vm.allocate", t, c.flag("hold"))
				if err == nil {
					c.created("ID", r)
				}
				return err
			})
		},
	}
}

// newTemplate returns the template of a new object: a file's, that of the flags
// declare stands for, else standard input's. File and flags exclude each other.
func (c *call) newTemplate(fileArg int, declare func(*pflag.FlagSet), render func(*call) (string, error)) (string, error) {
	used := c.used(declare)
	if c.has("name") {
		used = append([]string{"name"}, used...)
	}
	if len(used) > 0 {
		if c.given(fileArg) {
			return "", fmt.Errorf("You cannot pass a template and use template creation options, conflicting options: %s.", joined(used))
		}
		return render(c)
	}
	t, ok, err := c.template(fileArg)
	if err == nil && !ok {
		err = fmt.Errorf("a template is needed: name a file, feed it to standard input, or describe it with flags (see --help)")
	}
	return t, err
}

// maxMultiple bounds --multiple.
const maxMultiple = 10_000

// multiple is the number --multiple gives.
func (c *call) multiple() (int, error) {
	n, ok := digits(c.str("multiple"))
	if !ok || n < 1 || n > maxMultiple {
		return 0, fmt.Errorf("multiple: expected a number from 1 to %d", maxMultiple)
	}
	return n, nil
}

// times does something as often as --multiple says, and stops at an error.
func (c *call) times(do func(i int) error) error {
	n, err := c.multiple()
	if err != nil {
		return err
	}
	for i := range n {
		if err := do(i); err != nil {
			return err
		}
	}
	return nil
}

// vmAction is an action of one.vm.action, which may have a hard form and may be
// scheduled. Source: XML-RPC reference §7.2.
type vmAction struct {
	name, done, short string
	hard, schedule    bool
}

func vmActions() []verb {
	actions := []vmAction{
		{"terminate", "terminating", "Shut a VM down and end it", true, true},
		{"undeploy", "shutting down", "Shut a VM down and keep its disks on the datastore", true, true},
		{"poweroff", "shutting down", "Shut a VM down and leave it on its host", true, true},
		{"reboot", "rebooting", "Reboot the guest", true, true},
		{"hold", "put on hold", "Keep a pending VM from being scheduled", false, true},
		{"release", "released", "Let a held VM be scheduled", false, true},
		{"stop", "stopping", "Save a VM and take it off its host", false, true},
		{"suspend", "suspending", "Save a VM and leave it on its host", false, true},
		{"resume", "resuming", "Run a VM again", false, true},
		{"resched", "Setting resched flag", "Let the scheduler move a VM", false, false},
		{"unresched", "Clearing resched flag", "Leave a VM where it is", false, false},
	}
	var verbs []verb
	for _, a := range actions {
		verbs = append(verbs, a.verb())
	}
	verbs = append(verbs, recoverVerb("vmid", `An operation that hangs is told to have succeeded or failed, or is tried again.
Look at the VM on its host first, to know which is true.`, []recovery{
		{"success", 1, "recover the VM by succeeding the missing action."},
		{"failure", 0, "recover the VM by failing the missing action."},
		{"retry", 2, "recover the VM by retrying the last failed action."},
		{"delete", 3, "no recover possible, delete the VM."},
		{"recreate", 4, "no recover possible, delete and recreate the VM."},
		{"delete-db", 5, "no recover possible, delete the VM from the DB. No action performed on the hypervisor"},
	}))
	return append(verbs, schedVerbs()...)
}

func (a vmAction) verb() verb {
	act := func(c *call) string {
		if c.flag("hard") {
			return a.name + "-hard"
		}
		return a.name
	}
	now := func(c *call) error {
		return c.each(a.done, func(id int) error {
			_, err := c.do("vm.action", act(c), id)
			return err
		})
	}
	v := verb{name: a.name, short: a.short, args: []arg{selfs("vmid")}, example: a.name + " 7\n" + a.name + " web,3..5", run: now}
	if a.hard {
		v.flags = func(f *pflag.FlagSet) { boolean(f, "hard", "", "do not ask the guest") }
		v.example += "\n" + a.name + " 7 --hard"
	}
	if a.schedule {
		v.flags = flagsOf(v.flags, scheduleFlags)
		v.run = orScheduled(act, nil, now)
	}
	return v
}

// vmPlacement are the verbs about hosts.
func vmPlacement() []verb {
	enforce := func(f *pflag.FlagSet) { boolean(f, "enforce", "e", "refuse a host without room") }
	return []verb{
		{
			name: "deploy", short: "Start a VM on a host", args: []arg{selfs("vmid"), of("hostid", &hostPool), optional(of("datastoreid", &datastorePool))},
			long:    "Networks for NICs that are placed automatically may be given as a template, by --file or on standard input.",
			example: "deploy 7 edge1\ndeploy 7 edge1 --enforce",
			flags:   flagsOf(enforce, func(f *pflag.FlagSet) { text(f, "file", "f", "file with more template") }),
			run: func(c *call) error {
				extra, _, err := c.fileOrStdin()
				if err != nil {
					return err
				}
				return c.each(fmt.Sprintf("deploying in host %d", c.num(1, -1)), func(id int) error {
					_, err := c.do("vm.deploy", id, c.num(1, -1), c.flag("enforce"), c.num(2, -1), extra)
					return err
				})
			},
		},
		{
			name: "migrate", short: "Move a VM to another host", args: []arg{selfs("vmid"), of("hostid", &hostPool), optional(of("datastoreid", &datastorePool))},
			example: "migrate 7 edge2 --live\nmigrate 7 edge2 --poff",
			flags: flagsOf(enforce, func(f *pflag.FlagSet) {
				boolean(f, "live", "", "without stopping the VM")
				boolean(f, "poff", "", "power the VM off for the move instead of saving it")
				boolean(f, "poff-hard", "", "the same, without asking the guest")
			}),
			run: func(c *call) error {
				kind := 0
				if c.flag("poff") {
					kind = 1
				} else if c.flag("poff-hard") {
					kind = 2
				}
				return c.each(fmt.Sprintf("migrating to %d", c.num(1, -1)), func(id int) error {
					_, err := c.do("vm.migrate", id, c.num(1, -1), c.flag("live"), c.flag("enforce"), c.num(2, -1), kind)
					return err
				})
			},
		},
	}
}

// vmCapacity are the verbs about capacity and configuration.
func vmCapacity() []verb {
	return []verb{
		{
			name: "resize", short: "Change CPU, virtual CPUs or memory", args: []arg{self("vmid")}, example: "resize 7 --memory 2g --vcpu 2",
			flags: flagsOf(capacityFlags, func(f *pflag.FlagSet) {
				boolean(f, "enforce", "e", "refuse what the host has no room for")
				text(f, "file", "f", "file with CPU, VCPU and MEMORY")
			}),
			run: func(c *call) error {
				var b builder
				c.capacityPart(&b)
				t, err := b.String(), b.err
				if t == "" && err == nil {
					t, _, err = c.fileOrStdin()
				}
				if err != nil {
					return err
				}
				if t == "" {
					return fmt.Errorf("nothing to change: give --cpu, --vcpu, --memory or --file")
				}
				return c.each("Resizing VM", func(id int) error {
					_, err := c.do("vm.resize", id, t, c.flag("enforce"))
					return err
				})
			},
		},
		{
			name: "updateconf", short: "Change the configuration", args: []arg{self("vmid"), file}, flags: appendFlags,
			long: `The configuration is OS, FEATURES, INPUT, GRAPHICS, VIDEO, RAW, CPU_MODEL, BACKUP_CONFIG and CONTEXT.
It comes from a file, else from standard input, else from an editor.`,
			example: "updateconf 7\nupdateconf 7 context.tmpl --append",
			run: func(c *call) error {
				t, err := c.edit(1, func() (string, error) { return c.vmConf(c.subjects()[0]) })
				if err != nil {
					return err
				}
				return c.each("Updating VM configuration", func(id int) error {
					_, err := c.do("vm.updateconf", id, t, c.appendFlag())
					return err
				})
			},
		},
	}
}
