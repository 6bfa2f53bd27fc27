package cloud

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// coreAttrs are the attributes of a VM's template that the core itself uses:
// they go to TEMPLATE, all others to USER_TEMPLATE. DISK, NIC, NIC_ALIAS, CPU,
// MEMORY and CONTEXT are handled apart. Source: resources reference §1.8.
var coreAttrs = []string{
	"VCPU", "VCPU_MAX", "MEMORY_MAX", "MEMORY_SLOTS", "MEMORY_RESIZE_MODE", "CPU_COST", "MEMORY_COST", "DISK_COST",
	"GRAPHICS", "VIDEO", "OS", "FEATURES", "INPUT", "RAW", "PCI", "TOPOLOGY", "NUMA_NODE", "CPU_MODEL", "EMULATOR",
	"TEMPLATE_ID", "CLONING_TEMPLATE_ID", "VMGROUP", "VROUTER_ID", "VROUTER_KEEPALIVED_ID", "VROUTER_KEEPALIVED_PASSWORD", "TM_MAD_SYSTEM", "NIC_DEFAULT",
	"IMPORT_VM_ID", "IMPORT_STATE", "SUBMIT_ON_HOLD",
}

// draft is a VM being put together inside a transaction. Whatever goes wrong,
// the transaction is dropped and with it every lease, image and sum taken.
type draft struct {
	c       *Cloud
	tx      *store.Tx
	who     auth.Caller // whose rights count and whose names are looked up
	owner   one.Meta    // the new VM's header
	id      int
	stime   int64
	in      *tmpl.Template // what was asked for, not yet used up
	out     *tmpl.Template // TEMPLATE
	context tmpl.Vector    // CONTEXT as asked for, then with device and id
	copying bool           // an image's content is still being made
	router  bool           // it belongs to a virtual router
}

// NewVM says what VM to create.
type NewVM struct {
	Template *tmpl.Template
	Owner    auth.Caller // whose it is to be
	Hold     bool
	Service  int    // OneFlow service it belongs to, -1 for none
	Role     string // its role there
	VRouter  int    // virtual router it belongs to, -1 for none
	// Of is the kind of object the call is about, which a refusal names: a VM
	// itself, or what it is made of.
	Of one.Kind
}

// createVM makes a VM inside a transaction, with the rights of the caller: parses
// and completes the template, takes leases and images, checks the owner's quotas.
// Source: VM lifecycle reference §2.
func (c *Cloud) createVM(tx *store.Tx, who auth.Caller, n NewVM) (*one.VM, error) {
	id := tx.NextID("vm", 0)
	d := &draft{c: c, tx: tx, who: who, id: id, stime: c.now().Unix(), in: n.Template.Without("NAME"), owner: c.newMeta(n.Owner, id, ""), router: n.VRouter >= 0}
	name := one.TrimName(n.Template.Get("NAME"))
	if name == "" {
		name = firstOf(n.Template.Get("TEMPLATE_NAME"), "one") + "-" + itoa(id)
	}
	if err := one.CheckName(name); err != nil {
		return nil, allocFailed(n.Of, err)
	}
	d.owner.Name = name
	if err := d.parse(); err != nil {
		return nil, allocFailed(n.Of, err)
	}
	v := &one.VM{VMCore: one.VMCore{
		Meta: d.owner, STime: d.stime, ServiceID: n.Service, Role: n.Role, VRouterID: n.VRouter, State: one.VMPending,
		Since: c.now().UnixMilli(),
	}}
	switch {
	case d.copying:
		v.State = one.VMCloning
	case n.Hold || c.cfg.SubmitOnHold:
		v.State = one.VMHold
	}
	if d.copying && (n.Hold || c.cfg.SubmitOnHold) {
		d.out = d.out.With("SUBMIT_ON_HOLD", "YES")
	}
	v.PrevState = v.State
	d.out = d.out.With("VMID", itoa(id))
	v.Template = d.out
	v.UserTemplate = d.in.Without("CONTEXT", "DISK", "NIC", "NIC_ALIAS", "CPU", "MEMORY", "SCHED_ACTION", "TEMPLATE_NAME", "VMID").Without(coreAttrs...)
	if err := d.finish(v); err != nil {
		return nil, allocFailed(n.Of, err)
	}
	v = followDisks(tx, nil, v)
	tx.PutVM(v)
	if err := schedule(tx, v, d.in); err != nil {
		return nil, errs.Wrap(errs.Internal, err)
	}
	if err := c.checkQuota(&tx.State, who.UID, v.UID, v.GID, v.Usage()); err != nil {
		return nil, err
	}
	c.vmLog(tx, id, "[VM][I]: New state is "+v.State.String())
	return v, nil
}

