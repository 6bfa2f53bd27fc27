package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// vmConf renders what updateconf can change, for the editor. Source: XML-RPC
// reference §7.2.1.
func (c *call) vmConf(id int) (string, error) {
	n, err := c.doc("vm.info", id)
	if err != nil {
		return "", err
	}
	conf := n.At("TEMPLATE").Without("CONTEXT")
	if context := n.At("TEMPLATE/CONTEXT"); context != nil {
		conf.Kids = append(conf.Kids, context.Without(networkVariables(context)...))
	}
	text := doc.TemplateText(conf, "OS", "FEATURES", "INPUT", "GRAPHICS", "VIDEO", "RAW", "CONTEXT", "CPU_MODEL")
	if backup := doc.TemplateText(n.At("BACKUPS"), "BACKUP_CONFIG"); backup != "" {
		text += "\n" + backup
	}
	return text, nil
}

// networkVariables names the variables of a context that the core makes of the
// NICs, ETH0_IP and the like.
func networkVariables(context *doc.Node) []string {
	var names []string
	for _, k := range context.Kids {
		if rest, ok := strings.CutPrefix(k.Name, "ETH"); ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			names = append(names, k.Name)
		}
	}
	return names
}

// attach makes the run of a verb that attaches a device described by --file,
// standard input or flags.
func attach(name, done, missing string, fromFlags func(c *call) (string, error)) func(*call) error {
	return func(c *call) error {
		t, err := fromFlags(c)
		if err == nil && t == "" {
			t, _, err = c.fileOrStdin()
		}
		if err != nil {
			return err
		}
		if strings.TrimSpace(t) == "" {
			return fmt.Errorf("%s", missing)
		}
		return c.each(done, func(id int) error {
			_, err := c.do("vm."+name, id, t)
			return err
		})
	}
}

func joined(parts []string) string { return strings.Join(parts, ", ") }

// vector writes a vector of the parts that have a value: name, value and so on.
func vector(name string, pairs ...string) string {
	var parts []string
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			parts = append(parts, pairs[i]+"="+quoted(pairs[i+1]))
		}
	}
	return name + "=[ " + joined(parts) + " ]"
}

func vmDisks() []verb {
	fileFlag := func(f *pflag.FlagSet) { text(f, "file", "f", "file with the DISK") }
	return []verb{
		{
			name: "disk-attach", short: "Attach a disk", args: []arg{self("vmid")}, example: "disk-attach 7 --image data\ndisk-attach 7 --file disk.tmpl",
			flags: flagsOf(fileFlag, func(f *pflag.FlagSet) {
				text(f, "image", "i", "image, by name or id")
				text(f, "target", "t", "device in the guest: vdb")
				text(f, "prefix", "", "prefix of the device, instead of the image's: vd")
				text(f, "cache", "", "cache mode: default, none, writethrough, writeback, directsync, unsafe")
				text(f, "discard", "", "discard mode: ignore, unmap")
			}),
			run: attach("attach", "Attaching disk", "Provide a template or an image:\n\t--file  <file>\n\t--image <image>", func(c *call) (string, error) {
				if c.str("image") == "" {
					return "", nil
				}
				id, err := c.id(&imagePool, c.str("image"))
				return vector("DISK", "IMAGE_ID", strconv.Itoa(id), "TARGET", c.str("target"), "DEV_PREFIX", c.str("prefix"),
					"CACHE", c.str("cache"), "DISCARD", c.str("discard")), err
			}),
		},
		{
			name: "disk-detach", short: "Detach a disk", args: []arg{self("vmid"), num("diskid")}, example: "disk-detach 7 1",
			run: method("detach", "Detaching disk", nil),
		},
		{
			name: "disk-saveas", short: "Save a disk as a new image", args: []arg{self("vmid"), num("diskid"), word("img_name")},
			example: "disk-saveas 7 0 backup\ndisk-saveas 7 0 old --snapshot 2",
			flags: func(f *pflag.FlagSet) {
				text(f, "type", "t", "type of the image, that of the disk by default")
				text(f, "snapshot", "s", "disk snapshot to save, by name or id, instead of the current state")
			},
			run: func(c *call) error {
				snap := -1
				if s := c.str("snapshot"); s != "" {
					var err error
					if snap, err = c.snapshotID(c.subjects()[0], s, "SNAPSHOTS/SNAPSHOT", "ID"); err != nil {
						return err
					}
				}
				return c.each(fmt.Sprintf("disk %d prepared to be saved in the image %s", c.num(1, 0), c.text(2)), func(id int) error {
					r, err := c.do("vm.disksaveas", id, c.num(1, 0), c.text(2), c.str("type"), snap)
					if err == nil {
						c.created("Image ID", r)
					}
					return err
				})
			},
		},
		{
			name: "disk-resize", short: "Grow a disk", args: []arg{self("vmid"), num("diskid"), word("size")},
			long: "The size is in MB, or has a unit: 20480, 20g, 1t.", example: "disk-resize 7 0 20g",
			run: method("diskresize", "resizing disk", func(c *call) ([]any, error) {
				mb, err := megabytes(c.text(2))
				return []any{c.num(1, 0), strconv.FormatInt(mb, 10)}, err
			}),
		},
	}
}

