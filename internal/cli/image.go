package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/one"
)

// imageTypes and imageStates are the words of listings. Source: resources
// reference §3.1.
var (
	imageTypes  = []string{"OS", "CD", "DB", "KL", "RD", "CX", "BK"}
	imageStates = []string{"init", "rdy", "used", "disa", "lock", "err", "clon", "dele", "used", "lock", "lock"}
)

// wordAt returns the word a number stands for, "" when there is none.
func wordAt(words []string, i int64) string {
	if i < 0 || i >= int64(len(words)) {
		return ""
	}
	return words[i]
}

func imageNoun() *noun {
	n := &noun{
		cmd: "oneimage", alias: "image", short: "Manage images", pool: imagePool, filtered: true, table: imageTable, show: showImage,
		listFlags: func(f *pflag.FlagSet) { boolean(f, "backup", "", "only backups") },
	}
	datastore := func(f *pflag.FlagSet) { text(f, "datastore", "d", "datastore, by name or id") }
	toggle := func(name, method1, short, done string, on bool) verb {
		return verb{name: name, short: short, args: []arg{selfs("imageid")}, example: name + " 2", run: method(method1, done, with(on))}
	}
	snap := func(name, done, short string) verb {
		return verb{
			name: "snapshot-" + name, short: short, args: []arg{self("imageid"), num("snapshot_id")}, example: "snapshot-" + name + " 2 0",
			run: method("snapshot"+name, done, nil),
		}
	}
	listed := n.listVerb()
	listed.run = func(c *call) error {
		if !c.flag("backup") {
			return list(c)
		}
		p, err := c.fetch(&imagePool, c.num(0, client.All), 0)
		if err != nil {
			return err
		}
		isBackup := func(i *doc.Node) bool { return one.ImageType(i.Int("TYPE")) == one.ImageBackup }
		p.Kids = slices.DeleteFunc(p.Kids, func(i *doc.Node) bool { return !isBackup(i) })
		if printed, err := c.formatted(p); printed {
			return err
		}
		return c.printTable(p, nil)
	}
	n.verbs = []verb{
		listed, n.topVerb(), n.showVerb("imageid", false, nil),
		imageCreate(),
		{
			name: "clone", short: "Copy an image", args: []arg{self("imageid"), word("name")}, flags: datastore, example: "clone 2 alpine-copy",
			run: cloneRun(func(c *call) ([]any, error) {
				if c.str("datastore") == "" {
					return nil, nil
				}
				id, err := c.id(&datastorePool, c.str("datastore"))
				return []any{id}, err
			}),
		},
		{
			name: "delete", short: "Delete images", args: []arg{selfs("imageid")}, example: "delete 2\ndelete 2 --force",
			flags: func(f *pflag.FlagSet) { boolean(f, "force", "", "remove an image whose operation hangs") },
			run:   method("delete", "deleting", func(c *call) ([]any, error) { return []any{c.flag("force")}, nil }),
		},
		toggle("persistent", "persistent", "Keep the changes VMs make", "made persistent", true),
		toggle("nonpersistent", "persistent", "Drop the changes VMs make", "made non persistent", false),
		toggle("enable", "enable", "Let an image be used", "enabled", true),
		toggle("disable", "enable", "Keep an image from being used", "disabled", false),
		{
			name: "chtype", short: "Change the type", args: []arg{selfs("imageid"), word("type")}, example: "chtype 2 DATABLOCK",
			run: method("chtype", "Type changed", func(c *call) ([]any, error) {
				t, err := imageType(c.text(1))
				return []any{t}, err
			}),
		},
		updateVerb("imageid", "TEMPLATE", "modified"), renameVerb("imageid"), chmodVerb("imageid", nil),
		snap("delete", "deleting snapshot", "Delete a snapshot"), snap("revert", "reverting image state", "Go back to a snapshot"),
		snap("flatten", "flattening snapshot", "Keep one snapshot as the image, delete the others"),
		imageRestore(),
	}
	n.verbs = append(n.verbs, chownVerbs("imageid")...)
	n.verbs = append(n.verbs, lockVerbs("imageid", "Image")...)
	return n
}

func imageType(s string) (string, error) {
	if t, ok := one.ParseImageType(strings.ToUpper(strings.TrimSpace(s))); ok {
		return t.String(), nil
	}
	return "", fmt.Errorf("Image type not supported. Must be OS, CDROM, DATABLOCK, KERNEL, RAMDISK, CONTEXT, BACKUP.")
}

// imageFlags describe an image without a template file.
func imageFlags(f *pflag.FlagSet) {
	text(f, "name", "", "name of the image")
	text(f, "description", "", "description")
	text(f, "type", "", "type: OS, CDROM, DATABLOCK, KERNEL, RAMDISK, CONTEXT")
	boolean(f, "persistent", "", "keep the changes VMs make")
	text(f, "prefix", "", "prefix of the device: hd, sd, xvd, vd")
	text(f, "target", "", "device in the guest")
	text(f, "path", "", "file or URL of the content")
	text(f, "format", "", "format: raw, qcow2")
	text(f, "fs", "", "file system to make: ext4, xfs")
	text(f, "disk_type", "", "type of the disk: FILE, BLOCK, CDROM, RBD")
	text(f, "source", "", "content on the datastore that is used as it is")
	text(f, "size", "", "size in MB, or with a unit: 400, 10g")
}