// allocFailed words a failure to create an object of a kind; refusals of rights
// stay as they are.
func allocFailed(kind one.Kind, err error) error {
	if k := errs.KindOf(err); k == errs.Authorization || k == errs.NoExists {
		return err
	}
	return &errs.Error{Kind: errs.Allocate, Msg: errs.AllocateFailed(kind, err.Error()).Msg, ID: -1, Err: err}
}

// parse goes through the template in the reference's order.
func (d *draft) parse() error {
	if err := d.capacity(); err != nil {
		return err
	}
	for _, name := range coreAttrs {
		if as := d.in.Named(name); len(as) > 0 {
			d.out = d.out.Replace(name, as...)
		}
	}
	if err := d.os(); err != nil {
		return err
	}
	if ctx := d.in.Vector("CONTEXT"); ctx != nil {
		d.context = ctx
	}
	if err := d.attachNICs(); err != nil {
		return err
	}
	if err := d.attachDisks(); err != nil {
		return err
	}
	return checkBootOrder(d.out)
}

// capacity checks and normalises CPU, MEMORY and VCPU and the costs.
func (d *draft) capacity() error {
	if !d.in.Has("MEMORY") {
		return errMemory
	}
	cpu, mem, vcpu, err := readCapacity(d.in)
	if err != nil {
		return err
	}
	if cpu == "" {
		return errCPU
	}
	d.out = d.out.With("CPU", cpu).With("MEMORY", mem)
	if vcpu != "" {
		d.out = d.out.With("VCPU", vcpu)
	}
	for _, k := range []string{"CPU_COST", "MEMORY_COST", "DISK_COST"} {
		if s, ok := d.in.Lookup(k); ok {
			if f, good := tmpl.ParseNumber(s); !good || f < 0 {
				return fmt.Errorf("%s attribute must be a positive float or integer value.", k)
			}
		}
	}
	return nil
}

// Refusals of capacities. Source: VM lifecycle reference §2.4.
var (
	errMemory = errors.New("MEMORY attribute must be a positive integer value.")
	errCPU    = errors.New("CPU attribute must be a positive float or integer value.")
	errVCPU   = errors.New("VCPU attribute must be a positive integer value.")
)

// Bounds of capacities: more than any machine has, and far from where sums of
// them overflow.
const (
	maxCPU      = 1 << 20
	maxMemoryMB = 1 << 32
)

// readCapacity reads MEMORY, CPU and VCPU of a template, in the reference's order,
// normalised; "" for those that are absent. Source: VM lifecycle reference §2.4.
func readCapacity(t *tmpl.Template) (cpu, mem, vcpu string, err error) {
	if s, ok := t.Lookup("MEMORY"); ok {
		n, e := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		if e != nil || n <= 0 || n > maxMemoryMB {
			return "", "", "", errMemory
		}
		mem = strconv.FormatInt(n, 10)
	}
	if s, ok := t.Lookup("CPU"); ok {
		f, good := tmpl.ParseNumber(s)
		if !good || f <= 0 || f > maxCPU {
			return "", "", "", errCPU
		}
		cpu = tmpl.FormatNumber(f)
	}
	if s, ok := t.Lookup("VCPU"); ok {
		n, e := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
		if e != nil || n <= 0 || n > maxCPU {
			return "", "", "", errVCPU
		}
		vcpu = strconv.FormatInt(n, 10)
	}
	return cpu, mem, vcpu, nil
}

// osCoreAttrs are the keys of OS that only the core fills in: they name files of
// the host.
var osCoreAttrs = []string{
	"KERNEL_DS_ID", "KERNEL_DS_SOURCE", "KERNEL_DS_DSID", "KERNEL_DS_CLUSTER_ID",
	"INITRD_DS_ID", "INITRD_DS_SOURCE", "INITRD_DS_DSID", "INITRD_DS_CLUSTER_ID",
}

// os gives the VM a UUID and resolves kernel and initrd of files datastores.
func (d *draft) os() error {
	v := d.out.Vector("OS").Without(osCoreAttrs...)
	if v == nil {
		v = tmpl.Vector{}
	}
	if v.Get("UUID") == "" {
		u, err := newUUID()
		if err != nil {
			return err
		}
		v = v.With("UUID", u)
	}
	for _, f := range []struct {
		ds, file string
		typ      one.ImageType
	}{{"KERNEL", "KERNEL_DS", one.ImageKernel}, {"INITRD", "INITRD_DS", one.ImageRamdisk}} {
		ref := v.Get(f.file)
		if ref == "" {
			continue
		}
		i, err := d.c.fileImage(&d.tx.State, d.who, ref, f.typ)
		if err != nil {
			return err
		}
		v = v.With(f.file+"_ID", itoa(i.ID)).With(f.file+"_SOURCE", i.Source).
			With(f.file+"_DSID", itoa(i.DatastoreID)).With(f.file+"_CLUSTER_ID", joinInts(d.clustersOf(i.DatastoreID)))
	}
	d.out = d.out.WithVector("OS", v)
	return nil
}

