package cloud

import (
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// TestRefusedNames: names that break the rules or are taken, wherever something gets
// one. Source: XML-RPC reference §5.2.
func TestRefusedNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	named := func(name, more string) *tmpl.Template { return parsed(more+" A=b").With("NAME", name) }
	long := strings.Repeat("n", one.MaxNameLen+1)
	for _, o := range []struct {
		what, taken string
		create      func(w *world, who auth.Caller, name string) error
		kind        errs.Kind
		prefix      string // of the text
		byOne       string // of whom the name is taken
		empty       bool   // an empty name is none of these: there is a default or another text
	}{
		{"cluster", "edge", func(w *world, who auth.Caller, name string) error { return second(w.AllocateCluster(w.ctx, who, name)) }, errs.Internal, "", "CLUSTER 100", false},
		{"datastore", "ds100", func(w *world, who auth.Caller, name string) error {
			return second(w.AllocateDatastore(w.ctx, who, named(name, "TM_MAD=dummy DS_MAD=dummy"), -1))
		}, errs.Internal, "", "DATASTORE 100", false},
		{"group", "strangers", func(w *world, who auth.Caller, name string) error { return second(w.AllocateGroup(w.ctx, who, name)) }, errs.Internal, "", "GROUP 100", false},
		{"host", "host1", func(w *world, who auth.Caller, name string) error {
			return second(w.AllocateHost(w.ctx, who, name, "dummy", "dummy", -1))
		}, errs.Internal, "", "HOST 1", false},
		{"VDC", "empty", func(w *world, who auth.Caller, name string) error {
			return second(w.AllocateVDC(w.ctx, who, named(name, "")))
		}, errs.Internal, "", "Vdc 100", true},
		{"user", "owner", func(w *world, who auth.Caller, name string) error {
			return second(w.AllocateUser(w.ctx, who, name, "secret", "ssh", nil))
		}, errs.Internal, "", "USER 2", false},
		{"image", "disk", func(w *world, who auth.Caller, name string) error {
			return second(w.AllocateImage(w.ctx, who, named(name, "SIZE=1"), 1, true))
		}, errs.Allocate, "Error allocating a new image. ", "IMAGE 0", false},
		{"image clone", "disk", func(w *world, who auth.Caller, name string) error {
			return second(w.CloneImage(w.ctx, who, 0, name, -1))
		}, errs.Allocate, "Error allocating a new image. ", "IMAGE 0", false},
		{"security group", "group100", func(w *world, who auth.Caller, name string) error {
			return second(w.AllocateSecGroup(w.ctx, who, named(name, "")))
		}, errs.Internal, "", "SecurityGroup 100", false},
		{"security group clone", "group100", func(w *world, who auth.Caller, name string) error {
			return second(w.CloneSecGroup(w.ctx, who, 101, name))
		}, errs.Internal, "", "SecurityGroup 100", false},
		{"template", "plain", func(w *world, who auth.Caller, name string) error {
			return second(w.AllocateTemplate(w.ctx, who, named(name, "")))
		}, errs.Internal, "", "TEMPLATE 0", false},
		{"template clone", "plain", func(w *world, who auth.Caller, name string) error {
			return second(w.CloneTemplate(w.ctx, who, 1, name, true))
		}, errs.Internal, "", "TEMPLATE 0", false},
		{"persistent instance", "plain", func(w *world, who auth.Caller, name string) error {
			return second(w.Instantiate(w.ctx, who, 0, name, false, nil, true))
		}, errs.Internal, "", "TEMPLATE 0", true},
		{"network template", "nets", func(w *world, who auth.Caller, name string) error {
			return second(w.AllocateVNTemplate(w.ctx, who, named(name, "")))
		}, errs.Internal, "", "VN TEMPLATE 0", false},
		{"clone of a network template", "nets", func(w *world, who auth.Caller, name string) error {
			return second(w.CloneVNTemplate(w.ctx, who, 0, name))
		}, errs.Internal, "", "VN TEMPLATE 0", false},
		{"network of a template", "net", func(w *world, who auth.Caller, name string) error {
			return second(w.InstantiateVNTemplate(w.ctx, who, 0, name, nil))
		}, errs.Allocate, "Error allocating a new virtual network template. ", "NET 0", true},
		{"network", "net", func(w *world, who auth.Caller, name string) error {
			return second(w.AllocateVNet(w.ctx, who, named(name, "VN_MAD=bridge"), -1))
		}, errs.Internal, "", "NET 0", true},
		{"reservation", "net", func(w *world, who auth.Caller, name string) error {
			return second(w.Reserve(w.ctx, who, 0, named(name, "SIZE=1")))
		}, errs.Internal, "", "NET 0", true},
	} {
		// Who may create everything, and owns what owner owns: oneadmin, in his name.
		create := func(name string) func(w *world, who auth.Caller) error {
			return func(w *world, who auth.Caller) error {
				who.UID, who.Admin = owner, true
				return o.create(w, who, name)
			}
		}
		rows := []refusal{
			{o.what + " with a name that is taken", 0, create(o.taken), o.kind, o.prefix + "NAME is already taken by " + o.byOne + "."},
			{o.what + " with a bad name", 0, create("a$b"), o.kind, o.prefix + "Invalid NAME, char '$' is not allowed"},
			{o.what + " with a long name", 0, create(long), o.kind, o.prefix + "Invalid NAME, max length is 128 chars"},
		}
		if !o.empty {
			rows = append(rows, refusal{o.what + " without a name", 0, create(""), o.kind, o.prefix + "Invalid NAME, it cannot be empty"})
		}
		if strings.Contains(o.what, "template clone") { // the images of its disks are named first
			rows = rows[:1]
		}
		w.refuse(rows...)
	}
	w.refuse(
		refusal{"a blank in a user's name", 0, func(w *world, who auth.Caller) error {
			return second(w.AllocateUser(w.ctx, who, "two words", "secret", "ssh", nil))
		}, errs.Internal, "Invalid NAME, char ' ' is not allowed"},
		refusal{"a network without a name", 0, func(w *world, who auth.Caller) error {
			return second(w.AllocateVNet(w.ctx, who, parsed("VN_MAD=bridge"), -1))
		}, errs.Internal, "No NAME in template for Virtual Network."},
		refusal{"a reservation without a name", owner, reserve("SIZE=1"), errs.Action, "NAME for reservation has to be set"},
		refusal{"a VM with a bad name", owner, allocVM("NAME=\"a|b\""), errs.Allocate, "Error allocating a new virtual machine. Invalid NAME, char '|' is not allowed"},
		refusal{"a document with a long name", owner, func(w *world, who auth.Caller) error {
			return second(w.AllocateDocument(w.ctx, who, parsed("NAME="+long), 200))
		}, errs.Internal, "Invalid NAME, max length is 128 chars"},
	)
}