func imageCreate() verb {
	return verb{
		name: "create", short: "Register an image from a template file or from flags", args: []arg{file},
		example: `create -d default image.tmpl
create -d default --name alpine --path https://example.org/alpine.qcow2 --prefix vd
create -d 1 --name data --type DATABLOCK --size 10g --persistent`,
		flags: flagsOf(imageFlags, func(f *pflag.FlagSet) {
			text(f, "datastore", "d", "datastore, by name or id")
			boolean(f, "no_check_capacity", "", "do not check the datastore's room, for administrators")
			boolean(f, "dry", "", "print the template, create nothing")
		}),
		run: func(c *call) error {
			if c.str("datastore") == "" && !c.flag("dry") {
				return fmt.Errorf("Datastore to save the image is mandatory: \n\t -d datastore_id")
			}
			return createFrom("image.allocate", imageFlags, (*call).imageTemplate,
				func(c *call) (any, error) { return c.id(&datastorePool, c.str("datastore")) },
				func(c *call) (any, error) { return c.flag("no_check_capacity"), nil },
			)(c)
		},
	}
}

// imageTemplate renders imageFlags as template text. A relative path is one on
// this machine.
func (c *call) imageTemplate() (string, error) {
	var b builder
	c.attributes(&b, "name", "NAME", "description", "DESCRIPTION", "target", "TARGET", "format", "FORMAT", "fs", "FS",
		"disk_type", "DISK_TYPE", "source", "SOURCE")
	if s := c.str("type"); s != "" {
		t, err := imageType(s)
		if err != nil {
			b.fail("%v", err)
		}
		b.line("TYPE=%s", quoted(t))
	}
	if c.flag("persistent") {
		b.line(`PERSISTENT="YES"`)
	}
	if s := c.str("prefix"); s != "" {
		if !slices.Contains([]string{"hd", "sd", "xvd", "vd"}, strings.ToLower(s)) {
			b.fail("The prefix must be hd, sd, xvd or vd")
		}
		b.line("DEV_PREFIX=%s", quoted(strings.ToLower(s)))
	}
	if s := c.str("path"); s != "" {
		if !strings.Contains(s, "://") {
			abs, err := filepath.Abs(s)
			if err != nil {
				b.fail("path %s: %v", s, err)
			}
			s = abs
		}
		b.line("PATH=%s", quoted(s))
	}
	if s := c.str("size"); s != "" {
		mb, err := megabytes(s)
		if err != nil {
			b.fail("%v", err)
		}
		b.line("SIZE=%s", quoted(strconv.FormatInt(mb, 10)))
	}
	return b.String(), b.err
}

func imageRestore() verb {
	return verb{
		name: "restore", short: "Make a template and images of a backup", args: []arg{self("imageid")}, example: "restore 12 -d default",
		flags: func(f *pflag.FlagSet) {
			text(f, "datastore", "d", "datastore of the images, by name or id")
			boolean(f, "no_ip", "", "do not keep the addresses of the NICs")
			boolean(f, "no_nic", "", "do not keep the NICs")
			text(f, "name", "", "name of the template and images")
			text(f, "increment", "", "increment to restore, the last by default")
			text(f, "disk_id", "", "restore only this disk")
		},
		run: func(c *call) error {
			if c.str("datastore") == "" {
				return fmt.Errorf("Datastore to restore the backup is mandatory: \n\t -d datastore_id | name")
			}
			ds, err := c.id(&datastorePool, c.str("datastore"))
			if err != nil {
				return err
			}
			var b builder
			for _, flag := range []string{"no_ip", "no_nic"} {
				if c.flag(flag) {
					b.line(`%s="YES"`, strings.ToUpper(flag))
				}
			}
			c.attributes(&b, "name", "NAME", "increment", "INCREMENT_ID", "disk_id", "DISK_ID")
			return c.each("vm backup restored", func(id int) error {
				r, err := c.do("image.restore", id, ds, b.String())
				if err != nil {
					return err
				}
				ids := strings.Fields(r.Text)
				if len(ids) > 0 && ids[0] != "-1" {
					c.out.Println("VM Template: " + ids[0])
				}
				if len(ids) > 1 {
					c.out.Println("Images: " + strings.Join(ids[1:], " "))
				}
				return nil
			})
		},
	}
}