func vmNICs() []verb {
	pci := func(f *pflag.FlagSet) {
		text(f, "file", "f", "file with the description")
		text(f, "pci", "", "short address of a PCI device: 02:00.0")
		text(f, "pci_device", "", "device of a PCI device, in hex")
		text(f, "pci_class", "", "class of a PCI device, in hex")
		text(f, "pci_vendor", "", "vendor of a PCI device, in hex")
	}
	pciGiven := func(c *call) bool {
		return c.str("pci")+c.str("pci_device")+c.str("pci_class")+c.str("pci_vendor") != ""
	}
	pciPairs := func(c *call) []string {
		return []string{"SHORT_ADDRESS", c.str("pci"), "DEVICE", c.str("pci_device"), "CLASS", c.str("pci_class"), "VENDOR", c.str("pci_vendor")}
	}
	return []verb{
		{
			name: "nic-attach", short: "Attach a NIC, or an alias of one", args: []arg{self("vmid")},
			example: "nic-attach 7 --network private\nnic-attach 7 --network public --alias NIC0 --ip 10.0.0.9",
			flags: flagsOf(pci, func(f *pflag.FlagSet) {
				text(f, "network", "n", "virtual network, by name or id")
				text(f, "ip", "i", "address to ask for")
				text(f, "alias", "a", "attach as an alias of this NIC")
				text(f, "nic_name", "", "name of the NIC")
			}),
			run: attach("attachnic", "Attaching NIC", "Provide a network or a template:\n\t--file    <file>\n\t--network <network>", func(c *call) (string, error) {
				if c.str("network") == "" {
					return "", nil
				}
				id, err := c.id(&vnetPool, c.str("network"))
				name, first := "NIC", []string{}
				switch {
				case pciGiven(c):
					name, first = "PCI", append([]string{"TYPE", "NIC"}, pciPairs(c)...)
				case c.str("alias") != "":
					name, first = "NIC_ALIAS", []string{"PARENT", c.str("alias")}
				}
				return vector(name, append(first, "NETWORK_ID", strconv.Itoa(id), "IP", c.str("ip"), "NAME", c.str("nic_name"))...), err
			}),
		},
		{
			name: "nic-detach", short: "Detach a NIC", args: []arg{self("vmid"), num("nicid")}, example: "nic-detach 7 1",
			run: method("detachnic", "Detaching NIC", nil),
		},
		{
			name: "nic-update", short: "Change a NIC", args: []arg{self("vmid"), num("nicid"), file}, flags: appendFlags, example: "nic-update 7 0 nic.tmpl",
			run: func(c *call) error {
				t, err := c.edit(2, func() (string, error) { return c.nicText(c.subjects()[0], c.text(1)) })
				if err != nil {
					return err
				}
				return c.each("Updating VM NIC", func(id int) error {
					_, err := c.do("vm.updatenic", id, c.num(1, 0), asVector("NIC", t), c.appendFlag())
					return err
				})
			},
		},
		{
			name: "sg-attach", short: "Attach a security group to a NIC", args: []arg{self("vmid"), num("nicid"), of("sgid", &secgroupPool)},
			example: "sg-attach 7 0 web", run: method("attachsg", "Attaching SG", nil),
		},
		{
			name: "sg-detach", short: "Detach a security group from a NIC", args: []arg{self("vmid"), num("nicid"), of("sgid", &secgroupPool)},
			example: "sg-detach 7 0 web", run: method("detachsg", "Detaching SG", nil),
		},
		{
			name: "pci-attach", short: "Attach a PCI device", args: []arg{self("vmid")}, flags: pci, example: "pci-attach 7 --pci 02:00.0",
			run: attach("attachpci", "Attaching PCI device", "Provide a PCI description file with --file or the relevant pci options", func(c *call) (string, error) {
				if !pciGiven(c) {
					return "", nil
				}
				return vector("PCI", pciPairs(c)...), nil
			}),
		},
		{
			name: "pci-detach", short: "Detach a PCI device", args: []arg{self("vmid"), num("pciid")}, example: "pci-detach 7 0",
			run: method("detachpci", "Detaching PCI", nil),
		},
	}
}

// nicText renders a NIC for the editor.
func (c *call) nicText(id int, nic string) (string, error) {
	n, err := c.doc("vm.info", id)
	if err != nil {
		return "", err
	}
	for _, k := range n.All("TEMPLATE/NIC") {
		if k.Get("NIC_ID") == nic {
			return textOf(k), nil
		}
	}
	return "", fmt.Errorf("VM %d has no NIC %s", id, nic)
}

// snapshotID reads the id of a snapshot, or looks its name up in the VM.
func (c *call) snapshotID(vm int, s, path, key string) (int, error) {
	if id, ok := digits(s); ok {
		return id, nil
	}
	n, err := c.doc("vm.info", vm)
	if err != nil {
		return 0, err
	}
	var found []int
	for _, k := range n.All(path) {
		if k.Get("NAME") == s {
			found = append(found, int(k.Int(key)))
		}
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("Snapshot %s not found or duplicated", s)
	}
	return found[0], nil
}