func reserve(text string) func(*world, auth.Caller) error {
	return func(w *world, who auth.Caller) error { return second(w.Reserve(w.ctx, who, 0, parsed(text))) }
}

// TestRefusedRenames: likewise for what exists. Source: XML-RPC reference §6.3 and §6.4.
func TestRefusedRenames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(func(tx *store.Tx) {
		g, n, i := *tx.SecGroups.At(101), *tx.VNets.At(2), *tx.Images.At(1)
		for _, m := range []*one.Meta{&g.Meta, &n.Meta, &i.Meta} {
			m.UID = member
		}
		g.Name, n.Name, i.Name = "group100", "net", "disk"
		tx.PutSecGroup(&g)
		tx.PutVNet(&n)
		tx.PutImage(&i)
	})
	rename := func(kind one.Kind, id int, name string) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.Rename(w.ctx, who, kind, id, name) }
	}
	collision := func(word, name string, other string) string {
		return word + " cannot be renamed to " + name + " because it collides with " + word + " " + other
	}
	for _, r := range []struct {
		word   string
		rename func(name string) func(*world, auth.Caller) error
		taken  string
		by     string // "" when names of the kind may be the same
	}{
		{"TEMPLATE", func(n string) func(*world, auth.Caller) error { return rename(one.KindTemplate, 1, n) }, "plain", "0"},
		{"IMAGE", func(n string) func(*world, auth.Caller) error { return rename(one.KindImage, 0, n) }, "kernel", "2"},
		{"NET", func(n string) func(*world, auth.Caller) error { return rename(one.KindNet, 0, n) }, "reserved", "1"},
		{"SECGROUP", func(n string) func(*world, auth.Caller) error { return rename(one.KindSecGroup, 101, n) }, "", ""},
		{"DATASTORE", func(n string) func(*world, auth.Caller) error { return rename(one.KindDatastore, 100, n) }, "ds101", "101"},
		{"VM", func(n string) func(*world, auth.Caller) error { return rename(one.KindVM, 0, n) }, "", ""},
		{"HOST", func(n string) func(*world, auth.Caller) error {
			return func(w *world, who auth.Caller) error { return w.RenameHost(w.ctx, who, 0, n) }
		}, "host1", "1"},
		{"CLUSTER", func(n string) func(*world, auth.Caller) error {
			return func(w *world, who auth.Caller) error { return w.RenameCluster(w.ctx, who, 0, n) }
		}, "edge", "100"},
		{"VDC", func(n string) func(*world, auth.Caller) error {
			return func(w *world, who auth.Caller) error { return w.RenameVDC(w.ctx, who, 100, n) }
		}, "default", "0"},
		{"ZONE", func(n string) func(*world, auth.Caller) error {
			return func(w *world, who auth.Caller) error { return w.RenameZone(w.ctx, who, 0, n) }
		}, "", ""},
	} {
		w.refuse(
			refusal{r.word + " to nothing", 0, r.rename(""), errs.Action, "Invalid NAME, it cannot be empty"},
			refusal{r.word + " to a bad name", 0, r.rename("a;b"), errs.Action, "Invalid NAME, char ';' is not allowed"},
			refusal{r.word + " to a long name", 0, r.rename(strings.Repeat("n", 129)), errs.Action, "Invalid NAME, max length is 128 chars"},
		)
		if r.by != "" {
			w.refuse(refusal{r.word + " to a name that is taken", 0, r.rename(r.taken), errs.Action, collision(r.word, r.taken, r.by)})
		}
	}
	chown := func(kind one.Kind, id int) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.Chown(w.ctx, who, kind, id, member, -1) }
	}
	w.refuse(
		refusal{"a network to who has one of that name", 0, chown(one.KindNet, 0), errs.Internal, "user [3] already owns NET [2] with NAME net"},
		refusal{"an image to who has one of that name", 0, chown(one.KindImage, 0), errs.Internal, "user [3] already owns IMAGE [1] with NAME disk"},
		refusal{"a security group to who has one of that name", 0, chown(one.KindSecGroup, 100), errs.Internal, "user [3] already owns SECGROUP [101] with NAME group100"},
	)
}