func (d *draft) clustersOf(ds int) []int {
	if x, ok := d.tx.Datastores.Get(ds); ok {
		return x.ClusterIDs
	}
	return nil
}

// finish sets what needs the whole VM: context, requirements, rules, graphics.
func (d *draft) finish(v *one.VM) error {
	if d.context != nil {
		vars, err := d.c.makeContext(d.tx, d.who, v, v.UserTemplate, d.out, d.context)
		if err != nil {
			return err
		}
		d.out = d.out.WithVector("CONTEXT", vars)
		if vars.Bool("TOKEN") {
			d.out = d.out.With("CREATED_BY", itoa(v.UID))
			if err := ensureTokenPassword(d.tx, v.UID); err != nil {
				return err
			}
		}
	}
	if err := d.graphics(); err != nil {
		return err
	}
	if err := checkVideo(d.out); err != nil {
		return err
	}
	if rules := secGroupRules(&d.tx.State, d.out); len(rules) > 0 {
		d.out = d.out.WithVectors("SECURITY_GROUP_RULE", rules)
	}
	reqs, err := autoRequirements(d.out, v.UserTemplate)
	if err != nil {
		return err
	}
	v.Template = d.out.Merge(reqs)
	return nil
}

// graphics makes a random VNC or SPICE password when one is asked for.
// Source: resources reference §9.1.
func (d *draft) graphics() error {
	g := d.out.Vector("GRAPHICS")
	if g == nil {
		return nil
	}
	if g.Bool("RANDOM_PASSWD") && g.Get("PASSWD") == "" {
		n := 8
		if strings.EqualFold(g.Get("TYPE"), "SPICE") {
			n = 59
		}
		b := make([]byte, n)
		if _, err := rand.Read(b); err != nil {
			return fmt.Errorf("make a graphics password: %w", err)
		}
		const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
		for i := range b {
			b[i] = alphabet[int(b[i])%len(alphabet)]
		}
		g = g.With("PASSWD", string(b))
	}
	d.out = d.out.WithVector("GRAPHICS", g)
	return nil
}

// checkVideo checks VIDEO. Source: resources reference §1.5.
func checkVideo(t *tmpl.Template) error {
	v := t.Vector("VIDEO")
	if len(v) == 0 {
		return nil
	}
	typ := strings.ToLower(v.Get("TYPE"))
	switch typ {
	case "none", "vga", "cirrus", "virtio":
	case "":
		return errors.New("Video TYPE is required")
	default:
		return errors.New("Invalid video TYPE, should be either: none, vga, cirrus, or virtio")
	}
	if typ != "virtio" && (v.Has("IOMMU") || v.Has("ATS")) {
		return errors.New("IOMMU and ATS are only available for virtio TYPE")
	}
	if s, ok := v.Lookup("VRAM"); ok {
		if n, err := strconv.ParseUint(s, 10, 32); err != nil || n < 1024 {
			return errors.New("Invalid VRAM value in VIDEO attribute, must be >= 1024")
		}
	}
	if s, ok := v.Lookup("RESOLUTION"); ok {
		w, h, _ := strings.Cut(s, "x")
		for _, n := range []string{w, h} {
			if n, err := strconv.ParseUint(n, 10, 16); err != nil || n == 0 {
				return errors.New("Invalid RESOLUTION string format")
			}
		}
	}
	return nil
}

// checkBootOrder checks OS/BOOT. Source: resources reference §1.5.
func checkBootOrder(t *tmpl.Template) error {
	boot := t.Vector("OS").Get("BOOT")
	if boot == "" {
		return nil
	}
	for _, dev := range strings.Split(boot, ",") {
		dev = strings.TrimSpace(dev)
		what, key := "DISK", "DISK_ID"
		num, ok := strings.CutPrefix(dev, "disk")
		if !ok {
			what, key = "NIC", "NIC_ID"
			num, ok = strings.CutPrefix(dev, "nic")
		}
		if _, isNumber := atoi(num); !ok || !isNumber {
			return fmt.Errorf("Wrong OS/BOOT value: \"%s\" should be a comma-separated list of disk# or nic#", boot)
		}
		found := false
		for _, v := range t.Vectors(what) {
			found = found || v.Get(key) == num
		}
		if !found {
			return fmt.Errorf("Wrong OS/BOOT value. Device with %s %s not found", key, num)
		}
	}
	return nil
}

// newUUID returns a random (version 4) UUID.
func newUUID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make a UUID: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

// vmLog adds a line to a VM's log.
func (c *Cloud) vmLog(tx *store.Tx, vm int, line string) {
	tx.Emit(TopicVMLog, vm, c.now().UnixMilli(), line)
}

// TopicVMLog is the outbox topic of VM log lines.
const TopicVMLog = "vmlog"