func imageTable(c *call, _ *doc.Node) (nodeTable, error) {
	return nodeTable{
		Columns: []column{
			idColumn(), c.userColumn(8), c.groupColumn(8), nameColumn(15),
			left(field("DATASTORE", "datastore", 10, "DATASTORE")),
			computed("SIZE", "size", 7, func(n *doc.Node) string { return c.size(n.Int("SIZE"), 'M') }),
			left(computed("TYPE", "type", 4, func(n *doc.Node) string { return wordAt(imageTypes, n.Int("TYPE")) })),
			computed("PERSISTENT", "whether it keeps changes", 3, func(n *doc.Node) string { return render.YesNo(n.Get("PERSISTENT") == "1") }),
			state(left(computed("STAT", "state", 4, func(n *doc.Node) string { return wordAt(imageStates, n.Int("STATE")) }))),
			field("RVMS", "number of VMs that use it", 4, "RUNNING_VMS"),
			computed("REGTIME", "time of registration", 15, func(n *doc.Node) string { return c.time(n.Int("REGTIME"), render.Seconds) }),
		},
		Default: []string{"ID", "USER", "GROUP", "NAME", "DATASTORE", "SIZE", "TYPE", "PERSISTENT", "STAT", "RVMS"},
	}, nil
}

func showImage(c *call, n *doc.Node) error {
	p := c.panel(15)
	kind := one.ImageType(n.Int("TYPE"))
	p.Title("IMAGE %s INFORMATION", n.Get("ID"))
	c.ownedFields(p, n)
	p.Field("DATASTORE", n.Get("DATASTORE"))
	p.Field("TYPE", kind.String())
	p.Field("REGISTER TIME", c.time(n.Int("REGTIME"), render.Seconds))
	p.Field("PERSISTENT", render.YesNo(n.Get("PERSISTENT") == "1"))
	p.Field("SOURCE", n.Get("SOURCE"))
	p.FieldIf("PATH", n.Get("PATH"))
	p.FieldIf("FORMAT", n.Get("FORMAT"))
	p.Field("SIZE", render.Size(n.Int("SIZE"), 'M'))
	p.Field("STATE", wordAt(imageStates, n.Int("STATE")))
	p.Field("RUNNING_VMS", n.Get("RUNNING_VMS"))
	p.Blank()
	p.Permissions(n)
	if err := c.imageSnapshots(p, n); err != nil {
		return err
	}
	p.Blank()
	p.Section("IMAGE TEMPLATE")
	p.Println(doc.TemplateText(n.At("TEMPLATE")))
	vms := n.Texts("VMS/ID")
	if len(vms) == 0 {
		return nil
	}
	if kind == one.ImageBackup {
		return c.imageBackup(p, n, vms[0])
	}
	p.Blank()
	p.Heading("VIRTUAL MACHINES", false)
	p.Blank()
	return c.vmsTable(func(vm *doc.Node) bool { return slices.Contains(vms, vm.Get("ID")) })
}

func (c *call) imageSnapshots(p render.Panel, n *doc.Node) error {
	snaps := n.All("SNAPSHOTS/SNAPSHOT")
	if len(snaps) == 0 {
		return nil
	}
	p.Blank()
	p.Section("IMAGE SNAPSHOTS")
	t := nodeTable{Columns: []column{
		left(computed("AC", "", 2, func(s *doc.Node) string {
			if s.Get("ACTIVE") == "YES" {
				return "=>"
			}
			return ""
		})),
		field("ID", "", 3, "ID"), field("PARENT", "", 6, "PARENT"),
		computed("DATE", "", 15, func(s *doc.Node) string { return c.time(s.Int("DATE"), render.Seconds) }),
		left(computed("SIZE", "", 8, sizeOrDash)), left(field("NAME", "", 37, "NAME")),
	}}
	return t.Print(p.Screen, snaps, render.Layout{})
}

func sizeOrDash(n *doc.Node) string {
	if !n.Has("SIZE") {
		return "-"
	}
	return render.Size(n.Int("SIZE"), 'M')
}

// imageBackup tells what a backup is of and what it consists of.
func (c *call) imageBackup(p render.Panel, n *doc.Node, vm string) error {
	p.Section("BACKUP INFORMATION")
	p.Field("VM", vm)
	increments := n.All("BACKUP_INCREMENTS/INCREMENT")
	if len(increments) == 0 {
		p.Field("TYPE", "FULL")
		return nil
	}
	p.Field("TYPE", "INCREMENTAL")
	p.Blank()
	p.Heading("BACKUP INCREMENTS", false)
	t := nodeTable{Columns: []column{
		field("ID", "", 3, "ID"), field("PID", "", 3, "PARENT_ID"), field("TYPE", "", 1, "TYPE"), left(computed("SIZE", "", 8, sizeOrDash)),
		computed("DATE", "", 15, func(s *doc.Node) string { return c.time(s.Int("DATE"), render.Seconds) }), left(field("SOURCE", "", 37, "SOURCE")),
	}}
	return t.Print(p.Screen, increments, render.Layout{})
}

// vmsTable lists the VMs a condition holds for, below a panel.
func (c *call) vmsTable(keep func(*doc.Node) bool) error {
	p, err := c.fetch(&vmPool, client.All, notDone)
	if err != nil {
		return err
	}
	t, err := vmTable(c, nil)
	if err != nil {
		return err
	}
	var rows []*doc.Node
	for _, vm := range p.All("VM") {
		if keep(vm) {
			rows = append(rows, vm)
		}
	}
	return t.Print(c.out, rows, render.Layout{})
}