// TestRefusedRestricted: what only administrators may set. Source: XML-RPC reference
// §6.2, §6.9 and §9.6.
func TestRefusedRestricted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(func(tx *store.Tx) {
		v := *tx.Templates.At(1)
		v.Template = v.Template.With("CPU_COST", "1")
		tx.PutTemplate(&v)
		n := *tx.VNets.At(0)
		n.ARs = append([]one.AR(nil), n.ARs...)
		n.ARs[0].Attrs = parsed("BRIDGE=br1")
		tx.PutVNet(&n)
	})
	const cannot, tried, merged = "Cannot update template. ", "Tried to change restricted attribute: ", "User Template includes a restricted attribute "
	update := func(f func(w *world, who auth.Caller, t *tmpl.Template, mode int) error, text string, mode int) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return f(w, who, parsed(text), mode) }
	}
	template := func(w *world, who auth.Caller, t *tmpl.Template, mode int) error {
		return w.UpdateTemplate(w.ctx, who, 1, t, mode)
	}
	image := func(w *world, who auth.Caller, t *tmpl.Template, mode int) error {
		return w.UpdateImage(w.ctx, who, 0, t, mode)
	}
	net := func(w *world, who auth.Caller, t *tmpl.Template, mode int) error {
		return w.UpdateVNet(w.ctx, who, 0, t, mode)
	}
	vm := func(w *world, who auth.Caller, t *tmpl.Template, mode int) error {
		return w.UpdateVM(w.ctx, who, 0, t, mode)
	}
	user := func(w *world, who auth.Caller, t *tmpl.Template, mode int) error {
		return w.UpdateUser(w.ctx, who, owner, t, mode)
	}
	w.refuse(
		refusal{"a VM", owner, allocVM("RAW=[TYPE=kvm, DATA=x]"), errs.Authorization, "User [2] : VM Template includes a restricted attribute RAW."},
		refusal{"a VM's disk", owner, allocVM("DISK=[IMAGE_ID=0, READ_IOPS_SEC=5]"), errs.Authorization, "User [2] : VM Template includes a restricted attribute READ_IOPS_SEC."},
		refusal{"files of the host", owner, allocVM(`CONTEXT=[FILES="/etc/shadow"]`), errs.Authorization, "User [2] : VM Template includes a restricted attribute FILES."},
		refusal{"a template", owner, func(w *world, who auth.Caller) error {
			return second(w.AllocateTemplate(w.ctx, who, parsed("NAME=x NIC=[NETWORK_ID=0, MAC=02:00:00:00:00:01]")))
		}, errs.Authorization, "User [2] : VM Template includes a restricted attribute MAC."},
		refusal{"an image", owner, allocImage("NAME=x SOURCE=/etc/shadow FORMAT=raw SIZE=1"), errs.Authorization, "User [2] : Template includes a restricted attribute SOURCE."},
		refusal{"an instance", owner, instantiate("USER_PRIORITY=9", false), errs.Authorization, "User [2] : User Template includes a restricted attribute USER_PRIORITY."},
		refusal{"a persistent instance", owner, instantiate("USER_PRIORITY=9", true), errs.Authorization, "User [2] : User Template includes a restricted attribute USER_PRIORITY."},
		refusal{"a template replaced", owner, update(template, "CPU_COST=2 CPU=1", 0), errs.Internal, cannot + tried + "CPU_COST"},
		refusal{"a template merged", owner, update(template, "CPU_COST=2", 1), errs.Internal, cannot + merged + "CPU_COST"},
		refusal{"an image merged", owner, update(image, "VCENTER_IMPORTED=YES", 1), errs.Internal, cannot + merged + "VCENTER_IMPORTED"},
		refusal{"a network replaced", owner, update(net, "VN_MAD=dummy BRIDGE=eth0", 0), errs.Internal, cannot + tried + "BRIDGE"},
		refusal{"a network merged", owner, update(net, "PHYDEV=eth0", 1), errs.Internal, cannot + merged + "PHYDEV"},
		refusal{"a range", owner, func(w *world, who auth.Caller) error {
			return w.UpdateAR(w.ctx, who, 0, parsed("AR=[AR_ID=0, BRIDGE=eth0]"))
		}, errs.Internal, cannot + tried + "AR"},
		refusal{"a VM's user template", owner, update(vm, "USER_PRIORITY=9", 1), errs.Internal, cannot + merged + "USER_PRIORITY"},
		refusal{"one's own levels", owner, update(user, "VM_USE_OPERATIONS=deploy", 1), errs.Internal, cannot + merged + "VM_USE_OPERATIONS"},
		refusal{"the group's levels", chief, func(w *world, who auth.Caller) error {
			return w.UpdateGroup(w.ctx, who, 1, parsed("VM_MANAGE_OPERATIONS=deploy"), 0)
		}, errs.Internal, cannot + tried + "VM_MANAGE_OPERATIONS"},
		refusal{"a VM's configuration", owner, updateConf(3, "RAW=[TYPE=kvm, DATA=x]", 1), errs.Authorization, "User [2] : Template includes a restricted attribute RAW."},
		refusal{"a size", owner, func(w *world, who auth.Caller) error {
			return w.ResizeVM(w.ctx, who, 3, parsed("MEMORY=128 TOPOLOGY=[PIN_POLICY=CORE]"))
		}, errs.Authorization, "User [2] : Template includes a restricted attribute PIN_POLICY."},
	)
}