func vmSnapshots() []verb {
	snapshot := func(c *call) (int, error) {
		return c.snapshotID(c.subjects()[0], c.text(1), "TEMPLATE/SNAPSHOT", "SNAPSHOT_ID")
	}
	diskSnap := func(c *call) (int, error) {
		return c.snapshotID(c.subjects()[0], c.text(2), "SNAPSHOTS/SNAPSHOT", "ID")
	}
	rest := func(c *call) string { return strings.Join(c.raw[1:], ",") }
	action := func(c *call) string { return c.verb.name }
	one := func(find func(*call) (int, error)) func(*call) ([]any, error) {
		return func(c *call) ([]any, error) {
			id, err := find(c)
			return []any{id}, err
		}
	}
	two := func(find func(*call) (int, error)) func(*call) ([]any, error) {
		return func(c *call) ([]any, error) {
			id, err := find(c)
			return []any{c.num(1, 0), id}, err
		}
	}
	return []verb{
		{
			name: "snapshot-create", short: "Take a snapshot of the whole VM", args: []arg{selfs("vmid"), optional(word("name"))}, flags: scheduleFlags,
			example: "snapshot-create 7 before-upgrade",
			run:     orScheduled(action, rest, method("snapshotcreate", "creating snapshot", func(c *call) ([]any, error) { return []any{c.text(1)}, nil })),
		},
		{
			name: "snapshot-revert", short: "Go back to a snapshot of the whole VM", args: []arg{self("vmid"), word("snapshot_id")}, flags: scheduleFlags,
			example: "snapshot-revert 7 0", run: orScheduled(action, rest, method("snapshotrevert", "reverting snapshot", one(snapshot))),
		},
		{
			name: "snapshot-delete", short: "Delete a snapshot of the whole VM", args: []arg{self("vmid"), word("snapshot_id")}, flags: scheduleFlags,
			example: "snapshot-delete 7 0", run: orScheduled(action, rest, method("snapshotdelete", "deleting snapshot", one(snapshot))),
		},
		{
			name: "disk-snapshot-create", short: "Take a snapshot of a disk", args: []arg{self("vmid"), num("diskid"), word("name")}, flags: scheduleFlags,
			example: "disk-snapshot-create 7 0 clean",
			run: orScheduled(action, rest, method("disksnapshotcreate", "creating disk snapshot", func(c *call) ([]any, error) {
				return []any{c.num(1, 0), c.text(2)}, nil
			})),
		},
		{
			name: "disk-snapshot-revert", short: "Go back to a snapshot of a disk", args: []arg{self("vmid"), num("diskid"), word("snapshot_id")}, flags: scheduleFlags,
			example: "disk-snapshot-revert 7 0 clean", run: orScheduled(action, rest, method("disksnapshotrevert", "reverting disk snapshot", two(diskSnap))),
		},
		{
			name: "disk-snapshot-delete", short: "Delete a snapshot of a disk", args: []arg{self("vmid"), num("diskid"), word("snapshot_id")}, flags: scheduleFlags,
			example: "disk-snapshot-delete 7 0 clean", run: orScheduled(action, rest, method("disksnapshotdelete", "deleting disk snapshot", two(diskSnap))),
		},
		{
			name: "disk-snapshot-rename", short: "Rename a snapshot of a disk",
			args:    []arg{self("vmid"), num("diskid"), word("snapshot_id"), word("new_snapshot_name")},
			example: "disk-snapshot-rename 7 0 clean pristine",
			run: method("disksnapshotrename", "disk snapshot rename", func(c *call) ([]any, error) {
				id, err := diskSnap(c)
				return []any{c.num(1, 0), id, c.text(3)}, err
			}),
		},
	}
}

func vmBackups() []verb {
	datastore := func(c *call) (int, error) {
		if s := c.str("datastore"); s != "" {
			return c.id(&datastorePool, s)
		}
		return -1, nil
	}
	return []verb{
		{
			name: "backup", short: "Back a VM up", args: []arg{self("vmid")}, example: "backup 7 --datastore backups",
			flags: flagsOf(scheduleFlags, func(f *pflag.FlagSet) {
				text(f, "datastore", "d", "backup datastore, by name or id")
				boolean(f, "reset", "", "start a new full backup")
			}),
			run: func(c *call) error {
				ds, err := datastore(c)
				if err != nil {
					return err
				}
				reset := 0
				if c.flag("reset") {
					reset = 1
				}
				return orScheduled(func(*call) string { return "backup" }, func(*call) string { return fmt.Sprintf("%d,%d", ds, reset) },
					method("backup", "Backup", with(ds, reset == 1)))(c)
			},
		},
		{
			name: "backup-cancel", short: "Stop a backup", args: []arg{self("vmid")}, example: "backup-cancel 7",
			run: method("backupcancel", "Canceling backup", nil),
		},
	}
}