func allocImage(text string) func(*world, auth.Caller) error {
	return func(w *world, who auth.Caller) error {
		return second(w.AllocateImage(w.ctx, who, parsed(text), one.DefaultDS, false))
	}
}

func updateConf(vm int, text string, mode int) func(*world, auth.Caller) error {
	return func(w *world, who auth.Caller) error { return w.UpdateVMConf(w.ctx, who, vm, parsed(text), mode) }
}

// TestRefusedSizes: what is larger or deeper than can be taken.
func TestRefusedSizes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	huge := parsed("A=b").With("TEXT", strings.Repeat("x", 600<<10))
	big := func(call func(w *world, who auth.Caller) error) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error {
			err := call(w, who)
			if errs.KindOf(err) == errs.API && strings.HasPrefix(errs.Text(err), "the transaction writes 6") && strings.HasSuffix(errs.Text(err), "more than the 524288 bytes or 1000 keys that one may have") {
				return errs.New(errs.API, "too large")
			}
			return err
		}
	}
	w.refuse(
		refusal{"a template", owner, big(func(w *world, who auth.Caller) error {
			return second(w.AllocateTemplate(w.ctx, who, huge.With("NAME", "x")))
		}), errs.API, "too large"},
		refusal{"an update", owner, big(func(w *world, who auth.Caller) error { return w.UpdateVM(w.ctx, who, 0, huge, 1) }), errs.API, "too large"},
		refusal{"a document", owner, big(func(w *world, who auth.Caller) error { return second(w.AllocateDocument(w.ctx, who, huge, 200)) }), errs.API, "too large"},
		refusal{"a VM", owner, big(func(w *world, who auth.Caller) error {
			return second(w.AllocateVM(w.ctx, who, huge.Merge(parsed("CPU=1 MEMORY=64 NIC=[NETWORK_ID=0] DISK=[IMAGE_ID=0]")), false))
		}), errs.API, "too large"},
		refusal{"a network's ranges", 0, big(func(w *world, who auth.Caller) error {
			return w.AddAR(w.ctx, who, 0, parsed("").Add(tmpl.Vec("AR", "TYPE", "IP4", "IP", "10.9.0.1", "SIZE", "1", "X", strings.Repeat("x", 600<<10))))
		}), errs.API, "too large"},
		refusal{"disks", owner, allocVM(strings.Repeat("DISK=[TYPE=fs, SIZE=1]\n", 21)), errs.Allocate, "Error allocating a new virtual machine. Exceeded the maximum number of disks (20)"},
		refusal{"a search", owner, func(w *world, who auth.Caller) error {
			return third(w.VMPool(who, Everything, NotDone, strings.Repeat("a&", 32)))
		}, errs.API, "search: 33 terms, expected at most 32"},
		refusal{"a join token's life", 0, func(w *world, who auth.Caller) error {
			return second(w.NewJoinToken(w.ctx, who, "", 31*24*time.Hour))
		}, errs.API, "a join token is valid for 1 second to 30 days"},
	)
	// What is too deep does not become a template in the first place.
	if _, err := tmpl.Parse(strings.Repeat("<A>", tmpl.MaxDepth+1) + strings.Repeat("</A>", tmpl.MaxDepth+1)); err == nil {
		t.Error("a template of more levels than allowed is taken")
	}
}
